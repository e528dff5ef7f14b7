/* follow.c - logs -f: hoyd wrote what there was, we go on from the place where it stopped. */
#include "shim/core.h"

#define READ_SIZE (16 * 1024)
#define RECORDS_PER_TURN 1000 /* a reader of a long log must not keep the container waiting */

int follow_new(struct shim *s, int fd, uint32_t flags, int64_t since_ns, int64_t until_ns,
	       const struct logfile_pos *from, struct err *e)
{
	struct logfile_query q = {
		.tail = -1, .since_ns = since_ns, .until_ns = until_ns, .from = *from, .buffer = READ_SIZE
	};
	struct logfile_reader *reader = NULL;
	struct conn *c = NULL;
	int r = s->log ? logfile_reader_new(s->o.folder, s->log_name, &q, &reader) : -ENOENT;

	if (r < 0) {
		(void)close(fd);
		return err_sys(e, r, "reading the log");
	}
	c = conn_new(s, fd, CONN_FOLLOW, flags);
	c->reader = reader;
	c->draining = s->state == IDLE;
	follow_pump(c);
	return 0;
}

void follow_pump(struct conn *c)
{
	struct logfile_record rec;
	AUTO_STRB struct strb text = STRB_INIT;
	int r = 1, n = 0;

	while (!c->ending && n++ < RECORDS_PER_TURN && conn_pending(c) < FOLLOW_FULL &&
	       (r = logfile_next(c->reader, &rec)) > 0) {
		bool err = rec.stream == LOGFILE_STDERR;

		if (!(c->flags & (err ? SHIM_IO_STDERR : SHIM_IO_STDOUT)))
			continue;
		strb_clear(&text);
		logfile_print(&rec, c->flags & SHIM_IO_TIMESTAMPS, c->flags & SHIM_IO_DETAILS, &text);
		if (!conn_write(c, err ? STREAM_STDERR : STREAM_STDOUT, strb_str(&text), text.len))
			return;
	}
	c->more = r > 0 && !c->ending;
	if (r < 0 || (r == 0 && (c->draining || logfile_over(c->reader))))
		conn_end(c);
	else
		(void)conn_flush(c);
}

/* The log grew; last = the container is gone, and so is the log's growth. */
void follow_pump_all(struct shim *s, bool last)
{
	for (struct conn *c = s->conns, *next; c; c = next) {
		next = c->next;
		if (c->kind != CONN_FOLLOW)
			continue;
		c->draining = c->draining || last;
		follow_pump(c);
	}
}
