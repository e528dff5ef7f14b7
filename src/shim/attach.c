/* attach.c - a client and a process's streams. What ends what follows dockerd: the client's half-close closes stdin where
 * that is asked for (StdinOnce, execs) and there is no terminal; otherwise it ends the session. */
#include "shim/core.h"

#include <sys/socket.h>

#define INPUT_READ (16 * 1024)

static bool closes_stdin(const struct conn *c)
{
	const struct shim *s = c->shim;

	if (c->io->tty)
		return false;
	return c->io != &s->io || s->cfg & SHIM_CFG_STDIN_ONCE;
}

static void input(struct conn *c, const char *p, size_t n, bool *ret_detached)
{
	AUTO_STRB struct strb keep = STRB_INIT;

	if (!c->io->tty) {
		io_input(c->io, p, n);
		return;
	}
	*ret_detached = detach_match(&c->detach, p, n, &keep);
	io_input(c->io, strb_str(&keep), keep.len);
}

static bool detached(struct conn *c)
{
	task_event(c->shim, SHIM_EV_DETACH, *c->exec_id ? c->exec_id : NULL, 0, 0, NULL, false);
	strb_clear(&c->out); /* it looks away: what it has not read yet is not for it */
	c->out_done = 0;
	conn_end(c);
	return false;
}

/* The client sends no more. */
static bool input_end(struct conn *c)
{
	c->input_over = true;
	loop_want(&c->shim->loop, &c->src, c->src.want & ~(uint32_t)EPOLLIN);
	if (closes_stdin(c)) {
		io_input_end(c->io);
		if (!c->away)
			return true;
		conn_close(c);
		return false;
	}
	conn_end(c);
	return false;
}

bool attach_ready(struct conn *c, uint32_t events)
{
	char buf[INPUT_READ];
	bool away = false;
	ssize_t n;

	if (!c->io || !(events & EPOLLIN))
		return conn_lost(c);
	n = recv(c->src.fd, buf, sizeof buf, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n < 0) { /* reset: as if it had ended, only sooner */
		c->away = true;
		strb_done(&c->out);
		c->out_done = 0;
		n = 0;
	}
	if (n == 0)
		return input_end(c);
	input(c, buf, (size_t)n, &away);
	return away ? detached(c) : true;
}

void attach_balance(struct conn *c)
{
	bool read = c->flags & SHIM_IO_STDIN && !c->input_over && !c->ending && c->io->queue.len < STDIN_FULL;
	uint32_t want = (c->away ? 0 : EPOLLHUP) | (conn_pending(c) ? EPOLLOUT : 0) | (read ? EPOLLIN : 0);

	loop_want(&c->shim->loop, &c->src, want);
}

void attach_new(struct io *io, int fd, uint32_t flags, const char *exec_id, const struct detach_keys *keys,
		const char *text, size_t n)
{
	struct shim *s = io->shim;
	struct conn *c = NULL;
	bool away = false;

	if (io == &s->io && !(s->cfg & SHIM_CFG_OPEN_STDIN))
		flags &= ~(uint32_t)SHIM_IO_STDIN;
	flags &= ~(uint32_t)SHIM_IO_CHUNKED;
	c = conn_new(s, fd, CONN_ATTACH, flags);
	c->io = io;
	detach_init(&c->detach, keys);
	if (exec_id)
		(void)snprintf(c->exec_id, sizeof c->exec_id, "%s", exec_id);
	if (n && flags & SHIM_IO_STDIN)
		input(c, text, n, &away);
	if (away)
		(void)detached(c);
	io_balance(io);
}

void attach_output(struct io *io, enum stream_id id, const char *p, size_t n)
{
	uint32_t flag = id == STREAM_STDOUT ? SHIM_IO_STDOUT : SHIM_IO_STDERR;

	for (struct conn *c = io->shim->conns, *next; c; c = next) {
		next = c->next;
		if (c->io == io && c->flags & flag)
			(void)conn_write(c, id, p, n);
	}
}

void attach_end_all(struct io *io)
{
	for (struct conn *c = io->shim->conns, *next; c; c = next) {
		next = c->next;
		if (c->io == io) {
			c->io = NULL;
			conn_end(c);
		}
	}
}
