/* One promise a test. */
#include "base/base.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

static void test_err_sys_reads_as_go_does(void **state UNUSED)
{
	struct err e = ERR_INIT;

	assert_int_equal(err_sys(&e, -ENOENT, "open %s", "/x"), -ENOENT);
	assert_string_equal(e.msg, "open /x: no such file or directory");
	assert_int_equal(err_wrap(&e, -ENOENT, "start"), -ENOENT);
	assert_string_equal(e.msg, "start: open /x: no such file or directory");
	assert_int_equal(e.kind, ERR_SYSTEM);
}

static void test_err_too_long_is_cut_with_dots(void **state UNUSED)
{
	char big[3000];
	struct err e = ERR_INIT;

	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = 0;
	(void)err_set(&e, ERR_INVALID, "%s", big);
	assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
	assert_true(str_ends(e.msg, "..."));
}

static void test_strv_grows_and_stays_terminated(void **state UNUSED)
{
	AUTO_STRV struct strv v = { 0 };

	for (int i = 0; i < 100; i++)
		strv_addf(&v, "%d", i);
	assert_null(v.v[100]);
	strv_remove(&v, 0);
	assert_string_equal(v.v[0], "1");
	assert_null(v.v[99]);
}

static void test_env_set_replaces(void **state UNUSED)
{
	AUTO_STRV struct strv v = { 0 };

	strv_env_set(&v, "A=1");
	strv_env_set(&v, "AB=2");
	strv_env_set(&v, "A=3");
	assert_int_equal(v.n, 2);
	assert_string_equal(strv_env_get(&v, "A"), "3");
	assert_string_equal(strv_env_get(&v, "AB"), "2");
}

static void test_vec_add_keeps_elements(void **state UNUSED)
{
	struct {
		int *v;
		size_t n;
	} vec = { 0 };

	for (int i = 0; i < 1000; i++)
		*VEC_ADD(&vec) = i;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(vec.v[i], i);
	free(vec.v);
}

static void test_path_clean_is_lexical(void **state UNUSED)
{
	static const char *const rows[][2] = {
		{ "/a/./b//c/..", "/a/b" }, { "/../x", "/x" }, { "a/../..", ".." }, { "", "." }, { "/", "/" },
		{ "../a", "../a" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *p = path_clean(rows[i][0]);

		assert_string_equal(p, rows[i][1]);
	}
}

static void test_durations_are_go_s(void **state UNUSED)
{
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = { { "1h2m3.5s", 3723500000000 }, { "-1.5ms", -1500000 }, { "0", 0 }, { "+1us", 1000 },
		     { "1\xc2\xb5s", 1000 },        { ".5s", 500000000 } };
	static const struct {
		const char *text;
		size_t at;
		int r;
	} bad[] = { { "", 0, -EINVAL },     { "5", 1, -EINVAL },       { "1x", 1, -EINVAL },
		    { "1h.s", 2, -EINVAL }, { "1.2.3s", 0, -EINVAL },  { "1h 2m", 1, -EINVAL },
		    { "9e5s", 1, -EINVAL }, { "9999999h", 8, -ERANGE } };
	const char *at = NULL;
	int64_t ns = 0;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(duration_parse(good[i].text, &ns, NULL), 0);
		assert_int_equal(ns, good[i].ns);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(duration_parse(bad[i].text, &ns, &at), bad[i].r);
		assert_int_equal(at - bad[i].text, bad[i].at);
	}
}

static void test_bytes_count_in_powers_of_1024(void **state UNUSED)
{
	static const struct {
		const char *text;
		int64_t n;
	} good[] = { { "7", 7 },       { "64m", 64 << 20 }, { "1.5GiB", 3LL << 29 },
		     { "2 kb", 2048 }, { "10B", 10 },       { "1P", 1LL << 50 } };
	static const struct {
		const char *text;
		size_t at;
		int r;
	} bad[] = { { "", 0, -EINVAL },       { "-1", 0, -EINVAL },  { "m", 0, -EINVAL },    { "1xb", 1, -EINVAL },
		    { "1.2.3m", 0, -EINVAL }, { "1mx", 1, -EINVAL }, { "9999p", 4, -ERANGE } };
	const char *at = NULL;
	int64_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(bytes_parse(good[i].text, &n, NULL), 0);
		assert_int_equal(n, good[i].n);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(bytes_parse(bad[i].text, &n, &at), bad[i].r);
		assert_int_equal(at - bad[i].text, bad[i].at);
	}
}

