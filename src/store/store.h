/* store.h - layers on disk, and the root file systems made of them. A read-only layer is a directory layers/<name>/diff, known by its
 * chain id; a container's read-write layer is layers/<name>/{diff,work} (overlay2; what is in them is the driver's choice, and other
 * drivers' folders are called layers-<driver>). The only writer is hoyd; archives are unpacked by hoy-worker.
 *
 * Ownership. Every layer counts its references: a child layer holds its parent, an image holds its top layer, a container's
 * read-write layer holds the top layer of its image. A read-only layer is a row of DB_LAYERS. A read-write layer has no row of its
 * own: the container's record names it, so that making one costs two directories and nothing else. After a start the owners say
 * what is theirs (store_layer_ref, store_rw_claim), then store_sweep() removes everything else. Removing is a rename into
 * tmp/ at once and deleting in a thread of the store's own.
 * Thread-safe. Knows nothing of images, containers or HTTP. */
#pragma once

#include "base/base.h"
#include "db/db.h"

#define DIGEST_TEXT 72 /* "sha256:" + 64 hex digits + NUL */
struct store;
struct store_opts {
	const char *root;   /* data root, absolute; layers/ and tmp/ are made in it, tmp/ is emptied */
	const char *worker; /* absolute path of hoy-worker */
	const char *driver; /* "overlay2", "vfs", ...; NULL = the one that has layers here, else the first that works */
	struct db *db;
};
int store_open(const struct store_opts *o, struct store **ret, struct err *e);
int store_sweep(struct store *s, struct err *e);  /* once, after every owner has claimed what is its own */
void store_close(struct store *s);                /* waits for deletions under way; NULL is fine */
const char *store_driver(const struct store *s);  /* "overlay2": what `docker info` says */
const char *store_backing(const struct store *s); /* file system below it: "extfs", "xfs", ... as Docker names them */
void store_status(const struct store *s, struct strmap *ret); /* DriverStatus of `docker info`, in its order */
/* Drivers keep their layers, images and names apart. Names of the others that have some here: not seen, not deleted. */
void store_other_drivers(const struct store *s, struct strv *ret);
bool store_whole_trees(const struct store *s); /* layers of one image must be added one after the other, lowest first */

/* ---- digests (hoyd's own; big streams are hashed by workers) ---- */
void digest_bytes(const void *p, size_t n, char ret[DIGEST_TEXT]);
bool digest_valid(const char *s); /* "sha256:" and 64 lower-case hex digits, nothing else */
void chain_id(const char *parent, const char *diff_id, char ret[DIGEST_TEXT]); /* parent NULL for the lowest layer */

/* ---- read-only layers ---- */
struct store_blob_info { /* one form in which a layer travels: the compressed bytes that it was, or could be, unpacked from */
	char *digest;     /* of those bytes */
	char *media_type; /* NULL where nobody said */
	char *repo;       /* where a registry has it: "docker.io/library/debian"; NULL = it came in a file */
	int64_t size;
};
struct store_blobs {
	struct store_blob_info *v;
	size_t n;
};
void store_blobs_done(struct store_blobs *b);
struct store_layer {                       /* a copy; store_layer_done */
	char *chain_id, *diff_id, *parent; /* parent chain id or NULL */
	char *name;                        /* directory below layers/ */
	struct store_blobs blobs;          /* the newest last */
	int64_t size;                      /* bytes of regular files: what Docker calls the layer's size */
	int64_t tar_size;                  /* bytes of its archive, uncompressed; 0 = not known (made by an old hoyd) */
	int64_t lease_ns;                  /* kept without an owner until then; 0 = no lease */
	uint32_t refs;
};
void store_layer_done(struct store_layer *l);
int store_layer_get(struct store *s, const char *chain, struct store_layer *ret, struct err *e); /* -ENOENT */
struct store_layers { /* copies of all there are, sorted by chain id */
	struct store_layer *v;
	size_t n;
};
void store_layers(struct store *s, struct store_layers *ret);
void store_layers_done(struct store_layers *l);
#define AUTO_LAYERS CLEANUP(store_layers_done)
struct store_layer *store_layers_find(const struct store_layers *l, const char *chain); /* NULL where there is none */
int store_layer_ref(struct store *s, const char *chain, struct err *e); /* -ENOENT where there is none; NULL is fine */
void store_layer_unref(struct store *s,
		       const char *chain); /* the last one removes it, and parents that nobody else holds */
