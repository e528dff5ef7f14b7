/* engine.h - what the daemon knows and does. The only header of the engine that api/ and programs/hoyd.c may include. Knows nothing of
 * HTTP routes, query strings or status codes: errors carry an err_kind and Docker's sentence.
 *
 * Threads: every function may be called from any thread; each request runs in its own thread and blocks. Docker API objects
 * (schema/docker*.h) passed in are lent; those returned in *ret are the caller's, zeroed before, released with json_done(&x_type, ret).
 * `ref` is what a client typed: a container's name, id or unique id prefix. */
#pragma once

#include "base/base.h"

struct engine;

/* ---- life ---- */
struct engine_config {              /* strings lent for the engine's life */
	const char *data_root;      /* "/var/lib/hoy" */
	const char *exec_root;      /* "/run/hoy" */
	const char *programs;       /* folder of hoy-shim, hoy-worker, hoy-init */
	const char *storage_driver; /* NULL = overlay2 */
	const char *
		cgroup_parent; /* NULL = "/docker", or "/docker-<instance>" for an engine that is not the default one */
	const char *
		instance; /* "" for the default roots; else 8 hex digits that follow from data_root: bridge, table and cgroup names */
	const char *bridge, *bip, *default_ip, *firewall_integration; /* NULL = default */
	struct strv default_address_pools, dns, dns_search, dns_opts, labels, default_ulimits;
	int64_t mtu; /* 0 = 1500 */
	bool no_icc, no_ip_forward, no_ip_masq, no_iptables, debug, init;
	const char *default_cgroupns, *default_ipc_mode;
	int64_t default_shm_size; /* 0 = 64 MiB */
	const char *log_driver;   /* NULL = json-file */
	struct strmap log_opts;
	bool no_new_privileges;
	const char *seccomp_profile;  /* NULL = built in; text of a file */
	bool keep_blobs;              /* compressed layers stay in blobs/ */
	const char *signature_policy; /* path; NULL = no image needs a signature */
	struct strv registry_mirrors, insecure_registries;
	const char *certs_dir;                            /* NULL = /etc/docker/certs.d */
	const char *http_proxy, *https_proxy, *no_proxy;  /* NULL = of the environment */
	int64_t max_downloads, max_uploads, max_attempts; /* 0 = 3, 5, 5 */
	int64_t gc_keep_days, gc_keep_last;               /* -1 = not said */
	int64_t gc_min_free;                              /* bytes; 0 = not said */
};
/* Opens the database, removes what no record owns, finds living shims again. Containers of a dead shim become exited. */
int engine_open(const struct engine_config *c, struct engine **ret, struct err *e);
void engine_stop(
	struct engine *
		en); /* refuses new background work, waits for what runs; the process ends next. Nothing is freed: requests may be under way */
struct threads *engine_threads(struct engine *en); /* lent: for whatever works on this engine */
void engine_close(struct engine *en);              /* containers stay: their shims go on */

/* ---- streams that leave the daemon ----
 * Attach, exec, logs and wait answer over a connection that a shim may take over. The engine decides first whether the request is good,
 * then asks the caller for the connection; the caller writes the response's head for `kind` and gives the descriptor away. */
enum engine_stream {
	ENGINE_STREAM_RAW,     /* hijack: terminal bytes (application/vnd.docker.raw-stream) */
	ENGINE_STREAM_MUX,     /* hijack: frames (application/vnd.docker.multiplexed-stream) */
	ENGINE_STREAM_LOG_RAW, /* 200, chunked body, raw log bytes */
	ENGINE_STREAM_LOG_MUX, /* 200, chunked body, frames */
	ENGINE_STREAM_JSON,    /* 200, chunked body of JSON (wait) */
};
struct engine_conn {
	/* Writes the head and returns a descriptor that is the engine's from now on (a dup is fine), with bytes already read from it
	 * (*ret_unread, lent until the request ends). The connection is closed after it: heads say so. */
	int (*take)(void *ctx, enum engine_stream kind, int *ret_fd, const void **ret_unread, size_t *ret_n,
		    struct err *e);
	bool (*gone)(void *ctx); /* the client hung up; may be NULL */
	void *ctx;
};

/* Parsed `filters` parameter: key -> values. */
struct engine_filters {
	struct {
		char *key;
		struct strv values;
	} * v;
	size_t n;
};
void engine_filters_done(struct engine_filters *f);
const struct strv *engine_filter(const struct engine_filters *f, const char *key); /* NULL where absent */

