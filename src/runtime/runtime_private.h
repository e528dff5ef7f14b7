/* runtime_private.h - what the files of this folder share. */
#pragma once

#include "act/act.h"
#include "plan/plan.h"
#include "runtime/runtime.h"

#define OCI_VERSION "1.2.1"
#define DEFAULT_ROOT "/run/hoy-runtime"
enum { CONFIG_MAX = 16 * 1024 * 1024 };

/* ---- command lines ---- */
struct option_row {
	char letter; /* 0 = none */
	const char *name;
	const char *value; /* what it takes, for the help; NULL = a switch */
	const char *help;
};
struct args {
	const char *root;
	bool root_given, debug, systemd_cgroup;
	const struct option_row *rows;
	struct { /* option -> value, in order */
		struct arg_value {
			const struct option_row *row;
			const char *value;
		} * v;
		size_t n;
	} given;
	char **rest; /* positional, NULL-terminated */
	size_t n_rest;
};
const char *arg(const struct args *a, const char *name); /* last value, "" for a given switch, NULL = not given */
bool arg_has(const struct args *a, const char *name);
void arg_all(const struct args *a, const char *name, struct strv *ret);
int arg_i64(const struct args *a, const char *name, int64_t otherwise, int64_t *ret, struct err *e);

/* ---- containers on disk ---- */
/* clang-format off */
#define RUNTIME_STATE_FIELDS(F, T)                                         \
	F(T, STR,  oci_version, "ociVersion",  0,          none)           \
	F(T, STR,  id,          "id",          0,          none)           \
	F(T, INT,  pid,         "pid",         0,          none)           \
	F(T, STR,  status,      "status",      0,          none)           \
	F(T, STR,  bundle,      "bundle",      0,          none)           \
	F(T, STR,  rootfs,      "rootfs",      0,          none)           \
	F(T, STR,  created,     "created",     0,          none)           \
	F(T, MAP,  annotations, "annotations", OMIT_EMPTY, none)           \
	F(T, STR,  owner,       "owner",       0,          none)
JSON_STRUCT(runtime_state, RUNTIME_STATE_FIELDS)
/* What is remembered beyond what `state` shows. */
#define RUNTIME_RECORD_FIELDS(F, T)                                        \
	F(T, OBJ,  shown,       "state",       0,          runtime_state)  \
	F(T, UINT, pid_start,   "pidStart",    0,          none)           \
	F(T, STR,  cgroup,      "cgroup",      OMIT_EMPTY, none)           \
	F(T, BOOL, own_pidns,   "ownPidNs",    OMIT_EMPTY, none)
JSON_STRUCT(runtime_record, RUNTIME_RECORD_FIELDS)
/* clang-format on */

enum status { CREATING, CREATED, RUNNING, PAUSED, STOPPED };
struct container {
	int dir; /* <root>/<id>, or -1 */
	enum status status;
	struct runtime_record record;
};
#define CONTAINER_INIT ((struct container){ .dir = -1 })
#define AUTO_CONTAINER CLEANUP(container_done)
void container_done(struct container *c);
int container_id_check(const char *id, struct err *e);
int container_dir_make(const struct args *a, const char *id, int *ret, struct err *e);          /* must be new */
int container_load(const struct args *a, const char *id, struct container *ret, struct err *e); /* ERR_NOT_FOUND */
int container_save(struct container *c, struct err *e);
int container_remove(const struct args *a, const char *id); /* the folder only */
int container_config(const struct container *c, struct oci_spec *ret, struct err *e);
int container_pidfd(const struct container *c); /* -ESRCH where it is gone or another one */
const char *status_name(enum status s);
int root_open(const struct args *a, bool make, struct err *e);
void environment(const struct args *a, struct plan_env *ret);
uint64_t pid_start_time(pid_t pid); /* 0 = no such process, or a zombie */

/* ---- the terminal of a foreground process ---- */
/* Until the child is gone: copies between our stdio and its terminal (-1 = none), passes signals on. Returns its exit code. */
int foreground(struct act_child *c);
void foreground_prepare(void); /* signals wait from here on: before the process can be heard of */
int console_send(const char *socket_path, int master, struct err *e);
int pid_file_write(const char *path, pid_t pid, struct err *e);
/* stdio and preserved descriptors of the caller become the process's; all others are closed: to be called before anything is
 * opened. free(o->keep_fds). */
int stdio_options(const struct args *a, struct act_opts *o, struct err *e);
int check_console(const struct args *a, bool terminal, bool detach, struct err *e);

/* ---- commands: 0..255 is the exit code, negative an error in e ---- */
/* clang-format off */
#define COMMANDS(F) \
	F(create) F(delete) F(exec) F(features) F(kill) F(list) F(pause) F(ps) F(resume) F(run) F(spec) F(start) F(state) F(update)
/* clang-format on */
#define DECLARE(name) int cmd_##name(const struct args *a, struct err *e);
COMMANDS(DECLARE)
#undef DECLARE
int destroy(const struct args *a, struct container *c, struct err *e); /* a stopped one: cgroup, hooks, folder */
