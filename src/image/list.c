/* list.c - images for `docker images`, and the history of one. */
#include "image/priv.h"

#include <fnmatch.h>

void image_list_done(struct image_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		image_unref(l->v[i].image);
		image_names_done(&l->v[i].names);
	}
	free(l->v);
	*l = (struct image_list){ 0 };
}

/* A pattern is held against the whole familiar name and against the name without its tag (reference.FamiliarMatch). */
static bool matches(const struct strv *patterns, const char *familiar)
{
	AUTO_FREE char *name = xstrdup(familiar);
	struct ref r = { 0 };

	if (ref_parse(familiar, &r, NULL) == 0) {
		free(name);
		name = ref_familiar_name(&r);
	}
	ref_done(&r);
	for (size_t i = 0; i < patterns->n; i++)
		if (fnmatch(patterns->v[i], familiar, FNM_PATHNAME) == 0 ||
		    fnmatch(patterns->v[i], name, FNM_PATHNAME) == 0)
			return true;
	return false;
}

/* One character of "[a-z]", perhaps after a backslash: what follows it, NULL where there is none. */
static const char *after_class_char(const char *p)
{
	if (*p == '-' || *p == ']')
		return NULL;
	p += *p == '\\';
	return *p ? p + 1 : NULL;
}

/* Go's path.Match refuses the others; fnmatch would take them for plain text. */
static bool pattern_valid(const char *p)
{
	while (*p) {
		char c = *p++;

		if (c == '\\' && !*p++)
			return false;
		if (c != '[')
			continue;
		p += *p == '^';
		for (bool first = true; first || *p != ']'; first = false) {
			p = after_class_char(p);
			if (p && *p == '-')
				p = after_class_char(p + 1);
			if (!p)
				return false;
		}
		p++;
	}
	return true;
}

static int check_patterns(const struct strv *patterns, struct err *e)
{
	for (size_t i = 0; i < patterns->n; i++)
		if (!pattern_valid(patterns->v[i])) /* 500, as dockerd */
			return err_set(e, ERR_SYSTEM, "syntax error in pattern");
	return 0;
}

static void keep_matching(struct strv *names, const struct strv *patterns)
{
	for (size_t i = names->n; i-- > 0;)
		if (!matches(patterns, names->v[i]))
			strv_remove(names, i);
}

bool image_labels_match(const struct image *i, const struct strv *all)
{
	for (size_t k = 0; k < all->n; k++)
		if (!strmap_has(&i->oci.config.labels, all->v[k]))
			return false;
	return true;
}

struct window { /* created in (after, before) */
	bool has_after, has_before;
	int64_t after, before;
};

/* Of several the narrowest, as moby: before the oldest, since the newest. */
static int find_window(struct images *t, const struct image_query *q, struct window *ret, struct err *e)
{
	for (size_t i = 0; i < q->before.n; i++) {
		AUTO_IMAGE struct image *x = NULL;
		int r = image_find(t, q->before.v[i], &x, e);

		if (r < 0)
			return r;
		if (!ret->has_before || x->created_ns < ret->before)
			ret->before = x->created_ns;
		ret->has_before = true;
	}
	for (size_t i = 0; i < q->since.n; i++) {
		AUTO_IMAGE struct image *x = NULL;
		int r = image_find(t, q->since.v[i], &x, e);

		if (r < 0)
			return r;
		if (!ret->has_after || x->created_ns > ret->after)
			ret->after = x->created_ns;
		ret->has_after = true;
	}
	if (q->until_ns && (!ret->has_before || q->until_ns < ret->before)) {
		ret->has_before = true;
		ret->before = q->until_ns;
	}
	return 0;
}

static bool wanted(const struct image_query *q, const struct window *w, const struct image *i)
{
	if ((w->has_before && i->created_ns >= w->before) || (w->has_after && i->created_ns <= w->after))
		return false;
	return image_labels_match(i, &q->labels);
}

static bool shown(const struct image_query *q, const struct image_names *n, bool parent)
{
	bool only_dangling = q->dangling.set && q->dangling.v;

	if (only_dangling && parent)
		return false;
	if (n->tags.n == 0 && n->digests.n == 0)
		return (q->all || !parent) && !(q->dangling.set && !q->dangling.v) && q->references.n == 0;
	return !(only_dangling && n->tags.n > 0);
}

/* ---- bytes of layers that more than one image has; layers are told apart by their chain ids ---- */
struct sharing {
	struct store_layers layers; /* their refs: how many images have them */
};

static void count_layers(struct sharing *s, const struct image *i)
{
	struct store_layer *l = store_layers_find(&s->layers, i->top);

	for (; l; l = store_layers_find(&s->layers, l->parent))
		l->refs++;
}

static void sharing_open(struct images *t, const struct image_list *every, struct sharing *ret)
{
	store_layers(t->store, &ret->layers);
	for (size_t i = 0; i < ret->layers.n; i++)
		ret->layers.v[i].refs = 0;
	for (size_t i = 0; i < every->n; i++)
		count_layers(ret, every->v[i].image);
}

static int64_t shared_bytes(const struct sharing *s, const struct image *i)
{
	const struct store_layer *l = store_layers_find(&s->layers, i->top);
	int64_t sum = 0;

	for (; l; l = store_layers_find(&s->layers, l->parent))
		sum += l->refs > 1 ? l->size : 0;
	return sum;
}

