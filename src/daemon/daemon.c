/* daemon.c - hoyd from its first line to its last: options, engine, sockets, a thread per connection, signals. */
#include "daemon/daemon.h"
#include "api/api.h"
#include "daemon/clients.h"
#include "daemon/options.h"
#include "engine/engine.h"
#include "image/trust.h"
#include "proc/proc.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#define DATA_ROOT "/var/lib/hoy"
#define EXEC_ROOT "/run/hoy"

static int serve(const struct listeners *l, int signals, struct api *api)
{
	struct pollfd *p = xcalloc(l->n + 1, sizeof *p);
	struct clients *clients = clients_new(api, engine_threads(api->engine), clients_max());

	for (size_t i = 0; i < l->n; i++)
		p[i] = (struct pollfd){ .fd = l->v[i].fd, .events = POLLIN };
	p[l->n] = (struct pollfd){ .fd = signals, .events = POLLIN };
	for (;;) {
		struct signalfd_siginfo s = { 0 };

		if (poll(p, l->n + 1, -1) < 0 && errno != EINTR)
			break;
		for (size_t i = 0; i < l->n; i++)
			if (p[i].revents)
				clients_accept(clients, l->v[i].fd);
		if (!p[l->n].revents || read(signals, &s, sizeof s) != sizeof s)
			continue;
		if (s.ssi_signo == SIGHUP) {
			log_info("SIGHUP: the configuration is read at start only");
			continue;
		}
		log_info("signal %u: ending; containers go on", s.ssi_signo);
		break;
	}
	free(p);
	return 0;
}

/* Other roots, other names: bridge, table and cgroup of an engine that is not the default one carry this. */
static void instance_name(const char *data_root, char ret[9])
{
	uint32_t h = 2166136261u; /* FNV-1a */

	ret[0] = 0;
	if (streq(data_root, DATA_ROOT))
		return;
	for (const char *p = data_root; *p; p++)
		h = (h ^ (unsigned char)*p) * 16777619u;
	(void)snprintf(ret, 9, "%08x", h);
}

static int write_pidfile(const char *path, int *ret_fd, struct err *e)
{
	AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	char text[24];

	if (fd < 0)
		return err_sys(e, -errno, "failed to start daemon: pidfile %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(
			e, ERR_CONFLICT,
			"failed to start daemon, ensure hoyd is not running or delete %s: process is still running",
			path);
	(void)snprintf(text, sizeof text, "%d", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, strlen(text), 0) < 0)
		return err_sys(e, -errno, "failed to start daemon: pidfile %s", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int read_seccomp(const char *path, char **ret, struct err *e)
{
	int r;

	if (!path || streq(path, "builtin"))
		return 0;
	if (streq(path, "unconfined")) {
		*ret = xstrdup(path);
		return 0;
	}
	r = file_read(AT_FDCWD, path, 1024 * 1024, ret, NULL);
	return r < 0 ? err_sys(e, r, "opening seccomp profile (%s) failed", path) : 0;
}

static void split_pairs(const struct strv *from, struct strmap *to)
{
	for (size_t i = 0; i < from->n; i++) {
		const char *eq = strchr(from->v[i], '=');
		AUTO_FREE char *key = eq ? xstrndup(from->v[i], (size_t)(eq - from->v[i])) : xstrdup(from->v[i]);

		strmap_set(to, key, eq ? eq + 1 : "");
	}
}

static int open_sockets(const struct daemon_options *o, const char *exec_root, bool is_default, struct listeners *ret,
			struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < o->hosts.n; i++) {
		struct listener l = { .fd = -1 };

		r = listen_on(o->hosts.v[i], o->group, &l, e);
		if (r == 0)
			*VEC_ADD(ret) = l;
	}
	if (r == 0 && !o->hosts.n) {
		AUTO_FREE char *host = xasprintf("unix://%s/hoy.sock", exec_root);
		struct listener l = { .fd = -1 };

		r = listen_on(host, o->group, &l, e);
		if (r == 0)
			*VEC_ADD(ret) = l;
		if (r == 0 && is_default) { /* Docker's own socket is offered too while nobody else has it */
			struct err taken = ERR_INIT;

			if (listen_on("unix:///var/run/docker.sock", o->group, &l, &taken) == 0)
				*VEC_ADD(ret) = l;
			else
				log_info("%s", taken.msg);
		}
	}
	return r;
}

/* The option, else what the environment says. */
static const char *either(const char *option, const char *name, const char *also)
{
	const char *v = option ? option : getenv(name);

	v = v ? v : getenv(also);
	return str_empty(v) ? NULL : v;
}

static int64_t number(const char *checked)
{
	int64_t n = 0;

	return checked && str_to_i64(checked, &n) == 0 ? n : 0;
}

