/* pump.c - getting bytes to a worker: a descriptor is given away, what only a function can read goes through a socket. */
#include "store/worker_call.h"

#include <fcntl.h>
#include <sys/socket.h>

int pump_open(const struct store_source *src, struct pump *ret, struct err *e)
{
	int pair[2];

	*ret = (struct pump){ .src = src, .worker_end = -1, .our_end = -1 };
	if (src->fd >= 0) {
		ret->worker_end = fcntl(src->fd, F_DUPFD_CLOEXEC, 3);
		return ret->worker_end < 0 ? err_sys(e, -errno, "duplicating a descriptor") : 0;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, -errno, "making a socket");
	ret->our_end = pair[0];
	ret->worker_end = pair[1];
	return 0;
}

int pump_run(struct pump *p, struct err *e)
{
	AUTO_FREE char *buf = NULL;
	size_t size = 256 * 1024;
	ssize_t n = 1;

	fd_closep(&p->worker_end); /* it has its copy: when it dies we get EPIPE */
	if (p->our_end < 0)
		return 0;
	buf = xmalloc(size);
	while (n > 0) {
		n = p->src->read(p->src->ctx, buf, size);
		if (n < 0) {
			/* The worker must not take a torn stream for a whole one: it sees the end only when it is one. */
			return err_sys(e, (int)n, "reading the archive");
		}
		for (ssize_t at = 0; at < n;) {
			ssize_t k = send(p->our_end, buf + at, (size_t)(n - at), MSG_NOSIGNAL);

			if (k < 0 && errno == EINTR)
				continue;
			if (k < 0)
				return 0; /* it stopped reading: its answer says why */
			at += k;
		}
	}
	fd_closep(&p->our_end);
	return 0;
}

void pump_close(struct pump *p)
{
	fd_closep(&p->worker_end);
	fd_closep(&p->our_end);
}
