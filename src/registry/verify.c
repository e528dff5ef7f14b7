/* verify.c - looks for a good signature of an image: cosign's tag "sha256-<hex>.sig" first, then what refers to the image. */
#include "registry/session.h"
#include "registry/signature.h"

#define SIGNATURES_MAX 128 /* looked at, of one image */
#define REFERRERS_MAX 32   /* of one digest */
#define REASONS_MAX 4

struct verify {
	struct session *s;
	const struct verify_request *q;
	struct signature_subject subject;
	struct signature_key **keys;
	unsigned seen;
	struct strv reasons;
	char *good; /* the key's name */
};

static void because(struct verify *v, const char *text)
{
	if (v->reasons.n < REASONS_MAX && !strv_has(&v->reasons, text))
		strv_add(&v->reasons, text);
}

static void not_by_our_keys(struct verify *v)
{
	AUTO_STRB struct strb b = STRB_INIT;

	strb_adds(&b, v->q->n_keys == 1 ? "not signed by the key " : "signed by none of the keys ");
	for (size_t i = 0; i < v->q->n_keys; i++)
		strb_addf(&b, "%s%s", i ? ", " : "", v->q->keys[i].name);
	because(v, strb_str(&b));
}

/* One signature: a layer of a signature manifest. The bytes are read as JSON only when a key has vouched for them. */
static void look_at(struct verify *v, const struct oci_descriptor *d, const char *signature)
{
	AUTO_STRB struct strb payload = STRB_INIT;
	struct err e = ERR_INIT;

	v->seen++;
	if (d->size < 1 || d->size > (int64_t)SIGNATURE_PAYLOAD_MAX || !d->digest || !digest_ok(d->digest)) {
		because(v, "its payload has a wrong size or digest");
		return;
	}
	if (small_blob(v->s, d, SIGNATURE_PAYLOAD_MAX, &payload, &e) < 0) {
		AUTO_FREE char *text = xasprintf("its payload cannot be had: %s", e.msg);

		because(v, text);
		return;
	}
	for (size_t i = 0; i < v->q->n_keys; i++) {
		if (!signature_good(v->keys[i], signature, strb_str(&payload), payload.len))
			continue;
		if (signature_subject_check(strb_str(&payload), payload.len, &v->subject, &e) == 0)
			v->good = xstrdup(v->q->keys[i].name);
		else
			because(v, e.msg);
		return;
	}
	not_by_our_keys(v);
}

/* A manifest by tag or digest. Negative: the registry did not answer; a manifest that is not there is no error. */
static int look_into(struct verify *v, const char *what, struct err *e)
{
	CLEANUP(doc_done) struct doc d = { 0 };
	struct oci_manifest m = { 0 };
	int r = document_fetch(v->s, what, &d, e);

	if (r < 0)
		return e->kind == ERR_NOT_FOUND ? 0 : r;
	if (document_read(d.bytes, d.n, &m, NULL) < 0) {
		because(v, "what should hold signatures is no manifest");
		return 0;
	}
	for (size_t i = 0; i < m.layers.n && !v->good && v->seen < SIGNATURES_MAX; i++) {
		const char *signature = strmap_get(&m.layers.v[i].annotations, SIGNATURE_ANNOTATION);

		if (signature)
			look_at(v, &m.layers.v[i], signature);
	}
	json_done(&oci_manifest_type, &m);
	return 0;
}

static bool may_sign(const struct oci_descriptor *d)
{
	return d->digest && digest_ok(d->digest) && !streq(d->artifact_type, "application/spdx+json") &&
	       !streq(d->artifact_type, "application/vnd.cyclonedx+json");
}

static int look_at_referrers(struct verify *v, struct err *e)
{
	AUTO_STRB struct strb index = STRB_INIT;
	struct oci_manifest m = { 0 };
	size_t n = 0;
	int r = referrers_fetch(v->s, v->subject.digest, NULL, &index, e);

	if (r < 0)
		return r;
	if (document_read(strb_str(&index), index.len, &m, NULL) < 0) {
		because(v, "the list of referrers is no index");
		return 0;
	}
	for (size_t i = 0; r == 0 && i < m.manifests.n && n < REFERRERS_MAX && !v->good; i++)
		if (may_sign(&m.manifests.v[i])) {
			n++;
			r = look_into(v, m.manifests.v[i].digest, e);
		}
	json_done(&oci_manifest_type, &m);
	return r;
}

static int look_for(struct verify *v, const char *digest, struct err *e)
{
	AUTO_FREE char *tag = xasprintf("sha256-%s.sig", digest + strlen("sha256:"));
	int r;

	v->subject.digest = digest;
	r = look_into(v, tag, e);
	return r < 0 || v->good ? r : look_at_referrers(v, e);
}

static char *verdict(const struct verify *v)
{
	struct strb b = STRB_INIT;

	if (v->good)
		return xstrdup(v->good);
	if (!v->seen && !v->reasons.n)
		return xstrdup("it has no signature");
	strb_addf(&b, "%u signature%s found, none is good", v->seen, v->seen == 1 ? "" : "s");
	for (size_t i = 0; i < v->reasons.n; i++)
		strb_addf(&b, "%s%s", i ? "; " : ": ", v->reasons.v[i]);
	return strb_take(&b);
}

static int make_keys(struct verify *v, struct err *e)
{
	v->keys = xcalloc(v->q->n_keys + 1, sizeof(struct signature_key *));
	for (size_t i = 0; i < v->q->n_keys; i++) {
		v->keys[i] = signature_key_new(v->q->keys[i].der, v->q->keys[i].n);
		if (!v->keys[i])
			return err_set(e, ERR_SYSTEM, "%s is no ECDSA P-256, P-384 or ed25519 public key",
				       v->q->keys[i].name);
	}
	return 0;
}

int do_verify(struct session *s, const struct verify_request *q, struct strb *out, struct err *e)
{
	AUTO_FREE char *text = NULL;
	struct verify v = { .s = s, .q = q, .subject = { .name = q->name, .tag = q->tag } };
	int r = make_keys(&v, e);

	for (size_t i = 0; r == 0 && i < q->n_digests && !v.good; i++)
		r = digest_ok(q->digests[i]) ? look_for(&v, q->digests[i], e)
					     : err_set(e, ERR_INVALID, "invalid checksum digest format");
	if (r == 0) {
		text = verdict(&v);
		msg_put_u32(out, v.good != NULL);
		msg_put_str(out, text);
	}
	for (size_t i = 0; i < q->n_keys; i++)
		signature_key_free(v.keys[i]);
	free(v.keys);
	free(v.good);
	strv_done(&v.reasons);
	return r;
}
