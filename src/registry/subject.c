/* subject.c - who refers to whom, where a registry does not keep that list itself: an index under the tag "sha256-<hex>" that clients write
 * (OCI distribution specification, "Pushing Manifests with Subject"). */
#include "registry/session.h"

#define ENTRIES_MAX 10000
#define OCI_INDEX "application/vnd.oci.image.index.v1+json"
static const struct json_limits limits = { .bytes = REG_DOCUMENT_MAX, .depth = 32, .values = 500000 };

/* One at a time in this worker; two clients at once may still lose an entry, as the specification says of this way. */
static struct fiber_gate gate = { .free = 1 };

static void add_entry(struct strb *out, const struct referrer *r)
{
	const struct oci_manifest *m = r->doc;
	const char *type = !str_empty(m->artifact_type) ? m->artifact_type : m->config ? m->config->media_type : NULL;

	strb_adds(out, "{\"mediaType\":");
	json_add_str(out, r->media_type);
	strb_addf(out, ",\"digest\":\"%s\",\"size\":%zu", r->digest, r->n);
	for (size_t i = 0; i < m->annotations.n; i++) {
		strb_adds(out, i ? "," : ",\"annotations\":{");
		json_add_str(out, m->annotations.v[i].k);
		strb_addc(out, ':');
		json_add_str(out, m->annotations.v[i].v);
	}
	strb_adds(out, m->annotations.n ? "}" : "");
	if (!str_empty(type)) {
		strb_adds(out, ",\"artifactType\":");
		json_add_str(out, type);
	}
	strb_addc(out, '}');
}

int referrers_add(const char *index, size_t n, const struct referrer *r, struct strb *out, struct err *e)
{
	struct jval *v = NULL;
	const struct jval *list;
	int k = n ? jval_parse(index, n, &limits, &v, e) : 0;
	bool there = false;

	if (k < 0)
		return k;
	list = jval_get(v, "manifests");
	if (n && (jval_kind(list) != JVAL_LIST || jval_len(list) >= ENTRIES_MAX)) {
		jval_free(v);
		return err_set(e, ERR_CONFLICT, "it is no index that could be added to");
	}
	for (size_t i = 0; i < jval_len(list); i++)
		there |= streq(jval_str(jval_get(jval_at(list, i), "digest")), r->digest);
	if (!there) {
		strb_adds(out, "{\"schemaVersion\":2,\"mediaType\":\"" OCI_INDEX "\",\"manifests\":[");
		for (size_t i = 0; i < jval_len(list); i++) {
			jval_write(jval_at(list, i), out);
			strb_addc(out, ',');
		}
		add_entry(out, r);
		strb_adds(out, "]}");
	}
	jval_free(v);
	return 0;
}

static int update(struct session *s, const char *tag, const struct referrer *r, struct err *e)
{
	CLEANUP(doc_done) struct doc old = { 0 };
	AUTO_STRB struct strb text = STRB_INIT;
	char digest[72];
	int k = document_fetch(s, tag, &old, e);

	if (k < 0 && e->kind != ERR_NOT_FOUND)
		return k;
	k = referrers_add(old.bytes, old.n, r, &text, e);
	if (k < 0)
		return k;
	return text.len ? manifest_put(s, tag, OCI_INDEX, strb_str(&text), text.len, digest, NULL, e) : 0;
}

/* A manifest with a subject was put: the registry says so in a header where it keeps the list. */
int subject_note(struct session *s, const char *media_type, const void *p, size_t n, const char *digest, struct err *e)
{
	struct oci_manifest m = { 0 };
	struct referrer r = { .media_type = media_type, .digest = digest, .n = n, .doc = &m };
	int k = 0;

	if (document_read(p, n, &m, NULL) == 0 && m.subject && m.subject->digest && digest_ok(m.subject->digest)) {
		AUTO_FREE char *tag = xasprintf("sha256-%s", m.subject->digest + strlen("sha256:"));

		fiber_enter(&gate);
		k = update(s, tag, &r, e);
		fiber_leave(&gate);
		if (k < 0)
			k = err_wrap(e, k, "listing %s as a referrer under the tag %s", digest, tag);
	}
	json_done(&oci_manifest_type, &m);
	return k;
}
