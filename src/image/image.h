/* image.h - images and the names that point at them. An image is its configuration document: its id is the digest of those bytes,
 * and it holds the top layer of its root file system in the store. Names ("references") are rows of their own and point at ids.
 * Kept in memory, written to DB_IMAGES and DB_REFERENCES; one mutex guards the table and is never held across I/O.
 *
 * struct image is immutable once published and counted: image_find() lends a reference, image_unref() gives it back.
 * Knows nothing of containers or HTTP: who uses an image is asked through a callback, what happened is told through one. */
#pragma once

#include "schema/oci_image.h"
#include "store/store.h"

/* ---- references, by Docker's grammar (ref.c) ---- */
struct ref {          /* zeroed where absent; owned */
	char *domain; /* "docker.io" */
	char *path;   /* "library/debian" */
	char *tag, *digest;
};
void ref_done(struct ref *r);
int ref_parse(const char *s, struct ref *ret,
	      struct err *e);                 /* normalised; no default tag. "invalid reference format" ... */
char *ref_name(const struct ref *r);          /* docker.io/library/debian */
char *ref_full(const struct ref *r);          /* docker.io/library/debian:12 */
char *ref_familiar_name(const struct ref *r); /* debian */
char *ref_familiar(const struct ref *r);      /* debian:12, debian@sha256:... */
char *ref_familiar_latest(const char *s);     /* "debian" -> "debian:latest"; s as it is when it does not parse */

/* ---- images ---- */
struct image {
	char *id;   /* sha256:... */
	char *json; /* the configuration's exact bytes */
	size_t json_n;
	struct oci_image oci;           /* the same, read: oci.config.cmd, .env, ... */
	char *top;                      /* chain id of the top layer; NULL for an image without layers */
	char *parent;                   /* image id or NULL (docker commit, docker build) */
	int64_t size;                   /* bytes of all layers */
	int64_t created;                /* seconds since 1970; 0 where the configuration has none */
	int64_t created_ns;             /* the same instant, to the nanosecond */
	uint32_t refs;                  /* private: atomic */
	int64_t used_ns, used_saved_ns; /* private, atomic: last use, and what the database says of it */
};
struct images;
struct image_user {
	char *container; /* id */
	bool running;
};
struct image_users {
	struct image_user *v;
	size_t n;
};
struct image_hooks {
	void *ctx;
	/* Containers made from this image id, added with VEC_ADD (owned strings). Called without the table's lock. NULL = nobody. */
	void (*users)(void *ctx, const char *image_id, struct image_users *ret);
	/* "tag", "untag", "delete", "load", "import", "pull": id of the image, and the name that the event carries. NULL is fine. */
	void (*event)(void *ctx, const char *action, const char *image_id, const char *name);
};
struct images_opts {
	struct db *db;
	struct store *store;
	struct image_hooks hooks;
};
/* Reads the tables; claims the layers of every image in the store. An image whose layers are gone is dropped with a warning. */
int images_open(const struct images_opts *o, struct images **ret, struct err *e);
void images_close(struct images *t);

/* name, name:tag, name@digest, id, unique id prefix. -ENOENT with "No such image: x:latest". */
int image_find(struct images *t, const char *name, struct image **ret, struct err *e);
struct image *image_ref(struct image *i);
void image_unref(struct image *i); /* NULL is fine */
#define AUTO_IMAGE CLEANUP(image_unrefp)
static inline void image_unrefp(struct image **i)
{
	image_unref(*i);
}
size_t image_count(struct images *t);

struct image_names { /* familiar forms, sorted */
	struct strv tags, digests;
};
void image_names_done(struct image_names *n);
void image_names(struct images *t, const char *id, struct image_names *ret);

int64_t image_tagged_ns(struct images *t, const char *id); /* newest name; 0 = none: inspect's Metadata.LastTagTime */

/* ---- list ---- */
struct image_query {      /* all conditions must hold; within one list any */
	bool all;         /* also intermediate images */
	bool shared_size; /* compute shared */
	struct json_obool dangling;
	struct strv references;    /* patterns as path.Match on familiar names */
	struct strv labels;        /* "k" or "k=v": all must hold */
	struct strv before, since; /* images: created before all of these, after all of those */
	int64_t until_ns;          /* created before this instant; 0 = no condition */
};
struct image_row {
	struct image *image; /* a reference */
	struct image_names names;
	int64_t shared; /* -1 = not computed */
};
struct image_list {
	struct image_row *v;
	size_t n;
};
void image_list_done(struct image_list *l);
int image_list(struct images *t, const struct image_query *q, struct image_list *ret, struct err *e); /* newest first */

/* ---- history ---- */
struct image_history_row {
	char *id; /* image id or "<missing>" */
	int64_t created, size;
	char *created_by, *comment;
	struct strv tags;
};
struct image_history {
	struct image_history_row *v;
	size_t n;
};
void image_history_done(struct image_history *h);
int image_history(struct images *t, const char *name, struct image_history *ret, struct err *e); /* newest first */

/* ---- change ---- */
int image_tag(struct images *t, const char *name, const char *repo, const char *tag,
	      struct err *e); /* tag may be NULL */

