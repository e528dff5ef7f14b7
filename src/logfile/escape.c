/* escape.c - JSON strings as Go's encoder with HTML escaping writes them, so that Docker and Hoy write the same bytes. */
#include "logfile/escape.h"

/* 1 = must be escaped or looked at; everything else is copied in runs */
static const bool special[256] = {
	['"'] = true, ['\\'] = true, ['<'] = true, ['>'] = true, ['&'] = true, [0 ... 31] = true, [128 ... 255] = true,
};

static const char hex[] = "0123456789abcdef";

/* Length of the UTF-8 sequence at p, 0 where it is not valid. */
static size_t utf8(const unsigned char *p, size_t n)
{
	size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;

	if (p[0] < 0xc2 || p[0] > 0xf4 || n < len)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || /* overlong, surrogates */
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

static size_t escape_one(char *to, const unsigned char *p, size_t n, size_t *ret_used)
{
	size_t len;

	*ret_used = 1;
	if (*p < 128) {
		to[0] = '\\';
		to[1] = (char)*p;
		if (*p == '"' || *p == '\\')
			return 2;
		to[1] = *p == '\n' ? 'n' : 'r';
		if (*p == '\n' || *p == '\r')
			return 2;
		memcpy(to + 1, "u00", 3);
		to[4] = hex[*p >> 4];
		to[5] = hex[*p & 15];
		return 6;
	}
	len = utf8(p, n);
	if (len == 0) {
		memcpy(to, "\\ufffd", 6);
		return 6;
	}
	*ret_used = len;
	if (p[0] == 0xe2 && p[1] == 0x80 && (p[2] & 0xfe) == 0xa8) { /* U+2028, U+2029: line ends in JavaScript */
		memcpy(to, "\\u202", 5);
		to[5] = hex[p[2] & 15];
		return 6;
	}
	memcpy(to, p, len);
	return len;
}

void escape_add(struct strb *out, const char *text, size_t n)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + n;
	char *to;

	strb_reserve(out, n * 6 + 1); /* the worst case, once */
	to = out->s + out->len;
	while (p < end) {
		const unsigned char *run = p;
		size_t used = 0;

		while (p < end && !special[*p])
			p++;
		memcpy(to, run, (size_t)(p - run));
		to += p - run;
		if (p == end)
			break;
		to += escape_one(to, p, (size_t)(end - p), &used);
		p += used;
	}
	out->len = (size_t)(to - out->s);
	*to = 0;
}

static int hex4(const char *p, const char *end, uint32_t *ret)
{
	uint32_t v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		unsigned c = (unsigned char)p[i];
		unsigned digit = c - '0' < 10 ? c - '0' : (c | 32) - 'a' < 6 ? (c | 32) - 'a' + 10 : 99;

		if (digit > 15)
			return -1;
		v = v << 4 | digit;
	}
	*ret = v;
	return 0;
}

static char *put_utf8(char *to, uint32_t c)
{
	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
		*to++ = (char)(0x80 | (c & 63));
	} else if (c < 0x10000) {
		*to++ = (char)(0xe0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 63));
		*to++ = (char)(0x80 | (c & 63));
	} else {
		*to++ = (char)(0xf0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 63));
		*to++ = (char)(0x80 | (c >> 6 & 63));
		*to++ = (char)(0x80 | (c & 63));
	}
	return to;
}

/* \uXXXX, surrogate pairs included; a lone surrogate reads as U+FFFD, as in Go. *p stands behind the u. */
static char *undo_u(char *to, const char **p, const char *end)
{
	uint32_t c = 0, low = 0;

	if (hex4(*p, end, &c) < 0)
		return NULL;
	*p += 4;
	if (c >= 0xd800 && c < 0xe000) {
		if (c < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u' && hex4(*p + 2, end, &low) == 0 &&
		    low >= 0xdc00 && low < 0xe000) {
			*p += 6;
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		} else {
			c = 0xfffd;
		}
	}
	return put_utf8(to, c);
}

char *escape_undo(char *start, char *end, size_t *ret_n)
{
	static const char from[] = "\"\\/bfnrt", what[] = "\"\\/\b\f\n\r\t";
	char *to = start;
	const char *p = start;

	for (;;) {
		const char *run = p, *known = NULL;

		while (p < end && *p != '"' && *p != '\\')
			p++;
		if (p == end)
			return NULL;
		if (to != run)
			memmove(to, run, (size_t)(p - run));
		to += p - run;
		if (*p == '"') {
			*ret_n = (size_t)(to - start);
			return start + (p - start) + 1;
		}
		if (++p == end)
			return NULL;
		if (*p == 'u') {
			p++;
			to = undo_u(to, &p, end);
			if (!to)
				return NULL;
			continue;
		}
		known = memchr(from, *p, sizeof from - 1);
		if (!known)
			return NULL;
		*to++ = what[known - from];
		p++;
	}
}
