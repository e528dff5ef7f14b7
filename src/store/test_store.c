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

/* Each mkdir may be the last that the journal has. */
static void test_half_a_layer_of_a_container_is_completed(void **state)
{
	static const char *const there[] = { "", "diff", "work" };
	struct fixture *f = *state;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < ARRAY_LEN(there); i++) {
		AUTO_FREE char *name = xasprintf("halflayer%zu", i), *path = NULL;
		struct store_rootfs r = { 0 };
		bool kept = i == 1;

		path = xasprintf("%s/layers/%s/%s", f->root, name, there[i]);
		assert_int_equal(dir_make(AT_FDCWD, path, 0755), 0);
		if (kept) {
			AUTO_FREE char *file = path_join(path, "file");

			assert_int_equal(file_write(AT_FDCWD, file, "x", 1, 0644), 0);
		}
		assert_int_equal(store_rw_claim(f->store, name, NULL, &e), 0);
		assert_int_equal(store_rootfs(f->store, name, &r, &e), 0);
		assert_int_equal(access(r.upper, F_OK), 0);
		assert_int_equal(access(r.work, F_OK), 0);
		if (kept) {
			AUTO_FREE char *file = path_join(r.upper, "file");

			assert_int_equal(access(file, F_OK), 0);
		}
		store_rootfs_done(&r);
	}
}

static int stage(struct fixture *f, const char *name, struct store_stage **ret)
{
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_FD int fd = -1;

	one_file(&b, name);
	fd = memfd_of("layer", b.s, b.len);
	return store_stage(f->store, NULL, &(struct store_blob){ .src = { .fd = fd }, .repo = "r", .what = name }, ret,
			   NULL);
}

static void test_stages_settle_on_top_of_each_other(void **state)
{
	struct fixture *f = *state;
	struct store_stage *v[3];
	struct store_layer l = { 0 };
	char chain[DIGEST_TEXT], low[DIGEST_TEXT], again[DIGEST_TEXT];

	assert_int_equal(stage(f, "c", &v[2]), 0); /* the highest first */
	assert_int_equal(stage(f, "a", &v[0]), 0);
	assert_int_equal(stage(f, "b", &v[1]), 0);
	assert_int_equal(entries(f, "layers"), 0);
	memcpy(low, store_stage_diff_id(v[0]), sizeof low);
	assert_int_equal(store_settle(f->store, NULL, v, 3, 0, chain, NULL), 0);
	assert_int_equal(entries(f, "layers"), 3);
	assert_int_equal(store_chain_size(f->store, chain), 3);
	assert_int_equal(store_layer_get(f->store, low, &l, NULL), 0);
	assert_int_equal(l.refs, 1); /* its child */
	assert_int_equal(l.blobs.n, 1);
	assert_string_equal(l.blobs.v[0].repo, "r");
	store_layer_done(&l);
	/* the same once more, with one on top: what is there is shared */
	assert_int_equal(stage(f, "a", &v[0]), 0);
	assert_int_equal(stage(f, "b", &v[1]), 0);
	assert_int_equal(stage(f, "d", &v[2]), 0);
	assert_int_equal(store_settle(f->store, NULL, v, 3, 0, again, NULL), 0);
	assert_int_equal(entries(f, "layers"), 4);
	store_layer_unref(f->store, chain);
	assert_int_equal(entries(f, "layers"), 3);
	store_layer_unref(f->store, again);
	assert_int_equal(entries(f, "layers"), 0);
	stop(f);
	assert_int_equal(entries(f, "tmp"), 0);
	start(f, getenv("HOY_WORKER"));
}

static void test_settling_on_a_missing_parent_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	char chain[DIGEST_TEXT], missing[DIGEST_TEXT];
	struct store_stage *v = NULL;

	digest_bytes("x", 1, missing);
	assert_int_equal(stage(f, "a", &v), 0);
	assert_int_equal(store_settle(f->store, missing, &v, 1, 0, chain, NULL), -ENOENT);
	assert_int_equal(entries(f, "layers"), 0);
	stop(f);
	assert_int_equal(entries(f, "tmp"), 0);
	start(f, getenv("HOY_WORKER"));
}

