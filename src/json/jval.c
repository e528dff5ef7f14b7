/* jval.c - text to a read-only tree. Grammar and budgets are checked by scan.c before json-c builds anything. */
#include "json/jval.h"

#include <ctype.h>
/* json-c's own enum json_type would clash with our struct */
#define json_type json_c_type
#include <json-c/json.h>
#undef json_type
#include <math.h>

const struct json_limits json_limits_default = { .bytes = 16 << 20, .depth = 64, .values = 1000000 };

/* All of a tree's memory comes from a few chunks, freed together. */
struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(16) char bytes[];
};
struct root {
	struct jval v; /* first: a root's jval pointer is the root's pointer */
	struct chunk *chunks;
};

static void *take(struct root *root, size_t n)
{
	struct chunk *c = root->chunks;
	void *p;

	n = (n + 15) & ~(size_t)15;
	if (!c || c->size - c->used < n) {
		size_t size = MAX(n, c ? MIN(c->size * 2, (size_t)1 << 20) : 1024);

		c = xmalloc(sizeof *c + size);
		*c = (struct chunk){ .next = root->chunks, .size = size };
		root->chunks = c;
	}
	p = c->bytes + c->used;
	c->used += n;
	return p;
}

/* Length of the valid UTF-8 sequence at s, or 0. */
size_t json_utf8_len(const unsigned char *s, size_t n)
{
	size_t need = s[0] < 0x80                   ? 1
		      : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		      : (s[0] & 0xf0) == 0xe0       ? 3
		      : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
						    : 0;

	if (!need || need > n)
		return 0;
	for (size_t i = 1; i < need; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return need;
}

static const char *keep_text(struct root *root, const char *s, size_t n, size_t *ret_n)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t bad = 0, k;
	char *p, *out;

	for (size_t i = 0; i < n; i += k ? k : 1)
		if (!(k = json_utf8_len(u + i, n - i)))
			bad++;
	out = p = take(root, n + 2 * bad + 1);
	for (size_t i = 0; i < n; i += k ? k : 1) {
		k = json_utf8_len(u + i, n - i);
		memcpy(p, k ? s + i : "\xef\xbf\xbd", k ? k : 3);
		p += k ? k : 3;
	}
	*p = 0;
	*ret_n = (size_t)(p - out);
	return out;
}

static int convert(struct root *root, json_object *o, struct jval *v, struct err *e);

static int convert_dict(struct root *root, json_object *o, struct jval *v, struct err *e)
{
	size_t i = 0;
	int r = 0;

	v->kind = JVAL_DICT;
	v->n = (size_t)json_object_object_length(o);
	v->items = take(root, v->n * sizeof *v->items);
	for (struct lh_entry *x = lh_table_head(json_object_get_object(o)); x && r == 0; x = lh_entry_next(x), i++) {
		const char *key = lh_entry_k(x);
		size_t n_key = 0;

		r = convert(root, lh_entry_v(x), &v->items[i], e);
		v->items[i].key = keep_text(root, key, strlen(key), &n_key);
		if (r == 0 && n_key != strlen(key)) /* two broken names would become the same one */
			r = err_set(e, ERR_INVALID, "invalid UTF-8 in the name of a JSON object's member");
		v->items[i].n_key = (uint32_t)n_key;
	}
	return r;
}

static int convert_list(struct root *root, json_object *o, struct jval *v, struct err *e)
{
	int r = 0;

	v->kind = JVAL_LIST;
	v->n = json_object_array_length(o);
	v->items = take(root, v->n * sizeof *v->items);
	for (size_t i = 0; i < v->n && r == 0; i++)
		r = convert(root, json_object_array_get_idx(o, i), &v->items[i], e);
	return r;
}

static bool marked_wide(const char *text, size_t n)
{
	return n >= 19 && str_ends(text, JSON_WIDE_MARK) && strspn(text + (*text == '-'), "0123456789") + 2 >= n - 1;
}

/* json-c keeps what it does not hold exactly as the text it read. */
static int convert_number(struct root *root, json_object *o, struct jval *v, struct err *e)
{
	const char *text = json_object_get_string(o);

	v->text = keep_text(root, text, strlen(text), &v->n);
	if (json_object_is_type(o, json_type_int)) {
		v->kind = JVAL_INT;
		v->num.u = json_object_get_uint64(o);
		v->big = v->num.u > INT64_MAX;
		if (!v->big)
			v->num.i = json_object_get_int64(o);
		return 0;
	}
	v->kind = JVAL_DBL;
	v->num.d = json_object_get_double(o);
	if (marked_wide(v->text, v->n)) /* shown, and written again, as it came */
		v->text = keep_text(root, text, v->n - strlen(JSON_WIDE_MARK), &v->n);
	if (!isfinite(v->num.d) || !(isdigit((unsigned char)*text) || *text == '-'))
		return err_set(e, ERR_INVALID, "invalid JSON number %s", v->text);
	return 0;
}

