/* system.c - ping, version, info, events, and the answers of a node outside any swarm. */
#include "api/request.h"

int api_get_ping(struct request *q, struct err *e)
{
	http_set_header(q->conn, "Builder-Version", "1"); /* no BuildKit: clients choose the classic builder */
	http_set_header(q->conn, "Cache-Control", "no-cache, no-store, must-revalidate");
	http_set_header(q->conn, "Pragma", "no-cache");
	http_set_header(q->conn, "Swarm", "inactive");
	(void)http_reply(q->conn, 200, "text/plain; charset=utf-8", "OK", streq(q->http->method, "HEAD") ? 0 : 2);
	return 0;
}

int api_get_version(struct request *q, struct err *e)
{
	struct docker_version v = { 0 };
	int r = engine_version(q->engine, &v, e);

	if (r == 0)
		r = api_reply_obj(q, 200, &docker_version_type, &v);
	json_done(&docker_version_type, &v);
	return r;
}

int api_get_info(struct request *q, struct err *e)
{
	struct docker_info info = { 0 };
	int r = engine_info(q->engine, &info, e);

	if (r == 0)
		r = api_reply_obj(q, 200, &docker_info_type, &info);
	json_done(&docker_info_type, &info);
	return r;
}

static void send_events(struct request *q, struct events_sub *sub)
{
	int more = 1;

	(void)http_stream_begin(q->conn, 200, "application/json");
	(void)http_stream_flush(q->conn);
	while (more && !http_conn_gone(q->conn)) {
		AUTO_FREE char *text = NULL;
		int r = events_next(sub, 1000, &text);

		if (r == 1) {
			AUTO_FREE char *line = xasprintf("%s\n", text);

			(void)http_stream_write(q->conn, line, strlen(line));
			(void)http_stream_flush(q->conn);
		}
		more = r == 1 || r == -ETIMEDOUT;
	}
}

int api_get_events(struct request *q, struct err *e)
{
	AUTO_FILTERS struct engine_filters filters = { 0 };
	struct events_opts o = { .filters = &filters };
	struct events_sub *sub = NULL;
	int r = api_q_time(q, "since", &o.since_ns, e);

	if (r == 0)
		r = api_q_time(q, "until", &o.until_ns, e);
	if (r < 0)
		return r;
	if (o.until_ns && o.since_ns > o.until_ns)
		return err_set(e, ERR_INVALID, "`since` time (%s) cannot be after `until` time (%s)",
			       api_q_str(q, "since"), api_q_str(q, "until"));
	r = api_q_filters(q, &filters, e);
	if (r == 0)
		r = events_subscribe(q->engine, &o, &sub, e);
	if (r < 0)
		return r;
	send_events(q, sub);
	events_unsubscribe(sub);
	return 0;
}

/* ---- disk usage ---- */
static int df_what(const struct request *q, unsigned *ret, struct err *e)
{
	static const struct {
		const char *name;
		unsigned flag;
	} types[] = { { "container", ENGINE_DF_CONTAINERS },
		      { "image", ENGINE_DF_IMAGES },
		      { "volume", ENGINE_DF_VOLUMES },
		      { "build-cache", ENGINE_DF_BUILD } };

	*ret = 0;
	for (size_t i = 0; q->minor >= 42 && i < q->http->query.n; i++) {
		const struct strkv *arg = &q->http->query.v[i];
		unsigned flag = 0;

		if (!streq(arg->k, "type"))
			continue;
		for (size_t k = 0; k < ARRAY_LEN(types); k++)
			flag |= streq(types[k].name, arg->v) ? types[k].flag : 0;
		if (!flag)
			return err_set(e, ERR_INVALID, "unknown object type: %s", arg->v);
		*ret |= flag;
	}
	if (!*ret)
		*ret = ENGINE_DF_IMAGES | ENGINE_DF_CONTAINERS | ENGINE_DF_VOLUMES | ENGINE_DF_BUILD;
	return 0;
}

static void df_image(const struct request *q, const struct docker_image_summary *i, struct strb *out)
{
	struct docker_image_usage u = { .containers = i->containers, /* all of it lent */
					.created = i->created,
					.id = i->id,
					.labels = i->labels,
					.parent_id = i->parent_id,
					.repo_digests = i->repo_digests,
					.repo_tags = i->repo_tags,
					.shared_size = i->shared_size,
					.size = i->size,
					.virtual_size = i->size };

	json_write(&docker_image_usage_type, &u, q->minor, out);
}

static void df_images(const struct request *q, const struct engine_df *d, struct strb *out)
{
	strb_addc(out, '[');
	for (size_t i = 0; i < d->n_images; i++) {
		if (i)
			strb_addc(out, ',');
		df_image(q, &d->images[i], out);
	}
	strb_addc(out, ']');
}

int api_get_df(struct request *q, struct err *e)
{
	AUTO_STRB struct strb out = STRB_INIT;
	struct engine_df d = { 0 };
	unsigned what = 0;
	int r = df_what(q, &what, e);

	if (r == 0)
		r = engine_df(q->engine, what, &d, e);
	if (r == 0) { /* what was not asked for is null */
		strb_addf(&out, "{\"LayersSize\":%lld,\"Images\":", (long long)d.layers_size);
		if (what & ENGINE_DF_IMAGES)
			df_images(q, &d, &out);
		else
			strb_adds(&out, "null");
		strb_adds(&out, ",\"Containers\":");
		if (what & ENGINE_DF_CONTAINERS)
			json_write_list(&docker_container_summary_type, d.containers, d.n_containers, q->minor, &out);
		else
			strb_adds(&out, "null");
		strb_adds(&out, ",\"Volumes\":");
		if (what & ENGINE_DF_VOLUMES)
			json_write_list(&docker_volume_type, d.volumes, d.n_volumes, q->minor, &out);
		else
			strb_adds(&out, "null");
		strb_addf(&out, ",\"BuildCache\":%s}\n", what & ENGINE_DF_BUILD ? "[]" : "null");
		r = api_reply_json(q, 200, &out);
	}
	engine_df_done(&d);
	return r;
}

int api_plugins_list(struct request *q, struct err *e)
{
	(void)http_reply(q->conn, 200, "application/json", "[]\n", 3);
	return 0;
}

int api_swarm_absent(struct request *q, struct err *e)
{
	return err_set(e, ERR_UNAVAILABLE,
		       "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to "
		       "connect this node to swarm "
		       "and try again.");
}

int api_swarm_leave(struct request *q, struct err *e)
{
	return err_set(e, ERR_UNAVAILABLE, "This node is not part of a swarm");
}
