#include "plan/plan.h"

static const char *const cap_names[] = {
#define CAP(name) "CAP_" #name,
#include "plan/caps.def"
#undef CAP
};

int plan_cap_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(cap_names); i++)
		if (streq(name, cap_names[i]))
			return (int)i;
	return -EINVAL;
}

const char *plan_cap_name(unsigned number)
{
	return number < ARRAY_LEN(cap_names) ? cap_names[number] : NULL;
}

unsigned plan_cap_count(void)
{
	return ARRAY_LEN(cap_names);
}

uint64_t plan_cap_mask(const struct strv *names)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < names->n; i++) {
		int n = plan_cap_number(names->v[i]);

		if (n >= 0)
			mask |= UINT64_C(1) << n;
	}
	return mask;
}
