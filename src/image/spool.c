/* spool.c - an archive taken apart by a worker: running it, and finding files in what it made. */
#include "image/spool.h"
#include "store/worker_call.h"

#include <fcntl.h>

struct part {
	char *path, *link; /* path: clean, relative; link: clean path of what it stands for */
	int64_t size;
	bool is_file;
};
struct spool {
	struct store *store;
	char *name; /* in the store's tmp/ */
	int dir;
	struct {
		struct part *v;
		size_t n;
	} parts;
};

/* "a/../b" and "./b" are "b". */
static char *inside(const char *path)
{
	AUTO_FREE char *rooted = xasprintf("/%s", path);
	AUTO_FREE char *clean = path_clean(rooted);

	return xstrdup(clean + 1);
}

static char *link_target(const char *path, const char *link)
{
	AUTO_FREE char *way = NULL, *both = NULL;
	const char *slash = strrchr(path, '/');

	if (*link == '/')
		return inside(link);
	way = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup("");
	both = xasprintf("%s/%s", way, link);
	return inside(both);
}

static int read_list(struct spool *s, int fd, struct err *e)
{
	AUTO_FREE char *bytes = NULL;
	struct msg_reader rd;
	size_t n = 0;
	uint32_t count;
	int r = fd < 0 ? -EBADMSG : fd_read_all(fd, WORKER_LIST_MAX + 4, &bytes, &n);

	if (r < 0)
		return err_sys(e, r, "reading hoy-worker's answer");
	rd = msg_reader(bytes, n);
	count = msg_get_u32(&rd);
	for (uint32_t i = 0; i < count && !rd.bad; i++) {
		const char *path = msg_get_str(&rd);
		bool is_file = msg_get_u32(&rd);
		int64_t size = msg_get_i64(&rd);
		const char *link = msg_get_str(&rd);
		struct part *p;

		if (rd.bad || !path || (!is_file && !link))
			return err_set(e, ERR_SYSTEM, "hoy-worker's answer is malformed");
		p = VEC_ADD(&s->parts);
		p->path = inside(path);
		p->is_file = is_file;
		p->link = link ? link_target(p->path, link) : NULL;
		p->size = size;
	}
	return rd.bad ? err_set(e, ERR_SYSTEM, "hoy-worker's answer is malformed") : 0;
}

static int run_worker(struct spool *s, const struct image_source *src, struct err *e)
{
	AUTO_WORKER struct worker w = WORKER_NONE;
	AUTO_STRB struct strb body = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };
	AUTO_FD int list = -1;
	struct store_source from = { .fd = src->fd, .read = src->read, .ctx = src->ctx };
	struct pump pump;
	int r = pump_open(&from, &pump, e);

	if (r < 0)
		return r;
	r = worker_start(store_worker(s->store), "load", WORKER_SPOOL, &body, (int[]){ pump.worker_end, s->dir }, 2, &w,
			 e);
	if (r == 0)
		r = pump_run(&pump, e);
	if (r < 0)
		worker_done(&w); /* before the socket closes: it would look like the end */
	pump_close(&pump);
	if (r == 0)
		r = worker_answer(&w, WORKER_SPOOLED, &m, e);
	if (r < 0)
		return r;
	list = msg_take_fd(&m, 0);
	return read_list(s, list, e);
}

