/* passwd, group and the wanted user, parted by NUL bytes: any of them is resolved or refused, and what comes out stays in bounds. */
#include "act/act.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* "user\0name\0passwd\0group" */
	const char *part[4] = { "", "", "", "" };
	size_t len[4] = { 0 };
	AUTO_FREE char *copy = xmalloc(size + 1);
	const char *names[2] = { NULL, NULL };
	struct plan_process p = { .late = PLAN_LATE_HOME, .group_names = names };
	struct act_identity id = { 0 };
	struct err e = ERR_INIT;
	char *at = copy, *end = copy + size;

	memcpy(copy, data, size);
	*end = 0;
	for (int i = 0; i < 4 && at <= end; i++) {
		char *nul = i < 3 ? memchr(at, 0, (size_t)(end - at)) : NULL;

		part[i] = at;
		len[i] = (size_t)((nul ? nul : end) - at);
		at = nul ? nul + 1 : end + 1;
	}
	p.user = part[0];
	names[0] = *part[1] ? part[1] : NULL;
	if (act_identity_parse(part[2], len[2], part[3], len[3], &p, &id, &e) == 0) {
		if (!id.home || id.n_groups > 65536)
			abort();
		act_identity_done(&id);
	} else if (!e.msg[0]) {
		abort();
	}
	return 0;
}
