/* table.c - the layers we know: in memory, and as documents in the database. */
#include "store/priv.h"
#include "json/json.h"

#include <fcntl.h>

/* clang-format off */
#define LAYER_BLOB_FIELDS(F, T) \
	F(T, STR,   digest,     "digest",     REQUIRED,   none) \
	F(T, INT,   size,       "size",       0,          none) \
	F(T, STR,   media_type, "media_type", OMIT_EMPTY, none) \
	F(T, STR,   repo,       "repo",       OMIT_EMPTY, none)
JSON_STRUCT(layer_blob, LAYER_BLOB_FIELDS)
JSON_TYPE(layer_blob, LAYER_BLOB_FIELDS)
/* blob_digest and blob_size: what there was before there was a list */
#define LAYER_DOC_FIELDS(F, T) \
	F(T, STR,   chain_id,    "chain_id",    REQUIRED,   none) \
	F(T, STR,   diff_id,     "diff_id",     REQUIRED,   none) \
	F(T, STR,   parent,      "parent",      OMIT_EMPTY, none) \
	F(T, STR,   name,        "name",        REQUIRED,   none) \
	F(T, STR,   blob_digest, "blob_digest", OMIT_EMPTY, none) \
	F(T, INT,   blob_size,   "blob_size",   OMIT_EMPTY, none) \
	F(T, LIST,  blobs,       "blobs",       OMIT_EMPTY, layer_blob) \
	F(T, INT,   size,        "size",        0,          none) \
	F(T, INT,   tar_size,    "tar_size",    OMIT_EMPTY, none) \
	F(T, INT,   lease,       "lease",       OMIT_EMPTY, none) \
	F(T, EXTRA, extra,       "",            0,          none)
JSON_STRUCT(layer_doc, LAYER_DOC_FIELDS)
JSON_TYPE(layer_doc, LAYER_DOC_FIELDS)
/* clang-format on */

void store_blobs_done(struct store_blobs *b)
{
	for (size_t i = 0; i < b->n; i++) {
		free(b->v[i].digest);
		free(b->v[i].media_type);
		free(b->v[i].repo);
	}
	free(b->v);
	*b = (struct store_blobs){ 0 };
}

void blob_add(struct store_blobs *to, const struct store_blob_info *b)
{
	for (size_t i = 0; i < to->n; i++)
		if (streq(to->v[i].digest, b->digest) && streq(to->v[i].repo, b->repo))
			return;
	*VEC_ADD(to) = (struct store_blob_info){ .digest = xstrdup(b->digest),
						 .media_type = xstrdup(b->media_type),
						 .repo = xstrdup(b->repo),
						 .size = b->size };
}

static void blobs_copy(struct store_blobs *to, const struct store_blobs *from)
{
	for (size_t i = 0; i < from->n; i++)
		blob_add(to, &from->v[i]);
}

void store_layer_done(struct store_layer *l)
{
	free(l->chain_id);
	free(l->diff_id);
	free(l->parent);
	free(l->name);
	store_blobs_done(&l->blobs);
	*l = (struct store_layer){ 0 };
}

static void layer_copy(struct store_layer *to, const struct store_layer *from)
{
	*to = (struct store_layer){
		.chain_id = xstrdup(from->chain_id),
		.diff_id = xstrdup(from->diff_id),
		.parent = xstrdup(from->parent),
		.name = xstrdup(from->name),
		.size = from->size,
		.tar_size = from->tar_size,
		.lease_ns = from->lease_ns,
		.refs = from->refs,
	};
	blobs_copy(&to->blobs, &from->blobs);
}

static const char *layer_key(const void *table, size_t i)
{
	return ((const struct store *)table)->table.v[i].chain_id;
}

/* The table is sorted by chain id: the first row that is not before chain. */
static size_t layer_place(const struct store *s, const char *chain)
{
	return sorted_place(s->table.n, layer_key, s, chain);
}

