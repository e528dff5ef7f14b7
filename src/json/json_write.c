/* json_write.c - struct to text, as Go's encoder would write it: declared order, sorted map keys, omitempty, null for nil. */
#include "json/table.h"

#include <math.h>

static void write_field(const struct json_field *f, const void *p, unsigned api_minor, struct strb *out);

/* encoding/json: shortest digits that read back the same; exponent form only outside 1e-6 .. 1e21. */
static void add_dbl(struct strb *out, double d)
{
	char text[40] = "0";
	char *e;

	for (int digits = 1; digits <= 17; digits++) {
		(void)snprintf(text, sizeof text, "%.*e", digits - 1, d);
		if (strtod(text, NULL) == d)
			break;
	}
	if (!isfinite(d) || d == 0) {
		strb_adds(out, "0"); /* JSON has no such numbers, and a broken document helps nobody */
		return;
	}
	if (fabs(d) >= 1e-6 && fabs(d) < 1e21) {
		int exp10 = (e = strchr(text, 'e')) ? (int)strtol(e + 1, NULL, 10) : 0;
		int digits = (int)strspn(text, "-0123456789.") - (text[0] == '-') - (strchr(text, '.') ? 1 : 0);

		strb_addf(out, "%.*f", MAX(0, digits - 1 - exp10), d);
		return;
	}
	e = strchr(text, 'e'); /* e-07 -> e-7, as Go */
	if (e && (e[1] == '-' || e[1] == '+') && e[2] == '0')
		memmove(e + 2, e + 3, strlen(e + 3) + 1);
	strb_adds(out, text);
}

static bool is_empty(const struct json_field *f, const void *p)
{
	switch (f->kind) {
	case JSON_STR:
		return str_empty(*(char *const *)p);
	case JSON_RAW:
	case JSON_PTR:
		return !*(void *const *)p;
	case JSON_BOOL:
		return !*(const bool *)p;
	case JSON_INT:
	case JSON_UINT:
		return !*(const int64_t *)p;
	case JSON_DBL:
		return *(const double *)p == 0;
	case JSON_OBOOL:
		return !((const struct json_obool *)p)->set;
	case JSON_OINT:
		return !((const struct json_oint *)p)->set;
	case JSON_STRV:
	case JSON_SET:
	case JSON_INTS:
	case JSON_MAP:
	case JSON_LIST:
	case JSON_DICT:
		return !((const struct json_vec *)p)->n;
	case JSON_OBJ:
	case JSON_EXTRA:
		return false;
	}
	return false;
}

static bool is_nil(const struct json_field *f, const void *p)
{
	switch (f->kind) {
	case JSON_STR:
	case JSON_STRV:
	case JSON_SET:
	case JSON_INTS:
	case JSON_MAP:
	case JSON_LIST:
	case JSON_DICT:
		return (f->flags & NULL_EMPTY) && !*(void *const *)p; /* their first member is the pointer */
	case JSON_RAW:
	case JSON_PTR:
	case JSON_OBOOL:
	case JSON_OINT:
		return is_empty(f, p);
	default:
		return false;
	}
}

static int by_key(const void *a, const void *b)
{
	return strcmp(**(char **const *)a, **(char **const *)b);
}

/* Writes {"key":value,...} for n entries of `size` bytes that begin with a char *key, sorted. */
static void write_sorted(const struct json_field *f, const void *v, size_t n, size_t size, unsigned api_minor,
			 struct strb *out)
{
	AUTO_FREE const char ***order = xcalloc(n, sizeof *order);
	bool sorted = true;

	for (size_t i = 0; i < n; i++) {
		order[i] = (const char **)((const char *)v + i * size);
		sorted = sorted && (i == 0 || strcmp(*order[i - 1], *order[i]) <= 0);
	}
	if (!sorted)
		qsort(order, n, sizeof *order, by_key);
	strb_addc(out, '{');
	for (size_t i = 0; i < n; i++) {
		if (i)
			strb_addc(out, ',');
		json_add_str(out, *order[i]);
		strb_addc(out, ':');
		if (f->kind == JSON_SET)
			strb_adds(out, "{}");
		else if (f->kind == JSON_MAP)
			json_add_str(out, ((const struct strkv *)order[i])->v);
		else
			json_write(f->sub, (const char *)order[i] + json_dict_offset(f->sub), api_minor, out);
	}
	strb_addc(out, '}');
}

