/* auth.c - Basic and Bearer. Tokens are kept per endpoint and scope until shortly before they run out. */
#include "registry/session.h"

#define TOKEN_LIFE_MIN_S 60 /* what a registry that says nothing, or less, is taken to mean (as Docker) */
#define TOKEN_MARGIN_S 10
#define TOKEN_TEXT_MAX (1 << 20)

static char *basic(const char *user, const char *password)
{
	AUTO_FREE char *both = xasprintf("%s:%s", user, password ? password : "");
	AUTO_FREE char *coded = base64_encode(both, strlen(both));

	return xasprintf("Basic %s", coded);
}

static bool header_safe(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x21 || (unsigned char)*s == 0x7f)
			return false;
	return true;
}

/* Credentials belong to the registry they were given for, not to its mirrors. */
static bool has_password(const struct session *s, const struct endpoint *ep)
{
	return !ep->mirror && !str_empty(s->username);
}

/* ---- fetching a token ---- */
static void query_add(struct strb *q, const char *key, const char *value)
{
	if (q->len)
		strb_addc(q, '&');
	strb_addf(q, "%s=", key);
	url_escape(q, value);
}

static void query_scopes(struct strb *q, const char *scopes)
{
	AUTO_STRV struct strv v = { 0 };

	strv_split(&v, scopes, " ");
	for (size_t i = 0; i < v.n; i++)
		query_add(q, "scope", v.v[i]);
}

static int read_token(const struct http *h, char **ret_token, char **ret_refresh, int64_t *ret_lifetime_s,
		      struct err *e)
{
	const struct json_limits limits = { .bytes = TOKEN_TEXT_MAX, .depth = 8, .values = 1000 };
	struct jval *v = NULL;
	const char *text;
	int64_t life;
	int r = jval_parse(strb_str(&h->text), h->text.len, &limits, &v, e);

	if (r < 0)
		return err_wrap(e, r, "unable to decode token response");
	text = jval_str(jval_get(v, "access_token"));
	if (!*text)
		text = jval_str(jval_get(v, "token"));
	if (!*text || !header_safe(text)) {
		jval_free(v);
		return err_set(e, ERR_SYSTEM, "authorization server did not include a token in the response");
	}
	*ret_token = xstrdup(text);
	if (ret_refresh) {
		text = jval_str(jval_get(v, "refresh_token"));
		*ret_refresh = *text ? xstrdup(text) : NULL;
	}
	life = jval_int(jval_get(v, "expires_in"));
	*ret_lifetime_s = MIN(MAX(life, TOKEN_LIFE_MIN_S), 86400);
	jval_free(v);
	return 0;
}

static void ask_oauth(const struct session *s, const char *service, const char *scopes, struct http *h,
		      struct strb *form)
{
	AUTO_STRV struct strv v = { 0 };
	AUTO_STRB struct strb all = STRB_INIT;

	query_add(form, "client_id", "docker");
	query_add(form, "grant_type", "refresh_token");
	query_add(form, "refresh_token", s->identity_token);
	if (*scopes) {
		strv_split(&v, scopes, " ");
		for (size_t i = 0; i < v.n; i++)
			strb_addf(&all, "%s%s", i ? " " : "", v.v[i]);
		query_add(form, "scope", strb_str(&all));
	}
	if (*service)
		query_add(form, "service", service);
	h->method = "POST";
	h->body = strb_str(form);
	h->body_n = form->len;
	http_header(h, "Content-Type: application/x-www-form-urlencoded");
}

static void ask_get(const struct session *s, const struct endpoint *ep, const char *service, const char *scopes,
		    bool offline, char **authorization_ret, struct strb *q)
{
	if (has_password(s, ep)) {
		query_add(q, "account", s->username);
		*authorization_ret = basic(s->username, s->password);
	}
	if (offline) {
		query_add(q, "client_id", "docker");
		query_add(q, "offline_token", "true");
	}
	query_scopes(q, scopes);
	if (*service)
		query_add(q, "service", service);
}

