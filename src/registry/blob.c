/* blob.c - a blob into a file: from where the file ends, over as many connections as it takes. What came is never fetched again.
 * If-Range guards one call; between calls no ETag is kept: the URL names the digest, and who reads the file checks it. */
#include "registry/session.h"

struct get {
	struct session *s;
	struct transfer *t;
	int64_t at;        /* of the next byte that comes, in the blob */
	bool begun, wrong; /* the answer's head has been read; it cannot be this blob */
	char *etag;        /* of this endpoint: strong */
	char why[160];
	int write_error;
};

/* Which part of the blob this answer is. */
static int begin(struct get *g, const struct http *h)
{
	const char *range = http_get(h, "content-range"), *length = http_get(h, "content-length");
	int64_t first = 0, last = 0, total = -1, n = -1, size = g->t->size;

	g->begun = true;
	g->at = 0;
	if (length && str_to_i64(length, &n) < 0)
		n = -1;
	if (h->status == 206) {
		if (!range || !content_range(range, &first, &last, &total) || first < 0 || first > g->t->have) {
			(void)snprintf(g->why, sizeof g->why, "registry answers with another range: %.80s",
				       range ? range : "none");
			return -EPROTO;
		}
		if ((total >= 0 && total != size) || last >= size) {
			(void)snprintf(g->why, sizeof g->why, "registry has %lld bytes instead of %lld",
				       (long long)(total >= 0 ? total : last + 1), (long long)size);
			g->wrong = true;
			return -EPROTO;
		}
		g->at = first;
	} else if (n >= 0 && n != size) {
		(void)snprintf(g->why, sizeof g->why, "registry sends %lld bytes instead of %lld", (long long)n,
			       (long long)size);
		g->wrong = true;
		return -EPROTO;
	}
	return 0;
}

/* What the file has already is skipped: a server that ignores Range begins at the beginning. */
static int on_bytes(struct http *h, const char *p, size_t n)
{
	struct get *g = h->ctx;
	struct transfer *t = g->t;
	int r = g->begun ? 0 : begin(g, h);

	if (r < 0)
		return r;
	if (g->at < t->have) {
		int64_t skip = MIN(t->have - g->at, (int64_t)n);

		g->at += skip;
		p += skip;
		n -= (size_t)skip;
	}
	if ((int64_t)n > t->size - t->have) {
		(void)snprintf(g->why, sizeof g->why, "registry sends more than %lld bytes", (long long)t->size);
		g->wrong = true;
		return -EPROTO;
	}
	while (n > 0) {
		ssize_t w = pwrite(t->fd, p, n, t->have);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0) {
			g->write_error = -errno;
			return g->write_error;
		}
		p += w;
		n -= (size_t)w;
		t->have += w;
		g->at += w;
	}
	t->at(t->ctx, t->have);
	return 0;
}

static void keep_etag(struct get *g, const struct http *h)
{
	const char *tag = http_get(h, "etag");

	if ((h->status != 200 && h->status != 206) || g->etag)
		return;
	g->etag = xstrdup(tag && *tag == '"' ? tag : ""); /* weak ones do not vouch for bytes */
}

/* One request. API_AGAIN with e, negative, or API_DONE: the blob may be whole now. */
static int get_once(struct get *g, struct endpoint *ep, const char *url, const char *scopes, int64_t *wait,
		    struct err *e)
{
	struct transfer *t = g->t;
	AUTO_HTTP struct http h = { .method = "GET", .url = url, .sink = on_bytes, .ctx = g };
	int r;

	if (t->have > 0) {
		http_header(&h, "Range: bytes=%lld-", (long long)t->have);
		if (!str_empty(g->etag))
			http_header(&h, "If-Range: %s", g->etag);
	}
	g->begun = false;
	g->why[0] = 0;
	r = api_once(g->s, ep, &h, scopes, wait, e);
	t->wire += h.wire;
	keep_etag(g, &h);
	if (g->write_error)
		return err_sys(e, g->write_error, "writing %s", t->digest);
	if (g->wrong)
		return err_set(e, ERR_SYSTEM, "%s: %s", t->digest, g->why);
	if (r != API_DONE)
		return r;
	if (h.status == 416) {
		(void)err_set(e, ERR_SYSTEM, "%s: registry has no more than %lld bytes of %lld", t->digest,
			      (long long)t->have, (long long)t->size);
		return -EPROTO;
	}
	if (h.status == 404)
		return err_set(e, ERR_NOT_FOUND, "unknown blob");
	if (h.status != 200 && h.status != 206)
		return pull_error(g->s, t->digest, &h, e);
	if (t->have == t->size)
		return API_DONE;
	(void)err_set(e, ERR_SYSTEM, "%s", *g->why ? g->why : *h.error ? h.error : "unexpected EOF");
	return API_AGAIN;
}

static int get_from(struct get *g, struct endpoint *ep, const char *url, const char *scopes, struct err *e)
{
	struct transfer *t = g->t;
	unsigned fails = 0;

	freep(&g->etag);
	for (;;) {
		int64_t before = t->have, wait = -1;
		int r = get_once(g, ep, url, scopes, &wait, e);

		if (r < 0 || (r == API_DONE && t->have == t->size))
			return r;
		fails = t->have > before ? 1 : fails + 1;
		if (fails >= g->s->attempts || !back_off(g->s, fails, wait))
			return e && e->sys ? e->sys : -EIO;
	}
}

static int get_on(struct session *s, struct endpoint *ep, void *arg, struct err *e)
{
	struct get *g = arg;
	AUTO_FREE char *scopes = scope_pull(s);
	AUTO_FREE char *url = xasprintf("%s/v2/%s/blobs/%s", ep->base, s->path, g->t->digest);
	int r;

	g->wrong = false;
	r = get_from(g, ep, url, scopes, e);
	freep(&g->etag);
	return r;
}

/* Foreign layers: their own URLs first, as Docker does; without our credentials. */
static int get_foreign(struct get *g, struct err *e)
{
	struct endpoint nobody = { .gate = { .free = 1 } };
	int r = -ENOENT;

	for (uint32_t i = 0; i < g->t->n_urls; i++) {
		g->wrong = false;
		nobody.base = (char *)(uintptr_t)g->t->urls[i];
		if (!url_has_scheme(nobody.base, "http") && !url_has_scheme(nobody.base, "https"))
			continue;
		r = get_from(g, &nobody, nobody.base, NULL, e);
		if (r == 0 || g->write_error)
			break;
	}
	freep(&g->etag);
	return r;
}

int do_blob_get(struct session *s, struct transfer *t, struct err *e)
{
	AUTO_LEAVE struct fiber_gate *gate = &s->transfers;
	struct get g = { .s = s, .t = t };

	fiber_enter(gate);
	if (t->have > t->size)
		return err_set(e, ERR_INVALID, "%s: the file has more than %lld bytes", t->digest, (long long)t->size);
	if (t->have == t->size)
		return 0;
	if (t->n_urls > 0 && (get_foreign(&g, e) == 0 || g.write_error))
		return g.write_error;
	return on_endpoints(s, get_on, &g, e);
}
