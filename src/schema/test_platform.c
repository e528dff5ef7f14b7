/* test_platform.c - which platform an image is taken for. */
#include "schema/platform.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static char *parsed(const char *text)
{
	struct oci_platform p = { 0 };
	struct err e = ERR_INIT;
	char *out;

	if (platform_parse(text, &p, &e) < 0)
		return xstrdup(e.msg);
	out = platform_text(&p);
	json_done(&oci_platform_type, &p);
	return out;
}

static int match(const char *want, const char *have)
{
	struct oci_platform w = { 0 }, h = { 0 };
	int r;

	assert_int_equal(platform_parse(want, &w, NULL), 0);
	assert_int_equal(platform_parse(have, &h, NULL), 0);
	r = platform_match(&w, &h);
	json_done(&oci_platform_type, &w);
	json_done(&oci_platform_type, &h);
	return r;
}

static void assert_parsed(const char *text, const char *want)
{
	AUTO_FREE char *got = parsed(text);

	assert_string_equal(got, want);
}

static void test_names_are_normalised(void **state)
{
	assert_parsed("linux/x86_64", "linux/amd64");
	assert_parsed("Linux/AArch64", "linux/arm64");
	assert_parsed("linux/arm64/v8", "linux/arm64");
	assert_parsed("linux/arm", "linux/arm/v7");
	assert_parsed("linux/arm/6", "linux/arm/v6");
	assert_parsed("linux/armel", "linux/arm/v6");
	assert_parsed("arm64", "linux/arm64");
	assert_parsed("linux/i386", "linux/386");
	assert_parsed("windows(10.0)/amd64", "windows/amd64");
}

static void test_nonsense_is_refused(void **state)
{
	assert_parsed("foo", "\"foo\": unknown operating system or architecture: invalid argument");
	assert_parsed("linux/arm/v7/x", "\"linux/arm/v7/x\": cannot parse platform specifier: invalid argument");
	assert_parsed("linux/a b",
		      "\"a b\" is an invalid component of \"linux/a b\": platform specifier component must match "
		      "\"^[A-Za-z0-9_.-]+$\": invalid argument");
	assert_parsed("a/b/c/d/e",
		      "\"d/e\" is an invalid component of \"a/b/c/d/e\": platform specifier component must match "
		      "\"^[A-Za-z0-9_.-]+$\": invalid argument");
	assert_parsed("linux/*", "\"linux/*\": wildcards not yet supported: invalid argument");
	assert_parsed("a b",
		      "\"a b\" is an invalid OS component of \"a b\": OSAndVersion specifier component must match "
		      "\"^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.%-]*)((?:\\\\+[A-Za-z0-9_.%-]+)*)\\\\))?$\": invalid "
		      "argument");
}

static void test_older_variants_serve_in_order(void **state)
{
	assert_int_equal(match("linux/arm/v7", "linux/arm/v7"), 0);
	assert_int_equal(match("linux/arm/v7", "linux/arm/v6"), 1);
	assert_int_equal(match("linux/arm/v7", "linux/arm/v5"), 2);
	assert_int_equal(match("linux/arm/v6", "linux/arm/v7"), -1);
	assert_int_equal(match("linux/amd64/v3", "linux/amd64"), 2);
	assert_int_equal(match("linux/amd64", "linux/amd64/v2"), -1);
	assert_true(match("linux/arm64", "linux/arm/v7") > 0);
	assert_true(match("linux/amd64", "linux/386") > 0);
	assert_int_equal(match("linux/386", "linux/amd64"), -1);
	assert_int_equal(match("linux/amd64", "windows/amd64"), -1);
}

static void test_this_machine_takes_its_own(void **state)
{
	struct oci_platform here = { 0 };

	platform_here(&here);
	assert_int_equal(platform_match(&here, &here), 0);
	assert_int_equal(platform_match(&here, NULL), PLATFORM_UNSAID);
	json_done(&oci_platform_type, &here);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_are_normalised),
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_older_variants_serve_in_order),
		cmocka_unit_test(test_this_machine_takes_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
