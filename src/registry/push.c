/* push.c - sending: blobs in one PATCH that goes on where it broke, manifests whole. Only ever to the registry itself. */
#include "registry/session.h"
#include "archive/archive.h"

#define TAIL_KEPT ((size_t)4 << 20) /* of a pipe's bytes, to go on with behind a break; twice that in memory */
#define COMMIT_STALL_S 900          /* a registry reads the whole blob again before it answers the last PUT */

static char *blobs_url(const struct session *s, const struct endpoint *ep, const char *tail)
{
	return xasprintf("%s/v2/%s/blobs/%s", ep->base, s->path, tail);
}

/* ---- asking ---- */
int do_blob_head(struct session *s, const char *digest, int64_t *ret_size, struct err *e)
{
	struct endpoint *ep = endpoint_own(s);
	AUTO_FREE char *scopes = scope_pull(s);
	AUTO_FREE char *url = NULL;
	AUTO_HTTP struct http h = { .method = "HEAD" };
	const char *length;
	int r = ping(s, ep, e);

	if (r < 0)
		return r;
	url = blobs_url(s, ep, digest);
	h.url = url;
	r = api_run(s, ep, &h, scopes, e);
	if (r < 0)
		return r;
	if (h.status == 404)
		return err_set(e, ERR_NOT_FOUND, "unknown blob");
	if (h.status != 200)
		return push_error(s, &h, e);
	length = http_get(&h, "content-length");
	*ret_size = 0;
	if (length)
		(void)str_to_i64(length, ret_size);
	return 0;
}

/* POST of an upload; *ret_there: a mount made it unnecessary, else *ret_url is where it goes on. */
static int post(struct session *s, struct endpoint *ep, const char *query, bool *ret_there, char **ret_url,
		struct err *e)
{
	AUTO_FREE char *scopes = scope_push(s);
	AUTO_FREE char *tail = xasprintf("uploads/%s", query);
	AUTO_FREE char *url = blobs_url(s, ep, tail);
	AUTO_HTTP struct http h = { .method = "POST", .url = url };
	const char *to;
	int r = api_run(s, ep, &h, scopes, e);

	if (r < 0)
		return r;
	if (h.status == 201) {
		*ret_there = true;
		return 0;
	}
	if (h.status != 202)
		return push_error(s, &h, e);
	to = http_get(&h, "location");
	*ret_there = false;
	*ret_url = to ? url_resolve(url, to) : NULL;
	return *ret_url ? 0 : err_set(e, ERR_SYSTEM, "registry does not say where to upload");
}

/* What Authorization has to stay away from: an upload may be sent to another host. */
static const char *scopes_at(const struct endpoint *ep, const char *url, const char *scopes)
{
	return url_same_origin(ep->base, url) ? scopes : NULL;
}

static void drop_upload(struct session *s, struct endpoint *ep, const char *url)
{
	AUTO_FREE char *scopes = scope_push(s);
	AUTO_HTTP struct http h = { .method = "DELETE", .url = url };
	int64_t wait = -1;

	(void)api_once(s, ep, &h, scopes_at(ep, url, scopes), &wait, NULL);
}

int do_blob_mount(struct session *s, const char *digest, const char *from, bool *ret_there, struct err *e)
{
	struct endpoint *ep = endpoint_own(s);
	AUTO_STRB struct strb q = STRB_INIT;
	AUTO_FREE char *url = NULL;
	int r = ping(s, ep, e);

	if (r < 0)
		return r;
	strb_adds(&q, "?from=");
	url_escape(&q, from);
	strb_adds(&q, "&mount=");
	url_escape(&q, digest);
	r = post(s, ep, strb_str(&q), ret_there, &url, e);
	if (r == 0 && url)
		drop_upload(s, ep, url);
	return r;
}

/* ---- the bytes ---- */
struct put {
	struct session *s;
	struct endpoint *ep;
	struct transfer *t;
	struct hash *hash; /* of a pipe's bytes */
	struct strb tail;  /* the last of a pipe's bytes, up to piped */
	int64_t piped;     /* bytes read from a pipe */
	char *url;         /* of the upload, NULL before the first POST */
	char *scopes;
	int64_t counted, best; /* sent by this request; the most that ever arrived */
	bool resumed;          /* url is of an upload that broke */
};

