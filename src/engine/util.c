/* util.c - small parsers of Docker's own notations that several nouns need. */
#include "engine/engine_private.h"

#include <regex.h>

/* Without zone: the machine's. Minutes and seconds may be missing. */
static int local_date(const char *s, int64_t *ret_ns)
{
	static const char *const layouts[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d" };

	for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *end = strptime(s, layouts[i], &tm);
		time_t t = end && (!*end || streq(end, "Z")) ? (*end ? timegm(&tm) : mktime(&tm)) : -1;

		if (t >= 0 && t < 9000000000LL) {
			*ret_ns = (int64_t)t * 1000000000;
			return 0;
		}
	}
	return -EINVAL;
}

int engine_time_parse(const char *s, int64_t *ret_ns)
{
	int64_t ns = 0, seconds = 0;
	const char *dot = strchr(s, '.');
	AUTO_FREE char *whole = dot ? xstrndup(s, (size_t)(dot - s)) : xstrdup(s);

	if (str_to_i64(whole, &seconds) == 0 &&
	    (!dot || (dot[1] && strspn(dot + 1, "0123456789") == strlen(dot + 1)))) {
		int64_t frac = 0, scale = 100000000;

		for (const char *p = dot ? dot + 1 : ""; *p && scale; p++, scale /= 10)
			frac += (*p - '0') * scale;
		if (seconds > 9000000000LL || seconds < -9000000000LL)
			return -ERANGE;
		*ret_ns = seconds * 1000000000 + frac;
		return 0;
	}
	if (duration_parse(s, &ns, NULL) == 0) {
		*ret_ns = time_now_ns() - ns;
		return 0;
	}
	return time_parse(s, ret_ns) == 0 ? 0 : local_date(s, ret_ns);
}

bool engine_labels_match(const struct strmap *labels, const struct strv *wanted, bool has)
{
	for (size_t i = 0; wanted && i < wanted->n; i++) {
		if (strmap_has(labels, wanted->v[i]) != has)
			return false;
	}
	return true;
}

bool id_or_name_matches(const char *pattern, const char *value)
{
	regex_t re;
	bool match;

	if (streq(pattern, value))
		return true;
	if (strlen(pattern) > 256 || regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return strstr(value, pattern) != NULL;
	match = regexec(&re, value, 0, NULL, 0) == 0;
	regfree(&re);
	return match;
}

void engine_filters_done(struct engine_filters *f)
{
	for (size_t i = 0; i < f->n; i++) {
		free(f->v[i].key);
		strv_done(&f->v[i].values);
	}
	free(f->v);
	*f = (struct engine_filters){ 0 };
}

const struct strv *engine_filter(const struct engine_filters *f, const char *key)
{
	for (size_t i = 0; f && i < f->n; i++)
		if (streq(f->v[i].key, key))
			return &f->v[i].values;
	return NULL;
}

int engine_filter_bool(const struct engine_filters *f, const char *key, struct json_obool *ret, struct err *e)
{
	const struct strv *v = engine_filter(f, key);
	AUTO_STRB struct strb said = STRB_INIT;
	bool yes, no;

	*ret = (struct json_obool){ 0 };
	if (!v)
		return 0;
	yes = strv_has(v, "true") || strv_has(v, "1");
	no = strv_has(v, "false") || strv_has(v, "0");
	for (size_t i = 0; i < v->n; i++)
		strb_addf(&said, "%s%s", i ? " " : "=[", v->v[i]);
	if (yes == no)
		return err_set(e, ERR_INVALID, "invalid filter '%s%s%s'", key, strb_str(&said), v->n ? "]" : "");
	*ret = (struct json_obool){ true, yes };
	return 0;
}