/* ---- containers ---- */
struct docker_container_create_request;  /* Config + HostConfig + NetworkingConfig */
struct docker_container_create_response; /* Id, Warnings */
struct docker_container_inspect;
struct docker_container_summary;
int container_create(struct engine *en, const char *name, const char *platform,
		     const struct docker_container_create_request *req, struct docker_container_create_response *ret,
		     struct err *e);
struct docker_stats;
/* One sample; of a container that does not run only its id and name. */
int container_stats(struct engine *en, const char *ref, struct docker_stats *ret, struct err *e);
int container_start(struct engine *en, const char *ref, struct err *e); /* ERR_NOT_MODIFIED when it runs already */
#define STOP_TIMEOUT_DEFAULT INT64_MIN
int container_stop(struct engine *en, const char *ref, const char *signal, int64_t timeout_s,
		   struct err *e); /* signal NULL = default; timeout <0 = for ever */
int container_restart(struct engine *en, const char *ref, const char *signal, int64_t timeout_s, struct err *e);
int container_kill(struct engine *en, const char *ref, const char *signal, struct err *e);
int container_pause(struct engine *en, const char *ref, struct err *e);
int container_unpause(struct engine *en, const char *ref, struct err *e);
struct docker_host_config; /* limits and restart policy: what is zero stays as it is */
int container_update(struct engine *en, const char *ref, const struct docker_host_config *q, struct strv *ret_warnings,
		     struct err *e);
int container_rename(struct engine *en, const char *ref, const char *name, struct err *e);
struct container_remove_opts {
	bool force, volumes, link;
};
int container_remove(struct engine *en, const char *ref, const struct container_remove_opts *o, struct err *e);
enum wait_condition { WAIT_NOT_RUNNING, WAIT_NEXT_EXIT, WAIT_REMOVED };
int container_wait(struct engine *en, const char *ref, enum wait_condition condition, const struct engine_conn *conn,
		   struct err *e);
int container_known(struct engine *en, const char *ref, struct err *e); /* is there such a container? */
int container_inspect(struct engine *en, const char *ref, bool size, struct docker_container_inspect *ret,
		      struct err *e);
struct container_list_opts {
	bool all, size;
	int64_t limit; /* <=0 = none */
	const struct engine_filters *filters;
};
/* ret_v: an array of n summaries, newest first; release each with json_done, then free the array. */
int container_list(struct engine *en, const struct container_list_opts *o, struct docker_container_summary **ret_v,
		   size_t *ret_n, struct err *e);
struct attach_opts {
	bool logs, stream, in, out, err;
	const char *detach_keys; /* as typed: "ctrl-p,ctrl-q"; NULL or "" = default */
};
int container_attach(struct engine *en, const char *ref, const struct attach_opts *o, const struct engine_conn *conn,
		     struct err *e);
struct logs_opts {
	bool follow, out, err, timestamps, details;
	int64_t since_ns, until_ns; /* 0 = none */
	int64_t tail;               /* lines; <0 = all */
};
int container_logs(struct engine *en, const char *ref, const struct logs_opts *o, const struct engine_conn *conn,
		   struct err *e);
int container_resize(struct engine *en, const char *ref, uint32_t rows, uint32_t cols, struct err *e);
/* `ps` is run on the host with ps_args (default "-ef") and filtered to the container's processes. */
int container_top(struct engine *en, const char *ref, const char *ps_args, struct strv *ret_titles,
		  struct strv **ret_rows, size_t *ret_n, struct err *e);
int container_prune(struct engine *en, const struct engine_filters *f, struct strv *ret_deleted, int64_t *ret_bytes,
		    struct err *e);

/* ---- exec ---- */
struct docker_exec_options; /* POST /containers/{id}/exec */
struct docker_exec_inspect;
int exec_create(struct engine *en, const char *ref, const struct docker_exec_options *c, char **ret_id, struct err *e);
struct exec_start_opts {
	bool detach, tty;
	uint32_t rows, cols; /* 0 = not given */
};
int exec_start(struct engine *en, const char *id, const struct exec_start_opts *o, const struct engine_conn *conn,
	       struct err *e);
int exec_resize(struct engine *en, const char *id, uint32_t rows, uint32_t cols, struct err *e);
int exec_inspect(struct engine *en, const char *id, struct docker_exec_inspect *ret, struct err *e);

/* ---- images: image/image.h's functions, with the engine's table and what containers use ---- */
struct docker_image_summary;
struct docker_image_inspect;
struct docker_image_delete_item;
struct docker_image_history_item;
int images_list(struct engine *en, bool all, bool shared_size, bool digests, const struct engine_filters *f,
		struct docker_image_summary **ret_v, size_t *ret_n, struct err *e);
