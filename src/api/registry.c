/* registry.c - the routes that speak with registries: pull, push, search, distribution, auth. */
#include "api/request.h"

/* ---- lines of progress ---- */
void api_lines_begin(struct api_lines *l)
{
	if (!http_replied(l->q->conn))
		(void)http_stream_begin(l->q->conn, 200, "application/json");
}

int api_line(void *ctx, const char *json)
{
	struct api_lines *l = ctx;
	AUTO_FREE char *line = xasprintf("%s\r\n", json);
	int r;

	api_lines_begin(l);
	r = http_stream_write(l->q->conn, line, strlen(line));
	return r < 0 ? r : http_stream_flush(l->q->conn);
}

bool api_lines_gone(void *ctx)
{
	const struct api_lines *l = ctx;

	return http_conn_gone(l->q->conn);
}

int api_lines_end(struct api_lines *l, int r, const struct err *e)
{
	if (r < 0 && !http_replied(l->q->conn))
		return r;
	api_lines_begin(l);
	if (r < 0) {
		const char *message = *e->msg ? e->msg : strerror(-r);
		struct docker_progress_error detail = { .message = (char *)(uintptr_t)message };
		struct docker_progress line = { .error_detail = &detail, .error = detail.message };
		AUTO_STRB struct strb text = STRB_INIT;

		json_write(&docker_progress_type, &line, l->q->minor, &text);
		(void)api_line(l, strb_str(&text));
	}
	(void)http_stream_end(l->q->conn);
	return 0;
}

/* ---- who is asking: X-Registry-Auth, X-Meta-... ---- */
struct credentials {
	struct docker_auth_config auth;
	struct strmap meta;
	struct engine_registry registry;
};

static void credentials_done(struct credentials *c)
{
	json_done(&docker_auth_config_type, &c->auth);
	strmap_done(&c->meta);
}
#define AUTO_CREDENTIALS CLEANUP(credentials_done)

/* Like dockerd: a header that cannot be read is no header (clients have sent odd ones for ten years). */
static void credentials_of(const struct request *q, const char *name, struct credentials *c)
{
	const char *header = http_header(&q->http->headers, name);
	AUTO_STRB struct strb text = STRB_INIT;

	if (header && base64_decode(header, strlen(header), &text) == 0 &&
	    json_read(&docker_auth_config_type, strb_str(&text), text.len, &json_limits_default, &c->auth, NULL) == 0)
		c->registry.auth = &c->auth;
	for (size_t i = 0; i < q->http->headers.n; i++) {
		const struct strkv *h = &q->http->headers.v[i];

		if (strncasecmp(h->k, "X-Meta-", 7) == 0)
			strmap_set(&c->meta, h->k, h->v);
	}
	c->registry.meta_headers = &c->meta;
}

static void credentials_read(const struct request *q, struct credentials *c)
{
	credentials_of(q, "X-Registry-Auth", c);
}

int api_image_pull(struct request *q, struct err *e)
{
	AUTO_CREDENTIALS struct credentials c = { 0 };
	struct api_lines lines = { .q = q };
	struct engine_progress progress = { .line = api_line, .gone = api_lines_gone, .ctx = &lines };
	int r;

	credentials_read(q, &c);
	r = images_pull(q->engine, api_q_str(q, "fromImage"), api_q_str(q, "tag"), api_q_str(q, "platform"),
			&c.registry, &progress, e);
	return api_lines_end(&lines, r, e);
}

int api_image_push(struct request *q, struct err *e)
{
	AUTO_CREDENTIALS struct credentials c = { 0 };
	struct api_lines lines = { .q = q };
	struct engine_progress progress = { .line = api_line, .gone = api_lines_gone, .ctx = &lines };
	int r;

	credentials_read(q, &c);
	r = images_push(q->engine, q->name, api_q_str(q, "tag"), api_q_str(q, "platform"), &c.registry, &progress, e);
	return api_lines_end(&lines, r, e);
}

/* Hoy's own: X-Registry-Auth is for the source, X-Hoy-Registry-Auth-To for the destination. */
int api_image_copy(struct request *q, struct err *e)
{
	AUTO_CREDENTIALS struct credentials from = { 0 }, to = { 0 };
	struct api_lines lines = { .q = q };
	struct engine_progress progress = { .line = api_line, .gone = api_lines_gone, .ctx = &lines };
	int r;

	credentials_read(q, &from);
	credentials_of(q, "X-Hoy-Registry-Auth-To", &to);
	r = images_copy(q->engine, api_q_str(q, "from"), api_q_str(q, "to"), api_q_str(q, "platform"), &from.registry,
			&to.registry, &progress, e);
	return api_lines_end(&lines, r, e);
}

int api_image_search(struct request *q, struct err *e)
{
	AUTO_CREDENTIALS struct credentials c = { 0 };
	AUTO_FILTERS struct engine_filters filters = { 0 };
	struct docker_search_result *v = NULL;
	int64_t limit = 0;
	size_t n = 0;
	int r = api_q_int(q, "limit", &limit, e);

	if (r == 0)
		r = api_q_filters(q, &filters, e);
	if (r < 0)
		return r;
	credentials_read(q, &c);
	r = images_search(q->engine, api_q_str(q, "term"), limit, &filters, &c.registry, &v, &n, e);
	return r < 0 ? r : api_reply_list(q, &docker_search_result_type, v, n);
}

int api_distribution_inspect(struct request *q, struct err *e)
{
	AUTO_CREDENTIALS struct credentials c = { 0 };
	struct docker_distribution d = { 0 };
	int r;

	credentials_read(q, &c);
	r = distribution_inspect(q->engine, q->name, &c.registry, &d, e);
	if (r == 0)
		r = api_reply_obj(q, 200, &docker_distribution_type, &d);
	json_done(&docker_distribution_type, &d);
	return r;
}

int api_auth(struct request *q, struct err *e)
{
	struct docker_auth_config a = { 0 };
	struct docker_auth_response answer = { 0 };
	int r = api_q_json(q, &docker_auth_config_type, &a, e);

	if (r == 0)
		r = registry_login(q->engine, &a, &answer, e);
	if (r == 0)
		r = api_reply_obj(q, 200, &docker_auth_response_type, &answer);
	json_done(&docker_auth_config_type, &a);
	json_done(&docker_auth_response_type, &answer);
	return r;
}