struct image_removed {            /* in the order of Docker's answer */
	char *untagged, *deleted; /* one of them */
};
struct image_removal {
	struct image_removed *v;
	size_t n;
};
void image_removal_done(struct image_removal *r);
enum image_remove_flags { IMAGE_FORCE = 1, IMAGE_NO_PRUNE = 2 };
int image_remove(struct images *t, const char *name, unsigned flags, struct image_removal *ret, struct err *e);
/* Unused images: without a name only (dangling), or all that no container uses. Labels as in image_query ("!" = label!=). */
struct image_prune {
	bool all;
	struct strv labels, labels_not;
	int64_t until_ns; /* created not after this instant; 0 = no condition */
};
int image_prune(struct images *t, const struct image_prune *q, struct image_removal *ret, int64_t *ret_bytes,
		struct err *e);

/* Bytes of the layers that went with it, told from a list made before. */
int64_t image_removal_bytes(const struct image_removal *r, const struct store_layers *before);

/* ---- garbage (gc.c) ---- */
/* A container was made from it or removed, or it came: remembered, to the hour after a crash. */
void image_use(struct images *t, const char *id);
struct image_gc {
	bool dry;
	int64_t keep_days, keep_last; /* of unused ones; -1 = not said */
	int64_t min_free;             /* bytes: no more is removed than that takes; 0 = not said */
	/* Told of every image that is looked at, the longest unused first. why: a sentence. */
	void (*image)(void *ctx, const struct image *i, int64_t bytes, bool removed, const char *why);
	void *ctx;
};
/* Removes images that no container uses and no operation holds. Without keep_days, keep_last or min_free nothing is unwanted. */
int image_gc(struct images *t, const struct image_gc *g, size_t *ret_removed, int64_t *ret_bytes, struct err *e);

/* ---- verify (verify.c) ---- */
struct image_check {       /* of one layer; lent */
	const char *layer; /* chain id */
	const char *diff_id;
	const struct strv *images;       /* ids of those that have it, of the images asked for */
	const struct store_check *found; /* NULL where nothing could be said: then error says why */
	const char *error;
};
struct image_verify {
	void (*layer)(void *ctx, const struct image_check *c); /* from two threads, one at a time */
	bool (*gone)(void *ctx);                               /* nobody listens any more: end. NULL = never */
	void *ctx;
};
struct image_verified {
	size_t layers, broken, unsaid; /* unsaid: could not be looked at */
};
/* names NULL or empty: every image. Each layer once, two at a time. */
int image_verify(struct images *t, const struct strv *names, const struct image_verify *v, struct image_verified *ret,
		 struct err *e);

/* Where bytes come from: a descriptor that a worker reads directly, or (fd < 0) a function called in the caller's thread. */
struct image_source {
	int fd;
	ssize_t (*read)(void *ctx, void *buf, size_t n); /* 0 = end, negative errno */
	void *ctx;
};
struct image_progress {
	void *ctx;
	void (*line)(void *ctx, const char *text); /* "Loaded image: debian:12" without newline; NULL is fine */
};
struct image_platform { /* NULL or "" = any */
	const char *os, *arch, *variant;
};
/* docker load: a `docker save` archive or an OCI layout, perhaps compressed, with any number of images. On error those that were
 * loaded before it stay, nothing else does. Images for another platform than the one wanted are passed over. */
int image_load(struct images *t, const struct image_source *src, const struct image_platform *platform,
	       const struct image_progress *p, struct err *e);

/* docker save: an OCI layout with docker's manifest.json beside it, each layer once. names: images, names, ids, or repositories (all
 * their tags). Everything is looked up before begin is called; an error behind it says that the stream is torn. */
struct image_out {
	int (*begin)(void *ctx);
	int (*write)(void *ctx, const void *p, size_t n);
	void *ctx;
};
int image_save(struct images *t, const struct strv *names, const struct image_platform *platform,
	       const struct image_out *out, struct err *e);

/* docker commit: a container's changes on top of its image. */
struct image_commit {
	const char *rw;        /* the container's layer in the store */
	const char *parent;    /* id of its image */
	const char *container; /* JSON text of the container's configuration */
	const char *config;    /* JSON text of what the client wants instead, member by member; NULL = nothing */
	const struct strv *changes;
	const char *author, *comment; /* NULL is fine */
	const char *repo, *tag;       /* NULL or "" = no name */
};
/* *ret_name: the full reference, or NULL. Two steps, so that a container need not stand still for longer than its files are read;
 * image_commit_begin says what is wrong with the request before anything is touched. */
struct image_committing;
int image_commit_begin(struct images *t, const struct image_commit *in, struct image_committing **ret, struct err *e);
int image_commit_files(struct image_committing *c, struct err *e); /* reads them; the container may go on afterwards */
int image_commit_end(struct image_committing *c, char **ret_id, char **ret_name, struct err *e);
void image_commit_done(struct image_committing *c); /* NULL is fine; after end too */

struct image_import {
	struct image_source src;    /* tar of a root file system, perhaps compressed */
	const char *repo, *tag;     /* NULL = no name */
	const char *message;        /* NULL or "" = Docker's default, "Imported from -" */
	const char *from;           /* what the message names: "-" or a URL; NULL = "-" */
	const char *platform;       /* "os[/arch[/variant]]", NULL = ours */
	const struct strv *changes; /* Dockerfile instructions; NULL is fine */
};
int image_import(struct images *t, const struct image_import *in, char **ret_id, struct err *e);
