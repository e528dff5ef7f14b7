/* json.c - field tables: a tree into a struct, and the struct's release and copy. */
#include "json/table.h"

#include <math.h>
#include <strings.h>

const struct json_type none_type = { .name = "none", .size = 0, .align = 1 };

struct path {
	const struct path *up;
	const char *name; /* NULL: an index */
	size_t index;
};
struct reader {
	const struct json_type *top;
	struct err *e;
};

static int read_field(struct reader *rd, const struct json_field *f, const struct jval *v, void *p,
		      const struct path *at);
static int read_object(struct reader *rd, const struct json_type *t, const struct jval *v, void *obj,
		       const struct path *at);

static void json_go_name(const struct json_type *t, struct strb *out)
{
	const char *s = strchr(t->name, '_'); /* docker_host_config -> HostConfig */
	bool upper = true;

	if (t->go) {
		strb_adds(out, t->go);
		return;
	}
	for (s = s ? s + 1 : t->name; *s; s++) {
		if (*s == '_') {
			upper = true;
			continue;
		}
		strb_addc(out, upper && *s >= 'a' && *s <= 'z' ? (char)(*s - 32) : *s);
		upper = false;
	}
}

static void add_path(struct strb *out, const struct path *at)
{
	if (!at)
		return;
	add_path(out, at->up);
	if (at->name)
		strb_addf(out, ".%s", at->name);
	else
		strb_addf(out, ".%zu", at->index);
}

/* The words a Go server would use, since people and tests know them. */
static int wrong_type(struct reader *rd, const struct jval *v, const struct path *at, const char *want,
		      const struct json_type *sub)
{
	AUTO_STRB struct strb where = STRB_INIT;
	AUTO_STRB struct strb type = STRB_INIT;
	bool number = (v->kind == JVAL_DBL || v->kind == JVAL_INT) && (strstr(want, "int") || strstr(want, "float"));

	if (at) {
		const char *package = rd->top->go ? strchr(rd->top->go, '.') : NULL;

		strb_adds(&where, "Go struct field ");
		if (package)
			strb_adds(&where, package + 1);
		else
			json_go_name(rd->top, &where);
		add_path(&where, at);
	} else {
		strb_adds(&where, "Go value");
	}
	strb_adds(&type, want);
	if (sub)
		json_go_name(sub, &type);
	return err_set(rd->e, ERR_INVALID, "json: cannot unmarshal %s%s%.40s into %s of type %s", json_kind_word(v),
		       number ? " " : "", number ? v->text : "", strb_str(&where), strb_str(&type));
}

static void *at_entry(const struct json_vec *v, size_t i, size_t size)
{
	return (char *)v->v + i * size;
}

size_t json_dict_offset(const struct json_type *sub)
{
	return (sizeof(char *) + sub->align - 1) / sub->align * sub->align;
}

size_t json_dict_size(const struct json_type *sub)
{
	size_t align = MAX(sub->align, _Alignof(char *));

	return (json_dict_offset(sub) + sub->size + align - 1) / align * align;
}

/* Grows a vector whose element type is known by size only; the same rule as VEC_ADD. With n = 0 and no add: [] as opposed to null. */
static void *vec_add(struct json_vec *vec, size_t size)
{
	vec->v = vec_grow(vec->v, vec->n, size);
	return (char *)vec->v + vec->n++ * size;
}

static int read_str(struct reader *rd, const struct jval *v, const struct path *at, char **ret)
{
	if (jval_kind(v) == JVAL_NULL)
		*ret = NULL;
	else if (v->kind == JVAL_STR)
		*ret = xstrndup(v->text, v->n);
	else
		return wrong_type(rd, v, at, "string", NULL);
	return 0;
}

static int read_i64(struct reader *rd, const struct jval *v, const struct path *at, int64_t *ret)
{
	if (v->kind != JVAL_INT || v->big)
		return wrong_type(rd, v, at, "int64", NULL);
	*ret = v->num.i;
	return 0;
}

