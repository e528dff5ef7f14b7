/* cmd_attach.c - attach, start (-a -i) and exec: sessions with containers that are there already. */
#include "cli/jw.h"
#include "cli/run_body.h"
#include "cli/session.h"

static int inspect(struct cli *c, const char *name, struct jval **ret, struct err *e)
{
	AUTO_FREE char *escaped = url_escape(name);
	AUTO_FREE char *path = xasprintf("/containers/%s/json", escaped);

	return cli_get(c, path, ret, e);
}

static int attach_open(struct cli *c, const char *id, bool use_stdin, const char *keys, struct session *s,
		       struct err *e)
{
	AUTO_STRB struct strb path = STRB_INIT;
	struct answer *a = NULL;
	int r;

	strb_addf(&path, "/containers/%s/attach?stream=1%s&stdout=1&stderr=1", id, use_stdin ? "&stdin=1" : "");
	if (*keys)
		query_add(&path, "detachKeys", keys);
	r = client_start(c->client, &(struct client_call){ .method = "POST", .path = strb_str(&path), .upgrade = true },
			 &a, e);
	if (r < 0)
		return r;
	r = answer_hijack(a, &s->fd, &s->unread);
	answer_free(a);
	return r < 0 ? err_sys(e, r, "taking the connection over") : 0;
}

static int wait_open(struct cli *c, const char *id, const char *condition, struct answer **ret, struct err *e)
{
	AUTO_FREE char *path = xasprintf("/containers/%s/wait?condition=%s", id, condition);

	return client_start(c->client, &(struct client_call){ .method = "POST", .path = path }, ret, e);
}

static int wait_code(struct answer *a)
{
	AUTO_STRB struct strb text = STRB_INIT;
	struct jval *tree = NULL;
	char buf[1024];
	ssize_t n;
	int code = 125;

	while ((n = answer_read(a, buf, sizeof buf)) > 0 && text.len < 65536)
		strb_add(&text, buf, (size_t)n);
	if (jval_parse(strb_str(&text), text.len, &json_limits_default, &tree, NULL) >= 0)
		code = (int)jval_int(jval_get(tree, "StatusCode"));
	jval_free(tree);
	return code;
}

static int detached_message(void)
{
	(void)fprintf(stderr, "read escape sequence\n");
	return 1;
}

int cmd_attach(struct cli *c)
{
	struct jval *info = NULL;
	struct answer *wait = NULL;
	struct err e = ERR_INIT;
	AUTO_FREE char *kill_path = NULL, *resize_path = NULL, *id = NULL;
	const char *keys = opt_str(c->o, "detach-keys");
	struct session s = { .cli = c, .fd = -1, .use_stdout = true, .use_stderr = true, .detach_keys = keys };
	const struct jval *state;
	int code = 1, r = inspect(c, c->words->v[0], &info, &e);

	if (r < 0)
		return cli_report(&e);
	state = jval_get(info, "State");
	id = xstrdup(jval_str(jval_get(info, "Id")));
	if (!jval_bool(jval_get(state, "Running")))
		r = err_set(&e, ERR_CONFLICT, "You cannot attach to a stopped container, start it first");
	else if (jval_bool(jval_get(state, "Paused")))
		r = err_set(&e, ERR_CONFLICT, "You cannot attach to a paused container, unpause it first");
	else if (jval_bool(jval_get(state, "Restarting")))
		r = err_set(&e, ERR_CONFLICT, "You cannot attach to a restarting container, wait until it is running");
	s.tty = jval_bool(jval_get(jval_get(info, "Config"), "Tty"));
	s.use_stdin = !opt_bool(c->o, "no-stdin") && jval_bool(jval_get(jval_get(info, "Config"), "OpenStdin"));
	jval_free(info);
	if (r >= 0)
		r = session_check_tty(s.use_stdin, s.tty, &e);
	if (r >= 0)
		r = wait_open(c, id, "", &wait, &e);
	if (r >= 0)
		r = attach_open(c, id, s.use_stdin, keys, &s, &e);
	kill_path = xasprintf("/containers/%s/kill", id);
	resize_path = xasprintf("/containers/%s/resize", id);
	s.kill_path = opt_bool(c->o, "sig-proxy") ? kill_path : NULL;
	s.resize_path = resize_path;
	if (r >= 0 && s.tty)
		session_redraw(c, resize_path);
	if (r >= 0)
		r = session_run(&s, &e);
	if (r < 0)
		code = cli_report(&e);
	else
		code = s.detached ? detached_message() : wait_code(wait);
	answer_free(wait);
	return code;
}

