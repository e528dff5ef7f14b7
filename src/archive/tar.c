/* tar.c - tar blocks -> entries. Reads ustar, old v7, GNU (long names, sparse, base-256 numbers) and PAX archives out of a source,
 * without copying file contents. Pure: the same bytes give the same entries, whatever the chunks they come in. */
#include "archive/tar_priv.h"

struct tar {
	struct source *src;
	const uint8_t *p; /* the rest of the chunk lent by src */
	size_t n;
	uint8_t block[TAR_BLOCK];
	struct tar_ext ext;
	struct tar_entry entry;
	struct strb name, link;
	int64_t left; /* data bytes of the entry still in the archive */
	uint32_t pad; /* and the padding behind them */
	size_t extent;
	int64_t at; /* sparse: done within the extent; else place in the file */
	bool ended;
	void (*tap)(void *ctx, const void *p, size_t n);
	void *tap_ctx;
	bool apart; /* this entry's data is not for the tap */
};

/* where the fields of a header stand */
enum {
	MODE_AT = 100,
	UID_AT = 108,
	GID_AT = 116,
	SIZE_AT = 124,
	MTIME_AT = 136,
	CHECKSUM_AT = 148,
	TYPE_AT = 156,
	LINK_AT = 157,
	MAGIC_AT = 257,
	MAJOR_AT = 329,
	MINOR_AT = 337,
	PREFIX_AT = 345,
	GNU_SPARSE_AT = 386,
	GNU_EXTENDED_AT = 482,
	GNU_REALSIZE_AT = 483,
	GNU_EXT_EXTENDED_AT = 504,
};
enum { NAME_LEN = 100, PREFIX_LEN = 155 };
#define GNU_SPARSE_N 4
#define GNU_EXT_N 21

struct tar *tar_new(struct source *src)
{
	struct tar *t = xcalloc(1, sizeof *t);

	t->src = src;
	tar_ext_clear(&t->ext);
	return t;
}

void tar_free(struct tar *t)
{
	if (!t)
		return;
	tar_ext_clear(&t->ext);
	strb_done(&t->name);
	strb_done(&t->link);
	free(t);
}

static int bad(const char *what, struct err *e)
{
	return err_set(e, ERR_INVALID, "archive/tar: invalid tar header: %s", what);
}

static int truncated(struct err *e)
{
	return err_set(e, ERR_INVALID, "archive/tar: unexpected EOF");
}

/* Makes sure that there is something in the window; 0 = end of the stream. */
static int fill(struct tar *t, struct err *e)
{
	if (t->n == 0) {
		int r = t->src->next(t->src, &t->p, &t->n, e);

		if (r < 0)
			return r;
	}
	return t->n > 0;
}

static void eat(struct tar *t, size_t n)
{
	if (t->tap)
		t->tap(t->tap_ctx, t->p, n);
	t->p += n;
	t->n -= n;
}

static void eat_data(struct tar *t, size_t n)
{
	if (t->tap && !t->apart)
		t->tap(t->tap_ctx, t->p, n);
	t->p += n;
	t->n -= n;
}

/* 1, or 0 at a clean end; an end inside the block is an error */
static int read_block(struct tar *t, uint8_t to[TAR_BLOCK], struct err *e)
{
	for (size_t done = 0; done < TAR_BLOCK;) {
		int r = fill(t, e);
		size_t k;

		if (r < 0)
			return r;
		if (r == 0)
			return done ? truncated(e) : 0;
		k = MIN(t->n, TAR_BLOCK - done);
		memcpy(to + done, t->p, k);
		eat(t, k);
		done += k;
	}
	return 1;
}

static int skip(struct tar *t, int64_t n, struct err *e)
{
	while (n > 0) {
		int r = fill(t, e);
		size_t k;

		if (r <= 0)
			return r < 0 ? r : truncated(e);
		k = (size_t)MIN((int64_t)t->n, n);
		eat(t, k);
		n -= (int64_t)k;
	}
	return 0;
}

/* Octal text, or GNU's base-256 where the top bit is set. */
static int number(const uint8_t *f, size_t n, int64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	if (f[0] & 0x80) {
		bool negative = f[0] & 0x40;

		v = negative ? UINT64_MAX : 0;
		for (i = 0; i < n; i++) {
			uint8_t byte = i ? f[i] : (uint8_t)(negative ? f[0] : f[0] & 0x7f);
			uint64_t top = v >> 55;

			if (top != (negative ? 0x1ff : 0))
				return -ERANGE;
			v = v << 8 | byte;
		}
		*ret = (int64_t)v;
		return 0;
	}
	while (i < n && f[i] == ' ')
		i++;
	for (; i < n && f[i] && f[i] != ' '; i++) {
		if (f[i] < '0' || f[i] > '7' || v >> 60)
			return -EINVAL;
		v = v << 3 | (uint64_t)(f[i] - '0');
	}
	*ret = (int64_t)v;
	return 0;
}

