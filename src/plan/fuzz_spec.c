/* config.json -> plan -> bytes: any text gives a plan or a sentence, and a plan survives its own codec. */
#include "plan/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct plan_env env = { .id = "fuzz", .bundle = "/bundle", .cgroup_version = n & 1 ? 2 : 1 };
	struct oci_spec spec = { 0 };
	AUTO_STRB struct strb bytes = STRB_INIT;
	struct plan *p = NULL;
	struct err e = ERR_INIT;

	if (json_read(&oci_spec_type, (const char *)data, n, &json_limits_default, &spec, &e) < 0)
		return 0;
	if (plan_from_spec(&spec, &env, &bytes, &p, &e) == 0)
		plan_free(p);
	else if (!e.msg[0])
		abort();
	json_done(&oci_spec_type, &spec);
	return 0;
}
