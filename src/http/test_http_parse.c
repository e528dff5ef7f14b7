/* The pure parsers: what they take, and what they must never take. */
#include "http/http_parse.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "http/test_http.h"

static int parse(const char *text, struct http_request *rq, struct err *e)
{
	size_t n = strlen(text);
	ssize_t head = http_head_len(text, n, 0);

	return head <= 0 ? (int)(head ? head : -EAGAIN) : http_request_parse(text, (size_t)head, rq, e);
}

void test_request_head_is_understood(void **state)
{
	struct http_request rq = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(parse("POST /v1.41/images/a%2Fb/json?all=1&filters=%7B%7D&x=a+b HTTP/1.1\r\nhost: "
			       "docker\r\nContent-Length: 12\r\nX-A:  \tspaced out \t\r\n"
			       "Connection: keep-alive, Upgrade\r\nUpgrade: tcp\r\nExpect: 100-Continue\r\n\r\n",
			       &rq, &e),
			 0);
	assert_string_equal(rq.method, "POST");
	assert_string_equal(rq.path, "/v1.41/images/a/b/json");
	assert_string_equal(rq.raw_path, "/v1.41/images/a%2Fb/json");
	assert_string_equal(strmap_get(&rq.query, "filters"), "{}");
	assert_string_equal(strmap_get(&rq.query, "x"), "a b");
	assert_string_equal(http_header(&rq.headers, "x-a"), "spaced out");
	assert_int_equal(rq.content_length, 12);
	assert_true(rq.keep_alive && rq.upgrade && rq.expect_continue && !rq.chunked);
	http_request_done(&rq);
}

#define H "Host: d\r\n"
void test_dangerous_heads_are_refused(void **state)
{
	static const struct {
		int r;
		const char *text;
	} rows[] = {
		{ -EBADMSG, "GET / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\n" H "Content-Length: 1\r\ncontent-length: 2\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\n" H "Content-Length: 1,1\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\n" H "Content-Length: 0x10\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\n" H "Content-Length: \r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n" },
		{ -EOPNOTSUPP, "GET / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n" },
		{ -EOPNOTSUPP, "GET / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\n" H "Content-Length : 1\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\n" H " folded: 1\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\n" H ": empty\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\n" H "novalue\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\n" H "\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\nHost: d\n\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\n\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\n" H H "\r\n" },
		{ -EBADMSG, "GET  / HTTP/1.1\r\n" H "\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1 \r\n" H "\r\n" },
		{ -EBADMSG, "GET /a b HTTP/1.1\r\n" H "\r\n" },
		{ -EBADMSG, "GET\t/ HTTP/1.1\r\n" H "\r\n" },
		{ -EBADMSG, "GET /\r\n" H "\r\n" },
		{ -EBADMSG, "G@T / HTTP/1.1\r\n" H "\r\n" },
		{ -EBADMSG, "GET a HTTP/1.1\r\n" H "\r\n" },
		{ -EBADMSG, "GET /#x HTTP/1.1\r\n" H "\r\n" },
		{ -EBADMSG, "GET /%zz HTTP/1.1\r\n" H "\r\n" },
		{ -EBADMSG, "GET /a%00b HTTP/1.1\r\n" H "\r\n" },
		{ -EBADMSG, "GET / HTTP/1.1\r\n" H "Expect: a miracle\r\n\r\n" },
		{ -EPROTONOSUPPORT, "GET / HTTP/2.0\r\n" H "\r\n" },
		{ -EPROTONOSUPPORT, "GET / HTTP/1.9\r\n" H "\r\n" },
		{ -EBADMSG, "\r\n\r\n" },
		{ -EBADMSG, "\x16\x03\x01\r\n\r\n" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_request rq = { 0 };
		struct err e = ERR_INIT;
		int r = parse(rows[i].text, &rq, &e);

		if (r != rows[i].r)
			fail_msg("%d instead of %d for:\n%s", r, rows[i].r, rows[i].text);
	}
}

void test_heads_have_a_budget(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;
	struct http_request rq = { 0 };

	strb_adds(&b, "GET / HTTP/1.1\r\n" H);
	for (int i = 0; i < HTTP_HEADERS_MAX; i++)
		strb_addf(&b, "H%d: x\r\n", i);
	strb_adds(&b, "\r\n");
	assert_int_equal(parse(b.s, &rq, NULL), -EMSGSIZE);
	strb_clear(&b);
	strb_adds(&b, "GET /");
	while (b.len < HTTP_HEAD_MAX)
		strb_addc(&b, 'a');
	assert_int_equal(http_head_len(b.s, b.len, 0), -EMSGSIZE);
	assert_int_equal(http_head_len(b.s, 1000, 0), 0);
}

static int decode(const char *text, struct strb *out, size_t *ret_rest)
{
	struct http_chunks s = { 0 };
	size_t n = strlen(text), i = 0;

	while (i < n && s.state != CHUNK_DONE) {
		const char *d = NULL;
		size_t n_d = 0;
		ssize_t used = http_chunks_feed(&s, text + i, n - i, &d, &n_d);

		if (used < 0)
			return (int)used;
		strb_add(out, d, n_d);
		i += (size_t)used;
	}
	*ret_rest = n - i;
	return s.state == CHUNK_DONE ? 1 : 0;
}

void test_chunks_decode_and_leave_the_rest(void **state)
{
	AUTO_STRB struct strb out = STRB_INIT;
	size_t rest = 0;

	assert_int_equal(decode("5\r\nhello\r\n00A;x=\"y\"\r\n wide worl\r\n1\r\nd\r\n0\r\nT: 1\r\nU: 2\r\n\r\nNEXT",
				&out, &rest),
			 1);
	assert_string_equal(out.s, "hello wide world");
	assert_int_equal(rest, 4);
}

void test_bad_chunks_are_refused(void **state)
{
	static const char *const texts[] = { "\r\n",
					     "x\r\n",
					     "-1\r\n",
					     "0x5\r\nhello\r\n",
					     " 5\r\nhello\r\n",
					     "5 \r\nhello\r\n",
					     "5\nhello\r\n",
					     "5\r\nhelloX",
					     "5\r\nhello\n",
					     "5\r\nhello\rX",
					     "+5\r\n",
					     ";\r\n",
					     "5\rX",
					     "fffffffffffffffff\r\n",
					     "ffffffffffffffff\r\n",
					     "5;a\nb\r\n",
					     "0\r\nA: b\n\r\n" };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		AUTO_STRB struct strb out = STRB_INIT;
		size_t rest = 0;

		if (decode(texts[i], &out, &rest) != -EPROTO)
			fail_msg("accepted: %s", texts[i]);
	}
}