/* The same, telling which layers are gone now (chain ids, top first). */
void store_layer_drop(struct store *s, const char *chain, struct strv *ret_gone);
int64_t store_chain_size(struct store *s, const char *chain); /* of the layer and all below it; 0 for NULL */

/* A directory to read the layer's files through, whatever the driver: a descriptor or -errno. It holds what the layer's archive
 * brought (whiteouts as devices 0/0); where store_whole_trees() it is the whole tree up to this layer. */
int store_layer_dir(struct store *s, const char *chain, struct err *e);

/* A layer's archive: the identical bytes that it was unpacked from, plain or compressed anew, to be read from the descriptor store_pack_fd() by the
 * thread that began it. They are checked on the way: only after the end, store_pack_end() says whether what came out is to be
 * used, and how many bytes it was. Ending early (NULL ret) is fine. Needs the recipe that layers have since it is kept. */
struct store_pack;
int store_pack_begin(struct store *s, const char *chain, bool gzip, struct store_pack **ret, struct err *e);
int store_pack_fd(const struct store_pack *p);                              /* lent */
int store_pack_end(struct store_pack *p, int64_t *ret_size, struct err *e); /* frees p in any case */
/* Hands every byte to write (negative errno stops) and ends p in any case: *ret_size is good only where 0 is returned. */
int store_pack_send(struct store_pack *p, int (*write)(void *ctx, const void *buf, size_t n), void *ctx,
		    int64_t *ret_size, struct err *e);
int store_layer_packable(struct store *s, const char *chain, struct err *e); /* is the recipe there? */

/* Is a layer still what its archive brought? Reads all of it (and the recipe), in a worker. An error means that nothing can be said. */
struct store_flaw {
	char *path, *why; /* path "" = the layer as a whole */
};
struct store_check {
	struct {
		struct store_flaw *v;
		size_t n;
	} flaws;     /* the first hundred; none: it is whole */
	int64_t all; /* how many there are */
	int64_t entries, bytes;
};
void store_check_done(struct store_check *c);
int store_layer_verify(struct store *s, const char *chain, struct store_check *ret, struct err *e);

/* A stage of the same diff id takes the place of a layer that is broken, under the layer's name, in one step; its record stays. The
 * stage is gone afterwards, whatever happened. in_use is asked before and after: while it says yes nothing is exchanged, and what was
 * exchanged already is deleted at the next start only. Not for store_whole_trees(): children are copies of what is broken. */
struct store_stage;
int store_layer_exchange(struct store *s, const char *chain, struct store_stage *st, bool (*in_use)(void *ctx),
			 void *ctx, struct err *e);

/* Bytes for a worker: a descriptor that it reads itself; a file that is still growing (fd and wait); or (fd < 0) a function. The
 * functions are called in our thread. */
struct store_source {
	int fd;
	ssize_t (*read)(void *ctx, void *buf, size_t n); /* 0 = end, negative errno */
	/* Blocks until the file is longer than `at` bytes and says how long; `at` itself at its end; negative errno. fd is read from 0. */
	int64_t (*wait)(void *ctx, int64_t at);
	void *ctx;
};
struct store_blob {                    /* a layer archive to be unpacked: tar, perhaps compressed */
	struct store_source src;       /* from its present offset to the end; a descriptor stays the caller's */
	const char *digest;            /* of the bytes as they come, or NULL = not checked */
	const char *diff_id;           /* of the uncompressed tar, or NULL = not checked (import) */
	const char *what;              /* for error sentences: "layer 3/7", a file name */
	const char *media_type, *repo; /* remembered with the layer (store_blob_info); NULL is fine */
	/* Now and then, in the caller's thread: bytes of the compressed stream that are unpacked. NULL = silent */
	void (*progress)(void *ctx, int64_t done);
	void *progress_ctx;
};
/* Unpacks blob on top of parent (chain id or NULL), verifies, syncs and records it. When the layer is there already nothing
 * is read. The caller gets one reference and the chain id. On error nothing is left. */
int store_layer_add(struct store *s, const char *parent, const struct store_blob *blob, char ret_chain[DIGEST_TEXT],
		    struct err *e);

