/* Promises of logfile.h, on real files. */
#include "logfile/logfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define NAME "x-json.log"
#define T0 1700000000123456789LL

static char temp[64];
static int dir = -1;

static int setup(void **state)
{
	(void)snprintf(temp, sizeof temp, "/tmp/hoy-log-XXXXXX");
	if (!mkdtemp(temp))
		return -1;
	dir = dir_open(AT_FDCWD, temp);
	return dir < 0;
}

static int teardown(void **state)
{
	fd_closep(&dir);
	return dir_remove(AT_FDCWD, temp);
}

static struct logfile *open_log(int64_t max_size, uint32_t max_file, const char *attrs)
{
	struct logfile *l = NULL;

	assert_int_equal(
		logfile_open(dir, NAME,
			     &(struct logfile_opts){ .max_size = max_size, .max_file = max_file, .attrs = attrs }, &l),
		0);
	return l;
}

static char *content(const char *name)
{
	char *s = NULL;

	assert_int_equal(file_read(dir, name, 1 << 26, &s, NULL), 0);
	return s;
}

static struct logfile_reader *reader(struct logfile_query q)
{
	struct logfile_reader *r = NULL;

	assert_int_equal(logfile_reader_new(dir, NAME, &q, &r), 0);
	return r;
}

/* All lines a query gives, glued. */
static char *lines(struct logfile_query q)
{
	struct logfile_reader *r = reader(q);
	AUTO_STRB struct strb b = STRB_INIT;
	struct logfile_record rec;
	int k;

	while ((k = logfile_next(r, &rec)) > 0)
		strb_add(&b, rec.line, rec.n);
	assert_int_equal(k, 0);
	logfile_reader_free(r);
	return strb_take(&b);
}

static void put(struct logfile *l, const char *s, int64_t t)
{
	assert_int_equal(logfile_write(l, LOGFILE_STDOUT, s, strlen(s), t), 0);
}

static void test_bytes_equal_dockers(void **state)
{
	struct logfile *l = open_log(-1, 1, NULL);
	AUTO_FREE char *got = NULL;

	put(l, "plain\n", T0);
	assert_int_equal(logfile_write(l, LOGFILE_STDERR, "a\"\\<>&\t\r\x01\x7f\xc3\xa4\xe2\x80\xa8\xff!\n", 18, T0),
			 0);
	put(l, "no newline", T0);
	assert_int_equal(logfile_end(l, LOGFILE_STDOUT, T0), 0);
	logfile_free(l);
	got = content(NAME);
	assert_string_equal(
		got, "{\"log\":\"plain\\n\",\"stream\":\"stdout\",\"time\":\"2023-11-14T22:13:20.123456789Z\"}\n"
		     "{\"log\":\"a\\\"\\\\\\u003c\\u003e\\u0026\\u0009\\r\\u0001\x7f\xc3\xa4\\u2028\\ufffd!\\n\","
		     "\"stream\":\"stderr\","
		     "\"time\":\"2023-11-14T22:13:20.123456789Z\"}\n"
		     "{\"log\":\"no newline\",\"stream\":\"stdout\",\"time\":\"2023-11-14T22:13:20.123456789Z\"}\n");
}

static void test_long_lines_split_at_16k(void **state)
{
	static char text[40001];
	struct logfile *l = open_log(-1, 1, "{\"tag\":\"t 1\"}");
	struct logfile_reader *r = NULL;
	struct logfile_record rec = { 0 };
	AUTO_STRB struct strb line = STRB_INIT;

	memset(text, 'x', sizeof text - 1);
	for (size_t i = 0; i < 40000; i += 1000) /* in small pieces, at later and later times */
		assert_int_equal(logfile_write(l, LOGFILE_STDOUT, text, 1000, T0 + (int64_t)i), 0);
	put(l, "\nnext\n", T0 + 50000);
	logfile_free(l);
	r = reader(LOGFILE_QUERY_ALL);
	assert_int_equal(logfile_next(r, &rec), 1);
	assert_int_equal(rec.n, 16384);
	assert_int_equal(rec.time_ns, T0 + 16000);
	assert_int_equal(logfile_next(r, &rec), 1);
	assert_int_equal(rec.n, 16384);
	assert_int_equal(logfile_next(r, &rec), 1);
	assert_int_equal(rec.n, 40000 - 2 * 16384 + 1);
	assert_int_equal(rec.time_ns, T0 + 16000); /* the first part's time */
	assert_int_equal(logfile_next(r, &rec), 1);
	logfile_print(&rec, true, true, &line);
	assert_string_equal(line.s, "2023-11-14T22:13:20.123506789Z tag=t+1 next\n");
	assert_int_equal(logfile_next(r, &rec), 0);
	logfile_reader_free(r);
}

