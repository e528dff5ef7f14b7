/* platform.c - the rules of platform.h. */
#include "schema/platform.h"

#include <ctype.h>

static const struct {
	const char *said, *arch, *variant; /* variant NULL = as said */
} names[] = {
	{ "x86_64", "amd64", NULL },  { "x86-64", "amd64", NULL }, { "i386", "386", NULL },
	{ "i486", "386", NULL },      { "i586", "386", NULL },     { "i686", "386", NULL },
	{ "aarch64", "arm64", NULL }, { "armhf", "arm", "v7" },    { "armel", "arm", "v6" },
};

static void set(char **to, const char *text)
{
	free(*to);
	*to = str_empty(text) ? NULL : xstrdup(text);
}

static void lower(char *s)
{
	for (; s && *s; s++)
		*s = (char)tolower((unsigned char)*s);
}

static void platform_normalise(struct oci_platform *p)
{
	lower(p->os);
	lower(p->architecture);
	lower(p->variant);
	if (streq(p->os, "macos"))
		set(&p->os, "darwin");
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (streq(p->architecture, names[i].said)) {
			set(&p->architecture, names[i].arch);
			if (names[i].variant)
				set(&p->variant, names[i].variant);
			break;
		}
	if (p->variant && isdigit((unsigned char)*p->variant)) { /* "7", "8" */
		char *v = xasprintf("v%s", p->variant);

		free(p->variant);
		p->variant = v;
	}
	if ((streq(p->architecture, "amd64") && streq(p->variant, "v1")) ||
	    (streq(p->architecture, "arm64") && streq(p->variant, "v8")) || streq(p->architecture, "386"))
		set(&p->variant, NULL);
	if (streq(p->architecture, "arm") && !p->variant)
		set(&p->variant, "v7");
	if (p->variant && !*p->variant)
		set(&p->variant, NULL);
}

const char *platform_arch(void)
{
#if defined(__x86_64__)
	return "amd64";
#elif defined(__aarch64__)
	return "arm64";
#elif defined(__arm__)
	return "arm";
#elif defined(__i386__)
	return "386";
#elif defined(__riscv)
	return "riscv64";
#elif defined(__powerpc64__)
	return "ppc64le";
#elif defined(__s390x__)
	return "s390x";
#elif defined(__mips64)
	return "mips64le";
#elif defined(__loongarch64)
	return "loong64";
#else
	return "unknown";
#endif
}

static const char *variant_here(void)
{
#if defined(__x86_64__)
	/* the levels' own names ("x86-64-v3") are not known to every compiler; these stand for them */
	__builtin_cpu_init();
	if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("ssse3") || !__builtin_cpu_supports("popcnt"))
		return NULL;
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2") ||
	    !__builtin_cpu_supports("fma"))
		return "v2";
	if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
	    !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq") ||
	    !__builtin_cpu_supports("avx512vl"))
		return "v3";
	return "v4";
#elif defined(__arm__) && defined(__ARM_ARCH)
	return __ARM_ARCH >= 7 ? "v7" : __ARM_ARCH == 6 ? "v6" : "v5";
#else
	return NULL;
#endif
}

void platform_here(struct oci_platform *ret)
{
	*ret = (struct oci_platform){ .os = xstrdup("linux"),
				      .architecture = xstrdup(platform_arch()),
				      .variant = xstrdup(variant_here()) };
}

char *platform_text(const struct oci_platform *p)
{
	return xasprintf("%s/%s%s%s", p->os ? p->os : "", p->architecture ? p->architecture : "", p->variant ? "/" : "",
			 p->variant ? p->variant : "");
}

static bool word(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("_-.", *s))
			return false;
	return true;
}

static bool known_arch(const char *s)
{
	static const char *const known[] = { "386",    "amd64",    "arm",    "arm64",   "loong64", "mips",  "mipsle",
					     "mips64", "mips64le", "ppc64",  "ppc64le", "riscv64", "s390x", "sparc64",
					     "wasm",   "x86_64",   "x86-64", "i386",    "aarch64", "armhf", "armel" };

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcasecmp(s, known[i]) == 0)
			return true;
	return false;
}

static bool known_os(const char *s)
{
	static const char *const known[] = { "linux",   "windows", "darwin",  "macos",   "freebsd", "netbsd",
					     "openbsd", "solaris", "illumos", "android", "aix",     "wasip1" };

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcasecmp(s, known[i]) == 0)
			return true;
	return false;
}

/* as dockerd quotes its regular expression */
static const char os_pattern[] = "^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.%-]*)((?:\\\\+[A-Za-z0-9_.%-]+)*)\\\\))?$";

