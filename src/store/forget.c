/* forget.c - how layers end: references given back, leases that run out, blobs that nobody names any more. */
#include "store/priv.h"

#include <fcntl.h>
#include <sys/statvfs.h>

static bool leased(const struct store_layer *l)
{
	return l->lease_ns > 0 && l->lease_ns > time_now_ns();
}

/* Takes the layers that nobody holds any more out of the table, from chain downwards. lock held; they stay busy. */
static void collect_unused(struct store *s, const char *chain, struct store_layer **gone, size_t *n)
{
	AUTO_FREE char *next = xstrdup(chain);

	while (next) {
		struct store_layer *l = layer_find(s, next);

		if (!l || (l->refs > 0 && --l->refs > 0) || leased(l))
			return;
		*gone = vec_grow(*gone, *n, sizeof **gone);
		layer_take(s, l, &(*gone)[*n]);
		l = &(*gone)[(*n)++];
		strv_add(&s->busy, l->chain_id); /* not busy before: who adds it would hold it */
		free(next);
		next = xstrdup(l->parent);
	}
}

void store_layer_unref(struct store *s, const char *chain)
{
	store_layer_drop(s, chain, NULL);
}

void store_layer_drop(struct store *s, const char *chain, struct strv *ret_gone)
{
	AUTO_DB_BATCH struct db_batch batch = { 0 };
	struct store_layer *gone = NULL;
	struct err e = ERR_INIT;
	size_t n = 0;
	int r = 0;

	if (!chain)
		return;
	pthread_mutex_lock(&s->lock);
	collect_unused(s, chain, &gone, &n);
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < n; i++)
		db_del(&batch, DB_LAYERS, gone[i].chain_id);
	if (n)
		r = db_commit(s->db, &batch, &e);
	if (r < 0)
		log_error("forgetting layers: %s", e.msg); /* the next start finds them unused */
	for (size_t i = 0; r == 0 && i < n; i++) {
		doom(s, s->layers, gone[i].name);
		blobs_forget(s, &gone[i].blobs);
	}
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < n; i++)
		busy_leave(s, gone[i].chain_id);
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < n; i++) {
		if (ret_gone)
			strv_add(ret_gone, gone[i].chain_id);
		store_layer_done(&gone[i]);
	}
	free(gone);
}

/* ---- leases ---- */
void store_layer_expire(struct store *s, struct strv *ret_gone)
{
	AUTO_STRV struct strv unowned = { 0 };

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->table.n; i++)
		if (s->table.v[i].refs == 0 && !leased(&s->table.v[i]))
			strv_add(&unowned, s->table.v[i].chain_id);
	pthread_mutex_unlock(&s->lock);
	for (size_t i = 0; i < unowned.n; i++) {
		const struct store_layer *l;
		bool still;

		pthread_mutex_lock(&s->lock);
		l = layer_find(s, unowned.v[i]);
		still = l && l->refs == 0;
		pthread_mutex_unlock(&s->lock);
		/* Between these lines somebody may take it: then this gives back a reference it never had. So take one first. */
		if (still && store_layer_ref(s, unowned.v[i], NULL) == 0)
			store_layer_drop(s, unowned.v[i], ret_gone);
	}
}

int store_layer_lease(struct store *s, const char *chain, int64_t until_ns, struct err *e)
{
	AUTO_DB_BATCH struct db_batch batch = { 0 };
	struct store_layer *l = NULL;
	bool known, unowned;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	known = layer_find(s, chain);
	unowned = known && layer_find(s, chain)->refs == 0;
	for (const char *c = chain; c && (l = layer_find(s, c)); c = l->parent)
		if (l->lease_ns != until_ns && (until_ns == 0 || c == chain)) {
			l->lease_ns = until_ns;
			layer_put(&batch, l);
		}
	pthread_mutex_unlock(&s->lock);
	if (!known)
		return err_set(e, ERR_NOT_FOUND, "layer does not exist: %s", chain);
	batch.lazy = until_ns == 0; /* after a power loss it is kept until it is over */
	if (batch.n)
		r = db_commit(s->db, &batch, e);
	if (until_ns == 0 && unowned)
		store_layer_expire(s, NULL);
	return r;
}

/* ---- the forms in which a layer travels ---- */
void store_layer_blobs(struct store *s, const char *diff_id, struct store_blobs *ret)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->table.n; i++)
		if (streq(s->table.v[i].diff_id, diff_id))
			for (size_t k = 0; k < s->table.v[i].blobs.n; k++)
				blob_add(ret, &s->table.v[i].blobs.v[k]);
	pthread_mutex_unlock(&s->lock);
}

#define BLOBS_MAX 64 /* of one layer: as many repositories as it may be remembered in */
int store_layer_blob_add(struct store *s, const char *chain, const struct store_blob_info *b, struct err *e)
{
	AUTO_DB_BATCH struct db_batch batch = { 0 };
	struct store_layer *l;
	size_t before = 0;
	bool grown;

	if (!digest_valid(b->digest))
		return err_set(e, ERR_INVALID, "invalid checksum digest format");
	pthread_mutex_lock(&s->lock);
	l = layer_find(s, chain);
	if (l) {
		before = l->blobs.n;
		if (before < BLOBS_MAX)
			blob_add(&l->blobs, b);
	}
	grown = l && l->blobs.n > before;
	if (grown)
		layer_put(&batch, l);
	pthread_mutex_unlock(&s->lock);
	if (!l)
		return err_set(e, ERR_NOT_FOUND, "layer does not exist: %s", chain);
	return grown ? db_commit(s->db, &batch, e) : 0;
}

bool blob_named(struct store *s, const char *digest)
{
	for (size_t i = 0; i < s->table.n; i++)
		for (size_t k = 0; k < s->table.v[i].blobs.n; k++)
			if (streq(s->table.v[i].blobs.v[k].digest, digest))
				return true;
	return false;
}

void blobs_forget(struct store *s, const struct store_blobs *b)
{
	for (size_t i = 0; i < b->n; i++) {
		bool named;

		pthread_mutex_lock(&s->lock);
		named = blob_named(s, b->v[i].digest);
		pthread_mutex_unlock(&s->lock);
		if (!named)
			(void)unlinkat(s->blobs, b->v[i].digest + 7, 0);
	}
}

/* ---- room ---- */
int64_t store_free_bytes(const struct store *s)
{
	struct statvfs st;

	return fstatvfs(s->tmp, &st) < 0 ? -1 : (int64_t)(st.f_bavail * st.f_frsize);
}

void store_tidy(struct store *s)
{
	AUTO_STRV struct strv others = { 0 };

	store_layer_expire(s, NULL);
	partials_age(s);
	drivers_elsewhere(s, &others);
	if (!others.n) /* their layers name blobs too, and are not read */
		blobs_sweep(s);
}
