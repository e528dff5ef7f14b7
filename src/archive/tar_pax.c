/* tar_pax.c - PAX extended headers: the records that carry long names, big numbers, nanoseconds, xattrs and sparse maps. */
#include "archive/tar_priv.h"

void tar_ext_clear(struct tar_ext *x)
{
	free(x->path);
	free(x->linkpath);
	free(x->sparse_name);
	for (size_t i = 0; i < x->xattrs.n; i++) {
		free(x->xattrs.v[i].name);
		free(x->xattrs.v[i].value);
	}
	free(x->xattrs.v);
	free(x->sparse.v);
	*x = (struct tar_ext){ .sparse_major = -1, .sparse_minor = -1, .sparse_real = -1, .sparse_at = -1 };
}

static int bad(const char *key, struct err *e)
{
	return err_set(e, ERR_INVALID, "archive/tar: invalid tar header: PAX record %.40s", key);
}

/* "123.456": seconds and, rounded down, nanoseconds. */
static int parse_time(const char *s, int64_t *ret, uint32_t *ret_ns)
{
	AUTO_FREE char *whole = xstrdup(s);
	char *dot = strchr(whole, '.');
	uint32_t ns = 0;
	int64_t sec;

	if (dot) {
		uint32_t unit = 100000000;

		*dot++ = 0;
		for (; *dot; dot++, unit /= 10) {
			if (*dot < '0' || *dot > '9')
				return -EINVAL;
			ns += (uint32_t)(*dot - '0') * unit;
		}
	}
	if (str_to_i64(whole, &sec) < 0)
		return -EINVAL;
	if (*whole == '-' && ns) { /* -1.5 is one and a half second before 1970 */
		if (sec == INT64_MIN)
			return -EINVAL;
		sec--;
		ns = 1000000000 - ns;
	}
	*ret = sec;
	*ret_ns = ns;
	return 0;
}

int tar_sparse_add(struct tar_ext *x, int64_t at, int64_t n, struct err *e)
{
	struct tar_extent *last = x->sparse.n ? &x->sparse.v[x->sparse.n - 1] : NULL;

	if (at < 0 || n < 0 || at > INT64_MAX - n || (last && at < last->at + last->n))
		return err_set(e, ERR_INVALID, "archive/tar: invalid sparse map");
	if (x->sparse.n >= TAR_SPARSE_MAX)
		return err_set(e, ERR_INVALID, "archive/tar: sparse map of more than %d fragments", TAR_SPARSE_MAX);
	*VEC_ADD(&x->sparse) = (struct tar_extent){ .at = at, .n = n };
	return 0;
}

/* GNU.sparse.map of format 0.1: "offset,size,offset,size..." */
static int parse_map(const char *s, struct tar_ext *x, struct err *e)
{
	int64_t pair[2] = { 0 };
	int i = 0;

	free(x->sparse.v);
	x->sparse.v = NULL;
	x->sparse.n = 0;
	for (const char *p = s; *p;) {
		size_t len = strcspn(p, ",");
		char number[24] = "";

		if (len == 0 || len >= sizeof number)
			return bad("GNU.sparse.map", e);
		memcpy(number, p, len);
		if (str_to_i64(number, &pair[i]) < 0)
			return bad("GNU.sparse.map", e);
		if (i++ == 1) {
			int r = tar_sparse_add(x, pair[0], pair[1], e);

			if (r < 0)
				return r;
			i = 0;
		}
		p += len + (p[len] == ',');
	}
	return i ? bad("GNU.sparse.map", e) : 0;
}

static int sparse_record(const char *key, const char *value, struct tar_ext *x, struct err *e)
{
	int64_t number = 0;

	x->is_sparse = true;
	if (streq(key, "name")) {
		free(x->sparse_name);
		x->sparse_name = xstrdup(value);
		return 0;
	}
	if (streq(key, "map"))
		return parse_map(value, x, e);
	if (str_to_i64(value, &number) < 0 || number < 0)
		return bad("GNU.sparse", e);
	if (streq(key, "major"))
		x->sparse_major = number;
	else if (streq(key, "minor"))
		x->sparse_minor = number;
	else if (streq(key, "realsize") || streq(key, "size"))
		x->sparse_real = number;
	else if (streq(key, "offset"))
		x->sparse_at = number;
	else if (streq(key, "numbytes")) {
		int64_t at = x->sparse_at;

		x->sparse_at = -1;
		return at < 0 ? bad("GNU.sparse.numbytes", e) : tar_sparse_add(x, at, number, e);
	}
	return 0; /* numblocks: the map itself says it */
}

