/* cmd_care.c - keeping images whole: verify, heal, gc. Hoy's own; another daemon says that it has no such page. */
#include "cli/command.h"
#include "cli/human.h"

/* Calls line() for each line of JSON that comes back. An error line ends it. */
typedef void line_fn(void *ctx, const struct jval *line);
static int one_line(const char *text, size_t n, line_fn *line, void *ctx, struct err *e)
{
	struct jval *tree = NULL;
	int r;

	while (n > 0 && (text[n - 1] == '\r' || text[n - 1] == ' '))
		n--;
	if (n == 0)
		return 0;
	r = jval_parse(text, n, &json_limits_default, &tree, e);
	if (r < 0)
		return err_wrap(e, r, "the daemon's answer");
	if (*jval_str(jval_get(tree, "error")) && jval_get(tree, "errorDetail"))
		r = err_set(e, ERR_SYSTEM, "%s", jval_str(jval_get(tree, "error")));
	else
		line(ctx, tree);
	jval_free(tree);
	return r;
}

static int each_line(struct cli *c, const char *path, line_fn *line, void *ctx, struct err *e)
{
	AUTO_STRB struct strb text = STRB_INIT;
	struct answer *a = NULL;
	char buf[16384];
	ssize_t n = 1;
	int r = cli_client(c, e);

	if (r >= 0)
		r = client_start(c->client, &(struct client_call){ .method = "POST", .path = path }, &a, e);
	while (r >= 0 && n > 0) {
		char *end;

		n = answer_read(a, buf, sizeof buf);
		if (n < 0)
			r = err_sys(e, (int)n, "reading the daemon's answer");
		else
			strb_add(&text, buf, (size_t)n);
		while (r >= 0 && text.len && (end = memchr(text.s, '\n', text.len))) {
			size_t len = (size_t)(end - text.s);

			r = one_line(text.s, len, line, ctx, e);
			memmove(text.s, end + 1, text.len - len - 1);
			text.len -= len + 1;
		}
	}
	answer_free(a);
	return r < 0 ? r : 0;
}

static void add_names(struct strb *path, const struct strv *names)
{
	for (size_t i = 0; i < names->n; i++)
		query_add(path, "name", names->v[i]);
}

/* ---- verify ---- */
struct verified {
	bool quiet;
	int64_t broken, unknown;
};

static void verified_line(void *ctx, const struct jval *line)
{
	struct verified *v = ctx;
	const struct jval *problems = jval_get(line, "problems");
	const char *status = jval_str(jval_get(line, "status"));
	AUTO_FREE char *size = NULL;
	int64_t more;
	char layer[13];

	if (jval_get(line, "layers")) {
		v->broken = jval_int(jval_get(line, "broken"));
		v->unknown = jval_int(jval_get(line, "unknown"));
		if (!v->quiet)
			(void)printf("%lld layers, %lld broken%s\n", (long long)jval_int(jval_get(line, "layers")),
				     (long long)v->broken, v->unknown ? ", some could not be verified" : "");
		return;
	}
	if (v->quiet && streq(status, "ok"))
		return;
	(void)short_id(jval_str(jval_get(line, "layer")), layer);
	if (streq(status, "unknown")) {
		(void)printf("%s  unknown: %s\n", layer, jval_str(jval_get(line, "error")));
		return;
	}
	size = human_size((double)jval_int(jval_get(line, "bytes")), 3);
	(void)printf("%s  %s  (%s, %lld entries)\n", layer, status, size,
		     (long long)jval_int(jval_get(line, "entries")));
	for (size_t i = 0; i < jval_len(problems); i++) {
		const char *path = jval_str(jval_get(jval_at(problems, i), "path"));

		(void)printf("    %s%s%s\n", path, *path ? ": " : "",
			     jval_str(jval_get(jval_at(problems, i), "problem")));
	}
	more = jval_int(jval_get(line, "problemCount")) - (int64_t)jval_len(problems);
	if (more > 0)
		(void)printf("    and %lld more\n", (long long)more);
	(void)fflush(stdout);
}

int cmd_image_verify(struct cli *c)
{
	struct verified v = { .quiet = opt_bool(c->o, "quiet") };
	AUTO_STRB struct strb path = STRB_INIT;
	struct err e = ERR_INIT;

	strb_adds(&path, "/hoy/images/verify");
	add_names(&path, c->words);
	if (each_line(c, strb_str(&path), verified_line, &v, &e) < 0)
		return cli_report(&e);
	return v.broken || v.unknown ? 1 : 0;
}

/* ---- heal ---- */
static void healed_line(void *ctx, const struct jval *line)
{
	int64_t *left = ctx;
	char layer[13];

	if (jval_get(line, "layers")) {
		*left = jval_int(jval_get(line, "broken"));
		(void)printf("%lld layers, %lld healed, %lld still broken\n",
			     (long long)jval_int(jval_get(line, "layers")),
			     (long long)jval_int(jval_get(line, "healed")), (long long)*left);
		return;
	}
	(void)short_id(jval_str(jval_get(line, "layer")), layer);
	if (streq(jval_str(jval_get(line, "status")), "healed"))
		(void)printf("%s  healed from %s\n", layer, jval_str(jval_get(line, "from")));
	else
		(void)printf("%s  still broken: %s\n", layer, jval_str(jval_get(line, "error")));
	(void)fflush(stdout);
}

int cmd_image_heal(struct cli *c)
{
	AUTO_STRB struct strb path = STRB_INIT;
	struct err e = ERR_INIT;
	int64_t left = 1; /* until we are told */

	strb_adds(&path, "/hoy/images/heal");
	add_names(&path, c->words);
	if (each_line(c, strb_str(&path), healed_line, &left, &e) < 0)
		return cli_report(&e);
	return left ? 1 : 0;
}

/* ---- gc ---- */
static void gc_line(void *ctx, const struct jval *line)
{
	const bool *dry = ctx;
	const struct jval *names = jval_get(line, "names");
	AUTO_FREE char *size = human_size((double)jval_int(jval_get(line, "bytes")), 4);
	bool goes = streq(jval_str(jval_get(line, "action")), "remove");
	char id[13];

	if (jval_get(line, "removed")) {
		(void)printf("%lld images%s, %s\n", (long long)jval_int(jval_get(line, "removed")),
			     *dry ? " would be removed" : " removed", size);
		return;
	}
	(void)printf("%s  %s", goes ? (*dry ? "would remove" : "removed") : "kept",
		     short_id(jval_str(jval_get(line, "image")), id));
	for (size_t i = 0; i < jval_len(names); i++)
		(void)printf(" %s", jval_str(jval_at(names, i)));
	(void)printf("  (last used %.10s): %s%s%s\n", jval_str(jval_get(line, "used")), jval_str(jval_get(line, "why")),
		     goes ? ", " : "", goes ? size : "");
}

int cmd_image_gc(struct cli *c)
{
	bool dry = opt_bool(c->o, "dry-run");
	struct err e = ERR_INIT;

	return each_line(c, dry ? "/hoy/images/gc?dry-run=1" : "/hoy/images/gc", gc_line, &dry, &e) < 0 ? cli_report(&e)
													: 0;
}
