/* cmd_logs.c - logs. */
#include "cli/command.h"
#include "cli/session.h"

static int add_when(struct strb *path, const char *key, const char *text, struct err *e)
{
	AUTO_FREE char *when = NULL;

	if (!*text)
		return 0;
	if (parse_when(text, &when, e) < 0)
		return err_wrap(e, -EINVAL, "invalid value for \"%s\"", key);
	query_add(path, key, when);
	return 0;
}

int cmd_logs(struct cli *c)
{
	AUTO_FREE char *name = url_escape(c->words->v[0]);
	AUTO_FREE char *inspect = xasprintf("/containers/%s/json", name);
	AUTO_STRB struct strb path = STRB_INIT;
	struct jval *info = NULL;
	struct answer *a = NULL;
	struct err e = ERR_INIT;
	bool tty;
	int r = cli_get(c, inspect, &info, &e);

	if (r < 0)
		return cli_report(&e);
	tty = jval_bool(jval_get(jval_get(info, "Config"), "Tty"));
	strb_addf(&path, "/containers/%s/logs?stdout=1&stderr=1", jval_str(jval_get(info, "Id")));
	jval_free(info);
	r = add_when(&path, "since", opt_str(c->o, "since"), &e);
	if (r >= 0)
		r = add_when(&path, "until", opt_str(c->o, "until"), &e);
	if (opt_bool(c->o, "timestamps"))
		query_add(&path, "timestamps", "1");
	if (opt_bool(c->o, "details"))
		query_add(&path, "details", "1");
	if (opt_bool(c->o, "follow"))
		query_add(&path, "follow", "1");
	query_add(&path, "tail", opt_str(c->o, "tail"));
	if (r >= 0)
		r = client_start(c->client, &(struct client_call){ .path = strb_str(&path) }, &a, &e);
	if (r >= 0)
		r = stream_copy(a, !tty, &e);
	answer_free(a);
	return r < 0 ? cli_report(&e) : 0;
}
