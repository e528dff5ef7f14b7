/* tree.h - a directory on disk -> a tar stream: a whole tree (export), or what a container changed (commit). Names in order, PAX records
 * only where ustar's fields are too small, whole seconds, numeric owners: what Docker writes. Sockets are left out. */
#pragma once

#include "archive/archive.h"

struct tree_opts {
	/* The directory is an overlay's upper: devices 0/0 become whiteouts. */
	bool upper;
	const struct strv *opaque; /* directories that hide what is below, sorted; NULL = none */
	/* Or: only what differs from the tree base (a descriptor, -1 = no comparison), what is missing becoming whiteouts. */
	int base;
	const struct strv *ignore; /* sorted paths that are no changes where base does not have them; NULL = none */
	/* The root itself is an entry too, called so ("" for a file system's root); everything else is below it. NULL: no such entry */
	const char *name;
	int (*write)(void *ctx, const void *p, size_t n); /* negative errno ends it */
	void *ctx;
};
int archive_tree(int root, const struct tree_opts *o, struct err *e);
/* The one file base in the directory, whatever it is, as the entry name. */
int archive_one(int dir, const char *base, const struct tree_opts *o, struct err *e);

/* What differs between a container's tree and what it was made of (changes.c). */
struct changes_opts {
	int base;                  /* -1: nothing was there */
	bool upper;                /* tree is an overlay's upper */
	const struct strv *opaque; /* sorted; see tree_opts */
	const struct strv *ignore;
	size_t max; /* bytes of ret; 0 = CHANGES_BYTES_MAX */
};
#define CHANGES_BYTES_MAX ((size_t)60 << 20)
/* Appends records "<digit>/<path>\0": 0 modified, 1 added, 2 deleted; by name, directories before what is in them. */
int archive_changes(int tree, const struct changes_opts *o, struct strb *ret, struct err *e);

/* Where path leads below root when every link is followed (where.c): the part that is not there is appended as it is. For reading
 * only: what is done there is done by descriptors. -ELOOP after 255 links */
int archive_where(int root, const char *path, char **ret);
