/* Resources: limits of the cgroup and the rules of its devices. Units stay OCI's; act/ converts for cgroup v2. */
#include "plan/plan_private.h"

static int refuse_value(struct builder *b, const char *what, int64_t v)
{
	return REFUSE(b, "resources.%s: invalid value %jd", what, (intmax_t)v);
}

static int plan_memory(struct builder *b, const struct oci_memory *m, struct plan_cgroup *c)
{
	const struct {
		const char *name;
		const struct json_oint *from;
		int64_t *to;
	} sizes[] = {
		{ "memory.limit", &m->limit, &c->memory },
		{ "memory.swap", &m->swap, &c->memory_swap },
		{ "memory.reservation", &m->reservation, &c->memory_reservation },
		{ "memory.kernelTCP", &m->kernel_tcp, &c->kernel_memory_tcp },
	};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		if (!sizes[i].from->set)
			continue;
		if (sizes[i].from->v < -1)
			return refuse_value(b, sizes[i].name, sizes[i].from->v);
		*sizes[i].to = sizes[i].from->v;
	}
	if (m->kernel.set && m->kernel.v > 0)
		plan_warn(b->env, "resources.memory.kernel is ignored: kernels since 5.16 have no such limit");
	if (c->memory > 0 && c->memory_swap > 0 && c->memory_swap < c->memory)
		return REFUSE(b, "memory+swap limit (%jd) must not be below the memory limit (%jd)",
			      (intmax_t)c->memory_swap, (intmax_t)c->memory);
	if (c->memory > 0 && c->memory_reservation > c->memory)
		return REFUSE(b, "memory reservation (%jd) must not be above the memory limit (%jd)",
			      (intmax_t)c->memory_reservation, (intmax_t)c->memory);
	c->swappiness = -1;
	if (m->swappiness.set) {
		if (m->swappiness.v < -1 || m->swappiness.v > 200)
			return refuse_value(b, "memory.swappiness", m->swappiness.v);
		c->swappiness = m->swappiness.v;
	}
	c->oom_disable = m->disable_oom_killer.v;
	c->use_hierarchy = m->use_hierarchy.v;
	c->memory_check_before_update = m->check_before_update.v;
	return 0;
}

static int check_list(struct builder *b, const char *what, const char *s)
{
	if (s && s[strspn(s, "0123456789,- \n")])
		return REFUSE(b, "resources.cpu.%s: \"%s\" is not a list of numbers and ranges", what, s);
	return 0;
}

static int plan_cpu(struct builder *b, const struct oci_cpu *s, struct plan_cgroup *c)
{
	const struct {
		const char *name;
		const struct json_oint *from;
		uint64_t *to;
	} positive[] = {
		{ "cpu.shares", &s->shares, &c->cpu_shares },
		{ "cpu.period", &s->period, &c->cpu_period },
		{ "cpu.realtimePeriod", &s->rt_period, &c->cpu_rt_period },
	};
	int r;

	for (size_t i = 0; i < ARRAY_LEN(positive); i++) {
		if (positive[i].from->set && positive[i].from->v < 0)
			return refuse_value(b, positive[i].name, positive[i].from->v);
		*positive[i].to = positive[i].from->set ? (uint64_t)positive[i].from->v : 0;
	}
	if (s->quota.set && s->quota.v < -1)
		return refuse_value(b, "cpu.quota", s->quota.v);
	if (s->burst.set && s->burst.v < 0)
		return refuse_value(b, "cpu.burst", s->burst.v);
	if (s->rt_runtime.set && s->rt_runtime.v < -1)
		return refuse_value(b, "cpu.realtimeRuntime", s->rt_runtime.v);
	if (s->idle.set && s->idle.v != 0 && s->idle.v != 1)
		return refuse_value(b, "cpu.idle", s->idle.v);
	c->cpu_quota = s->quota.v;
	c->cpu_burst = s->burst.v;
	c->cpu_rt_runtime = s->rt_runtime.v;
	c->cpu_idle = s->idle.set ? s->idle.v : -1;
	c->cpus = str_empty(s->cpus) ? NULL : s->cpus;
	c->mems = str_empty(s->mems) ? NULL : s->mems;
	r = check_list(b, "cpus", c->cpus);
	return r < 0 ? r : check_list(b, "mems", c->mems);
}

static int weight(struct builder *b, const char *what, const struct json_oint *w, uint32_t *ret)
{
	if (w->set && w->v != 0 && (w->v < 10 || w->v > 1000))
		return REFUSE(b, "resources.blockIO.%s: %jd is not in 10..1000", what, (intmax_t)w->v);
	*ret = w->set ? (uint32_t)w->v : 0;
	return 0;
}

