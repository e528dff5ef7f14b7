/* act: a plan becomes a process, and leaves nothing behind. Runs as root, for real. */
#include "act/fixture.h"

static void test_exit_code_comes_back(void **state)
{
	struct fx f;

	NEEDS_ROOT();
	fx_init(&f);
	fx_run(&f, "echo hello; exit 42");
	assert_string_equal(f.out, "hello\n");
	assert_int_equal(f.exit_code, 42);
}

static void test_it_is_pid_1_on_its_own_host_name(void **state)
{
	struct fx f;

	NEEDS_ROOT();
	fx_init(&f);
	fx_run(&f, "echo $$; hostname; pwd; echo $HOME");
	assert_string_equal(f.out, "1\nbox\n/\n/root\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit_code_comes_back),
		cmocka_unit_test(test_it_is_pid_1_on_its_own_host_name),
	};

	return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
