/* scan.c - one pass over a text before json-c builds anything: JSON's grammar with the words of Go's encoding/json, and the budgets.
 * Pure. json-c lets much pass that is no JSON, and says of the rest only where it is. */
#include "json/jval.h"

#include <ctype.h>

struct scan {
	const char *at, *end;
	const struct json_limits *limits;
	size_t values;
	int depth;
	const char *copied; /* up to here the text is in fixed */
	struct strb *fixed;
	struct err *e;
};

static int scan_value(struct scan *s);

/* As Go quotes a byte in a message. */
static void quoted(unsigned char c, struct strb *out)
{
	static const char *const names[] = { ['\a'] = "\\a", ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n",
					     ['\v'] = "\\v", ['\f'] = "\\f", ['\r'] = "\\r" };

	if (c < ARRAY_LEN(names) && names[c])
		strb_adds(out, names[c]);
	else if (c == '\'' || c == '\\')
		strb_addf(out, "\\%c", c);
	else if (c >= 0x20 && c < 0x7f)
		strb_addc(out, (char)c);
	else if (c > 0xa0 && c != 0xad)
		strb_add(out, (char[]){ (char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f)) }, 2);
	else
		strb_addf(out, c < 0x80 ? "\\x%02x" : "\\u%04x", c);
}

/* The byte at s->at, or the end, is not what stands in a text that is still JSON. */
static int unexpected(struct scan *s, const char *where)
{
	AUTO_STRB struct strb c = STRB_INIT;

	if (s->at == s->end)
		return err_set(s->e, ERR_INVALID, "unexpected EOF");
	quoted((unsigned char)*s->at, &c);
	return err_set(s->e, ERR_INVALID, "invalid character '%s' %s", c.s, where);
}

static void skip_space(struct scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\r' || *s->at == '\n'))
		s->at++;
}

/* After blanks; '\0' at the end, which is no byte that could be meant. */
static char next(struct scan *s)
{
	skip_space(s);
	return s->at < s->end ? *s->at : '\0';
}

static int scan_escape(struct scan *s)
{
	if (s->at == s->end || !*s->at || !strchr("\"\\/bfnrtu", *s->at))
		return unexpected(s, "in string escape code");
	if (*s->at++ != 'u')
		return 0;
	/* a C string would end there, and two different names could become one */
	if (s->end - s->at >= 4 && memcmp(s->at, "0000", 4) == 0)
		return err_set(s->e, ERR_INVALID, "invalid character '\\u0000' in string literal");
	for (int i = 0; i < 4; i++, s->at++)
		if (s->at == s->end || !isxdigit((unsigned char)*s->at))
			return unexpected(s, "in \\u hexadecimal character escape");
	return 0;
}

static int scan_string(struct scan *s)
{
	int r = 0;

	for (s->at++; r == 0;) { /* behind the quote */
		if (s->at == s->end || (unsigned char)*s->at < 0x20)
			return unexpected(s, "in string literal");
		if (*s->at == '"') {
			s->at++;
			return 0;
		}
		if (*s->at++ == '\\')
			r = scan_escape(s);
	}
	return r;
}

static int scan_digits(struct scan *s, const char *where)
{
	if (s->at == s->end || !isdigit((unsigned char)*s->at))
		return unexpected(s, where);
	while (s->at < s->end && isdigit((unsigned char)*s->at))
		s->at++;
	return 0;
}

/* Beyond 64 bits? json-c refuses such integers, though they may stand in a member that nobody asks for. */
static bool too_wide(const char *text, size_t n)
{
	char copy[24] = "";

	if (n < 19)
		return false;
	if (n >= sizeof copy)
		return true;
	memcpy(copy, text, n);
	errno = 0;
	if (*text == '-')
		(void)strtoll(copy, NULL, 10);
	else
		(void)strtoull(copy, NULL, 10);
	return errno == ERANGE;
}

