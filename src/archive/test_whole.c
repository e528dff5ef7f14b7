/* test_whole.c - layers applied to the tree of the layers below, and copies of trees, on real directories. */
#include "archive/archive.h"
#include "archive/test_tar.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

struct dirs {
	char outer[40]; /* holds "secret" and the target "in" */
	int out, in;
};

static int setup(void **state)
{
	struct dirs *d = xcalloc(1, sizeof *d);

	(void)umask(0);
	memcpy(d->outer, "/var/tmp/hoy-archive-XXXXXX", 28);
	if (!mkdtemp(d->outer))
		return -1;
	d->out = dir_open(AT_FDCWD, d->outer);
	if (mkdirat(d->out, "in", 0755) < 0 || file_write(d->out, "secret", "keep", 4, 0644) < 0)
		return -1;
	d->in = dir_open(d->out, "in");
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct dirs *d = *state;

	fd_closep(&d->in);
	fd_closep(&d->out);
	(void)dir_remove(AT_FDCWD, d->outer);
	free(d);
	return 0;
}

static int apply_with(struct dirs *d, const struct strb *b, size_t chunk, const struct apply_budget *budget,
		      struct apply_result *res, struct err *e)
{
	struct mem_source m;

	mem_source_init(&m, b->s, b->len, chunk);
	return archive_apply(&m.src, d->in, budget, res, e);
}

static void apply(struct dirs *d, const struct strb *b)
{
	struct apply_result res = { 0 };
	struct err e = ERR_INIT;

	if (apply_with(d, b, 1000, &apply_budget_default, &res, &e) < 0)
		fail_msg("%s", e.msg);
	apply_result_done(&res);
}

static struct stat look(struct dirs *d, const char *path)
{
	struct stat st;

