/* One promise a test; real files in a temporary folder. */
#include "volume/volume.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[64];
static char *kept; /* the last record saved */
static int refuse;

static int save(void *ctx UNUSED, const char *name UNUSED, const char *json, struct err *e)
{
	if (refuse)
		return err_set(e, ERR_SYSTEM, "disk full");
	free(kept);
	kept = xstrdup(json);
	return 0;
}

static int forget(void *ctx UNUSED, const char *name UNUSED, struct err *e)
{
	return refuse ? err_set(e, ERR_SYSTEM, "disk full") : 0;
}

static const struct volume_store store = { .save = save, .remove = forget };

static int setup(void **state)
{
	memcpy(folder, "/tmp/hoy-vol-XXXXXX", 20);
	refuse = 0;
	if (!mkdtemp(folder))
		return -1;
	return volumes_open(folder, &store, (struct volumes **)state, NULL);
}

static int teardown(void **state)
{
	volumes_free(*state);
	free(TAKE_PTR(kept));
	return dir_remove(AT_FDCWD, folder);
}

static void test_a_name_is_made_once(void **state)
{
	struct volume_record a = { 0 }, b = { 0 };
	AUTO_FREE char *path = volume_path(*state, "data");
	struct stat st;

	assert_int_equal(volume_create(*state, &(struct volume_req){ .name = "data" }, &a, NULL), 0);
	assert_int_equal(volume_create(*state, &(struct volume_req){ .name = "data" }, &b, NULL), 0);
	assert_string_equal(a.created, b.created);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	json_done(&volume_record_type, &a);
	json_done(&volume_record_type, &b);
}

static void test_bad_names_and_drivers_are_refused(void **state)
{
	static const char *const bad[] = { "a", "../x", "a/b", "-x", "a b" };
	struct volume_record v = { 0 };
	struct err e = ERR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_true(volume_create(*state, &(struct volume_req){ .name = bad[i] }, &v, &e) < 0);
		assert_int_equal(e.kind, ERR_INVALID);
	}
	assert_true(volume_create(*state, &(struct volume_req){ .name = "ok", .driver = "nfs" }, &v, &e) < 0);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

static void test_what_was_not_recorded_does_not_exist(void **state)
{
	AUTO_FREE char *path = volume_path(*state, "lost");
	struct volume_record v = { 0 };

	refuse = 1;
	assert_true(volume_create(*state, &(struct volume_req){ .name = "lost" }, &v, NULL) < 0);
	assert_true(volume_get(*state, "lost", &v, NULL) < 0);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_removed_with_its_files(void **state)
{
	struct volume_record v = { 0 };
	AUTO_FREE char *path = volume_path(*state, "gone");

	assert_int_equal(volume_create(*state, &(struct volume_req){ .name = "gone" }, &v, NULL), 0);
	json_done(&volume_record_type, &v);
	assert_int_equal(volume_remove(*state, "gone", NULL), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(volume_remove(*state, "gone", NULL), -ENOENT);
}

static bool there(const char *path)
{
	AUTO_FREE char *full = path_join(folder, path);
	struct stat st;

	return stat(full, &st) == 0;
}

static void make(const char *path)
{
	AUTO_FREE char *full = path_join(folder, path);

	assert_int_equal(dir_make(AT_FDCWD, full, 0755), 0);
}

static void test_what_a_crash_cut_short_is_finished_or_undone(void **state)
{
	struct volume_record v = { 0 };

	assert_int_equal(volume_create(*state, &(struct volume_req){ .name = "made" }, &v, NULL), 0);
	json_done(&volume_record_type, &v);
	make(".new/never-recorded/_data");
	make(".gone/record-removed/_data");
	make("nobody-knows-whose/_data");
	/* recorded, but not at its place yet or not any more */
	{
		AUTO_FREE char *from = path_join(folder, "made");
		AUTO_FREE char *to = path_join(folder, ".gone/made");

		assert_int_equal(rename(from, to), 0);
	}
	assert_false(there("made/_data"));
	volumes_sweep(*state);
	assert_true(there("made/_data"));
	assert_true(there("nobody-knows-whose/_data")); /* data without a record may be all that a lost database left */
	assert_false(there(".new/never-recorded") || there(".gone/record-removed") || there(".gone/made"));
}

static void test_a_record_that_cannot_be_removed_keeps_its_files(void **state)
{
	struct volume_record v = { 0 };

	assert_int_equal(volume_create(*state, &(struct volume_req){ .name = "kept" }, &v, NULL), 0);
	json_done(&volume_record_type, &v);
	refuse = 1;
	assert_true(volume_remove(*state, "kept", NULL) < 0);
	assert_true(there("kept/_data"));
	refuse = 0;
	assert_int_equal(volume_remove(*state, "kept", NULL), 0);
	assert_false(there("kept") || there(".gone/kept"));
}

static void test_records_come_back(void **state)
{
	struct volume_record v = { 0 };
	struct volumes *again = NULL;

	assert_int_equal(volume_create(*state, &(struct volume_req){ .name = NULL }, &v, NULL), 0);
	assert_true(v.anonymous && hex_valid(v.name, 64));
	assert_int_equal(volumes_open(folder, &store, &again, NULL), 0);
	assert_int_equal(volumes_restore(again, kept, NULL), 0);
	json_done(&volume_record_type, &v);
	{
		struct volume_record *all = NULL;
		size_t n = 0;

		assert_int_equal(volume_list(again, &all, &n), 0);
		assert_int_equal(n, 1);
		assert_true(all[0].anonymous);
		json_done(&volume_record_type, &all[0]);
		free(all);
	}
	volumes_free(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_name_is_made_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_names_and_drivers_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_was_not_recorded_does_not_exist, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed_with_its_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_a_crash_cut_short_is_finished_or_undone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_record_that_cannot_be_removed_keeps_its_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_records_come_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
