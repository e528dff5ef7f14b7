/* headers.c - the parsers of headers.h. Budgets: libcurl bounds a header's length, counts are bounded here. */
#include "registry/headers.h"

#include <ctype.h>

/* ---- tokens ---- */
static bool token_char(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static const char *skip_space(const char *p)
{
	return p + strspn(p, " \t");
}

static char *token(const char **p)
{
	const char *start = *p;

	while (token_char(**p))
		(*p)++;
	return *p == start ? NULL : xstrndup(start, (size_t)(*p - start));
}

static char *lower(char *s)
{
	for (char *p = s; p && *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return s;
}

/* "..." with backslash escapes, or a token. NULL where neither stands here. */
static char *value(const char **p)
{
	AUTO_STRB struct strb b = STRB_INIT;
	const char *q = *p;

	if (*q != '"')
		return token(p);
	for (q++; *q && *q != '"'; q++) {
		if (*q == '\\' && q[1])
			q++;
		strb_addc(&b, *q);
	}
	if (*q != '"')
		return NULL;
	*p = q + 1;
	return strb_take(&b);
}

/* ---- WWW-Authenticate ---- */
void challenges_done(struct challenges *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->v[i].scheme);
		strmap_done(&c->v[i].params);
	}
	free(c->v);
	*c = (struct challenges){ 0 };
}

/* A name and "=" behind it: a parameter of the challenge before it, not the next challenge's scheme. */
static bool param(const char **p, struct challenge *c)
{
	const char *q = *p;
	AUTO_FREE char *name = lower(token(&q));
	AUTO_FREE char *text = NULL;

	q = skip_space(q);
	if (!name || *q != '=')
		return false;
	q = skip_space(q + 1);
	text = value(&q);
	if (!text)
		return false;
	if (c->params.n < CHALLENGE_PARAMS_MAX)
		strmap_set(&c->params, name, text);
	*p = q;
	return true;
}

void challenges_add(struct challenges *c, const char *header)
{
	struct challenge *now = NULL;
	const char *p = header;

	for (;;) {
		const char *q;
		char *scheme;

		p += strspn(p, " \t,");
		if (!*p)
			return;
		if (now && param(&p, now))
			continue;
		q = p;
		scheme = lower(token(&q));
		if (!scheme || (*q && !strchr(" \t,", *q)) || c->n >= CHALLENGES_MAX) {
			free(scheme);
			return;
		}
		now = VEC_ADD(c);
		now->scheme = scheme;
		p = skip_space(q);
	}
}

const struct challenge *challenge_find(const struct challenges *c, const char *scheme)
{
	for (size_t i = 0; i < c->n; i++)
		if (streq(c->v[i].scheme, scheme))
			return &c->v[i];
	return NULL;
}

/* ---- Link ---- */
char *link_next(const char *header)
{
	const char *p = header;

	for (;;) {
		AUTO_FREE char *url = NULL;
		const char *end;
		bool next = false;

		p += strspn(p, " \t,");
		if (*p != '<')
			return NULL;
		end = strchr(p, '>');
		if (!end)
			return NULL;
		url = xstrndup(p + 1, (size_t)(end - p - 1));
		for (p = skip_space(end + 1); *p == ';'; p = skip_space(p)) {
			AUTO_FREE char *name = NULL;
			AUTO_FREE char *text = NULL;

			p = skip_space(p + 1);
			name = lower(token(&p));
			p = skip_space(p);
			if (!name || *p != '=')
				return NULL;
			p = skip_space(p + 1);
			text = value(&p);
			if (!text)
				return NULL;
			next |= streq(name, "rel") && strcasecmp(text, "next") == 0;
		}
		if (next)
			return TAKE_PTR(url);
	}
}