static void test_strmap_has_a_key_or_a_pair(void **state UNUSED)
{
	AUTO_STRMAP struct strmap m = { 0 };

	strmap_set(&m, "k", "v=w");
	assert_true(strmap_has(&m, "k"));
	assert_true(strmap_has(&m, "k=v=w"));
	assert_false(strmap_has(&m, "k=v"));
	assert_false(strmap_has(&m, "k="));
	assert_false(strmap_has(&m, "other"));
}

static void test_time_round_trip(void **state UNUSED)
{
	char text[TIME_TEXT_MAX];
	int64_t ns = 0;

	assert_int_equal(time_parse("2024-02-29T12:30:01.5+02:00", &ns), 0);
	time_format(ns, text);
	assert_string_equal(text, "2024-02-29T10:30:01.5Z");
	time_format_fixed(ns, text);
	assert_string_equal(text, "2024-02-29T10:30:01.500000000Z");
	assert_int_equal(time_parse("2024-02-30", &ns), -EINVAL);
	assert_int_equal(time_parse("2024-02-29T12:30:01", &ns), -EINVAL);
	assert_int_equal(time_parse("0001-01-01T00:00:00Z", &ns), 0);
	assert_true(ns == INT64_MIN); /* before all that nanoseconds can say */
}

static void test_numbers_refuse_what_is_not_a_number(void **state UNUSED)
{
	int64_t v = 0;

	assert_int_equal(str_to_i64("12x", &v), -EINVAL);
	assert_int_equal(str_to_i64("", &v), -EINVAL);
	assert_int_equal(str_to_i64(" 1", &v), -EINVAL);
	assert_int_equal(str_to_i64("9223372036854775808", &v), -ERANGE);
	assert_int_equal(str_to_i64("-9223372036854775808", &v), 0);
	assert_true(v == INT64_MIN);
}

static void test_file_replace_and_read(void **state UNUSED)
{
	char dir[] = "/tmp/hoy-base-XXXXXX";
	AUTO_FD int d = -1;
	AUTO_FREE char *text = NULL;
	size_t n = 0;

	assert_non_null(mkdtemp(dir));
	d = dir_open(AT_FDCWD, dir);
	assert_true(d >= 0);
	assert_int_equal(dir_make(d, "a/b/c", 0755), 0);
	assert_int_equal(file_replace(d, "a/b/c/f", "hello", 5, 0600), 0);
	assert_int_equal(file_replace(d, "a/b/c/f", "there", 5, 0600), 0);
	assert_int_equal(file_read(d, "a/b/c/f", 5, &text, &n), 0);
	assert_string_equal(text, "there");
	free(TAKE_PTR(text));
	assert_int_equal(file_read(d, "a/b/c/f", 4, &text, &n), -EFBIG);
	assert_int_equal(dir_remove(AT_FDCWD, dir), 0);
	assert_int_equal(access(dir, F_OK), -1);
}

/* Each directory holds the next one and a file whose name the removing might want. */
static void make_deep(int dir, int depth)
{
	AUTO_FD int at = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < depth; i++) {
		int next;

		assert_int_equal(mkdirat(at, "d", 0755), 0);
		assert_int_equal(mknodat(at, ".deep-0", S_IFREG | 0600, 0), 0);
		next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		(void)close(at);
		at = next;
	}
}

static void test_dir_remove_takes_trees_deeper_than_descriptors_and_paths(void **state UNUSED)
{
	char dir[] = "/tmp/hoy-base-XXXXXX";
	AUTO_FD int d = -1;
	struct rlimit old, few;
	int r;

	assert_non_null(mkdtemp(dir));
	d = dir_open(AT_FDCWD, dir);
	make_deep(d, 5000);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	r = dir_remove(AT_FDCWD, dir);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(r, 0);
	assert_int_equal(access(dir, F_OK), -1);
	assert_int_equal(dir_remove(AT_FDCWD, dir), -ENOENT);
}

