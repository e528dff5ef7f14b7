/* registry.h - the body of `hoy-worker registry`: speaks the distribution protocol for one session of hoyd (store/registry_call.h).
 * It parses what registries send, so it has a root of its own in memory, no capability and no files but those it is handed; it has
 * the network. One thread: a loop moves the bytes, every request is a fiber. */
#pragma once

/* Serves the session on this socket until hoyd closes it; the exit status. */
int registry_main(int sock);