static int newer(const void *a, const void *b)
{
	const struct image_row *x = a, *y = b;

	if (x->image->created != y->image->created)
		return x->image->created < y->image->created ? 1 : -1;
	return strcmp(x->image->id, y->image->id);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int by_image_id(const void *key, const void *row)
{
	return strcmp(key, ((const struct image_row *)row)->image->id);
}

/* Every image, in the order of ids, with all its names; shared is for a moment: is it a parent? */
static void take_all(struct images *t, struct image_list *ret)
{
	AUTO_FREE const char **parents = NULL;
	size_t n = 0;

	pthread_mutex_lock(&t->lock);
	parents = xcalloc(t->images.n + 1, sizeof *parents);
	ret->v = xcalloc(t->images.n + 1, sizeof *ret->v);
	ret->n = t->images.n;
	for (size_t i = 0; i < t->images.n; i++) {
		ret->v[i].image = image_ref(t->images.v[i]);
		if (t->images.v[i]->parent)
			parents[n++] = t->images.v[i]->parent;
	}
	for (size_t i = 0; i < t->names.n; i++) {
		struct image_row *row = ret->n ? bsearch(t->names.v[i].id, ret->v, ret->n, sizeof *ret->v, by_image_id)
					       : NULL;

		if (row)
			image_names_add(&row->names, t->names.v[i].full);
	}
	if (n)
		qsort(parents, n, sizeof *parents, by_text);
	for (size_t i = 0; n && i < ret->n; i++) {
		const char *id = ret->v[i].image->id;

		ret->v[i].shared = bsearch(&id, parents, n, sizeof *parents, by_text) != NULL;
	}
	pthread_mutex_unlock(&t->lock);
}

int image_list(struct images *t, const struct image_query *q, struct image_list *ret, struct err *e)
{
	struct image_list every = { 0 }, l = { 0 };
	struct sharing sharing = { 0 };
	struct window w = { 0 };
	int r = check_patterns(&q->references, e);

	if (r == 0)
		r = find_window(t, q, &w, e);
	if (r < 0)
		return r;
	take_all(t, &every);
	if (q->shared_size)
		sharing_open(t, &every, &sharing);
	for (size_t i = 0; i < every.n; i++) {
		struct image_row *row = &every.v[i];
		bool parent = row->shared;

		row->shared = -1;
		if (q->references.n) {
			keep_matching(&row->names.tags, &q->references);
			keep_matching(&row->names.digests, &q->references);
		}
		if (!wanted(q, &w, row->image) || !shown(q, &row->names, parent))
			continue;
		if (q->shared_size)
			row->shared = shared_bytes(&sharing, row->image);
		*VEC_ADD(&l) = *row; /* it moves */
		*row = (struct image_row){ 0 };
	}
	store_layers_done(&sharing.layers);
	image_list_done(&every);
	if (l.n)
		qsort(l.v, l.n, sizeof *l.v, newer);
	*ret = l;
	return 0;
}

/* ---- history ---- */
void image_history_done(struct image_history *h)
{
	for (size_t i = 0; i < h->n; i++) {
		free(h->v[i].id);
		free(h->v[i].created_by);
		free(h->v[i].comment);
		strv_done(&h->v[i].tags);
	}
	free(h->v);
	*h = (struct image_history){ 0 };
}

static void history_rows(struct images *t, const struct image *i, struct image_history *ret)
{
	char chain[DIGEST_TEXT] = "";
	size_t layer = 0;

	for (size_t k = 0; k < i->oci.history.n; k++) {
		const struct oci_history *h = &i->oci.history.v[k];
		struct image_history_row *row = VEC_ADD(ret);
		int64_t ns = 0;

		row->id = xstrdup("<missing>");
		row->created_by = xstrdup(h->created_by ? h->created_by : "");
		row->comment = xstrdup(h->comment ? h->comment : "");
		if (h->created && time_parse(h->created, &ns) == 0)
			row->created = ns / 1000000000;
		if (!h->empty_layer && layer < i->oci.rootfs.diff_ids.n) {
			struct store_layer l = { 0 };
			char next[DIGEST_TEXT];

			chain_id(*chain ? chain : NULL, i->oci.rootfs.diff_ids.v[layer++], next);
			memcpy(chain, next, sizeof chain);
			if (store_layer_get(t->store, chain, &l, NULL) == 0)
				row->size = l.size;
			store_layer_done(&l);
		}
	}
}

int image_history(struct images *t, const char *name, struct image_history *ret, struct err *e)
{
	AUTO_IMAGE struct image *i = NULL;
	struct image_history h = { 0 };
	int r = image_find(t, name, &i, e);

	if (r < 0)
		return r;
	history_rows(t, i, &h);
	for (size_t a = 0, b = h.n; a + 1 < b; a++) { /* newest first */
		struct image_history_row row = h.v[--b];

		h.v[b] = h.v[a];
		h.v[a] = row;
	}
	for (size_t k = 0; k < h.n; k++) { /* parents that are images of their own (docker commit, docker build) */
		struct image_names names = { 0 };
		struct image *up = NULL;

		free(h.v[k].id);
		h.v[k].id = xstrdup(i->id);
		image_names(t, i->id, &names);
		h.v[k].tags = names.tags;
		strv_done(&names.digests);
		if (!i->parent || image_find(t, i->parent, &up, NULL) < 0)
			break;
		image_unref(i);
		i = up;
	}
	*ret = h;
	return 0;
}
