/* push.c - docker push: each layer is looked for in the registry, taken over from a neighbour, or sent; then configuration and
 * manifest. The manifest is written as Docker writes it, so that the same layers give the same digest whoever pushes them. */
#include "image/pull_priv.h"

#include <fcntl.h>

#define DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"
#define DOCKER_LAYER "application/vnd.docker.image.rootfs.diff.tar.gzip"
#define OCI_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define OCI_LAYER "application/vnd.oci.image.layer.v1.tar"
#define ATTEMPTS 5

struct layer {
	const char *diff_id;
	char chain[DIGEST_TEXT], id[13];
	struct store_blob_info blob; /* what the registry has at the end */
};
struct push {
	struct images *t;
	struct voice voice;
	const struct ref *repo;
	char *name; /* docker.io/library/x */
	pthread_mutex_t lock;
	pthread_cond_t moved;
	struct layer *v;
	size_t n, taken, running;
	int error;
	struct err err;
};

/* ---- a layer that the registry has already ---- */
static int take_over(struct layer *l, const struct store_blob_info *b, int64_t size)
{
	l->blob = (struct store_blob_info){ .digest = xstrdup(b->digest),
					    .media_type = xstrdup(b->media_type),
					    .size = size };
	return 0;
}

/* The repository's path, when it is another one of this registry. */
static const char *neighbour(const struct push *p, const struct store_blob_info *b)
{
	const char *path = b->repo && !streq(b->repo, p->name) ? str_after(b->repo, p->repo->domain) : NULL;

	return path && *path == '/' ? path + 1 : NULL;
}

/* 0 = it is there now, -ENOENT = it has to be sent. */
static int find_there(struct push *p, struct layer *l, struct err *e)
{
	struct store_blobs known = { 0 };
	int r = -ENOENT;

	store_layer_blobs(p->t->store, l->diff_id, &known);
	for (size_t i = known.n; r == -ENOENT && i-- > 0;) {
		int64_t size = known.v[i].size;

		if (neighbour(p, &known.v[i])) /* of what went elsewhere it is asked by mounting */
			continue;
		r = remote_blob_head(p->voice.remote, known.v[i].digest, &size, e);
		if (r == 0) {
			voice_status(&p->voice, l->id, "Layer already exists");
			r = take_over(l, &known.v[i], size);
		}
	}
	for (size_t i = known.n; r == -ENOENT && i-- > 0;) {
		const char *from = neighbour(p, &known.v[i]);

		r = from ? remote_blob_mount(p->voice.remote, known.v[i].digest, from, e) : -ENOENT;
		if (r == 0) {
			AUTO_FREE char *text = xasprintf("Mounted from %s", from);

			voice_status(&p->voice, l->id, text);
			r = take_over(l, &known.v[i], known.v[i].size);
		}
	}
	store_blobs_done(&known);
	return r;
}

/* ---- a layer that has to be sent ---- */
/* A tar made again from the layer, compressed, straight into the registry: digest and size are known when all is sent. */
static int send_packed(struct push *p, struct layer *l, struct remote_sent *ret, struct err *e)
{
	struct meter meter = { &p->voice, l->id, "Pushing", 0, 0 };
	struct remote_progress progress = { .at = meter_at, .ctx = &meter };
	struct store_pack *pack = NULL;
	struct err packing = ERR_INIT;
	int64_t size = 0;
	int r = store_pack_begin(p->t->store, l->chain, true, &pack, e), packed;

	if (r < 0)
		return r;
	r = remote_blob_put(p->voice.remote, store_pack_fd(pack), NULL, -1, &progress, ret, e);
	packed = store_pack_end(pack, r == 0 ? &size : NULL, &packing);
	if (r == 0 && packed < 0) {
		*e = packing;
		return packed;
	}
	return r;
}

static int send_kept(struct push *p, struct layer *l, int fd, const struct store_blob_info *b, struct remote_sent *ret,
		     struct err *e)
{
	struct meter meter = { &p->voice, l->id, "Pushing", b->size, 0 };
	struct remote_progress progress = { .at = meter_at, .ctx = &meter };

	return remote_blob_put(p->voice.remote, fd, b->digest, b->size, &progress, ret, e);
}

