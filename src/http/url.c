/* url.c - percent-coding and query strings. */
#include "http/http.h"

static int hex_value(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

int http_decode(const char *s, size_t n, bool plus_is_space, struct strb *ret)
{
	strb_reserve(ret, n);
	for (size_t i = 0; i < n; i++) {
		int high, low;

		if (s[i] != '%') {
			strb_addc(ret, s[i] == '+' && plus_is_space ? ' ' : s[i]);
			continue;
		}
		high = i + 2 < n ? hex_value(s[i + 1]) : -1;
		low = i + 2 < n ? hex_value(s[i + 2]) : -1;
		if (high < 0 || low < 0 || (high == 0 && low == 0))
			return -EINVAL;
		strb_addc(ret, (char)(high << 4 | low));
		i += 2;
	}
	return 0;
}

static void encode(struct strb *out, const char *s, const char *keep)
{
	static const char digits[] = "0123456789ABCDEF";

	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr(keep, c))
			strb_addc(out, *s);
		else
			strb_add(out, (char[]){ '%', digits[c >> 4], digits[c & 15] }, 3);
	}
}

void http_encode(struct strb *out, const char *s)
{
	encode(out, s, "-_.~");
}

void http_encode_path(struct strb *out, const char *s)
{
	encode(out, s, "-_.~/:@$&+=");
}

static void add_pair(struct strmap *m, struct strb *k, struct strb *v)
{
	m->v = xrealloc(m->v, m->n + 1, sizeof *m->v);
	m->v[m->n++] = (struct strkv){ strb_take(k), strb_take(v) };
}

int http_query_parse(const char *s, size_t n, struct strmap *ret)
{
	const char *end = s + n;

	while (s < end) {
		const char *amp = memchr(s, '&', (size_t)(end - s));
		size_t piece = (size_t)((amp ? amp : end) - s);
		const char *eq = memchr(s, '=', piece);
		size_t name = eq ? (size_t)(eq - s) : piece;
		AUTO_STRB struct strb k = STRB_INIT;
		AUTO_STRB struct strb v = STRB_INIT;

		if (memchr(s, ';', piece)) /* Go refuses it too: some readers would split there */
			return -EINVAL;
		if (http_decode(s, name, true, &k) < 0 || (eq && http_decode(eq + 1, piece - name - 1, true, &v) < 0))
			return -EINVAL;
		if (piece)
			add_pair(ret, &k, &v);
		s += piece + 1;
	}
	return 0;
}

char *http_query_fault(const char *s, size_t n)
{
	const char *semicolon = memchr(s, ';', n), *end = s + n;

	for (const char *p = s; p < (semicolon ? semicolon : end); p++)
		if (*p == '%' &&
		    (end - p < 3 || hex_value(p[1]) < 0 || hex_value(p[2]) < 0 || (p[1] == '0' && p[2] == '0')))
			return xasprintf("invalid URL escape \"%.*s\"", (int)MIN(end - p, 3), p);
	return xstrdup("invalid semicolon separator in query");
}

void http_query_add(struct strb *out, const char *name, const char *value)
{
	if (!value)
		return;
	strb_addc(out, strchr(strb_str(out), '?') ? '&' : '?');
	http_encode(out, name);
	strb_addc(out, '=');
	http_encode(out, value);
}
