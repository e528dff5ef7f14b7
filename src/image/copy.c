/* copy.c - image copy, from registry to registry: first all documents are read and the blobs they name listed, then the blobs are brought
 * over several at a time, then the documents are put, each behind what it names, the one with the tag last. */
#include "image/pull_priv.h"

#define DOCS_MAX 2000
#define DOCS_BYTES_MAX ((size_t)64 << 20)
#define DEPTH_MAX 8

struct doc {
	struct remote_doc d;
	char *type, *tag; /* tag NULL = by its digest */
};
struct blob {
	struct copy *c;
	char *digest, id[13];
	int64_t size;
};
struct copy {
	struct images *t;
	struct voice voice; /* remote: where it comes from, other: where it goes */
	const struct ref *from, *to;
	struct {
		struct doc *v;
		size_t n;
	} docs; /* in the order they are put */
	struct {
		struct blob *v;
		size_t n;
	} blobs;
	struct strv seen; /* digests of documents */
	size_t bytes;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t moved;
	size_t taken, running;
	int error;
	struct err err;
};

/* ---- reading ---- */
static int add_blob(struct copy *c, const struct oci_descriptor *d, struct err *e)
{
	struct blob *b;

	if (!d->digest || !digest_valid(d->digest) || d->size < 0)
		return err_set(e, ERR_SYSTEM, "invalid checksum digest format");
	/* what may not be handed on stays where its URLs say, as skopeo and Docker leave it */
	if (d->media_type && (strstr(d->media_type, "nondistributable") || strstr(d->media_type, ".foreign.")))
		return 0;
	for (size_t i = 0; i < c->blobs.n; i++)
		if (streq(c->blobs.v[i].digest, d->digest))
			return 0;
	b = VEC_ADD(&c->blobs);
	b->c = c;
	b->digest = xstrdup(d->digest);
	b->size = d->size;
	memcpy(b->id, d->digest + strlen("sha256:"), sizeof b->id - 1);
	return 0;
}

static int take(struct copy *c, const char *what, const char *tag, unsigned depth, struct err *e);

/* A companion's tag ("sha256-<hex>.sig") is mostly not there. */
static int take_tag(struct copy *c, const char *digest, const char *suffix, unsigned depth, struct err *e)
{
	AUTO_FREE char *tag = xasprintf("sha256-%s.%s", digest + strlen("sha256:"), suffix);
	struct err own = ERR_INIT;
	int r = take(c, tag, tag, depth, &own);

	if (r < 0 && own.kind == ERR_NOT_FOUND)
		return 0;
	if (r < 0 && e)
		*e = own;
	return r;
}

static int take_companions(struct copy *c, const char *digest, unsigned depth, struct err *e)
{
	static const char *const suffixes[] = { "sig", "att", "sbom" };
	struct oci_manifest referrers = { 0 };
	int r = remote_referrers(c->voice.remote, digest, NULL, &referrers, e);

	for (size_t i = 0; r == 0 && i < referrers.manifests.n; i++)
		r = take(c, referrers.manifests.v[i].digest, NULL, depth + 1, e);
	json_done(&oci_manifest_type, &referrers);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(suffixes); i++)
		r = take_tag(c, digest, suffixes[i], depth + 1, e);
	return r;
}

static int take_named(struct copy *c, const struct oci_manifest *m, unsigned depth, struct err *e)
{
	int r = m->config ? add_blob(c, m->config, e) : 0;

	for (size_t i = 0; r == 0 && i < m->layers.n; i++)
		r = add_blob(c, &m->layers.v[i], e);
	for (size_t i = 0; r == 0 && i < m->manifests.n; i++)
		r = m->manifests.v[i].digest && digest_valid(m->manifests.v[i].digest)
			    ? take(c, m->manifests.v[i].digest, NULL, depth + 1, e)
			    : err_set(e, ERR_SYSTEM, "invalid checksum digest format");
	return r;
}

/* Takes d over. What it names comes before it. */
static int take_doc(struct copy *c, struct remote_doc *d, const char *tag, unsigned depth, struct err *e)
{
	struct oci_manifest m = { 0 };
	bool known = strv_has(&c->seen, d->digest); /* a second name for it */
	struct doc *doc;
	int r = json_read(&oci_manifest_type, d->bytes ? d->bytes : "", d->n, NULL, &m, e);

	c->bytes += d->n;
	if (r < 0)
		r = err_wrap(e, r, "manifest %s", d->digest);
	else if (m.schema_version != 2)
		r = err_set(e, ERR_INVALID, "manifest %s is of schema version %lld: only 2 can be copied", d->digest,
			    (long long)m.schema_version);
	else if (depth > DEPTH_MAX || c->docs.n >= DOCS_MAX || c->bytes > DOCS_BYTES_MAX)
		r = err_set(e, ERR_INVALID, "too many documents belong to this image, or they are nested too deep");
	if (!known)
		strv_add(&c->seen, d->digest);
	if (r == 0 && !known)
		r = take_named(c, &m, depth, e);
	if (r == 0 && !known)
		r = take_companions(c, d->digest, depth, e);
	if (r == 0) {
		doc = VEC_ADD(&c->docs);
		doc->type = xstrdup(str_empty(m.media_type) ? d->media_type : m.media_type);
		doc->tag = xstrdup(tag);
		doc->d = *d;
		*d = (struct remote_doc){ 0 };
	}
	json_done(&oci_manifest_type, &m);
	remote_doc_done(d);
	return r;
}