/* ---- start ---- */
static int start_plain(struct cli *c, const char *name, struct err *e)
{
	AUTO_FREE char *escaped = url_escape(name);
	AUTO_FREE char *path = xasprintf("/containers/%s/start", escaped);

	return cli_post(c, path, NULL, NULL, e);
}

static int start_attached(struct cli *c, const char *name)
{
	struct jval *info = NULL;
	struct answer *wait = NULL;
	struct err e = ERR_INIT;
	AUTO_FREE char *kill_path = NULL, *resize_path = NULL, *id = NULL;
	const char *keys = opt_str(c->o, "detach-keys");
	struct session s = { .cli = c, .fd = -1, .use_stdout = true, .use_stderr = true, .detach_keys = keys };
	bool auto_remove;
	int r = inspect(c, name, &info, &e), code;

	if (r < 0)
		return cli_report(&e);
	id = xstrdup(jval_str(jval_get(info, "Id")));
	s.tty = jval_bool(jval_get(jval_get(info, "Config"), "Tty"));
	s.use_stdin = opt_bool(c->o, "interactive") && jval_bool(jval_get(jval_get(info, "Config"), "OpenStdin"));
	auto_remove = jval_bool(jval_get(jval_get(info, "HostConfig"), "AutoRemove"));
	jval_free(info);
	kill_path = xasprintf("/containers/%s/kill", id);
	resize_path = xasprintf("/containers/%s/resize", id);
	s.kill_path = kill_path;
	s.resize_path = resize_path;
	session_signals_block();
	r = attach_open(c, id, s.use_stdin, keys, &s, &e);
	if (r >= 0)
		r = wait_open(c, id, auto_remove ? "removed" : "next-exit", &wait, &e);
	if (r >= 0)
		r = start_plain(c, id, &e);
	if (r >= 0 && s.tty)
		session_resize(c, resize_path);
	if (r >= 0)
		r = session_run(&s, &e);
	if (r < 0) {
		code = cli_report(&e);
		session_drop(&s);
	} else {
		code = s.detached ? 0 : wait_code(wait);
	}
	answer_free(wait);
	return code;
}

int cmd_start(struct cli *c)
{
	struct err e = ERR_INIT;
	AUTO_STRB struct strb failed = STRB_INIT;

	if (opt_bool(c->o, "attach") || opt_bool(c->o, "interactive")) {
		if (c->words->n > 1) {
			(void)fprintf(stderr, "you cannot start and attach multiple containers at once\n");
			return 1;
		}
		return start_attached(c, c->words->v[0]);
	}
	for (size_t i = 0; i < c->words->n; i++) {
		if (start_plain(c, c->words->v[i], &e) < 0) {
			(void)cli_report(&e);
			strb_addf(&failed, "%s%s", failed.len ? ", " : "", c->words->v[i]);
		} else {
			(void)printf("%s\n", c->words->v[i]);
		}
	}
	if (failed.len)
		(void)fprintf(stderr, "Error: failed to start containers: %s\n", strb_str(&failed));
	return failed.len ? 1 : 0;
}

/* ---- exec ---- */
static int exec_body(struct cli *c, char **ret, struct err *e)
{
	AUTO_JW struct jw w = { 0 };
	AUTO_STRV struct strv env = { 0 };
	const struct opts *o = c->o;
	bool detach = opt_bool(o, "detach");
	int r = env_collect(opt_list(o, "env-file"), opt_list(o, "env"), &env, e);

	if (r < 0)
		return r;
	jw_open(&w, NULL, '{');
	jw_str(&w, "User", opt_str(o, "user"));
	jw_bool(&w, "Privileged", opt_bool(o, "privileged"));
	jw_bool(&w, "Tty", opt_bool(o, "tty"));
	jw_bool(&w, "AttachStdin", !detach && opt_bool(o, "interactive"));
	jw_bool(&w, "AttachStdout", !detach);
	jw_bool(&w, "AttachStderr", !detach);
	jw_str(&w, "DetachKeys", opt_str(o, "detach-keys"));
	jw_strv(&w, "Env", &env);
	jw_str(&w, "WorkingDir", opt_str(o, "workdir"));
	jw_open(&w, "Cmd", '[');
	for (size_t i = 1; i < c->words->n; i++)
		jw_str(&w, NULL, c->words->v[i]);
	jw_close(&w, ']');
	jw_close(&w, '}');
	*ret = strb_take(&w.b);
	return 0;
}