static void test_dir_remove_does_not_follow_links(void **state UNUSED)
{
	char dir[] = "/tmp/hoy-base-XXXXXX";
	AUTO_FD int d = -1;

	assert_non_null(mkdtemp(dir));
	d = dir_open(AT_FDCWD, dir);
	assert_int_equal(dir_make(d, "kept/below", 0755), 0);
	assert_int_equal(dir_make(d, "gone/below", 0755), 0);
	assert_int_equal(symlinkat("../kept", d, "gone/l"), 0);
	assert_int_equal(symlinkat("kept", d, "l"), 0);
	assert_int_equal(dir_remove(d, "gone"), 0);
	assert_int_equal(dir_remove(d, "l"), 0);
	assert_int_equal(faccessat(d, "kept/below", F_OK, 0), 0);
	assert_int_equal(dir_remove(AT_FDCWD, dir), 0);
}

static void test_open_in_root_does_not_leave_it(void **state UNUSED)
{
	char dir[] = "/tmp/hoy-base-XXXXXX";
	AUTO_FD int d = -1;
	int fd;

	assert_non_null(mkdtemp(dir));
	d = dir_open(AT_FDCWD, dir);
	assert_int_equal(symlinkat("../../../etc/passwd", d, "l"), 0);
	fd = open_in_root(d, "l", O_RDONLY, 0);
	assert_int_equal(fd, -ENOENT);
	fd = open_beneath(d, "l", O_RDONLY, 0);
	assert_true(fd == -ELOOP || fd == -EXDEV);
	assert_int_equal(dir_remove(AT_FDCWD, dir), 0);
}

static void test_id_is_64_hex_and_no_number(void **state UNUSED)
{
	char id[65];

	for (int i = 0; i < 1000; i++) {
		id_new(id);
		assert_true(hex_valid(id, 64));
		assert_true(strspn(id, "0123456789") < 12);
	}
}

static void test_base64_pads_what_is_short(void **state)
{
	static const char *const pairs[][2] = {
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "\xff\xef\x18", "/+8Y" }
	};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		AUTO_FREE char *got = base64_encode(pairs[i][0], strlen(pairs[i][0]));

		assert_string_equal(got, pairs[i][1]);
	}
}

static void test_base64_reads_both_alphabets(void **state UNUSED)
{
	static const struct {
		const char *plain, *text;
	} pairs[] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" } };
	static const char *const bad[] = { "Z", "Zm9v!", "Zm 9v", "Zm=9v" };
	AUTO_STRB struct strb b = STRB_INIT;

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		strb_clear(&b);
		assert_int_equal(base64_decode(pairs[i].text, strlen(pairs[i].text), &b), 0);
		assert_string_equal(strb_str(&b), pairs[i].plain);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		strb_clear(&b);
		strb_adds(&b, "kept");
		assert_int_equal(base64_decode(bad[i], strlen(bad[i]), &b), -EINVAL);
		assert_int_equal(b.len, 4);
	}
	strb_clear(&b);
	assert_int_equal(base64_decode("_-8", 3, &b), 0); /* URL alphabet, no padding */
	assert_int_equal(b.len, 2);
	assert_memory_equal(b.s, "\xff\xef", 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_err_sys_reads_as_go_does),
		cmocka_unit_test(test_err_too_long_is_cut_with_dots),
		cmocka_unit_test(test_strv_grows_and_stays_terminated),
		cmocka_unit_test(test_env_set_replaces),
		cmocka_unit_test(test_vec_add_keeps_elements),
		cmocka_unit_test(test_path_clean_is_lexical),
		cmocka_unit_test(test_time_round_trip),
		cmocka_unit_test(test_durations_are_go_s),
		cmocka_unit_test(test_bytes_count_in_powers_of_1024),
		cmocka_unit_test(test_strmap_has_a_key_or_a_pair),
		cmocka_unit_test(test_numbers_refuse_what_is_not_a_number),
		cmocka_unit_test(test_file_replace_and_read),
		cmocka_unit_test(test_dir_remove_takes_trees_deeper_than_descriptors_and_paths),
		cmocka_unit_test(test_dir_remove_does_not_follow_links),
		cmocka_unit_test(test_open_in_root_does_not_leave_it),
		cmocka_unit_test(test_id_is_64_hex_and_no_number),
		cmocka_unit_test(test_base64_pads_what_is_short),
		cmocka_unit_test(test_base64_reads_both_alphabets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
