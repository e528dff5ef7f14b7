/* Promises of the journal (core.h). */
#include "shim/core.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <sys/stat.h>

static char temp[64];
static int dir = -1;

static int setup(void **state)
{
	(void)snprintf(temp, sizeof temp, "/tmp/hoy-journal-XXXXXX");
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

static void test_events_come_back_with_their_numbers(void **state)
{
	struct journal j;

	assert_int_equal(journal_open(&j, dir, "journal"), 0);
	journal_known(&j, 41); /* hoyd has heard of an earlier life */
	assert_int_equal(journal_add(&j, SHIM_EV_START, NULL, 7, 0, NULL)->seq, 42);
	assert_int_equal(journal_add(&j, SHIM_EV_EXIT, NULL, 3, 0, "why")->seq, 43);
	assert_int_equal(journal_sync(&j), 0);
	journal_done(&j);
	assert_int_equal(journal_open(&j, dir, "journal"), 0);
	assert_int_equal(j.events.n, 2);
	assert_int_equal(j.newest, 43);
	assert_int_equal(j.events.v[1].what, SHIM_EV_EXIT);
	journal_known(&j, 42);
	assert_int_equal(j.events.n, 1);
	journal_known(&j, 43);
	{
		struct stat st = { 0 };

		assert_int_equal(fstatat(dir, "journal", &st, 0), 0);
		assert_int_equal(st.st_size, 0);
	}
	assert_int_equal(journal_add(&j, SHIM_EV_START, NULL, 7, 0, NULL)->seq, 44);
	journal_done(&j);
}

static void test_every_cut_of_the_file_is_a_prefix(void **state)
{
	AUTO_FREE char *text = NULL;
	struct journal j;
	size_t n = 0, last = 0;

	assert_int_equal(journal_open(&j, dir, "journal"), 0);
	for (int i = 0; i < 5; i++)
		(void)journal_add(&j, SHIM_EV_EXEC_EXIT, "exec", i, 0, NULL);
	journal_done(&j);
	assert_int_equal(file_read(dir, "journal", 1 << 20, &text, &n), 0);
	for (size_t cut = 0; cut <= n; cut++) {
		assert_int_equal(file_write(dir, "journal", text, cut, 0600), 0);
		assert_int_equal(journal_open(&j, dir, "journal"), 0);
		assert_true(j.events.n == last || j.events.n == last + 1);
		last = j.events.n;
		journal_done(&j);
	}
	assert_int_equal(last, 5);
	for (size_t i = 0; i < n; i++) { /* a flipped bit ends it, and never makes events */
		text[i] ^= 4;
		assert_int_equal(file_write(dir, "journal", text, n, 0600), 0);
		text[i] ^= 4;
		assert_int_equal(journal_open(&j, dir, "journal"), 0);
		assert_true(j.events.n < 5);
		journal_done(&j);
	}
}

static void test_it_is_bounded_and_keeps_exits(void **state)
{
	struct journal j;
	struct stat st = { 0 };
	size_t exits = 0;

	assert_int_equal(journal_open(&j, dir, "journal"), 0);
	(void)journal_add(&j, SHIM_EV_EXIT, NULL, 1, 0, NULL);
	for (int i = 0; i < 30000; i++)
		(void)journal_add(&j, SHIM_EV_EXEC_EXIT, "0123456789", i, 0, NULL);
	assert_int_equal(j.events.n, JOURNAL_EVENTS_MAX);
	assert_int_equal(fstatat(dir, "journal", &st, 0), 0);
	assert_true(st.st_size < 2 << 20);
	journal_done(&j);
	assert_int_equal(journal_open(&j, dir, "journal"), 0);
	for (size_t i = 0; i < j.events.n; i++)
		exits += j.events.v[i].what == SHIM_EV_EXIT;
	assert_int_equal(exits, 1);
	assert_int_equal(j.newest, 30001);
	journal_done(&j);
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(test_events_come_back_with_their_numbers),
		EACH(test_every_cut_of_the_file_is_a_prefix),
		EACH(test_it_is_bounded_and_keeps_exits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
