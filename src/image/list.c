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

static int find_window(struct images *t, const struct image_query *q, struct window *ret, struct err *e)
{
	AUTO_IMAGE struct image *before = NULL;
	AUTO_IMAGE struct image *since = NULL;
	int r = 0;

	if (q->before)
		r = image_find(t, q->before, &before, e);
	if (r == 0 && q->since)
		r = image_find(t, q->since, &since, e);
	if (r < 0)
		return r;
	if (before)
		*ret = (struct window){ .has_before = true, .before = before->created };
	if (since) {
		ret->has_after = true;
		ret->after = since->created;
	}
	return 0;
}

static bool wanted(const struct image_query *q, const struct window *w, const struct image *i)
{
	if ((w->has_before && i->created >= w->before) || (w->has_after && i->created <= w->after))
		return false;
	if (q->until_ns && i->created >= q->until_ns / 1000000000)
		return false;
	return image_labels_match(i, &q->labels);
}

static bool shown(const struct image_query *q, const struct image_names *n, bool parent)
{
	bool only_dangling = q->dangling.set && q->dangling.v;

	if (n->tags.n == 0 && n->digests.n == 0)
		return (q->all || !parent) && !(q->dangling.set && !q->dangling.v) && q->references.n == 0;
	return !(only_dangling && n->tags.n > 0);
}

/* Bytes of layers that more than one image has. Layers are told apart by their chain ids. */
static int64_t shared_bytes(struct images *t, const struct image *i, const struct image_list *l)
{
	AUTO_FREE char *chain = xstrdup(i->top);
	int64_t sum = 0;

	while (chain) {
		struct store_layer layer = { 0 };
		bool other = false;

		if (store_layer_get(t->store, chain, &layer, NULL) < 0)
			break;
		for (size_t k = 0; !other && k < l->n; k++) {
			char mine[DIGEST_TEXT] = "";

			for (size_t d = 0; l->v[k].image != i && d < l->v[k].image->oci.rootfs.diff_ids.n; d++) {
				char next[DIGEST_TEXT];

				chain_id(*mine ? mine : NULL, l->v[k].image->oci.rootfs.diff_ids.v[d], next);
				memcpy(mine, next, sizeof mine);
				other = other || streq(mine, chain);
			}
		}
		sum += other ? layer.size : 0;
		free(chain);
		chain = xstrdup(layer.parent);
		store_layer_done(&layer);
	}
	return sum;
}

static int newer(const void *a, const void *b)
{
	const struct image_row *x = a, *y = b;

	if (x->image->created != y->image->created)
		return x->image->created < y->image->created ? 1 : -1;
	return strcmp(x->image->id, y->image->id);
}

int image_list(struct images *t, const struct image_query *q, struct image_list *ret, struct err *e)
{
	struct image_list every = { 0 }, l = { 0 };
	struct window w = { 0 };
	int r = check_patterns(&q->references, e);

	if (r == 0)
		r = find_window(t, q, &w, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->images.n; i++) {
		struct image_row *row = VEC_ADD(&every);

		row->image = image_ref(t->images.v[i]);
		row->shared = has_children(t, t->images.v[i]->id); /* for a moment: is it a parent? */
	}
	pthread_mutex_unlock(&t->lock);
	for (size_t i = 0; i < every.n; i++) {
		struct image_row row = { .image = every.v[i].image, .shared = -1 };

		image_names(t, row.image->id, &row.names);
		if (q->references.n) {
			keep_matching(&row.names.tags, &q->references);
			keep_matching(&row.names.digests, &q->references);
		}
		if (!wanted(q, &w, row.image) || !shown(q, &row.names, every.v[i].shared)) {
			image_names_done(&row.names);
			continue;
		}
		if (q->shared_size)
			row.shared = shared_bytes(t, row.image, &every);
		(void)image_ref(row.image);
		*VEC_ADD(&l) = row;
	}
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
