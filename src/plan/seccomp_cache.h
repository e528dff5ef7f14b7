/* seccomp_cache.h - compiled seccomp filters, by profile and capabilities: nearly all containers of a machine have the same one, and
 * compiling it costs more than most of a start. Thread-safe; keeps a few filters, whole copies go out. */
#pragma once

#include "plan/plan.h"

struct seccomp_cache;
struct seccomp_cache *seccomp_cache_new(void);
void seccomp_cache_free(struct seccomp_cache *c); /* NULL is fine */
/* profile: JSON in Docker's format, or NULL for Docker's default policy. *ret_read on failure: the profile could be read, what is wrong
 * is in its rules. */
int seccomp_cache_get(struct seccomp_cache *c, const char *profile, uint64_t bounding_caps, struct seccomp_ready *ret,
		      bool *ret_read, struct err *e);
