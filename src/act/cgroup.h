/* cgroup.h - private to act: what the two cgroup versions have in common and how they are told apart. */
#pragma once

#include "act/act.h"

/* A v1 hierarchy, or the one v2 tree. */
struct cg_tree {
	int fd;            /* directory of the mount; never closed: found once per process */
	char *mount;       /* where it is mounted, "/sys/fs/cgroup/memory" */
	char *controllers; /* ",cpu,cpuacct," or ",name=systemd," ; empty on v2 */
};
struct cg_host {
	enum act_cgroup_version version;
	struct cg_tree tree[24];
	size_t n;
};
const struct cg_host *cg_host(void);
void cg_host_force(const struct cg_host *h); /* tests: another host than the one found; NULL = the machine's own */

const char *cg_rel(const char *path);                   /* without leading slashes */
int cg_path_check(const char *path, struct err *e);     /* no "..", not empty */
int cg_open(const struct cg_tree *t, const char *path); /* O_PATH directory, or -errno */
int cg_put_i64(int dir, const char *file, int64_t v);
int cg_read_key(int dir, const char *file, const char *key, int64_t *ret); /* "key N" lines; key NULL = whole file */
int cg_walk_pids(int dir, struct act_pids *ret);                           /* cgroup.procs of dir and all below */
int cg_rmdir(int parent, const char *rel); /* with its children; busy ones are tried again */

struct cg_ops {
	int (*make)(const struct cg_host *h, const char *path, bool adopt, struct err *e);
	int (*apply)(const struct cg_host *h, const struct plan_cgroup *c, struct err *e);
	int (*join)(const struct cg_host *h, const char *path, pid_t pid, struct err *e);
	int (*freeze)(const struct cg_host *h, const char *path, bool frozen, struct err *e);
	int (*oom_fd)(const struct cg_host *h, const char *path, int *ret);
	int64_t (*oom_count)(const struct cg_host *h, const char *path);
	const struct cg_tree *(*pids_tree)(const struct cg_host *h);
	int (*kill)(const struct cg_host *h, const char *path); /* NULL: signals are sent one by one */
};
extern const struct cg_ops cg_v1, cg_v2;

/* v2 lets nobody into a cgroup that has given its controllers to children (systemd inside): where init is, there we go. */
int cg_v2_join_beside(pid_t beside, pid_t pid);
int cg_join(const char *path, pid_t pid, struct err *e);
bool cg_tree_has(const struct cg_tree *t, const char *controller);
const struct cg_tree *cg_find(const struct cg_host *h, const char *controller);

/* cgroup_devices.c */
int cg_devices_v1(int dir, const struct plan_device_rule *rules, size_t n, struct err *e);
int cg_devices_v2(int dir, const struct plan_device_rule *rules, size_t n, struct err *e);
