/* Docker's profile format (--security-opt seccomp=FILE): the OCI policy plus conditions per rule and a map of architectures. */
#include "plan/seccomp_default_private.h"

/* clang-format off */
#define PROFILE_FILTER_FIELDS(F, T)                                     \
	F(T, STRV, caps,       "caps",      OMIT_EMPTY, none)           \
	F(T, STRV, arches,     "arches",    OMIT_EMPTY, none)           \
	F(T, STR,  min_kernel, "minKernel", OMIT_EMPTY, none)
JSON_STRUCT(profile_filter, PROFILE_FILTER_FIELDS)

#define PROFILE_SYSCALL_FIELDS(F, T)                                    \
	F(T, STR,  name,      "name",     OMIT_EMPTY, none)             \
	F(T, STRV, names,     "names",    OMIT_EMPTY, none)             \
	F(T, STR,  action,    "action",   0,          none)             \
	F(T, OINT, errno_ret, "errnoRet", OMIT_EMPTY, none)             \
	F(T, LIST, args,      "args",     OMIT_EMPTY, oci_seccomp_arg)  \
	F(T, OBJ,  includes,  "includes", 0,          profile_filter)   \
	F(T, OBJ,  excludes,  "excludes", 0,          profile_filter)
JSON_STRUCT(profile_syscall, PROFILE_SYSCALL_FIELDS)

#define PROFILE_ARCH_FIELDS(F, T)                                       \
	F(T, STR,  architecture, "architecture",     0,          none)  \
	F(T, STRV, sub,          "subArchitectures", OMIT_EMPTY, none)
JSON_STRUCT(profile_arch, PROFILE_ARCH_FIELDS)

#define PROFILE_FIELDS(F, T)                                                   \
	F(T, STR,  default_action,    "defaultAction",    0,          none)    \
	F(T, OINT, default_errno_ret, "defaultErrnoRet",  OMIT_EMPTY, none)    \
	F(T, STRV, architectures,     "architectures",    OMIT_EMPTY, none)    \
	F(T, STRV, flags,             "flags",            OMIT_EMPTY, none)    \
	F(T, STR,  listener_path,     "listenerPath",     OMIT_EMPTY, none)    \
	F(T, STR,  listener_metadata, "listenerMetadata", OMIT_EMPTY, none)    \
	F(T, LIST, arch_map,          "archMap",          OMIT_EMPTY, profile_arch) \
	F(T, LIST, syscalls,          "syscalls",         OMIT_EMPTY, profile_syscall)
JSON_STRUCT(profile, PROFILE_FIELDS)
/* clang-format on */
JSON_TYPE(profile_filter, PROFILE_FILTER_FIELDS)
JSON_TYPE(profile_syscall, PROFILE_SYSCALL_FIELDS)
JSON_TYPE(profile_arch, PROFILE_ARCH_FIELDS)
JSON_TYPE(profile, PROFILE_FIELDS)

static int kernel_at_least(const char *min, const struct seccomp_host *h, bool *ret, struct err *e)
{
	unsigned kernel = 0, major = 0;
	char rest = 0;

	if (sscanf(min, "%u.%u%c", &kernel, &major, &rest) != 2)
		return err_set(e, ERR_INVALID, "invalid kernel version: %s, expected \"<kernel>.<major>\"", min);
	*ret = seccomp_kernel_at_least(h, kernel, major);
	return 0;
}

static bool cap_in(uint64_t caps, const char *name)
{
	int n = plan_cap_number(name);

	return n >= 0 && (caps >> n & 1);
}

/* Excluded by any of its excludes, included by all of its includes. */
static int rule_applies(const struct profile_syscall *s, uint64_t caps, const struct seccomp_host *h, bool *ret,
			struct err *e)
{
	bool newer = false;
	int r;

	*ret = false;
	if (strv_has(&s->excludes.arches, h->arch))
		return 0;
	for (size_t i = 0; i < s->excludes.caps.n; i++)
		if (cap_in(caps, s->excludes.caps.v[i]))
			return 0;
	if (!str_empty(s->excludes.min_kernel)) {
		r = kernel_at_least(s->excludes.min_kernel, h, &newer, e);
		if (r < 0 || newer)
			return r;
	}
	if (s->includes.arches.n && !strv_has(&s->includes.arches, h->arch))
		return 0;
	for (size_t i = 0; i < s->includes.caps.n; i++)
		if (!cap_in(caps, s->includes.caps.v[i]))
			return 0;
	if (!str_empty(s->includes.min_kernel)) {
		r = kernel_at_least(s->includes.min_kernel, h, &newer, e);
		if (r < 0 || !newer)
			return r;
	}
	*ret = true;
	return 0;
}

static int convert(struct profile *p, uint64_t caps, const struct seccomp_host *h, struct oci_seccomp *ret,
		   struct err *e)
{
	const char *native = seccomp_native_arch(h->arch);

	if (p->architectures.n && p->arch_map.n)
		return err_set(e, ERR_INVALID,
			       "both 'architectures' and 'archMap' are specified in the seccomp profile, use either "
			       "'architectures' or 'archMap'");
	strv_copy(&ret->architectures, &p->architectures);
	for (size_t i = 0; i < p->arch_map.n; i++)
		if (native && streq(p->arch_map.v[i].architecture, native)) {
			strv_add(&ret->architectures, native);
			strv_addv(&ret->architectures, &p->arch_map.v[i].sub);
			break;
		}
	ret->default_action = TAKE_PTR(p->default_action);
	ret->default_errno_ret = p->default_errno_ret;
	ret->listener_path = TAKE_PTR(p->listener_path);
	ret->listener_metadata = TAKE_PTR(p->listener_metadata);
	strv_addv(&ret->flags, &p->flags);
	for (size_t i = 0; i < p->syscalls.n; i++) {
		struct profile_syscall *from = &p->syscalls.v[i];
		struct oci_seccomp_syscall *to;
		bool applies = false;
		int r = rule_applies(from, caps, h, &applies, e);

		if (r < 0)
			return r;
		if (!str_empty(from->name) && from->names.n)
			return err_set(e, ERR_INVALID,
				       "both 'name' and 'names' are specified in the seccomp profile, use either "
				       "'name' or 'names'");
		if (!applies)
			continue;
		to = VEC_ADD(&ret->syscalls);
		if (!str_empty(from->name))
			strv_add(&to->names, from->name);
		strv_addv(&to->names, &from->names);
		to->action = TAKE_PTR(from->action);
		to->errno_ret = from->errno_ret;
		for (size_t k = 0; k < from->args.n; k++)
			json_copy(&oci_seccomp_arg_type, VEC_ADD(&to->args), &from->args.v[k]);
	}
	return 0;
}

int seccomp_from_docker_profile(const char *json, size_t n, uint64_t caps, const struct seccomp_host *host,
				struct oci_seccomp *ret, struct err *e)
{
	struct seccomp_host h = host ? *host : seccomp_host();
	struct oci_seccomp out = { 0 };
	struct profile p = { 0 };
	struct err why = ERR_INIT;
	int r = json_read(&profile_type, json, n, &json_limits_default, &p, &why);

	if (r < 0)
		return err_set(e, ERR_INVALID, "Decoding seccomp profile failed: %s",
			       streq(why.msg, "unexpected EOF") ? "unexpected end of JSON input" : why.msg);
	r = convert(&p, caps, &h, &out, e);
	json_done(&profile_type, &p);
	if (r < 0) {
		json_done(&oci_seccomp_type, &out);
		return r;
	}
	*ret = out;
	return 0;
}
