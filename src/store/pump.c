/* pump.c - getting bytes to a worker: a descriptor is given away, what only a function can read or a growing file goes through a
 * socket. */
#include "store/worker_call.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#define AT_ONCE (256 * 1024)

int pump_open(const struct store_source *src, struct pump *ret, struct err *e)
{
	int pair[2];

	*ret = (struct pump){ .src = src, .worker_end = -1, .our_end = -1 };
	if (src->fd >= 0 && !src->wait) {
		ret->worker_end = fcntl(src->fd, F_DUPFD_CLOEXEC, 3);
		return ret->worker_end < 0 ? err_sys(e, -errno, "duplicating a descriptor") : 0;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, -errno, "making a socket");
	ret->our_end = pair[0];
	ret->worker_end = pair[1];
	return 0;
}

/* 1 = sent, 0 = the worker stopped reading: its answer says why */
static int send_all(struct pump *p, const char *buf, size_t n)
{
	while (n > 0) {
		ssize_t k = send(p->our_end, buf, n, MSG_NOSIGNAL);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return 0;
		buf += k;
		n -= (size_t)k;
	}
	return 1;
}

static int run_function(struct pump *p, struct err *e)
{
	AUTO_FREE char *buf = xmalloc(AT_ONCE);
	int64_t done = 0;
	ssize_t n;

	while ((n = p->src->read(p->src->ctx, buf, AT_ONCE)) > 0) {
		if (!send_all(p, buf, (size_t)n))
			return 0;
		done += n;
		if (p->progress)
			p->progress(p->progress_ctx, done);
	}
	return n < 0 ? err_sys(e, (int)n, "reading the archive") : 0;
}

/* From the page cache into the socket: the bytes do not pass through our memory. */
static int run_file(struct pump *p, struct err *e)
{
	int64_t end = 0;
	off_t at = 0;

	for (;;) {
		ssize_t k;

		if (at == end) {
			end = p->src->wait(p->src->ctx, at);
			if (end < 0)
				return err_sys(e, (int)end, "reading the archive");
			if (end == at)
				return 0;
		}
		k = sendfile(p->our_end, p->src->fd, &at, (size_t)MIN(end - at, (int64_t)AT_ONCE));
		if (k < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (k < 0)
			return errno == EPIPE || errno == ECONNRESET ? 0 : err_sys(e, -errno, "reading the archive");
		if (k == 0)
			return err_set(e, ERR_SYSTEM, "the file shrank while it was read");
		if (p->progress)
			p->progress(p->progress_ctx, at);
	}
}

int pump_run(struct pump *p, struct err *e)
{
	int r;

	fd_closep(&p->worker_end); /* it has its copy: when it dies we get EPIPE */
	if (p->our_end < 0)
		return 0;
	r = p->src->wait ? run_file(p, e) : run_function(p, e);
	/* The worker must not take a torn stream for a whole one: it sees the end only when it is one. */
	if (r == 0)
		fd_closep(&p->our_end);
	return r;
}

void pump_close(struct pump *p)
{
	fd_closep(&p->worker_end);
	fd_closep(&p->our_end);
}
