/* create.c - the caller's side of a start: cgroup, detached mounts, fork, id maps, joins, and the talk over the gate. */
#include "act/act_int.h"
#include "act/cgroup.h"
#include "act/child.h"
#include "base/kernel.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

void act_child_done(struct act_child *c)
{
	fd_closep(&c->pidfd);
	fd_closep(&c->gate);
	fd_closep(&c->terminal);
	fd_closep(&c->root_fd);
	for (int i = 0; i < PLAN_NS_COUNT; i++)
		fd_closep(&c->ns[i]);
}

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void kill_child(struct act_child *c)
{
	if (c->pid > 0) {
		(void)kill(c->pid, SIGKILL); /* not reaped yet: the number is still its own */
		reap(c->pid);
	}
	c->pid = -1;
	act_child_done(c);
}

/* What the child said is the error; it has the whole sentence. */
static int take_failure(const struct gate_msg *m, struct act_child *c, struct err *e)
{
	c->failure = m->failure ? (enum act_failure)m->failure : ACT_FAILED_SETUP;
	(void)err_set(e, (enum err_kind)m->err_kind, "%s", m->text);
	if (e)
		e->sys = m->sys;
	return m->sys < 0 ? m->sys : -EINVAL;
}

static int died(pid_t pid, struct err *e)
{
	siginfo_t si = { 0 };

	if (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT | WNOHANG) == 0 && si.si_pid == pid &&
	    si.si_code != CLD_EXITED)
		return err_set(e, ERR_SYSTEM, "container init was killed by signal %d while being set up",
			       si.si_status);
	return err_set(e, ERR_SYSTEM, "container init ended while being set up");
}

static int open_namespaces(const struct plan *p, const struct act_opts *o, int fds[PLAN_NS_COUNT], struct err *e)
{
	for (int i = 0; i < PLAN_NS_COUNT; i++) {
		const struct plan_ns_choice *n = &p->ns[i];

		if (n->mode == 2) {
			fds[i] = open(n->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
			if (fds[i] < 0)
				return err_sys(e, -errno, "opening the %s namespace %s", ns_name[i], n->path);
		} else if (n->mode == 3) {
			if (n->slot < 0 || (size_t)n->slot >= o->n_slots)
				return err_set(e, ERR_INVALID, "the %s namespace wants descriptor slot %d of %zu",
					       ns_name[i], n->slot, o->n_slots);
			fds[i] = fcntl(o->slots[n->slot], F_DUPFD_CLOEXEC, 0);
			if (fds[i] < 0)
				return err_sys(e, -errno, "%s namespace in slot %d", ns_name[i], n->slot);
		} else if (n->mode > 3) {
			return err_set(e, ERR_INVALID, "unknown namespace mode %u", n->mode);
		}
	}
	return 0;
}

static int check(const struct plan *p, struct err *e)
{
	if (!p->process.args || !p->process.args[0])
		return err_set(e, ERR_INVALID, "process args cannot be empty");
	if (p->ns[PLAN_NS_MNT].mode != 1)
		return err_set(e, ERR_INVALID, "a container needs a mount namespace of its own");
	if (p->ns[PLAN_NS_USER].mode == 1 && (p->n_uid_map == 0 || p->n_gid_map == 0))
		return err_set(e, ERR_INVALID, "a new user namespace needs uid and gid mappings");
	return 0;
}

/* ---- a user namespace to map mounts by, before the child has one ---- */
static int userns_for_mounts(const struct plan *p, struct err *e)
{
	char path[40];
	int pidfd = -1, fd, r;
	pid_t pid = spawn(CLONE_NEWUSER, -1, &pidfd);

	if (pid == 0)
		for (;;)
			(void)pause();
	if (pid < 0)
		return err_sys(e, pid, "making a user namespace");
	(void)close(pidfd);
	r = userns_write_maps(p, pid, e);
	(void)snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
	fd = r < 0 ? r : open(path, O_RDONLY | O_CLOEXEC);
	(void)kill(pid, SIGKILL);
	reap(pid);
	return fd < 0 && r == 0 ? err_sys(e, -errno, "opening a user namespace") : fd;
}

static bool any_idmap(const struct plan *p)
{
	for (size_t i = 0; i < p->n_mounts; i++)
		if (p->mounts[i].extra & PLAN_MOUNT_IDMAP)
			return true;
	return false;
}

/* ---- forking ---- */
/* The offsets of a time namespace can be set only while nobody is in it: made for our next child, then we step back. */
static int time_namespace(const struct plan *p, int *ret_own, struct err *e)
{
	AUTO_FD int own = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);
	char text[160];
	int r;

	if (own < 0 || unshare(CLONE_NEWTIME) < 0)
		return err_sys(e, -errno, "making a time namespace");
	(void)snprintf(text, sizeof text, "monotonic %lld %lld\nboottime %lld %lld\n", (long long)p->time_offsets[0],
		       (long long)p->time_offsets[1], (long long)p->time_offsets[2], (long long)p->time_offsets[3]);
	r = file_put(AT_FDCWD, "/proc/self/timens_offsets", text);
	if (r < 0) {
		if (setns(own, CLONE_NEWTIME) < 0)
			abort();
		return err_sys(e, r, "setting time offsets");
	}
	*ret_own = TAKE_FD(own);
	return 0;
}

