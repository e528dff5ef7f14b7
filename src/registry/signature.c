/* signature.c - see signature.h. */
#include "registry/signature.h"
#include "json/json.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#define SIGNATURE_BYTES_MAX 512

struct signature_key {
	EVP_PKEY *key;
	const EVP_MD
		*digests[3]; /* each that a signature may have been made over, NULL ends; none = the payload itself */
	bool ed25519;
};

static bool ec_group(EVP_PKEY *key, char *ret, size_t room)
{
	return EVP_PKEY_get_group_name(key, ret, room, NULL) == 1;
}

struct signature_key *signature_key_new(const void *der, size_t n)
{
	const unsigned char *p = der;
	struct signature_key k = { .key = d2i_PUBKEY(NULL, &p, (long)n) };
	char group[64] = "";

	if (!k.key)
		return NULL;
	if (p == (const unsigned char *)der + n && EVP_PKEY_get_id(k.key) == EVP_PKEY_ED25519) {
		k.ed25519 = true;
	} else if (p == (const unsigned char *)der + n && EVP_PKEY_get_id(k.key) == EVP_PKEY_EC &&
		   ec_group(k.key, group, sizeof group) && (streq(group, "prime256v1") || streq(group, "secp384r1"))) {
		k.digests[0] = EVP_sha256();
		k.digests[1] = streq(group, "secp384r1") ? EVP_sha384() : NULL;
	} else {
		EVP_PKEY_free(k.key);
		return NULL;
	}
	return memcpy(xmalloc(sizeof k), &k, sizeof k);
}

void signature_key_free(struct signature_key *k)
{
	if (k)
		EVP_PKEY_free(k->key);
	free(k);
}

static bool good(const struct signature_key *k, const EVP_MD *md, const struct strb *sig, const void *payload, size_t n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestVerifyInit(ctx, NULL, md, NULL, k->key) == 1 &&
		  EVP_DigestVerify(ctx, (const unsigned char *)strb_str(sig), sig->len, payload, n) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

bool signature_good(const struct signature_key *k, const char *text, const void *payload, size_t n)
{
	AUTO_STRB struct strb sig = STRB_INIT;

	if (strlen(text) > SIGNATURE_BYTES_MAX * 4 / 3 || base64_decode(text, strlen(text), &sig) < 0 || sig.len == 0)
		return false;
	if (k->ed25519)
		return good(k, NULL, &sig, payload, n);
	for (size_t i = 0; k->digests[i]; i++)
		if (good(k, k->digests[i], &sig, payload, n))
			return true;
	return false;
}

/* ---- what is signed ---- */
/* "index.docker.io/library/x:1@sha256:..." in its parts, the name as Docker normalises it. */
static void split(const char *text, char **ret_name, char **ret_tag, char **ret_digest)
{
	AUTO_FREE char *s = xstrdup(text);
	char *at = strchr(s, '@'), *colon, *slash;
	bool domain;

	*ret_digest = at ? xstrdup(at + 1) : NULL;
	if (at)
		*at = 0;
	slash = strrchr(s, '/');
	colon = strchr(slash ? slash : s, ':');
	*ret_tag = colon ? xstrdup(colon + 1) : NULL;
	if (colon)
		*colon = 0;
	slash = strchr(s, '/');
	domain = slash && (memchr(s, '.', (size_t)(slash - s)) || memchr(s, ':', (size_t)(slash - s)) ||
			   str_after(s, "localhost/"));
	if (!domain)
		*ret_name = xasprintf("docker.io/%s%s", slash ? "" : "library/", s);
	else if (str_after(s, "index.docker.io/") || str_after(s, "docker.io/"))
		*ret_name = xasprintf("docker.io/%s%s", strchr(slash + 1, '/') ? "" : "library/", slash + 1);
	else
		*ret_name = xstrdup(s);
}

static int check_reference(const char *text, const struct signature_subject *s, struct err *e)
{
	AUTO_FREE char *name = NULL, *tag = NULL, *digest = NULL;

	if (strlen(text) > 1024)
		return err_set(e, ERR_INVALID, "signed for a repository with too long a name");
	split(text, &name, &tag, &digest);
	if (!streq(name, s->name))
		return err_set(e, ERR_INVALID, "signed for another repository: %s", text);
	if (tag && s->tag && !streq(tag, s->tag))
		return err_set(e, ERR_INVALID, "signed for another tag: %s", text);
	if (digest && !streq(digest, s->digest))
		return err_set(e, ERR_INVALID, "signed for another digest: %s", text);
	return 0;
}

/* JSON's strings may hold a NUL: what stands behind it would be compared by nobody. */
static const char *plain(const struct jval *v)
{
	const char *s = jval_kind(v) == JVAL_STR ? jval_str(v) : "";

	return *s ? s : NULL;
}

static int check(const struct jval *v, const struct signature_subject *s, struct err *e)
{
	const struct jval *critical = jval_get(v, "critical");
	const char *type = plain(jval_get(critical, "type")),
		   *digest = plain(jval_get(jval_get(critical, "image"), "docker-manifest-digest")),
		   *reference = plain(jval_get(jval_get(critical, "identity"), "docker-reference"));

	if (!type || !digest || !reference)
		return err_set(e, ERR_INVALID, "the signed payload is incomplete");
	if (!streq(type, SIGNATURE_TYPE))
		return err_set(e, ERR_INVALID, "the signed payload is of another type: %.100s", type);
	if (!streq(digest, s->digest))
		return err_set(e, ERR_INVALID, "signed for another digest: %.100s", digest);
	return check_reference(reference, s, e);
}

int signature_subject_check(const void *payload, size_t n, const struct signature_subject *s, struct err *e)
{
	const struct json_limits limits = { .bytes = SIGNATURE_PAYLOAD_MAX, .depth = 16, .values = 1000 };
	struct jval *v = NULL;
	int r;

	if (memchr(payload, 0, n) || memmem(payload, n, "\\u0000", 6))
		return err_set(e, ERR_INVALID, "the signed payload is no text");
	r = jval_parse(payload, n, &limits, &v, e);
	if (r < 0)
		return err_set(e, ERR_INVALID, "the signed payload is no JSON");
	r = check(v, s, e);
	jval_free(v);
	return r;
}