static void test_a_lease_keeps_a_layer_without_owner(void **state)
{
	struct fixture *f = *state;
	char chain[DIGEST_TEXT];
	struct store_stage *v[2];
	struct err e = ERR_INIT;

	assert_int_equal(stage(f, "a", &v[0]), 0);
	assert_int_equal(stage(f, "b", &v[1]), 0);
	assert_int_equal(store_settle(f->store, NULL, v, 2, time_now_ns() + 3600000000000, chain, NULL), 0);
	store_layer_unref(f->store, chain);
	assert_int_equal(entries(f, "layers"), 2);
	stop(f);
	start(f, getenv("HOY_WORKER"));
	assert_int_equal(store_sweep(f->store, &e), 0);
	store_layer_expire(f->store, NULL);
	assert_int_equal(entries(f, "layers"), 2);
	/* somebody takes it and gives it back: still leased */
	assert_int_equal(store_layer_ref(f->store, chain, &e), 0);
	store_layer_unref(f->store, chain);
	assert_int_equal(entries(f, "layers"), 2);
	assert_int_equal(store_layer_lease(f->store, chain, 0, &e), 0);
	assert_int_equal(entries(f, "layers"), 0);
}

static void test_a_lease_that_is_over_is_none(void **state)
{
	struct fixture *f = *state;
	char chain[DIGEST_TEXT];
	struct store_stage *v = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(stage(f, "a", &v), 0);
	assert_int_equal(store_settle(f->store, NULL, &v, 1, time_now_ns() - 1, chain, NULL), 0);
	stop(f);
	start(f, getenv("HOY_WORKER"));
	assert_int_equal(store_sweep(f->store, &e), 0);
	assert_int_equal(entries(f, "layers"), 0);
}

static void test_blobs_are_remembered_once_per_place(void **state)
{
	struct fixture *f = *state;
	char chain[DIGEST_TEXT], other[DIGEST_TEXT];
	struct store_stage *v = NULL;
	struct store_blobs b = { 0 };
	char there[] = "there", type[] = "t";
	struct store_blob_info more = { .digest = other, .repo = there, .media_type = type, .size = 9 };
	struct err e = ERR_INIT;

	digest_bytes("z", 1, other);
	assert_int_equal(stage(f, "a", &v), 0);
	assert_int_equal(store_settle(f->store, NULL, &v, 1, 0, chain, NULL), 0);
	assert_int_equal(store_layer_blob_add(f->store, chain, &more, &e), 0);
	assert_int_equal(store_layer_blob_add(f->store, chain, &more, &e), 0);
	stop(f);
	start(f, getenv("HOY_WORKER"));
	store_layer_blobs(f->store, chain, &b); /* the lowest layer: its chain id is its diff id */
	assert_int_equal(b.n, 2);
	assert_string_equal(b.v[1].digest, other);
	assert_string_equal(b.v[1].repo, "there");
	assert_string_equal(b.v[1].media_type, "t");
	assert_int_equal(b.v[1].size, 9);
	store_blobs_done(&b);
}

static int pack(struct fixture *f, const char *chain, char **ret, int64_t *ret_n, struct err *e)
{
	struct store_pack *p = NULL;
	size_t n = 0;
	int r = store_pack_begin(f->store, chain, false, &p, e);

	if (r < 0)
		return r;
	free(*ret);
	assert_int_equal(fd_read_all(store_pack_fd(p), 1 << 20, ret, &n), 0);
	r = store_pack_end(p, ret_n, e);
	if (r == 0)
		assert_int_equal(*ret_n, n);
	return r;
}