static uint64_t new_flags(const struct plan *p)
{
	uint64_t flags = 0;

	for (int i = 0; i < PLAN_NS_COUNT; i++)
		if (p->ns[i].mode == 1 && i != PLAN_NS_CGROUP && i != PLAN_NS_TIME)
			flags |= (uint64_t)(unsigned)ns_flag[i];
	return flags;
}

/* To make namespaces inside a user namespace that exists, one must be in it: a helper goes there and forks a sibling of itself. */
static void __attribute__((noreturn)) helper(struct child *c, uint64_t flags)
{
	struct err e = ERR_INIT;
	struct gate_msg m = { .kind = GATE_PID };
	pid_t pid;

	if (c->ns[PLAN_NS_PID] >= 0 && setns(c->ns[PLAN_NS_PID], CLONE_NEWPID) < 0) {
		(void)err_sys(&e, -errno, "joining the pid namespace");
		job_fail(&c->job, &e);
	}
	if (setns(c->ns[PLAN_NS_USER], CLONE_NEWUSER) < 0) {
		(void)err_sys(&e, -errno, "joining the user namespace");
		job_fail(&c->job, &e);
	}
	if (become_root(&e) < 0)
		job_fail(&c->job, &e);
	pid = spawn(flags | CLONE_PARENT, -1, NULL);
	if (pid == 0)
		child_create(c);
	if (pid < 0) {
		(void)err_sys(&e, pid, "forking into new namespaces");
		job_fail(&c->job, &e);
	}
	m.pid = pid;
	(void)gate_send(c->job.gate, &m, -1);
	_exit(0);
}

static int fork_in_userns(struct child *c, struct act_child *ret, int gate, uint64_t flags, int child_gate,
			  struct err *e)
{
	struct gate_msg m;
	pid_t pid = spawn(0, -1, NULL);
	int r;

	if (pid == 0) {
		(void)close(gate);
		helper(c, flags);
	}
	if (pid < 0)
		return err_sys(e, pid, "fork");
	(void)child_gate;
	r = gate_recv(gate, &m, NULL);
	reap(pid);
	if (r == 1 && m.kind == GATE_FAILED)
		return take_failure(&m, ret, e);
	if (r != 1 || m.kind != GATE_PID || m.pid <= 0)
		return err_set(e, ERR_SYSTEM, "the helper for the user namespace failed");
	ret->pid = m.pid;
	ret->pidfd = sys_pidfd_open(m.pid, 0); /* our child, not reaped: the number is its own */
	return ret->pidfd < 0 ? err_sys(e, -errno, "pidfd_open") : 0;
}

static int fork_child(struct child *c, struct act_child *ret, int gate, int child_gate, bool *joined, struct err *e)
{
	const struct plan *p = c->job.p;
	AUTO_FD int own_time = -1, cgroup = -1;
	uint64_t flags = new_flags(p);
	pid_t pid;
	int r;

	if (p->ns[PLAN_NS_TIME].mode == 1) {
		r = time_namespace(p, &own_time, e);
		if (r < 0)
			return r;
	}
	if (c->ns[PLAN_NS_USER] >= 0) {
		r = fork_in_userns(c, ret, gate, flags, child_gate, e);
	} else {
		if (p->cgroup.path && act_cgroup_version() == ACT_CGROUP_V2 && cg_host()->n) {
			int dir = cg_open(&cg_host()->tree[0], p->cgroup.path);

			cgroup = dir < 0 ? -1 : openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			if (dir >= 0)
				(void)close(dir);
		}
		for (;;) {
			c->job.wait_joined = p->cgroup.path && cgroup < 0;
			pid = spawn_in_pidns(c->ns[PLAN_NS_PID], flags, cgroup, &ret->pidfd);
			if (pid == 0) {
				(void)close(gate);
				child_create(c);
			}
			if (pid > 0 || cgroup < 0)
				break;
			fd_closep(&cgroup); /* born outside, joined afterwards */
		}
		*joined = cgroup >= 0;
		r = pid < 0 ? err_sys(e, pid, "fork into new namespaces") : 0;
		ret->pid = pid;
	}
	if (own_time >= 0 && setns(own_time, CLONE_NEWTIME) < 0)
		abort(); /* every later child would live in another time */
	return r;
}

