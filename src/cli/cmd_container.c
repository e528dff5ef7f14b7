/* cmd_container.c - the short commands on containers: one request each, a line of output. */
#include "cli/command.h"
#include "cli/human.h"
#include "cli/jw.h"

#include <fcntl.h>

/* "/containers/NAME/verb" */
static char *path_of(const char *name, const char *verb)
{
	AUTO_FREE char *escaped = url_escape(name);

	return xasprintf("/containers/%s%s", escaped, verb);
}

static int post_verb(struct cli *c, const char *name, const char *verb, struct err *e)
{
	AUTO_FREE char *path = path_of(name, verb);

	return cli_post(c, path, NULL, NULL, e);
}

static int stop_like(struct cli *c, const char *name, const char *verb, struct err *e)
{
	AUTO_FREE char *base = path_of(name, verb);
	AUTO_STRB struct strb path = STRB_INIT;
	const char *timeout = opt_set(c->o, "timeout") ? "timeout" : "time";

	strb_adds(&path, base);
	if (*opt_str(c->o, "signal"))
		query_add(&path, "signal", opt_str(c->o, "signal"));
	if (opt_set(c->o, timeout))
		query_add(&path, "t", opt_str(c->o, timeout));
	return cli_post(c, strb_str(&path), NULL, NULL, e);
}

static int stop_one(struct cli *c, const char *name, struct err *e)
{
	return stop_like(c, name, "/stop", e);
}
static int restart_one(struct cli *c, const char *name, struct err *e)
{
	return stop_like(c, name, "/restart", e);
}
static int pause_one(struct cli *c, const char *name, struct err *e)
{
	return post_verb(c, name, "/pause", e);
}
static int unpause_one(struct cli *c, const char *name, struct err *e)
{
	return post_verb(c, name, "/unpause", e);
}
static int kill_one(struct cli *c, const char *name, struct err *e)
{
	AUTO_FREE char *base = path_of(name, "/kill");
	AUTO_STRB struct strb path = STRB_INIT;

	strb_adds(&path, base);
	if (*opt_str(c->o, "signal"))
		query_add(&path, "signal", opt_str(c->o, "signal"));
	return cli_post(c, strb_str(&path), NULL, NULL, e);
}
static int rm_one(struct cli *c, const char *name, struct err *e)
{
	const char *bare = name;
	AUTO_FREE char *base = NULL;
	AUTO_STRB struct strb path = STRB_INIT;

	while (*bare == '/')
		bare++;
	if (!*bare)
		return err_set(e, ERR_INVALID, "container name cannot be empty");
	base = path_of(bare, "");
	strb_adds(&path, base);
	if (opt_bool(c->o, "volumes"))
		query_add(&path, "v", "1");
	if (opt_bool(c->o, "link"))
		query_add(&path, "link", "1");
	if (opt_bool(c->o, "force"))
		query_add(&path, "force", "1");
	if (cli_delete(c, strb_str(&path), NULL, e) >= 0)
		return 0;
	if (opt_bool(c->o, "force") && e->kind == ERR_NOT_FOUND) { /* said, but no failure */
		(void)cli_report(e);
		*e = ERR_INIT;
		return 1;
	}
	return -EINVAL;
}

int cmd_stop(struct cli *c)
{
	return cli_each(c, stop_one, true);
}
int cmd_restart(struct cli *c)
{
	return cli_each(c, restart_one, true);
}
int cmd_pause(struct cli *c)
{
	return cli_each(c, pause_one, true);
}
int cmd_unpause(struct cli *c)
{
	return cli_each(c, unpause_one, true);
}
int cmd_kill(struct cli *c)
{
	return cli_each(c, kill_one, true);
}
int cmd_rm(struct cli *c)
{
	return cli_each(c, rm_one, true);
}

int cmd_rename(struct cli *c)
{
	AUTO_FREE char *base = path_of(c->words->v[0], "/rename");
	AUTO_STRB struct strb path = STRB_INIT;
	struct err e = ERR_INIT;

	strb_adds(&path, base);
	query_add(&path, "name", c->words->v[1]);
	if (cli_post(c, strb_str(&path), NULL, NULL, &e) >= 0)
		return 0;
	(void)cli_report(&e);
	(void)fprintf(stderr, "Error: failed to rename container named %s\n", c->words->v[0]);
	return 1;
}

int cmd_wait(struct cli *c)
{
	int status = 0;

	for (size_t i = 0; i < c->words->n; i++) {
		AUTO_FREE char *path = path_of(c->words->v[i], "/wait");
		struct jval *tree = NULL;
		struct err e = ERR_INIT;

		if (cli_post(c, path, NULL, &tree, &e) < 0)
			status = cli_report(&e);
		else
			(void)printf("%lld\n", (long long)jval_int(jval_get(tree, "StatusCode")));
		jval_free(tree);
	}
	return status;
}

/* ---- port ---- */
static void port_print(const char *key, const struct jval *bindings, bool with_key)
{
	for (size_t i = 0; i < jval_len(bindings); i++) {
		const struct jval *b = jval_at(bindings, i);
		const char *ip = jval_str(jval_get(b, "HostIp"));

		if (with_key)
			(void)printf("%s -> ", key);
		(void)printf(strchr(ip, ':') ? "[%s]:%s\n" : "%s:%s\n", ip, jval_str(jval_get(b, "HostPort")));
	}
}

/* by number, then by protocol */
static int by_port(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	long p = strtol(x, NULL, 10), q = strtol(y, NULL, 10);

	return p != q ? (p > q) - (p < q) : strcmp(x, y);
}

