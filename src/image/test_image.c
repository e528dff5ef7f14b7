/* test_image.c - load, import, tag, remove with a real database, real files and the real hoy-worker (its path in HOY_WORKER). */
#include "image/image.h"
#include "archive/test_tar.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

struct fixture {
	char root[64];
	struct db *db;
	struct store *store;
	struct images *images;
	struct image_users users; /* what the hook answers */
	struct strv events, lines;
};

static void hook_users(void *ctx, const char *id, struct image_users *ret)
{
	struct fixture *f = ctx;

	for (size_t i = 0; i < f->users.n; i++) {
		struct image_user *u = VEC_ADD(ret);

		u->container = xstrdup(f->users.v[i].container);
		u->running = f->users.v[i].running;
	}
}

static void hook_event(void *ctx, const char *action, const char *id, const char *name)
{
	strv_addf(&((struct fixture *)ctx)->events, "%s %s", action, name);
}

static void on_line(void *ctx, const char *text)
{
	strv_add(&((struct fixture *)ctx)->lines, text);
}

static void fixture_start(struct fixture *f)
{
	struct err e = ERR_INIT;

	if (db_open(f->root, &f->db, &e) < 0 ||
	    store_open(&(struct store_opts){ .root = f->root, .worker = getenv("HOY_WORKER"), .db = f->db }, &f->store,
		       &e) < 0 ||
	    images_open(&(struct images_opts){ .db = f->db,
					       .store = f->store,
					       .hooks = { .ctx = f, .users = hook_users, .event = hook_event } },
			&f->images, &e) < 0 ||
	    store_sweep(f->store, &e) < 0)
		fail_msg("%s", e.msg);
}

static void fixture_stop(struct fixture *f)
{
	images_close(f->images);
	store_close(f->store);
	db_close(f->db);
	f->images = NULL;
}

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof *f);

	(void)snprintf(f->root, sizeof f->root, "/var/tmp/hoy-image-XXXXXX");
	if (!mkdtemp(f->root))
		return -1;
	fixture_start(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fixture_stop(f);
	(void)dir_remove(AT_FDCWD, f->root);
	strv_done(&f->events);
	strv_done(&f->lines);
	free(f->users.v);
	free(f);
	return 0;
}

static void layers_left(struct fixture *f, size_t want, int line)
{
	AUTO_FREE char *path = path_join(f->root, "layers");
	DIR *d = opendir(path);
	size_t n = 0;

	for (struct dirent *x; (x = readdir(d));)
		n += *x->d_name != '.' && !streq(x->d_name, "init");
	(void)closedir(d);
	if (n != want)
		fail_msg("line %d: %zu layers on disk, not %zu", line, n, want);
}
#define assert_layers(f, n) layers_left(f, n, __LINE__)

/* ---- archives ---- */
static int as_fd(const struct strb *b)
{
	int fd = memfd_of("archive", b->s, b->len);

	assert_true(fd >= 0);
	return fd;
}

static void rootfs_tar(struct strb *b, const char *text)
{
	tb_dir(b, "etc/");
	tb_file(b, "etc/text", text);
	tb_end(b);
}

struct parts {
	struct strb config, layer;
	char config_digest[DIGEST_TEXT], diff_id[DIGEST_TEXT];
};

static void make_parts(struct parts *p, const char *text, const char *arch)
{
	*p = (struct parts){ 0 };
	rootfs_tar(&p->layer, text);
	digest_bytes(p->layer.s, p->layer.len, p->diff_id);
	strb_addf(&p->config,
		  "{\"architecture\":\"%s\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"sh\"],\"Labels\":{\"a\":\"b\"}},"
		  "\"created\":\"2020-01-02T03:04:05Z\",\"history\":[{\"created_by\":\"ADD x\"},{\"created_by\":\"CMD "
		  "sh\","
		  "\"empty_layer\":true}],\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}",
		  arch, p->diff_id);
	digest_bytes(p->config.s, p->config.len, p->config_digest);
}

static void parts_done(struct parts *p)
{
	strb_done(&p->config);
	strb_done(&p->layer);
}

static void add_bytes(struct strb *b, const char *name, const struct strb *bytes)
{
	tb_add(b, (struct tb_entry){ .type = '0', .name = name, .data = bytes->s, .n = bytes->len });
}

