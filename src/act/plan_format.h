/* plan_format.h - the start plan: what a container's process is to be, as plain values. Made by plan/ (which checks and
 * refuses), kept on disk by the shim, carried out by act/. This header is private to rows 3 and 4 and to the daemon.
 *
 * A plan is flat bytes on the wire: plan_encode() writes, plan_decode() makes a struct that owns all it
 * points to. The format is a version, then fields in the order of the tables below; a reader refuses a newer major version.
 * A plan never holds descriptor numbers: places where a descriptor is needed name a *slot*, filled by whoever acts. */
#pragma once

#include "base/base.h"

#define PLAN_VERSION 1
#define PLAN_BYTES_MAX (4 * 1024 * 1024)

/* --- root file system and mounts: a list, in order --- */
enum plan_mount_kind {
	PLAN_MOUNT_BIND = 1,         /* source is a path on the host (or a slot), made a detached clone by the actor */
	PLAN_MOUNT_FS = 2,           /* a new file system: fstype, source, data */
	PLAN_MOUNT_OVERLAY = 3,      /* lowers, upper, work: paths on the host (root entry only) */
	PLAN_MOUNT_FUSE_OVERLAY = 5, /* as OVERLAY, made by the program source; "merged" lies beside upper */
	PLAN_MOUNT_CGROUP = 4,       /* the container's view of its cgroups, v1 (tmpfs of binds) or v2 */
};
struct plan_mount {
	uint32_t kind;
	uint32_t flags; /* MS_* of mount(2), as the OCI options say: MS_RDONLY, MS_NOSUID, ... MS_REC with BIND */
	uint32_t clear; /* MS_* to clear explicitly (options "dev", "suid", "exec", "rw") */
	uint32_t rec_set, rec_clear; /* MOUNT_ATTR_* applied recursively (options rro, rnosuid, ...) */
	uint32_t propagation;        /* MS_PRIVATE/MS_SLAVE/MS_SHARED/MS_UNBINDABLE | MS_REC, or 0 = rprivate */
	uint32_t extra;              /* enum plan_mount_extra */
	int32_t slot;                /* descriptor slot with a detached mount, or -1: the actor makes it */
	const char *target;          /* absolute inside the container; "/" is the root entry and comes first */
	const char *source, *fstype, *data;
	const char *const *lowers;            /* NULL-terminated, top first; may be relative to lower_dir */
	const char *lower_dir, *upper, *work; /* upper and work may be relative to lower_dir too */
};
enum plan_mount_extra {
	PLAN_MOUNT_TMPCOPYUP = 1, /* copy what the image has at target into the new tmpfs */
	PLAN_MOUNT_VOLATILE = 2,
	PLAN_MOUNT_OPTIONAL = 4,        /* ENOENT/EPERM of the source is not an error (mqueue in odd kernels) */
	PLAN_MOUNT_CREATE_FILE = 8,     /* a missing target is made as a file although the source cannot be asked */
	PLAN_MOUNT_IDMAP = 16,          /* idmapped with the container's user namespace */
	PLAN_MOUNT_LOWERS_IN_SLOT = 64, /* OVERLAY: slot is a directory; lowers are relative to it, cloned from there */
	PLAN_MOUNT_VOLUME_COPYUP = 32,  /* a bound directory that is empty gets what the image has at target */
};

struct plan_device { /* a node in /dev: made by mknod, or bound from the host in a user namespace */
	const char *path;
	uint32_t type; /* S_IFCHR, S_IFBLK, S_IFIFO */
	uint32_t major, minor, mode, uid, gid;
};
struct plan_device_rule {
	uint32_t allow;
	uint32_t type;        /* 'a', 'b', 'c' */
	int64_t major, minor; /* -1 = any */
	uint32_t access;      /* 1 r, 2 w, 4 m */
};
struct plan_idmap {
	uint32_t inside, outside, count;
};
struct plan_rlimit {
	uint32_t resource; /* RLIMIT_* */
	uint64_t soft, hard;
};
struct plan_kv {
	const char *k, *v;
};
struct plan_throttle {
	uint32_t major, minor;
	uint64_t rate;
};
struct plan_hugetlb {
	const char *page_size;
	uint64_t limit;
};
struct plan_weight_device {
	uint32_t major, minor, weight, leaf_weight;
};

enum plan_ns { /* order of joining; bit i of a mask is namespace i */
	       PLAN_NS_USER,
	       PLAN_NS_PID,
	       PLAN_NS_NET,
	       PLAN_NS_IPC,
	       PLAN_NS_MNT,
	       PLAN_NS_UTS,
	       PLAN_NS_CGROUP,
	       PLAN_NS_TIME,
	       PLAN_NS_COUNT,
};
struct plan_ns_choice {
	uint32_t mode; /* 0 = the actor's own, 1 = new, 2 = join path, 3 = join descriptor slot */
	int32_t slot;
	const char *path;
};

