/* base64.c - RFC 4648. What is read may be in either alphabet: registries and credentials come in both. */
#include "base/base.h"

static int value_of(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

int base64_decode(const char *s, size_t n, struct strb *ret)
{
	size_t before = ret->len;
	uint32_t bits = 0;
	unsigned have = 0;

	while (n && s[n - 1] == '=')
		n--;
	for (size_t i = 0; i < n; i++) {
		int v = value_of((unsigned char)s[i]);

		if (v < 0 || n % 4 == 1) {
			ret->len = before;
			return -EINVAL;
		}
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			strb_addc(ret, (char)(bits >> have & 0xff));
		}
	}
	return 0;
}

char *base64_encode(const void *bytes, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = bytes;
	char *text = xcalloc((n + 2) / 3 * 4 + 1, 1), *out = text;

	for (size_t i = 0; i < n; i += 3) {
		uint32_t three = (uint32_t)p[i] << 16;

		three |= i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0;
		three |= i + 2 < n ? p[i + 2] : 0;
		*out++ = digits[three >> 18];
		*out++ = digits[three >> 12 & 63];
		*out++ = i + 1 < n ? digits[three >> 6 & 63] : '=';
		*out++ = i + 2 < n ? digits[three & 63] : '=';
	}
	return text;
}