static void test_rotation_keeps_max_file(void **state)
{
	struct logfile *l = open_log(1000, 3, NULL);
	AUTO_FREE char *all = NULL;
	struct stat st = { 0 };

	for (int i = 0; i < 100; i++) {
		char text[32] = "";

		(void)snprintf(text, sizeof text, "line %d\n", i);
		put(l, text, T0);
	}
	logfile_free(l);
	assert_int_equal(fstatat(dir, NAME ".2", &st, 0), 0);
	assert_true(st.st_size >= 1000 && st.st_size < 1200);
	assert_int_equal(fstatat(dir, NAME ".3", &st, 0), -1);
	all = lines(LOGFILE_QUERY_ALL);
	assert_non_null(strstr(all, "line 98\nline 99\n"));
	assert_null(strstr(all, "line 50\n"));
	assert_non_null(strstr(all, "line 80\nline 81\n")); /* across files, in order */
}

static void test_one_file_begins_anew(void **state)
{
	struct logfile *l = open_log(500, 1, NULL);
	struct stat st = { 0 };

	for (int i = 0; i < 50; i++)
		put(l, "some text\n", T0);
	logfile_free(l);
	assert_int_equal(fstatat(dir, NAME, &st, 0), 0);
	assert_true(st.st_size < 700);
	assert_int_equal(fstatat(dir, NAME ".1", &st, 0), -1);
}

static void test_tail_since_until(void **state)
{
	struct logfile *l = open_log(400, 10, NULL);

	for (int i = 0; i < 20; i++) {
		char text[32] = "";

		(void)snprintf(text, sizeof text, "%d\n", i);
		put(l, text, T0 + i);
	}
	logfile_free(l);
	for (int64_t tail = 0; tail < 25; tail++) { /* across the files' borders */
		AUTO_STRB struct strb want = STRB_INIT;
		AUTO_FREE char *got = lines((struct logfile_query){ .tail = tail, .buffer = 64 });

		for (int i = 20 - (int)MIN(tail, 20); i < 20; i++)
			strb_addf(&want, "%d\n", i);
		assert_string_equal(got, strb_str(&want));
	}
	{
		AUTO_FREE char *a = lines((struct logfile_query){ .tail = -1, .since_ns = T0 + 17 });
		AUTO_FREE char *b = lines((struct logfile_query){ .tail = -1, .until_ns = T0 + 2 });
		AUTO_FREE char *c = lines(
			(struct logfile_query){ .tail = 5, .since_ns = T0 + 16, .until_ns = T0 + 17 });

		assert_string_equal(a, "17\n18\n19\n");
		assert_string_equal(b, "0\n1\n2\n");
		assert_string_equal(c, "16\n17\n");
	}
}

static void test_torn_tail_and_rubbish(void **state)
{
	static const char good[] = "{\"log\":\"1\\n\",\"stream\":\"stdout\",\"time\":\"2023-11-14T22:13:20Z\"}\n";
	AUTO_STRB struct strb b = STRB_INIT;
	struct logfile *l = NULL;

	strb_adds(&b, good);
	strb_adds(&b, "rubbish\n\n{\"log\":\"x\"}\n");
	strb_adds(&b, good);
	strb_add(&b, good, 20); /* power was lost here */
	assert_int_equal(file_write(dir, NAME, b.s, b.len, 0640), 0);
	{
		AUTO_FREE char *got = lines(LOGFILE_QUERY_ALL);
		AUTO_FREE char *tail = lines((struct logfile_query){ .tail = 1 });

		assert_string_equal(got, "1\n1\n");
		assert_string_equal(tail, "1\n");
	}
	l = open_log(-1, 1, NULL);
	put(l, "2\n", T0);
	logfile_free(l);
	{
		AUTO_FREE char *got = lines(LOGFILE_QUERY_ALL);
		AUTO_FREE char *tail = lines((struct logfile_query){ .tail = 2 });

		assert_string_equal(got, "1\n1\n2\n");
		assert_string_equal(tail, "1\n2\n");
	}
}

static void test_monstrous_line_is_skipped(void **state)
{
	AUTO_FREE char *big = xmalloc(3000000);
	struct logfile *l = NULL;

	memset(big, 'y', 3000000);
	big[2999999] = '\n';
	assert_int_equal(file_write(dir, NAME, big, 3000000, 0640), 0);
	l = open_log(-1, 1, NULL);
	put(l, "after\n", T0);
	logfile_free(l);
	{
		AUTO_FREE char *got = lines(LOGFILE_QUERY_ALL);

		assert_string_equal(got, "after\n");
	}
}