static void on_sent(void *ctx, const void *p, size_t n)
{
	struct put *u = ctx;

	if (u->hash)
		hash_add(u->hash, p, n);
	if (u->t->size < 0) {
		u->piped += (int64_t)n;
		if (u->tail.len + n > 2 * TAIL_KEPT) {
			memmove(u->tail.s, u->tail.s + u->tail.len - TAIL_KEPT, TAIL_KEPT);
			u->tail.len = TAIL_KEPT;
		}
		strb_add(&u->tail, p, n);
		u->t->at(u->t->ctx, u->piped);
		return;
	}
	u->counted += (int64_t)n;
	u->t->at(u->t->ctx, u->t->have + u->counted);
}

/* Can it go on where the registry is? Of a pipe only the tail is still there. */
static bool can_go_on(const struct put *u)
{
	return u->t->size >= 0 || (u->t->have <= u->piped && u->t->have >= u->piped - (int64_t)u->tail.len);
}

static int take_location(struct put *u, const struct http *h, struct err *e)
{
	const char *to = http_get(h, "location");
	char *next = to ? url_resolve(u->url, to) : xstrdup(u->url);

	if (!next)
		return err_set(e, ERR_SYSTEM, "registry does not say where to upload");
	free(u->url);
	u->url = next;
	return 0;
}

static void begin_anew(struct put *u)
{
	freep(&u->url);
	u->t->have = 0;
	u->resumed = false;
}

/* How much of an upload that broke has arrived; where the registry does not know it any more, it begins again. */
static int ask_status(struct put *u, struct err *e)
{
	AUTO_HTTP struct http h = { .method = "GET", .url = u->url };
	int64_t have = 0;
	int r = api_run(u->s, u->ep, &h, scopes_at(u->ep, u->url, u->scopes), e);

	if (r < 0)
		return r;
	if (h.status == 204 || h.status == 202 || h.status == 200) {
		have = http_get(&h, "range") ? upload_range(http_get(&h, "range")) : 0;
		if (have == 1)
			have = 0; /* "0-0": nothing */
		if (have >= 0 && have <= (u->t->size < 0 ? u->piped : u->t->size)) {
			u->t->have = have;
			u->resumed = true;
			return take_location(u, &h, e);
		}
	}
	begin_anew(u);
	return 0;
}

static int patch(struct put *u, int64_t *wait, struct err *e)
{
	struct transfer *t = u->t;
	AUTO_HTTP struct http h = { .method = "PATCH",
				    .url = u->url,
				    .from_fd = true,
				    .src = t->fd,
				    .src_at = t->have,
				    .sent = on_sent,
				    .ctx = u };
	int r;

	h.src_n = t->size < 0 ? -1 : t->size - t->have;
	if (t->size < 0) {
		h.first_n = (size_t)(u->piped - t->have);
		h.first = strb_str(&u->tail) + u->tail.len - h.first_n;
	}
	http_header(&h, "Content-Type: application/octet-stream");
	if (t->have > 0 && t->size >= 0)
		http_header(&h, "Content-Range: %lld-%lld", (long long)t->have, (long long)t->size - 1);
	u->counted = 0;
	r = api_once(u->s, u->ep, &h, scopes_at(u->ep, u->url, u->scopes), wait, e);
	if (h.sink_error)
		return err_sys(e, h.sink_error, "reading what is to be sent");
	if (r != API_DONE)
		return r;
	if (h.status == 416 || (u->resumed && h.status >= 400 && h.status != 401 && h.status != 403)) {
		/* it does not go on with what it has: Docker's own registry never does behind a broken PATCH */
		(void)push_error(u->s, &h, e);
		begin_anew(u);
		return API_AGAIN;
	}
	if (h.status != 202 && h.status != 201 && h.status != 204)
		return push_error(u->s, &h, e);
	t->have = t->size < 0 ? u->piped : t->have + u->counted;
	return take_location(u, &h, e);
}

static int commit(struct put *u, const char *digest, struct err *e)
{
	AUTO_STRB struct strb url = STRB_INIT;
	AUTO_HTTP struct http h = { .method = "PUT", .stall_s = COMMIT_STALL_S };
	int r;

	strb_addf(&url, "%s%sdigest=", u->url, strchr(u->url, '?') ? "&" : "?");
	url_escape(&url, digest);
	h.url = strb_str(&url);
	http_header(&h, "Content-Type: application/octet-stream");
	r = api_run(u->s, u->ep, &h, scopes_at(u->ep, u->url, u->scopes), e);
	if (r < 0)
		return r;
	return h.status == 201 || h.status == 204 || h.status == 202 ? 0 : push_error(u->s, &h, e);
}

