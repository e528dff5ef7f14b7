/* manifest.c - manifests and indexes: fetched, checked against their digest, and walked down to the image for a platform. */
#include "registry/session.h"
#include "archive/archive.h"
#include "schema/platform.h"

#define NESTING_MAX 4
#define T_DOCKER "application/vnd.docker.distribution.manifest.v2+json"
#define T_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define T_OCI "application/vnd.oci.image.manifest.v1+json"
#define T_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define T_SCHEMA1 "application/vnd.docker.distribution.manifest.v1+json"
#define T_SCHEMA1_SIGNED "application/vnd.docker.distribution.manifest.v1+prettyjws"

static const struct json_limits doc_limits = { .bytes = REG_DOCUMENT_MAX, .depth = 32, .values = 200000 };

void doc_done(struct doc *d)
{
	free(d->bytes);
	free(d->media_type);
	free(d->digest);
	*d = (struct doc){ 0 };
}
#define AUTO_DOC CLEANUP(doc_done)

enum doc_kind doc_kind(const char *media_type, const struct oci_manifest *m)
{
	const char *t = !str_empty(m->media_type) ? m->media_type : media_type;

	if (streq(t, T_DOCKER) || streq(t, T_OCI))
		return DOC_IMAGE;
	if (streq(t, T_DOCKER_LIST) || streq(t, T_OCI_INDEX))
		return DOC_INDEX;
	if (m->schema_version == 1 || streq(media_type, T_SCHEMA1) || streq(media_type, T_SCHEMA1_SIGNED))
		return DOC_SCHEMA1;
	if (m->schema_version != 2)
		return DOC_OTHER;
	return m->manifests.v ? DOC_INDEX : m->config && m->layers.v ? DOC_IMAGE : DOC_OTHER;
}

static void digest_of(const void *p, size_t n, char ret[72])
{
	struct hash *h = hash_new();

	hash_add(h, p, n);
	hash_text(h, ret);
	hash_free(h);
}

/* ---- fetching ---- */
struct fetch {
	const char *what;
	bool head;
	struct doc doc;
};

static char *type_of(const struct http *h)
{
	const char *t = http_get(h, "content-type");

	return t ? xstrndup(t, strcspn(t, "; ")) : NULL;
}

static int take_document(struct fetch *f, struct http *h, struct err *e)
{
	const char *said = http_get(h, "docker-content-digest");
	char real[72] = "";

	if (!f->head) {
		const char *want = strchr(f->what, ':')                       ? f->what
				   : said && strncmp(said, "sha256:", 7) == 0 ? said
									      : NULL;

		digest_of(strb_str(&h->text), h->text.len, real);
		if (want && strncmp(want, "sha256:", 7) != 0)
			return err_set(e, ERR_INVALID, "unsupported digest algorithm: %.80s", want);
		if (want && !streq(want, real))
			return err_set(e, ERR_SYSTEM, "manifest verification failed for digest %.80s", want);
		f->doc = (struct doc){ .n = h->text.len, .digest = xstrdup(real) };
		f->doc.bytes = strb_take(&h->text);
	} else {
		int64_t n = 0;

		if (!strchr(f->what, ':') && (!said || !digest_ok(said)))
			return err_set(e, ERR_SYSTEM, "registry does not say the digest of %s", f->what);
		if (str_to_i64(http_get(h, "content-length") ? http_get(h, "content-length") : "0", &n) < 0 || n < 0)
			n = 0;
		f->doc = (struct doc){ .n = (size_t)n, .digest = xstrdup(strchr(f->what, ':') ? f->what : said) };
	}
	f->doc.media_type = type_of(h);
	return 0;
}

static int fetch_on(struct session *s, struct endpoint *ep, void *arg, struct err *e)
{
	struct fetch *f = arg;
	AUTO_FREE char *scopes = scope_pull(s);
	AUTO_FREE char *url = xasprintf("%s/v2/%s/manifests/%s", ep->base, s->path, f->what);
	AUTO_HTTP struct http h = { .method = f->head ? "HEAD" : "GET", .url = url, .max = REG_DOCUMENT_MAX };
	int r;

	h.as = strchr(f->what, ':') ? NULL : "HEAD"; /* Docker resolves a tag with HEAD first */
	http_header(&h, "Accept: " T_DOCKER);
	http_header(&h, "Accept: " T_DOCKER_LIST);
	http_header(&h, "Accept: " T_OCI_INDEX);
	http_header(&h, "Accept: " T_OCI);
	http_header(&h, "Accept: " T_SCHEMA1_SIGNED ";q=0.1");
	http_header(&h, "Accept: */*;q=0.1");
	r = api_run(s, ep, &h, scopes, e);
	if (r < 0)
		return r;
	if (f->head && h.status >= 400) { /* an answer to HEAD has no body that could say why */
		h.method = "GET";
		r = api_run(s, ep, &h, scopes, e);
		if (r < 0)
			return r;
	}
	if (h.status != 200)
		return pull_error(s, f->what, &h, e);
	return take_document(f, &h, e);
}

