/* test_archive.c - archives built byte by byte, applied to real directories. */
#include "archive/archive.h"
#include "archive/recipe.h"
#include "archive/test_tar.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <sys/mman.h>
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

static int collect(void *ctx, const void *p, size_t n)
{
	strb_add(ctx, p, n);
	return 0;
}

/* Whatever the archive was: the directory and the recipe make the very same bytes again. */
static void comes_back(struct dirs *d, int recipe, const struct strb *b, const char *diff_id)
{
	AUTO_STRB struct strb again = STRB_INIT;
	struct err e = ERR_INIT;

	if (recipe_play(recipe, d->in, diff_id, &(struct recipe_sink){ .write = collect, .ctx = &again }, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(again.len, b->len);
	assert_memory_equal(again.s, b->s, b->len);
}

static void apply(struct dirs *d, const struct strb *b)
{
	AUTO_FD int fd = memfd_create("recipe", MFD_CLOEXEC);
	struct recipe *recipe = recipe_new(fd);
	struct apply_result res = { 0 };
	struct hash *h = hash_new();
	struct err e = ERR_INIT;
	struct mem_source m;
	char diff_id[72];

	hash_add(h, b->s, b->len);
	hash_text(h, diff_id);
	hash_free(h);
	mem_source_init(&m, b->s, b->len, 1000);
	if (archive_apply_recipe(&m.src, d->in, &apply_budget_default, recipe, &res, &e) < 0 ||
	    recipe_end(recipe, diff_id, (int64_t)b->len, &e) < 0)
		fail_msg("%s", e.msg);
	comes_back(d, fd, b, diff_id);
	recipe_free(recipe);
	apply_result_done(&res);
}

/* Refused as the archive's fault, with a word of why, and the world outside untouched. */
static void refused(struct dirs *d, const struct strb *b, const char *why)
{
	struct apply_result res = { 0 };
	struct err e = ERR_INIT;
	AUTO_FREE char *text = NULL;

	assert_true(apply_with(d, b, 1 << 20, &apply_budget_default, &res, &e) < 0);
	assert_int_equal(e.kind, ERR_INVALID);
	if (!strstr(e.msg, why))
		fail_msg("\"%s\" does not say \"%s\"", e.msg, why);
	assert_int_equal(file_read(d->out, "secret", 100, &text, NULL), 0);
	assert_string_equal(text, "keep");
	assert_true(faccessat(d->out, "escaped", F_OK, AT_SYMLINK_NOFOLLOW) < 0);
}

static struct stat look(struct dirs *d, const char *path)
{
	struct stat st;

	if (fstatat(d->in, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	return st;
}

static void has_text(struct dirs *d, const char *path, const char *want)
{
	AUTO_FREE char *text = NULL;

	if (file_read(d->in, path, 1 << 20, &text, NULL) < 0)
		fail_msg("%s is not there", path);
	assert_string_equal(text, want);
}

/* ---- what archives carry ---- */
static void test_owner_mode_and_setuid(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;
	struct stat st;

	tb_add(&b, (struct tb_entry){ .type = '0', .name = "su", .mode = 04751, .uid = 12, .gid = 34, .mtime = 5 });
	tb_add(&b, (struct tb_entry){ .type = '5', .name = "tmp/", .mode = 01777, .uid = 7, .mtime = 9 });
	tb_file(&b, "tmp/x", "later than its directory");
	tb_end(&b);
	apply(*state, &b);
	st = look(*state, "su");
	assert_int_equal(st.st_mode, S_IFREG | 04751);
	assert_int_equal(st.st_uid, 12);
	assert_int_equal(st.st_gid, 34);
	st = look(*state, "tmp");
	assert_int_equal(st.st_mode, S_IFDIR | 01777);
	assert_int_equal(st.st_uid, 7);
	assert_int_equal(st.st_mtim.tv_sec, 9);
}

static void test_setgid_directory_does_not_pass_its_group_on(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;

	tb_add(&b, (struct tb_entry){ .type = '5', .name = "d/", .mode = 02755, .gid = 50 });
	tb_file(&b, "d/x", "");
	tb_dir(&b, "d/sub");
	tb_end(&b);
	apply(*state, &b);
	assert_int_equal(look(*state, "d").st_mode & 07777, 02755);
	assert_int_equal(look(*state, "d/x").st_gid, 0);
	assert_int_equal(look(*state, "d/sub").st_mode & 07777, 0755);
}

static void test_times_to_the_nanosecond(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;

	tb_pax1(&b, "mtime", "1234567890.123456789");
	tb_file(&b, "f", "x");
	tb_pax1(&b, "mtime", "-1.5");
	tb_dir(&b, "d");
	tb_pax1(&b, "mtime", "77.000000001");
	tb_add(&b, (struct tb_entry){ .type = '2', .name = "s", .link = "nowhere" });
	tb_end(&b);
	apply(*state, &b);
	assert_int_equal(look(*state, "f").st_mtim.tv_sec, 1234567890);
	assert_int_equal(look(*state, "f").st_mtim.tv_nsec, 123456789);
	assert_int_equal(look(*state, "d").st_mtim.tv_sec, -2);
	assert_int_equal(look(*state, "d").st_mtim.tv_nsec, 500000000);
	assert_int_equal(look(*state, "s").st_mtim.tv_sec, 77);
	assert_int_equal(look(*state, "s").st_mtim.tv_nsec, 1);
}

static void test_long_names_of_pax_and_gnu(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT, name = STRB_INIT, path = STRB_INIT;

	for (int i = 0; i < 200; i++)
		strb_addc(&name, 'n');
	strb_addf(&path, "deep/%s", strb_str(&name));
	tb_pax1(&b, "path", strb_str(&path));
	tb_file(&b, "short", "pax");
	tb_add(&b, (struct tb_entry){ .type = 'L', .name = "././@LongLink", .data = name.s, .n = name.len + 1 });
	tb_file(&b, "cut", "gnu");
	tb_end(&b);
	apply(*state, &b);
	has_text(*state, strb_str(&path), "pax");
	has_text(*state, strb_str(&name), "gnu");
}

static void test_ustar_prefix(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;

	tb_file(&b, "name", "x");
	memcpy(b.s + 345, "in/front", 8);
	tb_checksum(b.s);
	tb_end(&b);
	apply(*state, &b);
	has_text(*state, "in/front/name", "x");
}

static void test_base256_numbers(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;

	tb_file(&b, "f", "x");
	memcpy(b.s + 108, "\x80\0\0\0\0\x2d\xc6\xc0", 8);                          /* uid 3000000 */
	memcpy(b.s + 136, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12); /* two seconds before 1970 */
	tb_checksum(b.s);
	tb_end(&b);
	apply(*state, &b);
	assert_int_equal(look(*state, "f").st_uid, 3000000);
	assert_int_equal(look(*state, "f").st_mtim.tv_sec, -2);
}

static void test_devices_fifos_and_links(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;

	tb_add(&b, (struct tb_entry){ .type = '3', .name = "null", .mode = 0666, .major = 1, .minor = 3 });
	tb_add(&b, (struct tb_entry){ .type = '4', .name = "disk", .mode = 0660, .gid = 6, .major = 8, .minor = 1 });
	tb_add(&b, (struct tb_entry){ .type = '6', .name = "pipe", .mode = 0600 });
	tb_file(&b, "a", "same");
	tb_add(&b, (struct tb_entry){ .type = '1', .name = "b", .link = "a" });
	tb_add(&b, (struct tb_entry){ .type = '2', .name = "s", .link = "/etc/anything" });
	tb_add(&b, (struct tb_entry){ .type = '1', .name = "s2", .link = "s" });
	tb_end(&b);
	apply(*state, &b);
	assert_int_equal(look(*state, "null").st_rdev, makedev(1, 3));
	assert_int_equal(look(*state, "null").st_mode, S_IFCHR | 0666);
	assert_int_equal(look(*state, "disk").st_gid, 6);
	assert_true(S_ISFIFO(look(*state, "pipe").st_mode));
	assert_int_equal(look(*state, "a").st_ino, look(*state, "b").st_ino);
	assert_true(S_ISLNK(look(*state, "s2").st_mode));
}

static void test_capabilities_survive_the_owner(void **state)
{
	static const char caps[] =
		"\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0"; /* 20 bytes: cap_net_bind_service+ep, version 2 */
	AUTO_STRB struct strb b = STRB_INIT, r = STRB_INIT;
	struct dirs *d = *state;
	char got[64];
	AUTO_FD int fd = -1;

	tb_record(&r, "SCHILY.xattr.security.capability", caps, 20);
	tb_record(&r, "SCHILY.xattr.user.note", "a\0b", 3);
	tb_record(&r, "SCHILY.xattr.trusted.overlay.opaque", "y", 1);
	tb_pax(&b, &r);
	tb_add(&b, (struct tb_entry){ .type = '0', .name = "ping", .mode = 0755, .uid = 1 });
	tb_end(&b);
	apply(d, &b);
	fd = openat(d->in, "ping", O_RDONLY | O_CLOEXEC);
	assert_int_equal(fgetxattr(fd, "security.capability", got, sizeof got), 20);
	assert_memory_equal(got, caps, 20);
	assert_int_equal(fgetxattr(fd, "user.note", got, sizeof got), 3);
	assert_memory_equal(got, "a\0b", 3);
	assert_true(fgetxattr(fd, "trusted.overlay.opaque", got, sizeof got) < 0);
}

static void sparse_ok(struct dirs *d)
{
	struct stat st = look(d, "holes");
	AUTO_FD int fd = openat(d->in, "holes", O_RDONLY | O_CLOEXEC);
	char got[5] = "";

	assert_int_equal(st.st_size, 1 << 20);
	assert_true(st.st_blocks * 512 < 1 << 18);
	assert_int_equal(pread(fd, got, 4, 65536), 4);
	assert_string_equal(got, "data");
}

static void test_sparse_pax_1_0(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT, r = STRB_INIT, data = STRB_INIT;

	tb_record(&r, "GNU.sparse.major", "1", 1);
	tb_record(&r, "GNU.sparse.minor", "0", 1);
	tb_record(&r, "GNU.sparse.name", "holes", 5);
	tb_record(&r, "GNU.sparse.realsize", "1048576", 7);
	tb_pax(&b, &r);
	strb_adds(&data, "2\n65536\n4\n1048576\n0\n");
	tb_pad(&data);
	strb_adds(&data, "data");
	tb_add(&b, (struct tb_entry){ .type = '0', .name = "GNUSparseFile.1/holes", .data = data.s, .n = data.len });
	tb_end(&b);
	apply(*state, &b);
	sparse_ok(*state);
}

static void test_sparse_pax_0_1(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT, r = STRB_INIT;

	tb_record(&r, "GNU.sparse.size", "1048576", 7);
	tb_record(&r, "GNU.sparse.map", "65536,4,1048576,0", 17);
	tb_pax(&b, &r);
	tb_file(&b, "holes", "data");
	tb_end(&b);
	apply(*state, &b);
	sparse_ok(*state);
}

static void test_sparse_old_gnu(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;

	tb_add(&b, (struct tb_entry){ .type = 'S', .name = "holes", .data = "data", .n = 4 });
	(void)snprintf(b.s + 386, 12, "%011o", 65536);
	(void)snprintf(b.s + 398, 12, "%011o", 4);
	(void)snprintf(b.s + 483, 12, "%011o", 1 << 20);
	tb_checksum(b.s);
	tb_end(&b);
	apply(*state, &b);
	sparse_ok(*state);
}

static void test_sparse_map_that_lies_is_refused(void **state)
{
	static const char *const maps[] = { "0,5", "65536,4,65536,0,1,0", "0,2,1,2", "1048575,4", "0,4,", "-1,4" };

	for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
		AUTO_STRB struct strb b = STRB_INIT, r = STRB_INIT;

		tb_record(&r, "GNU.sparse.size", "1048576", 7);
		tb_record(&r, "GNU.sparse.map", maps[i], strlen(maps[i]));
		tb_pax(&b, &r);
		tb_file(&b, "holes", "data");
		tb_end(&b);
		if (i == 4) /* a trailing comma says nothing more */
			continue;
		refused(*state, &b, "archive/tar: invalid");
	}
}

static void test_any_chunking_gives_the_same(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;
	struct dirs *d = *state;
	char names[8] = "";

	tb_pax1(&b, "mtime", "1.25");
	for (int i = 0; i < 3; i++) {
		(void)snprintf(names, sizeof names, "f%d", i);
		tb_file(&b, names, "some text that is cut into pieces");
	}
	tb_end(&b);
	for (size_t chunk = 1; chunk < 1200; chunk += 97) {
		struct apply_result res = { 0 };
		struct err e = ERR_INIT;

		if (apply_with(d, &b, chunk, &apply_budget_default, &res, &e) < 0)
			fail_msg("%s", e.msg);
		assert_int_equal(res.entries, 3);
		assert_int_equal(res.size, 99);
		has_text(d, "f2", "some text that is cut into pieces");
	}
}

/* ---- later entries replace earlier ones ---- */
static void test_entries_replace_each_other(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;

	tb_file(&b, "a", "1");
	tb_file(&b, "a", "2");
	tb_dir(&b, "d");
	tb_file(&b, "d/x", "x");
	tb_file(&b, "d", "file now");
	tb_file(&b, "e", "file");
	tb_dir(&b, "e");
	tb_file(&b, "e/y", "y");
	tb_dir(&b, "keep");
	tb_file(&b, "keep/z", "z");
	tb_add(&b, (struct tb_entry){ .type = '5', .name = "keep", .mode = 0700 });
	tb_end(&b);
	apply(*state, &b);
	has_text(*state, "a", "2");
	has_text(*state, "d", "file now");
	has_text(*state, "e/y", "y");
	has_text(*state, "keep/z", "z");
	assert_int_equal(look(*state, "keep").st_mode & 0777, 0700);
}

static void test_missing_parents_are_made(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;

	tb_file(&b, "./a/b//c/x", "x");
	tb_file(&b, "/abs/y", "y");
	tb_end(&b);
	apply(*state, &b);
	has_text(*state, "a/b/c/x", "x");
	has_text(*state, "abs/y", "y");
}

/* ---- attacks ---- */
static void test_names_that_climb_are_refused(void **state)
{
	static const char *const names[] = { "../escaped", "a/../../escaped", "/../escaped", "..", "./../escaped" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO_STRB struct strb b = STRB_INIT;

		tb_file(&b, names[i], "x");
		tb_end(&b);
		refused(*state, &b, "leads out");
	}
}

static void test_symlink_on_the_way_stays_inside(void **state)
{
	static const char *const targets[] = { "..", "../..", "/", "/../../..", "." };

	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		AUTO_STRB struct strb b = STRB_INIT;
		struct dirs *d = *state;

		tb_add(&b, (struct tb_entry){ .type = '2', .name = "up", .link = targets[i] });
		tb_file(&b, "up/secret", "overwritten");
		tb_file(&b, "up/escaped", "x");
		tb_end(&b);
		apply(d, &b);
		has_text(d, "secret", "overwritten"); /* in the root of the archive */
		assert_true(faccessat(d->out, "escaped", F_OK, 0) < 0);
	}
}

static void test_file_through_a_symlink_replaces_the_symlink(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;
	struct dirs *d = *state;
	AUTO_FREE char *text = NULL;

	tb_add(&b, (struct tb_entry){ .type = '2', .name = "f", .link = "../secret" });
	tb_file(&b, "f", "mine");
	tb_end(&b);
	apply(d, &b);
	has_text(d, "f", "mine");
	assert_int_equal(file_read(d->out, "secret", 100, &text, NULL), 0);
	assert_string_equal(text, "keep");
}

static void test_hard_links_outside_are_refused(void **state)
{
	static const char *const targets[] = { "../secret", "/../secret", "up/../../secret" };

	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		AUTO_STRB struct strb b = STRB_INIT;

		tb_add(&b, (struct tb_entry){ .type = '1', .name = "l", .link = targets[i] });
		tb_file(&b, "l", "overwritten");
		tb_end(&b);
		refused(*state, &b, "leads out");
	}
}

static void test_hard_link_through_a_symlink_stays_inside(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;

	tb_add(&b, (struct tb_entry){ .type = '2', .name = "up", .link = ".." });
	tb_add(&b, (struct tb_entry){ .type = '1', .name = "l", .link = "up/secret" });
	tb_end(&b);
	refused(*state, &b, "is not in this layer");
}

static void test_hard_link_to_a_directory_or_itself_is_refused(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT, c = STRB_INIT;

	tb_dir(&b, "d");
	tb_add(&b, (struct tb_entry){ .type = '1', .name = "l", .link = "d" });
	tb_end(&b);
	refused(*state, &b, "is a directory");
	tb_file(&c, "f", "x");
	tb_add(&c, (struct tb_entry){ .type = '1', .name = "f", .link = "./f" });
	tb_end(&c);
	refused(*state, &c, "itself");
}

static void test_budgets_hold(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;
	struct apply_budget few = { .entries = 10, .devices = 100, .bytes = 1000 };
	struct apply_budget no_devices = { .entries = 1000, .devices = 10, .bytes = 1000 };
	struct apply_budget small = { .entries = 1000, .devices = 100, .bytes = 3 };
	struct apply_result res = { 0 };
	struct err e = ERR_INIT;
	char name[16];

	tb_file(&b, "four", "four");
	for (int i = 0; i < 50; i++) {
		(void)snprintf(name, sizeof name, "dev%d", i);
		tb_add(&b, (struct tb_entry){ .type = '3', .name = name, .major = 1, .minor = 3 });
	}
	tb_end(&b);
	assert_int_equal(apply_with(*state, &b, 4096, &few, &res, &e), -EINVAL);
	assert_string_equal(e.msg, "archive has more than 10 entries");
	assert_int_equal(apply_with(*state, &b, 4096, &no_devices, &res, &e), -EINVAL);
	assert_string_equal(e.msg, "archive has more than 10 devices");
	assert_int_equal(apply_with(*state, &b, 4096, &small, &res, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "too big"));
}

static void test_broken_headers_are_refused(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;

	tb_file(&b, "f", "x");
	b.s[0] ^= 1;
	refused(*state, &b, "checksum");
	b.s[0] ^= 1;
	b.s[124] = 'z';
	tb_checksum(b.s);
	refused(*state, &b, "number");
	strb_clear(&b);
	tb_file(&b, "f", "x");
	b.len = 700;
	refused(*state, &b, "unexpected EOF");
	strb_clear(&b);
	tb_pax1(&b, "mtime", "yesterday");
	tb_file(&b, "f", "x");
	refused(*state, &b, "PAX record mtime");
	strb_clear(&b);
	tb_file(&b, "f", "x");
	b.s[156] = 'M';
	tb_checksum(b.s);
	refused(*state, &b, "unhandled tar header type");
	strb_clear(&b);
	tb_pax1(&b, "size", "99999999999999999999");
	tb_file(&b, "f", "x");
	refused(*state, &b, "PAX record size");
}

/* ---- whiteouts ---- */
static void test_whiteouts_and_opaque_directories(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;
	struct apply_result res = { 0 };
	struct err e = ERR_INIT;

	tb_dir(&b, "d");
	tb_file(&b, "d/.wh.gone", "");
	tb_dir(&b, "o");
	tb_file(&b, "o/.wh..wh..opq", "");
	tb_file(&b, "o/new", "x");
	tb_file(&b, ".wh..wh.plnk", "");
	tb_file(&b, ".wh.was", "");
	tb_dir(&b, "was");
	tb_dir(&b, "late");
	tb_file(&b, ".wh.late", "");
	tb_file(&b, "stays", "x");
	tb_file(&b, ".wh.stays", "");
	tb_end(&b);
	if (apply_with(*state, &b, 4096, &apply_budget_default, &res, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(look(*state, "d/gone").st_mode & S_IFMT, S_IFCHR);
	assert_int_equal(look(*state, "d/gone").st_rdev, 0);
	assert_int_equal(res.opaque.n, 3);
	assert_string_equal(res.opaque.v[0], "late");
	assert_string_equal(res.opaque.v[1], "o");
	assert_string_equal(res.opaque.v[2], "was");
	has_text(*state, "stays", "x");
	apply_result_done(&res);
}

static void test_whiteout_of_no_name_is_refused(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT, c = STRB_INIT;

	tb_file(&b, "d/.wh.", "");
	tb_end(&b);
	refused(*state, &b, "whiteout of no name");
	tb_file(&c, "d/.wh...", "");
	tb_end(&c);
	refused(*state, &c, "whiteout of no name");
}

/* ---- compression ---- */
static char *squeeze(const char *tool, const struct strb *in, size_t *n)
{
	char path[] = "/var/tmp/hoy-squeeze-XXXXXX";
	AUTO_FD int fd = mkstemp(path);
	AUTO_FREE char *command = xasprintf("%s <%s", tool, path);
	char *out = NULL;
	FILE *p;
	int r;

	assert_int_equal(fd_write_all(fd, in->s, in->len), 0);
	p = popen(command, "r"); /* NOLINT(cert-env33-c) */
	assert_int_equal(fd_read_all(fileno(p), 64 << 20, &out, n), 0);
	r = pclose(p);
	(void)unlink(path);
	assert_int_equal(r, 0); /* the tool is there and content */
	return out;
}

struct bytes {
	const char *p;
	size_t n, chunk;
};

static ssize_t take_bytes(void *ctx, void *to, size_t n)
{
	struct bytes *b = ctx;

	n = MIN(n, MIN(b->n, b->chunk));
	memcpy(to, b->p, n);
	b->p += n;
	b->n -= n;
	return (ssize_t)n;
}

static int expand(const char *p, size_t n, size_t chunk, const struct decomp_budget *budget, struct strb *out,
		  struct decomp_sums *sums, struct err *e)
{
	struct bytes in = { p, n, chunk };
	struct decomp *d = decomp_new((struct decomp_input){ .read = take_bytes, .ctx = &in }, budget);
	size_t k = 1;
	int r = 0;

	while (r == 0 && k > 0) {
		char buf[3000];

		r = decomp_read(d, buf, sizeof buf, &k, e);
		if (r == 0)
			strb_add(out, buf, k);
	}
	if (r == 0 && sums)
		r = decomp_finish(d, sums, e);
	decomp_free(d);
	return r;
}

static const char *const tools[] = {
	"cat", "gzip -c", "zstd -qc", "xz -c", "bzip2 -c", "(gzip -c; printf x | gzip -c)"
};

static void some_text(struct strb *b)
{
	for (int i = 0; i < 20000; i++)
		strb_addf(b, "%d lines %d\n", i, i * i);
}

static void test_every_format_is_recognised(void **state)
{
	AUTO_STRB struct strb text = STRB_INIT;
	static const enum comp want[] = { COMP_NONE, COMP_GZIP, COMP_ZSTD, COMP_XZ, COMP_BZIP2, COMP_GZIP };

	some_text(&text);
	for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
		size_t n = 0;
		AUTO_FREE char *small = squeeze(tools[i], &text, &n);

		for (size_t chunk = 1; chunk <= 1 << 20; chunk *= 101) {
			AUTO_STRB struct strb out = STRB_INIT;
			struct decomp_sums sums = { 0 };
			struct err e = ERR_INIT;

			if (expand(small, n, chunk, &decomp_budget_default, &out, &sums, &e) < 0)
				fail_msg("%s: %s", tools[i], e.msg);
			assert_int_equal(sums.comp, want[i]);
			assert_int_equal(sums.in, n);
			assert_int_equal(out.len, text.len + (i == 5));
			assert_memory_equal(out.s, text.s, text.len);
		}
	}
}

static void test_cut_or_damaged_streams_are_errors(void **state)
{
	AUTO_STRB struct strb text = STRB_INIT;

	some_text(&text);
	for (size_t i = 1; i < 5; i++) {
		size_t n = 0;
		AUTO_FREE char *small = squeeze(tools[i], &text, &n);
		static const size_t cuts[] = { 12, 100, 5000 };

		for (size_t k = 0; k < ARRAY_LEN(cuts); k++) {
			AUTO_STRB struct strb out = STRB_INIT;
			struct err e = ERR_INIT;

			if (expand(small, MIN(cuts[k], n - 1), 4096, &decomp_budget_default, &out, NULL, &e) == 0)
				fail_msg("%s cut at %zu is taken as whole", tools[i], cuts[k]);
			assert_int_equal(e.kind, ERR_INVALID);
		}
		small[n / 2] ^= 0x55;
		{
			AUTO_STRB struct strb out = STRB_INIT;

			assert_true(expand(small, n, 4096, &decomp_budget_default, &out, NULL, NULL) < 0);
		}
	}
}

static void test_bombs_are_stopped(void **state)
{
	const struct decomp_budget ratio = { .out_max = 1 << 30, .ratio = 100, .ratio_from = 1 << 20 };
	const struct decomp_budget total = { .out_max = 1 << 20, .ratio = 1 << 30, .ratio_from = 0 };
	AUTO_STRB struct strb zeros = STRB_INIT, out = STRB_INIT;
	AUTO_FREE char *small = NULL;
	struct err e = ERR_INIT;
	size_t n = 0;

	strb_reserve(&zeros, 8 << 20);
	memset(zeros.s, 0, 8 << 20);
	zeros.len = 8 << 20;
	small = squeeze("gzip -c", &zeros, &n);
	assert_int_equal(expand(small, n, 4096, &ratio, &out, NULL, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "bomb"));
	assert_true(out.len < 3 << 20);
	strb_clear(&out);
	assert_int_equal(expand(small, n, 4096, &total, &out, NULL, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "too big"));
}

static void test_digest_of_in_and_out(void **state)
{
	AUTO_STRB struct strb text = STRB_INIT;
	AUTO_FREE char *small = NULL;
	struct bytes in = { 0 };
	struct decomp *d;
	struct pipe_source *p = NULL;
	struct decomp_sums sums = { 0 };
	struct err e = ERR_INIT;
	struct hash *h;
	char want[72];
	size_t n = 0;

	some_text(&text);
	small = squeeze("gzip -c", &text, &n);
	in = (struct bytes){ small, n, 999 };
	d = decomp_new((struct decomp_input){ .read = take_bytes, .ctx = &in }, &decomp_budget_default);
	assert_int_equal(pipe_source_new(d, &p, &e), 0);
	h = hash_new();
	hash_add(h, text.s, text.len);
	hash_text(h, want);
	hash_free(h);
	assert_string_equal(pipe_source_digest(p, &e), want);
	assert_int_equal(decomp_finish(d, &sums, &e), 0);
	h = hash_new();
	hash_add(h, small, n);
	hash_text(h, want);
	hash_free(h);
	assert_string_equal(sums.digest, want);
	pipe_source_free(p);
	decomp_free(d);
}

/* What GNU tar itself writes, with everything on. */
static void test_gnu_tar_round_trip(void **state)
{
	struct dirs *d = *state;
	AUTO_FREE char *command = NULL, *text = NULL;
	AUTO_STRB struct strb b = STRB_INIT;
	size_t n = 0;
	FILE *p;

	command = xasprintf("cd %s && mkdir -p src/a && truncate -s 3M src/a/holes && printf data | dd of=src/a/holes "
			    "bs=1 seek=1000000 conv=notrunc status=none && ln src/a/holes src/h && touch -d "
			    "'2001-02-03 04:05:06.123456789Z' src/a && tar --format=pax --sparse -C src -c .",
			    d->outer);
	p = popen(command, "r"); /* NOLINT(cert-env33-c) */
	assert_int_equal(fd_read_all(fileno(p), 64 << 20, &text, &n), 0);
	assert_int_equal(pclose(p), 0);
	strb_add(&b, text, n);
	apply(d, &b);
	assert_int_equal(look(d, "a/holes").st_size, 3 << 20);
	assert_true(look(d, "a/holes").st_blocks < 200);
	assert_int_equal(look(d, "h").st_ino, look(d, "a/holes").st_ino);
	assert_int_equal(look(d, "a").st_mtim.tv_nsec, 123456789);
	free(command);
	command = xasprintf("cmp %s/src/a/holes %s/in/h", d->outer, d->outer);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c) */
}

static void test_acls_of_what_is_no_file(void **state)
{
	static const unsigned char acl[] = { 2,    0, 0, 0,                           /* version */
					     1,    0, 6, 0, 0xff, 0xff, 0xff, 0xff,   /* owner rw */
					     2,    0, 4, 0, 5,    0,    0,    0,      /* user 5: r */
					     4,    0, 4, 0, 0xff, 0xff, 0xff, 0xff,   /* group r */
					     0x10, 0, 4, 0, 0xff, 0xff, 0xff, 0xff,   /* mask */
					     0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff }; /* others nothing */
	struct dirs *d = *state;
	AUTO_STRB struct strb b = STRB_INIT, r = STRB_INIT;
	AUTO_FREE char *fifo = xasprintf("%s/in/fifo", d->outer);
	char got[64];

	tb_record(&r, "SCHILY.xattr.system.posix_acl_access", acl, sizeof acl);
	tb_record(&r, "SCHILY.xattr.user.not.for.fifos", "x", 1);
	tb_pax(&b, &r);
	tb_add(&b, (struct tb_entry){ .type = '6', .name = "fifo", .mode = 0640 });
	tb_pax(&b, &r);
	tb_add(&b, (struct tb_entry){ .type = '2', .name = "soft", .link = "fifo" }); /* cannot have any: no error */
	tb_end(&b);
	apply(d, &b);
	if (lsetxattr(d->outer, "system.posix_acl_default", acl, sizeof acl, 0) < 0 && errno == EOPNOTSUPP)
		skip();
	assert_int_equal(lgetxattr(fifo, "system.posix_acl_access", got, sizeof got), sizeof acl);
	assert_memory_equal(got, acl, sizeof acl);
}

/* ---- recipes beyond what every test above shows ---- */
static void test_recipe_keeps_what_later_entries_replace(void **state)
{
	struct dirs *d = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_FREE char *big = xmalloc(700000);

	for (size_t i = 0; i < 700000; i++)
		big[i] = (char)(i * 2654435761u >> 13);
	tb_add(&b, (struct tb_entry){ .type = '0', .name = "twice", .data = big, .n = 700000 });
	tb_file(&b, "twice", "second");
	tb_file(&b, "twice", "third");
	tb_dir(&b, "dir");
	tb_dir(&b, "dir/deep");
	tb_add(&b, (struct tb_entry){ .type = '0', .name = "dir/deep/er", .data = big, .n = 300000 });
	tb_add(&b, (struct tb_entry){ .type = '1', .name = "dir/link", .link = "dir/deep/er" });
	tb_add(&b, (struct tb_entry){ .type = '2', .name = "way", .link = "dir" });
	tb_file(&b, "way/through", "a symlink");
	tb_file(&b, "way/deep/er", "replaced through a symlink");
	tb_add(&b, (struct tb_entry){ .type = '2', .name = "dir", .link = "elsewhere" }); /* a whole tree gives way */
	tb_file(&b, "empty", "");
	tb_end(&b);
	strb_adds(&b, "rubbish behind the end");
	apply(d, &b);
}

static void test_recipe_refuses_changed_files(void **state)
{
	struct dirs *d = *state;
	AUTO_FD int fd = memfd_create("recipe", MFD_CLOEXEC);
	AUTO_STRB struct strb b = STRB_INIT, out = STRB_INIT;
	struct recipe_sink sink = { .write = collect, .ctx = &out };
	struct recipe *recipe = recipe_new(fd);
	struct apply_result res = { 0 };
	struct err e = ERR_INIT;
	struct mem_source m;
	char diff_id[72], other[72];
	struct hash *h = hash_new();

	tb_file(&b, "f", "content");
	tb_end(&b);
	hash_add(h, b.s, b.len);
	hash_text(h, diff_id);
	hash_free(h);
	mem_source_init(&m, b.s, b.len, 1000);
	assert_int_equal(archive_apply_recipe(&m.src, d->in, &apply_budget_default, recipe, &res, &e), 0);
	assert_int_equal(recipe_end(recipe, diff_id, (int64_t)b.len, &e), 0);
	recipe_free(recipe);
	apply_result_done(&res);
	assert_int_equal(recipe_play(fd, d->in, diff_id, &sink, &e), 0);
	memcpy(other, diff_id, sizeof other);
	other[10] = other[10] == 'a' ? 'b' : 'a';
	assert_true(recipe_play(fd, d->in, other, &sink, &e) < 0);
	assert_int_equal(file_write(d->in, "f", "c0ntent", 7, 0644), 0);
	assert_true(recipe_play(fd, d->in, diff_id, &sink, &e) < 0);
	assert_non_null(strstr(e.msg, "have changed"));
	assert_int_equal(file_write(d->in, "f", "longer content", 14, 0644), 0);
	assert_true(recipe_play(fd, d->in, diff_id, &sink, &e) < 0);
	assert_int_equal(unlinkat(d->in, "f", 0), 0);
	assert_int_equal(symlinkat("../secret", d->in, "f"), 0);
	assert_true(recipe_play(fd, d->in, diff_id, &sink, &e) < 0);
}

static void test_recipe_of_a_full_disk_is_an_error(void **state)
{
	AUTO_FD int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct recipe *r = recipe_new(fd);
	struct err e = ERR_INIT;

	recipe_raw(r, "x", 1);
	assert_int_equal(recipe_end(r, "sha256:0", 1, &e), -ENOSPC);
	recipe_free(r);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_owner_mode_and_setuid),
		T(test_setgid_directory_does_not_pass_its_group_on),
		T(test_times_to_the_nanosecond),
		T(test_long_names_of_pax_and_gnu),
		T(test_ustar_prefix),
		T(test_base256_numbers),
		T(test_devices_fifos_and_links),
		T(test_capabilities_survive_the_owner),
		T(test_sparse_pax_1_0),
		T(test_sparse_pax_0_1),
		T(test_sparse_old_gnu),
		T(test_sparse_map_that_lies_is_refused),
		T(test_any_chunking_gives_the_same),
		T(test_entries_replace_each_other),
		T(test_missing_parents_are_made),
		T(test_names_that_climb_are_refused),
		T(test_symlink_on_the_way_stays_inside),
		T(test_file_through_a_symlink_replaces_the_symlink),
		T(test_hard_links_outside_are_refused),
		T(test_hard_link_through_a_symlink_stays_inside),
		T(test_hard_link_to_a_directory_or_itself_is_refused),
		T(test_budgets_hold),
		T(test_broken_headers_are_refused),
		T(test_whiteouts_and_opaque_directories),
		T(test_whiteout_of_no_name_is_refused),
		T(test_every_format_is_recognised),
		T(test_cut_or_damaged_streams_are_errors),
		T(test_bombs_are_stopped),
		T(test_digest_of_in_and_out),
		T(test_gnu_tar_round_trip),
		T(test_acls_of_what_is_no_file),
		T(test_recipe_keeps_what_later_entries_replace),
		T(test_recipe_refuses_changed_files),
		T(test_recipe_of_a_full_disk_is_an_error),
	};

	if (geteuid() != 0 || hash_prepare() < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
