/* container_view.h - pieces that inspect and list share. All read a record under its container's lock. Private to the engine. */
#pragma once

#include "engine/engine_private.h"

void fill_mount_point(const struct container_mount *m, struct docker_mount_point *p);
void fill_endpoint(const struct container_record *rec, const char *network, struct docker_endpoint_settings *s);
const struct net_endpoint *shown_endpoint_on(const struct container_record *rec, const char *network);
/* NULL where the container does not run, also while what it had is still being taken back. */
const struct net_endpoint *shown_endpoint(const struct container_record *rec);
