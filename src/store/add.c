/* add.c - a new read-only layer, second half: synced, moved into place, recorded; several layers with one sync and one commit. */
#include "store/priv.h"
#include "store/stage.h"

#include <fcntl.h>

/* True with a reference taken when the chain is there; otherwise the chain is ours to make (busy). */
static bool have_or_claim(struct store *s, const char *chain)
{
	struct store_layer *l;

	pthread_mutex_lock(&s->lock);
	busy_enter(s, chain);
	l = layer_find(s, chain);
	if (l) {
		l->refs++;
		busy_leave(s, chain);
	}
	pthread_mutex_unlock(&s->lock);
	return l;
}

static void unclaim(struct store *s, const char *chain, struct store_layer *publish)
{
	pthread_mutex_lock(&s->lock);
	if (publish)
		layer_publish(s, publish);
	busy_leave(s, chain);
	pthread_mutex_unlock(&s->lock);
}

static void describe(struct store_layer *l, struct store_stage *st, const char *parent, const char *chain,
		     int64_t lease_ns)
{
	*l = (struct store_layer){ .chain_id = xstrdup(chain),
				   .diff_id = xstrdup(st->diff_id),
				   .parent = xstrdup(parent),
				   .name = xstrdup(st->name),
				   .size = st->size,
				   .tar_size = st->tar_size,
				   .lease_ns = lease_ns,
				   .refs = 1 };
	blob_add(&l->blobs,
		 &(struct store_blob_info){
			 .digest = st->digest, .media_type = st->media_type, .repo = st->repo, .size = st->blob_size });
}

/* What settling has in its hands: layers that are claimed and not published yet. */
struct settling {
	struct store_layer *v;
	size_t n;
	char top[DIGEST_TEXT]; /* "" = none yet; a reference to it is ours */
};

static const char *top_of(const struct settling *g)
{
	return *g->top ? g->top : NULL;
}

/* One stage on top of what there is: it is there already, or it moves into layers/. claimed: by the caller. */
static int place(struct store *s, struct settling *g, struct store_stage *st, bool claimed, int64_t lease_ns,
		 struct err *e)
{
	char chain[DIGEST_TEXT];
	struct store_layer l;

	chain_id(top_of(g), st->diff_id, chain);
	if (!claimed && have_or_claim(s, chain)) {
		doom(s, s->tmp, st->name);
		store_layer_unref(s, top_of(g)); /* its child holds it */
		memcpy(g->top, chain, sizeof chain);
		return 0;
	}
	if (renameat(s->tmp, st->name, s->layers, st->name) < 0) {
		int r = err_sys(e, -errno, "moving the layer into place");

		if (!claimed)
			unclaim(s, chain, NULL);
		return r;
	}
	describe(&l, st, top_of(g), chain, lease_ns);
	*VEC_ADD(g) = l;
	memcpy(g->top, chain, sizeof chain); /* the reference to the parent is the new layer's now */
	return 0;
}

static int record(struct store *s, const struct settling *g, struct err *e)
{
	AUTO_DB_BATCH struct db_batch batch = { 0 };

	if (!g->n)
		return 0;
	if (fsync(s->layers) < 0)
		return err_sys(e, -errno, "syncing the layers");
	for (size_t i = 0; i < g->n; i++)
		layer_put(&batch, &g->v[i]);
	return db_commit(s->db, &batch, e);
}

/* Undoes place(): the lowest new layer's parent, or what is on top where nothing is new, loses the reference we had. */
static void take_back(struct store *s, struct settling *g)
{
	AUTO_FREE char *held = xstrdup(g->n ? g->v[0].parent : top_of(g));

	while (g->n) {
		struct store_layer *l = &g->v[--g->n];

		doom(s, s->layers, l->name);
		unclaim(s, l->chain_id, NULL);
		store_layer_done(l);
	}
	store_layer_unref(s, held);
}

/* All files of all stages are durable afterwards. */
static int sync_stages(struct store_stage *const *v, size_t n, struct err *e)
{
	size_t first = 0;

	for (size_t i = 1; i < n; i++)
		if (v[i]->opened_ns < v[first]->opened_ns)
			first = i;
	return n && syncfs(v[first]->dir) < 0 ? err_sys(e, -errno, "syncing the layer") : 0;
}

/* Takes the reference on parent that the caller got, and the claim on the first stage's chain if there is one. */
static int settle(struct store *s, const char *parent, bool claimed, struct store_stage **v, size_t n, int64_t lease_ns,
		  char ret_chain[DIGEST_TEXT], struct err *e)
{
	struct settling g = { 0 };
	char first[DIGEST_TEXT];
	int r = sync_stages(v, n, e);

	if (parent)
		memcpy(g.top, parent, MIN(strlen(parent) + 1, sizeof g.top));
	chain_id(parent, v[0]->diff_id, first);
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = place(s, &g, v[i], claimed && i == 0, lease_ns, e);
		if (r == 0) {
			stage_free(v[i]);
			v[i] = NULL;
		}
	}
	if (r == 0)
		r = record(s, &g, e);
	if (r < 0) {
		bool ours = claimed && v[0]; /* not in g yet */

		take_back(s, &g);
		if (ours)
			unclaim(s, first, NULL);
	} else {
		memcpy(ret_chain, g.top, sizeof g.top);
	}
	/* children before parents would find no parent: in order; a parent's only reference is its child's */
	for (size_t i = 0; i < g.n; i++) {
		AUTO_FREE char *chain = xstrdup(g.v[i].chain_id);

		unclaim(s, chain, &g.v[i]);
	}
	free(g.v);
	for (size_t i = 0; i < n; i++)
		store_stage_drop(s, v[i]);
	return r;
}

int store_settle(struct store *s, const char *parent, struct store_stage **v, size_t n, int64_t lease_ns,
		 char ret_chain[DIGEST_TEXT], struct err *e)
{
	AUTO_FREE struct store_stage **own = NULL;
	int r = n ? store_layer_ref(s, parent, e) : err_set(e, ERR_SYSTEM, "no layer to settle");

	for (size_t i = 0; r == 0 && i < n; i++)
		if (s->driver->whole_trees && i > 0)
			r = err_set(e, ERR_SYSTEM, "%s: layers settle one by one", s->driver->name);
	if (r < 0) {
		for (size_t i = 0; i < n; i++)
			store_stage_drop(s, v[i]);
		return r;
	}
	own = xcalloc(n, sizeof(struct store_stage *));
	memcpy(own, v, n * sizeof *own);
	return settle(s, parent, false, own, n, lease_ns, ret_chain, e);
}

int store_layer_add(struct store *s, const char *parent, const struct store_blob *blob, char ret_chain[DIGEST_TEXT],
		    struct err *e)
{
	struct store_stage *st = NULL;
	char chain[DIGEST_TEXT] = "";
	int r = blob_check(blob, e);

	if (r < 0)
		return r;
	if (blob->diff_id) { /* otherwise (import) the chain id shows only when everything is unpacked */
		chain_id(parent, blob->diff_id, chain);
		if (have_or_claim(s, chain)) {
			memcpy(ret_chain, chain, sizeof chain);
			return 0;
		}
	}
	r = store_layer_ref(s, parent, e);
	if (r == 0) {
		r = store_stage(s, parent, blob, &st, e);
		if (r < 0)
			store_layer_unref(s, parent);
	}
	if (r < 0) {
		if (*chain)
			unclaim(s, chain, NULL);
		return r;
	}
	return settle(s, parent, *chain, &st, 1, 0, ret_chain, e);
}
