/* reply.c - answers: objects, lists, errors, and connections that leave the daemon. */
#include "api/request.h"

/* The one table from kinds of errors to HTTP. */
static const int statuses[] = {
	[ERR_NONE] = 500,        [ERR_SYSTEM] = 500,          [ERR_INVALID] = 400,  [ERR_UNAUTHORIZED] = 401,
	[ERR_FORBIDDEN] = 403,   [ERR_NOT_FOUND] = 404,       [ERR_CONFLICT] = 409, [ERR_NOT_MODIFIED] = 304,
	[ERR_UNAVAILABLE] = 503, [ERR_NOT_IMPLEMENTED] = 501, [ERR_TIMEOUT] = 408,
};

static int api_status_of(const struct err *e, int r)
{
	return e->kind < ARRAY_LEN(statuses) ? statuses[e->kind] : 500;
}

int api_reply_json(struct request *q, int status, const struct strb *text)
{
	(void)http_reply(q->conn, status, "application/json", strb_str(text), text->len);
	return 0;
}

int api_reply_obj(struct request *q, int status, const struct json_type *t, const void *obj)
{
	AUTO_STRB struct strb out = STRB_INIT;

	json_write(t, obj, q->minor, &out);
	strb_addc(&out, '\n'); /* Go's encoder ends every document with one */
	return api_reply_json(q, status, &out);
}

int api_reply_list(struct request *q, const struct json_type *t, void *v, size_t n)
{
	AUTO_STRB struct strb out = STRB_INIT;

	json_write_list(t, v, n, q->minor, &out);
	strb_addc(&out, '\n');
	for (size_t i = 0; i < n; i++)
		json_done(t, (char *)v + i * t->size);
	free(v);
	return api_reply_json(q, 200, &out);
}

int api_reply_empty(struct request *q, int status)
{
	(void)http_reply(q->conn, status, NULL, "", 0);
	return 0;
}

void api_reply_error(struct request *q, int r, const struct err *e)
{
	struct docker_error body = { .message = xstrdup(*e->msg ? e->msg : strerror(-r)) };
	int status = api_status_of(e, r);

	if (http_replied(q->conn))
		http_abort(q->conn); /* too late to say it: the client must not take what it got for the whole */
	else if (status == 304)
		(void)api_reply_empty(q, status);
	else
		(void)api_reply_obj(q, status, &docker_error_type, &body);
	if (status == 500)
		log_error("%s %s: %s", q->http->method, q->http->path, body.message);
	json_done(&docker_error_type, &body);
}

/* ---- connections for the engine ---- */
static const char raw[] = "application/vnd.docker.raw-stream", mux[] = "application/vnd.docker.multiplexed-stream";

int api_reply_raw_error(struct request *q, int r, const struct err *e)
{
	AUTO_FREE char *say = xasprintf("%s\r\n", *e->msg ? e->msg : strerror(-r));

	http_close_after(q->conn);
	(void)http_reply(q->conn, api_status_of(e, r), raw, say, strlen(say));
	return 0;
}

static int write_head(struct request *q, enum engine_stream kind)
{
	bool new_names = q->minor >= 42; /* older clients know one media type for both */

	switch (kind) {
	case ENGINE_STREAM_RAW:
		return http_hijack_head(q->conn, raw);
	case ENGINE_STREAM_MUX:
		return http_hijack_head(q->conn, new_names && q->http->upgrade ? mux : raw);
	case ENGINE_STREAM_LOG_RAW:
	case ENGINE_STREAM_LOG_MUX:
	case ENGINE_STREAM_JSON:
		http_close_after(q->conn);
		return http_stream_begin(q->conn, 200,
					 kind == ENGINE_STREAM_JSON                   ? "application/json"
					 : kind == ENGINE_STREAM_LOG_MUX && new_names ? mux
										      : raw);
	}
	return -EINVAL;
}

static int conn_take(void *ctx, enum engine_stream kind, int *ret_fd, const void **ret_unread, size_t *ret_n,
		     struct err *e)
{
	struct request *q = ctx;
	int r = write_head(q, kind);

	if (r == 0)
		r = http_detach(q->conn, ret_fd, &q->unread);
	if (r < 0)
		return err_sys(e, r, "writing the response");
	*ret_unread = strb_str(&q->unread);
	*ret_n = q->unread.len;
	return 0;
}

static bool conn_gone(void *ctx)
{
	struct request *q = ctx;

	return http_conn_gone(q->conn);
}

struct engine_conn api_conn_for_engine(struct request *q)
{
	return (struct engine_conn){ .take = conn_take, .gone = conn_gone, .ctx = q };
}
