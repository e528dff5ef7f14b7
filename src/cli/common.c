/* common.c - what commands share: the client, errors, filters, questions, references, times. */
#include "cli/command.h"
#include "cli/human.h"
#include "http/http.h"
#include "cli/jw.h"

int cli_client(struct cli *c, struct err *e)
{
	int r = c->client ? 0 : client_new(c->host, &c->client, e);

	return r < 0 ? r : client_negotiate(c->client, e);
}

int cli_report(const struct err *e)
{
	(void)fflush(stdout);
	(void)fprintf(stderr, "%s\n", e->msg);
	return 1;
}

static int cli_json(struct cli *c, const char *method, const char *path, const char *body, struct jval **ret,
		    struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t n = 0;
	int r = cli_client(c, e);

	if (r >= 0)
		r = client_text(c->client, &(struct client_call){ .method = method, .path = path, .body = body }, &text,
				&n, e);
	if (r < 0 || !ret)
		return r;
	r = jval_parse(text, n, &json_limits_default, ret, e);
	return r < 0 ? err_wrap(e, r, "the daemon's answer") : 0;
}

int cli_get(struct cli *c, const char *path, struct jval **ret, struct err *e)
{
	return cli_json(c, "GET", path, NULL, ret, e);
}

int cli_post(struct cli *c, const char *path, const char *body, struct jval **ret, struct err *e)
{
	return cli_json(c, "POST", path, body, ret, e);
}

int cli_delete(struct cli *c, const char *path, struct jval **ret, struct err *e)
{
	return cli_json(c, "DELETE", path, NULL, ret, e);
}

int cli_each(struct cli *c, each_fn *fn, bool print)
{
	int status = 0;

	for (size_t i = 0; i < c->words->n; i++) {
		struct err e = ERR_INIT;

		int r = fn(c, c->words->v[i], &e);

		if (r < 0)
			status = cli_report(&e);
		else if (print && r == 0)
			(void)printf("%s\n", c->words->v[i]);
		if (e.kind == ERR_UNAVAILABLE && !c->client)
			break;
	}
	return status;
}

char *filters_json(const struct strv *filters)
{
	AUTO_JW struct jw w = { 0 };
	AUTO_STRV struct strv seen = { 0 };

	if (filters->n == 0)
		return NULL;
	jw_open(&w, NULL, '{');
	for (size_t i = 0; i < filters->n; i++) {
		size_t len = strcspn(filters->v[i], "=");
		AUTO_FREE char *name = xstrndup(filters->v[i], len);

		if (!*name || strv_has(&seen, name))
			continue;
		strv_add(&seen, name);
		jw_open(&w, name, '{');
		for (size_t k = i; k < filters->n; k++)
			if (strcspn(filters->v[k], "=") == len && memcmp(filters->v[k], name, len) == 0 &&
			    filters->v[k][len])
				jw_raw(&w, filters->v[k] + len + 1, "true");
		jw_close(&w, '}');
	}
	jw_close(&w, '}');
	return strb_take(&w.b);
}

void query_add(struct strb *path, const char *key, const char *value)
{
	strb_addf(path, "%c%s=", memchr(strb_str(path), '?', path->len) ? '&' : '?', key);
	http_encode(path, value);
}

char *url_escape(const char *s)
{
	struct strb b = STRB_INIT;

	http_encode_path(&b, s);
	return strb_take(&b);
}

bool cli_confirm(const char *warning)
{
	char line[16] = "";

	(void)printf("%s\nAre you sure you want to continue? [y/N] ", warning);
	(void)fflush(stdout);
	return fgets(line, sizeof line, stdin) && (*line == 'y' || *line == 'Y');
}

/* A local date without zone is read in ours, as Docker does. */
static int local_time(const char *text, int64_t *ret)
{
	static const char *const layouts[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d" };

	for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *end = strptime(text, layouts[i], &tm);

		if (end && (!*end || streq(end, "Z"))) {
			*ret = streq(end, "Z") ? timegm(&tm) : mktime(&tm);
			return 0;
		}
	}
	return -EINVAL;
}

int parse_when(const char *text, char **ret, struct err *e)
{
	int64_t ns = 0, s = 0;

	if (go_parse_duration(text, &ns, NULL) == 0) {
		int64_t at = time_now_ns() - ns;

		*ret = xasprintf("%lld.%09lld", (long long)(at / 1000000000), (long long)(at % 1000000000));
	} else if (time_parse(text, &ns) == 0) {
		*ret = xasprintf("%lld.%09lld", (long long)(ns / 1000000000), (long long)(ns % 1000000000));
	} else if (local_time(text, &s) == 0) {
		*ret = xasprintf("%lld.000000000", (long long)s);
	} else if (*text && strspn(text, "0123456789.") == strlen(text)) {
		*ret = xstrdup(text);
	} else {
		return err_set(e, ERR_INVALID, "failed to parse value as time or duration: \"%s\"", text);
	}
	return 0;
}

void reference_split(const char *ref, char **ret_name, char **ret_tag)
{
	const char *at = strchr(ref, '@'), *slash = strrchr(ref, '/'), *colon = strrchr(ref, ':');

	if (at) {
		*ret_name = xstrndup(ref, (size_t)(at - ref));
		*ret_tag = xstrdup(at + 1);
	} else if (colon && (!slash || colon > slash)) {
		*ret_name = xstrndup(ref, (size_t)(colon - ref));
		*ret_tag = xstrdup(colon + 1);
	} else {
		*ret_name = xstrdup(ref);
		*ret_tag = xstrdup("latest");
	}
}

char *reference_display(const char *ref)
{
	const char *slash = strrchr(ref, '/');

	if (strchr(ref, '@') || strchr(slash ? slash : ref, ':'))
		return xstrdup(ref);
	return xasprintf("%s:latest", ref);
}
