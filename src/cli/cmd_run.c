/* cmd_run.c - run and create: make the container (fetching the image where it is missing), attach before the start, wait
 * before the start, start, and pass its exit status on. */
#include "cli/run_body.h"
#include "cli/session.h"
#include "cli/pull.h"

#include <fcntl.h>
#include <signal.h>

/* Errors of run and create are exit status 125 with Docker's hint. */
static int run_error(struct cli *c, const struct err *e, int status)
{
	(void)fflush(stdout);
	(void)fprintf(stderr, "hoy: %s\n\nRun 'hoy %s --help' for more information\n", e->msg, c->path);
	return status;
}

static void print_warnings(const struct jval *created)
{
	const struct jval *w = jval_get(created, "Warnings");

	for (size_t i = 0; i < jval_len(w); i++)
		(void)fprintf(stderr, "WARNING: %s\n", jval_str(jval_at(w, i)));
}

static int cidfile_check(const char *path, struct err *e)
{
	if (*path && access(path, F_OK) == 0)
		return err_set(e, ERR_CONFLICT,
			       "container ID file found, make sure the other container isn't running or delete %s",
			       path);
	return 0;
}

static int create_once(struct cli *c, const struct run_body *b, struct jval **ret, struct err *e)
{
	AUTO_STRB struct strb path = STRB_INIT;

	strb_adds(&path, "/containers/create");
	if (*b->name)
		query_add(&path, "name", b->name);
	if (*b->platform)
		query_add(&path, "platform", b->platform);
	return cli_post(c, strb_str(&path), b->json, ret, e);
}

/* Returns the new container's id. */
static int create(struct cli *c, const struct run_body *b, char **ret, struct err *e)
{
	const char *pull = opt_str(c->o, "pull"), *cidfile = opt_str(c->o, "cidfile");
	AUTO_FREE char *shown = reference_display(b->image);
	struct jval *made = NULL;
	int r = cidfile_check(cidfile, e);

	if (r >= 0)
		r = cli_client(c, e);
	if (r >= 0 && streq(pull, "always"))
		r = pull_image(c, b->image, false, b->platform, opt_bool(c->o, "quiet"), stderr, e);
	if (r >= 0)
		r = create_once(c, b, &made, e);
	if (r < 0 && e->kind == ERR_NOT_FOUND && streq(pull, "missing") && strcasestr(e->msg, "no such image")) {
		if (!opt_bool(c->o, "quiet"))
			(void)fprintf(stderr, "Unable to find image '%s' locally\n", shown);
		*e = ERR_INIT;
		r = pull_image(c, b->image, false, b->platform, opt_bool(c->o, "quiet"), stderr, e);
		if (r >= 0)
			r = create_once(c, b, &made, e);
	}
	if (r < 0)
		return r;
	print_warnings(made);
	*ret = xstrdup(jval_str(jval_get(made, "Id")));
	jval_free(made);
	if (*cidfile && (r = file_write(AT_FDCWD, cidfile, *ret, strlen(*ret), 0644)) < 0)
		return err_sys(e, r, "failed to write the container ID (%s) to the file", *ret);
	return 0;
}

static int check_pull(const struct opts *o, struct err *e)
{
	const char *pull = opt_str(o, "pull");

	if (streq(pull, "always") || streq(pull, "missing") || streq(pull, "never") || !*pull)
		return 0;
	return err_set(e, ERR_INVALID, "invalid pull option: '%s': must be one of \"always\", \"missing\" or \"never\"",
		       pull);
}

