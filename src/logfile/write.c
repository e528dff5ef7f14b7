/* write.c - bytes of a process become records; records become a file of bounded size. */
#include "logfile/logfile.h"
#include "logfile/escape.h"

#include <fcntl.h>
#include <sys/stat.h>

#define FLUSH_AT (64 * 1024)
#define KEEP_AT_REST (16 * 1024) /* memory that an idle log may hold */
#define FILES_MAX 1000

struct pending { /* the beginning of a line, until the rest comes */
	struct strb text;
	int64_t time_ns; /* of the first part of a split line: all its records carry it */
	bool split;
};
struct logfile {
	int dir, fd;
	char *name;
	struct logfile_opts o;
	char *head[LOGFILE_STREAMS]; /* what stands between a line's text and its time */
	struct pending pending[LOGFILE_STREAMS];
	struct strb out;
	int64_t size; /* of the file, without out */
	uint64_t inode;
	int64_t stamp_ns;
	char stamp[TIME_TEXT_MAX];
};

/* A crash may have left half a record: the next one must not be glued to it. */
static int cut_torn_tail(int fd, int64_t *size)
{
	char buf[4096];

	for (int64_t end = *size; end > 0;) {
		size_t n = (size_t)MIN(end, (int64_t)sizeof buf);
		ssize_t r = pread(fd, buf, n, end - (int64_t)n);
		char *nl = NULL;

		if (r != (ssize_t)n)
			return r < 0 ? -errno : -EIO;
		nl = memrchr(buf, '\n', n);
		end -= (int64_t)n;
		if (nl)
			end += nl - buf + 1;
		if (!nl && end > 0)
			continue;
		if (end != *size && ftruncate(fd, end) < 0)
			return -errno;
		*size = end;
		return 0;
	}
	return 0;
}

static int open_file(struct logfile *l, int flags)
{
	AUTO_FD int fd = openat(l->dir, l->name,
				O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0640);
	struct stat st = { 0 };
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	l->size = st.st_size;
	l->inode = st.st_ino;
	r = cut_torn_tail(fd, &l->size);
	if (r < 0)
		return r;
	fd_closep(&l->fd);
	l->fd = TAKE_FD(fd);
	return 0;
}