static int read_strv(struct reader *rd, const struct json_field *f, const struct jval *v, struct strv *ret,
		     const struct path *at)
{
	int r = 0;

	if (v->kind == JVAL_STR && (f->flags & ONE_OR_MANY)) {
		strv_add(ret, v->text);
		return 0;
	}
	if (v->kind != JVAL_LIST) /* Go's reader of the two kinds is a function, which knows no path */
		return f->flags & ONE_OR_MANY ? wrong_type(rd, v, NULL, "string", NULL)
					      : wrong_type(rd, v, at, "[]string", NULL);
	ret->v = xcalloc(v->n + 1, sizeof *ret->v);
	for (size_t i = 0; i < v->n && r == 0; i++) {
		struct path here = { .up = at, .index = i };
		char *s = NULL;

		r = read_str(rd, &v->items[i], &here, &s);
		if (r == 0)
			ret->v[ret->n++] = s ? s : xstrdup("");
	}
	return r;
}

static int read_ints(struct reader *rd, const struct jval *v, struct json_ints *ret, const struct path *at)
{
	int r = 0;

	if (v->kind != JVAL_LIST)
		return wrong_type(rd, v, at, "[]int64", NULL);
	ret->v = xcalloc(v->n, sizeof *ret->v);
	for (size_t i = 0; i < v->n && r == 0; i++) {
		struct path here = { .up = at, .index = i };

		if (jval_kind(&v->items[i]) != JVAL_NULL)
			r = read_i64(rd, &v->items[i], &here, &ret->v[i]);
		ret->n = i + 1;
	}
	return r;
}

static int read_map(struct reader *rd, const struct jval *v, struct strmap *ret, const struct path *at)
{
	int r = 0;

	if (v->kind != JVAL_DICT)
		return wrong_type(rd, v, at, "map[string]string", NULL);
	ret->v = xcalloc(v->n, sizeof *ret->v);
	for (size_t i = 0; i < v->n && r == 0; i++) {
		struct path here = { .up = at, .name = v->items[i].key };
		char *s = NULL;

		r = read_str(rd, &v->items[i], &here, &s);
		if (r == 0)
			ret->v[ret->n++] = (struct strkv){ .k = xstrdup(v->items[i].key), .v = s ? s : xstrdup("") };
	}
	return r;
}

static int read_set(struct reader *rd, const struct jval *v, struct strv *ret, const struct path *at)
{
	if (v->kind != JVAL_DICT)
		return wrong_type(rd, v, at, "map[string]struct {}", NULL);
	ret->v = xcalloc(v->n + 1, sizeof *ret->v);
	for (size_t i = 0; i < v->n; i++) {
		struct path here = { .up = at, .name = v->items[i].key };

		if (v->items[i].kind != JVAL_DICT && v->items[i].kind != JVAL_NULL)
			return wrong_type(rd, &v->items[i], &here, "struct {}", NULL);
		ret->v[ret->n++] = xstrdup(v->items[i].key);
	}
	return 0;
}

static int read_list(struct reader *rd, const struct json_type *sub, const struct jval *v, struct json_vec *ret,
		     const struct path *at)
{
	int r = 0;

	if (v->kind != JVAL_LIST)
		return wrong_type(rd, v, at, "[]", sub);
	ret->v = vec_grow(NULL, 0, sub->size);
	for (size_t i = 0; i < v->n && r == 0; i++) {
		struct path here = { .up = at, .index = i };

		r = read_object(rd, sub, &v->items[i], vec_add(ret, sub->size), &here);
	}
	return r;
}

static int read_dict(struct reader *rd, const struct json_type *sub, const struct jval *v, struct json_vec *ret,
		     const struct path *at)
{
	int r = 0;

	if (v->kind != JVAL_DICT)
		return wrong_type(rd, v, at, "map[string]", sub);
	ret->v = vec_grow(NULL, 0, json_dict_size(sub));
	for (size_t i = 0; i < v->n && r == 0; i++) {
		struct path here = { .up = at, .name = v->items[i].key };
		char *entry = vec_add(ret, json_dict_size(sub));

		*(char **)entry = xstrdup(v->items[i].key);
		r = read_object(rd, sub, &v->items[i], entry + json_dict_offset(sub), &here);
	}
	return r;
}