static int send_layer(struct push *p, struct layer *l, struct err *e)
{
	struct store_blobs known = { 0 };
	struct remote_sent sent = { 0 };
	AUTO_FD int kept = -1;
	size_t i;
	int r = -EAGAIN;

	store_layer_blobs(p->t->store, l->diff_id, &known);
	for (i = known.n; kept < 0 && i-- > 0;)
		kept = store_blob_open(p->t->store, known.v[i].digest);
	if (kept >= 0)
		r = send_kept(p, l, kept, &known.v[i], &sent, e);
	for (int attempt = 0; kept < 0 && attempt < ATTEMPTS && r == -EAGAIN; attempt++)
		r = send_packed(p, l, &sent, e);
	if (r == -EAGAIN && e)
		e->sys = 0; /* it was for us */
	if (r == 0) {
		l->blob = (struct store_blob_info){ .digest = xstrdup(sent.digest),
						    .media_type = xstrdup(kept >= 0 ? known.v[i].media_type
										    : DOCKER_LAYER),
						    .size = sent.size };
		voice_status(&p->voice, l->id, "Pushed");
	}
	store_blobs_done(&known);
	return r;
}

static int push_layer(struct push *p, struct layer *l, struct err *e)
{
	int r = find_there(p, l, e);

	if (r == -ENOENT) {
		if (e)
			*e = ERR_INIT;
		r = send_layer(p, l, e);
	}
	if (r == 0) {
		struct store_blob_info b = l->blob;

		b.repo = p->name;
		r = store_layer_blob_add(p->t->store, l->chain, &b, e);
	}
	return r;
}

static void *work(void *arg)
{
	struct push *p = arg;

	for (;;) {
		struct err e = ERR_INIT;
		struct layer *l = NULL;
		int r = 0;

		pthread_mutex_lock(&p->lock);
		if (!p->error && p->taken < p->n)
			l = &p->v[p->n - 1 - p->taken++]; /* the top one first, as Docker does */
		if (!l) {
			p->running--;
			pthread_cond_broadcast(&p->moved);
			pthread_mutex_unlock(&p->lock);
			return NULL;
		}
		/* the same layer twice in an image (an empty one): once is enough */
		for (struct layer *k = l + 1; k < p->v + p->n; k++)
			if (streq(k->diff_id, l->diff_id))
				r = 1;
		pthread_mutex_unlock(&p->lock);
		if (r == 0)
			r = push_layer(p, l, &e);
		if (r < 0) {
			pthread_mutex_lock(&p->lock);
			if (!p->error) {
				p->error = r;
				p->err = e;
			}
			pthread_mutex_unlock(&p->lock);
			voice_cancel(&p->voice, r);
		}
	}
}

