/* signature.h - signatures of images in cosign's form: a small JSON payload ("simple signing") and a signature over its bytes. Pure:
 * bytes in, verdict out; fuzzed. Fetching them is verify.c's. */
#pragma once

#include "base/base.h"

#define SIGNATURE_ANNOTATION "dev.cosignproject.cosign/signature"
#define SIGNATURE_TYPE "cosign container image signature"
#define SIGNATURE_PAYLOAD_MAX ((size_t)64 << 10)

struct signature_key;
/* An ECDSA P-256 or P-384 or an ed25519 public key (SubjectPublicKeyInfo, DER). NULL for anything else. */
struct signature_key *signature_key_new(const void *der, size_t n);
void signature_key_free(struct signature_key *k);
/* text: base64 of the signature over the payload. ECDSA: over its SHA-256 (P-384 also SHA-384), in DER. */
bool signature_good(const struct signature_key *k, const char *text, const void *payload, size_t n);

/* What the payload has to be about; the name without tag, "docker.io/library/debian"; tag NULL where it was asked for by digest. */
struct signature_subject {
	const char *digest, *name, *tag;
};
/* 0 where this signed payload speaks of this image. Call it only for bytes whose signature is good. */
int signature_subject_check(const void *payload, size_t n, const struct signature_subject *s, struct err *e);
