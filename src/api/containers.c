/* containers.c - the container routes. */
#include "api/request.h"

#include <strings.h>

int api_containers_list(struct request *q, struct err *e)
{
	AUTO_FILTERS struct engine_filters filters = { 0 };
	struct container_list_opts o = { .all = api_q_bool(q, "all"),
					 .size = api_q_bool(q, "size"),
					 .filters = &filters };
	struct docker_container_summary *v = NULL;
	size_t n = 0;
	int r = api_q_int(q, "limit", &o.limit, e);

	if (r == 0)
		r = api_q_filters(q, &filters, e);
	if (r == 0)
		r = container_list(q->engine, &o, &v, &n, e);
	return r < 0 ? r : api_reply_list(q, &docker_container_summary_type, v, n);
}

/* Is there anything of a Config beside the two other parts? In Go the embedded pointer would stay nil. */
static bool has_config(const struct jval *body)
{
	for (size_t i = 0; i < jval_len(body); i++) {
		const char *key = NULL;

		(void)jval_entry(body, i, &key);
		if (strcasecmp(key, "HostConfig") != 0 && strcasecmp(key, "NetworkingConfig") != 0)
			return true;
	}
	return false;
}

/* What older API versions meant by saying nothing. */
static void fill_old_defaults(const struct request *q, struct docker_host_config *host)
{
	if (q->minor < 41 && str_empty(host->cgroupns_mode)) {
		free(host->cgroupns_mode);
		host->cgroupns_mode = xstrdup("host");
	}
	if (q->minor < 40 && str_empty(host->ipc_mode)) {
		free(host->ipc_mode);
		host->ipc_mode = xstrdup("shareable");
	}
}

static int read_create(struct request *q, struct docker_container_create_request *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	struct jval *body = NULL;
	size_t n = 0;
	int r = api_q_text(q, &text, &n, e);

	if (r < 0)
		return r;
	if (!n)
		return err_set(e, ERR_INVALID, "invalid JSON: got EOF while reading request body");
	r = jval_parse(text, n, NULL, &body, e);
	if (r == 0)
		r = json_read_val(&docker_container_create_request_type, body, ret, e);
	if (r < 0)
		r = api_json_error(r, e);
	else if (!has_config(body))
		r = err_set(e, ERR_INVALID, "config cannot be empty in order to create a container");
	jval_free(body);
	return r;
}

/* API 1.44 brought more than one. */
static int one_network(const struct request *q, const struct docker_networking_config *n, struct err *e)
{
	AUTO_STRB struct strb names = STRB_INIT;

	if (q->minor >= 44 || n->endpoints_config.n < 2)
		return 0;
	for (size_t i = 0; i < n->endpoints_config.n; i++)
		strb_addf(&names, "%s%s", i ? ", " : "", n->endpoints_config.v[i].key);
	return err_set(e, ERR_INVALID, "Container cannot be created with multiple network endpoints: %s", names.s);
}

int api_containers_create(struct request *q, struct err *e)
{
	struct docker_container_create_request rq = { 0 };
	struct docker_container_create_response rs = { 0 };
	int r = read_create(q, &rq, e);

	if (r == 0)
		r = one_network(q, &rq.networking_config, e);
	if (r == 0) {
		fill_old_defaults(q, &rq.host_config);
		r = container_create(q->engine, api_q_str(q, "name"), api_q_str(q, "platform"), &rq, &rs, e);
	}
	if (r == 0)
		r = api_reply_obj(q, 201, &docker_container_create_response_type, &rs);
	json_done(&docker_container_create_request_type, &rq);
	json_done(&docker_container_create_response_type, &rs);
	return r;
}

/* Before API 1.45 the short id and the host name stood among the aliases; docker-compose 1.29 looks for them. */
static void fill_old_aliases(struct docker_container_inspect *c)
{
	AUTO_FREE char *brief = xstrndup(c->id, 12);
	const char *const more[] = { brief, c->config.hostname };

	for (size_t i = 0; i < c->network_settings.networks.n; i++) {
		__typeof__(c->network_settings.networks.v) row = &c->network_settings.networks.v[i];

		if (streq(row->key, "bridge") || streq(row->key, "host") || streq(row->key, "none"))
			continue;
		for (size_t k = 0; k < ARRAY_LEN(more); k++)
			if (!str_empty(more[k]) && !strv_has(&row->val.aliases, more[k]))
				strv_add(&row->val.aliases, more[k]);
	}
}

int api_containers_inspect(struct request *q, struct err *e)
{
	struct docker_container_inspect c = { 0 };
	int r = container_inspect(q->engine, q->name, api_q_bool(q, "size"), &c, e);

	if (r == 0 && q->minor < 45)
		fill_old_aliases(&c);
	if (r == 0 && c.host_config.console_size.n != 2) { /* Go's [2]uint has always two */
		free(c.host_config.console_size.v);
		c.host_config.console_size = (struct json_ints){ xcalloc(2, sizeof(int64_t)), 2 };
	}
	if (r == 0)
		r = api_reply_obj(q, 200, &docker_container_inspect_type, &c);
	json_done(&docker_container_inspect_type, &c);
	return r;
}