static int convert(struct root *root, json_object *o, struct jval *v, struct err *e)
{
	*v = (struct jval){ 0 };
	switch (json_object_get_type(o)) {
	case json_type_null:
		return 0;
	case json_type_boolean:
		v->kind = JVAL_BOOL;
		v->b = json_object_get_boolean(o);
		return 0;
	case json_type_int:
	case json_type_double:
		return convert_number(root, o, v, e);
	case json_type_string:
		v->kind = JVAL_STR;
		v->text = keep_text(root, json_object_get_string(o), (size_t)json_object_get_string_len(o), &v->n);
		return 0;
	case json_type_array:
		return convert_list(root, o, v, e);
	case json_type_object:
		return convert_dict(root, o, v, e);
	}
	return err_set(e, ERR_INVALID, "invalid JSON");
}

/* What scan.c lets through json-c takes, but for memory. */
static int syntax_error(json_tokener *tok, struct err *e)
{
	return err_set(e, ERR_INVALID, "invalid JSON at offset %zu: %s", json_tokener_get_parse_end(tok),
		       json_tokener_error_desc(json_tokener_get_error(tok)));
}

int jval_parse(const char *text, size_t n, const struct json_limits *limits, struct jval **ret, struct err *e)
{
	const struct json_limits *l = limits ? limits : &json_limits_default;
	enum json_tokener_error why;
	struct root *root;
	json_tokener *tok;
	json_object *o;
	AUTO_STRB struct strb fixed = STRB_INIT;
	int r = json_scan(text, n, l, &fixed, e);

	if (r < 0)
		return r;
	if (fixed.len) {
		text = fixed.s;
		n = fixed.len;
	}
	/* json-c counts scalars as a level; the text's end is passed on as a NUL so that a lone number is complete */
	tok = json_tokener_new_ex(l->depth + 2);
	if (!tok)
		return err_set(e, ERR_SYSTEM, "out of memory");
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
	o = json_tokener_parse_ex(tok, text, (int)n);
	why = json_tokener_get_error(tok);
	if (why == json_tokener_continue && n) {
		o = json_tokener_parse_ex(tok, "", 1);
		why = json_tokener_get_error(tok);
		if (why != json_tokener_success)
			why = json_tokener_continue;
	}
	if (why != json_tokener_success) {
		r = syntax_error(tok, e);
		json_tokener_free(tok);
		return r;
	}
	json_tokener_free(tok);
	root = xcalloc(1, sizeof *root);
	r = convert(root, o, &root->v, e);
	(void)json_object_put(o);
	if (r < 0)
		jval_free(&root->v);
	else
		*ret = &root->v;
	return r;
}

void jval_free(struct jval *v)
{
	struct root *root = (struct root *)v;

	if (!root)
		return;
	while (root->chunks) {
		struct chunk *next = root->chunks->next;

		free(root->chunks);
		root->chunks = next;
	}
	free(root);
}

const char *json_kind_word(const struct jval *v)
{
	static const char *const words[] = { "null", "bool", "number", "number", "string", "array", "object" };

	return words[jval_kind(v)];
}

enum jval_kind jval_kind(const struct jval *v)
{
	return v ? v->kind : JVAL_NULL;
}

bool jval_bool(const struct jval *v)
{
	return v && v->b;
}

int64_t jval_int(const struct jval *v)
{
	if (jval_kind(v) == JVAL_INT)
		return v->big ? INT64_MAX : v->num.i;
	if (jval_kind(v) == JVAL_DBL && v->num.d > -9e18 && v->num.d < 9e18)
		return (int64_t)v->num.d;
	return 0;
}

double jval_dbl(const struct jval *v)
{
	if (jval_kind(v) == JVAL_INT)
		return v->big ? (double)v->num.u : (double)v->num.i;
	return jval_kind(v) == JVAL_DBL ? v->num.d : 0;
}

const char *jval_str(const struct jval *v)
{
	return jval_kind(v) == JVAL_STR ? v->text : "";
}

size_t jval_len(const struct jval *v)
{
	return jval_kind(v) == JVAL_LIST || jval_kind(v) == JVAL_DICT ? v->n : 0;
}

const struct jval *jval_at(const struct jval *v, size_t i)
{
	return jval_kind(v) == JVAL_LIST && i < v->n ? &v->items[i] : NULL;
}

const struct jval *jval_get(const struct jval *v, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; jval_kind(v) == JVAL_DICT && i < v->n; i++)
		if (v->items[i].n_key == n && memcmp(v->items[i].key, key, n) == 0)
			return &v->items[i];
	return NULL;
}

const struct jval *jval_entry(const struct jval *v, size_t i, const char **ret_key)
{
	if (jval_kind(v) != JVAL_DICT || i >= v->n)
		return NULL;
	if (ret_key)
		*ret_key = v->items[i].key;
	return &v->items[i];
}