static int read_dbl(struct reader *rd, const struct jval *v, double *ret, const struct path *at)
{
	if (v->kind != JVAL_DBL && v->kind != JVAL_INT)
		return wrong_type(rd, v, at, "float64", NULL);
	*ret = jval_dbl(v);
	return 0;
}

static int read_bool(struct reader *rd, const struct jval *v, bool *ret, const struct path *at)
{
	if (v->kind != JVAL_BOOL)
		return wrong_type(rd, v, at, "bool", NULL);
	*ret = v->b;
	return 0;
}

static int read_uint(struct reader *rd, const struct jval *v, uint64_t *ret, const struct path *at)
{
	if (v->kind != JVAL_INT || (!v->big && v->num.i < 0))
		return wrong_type(rd, v, at, "uint64", NULL);
	*ret = v->num.u;
	return 0;
}

static int read_ptr(struct reader *rd, const struct json_type *sub, const struct jval *v, void **ret,
		    const struct path *at)
{
	if (!*ret)
		*ret = xcalloc(1, sub->size);
	return read_object(rd, sub, v, *ret, at);
}

static char *text_of(const struct jval *v)
{
	struct strb b = STRB_INIT;

	jval_write(v, &b);
	return strb_take(&b);
}

static int read_field(struct reader *rd, const struct json_field *f, const struct jval *v, void *p,
		      const struct path *at)
{
	if (v->kind == JVAL_NULL || (f->kind != JSON_OBJ && f->kind != JSON_PTR))
		json_field_done(f, p);
	if (v->kind == JVAL_NULL)
		return 0;
	switch (f->kind) {
	case JSON_STR:
		return read_str(rd, v, at, p);
	case JSON_BOOL:
		return read_bool(rd, v, p, at);
	case JSON_INT:
		return read_i64(rd, v, at, p);
	case JSON_UINT:
		return read_uint(rd, v, p, at);
	case JSON_DBL:
		return read_dbl(rd, v, p, at);
	case JSON_OBOOL:
		((struct json_obool *)p)->set = v->kind == JVAL_BOOL;
		return read_bool(rd, v, &((struct json_obool *)p)->v, at);
	case JSON_OINT:
		((struct json_oint *)p)->set = v->kind == JVAL_INT;
		return read_i64(rd, v, at, &((struct json_oint *)p)->v);
	case JSON_STRV:
		return read_strv(rd, f, v, p, at);
	case JSON_INTS:
		return read_ints(rd, v, p, at);
	case JSON_MAP:
		return read_map(rd, v, p, at);
	case JSON_SET:
		return read_set(rd, v, p, at);
	case JSON_OBJ:
		return read_object(rd, f->sub, v, p, at);
	case JSON_PTR:
		return read_ptr(rd, f->sub, v, p, at);
	case JSON_LIST:
		return read_list(rd, f->sub, v, p, at);
	case JSON_DICT:
		return read_dict(rd, f->sub, v, p, at);
	case JSON_RAW:
		*(char **)p = text_of(v);
		return 0;
	case JSON_EXTRA:
		break;
	}
	return 0;
}

/* The row for a name: exact first, then ignoring case. `hint` is where a document in the table's own order would have it. */
static const struct json_field *find_row(const struct json_type *t, const char *name, size_t hint)
{
	if (hint < t->n && streq(t->fields[hint].name, name))
		return &t->fields[hint];
	for (size_t i = 0; i < t->n; i++)
		if (streq(t->fields[i].name, name))
			return &t->fields[i];
	for (size_t i = 0; i < t->n; i++)
		if (strcasecmp(t->fields[i].name, name) == 0)
			return &t->fields[i];
	return NULL;
}

static void keep_unknown(const struct json_type *t, void *obj, const struct jval *v)
{
	for (size_t i = 0; i < t->n; i++) {
		if (t->fields[i].kind == JSON_EXTRA) {
			AUTO_FREE char *text = text_of(v);

			strmap_set((struct strmap *)((char *)obj + t->fields[i].offset), v->key, text);
		}
	}
}