int api_containers_top(struct request *q, struct err *e)
{
	struct docker_top top = { 0 };
	const char *args = api_q_str(q, "ps_args");
	struct strv *rows = NULL;
	size_t n = 0;
	int r = container_top(q->engine, q->name, *args ? args : "-ef", &top.titles, &rows, &n, e);

	for (size_t i = 0; r == 0 && i < n; i++)
		VEC_ADD(&top.processes)->list = rows[i]; /* the row moves */
	free(rows);
	if (r == 0)
		r = api_reply_obj(q, 200, &docker_top_type, &top);
	json_done(&docker_top_type, &top);
	return r;
}

int api_containers_logs(struct request *q, struct err *e)
{
	struct logs_opts o = { .follow = api_q_bool(q, "follow"),
			       .out = api_q_bool(q, "stdout"),
			       .err = api_q_bool(q, "stderr"),
			       .timestamps = api_q_bool(q, "timestamps"),
			       .details = api_q_bool(q, "details"),
			       .tail = -1 };
	struct engine_conn conn = api_conn_for_engine(q);
	int r;

	if (!o.out && !o.err)
		return err_set(e, ERR_INVALID, "Bad parameters: you must choose at least one stream");
	r = container_known(q->engine, q->name, e); /* told before a bad time */
	if (r == 0)
		r = api_q_time(q, "since", &o.since_ns, e);
	if (r == 0)
		r = api_q_time(q, "until", &o.until_ns, e);
	if (r < 0)
		return r;
	(void)str_to_i64(api_q_str(q, "tail"), &o.tail); /* "all" and whatever is no number: all */
	return container_logs(q->engine, q->name, &o, &conn, e);
}

int api_containers_attach(struct request *q, struct err *e)
{
	struct attach_opts o = { .logs = api_q_bool(q, "logs"),
				 .stream = api_q_bool(q, "stream"),
				 .in = api_q_bool(q, "stdin"),
				 .out = api_q_bool(q, "stdout"),
				 .err = api_q_bool(q, "stderr"),
				 .detach_keys = api_q_str(q, "detachKeys") };
	struct engine_conn conn = api_conn_for_engine(q);
	int r = container_attach(q->engine, q->name, &o, &conn, e);

	return r < 0 && !http_replied(q->conn) ? api_reply_raw_error(q, r, e) : r;
}

int api_containers_wait(struct request *q, struct err *e)
{
	static const struct {
		const char *word;
		enum wait_condition condition;
	} words[] = { { "", WAIT_NOT_RUNNING },
		      { "not-running", WAIT_NOT_RUNNING },
		      { "next-exit", WAIT_NEXT_EXIT },
		      { "removed", WAIT_REMOVED } };
	struct engine_conn conn = api_conn_for_engine(q);
	const char *word = api_q_str(q, "condition");

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (streq(words[i].word, word))
			return container_wait(q->engine, q->name, words[i].condition, &conn, e);
	return err_set(e, ERR_INVALID, "invalid condition: \"%s\"", word);
}

static int done(struct request *q, int r)
{
	return r < 0 ? r : api_reply_empty(q, 204);
}

int api_containers_start(struct request *q, struct err *e)
{
	/* some clients send "{}" or "null": dockerd lets two bytes pass */
	if (q->http->content_length > 2)
		return err_set(e, ERR_INVALID,
			       "starting container with non-empty request body was deprecated since API v1.22 and "
			       "removed in v1.24");
	if (*api_q_str(q, "checkpoint"))
		return err_set(e, ERR_INVALID, "checkpoint is only supported in experimental mode");
	return done(q, container_start(q->engine, q->name, e));
}

typedef int stop_call(struct engine *en, const char *ref, const char *signal, int64_t timeout_s, struct err *e);

static int stop_with(struct request *q, stop_call *call, struct err *e)
{
	int64_t timeout_s = STOP_TIMEOUT_DEFAULT;
	const char *signal = q->minor >= 42 ? api_q_str(q, "signal") : "";
	int r = api_q_int(q, "t", &timeout_s, e);

	if (r < 0)
		return r;
	return done(q, call(q->engine, q->name, *signal ? signal : NULL, timeout_s, e));
}

int api_containers_stop(struct request *q, struct err *e)
{
	return stop_with(q, container_stop, e);
}

int api_containers_restart(struct request *q, struct err *e)
{
	return stop_with(q, container_restart, e);
}

int api_containers_kill(struct request *q, struct err *e)
{
	const char *signal = api_q_str(q, "signal");

	return done(q, container_kill(q->engine, q->name, *signal ? signal : NULL, e));
}

int api_containers_pause(struct request *q, struct err *e)
{
	return done(q, container_pause(q->engine, q->name, e));
}

