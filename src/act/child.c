/* child.c - the life of the child from its fork to its exec, as a list of steps. */
#include "act/act_int.h"
#include "act/cgroup.h"
#include "act/child.h"
#include "base/kernel.h"

#include <sys/stat.h>

int job_joined(struct job *j, struct err *e)
{
	if (!j->wait_joined)
		return 0;
	j->wait_joined = false;
	return gate_wait(j->gate, GATE_JOINED, e);
}

void job_fail(struct job *j, const struct err *e)
{
	struct gate_msg m = { .kind = GATE_FAILED,
			      .failure = j->failure ? j->failure : ACT_FAILED_SETUP,
			      .err_kind = (uint32_t)e->kind,
			      .sys = e->sys };

	(void)snprintf(m.text, sizeof m.text, "%s", e->msg);
	(void)gate_say(j->gate, &m);
	_exit(1);
}

/* Root of the user namespace: numbers were those of the caller until the maps were written. */
int become_root(struct err *e)
{
	if (syscall(SYS_setresgid, 0, 0, 0) < 0 || syscall(SYS_setresuid, 0, 0, 0) < 0)
		return err_sys(e, -errno, "becoming root of the user namespace");
	(void)syscall(SYS_setgroups, 0, NULL);
	return 0;
}

static int step_user(struct child *c, struct err *e)
{
	int r;

	if (c->job.p->ns[PLAN_NS_USER].mode != 1)
		return 0;
	r = gate_wait(c->job.gate, GATE_MAPS, e);
	return r < 0 ? r : become_root(e);
}

static int step_early(struct child *c, struct err *e)
{
	int r = process_early(&c->job, e);

	process_hide(&c->job);
	return r;
}

static int step_join(struct child *c, struct err *e)
{
	static const int order[] = { PLAN_NS_NET, PLAN_NS_IPC, PLAN_NS_UTS, PLAN_NS_TIME };

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		if (c->ns[order[i]] >= 0 && setns(c->ns[order[i]], ns_flag[order[i]]) < 0)
			return err_sys(e, -errno, "joining the %s namespace", ns_name[order[i]]);
	if (c->job.p->ns[PLAN_NS_NET].mode == 1) {
		int r = loopback_up();

		if (r < 0)
			return err_sys(e, r, "bringing up the loopback interface");
	}
	return 0;
}

static int step_names(struct child *c, struct err *e)
{
	const struct plan *p = c->job.p;

	if (!str_empty(p->hostname) && sethostname(p->hostname, strlen(p->hostname)) < 0)
		return err_sys(e, -errno, "sethostname");
	if (!str_empty(p->domainname) && setdomainname(p->domainname, strlen(p->domainname)) < 0)
		return err_sys(e, -errno, "setdomainname");
	return 0;
}

/* Through the host's own /proc, which no container can mount over; net and ipc values are those of our namespaces all the same. */
static int step_sysctl(struct child *c, struct err *e)
{
	const struct plan *p = c->job.p;
	AUTO_FD int sys = p->n_sysctl ? dir_open(AT_FDCWD, "/proc/sys") : -1;

	for (size_t i = 0; i < p->n_sysctl; i++) {
		AUTO_FREE char *path = xstrdup(p->sysctl[i].k);
		AUTO_FD int fd = -1;

		if (!strchr(path, '/')) /* a.b.c; written with slashes a dot is part of a name (net/ipv4/conf/eth0.1) */
			for (char *s = path; *s; s++)
				*s = *s == '.' ? '/' : *s;
		fd = open_beneath(sys, path, O_WRONLY, 0);
		if (fd < 0)
			return err_sys(e, fd, "open sysctl %s file", p->sysctl[i].k);
		if (write(fd, p->sysctl[i].v, strlen(p->sysctl[i].v)) < 0)
			return err_sys(e, -errno, "write sysctl key %s", p->sysctl[i].k);
	}
	return 0;
}

static int step_runtime_hooks(struct child *c, struct err *e)
{
	const struct plan *p = c->job.p;
	int r;

	if (!hooks_any(p, HOOK_PRESTART) && !hooks_any(p, HOOK_CREATE_RUNTIME))
		return 0;
	r = job_joined(&c->job, e);
	if (r < 0)
		return r;
	r = gate_tell(c->job.gate, GATE_HOOK);
	return r < 0 ? err_sys(e, r, "asking for hooks") : gate_wait(c->job.gate, GATE_HOOKED, e);
}

static int cgroup_namespace(struct child *c, struct err *e)
{
	const struct plan_ns_choice *n = &c->job.p->ns[PLAN_NS_CGROUP];
	int r = n->mode ? job_joined(&c->job, e) : 0;

	if (r < 0)
		return r;
	if (n->mode == 1 && unshare(CLONE_NEWCGROUP) < 0)
		return err_sys(e, -errno, "unsharing the cgroup namespace");
	if (n->mode > 1 && setns(c->ns[PLAN_NS_CGROUP], CLONE_NEWCGROUP) < 0)
		return err_sys(e, -errno, "joining the cgroup namespace");
	return 0;
}

