/* spool.h - an archive of images taken apart by a worker: files in tmp/, known by their path in the archive and their digest. */
#pragma once

#include "image/priv.h"

struct spool;
int spool_make(struct store *store, const struct image_source *src, struct spool **ret, struct err *e);
void spool_free(struct spool *s); /* removes the files; NULL is fine */
bool spool_has(const struct spool *s, const char *path);
int spool_open(const struct spool *s, const char *path, struct err *e); /* a descriptor */
int spool_read(const struct spool *s, const char *path, size_t max, char **ret, size_t *ret_n, struct err *e);
/* Nobody opens a file with this content any more: its room is given back, and no later sync has to write it. */
void spool_drop(struct spool *s, const char *path);
bool spool_same(const struct spool *s, const char *a, const char *b); /* two paths (one may be a link), one file */
/* The path of an OCI blob that has the right length; whoever reads it checks the digest. */
int spool_blob(const struct spool *s, const struct oci_descriptor *d, char **ret_path, struct err *e);
/* Its bytes, checked. */
int spool_read_blob(const struct spool *s, const struct oci_descriptor *d, size_t max, char **ret, size_t *ret_n,
		    struct err *e);