static int run(const struct daemon_options *o, struct err *e)
{
	const char *data_root = o->data_root ? o->data_root : DATA_ROOT;
	const char *exec_root = o->exec_root ? o->exec_root : EXEC_ROOT;
	AUTO_FREE char *programs = o->programs ? xstrdup(o->programs) : NULL;
	AUTO_FREE char *pidfile = o->pidfile ? xstrdup(o->pidfile) : path_join(exec_root, "hoyd.pid");
	AUTO_FREE char *seccomp = NULL;
	AUTO_FD int pid_fd = -1;
	AUTO_FD int signals = -1;
	struct listeners sockets = { 0 };
	struct engine *engine = NULL;
	struct api api = { 0 };
	char instance[9];
	sigset_t set;
	int r;

	if (*data_root != '/' || *exec_root != '/')
		return err_set(e, ERR_INVALID, "--data-root and --exec-root must be absolute paths");
	instance_name(data_root, instance);
	if (!programs) {
		r = proc_self_dir(&programs);
		if (r < 0)
			return err_sys(e, r, "finding hoyd's own folder");
	}
	struct engine_config c = {
		.data_root = data_root,
		.exec_root = exec_root,
		.programs = programs,
		.storage_driver = o->storage_driver,
		.cgroup_parent = o->cgroup_parent,
		.instance = instance,
		.bridge = o->bridge,
		.bip = o->bip,
		.default_ip = o->ip,
		.firewall_integration = o->firewall_integration,
		.default_address_pools = o->default_address_pools,
		.dns = o->dns,
		.dns_search = o->dns_search,
		.dns_opts = o->dns_opts,
		.labels = o->labels,
		.default_ulimits = o->default_ulimits,
		.no_icc = !o->icc,
		.no_ip_forward = !o->ip_forward,
		.no_ip_masq = !o->ip_masq,
		.no_iptables = !o->iptables,
		.debug = o->debug,
		.init = o->init,
		.default_cgroupns = o->default_cgroupns_mode,
		.default_ipc_mode = o->default_ipc_mode,
		.log_driver = o->log_driver,
		.no_new_privileges = o->no_new_privileges,
		.keep_blobs = o->keep_blobs,
		.signature_policy = o->signature_policy,
		.registry_mirrors = o->registry_mirrors,
		.insecure_registries = o->insecure_registries,
		.certs_dir = o->registry_certs,
		.http_proxy = either(o->http_proxy, "HTTP_PROXY", "http_proxy"),
		.https_proxy = either(o->https_proxy, "HTTPS_PROXY", "https_proxy"),
		.no_proxy = either(o->no_proxy, "NO_PROXY", "no_proxy"),
		.max_downloads = number(o->max_downloads),
		.max_uploads = number(o->max_uploads),
		.max_attempts = number(o->max_attempts),
	};
	c.mtu = number(o->mtu);
	c.gc_keep_days = o->gc_keep_days ? number(o->gc_keep_days) : -1;
	c.gc_keep_last = o->gc_keep_last ? number(o->gc_keep_last) : -1;
	if (o->gc_min_free)
		(void)bytes_parse(o->gc_min_free, &c.gc_min_free, NULL); /* checked before */
	if (o->default_shm_size && bytes_parse(o->default_shm_size, &c.default_shm_size, NULL) < 0)
		return err_set(e, ERR_INVALID, "invalid argument \"%s\" for \"--default-shm-size\" flag: invalid size",
			       o->default_shm_size);
	r = read_seccomp(o->seccomp_profile, &seccomp, e);
	if (r < 0)
		return r;
	c.seccomp_profile = seccomp;
	split_pairs(&o->log_opts, &c.log_opts);

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	r = dir_make(AT_FDCWD, exec_root, 0711);
	if (r < 0)
		return err_sys(e, r, "making %s", exec_root);
	r = write_pidfile(pidfile, &pid_fd, e);
	if (r == 0)
		r = engine_open(&c, &engine, e);
	api.engine = engine;
	if (r == 0)
		r = open_sockets(o, exec_root, !*instance, &sockets, e);
	if (r == 0) {
		for (size_t i = 0; i < sockets.n; i++)
			log_info("API listen on %s", sockets.v[i].path ? sockets.v[i].path : "tcp");
		log_info("hoyd " HOY_VERSION " is ready");
		(void)malloc_trim(0); /* start-up's garbage is not the daemon's size */
		r = serve(&sockets, signals, &api);
	}
	listeners_done(&sockets);
	if (pid_fd >= 0)
		(void)unlink(pidfile);
	if (r < 0) {
		engine_close(engine);
		strmap_done(&c.log_opts);
		return r;
	}
	/* Threads of clients may still be at work, with what is lent from this stack and from the options: nothing of it goes before
	 * they do. The database is durable at every moment, so the process just ends. */
	engine_stop(engine);
	_exit(0);
}

int daemon_main(int argc, char *const *argv)
{
	AUTO_DAEMON_OPTIONS struct daemon_options o = { 0 };
	AUTO_STRB struct strb text = STRB_INIT;
	struct err e = ERR_INIT;
	int r;

	/* One arena: a daemon of short requests gains nothing from per-thread heaps and pays for each in memory. */
	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_TRIM_THRESHOLD, 128 * 1024);
	r = daemon_options_parse(argc, argv, &o, &e);
	if (r == 0 && o.help) {
		daemon_options_help(&text);
		(void)fd_write_all(STDOUT_FILENO, text.s, text.len);
		return 0;
	}
	if (r == 0 && o.version) {
		(void)printf("hoyd version %s\n", HOY_VERSION);
		return 0;
	}
	if (r == 0)
		r = daemon_options_check(&o, &e);
	if (r == 0 && o.signature_policy) { /* --validate looks at it, too; the engine reads it for itself */
		struct trust_policy *policy = NULL;

		r = trust_read(o.signature_policy, &policy, &e);
		trust_free(policy);
	}
	if (r == 0 && o.validate) {
		(void)fprintf(stderr, "configuration OK\n");
		return 0;
	}
	if (r == 0 && geteuid() != 0)
		r = err_set(&e, ERR_FORBIDDEN, "hoyd needs to be started with root privileges");
	if (r == 0) {
		for (size_t i = 0; i < o.ignored.n; i++)
			log_info("--%s is accepted for compatibility and has no effect", o.ignored.v[i]);
		log_level_set(o.debug || streq(o.log_level, "debug") ? LOG_DEBUG
			      : streq(o.log_level, "warn")           ? LOG_WARN
			      : streq(o.log_level, "error")          ? LOG_ERROR
								     : LOG_INFO);
		r = run(&o, &e);
	}
	if (r < 0) {
		(void)fprintf(stderr, "hoyd: %s\n", e.msg);
		return 1;
	}
	return 0;
}