/* On v2 the view of cgroups is mounted from inside the namespace, on v1 it is bound: there the slow join goes on meanwhile. */
static int step_cgroup_early(struct child *c, struct err *e)
{
	return act_cgroup_version() == ACT_CGROUP_V2 ? cgroup_namespace(c, e) : 0;
}

static int step_cgroup_late(struct child *c, struct err *e)
{
	int r = act_cgroup_version() == ACT_CGROUP_V1 ? cgroup_namespace(c, e) : 0;

	return r < 0 ? r : job_joined(&c->job, e);
}

static int step_mounts(struct child *c, struct err *e)
{
	return mounts_attach(&c->job, e);
}

static int step_devices(struct child *c, struct err *e)
{
	return devices_make(&c->job, e);
}

static int step_terminal(struct child *c, struct err *e)
{
	return process_terminal(&c->job, true, e);
}

static int step_cwd(struct child *c, struct err *e)
{
	const struct plan_process *p = c->job.proc;
	int fd;

	if ((p->late & PLAN_LATE_CWD_MAKE) && !str_empty(p->cwd)) {
		fd = root_mkdir(c->job.m.root, p->cwd);
		if (fd == -ENOTDIR) {
			c->job.failure = ACT_FAILED_CWD;
			return err_set(e, ERR_INVALID, "Cannot mkdir: %s is not a directory", p->cwd);
		}
		if (fd >= 0) /* on a read-only place chdir will say what is wrong */
			(void)close(fd);
	}
	return 0;
}

static int step_container_hooks(struct child *c, struct err *e)
{
	return act_hooks_run(c->job.p, HOOK_CREATE_CONTAINER, "creating", getpid(), c->job.o->log_fd, e);
}

static int step_mask(struct child *c, struct err *e)
{
	return mask_paths(&c->job, e);
}

static int step_seal(struct child *c, struct err *e)
{
	return mounts_seal(&c->job, e);
}

static int step_stdio(struct child *c, struct err *e)
{
	return process_stdio(&c->job, e);
}

static int step_become(struct child *c, struct err *e)
{
	return process_become(&c->job, e);
}

typedef int step_fn(struct child *c, struct err *e);
static step_fn *const steps[] = {
	step_user,         step_early,       step_join,    step_names,    step_sysctl, step_runtime_hooks,
	step_cgroup_early, step_mounts,      step_devices, step_terminal, step_cwd,    step_container_hooks,
	step_mask,         step_cgroup_late, step_seal,    step_stdio,    step_become,
};

/* At the gate nothing is left to do but the exec (and what only makes sense right before it). */
static void __attribute__((noreturn)) at_the_gate(struct child *c, struct err *e)
{
	struct job *j = &c->job;
	struct gate_msg m = { .kind = GATE_READY };
	int r = gate_say(j->gate, &m);

	if (r < 0 || gate_wait(j->gate, GATE_GO, NULL) < 0)
		_exit(1); /* the caller is gone or has given up */
	if (j->p && hooks_any(j->p, HOOK_START_CONTAINER)) {
		r = act_hooks_run(j->p, HOOK_START_CONTAINER, "created", getpid(), -1, e);
		if (r < 0)
			job_fail(j, e);
	}
	process_exec(j, e);
}

void child_create(struct child *c)
{
	struct err e = ERR_INIT;

	(void)umask(0);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		if (steps[i](c, &e) < 0)
			job_fail(&c->job, &e);
	at_the_gate(c, &e);
}

/* An exec: into the namespaces, then the same end of the road. */
void child_exec(struct child *c, const struct act_target *t)
{
	struct err e = ERR_INIT;
	struct job *j = &c->job;
	int flags = 0, r;

	for (int i = 0; i < PLAN_NS_COUNT; i++)
		if (t->ns && t->ns[i] >= 0 && i != PLAN_NS_PID)
			flags |= ns_flag[i];
	r = process_early(j, &e);
	process_hide(j);
	/* All at once by the pidfd of init (linux 5.8); one by one where that is not to be had. */
	if (r == 0 && flags && (t->init_pidfd < 0 || setns(t->init_pidfd, flags) < 0))
		for (int i = 0; i < PLAN_NS_COUNT && r == 0; i++)
			if ((flags & ns_flag[i]) && setns(t->ns[i], ns_flag[i]) < 0)
				r = err_sys(&e, -errno, "joining the %s namespace", ns_name[i]);
	if (r == 0 && (flags & CLONE_NEWUSER))
		r = become_root(&e);
	if (r == 0) {
		j->m.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (j->m.root < 0)
			r = err_sys(&e, -errno, "opening the container's root");
	}
	if (r == 0)
		r = process_terminal(j, false, &e);
	if (r == 0)
		r = process_stdio(j, &e);
	if (r == 0)
		r = job_joined(j, &e);
	if (r == 0)
		r = process_become(j, &e);
	if (r < 0)
		job_fail(j, &e);
	at_the_gate(c, &e);
}
