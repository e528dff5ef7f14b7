/* What is shown: state, list, ps, spec, features. */
#include "runtime/runtime_private.h"

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>

#include "plan/defaults.h"
#include "proc/proc.h"

/* As Go's json.MarshalIndent with two spaces. */
static void print_json(const struct json_type *type, const void *object)
{
	AUTO_STRB struct strb text = STRB_INIT, pretty = STRB_INIT;
	struct jval *tree = NULL;

	json_write(type, object, JSON_LATEST, &text);
	if (jval_parse(text.s, text.len, &json_limits_default, &tree, NULL) == 0)
		jval_write_indent(tree, "  ", &pretty);
	strb_addc(&pretty, '\n');
	(void)fd_write_all(STDOUT_FILENO, pretty.s, pretty.len);
	jval_free(tree);
}

int cmd_state(const struct args *a, struct err *e)
{
	AUTO_CONTAINER struct container c = CONTAINER_INIT;
	int r = container_load(a, a->rest[0], &c, e);

	if (r == 0)
		print_json(&runtime_state_type, &c.record.shown);
	return r;
}

struct rows {
	struct runtime_state *v;
	size_t n;
};

static int name_order(const void *a, const void *b)
{
	return strcmp(((const struct runtime_state *)a)->id, ((const struct runtime_state *)b)->id);
}

static int collect(const struct args *a, struct rows *ret, struct err *e)
{
	int fd = root_open(a, false, e);
	DIR *dir;

	if (fd < 0)
		return !a->root_given && fd == -ENOENT ? 0 : fd;
	dir = fdopendir(fd);
	if (!dir) {
		(void)close(fd);
		return err_sys(e, -ENOMEM, "listing %s", a->root);
	}
	for (struct dirent *d; (d = readdir(dir));) {
		struct container c = CONTAINER_INIT;
		struct stat st;

		if (d->d_name[0] == '.' || container_load(a, d->d_name, &c, NULL) < 0)
			continue;
		if (str_empty(c.record.shown.owner) && fstat(c.dir, &st) == 0) {
			free(c.record.shown.owner);
			c.record.shown.owner = st.st_uid ? xasprintf("#%u", st.st_uid) : xstrdup("root");
		}
		json_copy(&runtime_state_type, VEC_ADD(ret), &c.record.shown);
		container_done(&c);
	}
	(void)closedir(dir);
	if (ret->n)
		qsort(ret->v, ret->n, sizeof *ret->v, name_order);
	return 0;
}

/* Columns are as wide as their longest cell, at least 12, three apart: Go's tabwriter as runc uses it. */
static void print_table(const struct rows *rows)
{
	enum { COLUMNS = 6, WIDTH_MIN = 12, GAP = 3 };
	const char *head[COLUMNS] = { "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER" };
	int width[COLUMNS];

	for (int k = 0; k < COLUMNS; k++)
		width[k] = MAX((int)strlen(head[k]) + GAP, WIDTH_MIN);
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i <= rows->n; i++) {
			const struct runtime_state *s = i ? &rows->v[i - 1] : NULL;
			char pid[24];
			const char *cells[COLUMNS];

			(void)snprintf(pid, sizeof pid, "%jd", s ? (intmax_t)s->pid : 0);
			for (int k = 0; k < COLUMNS; k++)
				cells[k] = s ? ((const char *[]){ s->id, pid, s->status, s->bundle, s->created,
								  s->owner })[k]
					     : head[k];
			for (int k = 0; k < COLUMNS; k++) {
				const char *cell = cells[k] ? cells[k] : "";

				if (pass == 0)
					width[k] = MAX(width[k], (int)strlen(cell) + GAP);
				else
					(void)printf("%-*s", k < COLUMNS - 1 ? width[k] : 0, cell);
			}
			if (pass)
				(void)putchar('\n');
		}
}

int cmd_list(const struct args *a, struct err *e)
{
	const char *format = arg(a, "format");
	struct rows rows = { 0 };
	int r = collect(a, &rows, e);

	if (r < 0)
		return r;
	if (arg_has(a, "quiet")) {
		for (size_t i = 0; i < rows.n; i++)
			(void)puts(rows.v[i].id);
	} else if (!format || streq(format, "table")) {
		print_table(&rows);
	} else if (streq(format, "json")) {
		AUTO_STRB struct strb text = STRB_INIT;

		json_write_list(&runtime_state_type, rows.v, rows.n, JSON_LATEST, &text);
		(void)puts(rows.n ? strb_str(&text) : "null");
	} else {
		r = err_set(e, ERR_INVALID, "invalid format option");
	}
	for (size_t i = 0; i < rows.n; i++)
		json_done(&runtime_state_type, &rows.v[i]);
	free(rows.v);
	return r;
}

