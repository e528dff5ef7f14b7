#include "plan/seccomp_default.h"

#include <sys/utsname.h>

#include "plan/seccomp_default_private.h"

enum { NE, EQ, MASKED_EQ };
static const char *const op_names[] = { "SCMP_CMP_NE", "SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ" };

struct policy_rule {
	const char *names;
	const char *caps, *not_caps, *arches, *not_arches; /* lists of words; NULL = no condition */
	unsigned kernel, major;
	struct {
		bool set;
		unsigned index, op;
		uint64_t value;
	} arg;
	unsigned answer; /* errno, or 0 = allow */
};

#define CAPS(s) .caps = (s)
#define NOT_CAPS(s) .not_caps = (s)
#define ARCHES(s) .arches = (s)
#define NOT_ARCHES(s) .not_arches = (s)
#define KERNEL(a, b) .kernel = (a), .major = (b)
#define ARG(i, o, v) .arg = { true, (i), (o), (v) }
#define ANSWER(e) .answer = (e)
#define RULE(words, ...) { .names = (words), __VA_ARGS__ },
static const struct policy_rule policy[] = {
#include "plan/seccomp_default.def"
};

/* Go's names of architectures, libseccomp's, and those that the same kernel also runs. */
static const struct {
	const char *uname, *go, *native, *sub;
} arch_map[] = {
	{ "x86_64", "amd64", "SCMP_ARCH_X86_64", "SCMP_ARCH_X86 SCMP_ARCH_X32" },
	{ "aarch64", "arm64", "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM" },
	{ "mips64", "mips64", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS SCMP_ARCH_MIPS64N32" },
	{ "mips64el", "mips64le", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL SCMP_ARCH_MIPSEL64N32" },
	{ "s390x", "s390x", "SCMP_ARCH_S390X", "SCMP_ARCH_S390" },
	{ "riscv64", "riscv64", "SCMP_ARCH_RISCV64", "" },
	{ "ppc64le", "ppc64le", "SCMP_ARCH_PPC64LE", NULL },
	{ "i686", "x86", "SCMP_ARCH_X86", NULL },
	{ "i586", "x86", "SCMP_ARCH_X86", NULL },
	{ "armv7l", "arm", "SCMP_ARCH_ARM", NULL },
	{ "armv6l", "arm", "SCMP_ARCH_ARM", NULL },
	{ "armv8l", "arm", "SCMP_ARCH_ARM", NULL },
};

/* By what this program is, not by uname: a 32-bit daemon on a 64-bit kernel starts 32-bit containers. */
#if defined(__x86_64__)
#define HOST_ARCH "amd64"
#elif defined(__i386__)
#define HOST_ARCH "x86"
#elif defined(__aarch64__)
#define HOST_ARCH "arm64"
#elif defined(__arm__)
#define HOST_ARCH "arm"
#elif defined(__riscv)
#define HOST_ARCH "riscv64"
#elif defined(__s390x__)
#define HOST_ARCH "s390x"
#elif defined(__powerpc64__)
#define HOST_ARCH "ppc64le"
#else
#define HOST_ARCH "unknown"
#endif

struct seccomp_host seccomp_host(void)
{
	struct seccomp_host ret = { .arch = HOST_ARCH, .kernel = 0, .major = 0 };
	struct utsname u;

	if (uname(&u) == 0)
		(void)sscanf(u.release, "%u.%u", &ret.kernel, &ret.major);
	return ret;
}

const char *seccomp_native_arch(const char *go)
{
	for (size_t i = 0; i < ARRAY_LEN(arch_map); i++)
		if (streq(arch_map[i].go, go))
			return arch_map[i].native;
	return NULL;
}

bool seccomp_kernel_at_least(const struct seccomp_host *h, unsigned kernel, unsigned major)
{
	return h->kernel > kernel || (h->kernel == kernel && h->major >= major);
}

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = strstr(list, word); p; p = strstr(p + 1, word))
		if ((p == list || p[-1] == ' ') && (!p[n] || p[n] == ' '))
			return true;
	return false;
}

static bool applies(const struct policy_rule *r, uint64_t caps, const struct seccomp_host *h)
{
	if (r->caps && !(caps >> plan_cap_number(r->caps) & 1))
		return false;
	if (r->not_caps && (caps >> plan_cap_number(r->not_caps) & 1))
		return false;
	if (r->arches && !has_word(r->arches, h->arch))
		return false;
	if (r->not_arches && has_word(r->not_arches, h->arch))
		return false;
	return seccomp_kernel_at_least(h, r->kernel, r->major);
}

void seccomp_default(uint64_t caps, const struct seccomp_host *host, struct oci_seccomp *ret)
{
	struct seccomp_host h = host ? *host : seccomp_host();

	ret->default_action = xstrdup("SCMP_ACT_ERRNO");
	ret->default_errno_ret = (struct json_oint){ true, EPERM };
	for (size_t i = 0; i < ARRAY_LEN(arch_map); i++)
		if (streq(arch_map[i].go, h.arch) && arch_map[i].sub) {
			strv_add(&ret->architectures, arch_map[i].native);
			strv_split(&ret->architectures, arch_map[i].sub, " ");
		}
	for (size_t i = 0; i < ARRAY_LEN(policy); i++) {
		const struct policy_rule *r = &policy[i];

		if (!applies(r, caps, &h))
			continue;
		struct oci_seccomp_syscall *s = VEC_ADD(&ret->syscalls);

		strv_split(&s->names, r->names, " ");
		s->action = xstrdup(r->answer ? "SCMP_ACT_ERRNO" : "SCMP_ACT_ALLOW");
		if (r->answer)
			s->errno_ret = (struct json_oint){ true, r->answer };
		if (r->arg.set)
			*VEC_ADD(&s->args) = (struct oci_seccomp_arg){ .index = r->arg.index,
								       .value = r->arg.value,
								       .op = xstrdup(op_names[r->arg.op]) };
	}
}
