/* Promises of stream.h. */
#include "stream/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_frames_survive_any_cut(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;

	stream_add(&b, STREAM_STDOUT, "hello", 5);
	stream_add(&b, STREAM_STDERR, "", 0);
	stream_add(&b, STREAM_STDERR, "oh", 2);
	assert_memory_equal(b.s, "\1\0\0\0\0\0\0\5hello\2", 14);
	for (size_t cut = 0; cut <= b.len; cut++) {
		AUTO_STRB struct strb out = STRB_INIT, err = STRB_INIT;
		struct stream_reader s = { 0 };
		struct stream_piece piece = { 0 };

		for (int half = 0; half < 2; half++) {
			const char *p = half ? b.s + cut : b.s;
			size_t n = half ? b.len - cut : cut;

			while (stream_next(&s, &p, &n, &piece) > 0)
				strb_add(piece.id == STREAM_STDOUT ? &out : &err, piece.p, piece.n);
			assert_int_equal(n, 0);
		}
		assert_string_equal(strb_str(&out), "hello");
		assert_string_equal(strb_str(&err), "oh");
		assert_true(stream_between_frames(&s));
	}
}

static void test_what_is_no_frame_is_refused(void **state)
{
	struct stream_reader s = { 0 };
	struct stream_piece piece = { 0 };
	const char *p = "HTTP/1.1 200 OK";
	size_t n = 15;

	assert_int_equal(stream_next(&s, &p, &n, &piece), -EBADMSG);
}

static void test_detach_keys_follow_dockers_grammar(void **state)
{
	struct detach_keys k = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(detach_keys_parse("ctrl-p,ctrl-q", &k, &e), 0);
	assert_int_equal(k.n, 2);
	assert_memory_equal(k.keys, "\x10\x11", 2);
	assert_int_equal(detach_keys_parse("a,ctrl-@,ctrl-_,DEL,ctrl-\\", &k, &e), 0);
	assert_int_equal(k.n, 5);
	assert_memory_equal(k.keys, "a\0\x1f\x7f\x1c", 5);
	assert_int_equal(detach_keys_parse("", &k, &e), 0);
	assert_int_equal(k.n, 0);
	for (size_t i = 0; i < 5; i++) {
		const char *const bad[] = { "ctrl-A", "ctrl-", "a,,b", "ab", "a," };

		assert_true(detach_keys_parse(bad[i], &k, &e) < 0);
		assert_int_equal(e.kind, ERR_INVALID);
	}
	assert_true(detach_keys_parse("ctrl-!", &k, &e) < 0);
	assert_string_equal(e.msg, "Invalid escape keys (ctrl-!) provided");
}

static bool feed(struct detach_matcher *m, const char *s, struct strb *out)
{
	for (; *s; s++)
		if (detach_match(m, s, 1, out))
			return true;
	return false;
}

static void test_detach_matches_anywhere_and_loses_nothing(void **state)
{
	AUTO_STRB struct strb out = STRB_INIT;
	struct detach_matcher m;
	struct detach_keys k = { 0 };

	detach_init(&m, NULL);
	assert_true(detach_match(&m, "ls\n\x10\x11rest", 9, &out));
	assert_string_equal(out.s, "ls\n");
	strb_clear(&out);
	assert_false(feed(&m,
			  "a\x10"
			  "b\x10\x10",
			  &out)); /* the last one is still held */
	assert_string_equal(out.s, "a\x10"
				   "b\x10");
	assert_true(feed(&m, "\x11", &out));

	assert_int_equal(detach_keys_parse("a,a,b", &k, NULL), 0);
	detach_init(&m, &k);
	strb_clear(&out);
	assert_true(feed(&m, "aaab", &out)); /* needs the shorter match after the third a */
	assert_string_equal(out.s, "a");
}

static void test_chunks(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;

	chunk_add(&b, "0123456789abcdef!", 17);
	chunk_add(&b, "", 0); /* would end the body */
	strb_adds(&b, CHUNK_LAST);
	assert_string_equal(b.s, "11\r\n0123456789abcdef!\r\n0\r\n\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_survive_any_cut),
		cmocka_unit_test(test_what_is_no_frame_is_refused),
		cmocka_unit_test(test_detach_keys_follow_dockers_grammar),
		cmocka_unit_test(test_detach_matches_anywhere_and_loses_nothing),
		cmocka_unit_test(test_chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
