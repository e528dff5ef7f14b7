/* pull_layers.c - the layers of one image, several at a time: a thread appends a blob to its partial file, another follows the file and
 * unpacks it. What is unpacked is settled in the order of the image, with a lease: a pull that ends here goes on from there. */
#include "image/pull_priv.h"

#define LEASE_NS ((int64_t)24 * 3600 * 1000000000)
#define ID_SHOWN 12

struct pull;
struct layer {
	struct pull *p;
	size_t index;
	const struct oci_descriptor *blob;
	const char *diff_id;
	char id[ID_SHOWN + 1]; /* what progress calls it */
	char chain[DIGEST_TEXT];
};
struct pull {
	struct images *t;
	struct voice *voice;
	const char *repo;
	struct layer *v;
	size_t n; /* to be fetched */
	const char *parent;

	pthread_mutex_t lock;
	pthread_cond_t moved; /* a layer settled, or all is over */
	size_t taken, settled, running;
	int error; /* the first one */
	struct err err;
};

static void fail(struct pull *p, int r, const struct err *e)
{
	pthread_mutex_lock(&p->lock);
	if (!p->error) {
		p->error = r;
		p->err = *e;
	}
	pthread_cond_broadcast(&p->moved);
	pthread_mutex_unlock(&p->lock);
	voice_cancel(p->voice, r);
}

/* ---- one layer: download and unpacking at once ---- */
struct fetch {
	struct layer *l;
	struct store_partial *partial;
	struct meter down, up;
	struct store_stage *stage;
	int torn;     /* atomic: the download failed */
	bool resumed; /* the file's first bytes are of an earlier attempt */
	int unpacked; /* negative errno */
	struct err err;
};

/* What l lies on: settled when it is asked for. */
static const char *under(const struct layer *l)
{
	return l->index ? l->p->v[l->index - 1].chain : l->p->parent;
}

static void *unpack(void *arg)
{
	struct fetch *f = arg;
	struct layer *l = f->l;
	AUTO_FREE char *what = xasprintf("%s: layer %s", l->p->repo, l->blob->digest);
	struct store_blob blob = { .src = store_partial_source(f->partial),
				   .digest = l->blob->digest,
				   .diff_id = l->diff_id,
				   .what = what,
				   .media_type = l->blob->media_type,
				   .repo = l->p->repo,
				   .progress = meter_at,
				   .progress_ctx = &f->up };

	const char *parent = store_whole_trees(l->p->t->store) ? under(l) : NULL;

	f->unpacked = store_stage(l->p->t->store, parent, &blob, &f->stage, &f->err);
	/* at once, or the rest would be fetched for nothing; unless it failed because the download did */
	if (f->unpacked < 0 && !__atomic_load_n(&f->torn, __ATOMIC_ACQUIRE) &&
	    !(f->resumed && f->err.kind == ERR_INVALID))
		fail(l->p, f->unpacked, &f->err);
	return NULL;
}

static void grew(void *ctx, int64_t have)
{
	struct fetch *f = ctx;

	store_partial_grew(f->partial, have);
	meter_at(&f->down, have);
}

static int download(struct fetch *f, struct err *e)
{
	struct layer *l = f->l;
	struct remote_progress progress = { .at = grew, .ctx = f };
	int64_t have = store_partial_have(f->partial);
	int r = 0;

	if (have < l->blob->size)
		r = remote_blob_get(l->p->voice->remote, l->blob, store_partial_fd(f->partial), have, &progress, &have,
				    NULL, e);
	store_partial_grew(f->partial, have);
	__atomic_store_n(&f->torn, r < 0, __ATOMIC_RELEASE);
	store_partial_end(f->partial, r);
	if (r < 0)
		return r;
	voice_status(l->p->voice, l->id, "Verifying Checksum");
	voice_status(l->p->voice, l->id, "Download complete");
	return 0;
}

/* 1: what an earlier attempt left was wrong; the file is empty now. */
static int fetch_once(struct fetch *f, struct err *e)
{
	struct layer *l = f->l;
	pthread_t thread;
	int r;

	f->unpacked = 0;
	f->err = ERR_INIT;
	f->resumed = store_partial_have(f->partial) > 0;
	f->down = (struct meter){ l->p->voice, l->id, "Downloading", l->blob->size, 0 };
	f->up = (struct meter){ l->p->voice, l->id, "Extracting", l->blob->size, 0 };
	r = -pthread_create(&thread, NULL, unpack, f);
	if (r < 0)
		return err_sys(e, r, "starting a thread");
	r = download(f, e);
	(void)pthread_join(thread, NULL);
	if (r == 0 && f->unpacked < 0) {
		r = f->unpacked;
		*e = f->err;
		if (f->resumed && e->kind == ERR_INVALID)
			return store_partial_reset(f->partial) < 0 ? r : 1;
	}
	return r;
}