static int push_layers(struct push *p, struct err *e)
{
	unsigned threads = MIN(p->voice.x->parallel ? p->voice.x->parallel : 5, (unsigned)p->n), started = 0;
	AUTO_FREE pthread_t *thread = xcalloc(threads, sizeof *thread);

	p->taken = 0;
	p->running = threads;
	for (; started < threads; started++) {
		int r = -pthread_create(&thread[started], NULL, work, p);

		if (r < 0) {
			pthread_mutex_lock(&p->lock);
			p->error = err_sys(&p->err, r, "starting a thread");
			p->running -= threads - started;
			pthread_mutex_unlock(&p->lock);
			break;
		}
	}
	pthread_mutex_lock(&p->lock);
	while (p->running) {
		struct timespec until = { 0 };

		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		(void)pthread_cond_timedwait(&p->moved, &p->lock, &until);
		pthread_mutex_unlock(&p->lock);
		voice_poll(&p->voice);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	for (unsigned k = 0; k < started; k++)
		(void)pthread_join(thread[k], NULL);
	if (p->error && e)
		*e = p->err;
	return p->error;
}

/* ---- the documents ---- */
static void descriptor(struct strb *out, const char *type, int64_t size, const char *digest, const char *indent)
{
	strb_addf(out, "{\n%s   \"mediaType\": \"%s\",\n%s   \"size\": %lld,\n%s   \"digest\": \"%s\"\n%s}", indent,
		  type, indent, (long long)size, indent, digest, indent);
}

static const struct store_blob_info *blob_of(const struct push *p, const struct layer *l)
{
	for (const struct layer *k = p->v + p->n; k-- > p->v;)
		if (k->blob.digest && streq(k->diff_id, l->diff_id))
			return &k->blob;
	return &l->blob;
}

/* Docker's own schema while every layer fits it (gzip); what is compressed otherwise can be said in OCI's only. */
static char *manifest_text(const struct push *p, const struct image *i, const char **ret_type)
{
	struct strb out = STRB_INIT;
	bool oci = false;

	for (size_t k = 0; k < p->n; k++) {
		const char *type = blob_of(p, &p->v[k])->media_type;

		oci |= type && (str_ends(type, "zstd") || str_ends(type, ".tar"));
	}
	*ret_type = oci ? OCI_MANIFEST : DOCKER_MANIFEST;
	strb_addf(&out, "{\n   \"schemaVersion\": 2,\n   \"mediaType\": \"%s\",\n   \"config\": ", *ret_type);
	descriptor(&out, oci ? OCI_CONFIG : DOCKER_CONFIG, (int64_t)i->json_n, i->id, "   ");
	strb_adds(&out, p->n ? ",\n   \"layers\": [" : ",\n   \"layers\": []");
	for (size_t k = 0; k < p->n; k++) {
		const struct store_blob_info *b = blob_of(p, &p->v[k]);
		const char *type = !oci                                                          ? DOCKER_LAYER
				   : str_empty(b->media_type) || str_ends(b->media_type, "gzip") ? OCI_LAYER "+gzip"
				   : str_ends(b->media_type, "zstd")                             ? OCI_LAYER "+zstd"
												 : OCI_LAYER;

		strb_adds(&out, k ? ",\n      " : "\n      ");
		descriptor(&out, type, b->size, b->digest, "      ");
	}
	strb_adds(&out, p->n ? "\n   ]\n}" : "\n}");
	return strb_take(&out);
}

static int put_config(struct push *p, const struct image *i, struct err *e)
{
	struct remote_sent sent = { 0 };
	int64_t size = 0;
	AUTO_FD int fd = -1;
	int r = remote_blob_head(p->voice.remote, i->id, &size, e);

	if (r != -ENOENT)
		return r;
	if (e)
		*e = ERR_INIT;
	fd = memfd_of("config", i->json, i->json_n);
	return fd < 0 ? err_sys(e, fd, "making a memory file")
		      : remote_blob_put(p->voice.remote, fd, i->id, (int64_t)i->json_n, NULL, &sent, e);
}

/* The layers' chains, lowest first; the top one is held by i. */
static void list_layers(struct push *p, const struct image *i)
{
	const struct strv *ids = &i->oci.rootfs.diff_ids;

	p->n = ids->n;
	p->v = xcalloc(p->n, sizeof *p->v);
	for (size_t k = 0; k < p->n; k++) {
		struct layer *l = &p->v[k];

		l->diff_id = ids->v[k];
		chain_id(k ? p->v[k - 1].chain : NULL, l->diff_id, l->chain);
		memcpy(l->id, l->diff_id + strlen("sha256:"), sizeof l->id - 1);
	}
	for (size_t k = p->n; k-- > 0;)
		voice_status(&p->voice, p->v[k].id, "Preparing");
}

static void forget_layers(struct push *p)
{
	for (size_t k = 0; k < p->n; k++) {
		free(p->v[k].blob.digest);
		free(p->v[k].blob.media_type);
	}
	freep(&p->v);
	p->n = 0;
}

static void tell_digest(struct push *p, const char *tag, const char *digest, size_t n)
{
	AUTO_FREE char *text = xasprintf("%s: digest: %s size: %zu", tag, digest, n);
	AUTO_STRB struct strb aux = STRB_INIT;

	voice_say(&p->voice, &(struct image_note){ .status = text });
	strb_adds(&aux, "{\"Tag\":");
	json_add_str(&aux, tag);
	strb_addf(&aux, ",\"Digest\":\"%s\",\"Size\":%zu}", digest, n);
	voice_say(&p->voice, &(struct image_note){ .aux = strb_str(&aux) });
}

static int push_tag(struct push *p, const char *tag, struct image *i, struct err *e)
{
	struct ref by_digest = { .domain = p->repo->domain, .path = p->repo->path };
	AUTO_FREE char *text = NULL, *full = NULL;
	char digest[DIGEST_TEXT];
	const char *type;
	int r;

	list_layers(p, i);
	r = push_layers(p, e);
	if (r == 0)
		r = put_config(p, i, e);
	if (r == 0) {
		text = manifest_text(p, i, &type);
		r = remote_manifest_put(p->voice.remote, tag, type, text, strlen(text), digest, e);
	}
	forget_layers(p);
	if (r < 0)
		return r;
	by_digest.digest = digest;
	full = ref_full(&by_digest);
	pthread_mutex_lock(&p->t->change);
	r = name_set(p->t, full, i->id, e);
	pthread_mutex_unlock(&p->t->change);
	if (r == 0)
		tell_digest(p, tag, digest, strlen(text));
	return r;
}

/* ---- which tags ---- */
static void tags_of(struct images *t, const struct ref *repo, struct strv *ret)
{
	AUTO_FREE char *name = ref_name(repo);

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->names.n; i++) {
		const char *rest = str_after(t->names.v[i].full, name);

		if (rest && *rest == ':')
			strv_add(ret, rest + 1);
	}
	pthread_mutex_unlock(&t->lock);
	strv_sort(ret);
}

