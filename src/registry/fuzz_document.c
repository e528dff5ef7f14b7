/* fuzz_document.c - any bytes as a manifest or index, and as the body of an error. What a choice returns has to be usable. */
#include "registry/session.h"
#include "schema/platform.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_document(const char *p, size_t n)
{
	struct oci_platform want = { 0 };
	struct oci_manifest m = { 0 };
	const struct oci_descriptor *d;
	struct err e = ERR_INIT;

	if (platform_parse("linux/arm/v7", &want, &e) < 0)
		abort();
	if (document_read(p, n, &m, &e) == 0) {
		enum doc_kind kind = doc_kind(NULL, &m);

		if (kind == DOC_INDEX && (d = document_choose(&m, &want)) && platform_match(&want, d->platform) < 0)
			abort();
		if (kind == DOC_IMAGE && document_check_image("x", &m, &e) == 0) {
			if (!digest_ok(m.config->digest) || m.config->size < 0)
				abort();
			for (size_t i = 0; i < m.layers.n; i++)
				if (!digest_ok(m.layers.v[i].digest) || m.layers.v[i].size < 0)
					abort();
		}
	}
	json_done(&oci_manifest_type, &m);
	json_done(&oci_platform_type, &want);
}

static void as_error(const char *p, size_t n, long status)
{
	struct http h = { .status = status };
	struct err e = ERR_INIT;
	char code[64] = "";

	strmap_set(&h.resp, "content-type", "application/json");
	strb_add(&h.text, p, n);
	if (api_error(&h, code, &e) >= 0 || e.kind == ERR_NONE || !*e.msg)
		abort();
	strmap_done(&h.resp);
	strb_done(&h.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	as_document((const char *)data, size);
	as_error((const char *)data, size, 404);
	as_error((const char *)data, size, 401);
	return 0;
}
