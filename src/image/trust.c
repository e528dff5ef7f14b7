/* trust.c - see trust.h. */
#include "image/trust.h"
#include "json/json.h"

#include <fcntl.h>

#define POLICY_MAX ((size_t)1 << 20)
#define KEY_MAX ((size_t)64 << 10)
#define KEYS_MAX 32 /* of a rule; what one worker takes (REG_KEYS_MAX) */
#define PATTERN_MAX 512

struct trust_policy {
	struct trust_rule *v;
	size_t n;
};

/* clang-format off */
#define TRUST_RULE_DOC_FIELDS(F, T) \
	F(T, STRV,  match, "match", REQUIRED | ONE_OR_MANY, none) \
	F(T, STR,   mode,  "mode",  REQUIRED, none) \
	F(T, STRV,  keys,  "keys",  ONE_OR_MANY, none) \
	F(T, STR,   signed_as, "signed-as", 0, none) \
	F(T, EXTRA, extra, "",      0, none)
JSON_STRUCT(trust_rule_doc, TRUST_RULE_DOC_FIELDS)
JSON_TYPE(trust_rule_doc, TRUST_RULE_DOC_FIELDS)
#define TRUST_DOC_FIELDS(F, T) \
	F(T, LIST,  rules, "rules", REQUIRED, trust_rule_doc) \
	F(T, EXTRA, extra, "",      0, none)
JSON_STRUCT(trust_doc, TRUST_DOC_FIELDS)
JSON_TYPE(trust_doc, TRUST_DOC_FIELDS)
/* clang-format on */

/* ---- keys ---- */
/* How the DER of each kind of key begins: algorithm and curve, up to the point itself. */
static const struct {
	const char *start;
	size_t n, whole;
} kinds[] = {
#define KIND(text, whole) \
	{ \
		text, sizeof text - 1, whole \
	}
	/* ECDSA P-256, P-384: uncompressed points, as OpenSSL and cosign write them */
	KIND("\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00"
	     "\x04",
	     91),
	KIND("\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04", 120),
	KIND("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", 44), /* ed25519 */
#undef KIND
};

static bool usable(const struct strb *der)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (der->len == kinds[i].whole && memcmp(strb_str(der), kinds[i].start, kinds[i].n) == 0)
			return true;
	return false;
}

static int pem_to_der(char *text, struct strb *ret)
{
	static const char begin[] = "-----BEGIN PUBLIC KEY-----", end[] = "-----END PUBLIC KEY-----";
	char *from = strstr(text, begin), *to, *w;

	if (!from)
		return -EINVAL;
	from += strlen(begin);
	to = strstr(from, end);
	if (!to || strstr(to, begin)) /* two keys in a file: which one was meant? */
		return -EINVAL;
	w = from;
	for (char *p = from; p < to; p++)
		if (!strchr(" \t\r\n", *p))
			*w++ = *p;
	return base64_decode(from, (size_t)(w - from), ret);
}

static int read_key(int dir, const char *file, struct trust_key *ret, struct err *e)
{
	AUTO_STRB struct strb der = STRB_INIT;
	AUTO_FREE char *text = NULL;
	int r = file_read(dir, file, KEY_MAX, &text, NULL);

	if (r < 0)
		return err_sys(e, r, "reading the key %s", file);
	if (pem_to_der(text, &der) < 0 || !usable(&der))
		return err_set(e, ERR_INVALID,
			       "%s is no public key that can be used: one ECDSA P-256, ECDSA P-384 or ed25519 key in "
			       "PEM is needed",
			       file);
	ret->name = xstrdup(file);
	ret->n = der.len;
	ret->der = strb_take(&der);
	return 0;
}

