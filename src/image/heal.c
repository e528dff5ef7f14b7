/* heal.c - broken layers made anew: verified first, so that only what is broken is touched. */
#include "image/priv.h"
#include "image/transfer.h"

struct heal {
	struct images *t;
	const struct image_heal *out;
	struct strv broken; /* chain ids */
};

static void found_layer(void *ctx, const struct image_check *c)
{
	struct heal *h = ctx;

	if (!c->found || c->found->all)
		strv_add(&h->broken, c->layer);
}

static bool nobody(void *ctx)
{
	const struct heal *h = ctx;

	return h->out->gone && h->out->gone(h->out->ctx);
}

/* ---- who uses it ---- */
struct layer_use {
	struct images *t;
	const char *chain;
};

static bool has_layer(struct images *t, const struct image *i, const char *chain)
{
	AUTO_FREE char *at = xstrdup(i->top);

	while (at && !streq(at, chain)) {
		struct store_layer l = { 0 };

		if (store_layer_get(t->store, at, &l, NULL) < 0)
			return false;
		free(at);
		at = TAKE_PTR(l.parent);
		store_layer_done(&l);
	}
	return at;
}

static bool runs_somewhere(void *ctx)
{
	const struct layer_use *u = ctx;
	struct image_list every = { 0 };
	bool used = false;

	if (image_list(u->t, &(struct image_query){ .all = true }, &every, NULL) < 0)
		return true;
	for (size_t i = 0; !used && i < every.n; i++)
		used = has_layer(u->t, every.v[i].image, u->chain) && image_runs(u->t, every.v[i].image->id);
	image_list_done(&every);
	return used;
}

/* ---- where its archive is ---- */
static int stage_from(struct heal *h, const struct store_layer *l, const struct store_blob_info *b,
		      struct store_source src, struct store_stage **ret, struct err *e)
{
	struct store_blob blob = { .src = src, .digest = b->digest, .diff_id = l->diff_id, .what = b->digest };

	return store_stage(h->t->store, NULL, &blob, ret, e);
}

static int from_kept(struct heal *h, const struct store_layer *l, const struct store_blob_info *b,
		     struct store_stage **ret, struct err *e)
{
	AUTO_FD int fd = store_blob_open(h->t->store, b->digest);

	if (fd < 0)
		return fd;
	return stage_from(h, l, b, (struct store_source){ .fd = fd }, ret, e);
}

static void grew(void *ctx, int64_t have)
{
	store_partial_grew(ctx, have);
}

static int download(struct remote *rm, const struct store_blob_info *b, struct store_partial *p, struct err *e)
{
	struct oci_descriptor d = { .digest = b->digest, .media_type = b->media_type, .size = b->size };
	struct remote_progress progress = { .at = grew, .ctx = p };
	int64_t have = store_partial_have(p);
	int r = have < b->size ? remote_blob_get(rm, &d, store_partial_fd(p), have, &progress, &have, NULL, e) : 0;

	store_partial_grew(p, have);
	store_partial_end(p, r);
	return r;
}

static int from_registry(struct heal *h, const struct store_layer *l, const struct store_blob_info *b,
			 struct store_stage **ret, struct err *e)
{
	struct store_partial *p = NULL;
	struct remote *rm = NULL;
	struct ref ref = { 0 };
	int r = ref_parse(b->repo, &ref, e);

	if (r == 0)
		r = remote_open(&(struct remote_opts){ .config = h->out->remote, .ref = &ref, .auth = h->out->auth },
				&rm, e);
	if (r == 0)
		r = store_partial_open(h->t->store, b->digest, NULL, &p, e);
	if (r == 0)
		r = download(rm, b, p, e);
	if (r == 0)
		r = stage_from(h, l, b, store_partial_source(p), ret, e);
	if (p) /* a cut goes on from there the next time; wrong bytes do not */
		(void)store_partial_close(p, r < 0 && e->kind != ERR_INVALID ? STORE_PARTIAL_KEEP : STORE_PARTIAL_DROP,
					  NULL);
	remote_close(rm);
	ref_done(&ref);
	return r;
}

/* The first form of the layer that can be had, the newest first. */
static int stage_again(struct heal *h, const struct store_layer *l, struct store_stage **ret, const char **ret_from,
		       struct err *e)
{
	for (size_t i = l->blobs.n; i-- > 0;)
		if (from_kept(h, l, &l->blobs.v[i], ret, e) == 0) {
			*ret_from = "kept blob";
			return 0;
		}
	for (size_t i = l->blobs.n; i-- > 0;) {
		const struct store_blob_info *b = &l->blobs.v[i];

		if (str_empty(b->repo) || b->size <= 0)
			continue;
		if (from_registry(h, l, b, ret, e) == 0) {
			*ret_from = b->repo;
			return 0;
		}
		return -EIO;
	}
	return err_set(e, ERR_NOT_FOUND,
		       "its archive is not kept and came from no registry: load the image again after "
		       "removing it");
}

static bool heal_one(struct heal *h, const char *chain)
{
	struct layer_use use = { h->t, chain };
	struct image_healed told = { .layer = chain };
	struct store_stage *st = NULL;
	struct store_layer l = { 0 };
	const char *from = NULL;
	struct err e = ERR_INIT;
	int r = store_layer_ref(h->t->store, chain, &e);

	if (r < 0)
		return true; /* it is gone: nothing is broken any more */
	r = store_layer_get(h->t->store, chain, &l, &e);
	if (r == 0 && store_whole_trees(h->t->store))
		r = err_set(
			&e, ERR_NOT_IMPLEMENTED,
			"with this storage driver layers hold copies of what is below them: remove the images and pull "
			"or load them again");
	if (r == 0 && runs_somewhere(&use))
		r = err_set(&e, ERR_CONFLICT, "a running container uses the layer: stop it first");
	if (r == 0)
		r = stage_again(h, &l, &st, &from, &e);
	if (r == 0)
		r = store_layer_exchange(h->t->store, chain, st, runs_somewhere, &use, &e);
	told.from = r == 0 ? from : NULL;
	told.error = r < 0 ? e.msg : NULL;
	h->out->layer(h->out->ctx, &told);
	store_layer_done(&l);
	store_layer_unref(h->t->store, chain);
	return r == 0;
}

int image_heal(struct images *t, const struct strv *names, const struct image_heal *out, size_t *ret_layers,
	       size_t *ret_healed, size_t *ret_left, struct err *e)
{
	struct heal h = { .t = t, .out = out };
	struct image_verify v = { .layer = found_layer, .gone = nobody, .ctx = &h };
	struct image_verified seen = { 0 };
	int r = image_verify(t, names, &v, &seen, e);

	*ret_healed = *ret_left = 0;
	*ret_layers = seen.layers;
	for (size_t i = 0; r == 0 && i < h.broken.n && !nobody(&h); i++)
		++*(heal_one(&h, h.broken.v[i]) ? ret_healed : ret_left);
	strv_done(&h.broken);
	return r;
}