static void saved(struct strb *b, const struct parts *p, const char *tag)
{
	AUTO_FREE char *manifest = xasprintf(
		"[{\"Config\":\"c.json\",\"RepoTags\":[\"%s\"],\"Layers\":[\"l/layer.tar\"]}]", tag);

	add_bytes(b, "c.json", &p->config);
	add_bytes(b, "l/layer.tar", &p->layer);
	tb_file(b, "manifest.json", manifest);
	tb_end(b);
}

static int load(struct fixture *f, const struct strb *archive, struct err *e)
{
	AUTO_FD int fd = as_fd(archive);

	return image_load(f->images, &(struct image_source){ .fd = fd }, NULL,
			  &(struct image_progress){ .ctx = f, .line = on_line }, e);
}

static void load_or_fail(struct fixture *f, const struct strb *archive)
{
	struct err e = ERR_INIT;

	if (load(f, archive, &e) < 0)
		fail_msg("%s", e.msg);
}

static void load_saved(struct fixture *f, const char *tag, const char *text)
{
	AUTO_STRB struct strb b = STRB_INIT;
	struct parts p;

	make_parts(&p, text, "amd64");
	saved(&b, &p, tag);
	load_or_fail(f, &b);
	parts_done(&p);
}

/* ---- load ---- */
static void test_saved_archive_loads(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_IMAGE struct image *i = NULL;
	AUTO_FREE char *path = NULL, *text = NULL;
	struct store_layer l = { 0 };
	struct parts p;

	make_parts(&p, "hello", "amd64");
	saved(&b, &p, "demo:1");
	load_or_fail(f, &b);
	assert_string_equal(f->lines.v[0], "Loaded image: demo:1");
	assert_int_equal(image_find(f->images, "demo:1", &i, NULL), 0);
	assert_string_equal(i->id, p.config_digest);
	assert_string_equal(i->oci.config.cmd.v[0], "sh");
	assert_int_equal(i->size, 5);
	assert_int_equal(i->created, 1577934245);
	assert_int_equal(store_layer_get(f->store, i->top, &l, NULL), 0);
	path = xasprintf("%s/layers/%s/diff/etc/text", f->root, l.name);
	assert_int_equal(file_read(AT_FDCWD, path, 100, &text, NULL), 0);
	assert_string_equal(text, "hello");
	store_layer_done(&l);
	parts_done(&p);
}

static void test_images_survive_a_restart(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE struct image *i = NULL;

	load_saved(f, "demo:1", "hello");
	fixture_stop(f);
	fixture_start(f);
	assert_int_equal(image_find(f->images, "demo:1", &i, NULL), 0);
	assert_int_equal(i->size, 5);
	assert_layers(f, 1);
}

static void test_image_without_layers_is_forgotten_for_good(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE struct image *i = NULL;
	AUTO_FREE char *text = NULL;

	load_saved(f, "demo:1", "hello");
	assert_int_equal(image_find(f->images, "demo:1", &i, NULL), 0);
	assert_int_equal(db_del_one(f->db, DB_LAYERS, i->top, NULL), 0);
	fixture_stop(f);
	fixture_start(f);
	assert_int_equal(image_count(f->images), 0);
	assert_int_equal(db_get(f->db, DB_IMAGES, i->id, &text, NULL), -ENOENT);
	assert_int_equal(db_get(f->db, DB_REFERENCES, "docker.io/library/demo:1", &text, NULL), -ENOENT);
	assert_layers(f, 0);
}

struct slow {
	const struct strb *b;
	size_t at;
};

static ssize_t slow_read(void *ctx, void *buf, size_t n)
{
	struct slow *s = ctx;
	size_t k = MIN(MIN(n, (size_t)777), s->b->len - s->at);

	memcpy(buf, s->b->s + s->at, k);
	s->at += k;
	return (ssize_t)k;
}

static ssize_t broken_read(void *ctx, void *buf, size_t n)
{
	ssize_t k = slow_read(ctx, buf, n);

	return k && ((struct slow *)ctx)->at < 1500 ? k : -ECONNRESET;
}

