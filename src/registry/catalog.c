/* catalog.c - lists: tags with their pages, referrers, the search, and signing in. */
#include "registry/session.h"

#define PAGES_MAX 1000
#define LIST_TEXT_MAX (16 << 20)
static const struct json_limits list_limits = { .bytes = LIST_TEXT_MAX, .depth = 16, .values = 500000 };

static void put_list(struct strb *out, const struct strv *v)
{
	msg_put_u32(out, (uint32_t)v->n);
	for (size_t i = 0; i < v->n; i++)
		msg_put_str(out, v->v[i]);
}

/* ---- tags ---- */
static int add_tags(const struct http *h, struct strv *tags, struct err *e)
{
	struct jval *v = NULL;
	const struct jval *list;
	int r = jval_parse(strb_str(&h->text), h->text.len, &list_limits, &v, e);

	if (r < 0)
		return err_wrap(e, r, "list of tags");
	list = jval_get(v, "tags");
	for (size_t i = 0; i < jval_len(list); i++) {
		const char *tag = jval_str(jval_at(list, i));

		if (tags->n >= REG_TAGS_MAX) {
			r = err_set(e, ERR_INVALID, "repository has more than %d tags", REG_TAGS_MAX);
			break;
		}
		if (*tag && strlen(tag) <= 128)
			strv_add(tags, tag);
	}
	jval_free(v);
	return r;
}

static int tags_on(struct session *s, struct endpoint *ep, void *arg, struct err *e)
{
	struct strv *tags = arg;
	AUTO_FREE char *scopes = scope_pull(s);
	AUTO_FREE char *url = xasprintf("%s/v2/%s/tags/list?n=1000", ep->base, s->path);

	strv_done(tags);
	for (int page = 0; url && page < PAGES_MAX; page++) {
		AUTO_HTTP struct http h = { .method = "GET", .url = url, .max = LIST_TEXT_MAX };
		AUTO_FREE char *next = NULL;
		int r = api_run(s, ep, &h, scopes, e);

		if (r < 0)
			return r;
		if (h.status != 200)
			return pull_error(s, "", &h, e);
		r = add_tags(&h, tags, e);
		if (r < 0)
			return r;
		next = http_get(&h, "link") ? link_next(http_get(&h, "link")) : NULL;
		if (next) {
			char *full = url_resolve(url, next);

			if (full && (streq(full, url) || !url_same_origin(full, url)))
				freep(&full);
			free(url);
			url = full;
		} else {
			freep(&url);
		}
	}
	return 0;
}

int do_tags(struct session *s, struct strb *out, struct err *e)
{
	AUTO_STRV struct strv tags = { 0 };
	int r = on_endpoints(s, tags_on, &tags, e);

	if (r == 0)
		put_list(out, &tags);
	return r;
}

/* ---- referrers ---- */
struct referrers {
	const char *digest, *type;
	struct strb index;
	bool filtered;
};

static int referrers_on(struct session *s, struct endpoint *ep, void *arg, struct err *e)
{
	struct referrers *f = arg;
	AUTO_FREE char *scopes = scope_pull(s);
	AUTO_STRB struct strb url = STRB_INIT;
	AUTO_HTTP struct http h = { .method = "GET", .max = REG_DOCUMENT_MAX };
	const char *hex = str_after(f->digest, "sha256:");
	int r;

	strb_addf(&url, "%s/v2/%s/referrers/%s", ep->base, s->path, f->digest);
	if (!str_empty(f->type)) {
		strb_adds(&url, "?artifactType=");
		url_escape(&url, f->type);
	}
	h.url = strb_str(&url);
	http_header(&h, "Accept: application/vnd.oci.image.index.v1+json");
	r = api_run(s, ep, &h, scopes, e);
	if (r < 0)
		return r;
	if (h.status != 200 || !strstr(http_get(&h, "content-type") ? http_get(&h, "content-type") : "", "json")) {
		/* no such API: what the specification's tag says */
		strb_clear(&url);
		strb_addf(&url, "%s/v2/%s/manifests/sha256-%s", ep->base, s->path, hex ? hex : "");
		h.url = strb_str(&url);
		r = api_run(s, ep, &h, scopes, e);
		if (r < 0)
			return r;
	}
	if (ep->mirror && h.status == 404) /* the registry itself may have some */
		return err_set(e, ERR_NOT_FOUND, "nothing is known to refer to %s", f->digest);
	if (h.status == 404) {
		strb_adds(&f->index, "{\"schemaVersion\":2,\"manifests\":[]}");
		return 0;
	}
	if (h.status != 200)
		return pull_error(s, f->digest, &h, e);
	f->index = h.text;
	h.text = STRB_INIT;
	return 0;
}

int referrers_fetch(struct session *s, const char *digest, const char *type, struct strb *ret_index, struct err *e)
{
	struct referrers f = { .digest = digest, .type = type };
	int r = digest_ok(digest) ? on_endpoints(s, referrers_on, &f, e)
				  : err_set(e, ERR_INVALID, "invalid checksum digest format");

	if (r == 0)
		*ret_index = f.index;
	else
		strb_done(&f.index);
	return r;
}

int do_referrers(struct session *s, const char *digest, const char *type, struct strb *out, struct err *e)
{
	AUTO_STRB struct strb index = STRB_INIT;
	int r = referrers_fetch(s, digest, type, &index, e);

	if (r == 0) {
		msg_put_str(out, digest);
		msg_put_str(out, "application/vnd.oci.image.index.v1+json");
		msg_put_i64(out, (int64_t)index.len);
		msg_put_bytes(out, strb_str(&index), index.len);
	}
	return r;
}

