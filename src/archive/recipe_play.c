/* recipe_play.c - a recipe and a layer's directory -> the tar that it was. Two walks over the recipe: the first reads the heads of its
 * blocks and remembers where contents lie that are not in the directory any more, the second makes the stream. */
#include "archive/recipe_priv.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <zstd.h>

struct side { /* where the content of a reference begins; the rest follows in blocks of the same number */
	uint64_t ref;
	int64_t at;
};
struct play {
	int fd, dir;
	int64_t end; /* length of the recipe */
	const struct recipe_sink *out;
	struct hash *hash;
	uint64_t promised; /* length of the tar */
	char diff_id[72];
	struct {
		struct side *v;
		size_t n;
	} sides;
	size_t next_side; /* sides are sorted */
	uint64_t sent, refs;

	/* operations: a window over decompressed blocks */
	int64_t ops_at;
	uint8_t *ops, *packed, *buf;
	size_t at, n;
	bool ops_ended;
};

static int damaged(struct err *e)
{
	return err_set(e, ERR_SYSTEM, "the layer's recipe is damaged");
}

static uint64_t get_le(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = n; i-- > 0;)
		v = v << 8 | p[i];
	return v;
}

struct block {
	uint8_t kind;
	uint32_t stored, raw;
	uint64_t number;
};

static int read_at(struct play *p, void *to, size_t n, int64_t at, struct err *e)
{
	for (size_t done = 0; done < n;) {
		ssize_t k = pread(p->fd, (char *)to + done, n - done, at + (int64_t)done);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_sys(e, -errno, "reading the layer's recipe");
		if (k == 0)
			return damaged(e);
		done += (size_t)k;
	}
	return 0;
}

static int read_head(struct play *p, int64_t at, struct block *ret, struct err *e)
{
	uint8_t b[RECIPE_BLOCK_HEAD];
	int r = read_at(p, b, sizeof b, at, e);

	if (r < 0)
		return r;
	*ret = (struct block){ .kind = b[0],
			       .stored = (uint32_t)get_le(b + 1, 4),
			       .raw = (uint32_t)get_le(b + 5, 4),
			       .number = get_le(b + 9, 8) };
	if (ret->raw > RECIPE_BLOCK || ret->stored > ZSTD_compressBound(RECIPE_BLOCK) ||
	    ret->stored > p->end - at - RECIPE_BLOCK_HEAD || ret->raw == 0)
		return damaged(e);
	return 0;
}

static int64_t behind(int64_t at, const struct block *b)
{
	return at + RECIPE_BLOCK_HEAD + b->stored;
}

static int unpack_block(struct play *p, int64_t at, const struct block *b, uint8_t *to, struct err *e)
{
	int r = read_at(p, p->packed, b->stored, at + RECIPE_BLOCK_HEAD, e);

	if (r < 0)
		return r;
	return ZSTD_decompress(to, RECIPE_BLOCK, p->packed, b->stored) == b->raw ? 0 : damaged(e);
}

