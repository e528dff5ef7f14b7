/* create, start, run: from a bundle to a process. Between create and start nobody waits who was asked to: a small copy of us, the
 * keeper, holds the container's gate and answers one request on start.sock. It ends with the container's start, or its death. */
#include "runtime/runtime_private.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/kernel.h"
#include "proc/proc.h"

enum { STAGE_POSTSTART = 4 };

struct making { /* everything about a container that is being made */
	const struct args *a;
	char *bundle, *config;
	size_t n_config;
	struct oci_spec spec;
	struct plan_arena arena;
	struct strv warnings;
	struct plan plan;
	struct container c;
	struct act_child child;
};
#define MAKING_INIT(args) ((struct making){ .a = (args), .c = CONTAINER_INIT, .child = ACT_CHILD_INIT })

static void making_done(struct making *m)
{
	free(m->bundle);
	free(m->config);
	json_done(&oci_spec_type, &m->spec);
	plan_arena_done(&m->arena);
	strv_done(&m->warnings);
	container_done(&m->c);
	act_child_done(&m->child);
}

static int read_bundle(struct making *m, struct err *e)
{
	const char *dir = arg(m->a, "bundle"), *file = arg(m->a, "config");
	AUTO_FREE char *path = NULL;
	int r;

	m->bundle = realpath(str_empty(dir) ? "." : dir, NULL);
	if (!m->bundle)
		return err_sys(e, -errno, "chdir %s", dir ? dir : ".");
	path = str_empty(file) ? path_join(m->bundle, "config.json") : xstrdup(file);
	r = file_read(AT_FDCWD, path, CONFIG_MAX, &m->config, &m->n_config);
	if (r == -ENOENT)
		return err_set(e, ERR_INVALID, "JSON specification file %s not found",
			       str_empty(file) ? "config.json" : file);
	if (r < 0)
		return err_sys(e, r, "reading %s", path);
	r = json_read(&oci_spec_type, m->config, m->n_config, &json_limits_default, &m->spec, e);
	return r < 0 ? err_wrap(e, r, "%s", path) : 0;
}

static int make_plan(struct making *m, const char *id, struct err *e)
{
	struct plan_env env;
	int r;

	environment(m->a, &env);
	env.id = id;
	env.bundle = m->bundle;
	env.warnings = &m->warnings;
	env.late |= PLAN_LATE_CWD_MAKE;
	r = plan_build(&m->spec, &env, &m->arena, &m->plan, e);
	for (size_t i = 0; i < m->warnings.n; i++)
		log_warn("%s", m->warnings.v[i]);
	return r;
}

static void fill_record(struct making *m, const char *id)
{
	struct runtime_record *r = &m->c.record;
	char when[TIME_TEXT_MAX];
	const char *slot;

	time_format(time_now_ns(), when);
	r->shown.oci_version = xstrdup(m->spec.oci_version);
	r->shown.id = xstrdup(id);
	r->shown.bundle = xstrdup(m->bundle);
	r->shown.created = xstrdup(when);
	r->shown.owner = xstrdup("");
	slot = m->plan.mounts[0].source;
	r->shown.rootfs = xstrdup(slot ? slot : "");
	strmap_copy(&r->shown.annotations, &m->spec.annotations);
	r->cgroup = xstrdup(m->plan.cgroup.path);
	r->own_pidns = m->plan.ns[PLAN_NS_PID].mode == 1;
}

static int announce(struct making *m, bool detach, struct err *e)
{
	struct runtime_record *r = &m->c.record;
	const char *pidfd_socket = arg(m->a, "pidfd-socket");
	int err = 0;

	r->shown.pid = m->child.pid;
	r->pid_start = pid_start_time(m->child.pid);
	if (detach && m->child.terminal >= 0)
		err = console_send(arg(m->a, "console-socket"), m->child.terminal, e);
	if (err == 0 && !str_empty(pidfd_socket))
		err = console_send(pidfd_socket, m->child.pidfd, e);
	if (err == 0)
		err = container_save(&m->c, e);
	if (err == 0)
		err = pid_file_write(arg(m->a, "pid-file"), m->child.pid, e);
	return err;
}

static void undo(struct making *m, const char *id)
{
	if (m->child.pid > 0) {
		(void)sys_pidfd_send_signal(m->child.pidfd, SIGKILL);
		(void)proc_wait(m->child.pid, &(int){ 0 });
	}
	if (m->plan.cgroup.path) {
		(void)act_cgroup_kill(m->plan.cgroup.path);
		(void)act_cgroup_remove(m->plan.cgroup.path);
	}
	(void)container_remove(m->a, id);
}

static int make(struct making *m, bool detach, struct err *e)
{
	const char *id = m->a->rest[0];
	struct act_opts o = ACT_OPTS_INIT;
	int r = stdio_options(m->a, &o, e);

	if (r == 0)
		r = container_id_check(id, e);
	if (r == 0)
		r = read_bundle(m, e);
	if (r == 0)
		r = make_plan(m, id, e);
	if (r == 0)
		r = check_console(m->a, m->plan.process.terminal, detach, e);
	if (r == 0)
		r = container_dir_make(m->a, id, &m->c.dir, e);
	if (r == 0) {
		fill_record(m, id);
		r = act_create(&m->plan, &o, &m->child, e);
		if (r < 0) {
			m->child = ACT_CHILD_INIT; /* act has undone it all */
			(void)container_remove(m->a, id);
		}
	}
	free((int *)o.keep_fds);
	if (r < 0)
		return r;
	r = file_write(m->c.dir, "config.json", m->config, m->n_config, 0600);
	if (r < 0)
		r = err_sys(e, r, "keeping the container's configuration");
	if (r == 0)
		r = announce(m, detach, e);
	if (r < 0)
		undo(m, id);
	return r;
}