static int fetch(struct session *s, const char *what, bool head, struct doc *ret, struct err *e)
{
	struct fetch f = { .what = what, .head = head };
	int r = on_endpoints(s, fetch_on, &f, e);

	if (r == 0)
		*ret = f.doc;
	return r;
}

int document_fetch(struct session *s, const char *what, struct doc *ret, struct err *e)
{
	return fetch(s, what, false, ret, e);
}

struct small_blob {
	const struct oci_descriptor *d;
	size_t max;
	struct strb *bytes;
};

static int small_blob_on(struct session *s, struct endpoint *ep, void *arg, struct err *e)
{
	struct small_blob *b = arg;
	AUTO_FREE char *scopes = scope_pull(s);
	AUTO_FREE char *url = xasprintf("%s/v2/%s/blobs/%s", ep->base, s->path, b->d->digest);
	AUTO_HTTP struct http h = { .method = "GET", .url = url, .max = b->max };
	char real[72] = "";
	int r = api_run(s, ep, &h, scopes, e);

	if (r < 0)
		return r;
	if (h.status == 404)
		return err_set(e, ERR_NOT_FOUND, "download failed after attempts=1: unknown blob");
	if (h.status != 200)
		return pull_error(s, b->d->digest, &h, e);
	digest_of(strb_str(&h.text), h.text.len, real);
	if (!streq(real, b->d->digest))
		return err_set(e, ERR_SYSTEM, "image config verification failed for digest %s", b->d->digest);
	strb_done(b->bytes);
	*b->bytes = h.text;
	h.text = STRB_INIT;
	return 0;
}

int small_blob(struct session *s, const struct oci_descriptor *d, size_t max, struct strb *ret, struct err *e)
{
	struct small_blob b = { .d = d, .max = max, .bytes = ret };

	return on_endpoints(s, small_blob_on, &b, e);
}

/* ---- choosing ---- */
static int check_descriptor(const struct oci_descriptor *d, struct err *e)
{
	if (!d || str_empty(d->digest) || !digest_ok(d->digest))
		return err_set(e, ERR_SYSTEM, "invalid checksum digest format");
	if (d->size < 0)
		return err_set(e, ERR_SYSTEM, "invalid size of %s: %lld", d->digest, (long long)d->size);
	return 0;
}

static bool attestation(const struct oci_descriptor *d)
{
	return streq(strmap_get(&d->annotations, "vnd.docker.reference.type"), "attestation-manifest") ||
	       (d->platform && streq(d->platform->os, "unknown") && streq(d->platform->architecture, "unknown"));
}

const struct oci_descriptor *document_choose(const struct oci_manifest *index, const struct oci_platform *want)
{
	const struct oci_descriptor *best = NULL;
	int best_match = 0;

	for (size_t i = 0; i < index->manifests.n; i++) {
		const struct oci_descriptor *d = &index->manifests.v[i];
		int match = attestation(d) ? -1 : platform_match(want, d->platform);

		if (match >= 0 && (!best || match < best_match)) {
			best = d;
			best_match = match;
		}
	}
	return best;
}

static int refuse_kind(const struct session *s, enum doc_kind kind, const char *what, const struct doc *d,
		       struct err *e)
{
	if (kind == DOC_SCHEMA1)
		return err_set(e, ERR_INVALID,
			       "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been "
			       "removed. Suggest "
			       "the author of %s/%s%s%s to upgrade the image to the OCI Format or Docker Image "
			       "manifest v2, schema 2. "
			       "More information at https://docs.docker.com/go/deprecated-image-specs/",
			       s->domain, s->path, strchr(what, ':') ? "@" : ":", what);
	return err_set(e, ERR_SYSTEM, "unsupported manifest media type and no default available: %s",
		       d->media_type ? d->media_type : "");
}

int document_check_image(const char *name, const struct oci_manifest *m, struct err *e)
{
	const char *type = m->config ? m->config->media_type : NULL;
	int r = m->config ? check_descriptor(m->config, e) : err_set(e, ERR_SYSTEM, "manifest has no config");

	if (r < 0)
		return r;
	if (!streq(type, "application/vnd.docker.container.image.v1+json") &&
	    !streq(type, "application/vnd.oci.image.config.v1+json") && !streq(type, "application/octet-stream") &&
	    !str_empty(type)) {
		if (streq(type, "application/vnd.docker.plugin.v1+json"))
			return err_set(e, ERR_INVALID, "Encountered remote \"%s\"(plugin) when fetching", type);
		if (streq(m->media_type, T_DOCKER))
			return err_set(e, ERR_INVALID, "Encountered remote \"%.200s\"(unknown) when fetching", type);
		return err_set(e, ERR_SYSTEM, "unsupported media type %.200s", type);
	}
	if (m->config->size > (int64_t)REG_DOCUMENT_MAX)
		return err_set(e, ERR_INVALID, "configuration of %s is too big: %lld bytes", name,
			       (long long)m->config->size);
	for (size_t i = 0; i < m->layers.n; i++) {
		r = check_descriptor(&m->layers.v[i], e);
		if (r < 0)
			return r;
	}
	return 0;
}