int token_fetch(struct session *s, struct endpoint *ep, const struct challenge *c, const char *scopes, char **ret_token,
		char **ret_refresh, int64_t *ret_lifetime_s, struct err *e)
{
	const char *realm = strmap_get(&c->params, "realm"), *service = strmap_get(&c->params, "service");
	AUTO_HTTP struct http h = { .method = "GET", .tls = &ep->tls, .insecure = ep->insecure, .max = TOKEN_TEXT_MAX };
	AUTO_FREE char *url = realm ? url_resolve(ep->base, realm) : NULL;
	AUTO_FREE char *password = NULL;
	AUTO_FREE char *full = NULL;
	AUTO_STRB struct strb q = STRB_INIT;
	int64_t wait = -1;
	int r;

	if (!url)
		return err_set(e, ERR_SYSTEM, "no realm specified for token auth challenge");
	if (!ep->mirror && !str_empty(s->identity_token)) {
		ask_oauth(s, service ? service : "", scopes, &h, &q);
		h.url = url;
	} else {
		ask_get(s, ep, service ? service : "", scopes, ret_refresh != NULL, &password, &q);
		full = xasprintf("%s%s%s", url, !q.len ? "" : strchr(url, '?') ? "&" : "?", strb_str(&q));
		h.url = full;
		h.authorization = password;
	}
	for (unsigned fails = 0;;) {
		r = api_once(s, ep, &h, NULL, &wait, e);
		if (r != API_AGAIN || ++fails >= s->attempts || !back_off(s, fails, wait))
			break;
	}
	if (r == API_AGAIN)
		return e ? (e->sys ? e->sys : -EIO) : -EIO;
	if (r < 0)
		return r;
	if (h.status >= 300)
		return api_error(&h, NULL, e);
	return read_token(&h, ret_token, ret_refresh, ret_lifetime_s, e);
}

/* ---- the store of tokens ---- */
static struct token *token_find(struct endpoint *ep, const char *scopes)
{
	for (size_t i = 0; i < ep->tokens.n; i++)
		if (streq(ep->tokens.v[i].scope, scopes))
			return &ep->tokens.v[i];
	return NULL;
}

void token_forget(struct endpoint *ep, const char *scopes)
{
	struct token *t = token_find(ep, scopes);

	if (t)
		t->until_ns = 0;
}

/* Scopes that the registry itself asked for in its last challenge, beside ours. */
static char *all_scopes(const struct challenge *c, const char *scopes)
{
	const char *asked = strmap_get(&c->params, "scope");
	AUTO_STRV struct strv v = { 0 };
	AUTO_STRV struct strv ours = { 0 };
	AUTO_STRB struct strb out = STRB_INIT;

	strv_split(&ours, scopes, " ");
	strv_addv(&v, &ours);
	if (asked && strlen(asked) < 4096) {
		AUTO_STRV struct strv more = { 0 };

		strv_split(&more, asked, " ");
		for (size_t i = 0; i < more.n && i < 16; i++)
			if (!strv_has(&v, more.v[i]))
				strv_add(&v, more.v[i]);
	}
	for (size_t i = 0; i < v.n; i++)
		strb_addf(&out, "%s%s", i ? " " : "", v.v[i]);
	return strb_take(&out);
}

static int bearer(struct session *s, struct endpoint *ep, const struct challenge *c, const char *scopes, char **ret,
		  struct err *e)
{
	struct token *t = token_find(ep, scopes);
	AUTO_FREE char *wanted = NULL;
	char *text = NULL;
	int64_t life = 0;
	int r;

	if (t && t->until_ns > time_mono_ns()) {
		*ret = xasprintf("Bearer %s", t->text);
		return 0;
	}
	wanted = all_scopes(c, scopes);
	r = token_fetch(s, ep, c, wanted, &text, NULL, &life, e);
	if (r < 0)
		return r;
	t = token_find(ep, scopes);
	if (!t) {
		t = VEC_ADD(&ep->tokens);
		t->scope = xstrdup(scopes);
	}
	free(t->text);
	t->text = text;
	t->until_ns = time_mono_ns() + (life - TOKEN_MARGIN_S) * 1000000000;
	*ret = xasprintf("Bearer %s", text);
	return 0;
}

int authorization(struct session *s, struct endpoint *ep, const char *scopes, char **ret, struct err *e)
{
	const struct challenge *c = NULL;
	int r;

	*ret = NULL;
	if (!ep->mirror && !str_empty(s->registry_token)) {
		if (header_safe(s->registry_token))
			*ret = xasprintf("Bearer %s", s->registry_token);
		return 0;
	}
	if (challenge_find(&ep->challenges, "bearer")) {
		fiber_enter(&ep->gate);
		c = challenge_find(&ep->challenges, "bearer"); /* it may have changed while we waited */
		r = c ? bearer(s, ep, c, scopes, ret, e) : 0;
		fiber_leave(&ep->gate);
		return r;
	}
	if (challenge_find(&ep->challenges, "basic")) {
		if (!has_password(s, ep))
			return err_set(e, ERR_UNAUTHORIZED, "no basic auth credentials");
		*ret = basic(s->username, s->password);
	}
	return 0;
}
