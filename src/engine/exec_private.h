/* exec_private.h - an exec's record, in memory only. Guarded by engine.lock. */
#pragma once

#include "schema/docker_container.h"
#include "stream/stream.h"

enum exec_state { EXEC_CREATED, EXEC_STARTING, EXEC_RUNNING, EXEC_ENDED };
struct exec {
	char id[65];
	char *container; /* id */
	struct docker_exec_options config;
	struct detach_keys keys; /* none: the default */
	enum exec_state state;
	int64_t pid;
	int exit_code;
	int64_t ended_ns; /* monotonic */
};
void exec_fill_inspect(const struct exec *x, struct docker_exec_inspect *ret);