static void test_archive_comes_through_a_function(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	struct err e = ERR_INIT;
	struct parts p;

	make_parts(&p, "hello", "amd64");
	saved(&b, &p, "demo:1");
	assert_int_equal(
		image_load(f->images,
			   &(struct image_source){ .fd = -1, .read = slow_read, .ctx = &(struct slow){ .b = &b } },
			   NULL, NULL, &e),
		0);
	assert_int_equal(image_count(f->images), 1);
	parts_done(&p);
}

static void test_connection_that_breaks_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	struct err e = ERR_INIT;
	struct parts p;

	make_parts(&p, "hello", "amd64");
	saved(&b, &p, "demo:1");
	assert_true(
		image_load(f->images,
			   &(struct image_source){ .fd = -1, .read = broken_read, .ctx = &(struct slow){ .b = &b } },
			   NULL, NULL, &e) < 0);
	assert_int_equal(image_count(f->images), 0);
	assert_layers(f, 0);
	parts_done(&p);
}

static void test_wrong_diff_id_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	struct err e = ERR_INIT;
	struct parts p;

	make_parts(&p, "hello", "amd64");
	p.layer.s[p.layer.len - 1] = 1; /* behind the end of the archive: only the digest tells */
	saved(&b, &p, "demo:1");
	assert_true(load(f, &b, &e) < 0);
	assert_non_null(strstr(e.msg, "invalid diffID for layer 0"));
	assert_int_equal(e.kind, ERR_INVALID);
	assert_int_equal(image_count(f->images), 0);
	assert_layers(f, 0);
	parts_done(&p);
}

static void test_truncated_archive_is_refused(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	struct parts p;

	make_parts(&p, "hello", "amd64");
	saved(&b, &p, "demo:1");
	for (size_t cut = 100; cut < b.len - 2 * TB_BLOCK; cut += 700) {
		struct strb part = { .s = b.s, .len = cut };
		struct err e = ERR_INIT;

		assert_true(load(f, &part, &e) < 0);
		assert_true(*e.msg);
	}
	assert_int_equal(image_count(f->images), 0);
	assert_layers(f, 0);
	parts_done(&p);
}

static void test_archive_without_a_manifest_is_refused(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	struct err e = ERR_INIT;

	tb_file(&b, "hello", "world");
	tb_end(&b);
	assert_true(load(f, &b, &e) < 0);
	assert_non_null(strstr(e.msg, "manifest.json"));
}

static void test_other_architecture_loads(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_IMAGE struct image *i = NULL;
	struct parts p;

	make_parts(&p, "hello", "s390x");
	saved(&b, &p, "big:iron");
	load_or_fail(f, &b);
	assert_int_equal(image_find(f->images, "big:iron", &i, NULL), 0);
	assert_string_equal(i->oci.architecture, "s390x");
	parts_done(&p);
}

static void blob(struct strb *b, const struct strb *bytes, char digest[DIGEST_TEXT])
{
	AUTO_FREE char *path = NULL;

	digest_bytes(bytes->s, bytes->len, digest);
	path = xasprintf("blobs/sha256/%s", digest + 7);
	add_bytes(b, path, bytes);
}

