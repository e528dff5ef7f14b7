/* cgroup_v2.c - one tree; OCI's v1 units become v2 files. Controllers are enabled along the path when the cgroup is made. */
#include "act/cgroup.h"
#include "base/kernel.h"

#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

/* Each on its own: one controller that cannot be enabled (cpu with realtime tasks about) must not cost the others. */
static void enable_controllers(int dir)
{
	AUTO_FREE char *all = NULL;
	AUTO_STRV struct strv names = { 0 };
	AUTO_STRB struct strb together = STRB_INIT;

	if (file_read(dir, "cgroup.controllers", 4096, &all, NULL) < 0)
		return;
	strv_split(&names, all, " \n");
	for (size_t i = 0; i < names.n; i++)
		strb_addf(&together, "%s+%s", i ? " " : "", names.v[i]);
	if (names.n == 0 || file_put(dir, "cgroup.subtree_control", strb_str(&together)) == 0)
		return;
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *one = xasprintf("+%s", names.v[i]);

		(void)file_put(dir, "cgroup.subtree_control", one);
	}
}

static int v2_make(const struct cg_host *h, const char *path, bool adopt, struct err *e)
{
	AUTO_STRV struct strv parts = { 0 };
	AUTO_FD int dir = openat(h->tree[0].fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool made = false;

	strv_split(&parts, path, "/");
	for (size_t i = 0; i < parts.n && dir >= 0; i++) {
		int next;

		enable_controllers(dir);
		made = mkdirat(dir, parts.v[i], 0755) == 0;
		if (!made && errno != EEXIST)
			return err_sys(e, -errno, "making cgroup %s", path);
		next = openat(dir, parts.v[i], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return err_sys(e, -errno, "opening cgroup %s", path);
		(void)close(dir);
		dir = next;
	}
	if (dir < 0)
		return err_sys(e, -errno, "opening %s", h->tree[0].mount);
	if (!made && !adopt) {
		struct act_pids pids = { 0 };
		int64_t frozen = 0;

		(void)cg_walk_pids(dir, &pids);
		free(pids.v);
		if (pids.n > 0)
			return err_set(e, ERR_CONFLICT, "container's cgroup is not empty: %zu process(es) found in %s",
				       pids.n, path);
		if (cg_read_key(dir, "cgroup.freeze", NULL, &frozen) == 0 && frozen)
			return err_set(e, ERR_CONFLICT, "container's cgroup unexpectedly frozen: %s", path);
	}
	return 0;
}

static int put(int dir, const char *file, const char *text, struct err *e)
{
	int r = file_put(dir, file, text);
	const char *dot = strchr(file, '.');

	if (r == -ENOENT)
		return err_set(
			e, ERR_UNAVAILABLE,
			"cgroup file %s does not exist: controller \"%.*s\" is not available, but a limit is set", file,
			(int)(dot ? dot - file : 0), file);
	return r < 0 ? err_sys(e, r, "failed to write \"%s\" to cgroup file %s", text, file) : 0;
}

static int put_limit(int dir, const char *file, int64_t v, struct err *e)
{
	char text[24];

	if (v < 0)
		return put(dir, file, "max", e);
	(void)snprintf(text, sizeof text, "%lld", (long long)v);
	return put(dir, file, text, e);
}

static int apply_memory(int dir, const struct plan_cgroup *c, struct err *e)
{
	int64_t usage = 0;
	int r = 0;

	if (c->memory_check_before_update && c->memory > 0 && cg_read_key(dir, "memory.current", NULL, &usage) == 0 &&
	    usage > c->memory)
		return err_set(e, ERR_SYSTEM, "rejecting memory limit %lld <= usage %lld", (long long)c->memory,
			       (long long)usage);
	/* v1 counts memory and swap together, v2 swap alone. */
	if (c->memory_swap == -1 || (c->memory == -1 && c->memory_swap == 0)) {
		r = file_put(dir, "memory.swap.max", "max"); /* absent without swap accounting: unlimited it is */
		if (r < 0 && r != -ENOENT)
			return err_sys(e, r, "failed to write \"max\" to cgroup file memory.swap.max");
	} else if (c->memory_swap > 0) {
		if (c->memory <= 0)
			return err_set(e, ERR_INVALID, "unable to set swap limit without memory limit");
		if (c->memory_swap < c->memory)
			return err_set(e, ERR_INVALID, "memory+swap limit should be >= memory limit");
		r = put_limit(dir, "memory.swap.max", c->memory_swap - c->memory, e);
	}
	if (r < 0 && r != -ENOENT)
		return r;
	r = c->memory ? put_limit(dir, "memory.max", c->memory, e) : 0;
	if (r == 0 && c->memory_reservation)
		r = put_limit(dir, "memory.low", c->memory_reservation, e);
	return r;
}

static int apply_cpu(int dir, const struct plan_cgroup *c, struct err *e)
{
	char text[64];
	int64_t shares = (int64_t)MIN(c->cpu_shares, (uint64_t)262144);
	int r = 0;

	if (c->cpu_idle == 0 || c->cpu_idle == 1)
		r = c->cpu_idle || faccessat(dir, "cpu.idle", F_OK, 0) == 0 ? put_limit(dir, "cpu.idle", c->cpu_idle, e)
									    : 0;
	if (r == 0 && shares && c->cpu_idle != 1) /* 2..262144 -> 1..10000 */
		r = put_limit(dir, "cpu.weight", 1 + ((MAX(shares, 2) - 2) * 9999) / 262142, e);
	if (r == 0 && (c->cpu_quota || c->cpu_period)) {
		if (c->cpu_quota > 0)
			(void)snprintf(text, sizeof text, "%lld", (long long)c->cpu_quota);
		else
			(void)snprintf(text, sizeof text, "max");
		if (c->cpu_period)
			(void)snprintf(text + strlen(text), sizeof text - strlen(text), " %llu",
				       (unsigned long long)c->cpu_period);
		r = put(dir, "cpu.max", text, e);
	}
	if (r == 0 && c->cpu_burst)
		r = put_limit(dir, "cpu.max.burst", c->cpu_burst, e);
	if (r == 0 && !str_empty(c->cpus))
		r = put(dir, "cpuset.cpus", c->cpus, e);
	if (r == 0 && !str_empty(c->mems))
		r = put(dir, "cpuset.mems", c->mems, e);
	return r;
}

static int apply_io(int dir, const struct plan_cgroup *c, struct err *e)
{
	static const char *const keys[] = { "rbps", "wbps", "riops", "wiops" };
	char text[96];
	int r = 0;

	if (c->blkio_weight) {
		r = cg_put_i64(dir, "io.bfq.weight", c->blkio_weight);
		if (r == -ENOENT) {
			(void)snprintf(text, sizeof text, "default %u",
				       1 + ((MAX(c->blkio_weight, 10) - 10) * 9999) / 990);
			r = put(dir, "io.weight", text, e);
		}
		if (r < 0)
			return r == -ENOENT || !e || e->kind != ERR_NONE ? r : err_sys(e, r, "setting io.bfq.weight");
	}
	for (size_t i = 0; r == 0 && i < c->n_weight_devices; i++) {
		(void)snprintf(text, sizeof text, "%u:%u %u", c->weight_devices[i].major, c->weight_devices[i].minor,
			       c->weight_devices[i].weight);
		r = put(dir, "io.bfq.weight", text, e);
	}
	for (size_t k = 0; k < ARRAY_LEN(keys); k++)
		for (size_t i = 0; r == 0 && i < c->n_throttle[k]; i++) {
			const struct plan_throttle *t = &c->throttle[k][i];

			if (t->rate)
				(void)snprintf(text, sizeof text, "%u:%u %s=%llu", t->major, t->minor, keys[k],
					       (unsigned long long)t->rate);
			else
				(void)snprintf(text, sizeof text, "%u:%u %s=max", t->major, t->minor, keys[k]);
			r = put(dir, "io.max", text, e);
		}
	return r;
}

static int v2_apply(const struct cg_host *h, const struct plan_cgroup *c, struct err *e)
{
	AUTO_FD int dir = cg_open(&h->tree[0], c->path);
	int r = 0;

	if (dir < 0)
		return err_sys(e, dir, "opening cgroup %s", c->path);
	if (c->n_devices)
		r = cg_devices_v2(dir, c->devices, c->n_devices, e);
	if (r == 0)
		r = apply_memory(dir, c, e);
	if (r == 0)
		r = apply_cpu(dir, c, e);
	if (r == 0 && c->pids)
		r = put_limit(dir, "pids.max", c->pids, e);
	if (r == 0)
		r = apply_io(dir, c, e);
	for (size_t i = 0; r == 0 && i < c->n_hugetlb; i++) {
		AUTO_FREE char *file = xasprintf("hugetlb.%s.max", c->hugetlb[i].page_size);

		r = strchr(file, '/') ? err_set(e, ERR_INVALID, "invalid hugetlb page size")
				      : put_limit(dir, file, (int64_t)c->hugetlb[i].limit, e);
	}
	for (size_t i = 0; r == 0 && i < c->n_unified; i++)
		r = strchr(c->unified[i].k, '/')
			    ? err_set(e, ERR_INVALID, "unified resource \"%s\" must be a file name (no slashes)",
				      c->unified[i].k)
			    : put(dir, c->unified[i].k, c->unified[i].v, e);
	return r;
}

static int v2_join(const struct cg_host *h, const char *path, pid_t pid, struct err *e)
{
	AUTO_FD int dir = cg_open(&h->tree[0], path);
	int r = dir < 0 ? dir : cg_put_i64(dir, "cgroup.procs", pid);

	return r < 0 ? err_sys(e, r, "joining cgroup %s", path) : 0;
}

int cg_v2_join_beside(pid_t beside, pid_t pid)
{
	AUTO_FREE char *text = NULL;
	char file[40];
	const char *path;
	int r;

	(void)snprintf(file, sizeof file, "/proc/%d/cgroup", (int)beside);
	r = file_read(AT_FDCWD, file, 65536, &text, NULL);
	if (r < 0)
		return r;
	path = strstr(text, "0::/");
	if (!path || (path > text && path[-1] != '\n'))
		return -ENOENT;
	text[path - text + (long)strcspn(path, "\n")] = 0;
	return v2_join(cg_host(), path + 3, pid, NULL);
}

static int v2_freeze(const struct cg_host *h, const char *path, bool frozen, struct err *e)
{
	AUTO_FD int dir = cg_open(&h->tree[0], path), events = -1;
	int64_t until = time_mono_ns() + 10 * (int64_t)1000000000, is = -1;
	int r = dir < 0 ? dir : 0;

	if (r == 0)
		events = openat(dir, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (r == 0)
		r = events < 0 ? -errno : cg_put_i64(dir, "cgroup.freeze", frozen);
	while (r == 0) {
		struct pollfd p = { .fd = events, .events = POLLPRI };
		char text[256] = "";
		const char *at;

		if (pread(events, text, sizeof text - 1, 0) < 0)
			r = -errno;
		at = strstr(text, "frozen ");
		is = at ? at[7] - '0' : -1;
		if (r < 0 || is == frozen)
			break;
		if (time_mono_ns() > until)
			r = -ETIMEDOUT;
		else
			(void)poll(&p, 1, 10);
	}
	if (r < 0 && frozen && dir >= 0)
		(void)cg_put_i64(dir, "cgroup.freeze", 0);
	return r < 0 ? err_sys(e, r, "unable to %s cgroup %s", frozen ? "freeze" : "thaw", path) : 0;
}

static int v2_oom_fd(const struct cg_host *h, const char *path, int *ret)
{
	AUTO_FREE char *file = xasprintf("%s/%s/memory.events", h->tree[0].mount, cg_rel(path));
	AUTO_FD int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0 || inotify_add_watch(fd, file, IN_MODIFY) < 0)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

static int64_t v2_oom_count(const struct cg_host *h, const char *path)
{
	AUTO_FD int dir = cg_open(&h->tree[0], path);
	int64_t n = 0;

	return dir >= 0 && cg_read_key(dir, "memory.events", "oom_kill", &n) == 0 ? n : 0;
}

static const struct cg_tree *v2_pids_tree(const struct cg_host *h)
{
	return h->n ? &h->tree[0] : NULL;
}

static int v2_kill(const struct cg_host *h, const char *path)
{
	AUTO_FD int dir = cg_open(&h->tree[0], path);
	int r = dir < 0 ? dir : file_put(dir, "cgroup.kill", "1");

	return r == -ENOENT && dir >= 0 ? -EOPNOTSUPP : r; /* the file is there since 5.14 */
}

const struct cg_ops cg_v2 = {
	.make = v2_make,
	.apply = v2_apply,
	.join = v2_join,
	.freeze = v2_freeze,
	.oom_fd = v2_oom_fd,
	.oom_count = v2_oom_count,
	.pids_tree = v2_pids_tree,
	.kill = v2_kill,
};
