/* options.c - see options.h. */
#include "daemon/options.h"
#include "json/json.h"

#include <fcntl.h>

#define CONFIG_FILE "/etc/hoy/daemon.json"
#define CONFIG_MAX (1024 * 1024)

enum kind { FLAG, TEXT, LIST, IGNORED_FLAG, IGNORED_TEXT, REFUSED };
struct option {
	char letter;
	const char *name; /* --name */
	const char *key;  /* in daemon.json; NULL = command line only */
	enum kind kind;
	size_t offset;
	const char *help; /* NULL = not shown */
};
#define AT(m) offsetof(struct daemon_options, m)

/* clang-format off */
static const struct option options[] = {
	{ 0,   "add-runtime",            "runtimes",               REFUSED, 0, NULL },
	{ 0,   "authorization-plugin",   "authorization-plugins",  REFUSED, 0, NULL },
	{ 0,   "bip",                    "bip",                    TEXT, AT(bip), "Network bridge IP" },
	{ 'b', "bridge",                 "bridge",                 TEXT, AT(bridge), "Attach containers to a network bridge" },
	{ 0,   "cgroup-parent",          "cgroup-parent",          TEXT, AT(cgroup_parent), "Set parent cgroup for all containers" },
	{ 0,   "config-file",            NULL,                     TEXT, AT(config_file), "Daemon configuration file (default \"" CONFIG_FILE "\")" },
	{ 0,   "containerd",             "containerd",             IGNORED_TEXT, 0, NULL },
	{ 0,   "data-root",              "data-root",              TEXT, AT(data_root), "Root directory of persistent state (default \"/var/lib/hoy\")" },
	{ 'D', "debug",                  "debug",                  FLAG, AT(debug), "Enable debug mode" },
	{ 0,   "default-address-pool",   "default-address-pools",  LIST, AT(default_address_pools), "Default address pools for networks: base=172.30.0.0/16,size=24" },
	{ 0,   "default-cgroupns-mode",  "default-cgroupns-mode",  TEXT, AT(default_cgroupns_mode), "Default mode for containers cgroup namespace (\"host\" | \"private\")" },
	{ 0,   "default-ipc-mode",       "default-ipc-mode",       TEXT, AT(default_ipc_mode), "Default mode for containers ipc (\"shareable\" | \"private\")" },
	{ 0,   "default-runtime",        "default-runtime",        TEXT, AT(default_runtime), NULL },
	{ 0,   "default-shm-size",       "default-shm-size",       TEXT, AT(default_shm_size), "Default shm size for containers (default 64MiB)" },
	{ 0,   "default-ulimit",         "default-ulimits",        LIST, AT(default_ulimits), "Default ulimits for containers" },
	{ 0,   "dns",                    "dns",                    LIST, AT(dns), "DNS server to use" },
	{ 0,   "dns-opt",                "dns-opts",               LIST, AT(dns_opts), "DNS options to use" },
	{ 0,   "dns-search",             "dns-search",             LIST, AT(dns_search), "DNS search domains to use" },
	{ 0,   "exec-root",              "exec-root",              TEXT, AT(exec_root), "Root directory for execution state files (default \"/run/hoy\")" },
	{ 0,   "experimental",           "experimental",           IGNORED_FLAG, 0, NULL },
	{ 0,   "firewall-integration",   "firewall-integration",   TEXT, AT(firewall_integration), "Let forwarded packets pass another firewall (\"none\" | \"docker-user\")" },
	{ 0,   "default-gateway",        "default-gateway",        REFUSED, 0, NULL },
	{ 0,   "default-network-opt",    "default-network-opts",   REFUSED, 0, NULL },
	{ 0,   "fixed-cidr",             "fixed-cidr",             REFUSED, 0, NULL },
	{ 0,   "fixed-cidr-v6",          "fixed-cidr-v6",          REFUSED, 0, NULL },
	{ 0,   "gc-keep-days",           "gc-keep-days",           TEXT, AT(gc_keep_days), "Unused images stay for so many days after their last use" },
	{ 0,   "gc-keep-last",           "gc-keep-last",           TEXT, AT(gc_keep_last), "The so many unused images that were used last stay" },
	{ 0,   "gc-min-free",            "gc-min-free",            TEXT, AT(gc_min_free), "Remove unused images when less disk space is free, those first that were used longest ago" },
	{ 'G', "group",                  "group",                  TEXT, AT(group), "Group for the unix socket (default \"docker\")" },
	{ 0,   "help",                   NULL,                     FLAG, AT(help), "Print usage" },
	{ 'H', "host",                   "hosts",                  LIST, AT(hosts), "Daemon socket(s) to connect to" },
	{ 0,   "icc",                    "icc",                    FLAG, AT(icc), "Enable inter-container communication (default true)" },
	{ 0,   "init",                   "init",                   FLAG, AT(init), "Run an init in the container to forward signals and reap processes" },
	{ 0,   "http-proxy",             "http-proxy",             TEXT, AT(http_proxy), "HTTP proxy URL to use for outgoing traffic" },
	{ 0,   "https-proxy",            "https-proxy",            TEXT, AT(https_proxy), "HTTPS proxy URL to use for outgoing traffic" },
	{ 0,   "insecure-registry",      "insecure-registries",    LIST, AT(insecure_registries), "Enable insecure registry communication" },
	{ 0,   "ip",                     "ip",                     TEXT, AT(ip), "Host IP for port publishing from the default bridge network" },
	{ 0,   "ip-forward",             "ip-forward",             FLAG, AT(ip_forward), "Enable IP forwarding in system configuration (default true)" },
	{ 0,   "ip-masq",                "ip-masq",                FLAG, AT(ip_masq), "Enable IP masquerading for the default bridge network (default true)" },
	{ 0,   "ip6tables",              "ip6tables",              IGNORED_FLAG, 0, NULL },
	{ 0,   "iptables",               "iptables",               FLAG, AT(iptables), "Enable addition of firewall rules (default true)" },
	{ 0,   "ipv6",                   "ipv6",                   REFUSED, 0, NULL },
	{ 0,   "keep-blobs",             "keep-blobs",             FLAG, AT(keep_blobs), "Keep the compressed layers of pulled images: pushes send the identical bytes" },
	{ 0,   "label",                  "labels",                 LIST, AT(labels), "Set key=value labels to the daemon" },
	{ 0,   "live-restore",           "live-restore",           FLAG, AT(live_restore), "Accepted for compatibility: containers always survive the daemon" },
	{ 0,   "log-driver",             "log-driver",             TEXT, AT(log_driver), "Default driver for container logs (default \"json-file\")" },
	{ 0,   "log-format",             "log-format",             IGNORED_TEXT, 0, NULL },
	{ 'l', "log-level",              "log-level",              TEXT, AT(log_level), "Set the logging level (\"debug\"|\"info\"|\"warn\"|\"error\"|\"fatal\")" },
	{ 0,   "log-opt",                "log-opts",               LIST, AT(log_opts), "Default log driver options for containers" },
	{ 0,   "max-concurrent-downloads", "max-concurrent-downloads", TEXT, AT(max_downloads), "Set the max concurrent downloads (default 3)" },
	{ 0,   "max-concurrent-uploads", "max-concurrent-uploads", TEXT, AT(max_uploads), "Set the max concurrent uploads (default 5)" },
	{ 0,   "max-download-attempts",  "max-download-attempts",  TEXT, AT(max_attempts), "Set the max download attempts for each pull (default 5)" },
	{ 0,   "mtu",                    "mtu",                    TEXT, AT(mtu), "Set the MTU of the default bridge network" },
	{ 0,   "no-proxy",               "no-proxy",               TEXT, AT(no_proxy), "Comma-separated list of hosts or IP addresses for which the proxy is skipped" },
	{ 0,   "no-new-privileges",      "no-new-privileges",      FLAG, AT(no_new_privileges), "Set no-new-privileges by default for new containers" },
	{ 'p', "pidfile",                "pidfile",                TEXT, AT(pidfile), "Path to use for daemon PID file (default \"/run/hoy/hoyd.pid\")" },
	{ 0,   "programs",               NULL,                     TEXT, AT(programs), "Folder of hoy-shim and hoy-worker (default: hoyd's own)" },
	{ 0,   "raw-logs",               "raw-logs",               IGNORED_FLAG, 0, NULL },
	{ 0,   "registry-certs",         "registry-certs",         TEXT, AT(registry_certs), "Folder with <registry>/{ca.crt,client.cert,client.key} (default \"/etc/docker/certs.d\")" },
	{ 0,   "registry-mirror",        "registry-mirrors",       LIST, AT(registry_mirrors), "Preferred registry mirror; registry=URL for another registry than Docker Hub" },
	{ 0,   "seccomp-profile",        "seccomp-profile",        TEXT, AT(seccomp_profile), "Path to seccomp profile, or \"unconfined\"" },
	{ 0,   "selinux-enabled",        "selinux-enabled",        REFUSED, 0, NULL },
	{ 0,   "shutdown-timeout",       "shutdown-timeout",       IGNORED_TEXT, 0, NULL },
	{ 's', "storage-driver",         "storage-driver",         TEXT, AT(storage_driver), "Storage driver to use" },
	{ 0,   "storage-opt",            "storage-opts",           REFUSED, 0, NULL },
	{ 0,   "signature-policy",       "signature-policy",       TEXT, AT(signature_policy), "Policy file: which images need whose signatures (docs/signatures.md)" },
	{ 0,   "tls",                    "tls",                    REFUSED, 0, NULL },
	{ 0,   "tlscacert",              "tlscacert",              REFUSED, 0, NULL },
	{ 0,   "tlscert",                "tlscert",                REFUSED, 0, NULL },
	{ 0,   "tlskey",                 "tlskey",                 REFUSED, 0, NULL },
	{ 0,   "tlsverify",              "tlsverify",              REFUSED, 0, NULL },
	{ 0,   "userland-proxy",         "userland-proxy",         FLAG, AT(userland_proxy), "Accepted for compatibility: there is no userland proxy" },
	{ 0,   "userland-proxy-path",    "userland-proxy-path",    IGNORED_TEXT, 0, NULL },
	{ 0,   "userns-remap",           "userns-remap",           REFUSED, 0, NULL },
	{ 0,   "validate",               NULL,                     FLAG, AT(validate), "Validate daemon configuration and exit" },
	{ 'v', "version",                NULL,                     FLAG, AT(version), "Print version information and quit" },
};
/* clang-format on */

