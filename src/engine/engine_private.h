/* engine_private.h - the engine's own tables. Nouns (container, exec) meet through ids and events; nobody keeps pointers across
 * requests except by reference count.
 *
 * Locks, in the order in which they may be taken:
 *   container.op      one long operation at a time per container (start, stop, remove, ...); held across I/O of this container only
 *   container.shim_lock   starting, finding and ending this container's shim
 *   container.save_lock   one writer of this container's record at a time
 *   engine.lock       the table of containers and names; short
 *   container.lock    the container's record and state; short, never across I/O
 * The thread that receives shims' news takes container.lock only, and hands everything slow to a thread of its own. */
#pragma once

#include "db/db.h"
#include "engine/container_record.h"
#include "engine/engine.h"
#include "engine/events.h"
#include "engine/shim_link.h"
#include "image/image.h"
#include "net/net.h"
#include "proc/threads.h"
#include "store/store.h"
#include "volume/volume.h"

#include <pthread.h>

struct exec;
struct container {
	struct engine *en;
	int refs; /* guarded by en->lock */
	char id[65];
	pthread_mutex_t op, shim_lock, save_lock, lock;
	pthread_cond_t changed;      /* with lock: the state changed or the container is gone */
	struct container_record rec; /* lock */
	uint64_t starts;             /* lock: number of starts and exits seen, so that a waiter knows "next" */
	uint64_t exits;
	unsigned writers; /* lock: who writes to its files from outside while it runs; a start waits for them */
	bool removed;     /* lock */
	bool gone;        /* save_lock: its record is deleted and must not come back */
	bool starting;    /* lock: SHIM_START is under way; its exit is reported after its start */
	bool shim_died;   /* lock: what a dead shim has left is still to be cleared away */
	struct shim_link *
		shim; /* lock; NULL = none that we know of. The link holds a reference of this container until it has no owner */
};

struct engine {
	struct engine_config config;
	pthread_mutex_t lock;          /* containers, execs, n, refs of containers */
	struct container **containers; /* newest first */
	size_t n;
	struct strv reserved_names; /* lock: being created or renamed to */
	struct strv foreign;        /* containers of another storage driver: kept, not shown. Set at start only */
	struct exec **execs;
	size_t n_execs;
	pthread_cond_t exec_changed; /* with lock: an exec's state changed */
	pthread_cond_t idle;         /* lock: background threads count went to 0 */
	unsigned background;
	int pruning_images; /* atomic */
	bool closing;
	struct db *db;
	struct store *store;
	struct images *images;
	struct trust_policy *trust; /* NULL = no image needs a signature; never changes */
	struct net *net;
	struct volumes *volumes;
	struct events *events;
	struct shim_hub *hub;
	struct seccomp_cache *seccomp;
	struct threads *threads;                       /* lent with engine_threads() */
	int data_fd, exec_fd, containers_fd, shims_fd; /* folders: data root, exec root, docker/containers, shim */
	int programs_fd;                               /* a read-only view of where hoy-shim is */
	char *shim_program, *id;                       /* id: of the daemon, for info */
	char *cgroup_parent;
	int64_t started_ns;
};

/* ---- containers.c: the table ---- */
struct container *container_ref(struct container *c);
void container_unref(struct container *c); /* NULL is fine */
static inline void container_unrefp(struct container **c)
{
	container_unref(*c);
}
#define AUTO_CONTAINER CLEANUP(container_unrefp)
/* Name, full id or unique prefix. "No such container: x". A reference is returned. */
int container_find(struct engine *en, const char *ref, struct container **ret, struct err *e);
/* All, newest first; release each and the array with container_set_done. */
struct container_set {
	struct container **v;
	size_t n;
};
void container_set(struct engine *en, struct container_set *ret);
void container_set_done(struct container_set *s);
#define AUTO_CONTAINERS CLEANUP(container_set_done)
struct container *container_new(struct engine *en,
				struct container_record *rec); /* takes the record; one reference; not in the table */
/* name as the client wrote it, a "/" before it or not. Docker's Conflict sentence. */
int container_name_reserve(struct engine *en, const char *name, const char *own_id, struct err *e);
void container_name_release(struct engine *en, const char *name);
void container_insert(struct engine *en, struct container *c);
void container_forget(struct container *c);             /* out of the table; waiters see removed */
int container_save(struct container *c, struct err *e); /* the record as it is now, durably */
/* For what ends with the machine anyway: another hoyd finds it, a power loss may take it back. */
int container_save_lazy(struct container *c, struct err *e);
int container_folder(struct container *c); /* a new descriptor of docker/containers/<id>, or -errno */

/* ---- state, under the container's lock ---- */
void container_lock(struct container *c);
void container_unlock(struct container *c);                       /* tells waiters */
const char *container_status(const struct container_record *rec); /* created, running, paused, exited, ... */
bool container_running(struct container *c);                      /* takes the lock itself */

