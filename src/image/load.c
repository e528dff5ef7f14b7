/* load.c - docker load. A worker turns the archive into numbered files; the documents among them are read here, and each layer
 * goes to another worker through the store. Nothing becomes visible before all of an image is in place. */
#include "image/spool.h"
#include "schema/platform.h"

#include <fcntl.h>

#define DOC_MAX ((size_t)8 << 20)

struct load {
	struct images *t;
	const struct image_platform *platform;
	const struct image_progress *progress;
	struct spool *spool;
	size_t done;
	bool last; /* no later image of the archive will ask for its files */
};

static void say(struct load *l, const char *fmt, const char *what)
{
	AUTO_FREE char *text = xasprintf("%s%s", fmt, what);

	if (l->progress && l->progress->line)
		l->progress->line(l->progress->ctx, text);
}

/* ---- one image, its parts already named ---- */
struct plan {
	char *config;        /* path in the archive */
	char *id;            /* the digest it must have, or NULL */
	struct strv layers;  /* likewise, lowest first */
	struct strv digests; /* of the layers as they come, where the archive promises them */
	struct strv names;   /* full references */
};

static void plan_done(struct plan *p)
{
	free(p->config);
	free(p->id);
	strv_done(&p->layers);
	strv_done(&p->digests);
	strv_done(&p->names);
}

/* ---- its layers: unpacked side by side, settled together ---- */
#define UNPACK_AT_ONCE 4
struct unpacking {
	struct load *l;
	const struct plan *p;
	const struct image *i;
	size_t first; /* layers below it are there already */
	struct store_stage **stages;
	pthread_mutex_t lock;
	size_t next; /* guarded by lock, as what follows */
	int error;
	struct err err;
};

/* A layer that is unpacked need not be written to disk as an archive too, which the next sync would do. */
static void drop_file(struct unpacking *u, size_t k)
{
	if (!u->l->last)
		return;
	for (size_t i = 0; i < u->p->layers.n; i++)
		if (i != k && spool_same(u->l->spool, u->p->layers.v[i], u->p->layers.v[k]))
			return;
	spool_drop(u->l->spool, u->p->layers.v[k]);
}

static int unpack_one(struct unpacking *u, size_t k, const char *parent, struct err *e)
{
	AUTO_FREE char *what = xasprintf("layer %zu", k);
	AUTO_FD int fd = spool_open(u->l->spool, u->p->layers.v[k], e);
	int r;

	r = fd < 0 ? fd
		   : store_stage(u->l->t->store, parent,
				 &(struct store_blob){ .src = { .fd = fd },
						       .digest = u->p->digests.n ? u->p->digests.v[k] : NULL,
						       .diff_id = u->i->oci.rootfs.diff_ids.v[k],
						       .what = what },
				 &u->stages[k], e);
	if (r == 0)
		drop_file(u, k);
	return r;
}

static void *unpack_some(void *arg)
{
	struct unpacking *u = arg;

	for (;;) {
		struct err err = ERR_INIT;
		size_t k;
		bool stop;
		int r;

		pthread_mutex_lock(&u->lock);
		k = u->next++;
		stop = k >= u->p->layers.n || u->error < 0;
		pthread_mutex_unlock(&u->lock);
		if (stop)
			return NULL;
		r = unpack_one(u, k, NULL, &err);
		if (r < 0) {
			pthread_mutex_lock(&u->lock);
			if (u->error == 0) {
				u->error = r;
				u->err = err;
			}
			pthread_mutex_unlock(&u->lock);
		}
	}
}

static int unpack_all(struct unpacking *u, struct err *e)
{
	size_t n = MIN(u->p->layers.n - u->first, (size_t)UNPACK_AT_ONCE) - 1, started = 0;
	pthread_t threads[UNPACK_AT_ONCE];

	while (started < n && pthread_create(&threads[started], NULL, unpack_some, u) == 0)
		started++;
	(void)unpack_some(u);
	while (started > 0)
		(void)pthread_join(threads[--started], NULL);
	if (u->error < 0 && e)
		*e = u->err;
	return u->error;
}