/* ---- Retry-After, Warning, ranges ---- */
static bool digits(const char **p, int64_t *ret)
{
	int64_t v = 0;
	const char *q = *p;

	for (; *q >= '0' && *q <= '9'; q++) {
		if (v > (INT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (*q - '0');
	}
	if (q == *p)
		return false;
	*p = q;
	*ret = v;
	return true;
}

static int64_t http_date(const char *s)
{
	static const char *const formats[] = { "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
					       "%a %b %d %H:%M:%S %Y" };

	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		struct tm tm = { 0 };
		const char *end = strptime(s, formats[i], &tm);

		if (end && !*skip_space(end))
			return (int64_t)timegm(&tm);
	}
	return -1;
}

int64_t retry_after(const char *header, int64_t now_s)
{
	const char *p = skip_space(header);
	int64_t v = 0;

	if (digits(&p, &v))
		return *skip_space(p) ? -1 : v;
	v = http_date(p);
	return v < 0 ? -1 : MAX(v - now_s, 0);
}

char *warning_text(const char *header)
{
	const char *p = skip_space(header);
	AUTO_FREE char *agent = NULL;

	p = str_after(p, "299 ");
	if (!p)
		return NULL;
	p = skip_space(p);
	p += strcspn(p, " \t");
	p = skip_space(p);
	return *p == '"' ? value(&p) : NULL;
}

bool content_range(const char *header, int64_t *ret_first, int64_t *ret_last, int64_t *ret_total)
{
	const char *p = str_after(skip_space(header), "bytes");
	int64_t first = -1, last = -1, total = -1;

	if (!p)
		return false;
	p = skip_space(p);
	if (*p == '*')
		p++;
	else if (!digits(&p, &first) || *p++ != '-' || !digits(&p, &last) || last < first)
		return false;
	if (*p++ != '/')
		return false;
	if (*p == '*')
		p++;
	else if (!digits(&p, &total) || last >= total)
		return false;
	if (*skip_space(p))
		return false;
	*ret_first = first;
	*ret_last = last;
	*ret_total = total;
	return true;
}

int64_t upload_range(const char *header)
{
	const char *p = skip_space(header), *unit = str_after(p, "bytes=");
	int64_t first = 0, last = 0;

	p = unit ? unit : p;
	if (!digits(&p, &first) || *p++ != '-' || !digits(&p, &last) || first != 0 || *skip_space(p) ||
	    last == INT64_MAX)
		return -1;
	return last + 1; /* "0-0" is also what registries say of nothing: one byte more or less is seen by the digest */
}

/* ---- URLs ---- */
bool url_has_scheme(const char *url, const char *scheme)
{
	size_t n = strlen(scheme);

	return strncasecmp(url, scheme, n) == 0 && strncmp(url + n, "://", 3) == 0;
}

static const char *authority(const char *url)
{
	return url_has_scheme(url, "http") ? url + 7 : url_has_scheme(url, "https") ? url + 8 : NULL;
}

static bool clean(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= 0x20 || *s == 0x7f)
			return false;
	return true;
}

char *url_resolve(const char *base, const char *ref)
{
	const char *host = authority(base);
	size_t origin, path_end, colon;

	if (!host || !clean(ref))
		return NULL;
	if (authority(ref))
		return authority(ref)[0] && !strchr("/?#", authority(ref)[0]) ? xstrdup(ref) : NULL;
	colon = strcspn(ref, ":/?#");
	if (ref[colon] == ':') /* another scheme */
		return NULL;
	if (strncmp(ref, "//", 2) == 0)
		return xasprintf("%s%s", url_has_scheme(base, "https") ? "https:" : "http:", ref);
	origin = (size_t)(host - base) + strcspn(host, "/?#");
	if (*ref == '/')
		return xasprintf("%.*s%s", (int)origin, base, ref);
	path_end = origin + strcspn(base + origin, "?#");
	if (*ref == '?' || !*ref)
		return xasprintf("%.*s%s", (int)path_end, base, ref);
	while (path_end > origin && base[path_end - 1] != '/')
		path_end--;
	return xasprintf("%.*s%s%s", (int)path_end, base, path_end == origin ? "/" : "", ref);
}

char *url_host(const char *url)
{
	const char *host = authority(url);
	size_t n;
	const char *at;

	if (!host)
		return NULL;
	n = strcspn(host, "/?#");
	at = memrchr(host, '@', n);
	if (at) {
		n -= (size_t)(at + 1 - host);
		host = at + 1;
	}
	return n ? lower(xstrndup(host, n)) : NULL;
}

static char *origin_of(const char *url)
{
	AUTO_FREE char *host = url_host(url);
	bool tls = url_has_scheme(url, "https");
	const char *colon = host ? strrchr(host, ':') : NULL;

	if (!host)
		return NULL;
	if (colon && !strchr(colon, ']'))
		return xasprintf("%s|%s", tls ? "s" : "p", host);
	return xasprintf("%s|%s:%d", tls ? "s" : "p", host, tls ? 443 : 80);
}

bool url_same_origin(const char *a, const char *b)
{
	AUTO_FREE char *oa = origin_of(a);
	AUTO_FREE char *ob = origin_of(b);

	return oa && ob && streq(oa, ob);
}

void url_escape(struct strb *out, const char *s)
{
	for (; *s; s++) {
		if (isalnum((unsigned char)*s) || strchr("-_.~", *s))
			strb_addc(out, *s);
		else if (*s == ' ')
			strb_addc(out, '+');
		else
			strb_addf(out, "%%%02X", (unsigned char)*s);
	}
}
