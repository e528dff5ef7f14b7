/* save.c - docker save, as Docker 25 and later write it: one stream that is an OCI layout and has manifest.json and repositories for
 * older readers. Nothing is copied on disk: sizes and digests are known beforehand, layers come from workers as they are sent. */
#include "image/priv.h"

#define BLOCK 512
#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define CONFIG_TYPE "application/vnd.oci.image.config.v1+json"
#define LAYER_TYPE "application/vnd.oci.image.layer.v1.tar"

struct save_blob { /* a file in blobs/sha256 */
	char hex[65];
	int64_t size, mtime;
	char *text;  /* its bytes, or NULL ... */
	char *chain; /* ... for a layer */
};
struct save_image {
	struct image *image;
	struct strv tags, chains;          /* tags: full references */
	char manifest_digest[DIGEST_TEXT]; /* and of the manifest */
	size_t manifest_n;
};
struct save {
	struct images *t;
	const struct image_platform *platform;
	const struct image_out *out;
	struct {
		struct save_image *v;
		size_t n;
	} images;
	struct {
		struct save_blob *v;
		size_t n;
	} blobs;
	int64_t newest; /* of all images: the directories' time */
};

static void save_done(struct save *s)
{
	for (size_t i = 0; i < s->images.n; i++) {
		struct save_image *m = &s->images.v[i];

		store_layer_unref(s->t->store, m->image->top);
		image_unref(m->image);
		strv_done(&m->tags);
		strv_done(&m->chains);
	}
	for (size_t i = 0; i < s->blobs.n; i++) {
		free(s->blobs.v[i].text);
		free(s->blobs.v[i].chain);
	}
	free(s->images.v);
	free(s->blobs.v);
}

/* ---- which images ---- */
bool image_fits(const struct image *i, const struct image_platform *p)
{
	if (!p || str_empty(p->os))
		return true;
	return streq(i->oci.os, p->os) && streq(i->oci.architecture, p->arch) &&
	       (str_empty(p->variant) || streq(i->oci.variant, p->variant));
}

/* Takes the reference to i. tag NULL: by id. */
static int want_image(struct save *s, struct image *i, const char *tag, struct err *e)
{
	struct save_image *m = NULL;
	int r;

	for (size_t k = 0; !m && k < s->images.n; k++)
		if (s->images.v[k].image == i)
			m = &s->images.v[k];
	if (m) {
		image_unref(i);
	} else {
		const struct image_platform *p = s->platform;

		r = image_fits(i, p)
			    ? store_layer_ref(s->t->store, i->top, e)
			    : err_set(e, ERR_SYSTEM, "no suitable export target found for platform %s/%s%s%s", p->os,
				      p->arch, str_empty(p->variant) ? "" : "/", p->variant ? p->variant : "");
		if (r < 0) {
			image_unref(i);
			return r;
		}
		m = VEC_ADD(&s->images);
		m->image = i;
	}
	if (tag && !strchr(tag, '@') && !strv_has(&m->tags, tag))
		strv_add(&m->tags, tag);
	return 0;
}

static int want_by_id(struct save *s, const char *name, struct err *e)
{
	struct image *i = NULL;
	int r = image_find(s->t, name, &i, NULL);

	return r < 0 ? err_set(e, ERR_NOT_FOUND, "No such image: %s", name) : want_image(s, i, NULL, e);
}

/* A name without tag stands for all tags it has. */
static int want_repository(struct save *s, const struct ref *ref, const char *name, struct err *e)
{
	AUTO_FREE char *repo = ref_name(ref);
	AUTO_STRV struct strv full = { 0 };
	struct image *i;
	int r = 0;

	pthread_mutex_lock(&s->t->lock);
	for (size_t k = 0; k < s->t->names.n; k++) {
		const char *rest = str_after(s->t->names.v[k].full, repo);

		if (rest && (*rest == ':' || *rest == '@'))
			strv_add(&full, s->t->names.v[k].full);
	}
	pthread_mutex_unlock(&s->t->lock);
	if (!full.n)
		return want_by_id(s, name, e);
	strv_sort(&full);
	for (size_t k = 0; r == 0 && k < full.n; k++)
		if (image_find(s->t, full.v[k], &i, NULL) == 0)
			r = want_image(s, i, full.v[k], e);
	return r;
}