static const struct option *by_name(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (strlen(options[i].name) == n && memcmp(options[i].name, name, n) == 0)
			return &options[i];
	return NULL;
}

static const struct option *by_letter(char c)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (options[i].letter == c)
			return &options[i];
	return NULL;
}

static bool takes_value(const struct option *o)
{
	return o->kind != FLAG && o->kind != IGNORED_FLAG;
}

static int set_flag(struct daemon_options *d, const struct option *o, const char *v, struct err *e)
{
	bool *at = (bool *)((char *)d + o->offset);

	if (!v || streq(v, "true") || streq(v, "1") || streq(v, "t") || streq(v, "T") || streq(v, "TRUE") ||
	    streq(v, "True"))
		*at = true;
	else if (streq(v, "false") || streq(v, "0") || streq(v, "f") || streq(v, "F") || streq(v, "FALSE") ||
		 streq(v, "False"))
		*at = false;
	else
		return err_set(e, ERR_INVALID, "invalid argument \"%s\" for \"--%s\" flag: parse error", v, o->name);
	return 0;
}

static int set(struct daemon_options *d, const struct option *o, const char *v, struct err *e)
{
	switch (o->kind) {
	case FLAG:
		return set_flag(d, o, v, e);
	case TEXT: {
		char **at = (char **)((char *)d + o->offset);

		free(*at);
		*at = xstrdup(v);
		return 0;
	}
	case LIST:
		strv_add((struct strv *)((char *)d + o->offset), v);
		return 0;
	case REFUSED:
		return err_set(e, ERR_NOT_IMPLEMENTED, "--%s is not supported by this version of hoyd", o->name);
	default:
		strv_add(&d->ignored, o->name);
		return 0;
	}
}

