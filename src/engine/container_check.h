/* container_check.h - the refusals of a create request, and the little notations inside it. Pure; private to the engine. */
#pragma once

#include "schema/docker_container.h"

int container_check(const struct docker_config *c, const struct docker_host_config *h, struct err *e);

/* What of an endpoint's settings the pre-defined networks, the only ones there are, do not take. */
struct net;
int endpoints_check(struct net *net, const struct docker_networking_config *n, struct err *e);
int endpoint_check(struct net *net, const char *network, const struct docker_endpoint_settings *s, struct err *e);
int container_update_check(const struct docker_host_config *h, struct err *e);

struct security { /* strings lent from the options */
	struct json_obool no_new_privileges;
	const char *seccomp; /* NULL = default, "unconfined", or a profile's JSON text */
	const char *apparmor;
	bool systempaths_unconfined;
};
int security_parse(const struct strv *opts, struct security *ret, struct err *e);
bool port_key_parse(const char *key, uint16_t *ret_port, const char **ret_proto); /* "80/tcp", "53" */
char *cap_normalize(const char *name); /* "sys_admin" -> "CAP_SYS_ADMIN", "all" -> "ALL" */
int ulimit_parse(const char *text, struct docker_ulimit *ret, struct err *e); /* "nofile=1024:2048" */
int rlimit_number(const char *name);                                          /* "nofile" -> RLIMIT_NOFILE; -EINVAL */
char *name_generate(void); /* "adjective_noun" for containers nobody named */
