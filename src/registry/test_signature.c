/* test_signature.c - signatures made here by OpenSSL, and what a signed payload has to say. */
#include "registry/signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "sha256:1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TYPE "cosign container image signature"

static struct signature_key *public_half(EVP_PKEY *key)
{
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der);
	struct signature_key *k;

	assert_true(n > 0);
	k = signature_key_new(der, (size_t)n);
	OPENSSL_free(der);
	return k;
}

static char *sign(EVP_PKEY *key, const EVP_MD *md, const char *text)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char sig[512];
	size_t n = sizeof sig;

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, md, NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &n, (const unsigned char *)text, strlen(text)), 1);
	EVP_MD_CTX_free(ctx);
	return base64_encode(sig, n);
}

static void check_kind(EVP_PKEY *key, EVP_PKEY *stranger, const EVP_MD *md)
{
	struct signature_key *ours = public_half(key), *theirs = public_half(stranger);
	AUTO_FREE char *text = sign(key, md, "payload");
	AUTO_FREE char *cut = xstrndup(text, strlen(text) - 8);

	assert_non_null(ours);
	assert_true(signature_good(ours, text, "payload", 7));
	assert_false(signature_good(ours, text, "payloae", 7));
	assert_false(signature_good(ours, text, "payload", 6));
	assert_false(signature_good(ours, cut, "payload", 7));
	assert_false(signature_good(ours, "", "payload", 7));
	assert_false(signature_good(ours, "no base64!", "payload", 7));
	assert_false(signature_good(theirs, text, "payload", 7));
	signature_key_free(ours);
	signature_key_free(theirs);
	EVP_PKEY_free(key);
	EVP_PKEY_free(stranger);
}

static void test_ecdsa_p256(void **state)
{
	check_kind(EVP_EC_gen("P-256"), EVP_EC_gen("P-256"), EVP_sha256());
}

static void test_ecdsa_p384_over_either_digest(void **state)
{
	check_kind(EVP_EC_gen("P-384"), EVP_EC_gen("P-384"), EVP_sha256());
	check_kind(EVP_EC_gen("P-384"), EVP_EC_gen("P-384"), EVP_sha384());
}

static void test_ed25519(void **state)
{
	check_kind(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), NULL);
}

static void test_other_keys_are_none(void **state)
{
	EVP_PKEY *k[] = { EVP_EC_gen("P-521"), EVP_EC_gen("secp256k1"), EVP_RSA_gen(1024),
			  EVP_PKEY_Q_keygen(NULL, NULL, "X25519") };

	for (size_t i = 0; i < ARRAY_LEN(k); i++) {
		assert_null(public_half(k[i]));
		EVP_PKEY_free(k[i]);
	}
	assert_null(signature_key_new("", 0));
	assert_null(signature_key_new("\x30\x03\x02\x01\x01", 5));
}

static int check(const char *json, const char *name, const char *tag, struct err *e)
{
	const struct signature_subject s = { DIGEST, name, tag };

	*e = ERR_INIT;
	return signature_subject_check(json, strlen(json), &s, e);
}

static int about(const char *reference, const char *name, const char *tag)
{
	AUTO_FREE char *json = xasprintf(
		"{\"critical\":{\"identity\":{\"docker-reference\":\"%s\"},\"image\":{\"docker-manifest-digest\":"
		"\"" DIGEST "\"},\"type\":\"" TYPE "\"},\"optional\":null}",
		reference);
	struct err e;

	return check(json, name, tag, &e);
}

static void test_names_are_compared_as_docker_reads_them(void **state)
{
	static const struct {
		const char *reference, *name, *tag;
		bool good;
	} rows[] = {
		{ "127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b", "1", true },
		{ "index.docker.io/library/x", "docker.io/library/x", "1", true },
		{ "docker.io/x", "docker.io/library/x", "1", true },
		{ "x", "docker.io/library/x", NULL, true },
		{ "joe/x", "docker.io/joe/x", NULL, true },
		{ "localhost/x", "localhost/x", NULL, true },
		{ "x:1", "docker.io/library/x", "1", true },
		{ "x:1", "docker.io/library/x", "2", false },
		{ "x:1", "docker.io/library/x", NULL, true },
		{ "x@" DIGEST, "docker.io/library/x", "1", true },
		{ "x@" OTHER, "docker.io/library/x", "1", false },
		{ "127.0.0.1:5000/a/c", "127.0.0.1:5000/a/b", "1", false },
		{ "127.0.0.1:5001/a/b", "127.0.0.1:5000/a/b", "1", false },
		{ "127.0.0.1:5000/a", "127.0.0.1:5000/a/b", "1", false },
		{ "127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b", "1", false },
		{ "", "docker.io/library/x", "1", false },
		{ ":", "docker.io/library/x", "1", false },
		{ "/", "docker.io/library/x", "1", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(about(rows[i].reference, rows[i].name, rows[i].tag) == 0, rows[i].good);
}

static void test_payloads_that_are_refused(void **state)
{
	static const struct {
		const char *json, *why;
	} rows[] = {
		{ "", "no JSON" },
		{ "[]", "incomplete" },
		{ "{\"critical\":", "no JSON" },
		{ "{\"critical\":{\"identity\":{\"docker-reference\":\"x\"},\"image\":{\"docker-manifest-digest\":"
		  "\"" OTHER "\"},\"type\":\"" TYPE "\"}}",
		  "another digest: " OTHER },
		{ "{\"critical\":{\"identity\":{\"docker-reference\":\"x\"},\"image\":{\"docker-manifest-digest\":"
		  "\"" DIGEST "\"},\"type\":\"atomic container signature\"}}",
		  "another type" },
		{ "{\"critical\":{\"identity\":{\"docker-reference\":\"x\"},\"image\":{\"docker-manifest-digest\":"
		  "\"" DIGEST "\"}}}",
		  "incomplete" },
		{ "{\"critical\":{\"identity\":{\"docker-reference\":\"x\"},\"image\":{\"docker-manifest-digest\":["
		  "\"" DIGEST "\"]},\"type\":\"" TYPE "\"}}",
		  "incomplete" },
		{ "{\"critical\":{\"identity\":{\"docker-reference\":\"x\\u0000\"},\"image\":{\"docker-manifest-"
		  "digest\":\"" DIGEST "\"},\"type\":\"" TYPE "\"}}",
		  "no text" },
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(check(rows[i].json, "docker.io/library/x", "1", &e) < 0);
		assert_non_null(strstr(e.msg, rows[i].why));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ecdsa_p256),
		cmocka_unit_test(test_ecdsa_p384_over_either_digest),
		cmocka_unit_test(test_ed25519),
		cmocka_unit_test(test_other_keys_are_none),
		cmocka_unit_test(test_names_are_compared_as_docker_reads_them),
		cmocka_unit_test(test_payloads_that_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
