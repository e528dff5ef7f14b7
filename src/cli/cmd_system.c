/* cmd_system.c - info, version, events. */
#include "cli/command.h"
#include "cli/human.h"
#include "cli/jw.h"
#include "cli/listing.h"

#include <sys/utsname.h>

static int print_format(const struct jval *tree, const char *format)
{
	AUTO_STRB struct strb out = STRB_INIT;
	struct err e = ERR_INIT;
	int r = format_tree(tree, format, &out, &e);

	(void)fwrite(strb_str(&out), 1, r < 0 ? 0 : out.len, stdout);
	return r < 0 ? cli_report(&e) : 0;
}

/* ---- info ---- */
static void text_row(const struct jval *info, const char *member, const char *label)
{
	const struct jval *v = jval_get(info, member);

	if (jval_kind(v) == JVAL_BOOL)
		(void)printf(" %s: %s\n", label, jval_bool(v) ? "true" : "false");
	else if (jval_kind(v) == JVAL_INT)
		(void)printf(" %s: %lld\n", label, (long long)jval_int(v));
	else if (*jval_str(v))
		(void)printf(" %s: %s\n", label, jval_str(v));
}

static void list_row(const struct jval *list, const char *label)
{
	if (jval_len(list) == 0)
		return;
	(void)printf("  %s:", label);
	for (size_t i = 0; i < jval_len(list); i++)
		(void)printf(" %s", jval_str(jval_at(list, i)));
	(void)printf("\n");
}

static void security_rows(const struct jval *options)
{
	if (jval_len(options) == 0)
		return;
	(void)printf(" Security Options:\n");
	for (size_t i = 0; i < jval_len(options); i++) {
		AUTO_STRV struct strv parts = { 0 };

		strv_split(&parts, jval_str(jval_at(options, i)), ",");
		for (size_t k = 0; k < parts.n; k++) {
			const char *name = str_after(parts.v[k], "name="), *profile = str_after(parts.v[k], "profile=");

			if (name)
				(void)printf("  %s\n", name);
			else if (profile)
				(void)printf("   Profile: %s\n", profile);
		}
	}
}

static void info_storage(const struct jval *info)
{
	const struct jval *rows = jval_get(info, "DriverStatus"), *plugins = jval_get(info, "Plugins");

	text_row(info, "Driver", "Storage Driver");
	for (size_t i = 0; i < jval_len(rows); i++)
		(void)printf("  %s: %s\n", jval_str(jval_at(jval_at(rows, i), 0)),
			     jval_str(jval_at(jval_at(rows, i), 1)));
	text_row(info, "LoggingDriver", "Logging Driver");
	text_row(info, "CgroupDriver", "Cgroup Driver");
	text_row(info, "CgroupVersion", "Cgroup Version");
	(void)printf(" Plugins:\n");
	list_row(jval_get(plugins, "Volume"), "Volume");
	list_row(jval_get(plugins, "Network"), "Network");
	list_row(jval_get(plugins, "Authorization"), "Authorization");
	list_row(jval_get(plugins, "Log"), "Log");
}

static void info_cdi(const struct jval *dirs)
{
	if (jval_len(dirs))
		(void)printf(" CDI spec directories:\n");
	for (size_t i = 0; i < jval_len(dirs); i++)
		(void)printf("  %s\n", jval_str(jval_at(dirs, i)));
}

static void info_runtimes(const struct jval *info)
{
	const struct jval *runtimes = jval_get(info, "Runtimes");
	AUTO_STRV struct strv names = { 0 };

	for (size_t i = 0; i < jval_len(runtimes); i++) {
		const char *key;

		(void)jval_entry(runtimes, i, &key);
		strv_add(&names, key);
	}
	strv_sort(&names);
	if (names.n) {
		(void)printf(" Runtimes:");
		for (size_t i = 0; i < names.n; i++)
			(void)printf(" %s", names.v[i]);
		(void)printf("\n");
	}
	text_row(info, "DefaultRuntime", "Default Runtime");
	text_row(info, "InitBinary", "Init Binary");
	(void)printf(" containerd version: %s\n", jval_str(jval_get(jval_get(info, "ContainerdCommit"), "ID")));
	(void)printf(" runc version: %s\n", jval_str(jval_get(jval_get(info, "RuncCommit"), "ID")));
	(void)printf(" init version: %s\n", jval_str(jval_get(jval_get(info, "InitCommit"), "ID")));
}