static int wanted_tags(struct images *t, const struct ref *ref, struct strv *ret, struct err *e)
{
	AUTO_FREE char *name = ref_familiar_name(ref), *familiar = ref_familiar(ref);

	if (ref->digest)
		return err_set(e, ERR_INVALID, "cannot push a digest reference");
	tags_of(t, ref, ret);
	if (!ret->n)
		return err_set(e, ERR_NOT_FOUND, "An image does not exist locally with the tag: %s", name);
	if (!ref->tag)
		return 0;
	if (!strv_has(ret, ref->tag))
		return err_set(e, ERR_NOT_FOUND, "tag does not exist: %s", familiar);
	strv_done(ret);
	strv_add(ret, ref->tag);
	return 0;
}

static void warn(void *ctx, const char *text)
{
	voice_say(ctx, &(struct image_note){ .status = text });
}

/* Repositories of this registry that the image's layers are known to be in: reading from them has to be asked for at the start. */
static void neighbours(struct push *p, const struct strv *tags, struct strv *ret)
{
	for (size_t k = 0; k < tags->n; k++) {
		AUTO_IMAGE struct image *i = NULL;
		AUTO_FREE char *full = xasprintf("%s:%s", p->name, tags->v[k]);

		if (image_find(p->t, full, &i, NULL) < 0)
			continue;
		for (size_t d = 0; d < i->oci.rootfs.diff_ids.n; d++) {
			struct store_blobs known = { 0 };

			store_layer_blobs(p->t->store, i->oci.rootfs.diff_ids.v[d], &known);
			for (size_t b = 0; b < known.n; b++) {
				const char *from = neighbour(p, &known.v[b]);

				if (from && !strv_has(ret, from))
					strv_add(ret, from);
			}
			store_blobs_done(&known);
		}
	}
}

int image_push(struct images *t, const struct ref *ref, const struct image_transfer *x, struct err *e)
{
	struct push p = { .t = t, .repo = ref, .name = ref_name(ref) };
	AUTO_FREE char *first = xasprintf("The push refers to repository [%s]", p.name);
	AUTO_STRV struct strv tags = { 0 }, also = { 0 };
	int r;

	voice_init(&p.voice, x);
	pthread_mutex_init(&p.lock, NULL);
	pthread_cond_init(&p.moved, NULL);
	voice_say(&p.voice, &(struct image_note){ .status = first });
	r = wanted_tags(t, ref, &tags, e);
	if (r == 0) {
		neighbours(&p, &tags, &also);
		r = remote_open(&(struct remote_opts){ .config = x->remote,
						       .ref = ref,
						       .auth = x->auth,
						       .push = true,
						       .also = &also,
						       .meta_headers = x->meta_headers,
						       .say = warn,
						       .ctx = &p.voice },
				&p.voice.remote, e);
	}
	for (size_t k = 0; r == 0 && k < tags.n; k++) {
		AUTO_IMAGE struct image *i = NULL;
		AUTO_FREE char *full = xasprintf("%s:%s", p.name, tags.v[k]);

		r = image_find(t, full, &i, e);
		if (r == 0)
			r = push_tag(&p, tags.v[k], i, e);
		if (r == 0) {
			struct ref one = { .domain = ref->domain, .path = ref->path, .tag = tags.v[k] };
			AUTO_FREE char *familiar = ref_familiar(&one), *name = ref_familiar_name(ref);

			tell(t, "push", familiar, name);
		}
	}
	remote_close(p.voice.remote);
	voice_done(&p.voice);
	pthread_mutex_destroy(&p.lock);
	pthread_cond_destroy(&p.moved);
	free(p.name);
	return r;
}
