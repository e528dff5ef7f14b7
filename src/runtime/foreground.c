/* A process in the foreground: its terminal, its signals, its end. Also how its descriptors go in and out. */
#include "runtime/runtime_private.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

#include "base/kernel.h"
#include "proc/proc.h"

enum { PRESERVED_MAX = 1024 };

struct relay {
	int master;
	bool raw, input_open;
	struct termios before;
};

static void resize(const struct relay *t)
{
	struct winsize w;

	if (t->master >= 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &w) == 0)
		(void)ioctl(t->master, TIOCSWINSZ, &w);
}

static void terminal_begin(struct relay *t)
{
	struct termios raw;

	if (t->master < 0 || tcgetattr(STDIN_FILENO, &t->before) < 0)
		return;
	raw = t->before;
	cfmakeraw(&raw);
	t->raw = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
	resize(t);
}

static bool copy(int from, int to)
{
	char buffer[16384];
	ssize_t n = read(from, buffer, sizeof buffer);

	return n > 0 && fd_write_all(to, buffer, (size_t)n) == 0;
}

static void pass_signals(const struct relay *t, int signals, int pidfd)
{
	struct signalfd_siginfo s;

	if (read(signals, &s, sizeof s) != sizeof s)
		return;
	if (s.ssi_signo == SIGWINCH)
		resize(t);
	else if (s.ssi_signo != SIGCHLD)
		(void)sys_pidfd_send_signal(pidfd, (int)s.ssi_signo);
}

static void all_signals(sigset_t *ret)
{
	static const int own_faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };

	(void)sigfillset(ret);
	for (size_t i = 0; i < ARRAY_LEN(own_faults); i++)
		(void)sigdelset(ret, own_faults[i]);
}

void foreground_prepare(void)
{
	sigset_t all;

	all_signals(&all);
	(void)sigprocmask(SIG_BLOCK, &all, NULL);
}

int foreground(struct act_child *c)
{
	struct relay t = { .master = c->terminal, .input_open = c->terminal >= 0 };
	bool output_open = c->terminal >= 0, alive = true;
	int status = 0;
	sigset_t all;

	all_signals(&all);
	AUTO_FD int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	terminal_begin(&t);
	while (alive || output_open) {
		struct pollfd fds[] = { { .fd = alive ? c->pidfd : -1, .events = POLLIN },
					{ .fd = signals, .events = POLLIN },
					{ .fd = output_open ? t.master : -1, .events = POLLIN },
					{ .fd = t.input_open ? STDIN_FILENO : -1, .events = POLLIN } };

		/* after its end only what it left in the terminal is of interest */
		if (poll(fds, ARRAY_LEN(fds), alive ? -1 : 0) == 0)
			break;
		if (fds[1].revents)
			pass_signals(&t, signals, c->pidfd);
		if (fds[2].revents)
			output_open = copy(t.master, STDOUT_FILENO);
		if (fds[3].revents)
			t.input_open = copy(STDIN_FILENO, t.master);
		if (fds[0].revents)
			alive = false;
	}
	if (t.raw)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &t.before);
	(void)proc_wait(c->pid, &status);
	return proc_exit_code(status);
}

int console_send(const char *path, int master, struct err *e)
{
	AUTO_FD int s = sock_connect(AT_FDCWD, path, SOCK_STREAM);
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} c = { 0 };
	char name[] = "/dev/pts/ptmx";
	struct iovec v = { name, sizeof name - 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c.room };

	if (s < 0)
		return err_sys(e, s, "connecting to %s", path);
	c.h.cmsg_level = SOL_SOCKET;
	c.h.cmsg_type = SCM_RIGHTS;
	c.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&c.h), &master, sizeof master);
	return sendmsg(s, &m, MSG_NOSIGNAL) < 0 ? err_sys(e, -errno, "sending a descriptor to %s", path) : 0;
}

int pid_file_write(const char *path, pid_t pid, struct err *e)
{
	AUTO_FREE char *tmp = NULL;
	const char *slash;
	char text[24];
	int n, r;

	if (str_empty(path))
		return 0;
	slash = strrchr(path, '/');
	tmp = slash ? xasprintf("%.*s/.%s", (int)(slash - path), path, slash + 1) : xasprintf(".%s", path);
	n = snprintf(text, sizeof text, "%d", (int)pid);
	r = file_write(AT_FDCWD, tmp, text, (size_t)n, 0666);
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	return r < 0 ? err_sys(e, r, "writing %s", path) : 0;
}

int stdio_options(const struct args *a, struct act_opts *o, struct err *e)
{
	const char *listen = getenv("LISTEN_FDS");
	int64_t n = 0, sockets = 0;
	int *fds, r;

	*o = ACT_OPTS_INIT;
	for (int i = 0; i < 3; i++)
		o->stdio[i] = i;
	r = arg_i64(a, "preserve-fds", 0, &n, e);
	if (r < 0)
		return r;
	if (listen && str_to_i64(listen, &sockets) == 0 && sockets > 0)
		n += sockets;
	if (n < 0 || n > PRESERVED_MAX)
		return err_set(e, ERR_INVALID, "--preserve-fds: %jd descriptors", (intmax_t)n);
	fds = xcalloc((size_t)n + 1, sizeof *fds);
	for (int i = 0; i < n; i++) {
		fds[i] = 3 + i;
		if (fcntl(fds[i], F_GETFD) < 0) {
			free(fds);
			return err_set(e, ERR_INVALID, "please check that preserved-fd %d (of %jd) is present", i,
				       (intmax_t)n);
		}
	}
	o->keep_fds = fds;
	o->n_keep_fds = (size_t)n;
	/* What else our caller left open is not the container's, not even while it waits for its start (CVE-2024-21626). */
	(void)sys_close_range((unsigned)(3 + n), UINT_MAX, 0);
	return 0;
}

int check_console(const struct args *a, bool terminal, bool detach, struct err *e)
{
	bool socket = !str_empty(arg(a, "console-socket"));

	if (detach && terminal && !socket)
		return err_set(e, ERR_INVALID,
			       "cannot allocate tty if the runtime will detach without setting console socket");
	if ((!detach || !terminal) && socket)
		return err_set(e, ERR_INVALID,
			       "cannot use console socket if the runtime will not detach or allocate tty");
	return 0;
}
