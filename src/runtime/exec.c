/* exec: a further process in a running container. */
#include "runtime/runtime_private.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/kernel.h"
#include "proc/proc.h"

static const char *const ns_files[PLAN_NS_COUNT] = {
	[PLAN_NS_USER] = "user", [PLAN_NS_PID] = "pid", [PLAN_NS_NET] = "net",       [PLAN_NS_IPC] = "ipc",
	[PLAN_NS_MNT] = "mnt",   [PLAN_NS_UTS] = "uts", [PLAN_NS_CGROUP] = "cgroup", [PLAN_NS_TIME] = "time",
};

/* Those of the container's namespaces that are not ours anyway. */
static int open_namespaces(pid_t pid, int ret[PLAN_NS_COUNT], struct err *e)
{
	for (int i = 0; i < PLAN_NS_COUNT; i++) {
		char theirs[48], ours[48];
		struct stat a, b;

		ret[i] = -1;
		(void)snprintf(theirs, sizeof theirs, "/proc/%d/ns/%s", (int)pid, ns_files[i]);
		(void)snprintf(ours, sizeof ours, "/proc/self/ns/%s", ns_files[i]);
		if (stat(theirs, &a) < 0 || stat(ours, &b) < 0) {
			if (errno == ENOENT && i >= PLAN_NS_CGROUP)
				continue; /* an older kernel */
			return err_sys(e, -errno, "opening the container's %s namespace", ns_files[i]);
		}
		if (a.st_ino == b.st_ino && a.st_dev == b.st_dev)
			continue;
		ret[i] = open(theirs, O_RDONLY | O_CLOEXEC);
		if (ret[i] < 0)
			return err_sys(e, -errno, "opening the container's %s namespace", ns_files[i]);
	}
	return 0;
}

static int read_process(const char *file, struct oci_process *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t n = 0;
	int r = file_read(AT_FDCWD, file, CONFIG_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, r, "reading %s", file);
	return json_read(&oci_process_type, text, n, &json_limits_default, ret, e);
}

static void add_caps(struct oci_process *p, const struct strv *caps)
{
	struct strv *sets[] = { &p->capabilities.bounding, &p->capabilities.effective, &p->capabilities.permitted };

	for (size_t i = 0; i < caps->n; i++)
		for (size_t k = 0; k < ARRAY_LEN(sets); k++)
			if (!strv_has(sets[k], caps->v[i]))
				strv_add(sets[k], caps->v[i]);
}

static void replace(char **to, const char *value)
{
	if (!value)
		return;
	free(*to);
	*to = xstrdup(value);
}

/* The container's own process, changed by the options: as runc. */
static int process_from_args(const struct args *a, const struct oci_spec *spec, struct oci_process *p, struct err *e)
{
	AUTO_STRV struct strv env = { 0 }, caps = { 0 }, gids = { 0 };

	json_copy(&oci_process_type, p, &spec->process);
	p->terminal = arg_has(a, "tty");
	if (a->n_rest < 2)
		return err_set(e, ERR_INVALID, "process args cannot be empty");
	strv_done(&p->args);
	for (size_t i = 1; i < a->n_rest; i++)
		strv_add(&p->args, a->rest[i]);
	replace(&p->cwd, arg(a, "cwd"));
	replace(&p->apparmor, arg(a, "apparmor"));
	replace(&p->selinux, arg(a, "process-label"));
	arg_all(a, "env", &env);
	arg_all(a, "cap", &caps);
	arg_all(a, "additional-gids", &gids);
	for (size_t i = 0; i < env.n; i++)
		strv_env_set(&p->env, env.v[i]);
	for (size_t i = 0; i < caps.n; i++)
		if (plan_cap_number(caps.v[i]) < 0)
			return err_set(e, ERR_INVALID, "unknown capability \"%s\"", caps.v[i]);
	add_caps(p, &caps);
	for (size_t i = 0; i < gids.n; i++) {
		int64_t gid;

		if (str_to_i64(gids.v[i], &gid) < 0)
			return err_set(e, ERR_INVALID, "invalid additional group \"%s\"", gids.v[i]);
		*VEC_ADD(&p->user.additional_gids) = gid;
	}
	p->no_new_privs |= arg_has(a, "no-new-privs");
	return 0;
}

/* "5", "5:6": numbers, checked strictly (CVE-2026-30892); anything else is a name for the container's own passwd. */
static void user_from_args(const char *user, struct oci_process *p, struct plan_env *env)
{
	uint32_t uid, gid = 0;
	AUTO_FREE char *first = NULL;
	const char *colon = user ? strchr(user, ':') : NULL;

	if (str_empty(user))
		return;
	first = xstrndup(user, colon ? (size_t)(colon - user) : strlen(user));
	if (str_to_u32(first, 10, &uid) < 0 || (colon && str_to_u32(colon + 1, 10, &gid) < 0)) {
		env->user = user;
		return;
	}
	p->user.uid = uid;
	if (colon)
		p->user.gid = gid;
}