struct store_layer *layer_find(struct store *s, const char *chain)
{
	size_t i = chain ? layer_place(s, chain) : s->table.n;

	return i < s->table.n && streq(s->table.v[i].chain_id, chain) ? &s->table.v[i] : NULL;
}

void layer_take(struct store *s, struct store_layer *l, struct store_layer *ret)
{
	size_t i = (size_t)(l - s->table.v);

	*ret = *l;
	memmove(l, l + 1, (--s->table.n - i) * sizeof *l);
}

void busy_enter(struct store *s, const char *chain)
{
	while (strv_has(&s->busy, chain))
		pthread_cond_wait(&s->settled, &s->lock);
	strv_add(&s->busy, chain);
}

void busy_leave(struct store *s, const char *chain)
{
	for (size_t i = 0; i < s->busy.n; i++)
		if (streq(s->busy.v[i], chain)) {
			strv_remove(&s->busy, i);
			break;
		}
	pthread_cond_broadcast(&s->settled);
}

void layer_publish(struct store *s, struct store_layer *l)
{
	size_t at = layer_place(s, l->chain_id);

	(void)VEC_ADD(&s->table);
	memmove(&s->table.v[at + 1], &s->table.v[at], (s->table.n - 1 - at) * sizeof *l);
	s->table.v[at] = *l;
	*l = (struct store_layer){ 0 };
}

void layer_put(struct db_batch *b, const struct store_layer *l)
{
	struct layer_doc d = { .chain_id = l->chain_id,
			       .diff_id = l->diff_id,
			       .parent = l->parent,
			       .name = l->name,
			       .size = l->size,
			       .tar_size = l->tar_size,
			       .lease = l->lease_ns };
	AUTO_STRB struct strb text = STRB_INIT;

	for (size_t i = 0; i < l->blobs.n; i++)
		*VEC_ADD(&d.blobs) = (struct layer_blob){ .digest = l->blobs.v[i].digest,
							  .size = l->blobs.v[i].size,
							  .media_type = l->blobs.v[i].media_type,
							  .repo = l->blobs.v[i].repo };
	json_write(&layer_doc_type, &d, JSON_LATEST, &text);
	free(d.blobs.v); /* its strings are lent */
	db_put(b, DB_LAYERS, l->chain_id, strb_str(&text));
}

static void doc_blobs(struct store_blobs *to, const struct layer_doc *d)
{
	if (digest_valid(d->blob_digest))
		blob_add(to, &(struct store_blob_info){ .digest = d->blob_digest, .size = d->blob_size });
	for (size_t i = 0; i < d->blobs.n; i++)
		if (digest_valid(d->blobs.v[i].digest))
			blob_add(to, &(struct store_blob_info){ .digest = d->blobs.v[i].digest,
								.media_type = d->blobs.v[i].media_type,
								.repo = d->blobs.v[i].repo,
								.size = d->blobs.v[i].size });
}

static int load_one(void *ctx, const char *key, const char *text, struct err *e)
{
	struct store *s = ctx;
	struct layer_doc d = { 0 };
	struct store_layer l;
	int r = json_read(&layer_doc_type, text, strlen(text), &json_limits_default, &d, e);

	if (r < 0)
		return err_wrap(e, r, "record of layer %s", key);
	l = (struct store_layer){ .chain_id = TAKE_PTR(d.chain_id),
				  .diff_id = TAKE_PTR(d.diff_id),
				  .parent = TAKE_PTR(d.parent),
				  .name = TAKE_PTR(d.name),
				  .size = d.size,
				  .tar_size = d.tar_size,
				  .lease_ns = d.lease };
	doc_blobs(&l.blobs, &d);
	json_done(&layer_doc_type, &d);
	if (!streq(l.chain_id, key) || str_empty(l.name) || strchr(l.name, '/') || *l.name == '.') {
		store_layer_done(&l);
		return err_set(e, ERR_SYSTEM, "record of layer %s is damaged", key);
	}
	layer_publish(s, &l);
	return 0;
}

