/* spawn.c - starting programs without copying ourselves: clone(CLONE_VM|CLONE_VFORK), as posix_spawn does, with the placing
 * of descriptors, the working directory and the session that posix_spawn cannot do everywhere. The child shares our memory
 * until it execs: it touches only its own stack and the report in struct child. */
#include "proc/proc.h"
#include "base/kernel.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define CHILD_STACK (64 * 1024)
#define K_CLOSE_RANGE_CLOEXEC 4
#define SPAWN_FDS_MAX 64
#ifdef __SANITIZE_THREAD__ /* TSan takes every clone() for a fork and forgets, in our shared memory, what it knows of the threads */
int __clone(int (*f)(void *), void *stack, int flags, void *arg, ...);
#define clone __clone
#endif

struct child {
	const struct proc_opts *o;
	char *const *envp;
	struct proc_fd fds[SPAWN_FDS_MAX + 3];
	size_t n_fds;
	int error; /* what the child could not do; 0 once it has exec'd */
};

/* Handlers are ours and make no sense there; ignored signals would be inherited (SIGPIPE), so everything goes to default. */
static void reset_signals(void)
{
	struct sigaction d = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int s = 1; s < 65; s++)
		(void)sigaction(s, &d, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* First everything that stands in the way of a target moves up, then each goes to its place. */
static int place_fds(struct proc_fd *fds, size_t n)
{
	int top = 2;

	for (size_t i = 0; i < n; i++)
		top = MAX(top, fds[i].to);
	for (size_t i = 0; i < n; i++) {
		if (fds[i].from > top || fds[i].from < 0)
			continue;
		fds[i].from = fcntl(fds[i].from, F_DUPFD_CLOEXEC, top + 1);
		if (fds[i].from < 0)
			return -errno;
	}
	(void)sys_close_range(3, ~0U, K_CLOSE_RANGE_CLOEXEC); /* before 5.11: ours are all CLOEXEC anyway */
	for (size_t i = 0; i < n; i++) {
		int from = fds[i].from;

		if (from < 0)
			from = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (from < 0)
			return -errno;
		if (from == fds[i].to) {
			if (fcntl(from, F_SETFD, 0) < 0)
				return -errno;
		} else if (dup2(from, fds[i].to) < 0) {
			return -errno;
		}
	}
	return 0;
}

/* Its stack is none that a sanitizer knows. */
__attribute__((no_sanitize("address"))) static int child_main(void *arg)
{
	struct child *c = arg;
	int r = 0;

	reset_signals();
	if (c->o->new_session && setsid() < 0)
		r = -errno;
	if (r == 0)
		r = place_fds(c->fds, c->n_fds);
	if (r == 0 && chdir(c->o->cwd ? c->o->cwd : "/") < 0)
		r = -errno;
	if (r == 0) {
		(void)execve(c->o->path, c->o->argv, c->envp);
		r = -errno;
	}
	c->error = r;
	_exit(127);
}

static bool wants(const struct proc_opts *o, int to)
{
	for (size_t i = 0; i < o->n_fds; i++)
		if (o->fds[i].to == to)
			return true;
	return false;
}

static int clone_child(struct child *c, pid_t *ret_pid, int *ret_pidfd)
{
	int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, pidfd = -1;
	sigset_t all, old;
	pid_t pid;
	void *stack = mmap(NULL, CHILD_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (stack == MAP_FAILED)
		return -errno;
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old); /* no handler of ours may run on shared memory in the child */
	pid = clone(child_main, (char *)stack + CHILD_STACK, flags, c, &pidfd);
	if (pid < 0)
		pid = -errno;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)munmap(stack, CHILD_STACK);
	*ret_pid = pid;
	*ret_pidfd = pidfd;
	return pid < 0 ? (int)pid : 0;
}

int proc_spawn(const struct proc_opts *o, pid_t *ret_pid, int *ret_pidfd)
{
	static char *const no_env[] = { NULL };
	AUTO_STRV struct strv env = { 0 };
	AUTO_FD int pidfd = -1;
	struct child c = { .o = o, .envp = o->envp ? o->envp : no_env };
	pid_t pid = -1;
	int r;

	if (o->n_fds > SPAWN_FDS_MAX || !o->argv || !o->path)
		return -EINVAL;
	for (int to = 0; to < 3; to++)
		if (!wants(o, to))
			c.fds[c.n_fds++] = (struct proc_fd){ .from = to == 2 ? 2 : -1, .to = to };
	for (size_t i = 0; i < o->n_fds; i++) {
		if (o->fds[i].from < 0 || o->fds[i].to < 0)
			return -EBADF;
		c.fds[c.n_fds++] = o->fds[i];
	}
	if (o->die_with_parent) {
		for (char *const *e = c.envp; *e; e++)
			strv_add(&env, *e);
		strv_add(&env, "HOY_PDEATH=1");
		c.envp = env.v;
	}
	r = clone_child(&c, &pid, &pidfd);
	if (r < 0)
		return r;
	if (c.error) {
		(void)proc_wait(pid, &r);
		return c.error;
	}
	*ret_pid = pid;
	if (ret_pidfd)
		*ret_pidfd = TAKE_FD(pidfd);
	return 0;
}

int proc_wait(pid_t pid, int *ret_status)
{
	int status = 0;
	pid_t r;

	do
		r = waitpid(pid, &status, 0);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	*ret_status = status;
	return 0;
}

int proc_exit_code(int wait_status)
{
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

int proc_pidfd(pid_t pid)
{
	int fd = sys_pidfd_open(pid, 0); /* always CLOEXEC */

	return fd < 0 ? -errno : fd;
}

int proc_self_dir(char **ret)
{
	char path[PATH_MAX] = "";
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
	char *slash = NULL;

	if (n < 0)
		return -errno;
	path[n] = 0;
	slash = strrchr(path, '/');
	if (!slash)
		return -ENOENT;
	*ret = xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
	return 0;
}