/* ---- the talk ---- */
static int talk(const struct plan *p, const struct plan_process *proc, const struct act_opts *o, int gate,
		struct act_child *ret, struct err *e)
{
	for (;;) {
		AUTO_FD int fd = -1;
		struct gate_msg m;
		int r = gate_recv(gate, &m, &fd);

		if (r < 0)
			return err_sys(e, r, "hearing from container init");
		if (r == 0)
			return died(ret->pid, e);
		switch (m.kind) {
		case GATE_FAILED:
			return take_failure(&m, ret, e);
		case GATE_HOOK:
			r = act_hooks_run(p, HOOK_PRESTART, "creating", ret->pid, o->log_fd, e);
			if (r == 0)
				r = act_hooks_run(p, HOOK_CREATE_RUNTIME, "creating", ret->pid, o->log_fd, e);
			if (r == 0 && (r = gate_tell(gate, GATE_HOOKED)) < 0)
				r = err_sys(e, r, "answering container init");
			break;
		case GATE_SECCOMP:
			r = seccomp_notify(p, proc, ret->pid, fd, e);
			break;
		case GATE_TERMINAL:
			fd_closep(&ret->terminal);
			ret->terminal = TAKE_FD(fd);
			break;
		case GATE_READY:
			return 0;
		default:
			r = err_set(e, ERR_SYSTEM, "container init said something unknown");
		}
		if (r < 0)
			return r;
	}
}

static int collect(const struct plan *p, struct act_child *ret, struct err *e)
{
	char path[40];
	AUTO_FD int dir = -1, ns = -1;

	(void)snprintf(path, sizeof path, "/proc/%d", (int)ret->pid);
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0) {
		ns = openat(dir, "ns", O_PATH | O_DIRECTORY | O_CLOEXEC);
		ret->root_fd = openat(dir, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	for (int i = 0; i < PLAN_NS_COUNT && ns >= 0; i++)
		if (p->ns[i].mode) {
			ret->ns[i] = openat(ns, ns_name[i], O_RDONLY | O_CLOEXEC);
			if (ret->ns[i] < 0)
				return err_sys(e, -errno, "opening the %s namespace of container init", ns_name[i]);
		}
	return ret->root_fd < 0 ? err_sys(e, -errno, "opening the container's root") : 0;
}

static int after_fork(const struct plan *p, const struct act_opts *o, int gate, bool joined, struct act_child *ret,
		      struct err *e)
{
	int r = 0;

	if (r == 0 && p->ns[PLAN_NS_USER].mode == 1) {
		r = userns_write_maps(p, ret->pid, e);
		if (r == 0 && gate_tell(gate, GATE_MAPS) < 0)
			return talk(p, &p->process, o, gate, ret, e); /* it has failed already, and says how */
	}
	if (r == 0 && p->cgroup.path && !joined) {
		r = cg_join(p->cgroup.path, ret->pid, e);
		/* ESRCH: it has failed already */
		if (r == -ESRCH || (r == 0 && gate_tell(gate, GATE_JOINED) < 0))
			return talk(p, &p->process, o, gate, ret, e);
	}
	if (r == 0)
		r = talk(p, &p->process, o, gate, ret, e);
	if (r == 0 && p->ns[PLAN_NS_USER].mode) /* from inside it could not raise them */
		r = process_rlimits(&p->process, ret->pid, e);
	return r < 0 ? r : collect(p, ret, e);
}

static int create(const struct plan *p, const struct act_opts *o, struct made_mounts *made, int ns[PLAN_NS_COUNT],
		  struct act_child *ret, struct err *e)
{
	AUTO_FD int userns = -1, mine = -1, theirs = -1;
	struct child c = { .job = { .p = p,
				    .proc = &p->process,
				    .o = o,
				    .made = made,
				    .userns = p->ns[PLAN_NS_USER].mode != 0,
				    .wait_joined = p->cgroup.path != NULL,
				    .rootless = geteuid() != 0,
				    .m = { .root = -1 },
				    .lsm_fd = -1,
				    .null_fd = -1 } };
	bool joined = false;
	int pair[2], r;

	r = open_namespaces(p, o, ns, e);
	if (r == 0 && any_idmap(p)) {
		r = userns = ns[PLAN_NS_USER] >= 0 ? fcntl(ns[PLAN_NS_USER], F_DUPFD_CLOEXEC, 0)
						   : userns_for_mounts(p, e);
		if (r < 0)
			return r;
	}
	if (r >= 0)
		r = mounts_make(p, o, userns, made, e);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, -errno, "making the gate");
	mine = pair[0];
	theirs = pair[1];
	c.job.gate = theirs;
	memcpy(c.ns, ns, sizeof c.ns);
	r = fork_child(&c, ret, mine, theirs, &joined, e);
	if (r < 0)
		return r;
	fd_closep(&theirs); /* so that its death is an end of file */
	r = after_fork(p, o, mine, joined, ret, e);
	if (r == 0)
		ret->gate = TAKE_FD(mine);
	return r;
}

