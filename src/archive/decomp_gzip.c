/* decomp_gzip.c - gzip members one after the other, by ISA-L where it is there (three times zlib's speed), else by zlib. */
#include "archive/decomp_priv.h"

/* Behind a member: 1 = another one follows, 0 = the end. Zeros are padding (tapes, gzip(1)); anything else is not ours. */
static int next_member(struct decomp *d, struct err *e)
{
	for (;;) {
		int r = decomp_more(d, e);

		if (r <= 0)
			return r;
		if (d->in[d->in_at] == 0x1f)
			return 1;
		if (d->in[d->in_at] != 0)
			return decomp_bad(d, "invalid header", e);
		d->in_at++;
	}
}

#ifdef HOY_ISAL
#include <isa-l/igzip_lib.h>

int gz_open(struct decomp *d)
{
	struct inflate_state *s = xmalloc(sizeof *s);

	isal_inflate_init(s);
	s->crc_flag = ISAL_GZIP;
	d->state = s;
	d->inside = true;
	return 0;
}

void gz_close(struct decomp *d)
{
	free(d->state);
}

int gz_read(struct decomp *d, uint8_t *p, size_t n, size_t *ret_n, struct err *e)
{
	struct inflate_state *s = d->state;

	s->next_out = p;
	s->avail_out = (uint32_t)MIN(n, (size_t)1 << 30);
	*ret_n = 0;
	while (s->avail_out && !d->done) {
		int r;

		if (s->block_state == ISAL_BLOCK_FINISH) {
			r = next_member(d, e);
			if (r < 0)
				return r;
			d->done = r == 0;
			if (d->done)
				break;
			isal_inflate_reset(s);
			s->crc_flag = ISAL_GZIP;
		}
		r = decomp_more(d, e);
		if (r < 0)
			return r;
		s->next_in = d->in + d->in_at;
		s->avail_in = r ? (uint32_t)(d->in_n - d->in_at) : 0;
		{
			uint32_t room = s->avail_out;

			if (isal_inflate(s) < 0)
				return decomp_bad(d, "corrupt data", e);
			if (r == 0 && s->avail_out == room && s->block_state != ISAL_BLOCK_FINISH)
				return decomp_bad(d, "unexpected EOF", e);
		}
		if (r)
			d->in_at = d->in_n - s->avail_in;
	}
	*ret_n = (size_t)(s->next_out - p);
	return 0;
}
#else
#include <zlib.h>

int gz_open(struct decomp *d)
{
	z_stream *s = xcalloc(1, sizeof *s);

	d->state = s;
	return inflateInit2(s, 15 + 16) == Z_OK ? 0 : -ENOMEM;
}

void gz_close(struct decomp *d)
{
	(void)inflateEnd(d->state);
	free(d->state);
}

int gz_read(struct decomp *d, uint8_t *p, size_t n, size_t *ret_n, struct err *e)
{
	z_stream *s = d->state;

	s->next_out = p;
	s->avail_out = (uInt)MIN(n, (size_t)1 << 30);
	while (s->avail_out && !d->done) {
		int r = decomp_more(d, e), k;

		if (r < 0)
			return r;
		s->next_in = d->in + d->in_at;
		s->avail_in = r ? (uInt)(d->in_n - d->in_at) : 0;
		k = inflate(s, Z_NO_FLUSH);
		if (r)
			d->in_at = d->in_n - s->avail_in;
		if (k == Z_STREAM_END) {
			r = next_member(d, e);
			if (r < 0)
				return r;
			d->done = r == 0;
			(void)inflateReset(s);
		} else if (k == Z_BUF_ERROR && r == 0) {
			return decomp_bad(d, "unexpected EOF", e);
		} else if (k != Z_OK && k != Z_BUF_ERROR) {
			return decomp_bad(d, "corrupt data", e);
		}
	}
	*ret_n = (size_t)(s->next_out - p);
	return 0;
}
#endif
