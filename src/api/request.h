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
const struct route *api_route_find(const struct route *routes, size_t n, const char *method, const char *path,
				   char **ret_name);
/* "/v1.41/info" -> *ret_rest "/info"; *ret_major, *ret_minor 0 where there is no version. *ret_text lent, n_text bytes. */
const char *api_route_version(const char *path, int64_t *ret_major, int64_t *ret_minor, const char **ret_text,
			      size_t *ret_n);

/* ---- decoding ---- */
const char *api_q_str(const struct request *q, const char *name); /* "" where absent */
bool api_q_bool(const struct request *q, const char *name);       /* Docker's: "", 0, no, false, none are false */
bool api_q_bool_or(const struct request *q, const char *name, bool absent);
int api_q_go_bool(const struct request *q, const char *name, bool *ret,
		  struct err *e); /* the few that Go's strconv.ParseBool reads; false where absent or "" */
int api_q_int(const struct request *q, const char *name, int64_t *ret,
	      struct err *e); /* untouched where absent or "" */
int api_q_time(const struct request *q, const char *name, int64_t *ret_ns,
	       struct err *e); /* seconds[.fraction]; 0 where absent */
int api_q_filters(const struct request *q, struct engine_filters *ret, struct err *e);
/* `platform` as JSON, understood since API 1.<since>; "" fields where absent. own keeps the strings. */
int api_q_platform(const struct request *q, unsigned since, struct engine_platform *ret, struct strv *own,
		   struct err *e);
#define AUTO_FILTERS CLEANUP(engine_filters_done)
#define BODY_MAX (16 << 20)
int api_q_text(struct request *q, char **ret, size_t *ret_n, struct err *e); /* the body, which must call itself JSON */
int api_json_error(int r, struct err *e); /* what json/ said of a body, as dockerd says it */
int api_q_json(struct request *q, const struct json_type *t, void *ret, struct err *e);

/* ---- answering ---- */
int api_reply_json(struct request *q, int status, const struct strb *text);
int api_reply_obj(struct request *q, int status, const struct json_type *t, const void *obj);
/* Writes and releases an array as the engine returns them. */
int api_reply_list(struct request *q, const struct json_type *t, void *v, size_t n);
int api_reply_empty(struct request *q, int status);
/* For a request that was to become a stream: the sentence alone, as dockerd. */
int api_reply_raw_error(struct request *q, int r, const struct err *e);
void api_reply_error(struct request *q, int r, const struct err *e);
struct engine_conn api_conn_for_engine(struct request *q);

/* Lines of progress: the answer begins with the first of them, so that an error before it has a status of its own. */
struct api_lines {
	struct request *q;
};
void api_lines_begin(struct api_lines *l);
int api_line(void *ctx, const char *json); /* ctx: struct api_lines; negative when the client is gone */
bool api_lines_gone(void *ctx);
/* 0 once the answer has begun (an error is its last line), else r: the error is still to be answered. */
int api_lines_end(struct api_lines *l, int r, const struct err *e);

/* r itself, unless an answer has begun: then the connection is cut, and the log says why. */
int api_stream_end(struct request *q, int r, const struct err *e);
/* Runs the job on the body. LINES: the answer begins with the first line of progress, until then an error has a status of its own. */
typedef int body_job(struct request *q, int in_fd, const struct engine_progress *p, struct err *e);
enum body_answer { BODY_ANSWER_LINES, BODY_ANSWER_EMPTY };
int api_run_on_body(struct request *q, body_job *job, enum body_answer answer, struct err *e);

/* ---- handlers, by noun ---- */
handler api_get_ping, api_get_version, api_get_info, api_get_events, api_swarm_absent, api_swarm_leave,
	api_plugins_list;
handler api_containers_list, api_containers_create, api_containers_inspect, api_containers_top, api_containers_logs,
	api_containers_start, api_containers_stop, api_containers_restart, api_containers_kill, api_containers_pause,
	api_containers_unpause, api_containers_wait, api_containers_rename, api_containers_remove,
	api_containers_resize, api_containers_update, api_containers_attach, api_containers_prune;
handler api_containers_stats;
handler api_container_changes, api_archive_head, api_archive_get, api_archive_put;
handler api_exec_new, api_exec_run, api_exec_show, api_exec_size;
handler api_image_list, api_image_inspect, api_image_history, api_image_tag, api_image_remove, api_image_load,
	api_image_create, api_image_save, api_images_save, api_container_export, api_commit;
handler api_get_df, api_image_prune, api_hoy_verify, api_hoy_heal, api_hoy_gc;
handler api_image_pull, api_image_push, api_image_copy, api_image_search, api_distribution_inspect, api_auth;
handler api_volume_list, api_volume_create, api_volume_inspect, api_volume_remove, api_volume_prune, api_network_list,
	api_network_inspect, api_network_remove, api_network_prune, api_network_create, api_network_connect,
	api_network_disconnect;
