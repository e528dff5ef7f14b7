/* One promise a test; real files in a temporary folder. */
#include "db/db.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <cmocka.h>

static char folder[64];

static int setup(void **state UNUSED)
{
	memcpy(folder, "/tmp/hoy-db-XXXXXX", 19);
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state UNUSED)
{
	return dir_remove(AT_FDCWD, folder);
}

static void test_documents_survive_reopening(void **state UNUSED)
{
	struct db *db = NULL;
	AUTO_FREE char *text = NULL;

	assert_int_equal(db_open(folder, &db, NULL), 0);
	assert_int_equal(db_put_one(db, DB_CONTAINERS, "a", "{\"x\":1}", NULL), 0);
	assert_int_equal(db_put_one(db, DB_CONTAINERS, "a", "{\"x\":2}", NULL), 0);
	assert_int_equal(db_put_one(db, DB_CONTAINERS, "b", "{}", NULL), 0);
	assert_int_equal(db_del_one(db, DB_CONTAINERS, "b", NULL), 0);
	db_close(db);
	assert_int_equal(db_open(folder, &db, NULL), 0);
	assert_int_equal(db_get(db, DB_CONTAINERS, "a", &text, NULL), 0);
	assert_string_equal(text, "{\"x\":2}");
	assert_int_equal(db_get(db, DB_CONTAINERS, "b", &text, NULL), -ENOENT);
	db_close(db);
}

static void *many_commits(void *arg)
{
	struct db *db = arg;

	for (int i = 0; i < 50; i++) {
		AUTO_FREE char *key = xasprintf("%lx-%d", (unsigned long)pthread_self(), i);

		if (db_put_one(db, DB_IMAGES, key, "{}", NULL) < 0)
			return (void *)1;
	}
	return NULL;
}

static int count(void *ctx, const char *key UNUSED, const char *text UNUSED, struct err *e UNUSED)
{
	++*(int *)ctx;
	return 0;
}

static void test_eight_threads_lose_no_commit(void **state UNUSED)
{
	struct db *db = NULL;
	pthread_t t[8];
	int n = 0;

	assert_int_equal(db_open(folder, &db, NULL), 0);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&t[i], NULL, many_commits, db), 0);
	for (size_t i = 0; i < 8; i++) {
		void *bad = NULL;

		assert_int_equal(pthread_join(t[i], &bad), 0);
		assert_null(bad);
	}
	assert_int_equal(db_each(db, DB_IMAGES, count, &n, NULL), 0);
	assert_int_equal(n, 400);
	db_close(db);
}

