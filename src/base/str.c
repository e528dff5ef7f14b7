/* str.c - memory that ends the process when it runs out; growing strings; small text helpers. */
#include "base/base.h"

#include <stdio.h>

static void out_of_memory(void)
{
	static const char text[] = "out of memory\n";

	(void)!write(2, text, sizeof text - 1);
	abort();
}

void *xmalloc(size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size ? size : 1);

	if (!p)
		out_of_memory();
	return p;
}

void *xrealloc(void *p, size_t n, size_t size)
{
	size_t bytes = 0;

	if (__builtin_mul_overflow(n, size, &bytes))
		out_of_memory();
	p = realloc(p, bytes ? bytes : 1);
	if (!p)
		out_of_memory();
	return p;
}

char *xstrdup(const char *s)
{
	return s ? xstrndup(s, strlen(s)) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = xmalloc(len + 1);

	memcpy(p, s, len);
	p[len] = 0;
	return p;
}

char *xasprintf(const char *fmt, ...)
{
	struct strb b = STRB_INIT;
	va_list ap;

	va_start(ap, fmt);
	strb_addv(&b, fmt, ap);
	va_end(ap);
	return strb_take(&b);
}

void strb_done(struct strb *b)
{
	free(b->s);
	*b = STRB_INIT;
}

void strb_clear(struct strb *b)
{
	b->len = 0;
	if (b->s)
		b->s[0] = 0;
}

void strb_reserve(struct strb *b, size_t more)
{
	size_t need = 0;

	if (__builtin_add_overflow(b->len, more, &need) || __builtin_add_overflow(need, 1, &need))
		out_of_memory();
	if (need <= b->cap)
		return;
	b->cap = MAX(need, b->cap + b->cap / 2 + 32);
	b->s = xrealloc(b->s, b->cap, 1);
	b->s[b->len] = 0;
}

void strb_add(struct strb *b, const void *p, size_t n)
{
	strb_reserve(b, n);
	if (n)
		memcpy(b->s + b->len, p, n);
	b->len += n;
	b->s[b->len] = 0;
}

void strb_adds(struct strb *b, const char *s)
{
	strb_add(b, s, strlen(s));
}

void strb_addc(struct strb *b, char c)
{
	strb_add(b, &c, 1);
}

void strb_addv(struct strb *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	if (!fmt) /* never; but gcc's UBSan makes it a path, and -Wformat-truncation then sees a NULL format */
		return;
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return;
	strb_reserve(b, (size_t)n);
	(void)vsnprintf(b->s + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
}

void strb_addf(struct strb *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strb_addv(b, fmt, ap);
	va_end(ap);
}

char *strb_take(struct strb *b)
{
	char *s = b->s ? b->s : xstrdup("");

	*b = STRB_INIT;
	return s;
}

const char *str_after(const char *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s && strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

bool str_ends(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

int str_to_i64(const char *s, int64_t *ret)
{
	char *end = NULL;
	long long v;

	if (str_empty(s) || !((*s >= '0' && *s <= '9') || ((*s == '-' || *s == '+') && s[1] >= '0' && s[1] <= '9')))
		return -EINVAL;
	errno = 0;
	v = strtoll(s, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno)
		return -ERANGE;
	*ret = v;
	return 0;
}

int str_to_u32(const char *s, unsigned base, uint32_t *ret)
{
	char *end = NULL;
	unsigned long long v;

	if (str_empty(s) || *s < '0' || *s > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(s, &end, (int)base);
	if (*end)
		return -EINVAL;
	if (errno || v > UINT32_MAX)
		return -ERANGE;
	*ret = (uint32_t)v;
	return 0;
}

char *path_join(const char *a, const char *b)
{
	size_t n = strlen(a);

	while (n > 1 && a[n - 1] == '/')
		n--;
	while (*b == '/')
		b++;
	if (!*b)
		return xstrndup(a, n);
	return xasprintf("%.*s%s%s", (int)n, a, n == 1 && a[0] == '/' ? "" : "/", b);
}

char *path_clean(const char *p)
{
	AUTO_STRV struct strv parts = { 0 };
	struct strb out = STRB_INIT;
	bool rooted = *p == '/';
	AUTO_STRV struct strv kept = { 0 };

	strv_split(&parts, p, "/");
	for (size_t i = 0; i < parts.n; i++) {
		const char *s = parts.v[i];

		if (streq(s, "."))
			continue;
		if (streq(s, "..") && kept.n && !streq(kept.v[kept.n - 1], ".."))
			strv_remove(&kept, kept.n - 1);
		else if (!streq(s, "..") || !rooted)
			strv_add(&kept, s);
	}
	if (rooted)
		strb_addc(&out, '/');
	for (size_t i = 0; i < kept.n; i++)
		strb_addf(&out, "%s%s", i ? "/" : "", kept.v[i]);
	if (!out.len)
		strb_addc(&out, '.');
	return strb_take(&out);
}

void hex_encode(const void *bytes, size_t n, char *ret)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = bytes;

	for (size_t i = 0; i < n; i++) {
		ret[2 * i] = digits[p[i] >> 4];
		ret[2 * i + 1] = digits[p[i] & 15];
	}
	ret[2 * n] = 0;
}

bool hex_valid(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
			return false;
	return true;
}