static bool on_disk(const struct store *s, const struct store_layer *l)
{
	AUTO_FREE char *diff = path_join(l->name, "diff");

	return faccessat(s->layers, diff, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A layer without its directory (somebody cleaned up by hand) is none, nor is what stood on it. */
static void forget_broken(struct store *s, struct db_batch *stale)
{
	for (bool again = true; again;) {
		again = false;
		for (size_t i = s->table.n; i-- > 0;) {
			struct store_layer *l = &s->table.v[i], gone;

			if (on_disk(s, l) && (str_empty(l->parent) || layer_find(s, l->parent)))
				continue;
			log_warn("layer %s is damaged: dropped", l->chain_id);
			db_del(stale, DB_LAYERS, l->chain_id);
			layer_take(s, l, &gone);
			store_layer_done(&gone);
			again = true;
		}
	}
}

/* Children count as references of their parents from the first moment. */
int layers_load(struct store *s, struct err *e)
{
	AUTO_DB_BATCH struct db_batch stale = { 0 };
	int r = db_each(s->db, DB_LAYERS, load_one, s, e);

	if (r < 0)
		return r;
	forget_broken(s, &stale);
	for (size_t i = 0; i < s->table.n; i++)
		if (!str_empty(s->table.v[i].parent))
			layer_find(s, s->table.v[i].parent)->refs++;
	return stale.n ? db_commit(s->db, &stale, e) : 0;
}

int store_layer_get(struct store *s, const char *chain, struct store_layer *ret, struct err *e)
{
	const struct store_layer *l;

	pthread_mutex_lock(&s->lock);
	l = layer_find(s, chain);
	if (l)
		layer_copy(ret, l);
	pthread_mutex_unlock(&s->lock);
	return l ? 0 : err_set(e, ERR_NOT_FOUND, "layer does not exist: %s", chain);
}

char *layer_name(struct store *s, const char *chain)
{
	const struct store_layer *l;
	char *name;

	if (!chain)
		return NULL;
	pthread_mutex_lock(&s->lock);
	l = layer_find(s, chain);
	name = l ? xstrdup(l->name) : NULL;
	pthread_mutex_unlock(&s->lock);
	return name;
}

int store_layer_dir(struct store *s, const char *chain, struct err *e)
{
	AUTO_FREE char *name = layer_name(s, chain);

	return name ? s->driver->layer_dir(s, name, e) : err_set(e, ERR_NOT_FOUND, "layer does not exist: %s", chain);
}

int store_layer_ref(struct store *s, const char *chain, struct err *e)
{
	struct store_layer *l;

	if (!chain)
		return 0;
	pthread_mutex_lock(&s->lock);
	l = layer_find(s, chain);
	if (l)
		l->refs++;
	pthread_mutex_unlock(&s->lock);
	return l ? 0 : err_set(e, ERR_NOT_FOUND, "layer does not exist: %s", chain);
}

int64_t store_chain_size(struct store *s, const char *chain)
{
	const struct store_layer *l;
	int64_t sum = 0;

	pthread_mutex_lock(&s->lock);
	for (; chain && (l = layer_find(s, chain)); chain = l->parent)
		sum += l->size;
	pthread_mutex_unlock(&s->lock);
	return sum;
}

void store_layers(struct store *s, struct store_layers *ret)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->table.n; i++)
		layer_copy(VEC_ADD(ret), &s->table.v[i]);
	pthread_mutex_unlock(&s->lock);
}

void store_layers_done(struct store_layers *l)
{
	for (size_t i = 0; i < l->n; i++)
		store_layer_done(&l->v[i]);
	free(l->v);
	*l = (struct store_layers){ 0 };
}

static int by_chain(const void *key, const void *row)
{
	return strcmp(key, ((const struct store_layer *)row)->chain_id);
}

struct store_layer *store_layers_find(const struct store_layers *l, const char *chain)
{
	return chain && l->n ? bsearch(chain, l->v, l->n, sizeof *l->v, by_chain) : NULL;
}