static void test_a_layers_archive_comes_back(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_FREE char *again = NULL, *path = NULL;
	struct store_layer l = { 0 };
	char chain[DIGEST_TEXT];
	struct store_pack *p = NULL;
	struct err e = ERR_INIT;
	int64_t size = 0;

	tb_dir(&b, "a");
	tb_file(&b, "a/b", "content");
	tb_file(&b, "a/.wh.c", "");
	tb_file(&b, "a/b", "content again");
	tb_end(&b);
	assert_int_equal(add(f, NULL, &b, NULL, NULL, chain, &e), 0);
	if (pack(f, chain, &again, &size, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(size, b.len);
	assert_memory_equal(again, b.s, b.len);
	assert_int_equal(store_layer_get(f->store, chain, &l, &e), 0);
	assert_int_equal(l.tar_size, b.len);
	/* giving up in the middle */
	assert_int_equal(store_pack_begin(f->store, chain, false, &p, &e), 0);
	assert_int_equal(store_pack_end(p, NULL, &e), 0);
	/* a layer that was tampered with is not sent as if it were whole */
	path = xasprintf("%s/layers/%s/diff/a/b", f->root, l.name);
	assert_int_equal(file_write(AT_FDCWD, path, "c0ntent again", 13, 0644), 0);
	assert_true(pack(f, chain, &again, &size, &e) < 0);
	assert_non_null(strstr(e.msg, "have changed"));
	/* nor one without a recipe */
	free(path);
	path = xasprintf("%s/layers/%s/recipe", f->root, l.name);
	assert_int_equal(unlink(path), 0);
	assert_true(store_layer_packable(f->store, chain, &e) < 0);
	assert_non_null(strstr(e.msg, "older hoyd"));
	store_layer_done(&l);
}

/* ---- unfinished downloads ---- */
struct download {
	struct store_partial *p;
	const struct strb *bytes;
	size_t until;
	int end;
};

static void *downloads(void *arg)
{
	struct download *d = arg;

	for (size_t at = (size_t)store_partial_have(d->p); at < d->until;) {
		size_t n = MIN((size_t)700, d->until - at);

		(void)usleep(300);
		if (fd_write_all(store_partial_fd(d->p), d->bytes->s + at, n) < 0)
			break;
		at += n;
		store_partial_grew(d->p, (int64_t)at);
	}
	store_partial_end(d->p, d->end);
	return NULL;
}

static void saw(void *ctx, int64_t done)
{
	*(int64_t *)ctx = done;
}

static int follow(struct fixture *f, const struct strb *b, const char *digest, size_t until, int end,
		  struct store_stage **ret, int64_t *seen, struct err *e)
{
	struct download d = { .bytes = b, .until = until, .end = end };
	pthread_t t;
	int r;

	assert_int_equal(store_partial_open(f->store, digest, NULL, &d.p, e), 0);
	assert_int_equal(pthread_create(&t, NULL, downloads, &d), 0);
	r = store_stage(
		f->store, NULL,
		&(struct store_blob){
			.src = store_partial_source(d.p), .digest = digest, .progress = saw, .progress_ctx = seen },
		ret, e);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(store_partial_close(d.p, r == 0 ? STORE_PARTIAL_BLOB : STORE_PARTIAL_KEEP, e), 0);
	return r;
}

static void test_a_layer_is_unpacked_while_it_arrives(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	struct store_stage *v = NULL;
	char digest[DIGEST_TEXT], chain[DIGEST_TEXT];
	struct err e = ERR_INIT;
	int64_t seen = 0;
	int fd;

	for (int i = 0; i < 100; i++)
		tb_file(&b, "some/file", "some content");
	tb_end(&b);
	digest_bytes(b.s, b.len, digest);
	/* the link breaks in the middle: nothing becomes a layer, the bytes stay */
	assert_int_equal(follow(f, &b, digest, b.len / 2, -EPIPE, &v, &seen, &e), -EPIPE);
	assert_int_equal(entries(f, "partial"), 1);
	stop(f);
	start(f, getenv("HOY_WORKER"));
	assert_int_equal(follow(f, &b, digest, b.len, 0, &v, &seen, &e), 0);
	assert_int_equal(seen, b.len);
	assert_int_equal(entries(f, "partial"), 0);
	assert_int_equal(store_settle(f->store, NULL, &v, 1, 0, chain, &e), 0);
	/* and the blob lives as long as the layer */
	assert_int_equal(store_sweep(f->store, &e), 0);
	fd = store_blob_open(f->store, digest);
	assert_true(fd >= 0);
	(void)close(fd);
	store_layer_unref(f->store, chain);
	assert_int_equal(store_blob_open(f->store, digest), -ENOENT);
}

static void test_old_downloads_are_thrown_away(void **state)
{
	struct fixture *f = *state;
	struct timespec old[2] = { { .tv_sec = time(NULL) - STORE_PARTIAL_KEEP_S - 10 },
				   { .tv_sec = time(NULL) - STORE_PARTIAL_KEEP_S - 10 } };
	char young[DIGEST_TEXT], aged[DIGEST_TEXT];
	struct err e = ERR_INIT;
	struct store_partial *p;

	digest_bytes("young", 5, young);
	digest_bytes("aged", 4, aged);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(store_partial_open(f->store, i ? aged : young, NULL, &p, &e), 0);
		assert_int_equal(fd_write_all(store_partial_fd(p), "x", 1), 0);
		store_partial_grew(p, 1);
		if (i)
			assert_int_equal(futimens(store_partial_fd(p), old), 0);
		assert_int_equal(store_partial_close(p, STORE_PARTIAL_KEEP, &e), 0);
	}
	stop(f);
	start(f, getenv("HOY_WORKER"));
	assert_int_equal(entries(f, "partial"), 1);
	assert_int_equal(store_partial_open(f->store, young, NULL, &p, &e), 0);
	assert_int_equal(store_partial_have(p), 1);
	assert_int_equal(store_partial_close(p, STORE_PARTIAL_DROP, &e), 0);
	assert_int_equal(entries(f, "partial"), 0);
}

/* The power went after the layer was recorded, or the layer came another way. */
static void test_downloads_whose_layer_is_there_go(void **state)
{
	struct fixture *f = *state;
	struct store_layer l = { 0 };
	struct store_stage *v = NULL;
	struct store_partial *p = NULL;
	char chain[DIGEST_TEXT], needed[DIGEST_TEXT];
	struct err e = ERR_INIT;

	digest_bytes("needed", 6, needed);
	assert_int_equal(stage(f, "a", &v), 0);
	assert_int_equal(store_settle(f->store, NULL, &v, 1, 0, chain, &e), 0);
	assert_int_equal(store_layer_get(f->store, chain, &l, &e), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(store_partial_open(f->store, i ? needed : l.blobs.v[0].digest, NULL, &p, &e), 0);
		assert_int_equal(fd_write_all(store_partial_fd(p), "x", 1), 0);
		store_partial_grew(p, 1);
		if (i)
			store_partial_forget(f->store, needed); /* we hold it */
		assert_int_equal(store_partial_close(p, STORE_PARTIAL_KEEP, &e), 0);
	}
	assert_int_equal(entries(f, "partial"), 2);
	assert_int_equal(store_sweep(f->store, &e), 0);
	assert_int_equal(entries(f, "partial"), 1);
	store_partial_forget(f->store, needed);
	assert_int_equal(entries(f, "partial"), 0);
	store_layer_done(&l);
}

struct second {
	struct fixture *f;
	const char *digest;
	int r, got;
	const int *cancel;
};

static void *opens_second(void *arg)
{
	struct second *c = arg;
	struct store_partial *p = NULL;

	c->r = store_partial_open(c->f->store, c->digest, c->cancel, &p, NULL);
	__atomic_store_n(&c->got, 1, __ATOMIC_RELEASE);
	(void)store_partial_close(p, STORE_PARTIAL_KEEP, NULL);
	return NULL;
}

static void test_a_second_download_of_the_same_waits(void **state)
{
	struct fixture *f = *state;
	char digest[DIGEST_TEXT];
	int cancel = 0;
	struct second c = { .f = f, .digest = digest }, given_up = { .f = f, .digest = digest, .cancel = &cancel };
	struct store_partial *p = NULL;
	pthread_t t, u;

	digest_bytes("x", 1, digest);
	assert_int_equal(store_partial_open(f->store, digest, NULL, &p, NULL), 0);
	assert_int_equal(pthread_create(&t, NULL, opens_second, &c), 0);
	assert_int_equal(pthread_create(&u, NULL, opens_second, &given_up), 0);
	__atomic_store_n(&cancel, 1, __ATOMIC_RELEASE);
	assert_int_equal(pthread_join(u, NULL), 0);
	assert_int_equal(given_up.r, -ECANCELED);
	assert_int_equal(__atomic_load_n(&c.got, __ATOMIC_ACQUIRE), 0);
	assert_int_equal(store_partial_close(p, STORE_PARTIAL_KEEP, NULL), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(c.r, 0);
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
		T(test_half_a_layer_of_a_container_is_completed),
		T(test_stages_settle_on_top_of_each_other),
		T(test_settling_on_a_missing_parent_leaves_nothing),
		T(test_a_lease_keeps_a_layer_without_owner),
		T(test_a_lease_that_is_over_is_none),
		T(test_blobs_are_remembered_once_per_place),
		T(test_a_layers_archive_comes_back),
		T(test_a_layer_is_unpacked_while_it_arrives),
		T(test_old_downloads_are_thrown_away),
		T(test_downloads_whose_layer_is_there_go),
		T(test_a_second_download_of_the_same_waits),
	};

	if (geteuid() != 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
