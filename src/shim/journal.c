/* journal.c - events on disk until hoyd has stored them. A record is its length, a checksum and the body of SHIM_EVENT; the first
 * one that does not check ends the file (a torn tail). Bounded: beyond the limit the oldest event that is not an exit goes. */
#include "shim/core.h"

#include <fcntl.h>

#define RECORD_MAX 4096
#define FILE_MAX (1024 * 1024)
#define ID_MAX 128
#define TEXT_MAX 1024

struct record {
	uint32_t n, check;
};

static uint32_t checksum(const char *p, size_t n)
{
	uint32_t c = 0xffffffff; /* CRC-32 without a table: records are few and short */

	for (size_t i = 0; i < n; i++) {
		c ^= (unsigned char)p[i];
		for (int k = 0; k < 8; k++)
			c = c >> 1 ^ (0xedb88320 & -(c & 1));
	}
	return ~c;
}

static void drop(struct journal *j, size_t i)
{
	strb_done(&j->events.v[i].body);
	memmove(j->events.v + i, j->events.v + i + 1, (j->events.n - i - 1) * sizeof *j->events.v);
	j->events.n--;
}

static struct event *keep(struct journal *j, int64_t seq, uint32_t what, const char *body, size_t n)
{
	struct event *ev = NULL;

	if (j->events.n >= JOURNAL_EVENTS_MAX) {
		size_t i = 0;

		while (i + 1 < j->events.n && j->events.v[i].what == SHIM_EV_EXIT)
			i++;
		drop(j, i);
	}
	ev = VEC_ADD(&j->events);
	*ev = (struct event){ .seq = seq, .what = what };
	strb_add(&ev->body, body, n);
	j->newest = MAX(j->newest, seq);
	return ev;
}

static void load(struct journal *j, const char *p, size_t n)
{
	struct record rec;

	while (n >= sizeof rec) {
		struct msg_reader r;
		int64_t seq;
		uint32_t what;

		memcpy(&rec, p, sizeof rec);
		if (rec.n > RECORD_MAX || rec.n > n - sizeof rec || checksum(p + sizeof rec, rec.n) != rec.check)
			return;
		r = msg_reader(p + sizeof rec, rec.n);
		seq = msg_get_i64(&r);
		what = msg_get_u32(&r);
		if (r.bad || seq <= j->newest)
			return;
		(void)keep(j, seq, what, p + sizeof rec, rec.n);
		p += sizeof rec + rec.n;
		n -= sizeof rec + rec.n;
		j->size += (int64_t)(sizeof rec + rec.n);
	}
}

int journal_open(struct journal *j, int dir, const char *name)
{
	AUTO_FD int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	AUTO_FREE char *text = NULL;
	size_t n = 0;
	int r;

	*j = (struct journal){ .fd = -1 };
	if (fd < 0)
		return -errno;
	r = fd_read_all(fd, 4 * FILE_MAX, &text, &n);
	if (r < 0)
		return r;
	load(j, text, n);
	if ((size_t)j->size < n && ftruncate(fd, j->size) < 0)
		return -errno;
	j->fd = TAKE_FD(fd);
	return 0;
}

void journal_done(struct journal *j)
{
	while (j->events.n)
		drop(j, j->events.n - 1);
	free(j->events.v);
	fd_closep(&j->fd);
}

static int append(struct journal *j, const struct strb *body)
{
	struct record rec = { .n = (uint32_t)body->len, .check = checksum(body->s, body->len) };
	AUTO_STRB struct strb out = STRB_INIT;
	ssize_t r;

	strb_add(&out, &rec, sizeof rec);
	strb_add(&out, body->s, body->len);
	r = pwrite(j->fd, out.s, out.len, j->size); /* at our place: half a record is written over by the next */
	if (r != (ssize_t)out.len)
		return r < 0 ? -errno : -ENOSPC;
	j->size += r;
	return 0;
}

/* A file full of acknowledged records begins again with those that are left. */
static void compact(struct journal *j)
{
	if (ftruncate(j->fd, 0) < 0)
		return;
	j->size = 0;
	for (size_t i = 0; i < j->events.n; i++)
		(void)append(j, &j->events.v[i].body);
}

const struct event *journal_add(struct journal *j, uint32_t what, const char *exec_id, int64_t a, int64_t b,
				const char *text)
{
	AUTO_STRB struct strb body = STRB_INIT;
	AUTO_FREE char *id = exec_id ? xstrndup(exec_id, ID_MAX) : NULL;
	AUTO_FREE char *short_text = text ? xstrndup(text, TEXT_MAX) : NULL;
	struct event *ev = NULL;
	int64_t seq = MAX(j->newest, j->acked) + 1;

	msg_put_i64(&body, seq);
	msg_put_u32(&body, what);
	msg_put_i64(&body, time_now_ns());
	msg_put_str(&body, id);
	msg_put_i64(&body, a);
	msg_put_i64(&body, b);
	msg_put_str(&body, short_text);
	ev = keep(j, seq, what, body.s, body.len);
	if (j->size > FILE_MAX)
		compact(j);
	else
		(void)append(j, &ev->body); /* a full disk must not stop the container; memory still tells hoyd */
	return ev;
}

int journal_sync(struct journal *j)
{
	return fdatasync(j->fd) < 0 ? -errno : 0;
}

void journal_known(struct journal *j, int64_t seq)
{
	j->acked = MAX(j->acked, seq);
	while (j->events.n && j->events.v[0].seq <= j->acked)
		drop(j, 0);
	if (j->events.n == 0 && j->size > 0 && ftruncate(j->fd, 0) == 0)
		j->size = 0;
}

int shim_journal_read(int folder, void (*f)(void *ctx, const void *body, size_t n), void *ctx)
{
	struct journal j;
	int r = journal_open(&j, folder, "journal");

	if (r < 0)
		return r;
	for (size_t i = 0; i < j.events.n; i++)
		f(ctx, j.events.v[i].body.s, j.events.v[i].body.len);
	journal_done(&j);
	return 0;
}
