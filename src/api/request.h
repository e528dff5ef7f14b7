/* request.h - private to api/: one request on its way, and the helpers that decode and answer it. */
#pragma once

#include "api/api.h"
#include "schema/docker.h"

struct request {
	struct http_conn *conn;
	const struct http_request *http;
	struct engine *engine;
	unsigned minor;     /* API 1.minor */
	char *name;         /* what {name} matched */
	struct strb unread; /* bytes of a taken connection, for its new owner */
};
/* A negative return is answered from e, unless a response is under way already. */
typedef int handler(struct request *q, struct err *e);
struct route {
	const char *method, *pattern; /* with at most one {name}, which may match slashes */
	handler *handle;              /* NULL: known to Docker, not to us: 501 */
};

/* The first route that fits; *ret_name is what {name} matched, NULL where there is none. */
const struct route *route_find(const struct route *routes, size_t n, const char *method, const char *path,
			       char **ret_name);
/* "/v1.41/info" -> *ret_rest "/info"; *ret_major, *ret_minor 0 where there is no version. *ret_text lent, n_text bytes. */
const char *route_version(const char *path, int64_t *ret_major, int64_t *ret_minor, const char **ret_text,
			  size_t *ret_n);

/* ---- decoding ---- */
const char *q_str(const struct request *q, const char *name); /* "" where absent */
bool q_bool(const struct request *q, const char *name);       /* Docker's: "", 0, no, false, none are false */
bool q_bool_or(const struct request *q, const char *name, bool absent);
int q_int(const struct request *q, const char *name, int64_t *ret, struct err *e); /* untouched where absent or "" */
int q_time(const struct request *q, const char *name, int64_t *ret_ns,
	   struct err *e); /* seconds[.fraction]; 0 where absent */
int q_filters(const struct request *q, struct engine_filters *ret, struct err *e);
int filters_parse(const char *text, struct engine_filters *ret, struct err *e);
#define AUTO_FILTERS CLEANUP(engine_filters_done)
#define BODY_MAX (16 << 20)
int q_text(struct request *q, char **ret, size_t *ret_n, struct err *e); /* the body, which must call itself JSON */
int q_json(struct request *q, const struct json_type *t, void *ret, struct err *e);

/* ---- answering ---- */
int status_of(const struct err *e, int r);
int reply_json(struct request *q, int status, const struct strb *text);
int reply_obj(struct request *q, int status, const struct json_type *t, const void *obj);
/* Writes and releases an array as the engine returns them. */
int reply_list(struct request *q, const struct json_type *t, void *v, size_t n);
int reply_empty(struct request *q, int status);
void reply_error(struct request *q, int r, const struct err *e);
struct engine_conn conn_for_engine(struct request *q);

/* ---- handlers, by noun ---- */
handler get_ping, get_version, get_info, get_events, swarm_absent, swarm_leave, plugins_list;
handler containers_list, containers_create, containers_inspect, containers_top, containers_logs, containers_start,
	containers_stop, containers_restart, containers_kill, containers_pause, containers_unpause, containers_wait,
	containers_rename, containers_remove, containers_resize, containers_attach, containers_prune;
handler exec_new, exec_run, exec_show, exec_size;
handler image_list, image_inspect, image_history, image_tag, image_remove, image_load, image_create;
handler volume_list, volume_create, volume_inspect, volume_remove, volume_prune, network_list, network_inspect;