static int device_number(struct builder *b, const char *what, int64_t major, int64_t minor)
{
	if (major < 0 || major > UINT32_MAX || minor < 0 || minor > UINT32_MAX)
		return REFUSE(b, "%s: %jd:%jd is not a device number", what, (intmax_t)major, (intmax_t)minor);
	return 0;
}

static int plan_block_io(struct builder *b, const struct oci_block_io *s, struct plan_cgroup *c)
{
	const __typeof__(s->read_bps) *lists[] = { (const void *)&s->read_bps, (const void *)&s->write_bps,
						   (const void *)&s->read_iops, (const void *)&s->write_iops };
	struct plan_weight_device *w = NEW_ARRAY(b, struct plan_weight_device, s->weight_devices.n);
	int r = weight(b, "weight", &s->weight, &c->blkio_weight);

	if (r == 0)
		r = weight(b, "leafWeight", &s->leaf_weight, &c->blkio_leaf_weight);
	for (size_t i = 0; r == 0 && i < s->weight_devices.n; i++) {
		const struct oci_weight_device *d = &s->weight_devices.v[i];

		r = device_number(b, "resources.blockIO.weightDevice", d->major, d->minor);
		w[i].major = (uint32_t)d->major;
		w[i].minor = (uint32_t)d->minor;
		if (r == 0)
			r = weight(b, "weightDevice", &d->weight, &w[i].weight);
		if (r == 0)
			r = weight(b, "weightDevice", &d->leaf_weight, &w[i].leaf_weight);
	}
	c->weight_devices = w;
	c->n_weight_devices = s->weight_devices.n;
	for (size_t k = 0; r == 0 && k < ARRAY_LEN(lists); k++) {
		struct plan_throttle *t = NEW_ARRAY(b, struct plan_throttle, lists[k]->n);

		for (size_t i = 0; r == 0 && i < lists[k]->n; i++) {
			const struct oci_throttle *d = &lists[k]->v[i];

			r = device_number(b, "resources.blockIO.throttle", d->major, d->minor);
			t[i] = (struct plan_throttle){ (uint32_t)d->major, (uint32_t)d->minor, d->rate };
		}
		c->throttle[k] = t;
		c->n_throttle[k] = lists[k]->n;
	}
	return r;
}

/* "2MB", "1GB", "64KB": the name of the controller's files. */
static bool page_size_valid(const char *s)
{
	size_t digits = s ? strspn(s, "0123456789") : 0;

	return digits && strchr("KMG", s[digits]) && s[digits] && streq(s + digits + 1, "B");
}

static int plan_hugepages(struct builder *b, const struct oci_resources *r, struct plan_cgroup *c)
{
	struct plan_hugetlb *v = NEW_ARRAY(b, struct plan_hugetlb, r->hugepages.n);

	for (size_t i = 0; i < r->hugepages.n; i++) {
		const struct oci_hugepage *h = &r->hugepages.v[i];

		if (!page_size_valid(h->page_size))
			return REFUSE(b, "resources.hugepageLimits: \"%s\" is not a page size like 2MB",
				      h->page_size ? h->page_size : "");
		v[i] = (struct plan_hugetlb){ .page_size = h->page_size, .limit = h->limit };
	}
	c->hugetlb = v;
	c->n_hugetlb = r->hugepages.n;
	return 0;
}

static int plan_unified(struct builder *b, const struct strmap *m, struct plan_cgroup *c)
{
	struct plan_kv *v = NEW_ARRAY(b, struct plan_kv, m->n);

	if (m->n && b->env->cgroup_version != 2)
		return REFUSE(b, "resources.unified is for cgroup v2; this machine has v1");
	for (size_t i = 0; i < m->n; i++) {
		if (str_empty(m->v[i].k) || strchr(m->v[i].k, '/') || !strchr(m->v[i].k, '.'))
			return REFUSE(b,
				      "resources.unified: \"%s\" must be the name of a cgroup file, like memory.high",
				      m->v[i].k);
		v[i] = (struct plan_kv){ m->v[i].k, m->v[i].v };
	}
	c->unified = v;
	c->n_unified = m->n;
	return 0;
}

static int plan_network(struct builder *b, const struct oci_network *n, struct plan_cgroup *c)
{
	struct plan_kv *v = NEW_ARRAY(b, struct plan_kv, n->priorities.n);

	if (!n->class_id.set && !n->priorities.n)
		return 0;
	if (b->env->cgroup_version == 2) {
		plan_warn(b->env, "resources.network is ignored: cgroup v2 has no such controllers");
		return 0;
	}
	if (n->class_id.set && (n->class_id.v < 0 || n->class_id.v > UINT32_MAX))
		return refuse_value(b, "network.classID", n->class_id.v);
	c->net_classid = n->class_id.set ? (uint32_t)n->class_id.v : 0;
	for (size_t i = 0; i < n->priorities.n; i++) {
		char number[24];

		if (str_empty(n->priorities.v[i].name) || strpbrk(n->priorities.v[i].name, " \n/"))
			return REFUSE(b, "resources.network.priorities: a network interface has no valid name");
		(void)snprintf(number, sizeof number, "%ju", (uintmax_t)n->priorities.v[i].priority);
		v[i] = (struct plan_kv){ n->priorities.v[i].name, plan_arena_strdup(b->a, number) };
	}
	c->net_prio = v;
	c->n_net_prio = n->priorities.n;
	return 0;
}