static int set_text(char **to, const char *key, const char *value, size_t n, struct err *e)
{
	if (memchr(value, 0, n) || n >= TAR_NAME_MAX)
		return bad(key, e);
	free(*to);
	*to = xstrndup(value, n);
	return 0;
}

static void set_xattr(struct tar_ext *x, const char *name, const char *value, size_t n)
{
	struct tar_xattr *a = NULL;

	for (size_t i = 0; i < x->xattrs.n; i++)
		if (streq(x->xattrs.v[i].name, name))
			a = &x->xattrs.v[i];
	if (!a) {
		a = VEC_ADD(&x->xattrs);
		a->name = xstrdup(name);
	}
	free(a->value);
	a->value = xmalloc(n + 1);
	memcpy(a->value, value, n);
	a->value[n] = 0;
	a->n = n;
}

#define XATTRS_MAX 256
static int record(const char *key, const char *value, size_t n, struct tar_ext *x, struct err *e)
{
	const char *rest;

	if (streq(key, "path"))
		return set_text(&x->path, key, value, n, e);
	if (streq(key, "linkpath"))
		return set_text(&x->linkpath, key, value, n, e);
	if ((rest = str_after(key, "SCHILY.xattr."))) {
		if (!*rest || strlen(rest) > 255 || x->xattrs.n >= XATTRS_MAX)
			return bad(key, e);
		set_xattr(x, rest, value, n);
		return 0;
	}
	if (memchr(value, 0, n))
		return str_after(key, "GNU.sparse.") ? bad(key, e) : 0; /* nothing we read has NULs */
	if ((rest = str_after(key, "GNU.sparse.")))
		return sparse_record(rest, value, x, e);
	if (streq(key, "size")) {
		x->has_size = true;
		return str_to_i64(value, &x->size) < 0 || x->size < 0 ? bad(key, e) : 0;
	}
	if (streq(key, "uid")) {
		x->has_uid = true;
		return str_to_i64(value, &x->uid) < 0 ? bad(key, e) : 0;
	}
	if (streq(key, "gid")) {
		x->has_gid = true;
		return str_to_i64(value, &x->gid) < 0 ? bad(key, e) : 0;
	}
	if (streq(key, "mtime")) {
		x->has_mtime = true;
		return parse_time(value, &x->mtime, &x->mtime_ns) < 0 ? bad(key, e) : 0;
	}
	return 0; /* atime, ctime, uname, gname, comment, hdrcharset, vendors' own */
}

int tar_pax_parse(const char *p, size_t n, struct tar_ext *x, struct err *e)
{
	while (n > 0) {
		size_t len = 0, digits = 0, value_n;
		AUTO_FREE char *text = NULL;
		char *eq;
		int r;

		while (digits < n && digits < 8 && p[digits] >= '0' && p[digits] <= '9')
			len = len * 10 + (size_t)(p[digits++] - '0');
		if (!digits || digits >= n || p[digits] != ' ' || len <= digits + 2 || len > n || p[len - 1] != '\n')
			return bad("length", e);
		text = xmalloc(len - digits);
		memcpy(text, p + digits + 1, len - digits - 2);
		value_n = len - digits - 2;
		text[value_n] = 0;
		eq = memchr(text, '=', value_n);
		if (!eq || eq == text || memchr(text, 0, (size_t)(eq - text)))
			return bad("key", e);
		*eq++ = 0;
		value_n -= (size_t)(eq - text);
		if (value_n == 0 && !str_after(text, "SCHILY.xattr."))
			r = 0; /* an empty value withdraws what a global header said; the header's own field counts */
		else
			r = record(text, eq, value_n, x, e);
		if (r < 0)
			return r;
		p += len;
		n -= len;
	}
	return 0;
}