static void info_machine(const struct jval *info)
{
	static const struct {
		const char *member, *label;
	} rows[] = { { "KernelVersion", "Kernel Version" },
		     { "OperatingSystem", "Operating System" },
		     { "OSType", "OSType" },
		     { "Architecture", "Architecture" },
		     { "NCPU", "CPUs" } },
	  more[] = {
		  { "Name", "Name" }, { "ID", "ID" }, { "DockerRootDir", "Docker Root Dir" }, { "Debug", "Debug Mode" }
	  };
	AUTO_FREE char *memory = human_bytes((double)jval_int(jval_get(info, "MemTotal")));

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		text_row(info, rows[i].member, rows[i].label);
	(void)printf(" Total Memory: %s\n", memory);
	for (size_t i = 0; i < ARRAY_LEN(more); i++)
		text_row(info, more[i].member, more[i].label);
	text_row(info, "HttpProxy", "HTTP Proxy");
	text_row(info, "HttpsProxy", "HTTPS Proxy");
	text_row(info, "NoProxy", "No Proxy");
}

static void info_tail(const struct jval *info)
{
	const struct jval *labels = jval_get(info, "Labels");
	const struct jval *cidrs = jval_get(jval_get(info, "RegistryConfig"), "InsecureRegistryCIDRs");
	const struct jval *warnings = jval_get(info, "Warnings");

	if (jval_len(labels))
		(void)printf(" Labels:\n");
	for (size_t i = 0; i < jval_len(labels); i++)
		(void)printf("  %s\n", jval_str(jval_at(labels, i)));
	text_row(info, "ExperimentalBuild", "Experimental");
	if (jval_len(cidrs))
		(void)printf(" Insecure Registries:\n");
	for (size_t i = 0; i < jval_len(cidrs); i++)
		(void)printf("  %s\n", jval_str(jval_at(cidrs, i)));
	text_row(info, "LiveRestoreEnabled", "Live Restore Enabled");
	text_row(info, "ProductLicense", "Product License");
	(void)printf("\n");
	(void)fflush(stdout);
	for (size_t i = 0; i < jval_len(warnings); i++)
		(void)fprintf(stderr, "%s\n", jval_str(jval_at(warnings, i)));
}

int cmd_info(struct cli *c)
{
	const char *format = opt_str(c->o, "format");
	struct jval *info = NULL;
	struct err e = ERR_INIT;
	int status = 0;
	int r = cli_get(c, "/info", &info, &e);

	if (*format) {
		if (r >= 0)
			status = print_format(info, format);
		jval_free(info);
		return r < 0 ? cli_report(&e) : status;
	}
	(void)printf("Client:\n Version:    %s\n Context:    default\n Debug Mode: false\n\nServer:\n", HOY_VERSION);
	if (r < 0)
		return cli_report(&e);
	(void)printf(" Containers: %lld\n", (long long)jval_int(jval_get(info, "Containers")));
	(void)printf("  Running: %lld\n", (long long)jval_int(jval_get(info, "ContainersRunning")));
	(void)printf("  Paused: %lld\n", (long long)jval_int(jval_get(info, "ContainersPaused")));
	(void)printf("  Stopped: %lld\n", (long long)jval_int(jval_get(info, "ContainersStopped")));
	text_row(info, "Images", "Images");
	text_row(info, "ServerVersion", "Server Version");
	info_storage(info);
	info_cdi(jval_get(info, "CDISpecDirs"));
	(void)printf(" Swarm: %s\n", jval_str(jval_get(jval_get(info, "Swarm"), "LocalNodeState")));
	info_runtimes(info);
	security_rows(jval_get(info, "SecurityOptions"));
	info_machine(info);
	info_tail(info);
	jval_free(info);
	return 0;
}

