/* relay.c - sockets bound to host ports: held while the container runs, some served by a child; and sockets born elsewhere. */
#include "shim/core.h"
#include "base/kernel.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define K_NETLINK_ROUTE 0
#define K_NETLINK_NETFILTER 12
#ifndef CLONE_NEWNET
#define CLONE_NEWNET 0x40000000
#endif

static void relay_child(struct shim *s, int fd, const char *proto, const char *target, uint16_t port)
{
	sigset_t none;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)dup2(fd, 3); /* the only thing it keeps: no connection may live on in it */
	(void)sys_close_range(4, ~0U, 0);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)s->o.relay(3, proto, target, port);
	_exit(0);
}

int relay_add(struct shim *s, int fd, bool relayed, const char *proto, const char *target, uint16_t port)
{
	pid_t pid = -1, self = getpid();
	struct relay *r = NULL;

	if (relayed && !s->o.relay) {
		(void)close(fd);
		return -ENOSYS;
	}
	if (relayed) {
		pid = fork();
		if (pid < 0) {
			(void)close(fd);
			return -errno;
		}
		if (pid == 0) {
			if (getppid() == self)
				relay_child(s, fd, proto, target, port);
			_exit(0);
		}
		fd_closep(&fd); /* the child serves it */
	}
	r = xcalloc(1, sizeof *r);
	*r = (struct relay){ .next = s->relays, .fd = fd, .pid = pid };
	s->relays = r;
	return 0;
}

void relay_drop_all(struct shim *s)
{
	while (s->relays) {
		struct relay *r = s->relays;

		s->relays = r->next;
		if (r->pid > 0) {
			(void)kill(r->pid, SIGKILL);
			(void)waitpid(r->pid, NULL, 0);
		}
		fd_closep(&r->fd);
		free(r);
	}
}

/* A socket belongs to the namespace its maker is in. We have one thread: going in and out costs less than a child. */
int netlink_pair(int netns, int ret[2])
{
	AUTO_FD int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int r = 0;

	ret[0] = ret[1] = -1;
	if (home < 0 || setns(netns, CLONE_NEWNET) < 0)
		return -errno;
	ret[0] = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, K_NETLINK_ROUTE);
	if (ret[0] >= 0)
		ret[1] = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, K_NETLINK_NETFILTER);
	if (ret[1] < 0)
		r = -errno;
	if (setns(home, CLONE_NEWNET) < 0)
		abort(); /* the shim must not stay in the container's network */
	if (r < 0)
		fd_closep(&ret[0]);
	return r;
}
