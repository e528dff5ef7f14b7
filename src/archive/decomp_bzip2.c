/* decomp_bzip2.c - bzip2, which old root file systems still come in. Left out where libbz2 is not there at build time. */
#include "archive/decomp_priv.h"

#ifdef HOY_BZIP2
#include <bzlib.h>

int bz_open(struct decomp *d)
{
	bz_stream *s = xcalloc(1, sizeof *s);

	d->state = s;
	return BZ2_bzDecompressInit(s, 0, 0) == BZ_OK ? 0 : -ENOMEM;
}

void bz_close(struct decomp *d)
{
	(void)BZ2_bzDecompressEnd(d->state);
	free(d->state);
}

int bz_read(struct decomp *d, uint8_t *p, size_t n, size_t *ret_n, struct err *e)
{
	bz_stream *s = d->state;

	s->next_out = (char *)p;
	s->avail_out = (unsigned)MIN(n, (size_t)1 << 30);
	while (s->avail_out && !d->done) {
		int r = decomp_more(d, e), k;

		if (r < 0)
			return r;
		if (r == 0)
			return decomp_bad(d, "unexpected EOF", e);
		s->next_in = (char *)d->in + d->in_at;
		s->avail_in = (unsigned)(d->in_n - d->in_at);
		k = BZ2_bzDecompress(s);
		d->in_at = d->in_n - s->avail_in;
		if (k == BZ_STREAM_END) {
			r = decomp_more(d, e);
			if (r < 0)
				return r;
			d->done = r == 0;
			if (!d->done) { /* another stream behind this one: bzip2 -c a b */
				char *next_out = s->next_out;
				unsigned avail_out = s->avail_out;

				(void)BZ2_bzDecompressEnd(s);
				*s = (bz_stream){ 0 };
				if (BZ2_bzDecompressInit(s, 0, 0) != BZ_OK)
					return decomp_bad(d, "out of memory", e);
				s->next_out = next_out;
				s->avail_out = avail_out;
			}
		} else if (k != BZ_OK) {
			return decomp_bad(d, "corrupt data", e);
		}
	}
	*ret_n = (size_t)(s->next_out - (char *)p);
	return 0;
}
#else
int bz_open(struct decomp *d)
{
	return -EOPNOTSUPP;
}

void bz_close(struct decomp *d)
{
}

int bz_read(struct decomp *d, uint8_t *p, size_t n, size_t *ret_n, struct err *e)
{
	return decomp_bad(d, "this hoy-worker was built without libbz2", e);
}
#endif
