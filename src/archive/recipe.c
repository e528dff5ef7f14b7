/* recipe.c - writing a recipe while a layer is unpacked. */
#include "archive/recipe.h"
#include "archive/recipe_priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <zstd.h>

struct recipe {
	int fd, error;
	ZSTD_CCtx *zstd;
	struct strb ops;     /* operations not written yet */
	struct strb literal; /* raw bytes not yet an operation: their number comes first */
	struct strb out;     /* blocks not written yet */
	uint8_t *packed;     /* of one block */
	size_t packed_n;
	uint64_t refs;
	/* inode -> number of its reference: open addressing, power of two, key 0 = free */
	struct known {
		uint64_t key, ref;
	} * known;
	size_t known_cap, known_n;
};

#define OUT_AT_ONCE (1 << 20)
#define LEVEL 1

struct recipe *recipe_new(int fd)
{
	struct recipe *r = xcalloc(1, sizeof *r);

	r->fd = fd;
	r->zstd = ZSTD_createCCtx();
	if (!r->zstd)
		abort(); /* memory */
	r->packed_n = ZSTD_compressBound(RECIPE_BLOCK);
	r->packed = xmalloc(r->packed_n);
	strb_add(&r->out, RECIPE_MAGIC, RECIPE_MAGIC_N);
	return r;
}

void recipe_free(struct recipe *r)
{
	if (!r)
		return;
	(void)ZSTD_freeCCtx(r->zstd);
	strb_done(&r->ops);
	strb_done(&r->literal);
	strb_done(&r->out);
	free(r->packed);
	free(r->known);
	free(r);
}

static void fail(struct recipe *r, int error)
{
	if (!r->error)
		r->error = error;
}

/* ---- blocks ---- */
static void put_le(struct strb *b, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		strb_addc(b, (char)(uint8_t)(v >> (8 * i)));
}

static void flush(struct recipe *r)
{
	int k = r->error ? 0 : fd_write_all(r->fd, strb_str(&r->out), r->out.len);

	if (k < 0)
		fail(r, k);
	strb_clear(&r->out);
}

static void put_block(struct recipe *r, enum recipe_block kind, uint64_t number, const void *p, size_t n, size_t raw)
{
	strb_addc(&r->out, (char)kind);
	put_le(&r->out, n, 4);
	put_le(&r->out, raw, 4);
	put_le(&r->out, number, 8);
	strb_add(&r->out, p, n);
	if (r->out.len >= OUT_AT_ONCE)
		flush(r);
}

static void put_packed(struct recipe *r, enum recipe_block kind, uint64_t number, const void *p, size_t n)
{
	size_t k = ZSTD_compressCCtx(r->zstd, r->packed, r->packed_n, p, n, LEVEL);

	if (ZSTD_isError(k))
		fail(r, -EIO);
	else
		put_block(r, kind, number, r->packed, k, n);
}

/* ---- operations ---- */
static void put_ops(struct recipe *r, bool all)
{
	size_t at = 0;

	while (r->ops.len - at >= (all ? 1 : RECIPE_BLOCK)) {
		size_t n = MIN(r->ops.len - at, (size_t)RECIPE_BLOCK);

		put_packed(r, RECIPE_OPS, 0, r->ops.s + at, n);
		at += n;
	}
	if (at == 0)
		return;
	memmove(r->ops.s, r->ops.s + at, r->ops.len - at);
	r->ops.len -= at;
	r->ops.s[r->ops.len] = 0;
}

static void put_varint(struct strb *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		strb_addc(b, (char)(uint8_t)(v | 0x80));
	strb_addc(b, (char)(uint8_t)v);
}

static void put_literal(struct recipe *r, enum recipe_op then)
{
	put_varint(&r->ops, r->literal.len);
	strb_add(&r->ops, strb_str(&r->literal), r->literal.len);
	strb_addc(&r->ops, (char)then);
	strb_clear(&r->literal);
}

void recipe_raw(struct recipe *r, const void *p, size_t n)
{
	strb_add(&r->literal, p, n);
	if (r->literal.len >= RECIPE_BLOCK) {
		put_literal(r, RECIPE_GO_ON);
		put_ops(r, false);
	}
}

/* ---- which files are referred to ---- */
static struct known *slot_of(const struct recipe *r, uint64_t key)
{
	size_t i = (size_t)(key * 0x9e3779b97f4a7c15 >> 20) & (r->known_cap - 1);

