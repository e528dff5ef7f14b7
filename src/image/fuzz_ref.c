/* fuzz_ref.c - any text as an image's name, and as a platform. A name that is taken must say the same when it is written out and read again. */
#include "image/priv.h"
#include "schema/platform.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *written, const struct ref *r)
{
	struct ref again = { 0 };

	if (ref_parse(written, &again, NULL) < 0 || !streq(again.domain, r->domain) || !streq(again.path, r->path) ||
	    !streq(again.tag, r->tag) || !streq(again.digest, r->digest))
		abort();
	ref_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *s = xstrndup((const char *)data, size);
	AUTO_STRV struct strv changes = { 0 };
	struct oci_config c = { 0 };
	struct oci_platform p = { 0 };
	struct ref r = { 0 };

	if (platform_parse(s, &p, NULL) == 0 && (str_empty(p.os) || str_empty(p.architecture)))
		abort();
	json_done(&oci_platform_type, &p);
	if (ref_parse(s, &r, NULL) == 0) {
		AUTO_FREE char *full = ref_full(&r);
		AUTO_FREE char *familiar = ref_familiar(&r);

		check(full, &r);
		if (strlen(familiar) != 64) /* 64 hex digits are taken for an id */
			check(familiar, &r);
		ref_done(&r);
	}
	strv_add(&changes, s);
	(void)changes_apply(&c, &changes, NULL);
	json_done(&oci_config_type, &c);
	return 0;
}
