/* changes.c - `--change` of import (and commit): single Dockerfile instructions applied to an image's configuration. Pure; fuzzed. */
#include "image/priv.h"

#include <ctype.h>

static const char *skip_space(const char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	return s;
}

static char *trimmed(const char *s)
{
	size_t n;

	s = skip_space(s);
	n = strlen(s);
	while (n && isspace((unsigned char)s[n - 1]))
		n--;
	return xstrndup(s, n);
}

/* ["a", "b"] -> true */
static bool json_words(const char *s, struct strv *ret)
{
	struct jval *v = NULL;
	bool ok = *s == '[' && jval_parse(s, strlen(s), &json_limits_default, &v, NULL) == 0 &&
		  jval_kind(v) == JVAL_LIST;

	for (size_t i = 0; ok && i < jval_len(v); i++)
		ok = jval_kind(jval_at(v, i)) == JVAL_STR;
	for (size_t i = 0; ok && i < jval_len(v); i++)
		strv_add(ret, jval_str(jval_at(v, i)));
	jval_free(v);
	return ok;
}

/* Words as the Dockerfile has them: quotes group, a backslash takes the next character as it is. */
static int words(const char *s, struct strv *ret, struct err *e)
{
	while (*(s = skip_space(s))) {
		AUTO_STRB struct strb w = STRB_INIT;
		char quote = 0;

		for (; *s && (quote || !isspace((unsigned char)*s)); s++) {
			if (*s == '\\' && s[1] && quote != '\'')
				strb_addc(&w, *++s);
			else if (quote ? *s == quote : *s == '"' || *s == '\'')
				quote = quote ? 0 : *s;
			else
				strb_addc(&w, *s);
		}
		if (quote)
			return err_set(e, ERR_INVALID,
				       "unexpected end of statement while looking for matching %s-quote",
				       quote == '"' ? "double" : "single");
		strv_push(ret, strb_take(&w));
	}
	return 0;
}

static void command(const char *args, struct strv *ret)
{
	strv_done(ret);
	if (*args && !json_words(args, ret)) {
		strv_done(ret);
		strv_add(ret, "/bin/sh");
		strv_add(ret, "-c");
		strv_add(ret, args);
	}
}

static int do_cmd(struct oci_config *c, const char *args, struct err *e)
{
	command(args, &c->cmd);
	return 0;
}

static int do_entrypoint(struct oci_config *c, const char *args, struct err *e)
{
	command(args, &c->entrypoint);
	return 0;
}

/* "K=V K2=V2", or the old "K the rest of the line" */
static int pairs(const char *word, const char *args, struct strmap *ret, struct err *e)
{
	AUTO_STRV struct strv v = { 0 };
	int r = words(args, &v, e);

	if (r < 0)
		return r;
	if (v.n && !strchr(v.v[0], '=')) {
		size_t n = strcspn(args, " \t");
		AUTO_FREE char *key = xstrndup(args, n);
		AUTO_FREE char *value = trimmed(args + n);

		if (v.n < 2)
			return err_set(e, ERR_INVALID, "%s must have two arguments", word);
		strmap_set(ret, key, value);
		return 0;
	}
	for (size_t i = 0; i < v.n; i++) {
		char *eq = strchr(v.v[i], '=');

		if (!eq)
			return err_set(e, ERR_INVALID,
				       "Syntax error - can't find = in \"%s\". Must be of the form: name=value",
				       v.v[i]);
		if (eq == v.v[i])
			return err_set(e, ERR_INVALID, "%s names can not be blank", word);
		*eq = 0;
		strmap_set(ret, v.v[i], eq + 1);
	}
	return 0;
}

static int do_env(struct oci_config *c, const char *args, struct err *e)
{
	AUTO_STRMAP struct strmap m = { 0 };
	int r = pairs("ENV", args, &m, e);

	for (size_t i = 0; r == 0 && i < m.n; i++) {
		AUTO_FREE char *both = xasprintf("%s=%s", m.v[i].k, m.v[i].v);

		strv_env_set(&c->env, both);
	}
	return r;
}