	while (r->known[i].key && r->known[i].key != key)
		i = (i + 1) & (r->known_cap - 1);
	return &r->known[i];
}

static void know(struct recipe *r, uint64_t key, uint64_t ref)
{
	struct known *k;

	if (r->known_n * 4 >= r->known_cap * 3) {
		struct known *old = r->known;
		size_t cap = r->known_cap;

		r->known_cap = cap ? cap * 2 : 1024;
		r->known = xcalloc(r->known_cap, sizeof *r->known);
		for (size_t i = 0; i < cap; i++)
			if (old[i].key)
				*slot_of(r, old[i].key) = old[i];
		free(old);
	}
	k = slot_of(r, key);
	r->known_n += k->key == 0;
	*k = (struct known){ .key = key, .ref = ref };
}

void recipe_file(struct recipe *r, const char *path, int64_t size, uint64_t inode)
{
	if (size == 0)
		return;
	put_literal(r, RECIPE_FILE);
	put_varint(&r->ops, strlen(path));
	strb_adds(&r->ops, path);
	put_varint(&r->ops, (uint64_t)size);
	put_ops(r, false);
	know(r, inode, r->refs++);
}

/* ---- contents that will not be there any more ---- */
static void keep_file(struct recipe *r, int dir, const char *base, uint64_t inode)
{
	AUTO_FD int fd = -1;
	AUTO_FREE char *buf = NULL;
	struct known *k = r->known_cap ? slot_of(r, inode) : NULL;
	ssize_t n;

	if (!k || !k->key || k->ref == RECIPE_GONE)
		return;
	fd = openat(dir, base, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return fail(r, -errno);
	buf = xmalloc(RECIPE_BLOCK);
	while ((n = read(fd, buf, RECIPE_BLOCK)) > 0)
		put_packed(r, RECIPE_SIDE, k->ref, buf, (size_t)n);
	if (n < 0)
		fail(r, -errno);
	k->ref = RECIPE_GONE;
}

bool recipe_refers(const struct recipe *r, uint64_t key)
{
	const struct known *k = r->known_cap ? slot_of(r, key) : NULL;

	return k && k->key && k->ref != RECIPE_GONE;
}

void recipe_side(struct recipe *r, uint64_t key, const void *p, size_t n)
{
	for (size_t k; n > 0; n -= k, p = (const char *)p + k) {
		k = MIN(n, (size_t)RECIPE_BLOCK);
		put_packed(r, RECIPE_SIDE, slot_of(r, key)->ref, p, k);
	}
}

void recipe_gone(struct recipe *r, uint64_t key)
{
	slot_of(r, key)->ref = RECIPE_GONE;
}

static void keep_any(struct recipe *r, int dir, const char *base, int depth);

#define DEPTH_MAX 256
static void keep_tree(struct recipe *r, int fd, int depth)
{
	DIR *d = fdopendir(fd);
	struct dirent *x;

	if (!d) {
		fail(r, -errno);
		(void)close(fd);
		return;
	}
	if (depth > DEPTH_MAX)
		fail(r, -ENAMETOOLONG);
	while (!r->error && (x = readdir(d)))
		if (!streq(x->d_name, ".") && !streq(x->d_name, ".."))
			keep_any(r, dirfd(d), x->d_name, depth + 1);
	(void)closedir(d);
}

static void keep_any(struct recipe *r, int dir, const char *base, int depth)
{
	struct stat st;
	int fd;

	if (r->error || fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (S_ISREG(st.st_mode))
		return keep_file(r, dir, base, st.st_ino);
	if (!S_ISDIR(st.st_mode))
		return;
	fd = openat(dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		fail(r, -errno);
	else
		keep_tree(r, fd, depth);
}

void recipe_lost(struct recipe *r, int dir, const char *base)
{
	if (r->refs)
		keep_any(r, dir, base, 0);
}

int recipe_end(struct recipe *r, const char *diff_id, int64_t tar_bytes, struct err *e)
{
	put_literal(r, RECIPE_DONE);
	put_ops(r, true);
	put_block(r, RECIPE_END, (uint64_t)tar_bytes, diff_id, strlen(diff_id), strlen(diff_id));
	flush(r);
	return r->error ? err_sys(e, r->error, "writing the layer's recipe") : 0;
}
