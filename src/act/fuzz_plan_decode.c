/* Any bytes give a plan or -EBADMSG; what decodes encodes again to something that decodes to the same. */
#include "act/plan_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plan *p = NULL, *again = NULL;
	AUTO_STRB struct strb one = STRB_INIT, two = STRB_INIT;
	struct plan_process *proc = NULL;

	if (plan_process_decode(data, size, &proc) == 0)
		plan_process_free(proc);
	if (plan_decode(data, size, &p) < 0)
		return 0;
	plan_encode(p, &one);
	if (plan_decode(one.s, one.len, &again) == 0) {
		plan_encode(again, &two);
		if (one.len != two.len || memcmp(one.s, two.s, one.len) != 0)
			abort();
		plan_free(again);
	}
	plan_free(p);
	return 0;
}
