/* networks.c - the network routes. */
#include "api/request.h"

int api_network_list(struct request *q, struct err *e)
{
	AUTO_FILTERS struct engine_filters filters = { 0 };
	struct docker_network_inspect *v = NULL;
	size_t n = 0;
	int r = api_q_filters(q, &filters, e);

	if (r == 0)
		r = networks_list(q->engine, &filters, &v, &n, e);
	return r < 0 ? r : api_reply_list(q, &docker_network_inspect_type, v, n);
}

int api_network_inspect(struct request *q, struct err *e)
{
	struct docker_network_inspect net = { 0 };
	bool verbose; /* of swarm's networks only */
	int r = api_q_go_bool(q, "verbose", &verbose, e);

	if (r == 0)
		r = networks_inspect(q->engine, q->name, api_q_str(q, "scope"), &net, e);
	if (r == 0)
		r = api_reply_obj(q, 200, &docker_network_inspect_type, &net);
	json_done(&docker_network_inspect_type, &net);
	return r;
}

int api_network_remove(struct request *q, struct err *e)
{
	int r = networks_remove(q->engine, q->name, e);

	return r < 0 ? r : api_reply_empty(q, 204);
}

int api_network_prune(struct request *q, struct err *e)
{
	AUTO_FILTERS struct engine_filters filters = { 0 };
	struct docker_networks_pruned pruned = { 0 };
	int r = api_q_filters(q, &filters, e);

	if (r == 0)
		r = networks_prune(q->engine, &filters, &pruned.deleted, e);
	if (r == 0)
		r = api_reply_obj(q, 200, &docker_networks_pruned_type, &pruned);
	json_done(&docker_networks_pruned_type, &pruned);
	return r;
}

int api_network_create(struct request *q, struct err *e)
{
	struct docker_network_create rq = { 0 };
	struct docker_network_created made = { 0 };
	int r = api_q_json(q, &docker_network_create_type, &rq, e);

	if (r == 0)
		r = networks_create(q->engine, &rq, &made.id, e);
	if (r == 0)
		r = api_reply_obj(q, 201, &docker_network_created_type, &made);
	json_done(&docker_network_create_type, &rq);
	json_done(&docker_network_created_type, &made);
	return r;
}

static int join_or_leave(struct request *q,
			 int (*act)(struct engine *, const char *, const struct docker_network_connect *, struct err *),
			 struct err *e)
{
	struct docker_network_connect rq = { 0 };
	int r = api_q_json(q, &docker_network_connect_type, &rq, e);

	if (r == 0)
		r = act(q->engine, q->name, &rq, e);
	json_done(&docker_network_connect_type, &rq);
	return r < 0 ? r : api_reply_empty(q, 200);
}

int api_network_connect(struct request *q, struct err *e)
{
	return join_or_leave(q, networks_connect, e);
}

int api_network_disconnect(struct request *q, struct err *e)
{
	return join_or_leave(q, networks_disconnect, e);
}
