/* tar_priv.h - what tar.c and tar_pax.c share. */
#pragma once

#include "archive/archive.h"

struct tar_ext { /* what extension headers said about the next entry; owned */
	char *path, *linkpath;
	bool has_size, has_uid, has_gid, has_mtime;
	int64_t size, uid, gid, mtime;
	uint32_t mtime_ns;
	struct {
		struct tar_xattr *v;
		size_t n;
	} xattrs;
	/* GNU.sparse.* */
	int64_t sparse_major, sparse_minor, sparse_real; /* -1 = not said */
	int64_t sparse_at;                               /* 0.0: offset waiting for its numbytes; -1 = none */
	char *sparse_name;
	struct {
		struct tar_extent *v;
		size_t n;
	} sparse;
	bool is_sparse;
};
void tar_ext_clear(struct tar_ext *x);
/* Records "len key=value\n" ... over what x says already. */
int tar_pax_parse(const char *p, size_t n, struct tar_ext *x, struct err *e);
int tar_sparse_add(struct tar_ext *x, int64_t at, int64_t n, struct err *e);