static void write_strv(const struct strv *v, struct strb *out)
{
	strb_addc(out, '[');
	for (size_t i = 0; i < v->n; i++) {
		if (i)
			strb_addc(out, ',');
		json_add_str(out, v->v[i]);
	}
	strb_addc(out, ']');
}

static void write_ints(const struct json_ints *v, struct strb *out)
{
	strb_addc(out, '[');
	for (size_t i = 0; i < v->n; i++)
		strb_addf(out, "%s%lld", i ? "," : "", (long long)v->v[i]);
	strb_addc(out, ']');
}

static void write_field(const struct json_field *f, const void *p, unsigned api_minor, struct strb *out)
{
	const struct json_vec *vec = p;

	if (is_nil(f, p)) {
		strb_adds(out, "null");
		return;
	}
	switch (f->kind) {
	case JSON_STR:
		json_add_str(out, *(char *const *)p);
		break;
	case JSON_BOOL:
		strb_adds(out, *(const bool *)p ? "true" : "false");
		break;
	case JSON_OBOOL:
		strb_adds(out, ((const struct json_obool *)p)->v ? "true" : "false");
		break;
	case JSON_INT:
		strb_addf(out, "%lld", (long long)*(const int64_t *)p);
		break;
	case JSON_OINT:
		strb_addf(out, "%lld", (long long)((const struct json_oint *)p)->v);
		break;
	case JSON_UINT:
		strb_addf(out, "%llu", (unsigned long long)*(const uint64_t *)p);
		break;
	case JSON_DBL:
		add_dbl(out, *(const double *)p);
		break;
	case JSON_STRV:
		write_strv(p, out);
		break;
	case JSON_INTS:
		write_ints(p, out);
		break;
	case JSON_MAP:
		write_sorted(f, vec->v, vec->n, sizeof(struct strkv), api_minor, out);
		break;
	case JSON_SET:
		write_sorted(f, vec->v, vec->n, sizeof(char *), api_minor, out);
		break;
	case JSON_DICT:
		write_sorted(f, vec->v, vec->n, json_dict_size(f->sub), api_minor, out);
		break;
	case JSON_OBJ:
		json_write(f->sub, p, api_minor, out);
		break;
	case JSON_PTR:
		json_write(f->sub, *(void *const *)p, api_minor, out);
		break;
	case JSON_LIST:
		json_write_list(f->sub, vec->v, vec->n, api_minor, out);
		break;
	case JSON_RAW:
		strb_adds(out, *(char *const *)p);
		break;
	case JSON_EXTRA:
		break;
	}
}

static bool in_version(const struct json_field *f, unsigned api_minor)
{
	unsigned since = f->flags >> 16 & 0xff, until = f->flags >> 24;

	return api_minor >= since && (!until || api_minor <= until);
}

static void add_name(struct strb *out, const char *name, bool *first)
{
	if (!*first)
		strb_addc(out, ',');
	*first = false;
	json_add_str(out, name);
	strb_addc(out, ':');
}

void json_write(const struct json_type *t, const void *obj, unsigned api_minor, struct strb *out)
{
	bool first = true;

	if (json_is_wrapper(t)) {
		write_field(&t->fields[0], (const char *)obj + t->fields[0].offset, api_minor, out);
		return;
	}
	strb_addc(out, '{');
	for (size_t i = 0; i < t->n; i++) {
		const struct json_field *f = &t->fields[i];
		const void *p = (const char *)obj + f->offset;

		if (f->kind == JSON_EXTRA) {
			const struct strmap *m = p;

			for (size_t k = 0; k < m->n; k++) {
				add_name(out, m->v[k].k, &first);
				strb_adds(out, m->v[k].v);
			}
			continue;
		}
		if ((f->flags & READ_ONLY) || !in_version(f, api_minor) || ((f->flags & OMIT_EMPTY) && is_empty(f, p)))
			continue;
		add_name(out, f->name, &first);
		write_field(f, p, api_minor, out);
	}
	strb_addc(out, '}');
}

void json_write_list(const struct json_type *t, const void *v, size_t n, unsigned api_minor, struct strb *out)
{
	strb_addc(out, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			strb_addc(out, ',');
		json_write(t, (const char *)v + i * t->size, api_minor, out);
	}
	strb_addc(out, ']');
}
