/* conn.c - a connection that hoyd handed over: what goes out waits here when the client is slow, and its end is orderly. The
 * descriptor shares its flags with hoyd's copy, so it never becomes non-blocking: every call says MSG_DONTWAIT. */
#include "shim/core.h"

#include <sys/socket.h>

#define LINGER_NS (1000 * MS)

static void ready(struct source *src, uint32_t events);

struct conn *conn_new(struct shim *s, int fd, enum conn_kind kind, uint32_t flags)
{
	struct conn *c = xcalloc(1, sizeof *c);

	*c = (struct conn){
		.src = { .fd = fd, .ready = ready }, .shim = s, .kind = kind, .flags = flags, .next = s->conns
	};
	s->conns = c;
	loop_want(&s->loop, &c->src, EPOLLHUP);
	return c;
}

void conn_close(struct conn *c)
{
	struct io *io = c->io;

	for (struct conn **p = &c->shim->conns; *p; p = &(*p)->next) {
		if (*p == c) {
			*p = c->next;
			break;
		}
	}
	loop_close(&c->shim->loop, &c->src);
	logfile_reader_free(c->reader);
	strb_done(&c->out);
	free(c);
	if (io)
		io_balance(io);
}

static void update(struct conn *c)
{
	uint32_t want = c->away ? 0 : EPOLLHUP;

	if (conn_pending(c) || c->more)
		want |= EPOLLOUT;
	if (c->lingering)
		want |= EPOLLIN;
	else if (c->io && !c->ending && c->src.want & EPOLLIN)
		want |= EPOLLIN;
	loop_want(&c->shim->loop, &c->src, want);
}

/* Everything is sent: say so, then read until the peer ends too. A plain close with unread input would turn the last bytes'
 * end of file into a connection reset at the client. */
static bool finish(struct conn *c)
{
	if (c->lingering)
		return true;
	if (c->input_over) {
		(void)shutdown(c->src.fd, SHUT_RDWR);
		conn_close(c);
		return false;
	}
	(void)shutdown(c->src.fd, SHUT_WR);
	c->lingering = true;
	c->deadline = time_mono_ns() + LINGER_NS;
	if (c->io) {
		struct io *io = c->io;

		c->io = NULL; /* what it still sends concerns no process */
		io_balance(io);
	}
	loop_want(&c->shim->loop, &c->src, EPOLLHUP | EPOLLIN);
	return true;
}

/* A client may send its input and vanish: the process still gets all of it. */
bool conn_lost(struct conn *c)
{
	if (c->away || !c->io || c->input_over || c->ending || !(c->flags & SHIM_IO_STDIN)) {
		conn_close(c);
		return false;
	}
	c->away = true;
	strb_done(&c->out);
	c->out_done = 0;
	io_balance(c->io);
	return true;
}

bool conn_flush(struct conn *c)
{
	while (conn_pending(c)) {
		ssize_t n = send(c->src.fd, c->out.s + c->out_done, conn_pending(c), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return conn_lost(c);
		c->out_done += (size_t)n;
	}
	if (conn_pending(c) == 0) {
		strb_done(&c->out);
		c->out_done = 0;
	} else if (c->out_done > c->out.len / 2) {
		memmove(c->out.s, c->out.s + c->out_done, conn_pending(c));
		c->out.len -= c->out_done;
		c->out_done = 0;
	}
	if (c->ending && conn_pending(c) == 0)
		return finish(c);
	update(c);
	return true;
}

void conn_end(struct conn *c)
{
	if (!c->ending && c->flags & SHIM_IO_CHUNKED)
		strb_adds(&c->out, CHUNK_LAST);
	c->ending = true;
	(void)conn_flush(c);
}

bool conn_write(struct conn *c, enum stream_id id, const char *p, size_t n)
{
	char chunk[CHUNK_HEAD_MAX] = "", head[STREAM_HEAD] = "";
	bool framed = !(c->flags & SHIM_IO_TTY), chunked = c->flags & SHIM_IO_CHUNKED;
	struct iovec iov[4] = {
		{ chunk, 0 }, { head, framed ? STREAM_HEAD : 0 }, { (void *)p, n }, { (void *)CHUNK_TAIL, 0 }
	};
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = ARRAY_LEN(iov) };
	size_t sent = 0;

	if (c->ending || c->away || n == 0)
		return true;
	stream_head(head, id, (uint32_t)n);
	if (chunked) {
		iov[0].iov_len = chunk_head(chunk, n + iov[1].iov_len);
		iov[3].iov_len = sizeof CHUNK_TAIL - 1;
	}
	if (conn_pending(c) == 0) { /* the usual case needs no copy */
		ssize_t r = sendmsg(c->src.fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (r < 0 && errno != EAGAIN && errno != EINTR)
			return conn_lost(c);
		sent = r > 0 ? (size_t)r : 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(iov); i++) {
		size_t skip = MIN(sent, iov[i].iov_len);

		strb_add(&c->out, (char *)iov[i].iov_base + skip, iov[i].iov_len - skip);
		sent -= skip;
	}
	update(c);
	return true;
}

static void linger(struct conn *c)
{
	char waste[4096];
	ssize_t n = recv(c->src.fd, waste, sizeof waste, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		conn_close(c);
}

static void ready(struct source *src, uint32_t events)
{
	struct conn *c = (struct conn *)src; /* first member */

	if (c->lingering) {
		linger(c);
		return;
	}
	/* An error does not mean that there is nothing to read: a client that closed with our output unread is a "reset" */
	if (events & (EPOLLERR | EPOLLHUP) && !(events & EPOLLIN)) {
		if (c->kind == CONN_ATTACH)
			(void)attach_ready(c, EPOLLHUP);
		else
			conn_close(c);
		return;
	}
	if (events & EPOLLIN && c->kind == CONN_ATTACH && !attach_ready(c, events))
		return;
	if (events & EPOLLOUT) {
		struct io *io = c->io;

		if (conn_flush(c) && c->kind == CONN_FOLLOW)
			follow_pump(c);
		else if (io)
			io_balance(io);
	}
}
