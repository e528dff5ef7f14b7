/* session.c - see session.h. One poll loop; the terminal is put back by atexit, whichever way we leave. */
#include "cli/session.h"
#include "stream/stream.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>

#define BUFFER 32768
#define PENDING_MAX (1u << 20) /* typed or piped bytes that the daemon has not taken: then we stop reading stdin */

static struct termios saved_terminal;
static bool terminal_is_raw;

static void terminal_restore(void)
{
	if (terminal_is_raw)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_terminal);
	terminal_is_raw = false;
}

static void terminal_raw(void)
{
	static bool registered;
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &saved_terminal) < 0)
		return;
	raw = saved_terminal;
	cfmakeraw(&raw);
	if (!registered && atexit(terminal_restore) != 0)
		return;
	registered = true;
	terminal_is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

bool terminal_size(unsigned *ret_rows, unsigned *ret_columns)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || (size.ws_row == 0 && size.ws_col == 0))
		return false;
	*ret_rows = size.ws_row;
	*ret_columns = size.ws_col;
	return true;
}

int session_check_tty(bool attach_stdin, bool tty, struct err *e)
{
	if (attach_stdin && tty && !isatty(STDIN_FILENO))
		return err_set(e, ERR_INVALID, "the input device is not a TTY");
	return 0;
}

static bool resize_once(struct cli *cli, const char *resize_path, unsigned more)
{
	AUTO_FREE char *path = NULL;
	unsigned rows = 0, columns = 0;

	if (!terminal_size(&rows, &columns))
		return true;
	path = xasprintf("%s?h=%u&w=%u", resize_path, rows + more, columns + more);
	return cli_post(cli, path, NULL, NULL, NULL) >= 0;
}

void session_resize(struct cli *cli, const char *resize_path)
{
	for (int i = 1; i <= 10 && !resize_once(cli, resize_path, 0); i++)
		(void)usleep((useconds_t)i * 10000);
}

void session_redraw(struct cli *cli, const char *resize_path)
{
	(void)resize_once(cli, resize_path, 1);
	session_resize(cli, resize_path);
}

/* Every signal that means something to a process, but for those about ourselves. */
static void session_signals(sigset_t *ret)
{
	static const int ours[] = { SIGCHLD, SIGPIPE, SIGURG,  SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
				    SIGABRT, SIGTSTP, SIGTTIN, SIGTTOU, SIGTRAP, SIGSYS };

	(void)sigfillset(ret);
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		(void)sigdelset(ret, ours[i]);
}

void session_signals_block(void)
{
	sigset_t set;

	session_signals(&set);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
}

static void signal_forward(struct session *s, int number)
{
	AUTO_FREE char *path = NULL;
	const char *name = sigabbrev_np(number);

	if (number == SIGWINCH) {
		if (s->tty && s->resize_path)
			(void)resize_once(s->cli, s->resize_path, 0);
		return;
	}
	if (!s->kill_path) { /* not handed on: it is for us */
		terminal_restore();
		_exit(128 + number);
	}
	path = name ? xasprintf("%s?signal=%s", s->kill_path, name) : xasprintf("%s?signal=%d", s->kill_path, number);
	(void)cli_post(s->cli, path, NULL, NULL, NULL); /* the container may be gone already */
}

int fd_write_full(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t r = write(fd, at, n);

		if (r < 0 && errno == EAGAIN) {
			(void)poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
			continue;
		}
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		at += r;
		n -= (size_t)r;
	}
	return 0;
}

/* The reader of our output has left: we end as any program in a pipe does, without waiting for the container. */
static int screen_write(int fd, const void *p, size_t n)
{
	int r = fd_write_full(fd, p, n);

	if (r == -EPIPE) {
		terminal_restore();
		(void)signal(SIGPIPE, SIG_DFL);
		(void)raise(SIGPIPE);
	}
	return r;
}

struct flow {
	struct session *s;
	struct stream_reader frames;
	struct detach_matcher keys;
	struct strb pending; /* for the daemon */
	bool stdin_open, stdin_done, peer_done;
};

static int show(struct flow *f, const char *p, size_t n, struct err *e)
{
	struct stream_piece piece;
	int r;

	if (f->s->tty)
		return screen_write(STDOUT_FILENO, p, n);
	while ((r = stream_next(&f->frames, &p, &n, &piece)) > 0) {
		if (piece.id == STREAM_SYSTEM)
			return err_set(e, ERR_SYSTEM, "error from daemon in stream: %.*s", (int)MIN(piece.n, 500u),
				       piece.p);
		if (piece.id == STREAM_STDERR ? f->s->use_stderr : f->s->use_stdout)
			r = screen_write(piece.id == STREAM_STDERR ? STDERR_FILENO : STDOUT_FILENO, piece.p, piece.n);
		if (r < 0)
			return r;
	}
	return r < 0 ? err_set(e, ERR_SYSTEM, "Unrecognized input header") : 0;
}

