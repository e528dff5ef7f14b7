/* care.c - Hoy's own routes for keeping images whole. Docker has no such paths: they begin with /hoy/. */
#include "api/request.h"

/* ?name=...&name=... */
static void names_of(const struct request *q, struct strv *ret)
{
	for (size_t i = 0; i < q->http->query.n; i++)
		if (streq(q->http->query.v[i].k, "name"))
			strv_add(ret, q->http->query.v[i].v);
}

int api_hoy_verify(struct request *q, struct err *e)
{
	AUTO_STRV struct strv names = { 0 };
	struct api_lines lines = { .q = q };
	struct engine_progress p = { .line = api_line, .gone = api_lines_gone, .ctx = &lines };
	int r;

	names_of(q, &names);
	r = images_verify(q->engine, &names, &p, e);
	return api_lines_end(&lines, r, e);
}

int api_hoy_heal(struct request *q, struct err *e)
{
	AUTO_STRV struct strv names = { 0 };
	struct api_lines lines = { .q = q };
	struct engine_progress p = { .line = api_line, .gone = api_lines_gone, .ctx = &lines };
	struct engine_registry nobody = { 0 };
	int r;

	names_of(q, &names);
	r = images_heal(q->engine, &names, &nobody, &p, e);
	return api_lines_end(&lines, r, e);
}

int api_hoy_gc(struct request *q, struct err *e)
{
	struct api_lines lines = { .q = q };
	struct engine_progress p = { .line = api_line, .gone = api_lines_gone, .ctx = &lines };
	int r = images_gc(q->engine, api_q_bool(q, "dry-run"), &p, e);

	return api_lines_end(&lines, r, e);
}