static void test_follow_through_rotations(void **state)
{
	struct logfile *l = open_log(300, 3, NULL);
	struct logfile_reader *r = NULL;
	struct logfile_record rec = { 0 };

	put(l, "first\n", T0);
	assert_int_equal(logfile_flush(l), 0);
	r = reader(LOGFILE_QUERY_ALL);
	assert_int_equal(logfile_next(r, &rec), 1);
	assert_int_equal(logfile_next(r, &rec), 0);
	for (int i = 0; i < 200; i++) { /* a follower that keeps up loses nothing */
		char text[32] = "", want[32] = "";

		(void)snprintf(text, sizeof text, "a%d\nb%d\n", i, i);
		put(l, text, T0);
		assert_int_equal(logfile_flush(l), 0);
		for (int k = 0; k < 2; k++) {
			(void)snprintf(want, sizeof want, "%c%d\n", "ab"[k], i);
			assert_int_equal(logfile_next(r, &rec), 1);
			assert_int_equal(rec.n, strlen(want));
			assert_memory_equal(rec.line, want, rec.n);
		}
		assert_int_equal(logfile_next(r, &rec), 0);
		assert_false(logfile_over(r));
	}
	logfile_reader_free(r);
	logfile_free(l);
}

static void test_places_outlive_rotation(void **state)
{
	struct logfile *l = open_log(400, 4, NULL);
	struct logfile_query until = LOGFILE_QUERY_ALL, after = LOGFILE_QUERY_ALL, tail = { .tail = 2 };
	char text[LOGFILE_POS_TEXT] = "";
	struct logfile_pos pos;

	put(l, "1\n2\n3\n", T0);
	pos = logfile_end_pos(l);
	put(l, "4\n5\n6\n7\n8\n9\n10\n", T0); /* rotates at least once */
	assert_int_equal(logfile_flush(l), 0);
	logfile_pos_format(&pos, text);
	assert_int_equal(logfile_pos_parse(text, pos.offset, &until.to), 0);
	tail.to = after.from = until.to;
	{
		AUTO_FREE char *a = lines(until), *b = lines(after), *c = lines(tail);

		assert_string_equal(a, "1\n2\n3\n");
		assert_string_equal(b, "4\n5\n6\n7\n8\n9\n10\n");
		assert_string_equal(c, "2\n3\n");
	}
	assert_int_equal(logfile_pos_parse("../x", 0, &pos), -EINVAL);
	assert_int_equal(logfile_pos_parse("5", -1, &pos), -EINVAL);
	logfile_free(l);
}

static void test_a_missing_log_is_empty_and_can_be_followed(void **state)
{
	struct logfile_reader *r = reader(LOGFILE_QUERY_ALL);
	struct logfile_record rec = { 0 };
	struct logfile *l = NULL;

	assert_int_equal(logfile_next(r, &rec), 0);
	l = open_log(-1, 1, NULL);
	put(l, "x\n", T0);
	logfile_free(l);
	assert_int_equal(logfile_next(r, &rec), 1);
	logfile_reader_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void test_corpus_is_harmless(void **state)
{
	AUTO_FREE char *path = xasprintf("%s/src/logfile/corpus/logfile", SOURCE_ROOT);
	DIR *d = opendir(path);
	int n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		AUTO_FREE char *text = NULL;
		size_t len = 0;

		if (*e->d_name == '.')
			continue;
		n++;
		assert_int_equal(file_read(dirfd(d), e->d_name, 1 << 20, &text, &len), 0);
		for (size_t cut = 0; cut <= len; cut++)
			assert_int_equal(LLVMFuzzerTestOneInput((const uint8_t *)text, cut), 0);
	}
	(void)closedir(d);
	assert_true(n >= 4);
}

static void test_other_writers_records_parse(void **state)
{
	char a[] = " { \"time\" : \"2024-02-29T23:59:59+02:00\" , \"n\": [1,{\"a\":\"]\"}], \"log\" : "
		   "\"\\ud83d\\ude00\" }";
	struct logfile_record r = { 0 };
	int64_t want = 0;

	assert_int_equal(logfile_parse(a, strlen(a), &r), 0);
	assert_int_equal(time_parse("2024-02-29T21:59:59Z", &want), 0);
	assert_int_equal(r.time_ns, want);
	assert_int_equal(r.n, 4);
	assert_memory_equal(r.line, "\xf0\x9f\x98\x80", 4);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(test_bytes_equal_dockers),
		EACH(test_long_lines_split_at_16k),
		EACH(test_rotation_keeps_max_file),
		EACH(test_one_file_begins_anew),
		EACH(test_tail_since_until),
		EACH(test_torn_tail_and_rubbish),
		EACH(test_monstrous_line_is_skipped),
		EACH(test_follow_through_rotations),
		EACH(test_places_outlive_rotation),
		EACH(test_a_missing_log_is_empty_and_can_be_followed),
		cmocka_unit_test(test_corpus_is_harmless),
		cmocka_unit_test(test_other_writers_records_parse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