static void layout(struct strb *b, const struct parts *p, const char *layer_digest, const char *name)
{
	char config[DIGEST_TEXT], layer[DIGEST_TEXT], manifest[DIGEST_TEXT];
	AUTO_STRB struct strb m = STRB_INIT, index = STRB_INIT;

	blob(b, &p->config, config);
	blob(b, &p->layer, layer);
	strb_addf(&m,
		  "{\"schemaVersion\":2,\"config\":{\"digest\":\"%s\",\"size\":%zu},\"layers\":[{\"digest\":\"%s\","
		  "\"size\":%zu}]}",
		  config, p->config.len, layer_digest ? layer_digest : layer, p->layer.len);
	blob(b, &m, manifest);
	strb_addf(&index,
		  "{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"%s\",\"size\":%zu,\"annotations\":"
		  "{\"io.containerd.image.name\":\"%s\"}}]}",
		  manifest, m.len, name);
	add_bytes(b, "index.json", &index);
	tb_file(b, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	tb_end(b);
}

static void test_oci_layout_loads(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_IMAGE struct image *i = NULL;
	struct parts p;

	make_parts(&p, "hello", "amd64");
	layout(&b, &p, NULL, "docker.io/library/oci:2");
	load_or_fail(f, &b);
	assert_string_equal(f->lines.v[0], "Loaded image: oci:2");
	assert_int_equal(image_find(f->images, "oci:2", &i, NULL), 0);
	assert_string_equal(i->id, p.config_digest);
	parts_done(&p);
}

static void test_oci_blob_with_wrong_digest_is_refused(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	struct err e = ERR_INIT;
	struct parts p;
	char lie[DIGEST_TEXT];

	make_parts(&p, "hello", "amd64");
	digest_bytes("other", 5, lie);
	layout(&b, &p, lie, "oci:2");
	assert_true(load(f, &b, &e) < 0);
	assert_layers(f, 0);
	parts_done(&p);
}

static void test_bad_layer_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	struct err e = ERR_INIT;
	struct parts p;

	make_parts(&p, "hello", "amd64");
	strb_clear(&p.layer);
	tb_file(&p.layer, "../../escape", "x");
	tb_end(&p.layer);
	saved(&b, &p, "demo:1");
	assert_true(load(f, &b, &e) < 0);
	assert_non_null(strstr(e.msg, "path leads out"));
	assert_int_equal(image_count(f->images), 0);
	assert_layers(f, 0);
	parts_done(&p);
}

static void test_equal_layers_are_stored_once(void **state)
{
	struct fixture *f = *state;

	load_saved(f, "a:1", "same");
	load_saved(f, "b:1", "same");
	assert_layers(f, 1);
	assert_int_equal(image_count(f->images), 1);
}