void daemon_options_done(struct daemon_options *d)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (options[i].kind == TEXT)
			freep((char *)d + options[i].offset);
		else if (options[i].kind == LIST)
			strv_done((struct strv *)((char *)d + options[i].offset));
	}
	strv_done(&d->ignored);
}

static int parse_line(int argc, char *const *argv, struct daemon_options *d, bool seen[], struct err *e)
{
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i], *v = NULL;
		const struct option *o = NULL;

		if (a[0] != '-' || !a[1])
			return err_set(e, ERR_INVALID, "\"hoyd\" accepts no arguments.\nSee 'hoyd --help'.");
		if (a[1] == '-') {
			size_t n = strcspn(a + 2, "=");

			o = by_name(a + 2, n);
			v = a[2 + n] == '=' ? a + 3 + n : NULL;
			if (!o)
				return err_set(e, ERR_INVALID, "unknown flag: --%.*s\nSee 'hoyd --help'.", (int)n,
					       a + 2);
		} else {
			o = by_letter(a[1]);
			if (!o)
				return err_set(e, ERR_INVALID, "unknown shorthand flag: '%c' in %s\nSee 'hoyd --help'.",
					       a[1], a);
			v = a[2] == '=' ? a + 3 : a[2] ? a + 2 : NULL;
		}
		if (!v && takes_value(o)) {
			if (i + 1 >= argc)
				return err_set(e, ERR_INVALID, "flag needs an argument: --%s\nSee 'hoyd --help'.",
					       o->name);
			v = argv[++i];
		}
		seen[o - options] = true;
		int r = set(d, o, v, e);

		if (r < 0)
			return r;
	}
	return 0;
}

