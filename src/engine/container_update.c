/* container_update.c - docker update: limits and restart policy of a container that exists. What runs is changed through its shim first;
 * only what the kernel took is recorded. */
#include "engine/container_check.h"
#include "engine/engine_private.h"
#include "act/act.h"
#include "plan/plan.h"

/* Limits that are numbers where 0 means "not asked for". */
#define NUMBERS(N) \
	N(blkio_weight) \
	N(cpu_shares) \
	N(nano_cpus) \
	N(cpu_period) \
	N(cpu_quota) \
	N(cpu_realtime_period) \
	N(cpu_realtime_runtime) \
	N(memory) \
	N(memory_swap) \
	N(memory_reservation)

static int conflicts(const struct docker_host_config *now, const struct docker_host_config *q, struct err *e)
{
	const char *fmt = "Conflicting options: %s cannot be updated as %s has already been set";

	if (q->nano_cpus > 0 && now->cpu_period > 0)
		return err_set(e, ERR_CONFLICT, fmt, "Nano CPUs", "CPU Period");
	if (q->nano_cpus > 0 && now->cpu_quota > 0)
		return err_set(e, ERR_CONFLICT, fmt, "Nano CPUs", "CPU Quota");
	if (q->cpu_period > 0 && now->nano_cpus > 0)
		return err_set(e, ERR_CONFLICT, fmt, "CPU Period", "NanoCPUs");
	if (q->cpu_quota > 0 && now->nano_cpus > 0)
		return err_set(e, ERR_CONFLICT, fmt, "CPU Quota", "NanoCPUs");
	if (q->memory && q->memory > now->memory_swap && q->memory_swap == 0)
		return err_set(e, ERR_CONFLICT,
			       "Memory limit should be smaller than already set memoryswap limit, update the "
			       "memoryswap at the same time");
	if (!str_empty(q->restart_policy.name) && !streq(q->restart_policy.name, "no") && now->auto_remove)
		return err_set(e, ERR_CONFLICT,
			       "Restart policy cannot be updated because AutoRemove is enabled for the container");
	return 0;
}

static void set_text(char **at, const char *v)
{
	if (str_empty(v))
		return;
	free(*at);
	*at = xstrdup(v);
}

static void apply(struct docker_host_config *h, const struct docker_host_config *q)
{
#define TAKE_NUMBER(m) \
	if (q->m) \
		h->m = q->m;
	NUMBERS(TAKE_NUMBER)
#undef TAKE_NUMBER
	set_text(&h->cpuset_cpus, q->cpuset_cpus);
	set_text(&h->cpuset_mems, q->cpuset_mems);
	if (q->pids_limit.set) /* 0 and less: no limit */
		h->pids_limit = (struct json_oint){ true, MAX(q->pids_limit.v, 0) };
	if (!str_empty(q->restart_policy.name)) {
		set_text(&h->restart_policy.name, q->restart_policy.name);
		h->restart_policy.maximum_retry_count = q->restart_policy.maximum_retry_count;
	}
}

static bool any_limit(const struct docker_host_config *q)
{
#define IS_SET(m) q->m ||
	return NUMBERS(IS_SET) !str_empty(q->cpuset_cpus) || !str_empty(q->cpuset_mems) || q->pids_limit.set;
#undef IS_SET
}

/* Only what changes: everything else of the cgroup stays as it is, whoever set it. */
static int limits_bytes(struct container *c, const struct docker_host_config *q, struct strb *ret, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s", c->en->cgroup_parent, c->id);
	struct plan_env env = { .cgroup_version = act_cgroup_version() };
	AUTO_ARENA struct plan_arena arena = PLAN_ARENA_INIT;
	struct plan p = { .id = c->id };
	struct oci_resources limits = { 0 };
	int r;

	container_limits(q, &limits);
	if (q->pids_limit.set && q->pids_limit.v <= 0)
		limits.pids.limit = (struct json_oint){ true, -1 };
	r = plan_limits_build(&limits, path, &env, &arena, &p.cgroup, e);
	if (r == 0)
		plan_encode(&p, ret);
	json_done(&oci_resources_type, &limits);
	return r;
}

static int change_running(struct container *c, const struct docker_host_config *q, struct err *e)
{
	AUTO_STRB struct strb plan = STRB_INIT, b = STRB_INIT;
	struct shim_link *l = container_shim_now(c);
	int r;

	if (!l)
		return err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
	r = limits_bytes(c, q, &plan, e);
	if (r == 0) {
		msg_put_bytes(&b, plan.s, plan.len);
		r = shim_call(l, &(struct shim_request){ .type = SHIM_UPDATE, .body = b.s, .n = b.len }, NULL, NULL, e);
	}
	shim_link_unref(l);
	return r;
}

static int update(struct container *c, const struct docker_host_config *q, struct err *e)
{
	bool running;
	int r = 0;

	pthread_mutex_lock(&c->lock);
	if (c->rec.state.removing || c->removed)
		r = err_set(e, ERR_CONFLICT, "container is marked for removal and cannot be \"update\"");
	else
		r = conflicts(&c->rec.host, q, e);
	running = c->rec.state.running;
	pthread_mutex_unlock(&c->lock);
	if (r == 0 && running && any_limit(q))
		r = change_running(c, q, e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&c->lock);
	apply(&c->rec.host, q);
	pthread_mutex_unlock(&c->lock);
	if (!str_empty(q->restart_policy.name)) {
		struct shim_link *l = container_shim_now(c);

		if (l)
			r = container_send_policy(c, l, e);
		shim_link_unref(l);
		if (r < 0)
			return r;
	}
	return container_save(c, e);
}

int container_update(struct engine *en, const char *ref, const struct docker_host_config *q, struct strv *ret_warnings,
		     struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	int r = container_update_check(q, e);

	if (r == 0)
		r = container_find(en, ref, &c, e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&c->op);
	r = update(c, q, e);
	pthread_mutex_unlock(&c->op);
	if (r < 0)
		return err_wrap(e, r, "Cannot update container %s", c->id);
	container_event(c, "update", NULL);
	return 0;
}