int images_inspect(struct engine *en, const char *ref, struct docker_image_inspect *ret, struct err *e);
int images_history(struct engine *en, const char *ref, struct docker_image_history_item **ret_v, size_t *ret_n,
		   struct err *e);
int images_tag(struct engine *en, const char *ref, const char *repo, const char *tag, struct err *e);
int images_remove(struct engine *en, const char *ref, bool force, bool no_prune,
		  struct docker_image_delete_item **ret_v, size_t *ret_n, struct err *e);
int images_prune(struct engine *en, const struct engine_filters *f, struct docker_image_delete_item **ret_v,
		 size_t *ret_n, int64_t *ret_bytes, struct err *e);
/* The body arrives on in_fd (a pipe that the caller feeds); progress lines are JSON texts for the client (without newline). */
struct engine_progress {
	int (*line)(void *ctx, const char *json); /* negative: the client is gone */
	bool (*gone)(void *ctx);                  /* the same, without a line to send; NULL = never */
	void *ctx;
};
struct engine_platform { /* "" = any */
	const char *os, *arch, *variant;
};
int images_load(struct engine *en, int in_fd, bool quiet, const struct engine_platform *platform,
		const struct engine_progress *p, struct err *e);
/* An archive on its way out. begin() is called once, when nothing but the bytes themselves can go wrong any more: write the head there.
 * An error after it: cut the connection. Both return negative errnos, which end it. */
struct engine_out {
	int (*begin)(void *ctx);
	int (*write)(void *ctx, const void *p, size_t n);
	void *ctx;
};
int images_save(struct engine *en, const struct strv *names, const struct engine_platform *platform,
		const struct engine_out *out, struct err *e);
struct image_import_opts {
	const char *repo, *tag, *message, *platform;
	const struct strv *changes;
};
int images_import(struct engine *en, int in_fd, const struct image_import_opts *o, const struct engine_progress *p,
		  struct err *e);
int images_import_url(struct engine *en, const char *url, const struct image_import_opts *o,
		      const struct engine_progress *p, struct err *e);

/* A container's files as a tar, without what is mounted on them. */
int container_export(struct engine *en, const char *ref, const struct engine_out *out, struct err *e);
/* docker diff: records "<digit>/<path>\0", 0 modified, 1 added, 2 deleted. */
int container_changes(struct engine *en, const char *ref, char **ret, size_t *ret_n, struct err *e);
/* docker cp. Paths are the container's, with volumes where they are to it. */
struct store_stat;
int container_path_stat(struct engine *en, const char *ref, const char *path, struct store_stat *ret, struct err *e);
struct container_get { /* as engine_out */
	int (*begin)(void *ctx, const struct store_stat *st);
	int (*write)(void *ctx, const void *p, size_t n);
	void *ctx;
};
int container_get(struct engine *en, const char *ref, const char *path, const struct container_get *out, struct err *e);
struct container_put {
	const char *path;
	bool no_overwrite; /* no directory by a file, nor the other way round */
	bool to_user;      /* everything belongs to the container's user */
};
int container_put(struct engine *en, const char *ref, int in_fd, const struct container_put *o, struct err *e);
struct container_commit {
	const char *repo, *tag, *author, *comment; /* "" where not given */
	const char *config;         /* JSON text or NULL: what goes before the container's own configuration */
	const struct strv *changes; /* Dockerfile instructions */
	bool pause;
};
int container_commit(struct engine *en, const char *ref, const struct container_commit *o, char **ret_id,
		     struct err *e);

/* POST /hoy/images/verify: a line for each layer, {"layer","diffID","images","status":"ok"|"broken"|"unknown","problems":[{"path","problem"}],
 * "bytes","entries"}, and one at the end, {"layers","broken","unknown"}. names empty = every image. */
int images_verify(struct engine *en, const struct strv *names, const struct engine_progress *p, struct err *e);

/* POST /hoy/images/gc: a line for each image, {"image","names","used","bytes","action":"remove"|"keep","why"}, and one at the end,
 * {"removed","bytes","free"}. By the daemon's options; dry: nothing is removed. */
int images_gc(struct engine *en, bool dry, const struct engine_progress *p, struct err *e);
/* POST /hoy/images/heal: a line for each layer that was broken, {"layer","status":"healed"|"broken","from","error"}, and one at the end,
 * {"layers","healed","broken"}. Blobs are fetched without credentials, unless r has some. */
struct engine_registry;
int images_heal(struct engine *en, const struct strv *names, const struct engine_registry *r,
		const struct engine_progress *p, struct err *e);

