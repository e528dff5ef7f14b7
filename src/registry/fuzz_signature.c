/* fuzz_signature.c - any bytes as a signed payload, as an annotation, as a key. A payload that is accepted says what was asked for. */
#include "registry/signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const unsigned char ed25519[] = { /* SubjectPublicKeyInfo of RFC 8032's first test key */
					 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21,
					 0x00, 0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b,
					 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda,
					 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct signature_subject subject = { DIGEST, "docker.io/library/x", "1" };
	AUTO_FREE char *text = xstrndup((const char *)data, size);
	struct signature_key *key = signature_key_new(ed25519, sizeof ed25519);
	struct err e = ERR_INIT;
	int r = signature_subject_check(data, size, &subject, &e);

	if (!key)
		abort();
	if (r < 0 ? e.kind == ERR_NONE || !*e.msg : !memmem(data, size, "x", 1))
		abort();
	if (signature_good(key, text, "payload", 7)) /* nobody has its private half here */
		abort();
	signature_key_free(key);
	signature_key_free(signature_key_new(data, size));
	return 0;
}
