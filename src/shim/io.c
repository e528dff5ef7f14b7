/* io.c - the process's end of stdio: pipes or a terminal, its log, and who has to wait for whom. A client that does not read makes
 * the process wait, as under dockerd; a process that does not read makes its clients wait. Nothing grows without bound. */
#include "shim/core.h"

#include <fcntl.h>
#include <sys/mman.h>

#define READ_SIZE (64 * 1024)
#define DRAIN_READS 64

static char buffer[READ_SIZE] __attribute__((aligned(4096))); /* one thread, one read at a time */

static struct io *io_of(struct source *src, int i)
{
	return (struct io *)((char *)src - offsetof(struct io, out) - (size_t)i * sizeof *src);
}

static void end_of_output(struct io *io, int i)
{
	loop_close(&io->shim->loop, &io->out[i]);
	if (io->logged && io->shim->log)
		(void)logfile_end(io->shim->log, i, time_now_ns());
}

/* One read. True = there may be more. */
static bool take_output(struct io *io, int i)
{
	ssize_t n = read(io->out[i].fd, buffer, sizeof buffer);

	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) { /* EIO: the terminal's last user is gone */
		end_of_output(io, i);
		return false;
	}
	if (n > READ_SIZE / 8)
		io->shim->busy_ns = time_mono_ns();
	if (io->logged && io->shim->log)
		(void)logfile_write(io->shim->log, i, buffer, (size_t)n, time_now_ns());
	attach_output(io, i ? STREAM_STDERR : STREAM_STDOUT, buffer, (size_t)n);
	return true;
}

static void after_output(struct io *io)
{
	if (io->logged && io->shim->log) {
		(void)logfile_flush(io->shim->log); /* a full disk loses lines, not the container */
		follow_pump_all(io->shim, false);
	}
	io_balance(io);
}

static void stdout_ready(struct source *src, uint32_t events)
{
	struct io *io = io_of(src, 0);

	(void)take_output(io, 0);
	after_output(io);
}

static void stderr_ready(struct source *src, uint32_t events)
{
	struct io *io = io_of(src, 1);

	(void)take_output(io, 1);
	after_output(io);
}

static void give_input(struct io *io)
{
	struct strb *q = &io->queue;
	size_t done = 0;

	while (io->in.fd >= 0 && done < q->len) {
		ssize_t n = write(io->in.fd, q->s + done, q->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) { /* nobody reads it any more */
			loop_close(&io->shim->loop, &io->in);
			done = q->len;
			break;
		}
		done += (size_t)n;
	}
	if (done == q->len) {
		strb_done(q);
	} else if (done) {
		memmove(q->s, q->s + done, q->len - done);
		q->len -= done;
	}
	if (io->in_ends && io->live && q->len == 0)
		loop_close(&io->shim->loop, &io->in);
	loop_want(&io->shim->loop, &io->in, q->len ? EPOLLOUT : 0);
}

static void stdin_ready(struct source *src, uint32_t events)
{
	struct io *io = (struct io *)((char *)src - offsetof(struct io, in));

	give_input(io);
	io_balance(io);
}

void io_init(struct io *io, struct shim *s)
{
	*io = (struct io){ .shim = s,
			   .in = { .fd = -1, .ready = stdin_ready },
			   .out = { { .fd = -1, .ready = stdout_ready }, { .fd = -1, .ready = stderr_ready } } };
}

int io_make(struct io *io, bool open_stdin, int ret_child[3])
{
	int in[2] = { -1, -1 }, out[2][2] = { { -1, -1 }, { -1, -1 } };

	io->tty = false;
	if ((open_stdin && pipe2(in, O_CLOEXEC) < 0) || pipe2(out[0], O_CLOEXEC) < 0 || pipe2(out[1], O_CLOEXEC) < 0) {
		int r = -errno;

		for (int i = 0; i < 2; i++) {
			fd_closep(&in[i]);
			fd_closep(&out[0][i]);
		}
		return r;
	}
	io->in.fd = in[1];
	io->out[0].fd = out[0][0];
	io->out[1].fd = out[1][0];
	ret_child[0] = in[0];
	ret_child[1] = out[0][1];
	ret_child[2] = out[1][1];
	if (io->in.fd >= 0)
		(void)fd_nonblock(io->in.fd, true);
	for (int i = 0; i < 2; i++)
		(void)fd_nonblock(io->out[i].fd, true);
	return 0;
}

int io_terminal(struct io *io, int master)
{
	io->tty = true;
	io->out[0].fd = master;
	io->in.fd = fcntl(master, F_DUPFD_CLOEXEC, 3); /* of its own: epoll knows each descriptor once */
	if (io->in.fd < 0)
		return -errno;
	return fd_nonblock(master, true);
}

void io_begin(struct io *io)
{
	io->live = true;
	give_input(io);
	io_balance(io);
}

void io_input(struct io *io, const char *p, size_t n)
{
	if (n == 0 || io->in_ends || (io->live && io->in.fd < 0))
		return;
	strb_add(&io->queue, p, n);
	if (io->live)
		give_input(io);
	io_balance(io);
}

void io_input_end(struct io *io)
{
	io->in_ends = true;
	if (io->live)
		give_input(io);
}

void io_drain(struct io *io)
{
	for (int i = 0; i < 2; i++)
		for (int k = 0; k < DRAIN_READS && io->out[i].fd >= 0 && take_output(io, i); k++)
			;
	if (io->logged && io->shim->log)
		(void)logfile_flush(io->shim->log);
}

void io_finish(struct io *io)
{
	struct shim *s = io->shim;
	bool logged = io->logged, tty = io->tty;

	for (int i = 0; i < 2; i++)
		if (io->out[i].fd >= 0)
			end_of_output(io, i);
	loop_close(&s->loop, &io->in);
	strb_done(&io->queue);
	attach_end_all(io);
	if (logged && s->log)
		(void)logfile_flush(s->log);
	io_init(io, s);
	io->logged = logged;
	io->tty = tty; /* for those who attach before the next start */
}

void io_rest(void)
{
	(void)madvise(buffer, sizeof buffer, MADV_DONTNEED);
}

void io_balance(struct io *io)
{
	bool full = false;

	for (struct conn *c = io->shim->conns; c; c = c->next)
		full = full || (c->io == io && conn_pending(c) > SESSION_FULL);
	for (int i = 0; i < 2; i++)
		loop_want(&io->shim->loop, &io->out[i], io->live && !full ? EPOLLIN : 0);
	for (struct conn *c = io->shim->conns; c; c = c->next)
		if (c->io == io)
			attach_balance(c);
}
