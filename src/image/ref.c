/* ref.c - names of images by Docker's grammar (distribution/reference). Pure: text in, parts out; fuzzed. */
#include "image/image.h"

#include <ctype.h>

#define DEFAULT_DOMAIN "docker.io"
#define OFFICIAL "library/"
#define NAME_MAX_LEN 255
#define TAG_MAX_LEN 128

void ref_done(struct ref *r)
{
	free(r->domain);
	free(r->path);
	free(r->tag);
	free(r->digest);
	*r = (struct ref){ 0 };
}

static int bad(struct err *e)
{
	return err_set(e, ERR_INVALID, "invalid reference format");
}

static bool lower_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool alnum(char c)
{
	return lower_digit(c) || (c >= 'A' && c <= 'Z');
}

/* [a-z0-9]+ ((\.|_|__|-+) [a-z0-9]+)*, components separated by slashes */
static bool path_ok(const char *p)
{
	for (;;) {
		if (!lower_digit(*p))
			return false;
		while (lower_digit(*p))
			p++;
		if (!*p)
			return true;
		if (*p == '/' || *p == '.')
			p++;
		else if (*p == '_')
			p += p[1] == '_' ? 2 : 1;
		else if (*p == '-')
			p += strspn(p, "-");
		else
			return false;
	}
}

static bool port_ok(const char *p)
{
	return *p && !p[strspn(p, "0123456789")];
}

/* name(.name)*[:port] or [IPv6][:port] */
static bool domain_ok(const char *d)
{
	const char *p = d;

	if (*p == '[') {
		p += 1 + strspn(p + 1, "0123456789abcdefABCDEF:");
		if (p == d + 1 || *p++ != ']')
			return false;
		return !*p || (*p == ':' && port_ok(p + 1));
	}
	for (;;) {
		const char *start = p;

		while (alnum(*p) || *p == '-')
			p++;
		if (p == start || *start == '-' || p[-1] == '-')
			return false;
		if (!*p)
			return true;
		if (*p == ':')
			return port_ok(p + 1);
		if (*p++ != '.')
			return false;
	}
}

static bool tag_ok(const char *t)
{
	size_t n = strlen(t);

	if (n == 0 || n > TAG_MAX_LEN || !(alnum(*t) || *t == '_'))
		return false;
	for (const char *p = t; *p; p++)
		if (!alnum(*p) && !strchr("_.-", *p))
			return false;
	return true;
}

static bool has_upper(const char *s)
{
	for (; *s; s++)
		if (isupper((unsigned char)*s))
			return true;
	return false;
}

/* Which part before the first slash is a registry: one with a dot or a port, "localhost", or one that has capitals. */
static void split_domain(const char *s, char **domain, char **rest)
{
	const char *slash = strchr(s, '/');
	AUTO_FREE char *first = slash ? xstrndup(s, (size_t)(slash - s)) : NULL;

	if (!first || (!strpbrk(first, ".:") && !streq(first, "localhost") && !has_upper(first))) {
		*domain = xstrdup(DEFAULT_DOMAIN);
		*rest = xstrdup(s);
	} else {
		*domain = xstrdup(streq(first, "index.docker.io") ? DEFAULT_DOMAIN : first);
		*rest = xstrdup(slash + 1);
	}
	if (streq(*domain, DEFAULT_DOMAIN) && !strchr(*rest, '/')) {
		char *full = xasprintf(OFFICIAL "%s", *rest);

		free(*rest);
		*rest = full;
	}
}

static int check(const struct ref *r, struct err *e)
{
	if (has_upper(r->path))
		return err_set(e, ERR_INVALID, "invalid reference format: repository name (%.300s) must be lowercase",
			       r->path);
	if (!domain_ok(r->domain) || !path_ok(r->path) || (r->tag && !tag_ok(r->tag)) ||
	    (r->digest && !digest_valid(r->digest)))
		return bad(e);
	if (strlen(r->path) > NAME_MAX_LEN) /* the registry's part does not count any more */
		return err_set(e, ERR_INVALID, "repository name must not be more than %d characters", NAME_MAX_LEN);
	return 0;
}

int ref_parse(const char *s, struct ref *ret, struct err *e)
{
	struct ref r = { 0 };
	AUTO_FREE char *rest = NULL;
	char *at, *colon;
	int k;

	if (str_empty(s))
		return bad(e);
	if (strlen(s) == 64 && hex_valid(s, 64))
		return err_set(e, ERR_INVALID,
			       "invalid repository name (%s), cannot specify 64-byte hexadecimal strings", s);
	split_domain(s, &r.domain, &rest);
	at = strchr(rest, '@');
	if (at) {
		*at = 0;
		r.digest = xstrdup(at + 1);
	}
	colon = strchr(rest, ':');
	if (colon) {
		*colon = 0;
		r.tag = xstrdup(colon + 1);
	}
	r.path = TAKE_PTR(rest);
	k = check(&r, e);
	if (k < 0) {
		ref_done(&r);
		return k;
	}
	*ret = r;
	return 0;
}

static char *with_tail(const struct ref *r, char *name)
{
	AUTO_FREE char *head = name;

	return xasprintf("%s%s%s%s%s", head, r->tag ? ":" : "", r->tag ? r->tag : "", r->digest ? "@" : "",
			 r->digest ? r->digest : "");
}

char *ref_name(const struct ref *r)
{
	return xasprintf("%s/%s", r->domain, r->path);
}

char *ref_full(const struct ref *r)
{
	return with_tail(r, ref_name(r));
}

char *ref_familiar_name(const struct ref *r)
{
	const char *official = str_after(r->path, OFFICIAL);

	if (!streq(r->domain, DEFAULT_DOMAIN))
		return ref_name(r);
	return xstrdup(official && !strchr(official, '/') ? official : r->path);
}

char *ref_familiar(const struct ref *r)
{
	return with_tail(r, ref_familiar_name(r));
}

char *ref_familiar_latest(const char *s)
{
	struct ref r = { 0 };
	char *text;

	if (ref_parse(s, &r, NULL) < 0)
		return xstrdup(s);
	if (!r.tag && !r.digest)
		r.tag = xstrdup("latest");
	text = ref_familiar(&r);
	ref_done(&r);
	return text;
}