static int from_peer(struct flow *f, struct err *e)
{
	char buf[BUFFER];
	ssize_t n = recv(f->s->fd, buf, sizeof buf, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		f->peer_done = true;
		return 0;
	}
	return show(f, buf, (size_t)n, e);
}

static void to_peer(struct flow *f)
{
	ssize_t n = f->pending.len ? send(f->s->fd, f->pending.s, f->pending.len, MSG_NOSIGNAL) : 0;

	if (n > 0) {
		memmove(f->pending.s, f->pending.s + n, f->pending.len - (size_t)n);
		f->pending.len -= (size_t)n;
	} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
		f->pending.len = 0; /* it listens no more; what it says is still read */
		f->stdin_open = false;
		f->stdin_done = false;
	}
	if (f->stdin_done && f->pending.len == 0) {
		(void)shutdown(f->s->fd, SHUT_WR);
		f->stdin_done = false;
	}
}

static void from_stdin(struct flow *f)
{
	char buf[BUFFER];
	ssize_t n = read(STDIN_FILENO, buf, sizeof buf);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		f->stdin_open = false;
		f->stdin_done = true;
		return;
	}
	if (!f->s->tty)
		strb_add(&f->pending, buf, (size_t)n);
	else
		f->s->detached = detach_match(&f->keys, buf, (size_t)n, &f->pending);
}

static void from_signals(struct flow *f, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof info) == sizeof info)
		signal_forward(f->s, (int)info.ssi_signo);
}

static int flow_loop(struct flow *f, int signals, struct err *e)
{
	int r = 0;

	while (r >= 0 && !f->peer_done && !f->s->detached) {
		struct pollfd p[3] = {
			{ .fd = f->s->fd, .events = (short)(POLLIN | (f->pending.len || f->stdin_done ? POLLOUT : 0)) },
			{ .fd = f->stdin_open && f->pending.len < PENDING_MAX ? STDIN_FILENO : -1, .events = POLLIN },
			{ .fd = signals, .events = POLLIN },
		};

		if (poll(p, 3, -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (p[2].revents)
			from_signals(f, signals);
		if (p[1].revents)
			from_stdin(f);
		if (p[0].revents & POLLOUT || f->pending.len || f->stdin_done)
			to_peer(f);
		if (p[0].revents & (POLLIN | POLLHUP | POLLERR))
			r = from_peer(f, e);
	}
	return r;
}

void session_drop(struct session *s)
{
	strb_done(&s->unread);
	if (s->fd >= 0)
		(void)close(s->fd);
	s->fd = -1;
}

int session_run(struct session *s, struct err *e)
{
	struct flow f = { .s = s, .stdin_open = s->use_stdin };
	struct detach_keys keys = { 0 };
	AUTO_FD int signals = -1;
	sigset_t set;
	int flags = fcntl(s->fd, F_GETFL), r = 0;

	if (!str_empty(s->detach_keys) && (r = detach_keys_parse(s->detach_keys, &keys, e)) < 0) {
		session_drop(s);
		return r;
	}
	detach_init(&f.keys, &keys);
	session_signals(&set);
	session_signals_block();
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (flags >= 0)
		(void)fcntl(s->fd, F_SETFL, flags | O_NONBLOCK);
	if (s->tty && s->use_stdin)
		terminal_raw();
	if (s->unread.len)
		r = show(&f, s->unread.s, s->unread.len, e);
	if (r >= 0)
		r = flow_loop(&f, signals, e);
	terminal_restore();
	strb_done(&f.pending);
	session_drop(s);
	return r == -EPIPE ? 0 : r;
}

int stream_copy(struct answer *a, bool framed, struct err *e)
{
	struct session s = { .tty = !framed, .use_stdout = true, .use_stderr = true };
	struct flow f = { .s = &s };
	char buf[BUFFER];
	ssize_t n;
	int r = 0;

	while (r >= 0 && (n = answer_read(a, buf, sizeof buf)) != 0) {
		if (n < 0)
			return err_set(e, ERR_SYSTEM, "unexpected EOF");
		r = show(&f, buf, (size_t)n, e);
	}
	return r == -EPIPE ? 0 : r;
}
