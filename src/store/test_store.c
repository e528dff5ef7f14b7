/* test_store.c - layers through the real hoy-worker (its path in HOY_WORKER), on real directories. */
#include "archive/test_tar.h"
#include "store/store.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <dirent.h>
#include <sys/stat.h>
#include <sys/xattr.h>

struct fixture {
	char root[64];
	struct db *db;
	struct store *store;
};

static void start(struct fixture *f, const char *worker)
{
	struct err e = ERR_INIT;

	if (db_open(f->root, &f->db, &e) < 0 ||
	    store_open(&(struct store_opts){ .root = f->root, .worker = worker, .db = f->db }, &f->store, &e) < 0)
		fail_msg("%s", e.msg);
}

static void stop(struct fixture *f)
{
	store_close(f->store);
	db_close(f->db);
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof *f);

	memcpy(f->root, "/var/tmp/hoy-store-XXXXXX", 26);
	if (!mkdtemp(f->root))
		return -1;
	start(f, getenv("HOY_WORKER"));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	stop(f);
	(void)dir_remove(AT_FDCWD, f->root);
	free(f);
	return 0;
}

static size_t entries(struct fixture *f, const char *dir)
{
	AUTO_FREE char *path = path_join(f->root, dir);
	DIR *d = opendir(path);
	size_t n = 0;

	for (struct dirent *x; (x = readdir(d));)
		n += *x->d_name != '.' && !streq(x->d_name, "init");
	(void)closedir(d);
	return n;
}

static int add(struct fixture *f, const char *parent, const struct strb *tar, const char *digest, const char *diff_id,
	       char chain[DIGEST_TEXT], struct err *e)
{
	AUTO_FD int fd = memfd_of("layer", tar->s, tar->len);

	return store_layer_add(f->store, parent,
			       &(struct store_blob){ .src = { .fd = fd }, .digest = digest, .diff_id = diff_id }, chain,
			       e);
}

static void one_file(struct strb *b, const char *name)
{
	tb_file(b, name, name);
	tb_end(b);
}

