/* run_config.c - parts of the body that come from several options or from files: environment, labels, security options,
 * restart policy, health check, networks. */
#include "cli/run_body.h"

#include <ctype.h>
#include <fcntl.h>

#define FILE_MAX_BYTES (16u << 20)

/* ---- --env, --env-file, --label, --label-file ---- */
static int line_take(const char *line, bool env, struct strv *ret, struct err *e)
{
	const char *eq;
	AUTO_FREE char *name = NULL;

	while (isspace((unsigned char)*line))
		line++;
	if (!*line || *line == '#')
		return 0;
	eq = strchr(line, '=');
	name = eq ? xstrndup(line, (size_t)(eq - line)) : xstrdup(line);
	if (strpbrk(name, " \t\v\f\r"))
		return err_set(e, ERR_INVALID, "variable '%s' contains whitespaces", name);
	if (!*name)
		return err_set(e, ERR_INVALID, "no variable name on line '%s'", line);
	if (eq || !env)
		strv_add(ret, line);
	else if (getenv(name))
		strv_addf(ret, "%s=%s", name, getenv(name));
	return 0;
}

static int file_lines(const char *path, bool env, struct strv *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t n = 0;
	int r = file_read(AT_FDCWD, path, FILE_MAX_BYTES, &text, &n);
	char *p, *next;

	if (r < 0)
		return err_set(e, ERR_INVALID, "open %s: %s", path,
			       r == -ENOENT   ? "no such file or directory"
			       : r == -EACCES ? "permission denied"
					      : strerror(-r));
	p = text;
	if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	for (; p && *p; p = next) {
		size_t len = strcspn(p, "\n");

		next = p[len] ? p + len + 1 : p + len;
		p[len] = '\0';
		if (len && p[len - 1] == '\r')
			p[len - 1] = '\0';
		r = line_take(p, env, ret, e);
		if (r < 0)
			return err_wrap(e, r, "invalid %s file: %s", env ? "environment" : "label", path);
	}
	return 0;
}

int env_collect(const struct strv *files, const struct strv *given, struct strv *ret, struct err *e)
{
	for (size_t i = 0; i < files->n; i++) {
		int r = file_lines(files->v[i], true, ret, e);

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < given->n; i++) {
		const char *own = strchr(given->v[i], '=') ? NULL : getenv(given->v[i]);

		if (own)
			strv_addf(ret, "%s=%s", given->v[i], own);
		else
			strv_add(ret, given->v[i]);
	}
	return 0;
}

int labels_collect(const struct strv *files, const struct strv *given, struct strmap *ret, struct err *e)
{
	AUTO_STRV struct strv all = { 0 };

	for (size_t i = 0; i < files->n; i++) {
		int r = file_lines(files->v[i], false, &all, e);

		if (r < 0)
			return r;
	}
	strv_addv(&all, given);
	kv_map(&all, ret);
	return 0;
}

/* ---- --security-opt ---- */
static int seccomp_inline(const char *path, struct strv *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	AUTO_STRB struct strb compact = STRB_INIT;
	struct jval *tree = NULL;
	size_t n = 0;
	int r = file_read(AT_FDCWD, path, FILE_MAX_BYTES, &text, &n);

	if (r < 0)
		return err_set(e, ERR_INVALID, "opening seccomp profile (%s) failed: open %s: %s", path, path,
			       r == -ENOENT ? "no such file or directory" : strerror(-r));
	r = jval_parse(text, n, &json_limits_default, &tree, e);
	if (r < 0)
		return err_wrap(e, r, "compacting json for seccomp profile (%s) failed", path);
	jval_write(tree, &compact);
	jval_free(tree);
	strv_addf(ret, "seccomp=%s", strb_str(&compact));
	return 0;
}

int security_collect(const struct strv *given, struct strv *ret, bool *ret_unmask, struct err *e)
{
	for (size_t i = 0; i < given->n; i++) {
		const char *opt = given->v[i];
		size_t key = strcspn(opt, "=");

		if (!opt[key])
			key = strcspn(opt, ":");
		if (!opt[key] && !streq(opt, "no-new-privileges"))
			return err_set(e, ERR_INVALID, "Invalid --security-opt: \"%s\"", opt);
		if (streq(opt, "systempaths=unconfined")) {
			*ret_unmask = true;
			continue;
		}
		if (key == 7 && str_after(opt, "seccomp") && !streq(opt + 8, "unconfined") &&
		    !streq(opt + 8, "builtin")) {
			int r = seccomp_inline(opt + 8, ret, e);

			if (r < 0)
				return r;
			continue;
		}
		strv_add(ret, opt);
	}
	return 0;
}

/* ---- --restart ---- */
int restart_json(const char *policy, struct jw *w, bool *ret_none, struct err *e)
{
	const char *colon = strchr(policy, ':');
	int64_t count = 0;

	if (colon == policy)
		return err_set(e, ERR_INVALID, "invalid restart policy format: no policy provided before colon");
	if (colon && str_to_i64(colon + 1, &count) < 0)
		return err_set(e, ERR_INVALID, "invalid restart policy format: maximum retry count must be an integer");
	*ret_none = !*policy || streq(policy, "no");
	jw_open(w, "RestartPolicy", '{');
	jw_str_n(w, "Name", policy, colon ? (size_t)(colon - policy) : strlen(policy));
	jw_int(w, "MaximumRetryCount", count);
	jw_close(w, '}');
	return 0;
}