/* Layers that are made out of their parent come one after the other. */
static int add_in_order(struct unpacking *u, char chain[DIGEST_TEXT], struct err *e)
{
	int r = 0;

	for (size_t k = u->first; r == 0 && k < u->p->layers.n; k++) {
		const char *parent = *chain ? chain : NULL;
		char next[DIGEST_TEXT];

		r = unpack_one(u, k, parent, e);
		if (r == 0) {
			r = store_settle(u->l->t->store, parent, &u->stages[k], 1, 0, next, e);
			u->stages[k] = NULL;
		}
		if (r == 0) {
			store_layer_unref(u->l->t->store, parent); /* its child holds it now */
			memcpy(chain, next, sizeof next);
		}
	}
	return r;
}

static int add_missing(struct unpacking *u, char chain[DIGEST_TEXT], struct err *e)
{
	struct store *store = u->l->t->store;
	const char *parent = *chain ? chain : NULL;
	char top[DIGEST_TEXT];
	int r;

	if (store_whole_trees(store))
		return add_in_order(u, chain, e);
	r = unpack_all(u, e);
	if (r < 0)
		return r;
	r = store_settle(store, parent, u->stages + u->first, u->p->layers.n - u->first, 0, top, e);
	memset(u->stages, 0, u->p->layers.n * sizeof(struct store_stage *));
	if (r == 0) {
		store_layer_unref(store, parent);
		memcpy(chain, top, sizeof top);
	}
	return r;
}

/* How many of the lowest layers are there; a reference to the highest of them is ours. */
static size_t have_already(struct store *store, const struct strv *diff_ids, char chain[DIGEST_TEXT])
{
	char next[DIGEST_TEXT];
	size_t k;

	*chain = 0;
	for (k = 0; k < diff_ids->n; k++) {
		chain_id(*chain ? chain : NULL, diff_ids->v[k], next);
		if (store_layer_ref(store, next, NULL) < 0)
			break;
		store_layer_unref(store, *chain ? chain : NULL);
		memcpy(chain, next, sizeof next);
	}
	return k;
}

static int add_layers(struct load *l, const struct plan *p, struct image *i, struct err *e)
{
	struct unpacking u = { .l = l, .p = p, .i = i };
	char chain[DIGEST_TEXT];
	int r = 0;

	u.first = u.next = have_already(l->t->store, &i->oci.rootfs.diff_ids, chain);
	if (u.first < p->layers.n) {
		u.stages = xcalloc(p->layers.n, sizeof(struct store_stage *));
		pthread_mutex_init(&u.lock, NULL);
		r = add_missing(&u, chain, e);
		for (size_t k = 0; k < p->layers.n; k++)
			store_stage_drop(l->t->store, u.stages[k]);
		pthread_mutex_destroy(&u.lock);
		free(u.stages);
	}
	if (r < 0) {
		store_layer_unref(l->t->store, *chain ? chain : NULL);
		return r;
	}
	i->top = *chain ? xstrdup(chain) : NULL;
	i->size = store_chain_size(l->t->store, i->top);
	return 0;
}

static int publish(struct load *l, const struct plan *p, struct image **i, struct err *e)
{
	int r;

	pthread_mutex_lock(&l->t->change);
	r = images_add(l->t, i, &p->names, 0, e);
	if (r < 0) /* otherwise the image holds its layers now */
		store_layer_unref(l->t->store, (*i)->top);
	pthread_mutex_unlock(&l->t->change);
	return r;
}

