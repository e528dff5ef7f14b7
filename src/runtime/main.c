/* The command line: tables of options, dispatch, and how errors are told. */
#include "runtime/runtime_private.h"

#include <fcntl.h>

/* clang-format off */
#define HELP { 'h', "help", NULL, "show help" }
#define END { 0, NULL, NULL, NULL }
#define START_OPTIONS \
	{ 'b', "bundle", "DIR", "path to the root of the bundle directory, default is the current directory" }, \
	{ 'f', "config", "FILE", "configuration file, default is config.json in the bundle" }, \
	{ 0, "console-socket", "SOCKET", "unix socket that is sent the master side of the terminal" }, \
	{ 0, "pidfd-socket", "SOCKET", "unix socket that is sent a pidfd of the process" }, \
	{ 0, "pid-file", "FILE", "file to write the process id to" }, \
	{ 0, "no-pivot", NULL, "do not use pivot_root (for an initramfs)" }, \
	{ 0, "no-new-keyring", NULL, "do not create a new session keyring" }, \
	{ 0, "no-subreaper", NULL, "accepted for compatibility" }, \
	{ 0, "preserve-fds", "N", "pass N more file descriptors to the process (stdio + N)" }
static const struct option_row create_options[] = { START_OPTIONS, HELP, END };
static const struct option_row run_options[] = {
	START_OPTIONS, { 'd', "detach", NULL, "do not wait for the container" },
	{ 0, "keep", NULL, "do not delete the container after it exits" }, HELP, END };
static const struct option_row exec_options[] = {
	{ 0, "console-socket", "SOCKET", "unix socket that is sent the master side of the terminal" },
	{ 0, "pidfd-socket", "SOCKET", "unix socket that is sent a pidfd of the process" },
	{ 0, "cwd", "DIR", "working directory in the container" },
	{ 'e', "env", "NAME=VALUE", "set an environment variable" },
	{ 't', "tty", NULL, "allocate a terminal" },
	{ 'u', "user", "UID[:GID]", "user and group" },
	{ 'g', "additional-gids", "GID", "additional group" },
	{ 'p', "process", "FILE", "process.json" },
	{ 'd', "detach", NULL, "do not wait for the process" },
	{ 0, "pid-file", "FILE", "file to write the process id to" },
	{ 0, "process-label", "LABEL", "SELinux label" },
	{ 0, "apparmor", "PROFILE", "AppArmor profile" },
	{ 0, "no-new-privs", NULL, "set no_new_privs" },
	{ 'c', "cap", "CAP", "add a capability" },
	{ 0, "preserve-fds", "N", "pass N more file descriptors to the process (stdio + N)" },
	{ 0, "cgroup", "PATH", "run the process in this sub-cgroup" },
	{ 0, "ignore-paused", NULL, "exec in a paused container, too" }, HELP, END };
static const struct option_row kill_options[] = { { 'a', "all", NULL, "signal all processes of the container" }, HELP, END };
static const struct option_row delete_options[] = { { 'f', "force", NULL, "kill the container if it still runs" }, HELP, END };
static const struct option_row list_options[] = {
	{ 'f', "format", "FORMAT", "table or json" }, { 'q', "quiet", NULL, "only ids" }, HELP, END };
static const struct option_row ps_options[] = { { 'f', "format", "FORMAT", "table or json" }, HELP, END };
static const struct option_row spec_options[] = {
	{ 'b', "bundle", "DIR", "directory to write config.json to" }, { 0, "rootless", NULL, "for a container without root" }, HELP, END };
static const struct option_row update_options[] = {
	{ 'r', "resources", "FILE", "resources as JSON; - is standard input" },
	{ 0, "blkio-weight", "N", "block IO weight" }, { 0, "cpu-period", "US", "CPU CFS period" },
	{ 0, "cpu-quota", "US", "CPU CFS quota" }, { 0, "cpu-burst", "US", "CPU CFS burst" },
	{ 0, "cpu-share", "N", "CPU shares" }, { 0, "cpu-rt-period", "US", "realtime period" },
	{ 0, "cpu-rt-runtime", "US", "realtime runtime" }, { 0, "cpuset-cpus", "LIST", "processors" },
	{ 0, "cpuset-mems", "LIST", "memory nodes" }, { 0, "cpu-idle", "0|1", "SCHED_IDLE" },
	{ 0, "memory", "BYTES", "memory limit" }, { 0, "memory-reservation", "BYTES", "soft limit" },
	{ 0, "memory-swap", "BYTES", "memory and swap" }, { 0, "pids-limit", "N", "number of processes; -1 = no limit" }, HELP, END };
