/* test_erofs.c - images of layers are what the same archives make of directories: judged by the kernel, which mounts them, and by
 * fsck.erofs where it is installed. */
#include "archive/archive.h"
#include "archive/recipe.h"
#include "archive/test_tar.h"
#include "base/kernel.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

struct dirs {
	char outer[40];
	int out, in; /* in: what archive_apply() makes */
	int image, mounted;
};

static int setup(void **state)
{
	struct dirs *d = xcalloc(1, sizeof *d);

	(void)umask(0);
	memcpy(d->outer, "/var/tmp/hoy-erofs-XXXXXX", 26);
	if (!mkdtemp(d->outer))
		return -1;
	d->out = dir_open(AT_FDCWD, d->outer);
	if (mkdirat(d->out, "in", 0755) < 0)
		return -1;
	d->in = dir_open(d->out, "in");
	d->image = openat(d->out, "image", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	d->mounted = -1;
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct dirs *d = *state;

	fd_closep(&d->in);
	fd_closep(&d->mounted);
	fd_closep(&d->image);
	fd_closep(&d->out);
	(void)dir_remove(AT_FDCWD, d->outer);
	free(d);
	return 0;
}

/* The kernel's answer, and fsck's. False: this kernel cannot mount a file. */
static bool mount_image(struct dirs *d)
{
	AUTO_FREE char *path = xasprintf("%s/image", d->outer);
	AUTO_FREE char *fsck = xasprintf("fsck.erofs %s >/dev/null 2>&1", path);
	AUTO_FD int fs = sys_fsopen("erofs", K_FSOPEN_CLOEXEC), mnt = -1;
	int status = system(fsck); /* NOLINT(cert-env33-c) */

	if (WIFEXITED(status) && WEXITSTATUS(status) != 127)
		assert_int_equal(WEXITSTATUS(status), 0);
	if (fs < 0 || sys_fsconfig(fs, K_FSCONFIG_SET_STRING, "source", path, 0) < 0)
		return false;
	if (sys_fsconfig(fs, K_FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
		if (errno == ENOTBLK)
			return false;
		fail_msg("the kernel does not mount it: %s", strerror(errno));
	}
	mnt = sys_fsmount(fs, K_FSMOUNT_CLOEXEC, K_MOUNT_ATTR_RDONLY);
	assert_true(mnt >= 0);
	d->mounted = mnt;
	mnt = -1;
	return true;
}

static void make(struct dirs *d, const struct strb *b, struct recipe *recipe)
{
	struct apply_result res = { 0 };
	struct mem_source m;
	struct err e = ERR_INIT;

	mem_source_init(&m, b->s, b->len, 777);
	if (archive_erofs(&m.src, d->image, &apply_budget_default, recipe, &res, &e) < 0)
		fail_msg("%s", e.msg);
	apply_result_done(&res);
}

static void read_xattrs(int fd, struct strb *out)
{
	char names[4096], value[4096];
	ssize_t n = flistxattr(fd, names, sizeof names);
	AUTO_STRV struct strv v = { 0 };

	for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1)
		strv_add(&v, p);
	strv_sort(&v);
	for (size_t i = 0; i < v.n; i++) {
		ssize_t k = fgetxattr(fd, v.v[i], value, sizeof value);

		strb_addf(out, "%s=", v.v[i]);
		strb_add(out, value, k > 0 ? (size_t)k : 0);
	}
}

static void same_file(int a, int b, const char *name)
{
	AUTO_FD int x = openat(a, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC),
		    y = openat(b, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_STRB struct strb ax = STRB_INIT, ay = STRB_INIT;
	char p[65536], q[65536];
	ssize_t n, k;

	assert_true(x >= 0 && y >= 0);
	do {
		n = read(x, p, sizeof p);
		k = read(y, q, sizeof q);
		assert_int_equal(n, k);
		assert_true(n >= 0);
		assert_memory_equal(p, q, (size_t)n);
	} while (n > 0);
	read_xattrs(x, &ax);
	read_xattrs(y, &ay);
	assert_string_equal(strb_str(&ax), strb_str(&ay));
}

/* Every name, its attributes and what it holds. Directories that the archive does not list have the time of now: dir_times off. */
static size_t same_tree(int a, int b, bool dir_times)
{
	AUTO_STRV struct strv x = { 0 }, y = { 0 };
	size_t n = 0;

	assert_int_equal(dir_list(a, ".", &x), 0);
	assert_int_equal(dir_list(b, ".", &y), 0);
	for (size_t i = 0; i < x.n && i < y.n; i++)
		assert_string_equal(x.v[i], y.v[i]);
	assert_int_equal(x.n, y.n);
	for (size_t i = 0; i < x.n; i++, n++) {
		char t1[4096] = "", t2[4096] = "";
		struct stat s, t;

		assert_int_equal(fstatat(a, x.v[i], &s, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(fstatat(b, x.v[i], &t, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(s.st_mode, t.st_mode);
		assert_int_equal(s.st_uid, t.st_uid);
		assert_int_equal(s.st_gid, t.st_gid);
		assert_int_equal(s.st_rdev, t.st_rdev);
		if ((!S_ISDIR(s.st_mode) && !(S_ISCHR(s.st_mode) && s.st_rdev == 0)) || dir_times) {
			assert_int_equal(s.st_mtim.tv_sec, t.st_mtim.tv_sec);
			assert_int_equal(s.st_mtim.tv_nsec, t.st_mtim.tv_nsec);
		}
		assert_int_equal(s.st_nlink, t.st_nlink);
		if (!S_ISDIR(s.st_mode))
			assert_int_equal(s.st_size, t.st_size);
		if (S_ISREG(s.st_mode))
			same_file(a, b, x.v[i]);
		if (S_ISLNK(s.st_mode)) {
			assert_int_equal(readlinkat(a, x.v[i], t1, sizeof t1), readlinkat(b, x.v[i], t2, sizeof t2));
			assert_string_equal(t1, t2);
		}
		if (S_ISDIR(s.st_mode)) {
			AUTO_FD int p = dir_open(a, x.v[i]), q = dir_open(b, x.v[i]);
			AUTO_STRB struct strb ap = STRB_INIT, aq = STRB_INIT;

			read_xattrs(p, &ap);
			read_xattrs(q, &aq);
			assert_string_equal(strb_str(&ap), strb_str(&aq));
			n += same_tree(p, q, dir_times);
		}
	}
	return n;
}

static void check_same(struct dirs *d, const struct strb *b, bool dir_times)
{
	struct apply_result res = { 0 };
	struct mem_source m;
	struct err e = ERR_INIT;

	mem_source_init(&m, b->s, b->len, 5000);
	if (archive_apply(&m.src, d->in, &apply_budget_default, &res, &e) < 0)
		fail_msg("%s", e.msg);
	for (size_t i = 0; i < res.opaque.n; i++) {
		AUTO_FD int fd = dir_open(d->in, res.opaque.v[i]);

		assert_int_equal(fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0), 0);
	}
	apply_result_done(&res);
	make(d, b, NULL);
	if (!mount_image(d))
		skip();
	(void)same_tree(d->in, d->mounted, dir_times);
}

static void test_every_kind_of_file(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;
	char long_link[3500];

	memset(long_link, 'l', sizeof long_link - 1);
	long_link[sizeof long_link - 1] = 0;
	tb_add(&b, (struct tb_entry){ .type = '5', .name = "./", .mode = 0711, .uid = 9, .mtime = 99 });
	tb_add(&b,
	       (struct tb_entry){ .type = '5', .name = "d", .mode = 01777, .uid = 70000, .gid = 80000, .mtime = 1000 });
	tb_add(&b, (struct tb_entry){ .type = '0',
				      .name = "d/suid",
				      .mode = 06755,
				      .uid = 5,
				      .data = "x",
				      .n = 1,
				      .mtime = 4000000000 });
	tb_add(&b, (struct tb_entry){ .type = '1', .name = "twin", .link = "d/suid" });
	tb_add(&b, (struct tb_entry){ .type = '1', .name = "!third", .link = "twin" });
	tb_add(&b, (struct tb_entry){ .type = '2', .name = "d/link", .link = "/etc/passwd", .mtime = 5 });
	tb_add(&b, (struct tb_entry){ .type = '3', .name = "d/null", .mode = 0666, .major = 1, .minor = 3 });
	tb_add(&b, (struct tb_entry){ .type = '4', .name = "d/disk", .major = 4095, .minor = 1048575 });
	tb_add(&b, (struct tb_entry){ .type = '6', .name = "d/fifo" });
	tb_add(&b, (struct tb_entry){ .type = '5', .name = "empty", .mtime = 77 });
	tb_end(&b);
	check_same(*state, &b, true);
}

/* At, below and above every border that the format has. */
static void test_every_size(void **state)
{
	static const size_t sizes[] = { 0,     1,     4,      3071,          3072,          3073,   4032, 4095,
					4096,  4097,  7168,   7169,          8191,          8192,   8193, 65535,
					65536, 65537, 262144, (1 << 20) - 1, (1 << 20) + 1, 3000000 };
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_FREE uint8_t *data = xmalloc(3000000);

	for (size_t i = 0; i < 3000000; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	for (size_t round = 0; round < 3; round++)
		for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
			char name[40];

			(void)snprintf(name, sizeof name, "f%zu-%zu", round, sizes[i]);
			tb_add(&b, (struct tb_entry){ .type = '0', .name = name, .data = data, .n = sizes[i] });
		}
	tb_end(&b);
	check_same(*state, &b, true);
}

/* Directories of many blocks, with names that sort before "." and fill blocks to the last byte. */
static void test_big_directories(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;

	for (int i = 0; i < 3000; i++) {
		char name[200];

		(void)snprintf(name, sizeof name, "big/%c%0*d", "!+-aZ\x7f~"[i % 7], i % 80 + 4, i);
		tb_add(&b, (struct tb_entry){ .type = '0', .name = name, .data = name, .n = (size_t)(i % 90) });
	}
	for (int i = 0; i < 400; i++) {
		char name[200];

		(void)snprintf(name, sizeof name, "many/%d/sub%d/", i, i);
		tb_dir(&b, name);
	}
	tb_end(&b);
	check_same(*state, &b, false);
}

static void test_entries_replace_and_hide_each_other(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;

	tb_file(&b, "a/b/c", "1");
	tb_file(&b, "a/b/c", "22");
	tb_add(&b, (struct tb_entry){ .type = '1', .name = "keep", .link = "a/b/c" });
	tb_file(&b, "a/b", "now a file");
	tb_add(&b, (struct tb_entry){ .type = '5', .name = "a/b", .mode = 0700 });
	tb_add(&b, (struct tb_entry){ .type = '2', .name = "way", .link = "a/./../a" });
	tb_file(&b, "way/through", "x");
	tb_add(&b, (struct tb_entry){ .type = '2', .name = "up", .link = "../../.." });
	tb_file(&b, "up/in-the-root", "x");
	tb_file(&b, ".wh.gone", "");
	tb_file(&b, "a/.wh..wh..opq", "");
	tb_file(&b, "x/.wh.later", "");
	tb_dir(&b, "x/later");
	tb_file(&b, "x/stays", "s");
	tb_file(&b, "x/.wh.stays", "");
	tb_file(&b, "y/z/f", "f");
	tb_file(&b, "y/.wh.z", "");
	tb_end(&b);
	check_same(*state, &b, false);
}

static void test_what_apply_refuses_is_refused(void **state)
{
	struct dirs *d = *state;
	static const struct tb_entry bad[][2] = {
		{ { .type = '0', .name = "../../out" } },
		{ { .type = '1', .name = "l", .link = "nowhere" } },
		{ { .type = '1', .name = "l", .link = "l" } },
		{ { .type = '0', .name = "f" }, { .type = '0', .name = "f/below" } },
		{ { .type = '2', .name = "loop", .link = "loop" }, { .type = '0', .name = "loop/x" } },
		{ { .type = '2', .name = "dangling", .link = "none" }, { .type = '0', .name = "dangling/x" } },
		{ { .type = '5', .name = "dir" }, { .type = '1', .name = "l", .link = "dir" } },
		{ { .type = '0', .name = ".wh." } },
		{ { .type = '0', .name = "." } },
		{ { .type = '2', .name = "nothing", .link = "" } },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO_STRB struct strb b = STRB_INIT;
		struct apply_result res = { 0 };
		struct mem_source m;
		struct err e = ERR_INIT;

		for (size_t k = 0; k < 2; k++)
			if (bad[i][k].name)
				tb_add(&b, bad[i][k]);
		tb_end(&b);
		mem_source_init(&m, b.s, b.len, 512);
		if (archive_erofs(&m.src, d->image, &apply_budget_default, NULL, &res, &e) >= 0)
			fail_msg("case %zu is not refused", i);
		if (e.kind != ERR_INVALID)
			fail_msg("case %zu: %s", i, e.msg);
		apply_result_done(&res);
	}
}

static int collect(void *ctx, const void *p, size_t n)
{
	strb_add(ctx, p, n);
	return 0;
}

/* Contents of files that a later entry replaced are in the recipe, all others in the image. */
static void test_the_archive_can_be_made_again(void **state)
{
	struct dirs *d = *state;
	AUTO_STRB struct strb b = STRB_INIT, again = STRB_INIT;
	AUTO_FREE char *big = xcalloc(1, 600000);
	AUTO_FD int fd = openat(d->out, "recipe", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct recipe *recipe = recipe_new(fd);
	struct hash *h = hash_new();
	struct err e = ERR_INIT;
	char diff_id[72];

	memset(big, 'b', 599999);
	tb_file(&b, "first", big);
	tb_file(&b, "gone/one", "small");
	tb_file(&b, "gone/two", big);
	tb_add(&b, (struct tb_entry){ .type = '1', .name = "saved", .link = "gone/two" });
	tb_file(&b, "gone", "replaces the directory");
	tb_file(&b, "first", "again");
	tb_add(&b, (struct tb_entry){ .type = '2', .name = "way", .link = "d" });
	tb_dir(&b, "d");
	tb_file(&b, "way/in", "through a link");
	tb_end(&b);
	hash_add(h, b.s, b.len);
	hash_text(h, diff_id);
	hash_free(h);
	make(d, &b, recipe);
	assert_int_equal(recipe_end(recipe, diff_id, (int64_t)b.len, &e), 0);
	recipe_free(recipe);
	if (!mount_image(d))
		skip();
	if (recipe_play(fd, d->mounted, diff_id, &(struct recipe_sink){ .write = collect, .ctx = &again }, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(again.len, b.len);
	assert_memory_equal(again.s, b.s, b.len);
}

static void test_attributes_and_holes_of_gnu_tar(void **state)
{
	struct dirs *d = *state;
	AUTO_FREE char *make_it = xasprintf(
		"cd %s && mkdir src && cd src && setfattr -n user.long -v $(head -c 700 /dev/zero | tr '\\0' v) . "
		"2>/dev/null;"
		"echo data > caps && setcap cap_net_raw+ep caps && setfattr -n user.a -v 1 caps && mkdir acl && "
		"setfacl -d -m u:7:rwx acl;"
		"truncate -s 30M hole && printf end >> hole && printf mid | dd of=hole bs=1 seek=5000000 conv=notrunc "
		"2>/dev/null;"
		"cd .. && tar --xattrs --xattrs-include='*' --acls -S --format=pax -C src -cf t.tar .",
		d->outer);
	AUTO_FREE char *bytes = NULL;
	struct strb b = STRB_INIT;
	struct stat st;
	int status;

	status = system(make_it); /* NOLINT(cert-env33-c) */
	if (status != 0 || file_read(d->out, "t.tar", 64 << 20, &bytes, &b.len) < 0)
		skip();
	b.s = bytes;
	check_same(d, &b, true);
	assert_int_equal(fstat(d->image, &st), 0);
	assert_true(st.st_size > 30 << 20 && st.st_blocks * 512 < 1 << 20);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_every_kind_of_file),
		T(test_every_size),
		T(test_big_directories),
		T(test_entries_replace_and_hide_each_other),
		T(test_what_apply_refuses_is_refused),
		T(test_the_archive_can_be_made_again),
		T(test_attributes_and_holes_of_gnu_tar),
	};

	if (geteuid() != 0 || hash_prepare() < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