/* What was read from a pipe cannot be read again: it is for who fills it to begin anew. */
static int pipe_is_gone(struct err *e)
{
	if (e)
		e->sys = -EAGAIN;
	return -EAGAIN;
}

static int send_all(struct put *u, struct err *e)
{
	struct transfer *t = u->t;
	unsigned fails = 0;
	struct err broke;

	for (;;) {
		int64_t wait = -1;
		bool there = false;
		int r = u->url ? 0 : post(u->s, u->ep, "", &there, &u->url, e);

		if (r == 0 && !u->url)
			r = err_set(e, ERR_SYSTEM, "registry does not say where to upload");
		if (r == 0)
			r = patch(u, &wait, e);
		if (r <= 0)
			return r;
		if (++fails >= u->s->attempts || !back_off(u->s, fails, wait))
			return e && e->sys ? e->sys : -EIO;
		broke = e ? *e : ERR_INIT;
		r = u->url ? ask_status(u, e) : 0;
		if (r < 0)
			return r;
		if (e)
			*e = broke;
		if (!can_go_on(u))
			return pipe_is_gone(e);
		if (t->have > u->best) { /* only what arrived counts as progress */
			u->best = t->have;
			fails = 0;
		}
	}
}

int do_blob_put(struct session *s, struct transfer *t, char ret_digest[72], struct err *e)
{
	AUTO_LEAVE struct fiber_gate *gate = &s->transfers;
	struct put u = { .s = s, .ep = endpoint_own(s), .t = t };
	int r;

	fiber_enter(gate);
	r = ping(s, u.ep, e);
	if (r < 0)
		return r;
	if (!t->digest)
		u.hash = hash_new();
	u.scopes = scope_push(s);
	r = send_all(&u, e);
	if (r == 0 && u.hash)
		hash_text(u.hash, ret_digest);
	else if (r == 0)
		(void)snprintf(ret_digest, 72, "%s", t->digest);
	if (r == 0)
		r = commit(&u, ret_digest, e);
	hash_free(u.hash);
	strb_done(&u.tail);
	free(u.scopes);
	free(u.url);
	return r;
}

/* ---- manifests ---- */
int manifest_put(struct session *s, const char *what, const char *type, const void *p, size_t n, char ret_digest[72],
		 bool *ret_listed, struct err *e)
{
	struct endpoint *ep = endpoint_own(s);
	AUTO_FREE char *scopes = scope_push(s);
	AUTO_FREE char *url = NULL;
	AUTO_HTTP struct http h = { .method = "PUT", .body = p, .body_n = n, .stall_s = COMMIT_STALL_S };
	struct hash *hash = hash_new();
	int r;

	hash_add(hash, p, n);
	hash_text(hash, ret_digest);
	hash_free(hash);
	r = ping(s, ep, e);
	if (r < 0)
		return r;
	url = xasprintf("%s/v2/%s/manifests/%s", ep->base, s->path, what);
	h.url = url;
	http_header(&h, "Content-Type: %s", type);
	r = api_run(s, ep, &h, scopes, e);
	if (r < 0)
		return r;
	if (ret_listed)
		*ret_listed = http_get(&h, "oci-subject") != NULL;
	return h.status >= 200 && h.status < 300 ? 0 : push_error(s, &h, e);
}

int do_manifest_put(struct session *s, const char *what, const char *type, const void *p, size_t n, char ret_digest[72],
		    struct err *e)
{
	bool listed = false;
	int r = manifest_put(s, what, type, p, n, ret_digest, &listed, e);

	return r < 0 || listed ? r : subject_note(s, type, p, n, ret_digest, e);
}

int do_manifest_delete(struct session *s, const char *digest, struct err *e)
{
	struct endpoint *ep = endpoint_own(s);
	AUTO_FREE char *scopes = scope_push(s);
	AUTO_FREE char *url = NULL;
	AUTO_HTTP struct http h = { .method = "DELETE" };
	int r = ping(s, ep, e);

	if (r < 0)
		return r;
	url = xasprintf("%s/v2/%s/manifests/%s", ep->base, s->path, digest);
	h.url = url;
	r = api_run(s, ep, &h, scopes, e);
	if (r < 0)
		return r;
	return h.status == 202 || h.status == 200 ? 0 : push_error(s, &h, e);
}
