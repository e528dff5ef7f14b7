/* gc.c - which images nobody wants any more: by last use. Last uses are rows of DB_META, written lazily and at most once an hour per
 * image, so that a container costs no more for it. */
#include "image/priv.h"

#define SAVE_EVERY_NS ((int64_t)3600 * 1000000000)
#define DAY_NS ((int64_t)24 * 3600 * 1000000000)
#define KEY "image-used/"

/* ---- last use ---- */
void image_use(struct images *t, const char *id)
{
	AUTO_DB_BATCH struct db_batch b = { .lazy = true };
	int64_t now = time_now_ns();
	struct image *i;
	bool save = false;

	pthread_mutex_lock(&t->lock);
	i = by_id(t, id);
	if (i) {
		i->used_ns = now;
		save = now - i->used_saved_ns > SAVE_EVERY_NS || now < i->used_saved_ns;
		if (save)
			i->used_saved_ns = now;
	}
	pthread_mutex_unlock(&t->lock);
	if (save) {
		AUTO_FREE char *key = xasprintf(KEY "%s", id), *text = xasprintf("%lld", (long long)now);

		db_put(&b, DB_META, key, text);
		(void)db_commit(t->db, &b, NULL); /* then it seems older than it is */
	}
}

void used_forget(struct images *t, const char *id)
{
	AUTO_DB_BATCH struct db_batch b = { .lazy = true };
	AUTO_FREE char *key = xasprintf(KEY "%s", id);

	db_del(&b, DB_META, key);
	(void)db_commit(t->db, &b, NULL);
}

static int used_row(void *ctx, const char *key, const char *text, struct err *e UNUSED)
{
	struct images *t = ctx;
	const char *id = str_after(key, KEY);
	struct image *i = id ? by_id(t, id) : NULL;
	int64_t ns = 0;

	if (i && str_to_i64(text, &ns) == 0)
		i->used_ns = i->used_saved_ns = ns;
	return 0;
}

int used_load(struct images *t, struct err *e)
{
	return db_each(t->db, DB_META, used_row, t, e);
}

/* ---- who goes ---- */
struct old {
	struct image *image;
	int64_t used;
};

static int longest_ago(const void *a, const void *b)
{
	const struct old *x = a, *y = b;

	if (x->used != y->used)
		return x->used < y->used ? -1 : 1;
	return strcmp(x->image->id, y->image->id);
}

/* Bytes of layers that nothing else holds; they are taken out of the list's counts. */
static int64_t own_bytes(struct store_layers *l, const char *top)
{
	struct store_layer *x = store_layers_find(l, top);
	int64_t sum = 0;

	for (; x && x->refs == 1; x = store_layers_find(l, x->parent)) {
		sum += x->size;
		x->refs = 0;
	}
	if (x && x->refs)
		x->refs--;
	return sum;
}

static bool is_parent(struct images *t, const char *id)
{
	bool yes;

	pthread_mutex_lock(&t->lock);
	yes = has_children(t, id);
	pthread_mutex_unlock(&t->lock);
	return yes;
}

/* What an operation has in its hands: we hold one reference, the table another. */
static bool is_held(const struct image *i)
{
	return __atomic_load_n(&i->refs, __ATOMIC_ACQUIRE) > 2;
}

static const char *reason_to_stay(struct images *t, const struct image_gc *g, const struct old *o, size_t newer)
{
	if (image_used(t, o->image->id))
		return "a container uses it";
	if (is_held(o->image))
		return "it is being worked with";
	if (is_parent(t, o->image->id))
		return "another image was made from it";
	if (g->keep_last >= 0 && newer < (size_t)g->keep_last)
		return "it is one of the last that were used";
	if (g->keep_days >= 0 && time_now_ns() - o->used < g->keep_days * DAY_NS)
		return "it was used not long ago";
	return NULL;
}

static int collect(struct images *t, const struct image_gc *g, const struct old *v, size_t n,
		   struct store_layers *layers, size_t *ret_removed, int64_t *ret_bytes)
{
	int64_t have = store_free_bytes(t->store);
	size_t unused = 0;

	for (size_t i = 0; i < n; i++)
		unused += !image_used(t, v[i].image->id);
	for (size_t i = 0; i < n; i++) {
		const char *why = reason_to_stay(t, g, &v[i], unused ? unused - 1 : 0);
		struct image_removal done = { 0 };
		bool goes = false;
		int64_t bytes = 0;

		unused -= unused && !image_used(t, v[i].image->id);
		if (!why && g->min_free && have + *ret_bytes >= g->min_free)
			why = "there is room enough";
		if (!why && !g->min_free && g->keep_days < 0 && g->keep_last < 0)
			why = "no option says how long unused images stay";
		if (!why) {
			bytes = own_bytes(layers, v[i].image->top);
			if (!g->dry)
				image_remove_unused(t, v[i].image->id, 0, &done);
			goes = g->dry || done.n;
			why = goes ? "no container uses it" : "it could not be removed";
			image_removal_done(&done);
		}
		if (goes) {
			++*ret_removed;
			*ret_bytes += bytes;
		}
		if (g->image)
			g->image(g->ctx, v[i].image, bytes, goes, why);
	}
	return 0;
}

int image_gc(struct images *t, const struct image_gc *g, size_t *ret_removed, int64_t *ret_bytes, struct err *e)
{
	AUTO_LAYERS struct store_layers layers = { 0 };
	struct image_list every = { 0 };
	AUTO_FREE struct old *v = NULL;
	int r;

	*ret_removed = 0;
	*ret_bytes = 0;
	if (!g->dry)
		store_tidy(t->store);
	r = image_list(t, &(struct image_query){ .all = true }, &every, e);
	if (r < 0)
		return r;
	store_layers(t->store, &layers);
	v = xcalloc(every.n + 1, sizeof *v);
	for (size_t i = 0; i < every.n; i++)
		v[i] = (struct old){ every.v[i].image,
				     MAX(__atomic_load_n(&every.v[i].image->used_ns, __ATOMIC_RELAXED),
					 image_tagged_ns(t, every.v[i].image->id)) };
	if (every.n)
		qsort(v, every.n, sizeof *v, longest_ago);
	r = collect(t, g, v, every.n, &layers, ret_removed, ret_bytes);
	image_list_done(&every);
	return r;
}