int cmd_port(struct cli *c)
{
	AUTO_FREE char *path = path_of(c->words->v[0], "/json"), *wanted = NULL;
	AUTO_STRV struct strv keys = { 0 };
	struct jval *info = NULL;
	const struct jval *ports;
	struct err e = ERR_INIT;
	int status = 0;

	if (cli_get(c, path, &info, &e) < 0)
		return cli_report(&e);
	ports = jval_get(jval_get(info, "NetworkSettings"), "Ports");
	if (c->words->n > 1) {
		wanted = strchr(c->words->v[1], '/') ? xstrdup(c->words->v[1]) : xasprintf("%s/tcp", c->words->v[1]);
		if (jval_len(jval_get(ports, wanted)) == 0) {
			(void)fprintf(stderr, "Error: No public port '%s' published for %s\n", c->words->v[1],
				      c->words->v[0]);
			status = 1;
		}
		port_print(wanted, jval_get(ports, wanted), false);
	} else {
		for (size_t i = 0; i < jval_len(ports); i++) {
			const char *key;

			(void)jval_entry(ports, i, &key);
			strv_add(&keys, key);
		}
		if (keys.n)
			qsort(keys.v, keys.n, sizeof *keys.v, by_port);
		for (size_t i = 0; i < keys.n; i++)
			port_print(keys.v[i], jval_get(ports, keys.v[i]), true);
	}
	jval_free(info);
	return status;
}

/* ---- top ---- */
static void top_line(const struct jval *cells, struct strb *b)
{
	for (size_t i = 0; i < jval_len(cells); i++)
		strb_addf(b, "%s%s", i ? "\t" : "", jval_str(jval_at(cells, i)));
	strb_addc(b, '\n');
}

int cmd_top(struct cli *c)
{
	AUTO_FREE char *base = path_of(c->words->v[0], "/top");
	AUTO_STRB struct strb path = STRB_INIT, args = STRB_INIT, text = STRB_INIT, out = STRB_INIT;
	struct jval *top = NULL;
	const struct jval *rows;
	struct err e = ERR_INIT;

	strb_adds(&path, base);
	for (size_t i = 1; i < c->words->n; i++)
		strb_addf(&args, "%s%s", i > 1 ? " " : "", c->words->v[i]);
	if (args.len)
		query_add(&path, "ps_args", strb_str(&args));
	if (cli_get(c, strb_str(&path), &top, &e) < 0)
		return cli_report(&e);
	top_line(jval_get(top, "Titles"), &text);
	rows = jval_get(top, "Processes");
	for (size_t i = 0; i < jval_len(rows); i++)
		top_line(jval_at(rows, i), &text);
	columns_align(strb_str(&text), 20, 3, &out);
	(void)fputs(strb_str(&out), stdout);
	jval_free(top);
	return 0;
}

int cmd_diff(struct cli *c)
{
	AUTO_FREE char *path = path_of(c->words->v[0], "/changes");
	struct jval *list = NULL;
	struct err e = ERR_INIT;

	if (cli_get(c, path, &list, &e) < 0)
		return cli_report(&e);
	for (size_t i = 0; i < jval_len(list); i++) {
		const struct jval *change = jval_at(list, i);
		int64_t kind = jval_int(jval_get(change, "Kind"));

		(void)printf("%c %s\n", kind == 0 ? 'C' : kind == 1 ? 'A' : 'D', jval_str(jval_get(change, "Path")));
	}
	jval_free(list);
	return 0;
}

int cmd_container_prune(struct cli *c)
{
	AUTO_STRB struct strb path = STRB_INIT;
	AUTO_FREE char *filters = filters_json(opt_list(c->o, "filter")), *size = NULL;
	struct jval *done = NULL;
	const struct jval *gone;
	struct err e = ERR_INIT;

	if (!opt_bool(c->o, "force") && !cli_confirm("WARNING! This will remove all stopped containers."))
		return 0;
	strb_adds(&path, "/containers/prune");
	if (filters)
		query_add(&path, "filters", filters);
	if (cli_post(c, strb_str(&path), NULL, &done, &e) < 0)
		return cli_report(&e);
	gone = jval_get(done, "ContainersDeleted");
	if (jval_len(gone))
		(void)printf("Deleted Containers:\n");
	for (size_t i = 0; i < jval_len(gone); i++)
		(void)printf("%s\n", jval_str(jval_at(gone, i)));
	size = human_size((double)jval_int(jval_get(done, "SpaceReclaimed")), 4);
	(void)printf("%sTotal reclaimed space: %s\n", jval_len(gone) ? "\n" : "", size);
	jval_free(done);
	return 0;
}

int cmd_commit(struct cli *c)
{
	AUTO_STRB struct strb path = STRB_INIT;
	AUTO_FREE char *name = NULL, *tag = NULL;
	const struct strv *changes = opt_list(c->o, "change");
	struct jval *made = NULL;
	struct err e = ERR_INIT;

	strb_adds(&path, "/commit");
	query_add(&path, "container", c->words->v[0]);
	if (c->words->n > 1) {
		reference_split(c->words->v[1], &name, &tag);
		query_add(&path, "repo", name);
		query_add(&path, "tag", tag);
	}
	query_add(&path, "author", opt_str(c->o, "author"));
	query_add(&path, "comment", opt_str(c->o, "message"));
	for (size_t i = 0; i < changes->n; i++)
		query_add(&path, "changes", changes->v[i]);
	if (!opt_bool(c->o, "pause"))
		query_add(&path, "pause", "0");
	if (cli_post(c, strb_str(&path), "{}", &made, &e) < 0)
		return cli_report(&e);
	(void)printf("%s\n", jval_str(jval_get(made, "Id")));
	jval_free(made);
	return 0;
}