	if (fstatat(d->in, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	return st;
}

/* ---- whole trees: the layers below are in the directory already ---- */
static void apply_whole(struct dirs *d, const struct strb *b)
{
	struct apply_budget budget = apply_budget_default;
	struct apply_result res = { 0 };
	struct err e = ERR_INIT;

	budget.whole_tree = true;
	if (apply_with(d, b, 1000, &budget, &res, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(res.opaque.n, 0);
	apply_result_done(&res);
}

static bool there(struct dirs *d, const char *path)
{
	return faccessat(d->in, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_whole_whiteouts_delete_what_is_below(void **state)
{
	struct dirs *d = *state;
	AUTO_STRB struct strb lower = STRB_INIT, upper = STRB_INIT;

	tb_dir(&lower, "gone/deep");
	tb_file(&lower, "gone/deep/file", "x");
	tb_file(&lower, "etc/keep", "x");
	tb_file(&lower, "etc/old", "x");
	tb_end(&lower);
	apply(d, &lower);
	tb_file(&upper, ".wh.gone", "");
	tb_file(&upper, "etc/.wh.old", "");
	tb_file(&upper, "etc/.wh.never", "");
	tb_end(&upper);
	apply_whole(d, &upper);
	assert_false(there(d, "gone"));
	assert_false(there(d, "etc/old"));
	assert_false(there(d, "etc/.wh.old"));
	assert_true(there(d, "etc/keep"));
}

static void test_whole_whiteouts_spare_what_the_layer_brings(void **state)
{
	struct dirs *d = *state;
	AUTO_STRB struct strb lower = STRB_INIT, upper = STRB_INIT;
	AUTO_FREE char *text = NULL;

	tb_file(&lower, "a/old", "x");
	tb_file(&lower, "a/sub/old", "x");
	tb_file(&lower, "b/old", "x");
	tb_file(&lower, "c", "old");
	tb_end(&lower);
	apply(d, &lower);
	/* the marks come after what they must not take away */
	tb_file(&upper, "a/sub/new", "n");
	tb_file(&upper, "a/.wh..wh..opq", "");
	tb_file(&upper, "c", "new");
	tb_file(&upper, ".wh.c", "");
	tb_dir(&upper, "b");
	tb_file(&upper, "b/new", "n");
	tb_file(&upper, ".wh.b", "");
	tb_end(&upper);
	apply_whole(d, &upper);
	assert_true(there(d, "a/sub/new") && there(d, "b/new"));
	assert_false(there(d, "a/old") || there(d, "a/sub/old") || there(d, "b/old"));
	assert_int_equal(file_read(d->in, "c", 10, &text, NULL), 0);
	assert_string_equal(text, "new");
}

/* A whiteout's way must not be a link that leads elsewhere: what is deleted is inside, whatever the layers below have planted. */
static void test_whole_whiteouts_stay_inside(void **state)
{
	struct dirs *d = *state;
	AUTO_STRB struct strb lower = STRB_INIT, upper = STRB_INIT;

	tb_add(&lower, (struct tb_entry){ .type = '2', .name = "way", .link = ".." });
	tb_add(&lower, (struct tb_entry){ .type = '2', .name = "root", .link = "/" });
	tb_end(&lower);
	apply(d, &lower);
	tb_file(&upper, "way/.wh.secret", "");
	tb_file(&upper, "root/.wh.secret", "");
	tb_file(&upper, "way/.wh..wh..opq", "");
	tb_end(&upper);
	apply_whole(d, &upper);
	assert_int_equal(faccessat(d->out, "secret", F_OK, 0), 0);
}

static void test_whole_directories_get_this_layers_attributes(void **state)
{
	struct dirs *d = *state;
	AUTO_STRB struct strb upper = STRB_INIT;
	AUTO_FREE char *path = xasprintf("%s/in/dir", d->outer);
	char got[8];

	assert_int_equal(mkdirat(d->in, "dir", 0700), 0);
	assert_int_equal(setxattr(path, "user.old", "1", 1, 0), 0);
	tb_add(&upper, (struct tb_entry){ .type = '5', .name = "dir", .mode = 0751, .uid = 7 });
	tb_end(&upper);
	apply_whole(d, &upper);
	assert_int_equal(look(d, "dir").st_mode & 07777, 0751);
	assert_int_equal(look(d, "dir").st_uid, 7);
	assert_true(getxattr(path, "user.old", got, sizeof got) < 0);
}

/* ---- copies ---- */
static void test_a_copy_has_all_that_the_original_has(void **state)
{
	struct dirs *d = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_FREE char *path = xasprintf("%s/in/t/file", d->outer);
	AUTO_FREE char *copied = xasprintf("%s/copy/t/file", d->outer);
	struct copy_result res = { 0 };
	struct err e = ERR_INIT;
	AUTO_FD int to = -1;
	struct stat a, c;
	char got[8] = "";

	tb_add(&b, (struct tb_entry){ .type = '5', .name = "t", .mode = 01770, .uid = 3, .gid = 4, .mtime = 1000 });
	tb_add(&b, (struct tb_entry){ .type = '0',
				      .name = "t/file",
				      .mode = 04755,
				      .uid = 5,
				      .gid = 6,
				      .mtime = 77,
				      .data = "hello",
				      .n = 5 });
	tb_add(&b, (struct tb_entry){ .type = '1', .name = "t/twin", .link = "t/file" });
	tb_add(&b, (struct tb_entry){ .type = '2', .name = "t/link", .link = "/etc/passwd", .mtime = 5 });
	tb_add(&b, (struct tb_entry){ .type = '3', .name = "t/null", .major = 1, .minor = 3, .mode = 0666 });
	tb_add(&b, (struct tb_entry){ .type = '6', .name = "t/fifo" });
	tb_end(&b);
	apply(d, &b);
	assert_int_equal(setxattr(path, "user.x", "yes", 3, 0), 0);
	{
		AUTO_FD int sparse = openat(d->in, "sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		assert_int_equal(pwrite(sparse, "end", 3, 50 << 20), 3);
	}
	assert_int_equal(mkdirat(d->out, "copy", 0700), 0);
	to = dir_open(d->out, "copy");
	if (archive_copy(d->in, to, true, &res, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(fstatat(to, "t", &c, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(c.st_mode & 07777, 01770);
	assert_int_equal(c.st_mtim.tv_sec, 1000);
	assert_int_equal(fstatat(to, "t/file", &c, 0), 0);
	assert_int_equal(c.st_mode & 07777, 04755);
	assert_int_equal(c.st_uid, 5);
	assert_int_equal(c.st_mtim.tv_sec, 77);
	assert_int_equal(fstatat(to, "t/twin", &a, 0), 0);
	assert_int_equal(a.st_ino, c.st_ino);
	assert_int_equal(c.st_nlink, 2);
	assert_int_equal(getxattr(copied, "user.x", got, sizeof got), 3);
	assert_int_equal(fstatat(to, "t/link", &c, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(c.st_mode) && c.st_mtim.tv_sec == 5);
	assert_int_equal(fstatat(to, "t/null", &c, 0), 0);
	assert_true(S_ISCHR(c.st_mode) && c.st_rdev == makedev(1, 3));
	assert_int_equal(fstatat(to, "t/fifo", &c, 0), 0);
	assert_true(S_ISFIFO(c.st_mode));
	assert_int_equal(fstatat(to, "sparse", &c, 0), 0);
	assert_int_equal(c.st_size, (50 << 20) + 3);
	assert_true(c.st_blocks < 2048);
}

static void test_a_copy_leaves_what_is_there(void **state)
{
	struct dirs *d = *state;
	AUTO_FREE char *text = NULL;
	AUTO_FD int to = -1;

	assert_int_equal(dir_make(d->in, "etc/dir", 0755), 0);
	assert_int_equal(file_write(d->in, "etc/dir/f", "new", 3, 0644), 0);
	assert_int_equal(file_write(d->in, "etc/other", "new", 3, 0644), 0);
	assert_int_equal(dir_make(d->out, "copy/etc", 0700), 0);
	to = dir_open(d->out, "copy");
	assert_int_equal(file_write(to, "etc/other", "old", 3, 0644), 0);
	assert_int_equal(symlinkat("/", to, "etc/dir"), 0); /* must not be followed */
	assert_int_equal(archive_copy(d->in, to, false, NULL, NULL), 0);
	assert_int_equal(file_read(to, "etc/other", 10, &text, NULL), 0);
	assert_string_equal(text, "old");
	assert_true(faccessat(AT_FDCWD, "/f", F_OK, 0) < 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_whole_whiteouts_delete_what_is_below), T(test_whole_whiteouts_spare_what_the_layer_brings),
		T(test_whole_whiteouts_stay_inside),          T(test_whole_directories_get_this_layers_attributes),
		T(test_a_copy_has_all_that_the_original_has), T(test_a_copy_leaves_what_is_there),
	};

	if (geteuid() != 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