static int want(struct save *s, const char *name, struct err *e)
{
	struct ref ref = { 0 };
	struct image *i = NULL;
	int r;

	if (digest_valid(name) || (strlen(name) == 64 && hex_valid(name, 64)) || str_after(name, "sha256:"))
		return want_by_id(s, name, e);
	if (ref_parse(name, &ref, e) < 0) {
		if (e)
			e->kind = ERR_SYSTEM; /* dockerd answers 500 here */
		return -EINVAL;
	}
	if (!ref.tag && !ref.digest) {
		r = want_repository(s, &ref, name, e);
	} else {
		AUTO_FREE char *full = ref_full(&ref);
		bool known;

		pthread_mutex_lock(&s->t->lock);
		known = by_name(s->t, full);
		pthread_mutex_unlock(&s->t->lock);
		r = known && image_find(s->t, full, &i, NULL) == 0
			    ? want_image(s, i, full, e)
			    : err_set(e, ERR_NOT_FOUND, "reference does not exist");
	}
	ref_done(&ref);
	return r;
}

/* ---- what is in the stream ---- */
static struct save_blob *blob_of(struct save *s, const char *digest, int64_t size, int64_t mtime)
{
	struct save_blob *b;

	for (size_t i = 0; i < s->blobs.n; i++)
		if (streq(s->blobs.v[i].hex, digest + 7))
			return NULL; /* there already */
	b = VEC_ADD(&s->blobs);
	memcpy(b->hex, digest + 7, sizeof b->hex);
	b->size = size;
	b->mtime = mtime;
	return b;
}

static int add_layer(struct save *s, struct save_image *m, const char *diff_id, const char *chain, struct strb *doc,
		     struct err *e)
{
	struct store_layer l = { 0 };
	struct save_blob *b;
	int r = store_layer_get(s->t->store, chain, &l, e);

	if (r == 0)
		r = store_layer_packable(s->t->store, chain, e);
	if (r == 0) {
		strb_addf(doc, "%s{\"mediaType\":\"" LAYER_TYPE "\",\"digest\":\"%s\",\"size\":%lld}",
			  m->chains.n ? "," : "", diff_id, (long long)l.tar_size);
		strv_add(&m->chains, chain);
		b = blob_of(s, diff_id, l.tar_size, m->image->created);
		if (b)
			b->chain = xstrdup(chain);
	}
	store_layer_done(&l);
	return r;
}

static int describe(struct save *s, struct save_image *m, struct err *e)
{
	const struct strv *ids = &m->image->oci.rootfs.diff_ids;
	AUTO_STRB struct strb doc = STRB_INIT;
	char chain[DIGEST_TEXT] = "", next[DIGEST_TEXT];
	struct save_blob *b;
	int r = 0;

	strb_addf(&doc,
		  "{\"schemaVersion\":2,\"mediaType\":\"" MANIFEST_TYPE "\",\"config\":{\"mediaType\":\"" CONFIG_TYPE
		  "\",\"digest\":\"%s\",\"size\":%zu},\"layers\":[",
		  m->image->id, m->image->json_n);
	for (size_t i = 0; r == 0 && i < ids->n; i++) {
		chain_id(*chain ? chain : NULL, ids->v[i], next);
		memcpy(chain, next, sizeof chain);
		r = add_layer(s, m, ids->v[i], chain, &doc, e);
	}
	if (r < 0)
		return r;
	strb_adds(&doc, "]}");
	digest_bytes(strb_str(&doc), doc.len, m->manifest_digest);
	m->manifest_n = doc.len;
	b = blob_of(s, m->image->id, (int64_t)m->image->json_n, m->image->created);
	if (b)
		b->text = xstrdup(m->image->json);
	b = blob_of(s, m->manifest_digest, (int64_t)doc.len, 0);
	if (b)
		b->text = strb_take(&doc);
	s->newest = MAX(s->newest, m->image->created);
	return 0;
}