int cmd_create(struct cli *c)
{
	AUTO_RUN_BODY struct run_body b = { 0 };
	AUTO_FREE char *id = NULL;
	struct err e = ERR_INIT;

	if (check_pull(c->o, &e) < 0 || run_body_make(c->o, false, 0, 0, &b, &e) < 0)
		return run_error(c, &e, 125);
	if (create(c, &b, &id, &e) < 0) {
		(void)fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	(void)printf("%s\n", id);
	return 0;
}

static int attach(struct cli *c, const char *id, const struct run_body *b, const char *detach_keys, struct session *s,
		  struct err *e)
{
	AUTO_STRB struct strb path = STRB_INIT;
	struct answer *a = NULL;
	int r;

	strb_addf(&path, "/containers/%s/attach?stream=1", id);
	if (b->attach_stdin)
		strb_adds(&path, "&stdin=1");
	if (b->attach_stdout)
		strb_adds(&path, "&stdout=1");
	if (b->attach_stderr)
		strb_adds(&path, "&stderr=1");
	if (*detach_keys)
		query_add(&path, "detachKeys", detach_keys);
	r = client_start(c->client, &(struct client_call){ .method = "POST", .path = strb_str(&path), .upgrade = true },
			 &a, e);
	if (r < 0)
		return r;
	r = answer_hijack(a, &s->fd, &s->unread);
	answer_free(a);
	return r < 0 ? err_sys(e, r, "taking the connection over") : 0;
}

/* The daemon answers the head at once, the status when the container has exited. */
static int wait_begin(struct cli *c, const char *id, bool removed, struct answer **ret, struct err *e)
{
	AUTO_FREE char *path = xasprintf("/containers/%s/wait?condition=%s", id, removed ? "removed" : "next-exit");

	return client_start(c->client, &(struct client_call){ .method = "POST", .path = path }, ret, e);
}

static int wait_status(struct answer *a)
{
	AUTO_STRB struct strb text = STRB_INIT;
	struct jval *tree = NULL;
	const char *why;
	char buf[1024];
	ssize_t n;
	int status = 125;

	while ((n = answer_read(a, buf, sizeof buf)) > 0 && text.len < 65536)
		strb_add(&text, buf, (size_t)n);
	if (jval_parse(strb_str(&text), text.len, &json_limits_default, &tree, NULL) < 0) {
		(void)fprintf(stderr, "error waiting for container: unexpected EOF\n");
		return status;
	}
	status = (int)jval_int(jval_get(tree, "StatusCode"));
	why = jval_str(jval_get(jval_get(tree, "Error"), "Message"));
	if (*why) {
		(void)fprintf(stderr, "Error waiting for container: %s\n", why);
		status = 125;
	}
	jval_free(tree);
	return status;
}

/* Docker's statuses for what the container could not run. */
static int start_status(const struct err *e)
{
	static const char *const missing[] = { "executable file not found", "no such file or directory",
					       "system cannot find the file" };

	for (size_t i = 0; i < ARRAY_LEN(missing); i++)
		if (strstr(e->msg, missing[i]))
			return 127;
	if (strstr(e->msg, "permission denied") || strstr(e->msg, "not a directory") ||
	    strstr(e->msg, "is a directory"))
		return 126;
	return 125;
}

static int start(struct cli *c, const char *id, struct err *e)
{
	AUTO_FREE char *path = xasprintf("/containers/%s/start", id);

	return cli_post(c, path, NULL, NULL, e);
}

static int run_detached(struct cli *c, const char *id)
{
	struct err e = ERR_INIT;

	if (start(c, id, &e) < 0)
		return run_error(c, &e, start_status(&e));
	(void)printf("%s\n", id);
	return 0;
}

static int run_attached(struct cli *c, const char *id, const struct run_body *b)
{
	AUTO_FREE char *kill_path = xasprintf("/containers/%s/kill", id),
		       *resize_path = xasprintf("/containers/%s/resize", id);
	const char *keys = opt_str(c->o, "detach-keys");
	bool attached = b->attach_stdin || b->attach_stdout || b->attach_stderr;
	struct session s = { .cli = c,
			     .fd = -1,
			     .tty = b->tty,
			     .use_stdin = b->attach_stdin,
			     .use_stdout = b->attach_stdout,
			     .use_stderr = b->attach_stderr,
			     .detach_keys = keys,
			     .resize_path = resize_path,
			     .kill_path = opt_bool(c->o, "sig-proxy") ? kill_path : NULL };
	struct answer *wait = NULL;
	struct err e = ERR_INIT;
	int status = 0, r = attached ? attach(c, id, b, keys, &s, &e) : 0;

	if (r < 0)
		return run_error(c, &e, 125);
	if (s.kill_path)
		session_signals_block();
	r = wait_begin(c, id, b->auto_remove, &wait, &e);
	if (r >= 0)
		r = start(c, id, &e);
	if (r < 0) {
		session_drop(&s);
		if (wait && b->auto_remove)
			(void)wait_status(wait); /* it is removed before we say that it failed, as docker */
		answer_free(wait);
		return run_error(c, &e, start_status(&e));
	}
	if (b->tty && attached)
		session_resize(c, resize_path);
	r = attached ? session_run(&s, &e) : 0;
	if (r < 0 && e.kind)
		(void)fprintf(stderr, "%s\n", e.msg);
	if (!s.detached)
		status = wait_status(wait);
	answer_free(wait);
	return status;
}

int cmd_run(struct cli *c)
{
	AUTO_RUN_BODY struct run_body b = { 0 };
	AUTO_FREE char *id = NULL;
	struct err e = ERR_INIT;
	bool detach = opt_bool(c->o, "detach");
	unsigned rows = 0, columns = 0;
	int r = check_pull(c->o, &e);

	if (detach && opt_list(c->o, "attach")->n) {
		(void)fprintf(stderr, "conflicting options: cannot specify both --attach and --detach\n");
		return 1;
	}
	(void)terminal_size(&rows, &columns);
	if (r >= 0)
		r = run_body_make(c->o, detach, rows, columns, &b, &e);
	if (r < 0)
		return run_error(c, &e, 125);
	if (!detach && session_check_tty(b.attach_stdin, b.tty, &e) < 0) {
		(void)fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	if (create(c, &b, &id, &e) < 0)
		return run_error(c, &e, 125);
	return detach ? run_detached(c, id) : run_attached(c, id, &b);
}