/* ---- container_nets.c ---- */
void container_nets_settle(struct engine *en, struct container_record *rec);
bool container_names_network(struct engine *en, const struct net_network *nw); /* some container, running or not */
bool container_shares_network(const struct container_record *rec);             /* the host's or another's */
struct net_endpoint *container_endpoint(const struct container_record *rec, const char *network); /* now; NULL */
int container_nets_prepare(struct container *c, struct net_endpoints *ret, struct err *e);        /* op held */
void container_nets_release(struct container *c, struct net_endpoints *eps);
void container_nets_event(struct container *c, const char *action, const struct net_endpoint *ep);
void container_nets_rename(struct container *c);
void container_names_changed(struct container *c, const char *network_id);
void endpoint_forget_state(struct docker_endpoint_settings *s);
void network_event(struct engine *en, const char *action, const struct net_network *nw, const char *container_id);

/* ---- container_files.c ---- */
int container_write_files(struct container *c, const struct net_endpoints *eps,
			  struct err *e); /* hostname, hosts, resolv.conf */
/* Whose files those are: one network, one set of files. */
const char *container_files_id(const struct container_record *rec);

/* ---- container_spec.c: record -> start plan bytes ---- */
struct plan_slots { /* descriptors that the plan's slots name; owned */
	int v[16];
	size_t n;
};
void plan_slots_done(struct plan_slots *s);
int container_plan(struct container *c, struct strb *ret, struct plan_slots *ret_slots, bool *ret_new_netns,
		   struct err *e);
struct oci_resources;
void container_limits(const struct docker_host_config *h, struct oci_resources *ret); /* ret zeroed or a default */
int exec_plan(struct container *c, const struct exec *x, struct strb *ret, struct err *e);

/* ---- shims.c ---- */
/* A living shim, started where there is none. A reference is returned. */
int container_shim(struct container *c, struct shim_link **ret, struct err *e);
struct shim_link *container_shim_now(struct container *c); /* NULL where none is known; a reference */
void container_shim_end(struct container *c);              /* the container is at rest: let its shim go */
/* Its shim does not answer: it is ended, and with it the container, which is reported as of any shim that dies. */
int container_shim_kill(struct container *c, struct err *e);
extern const struct shim_callbacks engine_shim_callbacks;
/* The container's restart policy, to its shim. */
int container_send_policy(struct container *c, struct shim_link *l, struct err *e);
void engine_start_by_policy(struct engine *en);       /* at start, when all else is ready */
int engine_recover(struct engine *en, struct err *e); /* at start: living shims found, dead ones' containers ended */
void engine_shims_move_out(struct engine *en);        /* at the end: shims are no left-over processes of hoyd's unit */
/* A thread for slow work that the engine waits for when it closes. */
int engine_background(struct engine *en, void *(*f)(void *), void *arg);
void engine_background_end(struct engine *en);

/* ---- container_copy.c ---- */
int container_mount_namespace(struct container *c); /* lent by its shim; -1 where nothing runs */
void container_wait_for_writers(struct container *c);

/* ---- container_start.c, container_stop.c ---- */
int container_start_op(struct container *c, struct err *e); /* op held */
void container_after_exit(struct container *c);             /* op held: network, ports, auto-remove */
bool container_removes_itself(struct container *c);         /* it has ended and --rm takes it away now */
int container_ports_reserve(struct container *c, struct net_endpoint *ep, struct net_sockets *ret, struct err *e);
int container_ports_hand_over(struct shim_link *l, struct net_sockets *sockets, struct err *e);
/* op held; ref is what errors call it */
int container_remove_op(struct container *c, const char *ref, const struct container_remove_opts *o, struct err *e);
int signal_parse(const char *s, int *ret, struct err *e); /* "SIGTERM", "TERM", "15" */

/* ---- care_glue.c ---- */
void images_mind_room(struct engine *en); /* something came: makes room in the background where there is too little */

/* ---- util.c ---- */
int engine_time_parse(const char *s, int64_t *ret_ns); /* "1700000000[.5]", RFC 3339, "10m" = that long ago */
int engine_filter_bool(const struct engine_filters *f, const char *key, struct json_obool *ret,
		       struct err *e); /* "true", "1", "false", "0"; anything else is invalid, in dockerd's words */
bool engine_labels_match(const struct strmap *labels, const struct strv *wanted,
			 bool has); /* each "k" or "k=v" is there (has) or none is */
bool id_or_name_matches(const char *pattern,
			const char *value); /* Docker's name filters: a regular expression or a substring */

int check_filters(const struct engine_filters *f, const char *const *known, struct err *e);

/* ---- exec.c ---- */
void exec_started(struct container *c, const char *id, int64_t pid);
void exec_exited(struct engine *en, const char *id, int code);
void exec_free(struct exec *x);
void execs_forget(struct engine *en, const char *container_id);
void execs_forget_unstarted(struct engine *en, const char *container_id);
void execs_ended(struct engine *en, const char *container_id, int code); /* those that still ran */
void container_exec_ids(struct container *c, struct strv *ret);          /* running ones */

void container_event(struct container *c, const char *action, const struct strmap *more);        /* more may be NULL */
void container_event_locked(struct container *c, const char *action, const struct strmap *more); /* its lock is held */