static int scan_number(struct scan *s)
{
	const char *start = s->at;
	bool whole = true;
	int r = 0;

	if (*s->at == '-')
		s->at++;
	if (s->at < s->end && *s->at == '0')
		s->at++;
	else
		r = scan_digits(s, "in numeric literal");
	if (r == 0 && s->at < s->end && *s->at == '.') {
		whole = false;
		s->at++;
		r = scan_digits(s, "after decimal point in numeric literal");
	}
	if (r == 0 && s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
		whole = false;
		s->at++;
		if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
			s->at++;
		r = scan_digits(s, "in exponent of numeric literal");
	}
	if (r == 0 && whole &&
	    too_wide(start, (size_t)(s->at - start))) { /* json-c takes it when it looks like a float */
		strb_add(s->fixed, s->copied, (size_t)(s->at - s->copied));
		strb_adds(s->fixed, JSON_WIDE_MARK);
		s->copied = s->at;
	}
	return r;
}

static int scan_word(struct scan *s, const char *word)
{
	AUTO_FREE char *where = NULL;

	for (const char *p = word; *p; p++, s->at++) {
		if (s->at < s->end && *s->at == *p)
			continue;
		where = xasprintf("in literal %s (expecting '%c')", word, *p);
		return unexpected(s, where);
	}
	return 0;
}

static int deeper(struct scan *s)
{
	s->at++;
	return ++s->depth > s->limits->depth
		       ? err_set(s->e, ERR_INVALID, "JSON is nested too deeply: the limit is %d", s->limits->depth)
		       : 0;
}

/* What follows a member: true where there is one more. */
static int more(struct scan *s, char close, const char *where, bool *ret)
{
	char c = next(s);

	if (c != ',' && c != close)
		return unexpected(s, where);
	s->at++;
	*ret = c == ',';
	return 0;
}

static int scan_list(struct scan *s)
{
	int r = deeper(s);
	bool again = next(s) != ']';

	if (r == 0 && !again)
		s->at++;
	while (r == 0 && again) {
		r = scan_value(s);
		if (r == 0)
			r = more(s, ']', "after array element", &again);
	}
	s->depth--;
	return r;
}

static int scan_member(struct scan *s)
{
	int r;

	if (next(s) != '"')
		return unexpected(s, "looking for beginning of object key string");
	r = scan_string(s);
	if (r < 0)
		return r;
	if (next(s) != ':')
		return unexpected(s, "after object key");
	s->at++;
	return scan_value(s);
}

static int scan_dict(struct scan *s)
{
	int r = deeper(s);
	bool again = next(s) != '}';

	if (r == 0 && !again)
		s->at++;
	while (r == 0 && again) {
		r = scan_member(s);
		if (r == 0)
			r = more(s, '}', "after object key:value pair", &again);
	}
	s->depth--;
	return r;
}

static int scan_value(struct scan *s)
{
	char c = next(s);

	if (++s->values > s->limits->values)
		return err_set(s->e, ERR_INVALID, "JSON has too many values: the limit is %zu", s->limits->values);
	switch (c) {
	case '{':
		return scan_dict(s);
	case '[':
		return scan_list(s);
	case '"':
		return scan_string(s);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		return c == '-' || isdigit((unsigned char)c) ? scan_number(s)
							     : unexpected(s, "looking for beginning of value");
	}
}

int json_scan(const char *text, size_t n, const struct json_limits *l, struct strb *fixed, struct err *e)
{
	struct scan s = { .at = text, .end = text + n, .limits = l, .copied = text, .fixed = fixed, .e = e };
	int r;

	if (n > l->bytes)
		return err_set(e, ERR_INVALID, "JSON text is too large: %zu bytes, the limit is %zu", n, l->bytes);
	r = scan_value(&s);
	if (r < 0)
		return r;
	skip_space(&s);
	if (s.at < s.end) {
		(void)unexpected(&s, "after top-level value");
		return -ENOTEMPTY;
	}
	if (fixed->len)
		strb_add(fixed, s.copied, (size_t)(s.end - s.copied));
	return 0;
}