static const struct option_row plain_options[] = { HELP, END };
static const struct option_row global_options[] = {
	{ 0, "root", "DIR", "where the state of containers is kept (default " DEFAULT_ROOT ")" },
	{ 0, "log", "FILE", "write the log there instead of to standard error" },
	{ 0, "log-format", "FORMAT", "text or json" },
	{ 0, "log-level", "LEVEL", "error, warning or debug" },
	{ 0, "debug", NULL, "log more" },
	{ 0, "rootless", "VALUE", "true, false or auto; accepted for compatibility" },
	{ 0, "systemd-cgroup", NULL, "not supported" },
	{ 0, "cgroup-manager", "NAME", "cgroupfs" },
	{ 0, "criu", "PATH", "accepted for compatibility" },
	{ 'v', "version", NULL, "show the version" }, HELP, END };

static const struct command {
	const char *name;
	int (*run)(const struct args *a, struct err *e);
	const struct option_row *options;
	const char *usage;
	size_t min, max; /* positional arguments */
	int failed; /* exit code of an error */
	const char *prefix; /* put before errors, as runc does */
} commands[] = {
	{ "create", cmd_create, create_options, "ID", 1, 1, 1, "create failed: " },
	{ "delete", cmd_delete, delete_options, "ID", 1, 1, 1, "" },
	{ "exec", cmd_exec, exec_options, "ID COMMAND [ARG...]", 1, SIZE_MAX, 255, "exec failed: " },
	{ "features", cmd_features, plain_options, "", 0, 0, 1, "" },
	{ "kill", cmd_kill, kill_options, "ID [SIGNAL]", 1, 2, 1, "" },
	{ "list", cmd_list, list_options, "", 0, 0, 1, "" },
	{ "pause", cmd_pause, plain_options, "ID", 1, 1, 1, "" },
	{ "ps", cmd_ps, ps_options, "ID [PS-OPTION...]", 1, SIZE_MAX, 1, "" },
	{ "resume", cmd_resume, plain_options, "ID", 1, 1, 1, "" },
	{ "run", cmd_run, run_options, "ID", 1, 1, 1, "run failed: " },
	{ "spec", cmd_spec, spec_options, "", 0, 0, 1, "" },
	{ "start", cmd_start, plain_options, "ID", 1, 1, 1, "" },
	{ "state", cmd_state, plain_options, "ID", 1, 1, 1, "" },
	{ "update", cmd_update, update_options, "ID", 1, 1, 1, "" },
};
/* clang-format on */

const char *arg(const struct args *a, const char *name)
{
	for (size_t i = a->given.n; i-- > 0;)
		if (streq(a->given.v[i].row->name, name))
			return a->given.v[i].value;
	return NULL;
}

bool arg_has(const struct args *a, const char *name)
{
	const char *v = arg(a, name);

	return v && !streq(v, "false");
}

void arg_all(const struct args *a, const char *name, struct strv *ret)
{
	for (size_t i = 0; i < a->given.n; i++)
		if (streq(a->given.v[i].row->name, name))
			strv_add(ret, a->given.v[i].value);
}

int arg_i64(const struct args *a, const char *name, int64_t otherwise, int64_t *ret, struct err *e)
{
	const char *v = arg(a, name);

	*ret = otherwise;
	if (v && str_to_i64(v, ret) < 0)
		return err_set(e, ERR_INVALID, "invalid value \"%s\" for --%s", v, name);
	return 0;
}

static const struct option_row *option_find(const struct option_row *rows, const char *name, size_t n)
{
	for (; rows->name; rows++)
		if ((n == 1 && rows->letter == name[0]) ||
		    (strlen(rows->name) == n && strncmp(rows->name, name, n) == 0))
			return rows;
	return NULL;
}

/* Options up to the first positional argument: Go's grammar (-name, --name, --name=value), short ones also with the value
 * glued on. Returns how many words were taken. */
static int parse(struct args *a, const struct option_row *rows, char **words, struct err *e)
{
	int n = 0;

	for (; words[n] && words[n][0] == '-' && words[n][1]; n++) {
		const char *name = words[n] + (words[n][1] == '-' ? 2 : 1), *eq = strchr(name, '=');
		const struct option_row *row;
		const char *value = "";

		if (!*name)
			return n + 1;
		row = option_find(rows, name, eq ? (size_t)(eq - name) : strlen(name));
		if (!row && words[n][1] != '-') { /* -uroot, -it */
			row = option_find(rows, name, 1);
			eq = row && row->value ? name : NULL;
			for (const char *p = name; row && !row->value && p[1]; p++) {
				*VEC_ADD(&a->given) = (struct arg_value){ row, "" };
				row = option_find(rows, p + 1, 1);
			}
		}
		if (!row)
			return err_set(e, ERR_INVALID, "flag provided but not defined: %s", words[n]);
		if (eq)
			value = eq + 1;
		else if (row->value && !words[n + 1])
			return err_set(e, ERR_INVALID, "flag needs an argument: %s", words[n]);
		else if (row->value)
			value = words[++n];
		*VEC_ADD(&a->given) = (struct arg_value){ row, value };
	}
	return n;
}