static void killed_writer(bool lazy)
{
	int p[2], seen = -1, status = 0, n = 0;
	struct db *db = NULL;
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	pid = fork();
	if (pid == 0) {
		(void)close(p[0]);
		if (db_open(folder, &db, NULL) < 0)
			_exit(1);
		for (int i = 0;; i++) {
			char key[16];
			AUTO_DB_BATCH struct db_batch b = { .lazy = lazy };

			(void)snprintf(key, sizeof key, "%06d", i);
			db_put(&b, DB_LAYERS, key, "{}");
			if (db_commit(db, &b, NULL) < 0)
				_exit(1);
			(void)!write(p[1], &i, sizeof i);
		}
	}
	(void)close(p[1]);
	for (int i = 0; i < 20; i++)
		assert_int_equal(read(p[0], &seen, sizeof seen), sizeof seen);
	assert_int_equal(kill(pid, SIGKILL), 0);
	while (read(p[0], &seen, sizeof seen) == sizeof seen)
		;
	(void)close(p[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(db_open(folder, &db, NULL), 0);
	assert_int_equal(db_each(db, DB_LAYERS, count, &n, NULL), 0);
	assert_true(n >= seen + 1);
	db_close(db);
}

static void test_a_killed_writer_loses_nothing_committed(void **state UNUSED)
{
	killed_writer(false);
}

static void test_a_killed_writer_loses_no_lazy_commit(void **state UNUSED)
{
	killed_writer(true);
}

/* In a child with a mount namespace of its own: a file system of 2 MiB that something else has filled. */
static int on_a_full_disk(void)
{
	struct db *db = NULL;
	AUTO_FREE char *filler = path_join(folder, "filler");
	AUTO_FREE char *big = xcalloc(65536, 1);
	AUTO_FREE char *text = NULL;
	int fd;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0 ||
	    mount("tmpfs", folder, "tmpfs", 0, "size=2m") < 0)
		return 2;
	if (db_open(folder, &db, NULL) < 0 || db_put_one(db, DB_CONTAINERS, "a", "{}", NULL) < 0)
		return 3;
	fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (write(fd, big, 65536) > 0 || write(fd, big, 4096) > 0)
		;
	(void)close(fd);
	memset(big, 'x', 65535);
	if (db_put_one(db, DB_CONTAINERS, "b", big, NULL) != -ENOSPC)
		return 4;
	if (db_get(db, DB_CONTAINERS, "a", &text, NULL) < 0)
		return 5;
	if (db_del_one(db, DB_CONTAINERS, "a", NULL) < 0)
		return 6;
	(void)unlink(filler);
	if (db_put_one(db, DB_CONTAINERS, "b", big, NULL) < 0)
		return 7;
	db_close(db);
	return 0;
}

static void test_a_full_disk_refuses_to_grow_and_still_lets_go(void **state UNUSED)
{
	int status = 0;
	pid_t pid;

	if (geteuid() != 0) {
		print_message("needs root to mount a small tmpfs\n");
		skip();
	}
	pid = fork();
	if (pid == 0)
		_exit(on_a_full_disk());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_writes_follow_the_tables_of_a_driver(void **state UNUSED)
{
	struct db *db = NULL;
	AUTO_FREE char *first = NULL;
	AUTO_FREE char *other = NULL;

	assert_int_equal(db_open(folder, &db, NULL), 0);
	assert_int_equal(db_put_one(db, DB_IMAGES, "a", "{}", NULL), 0);
	assert_int_equal(db_put_one(db, DB_IMAGES, "b", "{}", NULL), 0);
	assert_int_equal(db_del_one(db, DB_IMAGES, "b", NULL), 0);
	assert_int_equal(db_scope(db, "vfs", NULL), 0);
	assert_int_equal(db_put_one(db, DB_IMAGES, "a", "{\"x\":2}", NULL), 0);
	assert_int_equal(db_get(db, DB_IMAGES, "a", &other, NULL), 0);
	assert_string_equal(other, "{\"x\":2}");
	assert_int_equal(db_del_one(db, DB_IMAGES, "a", NULL), 0);
	db_close(db);
	assert_int_equal(db_open(folder, &db, NULL), 0);
	assert_int_equal(db_get(db, DB_IMAGES, "a", &first, NULL), 0);
	assert_string_equal(first, "{}");
	db_close(db);
}

static void test_a_newer_schema_is_refused(void **state UNUSED)
{
	struct db *db = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(db_open(folder, &db, NULL), 0);
	assert_int_equal(db_put_one(db, DB_META, "schema", "99", NULL), 0);
	db_close(db);
	assert_true(db_open(folder, &db, &e) < 0);
	assert_non_null(strstr(e.msg, "newer hoyd"));
}

static void test_rubbish_in_the_file_is_an_error(void **state UNUSED)
{
	AUTO_FREE char *path = path_join(folder, "hoy.db");
	char rubbish[8192];
	struct db *db = NULL;
	struct err e = ERR_INIT;

	memset(rubbish, 'x', sizeof rubbish);
	assert_int_equal(file_write(AT_FDCWD, path, rubbish, sizeof rubbish, 0600), 0);
	assert_true(db_open(folder, &db, &e) < 0);
	assert_non_null(strstr(e.msg, "hoy.db"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_documents_survive_reopening, setup, teardown),
		cmocka_unit_test_setup_teardown(test_eight_threads_lose_no_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_killed_writer_loses_nothing_committed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_killed_writer_loses_no_lazy_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_full_disk_refuses_to_grow_and_still_lets_go, setup, teardown),
		cmocka_unit_test_setup_teardown(test_writes_follow_the_tables_of_a_driver, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_newer_schema_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rubbish_in_the_file_is_an_error, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
