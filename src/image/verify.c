/* verify.c - are images still what was loaded? Each layer once, however many images have it, two at a time. */
#include "image/priv.h"

struct layer {
	char *chain, *diff_id;
	struct strv images;
};
struct verify {
	struct images *t;
	const struct image_verify *out;
	pthread_mutex_t lock; /* all below, and the calls of out */
	struct {
		struct layer *v;
		size_t n;
	} layers;
	size_t next;
	struct image_verified done;
	bool stop;
};

static int add_image(struct verify *v, const struct image *i, struct err *e)
{
	AUTO_FREE char *chain = xstrdup(i->top);

	while (chain) {
		struct store_layer l = { 0 };
		struct layer *known = NULL;
		int r = store_layer_get(v->t->store, chain, &l, e);

		if (r < 0)
			return r;
		for (size_t k = 0; !known && k < v->layers.n; k++)
			if (streq(v->layers.v[k].chain, chain))
				known = &v->layers.v[k];
		if (!known) {
			/* held, so that it does not go while we look at it */
			r = store_layer_ref(v->t->store, chain, e);
			if (r == 0) {
				known = VEC_ADD(&v->layers);
				known->chain = xstrdup(chain);
				known->diff_id = xstrdup(l.diff_id);
			}
		}
		if (known)
			strv_add(&known->images, i->id);
		free(chain);
		chain = TAKE_PTR(l.parent);
		store_layer_done(&l);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_all(struct verify *v, const struct strv *names, struct err *e)
{
	struct image_list every = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && names && i < names->n; i++) {
		AUTO_IMAGE struct image *x = NULL;

		r = image_find(v->t, names->v[i], &x, e);
		if (r == 0)
			r = add_image(v, x, e);
	}
	if (!names || !names->n) {
		r = image_list(v->t, &(struct image_query){ .all = true }, &every, e);
		for (size_t i = 0; r == 0 && i < every.n; i++)
			r = add_image(v, every.v[i].image, e);
		image_list_done(&every);
	}
	return r;
}

static void tell_layer(struct verify *v, const struct layer *l, const struct store_check *found, const char *error)
{
	struct image_check c = {
		.layer = l->chain, .diff_id = l->diff_id, .images = &l->images, .found = found, .error = error
	};

	pthread_mutex_lock(&v->lock);
	v->done.layers++;
	v->done.broken += found && found->all > 0;
	v->done.unsaid += !found;
	v->out->layer(v->out->ctx, &c);
	if (v->out->gone && v->out->gone(v->out->ctx))
		v->stop = true;
	pthread_mutex_unlock(&v->lock);
}

static void *work(void *arg)
{
	struct verify *v = arg;

	for (;;) {
		struct store_check found = { 0 };
		struct err why = ERR_INIT;
		const struct layer *l = NULL;
		int r;

		pthread_mutex_lock(&v->lock);
		if (!v->stop && v->next < v->layers.n)
			l = &v->layers.v[v->next++];
		pthread_mutex_unlock(&v->lock);
		if (!l)
			return NULL;
		r = store_layer_verify(v->t->store, l->chain, &found, &why);
		tell_layer(v, l, r == 0 ? &found : NULL, why.msg);
		store_check_done(&found);
	}
}

int image_verify(struct images *t, const struct strv *names, const struct image_verify *out, struct image_verified *ret,
		 struct err *e)
{
	struct verify v = { .t = t, .out = out };
	pthread_t helper;
	bool two;
	int r;

	pthread_mutex_init(&v.lock, NULL);
	r = add_all(&v, names, e);
	if (r == 0) {
		two = v.layers.n > 1 && pthread_create(&helper, NULL, work, &v) == 0;
		(void)work(&v);
		if (two)
			(void)pthread_join(helper, NULL);
		*ret = v.done;
	}
	for (size_t i = 0; i < v.layers.n; i++) {
		store_layer_unref(t->store, v.layers.v[i].chain);
		free(v.layers.v[i].chain);
		free(v.layers.v[i].diff_id);
		strv_done(&v.layers.v[i].images);
	}
	free(v.layers.v);
	pthread_mutex_destroy(&v.lock);
	return r;
}