static int load_one(struct load *l, const struct plan *p, struct err *e)
{
	AUTO_IMAGE struct image *i = NULL;
	AUTO_FREE char *json = NULL;
	size_t n = 0;
	int r = spool_read(l->spool, p->config, DOC_MAX, &json, &n, e);

	if (r == 0)
		r = image_read(json, n, &i, e);
	if (r < 0)
		return r;
	if (p->id && !streq(p->id, i->id))
		return err_set(e, ERR_INVALID, "invalid archive: blob %s: content does not match its digest", p->id);
	if (!image_fits(i, l->platform))
		return 0;
	if (p->layers.n != i->oci.rootfs.diff_ids.n)
		return err_set(e, ERR_INVALID, "invalid manifest, layers length mismatch: expected %zu, got %zu",
			       p->layers.n, i->oci.rootfs.diff_ids.n);
	r = add_layers(l, p, i, e);
	if (r < 0)
		return r;
	r = publish(l, p, &i, e);
	if (r < 0)
		return r;
	for (size_t k = 0; k < p->names.n; k++) {
		struct ref ref = { 0 };

		if (ref_parse(p->names.v[k], &ref, NULL) == 0) {
			AUTO_FREE char *familiar = ref_familiar(&ref);

			say(l, "Loaded image: ", familiar);
		}
		ref_done(&ref);
	}
	if (p->names.n == 0)
		say(l, "Loaded image ID: ", i->id);
	tell(l->t, "load", i->id, i->id);
	l->done++;
	return 0;
}

/* ---- docker save ---- */
static int save_item(struct load *l, const struct save_item *item, struct err *e)
{
	struct plan p = { .config = xstrdup(item->config ? item->config : "") };
	int r = 0;

	strv_copy(&p.layers, &item->layers);
	for (size_t i = 0; r == 0 && i < item->repo_tags.n; i++) {
		struct ref ref = { 0 };

		r = ref_parse(item->repo_tags.v[i], &ref, e);
		if (r == 0 && !ref.tag)
			r = err_set(e, ERR_INVALID, "invalid tag \"%.200s\"", item->repo_tags.v[i]);
		if (r == 0)
			strv_push(&p.names, ref_full(&ref));
		ref_done(&ref);
	}
	if (r == 0)
		r = load_one(l, &p, e);
	plan_done(&p);
	return r;
}

static int load_saved(struct load *l, struct err *e)
{
	AUTO_STRB struct strb wrapped = STRB_INIT;
	struct save_manifest m = { 0 };
	AUTO_FREE char *text = NULL;
	size_t n = 0;
	int r = spool_read(l->spool, "manifest.json", DOC_MAX, &text, &n, e);

	if (r < 0)
		return r;
	strb_adds(&wrapped, "{\"m\":");
	strb_add(&wrapped, text, n);
	strb_adds(&wrapped, "}");
	r = json_read(&save_manifest_type, strb_str(&wrapped), wrapped.len, &json_limits_default, &m, e);
	if (r < 0)
		return err_wrap(e, r, "invalid manifest.json");
	for (size_t i = 0; r == 0 && i < m.m.n; i++) {
		l->last = i + 1 == m.m.n;
		r = save_item(l, &m.m.v[i], e);
	}
	json_done(&save_manifest_type, &m);
	return r;
}

/* ---- OCI layout ---- */
static int read_manifest(struct load *l, const struct oci_descriptor *d, struct oci_manifest *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t n = 0;
	int r = spool_read_blob(l->spool, d, DOC_MAX, &text, &n, e);

	if (r == 0)
		r = json_read(&oci_manifest_type, text, n, &json_limits_default, ret, e);
	return r;
}

/* Of an index the manifest for the wanted platform, or this machine's, else the first that is an image at all (not an attestation). */
static const struct oci_descriptor *choose(const struct load *l, const struct oci_manifest *index)
{
	bool any = !l->platform || str_empty(l->platform->os);
	const char *os = any ? "linux" : l->platform->os, *arch = any ? platform_arch() : l->platform->arch;
	const char *variant = any ? NULL : l->platform->variant;
	const struct oci_descriptor *first = NULL;

	for (size_t i = 0; i < index->manifests.n; i++) {
		const struct oci_descriptor *d = &index->manifests.v[i];

		if (d->platform && streq(d->platform->os, "unknown"))
			continue;
		if (d->platform && streq(d->platform->architecture, arch) && streq(d->platform->os, os) &&
		    (str_empty(variant) || streq(d->platform->variant, variant)))
			return d;
		first = first ? first : d;
	}
	return first;
}

