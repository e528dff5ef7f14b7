/* table.c - the layers we know: in memory, and as documents in the database. */
#include "store/priv.h"
#include "json/json.h"

#include <fcntl.h>

/* clang-format off */
#define LAYER_DOC_FIELDS(F, T) \
	F(T, STR,   chain_id,    "chain_id",    REQUIRED,   none) \
	F(T, STR,   diff_id,     "diff_id",     REQUIRED,   none) \
	F(T, STR,   parent,      "parent",      OMIT_EMPTY, none) \
	F(T, STR,   name,        "name",        REQUIRED,   none) \
	F(T, STR,   blob_digest, "blob_digest", OMIT_EMPTY, none) \
	F(T, INT,   blob_size,   "blob_size",   OMIT_EMPTY, none) \
	F(T, INT,   size,        "size",        0,          none) \
	F(T, EXTRA, extra,       "",            0,          none)
JSON_STRUCT(layer_doc, LAYER_DOC_FIELDS)
JSON_TYPE(layer_doc, LAYER_DOC_FIELDS)
/* clang-format on */

void store_layer_done(struct store_layer *l)
{
	free(l->chain_id);
	free(l->diff_id);
	free(l->parent);
	free(l->name);
	free(l->blob_digest);
	*l = (struct store_layer){ 0 };
}

void layer_copy(struct store_layer *to, const struct store_layer *from)
{
	*to = (struct store_layer){
		.chain_id = xstrdup(from->chain_id),
		.diff_id = xstrdup(from->diff_id),
		.parent = xstrdup(from->parent),
		.name = xstrdup(from->name),
		.blob_digest = xstrdup(from->blob_digest),
		.blob_size = from->blob_size,
		.size = from->size,
		.refs = from->refs,
	};
}

struct store_layer *layer_find(struct store *s, const char *chain)
{
	for (size_t i = 0; i < s->table.n; i++)
		if (streq(s->table.v[i].chain_id, chain))
			return &s->table.v[i];
	return NULL;
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
	*VEC_ADD(&s->table) = *l;
	*l = (struct store_layer){ 0 };
}

int layer_record(struct store *s, const struct store_layer *l, struct err *e)
{
	struct layer_doc d = { .chain_id = l->chain_id,
			       .diff_id = l->diff_id,
			       .parent = l->parent,
			       .name = l->name,
			       .blob_digest = l->blob_digest,
			       .blob_size = l->blob_size,
			       .size = l->size };
	AUTO_STRB struct strb text = STRB_INIT;

	json_write(&layer_doc_type, &d, JSON_LATEST, &text);
	return db_put_one(s->db, DB_LAYERS, l->chain_id, strb_str(&text), e);
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
				  .blob_digest = TAKE_PTR(d.blob_digest),
				  .blob_size = d.blob_size,
				  .size = d.size };
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
			struct store_layer *l = &s->table.v[i];

			if (on_disk(s, l) && (str_empty(l->parent) || layer_find(s, l->parent)))
				continue;
			log_warn("layer %s is damaged: dropped", l->chain_id);
			db_del(stale, DB_LAYERS, l->chain_id);
			store_layer_done(l);
			*l = s->table.v[--s->table.n];
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

/* Takes the layers that nobody holds any more out of the table, from chain downwards. lock held; they stay busy. */
static void collect_unused(struct store *s, const char *chain, struct store_layer **gone, size_t *n)
{
	AUTO_FREE char *next = xstrdup(chain);

	while (next) {
		struct store_layer *l = layer_find(s, next);

		if (!l || (l->refs > 0 && --l->refs > 0))
			return;
		*gone = vec_grow(*gone, *n, sizeof **gone);
		(*gone)[(*n)++] = *l;
		strv_add(&s->busy, l->chain_id); /* not busy before: who adds it would hold it */
		free(next);
		next = xstrdup(l->parent);
		*l = s->table.v[--s->table.n];
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
	for (size_t i = 0; r == 0 && i < n; i++)
		doom(s, s->layers, gone[i].name);
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