int act_create(const struct plan *p, const struct act_opts *o, struct act_child *ret, struct err *e)
{
	struct act_child c = ACT_CHILD_INIT;
	struct made_mounts made = { 0 };
	int ns[PLAN_NS_COUNT] = { -1, -1, -1, -1, -1, -1, -1, -1 }, r;
	bool have_cgroup = false;

	ret->failure = ACT_FAILED_SETUP;
	r = check(p, e);
	if (r == 0 && p->cgroup.path) {
		r = act_cgroup_make(&p->cgroup, o->cgroup_adopt, e);
		have_cgroup = r == 0;
	}
	if (r == 0)
		r = create(p, o, &made, ns, &c, e);
	mounts_done(&made);
	for (int i = 0; i < PLAN_NS_COUNT; i++)
		fd_closep(&ns[i]);
	if (r < 0) {
		ret->failure = c.failure ? c.failure : ACT_FAILED_SETUP;
		kill_child(&c);
		if (have_cgroup)
			(void)act_cgroup_remove(p->cgroup.path);
		return r;
	}
	*ret = c;
	return 0;
}

int act_start(struct act_child *c, struct err *e)
{
	AUTO_FD int gate = TAKE_FD(c->gate);
	struct gate_msg m;
	int r = gate_tell(gate, GATE_GO);

	if (r < 0) {
		c->failure = ACT_FAILED_SETUP;
		return died(c->pid, e);
	}
	r = gate_recv(gate, &m, NULL);
	if (r == 0) /* closed by the exec */
		return 0;
	if (r == 1)
		return take_failure(&m, c, e);
	c->failure = ACT_FAILED_SETUP;
	return err_sys(e, r, "hearing from container init");
}

int act_exec(const struct plan_process *p, const struct act_target *t, const struct act_opts *o, struct act_child *ret,
	     struct err *e)
{
	struct act_child a = ACT_CHILD_INIT;
	struct child c = { .job = { .proc = p,
				    .o = o,
				    .userns = t->ns && t->ns[PLAN_NS_USER] >= 0,
				    .wait_joined = t->cgroup != NULL,
				    .rootless = geteuid() != 0,
				    .m = { .root = -1 },
				    .lsm_fd = -1,
				    .null_fd = -1 },
			   .ns = { -1, -1, -1, -1, -1, -1, -1, -1 } };
	int pair[2], r = 0;

	ret->failure = ACT_FAILED_SETUP;
	if (!p->args || !p->args[0])
		return err_set(e, ERR_INVALID, "process args cannot be empty");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, -errno, "making the gate");
	c.job.gate = pair[1];
	a.pid = spawn_in_pidns(t->ns ? t->ns[PLAN_NS_PID] : -1, 0, -1, &a.pidfd);
	if (a.pid == 0) {
		(void)close(pair[0]);
		child_exec(&c, t);
	}
	(void)close(pair[1]);
	if (a.pid < 0) {
		/* A pid namespace whose init has ended gives no numbers any more. */
		r = a.pid == -ENOMEM ? err_set(e, ERR_CONFLICT, "cannot exec in a stopped container")
				     : err_sys(e, a.pid, "joining the container");
		a.pid = -1;
	}
	if (r == 0 && !str_empty(p->exec_cpu_affinity_initial))
		r = process_affinity(a.pid, p->exec_cpu_affinity_initial, e);
	if (r == 0 && t->cgroup) {
		r = cg_join(t->cgroup, a.pid, e);
		if (r == -EBUSY && act_cgroup_version() == ACT_CGROUP_V2 && t->init_pid > 0)
			r = cg_v2_join_beside(t->init_pid, a.pid);
		if (r == 0 || r == -ESRCH) {
			(void)gate_tell(pair[0], GATE_JOINED);
			r = 0;
		}
	}
	if (r == 0)
		r = talk(NULL, p, o, pair[0], &a, e);
	a.gate = pair[0];
	if (r == 0 && c.job.userns)
		r = process_rlimits(p, a.pid, e);
	if (r == 0)
		r = act_start(&a, e);
	if (r < 0) {
		ret->failure = a.failure ? a.failure : ACT_FAILED_SETUP;
		kill_child(&a);
		return r;
	}
	*ret = a;
	return 0;
}
