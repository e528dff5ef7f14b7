/* decode.c - query parameters, filters and JSON bodies, with dockerd's rules and words. */
#include "api/request.h"

#include <strings.h>

const char *api_q_str(const struct request *q, const char *name)
{
	const char *s = strmap_get(&q->http->query, name);

	return s ? s : "";
}

static bool truth(const char *s)
{
	static const char *const no[] = { "", "0", "no", "false", "none" };

	s += strspn(s, " \t");
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		if (strcasecmp(s, no[i]) == 0)
			return false;
	return true;
}

bool api_q_bool(const struct request *q, const char *name)
{
	return truth(api_q_str(q, name));
}

bool api_q_bool_or(const struct request *q, const char *name, bool absent)
{
	return strmap_get(&q->http->query, name) ? api_q_bool(q, name) : absent;
}

int api_q_go_bool(const struct request *q, const char *name, bool *ret, struct err *e)
{
	static const char *const words[] = { "1", "t", "T", "TRUE",  "true",  "True",
					     "0", "f", "F", "FALSE", "false", "False" };
	const char *s = api_q_str(q, name);

	*ret = false;
	for (size_t i = 0; *s && i < ARRAY_LEN(words); i++)
		if (streq(s, words[i])) {
			*ret = i < ARRAY_LEN(words) / 2;
			return 0;
		}
	if (*s)
		return err_set(e, ERR_INVALID,
			       "invalid value for %s: %s: strconv.ParseBool: parsing \"%s\": invalid syntax", name, s,
			       s);
	return 0;
}

int api_q_int(const struct request *q, const char *name, int64_t *ret, struct err *e)
{
	const char *s = api_q_str(q, name);
	int r = *s ? str_to_i64(s, ret) : 0;

	if (r < 0) /* ERR_SYSTEM, as dockerd: 500 */
		return err_set(e, ERR_SYSTEM, "strconv.Atoi: parsing \"%s\": %s", s,
			       r == -ERANGE ? "value out of range" : "invalid syntax");
	return 0;
}

int api_q_time(const struct request *q, const char *name, int64_t *ret_ns, struct err *e)
{
	const char *s = api_q_str(q, name), *dot = strchr(s, '.');
	AUTO_FREE char *whole = dot ? xstrndup(s, (size_t)(dot - s)) : xstrdup(s);
	int64_t seconds = 0, nanos = 0, unit = 100000000;

	*ret_ns = 0;
	if (!*s)
		return 0;
	if (str_to_i64(whole, &seconds) < 0)
		return err_set(e, ERR_SYSTEM, "strconv.ParseInt: parsing \"%s\": invalid syntax", whole);
	for (const char *d = dot ? dot + 1 : ""; *d; d++, unit /= 10) {
		if (*d < '0' || *d > '9')
			return err_set(e, ERR_SYSTEM, "strconv.ParseInt: parsing \"%s\": invalid syntax", dot + 1);
		nanos += (*d - '0') * unit;
	}
	if (__builtin_mul_overflow(seconds, (int64_t)1000000000, ret_ns) ||
	    __builtin_add_overflow(*ret_ns, seconds < 0 ? -nanos : nanos, ret_ns))
		*ret_ns = seconds < 0 ? INT64_MIN : INT64_MAX;
	return 0;
}

/* {"key": {"value": true}} or, from old clients, {"key": ["value"]} */
static bool add_filter(struct engine_filters *ret, const char *key, const struct jval *values)
{
	size_t n = jval_len(values);
	bool list = jval_kind(values) == JVAL_LIST;
	struct strv *to;

	if (!list && jval_kind(values) != JVAL_DICT)
		return false;
	ret->v = vec_grow(ret->v, ret->n, sizeof *ret->v);
	ret->v[ret->n].key = xstrdup(key);
	to = &ret->v[ret->n++].values;
	for (size_t i = 0; i < n; i++) {
		const char *value = NULL;
		const struct jval *v = list ? jval_at(values, i) : jval_entry(values, i, &value);

		if (jval_kind(v) != (list ? JVAL_STR : JVAL_BOOL))
			return false;
		strv_add(to, list ? jval_str(v) : value);
	}
	return true;
}

static int api_filters_parse(const char *text, struct engine_filters *ret, struct err *e)
{
	static const struct json_limits limits = { .bytes = 1 << 20, .depth = 4, .values = 10000 };
	struct jval *tree = NULL;
	bool good;

	if (!*text)
		return 0;
	if (jval_parse(text, strlen(text), &limits, &tree, NULL) < 0)
		return err_set(e, ERR_INVALID, "invalid filter");
	good = jval_kind(tree) == JVAL_DICT || jval_kind(tree) == JVAL_NULL;
	for (size_t i = 0; good && i < jval_len(tree); i++) {
		const char *key = NULL;
		const struct jval *values = jval_entry(tree, i, &key);

		good = add_filter(ret, key, values);
	}
	jval_free(tree);
	if (good)
		return 0;
	engine_filters_done(ret);
	*ret = (struct engine_filters){ 0 };
	return err_set(e, ERR_INVALID, "invalid filter");
}

int api_q_filters(const struct request *q, struct engine_filters *ret, struct err *e)
{
	return api_filters_parse(api_q_str(q, "filters"), ret, e);
}

static bool is_json_type(const char *type)
{
	static const char want[] = "application/json";
	size_t n = strlen(want);

	return strncasecmp(type, want, n) == 0 && (!type[n] || strchr("; \t", type[n]));
}

int api_q_text(struct request *q, char **ret, size_t *ret_n, struct err *e)
{
	const char *type = http_header(&q->http->headers, "Content-Type");
	int r;

	if ((!type || !*type) && (type || q->http->content_length > 0 || q->http->chunked))
		return err_set(e, ERR_INVALID, "malformed Content-Type header (): mime: no media type");
	if (type && !is_json_type(type))
		return err_set(e, ERR_INVALID, "unsupported Content-Type header (%s): must be 'application/json'",
			       type);
	r = http_body_text(q->conn, BODY_MAX, ret, ret_n);
	if (r == -EFBIG)
		return err_set(e, ERR_INVALID, "request body is too large: the limit is %d bytes", BODY_MAX);
	if (r == -ETIMEDOUT)
		return err_set(e, ERR_TIMEOUT, "the request's body did not arrive in time");
	if (r == -ENOBUFS)
		return err_set(e, ERR_UNAVAILABLE, "too many large request bodies at once: try again later");
	if (r < 0)
		return err_set(e, ERR_INVALID, "invalid JSON: %s", r == -EPROTO ? "unexpected EOF" : strerror(-r));
	return 0;
}

int api_json_error(int r, struct err *e)
{
	return r == -ENOTEMPTY ? err_set(e, ERR_INVALID, "unexpected content after JSON")
			       : err_wrap(e, r, "invalid JSON");
}

int api_q_json(struct request *q, const struct json_type *t, void *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t n = 0;
	int r = api_q_text(q, &text, &n, e);

	if (r < 0)
		return r;
	if (!n) /* no body at all is an empty object */
		return q->http->chunked ? err_set(e, ERR_INVALID, "invalid JSON: got EOF while reading request body")
					: 0;
	r = json_read(t, text, n, NULL, ret, e);
	return r < 0 ? api_json_error(r, e) : 0;
}