static void index_json(const struct save *s, struct strb *b)
{
	const char *comma = "";

	strb_adds(b, "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":");
	strb_adds(b, s->images.n ? "[" : "null");
	for (size_t i = 0; i < s->images.n; i++) {
		const struct save_image *m = &s->images.v[i];

		for (size_t k = 0; k < MAX(m->tags.n, (size_t)1); k++) {
			strb_addf(b, "%s{\"mediaType\":\"" MANIFEST_TYPE "\",\"digest\":\"%s\",\"size\":%zu", comma,
				  m->manifest_digest, m->manifest_n);
			if (k < m->tags.n) /* a reference needs no quoting */
				strb_addf(b,
					  ",\"annotations\":{\"io.containerd.image.name\":\"%s\","
					  "\"org.opencontainers.image.ref.name\":\"%s\"}",
					  m->tags.v[k], strrchr(m->tags.v[k], ':') + 1);
			strb_adds(b, "}");
			comma = ",";
		}
	}
	strb_adds(b, s->images.n ? "]}" : "}");
}

static char *familiar(const char *full)
{
	return ref_familiar_latest(full);
}

static void manifest_layers(const struct save *s, const struct save_image *m, struct strb *b)
{
	const struct strv *ids = &m->image->oci.rootfs.diff_ids;
	AUTO_STRV struct strv done = { 0 };

	strb_adds(b, ",\"Layers\":");
	strb_adds(b, ids->n ? "[" : "null");
	for (size_t k = 0; k < ids->n; k++)
		strb_addf(b, "%s\"blobs/sha256/%s\"", k ? "," : "", ids->v[k] + 7);
	strb_adds(b, ids->n ? "],\"LayerSources\":{" : "");
	for (size_t k = 0; k < ids->n; k++) {
		int64_t size = 0;

		if (strv_has(&done, ids->v[k]))
			continue;
		for (size_t i = 0; i < s->blobs.n; i++)
			if (streq(s->blobs.v[i].hex, ids->v[k] + 7))
				size = s->blobs.v[i].size;
		strb_addf(b, "%s\"%s\":{\"mediaType\":\"" LAYER_TYPE "\",\"size\":%lld,\"digest\":\"%s\"}",
			  done.n ? "," : "", ids->v[k], (long long)size, ids->v[k]);
		strv_add(&done, ids->v[k]);
	}
	strb_adds(b, ids->n ? "}}" : "}");
}

static void manifest_json(const struct save *s, struct strb *b)
{
	strb_adds(b, s->images.n ? "[" : "null");
	for (size_t i = 0; i < s->images.n; i++) {
		const struct save_image *m = &s->images.v[i];

		strb_addf(b, "%s{\"Config\":\"blobs/sha256/%s\",\"RepoTags\":", i ? "," : "", m->image->id + 7);
		strb_adds(b, m->tags.n ? "[" : "null");
		for (size_t k = 0; k < m->tags.n; k++) {
			AUTO_FREE char *name = familiar(m->tags.v[k]);

			strb_addf(b, "%s\"%s\"", k ? "," : "", name);
		}
		strb_adds(b, m->tags.n ? "]" : "");
		manifest_layers(s, m, b);
	}
	strb_adds(b, s->images.n ? "]\n" : "\n");
}

/* {"repo": {"tag": "top layer"}}, what Docker before 1.10 read; "" where nothing has a name. */
static void repositories(const struct save *s, struct strb *b)
{
	AUTO_STRV struct strv all = { 0 }; /* "repo tag hex", sorted */
	const char *last = "";

	for (size_t i = 0; i < s->images.n; i++)
		for (size_t k = 0; k < s->images.v[i].tags.n; k++) {
			const struct strv *ids = &s->images.v[i].image->oci.rootfs.diff_ids;
			AUTO_FREE char *name = familiar(s->images.v[i].tags.v[k]);
			char *tag = strrchr(name, ':');

			*tag++ = 0;
			strv_addf(&all, "%s %s %s", name, tag, ids->n ? ids->v[ids->n - 1] + 7 : "");
		}
	strv_sort(&all);
	for (size_t i = 0; i < all.n; i++) {
		char *repo = all.v[i], *tag = strchr(repo, ' '), *hex;

		*tag++ = 0;
		hex = strchr(tag, ' ');
		*hex++ = 0;
		if (streq(repo, last))
			strb_addf(b, ",\"%s\":\"%s\"", tag, hex);
		else
			strb_addf(b, "%s\"%s\":{\"%s\":\"%s\"", i ? "}," : "{", repo, tag, hex);
		last = repo;
	}
	if (all.n)
		strb_adds(b, "}}\n");
}

/* ---- the stream: ustar ---- */
static int put(struct save *s, const void *p, size_t n)
{
	return s->out->write(s->out->ctx, p, n);
}

static int put_header(struct save *s, const char *name, char type, int64_t size, int64_t mtime)
{
	char h[BLOCK] = { 0 };
	unsigned sum = 0;

	(void)snprintf(h, 100, "%s", name);
	(void)snprintf(h + 100, 8, "%07o", type == '5' ? 0755 : 0644);
	(void)snprintf(h + 108, 8, "%07o", 0);
	(void)snprintf(h + 116, 8, "%07o", 0);
	if (size < (int64_t)1 << 33) {
		(void)snprintf(h + 124, 12, "%011llo", (long long)size);
	} else { /* GNU's base-256, as everybody reads it */
		h[124] = (char)0x80;
		for (int i = 0; i < 8; i++)
			h[128 + i] = (char)(uint8_t)(size >> (56 - 8 * i));
	}
	(void)snprintf(h + 136, 12, "%011llo", (long long)(mtime > 0 && mtime < (int64_t)1 << 33 ? mtime : 0));
	h[156] = type;
	memcpy(h + 257, "ustar", 6);
	memcpy(h + 263, "00", 2);
	(void)snprintf(h + 329, 8, "%07o", 0);
	(void)snprintf(h + 337, 8, "%07o", 0);
	memset(h + 148, ' ', 8);
	for (int i = 0; i < BLOCK; i++)
		sum += (unsigned char)h[i];
	(void)snprintf(h + 148, 7, "%06o", sum);
	return put(s, h, sizeof h);
}

static int put_padding(struct save *s, int64_t size)
{
	static const char zero[BLOCK];

	return size % BLOCK ? put(s, zero, (size_t)(BLOCK - size % BLOCK)) : 0;
}

static int put_text(struct save *s, const char *name, const char *text, size_t n, int64_t mtime)
{
	int r = put_header(s, name, '0', (int64_t)n, mtime);

	if (r == 0)
		r = put(s, text, n);
	return r < 0 ? r : put_padding(s, (int64_t)n);
}

struct layer_out {
	struct save *s;
	const struct save_blob *b;
	int64_t done;
	struct err *e;
};

static int put_piece(void *ctx, const void *buf, size_t n)
{
	struct layer_out *l = ctx;

	l->done += (int64_t)n;
	return l->done > l->b->size ? err_set(l->e, ERR_SYSTEM, "layer sha256:%s is longer than it was", l->b->hex)
				    : put(l->s, buf, n);
}

/* Exactly b->size bytes: the header has promised them. */
static int put_layer(struct save *s, const struct save_blob *b, struct err *e)
{
	struct layer_out l = { .s = s, .b = b, .e = e };
	struct store_pack *p = NULL;
	int64_t size = 0;
	int r = store_pack_begin(s->t->store, b->chain, false, &p, e);

	if (r == 0)
		r = store_pack_send(p, put_piece, &l, &size, e);
	if (r == 0 && (size != b->size || l.done != size))
		r = err_set(e, ERR_SYSTEM, "layer sha256:%s is shorter than it was", b->hex);
	return r < 0 ? r : put_padding(s, b->size);
}

static int put_blob(struct save *s, const struct save_blob *b, struct err *e)
{
	char name[100];
	int r;

	(void)snprintf(name, sizeof name, "blobs/sha256/%s", b->hex);
	if (b->text)
		return put_text(s, name, b->text, (size_t)b->size, b->mtime);
	r = put_header(s, name, '0', b->size, b->mtime);
	return r < 0 ? r : put_layer(s, b, e);
}

static int by_hex(const void *a, const void *b)
{
	return strcmp(((const struct save_blob *)a)->hex, ((const struct save_blob *)b)->hex);
}

static int put_documents(struct save *s)
{
	AUTO_STRB struct strb index = STRB_INIT, manifest = STRB_INIT, repos = STRB_INIT;
	static const char layout[] = "{\"imageLayoutVersion\": \"1.0.0\"}";
	static const char zero[2 * BLOCK];
	int r;

	index_json(s, &index);
	manifest_json(s, &manifest);
	repositories(s, &repos);
	r = put_text(s, "index.json", strb_str(&index), index.len, 0);
	if (r == 0)
		r = put_text(s, "manifest.json", strb_str(&manifest), manifest.len, 0);
	if (r == 0)
		r = put_text(s, "oci-layout", layout, sizeof layout - 1, 0);
	if (r == 0 && repos.len)
		r = put_text(s, "repositories", strb_str(&repos), repos.len, 0);
	return r < 0 ? r : put(s, zero, sizeof zero);
}

static int stream(struct save *s, struct err *e)
{
	int r = s->out->begin(s->out->ctx);

	if (s->blobs.n) {
		qsort(s->blobs.v, s->blobs.n, sizeof *s->blobs.v, by_hex);
		if (r == 0)
			r = put_header(s, "blobs/", '5', 0, s->newest);
		if (r == 0)
			r = put_header(s, "blobs/sha256/", '5', 0, s->newest);
	}
	for (size_t i = 0; r == 0 && i < s->blobs.n; i++)
		r = put_blob(s, &s->blobs.v[i], e);
	return r < 0 ? r : put_documents(s);
}

int image_save(struct images *t, const struct strv *names, const struct image_platform *platform,
	       const struct image_out *out, struct err *e)
{
	struct save s = { .t = t, .platform = platform, .out = out };
	int r = 0;

	for (size_t i = 0; r == 0 && i < names->n; i++)
		r = want(&s, names->v[i], e);
	for (size_t i = 0; r == 0 && i < s.images.n; i++)
		r = describe(&s, &s.images.v[i], e);
	if (r == 0)
		r = stream(&s, e);
	for (size_t i = 0; r == 0 && i < s.images.n; i++)
		tell(t, "save", s.images.v[i].image->id, s.images.v[i].image->id);
	save_done(&s);
	return r;
}
