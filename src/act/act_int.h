/* act_int.h - private to act: what its files say to each other. */
#pragma once

#include "act/act.h"

/* ---- gate.c: the socket between the caller and the child it forked. Typed little packets, one descriptor at most. ---- */
enum gate_kind {
	GATE_MAPS = 1, /* caller -> child: id maps are written */
	GATE_JOINED,   /* caller -> child: you are in your cgroups */
	GATE_HOOKED,   /* caller -> child: createRuntime hooks are done */
	GATE_GO,       /* caller -> child: exec */
	GATE_PID,      /* child -> caller: the real child's number (a helper made it) */
	GATE_HOOK,     /* child -> caller: run the createRuntime hooks now */
	GATE_TERMINAL, /* child -> caller: [master] */
	GATE_READY,    /* child -> caller: at the gate */
	GATE_SECCOMP,  /* child -> caller: [notify descriptor] */
	GATE_FAILED,   /* child -> caller: the error */
};
struct gate_msg {
	uint32_t kind, failure, err_kind;
	int32_t sys, pid;
	char text[1024];
};
int gate_send(int gate, const struct gate_msg *m, int fd);
int gate_recv(int gate, struct gate_msg *ret, int *ret_fd); /* 1, 0 at end of file, -errno */
int gate_tell(int gate, enum gate_kind kind);
int gate_say(int gate, const struct gate_msg *m); /* the child's, with write(2) */
int gate_wait(int gate, enum gate_kind kind, struct err *e);

/* ---- mount_make.c: in the caller: detached mounts with its credentials ---- */
#define NO_MOUNT (-1)
struct made_mounts {
	int *fd;    /* per plan mount: a detached mount, or NO_MOUNT: made by the child, or skipped */
	bool *lent; /* fd is a slot of the caller */
	size_t n;
	int *cgroup; /* v1: the container's cgroup per tree of cg_host() */
	size_t n_cgroup;
};
int mounts_make(const struct plan *p, const struct act_opts *o, int userns_fd, struct made_mounts *ret, struct err *e);
void mounts_done(struct made_mounts *m);
int mount_fuse_overlay(const struct plan_mount *m, struct err *e); /* mount_fuse.c */
int mount_fs_new(const struct plan_mount *m, struct err *e);       /* detached new file system, or -errno */
bool mount_made_by_child(const struct plan_mount *m);
uint64_t mount_attrs(uint32_t ms_flags); /* MS_* -> MOUNT_ATTR_* */
extern bool mount_old_kernel;            /* tests: behave as on a kernel without lowerdir+ */

/* ---- mounts.c: in the child ---- */
struct child_mounts {
	int root;     /* O_PATH of the new root */
	int *late_ro; /* descriptors of mounts that become read-only at the end */
	size_t n_late_ro;
	bool devs; /* /dev is ours to fill */
};
struct job;
int mounts_attach(struct job *j, struct err *e);
int mounts_seal(struct job *j, struct err *e); /* pivot, read-only flags, root propagation */
int mount_onto(int mount, int target);
/* The target inside root, made when missing. Symlinks of the image are followed inside root only. */
int target_open(int root, const char *path, bool dir, struct err *e);
int root_mkdir(int root, const char *path);              /* mkdir -p inside root; O_PATH descriptor of it */
int copy_up_tmpfs(int target, int mount, struct err *e); /* copy_up.c: what the image has there, into the new mount */
int copy_up_volume(int target, int mount, bool readonly, struct err *e); /* only where it is empty */
int devices_make(struct job *j, struct err *e);
int console_bind(struct job *j, int peer, struct err *e);
int mask_paths(struct job *j, struct err *e);

/* ---- the child's view of its work ---- */
struct job {
	const struct plan *p; /* NULL in an exec */
	const struct plan_process *proc;
	const struct act_opts *o;
	struct made_mounts *made;
	int gate;
	bool userns;      /* in another user namespace than the caller */
	bool wait_joined; /* GATE_JOINED is still to come */
	bool rootless;    /* the caller could not look at a child that hides */
	struct child_mounts m;
	int lsm_fd, null_fd;
	struct act_identity id;
	char **env;
	char *program; /* what to exec */
	enum act_failure failure;
};
int job_joined(struct job *j, struct err *e);

/* ---- process.c ---- */
void process_hide(const struct job *j);
int process_early(struct job *j, struct err *e);                  /* while the host's /proc is there */
int process_terminal(struct job *j, bool console, struct err *e); /* console: bind it (before the pivot) */
int process_stdio(struct job *j, struct err *e);
int process_become(struct job *j, struct err *e); /* identity, limits, capabilities; then only exec is left */
int process_affinity(pid_t pid, const char *list, struct err *e);
int process_rlimits(const struct plan_process *p, pid_t pid, struct err *e);
void process_exec(struct job *j, struct err *e) __attribute__((noreturn));

/* ---- identity.c, caps.c, seccomp.c, hooks.c ---- */
int identity_resolve(int root, const struct plan_process *p, struct act_identity *ret, struct err *e);
int identity_take(const struct act_identity *i, struct err *e);
int caps_bound(const uint64_t caps[5], struct err *e);
int caps_set(const uint64_t caps[5], struct err *e);
int seccomp_install(const struct plan_process *p, int *ret_listener, struct err *e);
int seccomp_notify(const struct plan *p, const struct plan_process *proc, pid_t pid, int fd, struct err *e);
enum hook_stage {
	HOOK_PRESTART,
	HOOK_CREATE_RUNTIME,
	HOOK_CREATE_CONTAINER,
	HOOK_START_CONTAINER,
	HOOK_POSTSTART,
	HOOK_POSTSTOP
};
bool hooks_any(const struct plan *p, enum hook_stage stage);
void state_json(struct strb *out, const struct plan *p, const char *status, pid_t pid);
void json_string(struct strb *out, const char *s);

/* ---- spawn.c ---- */
extern bool spawn_old_kernel; /* tests: as if clone3 were refused */
extern const int ns_flag[PLAN_NS_COUNT];
extern const char *const ns_name[PLAN_NS_COUNT];
/* fork with namespaces: the child's number, 0 in the child, -errno. cgroup: descriptor to be born in, or -1. */
pid_t spawn(uint64_t flags, int cgroup, int *ret_pidfd);
int spawn_in_pidns(int pidns, uint64_t flags, int cgroup, int *ret_pidfd); /* child lands in that pid namespace */
int userns_write_maps(const struct plan *p, pid_t pid, struct err *e);
int loopback_up(void);