int plan_limits(struct builder *b, const struct oci_resources *s, struct plan_cgroup *c)
{
	int r;

	if (s->rdma.n)
		return REFUSE(b, "resources.rdma is not supported");
	if (s->pids.limit.set) /* 0 is not "nothing": a container with a process has one */
		c->pids = s->pids.limit.v < 0 ? -1 : MAX(s->pids.limit.v, 1);
	r = plan_memory(b, &s->memory, c);
	if (r == 0)
		r = plan_cpu(b, &s->cpu, c);
	if (r == 0)
		r = plan_block_io(b, &s->block_io, c);
	if (r == 0)
		r = plan_hugepages(b, s, c);
	if (r == 0)
		r = plan_network(b, &s->network, c);
	if (r == 0)
		r = plan_unified(b, &s->unified, c);
	return r;
}

enum { MAY_READ = 1, MAY_WRITE = 2, MAY_MKNOD = 4, MAY_ALL = 7, ANY = -1 };

/* What every container may use, whatever its rules say; the OCI specification demands these devices. */
static const struct plan_device_rule default_rules[] = {
	{ 1, 'c', ANY, ANY, MAY_MKNOD }, /* making nodes is harmless where opening them is not allowed */
	{ 1, 'b', ANY, ANY, MAY_MKNOD }, { 1, 'c', 1, 3, MAY_ALL }, /* null */
	{ 1, 'c', 1, 8, MAY_ALL },                                  /* random */
	{ 1, 'c', 1, 7, MAY_ALL },                                  /* full */
	{ 1, 'c', 5, 0, MAY_ALL },                                  /* tty */
	{ 1, 'c', 1, 5, MAY_ALL },                                  /* zero */
	{ 1, 'c', 1, 9, MAY_ALL },                                  /* urandom */
	{ 1, 'c', 136, ANY, MAY_ALL },                              /* pts */
	{ 1, 'c', 5, 2, MAY_ALL },                                  /* ptmx */
};

static int device_rule(struct builder *b, const struct oci_device_rule *s, struct plan_device_rule *ret)
{
	const char *access = str_empty(s->access) ? "rwm" : s->access;
	const char *type = str_empty(s->type) ? "a" : s->type;

	*ret = (struct plan_device_rule){ .allow = s->allow, .major = ANY, .minor = ANY };
	if (type[1] || !strchr("abcu", type[0]))
		return REFUSE(b, "resources.devices: invalid device type \"%s\"", type);
	ret->type = type[0] == 'u' ? 'c' : (unsigned char)type[0];
	for (const char *p = access; *p; p++) {
		const char *at = strchr("rwm", *p);

		if (!at)
			return REFUSE(b, "resources.devices: invalid access \"%s\"", access);
		ret->access |= 1u << (at - "rwm");
	}
	if ((s->major.set && (s->major.v < -1 || s->major.v > UINT32_MAX)) ||
	    (s->minor.set && (s->minor.v < -1 || s->minor.v > UINT32_MAX)))
		return REFUSE(b, "resources.devices: %jd:%jd is not a device number", (intmax_t)s->major.v,
			      (intmax_t)s->minor.v);
	if (ret->type == 'a') { /* the kernel has no narrower meaning for it */
		ret->access = MAY_ALL;
		return 0;
	}
	ret->major = s->major.set ? s->major.v : ANY;
	ret->minor = s->minor.set ? s->minor.v : ANY;
	return 0;
}

int plan_device_rules(struct builder *b, const struct oci_resources *s, struct plan_cgroup *c)
{
	size_t n_default = b->env->raw_devices ? 0 : ARRAY_LEN(default_rules);
	struct plan_device_rule *v = NEW_ARRAY(b, struct plan_device_rule, 1 + s->devices.n + n_default);
	size_t n = 0;

	v[n++] = (struct plan_device_rule){ 0, 'a', ANY, ANY, MAY_ALL };
	for (size_t i = 0; i < s->devices.n; i++) {
		int r = device_rule(b, &s->devices.v[i], &v[n++]);

		if (r < 0)
			return r;
	}
	memcpy(v + n, default_rules, sizeof *v * n_default);
	c->devices = v;
	c->n_devices = n + n_default;
	return 0;
}
