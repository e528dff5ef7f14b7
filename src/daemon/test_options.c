/* One promise a test. */
#include "daemon/options.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int parse(const char *a, const char *b, const char *c, struct daemon_options *ret, struct err *e)
{
	char *argv[] = { (char *)"hoyd", (char *)a, (char *)b, (char *)c, NULL };

	return daemon_options_parse(a ? b ? c ? 4 : 3 : 2 : 1, argv, ret, e);
}

static void test_values_follow_their_name_or_an_equals_sign(void **state UNUSED)
{
	AUTO_DAEMON_OPTIONS struct daemon_options o = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(parse("--data-root=/x", "-H", "unix:///y", &o, &e), 0);
	assert_string_equal(o.data_root, "/x");
	assert_int_equal(o.hosts.n, 1);
	assert_true(o.icc);
}

static void test_false_switches_off(void **state UNUSED)
{
	AUTO_DAEMON_OPTIONS struct daemon_options o = { 0 };

	assert_int_equal(parse("--icc=false", "-D", NULL, &o, NULL), 0);
	assert_false(o.icc);
	assert_true(o.debug);
}

static void test_unknown_and_unsupported_options_are_refused(void **state UNUSED)
{
	struct daemon_options o = { 0 };
	struct err e = ERR_INIT;

	assert_true(parse("--nosuch", NULL, NULL, &o, &e) < 0);
	assert_non_null(strstr(e.msg, "unknown flag: --nosuch"));
	assert_true(parse("--tlsverify", "x", NULL, &o, &e) < 0);
	assert_non_null(strstr(e.msg, "not supported"));
	assert_true(parse("--bip", NULL, NULL, &o, &e) < 0);
	assert_non_null(strstr(e.msg, "needs an argument"));
	assert_true(parse("serve", NULL, NULL, &o, &e) < 0);
}

static int with_file(const char *text, const char *extra, struct daemon_options *ret, struct err *e)
{
	char path[] = "/tmp/hoy-daemon-XXXXXX";
	int fd = mkstemp(path);
	AUTO_FREE char *option = xasprintf("--config-file=%s", path);
	int r;

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	(void)close(fd);
	r = parse(option, extra, NULL, ret, e);
	(void)unlink(path);
	return r;
}

static void test_the_file_sets_what_the_command_line_does_not(void **state UNUSED)
{
	AUTO_DAEMON_OPTIONS struct daemon_options o = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(
		with_file(
			"{\"mtu\": 1400, \"icc\": false, \"dns\": [\"1.2.3.4\"], \"log-opts\": {\"max-size\": \"1m\"},"
			"\"default-address-pools\": [{\"base\": \"10.0.0.0/8\", \"size\": 24}]}",
			"--bip=10.1.0.1/24", &o, &e),
		0);
	assert_string_equal(o.mtu, "1400");
	assert_false(o.icc);
	assert_string_equal(o.dns.v[0], "1.2.3.4");
	assert_string_equal(o.log_opts.v[0], "max-size=1m");
	assert_string_equal(o.default_address_pools.v[0], "base=10.0.0.0/8,size=24");
	assert_int_equal(daemon_options_check(&o, &e), 0);
}

static void test_a_bad_file_is_refused(void **state UNUSED)
{
	struct daemon_options o = { 0 };
	struct err e = ERR_INIT;

	assert_true(with_file("{\"nosuch\": 1}", NULL, &o, &e) < 0);
	assert_non_null(strstr(e.msg, "don't match any configuration option: nosuch"));
	assert_true(with_file("{\"mtu\": ", NULL, &o, &e) < 0);
	assert_true(with_file("{\"mtu\": 1400}", "--mtu=1300", &o, &e) < 0);
	assert_non_null(strstr(e.msg, "both as a flag and in the configuration file"));
	assert_true(with_file("{\"icc\": \"no\"}", NULL, &o, &e) < 0);
}

static void test_values_are_checked(void **state UNUSED)
{
	static const char *const bad[] = {
		"--mtu=x",   "--mtu=70000",         "--log-level=loud",      "--host=ftp://x",
		"--label=x", "--log-driver=syslog", "--default-runtime=kata"
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO_DAEMON_OPTIONS struct daemon_options o = { 0 };

		assert_int_equal(parse(bad[i], NULL, NULL, &o, NULL), 0);
		assert_true(daemon_options_check(&o, NULL) < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_follow_their_name_or_an_equals_sign),
		cmocka_unit_test(test_false_switches_off),
		cmocka_unit_test(test_unknown_and_unsupported_options_are_refused),
		cmocka_unit_test(test_the_file_sets_what_the_command_line_does_not),
		cmocka_unit_test(test_a_bad_file_is_refused),
		cmocka_unit_test(test_values_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