static int set_from_file(struct daemon_options *d, const struct option *o, const struct jval *v, struct err *e)
{
	AUTO_STRB struct strb text = STRB_INIT;

	switch (jval_kind(v)) {
	case JVAL_BOOL:
		if (o->kind != FLAG && o->kind != IGNORED_FLAG && o->kind != REFUSED)
			break;
		return set(d, o, jval_bool(v) ? "true" : "false", e);
	case JVAL_STR:
		if (o->kind == FLAG)
			break;
		return set(d, o, jval_str(v), e);
	case JVAL_INT:
		if (o->kind == FLAG || o->kind == LIST)
			break;
		strb_addf(&text, "%lld", (long long)jval_int(v));
		return set(d, o, text.s, e);
	case JVAL_LIST:
		if (o->kind != LIST && o->kind != IGNORED_TEXT && o->kind != REFUSED)
			break;
		for (size_t i = 0; i < jval_len(v); i++) {
			const struct jval *item = jval_at(v, i);
			int r;

			strb_clear(&text);
			if (jval_kind(item) == JVAL_DICT) /* default-address-pools */
				strb_addf(&text, "base=%s,size=%lld", jval_str(jval_get(item, "base")),
					  (long long)jval_int(jval_get(item, "size")));
			else
				strb_adds(&text, jval_str(item));
			r = set(d, o, text.s, e);
			if (r < 0)
				return r;
		}
		return 0;
	case JVAL_DICT:
		if (o->kind != LIST && o->kind != REFUSED)
			break;
		if (o->kind == REFUSED)
			return set(d, o, NULL, e);
		for (size_t i = 0; i < jval_len(v); i++) {
			const char *key = NULL;
			const struct jval *item = jval_entry(v, i, &key);
			int r;

			strb_clear(&text);
			if (jval_kind(item) == JVAL_DICT) /* default-ulimits */
				strb_addf(&text, "%s=%lld:%lld", key, (long long)jval_int(jval_get(item, "Soft")),
					  (long long)jval_int(jval_get(item, "Hard")));
			else
				strb_addf(&text, "%s=%s", key, jval_str(item)); /* log-opts */
			r = set(d, o, text.s, e);
			if (r < 0)
				return r;
		}
		return 0;
	default:
		return 0;
	}
	return err_set(e, ERR_INVALID, "the value of \"%s\" has the wrong type", o->key);
}

static int parse_file(struct daemon_options *d, const bool seen[], struct err *e)
{
	const char *path = d->config_file ? d->config_file : CONFIG_FILE;
	AUTO_FREE char *text = NULL;
	struct jval *root = NULL;
	size_t n = 0;
	int r = file_read(AT_FDCWD, path, CONFIG_MAX, &text, &n);

	if (r == -ENOENT && !d->config_file)
		return 0;
	if (r < 0)
		return err_wrap(e, err_sys(e, r, "open %s", path), "unable to configure the Docker daemon with file %s",
				path);
	r = jval_parse(text, n, NULL, &root, e);
	for (size_t i = 0; r == 0 && i < jval_len(root); i++) {
		const char *key = NULL;
		const struct jval *v = jval_entry(root, i, &key);
		const struct option *o = NULL;

		for (size_t k = 0; k < ARRAY_LEN(options); k++)
			if (streq(options[k].key, key))
				o = &options[k];
		if (!o)
			r = err_set(e, ERR_INVALID, "the following directives don't match any configuration option: %s",
				    key);
		else if (seen[o - options] && o->kind != LIST)
			r = err_set(e, ERR_INVALID,
				    "the following directives are specified both as a flag and in the configuration "
				    "file: %s: (from flag and from file)",
				    key);
		else
			r = set_from_file(d, o, v, e);
	}
	jval_free(root);
	return r < 0 ? err_wrap(e, r, "unable to configure the Docker daemon with file %s", path) : 0;
}