/* The same in two halves, so that several layers can be unpacked at once. A stage is a layer in tmp/: unpacked and verified, not
 * synced, seen by nobody, gone after a restart. Two stages of one layer do no harm: the first that settles wins. */
struct store_stage;
/* Thread-safe, to be called by one thread per layer. parent: what it will settle on, which must be there already where
 * store_whole_trees(); otherwise NULL will do, and any number can be staged at once. */
int store_stage(struct store *s, const char *parent, const struct store_blob *blob, struct store_stage **ret,
		struct err *e);
const char *store_stage_diff_id(const struct store_stage *st);
void store_stage_drop(struct store *s, struct store_stage *st); /* NULL is fine */
/* Syncs once, then moves and records n stages, v[0] on top of parent (NULL or a chain id that the caller holds), each next one on
 * top of the one before. The stages are gone afterwards, whatever happened. The caller gets one reference to the topmost
 * layer; on error nothing of these is left. lease_ns: see store_layer_lease; 0 = none. */
int store_settle(struct store *s, const char *parent, struct store_stage **v, size_t n, int64_t lease_ns,
		 char ret_chain[DIGEST_TEXT], struct err *e);
/* A lease keeps layers that have no owner yet: the half of an interrupted pull. Until that moment (wall clock) a layer survives
 * store_sweep() and the giving back of its last reference. Said of chain and all below it that have one; 0 ends it (a pull
 * whose image is recorded does that), and what then has no owner goes. */
int store_layer_lease(struct store *s, const char *chain, int64_t until_ns, struct err *e);
/* Removes layers without owner whose lease is over; chain ids into ret_gone (may be NULL). GC calls it. */
void store_layer_expire(struct store *s, struct strv *ret_gone);
int64_t store_free_bytes(const struct store *s); /* of the file system, for everybody; -1 = unknown */
/* What nobody will ask for any more: layers whose lease is over, downloads that nobody continued for a week, blobs that no layer names. */
void store_tidy(struct store *s);
/* The forms known of any layer with this diff id; the newest last. */
void store_layer_blobs(struct store *s, const char *diff_id, struct store_blobs *ret);
/* Remembers one more of chain (the same digest and repo: no second time). */
int store_layer_blob_add(struct store *s, const char *chain, const struct store_blob_info *b, struct err *e);

/* ---- unfinished downloads: partial/<hex>, appended to by one thread while others read (partial.c) ----
 * Survive restarts and errors; unlinked after 7 days (at start). What is in them is unchecked: whoever unpacks it verifies. */
struct store_partial;
#define STORE_PARTIAL_KEEP_S (7 * 24 * 3600)
/* One holder per digest in this process: a second caller waits for the first to close, then should look first whether its layer
 * is there now. cancel (NULL is fine): set to non-zero by another thread, ends the wait with -ECANCELED within a second. */
int store_partial_open(struct store *s, const char *digest, const int *cancel, struct store_partial **ret,
		       struct err *e);
int store_partial_fd(const struct store_partial *p);            /* to append to (remote_blob_get) */
int64_t store_partial_have(struct store_partial *p);            /* how many bytes there are */
void store_partial_grew(struct store_partial *p, int64_t have); /* wakes the readers */
void store_partial_end(struct store_partial *p, int r); /* 0: these are all bytes; negative errno: no more will come */
struct store_source store_partial_source(
	struct store_partial *p);                 /* follows the file to its end; several at once are fine */
int store_partial_reset(struct store_partial *p); /* empties it and begins anew: what was in it was wrong */
enum store_partial_fate {
	STORE_PARTIAL_KEEP, /* for the next attempt */
	STORE_PARTIAL_DROP, /* wrong bytes, or not needed any more */
	STORE_PARTIAL_BLOB, /* whole and verified: synced and moved to blobs/sha256/<hex> */
};
/* No reader and no download may be running. BLOB may fail (the file is then dropped); the others do not. */
int store_partial_close(struct store_partial *p, enum store_partial_fate fate, struct err *e);
/* Its layer is there: what an interrupted download left is not needed. Nothing happens while somebody holds it. */
void store_partial_forget(struct store *s, const char *digest);
/* blobs/sha256/<hex>: lives as long as a layer's list of blobs names it. -ENOENT */
int store_blob_open(struct store *s, const char *digest);

