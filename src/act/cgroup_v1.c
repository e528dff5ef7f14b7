/* cgroup_v1.c - one directory per hierarchy. Limits are written before anybody is inside; joins are done back to back, because the
 * first costs an RCU wait and those that follow at once do not. */
#include "act/cgroup.h"
#include "base/kernel.h"

#include <sys/eventfd.h>
#include <sys/stat.h>

static const char *const cpuset_files[] = { "cpuset.cpus", "cpuset.mems" };

static bool cpuset_filled(int dir)
{
	for (size_t k = 0; k < ARRAY_LEN(cpuset_files); k++) {
		AUTO_FREE char *text = NULL;

		if (file_read(dir, cpuset_files[k], 65536, &text, NULL) < 0 || text[strspn(text, "\n")] == 0)
			return false;
	}
	return true;
}

/* cpuset refuses members while cpus and mems are empty, and children are born empty: copied down along the path. Each write makes the
 * kernel rebuild its scheduling domains, so a parent that was filled this way hands its own down to the children that follow. */
static int cpuset_inherit(int top, const char *rel)
{
	AUTO_FD int self = openat(top, rel, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_FD int parent = -1;
	AUTO_STRV struct strv parts = { 0 };

	if (self >= 0 && cpuset_filled(self))
		return 0;
	parent = openat(top, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return -errno;
	strv_split(&parts, rel, "/");
	for (size_t i = 0; i < parts.n; i++) {
		int dir = openat(parent, parts.v[i], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		bool filled = false;

		if (dir < 0)
			return -errno;
		for (size_t k = 0; k < ARRAY_LEN(cpuset_files); k++) {
			AUTO_FREE char *mine = NULL, *theirs = NULL;
			int r = file_read(dir, cpuset_files[k], 65536, &mine, NULL);

			if (r == 0 && mine[strspn(mine, "\n")] == 0)
				r = file_read(parent, cpuset_files[k], 65536, &theirs, NULL);
			if (r == 0 && theirs)
				r = file_put(dir, cpuset_files[k], theirs);
			filled |= theirs != NULL;
			if (r < 0) {
				(void)close(dir);
				return r;
			}
		}
		if (filled && i + 1 < parts.n)
			(void)file_put(dir, "cgroup.clone_children", "1");
		(void)close(parent);
		parent = dir;
	}
	return 0;
}

static int refuse_used(int dir, const char *path, struct err *e)
{
	struct act_pids pids = { 0 };
	AUTO_FREE char *state = NULL;
	size_t n;

	(void)cg_walk_pids(dir, &pids);
	n = pids.n;
	free(pids.v);
	if (n > 0)
		return err_set(e, ERR_CONFLICT, "container's cgroup is not empty: %zu process(es) found in %s", n,
			       path);
	if (file_read(dir, "freezer.state", 64, &state, NULL) == 0 && !str_after(state, "THAWED"))
		return err_set(e, ERR_CONFLICT, "container's cgroup unexpectedly frozen: %s", path);
	return 0;
}

static int v1_make(const struct cg_host *h, const char *path, bool adopt, struct err *e)
{
	const char *rel = cg_rel(path);
	size_t i, made = 0;
	int r = 0;

	for (i = 0; i < h->n && r == 0; i++) {
		const struct cg_tree *t = &h->tree[i];

		if (mkdirat(t->fd, rel, 0755) == 0) {
			made |= (size_t)1 << i;
		} else if (errno == EEXIST) {
			AUTO_FD int dir = adopt ? -1 : cg_open(t, path);

			if (dir >= 0)
				r = refuse_used(dir, path, e);
		} else if (errno == ENOENT) {
			r = dir_make(t->fd, rel, 0755);
			made |= (size_t)1 << i;
		} else {
			r = -errno;
		}
		if (r == 0 && cg_tree_has(t, "cpuset"))
			r = cpuset_inherit(t->fd, rel);
		if (r < 0 && (!e || e->kind == ERR_NONE))
			r = err_sys(e, r, "making cgroup %s in %s", path, t->mount);
	}
	for (size_t k = 0; r < 0 && k < i; k++)
		if (made & (size_t)1 << k)
			(void)cg_rmdir(h->tree[k].fd, rel);
	return r;
}

/* ---- limits ---- */
struct limits { /* the directory of one controller, opened when it is first needed */
	const struct cg_host *h;
	const struct plan_cgroup *c;
	const char *controller;
	int dir;
};

static int controller_dir(struct limits *l, const char *controller, struct err *e)
{
	const struct cg_tree *t;

	if (streq(l->controller, controller))
		return 0;
	if (l->dir >= 0)
		(void)close(l->dir);
	l->dir = -1;
	l->controller = NULL;
	t = cg_find(l->h, controller);
	if (!t)
		return err_set(e, ERR_UNAVAILABLE,
			       "cgroup controller \"%s\" is not available on this host, but a limit is set",
			       controller);
	l->dir = cg_open(t, l->c->path);
	if (l->dir < 0)
		return err_sys(e, l->dir, "opening cgroup %s in %s", l->c->path, t->mount);
	l->controller = controller;
	return 0;
}

static int put(struct limits *l, const char *controller, const char *file, const char *text, struct err *e)
{
	int r = controller_dir(l, controller, e);

	if (r < 0)
		return r;
	r = file_put(l->dir, file, text);
	if (r < 0)
		return err_sys(e, r, "failed to write \"%s\" to cgroup file %s", text, file);
	return 0;
}

static int put_i64(struct limits *l, const char *controller, const char *file, int64_t v, struct err *e)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%lld", (long long)v);
	return put(l, controller, file, text, e);
}

static int memory_limit(struct limits *l, int64_t v, struct err *e)
{
	int64_t usage = 0, peak = 0;
	int r = controller_dir(l, "memory", e);

	if (r < 0)
		return r;
	r = cg_put_i64(l->dir, "memory.limit_in_bytes", v);
	if (r == -EBUSY) {
		(void)cg_read_key(l->dir, "memory.usage_in_bytes", NULL, &usage);
		(void)cg_read_key(l->dir, "memory.max_usage_in_bytes", NULL, &peak);
		return err_set(e, ERR_SYSTEM,
			       "unable to set memory limit to %lld (current usage: %lld, peak usage: %lld)",
			       (long long)v, (long long)usage, (long long)peak);
	}
	return r < 0 ? err_sys(e, r, "failed to write \"%lld\" to cgroup file memory.limit_in_bytes", (long long)v) : 0;
}

static int memory_swap_limit(struct limits *l, int64_t v, struct err *e)
{
	int r = controller_dir(l, "memory", e);

	if (r < 0)
		return r;
	r = cg_put_i64(l->dir, "memory.memsw.limit_in_bytes", v);
	if (r == -ENOENT)
		return err_set(e, ERR_UNAVAILABLE, "the kernel does not account swap: memory swap limit cannot be set");
	return r < 0 ? err_sys(e, r, "failed to write \"%lld\" to cgroup file memory.memsw.limit_in_bytes",
			       (long long)v)
		     : 0;
}

/* The kernel keeps limit <= memsw at every instant: which of the two goes first depends on the direction. */
static int apply_memory(struct limits *l, struct err *e)
{
	const struct plan_cgroup *c = l->c;
	int64_t memory = c->memory, swap = c->memory_swap, now = 0;
	bool swap_first;
	int r;

	if (memory == 0 && swap == 0)
		return 0;
	r = controller_dir(l, "memory", e);
	if (r < 0)
		return r;
	if (c->memory_check_before_update && memory > 0) {
		r = cg_read_key(l->dir, "memory.usage_in_bytes", NULL, &now);
		if (r == 0 && now > memory)
			return err_set(e, ERR_SYSTEM, "rejecting memory limit %lld <= usage %lld", (long long)memory,
				       (long long)now);
	}
	if (memory == -1 && swap == 0 && faccessat(l->dir, "memory.memsw.limit_in_bytes", F_OK, 0) == 0)
		swap = -1;
	if (memory == 0 || swap == 0)
		return memory ? memory_limit(l, memory, e) : memory_swap_limit(l, swap, e);
	now = INT64_MAX;
	(void)cg_read_key(l->dir, "memory.limit_in_bytes", NULL, &now);
	swap_first = swap == -1 || now < swap;
	r = swap_first ? memory_swap_limit(l, swap, e) : memory_limit(l, memory, e);
	if (r == 0)
		r = swap_first ? memory_limit(l, memory, e) : memory_swap_limit(l, swap, e);
	return r;
}

static int apply_cpu(struct limits *l, struct err *e)
{
	const struct plan_cgroup *c = l->c;
	bool period_late = false;
	int64_t is = 0;
	int r = 0;

	if (c->cpu_rt_period && (r = put_i64(l, "cpu", "cpu.rt_period_us", (int64_t)c->cpu_rt_period, e)) < 0)
		return r;
	if (c->cpu_rt_runtime && (r = put_i64(l, "cpu", "cpu.rt_runtime_us", c->cpu_rt_runtime, e)) < 0)
		return r;
	if (c->cpu_shares) {
		r = put_i64(l, "cpu", "cpu.shares", (int64_t)c->cpu_shares, e);
		/* The kernel clamps without a word; Docker's users are told. */
		if (r == 0 && cg_read_key(l->dir, "cpu.shares", NULL, &is) == 0 && c->cpu_shares > (uint64_t)is)
			r = err_set(e, ERR_INVALID, "the maximum allowed cpu-shares is %lld", (long long)is);
		if (r == 0 && c->cpu_shares < (uint64_t)is)
			r = err_set(e, ERR_INVALID, "the minimum allowed cpu-shares is %lld", (long long)is);
		if (r < 0)
			return r;
	}
	if (c->cpu_period) {
		r = put_i64(l, "cpu", "cpu.cfs_period_us", (int64_t)c->cpu_period, e);
		/* The old quota may be too large for the new period: the quota first then. */
		if (r == -EINVAL && c->cpu_quota)
			period_late = true;
		else if (r < 0)
			return r;
	}
	if (c->cpu_quota && (r = put_i64(l, "cpu", "cpu.cfs_quota_us", c->cpu_quota, e)) < 0)
		return r;
	if (period_late && (r = put_i64(l, "cpu", "cpu.cfs_period_us", (int64_t)c->cpu_period, e)) < 0)
		return r;
	if (c->cpu_burst && (r = put_i64(l, "cpu", "cpu.cfs_burst_us", c->cpu_burst, e)) < 0)
		return r;
	if (c->cpu_idle >= 0 && c->cpu_idle <= 1 && (c->cpu_idle == 1 || cg_find(l->h, "cpu"))) {
		r = controller_dir(l, "cpu", e);
		if (r == 0)
			r = cg_put_i64(l->dir, "cpu.idle", c->cpu_idle);
		if (r == -ENOENT && c->cpu_idle == 0)
			r = 0; /* kernels before 5.15: never idle */
		if (r < 0)
			return err_sys(e, r, "setting cpu.idle");
	}
	return 0;
}

static int apply_blkio(struct limits *l, struct err *e)
{
	static const char *const files[] = { "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device",
					     "blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device" };
	const struct plan_cgroup *c = l->c;
	char text[96];
	int r;

	if (c->blkio_weight) {
		r = controller_dir(l, "blkio", e);
		if (r < 0)
			return r;
		r = cg_put_i64(l->dir, "blkio.weight", c->blkio_weight);
		if (r == -ENOENT)
			r = cg_put_i64(l->dir, "blkio.bfq.weight", c->blkio_weight);
		if (r == -ENOENT)
			return err_set(e, ERR_UNAVAILABLE,
				       "this kernel has no block I/O weights (blkio.weight, blkio.bfq.weight)");
		if (r < 0)
			return err_sys(e, r, "setting the block I/O weight");
	}
	if (c->blkio_leaf_weight && (r = put_i64(l, "blkio", "blkio.leaf_weight", c->blkio_leaf_weight, e)) < 0)
		return r;
	for (size_t i = 0; i < c->n_weight_devices; i++) {
		const struct plan_weight_device *d = &c->weight_devices[i];
		static const char *const names[] = { "blkio.weight_device", "blkio.bfq.weight_device" };

		if (d->weight) {
			(void)snprintf(text, sizeof text, "%u:%u %u", d->major, d->minor, d->weight);
			r = put(l, "blkio", names[0], text, e);
			if (r == -ENOENT)
				r = put(l, "blkio", names[1], text, e);
			if (r < 0)
				return r;
		}
		if (d->leaf_weight) {
			(void)snprintf(text, sizeof text, "%u:%u %u", d->major, d->minor, d->leaf_weight);
			r = put(l, "blkio", "blkio.leaf_weight_device", text, e);
			if (r < 0)
				return r;
		}
	}
	for (size_t k = 0; k < ARRAY_LEN(files); k++)
		for (size_t i = 0; i < c->n_throttle[k]; i++) {
			const struct plan_throttle *t = &c->throttle[k][i];

			(void)snprintf(text, sizeof text, "%u:%u %llu", t->major, t->minor,
				       (unsigned long long)t->rate);
			r = put(l, "blkio", files[k], text, e);
			if (r < 0)
				return r;
		}
	return 0;
}

static int apply_network(struct limits *l, struct err *e)
{
	int r = 0;

	if (l->c->net_classid)
		r = put_i64(l, "net_cls", "net_cls.classid", l->c->net_classid, e);
	for (size_t i = 0; r == 0 && i < l->c->n_net_prio; i++) {
		AUTO_FREE char *text = xasprintf("%s %s", l->c->net_prio[i].k, l->c->net_prio[i].v);

		r = put(l, "net_prio", "net_prio.ifpriomap", text, e);
	}
	return r;
}

static int apply_all(struct limits *l, struct err *e)
{
	const struct plan_cgroup *c = l->c;
	int r = 0;

	if (c->n_devices) {
		r = controller_dir(l, "devices", e);
		if (r == 0)
			r = cg_devices_v1(l->dir, c->devices, c->n_devices, e);
		if (r < 0)
			return r;
	}
	r = apply_memory(l, e);
	if (r == 0 && c->memory_reservation)
		r = put_i64(l, "memory", "memory.soft_limit_in_bytes", c->memory_reservation, e);
	if (r == 0 && c->kernel_memory_tcp)
		r = put_i64(l, "memory", "memory.kmem.tcp.limit_in_bytes", c->kernel_memory_tcp, e);
	if (r == 0 && c->oom_disable)
		r = put(l, "memory", "memory.oom_control", "1", e);
	if (r == 0 && c->swappiness >= 0 && c->swappiness <= 200)
		r = put_i64(l, "memory", "memory.swappiness", c->swappiness, e);
	if (r == 0 && !str_empty(c->cpus))
		r = put(l, "cpuset", "cpuset.cpus", c->cpus, e);
	if (r == 0 && !str_empty(c->mems))
		r = put(l, "cpuset", "cpuset.mems", c->mems, e);
	if (r == 0)
		r = apply_cpu(l, e);
	if (r == 0 && c->pids)
		r = c->pids < 0 ? put(l, "pids", "pids.max", "max", e) : put_i64(l, "pids", "pids.max", c->pids, e);
	if (r == 0)
		r = apply_blkio(l, e);
	for (size_t i = 0; r == 0 && i < c->n_hugetlb; i++) {
		AUTO_FREE char *file = xasprintf("hugetlb.%s.limit_in_bytes", c->hugetlb[i].page_size);

		r = strchr(c->hugetlb[i].page_size, '/')
			    ? err_set(e, ERR_INVALID, "invalid hugetlb page size \"%s\"", c->hugetlb[i].page_size)
			    : put_i64(l, "hugetlb", file, (int64_t)c->hugetlb[i].limit, e);
	}
	if (r == 0)
		r = apply_network(l, e);
	if (r == 0 && c->n_unified)
		r = err_set(e, ERR_INVALID, "cgroup v2 settings (unified) cannot be used on a cgroup v1 host");
	return r;
}

static int v1_apply(const struct cg_host *h, const struct plan_cgroup *c, struct err *e)
{
	struct limits l = { .h = h, .c = c, .dir = -1 };
	int r = apply_all(&l, e);

	if (l.dir >= 0)
		(void)close(l.dir);
	return r;
}

static int v1_join(const struct cg_host *h, const char *path, pid_t pid, struct err *e)
{
	int fds[ARRAY_LEN(h->tree)], r = 0;
	AUTO_FREE char *file = xasprintf("%s/cgroup.procs", cg_rel(path));
	size_t opened = 0, bad = 0;
	char text[16];

	(void)snprintf(text, sizeof text, "%d", (int)pid);
	/* All opened first, so that nothing comes between the writes. */
	for (; opened < h->n && r == 0; opened++) {
		fds[opened] = openat(h->tree[opened].fd, file, O_WRONLY | O_CLOEXEC);
		if (fds[opened] < 0) {
			r = -errno;
			bad = opened;
		}
	}
	for (size_t i = 0; i < opened && r == 0; i++)
		if (write(fds[i], text, strlen(text)) < 0) {
			r = -errno;
			bad = i;
		}
	for (size_t i = 0; i < opened; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	return r < 0 ? err_sys(e, r, "joining cgroup %s in %s", path, h->tree[bad].mount) : 0;
}

/* FREEZING may not end by itself when processes fork meanwhile: the state is written again now and then. */
static int v1_freeze(const struct cg_host *h, const char *path, bool frozen, struct err *e)
{
	const struct cg_tree *t = cg_find(h, "freezer");
	AUTO_FD int dir = t ? cg_open(t, path) : -ENOENT;
	const char *want = frozen ? "FROZEN" : "THAWED";
	int64_t until = time_mono_ns() + 10 * (int64_t)1000000000;

	if (!t)
		return err_set(e, ERR_UNAVAILABLE, "cgroup controller \"freezer\" is not available on this host");
	if (dir < 0)
		return err_sys(e, dir, "opening cgroup %s", path);
	for (unsigned i = 0;; i++) {
		AUTO_FREE char *state = NULL;
		struct timespec nap = { 0, i < 50 ? 50000 : 2000000 };
		int r = 0;

		if (i % 25 == 24 && frozen)
			(void)file_put(dir, "freezer.state", "THAWED");
		if (i % 25 == 24 || i == 0)
			r = file_put(dir, "freezer.state", want);
		if (r == 0)
			r = file_read(dir, "freezer.state", 64, &state, NULL);
		if (r < 0)
			return err_sys(e, r, "writing %s to freezer.state", want);
		if (str_after(state, want))
			return 0;
		if (time_mono_ns() > until) {
			(void)file_put(dir, "freezer.state", "THAWED");
			return err_set(e, ERR_SYSTEM, "unable to freeze cgroup %s: timed out", path);
		}
		(void)nanosleep(&nap, NULL);
	}
}

static int v1_oom_fd(const struct cg_host *h, const char *path, int *ret)
{
	const struct cg_tree *t = cg_find(h, "memory");
	AUTO_FD int dir = t ? cg_open(t, path) : -ENOENT, control = -1, event = -1;
	char text[32];
	int r;

	if (dir < 0)
		return dir;
	control = openat(dir, "memory.oom_control", O_RDONLY | O_CLOEXEC);
	event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control < 0 || event < 0)
		return -errno;
	(void)snprintf(text, sizeof text, "%d %d", event, control);
	r = file_put(dir, "cgroup.event_control", text);
	if (r < 0)
		return r;
	*ret = TAKE_FD(event);
	return 0;
}

static int64_t v1_oom_count(const struct cg_host *h, const char *path)
{
	const struct cg_tree *t = cg_find(h, "memory");
	AUTO_FD int dir = t ? cg_open(t, path) : -ENOENT;
	int64_t n = 0;

	return dir >= 0 && cg_read_key(dir, "memory.oom_control", "oom_kill", &n) == 0 ? n : 0;
}

/* The hierarchy that programs inside are least likely to have moved themselves about in. */
static const struct cg_tree *v1_pids_tree(const struct cg_host *h)
{
	static const char *const order[] = { "freezer", "devices", "pids", "memory" };

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (cg_find(h, order[i]))
			return cg_find(h, order[i]);
	return h->n ? &h->tree[0] : NULL;
}

const struct cg_ops cg_v1 = {
	.make = v1_make,
	.apply = v1_apply,
	.join = v1_join,
	.freeze = v1_freeze,
	.oom_fd = v1_oom_fd,
	.oom_count = v1_oom_count,
	.pids_tree = v1_pids_tree,
};
