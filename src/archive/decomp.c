/* decomp.c - gzip, zstd, xz, bzip2 or plain bytes in, plain bytes out, with a budget against bombs. Each format is a row of functions;
 * concatenated members and frames are one stream, as gzip(1), zstd(1) and Docker's readers have it. */
#include "archive/decomp_priv.h"

#include <lzma.h>
#include <zstd.h>

const struct decomp_budget decomp_budget_default = {
	.out_max = (int64_t)1 << 40,
	/* gzip cannot do better than 1:1032, and a disk image of 10 GB of zeros is a legitimate layer: what is stopped here are streams
	 * that no file system of today takes and that nobody ever waited for. Before that the disk is full, with a clean error. */
	.ratio = 1100,
	.ratio_from = (int64_t)64 << 30,
};

int decomp_more(struct decomp *d, struct err *e)
{
	ssize_t n;

	if (d->in_at < d->in_n)
		return 1;
	if (d->in_end)
		return 0;
	n = d->input.read(d->input.ctx, d->in, IN_SIZE);
	if (n < 0)
		return err_sys(e, (int)n, "reading the archive");
	d->in_at = 0;
	d->in_n = (size_t)n;
	d->in_end = n == 0;
	d->in_total += n;
	if (d->hash)
		hash_add(d->hash, d->in, (size_t)n);
	return n > 0;
}

int decomp_bad(const struct decomp *d, const char *why, struct err *e)
{
	return err_set(e, ERR_INVALID, "%s: %s", comp_name(d->comp), why);
}

/* ---- plain ---- */
static int plain_read(struct decomp *d, uint8_t *p, size_t n, size_t *ret_n, struct err *e)
{
	ssize_t k;

	if (d->in_at < d->in_n) {
		*ret_n = MIN(n, d->in_n - d->in_at);
		memcpy(p, d->in + d->in_at, *ret_n);
		d->in_at += *ret_n;
		return 0;
	}
	if (d->in_end) {
		*ret_n = 0;
		return 0;
	}
	k = d->input.read(d->input.ctx, p, n); /* straight into the caller's buffer */
	if (k < 0)
		return err_sys(e, (int)k, "reading the archive");
	d->in_end = k == 0;
	d->in_total += k;
	*ret_n = (size_t)k;
	return 0;
}

static int plain_open(struct decomp *d)
{
	return 0;
}

static void plain_close(struct decomp *d)
{
}

/* ---- zstd ---- */
static int zst_open(struct decomp *d)
{
	d->state = ZSTD_createDStream();
	return d->state
		       ? 0
		       : -ENOMEM; /* frames that want more than 128 MiB of window are refused by the library's default */
}

static void zst_close(struct decomp *d)
{
	(void)ZSTD_freeDStream(d->state);
}

static int zst_read(struct decomp *d, uint8_t *p, size_t n, size_t *ret_n, struct err *e)
{
	ZSTD_outBuffer out = { .dst = p, .size = n };

	while (out.pos < out.size) {
		ZSTD_inBuffer in = { 0 };
		int r = decomp_more(d, e);
		size_t k;

		if (r < 0)
			return r;
		if (r == 0 && !d->inside)
			break;
		in = (ZSTD_inBuffer){ .src = d->in + d->in_at, .size = d->in_n - d->in_at };
		if (r == 0)
			in.size = 0;
		{
			size_t before = out.pos;

			k = ZSTD_decompressStream(d->state, &out, &in);
			if (ZSTD_isError(k))
				return decomp_bad(d, ZSTD_getErrorName(k), e);
			d->in_at += in.pos;
			if (r == 0 && k != 0 && out.pos == before)
				return decomp_bad(d, "unexpected EOF", e);
		}
		d->inside = k != 0;
	}
	*ret_n = out.pos;
	return 0;
}

/* ---- xz ---- */
#define XZ_MEMORY (128u << 20) /* xz -9 needs 65 MiB */
static int xz_open(struct decomp *d)
{
	lzma_stream *s = xcalloc(1, sizeof *s);

	d->state = s;
	return lzma_stream_decoder(s, XZ_MEMORY, LZMA_CONCATENATED) == LZMA_OK ? 0 : -ENOMEM;
}

static void xz_close(struct decomp *d)
{
	lzma_end(d->state);
	free(d->state);
}

static int xz_read(struct decomp *d, uint8_t *p, size_t n, size_t *ret_n, struct err *e)
{
	lzma_stream *s = d->state;

	s->next_out = p;
	s->avail_out = n;
	while (s->avail_out && !d->done) {
		int r = decomp_more(d, e);
		lzma_ret k;

		if (r < 0)
			return r;
		s->next_in = d->in + d->in_at;
		s->avail_in = r ? d->in_n - d->in_at : 0;
		k = lzma_code(s, r ? LZMA_RUN : LZMA_FINISH);
		if (r)
			d->in_at = d->in_n - s->avail_in;
		if (k == LZMA_STREAM_END)
			d->done = true;
		else if (k == LZMA_BUF_ERROR)
			return decomp_bad(d, "unexpected EOF", e);
		else if (k == LZMA_MEMLIMIT_ERROR)
			return decomp_bad(d, "needs more than 128 MiB of memory", e);
		else if (k != LZMA_OK)
			return decomp_bad(d, "corrupt data", e);
	}
	*ret_n = n - s->avail_out;
	return 0;
}

