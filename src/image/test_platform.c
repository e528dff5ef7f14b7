/* test_platform.c - platforms are read as Docker's clients write them. */
#include "image/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_names_of_platforms_are_understood(void **state)
{
	static const struct {
		const char *text, *os, *architecture, *variant;
	} rows[] = {
		{ "linux/amd64", "linux", "amd64", NULL },
		{ "LINUX/X86_64", "linux", "amd64", NULL },
		{ "linux/arm/7", "linux", "arm", "v7" },
		{ "armhf", "linux", "arm", NULL },
		{ "armel", "linux", "arm", "v6" },
		{ "aarch64", "linux", "arm64", NULL },
		{ "macos/arm64", "darwin", "arm64", NULL },
		{ "linux/arm64/v8", "linux", "arm64", "v8" },
		{ "windows(10.0)/amd64", "windows", "amd64", NULL },
		{ "a/b", "a", "b", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct image_platform p = { 0 };

		assert_int_equal(image_platform_parse(rows[i].text, &p, NULL), 0);
		assert_string_equal(p.os, rows[i].os);
		assert_string_equal(p.architecture, rows[i].architecture);
		if (rows[i].variant)
			assert_string_equal(p.variant, rows[i].variant);
		else
			assert_null(p.variant);
		image_platform_done(&p);
	}
}

static void test_what_is_no_platform_is_refused_in_dockers_words(void **state)
{
	static const struct {
		const char *text, *said;
	} rows[] = {
		{ "odd", "\"odd\": unknown operating system or architecture: invalid argument" },
		{ "a/b/c/d", "\"a/b/c/d\": cannot parse platform specifier: invalid argument" },
		{ "a/b/c/d/e",
		  "\"d/e\" is an invalid component of \"a/b/c/d/e\": platform specifier component must match "
		  "\"^[A-Za-z0-9_.-]+$\": invalid argument" },
		{ "linux/", "\"\" is an invalid component of \"linux/\": platform specifier component must match "
			    "\"^[A-Za-z0-9_.-]+$\": invalid argument" },
		{ "linux/*", "\"linux/*\": wildcards not yet supported: invalid argument" },
		{ "a b", "\"a b\" is an invalid OS component of \"a b\": OSAndVersion specifier component must match "
			 "\"^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.%-]*)((?:\\\\+[A-Za-z0-9_.%-]+)*)\\\\))?$\": invalid "
			 "argument" },
		{ "", "\"\" is an invalid OS component of \"\": OSAndVersion specifier component must match "
		      "\"^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.%-]*)((?:\\\\+[A-Za-z0-9_.%-]+)*)\\\\))?$\": invalid "
		      "argument" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct image_platform p = { 0 };
		struct err e = ERR_INIT;

		assert_true(image_platform_parse(rows[i].text, &p, &e) < 0);
		assert_string_equal(e.msg, rows[i].said);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void test_an_image_runs_on_its_platform_only(void **state)
{
	static char linux_os[] = "linux", arm[] = "arm", v6[] = "v6", amd64[] = "amd64";
	struct image i = { .oci = { .os = linux_os, .architecture = arm, .variant = v6 } };
	struct image_platform v5 = { .os = linux_os, .architecture = arm, .variant = (char[]){ "v5" } },
			      any = { .os = linux_os, .architecture = arm },
			      other = { .os = linux_os, .architecture = amd64 };

	assert_true(image_platform_runs(&any, &i));
	assert_false(image_platform_runs(&v5, &i));
	assert_false(image_platform_runs(&other, &i));
	i.oci.architecture = NULL;
	assert_true(image_platform_runs(&other, &i));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_platforms_are_understood),
		cmocka_unit_test(test_what_is_no_platform_is_refused_in_dockers_words),
		cmocka_unit_test(test_an_image_runs_on_its_platform_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
