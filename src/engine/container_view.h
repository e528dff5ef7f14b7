/* container_view.h - pieces that inspect and list share. All read a record under its container's lock. Private to the engine. */
#pragma once

#include "engine/engine_private.h"

void fill_mount_point(const struct container_mount *m, struct docker_mount_point *p);
void fill_endpoint(const struct container_record *rec, struct docker_endpoint_settings *s);
const char *network_name(const struct container_record *rec);
/* NULL where the container does not run, also while what it had is still being taken back. */
const struct net_endpoint *shown_endpoint(const struct container_record *rec);
const char *network_id(const struct container_record *rec); /* now or when it last ran; NULL or "" before */
