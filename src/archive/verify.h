/* verify.h - is a layer's directory still what its archive brought? The archive is made again out of recipe and directory (that
 * reads every byte, and its digest must come out), and on the way each entry is compared with what lies there. */
#pragma once

#include "archive/recipe.h"

struct flaw {
	char *path; /* below the layer; "" = the layer as a whole */
	char *why;
};
#define FLAWS_MAX 100
struct verify_result {
	struct {
		struct flaw *v;
		size_t n;
	} flaws; /* the first FLAWS_MAX; none = it is whole */
	uint64_t more, entries;
	int64_t bytes;      /* of the archive */
	struct strv opaque; /* directories that must be marked so: the caller can see marks, a worker cannot */
};
void verify_result_done(struct verify_result *r);
/* whole_tree: dir holds the tree of the layers below, too; what is more there is not looked at. An error means that nothing can be said. */
int archive_verify(int recipe, int dir, const char *diff_id, bool whole_tree, struct verify_result *ret, struct err *e);