static int run_ps(const struct args *a, char **ret, struct err *e)
{
	AUTO_STRV struct strv argv = { 0 };
	int pipe_fds[2], status = 0, r;
	pid_t pid;

	strv_add(&argv, "ps");
	for (size_t i = 1; i < a->n_rest; i++)
		strv_add(&argv, a->rest[i]);
	if (a->n_rest == 1)
		strv_add(&argv, "-ef");
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "making a pipe");
	struct proc_fd out = { pipe_fds[1], STDOUT_FILENO };
	r = proc_spawn(
		&(struct proc_opts){ .path = "/bin/ps", .argv = argv.v, .envp = environ, .fds = &out, .n_fds = 1 },
		&pid, NULL);
	(void)close(pipe_fds[1]);
	if (r == 0) {
		r = fd_read_all(pipe_fds[0], CONFIG_MAX, ret, NULL);
		(void)proc_wait(pid, &status);
	}
	(void)close(pipe_fds[0]);
	if (r < 0 || status)
		return err_sys(e, r < 0 ? r : -EIO, "running ps");
	return 0;
}

/* The lines of ps whose PID column holds one of ours. */
static int print_processes(char *text, const struct act_pids *pids, struct err *e)
{
	int column = -1, k = 0;
	char *lines = text, *line = strsep(&lines, "\n");
	AUTO_STRV struct strv head = { 0 };

	strv_split(&head, line, " ");
	for (; k < (int)head.n; k++)
		if (streq(head.v[k], "PID"))
			column = k;
	if (column < 0)
		return err_set(e, ERR_INVALID, "couldn't find PID field in ps output");
	(void)puts(line);
	while ((line = strsep(&lines, "\n"))) {
		AUTO_STRV struct strv cells = { 0 };
		int64_t pid;

		strv_split(&cells, line, " ");
		if (cells.n <= (size_t)column || str_to_i64(cells.v[column], &pid) < 0)
			continue;
		for (size_t i = 0; i < pids->n; i++)
			if (pids->v[i] == pid)
				(void)puts(line);
	}
	return 0;
}

int cmd_ps(const struct args *a, struct err *e)
{
	AUTO_CONTAINER struct container c = CONTAINER_INIT;
	AUTO_FREE char *text = NULL;
	struct act_pids pids = { 0 };
	int r = container_load(a, a->rest[0], &c, e);

	if (r == 0 && c.record.cgroup) {
		r = act_cgroup_pids(c.record.cgroup, &pids);
		if (r < 0)
			r = c.status == STOPPED ? 0 : err_sys(e, r, "listing the container's processes");
	}
	if (r == 0 && streq(arg(a, "format"), "json")) {
		(void)printf(pids.n ? "[" : "null\n");
		for (size_t i = 0; i < pids.n; i++)
			(void)printf("%d%s", (int)pids.v[i], i + 1 < pids.n ? "," : "]\n");
	} else if (r == 0 && arg(a, "format") && !streq(arg(a, "format"), "table")) {
		r = err_set(e, ERR_INVALID, "invalid format option");
	} else if (r == 0) {
		r = run_ps(a, &text, e);
		if (r == 0)
			r = print_processes(text, &pids, e);
	}
	free(pids.v);
	return r;
}

int cmd_spec(const struct args *a, struct err *e)
{
	const char *bundle = arg(a, "bundle");
	AUTO_FREE char *path = path_join(str_empty(bundle) ? "." : bundle, "config.json");
	AUTO_STRB struct strb text = STRB_INIT, pretty = STRB_INIT;
	struct oci_spec spec = { 0 };
	struct jval *tree = NULL;
	int r;

	if (access(path, F_OK) == 0)
		return err_set(e, ERR_CONFLICT, "File config.json exists. Remove it first");
	spec_runtime_example(arg_has(a, "rootless"), &spec);
	json_write(&oci_spec_type, &spec, JSON_LATEST, &text);
	json_done(&oci_spec_type, &spec);
	r = jval_parse(text.s, text.len, &json_limits_default, &tree, e);
	if (r < 0)
		return r;
	jval_write_indent(tree, "\t", &pretty);
	strb_addc(&pretty, '\n');
	jval_free(tree);
	r = file_write(AT_FDCWD, path, pretty.s, pretty.len, 0666);
	return r < 0 ? err_sys(e, r, "writing %s", path) : 0;
}

