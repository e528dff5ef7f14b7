/* container_mounts.h - private to the engine. */
#pragma once

#include "engine/engine_private.h"

/* Fills rec->mounts from rec->config and rec->host; makes the volumes that are missing. On error some of these stay, as Docker has it. */
int container_resolve_mounts(struct engine *en, struct container_record *rec, struct err *e);
