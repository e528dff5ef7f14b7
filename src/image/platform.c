/* platform.c - "linux/arm/v7": the notation of platforms, with the alternative names that Docker's clients may use. Pure. */
#include "image/priv.h"

#include <ctype.h>

#define OS_PATTERN "^([A-Za-z0-9_-]+)(?:\\\\(([A-Za-z0-9_.%%-]*)((?:\\\\+[A-Za-z0-9_.%%-]+)*)\\\\))?$"
#define WORD_PATTERN "^[A-Za-z0-9_.-]+$"

/* Names that may stand alone. */
static const char *const systems[] = { "aix",     "android", "darwin",  "dragonfly", "freebsd", "hurd",
				       "illumos", "ios",     "js",      "linux",     "nacl",    "netbsd",
				       "openbsd", "plan9",   "solaris", "windows",   "zos" };
static const char *const architectures[] = { "386",     "amd64",    "amd64p32",  "arm",         "armbe",   "arm64",
					     "arm64be", "ppc64",    "ppc64le",   "loong64",     "mips",    "mipsle",
					     "mips64",  "mips64le", "mips64p32", "mips64p32le", "ppc",     "riscv",
					     "riscv64", "s390",     "s390x",     "sparc",       "sparc64", "wasm" };

static bool listed(const char *const *v, size_t n, const char *s)
{
	for (size_t i = 0; i < n; i++)
		if (streq(v[i], s))
			return true;
	return false;
}

void image_platform_done(struct image_platform *p)
{
	free(p->os);
	free(p->architecture);
	free(p->variant);
	*p = (struct image_platform){ 0 };
}

static char *lower(const char *s)
{
	char *copy = xstrdup(s);

	for (char *c = copy; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return copy;
}

/* Other people's names for the same machine. */
static void set_architecture(struct image_platform *p, const char *architecture, const char *variant)
{
	static const struct {
		const char *name, *is, *variant;
	} others[] = {
		{ "i386", "386", "" },      { "x86_64", "amd64", "" }, { "x86-64", "amd64", "" },
		{ "aarch64", "arm64", "" }, { "armhf", "arm", "v7" },  { "armel", "arm", "v6" },
	};
	AUTO_FREE char *a = lower(architecture);
	AUTO_FREE char *v = lower(variant);

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		if (!streq(a, others[i].name))
			continue;
		free(a);
		a = xstrdup(others[i].is);
		if (*others[i].variant) {
			free(v);
			v = xstrdup(others[i].variant);
		}
	}
	if (streq(a, "arm") && *v >= '5' && *v <= '8' && !v[1]) {
		char *longer = xasprintf("v%s", v);

		free(v);
		v = longer;
	}
	if ((streq(a, "amd64") && streq(v, "v1")) || (streq(a, "arm64") && streq(v, "8")))
		*v = '\0';
	p->architecture = TAKE_PTR(a);
	p->variant = *v ? TAKE_PTR(v) : NULL;
}

static bool is_word(const char *s, const char *more)
{
	const char *p = s;

	while (isalnum((unsigned char)*p) || (*p && strchr(more, *p)))
		p++;
	return p > s && !*p;
}

static int set_os(struct image_platform *p, const char *part, const char *whole, struct err *e)
{
	size_t n = strcspn(part, "(");
	AUTO_FREE char *name = xstrndup(part, n);

	if (!is_word(name, "_-") || (part[n] && !str_ends(part, ")")))
		return err_set(
			e, ERR_INVALID,
			"\"%.200s\" is an invalid OS component of \"%.200s\": OSAndVersion specifier component must "
			"match \"" OS_PATTERN "\": invalid argument",
			part, whole);
	p->os = lower(name);
	if (streq(p->os, "macos")) {
		free(p->os);
		p->os = xstrdup("darwin");
	}
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

static int parse(const char *s, struct image_platform *p, struct err *e)
{
	AUTO_STRV struct strv parts = { 0 };
	int r;

	if (strchr(s, '*'))
		return err_set(e, ERR_INVALID, "\"%.200s\": wildcards not yet supported: invalid argument", s);
	split(s, &parts);
	r = set_os(p, parts.v[0], s, e);
	if (r < 0)
		return r;
	for (size_t i = 1; i < parts.n; i++)
		if (!is_word(parts.v[i], "_.-"))
			return err_set(
				e, ERR_INVALID,
				"\"%.200s\" is an invalid component of \"%.200s\": platform specifier component must "
				"match \"" WORD_PATTERN "\": invalid argument",
				parts.v[i], s);
	if (parts.n > 3)
		return err_set(e, ERR_INVALID, "\"%.200s\": cannot parse platform specifier: invalid argument", s);
	if (parts.n > 1) {
		set_architecture(p, parts.v[1], parts.n > 2 ? parts.v[2] : "");
		return 0;
	}
	if (listed(systems, ARRAY_LEN(systems), p->os)) {
		p->architecture = xstrdup(arch_here());
		return 0;
	}
	set_architecture(p, parts.v[0], "");
	if (!listed(architectures, ARRAY_LEN(architectures), p->architecture))
		return err_set(e, ERR_INVALID, "\"%.200s\": unknown operating system or architecture: invalid argument",
			       s);
	free(p->os);
	p->os = xstrdup("linux");
	if (streq(p->architecture, "arm") && streq(p->variant, "v7")) {
		free(p->variant);
		p->variant = NULL;
	}
	return 0;
}

int image_platform_parse(const char *s, struct image_platform *ret, struct err *e)
{
	struct image_platform p = { 0 };
	int r = parse(s, &p, e);

	if (r < 0)
		image_platform_done(&p);
	else
		*ret = p;
	return r;
}

bool image_platform_runs(const struct image_platform *p, const struct image *i)
{
	const char *has = i->oci.variant;

	if (str_empty(i->oci.architecture))
		return true; /* it says nothing */
	if (!streq(p->os, str_empty(i->oci.os) ? "linux" : i->oci.os) || !streq(p->architecture, i->oci.architecture))
		return false;
	/* a newer ARM runs what was made for an older one */
	return !streq(p->architecture, "arm") || str_empty(has) || strcmp(has, p->variant ? p->variant : "v7") <= 0;
}