/* ---- registries (registry_glue.c) ---- */
struct docker_auth_config;
struct docker_auth_response;
struct docker_distribution;
struct docker_search_result;
struct engine_registry {                       /* what a request says about whom we speak as */
	const struct docker_auth_config *auth; /* NULL = nobody */
	const struct strmap *meta_headers;     /* X-Meta-..., NULL = none */
};
/* tag may be a digest, or "" = all tags. Errors before the first line are the request's, later ones the stream's last line. */
int images_pull(struct engine *en, const char *from, const char *tag, const char *platform,
		const struct engine_registry *r, const struct engine_progress *p, struct err *e);
int images_push(struct engine *en, const char *name, const char *tag, const char *platform,
		const struct engine_registry *r, const struct engine_progress *p, struct err *e);
/* From registry to registry, as `hoy image copy`; to_reg: who we are at the destination. */
int images_copy(struct engine *en, const char *from, const char *to, const char *platform,
		const struct engine_registry *from_reg, const struct engine_registry *to_reg,
		const struct engine_progress *p, struct err *e);
int images_search(struct engine *en, const char *term, int64_t limit, const struct engine_filters *f,
		  const struct engine_registry *r, struct docker_search_result **ret_v, size_t *ret_n, struct err *e);
int distribution_inspect(struct engine *en, const char *name, const struct engine_registry *r,
			 struct docker_distribution *ret, struct err *e);
int registry_login(struct engine *en, const struct docker_auth_config *a, struct docker_auth_response *ret,
		   struct err *e);

/* ---- volumes and networks, as far as they exist ---- */
struct docker_volume;
struct docker_volume_create;
struct docker_network_inspect;
int volumes_create(struct engine *en, const struct docker_volume_create *req, struct docker_volume *ret, struct err *e);
int volumes_list(struct engine *en, const struct engine_filters *f, struct docker_volume **ret_v, size_t *ret_n,
		 struct err *e);
int volumes_inspect(struct engine *en, const char *name, struct docker_volume *ret, struct err *e);
int volumes_remove(struct engine *en, const char *name, bool force, struct err *e);
int volumes_prune(struct engine *en, const struct engine_filters *f, struct strv *ret_deleted, int64_t *ret_bytes,
		  struct err *e);
struct docker_network_create;
struct docker_network_connect;
int networks_create(struct engine *en, const struct docker_network_create *req, char **ret_id, struct err *e);
int networks_connect(struct engine *en, const char *network, const struct docker_network_connect *req, struct err *e);
int networks_disconnect(struct engine *en, const char *network, const struct docker_network_connect *req,
			struct err *e);
int networks_list(struct engine *en, const struct engine_filters *f, struct docker_network_inspect **ret_v,
		  size_t *ret_n, struct err *e);
int networks_inspect(struct engine *en, const char *ref, const char *scope, struct docker_network_inspect *ret,
		     struct err *e); /* scope "" = any */
int networks_remove(struct engine *en, const char *ref, struct err *e);
int networks_prune(struct engine *en, const struct engine_filters *f, struct strv *ret_deleted, struct err *e);

/* ---- the whole ---- */
struct docker_info;
struct docker_version;
enum { ENGINE_DF_IMAGES = 1, ENGINE_DF_CONTAINERS = 2, ENGINE_DF_VOLUMES = 4, ENGINE_DF_BUILD = 8 };
struct engine_df {
	int64_t layers_size;
	struct docker_image_summary *images; /* with shared sizes */
	struct docker_container_summary *containers;
	struct docker_volume *volumes; /* with usage_data */
	size_t n_images, n_containers, n_volumes;
};
/* what: flags; the others stay empty. Walks containers' layers and volumes. */
int engine_df(struct engine *en, unsigned what, struct engine_df *ret, struct err *e);
void engine_df_done(struct engine_df *d);
int engine_info(struct engine *en, struct docker_info *ret, struct err *e);
int engine_version(struct engine *en, struct docker_version *ret, struct err *e);

/* ---- events ----
 * A subscriber sees first what is remembered since since_ns (the last 256 events are kept), then everything new. */
struct events_opts {
	int64_t since_ns, until_ns; /* 0 = none */
	const struct engine_filters *filters;
};
struct events_sub;
int events_subscribe(struct engine *en, const struct events_opts *o, struct events_sub **ret, struct err *e);
/* 1 = *ret_json is the next event's JSON text (the caller's), 0 = until_ns passed or the engine closes, -ETIMEDOUT after timeout_ms:
 * a moment to look whether the client is still there. */
int events_next(struct events_sub *s, int timeout_ms, char **ret_json);
void events_unsubscribe(struct events_sub *s);