static int check_required(struct reader *rd, const struct json_type *t, const struct jval *v, const struct path *at)
{
	for (size_t i = 0; i < t->n; i++) {
		AUTO_STRB struct strb where = STRB_INIT;
		bool found = !(t->fields[i].flags & REQUIRED);

		for (size_t k = 0; k < v->n && !found; k++)
			found = strcasecmp(v->items[k].key, t->fields[i].name) == 0;
		if (found)
			continue;
		json_go_name(rd->top, &where);
		add_path(&where, at);
		return err_set(rd->e, ERR_INVALID, "json: %s.%s is missing", strb_str(&where), t->fields[i].name);
	}
	return 0;
}

static int read_object(struct reader *rd, const struct json_type *t, const struct jval *v, void *obj,
		       const struct path *at)
{
	size_t hint = 0;

	if (json_is_wrapper(t))
		return read_field(rd, &t->fields[0], v, (char *)obj + t->fields[0].offset, at);
	if (v->kind == JVAL_NULL)
		return 0;
	if (v->kind != JVAL_DICT)
		return wrong_type(rd, v, at, "", t);
	for (size_t i = 0; i < v->n; i++) {
		const struct jval *item = &v->items[i];
		struct path here = { .up = at, .name = item->key };
		const struct json_field *f = *item->key ? find_row(t, item->key, hint) : NULL;
		int r;

		if (!f) {
			keep_unknown(t, obj, item);
			continue;
		}
		hint = (size_t)(f - t->fields) + 1;
		here.name = f->name;
		if (f->flags & WRITE_ONLY)
			continue;
		r = read_field(rd, f, item, (char *)obj + f->offset, &here);
		if (r < 0)
			return r;
	}
	return check_required(rd, t, v, at);
}

int json_read_val(const struct json_type *t, const struct jval *v, void *ret, struct err *e)
{
	static const struct jval null_value = { 0 };
	struct reader rd = { .top = t, .e = e };
	int r = read_object(&rd, t, v ? v : &null_value, ret, NULL);

	if (r < 0)
		json_done(t, ret);
	return r;
}

int json_read(const struct json_type *t, const char *text, size_t n, const struct json_limits *limits, void *ret,
	      struct err *e)
{
	struct jval *v = NULL;
	int r = jval_parse(text, n, limits, &v, e);

	if (r == 0)
		r = json_read_val(t, v, ret, e);
	else
		json_done(t, ret);
	jval_free(v);
	return r;
}

bool json_is_wrapper(const struct json_type *t)
{
	return t->n == 1 && !*t->fields[0].name && t->fields[0].kind != JSON_EXTRA;
}

static void free_entries(const struct json_field *f, struct json_vec *vec)
{
	size_t size = f->kind == JSON_DICT ? json_dict_size(f->sub) : f->sub->size;

	for (size_t i = 0; i < vec->n; i++) {
		char *entry = at_entry(vec, i, size);

		if (f->kind == JSON_DICT)
			free(*(char **)entry);
		json_done(f->sub, f->kind == JSON_DICT ? entry + json_dict_offset(f->sub) : entry);
	}
	free(vec->v);
}

static size_t json_field_size(const struct json_field *f)
{
	static const size_t sizes[] = {
		[JSON_STR] = sizeof(char *),
		[JSON_BOOL] = sizeof(bool),
		[JSON_INT] = sizeof(int64_t),
		[JSON_UINT] = sizeof(uint64_t),
		[JSON_DBL] = sizeof(double),
		[JSON_OBOOL] = sizeof(struct json_obool),
		[JSON_OINT] = sizeof(struct json_oint),
		[JSON_STRV] = sizeof(struct strv),
		[JSON_INTS] = sizeof(struct json_ints),
		[JSON_MAP] = sizeof(struct strmap),
		[JSON_SET] = sizeof(struct strv),
		[JSON_PTR] = sizeof(void *),
		[JSON_LIST] = sizeof(struct json_vec),
		[JSON_DICT] = sizeof(struct json_vec),
		[JSON_RAW] = sizeof(char *),
		[JSON_EXTRA] = sizeof(struct strmap),
	};

	return f->kind == JSON_OBJ ? f->sub->size : sizes[f->kind];
}