/* ---- the keeper ---- */
struct start_reply {
	int32_t failed; /* 0 or negative errno */
	char msg[1024];
};

static void __attribute__((noreturn)) keep(struct making *m, int listener)
{
	struct pollfd fds[] = { { .fd = m->child.pidfd, .events = POLLIN }, { .fd = listener, .events = POLLIN } };
	struct start_reply reply = { 0 };
	struct err e = ERR_INIT;
	char request;

	while (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno == EINTR)
		;
	if (!fds[1].revents)
		_exit(0);
	AUTO_FD int s = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (s < 0 || read(s, &request, 1) != 1)
		_exit(1);
	reply.failed = act_start(&m->child, &e);
	(void)snprintf(reply.msg, sizeof reply.msg, "%s", e.msg);
	(void)unlinkat(m->c.dir, "start.sock", 0);
	(void)send(s, &reply, sizeof reply, MSG_NOSIGNAL);
	_exit(0);
}

static void close_all_but(const int *keep_fds, size_t n)
{
	unsigned from = 0;

	for (;;) {
		unsigned next = UINT_MAX;

		for (size_t i = 0; i < n; i++)
			if (keep_fds[i] >= 0 && (unsigned)keep_fds[i] >= from)
				next = MIN(next, (unsigned)keep_fds[i]);
		if (next == UINT_MAX)
			break;
		if (next > from)
			(void)sys_close_range(from, next - 1, 0);
		from = next + 1;
	}
	(void)sys_close_range(from, UINT_MAX, 0);
}

static int keeper_start(struct making *m, struct err *e)
{
	AUTO_FD int listener = sock_listen(m->c.dir, "start.sock", SOCK_SEQPACKET, 0600);
	pid_t pid;

	if (listener < 0)
		return err_sys(e, listener, "making start.sock");
	pid = fork();
	if (pid < 0)
		return err_sys(e, -errno, "forking the keeper");
	if (pid > 0)
		return 0;
	(void)setsid();
	(void)chdir("/");
	(void)prctl(PR_SET_NAME, "hoy-keeper");
	close_all_but((int[]){ listener, m->child.gate, m->child.pidfd, m->c.dir },
		      4); /* else our caller waits for our stdout */
	keep(m, listener);
}

int cmd_create(const struct args *a, struct err *e)
{
	struct making m = MAKING_INIT(a);
	int r = make(&m, true, e);

	if (r == 0) {
		r = keeper_start(&m, e);
		if (r < 0)
			undo(&m, a->rest[0]);
	}
	making_done(&m);
	return r;
}

static int poststart(const struct plan *p, pid_t pid, struct err *e)
{
	return act_hooks_run(p, STAGE_POSTSTART, "running", pid, -1, e);
}

int cmd_run(const struct args *a, struct err *e)
{
	struct making m = MAKING_INIT(a);
	bool detach = arg_has(a, "detach");
	int r = make(&m, detach, e), code = 0;

	if (r == 0) {
		if (!detach)
			foreground_prepare();
		r = act_start(&m.child, e);
		if (r == 0)
			r = poststart(&m.plan, m.child.pid, e);
		if (r < 0)
			undo(&m, a->rest[0]);
		else if (!detach)
			code = foreground(&m.child);
		if (r == 0 && !detach && !arg_has(a, "keep")) {
			m.c.status = STOPPED;
			r = destroy(a, &m.c, e);
		}
	}
	making_done(&m);
	return r < 0 ? r : code;
}

static int ask_keeper(const struct container *c, struct err *e)
{
	AUTO_FD int s = sock_connect(c->dir, "start.sock", SOCK_SEQPACKET);
	struct start_reply reply = { 0 };

	if (s < 0 || send(s, "s", 1, MSG_NOSIGNAL) != 1 || recv(s, &reply, sizeof reply, 0) != sizeof reply)
		return err_set(e, ERR_CONFLICT, "cannot start a container that has stopped");
	reply.msg[sizeof reply.msg - 1] = 0;
	return reply.failed < 0 ? err_set(e, ERR_SYSTEM, "%s", reply.msg) : 0;
}

static int poststart_later(const struct args *a, const struct container *c, struct err *e)
{
	struct oci_spec spec = { 0 };
	struct plan_arena arena = PLAN_ARENA_INIT;
	struct plan_env env;
	struct plan p;
	int r = container_config(c, &spec, e);

	environment(a, &env);
	env.id = c->record.shown.id;
	env.bundle = c->record.shown.bundle;
	if (r == 0 && spec.hooks.poststart.n) {
		r = plan_build(&spec, &env, &arena, &p, e);
		if (r == 0)
			r = poststart(&p, (pid_t)c->record.shown.pid, e);
	}
	plan_arena_done(&arena);
	json_done(&oci_spec_type, &spec);
	return r;
}

int cmd_start(const struct args *a, struct err *e)
{
	AUTO_CONTAINER struct container c = CONTAINER_INIT;
	int r = container_load(a, a->rest[0], &c, e);

	if (r < 0)
		return r;
	switch (c.status) {
	case CREATED:
		r = ask_keeper(&c, e);
		return r < 0 ? r : poststart_later(a, &c, e);
	case STOPPED:
		return err_set(e, ERR_CONFLICT, "cannot start a container that has stopped");
	case RUNNING:
		return err_set(e, ERR_CONFLICT, "cannot start an already running container");
	default:
		return err_set(e, ERR_CONFLICT, "cannot start a container in the %s state", status_name(c.status));
	}
}
