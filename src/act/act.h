/* act.h - carries out a start plan (plan_format.h): namespaces, cgroups, mounts, identity, exec. Needs libc and the kernel only;
 * built static for the shim and into hoy-runtime. Knows no JSON, no HTTP, no images. Single-threaded callers only (it forks).
 *
 * The story of a start, as the shim tells it:
 *     act_netns_new        a network namespace (held by a descriptor) while the rest is prepared        [optional]
 *     act_create           cgroup made; detached mounts made with the caller's credentials; the child is cloned, joins, mounts,
 *                          pivots, takes its identity and stops right before exec, at the gate
 *     act_start            the gate opens; returns when exec has happened or failed
 *     ...                  the caller owns the child: waits for it, signals it
 *     act_cgroup_*         kill, freeze, statistics, removal
 * Errors carry the failed step and errno in the sentence; exec failures are told apart for the exit codes 126 and 127. */
#pragma once

#include "act/plan_format.h"

enum act_failure {                            /* what a failed start or exec means to a Docker client */
		   ACT_FAILED_SETUP = 1,      /* 125 / runtime error */
		   ACT_FAILED_NOT_FOUND,      /* 127: the program is not there */
		   ACT_FAILED_NOT_EXECUTABLE, /* 126: EACCES, ENOEXEC, a directory */
		   ACT_FAILED_CWD,            /* 126/127 as Docker: chdir to cwd failed */
		   ACT_FAILED_USER,           /* unable to find user/group x */
		   ACT_FAILED_EXEC, /* execve itself failed after the gate (exec format error, missing interpreter): the child has
		                     * written the sentence to its own stderr and exits 255. Docker shows a container that ran. */
};

struct act_opts {
	const int *slots; /* the plan's descriptor slots; stay the caller's */
	size_t n_slots;
	int stdio[3];        /* become 0, 1, 2 of the process unless it has a terminal; -1 = /dev/null */
	const int *keep_fds; /* further descriptors for the process, become 3.. in order (preserve-fds, LISTEN_FDS) */
	size_t n_keep_fds;
	bool cgroup_adopt;    /* the cgroup may exist already (restart); otherwise a non-empty one is refused */
	bool die_with_parent; /* the child gets SIGKILL when the calling thread ends (the shim must not leave orphans) */
	int log_fd;           /* where hooks' stderr goes; -1 = ours */
};
#define ACT_OPTS_INIT ((struct act_opts){ .stdio = { -1, -1, -1 }, .log_fd = -1 })

struct act_child { /* owned; act_child_done closes descriptors, kills nothing */
	pid_t pid; /* in the caller's pid namespace */
	int pidfd;
	int gate;                 /* our end of the child's gate socket; -1 once started */
	int terminal;             /* master side of the pty, or -1 */
	int ns[PLAN_NS_COUNT];    /* descriptors of the child's namespaces (those that differ from ours), or -1 */
	int root_fd;              /* O_PATH of the container's root as seen from inside its mount namespace */
	enum act_failure failure; /* set when act_start/act_exec fails */
};
#define ACT_CHILD_INIT \
	((struct act_child){ .pid = -1, \
			     .pidfd = -1, \
			     .gate = -1, \
			     .terminal = -1, \
			     .ns = { -1, -1, -1, -1, -1, -1, -1, -1 }, \
			     .root_fd = -1 })
void act_child_done(struct act_child *c);

/* For the first line of main() of a program that starts containers: runs itself again from a read-only mount of its own file, so
 * that no container can overwrite it through /proc/PID/exe (CVE-2019-5736). Returns 0 where it is so already, -errno where it
 * cannot be (no CAP_SYS_ADMIN: then it cannot be written either, unless it is our own file). Who spawns us from such a descriptor
 * saves us the second exec. */
int act_exe_readonly(char *const argv[]);
int act_netns_new(int *ret_ns_fd, struct err *e);
/* On failure everything made so far (cgroup, child) is gone again. The plan's and options' memory is needed until act_create returns. */
int act_create(const struct plan *p, const struct act_opts *o, struct act_child *ret, struct err *e);
int act_start(struct act_child *c, struct err *e);
/* ret->failure is set when act_create fails, too. The child of a failed act_start still has to be waited for. */

/* OCI hooks of a stage (numbers of plan_hook.stage). act_create runs 0..2, the child 3; poststart and poststop are the caller's. */
int act_hooks_run(const struct plan *p, unsigned stage, const char *status, pid_t pid, int log_fd, struct err *e);

/* A further process in a running container: namespaces and root by descriptors (as act_child has them), cgroup by path. */
struct act_target {
	const int *ns; /* PLAN_NS_COUNT descriptors, -1 = do not join */
	int init_pidfd;
	pid_t init_pid;
	const char *cgroup; /* plan_cgroup.path; NULL = stay */
};
int act_exec(const struct plan_process *p, const struct act_target *t, const struct act_opts *o, struct act_child *ret,
	     struct err *e);

/* Where cgroups are on this machine; found once, cheap to ask again. */
enum act_cgroup_version { ACT_CGROUP_V1 = 1, ACT_CGROUP_V2 = 2 };
enum act_cgroup_version act_cgroup_version(void);
/* Descriptors of the cgroup trees that act keeps open: a fork that closes everything else and still removes cgroups keeps these. */
#define ACT_CGROUP_FDS_MAX 24
size_t act_cgroup_fds(int ret[ACT_CGROUP_FDS_MAX]);
int act_cgroup_make(const struct plan_cgroup *c, bool adopt, struct err *e); /* limits applied, nobody in it */
int act_cgroup_update(const struct plan_cgroup *c, struct err *e);   /* docker update: only what is set changes */
int act_cgroup_freeze(const char *path, bool frozen, struct err *e); /* returns when the state is reached */
int act_cgroup_kill(const char *path);                               /* every process, until none is left */
int act_cgroup_signal(const char *path, int sig);
int act_cgroup_remove(const char *path); /* 0 also where it is gone */
struct act_pids {
	pid_t *v;
	size_t n;
};
int act_cgroup_pids(const char *path, struct act_pids *ret); /* all processes, below included; free(ret->v) */
/* Of the processes in our own cgroup (the one a service manager has put us into) those that are wanted move to `to`, made when missing.
 * Their number; 0 where we are in nobody's cgroup. Costs as much as a migration does: not for every start of a container. */
int act_cgroup_leave_home(const char *to, bool (*wanted)(void *ctx, pid_t pid), void *ctx);
/* A directory descriptor of the cgroup in the hierarchy of one controller ("memory"; the only one there is on v2); the caller's. */
int act_cgroup_dir(const char *controller, const char *path);
int act_cgroup_oom_fd(const char *path, int *ret_fd); /* poll it readable, then ask act_cgroup_oom_count */
int64_t act_cgroup_oom_count(const char *path); /* processes of it the kernel's OOM killer ended; 0 where unknown */

/* Late references against an already opened root: exposed for tests and fuzzers. */
struct act_identity {
	uint32_t uid, gid;
	uint32_t *groups;
	size_t n_groups;
	char *home;
};
int act_identity_parse(const char *passwd, size_t n_passwd, const char *group, size_t n_group,
		       const struct plan_process *p, struct act_identity *ret, struct err *e);
void act_identity_done(struct act_identity *i);
/* Are the process's user and groups in the files below root? Asked before the process is made; making it asks again. */
int act_identity_check(int root, const struct plan_process *p, struct err *e);