static void list(struct strb *out, const char *name, const char *words)
{
	AUTO_STRV struct strv v = { 0 };

	strv_split(&v, words, " ");
	json_add_str(out, name);
	strb_addc(out, ':');
	for (size_t i = 0; i < v.n; i++) {
		strb_addc(out, i ? ',' : '[');
		json_add_str(out, v.v[i]);
	}
	strb_adds(out, "],");
}

int cmd_features(const struct args *a, struct err *e)
{
	AUTO_STRB struct strb out = STRB_INIT, pretty = STRB_INIT, words = STRB_INIT;
	struct jval *tree = NULL;
	int r;

	strb_adds(&out, "{\"ociVersionMin\":\"1.0.0\",\"ociVersionMax\":\"" OCI_VERSION "\",");
	list(&out, "hooks", "prestart createRuntime createContainer startContainer poststart poststop");
	for (size_t i = 0; plan_mount_option_name(i); i++)
		strb_addf(&words, "%s ", plan_mount_option_name(i));
	list(&out, "mountOptions", strb_str(&words));
	strb_adds(&out, "\"linux\":{");
	list(&out, "namespaces", "cgroup ipc mount network pid time user uts");
	strb_clear(&words);
	for (unsigned i = 0; i < plan_cap_count(); i++)
		strb_addf(&words, "%s ", plan_cap_name(i));
	list(&out, "capabilities", strb_str(&words));
	strb_adds(&out, "\"cgroup\":{\"v1\":true,\"v2\":true,\"systemd\":false,\"systemdUser\":false,\"rdma\":false},"
			"\"seccomp\":{\"enabled\":true,");
	list(&out, "actions",
	     "SCMP_ACT_ALLOW SCMP_ACT_ERRNO SCMP_ACT_KILL SCMP_ACT_KILL_PROCESS SCMP_ACT_KILL_THREAD SCMP_ACT_LOG "
	     "SCMP_ACT_NOTIFY "
	     "SCMP_ACT_TRACE SCMP_ACT_TRAP");
	list(&out, "operators",
	     "SCMP_CMP_EQ SCMP_CMP_GE SCMP_CMP_GT SCMP_CMP_LE SCMP_CMP_LT SCMP_CMP_MASKED_EQ SCMP_CMP_NE");
	list(&out, "archs",
	     "SCMP_ARCH_AARCH64 SCMP_ARCH_ARM SCMP_ARCH_MIPS SCMP_ARCH_MIPS64 SCMP_ARCH_MIPS64N32 SCMP_ARCH_MIPSEL "
	     "SCMP_ARCH_MIPSEL64 "
	     "SCMP_ARCH_MIPSEL64N32 SCMP_ARCH_PPC SCMP_ARCH_PPC64 SCMP_ARCH_PPC64LE SCMP_ARCH_RISCV64 SCMP_ARCH_S390 "
	     "SCMP_ARCH_S390X "
	     "SCMP_ARCH_X32 SCMP_ARCH_X86 SCMP_ARCH_X86_64");
	list(&out, "knownFlags",
	     "SECCOMP_FILTER_FLAG_LOG SECCOMP_FILTER_FLAG_SPEC_ALLOW SECCOMP_FILTER_FLAG_TSYNC "
	     "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV");
	out.len--; /* the last list's comma */
	strb_adds(&out,
		  "},\"apparmor\":{\"enabled\":true},\"selinux\":{\"enabled\":true},\"intelRdt\":{\"enabled\":false},"
		  "\"memoryPolicy\":{\"modes\":null,\"flags\":null},\"mountExtensions\":{\"idmap\":{\"enabled\":true}},"
		  "\"netDevices\":{\"enabled\":false}},\"annotations\":{\"io.github.seccomp.libseccomp.version\":\"2.5."
		  "4\","
		  "\"hoy.version\":\"" HOY_VERSION "\"}}");
	r = jval_parse(out.s, out.len, &json_limits_default, &tree, e);
	if (r < 0)
		return r;
	jval_write_indent(tree, "    ", &pretty);
	jval_free(tree);
	(void)puts(strb_str(&pretty));
	return 0;
}
