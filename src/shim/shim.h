/* shim.h - the body of hoy-shim: one container's parent. Owns its stdio, log, sessions, journal and namespaces; talks to hoyd as
 * proto.h says; outlives hoyd. One thread, one epoll loop; blocking calls only inside act (start, exec, freeze). libc only.
 *
 *     loop     descriptors and what happens when they are ready
 *     journal  what hoyd has to learn, on disk until it says it knows
 *     conn     a handed-over HTTP connection: output queue, framing, its end
 *     attach   connection <-> process streams          follow   log -> connection          wait   exit -> connection
 *     io       the process's side: pipes or terminal, log, back-pressure
 *     task     container and execs: start, exit, cleaning up
 *     control  messages of hoyd */
#pragma once

#include "base/base.h"

struct shim_opts {
	const char *id;
	int folder, hoyd, listener, run_dir; /* descriptors, see proto.h; stay the caller's */
	/* serves a socket bound to a host port by copying to target; runs in a child of its own and does not return; NULL = refused */
	int (*relay)(int fd, const char *proto, const char *target, uint16_t port);
};
int shim_run(const struct shim_opts *o, struct err *e); /* 0 = ended in order */

/* For hoyd when a shim is dead: each SHIM_EVENT body that its journal still holds, oldest first. */
int shim_journal_read(int folder, void (*f)(void *ctx, const void *body, size_t n), void *ctx);