void test_response_head_is_understood(void **state)
{
	static const char text[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\n";
	struct http_response rs = { 0 };

	assert_int_equal(http_response_parse(text, strlen(text), &rs, NULL), 0);
	assert_int_equal(rs.status, 404);
	assert_string_equal(rs.reason, "Not Found");
	assert_int_equal(rs.content_length, 3);
	http_response_done(&rs);
	assert_int_equal(http_response_parse("HTTP/1.1 4x4 X\r\n\r\n", 18, &rs, NULL), -EBADMSG);
	assert_int_equal(http_response_parse("HTTX/1.1 404 X\r\n\r\n", 18, &rs, NULL), -EBADMSG);
}

void test_a_wrong_query_is_kept_for_the_handler_to_answer(void **state)
{
	static const struct {
		const char *query, *fault;
	} rows[] = {
		{ "a=b&c=%zz1", "invalid URL escape \"%zz\"" },
		{ "a=b&c=%4", "invalid URL escape \"%4\"" },
		{ "a=b&c;d", "invalid semicolon separator in query" },
		{ "a=b&c=%00", "invalid URL escape \"%00\"" },
		{ "a=b&c=d", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *text = xasprintf("GET /?%s HTTP/1.1\r\n" H "\r\n", rows[i].query);
		struct http_request rq = { 0 };

		assert_int_equal(parse(text, &rq, NULL), 0);
		assert_string_equal(strmap_get(&rq.query, "a"), "b");
		if (rows[i].fault)
			assert_string_equal(rq.query_fault, rows[i].fault);
		else
			assert_null(rq.query_fault);
		http_request_done(&rq);
	}
}

void test_urls_encode_and_decode(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_STRB struct strb plain = STRB_INIT;

	http_query_add(&b, "a", "x y&\xc3\xa4");
	http_query_add(&b, "none", NULL);
	http_query_add(&b, "b", "");
	assert_string_equal(b.s, "?a=x%20y%26%C3%A4&b=");
	assert_int_equal(http_decode("%41%2b+", 7, true, &plain), 0);
	assert_string_equal(plain.s, "A+ ");
	assert_int_equal(http_decode("%4", 2, false, &plain), -EINVAL);
	strb_clear(&b);
	http_encode_path(&b, "a/b:c d?");
	assert_string_equal(b.s, "a/b:c%20d%3F");
}