static bool all_zero(const uint8_t *p)
{
	return p[0] == 0 && memcmp(p, p + 1, TAR_BLOCK - 1) == 0;
}

static bool checksum_ok(const uint8_t *b)
{
	int64_t said, sum = 0, sum_signed = 0; /* old Suns summed signed characters */

	for (size_t i = 0; i < TAR_BLOCK; i++) {
		uint8_t c = i >= CHECKSUM_AT && i < CHECKSUM_AT + 8 ? ' ' : b[i];

		sum += c;
		sum_signed += (int8_t)c;
	}
	return number(b + CHECKSUM_AT, 8, &said) == 0 && (said == sum || said == sum_signed);
}

static void add_text(struct strb *b, const uint8_t *f, size_t n)
{
	strb_add(b, f, strnlen((const char *)f, n));
}

/* An extension header's data, whole. */
static int read_ext(struct tar *t, int64_t size, struct strb *out, struct err *e)
{
	int64_t pad = -size & (TAR_BLOCK - 1);

	if (size > TAR_EXT_MAX)
		return bad("extension header too long", e);
	while ((int64_t)out->len < size) {
		int r = fill(t, e);
		size_t k;

		if (r <= 0)
			return r < 0 ? r : truncated(e);
		k = (size_t)MIN((int64_t)t->n, size - (int64_t)out->len);
		strb_add(out, t->p, k);
		eat(t, k);
	}
	return skip(t, pad, e);
}

static int long_name(struct tar *t, int64_t size, char **to, struct err *e)
{
	AUTO_STRB struct strb b = STRB_INIT;
	int r = read_ext(t, size, &b, e);
	size_t n;

	if (r < 0)
		return r;
	n = strnlen(strb_str(&b), b.len);
	if (n >= TAR_NAME_MAX)
		return bad("name too long", e);
	free(*to);
	*to = xstrndup(strb_str(&b), n);
	return 0;
}

static int pax(struct tar *t, int64_t size, struct err *e)
{
	AUTO_STRB struct strb b = STRB_INIT;
	int r = read_ext(t, size, &b, e);

	return r < 0 ? r : tar_pax_parse(strb_str(&b), b.len, &t->ext, e);
}