/* ---- rules ---- */
static int read_mode(const char *text, enum trust_mode *ret, struct err *e)
{
	static const char *const names[] = { "off", "warn", "enforce" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (streq(names[i], text)) {
			*ret = (enum trust_mode)i;
			return 0;
		}
	return err_set(e, ERR_INVALID, "mode is \"%s\": it has to be off, warn or enforce", text);
}

/* A typing error in a policy must not become a rule that nobody meets. */
static int unknown(const struct strmap *extra, struct err *e)
{
	return extra->n ? err_set(e, ERR_INVALID, "unknown member \"%s\"", extra->v[0].k) : 0;
}

static int read_patterns(const struct strv *match, struct trust_rule *ret, struct err *e)
{
	for (size_t i = 0; i < match->n; i++) {
		const char *p = match->v[i];

		if (!*p || strlen(p) > PATTERN_MAX ||
		    p[strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:[]*")])
			return err_set(e, ERR_INVALID,
				       "\"%.100s\" is no pattern for names: registry/repository, without a tag, with * "
				       "for any part of "
				       "one element and ** for any number of them",
				       p);
		strv_add(&ret->patterns, p);
	}
	return match->n ? 0 : err_set(e, ERR_INVALID, "\"match\" is empty");
}

static int read_signed_as(const char *name, struct trust_rule *ret, struct err *e)
{
	const char *pattern = ret->patterns.v[0];

	if (ret->patterns.n != 1 || strchr(pattern, '*') || str_ends(pattern, "/"))
		return err_set(e, ERR_INVALID, "\"signed-as\" needs one pattern without *");
	if (!*name || strlen(name) > PATTERN_MAX || strchr(name, '*') || str_ends(name, "/"))
		return err_set(e, ERR_INVALID, "\"%.100s\" is no name that could be signed", name);
	ret->signed_as = xstrdup(name);
	return 0;
}

static int read_rule(int dir, const struct trust_rule_doc *d, struct trust_rule *ret, struct err *e)
{
	int r = unknown(&d->extra, e);

	if (r == 0)
		r = read_patterns(&d->match, ret, e);
	if (r == 0)
		r = read_mode(d->mode ? d->mode : "", &ret->mode, e);
	if (r == 0 && ret->mode != TRUST_OFF && !d->keys.n)
		r = err_set(e, ERR_INVALID, "mode %s needs keys", d->mode);
	if (r == 0 && d->keys.n > KEYS_MAX)
		r = err_set(e, ERR_INVALID, "more than %d keys", KEYS_MAX);
	if (r == 0 && d->signed_as)
		r = read_signed_as(d->signed_as, ret, e);
	for (size_t i = 0; r == 0 && i < d->keys.n; i++)
		r = read_key(dir, d->keys.v[i], VEC_ADD(&ret->keys), e);
	return r;
}

int trust_read(const char *path, struct trust_policy **ret, struct err *e)
{
	AUTO_FREE char *text = NULL, *folder = NULL;
	AUTO_FD int dir = -1;
	struct trust_policy *p;
	struct trust_doc doc = { 0 };
	const char *slash = strrchr(path, '/');
	size_t n = 0;
	int r = file_read(AT_FDCWD, path, POLICY_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, r, "reading the signature policy %s", path);
	folder = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
	dir = dir_open(AT_FDCWD, folder); /* keys may be named relative to it */
	if (dir < 0)
		return err_sys(e, dir, "opening %s", folder);
	p = xcalloc(1, sizeof *p);
	r = json_read(&trust_doc_type, text, n, NULL, &doc, e);
	if (r == 0)
		r = unknown(&doc.extra, e);
	for (size_t i = 0; r == 0 && i < doc.rules.n; i++) {
		r = read_rule(dir, &doc.rules.v[i], VEC_ADD(p), e);
		if (r < 0)
			r = err_wrap(e, r, "rule %zu", i + 1);
	}
	json_done(&trust_doc_type, &doc);
	if (r < 0) {
		trust_free(p);
		return err_wrap(e, r, "signature policy %s", path);
	}
	*ret = p;
	return 0;
}

void trust_free(struct trust_policy *p)
{
	for (size_t i = 0; p && i < p->n; i++) {
		for (size_t k = 0; k < p->v[i].keys.n; k++) {
			free(p->v[i].keys.v[k].name);
			free(p->v[i].keys.v[k].der);
		}
		free(p->v[i].keys.v);
		free(p->v[i].signed_as);
		strv_done(&p->v[i].patterns);
	}
	if (p)
		free(p->v);
	free(p);
}

/* ---- matching ---- */
/* A pattern without * stands for the name and everything below it. Names are short and patterns the administrator's own: plain recursion. */
static bool glob(const char *p, const char *s)
{
	for (; *p; p++, s++) {
		if (*p == '*') {
			bool deep = p[1] == '*';
			const char *rest = p + 1 + deep;

			while (*rest == '*')
				rest++;
			for (;; s++) {
				if (glob(rest, s))
					return true;
				if (!*s || (*s == '/' && !deep))
					return false;
			}
		}
		if (*p != *s)
			return false;
	}
	return !*s;
}

static bool matches(const char *pattern, const char *name)
{
	const char *rest;

	if (strchr(pattern, '*'))
		return glob(pattern, name);
	rest = str_after(name, pattern);
	return rest && (!*rest || *rest == '/' || str_ends(pattern, "/"));
}

const struct trust_rule *trust_rule_for(const struct trust_policy *p, const char *name)
{
	for (size_t i = 0; p && i < p->n; i++)
		for (size_t k = 0; k < p->v[i].patterns.n; k++)
			if (matches(p->v[i].patterns.v[k], name))
				return &p->v[i];
	return NULL;
}

char *trust_signed_name(const struct trust_rule *r, const char *name)
{
	return r->signed_as ? xasprintf("%s%s", r->signed_as, name + strlen(r->patterns.v[0])) : xstrdup(name);
}
