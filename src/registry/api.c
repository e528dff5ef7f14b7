/* api.c - one request of the distribution API: sign-in, redirects, waiting, and what its errors mean. */
#include "registry/session.h"

#include <ctype.h>
#include <strings.h>

#define REDIRECTS_MAX 10
#define WAIT_MAX_MS 60000 /* a registry that wants more is not waited for */
#define BACKOFF_MAX_MS 30000

/* ---- waiting ---- */
bool back_off(struct session *s, unsigned fails, int64_t wait_ms)
{
	int64_t ms = MIN((int64_t)s->backoff_ms << MIN(fails - 1, 10u), (int64_t)BACKOFF_MAX_MS);

	if (wait_ms > WAIT_MAX_MS)
		return false;
	ms = MAX(ms, wait_ms);
	if (ms >= 1000) {
		AUTO_FREE char *text = xasprintf("Retrying in %lld second%s", (long long)(ms + 999) / 1000,
						 ms > 1000 ? "s" : "");

		s->say(s->ctx, text);
	}
	net_sleep(ms);
	return true;
}

/* ---- one request ---- */
static void show_warnings(struct session *s, const struct http *h)
{
	const char *all = http_get(h, "warning");
	AUTO_FREE char *text = all ? warning_text(all) : NULL;

	if (!text || strv_has(&s->said, text) || s->said.n >= 16)
		return;
	for (char *p = text; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = ' ';
	strv_add(&s->said, text);
	s->say(s->ctx, text);
}

static bool redirects(long status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Follows answers to where they send us. Authorization and our certificate stay behind when the origin changes. */
static int follow(struct session *s, struct http *h, struct err *e)
{
	AUTO_FREE char *at = xstrdup(h->url);
	const char *start = h->url, *authorization_at_start = h->authorization, *method = h->method;
	const struct tls_files *tls_at_start = h->tls, bare = { .ca = h->tls ? h->tls->ca : NULL };
	bool same = true;
	int r = 0;

	for (int hops = 0;; hops++) {
		const char *to;
		char *next;

		http_again(h);
		http_run(h);
		show_warnings(s, h);
		to = redirects(h->status) && !h->broken ? http_get(h, "location") : NULL;
		if (!to || (!streq(method, "GET") && !streq(method, "HEAD") && h->status < 307))
			break;
		if (h->from_fd && h->src_n < 0)
			break; /* what went into the first request is gone */
		if (hops >= REDIRECTS_MAX) {
			char name[16] = "";

			http_go_method(h, name);
			r = err_set(e, ERR_SYSTEM, "%s \"%s\": stopped after %d redirects", name, start, REDIRECTS_MAX);
			break;
		}
		next = url_resolve(at, to);
		if (!next) {
			r = err_set(e, ERR_SYSTEM, "registry redirects to a bad place: %.200s", to);
			break;
		}
		free(at);
		at = next;
		h->url = at;
		same = url_same_origin(start, at);
		h->authorization = same ? authorization_at_start : NULL;
		h->tls = same ? tls_at_start : &bare;
	}
	h->moved = !same;
	h->tls = tls_at_start;
	h->url = start;
	h->authorization = authorization_at_start;
	return r;
}

static int64_t wait_of(const struct http *h)
{
	const char *text = http_get(h, "retry-after");
	int64_t s = text ? retry_after(text, (int64_t)time(NULL)) : -1;

	return s < 0 ? -1 : MIN(s, (int64_t)86400) * 1000;
}

static int transport_error(const struct http *h, struct err *e)
{
	(void)err_set(e, ERR_SYSTEM, "%s", h->error);
	return h->refused ? -EHOSTUNREACH : API_AGAIN;
}

static int signed_once(struct session *s, struct endpoint *ep, struct http *h, const char *scopes, struct err *e)
{
	AUTO_FREE char *text = NULL;
	int r = scopes ? authorization(s, ep, scopes, &text, e) : 0;

	if (r < 0) {
		char name[16] = "";

		if (!e || !streq(e->msg, "no basic auth credentials"))
			return r;
		if (!streq(h->method, "GET") && !streq(h->method, "HEAD")) /* pushing, Docker says no more than that */
			return err_set(e, ERR_SYSTEM, "no basic auth credentials");
		http_go_method(h, name);
		return err_set(e, ERR_SYSTEM, "%s \"%s\": no basic auth credentials", name, h->url);
	}
	if (scopes)
		h->authorization = text;
	r = follow(s, h, e);
	if (scopes)
		h->authorization = NULL;
	return r;
}

int api_once(struct session *s, struct endpoint *ep, struct http *h, const char *scopes, int64_t *ret_wait_ms,
	     struct err *e)
{
	int r;

	*ret_wait_ms = -1;
	h->tls = &ep->tls;
	h->insecure = ep->insecure;
	r = signed_once(s, ep, h, scopes, e);
	if (r < 0)
		return r;
	if (h->status == 401 && !h->moved && scopes && str_empty(s->registry_token) &&
	    http_get(h, "www-authenticate") &&
	    !(h->from_fd &&
	      h->src_n < 0)) { /* the token is too old or too weak: once more with what this challenge asks for */
		challenges_done(&ep->challenges);
		challenges_add(&ep->challenges, http_get(h, "www-authenticate"));
		token_forget(ep, scopes);
		r = signed_once(s, ep, h, scopes, e);
		if (r < 0)
			return r;
	}
	if (h->status == 0)
		return transport_error(h, e);
	if (h->status == 429 || h->status >= 500) {
		*ret_wait_ms = wait_of(h);
		(void)api_error(h, NULL, e);
		return API_AGAIN;
	}
	if (h->broken && !h->sink) {
		(void)err_set(e, ERR_SYSTEM, "%s", h->error);
		return h->sink_error ? -EIO : API_AGAIN;
	}
	return API_DONE;
}

int api_run(struct session *s, struct endpoint *ep, struct http *h, const char *scopes, struct err *e)
{
	int64_t wait = -1;

	for (unsigned fails = 0;;) {
		int r = api_once(s, ep, h, scopes, &wait, e);

		if (r != API_AGAIN)
			return r;
		if (++fails >= s->attempts || !back_off(s, fails, wait))
			return e && e->sys ? e->sys : -EIO;
	}
}

/* ---- errors ---- */
static const struct {
	const char *code, *message; /* the specification's own message: Docker leaves it out where no detail is given */
} known[] = {
	{ "UNKNOWN", "unknown error" },
	{ "UNSUPPORTED", "The operation is unsupported." },
	{ "UNAUTHORIZED", "authentication required" },
	{ "DENIED", "requested access to the resource is denied" },
	{ "UNAVAILABLE", "service unavailable" },
	{ "TOOMANYREQUESTS", "too many requests" },
	{ "DIGEST_INVALID", "provided digest did not match uploaded content" },
	{ "SIZE_INVALID", "provided length did not match content length" },
	{ "RANGE_INVALID", "invalid content range" },
	{ "NAME_INVALID", "invalid repository name" },
	{ "TAG_INVALID", "manifest tag did not match URI" },
	{ "NAME_UNKNOWN", "repository name not known to registry" },
	{ "MANIFEST_UNKNOWN", "manifest unknown" },
	{ "MANIFEST_INVALID", "manifest invalid" },
	{ "MANIFEST_UNVERIFIED", "manifest failed signature verification" },
	{ "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry" },
	{ "BLOB_UNKNOWN", "blob unknown to registry" },
	{ "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry" },
	{ "BLOB_UPLOAD_INVALID", "blob upload invalid" },
	{ "PAGINATION_NUMBER_INVALID", "invalid number of results requested" },
};

static const char *known_message(const char **code)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (streq(known[i].code, *code))
			return known[i].message;
	*code = "UNKNOWN";
	return known[0].message;
}

/* The kinds are those that Docker's status says: it goes by the code, not by what the registry answered with. */
static enum err_kind kind_of(const char *code)
{
	static const struct {
		const char *code;
		enum err_kind kind;
	} kinds[] = {
		{ "UNAUTHORIZED", ERR_UNAUTHORIZED },     { "DENIED", ERR_FORBIDDEN },
		{ "UNAVAILABLE", ERR_UNAVAILABLE },       { "TOOMANYREQUESTS", ERR_UNAVAILABLE },
		{ "NAME_UNKNOWN", ERR_NOT_FOUND },        { "MANIFEST_UNKNOWN", ERR_NOT_FOUND },
		{ "BLOB_UNKNOWN", ERR_NOT_FOUND },        { "BLOB_UPLOAD_UNKNOWN", ERR_NOT_FOUND },
		{ "BLOB_UPLOAD_INVALID", ERR_NOT_FOUND }, { "UNKNOWN", ERR_SYSTEM },
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (streq(kinds[i].code, code))
			return kinds[i].kind;
	return ERR_INVALID;
}

/* whole: the registry said more than the bare code. Only then Docker gives a code its longer sentence, so ret_code stays "" else. */
static int say_code(const char *code, const char *message, bool whole, char ret_code[64], struct err *e)
{
	AUTO_FREE char *words = NULL;
	const char *usual = known_message(&code);

	words = xstrdup(code);
	for (char *p = words; *p; p++)
		*p = *p == '_' ? ' ' : (char)tolower((unsigned char)*p);
	if (!whole && (str_empty(message) || streq(message, usual)))
		return err_set(e, kind_of(code), "%s", words);
	(void)snprintf(ret_code, 64, "%s", code);
	return err_set(e, kind_of(code), "%s: %s", words, message ? message : usual);
}

/* RFC 6750: the reason may stand in the challenge instead of the body. */
static int challenge_error(const struct http *h, char ret_code[64], struct err *e)
{
	struct challenges c = { 0 };
	const struct challenge *b;
	const char *error, *code = NULL;
	int r = 0;

	challenges_add(&c, http_get(h, "www-authenticate") ? http_get(h, "www-authenticate") : "");
	b = challenge_find(&c, "bearer");
	error = b ? strmap_get(&b->params, "error") : NULL;
	if (streq(error, "invalid_token"))
		code = "UNAUTHORIZED";
	else if (streq(error, "insufficient_scope"))
		code = "DENIED";
	if (code) {
		const char *text = strmap_get(&b->params, "error_description");

		r = say_code(code, str_empty(text) ? NULL : text, true, ret_code, e);
	}
	challenges_done(&c);
	return r;
}

static const char *code_of_status(long status)
{
	return status == 401   ? "UNAUTHORIZED"
	       : status == 403 ? "DENIED"
	       : status == 429 ? "TOOMANYREQUESTS"
			       : "UNKNOWN";
}

static int body_error(const struct http *h, const struct jval *v, char ret_code[64], struct err *e)
{
	const struct jval *first = jval_at(jval_get(v, "errors"), 0);
	const char *details = jval_str(jval_get(v, "details")), *message = jval_str(jval_get(first, "message"));

	if (*details && (h->status == 401 || h->status == 403 || h->status == 429))
		return say_code(code_of_status(h->status), details, true, ret_code, e);
	if (!first)
		return 0;
	return say_code(jval_str(jval_get(first, "code")), message, jval_kind(jval_get(first, "detail")) != JVAL_NULL,
			ret_code, e);
}

int api_error(const struct http *h, char ret_code[64], struct err *e)
{
	const struct json_limits limits = { .bytes = 1 << 20, .depth = 32, .values = 10000 };
	char ignored[64] = "", *code = ret_code ? ret_code : ignored;
	const char *type = http_get(h, "content-type");
	struct jval *v = NULL;
	struct err parse = ERR_INIT;
	int r = 0;

	*code = 0;
	if (h->status >= 500 || h->status < 400)
		return err_set(e, ERR_SYSTEM, "received unexpected HTTP status: %s", h->reason ? h->reason : "");
	r = challenge_error(h, code, e);
	if (r < 0)
		return r;
	if (!type || !strstr(type, "json")) {
		AUTO_FREE char *body = xstrndup(strb_str(&h->text), 600);

		return say_code(code_of_status(h->status), h->status == 401 && !*body ? NULL : body, true, code, e);
	}
	if (jval_parse(strb_str(&h->text), h->text.len, &limits, &v, &parse) == 0)
		r = body_error(h, v, code, e);
	jval_free(v);
	if (r < 0)
		return r;
	if (h->status == 401)
		return say_code("UNAUTHORIZED", NULL, true, code, e);
	return err_set(e, ERR_SYSTEM, "error parsing HTTP %ld response body: %s: \"%.300s\"", h->status,
		       *parse.msg ? parse.msg : "no error details found in HTTP response body", strb_str(&h->text));
}

int pull_error(const struct session *s, const char *what, const struct http *h, struct err *e)
{
	char code[64] = "";
	struct err cause = ERR_INIT;
	int r = api_error(h, code, &cause);

	if (streq(code, "DENIED"))
		return err_set(e, ERR_NOT_FOUND,
			       "pull access denied for %s, repository does not exist or may require 'docker login': %s",
			       s->familiar, cause.msg);
	if (streq(code, "MANIFEST_UNKNOWN"))
		return err_set(e, ERR_NOT_FOUND, "manifest for %s%s%s not found: %s", s->familiar,
			       strchr(what, ':') ? "@" : ":", what, cause.msg);
	if (streq(code, "NAME_UNKNOWN"))
		return err_set(e, ERR_NOT_FOUND, "repository %s not found: %s", s->familiar, cause.msg);
	if (e)
		*e = cause;
	return r;
}

int push_error(const struct session *s, const struct http *h, struct err *e)
{
	return api_error(h, NULL, e);
}