static int sub_cgroup(const struct args *a, const struct container *c, char **ret, struct err *e)
{
	const char *sub = arg(a, "cgroup");

	if (!sub) {
		*ret = xstrdup(c->record.cgroup);
		return 0;
	}
	AUTO_FREE char *clean = path_clean(sub);
	if (strstr(sub, ".."))
		return err_set(e, ERR_INVALID, "--cgroup: \"%s\" must not contain \"..\"", sub);
	*ret = streq(clean, "/") || streq(clean, ".") ? xstrdup(c->record.cgroup)
						      : path_join(c->record.cgroup ? c->record.cgroup : "", clean);
	return 0;
}

static int start(const struct args *a, const struct container *c, const struct plan_process *p,
		 const struct act_opts *o, struct act_child *child, struct err *e)
{
	int ns[PLAN_NS_COUNT] = { -1, -1, -1, -1, -1, -1, -1, -1 };
	AUTO_FD int init = container_pidfd(c);
	AUTO_FREE char *cgroup = NULL;
	int r = init < 0 ? err_set(e, ERR_CONFLICT, "cannot exec in a stopped container") : 0;

	if (r == 0)
		r = sub_cgroup(a, c, &cgroup, e);
	if (r == 0)
		r = open_namespaces((pid_t)c->record.shown.pid, ns, e);
	if (r == 0) {
		struct act_target t = {
			.ns = ns, .init_pidfd = init, .init_pid = (pid_t)c->record.shown.pid, .cgroup = cgroup
		};

		r = act_exec(p, &t, o, child, e);
	}
	for (int i = 0; i < PLAN_NS_COUNT; i++)
		fd_closep(&ns[i]);
	return r;
}

static int check_status(const struct args *a, const struct container *c, struct err *e)
{
	if (c->status == STOPPED)
		return err_set(e, ERR_CONFLICT, "cannot exec in a stopped container");
	if (c->status == PAUSED && !arg_has(a, "ignore-paused"))
		return err_set(e, ERR_CONFLICT, "cannot exec in a paused container (use --ignore-paused to override)");
	return 0;
}

static int follow(const struct args *a, struct act_child *child, bool detach, int *ret_code, struct err *e)
{
	int r = 0;

	if (detach && child->terminal >= 0)
		r = console_send(arg(a, "console-socket"), child->terminal, e);
	if (r == 0 && !str_empty(arg(a, "pidfd-socket")))
		r = console_send(arg(a, "pidfd-socket"), child->pidfd, e);
	if (r == 0)
		r = pid_file_write(arg(a, "pid-file"), child->pid, e);
	if (r < 0) {
		(void)sys_pidfd_send_signal(child->pidfd, 9);
		(void)proc_wait(child->pid, &(int){ 0 });
	} else if (!detach) {
		*ret_code = foreground(child);
	}
	return r;
}

int cmd_exec(const struct args *a, struct err *e)
{
	AUTO_CONTAINER struct container c = CONTAINER_INIT;
	struct act_child child = ACT_CHILD_INIT;
	struct plan_arena arena = PLAN_ARENA_INIT;
	struct oci_process process = { 0 };
	struct oci_spec spec = { 0 };
	bool detach = arg_has(a, "detach");
	struct plan_process plan;
	struct plan_env env;
	struct act_opts o = ACT_OPTS_INIT;
	int code = 0, r = stdio_options(a, &o, e);

	if (r == 0)
		r = container_load(a, a->rest[0], &c, e);
	if (r == 0)
		r = check_status(a, &c, e);
	if (r == 0)
		r = container_config(&c, &spec, e);
	environment(a, &env);
	if (r == 0)
		r = arg(a, "process") ? read_process(arg(a, "process"), &process, e)
				      : process_from_args(a, &spec, &process, e);
	if (r == 0) {
		user_from_args(arg(a, "user"), &process, &env);
		r = plan_process_build(&process, spec.linux_.seccomp, &env, &arena, &plan, e);
	}
	if (r == 0)
		r = check_console(a, process.terminal, detach, e);
	if (r == 0 && !detach)
		foreground_prepare();
	if (r == 0)
		r = start(a, &c, &plan, &o, &child, e);
	if (r == 0)
		r = follow(a, &child, detach, &code, e);
	free((int *)o.keep_fds);
	act_child_done(&child);
	plan_arena_done(&arena);
	json_done(&oci_process_type, &process);
	json_done(&oci_spec_type, &spec);
	return r < 0 ? r : code;
}