static int one_word(const char *text, const char *s, struct oci_platform *ret, struct err *e)
{
	platform_here(ret);
	if (known_os(s)) {
		set(&ret->os, s);
		return 0;
	}
	if (!known_arch(s)) {
		json_done(&oci_platform_type, ret);
		return err_set(e, ERR_INVALID, "\"%s\": unknown operating system or architecture: invalid argument",
			       text);
	}
	set(&ret->architecture, s);
	set(&ret->variant, NULL);
	platform_normalise(ret);
	return 0;
}

/* At most four parts: the last one keeps its slashes. */
static void split(const char *s, struct strv *ret)
{
	for (size_t n = 0;; s += n + 1) {
		n = ret->n < 3 ? strcspn(s, "/") : strlen(s);
		strv_push(ret, xstrndup(s, n));
		if (!s[n])
			return;
	}
}

/* "windows(10.0)": the version is read over. */
static char *os_name(const char *part)
{
	size_t n = strcspn(part, "(");
	AUTO_FREE char *name = xstrndup(part, n);

	return word(name) && !strchr(name, '.') && (!part[n] || str_ends(part, ")")) ? TAKE_PTR(name) : NULL;
}

int platform_parse(const char *text, struct oci_platform *ret, struct err *e)
{
	AUTO_STRV struct strv parts = { 0 };
	AUTO_FREE char *os = NULL;

	if (str_empty(text)) {
		platform_here(ret);
		return 0;
	}
	if (strchr(text, '*'))
		return err_set(e, ERR_INVALID, "\"%.200s\": wildcards not yet supported: invalid argument", text);
	split(text, &parts);
	os = os_name(parts.v[0]);
	if (!os)
		return err_set(e, ERR_INVALID,
			       "\"%.200s\" is an invalid OS component of \"%.200s\": OSAndVersion specifier component "
			       "must match \"%s\": invalid argument",
			       parts.v[0], text, os_pattern);
	for (size_t i = 1; i < parts.n; i++)
		if (!word(parts.v[i]))
			return err_set(e, ERR_INVALID,
				       "\"%.200s\" is an invalid component of \"%.200s\": platform specifier component "
				       "must match \"^[A-Za-z0-9_.-]+$\": invalid argument",
				       parts.v[i], text);
	if (parts.n > 3)
		return err_set(e, ERR_INVALID, "\"%.200s\": cannot parse platform specifier: invalid argument", text);
	if (parts.n == 1)
		return one_word(text, os, ret, e);
	*ret = (struct oci_platform){ .os = TAKE_PTR(os),
				      .architecture = xstrdup(parts.v[1]),
				      .variant = parts.n == 3 ? xstrdup(parts.v[2]) : NULL };
	platform_normalise(ret);
	return 0;
}

static int level(const char *variant, int none)
{
	uint32_t v = 0;

	if (!variant)
		return none;
	return *variant == 'v' && str_to_u32(variant + 1, 10, &v) == 0 && v < 100 ? (int)v : -1;
}

/* An older level of the same family serves; -1 where it does not. */
static int older(const char *want, const char *have, int none, int least)
{
	int w = level(want, none), h = level(have, none);

	if (w < 0 || h < 0)
		return streq(want, have) ? 0 : -1;
	return h <= w && h >= least ? w - h : -1;
}

int platform_match(const struct oci_platform *want, const struct oci_platform *have_said)
{
	struct oci_platform have = { 0 };
	int r = -1;

	if (!have_said || str_empty(have_said->architecture))
		return PLATFORM_UNSAID;
	json_copy(&oci_platform_type, &have, have_said);
	platform_normalise(&have);
	if (!streq(want->os, have.os))
		r = -1;
	else if (streq(want->architecture, have.architecture))
		r = streq(want->architecture, "amd64")   ? older(want->variant, have.variant, 1, 1)
		    : streq(want->architecture, "arm")   ? older(want->variant, have.variant, 7, 5)
		    : streq(want->architecture, "arm64") ? older(want->variant, have.variant, 8, 8)
							 : (streq(want->variant, have.variant) ? 0 : -1);
	else if (streq(want->architecture, "amd64") && streq(have.architecture, "386"))
		r = 100;
	else if (streq(want->architecture, "arm64") && streq(have.architecture, "arm")) {
		r = older("v8", have.variant, 7, 5);
		r = r < 0 ? r : 100 + r;
	}
	json_done(&oci_platform_type, &have);
	return r;
}
