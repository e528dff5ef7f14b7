/* fuzz_http.c - any bytes as a request head, a response head, chunks and a query. Chunks must decode alike however they are cut. */
#include "http/http_parse.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int decode(const char *p, size_t n, size_t step, struct strb *out, size_t *ret_used)
{
	struct http_chunks s = { 0 };
	size_t i = 0;

	while (i < n && s.state != CHUNK_DONE) {
		const char *d = NULL;
		size_t n_d = 0;
		ssize_t used = http_chunks_feed(&s, p + i, MIN(step, n - i), &d, &n_d);

		if (used < 0)
			return -1;
		assert(used > 0 && (size_t)used <= MIN(step, n - i) && n_d <= (size_t)used);
		strb_add(out, d, n_d);
		i += (size_t)used;
	}
	*ret_used = i;
	return s.state == CHUNK_DONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *p = (const char *)data;
	struct http_request rq = { 0 };
	struct http_response rs = { 0 };
	struct strmap query = { 0 };
	AUTO_STRB struct strb whole = STRB_INIT;
	AUTO_STRB struct strb pieces = STRB_INIT;
	size_t used_whole = 0, used_pieces = 0;
	ssize_t head = http_head_len(p, n, 0);
	int a, b;

	assert(head <= (ssize_t)n);
	if (head > 0 && http_request_parse(p, (size_t)head, &rq, NULL) == 0) {
		assert(rq.path && !(rq.chunked && rq.content_length >= 0) && rq.content_length >= -1);
		http_request_done(&rq);
	}
	if (head > 0 && http_response_parse(p, (size_t)head, &rs, NULL) == 0)
		http_response_done(&rs);
	a = decode(p, n, n, &whole, &used_whole);
	b = decode(p, n, 1, &pieces, &used_pieces);
	assert(a == b && (a < 0 || (used_whole == used_pieces && streq(strb_str(&whole), strb_str(&pieces)))));
	(void)http_query_parse(p, n, &query);
	strmap_done(&query);
	return 0;
}