static void test_sha256_vectors(void **state)
{
	char d[DIGEST_TEXT];
	char million[1000];

	digest_bytes("", 0, d);
	assert_string_equal(d, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	digest_bytes("abc", 3, d);
	assert_string_equal(d, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	memset(million, 'a', sizeof million);
	digest_bytes(million, 1000, d);
	assert_string_equal(d, "sha256:41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3");
	assert_true(digest_valid(d));
	assert_false(digest_valid("sha256:ABC"));
}

static void test_opaque_directories_are_marked(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	struct store_layer l = { 0 };
	AUTO_FREE char *path = NULL;
	struct err e = ERR_INIT;
	char chain[DIGEST_TEXT], got[4] = "";

	tb_dir(&b, "a");
	tb_file(&b, "a/.wh..wh..opq", "");
	tb_file(&b, "a/new", "x");
	tb_dir(&b, "b");
	tb_end(&b);
	if (add(f, NULL, &b, NULL, NULL, chain, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(store_layer_get(f->store, chain, &l, &e), 0);
	path = xasprintf("%s/layers/%s/diff/a", f->root, l.name);
	assert_int_equal(getxattr(path, "trusted.overlay.opaque", got, sizeof got), 1);
	assert_string_equal(got, "y");
	path[strlen(path) - 1] = 'b';
	assert_true(getxattr(path, "trusted.overlay.opaque", got, sizeof got) < 0);
	store_layer_done(&l);
}

static void test_wrong_digests_leave_nothing(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	struct err e = ERR_INIT;
	char chain[DIGEST_TEXT], lie[DIGEST_TEXT];

	one_file(&b, "x");
	digest_bytes("", 0, lie);
	assert_int_equal(add(f, NULL, &b, lie, NULL, chain, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "content does not match its digest"));
	assert_int_equal(add(f, NULL, &b, NULL, lie, chain, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "invalid diffID"));
	assert_int_equal(entries(f, "layers"), 0);
	assert_int_equal(store_layer_get(f->store, lie, &(struct store_layer){ 0 }, &e), -ENOENT);
}

static void test_children_hold_their_parents(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb a = STRB_INIT, b = STRB_INIT;
	struct err e = ERR_INIT;
	char low[DIGEST_TEXT], high[DIGEST_TEXT];

	one_file(&a, "low");
	one_file(&b, "high");
	assert_int_equal(add(f, NULL, &a, NULL, NULL, low, &e), 0);
	assert_int_equal(add(f, low, &b, NULL, NULL, high, &e), 0);
	store_layer_unref(f->store, low);
	assert_int_equal(entries(f, "layers"), 2);
	assert_int_equal(store_chain_size(f->store, high), 7);
	stop(f);
	start(f, getenv("HOY_WORKER"));
	assert_int_equal(store_layer_ref(f->store, high, &e), 0);
	assert_int_equal(store_sweep(f->store, &e), 0);
	assert_int_equal(entries(f, "layers"), 2);
	store_layer_unref(f->store, high);
	assert_int_equal(entries(f, "layers"), 0);
}

static void test_layer_without_its_directory_is_none(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb a = STRB_INIT, b = STRB_INIT;
	char low[DIGEST_TEXT], high[DIGEST_TEXT];
	struct store_layer l = { 0 };
	AUTO_FREE char *path = NULL;
	struct err e = ERR_INIT;

	one_file(&a, "low");
	one_file(&b, "high");
	assert_int_equal(add(f, NULL, &a, NULL, NULL, low, &e), 0);
	assert_int_equal(add(f, low, &b, NULL, NULL, high, &e), 0);
	assert_int_equal(store_layer_get(f->store, low, &l, &e), 0);
	path = xasprintf("%s/layers/%s", f->root, l.name);
	store_layer_done(&l);
	stop(f);
	assert_int_equal(dir_remove(AT_FDCWD, path), 0);
	start(f, getenv("HOY_WORKER"));
	assert_int_equal(store_layer_ref(f->store, high, &e), -ENOENT);
	assert_int_equal(store_layer_ref(f->store, low, &e), -ENOENT);
	assert_int_equal(store_sweep(f->store, &e), 0);
	assert_int_equal(entries(f, "layers"), 0);
}

struct race {
	struct fixture *f;
	const struct strb *tar;
	const char *diff_id;
	int r;
	char chain[DIGEST_TEXT];
};

static void *racer(void *arg)
{
	struct race *c = arg;

	c->r = add(c->f, NULL, c->tar, NULL, c->diff_id, c->chain, NULL);
	return NULL;
}

static void test_threads_that_want_the_same_layer_share_it(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	struct store_layer l = { 0 };
	struct race c[6];
	pthread_t t[6];
	char diff_id[DIGEST_TEXT];

	one_file(&b, "x");
	digest_bytes(b.s, b.len, diff_id);
	for (int i = 0; i < 6; i++) { /* half of them learn the id only by unpacking */
		c[i] = (struct race){ .f = f, .tar = &b, .diff_id = i % 2 ? diff_id : NULL };
		assert_int_equal(pthread_create(&t[i], NULL, racer, &c[i]), 0);
	}
	for (int i = 0; i < 6; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		assert_int_equal(c[i].r, 0);
		assert_string_equal(c[i].chain, diff_id);
	}
	assert_int_equal(entries(f, "layers"), 1);
	assert_int_equal(store_layer_get(f->store, diff_id, &l, NULL), 0);
	assert_int_equal(l.refs, 6);
	store_layer_done(&l);
}

static void test_trees_of_any_depth_are_removed(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE char *name = NULL, *path = NULL;
	struct err e = ERR_INIT;
	int fd;

	assert_int_equal(store_rw_create(f->store, NULL, 0, 0, &name, &e), 0);
	path = xasprintf("%s/layers/%s/diff", f->root, name);
	fd = dir_open(AT_FDCWD, path);
	for (int i = 0; i < 3000; i++) { /* deeper than paths and descriptors reach */
		int next;

		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		next = dir_open(fd, "d");
		assert_true(next >= 0);
		(void)close(fd);
		fd = next;
	}
	(void)close(fd);
	store_rw_remove(f->store, name);
	assert_int_equal(entries(f, "layers"), 0);
	stop(f); /* waits for the deleting thread */
	assert_int_equal(entries(f, "tmp"), 0);
	start(f, getenv("HOY_WORKER"));
}

static void test_a_worker_that_cannot_start_is_an_error(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	struct err e = ERR_INIT;
	char chain[DIGEST_TEXT];

	one_file(&b, "x");
	stop(f);
	start(f, "/bin/false"); /* starts, and says nothing */
	assert_true(add(f, NULL, &b, NULL, NULL, chain, &e) < 0);
	assert_non_null(strstr(e.msg, "hoy-worker"));
	assert_int_equal(entries(f, "layers"), 0);
}

static void test_missing_layer_of_a_container_is_made_anew(void **state)
{
	struct fixture *f = *state;
	struct store_rootfs r = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(store_rw_claim(f->store, "aaaabbbbcccc", NULL, &e), 0);
	assert_int_equal(store_sweep(f->store, &e), 0);
	assert_int_equal(store_rootfs(f->store, "aaaabbbbcccc", &r, &e), 0);
	assert_int_equal(access(r.upper, F_OK), 0);
	assert_int_equal(access(r.work, F_OK), 0);
	store_rootfs_done(&r);
	assert_true(store_rw_claim(f->store, "../x", NULL, &e) < 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_sha256_vectors),
		T(test_opaque_directories_are_marked),
		T(test_wrong_digests_leave_nothing),
		T(test_children_hold_their_parents),
		T(test_layer_without_its_directory_is_none),
		T(test_threads_that_want_the_same_layer_share_it),
		T(test_trees_of_any_depth_are_removed),
		T(test_a_worker_that_cannot_start_is_an_error),
		T(test_missing_layer_of_a_container_is_made_anew),
	};

	if (geteuid() != 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