/* False when the pull has failed. */
static bool in_order(struct pull *p, size_t index)
{
	bool yes;

	pthread_mutex_lock(&p->lock);
	while (!p->error && p->settled < index)
		pthread_cond_wait(&p->moved, &p->lock);
	yes = !p->error;
	pthread_mutex_unlock(&p->lock);
	return yes;
}

/* Waits for its turn, then makes the layer durable. */
static int settle(struct layer *l, struct store_stage *stage, struct err *e)
{
	struct pull *p = l->p;
	char chain[DIGEST_TEXT];

	if (!in_order(p, l->index)) {
		store_stage_drop(p->t->store, stage);
		return -ECANCELED;
	}
	return store_settle(p->t->store, under(l), &stage, 1, time_now_ns() + LEASE_NS, chain, e);
}

static void settled(struct layer *l)
{
	struct pull *p = l->p;

	store_layer_unref(p->t->store, under(l)); /* its child holds it now */
	pthread_mutex_lock(&p->lock);
	p->settled = l->index + 1;
	pthread_cond_broadcast(&p->moved);
	pthread_mutex_unlock(&p->lock);
	voice_status(p->voice, l->id, "Pull complete");
}

/* The download's file goes, or is kept, when its layer is recorded; who waits for it elsewhere looks after it from then on. */
static void end_partial(struct layer *l, enum store_partial_fate fate)
{
	struct store_partial *again = NULL;
	struct err e = ERR_INIT;
	int no_waiting = 1;

	if (store_partial_open(l->p->t->store, l->blob->digest, &no_waiting, &again, NULL) == 0 &&
	    store_partial_close(again, fate, &e) < 0)
		log_warn("%s: %s", l->p->repo, e.msg);
}

/* Another pull may have brought the very layer while we waited for its file. */
static bool there_by_now(struct layer *l)
{
	if (store_layer_ref(l->p->t->store, l->chain, NULL) < 0)
		return false;
	voice_status(l->p->voice, l->id, "Already exists");
	return true;
}

/* Out of a blob that was kept when another image brought it. 1: there is none, or it is not what it was. */
static int from_kept(struct layer *l, struct err *e)
{
	struct store *store = l->p->t->store;
	AUTO_FD int fd = store_blob_open(store, l->blob->digest);
	struct store_blob blob = { .src = { .fd = fd },
				   .digest = l->blob->digest,
				   .diff_id = l->diff_id,
				   .media_type = l->blob->media_type,
				   .repo = l->p->repo };
	struct store_stage *stage = NULL;
	struct err why = ERR_INIT;

	if (fd < 0)
		return 1;
	if (store_stage(store, store_whole_trees(store) ? under(l) : NULL, &blob, &stage, &why) < 0) {
		log_warn("kept blob %s: %s", l->blob->digest, why.msg);
		return 1;
	}
	return settle(l, stage, e);
}

static int get_layer(struct layer *l, struct err *e)
{
	struct pull *p = l->p;
	struct fetch f = { .l = l };
	int r;

	/* Layers that are made out of their parents, and the same blob twice in one image, go one by one. */
	if (store_whole_trees(p->t->store) && !in_order(p, l->index))
		return -ECANCELED;
	for (size_t k = 0; k < l->index; k++)
		if (streq(p->v[k].blob->digest, l->blob->digest) && !in_order(p, k + 1))
			return -ECANCELED;
	r = from_kept(l, e);
	if (r <= 0)
		return r;
	r = store_partial_open(p->t->store, l->blob->digest, &p->voice->cancelled, &f.partial, e);
	if (r < 0)
		return r;
	if (there_by_now(l)) {
		(void)store_partial_close(f.partial, STORE_PARTIAL_DROP, NULL);
		if (in_order(p, l->index))
			return 0;
		store_layer_unref(p->t->store, l->chain);
		return -ECANCELED;
	}
	r = fetch_once(&f, e);
	if (r == 1)
		r = fetch_once(&f, e);
	/* Bytes that cannot be unpacked are dropped, even where that ended the download before it ended by itself. */
	(void)store_partial_close(
		f.partial,
		r < 0 && f.unpacked < 0 && f.err.kind == ERR_INVALID ? STORE_PARTIAL_DROP : STORE_PARTIAL_KEEP, NULL);
	if (r == 0)
		r = settle(l, f.stage, e);
	else
		store_stage_drop(p->t->store, f.stage);
	if (r == 0)
		end_partial(l, p->voice->x->keep_blobs ? STORE_PARTIAL_BLOB : STORE_PARTIAL_DROP);
	return r;
}