static int by_ref(const void *a, const void *b)
{
	const struct side *x = a, *y = b;

	if (x->ref != y->ref)
		return x->ref < y->ref ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

/* The first walk. */
#define SIDES_MAX 10000000
static int survey(struct play *p, struct err *e)
{
	uint64_t last = RECIPE_GONE;
	char magic[RECIPE_MAGIC_N];
	int64_t at = RECIPE_MAGIC_N;
	struct block b = { 0 };
	int r = read_at(p, magic, sizeof magic, 0, e);

	if (r == 0 && memcmp(magic, RECIPE_MAGIC, RECIPE_MAGIC_N) != 0)
		return damaged(e);
	while (r == 0 && (r = read_head(p, at, &b, e)) == 0 && b.kind != RECIPE_END) {
		if (b.kind == RECIPE_SIDE && b.number != last) {
			if (p->sides.n >= SIDES_MAX)
				return damaged(e);
			*VEC_ADD(&p->sides) = (struct side){ .ref = b.number, .at = at };
			last = b.number;
		} else if (b.kind != RECIPE_SIDE && b.kind != RECIPE_OPS) {
			return damaged(e);
		}
		at = behind(at, &b);
	}
	if (r < 0)
		return r;
	if (b.stored >= sizeof p->diff_id || b.number > INT64_MAX)
		return damaged(e);
	r = read_at(p, p->diff_id, b.stored, at + RECIPE_BLOCK_HEAD, e);
	p->diff_id[b.stored] = 0;
	p->promised = b.number;
	if (p->sides.n > 1)
		qsort(p->sides.v, p->sides.n, sizeof *p->sides.v, by_ref);
	return r;
}

/* ---- out ---- */
static int give(struct play *p, const void *bytes, size_t n, struct err *e)
{
	int r;

	if (n > p->promised - p->sent)
		return damaged(e);
	p->sent += n;
	hash_add(p->hash, bytes, n);
	r = p->out->write(p->out->ctx, bytes, n);
	return r < 0 ? err_sys(e, r, "writing the layer") : 0;
}

/* ---- operations ---- */
static int more_ops(struct play *p, struct err *e)
{
	struct block b;

	while (p->at == p->n) {
		int r = read_head(p, p->ops_at, &b, e);

		if (r < 0)
			return r;
		if (b.kind == RECIPE_END)
			return damaged(e);
		if (b.kind == RECIPE_OPS) {
			r = unpack_block(p, p->ops_at, &b, p->ops, e);
			if (r < 0)
				return r;
			p->at = 0;
			p->n = b.raw;
		}
		p->ops_at = behind(p->ops_at, &b);
	}
	return 0;
}

static int get_byte(struct play *p, uint8_t *ret, struct err *e)
{
	int r = more_ops(p, e);

	if (r == 0)
		*ret = p->ops[p->at++];
	return r;
}

static int get_varint(struct play *p, uint64_t *ret, struct err *e)
{
	uint64_t v = 0;
	uint8_t b = 0x80;

	for (unsigned shift = 0; b & 0x80; shift += 7) {
		int r = shift > 56 ? damaged(e) : get_byte(p, &b, e);

		if (r < 0)
			return r;
		v |= (uint64_t)(b & 0x7f) << shift;
	}
	*ret = v;
	return 0;
}

static int literal(struct play *p, struct err *e)
{
	uint64_t n = 0;
	int r = get_varint(p, &n, e);

	while (r == 0 && n > 0) {
		size_t k;

		r = more_ops(p, e);
		if (r < 0)
			return r;
		k = (size_t)MIN(n, (uint64_t)(p->n - p->at));
		r = give(p, p->ops + p->at, k, e);
		p->at += k;
		n -= k;
	}
	return r;
}

/* ---- contents ---- */
static int from_side(struct play *p, int64_t at, uint64_t ref, uint64_t size, struct err *e)
{
	struct block b;

	while (size > 0) {
		int r = read_head(p, at, &b, e);

		if (r == 0 && (b.kind != RECIPE_SIDE || b.number != ref || b.raw > size))
			r = damaged(e);
		if (r == 0)
			r = unpack_block(p, at, &b, p->buf, e);
		if (r == 0)
			r = give(p, p->buf, b.raw, e);
		if (r < 0)
			return r;
		size -= b.raw;
		at = behind(at, &b);
	}
	return 0;
}

static int open_file(struct play *p, const char *path, uint64_t size, struct err *e)
{
	AUTO_FD int fd = open_beneath(p->dir, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	struct stat st;

	if (fd < 0)
		return err_sys(e, fd, "opening %.200s of the layer", path);
	if (fstat(fd, &st) < 0)
		return err_sys(e, -errno, "reading %.200s of the layer", path);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
		return err_set(e, ERR_SYSTEM, "%.200s of the layer is not what it was when it was unpacked", path);
	if (size > RECIPE_BLOCK)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return TAKE_FD(fd);
}

static int read_file(struct play *p, int fd, const char *path, size_t n, size_t *ret, struct err *e)
{
	ssize_t k;

	do
		k = read(fd, p->buf, n);
	while (k < 0 && errno == EINTR);
	if (k < 0)
		return err_sys(e, -errno, "reading %.200s of the layer", path);
	if (k == 0)
		return err_set(e, ERR_SYSTEM, "%.200s of the layer became shorter", path);
	*ret = (size_t)k;
	return 0;
}

static int from_file(struct play *p, const char *path, uint64_t size, struct err *e)
{
	struct err why = ERR_INIT;
	AUTO_FD int fd = open_file(p, path, size, &why);
	bool zeros = false;
	int r = fd < 0 ? fd : 0;

	while (r < 0 || size > 0) {
		size_t n = (size_t)MIN(size, (uint64_t)RECIPE_BLOCK);

		if (r == 0 && !zeros)
			r = read_file(p, fd, path, n, &n, &why);
		if (r < 0 && !p->out->broken) {
			if (e)
				*e = why;
			return r;
		}
		if (r < 0) { /* the rest in zeros: what follows can still be looked at */
			p->out->broken(p->out->ctx, path, why.msg);
			memset(p->buf, 0, RECIPE_BLOCK);
			zeros = true;
			r = 0;
			continue;
		}
		r = give(p, p->buf, n, e);
		if (r < 0)
			return r;
		size -= n;
	}
	return 0;
}

static int file(struct play *p, struct err *e)
{
	uint64_t ref = p->refs++, n = 0, size = 0;
	char path[TAR_NAME_MAX];
	int r = get_varint(p, &n, e);

	if (r == 0 && (n == 0 || n >= sizeof path))
		r = damaged(e);
	for (uint64_t i = 0; r == 0 && i < n; i++)
		r = get_byte(p, (uint8_t *)path + i, e);
	if (r == 0)
		r = get_varint(p, &size, e);
	if (r < 0)
		return r;
	path[n] = 0;
	if (strlen(path) != n || size > p->promised - p->sent)
		return damaged(e);
	while (p->next_side < p->sides.n && p->sides.v[p->next_side].ref < ref)
		p->next_side++;
	if (p->next_side < p->sides.n && p->sides.v[p->next_side].ref == ref)
		return from_side(p, p->sides.v[p->next_side].at, ref, size, e);
	return from_file(p, path, size, e);
}

static int play(struct play *p, struct err *e)
{
	uint8_t op = RECIPE_GO_ON;
	int r = survey(p, e);

	p->ops_at = RECIPE_MAGIC_N;
	while (r == 0 && op != RECIPE_DONE) {
		r = literal(p, e);
		if (r == 0)
			r = get_byte(p, &op, e);
		if (r == 0 && op == RECIPE_FILE)
			r = file(p, e);
		else if (r == 0 && op > RECIPE_GO_ON)
			r = damaged(e);
	}
	return r;
}

int recipe_play(int recipe, int dir, const char *want, const struct recipe_sink *out, struct err *e)
{
	struct play p = { .fd = recipe, .dir = dir, .out = out };
	char got[72];
	struct stat st;
	int r;

	if (fstat(recipe, &st) < 0)
		return err_sys(e, -errno, "reading the layer's recipe");
	p.end = st.st_size;
	p.hash = hash_new();
	p.ops = xmalloc(RECIPE_BLOCK);
	p.buf = xmalloc(RECIPE_BLOCK);
	p.packed = xmalloc(ZSTD_compressBound(RECIPE_BLOCK));
	r = play(&p, e);
	if (r == 0) {
		hash_text(p.hash, got);
		if (p.sent != p.promised || !streq(got, p.diff_id))
			r = err_set(e, ERR_SYSTEM, "the layer's files have changed: its tar should be %s, is %s",
				    p.diff_id, got);
		else if (want && !streq(got, want))
			r = err_set(e, ERR_SYSTEM, "the layer's recipe is another one's: it makes %s, not %s", got,
				    want);
	}
	hash_free(p.hash);
	free(p.ops);
	free(p.buf);
	free(p.packed);
	free(p.sides.v);
	return r;
}