/* ---- the table ---- */
static const struct {
	const char *name, *magic;
	size_t n;
	int (*open)(struct decomp *d);
	void (*close)(struct decomp *d);
	int (*read)(struct decomp *d, uint8_t *p, size_t n, size_t *ret_n, struct err *e);
} formats[] = {
	[COMP_NONE] = { "tar", "", 0, plain_open, plain_close, plain_read },
	[COMP_GZIP] = { "gzip", "\x1f\x8b\x08", 3, gz_open, gz_close, gz_read },
	[COMP_ZSTD] = { "zstd", "\x28\xb5\x2f\xfd", 4, zst_open, zst_close, zst_read },
	[COMP_XZ] = { "xz", "\xfd\x37zXZ\0", 6, xz_open, xz_close, xz_read },
	[COMP_BZIP2] = { "bzip2", "BZh", 3, bz_open, bz_close, bz_read },
};

const char *comp_name(enum comp c)
{
	return formats[c].name;
}

/* by magic */
static enum comp comp_detect(const uint8_t *p, size_t n)
{
	for (size_t i = 1; i < ARRAY_LEN(formats); i++)
		if (n >= formats[i].n && memcmp(p, formats[i].magic, formats[i].n) == 0)
			return (enum comp)i;
	if (n >= 4 && (p[0] & 0xf0) == 0x50 && memcmp(p + 1, "\x2a\x4d\x18", 3) == 0)
		return COMP_ZSTD; /* a skippable frame in front */
	return COMP_NONE;
}

static ssize_t fd_input(void *ctx, void *p, size_t n)
{
	ssize_t r;

	do
		r = read(*(const int *)ctx, p, n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

struct decomp_input decomp_input_fd(const int *fd)
{
	return (struct decomp_input){ .read = fd_input, .ctx = (void *)(uintptr_t)fd };
}

struct decomp *decomp_new(struct decomp_input in, const struct decomp_budget *b)
{
	struct decomp *d = xcalloc(1, sizeof *d);

	d->input = in;
	d->budget = *b;
	d->in = xmalloc(IN_SIZE);
	d->hash = hash_new();
	return d;
}

void decomp_unhashed(struct decomp *d)
{
	hash_free(d->hash);
	d->hash = NULL;
}

void decomp_free(struct decomp *d)
{
	if (!d)
		return;
	if (d->open)
		formats[d->comp].close(d);
	hash_free(d->hash);
	free(d->in);
	free(d);
}

/* The first bytes may come one by one out of a pipe: enough of them for every magic number. */
static int detect(struct decomp *d, struct err *e)
{
	int r;

	while (d->in_n < 8 && !d->in_end) {
		ssize_t n = d->input.read(d->input.ctx, d->in + d->in_n, IN_SIZE - d->in_n);

		if (n < 0)
			return err_sys(e, (int)n, "reading the archive");
		d->in_n += (size_t)n;
		d->in_end = n == 0;
	}
	d->in_total = (int64_t)d->in_n;
	d->comp = comp_detect(d->in, d->in_n);
	if (d->comp == COMP_NONE) { /* what goes in comes out: one of the two sums will do */
		hash_free(d->hash);
		d->hash = NULL;
	}
	if (d->hash)
		hash_add(d->hash, d->in, d->in_n);
	d->open = true;
	r = formats[d->comp].open(d);
	return r < 0 ? err_sys(e, r, "%s", comp_name(d->comp)) : 0;
}

static int check_budget(const struct decomp *d, struct err *e)
{
	const struct decomp_budget *b = &d->budget;

	if (d->out_total > b->out_max)
		return err_set(e, ERR_INVALID, "archive is too big: more than %lld bytes", (long long)b->out_max);
	if (d->comp != COMP_NONE && d->out_total > b->ratio_from && d->out_total / b->ratio > d->in_total)
		return err_set(e, ERR_INVALID, "archive expands more than %lld times: refused as a decompression bomb",
			       (long long)b->ratio);
	return 0;
}

int decomp_read(struct decomp *d, void *p, size_t n, size_t *ret_n, struct err *e)
{
	size_t done = 0;

	if (!d->open) {
		int r = detect(d, e);

		if (r < 0)
			return r;
	}
	while (done < n) {
		size_t k = 0;
		int r = formats[d->comp].read(d, (uint8_t *)p + done, n - done, &k, e);

		if (r < 0)
			return r;
		if (k == 0)
			break;
		done += k;
		d->out_total += (int64_t)k;
		if ((r = check_budget(d, e)) < 0)
			return r;
	}
	*ret_n = done;
	return 0;
}

int decomp_finish(struct decomp *d, struct decomp_sums *ret, struct err *e)
{
	uint8_t junk[4096];
	size_t n = sizeof junk;

	while (n == sizeof junk) {
		int r = decomp_read(d, junk, sizeof junk, &n, e);

		if (r < 0)
			return r;
	}
	*ret = (struct decomp_sums){ .comp = d->comp, .in = d->in_total, .out = d->out_total };
	if (d->hash)
		hash_text(d->hash, ret->digest);
	return 0;
}