int spool_make(struct store *store, const struct image_source *src, struct spool **ret, struct err *e)
{
	struct spool *s = xcalloc(1, sizeof *s);
	int r;

	s->store = store;
	s->dir = -1;
	r = store_tmp(store, &s->name, &s->dir, e);
	if (r == 0)
		r = run_worker(s, src, e);
	if (r < 0) {
		spool_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

void spool_free(struct spool *s)
{
	if (!s)
		return;
	if (s->name)
		store_tmp_remove(s->store, s->name);
	fd_closep(&s->dir);
	for (size_t i = 0; i < s->parts.n; i++) {
		free(s->parts.v[i].path);
		free(s->parts.v[i].link);
	}
	free(s->parts.v);
	free(s->name);
	free(s);
}

/* The last entry of a name counts, as it would on disk; links are followed a few steps. */
static const struct part *find_part(const struct spool *s, const char *path, size_t *ret_index)
{
	AUTO_FREE char *want = inside(path);

	for (int hops = 0; hops < 8; hops++) {
		const struct part *p = NULL;

		for (size_t i = s->parts.n; !p && i-- > 0;)
			if (streq(s->parts.v[i].path, want)) {
				p = &s->parts.v[i];
				*ret_index = i;
			}
		if (!p || p->is_file)
			return p;
		free(want);
		want = xstrdup(p->link);
	}
	return NULL;
}

bool spool_has(const struct spool *s, const char *path)
{
	size_t i;

	return find_part(s, path, &i);
}

int spool_open(const struct spool *s, const char *path, struct err *e)
{
	size_t i = 0;
	char name[24];
	int fd;

	if (!find_part(s, path, &i))
		return err_set(e, ERR_INVALID, "invalid archive: %.200s is not in it", path);
	(void)snprintf(name, sizeof name, "p%zu", i);
	fd = openat(s->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(e, -errno, "opening %.200s of the archive", path) : fd;
}

void spool_drop(struct spool *s, const char *path)
{
	size_t i = 0;
	char name[24];

	if (!find_part(s, path, &i))
		return;
	(void)snprintf(name, sizeof name, "p%zu", i);
	(void)unlinkat(s->dir, name, 0);
}

bool spool_same(const struct spool *s, const char *a, const char *b)
{
	const struct part *p;
	size_t i;

	if (streq(a, b))
		return true;
	p = find_part(s, a, &i);
	return p && p == find_part(s, b, &i);
}

int spool_read(const struct spool *s, const char *path, size_t max, char **ret, size_t *ret_n, struct err *e)
{
	AUTO_FD int fd = spool_open(s, path, e);
	int r;

	if (fd < 0)
		return fd;
	r = fd_read_all(fd, max, ret, ret_n);
	if (r == -EFBIG)
		return err_set(e, ERR_INVALID, "invalid archive: %.200s is larger than %zu bytes", path, max);
	return r < 0 ? err_sys(e, r, "reading %.200s of the archive", path) : 0;
}

static int wrong_content(const char *digest, struct err *e)
{
	return err_set(e, ERR_INVALID, "invalid archive: blob %s: content does not match its digest", digest);
}

int spool_blob(const struct spool *s, const struct oci_descriptor *d, char **ret_path, struct err *e)
{
	const struct part *p;
	AUTO_FREE char *path = NULL;
	size_t i;

	if (!digest_valid(d->digest))
		return err_set(e, ERR_INVALID, "invalid archive: unsupported digest \"%.200s\"",
			       d->digest ? d->digest : "");
	path = xasprintf("blobs/sha256/%s", d->digest + 7);
	p = find_part(s, path, &i);
	if (!p)
		return err_set(e, ERR_INVALID, "invalid archive: blob %s is not in it", d->digest);
	if (d->size && d->size != p->size)
		return wrong_content(d->digest, e);
	*ret_path = TAKE_PTR(path);
	return 0;
}

int spool_read_blob(const struct spool *s, const struct oci_descriptor *d, size_t max, char **ret, size_t *ret_n,
		    struct err *e)
{
	AUTO_FREE char *path = NULL, *text = NULL;
	char digest[DIGEST_TEXT];
	size_t n = 0;
	int r = spool_blob(s, d, &path, e);

	if (r == 0)
		r = spool_read(s, path, max, &text, &n, e);
	if (r < 0)
		return r;
	digest_bytes(text, n, digest);
	if (!streq(digest, d->digest))
		return wrong_content(d->digest, e);
	*ret = TAKE_PTR(text);
	*ret_n = n;
	return 0;
}