/* ---- import ---- */
static void test_import_makes_an_image(void **state)
{
	struct fixture *f = *state;
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_STRV struct strv changes = { 0 };
	AUTO_FREE char *id = NULL;
	AUTO_IMAGE struct image *i = NULL;
	struct err e = ERR_INIT;
	AUTO_FD int fd = -1;

	rootfs_tar(&b, "root");
	fd = as_fd(&b);
	strv_add(&changes, "CMD [\"/bin/sh\"]");
	strv_add(&changes, "ENV A=1 B=\"two words\"");
	strv_add(&changes, "expose 80 53/udp");
	if (image_import(
		    f->images,
		    &(struct image_import){ .src = { .fd = fd }, .repo = "base", .tag = "v1", .changes = &changes },
		    &id, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(image_find(f->images, "base:v1", &i, NULL), 0);
	assert_string_equal(i->id, id);
	assert_string_equal(i->oci.config.cmd.v[0], "/bin/sh");
	assert_string_equal(strv_env_get(&i->oci.config.env, "B"), "two words");
	assert_true(strv_has(&i->oci.config.ports, "53/udp"));
	assert_string_equal(i->oci.comment, "Imported from -");
	assert_int_equal(i->size, 4);
}

static void test_import_refuses_a_wrong_change_before_reading(void **state)
{
	struct fixture *f = *state;
	AUTO_STRV struct strv changes = { 0 };
	struct err e = ERR_INIT;
	char *id = NULL;

	strv_add(&changes, "FROM x");
	assert_true(image_import(f->images, &(struct image_import){ .src = { .fd = -1 }, .changes = &changes }, &id,
				 &e) < 0);
	assert_string_equal(e.msg, "FROM is not a valid change command");
}

/* ---- names and removal ---- */
static void test_missing_image(void **state)
{
	struct fixture *f = *state;
	struct image *i = NULL;
	struct err e = ERR_INIT;

	assert_int_equal(image_find(f->images, "nope", &i, &e), -ENOENT);
	assert_string_equal(e.msg, "No such image: nope:latest");
}

static void test_find_by_id_prefix(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE struct image *a = NULL, *b = NULL;
	char prefix[9] = "";

	load_saved(f, "demo:1", "x");
	assert_int_equal(image_find(f->images, "demo:1", &a, NULL), 0);
	memcpy(prefix, a->id + 7, 8);
	assert_int_equal(image_find(f->images, prefix, &b, NULL), 0);
	assert_ptr_equal(a, b);
}

static void test_last_name_takes_the_image_along(void **state)
{
	struct fixture *f = *state;
	struct image_removal r = { 0 };
	struct err e = ERR_INIT;

	load_saved(f, "demo:1", "x");
	assert_int_equal(image_tag(f->images, "demo:1", "other", NULL, &e), 0);
	assert_int_equal(image_remove(f->images, "demo:1", 0, &r, &e), 0);
	assert_int_equal(r.n, 1);
	assert_string_equal(r.v[0].untagged, "demo:1");
	image_removal_done(&r);
	assert_int_equal(image_count(f->images), 1);
	assert_int_equal(image_remove(f->images, "other", 0, &r, &e), 0);
	assert_int_equal(r.n, 3);
	assert_string_equal(r.v[0].untagged, "other:latest");
	assert_non_null(r.v[1].deleted);
	assert_non_null(r.v[2].deleted);
	image_removal_done(&r);
	assert_int_equal(image_count(f->images), 0);
	assert_layers(f, 0);
}

static void use(struct fixture *f, const char *container, bool running)
{
	*VEC_ADD(&f->users) = (struct image_user){ .container = (char *)(uintptr_t)container, .running = running };
}

static void test_image_in_use_is_kept(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE struct image *i = NULL;
	AUTO_FREE char *want = NULL;
	struct image_removal r = { 0 };
	struct err e = ERR_INIT;

	load_saved(f, "demo:1", "x");
	assert_int_equal(image_find(f->images, "demo:1", &i, NULL), 0);
	use(f, "0123456789abcdef", false);
	assert_int_equal(image_remove(f->images, "demo:1", 0, &r, &e), -EBUSY);
	want = xasprintf(
		"conflict: unable to remove repository reference \"demo:1\" (must force) - container 0123456789ab "
		"is using its referenced image %.12s",
		i->id + 7);
	assert_string_equal(e.msg, want);
	free(want);
	assert_int_equal(image_remove(f->images, i->id, 0, &r, &e), -EBUSY);
	want = xasprintf("conflict: unable to delete %.12s (must be forced) - image is being used by stopped container "
			 "0123456789ab",
			 i->id + 7);
	assert_string_equal(e.msg, want);
	assert_int_equal(image_count(f->images), 1);
}

static void test_running_container_keeps_the_image_even_by_force(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE struct image *i = NULL;
	struct image_removal r = { 0 };
	struct err e = ERR_INIT;

	load_saved(f, "demo:1", "x");
	assert_int_equal(image_find(f->images, "demo:1", &i, NULL), 0);
	use(f, "0123456789abcdef", true);
	assert_int_equal(image_remove(f->images, i->id, IMAGE_FORCE, &r, &e), -EBUSY);
	assert_non_null(strstr(e.msg, "(cannot be forced) - image is being used by running container"));
	assert_int_equal(image_count(f->images), 1);
}

static void test_container_keeps_the_layers_of_a_removed_image(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE struct image *i = NULL;
	struct store_rootfs root = { 0 };
	struct image_removal r = { 0 };
	AUTO_FREE char *rw = NULL;
	struct err e = ERR_INIT;

	load_saved(f, "demo:1", "x");
	assert_int_equal(image_find(f->images, "demo:1", &i, NULL), 0);
	assert_int_equal(store_rw_create(f->store, i->top, 0, 0, &rw, &e), 0);
	assert_int_equal(image_remove(f->images, "demo:1", IMAGE_FORCE, &r, &e), 0);
	image_removal_done(&r);
	assert_layers(f, 2);
	assert_int_equal(store_rootfs(f->store, rw, &root, &e), 0);
	assert_int_equal(root.lowers.n, 2);
	assert_string_equal(root.lowers.v[1], "init/diff");
	store_rootfs_done(&root);
	store_rw_remove(f->store, rw);
	assert_layers(f, 0);
}

static void test_layers_of_images_are_not_leased_after_a_start(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE struct image *i = NULL;
	struct image_removal gone = { 0 };
	struct err e = ERR_INIT;

	load_saved(f, "demo:1", "x");
	assert_int_equal(image_find(f->images, "demo:1", &i, NULL), 0);
	assert_int_equal(store_layer_lease(f->store, i->top, time_now_ns() + 3600000000000, &e), 0);
	fixture_stop(f);
	fixture_start(f);
	assert_int_equal(image_remove(f->images, "demo:1", 0, &gone, &e), 0);
	image_removal_done(&gone);
	assert_layers(f, 0);
}

static void test_unclaimed_layers_go_at_start(void **state)
{
	struct fixture *f = *state;
	AUTO_IMAGE struct image *i = NULL;
	AUTO_FREE char *rw = NULL;
	struct err e = ERR_INIT;

	load_saved(f, "demo:1", "x");
	assert_int_equal(image_find(f->images, "demo:1", &i, NULL), 0);
	assert_int_equal(store_rw_create(f->store, i->top, 0, 0, &rw, &e), 0); /* nobody writes its name down */
	fixture_stop(f);
	fixture_start(f);
	assert_layers(f, 1);
}

static void test_list_and_history(void **state)
{
	struct fixture *f = *state;
	struct image_query q = { .shared_size = true };
	struct image_list l = { 0 };
	struct image_history h = { 0 };

	load_saved(f, "a:1", "one");
	load_saved(f, "b/c:2", "three");
	assert_int_equal(image_list(f->images, &q, &l, NULL), 0);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.v[0].shared, 0);
	image_list_done(&l);
	for (size_t i = 0; i < 5; i++) {
		static const char *const bad[] = { "[", "a[]", "a[b-", "a\\", "[z-]" };
		struct image_query wrong = { 0 };
		struct err e = ERR_INIT;

		strv_add(&wrong.references, bad[i]);
		assert_true(image_list(f->images, &wrong, &l, &e) < 0);
		assert_string_equal(e.msg, "syntax error in pattern");
		strv_done(&wrong.references);
	}
	strv_add(&q.references, "b/*");
	assert_int_equal(image_list(f->images, &q, &l, NULL), 0);
	assert_int_equal(l.n, 1);
	assert_string_equal(l.v[0].names.tags.v[0], "b/c:2");
	image_list_done(&l);
	strv_done(&q.references);
	assert_int_equal(image_history(f->images, "a:1", &h, NULL), 0);
	assert_int_equal(h.n, 2);
	assert_string_equal(h.v[0].created_by, "CMD sh");
	assert_string_equal(h.v[1].id, "<missing>");
	assert_int_equal(h.v[1].size, 3);
	image_history_done(&h);
}

static void test_prune_takes_what_nobody_uses(void **state)
{
	struct fixture *f = *state;
	struct image_removal r = { 0 };
	int64_t bytes = 0;

	load_saved(f, "demo:1", "hello");
	assert_int_equal(image_prune(f->images, &(struct image_prune){ 0 }, &r, &bytes, NULL), 0);
	assert_int_equal(r.n, 0);
	assert_int_equal(image_prune(f->images, &(struct image_prune){ .all = true }, &r, &bytes, NULL), 0);
	assert_int_equal(r.n, 3);
	assert_int_equal(bytes, 5);
	image_removal_done(&r);
	assert_layers(f, 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_saved_archive_loads),
		T(test_images_survive_a_restart),
		T(test_image_without_layers_is_forgotten_for_good),
		T(test_archive_comes_through_a_function),
		T(test_connection_that_breaks_leaves_nothing),
		T(test_wrong_diff_id_leaves_nothing),
		T(test_truncated_archive_is_refused),
		T(test_archive_without_a_manifest_is_refused),
		T(test_other_architecture_loads),
		T(test_oci_layout_loads),
		T(test_oci_blob_with_wrong_digest_is_refused),
		T(test_bad_layer_leaves_nothing),
		T(test_equal_layers_are_stored_once),
		T(test_import_makes_an_image),
		T(test_import_refuses_a_wrong_change_before_reading),
		T(test_missing_image),
		T(test_find_by_id_prefix),
		T(test_last_name_takes_the_image_along),
		T(test_image_in_use_is_kept),
		T(test_running_container_keeps_the_image_even_by_force),
		T(test_container_keeps_the_layers_of_a_removed_image),
		T(test_layers_of_images_are_not_leased_after_a_start),
		T(test_unclaimed_layers_go_at_start),
		T(test_list_and_history),
		T(test_prune_takes_what_nobody_uses),
	};

	if (geteuid() != 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
