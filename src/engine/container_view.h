/* container_view.h - pieces that inspect and list share. All read a record under its container's lock. Private to the engine. */
#pragma once

#include "engine/engine_private.h"

char *time_text(int64_t ns); /* RFC 3339, Go's zero time for 0 */
void fill_mount_point(const struct container_mount *m, struct docker_mount_point *p);
void fill_endpoint(const struct container_record *rec, struct docker_endpoint_settings *s);
const char *network_name(const struct container_record *rec);