int api_containers_unpause(struct request *q, struct err *e)
{
	return done(q, container_unpause(q->engine, q->name, e));
}

int api_containers_update(struct request *q, struct err *e)
{
	struct docker_host_config rq = { 0 };
	struct docker_container_update_response rs = { 0 };
	int r = api_q_json(q, &docker_host_config_type, &rq, e);

	if (r == 0 && q->minor < 40)
		rq.pids_limit = (struct json_oint){ 0 };
	if (r == 0)
		r = container_update(q->engine, q->name, &rq, &rs.warnings, e);
	if (r == 0)
		r = api_reply_obj(q, 200, &docker_container_update_response_type, &rs);
	json_done(&docker_host_config_type, &rq);
	json_done(&docker_container_update_response_type, &rs);
	return r;
}

int api_containers_rename(struct request *q, struct err *e)
{
	if (!*api_q_str(q, "name"))
		return err_set(e, ERR_INVALID, "Neither old nor new names may be empty");
	return done(q, container_rename(q->engine, q->name, api_q_str(q, "name"), e));
}

int api_containers_remove(struct request *q, struct err *e)
{
	struct container_remove_opts o = { .force = api_q_bool(q, "force"),
					   .volumes = api_q_bool(q, "v"),
					   .link = api_q_bool(q, "link") };

	return done(q, container_remove(q->engine, q->name, &o, e));
}

static int q_side(struct request *q, const char *name, const char *word, uint32_t *ret, struct err *e)
{
	const char *s = api_q_str(q, name);
	int r = str_to_u32(s, 10, ret);

	if (r < 0)
		return err_set(e, ERR_INVALID, "invalid resize %s \"%s\": %s", word, s,
			       r == -ERANGE ? "value out of range" : "invalid syntax");
	return 0;
}

typedef int resize_call(struct engine *en, const char *ref, uint32_t rows, uint32_t cols, struct err *e);

static int resize_with(struct request *q, resize_call *call, struct err *e)
{
	uint32_t rows = 0, cols = 0;
	int r = q_side(q, "h", "height", &rows, e);

	if (r == 0)
		r = q_side(q, "w", "width", &cols, e);
	if (r == 0)
		r = call(q->engine, q->name, rows, cols, e);
	return r < 0 ? r : api_reply_empty(q, 200);
}

int api_containers_resize(struct request *q, struct err *e)
{
	return resize_with(q, container_resize, e);
}

int api_containers_prune(struct request *q, struct err *e)
{
	AUTO_FILTERS struct engine_filters filters = { 0 };
	struct docker_containers_pruned pruned = { 0 };
	int r = api_q_filters(q, &filters, e);

	if (r == 0)
		r = container_prune(q->engine, &filters, &pruned.deleted, &pruned.space_reclaimed, e);
	if (r == 0)
		r = api_reply_obj(q, 200, &docker_containers_pruned_type, &pruned);
	json_done(&docker_containers_pruned_type, &pruned);
	return r;
}

/* ---- exec ---- */
int api_exec_new(struct request *q, struct err *e)
{
	struct docker_exec_options config = { 0 };
	struct docker_id id = { 0 };
	int r = api_q_json(q, &docker_exec_options_type, &config, e);

	if (r == 0 && !config.cmd.n)
		r = err_set(e, ERR_INVALID, "No exec command specified");
	if (r == 0)
		r = exec_create(q->engine, q->name, &config, &id.id, e);
	if (r == 0)
		r = api_reply_obj(q, 201, &docker_id_type, &id);
	json_done(&docker_exec_options_type, &config);
	json_done(&docker_id_type, &id);
	return r;
}

int api_exec_run(struct request *q, struct err *e)
{
	struct docker_exec_start start = { 0 };
	struct exec_start_opts o = { 0 };
	struct engine_conn conn = api_conn_for_engine(q);
	int r = api_q_json(q, &docker_exec_start_type, &start, e);

	o.detach = start.detach;
	o.tty = start.tty;
	if (start.console_size.n == 2) {
		o.rows = (uint32_t)start.console_size.v[0];
		o.cols = (uint32_t)start.console_size.v[1];
	}
	json_done(&docker_exec_start_type, &start);
	if (r == 0)
		r = exec_start(q->engine, q->name, &o, o.detach ? NULL : &conn, e);
	if (r == 0 && o.detach)
		return api_reply_empty(q, 200);
	return r;
}

int api_exec_show(struct request *q, struct err *e)
{
	struct docker_exec_inspect x = { 0 };
	int r = exec_inspect(q->engine, q->name, &x, e);

	if (r == 0)
		r = api_reply_obj(q, 200, &docker_exec_inspect_type, &x);
	json_done(&docker_exec_inspect_type, &x);
	return r;
}

int api_exec_size(struct request *q, struct err *e)
{
	return resize_with(q, exec_resize, e);
}