static int do_label(struct oci_config *c, const char *args, struct err *e)
{
	AUTO_STRMAP struct strmap m = { 0 };
	int r = pairs("LABEL", args, &m, e);

	for (size_t i = 0; r == 0 && i < m.n; i++)
		strmap_set(&c->labels, m.v[i].k, m.v[i].v);
	return r;
}

static void set_add(struct strv *set, const char *s)
{
	if (!strv_has(set, s))
		strv_add(set, s);
	strv_sort(set);
}

static int port_number(const char *s, int64_t *ret)
{
	return str_to_i64(s, ret) < 0 || *s == '-' || *s == '+' || *ret > 65535 ? -EINVAL : 0;
}

static int expose(struct oci_config *c, const char *word, struct err *e)
{
	AUTO_FREE char *copy = xstrdup(word);
	char *proto = strchr(copy, '/'), *dash;
	int64_t first, last;

	if (proto)
		*proto++ = 0;
	dash = strchr(copy, '-');
	if (dash)
		*dash++ = 0;
	if (port_number(copy, &first) < 0 || (dash && port_number(dash, &last) < 0))
		return err_set(e, ERR_INVALID, "Invalid containerPort: %s", word);
	if (!dash)
		last = first;
	if (last < first)
		return err_set(e, ERR_INVALID, "invalid range specified for port: %s", word);
	for (char *p = proto; p && *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (proto && !streq(proto, "tcp") && !streq(proto, "udp") && !streq(proto, "sctp"))
		return err_set(e, ERR_INVALID, "invalid proto: %s", proto);
	for (int64_t p = first; p <= last; p++) {
		AUTO_FREE char *text = xasprintf("%lld/%s", (long long)p, str_empty(proto) ? "tcp" : proto);

		if (!strv_has(&c->ports, text))
			strv_add(&c->ports, text);
	}
	strv_sort(&c->ports);
	return 0;
}

static int do_expose(struct oci_config *c, const char *args, struct err *e)
{
	AUTO_STRV struct strv v = { 0 };
	int r = words(args, &v, e);

	for (size_t i = 0; r == 0 && i < v.n; i++)
		r = expose(c, v.v[i], e);
	return r;
}

static int do_volume(struct oci_config *c, const char *args, struct err *e)
{
	AUTO_STRV struct strv v = { 0 };
	int r = 0;

	if (!json_words(args, &v)) {
		strv_done(&v);
		r = words(args, &v, e);
	}
	for (size_t i = 0; r == 0 && i < v.n; i++) {
		if (!*skip_space(v.v[i]))
			return err_set(e, ERR_INVALID, "VOLUME specified can not be an empty string");
		set_add(&c->volumes, v.v[i]);
	}
	return r;
}

static void set_text(char **to, const char *value)
{
	free(*to);
	*to = xstrdup(value);
}

static int do_user(struct oci_config *c, const char *args, struct err *e)
{
	set_text(&c->user, args);
	return 0;
}

static int do_workdir(struct oci_config *c, const char *args, struct err *e)
{
	AUTO_FREE char *both = *args == '/' ? xstrdup(args) : xasprintf("/%s/%s", c->workdir ? c->workdir : "", args);
	AUTO_FREE char *clean = path_clean(both);

	set_text(&c->workdir, clean);
	return 0;
}

static int do_onbuild(struct oci_config *c, const char *args, struct err *e)
{
	size_t n = strcspn(args, " \t");

	if (n == 7 && strncasecmp(args, "ONBUILD", n) == 0)
		return err_set(e, ERR_INVALID, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
	if ((n == 10 && strncasecmp(args, "MAINTAINER", n) == 0) || (n == 4 && strncasecmp(args, "FROM", n) == 0))
		return err_set(e, ERR_INVALID, "%.*s isn't allowed as an ONBUILD trigger", (int)n, args);
	strv_add(&c->onbuild, args);
	return 0;
}

static int do_stopsignal(struct oci_config *c, const char *args, struct err *e)
{
	for (const char *p = args; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '+' && *p != '-')
			return err_set(e, ERR_INVALID, "invalid signal: %s", args);
	set_text(&c->stop_signal, args);
	return 0;
}

static int health_option(struct oci_health *h, const char *word, struct err *e)
{
	const struct {
		const char *prefix;
		int64_t *to;
		bool count;
	} options[] = {
		{ "--interval=", &h->interval, false },
		{ "--timeout=", &h->timeout, false },
		{ "--start-period=", &h->start_period, false },
		{ "--start-interval=", &h->start_interval, false },
		{ "--retries=", &h->retries, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const char *value = str_after(word, options[i].prefix);

		if (!value)
			continue;
		if ((options[i].count ? str_to_i64(value, options[i].to) : duration_parse(value, options[i].to, NULL)) <
			    0 ||
		    *options[i].to < 0)
			return err_set(e, ERR_INVALID, "invalid HEALTHCHECK option: %s", word);
		return 0;
	}
	return err_set(e, ERR_INVALID, "unknown flag: %s", word);
}

static int do_health(struct oci_config *c, const char *args, struct err *e)
{
	struct oci_health h = { 0 };
	int r = 0;

	while (r == 0 && str_after(args, "--")) {
		size_t n = strcspn(args, " \t");
		AUTO_FREE char *word = xstrndup(args, n);

		r = health_option(&h, word, e);
		args = skip_space(args + n);
	}
	if (r == 0 && strcasecmp(args, "NONE") == 0) {
		strv_add(&h.test, "NONE");
	} else if (r == 0 && strncasecmp(args, "CMD", 3) == 0 && *skip_space(args + 3)) {
		args = skip_space(args + 3);
		strv_add(&h.test, "CMD");
		if (!json_words(args, &h.test)) {
			strv_done(&h.test);
			strv_add(&h.test, "CMD-SHELL");
			strv_add(&h.test, args);
		}
	} else if (r == 0) {
		r = err_set(e, ERR_INVALID, "Unknown type in HEALTHCHECK: %.80s (try CMD or NONE)", args);
	}
	if (r < 0) {
		json_done(&oci_health_type, &h);
		return r;
	}
	if (!c->health)
		c->health = xcalloc(1, sizeof *c->health);
	json_done(&oci_health_type, c->health);
	*c->health = h;
	return 0;
}

static const struct {
	const char *word;
	int (*apply)(struct oci_config *c, const char *args, struct err *e);
} instructions[] = {
	{ "CMD", do_cmd },         { "ENTRYPOINT", do_entrypoint }, { "ENV", do_env },
	{ "EXPOSE", do_expose },   { "HEALTHCHECK", do_health },    { "LABEL", do_label },
	{ "ONBUILD", do_onbuild }, { "STOPSIGNAL", do_stopsignal }, { "USER", do_user },
	{ "VOLUME", do_volume },   { "WORKDIR", do_workdir },
};

static int change(struct oci_config *c, const char *line, struct err *e)
{
	AUTO_FREE char *text = trimmed(line);
	size_t n = strcspn(text, " \t");
	const char *args = skip_space(text + n);

	for (size_t i = 0; i < ARRAY_LEN(instructions); i++) {
		if (strlen(instructions[i].word) != n || strncasecmp(text, instructions[i].word, n) != 0)
			continue;
		if (!*args && instructions[i].apply != do_cmd && instructions[i].apply != do_entrypoint)
			return err_set(e, ERR_INVALID, "%s requires at least one argument", instructions[i].word);
		return instructions[i].apply(c, args, e);
	}
	return err_set(e, ERR_INVALID, "%.*s is not a valid change command", (int)MIN(n, 80), text);
}

int changes_apply(struct oci_config *c, const struct strv *changes, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < changes->n; i++)
		if (*skip_space(changes->v[i]))
			r = change(c, changes->v[i], e);
	return r;
}
