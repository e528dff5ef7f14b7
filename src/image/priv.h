/* priv.h - the inside of the table of images. */
#pragma once

#include "image/image.h"

#include <pthread.h>

struct name_row {
	char *full; /* docker.io/library/debian:12 */
	char *id;
	int64_t since_ns;
};
struct images {
	struct db *db;
	struct store *store;
	struct image_hooks hooks;
	pthread_mutex_t lock; /* guards images and names; never held across I/O */
	struct {
		struct image **v; /* sorted by id */
		size_t n;
	} images;
	struct {
		struct name_row *v; /* sorted by name */
		size_t n;
	} names;
	/* One change of names or images at a time: memory and database must agree on the order. Held across commits, never with
	 * another object's lock inside `lock`. */
	pthread_mutex_t change;
};

/* `lock` held */
struct image *by_id(struct images *t, const char *id);
struct name_row *by_name(struct images *t, const char *full);
bool has_children(struct images *t, const char *id);

/* takes no lock */
int image_read(const char *json, size_t n, struct image **ret, struct err *e); /* checks; top and size are empty */

/* `change` held: commit, then memory */
int names_set(struct images *t, const struct strv *full, const char *id, int64_t since_ns,
	      struct err *e); /* since 0 = nobody gave the names here: they came with the image */
int name_set(struct images *t, const char *full, const char *id, struct err *e); /* one, now */
int names_drop(struct images *t, const char *full, struct err *e);
/* Takes i and its reference on the top layer; when the id exists already, *i is replaced by that image and the reference given back.
 * The names (NULL is fine) become its in the same commit. */
int images_add(struct images *t, struct image **i, const struct strv *names, int64_t since_ns, struct err *e);
int images_drop(struct images *t, const char *id, struct strv *gone_layers, struct err *e);

bool image_fits(const struct image *i, const struct image_platform *p); /* NULL or "": any does */
int name_for_tag(const char *repo, const char *tag, struct ref *ret, struct err *e);
void tell(struct images *t, const char *action, const char *id, const char *name);
void image_names_add(struct image_names *ret, const char *full);        /* as people write it */
void names_of(struct images *t, const char *id, struct strv *ret_full); /* takes lock; tags first, sorted */

int used_load(struct images *t, struct err *e); /* at start */
void used_forget(struct images *t, const char *id);
#define IMAGE_IF_UNTAGGED 4 /* beside image_remove_flags: not when it has got a tag meanwhile */
void image_remove_unused(struct images *t, const char *id, unsigned flags, struct image_removal *done);
bool image_runs(struct images *t, const char *id); /* a running container was made from it; takes no lock */
bool image_used(struct images *t, const char *id); /* any container */
bool image_labels_match(const struct image *i, const struct strv *all); /* "k" or "k=v", every one */

/* changes.c: `--change` of import and commit; pure */
int changes_apply(struct oci_config *c, const struct strv *changes, struct err *e);
