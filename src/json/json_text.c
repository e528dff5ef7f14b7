/* json_text.c - strings, numbers and trees as text, with Go's escaping rules. */
#include "json/jval.h"

static size_t escape_one(struct strb *out, const unsigned char *s, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	static const char *const names[0x20] = {
		['\b'] = "\\b", ['\f'] = "\\f", ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t"
	};
	unsigned char c = *s;

	if (c == '"' || c == '\\') {
		strb_addc(out, '\\');
		strb_addc(out, (char)c);
	} else if (c < 0x20 && names[c]) {
		strb_adds(out, names[c]);
	} else if (c < 0x20 || c == '<' || c == '>' || c == '&') {
		strb_add(out, (char[]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] }, 6);
	} else if (n >= 3 && c == 0xe2 && s[1] == 0x80 && (s[2] & 0xfe) == 0xa8) { /* U+2028, U+2029 */
		strb_adds(out, s[2] == 0xa8 ? "\\u2028" : "\\u2029");
		return 3;
	} else {
		size_t k = json_utf8_len(s, n);

		if (!k) {
			strb_adds(out, "\\ufffd");
			return 1;
		}
		strb_add(out, s, k);
		return k;
	}
	return 1;
}

void json_add_str_n(struct strb *out, const char *s, size_t n)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t i = 0;

	strb_reserve(out, n + 2);
	strb_addc(out, '"');
	while (i < n) {
		size_t plain = i;

		while (plain < n && u[plain] >= 0x20 && u[plain] < 0x80 && u[plain] != '"' && u[plain] != '\\' &&
		       u[plain] != '<' && u[plain] != '>' && u[plain] != '&')
			plain++;
		strb_add(out, s + i, plain - i);
		i = plain;
		if (i < n)
			i += escape_one(out, u + i, n - i);
	}
	strb_addc(out, '"');
}

void json_add_str(struct strb *out, const char *s)
{
	json_add_str_n(out, s ? s : "", s ? strlen(s) : 0);
}

static void newline(struct strb *out, const char *indent, int depth)
{
	if (!indent)
		return;
	strb_addc(out, '\n');
	while (depth-- > 0)
		strb_adds(out, indent);
}

static void write_tree(const struct jval *v, const char *indent, int depth, struct strb *out)
{
	bool dict = jval_kind(v) == JVAL_DICT;

	switch (jval_kind(v)) {
	case JVAL_NULL:
		strb_adds(out, "null");
		return;
	case JVAL_BOOL:
		strb_adds(out, v->b ? "true" : "false");
		return;
	case JVAL_INT:
	case JVAL_DBL:
		strb_add(out, v->text, v->n);
		return;
	case JVAL_STR:
		json_add_str_n(out, v->text, v->n);
		return;
	case JVAL_LIST:
	case JVAL_DICT:
		break;
	}
	strb_addc(out, dict ? '{' : '[');
	for (size_t i = 0; i < v->n; i++) {
		if (i)
			strb_addc(out, ',');
		newline(out, indent, depth + 1);
		if (dict) {
			json_add_str_n(out, v->items[i].key, v->items[i].n_key);
			strb_adds(out, indent ? ": " : ":");
		}
		write_tree(&v->items[i], indent, depth + 1, out);
	}
	if (v->n)
		newline(out, indent, depth);
	strb_addc(out, dict ? '}' : ']');
}

void jval_write(const struct jval *v, struct strb *out)
{
	write_tree(v, NULL, 0, out);
}

void jval_write_indent(const struct jval *v, const char *indent, struct strb *out)
{
	write_tree(v, indent, 0, out);
}