/* --- cgroups: one logical path; limits in OCI's (v1) units, converted for v2 by the actor --- */
struct plan_cgroup {
	const char *path; /* "/docker/<id>": below each v1 hierarchy, or the v2 mount; NULL = none made */
	int64_t memory, memory_swap, memory_reservation, kernel_memory_tcp; /* bytes; -1 = unlimited, 0 = not set */
	int64_t swappiness;                                                 /* -1 = not set */
	int64_t oom_disable, use_hierarchy, memory_check_before_update;     /* 0/1 */
	uint64_t cpu_shares, cpu_period, cpu_rt_period;
	int64_t cpu_quota, cpu_rt_runtime, cpu_burst; /* 0 = not set */
	int64_t cpu_idle;                             /* -1 not set */
	const char *cpus, *mems;
	int64_t pids; /* 0 = not set, -1 = max */
	uint32_t blkio_weight, blkio_leaf_weight;
	const struct plan_weight_device *weight_devices;
	size_t n_weight_devices;
	const struct plan_throttle *throttle[4]; /* read bps, write bps, read iops, write iops */
	size_t n_throttle[4];
	const struct plan_hugetlb *hugetlb;
	size_t n_hugetlb;
	const struct plan_device_rule *devices; /* in order; default deny is the plan's first rule */
	size_t n_devices;
	const struct plan_kv *unified; /* v2 files written verbatim; on v1 an error made by plan/ */
	size_t n_unified;
	uint32_t net_classid;
	const struct plan_kv *net_prio;
	size_t n_net_prio;
};

/* --- the process; also the whole plan of an exec --- */
struct plan_process {
	const char *const *args; /* NULL-terminated; args[0] may be looked up on PATH (late) */
	const char *const *env;
	const char *cwd;
	const char *
		user; /* late reference "name", "name:group", "uid:group", resolved after the pivot; NULL = uid/gid below */
	uint32_t uid, gid;
	const uint32_t *groups; /* additional, numeric */
	size_t n_groups;
	const char *const *group_names; /* additional, late references */
	uint32_t late;                  /* enum plan_late */
	int64_t umask;                  /* -1 = leave 022 */
	uint32_t terminal;
	uint32_t rows, cols; /* 0 = not set */
	uint64_t caps[5];    /* bounding, effective, permitted, inheritable, ambient */
	uint32_t no_new_privs;
	int64_t oom_score_adj; /* INT64_MIN = not set */
	const struct plan_rlimit *rlimits;
	size_t n_rlimits;
	const void *seccomp;          /* compiled sock_filter array, or n_seccomp = 0 */
	size_t n_seccomp;             /* bytes */
	uint32_t seccomp_flags;       /* SECCOMP_FILTER_FLAG_* */
	const char *seccomp_listener; /* path of a unix socket, with metadata */
	const char *seccomp_metadata;
	const char *apparmor, *selinux;
	int64_t io_class, io_priority; /* class -1 = not set */
	int64_t sched_policy;          /* -1 = not set */
	int64_t sched_nice, sched_priority;
	uint64_t sched_flags, sched_runtime, sched_deadline, sched_period;
	int64_t personality; /* -1 = not set */
	const char *exec_cpu_affinity_initial, *exec_cpu_affinity_final;
};
enum plan_late {
	PLAN_LATE_HOME = 1,     /* add HOME= of the user's passwd row ("/" where none) unless env has one */
	PLAN_LATE_PATH = 2,     /* args[0] without slash is searched on env's PATH */
	PLAN_LATE_CWD_MAKE = 4, /* a missing cwd is made, root-owned 0755 (Docker does so) */
};

struct plan_hook {
	uint32_t stage; /* 0 prestart 1 createRuntime 2 createContainer 3 startContainer 4 poststart 5 poststop */
	const char *path;
	const char *const *args, *const *env;
	int64_t timeout_s; /* 0 = none */
};

struct plan {
	const char *id;
	const char *hostname, *domainname;
	struct plan_ns_choice ns[PLAN_NS_COUNT];
	const struct plan_idmap *uid_map, *gid_map;
	size_t n_uid_map, n_gid_map;
	int64_t time_offsets[4]; /* monotonic s, ns, boottime s, ns */
	const struct plan_mount *mounts;
	size_t n_mounts;
	uint32_t root_readonly, root_propagation, no_pivot, no_new_keyring;
	const struct plan_device *devices;
	size_t n_devices;
	const char *const *masked, *const *readonly;
	const struct plan_kv *sysctl; /* k is a path below /proc/sys: "net/ipv4/conf/eth0.100/forwarding" */
	size_t n_sysctl;
	struct plan_cgroup cgroup;
	struct plan_process process;
	const struct plan_hook *hooks;
	size_t n_hooks;
	const struct plan_kv *annotations;
	size_t n_annotations;
	const char *bundle; /* for the state given to hooks */
	uint32_t init;      /* --init: hoy-init is bound at /sbin/docker-init and put before args */
};

/* Both are exact inverses. Decoding is bounded and fuzzed: any bytes give a plan or -EBADMSG, and never more than
 * n * 9 bytes of memory. The decoded plan lives in one allocation, released by plan_free. */
void plan_encode(const struct plan *p, struct strb *out);
int plan_decode(const void *bytes, size_t n, struct plan **ret);
void plan_free(struct plan *p);
/* The same for the process of an exec. */
void plan_process_encode(const struct plan_process *p, struct strb *out);
int plan_process_decode(const void *bytes, size_t n, struct plan_process **ret);
void plan_process_free(struct plan_process *p);