void json_field_done(const struct json_field *f, void *p)
{
	switch (f->kind) {
	case JSON_STR:
	case JSON_RAW:
		free(*(char **)p);
		break;
	case JSON_STRV:
	case JSON_SET:
		strv_done(p);
		break;
	case JSON_INTS:
		free(((struct json_ints *)p)->v);
		break;
	case JSON_MAP:
	case JSON_EXTRA:
		strmap_done(p);
		break;
	case JSON_PTR:
		json_done(f->sub, *(void **)p);
		free(*(void **)p);
		break;
	case JSON_OBJ:
		json_done(f->sub, p);
		break;
	case JSON_LIST:
	case JSON_DICT:
		free_entries(f, p);
		break;
	default:
		break;
	}
	memset(p, 0, json_field_size(f));
}

void json_done(const struct json_type *t, void *obj)
{
	if (!obj)
		return;
	for (size_t i = 0; i < t->n; i++)
		json_field_done(&t->fields[i], (char *)obj + t->fields[i].offset);
	memset(obj, 0, t->size);
}

static void copy_entries(const struct json_field *f, struct json_vec *to, const struct json_vec *from)
{
	size_t size = f->kind == JSON_DICT ? json_dict_size(f->sub) : f->sub->size;

	if (from->v)
		to->v = vec_grow(NULL, 0, size);
	for (size_t i = 0; i < from->n; i++) {
		char *a = vec_add(to, size), *b = at_entry(from, i, size);
		size_t skip = f->kind == JSON_DICT ? json_dict_offset(f->sub) : 0;

		if (skip)
			*(char **)a = xstrdup(*(char **)b);
		json_copy(f->sub, a + skip, b + skip);
	}
}

static void copy_strv(struct strv *to, const struct strv *from)
{
	if (from->v)
		to->v = xcalloc(from->n + 1, sizeof *to->v);
	for (; to->n < from->n; to->n++)
		to->v[to->n] = xstrdup(from->v[to->n]);
}

static void copy_map(struct strmap *to, const struct strmap *from)
{
	if (from->v)
		to->v = xcalloc(from->n, sizeof *to->v);
	for (; to->n < from->n; to->n++)
		to->v[to->n] = (struct strkv){ xstrdup(from->v[to->n].k), xstrdup(from->v[to->n].v) };
}

static void copy_field(const struct json_field *f, void *to, const void *from)
{
	switch (f->kind) {
	case JSON_STR:
	case JSON_RAW:
		*(char **)to = xstrdup(*(char *const *)from);
		break;
	case JSON_STRV:
	case JSON_SET:
		copy_strv(to, from);
		break;
	case JSON_INTS: {
		const struct json_ints *a = from;
		struct json_ints *b = to;

		b->v = a->v ? xcalloc(a->n, sizeof *a->v) : NULL;
		b->n = a->n;
		if (a->n)
			memcpy(b->v, a->v, a->n * sizeof *a->v);
		break;
	}
	case JSON_MAP:
	case JSON_EXTRA:
		copy_map(to, from);
		break;
	case JSON_PTR:
		if (*(void *const *)from) {
			*(void **)to = xcalloc(1, f->sub->size);
			json_copy(f->sub, *(void **)to, *(void *const *)from);
		}
		break;
	case JSON_OBJ:
		json_copy(f->sub, to, from);
		break;
	case JSON_LIST:
	case JSON_DICT:
		copy_entries(f, to, from);
		break;
	default:
		memcpy(to, from, json_field_size(f));
	}
}

void json_copy(const struct json_type *t, void *to, const void *from)
{
	for (size_t i = 0; i < t->n; i++)
		copy_field(&t->fields[i], (char *)to + t->fields[i].offset, (const char *)from + t->fields[i].offset);
}