static int exec_start(struct cli *c, const char *id, bool tty, struct session *s, struct err *e)
{
	AUTO_FREE char *path = xasprintf("/exec/%s/start", id);
	AUTO_JW struct jw w = { 0 };
	struct answer *a = NULL;
	unsigned rows = 0, columns = 0;
	bool detach = opt_bool(c->o, "detach");
	int r;

	jw_open(&w, NULL, '{');
	jw_bool(&w, "Detach", detach);
	jw_bool(&w, "Tty", tty);
	if (tty && terminal_size(&rows, &columns)) {
		jw_open(&w, "ConsoleSize", '[');
		jw_int(&w, NULL, rows);
		jw_int(&w, NULL, columns);
		jw_close(&w, ']');
	}
	jw_close(&w, '}');
	if (detach)
		return cli_post(c, path, strb_str(&w.b), NULL, e);
	r = client_start(
		c->client,
		&(struct client_call){ .method = "POST", .path = path, .body = strb_str(&w.b), .upgrade = true }, &a,
		e);
	if (r < 0)
		return r;
	r = answer_hijack(a, &s->fd, &s->unread);
	answer_free(a);
	return r < 0 ? err_sys(e, r, "taking the connection over") : 0;
}

static int exec_code(struct cli *c, const char *id, struct err *e)
{
	AUTO_FREE char *path = xasprintf("/exec/%s/json", id);
	struct jval *info = NULL;
	int code;

	if (cli_get(c, path, &info, e) < 0)
		return cli_report(e);
	code = (int)jval_int(jval_get(info, "ExitCode"));
	jval_free(info);
	return code;
}

/* 126 and 127 come from the daemon's words when the command could not be started at all. */
static int exec_failed(const struct err *e)
{
	(void)cli_report(e);
	if (strstr(e->msg, "executable file not found") || strstr(e->msg, "no such file or directory"))
		return 127;
	return strstr(e->msg, "permission denied") ? 126 : 1;
}

int cmd_exec(struct cli *c)
{
	AUTO_FREE char *name = url_escape(c->words->v[0]), *body = NULL, *id = NULL, *resize_path = NULL;
	AUTO_FREE char *path = xasprintf("/containers/%s/exec", name);
	bool tty = opt_bool(c->o, "tty"), detach = opt_bool(c->o, "detach");
	struct session s = { .cli = c,
			     .fd = -1,
			     .tty = tty,
			     .use_stdin = opt_bool(c->o, "interactive"),
			     .use_stdout = true,
			     .use_stderr = true,
			     .detach_keys = opt_str(c->o, "detach-keys") };
	struct jval *made = NULL;
	struct err e = ERR_INIT;
	int r = detach ? 0 : session_check_tty(s.use_stdin, tty, &e);

	if (r >= 0)
		r = exec_body(c, &body, &e);
	if (r >= 0)
		r = cli_post(c, path, body, &made, &e);
	if (r < 0)
		return cli_report(&e);
	id = xstrdup(jval_str(jval_get(made, "Id")));
	jval_free(made);
	resize_path = xasprintf("/exec/%s/resize", id);
	s.resize_path = resize_path;
	if (exec_start(c, id, tty, &s, &e) < 0)
		return exec_failed(&e);
	if (detach)
		return 0;
	if (tty)
		session_resize(c, resize_path);
	r = session_run(&s, &e);
	if (r < 0)
		return cli_report(&e);
	if (s.detached)
		return detached_message();
	return exec_code(c, id, &e);
}