/* ---- read-write layers ---- */
/* Two directories; top is the image's top layer (NULL for an image without layers), which gets a reference. *ret_name (a dozen
 * characters) is the caller's to record. uid and gid own the new root (0 unless userns-remap). */
int store_rw_create(struct store *s, const char *top, uint32_t uid, uint32_t gid, char **ret_name, struct err *e);
int store_rw_claim(struct store *s, const char *name, const char *top, struct err *e); /* at start: a record names it */
void store_rw_remove(struct store *s, const char *name); /* nothing is mounted on it any more; unknown names are fine */
int store_rw_size(struct store *s, const char *name, int64_t *ret,
		  struct err *e); /* bytes of regular files; walks it */

/* Where a container's changes are. For store_whole_trees() two trees are to be compared; then paths in `ignore` that base does
 * not have are the engine's own (mount points), no changes. Otherwise tree is an upper directory in overlay's language. */
struct store_diff {
	int tree; /* directory descriptors */
	int base; /* -1: nothing below, or not needed */
	bool compare;
	struct strv ignore; /* relative to the root */
};
void store_diff_done(struct store_diff *d);
/* What a container changed, as a layer's archive (commit). */
struct store_pack;
int store_rw_changes(struct store *s, const char *name, struct store_pack **ret, struct err *e);
/* All its files (export), without what is mounted on them: through its mount namespace while it runs (the descriptor stays the
 * caller's); -1 where nobody has it mounted, and nobody will before the end. */
int store_rw_export(struct store *s, const char *name, int mount_ns, struct store_pack **ret, struct err *e);
/* The same as a list (docker diff): records "<digit>/<path>\0", 0 modified, 1 added, 2 deleted; a directory before what is in it. */
int store_rw_list(struct store *s, const char *name, char **ret, size_t *ret_n, struct err *e);

/* A container's files as it sees them (docker cp). While it runs: its mount namespace, and its root there. While it does not, mount_ns
 * is -1, and mounts tells what is put upon its root file system (worker_call.h has the format). write: nobody starts it until the call, or
 * the pack that it gives, has ended. Without, -EROFS where a mount point must be made first: ask again with it. */
struct store_view {
	const char *name;
	int mount_ns, root;
	const struct strb *mounts;
	bool write;
};
struct store_stat {
	uint32_t mode;
	int64_t size, mtime_ns;
	char *target; /* where a link leads in the end, inside the container; "" where it is none */
};
int store_files_stat(struct store *s, const struct store_view *v, const char *path, struct store_stat *ret,
		     struct err *e);
int store_files_get(struct store *s, const struct store_view *v, const char *path, struct store_stat *ret_stat,
		    struct store_pack **ret, struct err *e);
struct store_put {
	int fd; /* a tar, perhaps compressed */
	const char *path;
	bool no_overwrite, root_readonly;
	const char *user; /* whose everything becomes; NULL: as the archive says */
};
int store_files_put(struct store *s, const struct store_view *v, const struct store_put *o,
		    struct err *e); /* needs write */
int store_rw_diff(struct store *s, const char *name, struct store_diff *ret, struct err *e);

struct store_rootfs {       /* what plan_format.h's PLAN_MOUNT_OVERLAY wants */
	char *lower_dir;    /* absolute path of layers/ */
	struct strv lowers; /* relative to lower_dir, top first */
	char *upper, *work; /* absolute */
	bool has_lowers_fd;
	int lowers_fd; /* then lowers are relative to this directory: detached mounts, to be cloned from there */
	char *fuse;    /* the program that makes the overlay, in the kernel's stead */
	char *bind;    /* instead of all the above where the driver needs no overlay: bind this directory */
};
void store_rootfs_done(struct store_rootfs *r);
int store_rootfs(struct store *s, const char *rw_name, struct store_rootfs *ret, struct err *e);
/* The same in Docker's words, for inspect: {"LowerDir": ..., "MergedDir": ..., "UpperDir": ..., "WorkDir": ...}. rw_name or chain. */
int store_graph_data(struct store *s, const char *rw_name, const char *chain, struct strmap *ret, struct err *e);

/* ---- scratch and workers, for image/ ---- */
int store_tmp(struct store *s, char **ret_name, int *ret_dirfd, struct err *e); /* a new directory in tmp/ */
void store_tmp_remove(struct store *s, const char *name);
const char *store_worker(const struct store *s); /* absolute path of hoy-worker */