int logfile_open(int dir, const char *name, const struct logfile_opts *o, struct logfile **ret)
{
	static const char *const streams[] = { "stdout", "stderr" };
	struct logfile *l = NULL;
	int r;

	if (str_empty(name) || strchr(name, '/') || o->max_file > FILES_MAX)
		return -EINVAL;
	l = xcalloc(1, sizeof *l);
	l->fd = -1;
	l->name = xstrdup(name);
	l->o = *o;
	l->o.attrs = NULL;
	l->dir = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	for (int i = 0; i < LOGFILE_STREAMS; i++)
		l->head[i] = str_empty(o->attrs)
				     ? xasprintf("\",\"stream\":\"%s\",\"time\":\"", streams[i])
				     : xasprintf("\",\"stream\":\"%s\",\"attrs\":%s,\"time\":\"", streams[i], o->attrs);
	r = l->dir < 0 ? -errno : open_file(l, 0);
	if (r < 0) {
		logfile_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

void logfile_free(struct logfile *l)
{
	if (!l)
		return;
	if (l->fd >= 0)
		(void)logfile_flush(l);
	for (int i = 0; i < LOGFILE_STREAMS; i++) {
		free(l->head[i]);
		strb_done(&l->pending[i].text);
	}
	strb_done(&l->out);
	fd_closep(&l->fd);
	fd_closep(&l->dir);
	free(l->name);
	free(l);
}

int logfile_flush(struct logfile *l)
{
	bool busy = l->out.len >
		    KEEP_AT_REST / 4; /* giving memory back costs page faults: only when traffic has ceased */
	int r = 0;

	if (l->out.len == 0)
		return 0;
	r = fd_write_all(l->fd, l->out.s, l->out.len);
	if (r == 0)
		l->size += (int64_t)l->out.len;
	else
		(void)ftruncate(l->fd, l->size); /* no half records */
	if (l->out.cap > KEEP_AT_REST && !busy)
		strb_done(&l->out);
	else
		strb_clear(&l->out);
	return r;
}

void logfile_rest(struct logfile *l)
{
	if (l->out.len == 0)
		strb_done(&l->out);
}

struct logfile_pos logfile_end_pos(struct logfile *l)
{
	(void)logfile_flush(l);
	return (struct logfile_pos){ .inode = l->inode, .offset = l->size };
}

/* NAME.1 -> NAME.2 ..., NAME -> NAME.1, a new NAME. The old file stays open until the new one exists: an inode number is not
 * used again at once, so that places in the old file are not taken for places in the new one. */
static int rotate(struct logfile *l)
{
	for (uint32_t i = l->o.max_file > 1 ? l->o.max_file - 1 : 0; i > 0; i--) {
		AUTO_FREE char *to = xasprintf("%s.%u", l->name, i);
		AUTO_FREE char *from = i > 1 ? xasprintf("%s.%u", l->name, i - 1) : xstrdup(l->name);

		if (renameat(l->dir, from, l->dir, to) < 0 && errno != ENOENT)
			return -errno;
	}
	if (l->o.max_file <= 1 && unlinkat(l->dir, l->name, 0) < 0 && errno != ENOENT)
		return -errno;
	return open_file(l, 0);
}

static int make_room(struct logfile *l)
{
	int r = 0;

	if (l->o.max_size > 0 && l->size + (int64_t)l->out.len >= l->o.max_size) {
		r = logfile_flush(l);
		return r == 0 && l->size >= l->o.max_size ? rotate(l) : r;
	}
	return l->out.len >= FLUSH_AT ? logfile_flush(l) : 0;
}

/* Text parts a and b make one line; whole = its newline came. */
static int record(struct logfile *l, enum logfile_stream s, const struct strb *a, const char *b, size_t n, bool whole,
		  int64_t now_ns)
{
	int r = make_room(l);
	struct strb *out = &l->out;

	if (r < 0)
		return r;
	if (now_ns != l->stamp_ns || !*l->stamp) {
		time_format(now_ns, l->stamp);
		l->stamp_ns = now_ns;
	}
	strb_add(out, "{\"log\":\"", 8);
	if (a->len)
		escape_add(out, a->s, a->len);
	escape_add(out, b, n);
	if (whole)
		strb_add(out, "\\n", 2);
	strb_adds(out, l->head[s]);
	strb_adds(out, l->stamp);
	strb_add(out, "\"}\n", 3);
	return 0;
}

/* One line, or what is known of it. Returns the first error but goes on: later lines may fit again. */
static int line(struct logfile *l, enum logfile_stream s, const char *p, size_t n, bool whole, int64_t now_ns)
{
	struct pending *k = &l->pending[s];
	int r = 0;

	while (k->text.len + n >= LOGFILE_LINE_MAX) {
		size_t take = LOGFILE_LINE_MAX - k->text.len;
		int q;

		if (!k->split)
			k->time_ns = now_ns;
		k->split = true;
		q = record(l, s, &k->text, p, take, false, k->time_ns);
		r = r < 0 ? r : q;
		strb_clear(&k->text);
		p += take;
		n -= take;
	}
	if (!whole) {
		strb_add(&k->text, p, n);
		return r;
	}
	{
		int q = record(l, s, &k->text, p, n, true, k->split ? k->time_ns : now_ns);

		r = r < 0 ? r : q;
	}
	k->split = false;
	if (k->text.cap)
		strb_done(&k->text);
	return r;
}

int logfile_write(struct logfile *l, enum logfile_stream s, const char *p, size_t n, int64_t now_ns)
{
	int r = 0;

	while (n > 0) {
		const char *nl = memchr(p, '\n', n);
		size_t len = nl ? (size_t)(nl - p) : n;
		int q = line(l, s, p, len, nl, now_ns);

		r = r < 0 ? r : q;
		p += len + (nl ? 1 : 0);
		n -= len + (nl ? 1 : 0);
	}
	return r;
}

int logfile_end(struct logfile *l, enum logfile_stream s, int64_t now_ns)
{
	struct pending *k = &l->pending[s];
	int r = 0;

	if (k->text.len)
		r = record(l, s, &k->text, "", 0, false, k->split ? k->time_ns : now_ns);
	strb_done(&k->text);
	k->split = false;
	return r;
}

void logfile_pos_format(const struct logfile_pos *p, char ret[LOGFILE_POS_TEXT])
{
	(void)snprintf(ret, LOGFILE_POS_TEXT, "%llu", (unsigned long long)p->inode);
}

int logfile_pos_parse(const char *file, int64_t offset, struct logfile_pos *ret)
{
	int64_t inode = 0;
	int r = str_to_i64(file, &inode);

	if (r < 0 || inode < 0 || offset < 0)
		return -EINVAL;
	*ret = (struct logfile_pos){ .inode = (uint64_t)inode, .offset = offset };
	return 0;
}
