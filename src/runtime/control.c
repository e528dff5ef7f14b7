/* What is done to containers that exist: kill, delete, pause, resume, update. */
#include "runtime/runtime_private.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/kernel.h"

enum { STAGE_POSTSTOP = 5, DEATH_MS = 10000 };

static int poststop(const struct args *a, const struct container *c, struct err *e)
{
	struct plan_arena arena = PLAN_ARENA_INIT;
	struct oci_spec spec = { 0 };
	struct plan_env env;
	struct plan p;
	int r = container_config(c, &spec, NULL);

	environment(a, &env);
	env.id = c->record.shown.id;
	env.bundle = c->record.shown.bundle;
	if (r == 0 && spec.hooks.poststop.n) {
		r = plan_build(&spec, &env, &arena, &p, e);
		if (r == 0)
			r = act_hooks_run(&p, STAGE_POSTSTOP, "stopped", 0, -1, e);
	}
	plan_arena_done(&arena);
	json_done(&oci_spec_type, &spec);
	return r;
}

int destroy(const struct args *a, struct container *c, struct err *e)
{
	struct err hook = ERR_INIT;
	int r = 0;

	if (c->record.cgroup) {
		if (!c->record.own_pidns) /* init took the others with it only where it was their init */
			(void)act_cgroup_kill(c->record.cgroup);
		r = act_cgroup_remove(c->record.cgroup);
		if (r == -EBUSY) {
			(void)act_cgroup_kill(c->record.cgroup);
			r = act_cgroup_remove(c->record.cgroup);
		}
		if (r < 0)
			return err_sys(e, r, "removing the container's cgroup");
	}
	if (poststop(a, c, &hook) < 0) /* the specification wants a warning only */
		log_warn("%s", hook.msg);
	r = container_remove(a, c->record.shown.id);
	return r < 0 ? err_sys(e, r, "removing the container's state") : 0;
}

static int signal_number(const char *text, int *ret, struct err *e)
{
	const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
	int64_t n;

	if (str_to_i64(text, &n) == 0 && n >= 0 && n < _NSIG) {
		*ret = (int)n;
		return 0;
	}
	for (int i = 1; i < 32; i++) {
		const char *known = sigabbrev_np(i);

		if (known && strcasecmp(known, name) == 0) {
			*ret = i;
			return 0;
		}
	}
	return err_set(e, ERR_INVALID, "unknown signal \"%s\"", text);
}

/* Without a pid namespace of its own the end of init is not the end of the container. */
static int kill_container(const struct container *c, int sig, bool all)
{
	AUTO_FD int pidfd = container_pidfd(c);
	int r = pidfd < 0 ? -ESRCH : 0;

	if (c->record.cgroup && (all || (!c->record.own_pidns && sig == SIGKILL)))
		return sig == SIGKILL ? act_cgroup_kill(c->record.cgroup) : act_cgroup_signal(c->record.cgroup, sig);
	if (r == 0 && sys_pidfd_send_signal(pidfd, sig) < 0)
		r = -errno;
	return r;
}

int cmd_kill(const struct args *a, struct err *e)
{
	AUTO_CONTAINER struct container c = CONTAINER_INIT;
	int sig = SIGTERM, r = container_load(a, a->rest[0], &c, e);

	if (r == 0 && a->n_rest > 1)
		r = signal_number(a->rest[1], &sig, e);
	if (r < 0)
		return r;
	if (c.status == STOPPED && arg_has(a, "all"))
		return 0;
	if (c.status == STOPPED)
		return err_set(e, ERR_CONFLICT, "container not running");
	r = kill_container(&c, sig, arg_has(a, "all"));
	if (r == -ESRCH)
		return err_set(e, ERR_CONFLICT, "container not running");
	return r < 0 ? err_sys(e, r, "signaling init process") : 0;
}

static int kill_and_wait(struct container *c, struct err *e)
{
	AUTO_FD int pidfd = container_pidfd(c);
	struct pollfd fd = { .fd = pidfd, .events = POLLIN };

	if (c->status == PAUSED && c->record.cgroup)
		(void)act_cgroup_freeze(c->record.cgroup, false, NULL);
	if (pidfd < 0)
		return 0;
	(void)sys_pidfd_send_signal(pidfd, SIGKILL);
	if (poll(&fd, 1, DEATH_MS) == 0)
		return err_set(e, ERR_SYSTEM, "container init still running");
	c->status = STOPPED;
	return 0;
}

int cmd_delete(const struct args *a, struct err *e)
{
	AUTO_CONTAINER struct container c = CONTAINER_INIT;
	bool force = arg_has(a, "force");
	int r = container_load(a, a->rest[0], &c, e);

	if (r < 0)
		return force && e->kind == ERR_NOT_FOUND ? 0 : r;
	if (!force && (c.status == RUNNING || c.status == PAUSED))
		return err_set(e, ERR_CONFLICT, "cannot delete container %s that is not stopped: %s", a->rest[0],
			       status_name(c.status));
	if (c.status != STOPPED)
		r = kill_and_wait(&c, e);
	return r < 0 ? r : destroy(a, &c, e);
}