static void print_options(const struct option_row *rows)
{
	for (; rows->name; rows++) {
		char left[64];

		(void)snprintf(left, sizeof left, "%s%c%s--%s %s", rows->letter ? "-" : " ",
			       rows->letter ? rows->letter : ' ', rows->letter ? ", " : "  ", rows->name,
			       rows->value ? rows->value : "");
		(void)printf("   %-32s %s\n", left, rows->help);
	}
}

static int help(const struct command *c)
{
	if (c) {
		(void)printf("USAGE:\n   hoy-runtime %s [options] %s\n\nOPTIONS:\n", c->name, c->usage);
		print_options(c->options);
		return 0;
	}
	(void)puts("hoy-runtime - runs containers as the Open Container Initiative specifies\n\n"
		   "USAGE:\n   hoy-runtime [global options] COMMAND [options] [arguments...]\n\nCOMMANDS:");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		(void)printf("   %-10s %s\n", commands[i].name, commands[i].usage);
	(void)puts("\nGLOBAL OPTIONS:");
	print_options(global_options);
	return 0;
}

/* One line in the log, and the bare sentence on standard error when that is somewhere else. */
static void tell(const struct args *a, const char *level, const char *msg)
{
	const char *file = arg(a, "log"), *format = arg(a, "log-format");
	AUTO_STRB struct strb line = STRB_INIT;
	AUTO_FD int fd = -1;
	char when[TIME_TEXT_MAX];

	time_format(time_now_ns() / 1000000000 * 1000000000, when);
	if (streq(format, "json")) {
		strb_addf(&line, "{\"level\":\"%s\",\"msg\":", level);
		json_add_str(&line, msg);
		strb_addf(&line, ",\"time\":\"%s\"}\n", when);
	} else {
		strb_addf(&line, "time=\"%s\" level=%s msg=", when, level);
		json_add_str(&line, msg);
		strb_addc(&line, '\n');
	}
	if (!str_empty(file))
		fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	(void)fd_write_all(fd >= 0 ? fd : STDERR_FILENO, line.s, line.len);
	if (fd >= 0 && streq(level, "error"))
		(void)dprintf(STDERR_FILENO, "%s\n", msg);
}

static int version(void)
{
	(void)printf("hoy-runtime version %s\nspec: %s\n", HOY_VERSION, OCI_VERSION);
	return 0;
}

static int run_command(struct args *a, const struct command *c, char **words, struct err *e)
{
	int n = parse(a, c->options, words, e);

	if (n < 0)
		return n;
	if (arg(a, "help"))
		return help(c);
	a->rest = words + n;
	while (a->rest[a->n_rest])
		a->n_rest++;
	/* `delete ID --force`: options after the id, where nothing else may stand there */
	if (c->max == 1 && a->n_rest > 1) {
		char *id = a->rest[0];
		int more = parse(a, c->options, a->rest + 1, e);

		if (more < 0)
			return more;
		a->rest[more] = id;
		a->rest += more;
		a->n_rest -= (size_t)more;
	}
	if (a->n_rest < c->min)
		return err_set(e, ERR_INVALID, "\"%s\" requires a minimum of %zu argument", c->name, c->min);
	if (a->n_rest > c->max)
		return err_set(e, ERR_INVALID, "\"%s\" requires exactly %zu argument(s)", c->name, c->max);
	if (a->systemd_cgroup)
		return err_set(e, ERR_NOT_IMPLEMENTED,
			       "--systemd-cgroup is not supported: this runtime manages cgroups itself");
	return c->run(a, e);
}

int runtime_main(int argc, char **argv)
{
	struct args global = { .root = DEFAULT_ROOT };
	const struct command *c = NULL;
	struct err e = ERR_INIT;
	int n, r;

	if (argc < 1)
		return 1;
	n = parse(&global, global_options, argv + 1, &e);
	if (n < 0) {
		tell(&global, "error", e.msg);
		return 1;
	}
	if (arg(&global, "version"))
		return version();
	if (arg(&global, "help") || !argv[1 + n] || streq(argv[1 + n], "help"))
		return help(NULL);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (streq(commands[i].name, argv[1 + n]))
			c = &commands[i];
	if (!c) {
		(void)err_set(&e, ERR_INVALID, "No help topic for '%s'", argv[1 + n]);
		tell(&global, "error", e.msg);
		return 3;
	}
	struct args a = { .root = arg(&global, "root") ? arg(&global, "root") : DEFAULT_ROOT,
			  .root_given = arg(&global, "root") != NULL,
			  .debug = arg_has(&global, "debug"),
			  .systemd_cgroup = arg_has(&global, "systemd-cgroup") ||
					    streq(arg(&global, "cgroup-manager"), "systemd") };

	log_level_set(a.debug ? LOG_DEBUG : LOG_WARN);
	r = run_command(&a, c, argv + 2 + n, &e);
	if (r < 0) {
		AUTO_FREE char *text = xasprintf("%s%s", c->prefix, e.msg);

		tell(&global, "error", text);
		r = c->failed;
	}
	free(a.given.v);
	free(global.given.v);
	return r;
}