static int take(struct copy *c, const char *what, const char *tag, unsigned depth, struct err *e)
{
	struct remote_doc d = { 0 };
	int r;

	if (!tag && strv_has(&c->seen, what))
		return 0;
	r = remote_manifest_get(c->voice.remote, what, &d, e);
	return r < 0 ? r : take_doc(c, &d, tag, depth, e);
}

static int read_all(struct copy *c, const char *platform, struct err *e)
{
	const char *what = c->from->digest ? c->from->digest
			   : c->from->tag  ? c->from->tag
					   : "latest",
		   *tag = c->to->tag ? c->to->tag : "latest";
	struct remote_image one = { 0 };
	struct remote_doc d;
	int r;

	if (!platform)
		return take(c, what, tag, 0, e);
	r = remote_resolve(c->voice.remote, what, platform, &one, e);
	if (r < 0)
		return r;
	d = (struct remote_doc){ .bytes = TAKE_PTR(one.manifest),
				 .n = one.manifest_n,
				 .media_type = TAKE_PTR(one.manifest_type),
				 .digest = TAKE_PTR(one.manifest_digest) };
	remote_image_done(&one);
	return take_doc(c, &d, tag, 0, e);
}

/* ---- blobs ---- */
static bool same_registry(const struct copy *c)
{
	return streq(c->from->domain, c->to->domain);
}

static int download(struct blob *b, struct store_partial *p, struct err *e)
{
	const struct oci_descriptor d = { .digest = b->digest, .size = b->size };
	struct voice *v = &b->c->voice;
	struct meter meter = { v, b->id, "Downloading", b->size, 0 };
	struct remote_progress progress = { .at = meter_at, .ctx = &meter };
	int64_t have = store_partial_have(p);
	int r = 0;

	if (have > b->size && store_partial_reset(p) == 0)
		have = 0;
	if (have < b->size)
		r = remote_blob_get(v->remote, &d, store_partial_fd(p), have, &progress, &have, NULL, e);
	store_partial_grew(p, have);
	return r;
}

static int upload(struct blob *b, struct store_partial *p, struct err *e)
{
	struct voice *v = &b->c->voice;
	struct meter meter = { v, b->id, "Pushing", b->size, 0 };
	struct remote_progress progress = { .at = meter_at, .ctx = &meter };
	struct remote_sent sent;

	return remote_blob_put(v->other, store_partial_fd(p), b->digest, b->size, &progress, &sent, e);
}

/* Through a file that an interrupted copy or pull goes on with. The destination checks the digest: bytes that it refuses are fetched
 * anew, once, when they were an earlier attempt's. */
static int carry(struct blob *b, struct err *e)
{
	struct copy *c = b->c;
	struct store_partial *p = NULL;
	bool old;
	int r = store_partial_open(c->t->store, b->digest, &c->voice.cancelled, &p, e);

	if (r < 0)
		return r;
	old = store_partial_have(p) > 0;
	r = download(b, p, e);
	if (r == 0)
		r = upload(b, p, e);
	if (r < 0 && old && e->kind == ERR_INVALID && store_partial_reset(p) == 0) {
		*e = ERR_INIT;
		r = download(b, p, e);
		if (r == 0)
			r = upload(b, p, e);
	}
	(void)store_partial_close(p, r == 0 || e->kind == ERR_INVALID ? STORE_PARTIAL_DROP : STORE_PARTIAL_KEEP, NULL);
	if (r == 0)
		voice_status(&c->voice, b->id, "Copied");
	return r;
}

static int copy_blob(struct blob *b, struct err *e)
{
	struct copy *c = b->c;
	int64_t size = 0;
	int r = remote_blob_head(c->voice.other, b->digest, &size, e);

	if (r == 0) {
		voice_status(&c->voice, b->id, "Already exists");
		return 0;
	}
	if (r != -ENOENT)
		return r;
	*e = ERR_INIT;
	if (same_registry(c)) {
		r = remote_blob_mount(c->voice.other, b->digest, c->from->path, e);
		if (r == 0) {
			AUTO_FREE char *text = xasprintf("Mounted from %s", c->from->path);

			voice_status(&c->voice, b->id, text);
		}
		if (r != -ENOENT)
			return r;
		*e = ERR_INIT;
	}
	return carry(b, e);
}