static int freeze(const struct args *a, bool frozen, struct err *e)
{
	AUTO_CONTAINER struct container c = CONTAINER_INIT;
	int r = container_load(a, a->rest[0], &c, e);

	if (r < 0)
		return r;
	if (frozen && c.status != RUNNING && c.status != CREATED)
		return err_set(e, ERR_CONFLICT, "container not running or created: %s", status_name(c.status));
	if (!frozen && c.status != PAUSED)
		return err_set(e, ERR_CONFLICT, "container not paused");
	if (!c.record.cgroup)
		return err_set(e, ERR_INVALID, "the container has no cgroup");
	if (frozen) {
		AUTO_FD int mark = openat(c.dir, "paused", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (mark < 0)
			return err_sys(e, -errno, "writing the container's state");
	}
	r = act_cgroup_freeze(c.record.cgroup, frozen, e);
	if (r < 0 ? frozen : !frozen)
		(void)unlinkat(c.dir, "paused", 0);
	return r;
}

int cmd_pause(const struct args *a, struct err *e)
{
	return freeze(a, true, e);
}

int cmd_resume(const struct args *a, struct err *e)
{
	return freeze(a, false, e);
}

/* "512", "64m", "1GiB": bytes, for the memory options. */
static int bytes(const char *text, int64_t *ret)
{
	AUTO_FREE char *digits = xstrndup(text, strspn(text, "-0123456789"));
	const char *unit = text + strlen(digits), *at;

	if (str_to_i64(digits, ret) < 0)
		return -EINVAL;
	if (!*unit || streq(unit, "b") || streq(unit, "B"))
		return 0;
	at = strchr("kKmMgGtT", unit[0]);
	if (!at || (unit[1] && strcasecmp(unit + 1, "b") != 0 && strcasecmp(unit + 1, "ib") != 0))
		return -EINVAL;
	return __builtin_mul_overflow(*ret, INT64_C(1) << (10 * ((at - "kKmMgGtT") / 2 + 1)), ret) ? -ERANGE : 0;
}

static int read_resources(const char *file, struct oci_resources *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t n = 0;
	int r = streq(file, "-") ? fd_read_all(STDIN_FILENO, CONFIG_MAX, &text, &n)
				 : file_read(AT_FDCWD, file, CONFIG_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, r, "reading %s", file);
	return json_read(&oci_resources_type, text, n, &json_limits_default, ret, e);
}

static int resources_from_args(const struct args *a, struct oci_resources *r, struct err *e)
{
	const struct {
		const char *name;
		struct json_oint *to;
		bool bytes;
	} numbers[] = {
		{ "blkio-weight", &r->block_io.weight, false },
		{ "cpu-period", &r->cpu.period, false },
		{ "cpu-quota", &r->cpu.quota, false },
		{ "cpu-burst", &r->cpu.burst, false },
		{ "cpu-share", &r->cpu.shares, false },
		{ "cpu-rt-period", &r->cpu.rt_period, false },
		{ "cpu-rt-runtime", &r->cpu.rt_runtime, false },
		{ "cpu-idle", &r->cpu.idle, false },
		{ "memory", &r->memory.limit, true },
		{ "memory-reservation", &r->memory.reservation, true },
		{ "memory-swap", &r->memory.swap, true },
		{ "pids-limit", &r->pids.limit, false },
	};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		const char *text = arg(a, numbers[i].name);

		if (!text)
			continue;
		numbers[i].to->set = true;
		if ((numbers[i].bytes ? bytes(text, &numbers[i].to->v) : str_to_i64(text, &numbers[i].to->v)) < 0)
			return err_set(e, ERR_INVALID, "invalid value for %s: %s", numbers[i].name, text);
	}
	r->cpu.cpus = xstrdup(arg(a, "cpuset-cpus"));
	r->cpu.mems = xstrdup(arg(a, "cpuset-mems"));
	return 0;
}

int cmd_update(const struct args *a, struct err *e)
{
	AUTO_CONTAINER struct container c = CONTAINER_INIT;
	struct plan_arena arena = PLAN_ARENA_INIT;
	struct oci_resources limits = { 0 };
	struct plan_cgroup cgroup;
	struct plan_env env;
	int r = container_load(a, a->rest[0], &c, e);

	if (r == 0 && c.status == STOPPED)
		r = err_set(e, ERR_CONFLICT, "container not running");
	if (r == 0)
		r = arg(a, "resources") ? read_resources(arg(a, "resources"), &limits, e)
					: resources_from_args(a, &limits, e);
	environment(a, &env);
	if (r == 0)
		r = plan_limits_build(&limits, c.record.cgroup, &env, &arena, &cgroup, e);
	if (r == 0)
		r = act_cgroup_update(&cgroup, e);
	plan_arena_done(&arena);
	json_done(&oci_resources_type, &limits);
	return r;
}
