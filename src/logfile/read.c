/* read.c - records of all files of a log, oldest first, while a writer appends and rotates. All files are opened at the start,
 * so a rotation in between takes nothing away; behind the newest one the reader looks for the file that followed it. */
#include "logfile/logfile.h"

#include <fcntl.h>
#include <sys/stat.h>

#define BUFFER_DEFAULT (256 * 1024)
#define RECORD_MAX (1024 * 1024) /* a longer line is no record */
#define FILES_MAX 1000

struct source {
	int fd;
	uint64_t inode;
	int64_t start;
};
struct logfile_reader {
	int dir;
	char *name;
	struct logfile_query q;
	struct source *v; /* [0] is the newest */
	size_t n;         /* still to read, the current one (v[n - 1]) included */
	char *buf;
	size_t cap, begin, end; /* unread bytes of the current file */
	int64_t read_at;        /* file offset of buf[end] */
	bool over, skipping;
};

static char *file_name(const struct logfile_reader *r, size_t i)
{
	return i ? xasprintf("%s.%zu", r->name, i) : xstrdup(r->name);
}

static int open_source(const struct logfile_reader *r, size_t i, struct source *ret)
{
	AUTO_FREE char *name = file_name(r, i);
	AUTO_FD int fd = openat(r->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st = { 0 };

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	*ret = (struct source){ .fd = TAKE_FD(fd), .inode = st.st_ino };
	return 0;
}

static void drop_sources(struct logfile_reader *r, size_t from)
{
	while (r->n > from)
		fd_closep(&r->v[--r->n].fd);
}

/* Newest first; a rotation meanwhile shows as the same file under its next name, which is skipped. */
static int open_all(struct logfile_reader *r)
{
	for (size_t i = 0; i < FILES_MAX; i++) {
		struct source s = { .fd = -1 };
		int k = open_source(r, i, &s);

		if (k == -ENOENT && i > 0)
			return 0;
		if (k == -ENOENT)
			continue; /* the moment between rename and the new file */
		if (k < 0)
			return k;
		if (r->n > 0 && r->v[r->n - 1].inode == s.inode) {
			fd_closep(&s.fd);
			continue;
		}
		r->v = vec_grow(r->v, r->n, sizeof *r->v);
		r->v[r->n++] = s;
	}
	return 0;
}

static int64_t source_end(const struct logfile_reader *r, size_t i)
{
	struct stat st = { 0 };

	if (r->q.to.inode == r->v[i].inode)
		return r->q.to.offset;
	return fstat(r->v[i].fd, &st) < 0 ? 0 : st.st_size;
}

/* Finds where the last *left records of file i begin; *left sinks by the records found. */
static int64_t back(struct logfile_reader *r, size_t i, int64_t *left)
{
	int64_t end = source_end(r, i);
	bool torn = true; /* what stands behind the last newline is no record */

	while (end > 0) {
		size_t n = (size_t)MIN(end, (int64_t)r->cap);
		ssize_t got = pread(r->v[i].fd, r->buf, n, end - (int64_t)n);
		char *p = r->buf + n;

		if (got != (ssize_t)n)
			return 0;
		while ((p = memrchr(r->buf, '\n', (size_t)(p - r->buf)))) {
			if (torn)
				torn = false;
			else if (--*left == 0)
				return end - (int64_t)n + (p - r->buf) + 1;
		}
		end -= (int64_t)n;
	}
	if (!torn)
		--*left;
	return 0;
}

static void apply_tail(struct logfile_reader *r, size_t newest)
{
	int64_t left = r->q.tail;

	if (left == 0) {
		r->v[newest].start = source_end(r, newest);
		drop_sources(r, newest + 1);
		return;
	}
	for (size_t i = newest; i < r->n; i++) {
		int64_t start = back(r, i, &left);

		if (left == 0) {
			r->v[i].start = start;
			drop_sources(r, i + 1);
			return;
		}
	}
}

static void begin_at(struct logfile_reader *r)
{
	size_t newest = 0;

	for (size_t i = 0; r->q.to.inode && i < r->n; i++)
		if (r->v[i].inode == r->q.to.inode)
			newest = i;
	if (r->q.tail >= 0 && r->n > 0) {
		apply_tail(r, newest);
	} else if (r->q.from.inode) {
		for (size_t i = 0; i < r->n; i++) {
			if (r->v[i].inode != r->q.from.inode)
				continue;
			r->v[i].start = r->q.from.offset;
			drop_sources(r, i + 1);
		}
	}
	r->read_at = r->n ? r->v[r->n - 1].start : 0;
}

int logfile_reader_new(int dir, const char *name, const struct logfile_query *q, struct logfile_reader **ret)
{
	struct logfile_reader *r = NULL;
	int k;

	if (str_empty(name) || strchr(name, '/'))
		return -EINVAL;
	r = xcalloc(1, sizeof *r);
	r->name = xstrdup(name);
	r->q = *q;
	r->cap = q->buffer ? q->buffer : BUFFER_DEFAULT;
	r->buf = xmalloc(r->cap);
	r->dir = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	k = r->dir < 0 ? -errno : open_all(r);
	if (k < 0) {
		logfile_reader_free(r);
		return k;
	}
	begin_at(r);
	*ret = r;
	return 0;
}

void logfile_reader_free(struct logfile_reader *r)
{
	if (!r)
		return;
	drop_sources(r, 0);
	free(r->v);
	free(r->buf);
	free(r->name);
	fd_closep(&r->dir);
	free(r);
}

bool logfile_over(const struct logfile_reader *r)
{
	return r->over;
}

/* More bytes of the current file. Count, 0 at its end (for now), -errno. */
static ssize_t fill(struct logfile_reader *r)
{
	const struct source *s = &r->v[r->n - 1];
	size_t room;
	ssize_t n;

	if (r->begin > 0) {
		memmove(r->buf, r->buf + r->begin, r->end - r->begin);
		r->end -= r->begin;
		r->begin = 0;
	}
	if (r->end == r->cap) {
		if (r->cap >= RECORD_MAX) { /* no record is that long: drop it up to its newline */
			r->skipping = true;
			r->end = 0;
		} else {
			r->cap = MIN(r->cap * 2, (size_t)RECORD_MAX);
			r->buf = xrealloc(r->buf, r->cap, 1);
		}
	}
	room = r->cap - r->end;
	if (r->q.to.inode == s->inode)
		room = (size_t)MIN((int64_t)room, MAX(r->q.to.offset - r->read_at, 0));
	if (room == 0)
		return 0;
	do
		n = pread(s->fd, r->buf + r->end, room, r->read_at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	r->end += (size_t)n;
	r->read_at += n;
	return n;
}

static void switch_to(struct logfile_reader *r)
{
	r->begin = r->end = 0;
	r->skipping = false;
	r->read_at = r->n ? r->v[r->n - 1].start : 0;
}

/* The current file was the newest we knew. Has it got successors? 1 = they are opened, 0 = no. */
static int find_successors(struct logfile_reader *r)
{
	struct stat st = { 0 };
	uint64_t here = r->n ? r->v[0].inode : 0;
	size_t old = 0;
	int k;

	if (fstatat(r->dir, r->name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_ino == here)
		return 0;
	if (r->n) { /* what was written between our last look and the rotation */
		ssize_t more = fill(r);

		if (more != 0)
			return more < 0 ? (int)more : 1;
	}
	drop_sources(r, 0);
	k = open_all(r);
	if (k < 0)
		return k;
	while (old < r->n && r->v[old].inode != here)
		old++;
	if (old < r->n) /* the older ones were read; if ours is gone, so are records, and the oldest left comes next */
		drop_sources(r, old);
	switch_to(r);
	return r->n > 0;
}

/* 1 = go on, 0 = nothing more now */
static int next_file(struct logfile_reader *r)
{
	if (r->n > 0 && r->q.to.inode == r->v[r->n - 1].inode) {
		r->over = true;
		return 0;
	}
	if (r->n > 1) {
		fd_closep(&r->v[--r->n].fd);
		switch_to(r);
		return 1;
	}
	return find_successors(r);
}

static int next_line(struct logfile_reader *r, char **ret, size_t *ret_n)
{
	size_t seen = 0;

	for (;;) {
		char *p = r->buf + r->begin, *nl = NULL;
		ssize_t k;

		if (r->end > r->begin + seen)
			nl = memchr(p + seen, '\n', r->end - r->begin - seen);
		if (nl) {
			r->begin += (size_t)(nl - p) + 1;
			if (r->skipping) {
				r->skipping = false;
				seen = 0;
				continue;
			}
			*ret = p;
			*ret_n = (size_t)(nl - p);
			return 1;
		}
		seen = r->end - r->begin;
		k = r->n ? fill(r) : 0;
		if (k == 0) {
			k = next_file(r);
			seen = 0;
		}
		if (k <= 0)
			return (int)k;
		seen = r->skipping ? 0 : seen; /* while skipping, the buffer was emptied */
	}
}

int logfile_next(struct logfile_reader *r, struct logfile_record *ret)
{
	struct logfile_record rec = { 0 };
	char *line = NULL;
	size_t n = 0;

	while (!r->over) {
		int k = next_line(r, &line, &n);

		if (k <= 0)
			return k;
		if (logfile_parse(line, n, &rec) < 0 || (r->q.since_ns && rec.time_ns < r->q.since_ns))
			continue;
		if (r->q.until_ns && rec.time_ns > r->q.until_ns) {
			r->over = true;
			break;
		}
		*ret = rec;
		return 1;
	}
	return 0;
}