/* ---- version ---- */
static const char *machine(void)
{
	static struct utsname u;

	if (uname(&u) < 0)
		return "unknown";
	return streq(u.machine, "x86_64") ? "amd64" : streq(u.machine, "aarch64") ? "arm64" : u.machine;
}

static char *version_json(struct cli *c, const char *server)
{
	AUTO_JW struct jw w = { 0 };

	jw_open(&w, NULL, '{');
	jw_open(&w, "Client", '{');
	jw_str(&w, "Version", HOY_VERSION);
	jw_str(&w, "ApiVersion", c->client && *client_version(c->client) ? client_version(c->client) : CLIENT_API_MAX);
	jw_str(&w, "DefaultAPIVersion", CLIENT_API_MAX);
	jw_str(&w, "Os", "linux");
	jw_str(&w, "Arch", machine());
	jw_str(&w, "Context", "default");
	jw_close(&w, '}');
	jw_raw(&w, "Server", server ? server : "null");
	jw_close(&w, '}');
	return strb_take(&w.b);
}

/* RFC 3339 -> "Tue Sep 15 11:02:57 2026" */
static void built(const char *text, char ret[64])
{
	int64_t ns = 0;
	time_t t;
	struct tm tm;

	(void)snprintf(ret, 64, "%s", text);
	if (time_parse(text, &ns) < 0)
		return;
	t = (time_t)(ns / 1000000000);
	(void)gmtime_r(&t, &tm);
	(void)strftime(ret, 64, "%a %b %e %H:%M:%S %Y", &tm);
}

static void component(const struct jval *part)
{
	const struct jval *d = jval_get(part, "Details");
	bool engine = streq(jval_str(jval_get(part, "Name")), "Engine");
	char date[64];

	(void)printf(" %s:\n", jval_str(jval_get(part, "Name")));
	(void)printf("  %-18s%s\n", "Version:", jval_str(jval_get(part, "Version")));
	if (!engine) {
		(void)printf("  %-18s%s\n", "GitCommit:", jval_str(jval_get(d, "GitCommit")));
		return;
	}
	(void)printf("  %-18s%s (minimum version %s)\n", "API version:", jval_str(jval_get(d, "ApiVersion")),
		     jval_str(jval_get(d, "MinAPIVersion")));
	if (*jval_str(jval_get(d, "GoVersion")))
		(void)printf("  %-18s%s\n", "Go version:", jval_str(jval_get(d, "GoVersion")));
	(void)printf("  %-18s%s\n", "Git commit:", jval_str(jval_get(d, "GitCommit")));
	built(jval_str(jval_get(d, "BuildTime")), date);
	(void)printf("  %-18s%s\n", "Built:", date);
	(void)printf("  %-18s%s/%s\n", "OS/Arch:", jval_str(jval_get(d, "Os")), jval_str(jval_get(d, "Arch")));
	(void)printf("  %-18s%s\n", "Experimental:", jval_str(jval_get(d, "Experimental")));
}

int cmd_version(struct cli *c)
{
	const char *format = opt_str(c->o, "format");
	AUTO_FREE char *server = NULL, *all = NULL;
	struct jval *tree = NULL;
	const struct jval *parts;
	struct err e = ERR_INIT;
	int r = cli_client(c, &e), status = 0;

	if (r >= 0)
		r = client_text(c->client, &(struct client_call){ .path = "/version" }, &server, NULL, &e);
	all = version_json(c, server);
	if (jval_parse(all, strlen(all), &json_limits_default, &tree, r < 0 ? NULL : &e) < 0)
		return cli_report(&e);
	if (*format) {
		status = print_format(tree, format);
	} else {
		const struct jval *s = jval_get(tree, "Server");

		(void)printf("Client:\n %-19s%s\n %-19s%s\n %-19slinux/%s\n %-19sdefault\n", "Version:", HOY_VERSION,
			     "API version:", jval_str(jval_get(jval_get(tree, "Client"), "ApiVersion")),
			     "OS/Arch:", machine(), "Context:");
		if (r >= 0)
			(void)printf("\nServer:%s%s\n", *jval_str(jval_get(jval_get(s, "Platform"), "Name")) ? " " : "",
				     jval_str(jval_get(jval_get(s, "Platform"), "Name")));
		parts = jval_get(s, "Components");
		for (size_t i = 0; i < jval_len(parts); i++)
			component(jval_at(parts, i));
	}
	jval_free(tree);
	return r < 0 ? cli_report(&e) : status;
}