/* ---- search: a list of five strings per result (name, description, stars, official, automated) ---- */
static void put_result(struct strv *out, const struct jval *row)
{
	strv_add(out, jval_str(jval_get(row, "name")));
	strv_add(out, jval_str(jval_get(row, "description")));
	strv_addf(out, "%lld", (long long)jval_int(jval_get(row, "star_count")));
	strv_add(out, jval_bool(jval_get(row, "is_official")) ? "1" : "0");
	strv_add(out, jval_bool(jval_get(row, "is_automated")) ? "1" : "0");
}

/* Docker pings the old endpoint first, in plain HTTP where TLS fails and the host may be spoken to so; the Hub's is known. */
static int ping_v1(struct session *s, struct endpoint *ep, struct err *e)
{
	AUTO_FREE char *url = xasprintf("%s/v1/_ping", ep->base);
	AUTO_HTTP struct http h = { .method = "GET", .url = url };
	int64_t wait = -1;
	int r = api_once(s, ep, &h, NULL, &wait, e);

	return h.status ? 0 : r < 0 ? r : -EIO;
}

static int find_v1(struct session *s, struct endpoint *ep, struct err *e)
{
	AUTO_FREE char *secure = xstrdup(ep->base);
	struct err first = ERR_INIT, second = ERR_INIT;
	int r;

	if (streq(s->domain, "index.docker.io"))
		return 0;
	r = ping_v1(s, ep, &first);
	if (r == 0)
		return 0;
	if (!ep->plain_allowed)
		return err_set(e, ERR_INVALID,
			       "invalid registry endpoint %s/v1/: %s. If this private registry supports only HTTP or "
			       "HTTPS with an unknown CA "
			       "certificate, please add `--insecure-registry %s` to the daemon's arguments. In the "
			       "case of HTTPS, if you have "
			       "access to the registry's CA certificate, no need for the flag; simply place the CA "
			       "certificate at "
			       "/etc/docker/certs.d/%s/ca.crt",
			       secure, first.msg, s->domain, s->domain);
	free(ep->base);
	ep->base = xasprintf("http%s", secure + strlen("https"));
	r = ping_v1(s, ep, &second);
	if (r == 0)
		return 0;
	return err_set(e, ERR_INVALID, "invalid registry endpoint \"%s/v1/\". HTTPS attempt: %s. HTTP attempt: %s",
		       ep->base, first.msg, second.msg);
}

int do_search(struct session *s, const char *term, uint32_t limit, struct strb *out, struct err *e)
{
	struct endpoint *ep = endpoint_own(s);
	AUTO_STRB struct strb url = STRB_INIT;
	AUTO_HTTP struct http h = { .method = "GET", .max = LIST_TEXT_MAX };
	AUTO_STRV struct strv rows = { 0 };
	AUTO_FREE char *password = NULL;
	struct jval *v = NULL;
	const struct jval *list;
	int r;

	r = find_v1(s, ep, e);
	if (r < 0)
		return r;
	strb_addf(&url, "%s/v1/search?q=", ep->base);
	url_escape(&url, term);
	strb_addf(&url, "&n=%u", limit);
	h.url = strb_str(&url);
	http_header(&h, "X-Docker-Token: true");
	if (!str_empty(s->username)) {
		AUTO_FREE char *both = xasprintf("%s:%s", s->username, s->password ? s->password : "");
		AUTO_FREE char *coded = base64_encode(both, strlen(both));

		password = xasprintf("Basic %s", coded);
		h.authorization = password;
	}
	r = api_run(s, ep, &h, NULL, e);
	if (r < 0)
		return r;
	if (h.status != 200)
		return err_set(e, ERR_SYSTEM, "Unexpected status code %ld", h.status);
	r = jval_parse(strb_str(&h.text), h.text.len, &list_limits, &v, e);
	if (r < 0) {
		struct err cause = e ? *e : ERR_INIT;

		return err_set(e, ERR_SYSTEM, "error decoding registry search results: %s", cause.msg);
	}
	list = jval_get(v, "results");
	for (size_t i = 0; i < jval_len(list) && i < limit; i++)
		put_result(&rows, jval_at(list, i));
	jval_free(v);
	put_list(out, &rows);
	return 0;
}

/* ---- login ---- */
int do_login(struct session *s, struct strb *out, struct err *e)
{
	struct endpoint *ep = endpoint_own(s);
	const struct challenge *c;
	AUTO_FREE char *token = NULL;
	AUTO_FREE char *refresh = NULL;
	AUTO_FREE char *text = NULL;
	AUTO_FREE char *url = NULL;
	AUTO_STRV struct strv answer = { 0 };
	AUTO_HTTP struct http h = { .method = "GET" };
	int64_t life = 0, wait = -1;
	int r = ping(s, ep, e);

	if (r < 0)
		return r;
	c = challenge_find(&ep->challenges, "bearer");
	url = xasprintf("%s/v2/", ep->base);
	h.url = url;
	if (c) {
		r = token_fetch(s, ep, c, "", &token, &refresh, &life, e);
		if (r < 0)
			return err_wrap(e, r, "Get \"%s\"", url);
		text = xasprintf("Bearer %s", token);
	} else {
		r = authorization(s, ep, "", &text, e);
		if (r < 0)
			return err_wrap(e, r, "Get \"%s\"", url);
	}
	h.authorization = text;
	r = api_once(s, ep, &h, NULL, &wait, e);
	if (h.status == 0)
		return r < 0 ? r : -EIO;
	if (h.status != 200)
		return err_set(e, ERR_SYSTEM, "login attempt to %s failed with status: %s", url,
			       h.reason ? h.reason : "");
	if (refresh)
		strv_add(&answer, refresh);
	put_list(out, &answer);
	return 0;
}