/* ---- --health-* ---- */
int health_json(const struct opts *o, struct jw *w, struct err *e)
{
	static const struct {
		const char *option, *member;
	} times[] = { { "health-interval", "Interval" },
		      { "health-timeout", "Timeout" },
		      { "health-start-period", "StartPeriod" },
		      { "health-start-interval", "StartInterval" } };
	bool any = *opt_str(o, "health-cmd") || opt_int(o, "health-retries") != 0;

	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		any |= opt_int(o, times[i].option) != 0;
	if (opt_bool(o, "no-healthcheck")) {
		if (any)
			return err_set(e, ERR_INVALID, "--no-healthcheck conflicts with --health-* options");
		jw_raw(w, "Healthcheck", "{\"Test\":[\"NONE\"]}");
		return 0;
	}
	if (!any)
		return 0;
	jw_open(w, "Healthcheck", '{');
	if (*opt_str(o, "health-cmd")) {
		jw_open(w, "Test", '[');
		jw_str(w, NULL, "CMD-SHELL");
		jw_str(w, NULL, opt_str(o, "health-cmd"));
		jw_close(w, ']');
	}
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		if (opt_int(o, times[i].option) < 0)
			return err_set(e, ERR_INVALID, "--%s cannot be negative", times[i].option);
		if (opt_int(o, times[i].option))
			jw_int(w, times[i].member, opt_int(o, times[i].option));
	}
	if (opt_int(o, "health-retries") < 0)
		return err_set(e, ERR_INVALID, "--health-retries cannot be negative");
	if (opt_int(o, "health-retries"))
		jw_int(w, "Retries", opt_int(o, "health-retries"));
	jw_close(w, '}');
	return 0;
}

/* ---- --network and what goes with it ---- */
struct endpoint {
	char *name, *ip, *ip6, *mac;
	int64_t priority;
	struct strv aliases, link_local, links;
	struct strmap driver_opts;
};

static void endpoint_done(struct endpoint *n)
{
	free(n->name);
	free(n->ip);
	free(n->ip6);
	free(n->mac);
	strv_done(&n->aliases);
	strv_done(&n->link_local);
	strv_done(&n->links);
	strmap_done(&n->driver_opts);
}

static void text_set(char **at, const char *value)
{
	free(*at);
	*at = xstrdup(value);
}