static void *work(void *arg)
{
	struct copy *c = arg;

	for (;;) {
		struct err e = ERR_INIT;
		struct blob *b = NULL;
		int r;

		pthread_mutex_lock(&c->lock);
		if (!c->error && c->taken < c->blobs.n)
			b = &c->blobs.v[c->taken++];
		if (!b) {
			c->running--;
			pthread_cond_broadcast(&c->moved);
			pthread_mutex_unlock(&c->lock);
			return NULL;
		}
		pthread_mutex_unlock(&c->lock);
		r = copy_blob(b, &e);
		if (r < 0) {
			pthread_mutex_lock(&c->lock);
			if (!c->error) {
				c->error = r;
				c->err = e;
			}
			pthread_mutex_unlock(&c->lock);
			voice_cancel(&c->voice, r);
		}
	}
}

static int copy_blobs(struct copy *c, struct err *e)
{
	unsigned threads = MIN(c->voice.x->parallel ? c->voice.x->parallel : 3, (unsigned)c->blobs.n), started = 0;
	AUTO_FREE pthread_t *thread = xcalloc(threads + 1, sizeof *thread);

	c->running = threads;
	for (; started < threads; started++) {
		int r = -pthread_create(&thread[started], NULL, work, c);

		if (r < 0) {
			pthread_mutex_lock(&c->lock);
			c->error = err_sys(&c->err, r, "starting a thread");
			c->running -= threads - started;
			pthread_mutex_unlock(&c->lock);
			break;
		}
	}
	pthread_mutex_lock(&c->lock);
	while (c->running) {
		struct timespec until = { 0 };

		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		(void)pthread_cond_timedwait(&c->moved, &c->lock, &until);
		pthread_mutex_unlock(&c->lock);
		voice_poll(&c->voice);
		pthread_mutex_lock(&c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	for (unsigned k = 0; k < started; k++)
		(void)pthread_join(thread[k], NULL);
	if (c->error && e)
		*e = c->err;
	return c->error;
}

/* ---- documents ---- */
static int put_docs(struct copy *c, struct err *e)
{
	for (size_t i = 0; i < c->docs.n; i++) {
		const struct doc *d = &c->docs.v[i];
		char digest[DIGEST_TEXT];
		int r = remote_manifest_put(c->voice.other, d->tag ? d->tag : d->d.digest, d->type, d->d.bytes, d->d.n,
					    digest, e);

		if (r == 0 && !streq(digest, d->d.digest))
			r = err_set(e, ERR_SYSTEM, "%s became %s on the way", d->d.digest, digest);
		if (r < 0)
			return r;
	}
	return 0;
}

static void say(struct copy *c, char *text)
{
	AUTO_FREE char *own = text;

	voice_say(&c->voice, &(struct image_note){ .status = own });
}

static int copy(struct copy *c, const char *platform, struct err *e)
{
	const struct doc *top;
	int r = read_all(c, platform, e);

	if (r < 0)
		return r;
	say(c, xasprintf("Copying %s/%s: %zu document%s, %zu blob%s", c->from->domain, c->from->path, c->docs.n,
			 c->docs.n == 1 ? "" : "s", c->blobs.n, c->blobs.n == 1 ? "" : "s"));
	r = copy_blobs(c, e);
	if (r == 0)
		r = put_docs(c, e);
	if (r < 0)
		return r;
	top = &c->docs.v[c->docs.n - 1];
	say(c, xasprintf("%s: digest: %s size: %zu", top->tag, top->d.digest, top->d.n));
	return 0;
}

/* ---- the two sessions ---- */
static void warn(void *ctx, const char *text)
{
	voice_say(ctx, &(struct image_note){ .status = text });
}

static int open_both(struct copy *c, const struct remote_auth *auth_to, struct err *e)
{
	const struct image_transfer *x = c->voice.x;
	AUTO_STRV struct strv also = { 0 };
	struct remote_opts o = { .config = x->remote,
				 .ref = c->from,
				 .auth = x->auth,
				 .meta_headers = x->meta_headers,
				 .say = warn,
				 .ctx = &c->voice };
	int r = remote_open(&o, &c->voice.remote, e);

	if (r < 0)
		return r;
	if (same_registry(c))
		strv_add(&also, c->from->path);
	o.ref = c->to;
	o.auth = *auth_to;
	o.push = true;
	o.also = &also;
	return remote_open(&o, &c->voice.other, e);
}

int image_copy(struct images *t, const struct ref *from, const struct ref *to, const char *platform,
	       const struct image_transfer *x, const struct remote_auth *auth_to, struct err *e)
{
	struct copy c = { .t = t, .from = from, .to = to };
	int r;

	voice_init(&c.voice, x);
	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.moved, NULL);
	r = open_both(&c, auth_to, e);
	if (r == 0)
		r = copy(&c, platform, e);
	remote_close(c.voice.remote);
	remote_close(c.voice.other);
	for (size_t i = 0; i < c.docs.n; i++) {
		remote_doc_done(&c.docs.v[i].d);
		free(c.docs.v[i].type);
		free(c.docs.v[i].tag);
	}
	free(c.docs.v);
	for (size_t i = 0; i < c.blobs.n; i++)
		free(c.blobs.v[i].digest);
	free(c.blobs.v);
	strv_done(&c.seen);
	pthread_mutex_destroy(&c.lock);
	pthread_cond_destroy(&c.moved);
	voice_done(&c.voice);
	return r;
}
