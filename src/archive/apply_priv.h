/* apply_priv.h - directories whose attributes wait for the end of the archive (late.c). */
#pragma once

#include "archive/archive.h"

#define LATE_BYTES_MAX \
	((size_t)512 << 20) /* of names and xattrs kept: ten million deep directories do not fit, no image comes near */
struct late_dir {
	char *path;
	uint32_t mode, uid, gid;
	struct timespec mtime;
	struct tar_xattr *xattrs;
	size_t n_xattrs;
};
struct late_dirs {
	struct late_dir *v;
	size_t n, bytes;
};
int late_dirs_add(struct late_dirs *l, const char *path, const struct tar_entry *t, struct err *e);
void late_dirs_done(struct late_dirs *l);
/* "./a//b/" -> "a/b", "/" -> ""; what climbs out is refused */
int apply_clean_name(const char *name, char **ret, struct err *e);
int apply_refuse(const char *name, const char *why, struct err *e);
bool xattr_wanted(const char *name); /* may be set for an image */
/* Paths that an archive brought, and the directories above them (seen.c): their hashes, so that ten million cost 160 MB at most. Two
 * paths with one hash would keep a file that a whiteout means: an archive can only do that to itself. */
struct seen {
	uint64_t *v; /* open addressing; 0 = free */
	size_t n, cap;
};
void seen_add(struct seen *s, const char *path); /* clean, relative */
bool seen_has(const struct seen *s, const char *path);