/* ---- events ---- */
static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void event_line(const struct jval *event)
{
	const struct jval *actor = jval_get(event, "Actor"), *attributes = jval_get(actor, "Attributes");
	int64_t ns = jval_int(jval_get(event, "timeNano"));
	char date[TIME_TEXT_MAX];
	AUTO_STRV struct strv pairs = { 0 };

	time_format_fixed(ns ? ns : jval_int(jval_get(event, "time")) * 1000000000, date);
	(void)printf("%s %s %s %s", date, jval_str(jval_get(event, "Type")), jval_str(jval_get(event, "Action")),
		     jval_str(jval_get(actor, "ID")));
	for (size_t i = 0; i < jval_len(attributes); i++) {
		const char *key;
		const struct jval *v = jval_entry(attributes, i, &key);

		strv_addf(&pairs, "%s=%s", key, jval_str(v));
	}
	if (pairs.n)
		qsort(pairs.v, pairs.n, sizeof *pairs.v, by_text);
	for (size_t i = 0; i < pairs.n; i++)
		(void)printf("%s%s", i ? ", " : " (", pairs.v[i]);
	(void)printf("%s\n", pairs.n ? ")" : "");
}

static int event_show(const char *text, size_t n, const char *format, struct err *e)
{
	struct jval *event = NULL;
	AUTO_STRB struct strb out = STRB_INIT;
	int r = jval_parse(text, n, &json_limits_default, &event, e);

	if (r < 0)
		return r;
	if (*format) {
		r = format_tree(event, format, &out, e);
		(void)fputs(strb_str(&out), stdout);
	} else {
		event_line(event);
	}
	(void)fflush(stdout);
	jval_free(event);
	return r;
}

int cmd_events(struct cli *c)
{
	AUTO_STRB struct strb path = STRB_INIT, line = STRB_INIT;
	AUTO_FREE char *filters = filters_json(opt_list(c->o, "filter")), *since = NULL, *until = NULL;
	const char *format = opt_str(c->o, "format");
	struct answer *a = NULL;
	struct err e = ERR_INIT;
	char buf[4096];
	ssize_t n = 0;
	int r = 0;

	if (*opt_str(c->o, "since"))
		r = parse_when(opt_str(c->o, "since"), &since, &e);
	if (r >= 0 && *opt_str(c->o, "until"))
		r = parse_when(opt_str(c->o, "until"), &until, &e);
	strb_adds(&path, "/events");
	if (since)
		query_add(&path, "since", since);
	if (until)
		query_add(&path, "until", until);
	if (filters)
		query_add(&path, "filters", filters);
	if (r >= 0)
		r = cli_client(c, &e);
	if (r >= 0)
		r = client_start(c->client, &(struct client_call){ .path = strb_str(&path) }, &a, &e);
	while (r >= 0 && (n = answer_read(a, buf, sizeof buf)) > 0) {
		for (ssize_t i = 0; i < n && r >= 0; i++) {
			strb_addc(&line, buf[i]);
			if (buf[i] == '\n') {
				r = event_show(strb_str(&line), line.len, format, &e);
				strb_clear(&line);
			}
		}
	}
	if (r >= 0 && n < 0)
		r = err_set(&e, ERR_SYSTEM, "unexpected EOF");
	answer_free(a);
	return r < 0 ? cli_report(&e) : 0;
}
