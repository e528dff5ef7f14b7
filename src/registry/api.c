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

/* Follows answers to where they send us. Authorization stays behind when the origin changes. */
static int follow(struct session *s, struct http *h, struct err *e)
{
	AUTO_FREE char *at = xstrdup(h->url);
	const char *start = h->url, *authorization_at_start = h->authorization, *method = h->method;
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
			r = err_set(e, ERR_SYSTEM, "%c%s \"%s\": stopped after %d redirects", method[0],
				    streq(method, "GET") ? "et" : "ead", start, REDIRECTS_MAX);
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
		h->authorization = url_same_origin(start, at) ? authorization_at_start : NULL;
	}
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
		if (streq(e ? e->msg : NULL, "no basic auth credentials"))
			return err_wrap(e, r, "%c%s \"%s\"", h->method[0], streq(h->method, "HEAD") ? "ead" : "et",
					h->url);
		return r;
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
	if (h->status == 401 && scopes && str_empty(s->registry_token) && http_get(h, "www-authenticate") &&
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

static enum err_kind kind_of(const char *code, long status)
{
	if (streq(code, "UNAUTHORIZED") || status == 401)
		return ERR_UNAUTHORIZED;
	if (streq(code, "DENIED") || status == 403)
		return ERR_FORBIDDEN;
	if (status == 404)
		return ERR_NOT_FOUND;
	return status == 429 || status >= 500 ? ERR_UNAVAILABLE : ERR_SYSTEM;
}

static int say_code(const char *code, const char *message, bool detail, long status, struct err *e)
{
	AUTO_FREE char *words = NULL;
	const char *usual = known_message(&code);
	enum err_kind kind = kind_of(code, status);

	words = xstrdup(code);
	for (char *p = words; *p; p++)
		*p = *p == '_' ? ' ' : (char)tolower((unsigned char)*p);
	if (!detail && (str_empty(message) || streq(message, usual)))
		return err_set(e, kind, "%s", words);
	return err_set(e, kind, "%s: %s", words, str_empty(message) ? usual : message);
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

		(void)snprintf(ret_code, 64, "%s", code);
		r = say_code(code, text, true, h->status, e);
	}
	challenges_done(&c);
	return r;
}

static int body_error(const struct http *h, const struct jval *v, char ret_code[64], struct err *e)
{
	const struct jval *first = jval_at(jval_get(v, "errors"), 0);
	const char *details = jval_str(jval_get(v, "details"));
	const char *code = jval_str(jval_get(first, "code"));

	if (*details && (h->status == 401 || h->status == 403 || h->status == 429)) {
		code = h->status == 401 ? "UNAUTHORIZED" : h->status == 403 ? "DENIED" : "TOOMANYREQUESTS";
		(void)snprintf(ret_code, 64, "%s", code);
		return say_code(code, details, true, h->status, e);
	}
	if (!first)
		return 0;
	(void)snprintf(ret_code, 64, "%s", code);
	return say_code(code, jval_str(jval_get(first, "message")), jval_kind(jval_get(first, "detail")) != JVAL_NULL,
			h->status, e);
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
		return err_set(e, h->status >= 500 ? ERR_UNAVAILABLE : ERR_SYSTEM,
			       "received unexpected HTTP status: %s", h->reason ? h->reason : "");
	r = challenge_error(h, code, e);
	if (r < 0)
		return r;
	if (jval_parse(strb_str(&h->text), h->text.len, &limits, &v, &parse) == 0)
		r = body_error(h, v, code, e);
	jval_free(v);
	if (r < 0)
		return r;
	if (h->status == 401) {
		(void)snprintf(code, 64, "UNAUTHORIZED");
		return say_code("UNAUTHORIZED", NULL, true, 401, e);
	}
	if (h->text.len == 0 || !type || !strstr(type, "json"))
		return err_set(e, kind_of("", h->status),
			       "error parsing HTTP %ld response body: invalid character '%c' looking for beginning of "
			       "value: \"%.300s\"",
			       h->status, h->text.len ? h->text.s[0] : ' ', strb_str(&h->text));
	return err_set(e, kind_of("", h->status), "error parsing HTTP %ld response body: %s: \"%.300s\"", h->status,
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