static void *work(void *arg)
{
	struct pull *p = arg;

	for (;;) {
		struct err e = ERR_INIT;
		struct layer *l = NULL;
		int r;

		pthread_mutex_lock(&p->lock);
		if (!p->error && p->taken < p->n)
			l = &p->v[p->taken++];
		if (!l) {
			p->running--;
			pthread_cond_broadcast(&p->moved);
		}
		pthread_mutex_unlock(&p->lock);
		if (!l)
			return NULL;
		r = get_layer(l, &e);
		if (r < 0)
			fail(p, r, &e);
		else
			settled(l);
	}
}

/* ---- all of them ---- */
static void wait_all(struct pull *p)
{
	pthread_mutex_lock(&p->lock);
	while (p->running) {
		struct timespec until = { 0 };

		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		(void)pthread_cond_timedwait(&p->moved, &p->lock, &until);
		pthread_mutex_unlock(&p->lock);
		voice_poll(p->voice);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
}

static void plan(struct pull *p, const struct remote_image *from, struct image *i, size_t first)
{
	p->n = from->doc.layers.n - first;
	p->v = xcalloc(p->n, sizeof *p->v);
	for (size_t k = 0; k < p->n; k++) {
		struct layer *l = &p->v[k];

		l->p = p;
		l->index = k;
		l->blob = &from->doc.layers.v[first + k];
		l->diff_id = i->oci.rootfs.diff_ids.v[first + k];
		memcpy(l->id, l->blob->digest + strlen("sha256:"), ID_SHOWN);
		chain_id(k ? p->v[k - 1].chain : p->parent, l->diff_id, l->chain);
		voice_status(p->voice, l->id, "Pulling fs layer");
	}
}

/* What was fetched of an image that has no room here is in everybody's way. */
static void make_room(struct pull *p)
{
	int why = p->err.sys ? p->err.sys : p->error;

	if (why != -ENOSPC && why != -EDQUOT)
		return;
	for (size_t k = p->settled; k < p->n; k++)
		end_partial(&p->v[k], STORE_PARTIAL_DROP);
}

int pull_layers(struct images *t, struct voice *v, const char *repo, const struct remote_image *from, struct image *i,
		size_t first, const char *parent, char ret_chain[DIGEST_TEXT], struct err *e)
{
	struct pull p = { .t = t, .voice = v, .repo = repo, .parent = parent };
	unsigned threads = v->x->parallel ? v->x->parallel : 3;
	pthread_t *thread;
	int r = 0;

	pthread_mutex_init(&p.lock, NULL);
	pthread_cond_init(&p.moved, NULL);
	plan(&p, from, i, first);
	threads = MIN(threads, (unsigned)p.n);
	thread = xcalloc(threads, sizeof *thread);
	p.running = threads;
	for (unsigned k = threads; k < p.n; k++)
		voice_status(v, p.v[k].id, "Waiting");
	for (unsigned k = 0; k < threads; k++) {
		r = -pthread_create(&thread[k], NULL, work, &p);
		if (r < 0) {
			struct err why = ERR_INIT;

			(void)err_sys(&why, r, "starting a thread");
			fail(&p, r, &why);
			pthread_mutex_lock(&p.lock);
			p.running -= threads - k;
			pthread_mutex_unlock(&p.lock);
			threads = k;
		}
	}
	wait_all(&p);
	for (unsigned k = 0; k < threads; k++)
		(void)pthread_join(thread[k], NULL);
	if (p.error) {
		make_room(&p);
		r = p.error;
		if (e)
			*e = p.err;
		store_layer_unref(t->store, p.settled ? p.v[p.settled - 1].chain : parent);
	} else {
		memcpy(ret_chain, p.v[p.n - 1].chain, DIGEST_TEXT);
	}
	free(thread);
	free(p.v);
	pthread_cond_destroy(&p.moved);
	pthread_mutex_destroy(&p.lock);
	return r;
}
