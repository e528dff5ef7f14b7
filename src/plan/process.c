/* The process: who it is, what it may, how it runs. */
#include "plan/plan_private.h"

#include <sys/resource.h>

struct name_value {
	const char *name;
	int64_t value;
};

static int name_find(const struct name_value *t, size_t n, const char *name, int64_t *ret)
{
	for (size_t i = 0; i < n; i++)
		if (streq(t[i].name, name)) {
			*ret = t[i].value;
			return 0;
		}
	return -EINVAL;
}

static const struct name_value rlimits[] = {
	{ "RLIMIT_CPU", RLIMIT_CPU },         { "RLIMIT_FSIZE", RLIMIT_FSIZE },
	{ "RLIMIT_DATA", RLIMIT_DATA },       { "RLIMIT_STACK", RLIMIT_STACK },
	{ "RLIMIT_CORE", RLIMIT_CORE },       { "RLIMIT_RSS", RLIMIT_RSS },
	{ "RLIMIT_NPROC", RLIMIT_NPROC },     { "RLIMIT_NOFILE", RLIMIT_NOFILE },
	{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK }, { "RLIMIT_AS", RLIMIT_AS },
	{ "RLIMIT_LOCKS", RLIMIT_LOCKS },     { "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING },
	{ "RLIMIT_NICE", RLIMIT_NICE },       { "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
	{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO },   { "RLIMIT_RTTIME", RLIMIT_RTTIME },
};

/* linux/sched.h */
static const struct name_value policies[] = {
	{ "SCHED_OTHER", 0 }, { "SCHED_FIFO", 1 }, { "SCHED_RR", 2 },       { "SCHED_BATCH", 3 },
	{ "SCHED_ISO", 4 },   { "SCHED_IDLE", 5 }, { "SCHED_DEADLINE", 6 },
};
enum { POLICY_FIFO = 1, POLICY_RR = 2, POLICY_DEADLINE = 6 };
static const struct name_value policy_flags[] = {
	{ "SCHED_FLAG_RESET_ON_FORK", 0x01 },  { "SCHED_FLAG_RECLAIM", 0x02 },
	{ "SCHED_FLAG_DL_OVERRUN", 0x04 },     { "SCHED_FLAG_KEEP_POLICY", 0x08 },
	{ "SCHED_FLAG_KEEP_PARAMS", 0x10 },    { "SCHED_FLAG_UTIL_CLAMP_MIN", 0x20 },
	{ "SCHED_FLAG_UTIL_CLAMP_MAX", 0x40 },
};
static const struct name_value io_classes[] = { { "IOPRIO_CLASS_RT", 1 },
						{ "IOPRIO_CLASS_BE", 2 },
						{ "IOPRIO_CLASS_IDLE", 3 } };

static int plan_rlimits(struct builder *b, const struct oci_process *p, struct plan_process *ret)
{
	struct plan_rlimit *v = NEW_ARRAY(b, struct plan_rlimit, p->rlimits.n);

	for (size_t i = 0; i < p->rlimits.n; i++) {
		const struct oci_rlimit *l = &p->rlimits.v[i];
		int64_t number = 0;

		if (name_find(rlimits, ARRAY_LEN(rlimits), l->type, &number) < 0)
			return REFUSE(b, "invalid rlimit type \"%s\"", l->type ? l->type : "");
		for (size_t k = 0; k < i; k++)
			if (v[k].resource == number)
				return REFUSE(b, "rlimit %s is given twice", l->type);
		if (l->soft > l->hard)
			return REFUSE(b, "rlimit %s: soft limit %ju is above the hard limit %ju", l->type,
				      (uintmax_t)l->soft, (uintmax_t)l->hard);
		v[i] = (struct plan_rlimit){ .resource = (uint32_t)number, .soft = l->soft, .hard = l->hard };
	}
	ret->rlimits = v;
	ret->n_rlimits = p->rlimits.n;
	return 0;
}

static void plan_caps(struct builder *b, const struct oci_caps *c, struct plan_process *ret)
{
	enum { BOUNDING, EFFECTIVE, PERMITTED, INHERITABLE, AMBIENT };
	const struct strv *sets[] = { &c->bounding, &c->effective, &c->permitted, &c->inheritable, &c->ambient };
	uint64_t possible;

	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		ret->caps[i] = plan_cap_mask(sets[i]);
		for (size_t k = 0; k < sets[i]->n; k++)
			if (plan_cap_number(sets[i]->v[k]) < 0)
				plan_warn(b->env, "unknown capability %s is ignored", sets[i]->v[k]);
	}
	/* The kernel refuses impossible sets as a whole, without saying which capability it was. */
	possible = ret->caps[PERMITTED];
	if (ret->caps[EFFECTIVE] & ~possible)
		plan_warn(b->env, "effective capabilities that are not permitted are ignored");
	ret->caps[EFFECTIVE] &= possible;
	possible &= ret->caps[INHERITABLE];
	if (ret->caps[AMBIENT] & ~possible)
		plan_warn(b->env, "ambient capabilities that are not permitted and inheritable are ignored");
	ret->caps[AMBIENT] &= possible;
}

static int plan_scheduler(struct builder *b, const struct oci_scheduler *s, struct plan_process *ret)
{
	ret->sched_policy = -1;
	if (!s)
		return 0;
	if (name_find(policies, ARRAY_LEN(policies), s->policy, &ret->sched_policy) < 0)
		return REFUSE(b, "invalid scheduler policy \"%s\"", s->policy ? s->policy : "");
	if (s->nice < -20 || s->nice > 19)
		return REFUSE(b, "invalid scheduler.nice: %jd is not in -20..19", (intmax_t)s->nice);
	if (s->priority && ret->sched_policy != POLICY_FIFO && ret->sched_policy != POLICY_RR)
		return REFUSE(b, "scheduler.priority can only be specified for SCHED_FIFO or SCHED_RR policy");
	if (s->priority < 0 || s->priority > 99)
		return REFUSE(b, "invalid scheduler.priority: %jd is not in 0..99", (intmax_t)s->priority);
	if ((s->runtime || s->deadline || s->period) && ret->sched_policy != POLICY_DEADLINE)
		return REFUSE(b,
			      "scheduler runtime, deadline and period can only be specified for SCHED_DEADLINE policy");
	for (size_t i = 0; i < s->flags.n; i++) {
		int64_t flag = 0;

		if (name_find(policy_flags, ARRAY_LEN(policy_flags), s->flags.v[i], &flag) < 0)
			return REFUSE(b, "invalid scheduler flag \"%s\"", s->flags.v[i]);
		ret->sched_flags |= (uint64_t)flag;
	}
	ret->sched_nice = s->nice;
	ret->sched_priority = s->priority;
	ret->sched_runtime = s->runtime;
	ret->sched_deadline = s->deadline;
	ret->sched_period = s->period;
	return 0;
}

static int plan_io_priority(struct builder *b, const struct oci_io_priority *io, struct plan_process *ret)
{
	ret->io_class = -1;
	if (!io)
		return 0;
	if (name_find(io_classes, ARRAY_LEN(io_classes), io->class_, &ret->io_class) < 0)
		return REFUSE(b, "invalid ioPriority.class \"%s\"", io->class_ ? io->class_ : "");
	if (io->priority < 0 || io->priority > 7)
		return REFUSE(b, "invalid ioPriority.priority: %jd is not in 0..7", (intmax_t)io->priority);
	ret->io_priority = io->priority;
	return 0;
}

static int plan_identity(struct builder *b, const struct oci_process *p, struct plan_process *ret)
{
	uint32_t *groups = NEW_ARRAY(b, uint32_t, p->user.additional_gids.n);

	if (p->user.uid >= UINT32_MAX || p->user.gid >= UINT32_MAX)
		return REFUSE(b, "process.user: %ju:%ju is not a valid pair of ids", (uintmax_t)p->user.uid,
			      (uintmax_t)p->user.gid);
	for (size_t i = 0; i < p->user.additional_gids.n; i++) {
		int64_t gid = p->user.additional_gids.v[i];

		if (gid < 0 || gid >= UINT32_MAX)
			return REFUSE(b, "process.user.additionalGids: %jd is not a valid id", (intmax_t)gid);
		groups[i] = (uint32_t)gid;
	}
	ret->user = str_empty(b->env->user) ? NULL : b->env->user;
	ret->uid = (uint32_t)p->user.uid;
	ret->gid = (uint32_t)p->user.gid;
	ret->groups = groups;
	ret->n_groups = p->user.additional_gids.n;
	if (b->env->group_names)
		ret->group_names = plan_strings(b, b->env->group_names);
	ret->late = b->env->late;
	ret->umask = -1;
	if (p->user.umask.set) {
		if (p->user.umask.v < 0 || p->user.umask.v > 0777)
			return REFUSE(b, "process.user.umask: %jd is not in 0..0777", (intmax_t)p->user.umask.v);
		ret->umask = p->user.umask.v;
	}
	return 0;
}

static int check_env(struct builder *b, const struct strv *env)
{
	for (size_t i = 0; i < env->n; i++) {
		const char *eq = strchr(env->v[i], '=');

		if (!eq || eq == env->v[i])
			return REFUSE(b, "invalid environment variable \"%.100s\": it must be NAME=value", env->v[i]);
	}
	return 0;
}

/* A list of CPUs as the kernel reads it: digits, commas, ranges. */
static int check_cpu_list(struct builder *b, const char *what, const char *s)
{
	if (s && s[strspn(s, "0123456789,-")])
		return REFUSE(b, "%s: \"%s\" is not a list of processors", what, s);
	return 0;
}

static void take_filter(struct plan_process *p, const struct seccomp_filter *f, const void *code, const char *listener,
			const char *metadata)
{
	if (!f->n)
		return;
	p->seccomp = code;
	p->n_seccomp = f->n;
	p->seccomp_flags = f->flags;
	p->seccomp_listener = listener;
	p->seccomp_metadata = metadata;
}

static int plan_seccomp(struct builder *b, const struct oci_seccomp *s, struct plan_process *ret)
{
	const struct seccomp_ready *ready = b->env->seccomp;
	struct seccomp_filter f = { 0 };
	int r;

	if (ready) {
		take_filter(ret, &ready->filter, ready->filter.code, ready->listener, ready->metadata);
		return 0;
	}
	if (!s)
		return 0;
	r = seccomp_compile(s, &f, b->e);
	if (r < 0)
		return r;
	take_filter(ret, &f, memcpy(plan_arena_alloc(b->a, f.n), f.code, f.n), s->listener_path, s->listener_metadata);
	free(f.code);
	return 0;
}

int plan_process(struct builder *b, const struct oci_process *p, const struct oci_seccomp *s, struct plan_process *ret)
{
	int r = 0;

	*ret = (struct plan_process){ .personality = -1, .oom_score_adj = INT64_MIN };
	if (!p->args.n)
		return REFUSE(b, "process.args must not be empty");
	if (str_empty(p->cwd) || p->cwd[0] != '/')
		return REFUSE(b, "process.cwd must be an absolute path, not \"%s\"", p->cwd ? p->cwd : "");
	ret->args = plan_strings(b, &p->args);
	ret->env = plan_strings(b, &p->env);
	ret->cwd = p->cwd;
	ret->terminal = p->terminal;
	if (p->console_size) {
		if (p->console_size->height > UINT16_MAX || p->console_size->width > UINT16_MAX)
			return REFUSE(b, "process.consoleSize: a terminal has at most %d rows and columns", UINT16_MAX);
		ret->rows = (uint32_t)p->console_size->height;
		ret->cols = (uint32_t)p->console_size->width;
	}
	ret->no_new_privs = p->no_new_privs;
	ret->apparmor = str_empty(p->apparmor) ? NULL : p->apparmor;
	ret->selinux = str_empty(p->selinux) ? NULL : p->selinux;
	if (p->oom_score_adj.set) {
		if (p->oom_score_adj.v < -1000 || p->oom_score_adj.v > 1000)
			return REFUSE(b, "process.oomScoreAdj: %jd is not in -1000..1000",
				      (intmax_t)p->oom_score_adj.v);
		ret->oom_score_adj = p->oom_score_adj.v;
	}
	if (p->cpu_affinity) {
		r = check_cpu_list(b, "process.execCPUAffinity.initial", p->cpu_affinity->initial);
		if (r == 0)
			r = check_cpu_list(b, "process.execCPUAffinity.final", p->cpu_affinity->final);
		ret->exec_cpu_affinity_initial = p->cpu_affinity->initial;
		ret->exec_cpu_affinity_final = p->cpu_affinity->final;
	}
	plan_caps(b, &p->capabilities, ret);
	if (r == 0)
		r = check_env(b, &p->env);
	if (r == 0)
		r = plan_identity(b, p, ret);
	if (r == 0)
		r = plan_rlimits(b, p, ret);
	if (r == 0)
		r = plan_scheduler(b, p->scheduler, ret);
	if (r == 0)
		r = plan_io_priority(b, p->io_priority, ret);
	if (r == 0)
		r = plan_seccomp(b, s, ret);
	return r;
}
