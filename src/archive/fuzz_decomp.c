/* fuzz_decomp.c - any bytes as a compressed stream; the first byte picks the size of the pieces they come in. */
#include "archive/archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
	const uint8_t *p;
	size_t n, chunk;
};

static ssize_t take(void *ctx, void *to, size_t n)
{
	struct bytes *b = ctx;

	n = MIN(n, MIN(b->n, b->chunk));
	memcpy(to, b->p, n);
	b->p += n;
	b->n -= n;
	return (ssize_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct decomp_budget budget = { .out_max = 4 << 20, .ratio = 100, .ratio_from = 1 << 20 };
	static uint8_t out[10000];
	struct bytes in = { .p = data + 1, .n = size - 1, .chunk = size ? 1 + data[0] * 5u : 1 };
	struct decomp *d;
	size_t n = 1;

	if (size == 0)
		return 0;
	d = decomp_new((struct decomp_input){ .read = take, .ctx = &in }, &budget);
	while (n > 0 && decomp_read(d, out, sizeof out, &n, NULL) == 0)
		;
	decomp_free(d);
	return 0;
}
