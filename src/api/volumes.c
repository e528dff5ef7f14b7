/* volumes.c - the volume routes. */
#include "api/request.h"

int api_volume_list(struct request *q, struct err *e)
{
	AUTO_FILTERS struct engine_filters filters = { 0 };
	struct docker_volume_list list = { 0 };
	struct docker_volume *v = NULL;
	size_t n = 0;
	int r = api_q_filters(q, &filters, e);

	if (r < 0)
		return err_wrap(e, r, "error reading volume filters");
	r = volumes_list(q->engine, &filters, &v, &n, e);
	for (size_t i = 0; r == 0 && i < n; i++)
		*VEC_ADD(&list.volumes) = v[i]; /* they move */
	free(v);
	if (r == 0)
		r = api_reply_obj(q, 200, &docker_volume_list_type, &list);
	json_done(&docker_volume_list_type, &list);
	return r;
}

static int reply_volume(struct request *q, int r, int status, struct docker_volume *v)
{
	if (r == 0)
		r = api_reply_obj(q, status, &docker_volume_type, v);
	json_done(&docker_volume_type, v);
	return r;
}

int api_volume_create(struct request *q, struct err *e)
{
	struct docker_volume_create rq = { 0 };
	struct docker_volume v = { 0 };
	int r = api_q_json(q, &docker_volume_create_type, &rq, e);

	if (r == 0)
		r = volumes_create(q->engine, &rq, &v, e);
	json_done(&docker_volume_create_type, &rq);
	return reply_volume(q, r, 201, &v);
}

int api_volume_inspect(struct request *q, struct err *e)
{
	struct docker_volume v = { 0 };

	return reply_volume(q, volumes_inspect(q->engine, q->name, &v, e), 200, &v);
}

int api_volume_remove(struct request *q, struct err *e)
{
	int r = volumes_remove(q->engine, q->name, api_q_bool(q, "force"), e);

	return r < 0 ? r : api_reply_empty(q, 204);
}

int api_volume_prune(struct request *q, struct err *e)
{
	AUTO_FILTERS struct engine_filters filters = { 0 };
	struct docker_volumes_pruned pruned = { 0 };
	int r = api_q_filters(q, &filters, e);

	if (r == 0)
		r = volumes_prune(q->engine, &filters, &pruned.deleted, &pruned.space_reclaimed, e);
	if (r == 0)
		r = api_reply_obj(q, 200, &docker_volumes_pruned_type, &pruned);
	json_done(&docker_volumes_pruned_type, &pruned);
	return r;
}