/* ---- sparse maps ---- */
static int gnu_map(struct tar *t, const uint8_t *f, size_t n, bool *ret_ended, struct err *e)
{
	for (size_t i = 0; i < n; i++, f += 24) {
		int64_t at, len;
		int r;

		if (f[0] == 0) {
			*ret_ended = true;
			return 0;
		}
		if (number(f, 12, &at) < 0 || number(f + 12, 12, &len) < 0)
			return bad("sparse map", e);
		r = tar_sparse_add(&t->ext, at, len, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int gnu_sparse(struct tar *t, struct err *e)
{
	bool ended = false, more = t->block[GNU_EXTENDED_AT];
	int r;

	if (number(t->block + GNU_REALSIZE_AT, 12, &t->ext.sparse_real) < 0 || t->ext.sparse_real < 0)
		return bad("sparse size", e);
	r = gnu_map(t, t->block + GNU_SPARSE_AT, GNU_SPARSE_N, &ended, e);
	while (r >= 0 && more) {
		uint8_t ext[TAR_BLOCK];

		r = read_block(t, ext, e);
		if (r <= 0)
			return r < 0 ? r : truncated(e);
		more = ext[GNU_EXT_EXTENDED_AT];
		r = gnu_map(t, ext, GNU_EXT_N, &ended, e);
	}
	t->ext.is_sparse = true;
	return r;
}

/* PAX 1.0: the map stands in front of the data, as lines of decimal numbers, padded to blocks. */
static int pax_map(struct tar *t, int64_t *size, struct err *e)
{
	int64_t want = -1, at = -1, v = 0, numbers = 0;
	bool digits = false;

	while (want < 0 || numbers < want * 2) {
		uint8_t b[TAR_BLOCK];
		int r = *size >= TAR_BLOCK ? read_block(t, b, e) : bad("sparse map", e);

		if (r <= 0)
			return r < 0 ? r : truncated(e);
		*size -= TAR_BLOCK;
		for (size_t i = 0; i < TAR_BLOCK && (want < 0 || numbers < want * 2); i++) {
			if (b[i] >= '0' && b[i] <= '9' && v < INT64_MAX / 16) {
				v = v * 10 + (b[i] - '0');
				digits = true;
				continue;
			}
			if (b[i] != '\n' || !digits)
				return bad("sparse map", e);
			if (want < 0)
				want = v;
			else if (numbers++ % 2 == 0)
				at = v;
			else if ((r = tar_sparse_add(&t->ext, at, v, e)) < 0)
				return r;
			if (want > TAR_SPARSE_MAX)
				return bad("sparse map too long", e);
			v = 0;
			digits = false;
		}
	}
	return 0;
}

static int sparse_check(const struct tar_ext *x, int64_t size, struct err *e)
{
	int64_t sum = 0, end = 0;

	for (size_t i = 0; i < x->sparse.n; i++) {
		if (x->sparse.v[i].n > INT64_MAX - sum)
			return bad("sparse map", e);
		sum += x->sparse.v[i].n;
		end = x->sparse.v[i].at + x->sparse.v[i].n;
	}
	return sum != size || end > x->sparse_real || x->sparse_at >= 0 ? bad("sparse map", e) : 0;
}

/* ---- one header ---- */
static int text_fields(struct tar *t, struct err *e)
{
	const uint8_t *b = t->block;
	bool ustar = memcmp(b + MAGIC_AT, "ustar\0", 6) == 0;

	strb_clear(&t->name);
	strb_clear(&t->link);
	if (t->ext.is_sparse && t->ext.sparse_name)
		strb_adds(&t->name, t->ext.sparse_name);
	else if (t->ext.path)
		strb_adds(&t->name, t->ext.path);
	else {
		if (ustar && b[PREFIX_AT]) {
			add_text(&t->name, b + PREFIX_AT, PREFIX_LEN);
			strb_addc(&t->name, '/');
		}
		add_text(&t->name, b, NAME_LEN);
	}
	if (t->ext.linkpath)
		strb_adds(&t->link, t->ext.linkpath);
	else
		add_text(&t->link, b + LINK_AT, NAME_LEN);
	if (t->name.len >= TAR_NAME_MAX || t->link.len >= TAR_NAME_MAX)
		return bad("name too long", e);
	t->entry.name = strb_str(&t->name);
	t->entry.link = strb_str(&t->link);
	return 0;
}

static int number_fields(struct tar *t, int64_t *ret_size, struct err *e)
{
	const struct tar_ext *x = &t->ext;
	struct tar_entry *n = &t->entry;
	int64_t mode, uid, gid, mtime, major = 0, minor = 0;
	const uint8_t *b = t->block;

	if (number(b + MODE_AT, 8, &mode) < 0 || number(b + UID_AT, 8, &uid) < 0 || number(b + GID_AT, 8, &gid) < 0 ||
	    number(b + SIZE_AT, 12, ret_size) < 0 || number(b + MTIME_AT, 12, &mtime) < 0)
		return bad("number", e);
	if ((n->type == '3' || n->type == '4') &&
	    (number(b + MAJOR_AT, 8, &major) < 0 || number(b + MINOR_AT, 8, &minor) < 0))
		return bad("device number", e);
	uid = x->has_uid ? x->uid : uid;
	gid = x->has_gid ? x->gid : gid;
	if (uid < 0 || gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX)
		return bad("owner out of range", e);
	if (major < 0 || minor < 0 || major > 0xfff || minor > 0xfffff)
		return bad("device number out of range", e);
	if (x->has_size)
		*ret_size = x->size;
	if (*ret_size < 0 || *ret_size > INT64_MAX - TAR_BLOCK)
		return bad("size out of range", e);
	n->mode = (uint32_t)mode & 07777;
	n->uid = (uint32_t)uid;
	n->gid = (uint32_t)gid;
	n->major = (uint32_t)major;
	n->minor = (uint32_t)minor;
	n->mtime = x->has_mtime ? x->mtime : mtime;
	n->mtime_ns = x->has_mtime ? x->mtime_ns : 0;
	return 0;
}

/* What follows the header: file data, perhaps behind a sparse map. */
static int open_data(struct tar *t, int64_t size, struct err *e)
{
	struct tar_ext *x = &t->ext;
	int r = 0;

	t->extent = 0;
	t->at = 0;
	if (t->entry.type != '0' && t->block[TYPE_AT] != 'D')
		size = 0; /* links, devices and directories have no data, whatever the field says (as Go has it) */
	t->pad = (uint32_t)(-size & (TAR_BLOCK - 1));
	t->entry.size = t->entry.type == '0' ? size : 0;
	if (x->is_sparse && t->entry.type == '0') {
		if (x->sparse_major == 1 && x->sparse_minor == 0)
			r = pax_map(t, &size, e);
		if (r >= 0)
			r = sparse_check(x, size, e);
		if (r < 0)
			return r;
		t->entry.sparse = true;
		t->entry.size = x->sparse_real;
	}
	t->left = size;
	return 0;
}

static int entry_type(struct tar *t, struct err *e)
{
	char type = (char)t->block[TYPE_AT];

	if (type == 0 || type == '7' || type == 'S')
		type = '0';
	if (type == 'D')
		type = '5';
	if (type == '0' && t->name.len && t->name.s[t->name.len - 1] == '/')
		type = '5'; /* v7 had no directories of their own */
	if (type < '0' || type > '6')
		return err_set(e, ERR_INVALID, "unhandled tar header type %d", type);
	t->entry.type = type;
	return 0;
}

static int make_entry(struct tar *t, struct err *e)
{
	int64_t size;
	int r;

	t->entry = (struct tar_entry){ 0 };
	if (t->block[TYPE_AT] == 'S' && (r = gnu_sparse(t, e)) < 0)
		return r;
	if ((r = text_fields(t, e)) < 0 || (r = entry_type(t, e)) < 0 || (r = number_fields(t, &size, e)) < 0 ||
	    (r = open_data(t, size, e)) < 0)
		return r;
	t->entry.xattrs = t->ext.xattrs.v;
	t->entry.n_xattrs = t->ext.xattrs.n;
	return 1;
}

/* 1 = the block was an extension and is dealt with, 0 = it heads an entry */
static int extension(struct tar *t, struct err *e)
{
	char type = (char)t->block[TYPE_AT];
	int64_t size;
	int r;

	if (!strchr("xXgLKV", type) || type == 0)
		return 0;
	if (number(t->block + SIZE_AT, 12, &size) < 0 || size < 0 || size > INT64_MAX - TAR_BLOCK)
		return bad("size", e);
	if (type == 'L')
		r = long_name(t, size, &t->ext.path, e);
	else if (type == 'K')
		r = long_name(t, size, &t->ext.linkpath, e);
	else if (type == 'x' || type == 'X')
		r = pax(t, size, e);
	else if (size > TAR_EXT_MAX)
		r = bad("extension header too long", e);
	else /* global headers and volume labels say nothing about files: Docker ignores them too */
		r = skip(t, size + (-size & (TAR_BLOCK - 1)), e);
	return r < 0 ? r : 1;
}

int tar_next(struct tar *t, const struct tar_entry **ret, struct err *e)
{
	int r = t->ended ? 0 : skip(t, t->left + t->pad, e);

	t->left = t->pad = 0;
	t->apart = false;
	tar_ext_clear(&t->ext);
	for (bool after_ext = false; r >= 0 && !t->ended; after_ext = true) {
		r = read_block(t, t->block, e);
		if (r < 0)
			return r;
		if (r == 0 || all_zero(t->block)) {
			if (after_ext)
				return truncated(e);
			t->ended = true;
			return 0;
		}
		if (!checksum_ok(t->block))
			return bad("checksum", e);
		r = extension(t, e);
		if (r == 0) {
			r = make_entry(t, e);
			if (r > 0)
				*ret = &t->entry;
			return r;
		}
	}
	return r;
}

int tar_data(struct tar *t, const uint8_t **ret, size_t *ret_n, int64_t *ret_at, struct err *e)
{
	const struct tar_extent *x = NULL;
	int64_t most = t->left;
	int r;

	*ret_n = 0;
	if (t->left == 0)
		return 0;
	if (t->entry.sparse) {
		while (t->at == t->ext.sparse.v[t->extent].n) {
			t->extent++;
			t->at = 0;
		}
		x = &t->ext.sparse.v[t->extent];
		most = MIN(most, x->n - t->at);
	}
	r = fill(t, e);
	if (r <= 0)
		return r < 0 ? r : truncated(e);
	*ret = t->p;
	*ret_n = (size_t)MIN((int64_t)t->n, most);
	*ret_at = (x ? x->at : 0) + t->at;
	t->at += (int64_t)*ret_n;
	t->left -= (int64_t)*ret_n;
	eat_data(t, *ret_n);
	return 0;
}

void tar_tap(struct tar *t, void (*tap)(void *ctx, const void *p, size_t n), void *ctx)
{
	t->tap = tap;
	t->tap_ctx = ctx;
}

void tar_data_apart(struct tar *t)
{
	t->apart = true;
}

int tar_drain(struct tar *t, struct err *e)
{
	int r;

	while ((r = fill(t, e)) > 0)
		eat(t, t->n);
	return r;
}