static int oci_plan(struct load *l, const struct oci_manifest *m, struct plan *p, struct err *e)
{
	int r = m->config ? spool_blob(l->spool, m->config, &p->config, e)
			  : err_set(e, ERR_INVALID, "invalid archive: a manifest without a configuration");

	p->id = m->config ? xstrdup(m->config->digest) : NULL;
	for (size_t i = 0; r == 0 && i < m->layers.n; i++) {
		char *path = NULL;

		r = spool_blob(l->spool, &m->layers.v[i], &path, e);
		if (r == 0) {
			strv_push(&p->layers, path);
			strv_add(&p->digests, m->layers.v[i].digest);
		}
	}
	return r;
}

/* Which name an entry of index.json gives its image: containerd's full one, or OCI's, which is often only a tag. */
static void oci_name(const struct oci_descriptor *d, struct strv *ret)
{
	const char *name = strmap_get(&d->annotations, "io.containerd.image.name");
	struct ref ref = { 0 };

	if (!name) {
		name = strmap_get(&d->annotations, "org.opencontainers.image.ref.name");
		if (name && !strpbrk(name, ":/"))
			return; /* "latest" of what? */
	}
	if (!name || ref_parse(name, &ref, NULL) < 0)
		return;
	if (!ref.digest) {
		if (!ref.tag)
			ref.tag = xstrdup("latest");
		strv_push(ret, ref_full(&ref));
	}
	ref_done(&ref);
}

static int oci_image(struct load *l, const struct oci_descriptor *d, struct err *e)
{
	struct oci_manifest m = { 0 };
	struct plan p = { 0 };
	int r = read_manifest(l, d, &m, e);

	for (int depth = 0; r == 0 && m.manifests.n; depth++) {
		const struct oci_descriptor *next = choose(l, &m);
		struct oci_manifest inner = { 0 };

		r = !next || depth > 3 ? err_set(e, ERR_INVALID, "invalid archive: an index without an image")
				       : read_manifest(l, next, &inner, e);
		json_done(&oci_manifest_type, &m);
		m = inner;
	}
	if (r == 0)
		r = oci_plan(l, &m, &p, e);
	json_done(&oci_manifest_type, &m);
	oci_name(d, &p.names);
	if (r == 0)
		r = load_one(l, &p, e);
	plan_done(&p);
	return r;
}

static int load_layout(struct load *l, struct err *e)
{
	struct oci_manifest index = { 0 };
	AUTO_FREE char *text = NULL;
	size_t n = 0;
	int r = spool_read(l->spool, "index.json", DOC_MAX, &text, &n, e);

	if (r == 0)
		r = json_read(&oci_manifest_type, text, n, &json_limits_default, &index, e);
	if (r < 0)
		return err_wrap(e, r, "invalid index.json");
	for (size_t i = 0; r == 0 && i < index.manifests.n; i++) {
		const struct oci_descriptor *d = &index.manifests.v[i];

		if (d->platform && streq(d->platform->os, "unknown"))
			continue; /* an attestation */
		l->last = i + 1 == index.manifests.n;
		r = oci_image(l, d, e);
	}
	json_done(&oci_manifest_type, &index);
	return r;
}

int image_load(struct images *t, const struct image_source *src, const struct image_platform *platform,
	       const struct image_progress *p, struct err *e)
{
	struct spool *s = NULL;
	struct load l = { .t = t, .platform = platform, .progress = p };
	int r = spool_make(t->store, src, &s, e);

	if (r < 0)
		return r;
	l.spool = s;
	/* An archive of docker save 25 and later is both: its manifest.json knows the names better. */
	if (spool_has(s, "manifest.json"))
		r = load_saved(&l, e);
	else if (spool_has(s, "index.json"))
		r = load_layout(&l, e);
	else
		r = err_set(e, ERR_INVALID, "invalid archive: does not contain a manifest.json");
	spool_free(s);
	return r;
}
