/* fake_act.c - stands in for act/ where the shim's own logic is tested: processes of the host, no namespaces, no cgroups. */
#include "act/act.h"
#include "base/kernel.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static int fake_child(const struct plan_process *p, const struct act_opts *o, struct act_child *ret)
{
	int gate[2], tty = -1;
	sigset_t none;

	*ret = ACT_CHILD_INIT;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, gate) < 0)
		return -errno;
	if (p->terminal) {
		ret->terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
		(void)grantpt(ret->terminal);
		(void)unlockpt(ret->terminal);
		tty = open(ptsname(ret->terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
	}
	ret->pid = fork();
	if (ret->pid == 0) {
		char c = 0;

		(void)sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		(void)setsid();
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (tty >= 0)
			(void)ioctl(tty, TIOCSCTTY, 0);
		for (int i = 0; i < 3; i++)
			(void)dup2(tty >= 0 ? tty : o->stdio[i] >= 0 ? o->stdio[i] : open("/dev/null", O_RDWR), i);
		if (read(gate[1], &c, 1) != 1)
			_exit(1);
		(void)execve(p->args[0], (char *const *)p->args, (char *const *)p->env);
		c = (char)errno;
		(void)!write(gate[1], &c, 1);
		_exit(127);
	}
	(void)close(gate[1]);
	if (tty >= 0)
		(void)close(tty);
	ret->gate = gate[0];
	ret->pidfd = sys_pidfd_open(ret->pid, 0);
	return 0;
}

void act_child_done(struct act_child *c)
{
	fd_closep(&c->pidfd);
	fd_closep(&c->gate);
	fd_closep(&c->terminal);
	fd_closep(&c->root_fd);
	for (int i = 0; i < PLAN_NS_COUNT; i++)
		fd_closep(&c->ns[i]);
}

int act_netns_new(int *ret, struct err *e)
{
	*ret = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return 0;
}

int act_create(const struct plan *p, const struct act_opts *o, struct act_child *ret, struct err *e)
{
	return fake_child(&p->process, o, ret);
}

int act_start(struct act_child *c, struct err *e)
{
	char b = 1;
	ssize_t n;

	(void)!write(c->gate, &b, 1);
	n = read(c->gate, &b, 1);
	fd_closep(&c->gate);
	if (n == 1) {
		c->failure = ACT_FAILED_NOT_FOUND;
		return err_sys(e, -b, "exec");
	}
	return 0;
}

int act_exec(const struct plan_process *p, const struct act_target *t, const struct act_opts *o, struct act_child *ret,
	     struct err *e)
{
	int r = fake_child(p, o, ret);

	return r < 0 ? r : act_start(ret, e);
}

int act_cgroup_update(const struct plan_cgroup *c, struct err *e)
{
	return 0;
}
int act_cgroup_freeze(const char *path, bool frozen, struct err *e)
{
	return 0;
}
int act_cgroup_kill(const char *path)
{
	return 0;
}
int act_cgroup_signal(const char *path, int sig)
{
	return -ENOSYS;
}
size_t act_cgroup_fds(int ret[ACT_CGROUP_FDS_MAX])
{
	(void)ret;
	return 0;
}

int act_cgroup_remove(const char *path)
{
	return 0;
}
int act_cgroup_oom_fd(const char *path, int *ret_fd)
{
	return -ENOENT;
}
int64_t act_cgroup_oom_count(const char *path)
{
	return 0;
}
