/* events.h - what happened, for `docker events`: the last 256 events and those who listen. Has a lock of its own; emitting never blocks
 * on a listener (a slow one loses the oldest of what it has not read, beyond 1,024 events). Private to the engine. */
#pragma once

#include "engine/engine.h"

struct events;
struct events *events_new(void);
void events_free(struct events *ev); /* wakes listeners; they must unsubscribe before it returns */

struct event {
	const char *type;   /* "container", "image", "volume", "network" */
	const char *action; /* "start", "exec_create: sh" */
	const char *id;
	const char *from; /* image name of a container event, or NULL */
	const struct strmap *attributes;
	int64_t time_ns; /* 0 = now */
};
void events_emit(struct events *ev, const struct event *what);
