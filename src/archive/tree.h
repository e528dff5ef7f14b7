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
	int (*write)(void *ctx, const void *p, size_t n); /* negative errno ends it */
	void *ctx;
};
int archive_tree(int root, const struct tree_opts *o, struct err *e);
