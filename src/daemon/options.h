/* options.h - hoyd's command line and daemon.json: dockerd's option names, one table for both. Pure but for reading the file. */
#pragma once

#include "base/base.h"

struct daemon_options { /* strings owned; see the table in options.c for names */
	char *data_root, *exec_root, *pidfile, *config_file, *group, *log_level, *log_driver, *storage_driver,
		*cgroup_parent;
	char *bridge, *bip, *ip, *default_cgroupns_mode, *default_ipc_mode, *default_shm_size, *seccomp_profile;
	char *http_proxy, *https_proxy, *no_proxy, *registry_certs, *max_downloads, *max_uploads, *max_attempts,
		*gc_keep_days, *gc_keep_last, *gc_min_free;
	char *firewall_integration, *programs, *mtu, *default_runtime;
	struct strv insecure_registries, registry_mirrors;
	struct strv hosts, default_address_pools, dns, dns_opts, dns_search, labels, default_ulimits, log_opts;
	struct strv ignored; /* accepted without a meaning here: --userland-proxy and the like */
	char *signature_policy;
	bool keep_blobs;
	bool debug, icc, ip_forward, ip_masq, iptables, init, no_new_privileges, live_restore, experimental,
		userland_proxy;
	bool validate, help, version;
};
#define AUTO_DAEMON_OPTIONS CLEANUP(daemon_options_done)
void daemon_options_done(struct daemon_options *o);
/* Command line, then the file (default /etc/hoy/daemon.json, may be missing unless it was named). An option in both is an error with
 * dockerd's sentence. */
int daemon_options_parse(int argc, char *const *argv, struct daemon_options *ret, struct err *e);
int daemon_options_check(const struct daemon_options *o,
			 struct err *e); /* values that only make sense together or in form */
void daemon_options_help(struct strb *out);