static int endpoint_field(struct endpoint *n, const char *field, struct err *e)
{
	const char *eq = strchr(field, '='), *value = eq ? eq + 1 : "";
	AUTO_FREE char *key = eq ? xstrndup(field, (size_t)(eq - field)) : NULL;

	if (!eq)
		return err_set(e, ERR_INVALID, "invalid field %s", field);
	for (char *p = key; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (streq(key, "name")) {
		text_set(&n->name, value);
	} else if (streq(key, "alias")) {
		strv_add(&n->aliases, value);
	} else if (streq(key, "ip")) {
		text_set(&n->ip, value);
	} else if (streq(key, "ip6")) {
		text_set(&n->ip6, value);
	} else if (streq(key, "mac-address")) {
		text_set(&n->mac, value);
	} else if (streq(key, "link-local-ip")) {
		strv_add(&n->link_local, value);
	} else if (streq(key, "gw-priority")) {
		if (str_to_i64(value, &n->priority) < 0)
			return err_set(e, ERR_INVALID, "invalid gw-priority (%s): must be an integer", value);
	} else if (streq(key, "driver-opt")) {
		const char *inner = strchr(value, '=');
		AUTO_FREE char *name = inner ? xstrndup(value, (size_t)(inner - value)) : NULL;

		if (!inner)
			return err_set(e, ERR_INVALID, "invalid key value pair format in driver options");
		strmap_set(&n->driver_opts, name, inner + 1);
	} else {
		return err_set(e, ERR_INVALID, "invalid field key %s", key);
	}
	return 0;
}

static int endpoint_parse(const char *spec, struct endpoint *n, struct err *e)
{
	AUTO_STRV struct strv fields = { 0 };
	int r;

	if (!strchr(spec, '=')) {
		n->name = xstrdup(spec);
		return 0;
	}
	r = csv_split(spec, &fields, e);
	for (size_t i = 0; r >= 0 && i < fields.n; i++)
		r = endpoint_field(n, fields.v[i], e);
	if (r >= 0 && !n->name)
		r = err_set(e, ERR_INVALID, "network name/id is not specified");
	return r;
}

int network_check(const char *spec, struct err *e)
{
	struct endpoint n = { 0 };
	int r = endpoint_parse(spec, &n, e);

	endpoint_done(&n);
	return r;
}

/* --network-alias, --ip and the like belong to the first network */
static int first_options(const struct opts *o, struct endpoint *n, struct err *e)
{
	static const char *const singles[] = { "ip", "ip6", "mac-address" };
	char **at[] = { &n->ip, &n->ip6, &n->mac };

	if (n->aliases.n && (opt_list(o, "network-alias")->n || opt_list(o, "net-alias")->n))
		return err_set(e, ERR_INVALID,
			       "conflicting options: cannot specify both --network-alias and per-network alias");
	if (n->link_local.n && opt_list(o, "link-local-ip")->n)
		return err_set(e, ERR_INVALID,
			       "conflicting options: cannot specify both --link-local-ip and per-network link-local IP "
			       "addresses");
	for (size_t i = 0; i < ARRAY_LEN(singles); i++) {
		if (!*opt_str(o, singles[i]))
			continue;
		if (*at[i])
			return err_set(e, ERR_INVALID,
				       "conflicting options: cannot specify both --%s and per-network %s", singles[i],
				       i == 2 ? "MAC address" : "IP address");
		*at[i] = xstrdup(opt_str(o, singles[i]));
	}
	strv_addv(&n->aliases, opt_list(o, "network-alias"));
	strv_addv(&n->aliases, opt_list(o, "net-alias"));
	strv_addv(&n->link_local, opt_list(o, "link-local-ip"));
	strv_addv(&n->links, opt_list(o, "link"));
	return 0;
}

static void endpoint_write(const struct endpoint *n, struct jw *w)
{
	jw_open(w, n->name, '{');
	if (n->ip || n->ip6 || n->link_local.n) {
		jw_open(w, "IPAMConfig", '{');
		if (n->ip)
			jw_str(w, "IPv4Address", n->ip);
		if (n->ip6)
			jw_str(w, "IPv6Address", n->ip6);
		if (n->link_local.n)
			jw_strv(w, "LinkLocalIPs", &n->link_local);
		jw_close(w, '}');
	}
	if (n->links.n)
		jw_strv(w, "Links", &n->links);
	if (n->aliases.n)
		jw_strv(w, "Aliases", &n->aliases);
	if (n->mac)
		jw_str(w, "MacAddress", n->mac);
	if (n->driver_opts.n)
		jw_map(w, "DriverOpts", &n->driver_opts);
	if (n->priority)
		jw_int(w, "GwPriority", n->priority);
	jw_close(w, '}');
}

static bool user_defined(const char *name)
{
	static const char *const own[] = { "default", "bridge", "host", "none" };

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (streq(name, own[i]))
			return false;
	return !str_after(name, "container:");
}

static bool endpoint_plain(const struct endpoint *n)
{
	return !n->ip && !n->ip6 && !n->mac && !n->priority && !n->aliases.n && !n->link_local.n && !n->links.n &&
	       !n->driver_opts.n;
}

static int endpoints_check(const struct endpoint *v, size_t n, struct err *e)
{
	bool ours = false, theirs = false;

	for (size_t i = 0; i < n; i++) {
		ours |= !user_defined(v[i].name);
		theirs |= user_defined(v[i].name);
		if (!user_defined(v[i].name) && v[i].aliases.n)
			return err_set(e, ERR_INVALID,
				       "network-scoped aliases are only supported for user-defined networks");
		for (size_t k = 0; k < i; k++)
			if (streq(v[i].name, v[k].name))
				return err_set(e, ERR_INVALID, "network \"%s\" is specified multiple times", v[i].name);
	}
	if (ours && theirs)
		return err_set(
			e, ERR_INVALID,
			"conflicting options: cannot attach both user-defined and non-user-defined network-modes");
	return 0;
}

int networks_json(const struct opts *o, struct jw *w, char **ret_mode, struct err *e)
{
	struct {
		struct endpoint *v;
		size_t n;
	} all = { 0 };
	const struct strv *lists[] = { opt_list(o, "net"), opt_list(o, "network") };
	bool given;
	int r = 0;

	for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
		for (size_t i = 0; i < lists[k]->n && r >= 0; i++) {
			r = endpoint_parse(lists[k]->v[i], VEC_ADD(&all), e);
			if (r >= 0 && !*all.v[all.n - 1].name)
				r = err_set(e, ERR_INVALID, "no name set for network");
		}
	}
	given = all.n > 0;
	if (r >= 0 && !given)
		((struct endpoint *)VEC_ADD(&all))->name = xstrdup("default");
	if (r >= 0)
		r = first_options(o, &all.v[0], e);
	if (r >= 0)
		r = endpoints_check(all.v, all.n, e);
	if (r >= 0) {
		*ret_mode = xstrdup(all.v[0].name);
		jw_open(w, "NetworkingConfig", '{');
		jw_open(w, "EndpointsConfig", '{');
		for (size_t i = 0; i < all.n; i++)
			/* one network without options of its own is left to the daemon */
			if (!given || all.n > 1 || !endpoint_plain(&all.v[i]))
				endpoint_write(&all.v[i], w);
		jw_close(w, '}');
		jw_close(w, '}');
	}
	for (size_t i = 0; i < all.n; i++)
		endpoint_done(&all.v[i]);
	free(all.v);
	return r;
}