int daemon_options_parse(int argc, char *const *argv, struct daemon_options *ret, struct err *e)
{
	bool seen[ARRAY_LEN(options)] = { 0 };
	struct daemon_options d = {
		.icc = true, .ip_forward = true, .ip_masq = true, .iptables = true, .userland_proxy = true
	};
	int r = parse_line(argc, argv, &d, seen, e);

	if (r == 0 && !d.help && !d.version)
		r = parse_file(&d, seen, e);
	if (r < 0) {
		daemon_options_done(&d);
		return r;
	}
	*ret = d;
	return 0;
}

static int check_number(const char *name, const char *v, int64_t min, int64_t max, struct err *e)
{
	int64_t n = 0;

	if (v && (str_to_i64(v, &n) < 0 || n < min || n > max))
		return err_set(e, ERR_INVALID, "invalid argument \"%s\" for \"--%s\" flag", v, name);
	return 0;
}

int daemon_options_check(const struct daemon_options *o, struct err *e)
{
	static const char *const levels[] = { "debug", "info", "warn", "error", "fatal" };
	bool known = !o->log_level;
	int r = check_number("mtu", o->mtu, 0, 65535, e);

	if (r == 0)
		r = check_number("max-concurrent-downloads", o->max_downloads, 1, 64, e);
	if (r == 0)
		r = check_number("max-concurrent-uploads", o->max_uploads, 1, 64, e);
	if (r == 0)
		r = check_number("max-download-attempts", o->max_attempts, 1, 100, e);
	if (r == 0)
		r = check_number("gc-keep-days", o->gc_keep_days, 0, 36500, e);
	if (r == 0)
		r = check_number("gc-keep-last", o->gc_keep_last, 0, 1000000, e);
	if (r == 0 && o->gc_min_free && (bytes_parse(o->gc_min_free, &(int64_t){ 0 }, NULL) < 0))
		r = err_set(e, ERR_INVALID, "invalid argument \"%s\" for \"--gc-min-free\" flag: invalid size",
			    o->gc_min_free);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		known |= streq(levels[i], o->log_level);
	if (!known)
		return err_set(e, ERR_INVALID, "invalid logging level: %s", o->log_level);
	if (o->default_runtime && !streq(o->default_runtime, "runc") && !streq(o->default_runtime, "hoy"))
		return err_set(e, ERR_INVALID, "specified default runtime '%s' does not exist", o->default_runtime);
	if (o->log_driver && !streq(o->log_driver, "json-file") && !streq(o->log_driver, "none"))
		return err_set(e, ERR_INVALID, "failed to set log opts: logger: no log driver named '%s' is registered",
			       o->log_driver);
	if (o->default_cgroupns_mode && !streq(o->default_cgroupns_mode, "host") &&
	    !streq(o->default_cgroupns_mode, "private"))
		return err_set(e, ERR_INVALID,
			       "default cgroup namespace mode (%s) is invalid, use \"host\" or \"private\"",
			       o->default_cgroupns_mode);
	for (size_t i = 0; i < o->hosts.n; i++)
		if (!str_after(o->hosts.v[i], "unix://") && !str_after(o->hosts.v[i], "tcp://"))
			return err_set(
				e, ERR_INVALID,
				"invalid argument \"%s\" for \"-H, --host\" flag: unix:// and tcp:// are supported",
				o->hosts.v[i]);
	for (size_t i = 0; i < o->labels.n; i++)
		if (!strchr(o->labels.v[i], '='))
			return err_set(e, ERR_INVALID, "bad attribute format: %s", o->labels.v[i]);
	return 0;
}

void daemon_options_help(struct strb *out)
{
	strb_adds(out, "\nUsage:  hoyd [OPTIONS]\n\nA container engine for Docker clients.\n\nOptions:\n");
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const struct option *o = &options[i];
		AUTO_FREE char *name = NULL;

		if (!o->help)
			continue;
		name = xasprintf("--%s%s", o->name, o->kind == FLAG ? "" : o->kind == LIST ? " list" : " string");
		strb_addf(out, "  %c%c%c %-32s %s\n", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
			  o->letter ? ',' : ' ', name, o->help);
	}
}
