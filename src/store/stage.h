/* stage.h - a layer between unpacking and settling: stage.c makes it, add.c takes it. */
#pragma once

#include "store/store.h"

struct store_stage {
	char *name, *parent; /* name: in tmp/, later in layers/ */
	int dir;             /* opened before the first byte was written: syncfs() on it tells of every failure since */
	int64_t opened_ns;
	char digest[DIGEST_TEXT], diff_id[DIGEST_TEXT];
	int64_t blob_size, tar_size, size;
	char *media_type, *repo;
};
void stage_free(struct store_stage *st);
int blob_check(const struct store_blob *blob, struct err *e);