static void put(struct strb *out, const void *p, size_t n)
{
	msg_put_bytes(out, p, n);
}

struct walk {
	bool own_platform;
	struct doc docs[NESTING_MAX + 1]; /* the way down */
	size_t n;
	struct strb config;
};

static void walk_done(struct walk *w)
{
	for (size_t i = 0; i < w->n; i++)
		doc_done(&w->docs[i]);
	strb_done(&w->config);
}

int document_read(const char *p, size_t n, struct oci_manifest *ret, struct err *e)
{
	return json_read(&oci_manifest_type, p, n, &doc_limits, ret, e);
}

/* One step: reads the last document; 1 = *ret_next is to be fetched, 0 = it is the image. */
static int step(struct session *s, struct walk *w, const char *what, const struct oci_platform *want, char **ret_next,
		struct oci_manifest *m, struct err *e)
{
	struct doc *d = &w->docs[w->n - 1];
	const struct oci_descriptor *next;
	enum doc_kind kind;
	int r = document_read(d->bytes, d->n, m, e);

	if (r < 0) {
		r = err_wrap(e, r, "manifest of %s", s->familiar);
		e->kind = ERR_SYSTEM; /* the registry's fault, not the caller's */
		return r;
	}
	kind = doc_kind(d->media_type, m);
	if (kind == DOC_IMAGE)
		return document_check_image(s->familiar, m, e);
	if (kind != DOC_INDEX)
		return refuse_kind(s, kind, what, d, e);
	next = document_choose(m, want);
	if (!next) {
		struct oci_platform said = *want;
		AUTO_FREE char *text = NULL;

		if (w->own_platform) /* nobody asked for this processor's level */
			said.variant = NULL;
		text = platform_text(&said);

		return err_set(e, ERR_NOT_FOUND, "no matching manifest for %s in the manifest list entries", text);
	}
	r = check_descriptor(next, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < w->n; i++)
		if (streq(w->docs[i].digest, next->digest))
			return err_set(e, ERR_INVALID, "index %s refers to itself", next->digest);
	if (w->n > NESTING_MAX)
		return err_set(e, ERR_INVALID, "index of %s is nested more than %d deep", s->familiar, NESTING_MAX);
	*ret_next = xstrdup(next->digest);
	return 1;
}

static int walk_down(struct session *s, struct walk *w, const char *what, const struct oci_platform *want,
		     struct err *e)
{
	AUTO_FREE char *next = xstrdup(what);
	struct oci_manifest m = { 0 };
	int r;

	do {
		r = fetch(s, next, false, &w->docs[w->n], e);
		if (r < 0)
			return r;
		w->n++;
		freep(&next);
		json_done(&oci_manifest_type, &m);
		r = step(s, w, what, want, &next, &m, e);
	} while (r > 0);
	if (r == 0) {
		r = small_blob(s, m.config, REG_DOCUMENT_MAX, &w->config, e);
		if (r < 0)
			r = err_wrap(e, r, "error pulling image configuration");
	}
	json_done(&oci_manifest_type, &m);
	return r;
}

int do_resolve(struct session *s, const char *what, const char *platform, struct strb *out, struct err *e)
{
	CLEANUP(walk_done) struct walk w = { .own_platform = str_empty(platform) };
	struct oci_platform want = { 0 };
	const struct doc *top = &w.docs[0], *image;
	int r = platform_parse(platform, &want, e);

	if (r < 0)
		return r;
	r = walk_down(s, &w, what, &want, e);
	json_done(&oci_platform_type, &want);
	if (r < 0)
		return r;
	image = &w.docs[w.n - 1];
	msg_put_str(out, top->digest);
	msg_put_str(out, top->media_type);
	put(out, top->bytes, w.n > 1 ? top->n : 0);
	put(out, image->bytes, image->n);
	msg_put_str(out, image->digest);
	msg_put_str(out, image->media_type);
	put(out, strb_str(&w.config), w.config.len);
	return 0;
}

int do_manifest(struct session *s, const char *what, bool head, struct strb *out, struct err *e)
{
	AUTO_DOC struct doc d = { 0 };
	int r = fetch(s, what, head, &d, e);

	if (r < 0)
		return r;
	msg_put_str(out, d.digest);
	msg_put_str(out, d.media_type);
	msg_put_i64(out, (int64_t)d.n);
	put(out, d.bytes, head ? 0 : d.n);
	return 0;
}
