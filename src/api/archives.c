/* archives.c - routes whose answer is a tar (save, export), and commit. The head goes out when the engine has looked at everything; from then on an error
 * can only cut the connection. */
#include "api/request.h"

static int begin_export(void *ctx)
{
	struct request *q = ctx;

	return http_stream_begin(q->conn, 200, "application/octet-stream");
}

static int begin(void *ctx)
{
	struct request *q = ctx;

	return http_stream_begin(q->conn, 200, "application/x-tar");
}

static int give(void *ctx, const void *p, size_t n)
{
	struct request *q = ctx;

	return http_stream_write(q->conn, p, n);
}

int api_stream_end(struct request *q, int r, const struct err *e)
{
	if (r < 0 && http_replied(q->conn)) {
		if (r != -EPIPE && r != -ECONNRESET)
			log_error("%s: %s", q->http->path, *e->msg ? e->msg : strerror(-r));
		http_abort(q->conn);
		return 0;
	}
	return r;
}

/* A word where JSON should be, as Go's decoder complains about its first letter. */
static int bad_platform(const char *text, struct err *e)
{
	if (*text && !strchr("{[\"tfn-0123456789 ", *text))
		return err_set(e, ERR_INVALID,
			       "failed to parse platform: invalid character '%c' looking for beginning of value",
			       *text);
	return err_set(e, ERR_INVALID, "failed to parse platform: unexpected end of JSON input");
}

int api_q_platform(const struct request *q, unsigned since, struct engine_platform *ret, struct strv *own,
		   struct err *e)
{
	const char *text = api_q_str(q, "platform"), *os, *arch, *variant;
	struct jval *v = NULL;
	bool optional;

	if (!*text || q->minor < since)
		return 0;
	if (jval_parse(text, strlen(text), &json_limits_default, &v, NULL) < 0 || jval_kind(v) != JVAL_DICT) {
		jval_free(v);
		return bad_platform(text, e);
	}
	os = jval_str(jval_get(v, "os"));
	arch = jval_str(jval_get(v, "architecture"));
	variant = jval_str(jval_get(v, "variant"));
	optional = *variant || *jval_str(jval_get(v, "os.version")) || jval_len(jval_get(v, "os.features"));
	strv_add(own, os);
	strv_add(own, arch);
	strv_add(own, variant);
	jval_free(v);
	*ret = (struct engine_platform){ .os = own->v[0], .arch = own->v[1], .variant = own->v[2] };
	if (!*ret->os && !*ret->arch && optional)
		return err_set(e, ERR_INVALID,
			       "optional platform fields provided, but OS and Architecture are missing");
	if (!*ret->os || !*ret->arch)
		return err_set(e, ERR_INVALID, "both OS and Architecture must be provided");
	return 0;
}

static int save(struct request *q, const struct strv *names, struct err *e)
{
	struct engine_platform platform = { .os = "", .arch = "", .variant = "" };
	AUTO_STRV struct strv own = { 0 };
	int r = api_q_platform(q, 48, &platform, &own, e);

	if (r == 0)
		r = images_save(q->engine, names, &platform,
				&(struct engine_out){ .begin = begin, .write = give, .ctx = q }, e);
	return api_stream_end(q, r, e);
}

int api_image_save(struct request *q, struct err *e)
{
	AUTO_STRV struct strv names = { 0 };

	strv_add(&names, q->name);
	return save(q, &names, e);
}

int api_images_save(struct request *q, struct err *e)
{
	AUTO_STRV struct strv names = { 0 };

	for (size_t i = 0; i < q->http->query.n; i++)
		if (streq(q->http->query.v[i].k, "names"))
			strv_add(&names, q->http->query.v[i].v);
	return save(q, &names, e);
}

int api_container_export(struct request *q, struct err *e)
{
	int r = container_export(q->engine, q->name,
				 &(struct engine_out){ .begin = begin_export, .write = give, .ctx = q }, e);

	return api_stream_end(q, r, e);
}

int api_commit(struct request *q, struct err *e)
{
	AUTO_STRV struct strv changes = { 0 };
	AUTO_STRB struct strb answer = STRB_INIT;
	AUTO_FREE char *body = NULL, *id = NULL;
	struct container_commit o = { .repo = api_q_str(q, "repo"),
				      .tag = api_q_str(q, "tag"),
				      .author = api_q_str(q, "author"),
				      .comment = api_q_str(q, "comment"),
				      .changes = &changes,
				      .pause = api_q_bool_or(q, "pause", true) };
	size_t n = 0;
	int r = http_body_text(q->conn, BODY_MAX, &body, &n);

	if (r < 0)
		return err_set(e, ERR_INVALID, "malformed or cut off request body");
	for (size_t i = 0; i < q->http->query.n; i++)
		if (streq(q->http->query.v[i].k, "changes"))
			strv_add(&changes, q->http->query.v[i].v);
	o.config = n && strspn(body, " \t\r\n") != n && !streq(body, "null") ? body : NULL;
	if (!*api_q_str(q, "container"))
		return err_set(e, ERR_INVALID, "invalid name or ID supplied: \"\"");
	r = container_commit(q->engine, api_q_str(q, "container"), &o, &id, e);
	if (r < 0)
		return r;
	strb_addf(&answer, "{\"Id\":\"%s\"}\n", id);
	return api_reply_json(q, 201, &answer);
}
