/* priv.h - the inside of the store: one table of layers under one lock, a driver, a thread that deletes. */
#pragma once

#include "store/store.h"

#include <pthread.h>

struct rw_layer {
	char *name, *top; /* top: chain id or NULL */
};
struct store {
	char *root, *worker;
	int layers, tmp, partial, blobs; /* directory descriptors; blobs: blobs/sha256 */
	struct db *db;
	const struct driver *driver;
	void *driver_data; /* the driver's own */
	char *layers_path; /* absolute path of the driver's folder */

	/* guarded by lock; never held across I/O */
	pthread_mutex_t lock;
	pthread_cond_t settled; /* a chain id left `busy` */
	struct {
		struct store_layer *v; /* sorted by chain id */
		size_t n;
	} table;
	struct strv busy;     /* chain ids that a thread is adding or removing right now */
	struct strv partials; /* digests whose partial file somebody holds; `settled` tells of changes here too */
	struct {
		struct rw_layer *v;
		size_t n;
	} rw;

	/* the deleting thread (reap.c) */
	pthread_mutex_t reap_lock;
	pthread_cond_t reap_wake;
	struct strv doomed; /* names in tmp/ */
	pthread_t reaper;
	bool reaping, stop;
};

/* A way to keep layers and to make root file systems of them. Functions may be called by several threads and hold no lock.
 *
 * A layer is made in a stage, a directory tmp/<name>, and lies in <folder>/<name> once it is moved there. The driver owns what is
 * called "diff" in both; other names beside it (recipe, ...) are not its business. Names are directories below the folder. */
struct driver {
	const char *name;
	const char *
		folder; /* below the data root; each driver has one of its own, so that none touches another's layers */
	bool automatic; /* may be chosen without being asked for */
	bool whole_trees; /* a layer is the whole tree up to it: made on top of a copy of its parent, so the parent must be there
			   * first (layers of one image one after the other). Otherwise a layer is what its archive says, and any
			   * number can be made at once, in any order. A container's changes are found accordingly (store_rw_diff) */
	uint32_t unpack; /* enum worker_form: what the worker makes of an archive in stage/diff */
	int (*probe)(const struct store *s, struct err *e); /* does it work on this kernel and this file system? */
	int (*open)(struct store *s, struct err *e);        /* once, when it has been chosen. NULL: nothing to do */
	/* Makes stage/diff for the worker: empty, or with a copy of the layer `parent` (NULL: none). */
	int (*layer_make)(struct store *s, int stage, const char *parent, struct err *e);
	/* After the worker: hides what lower layers have at path. NULL: archives leave no such marks. */
	int (*opaque)(const struct store *s, int diff, const char *path);
	/* The layer in the stage is complete; what is still missing is written through. NULL: nothing to do. */
	int (*layer_seal)(struct store *s, int stage, struct err *e);
	/* A directory to read a layer through (pack, verify): its own files, or its whole tree (whole_trees). A descriptor or -errno */
	int (*layer_dir)(struct store *s, const char *name, struct err *e);
	void (*forget)(struct store *s, const char *name); /* the layer is about to be removed. NULL: nothing to do */
	int (*rw_make)(struct store *s, const char *name, const char *top, uint32_t uid, uint32_t gid, struct err *e);
	/* lowers: names of the layers, top first, the init layer last */
	int (*rootfs)(struct store *s, const char *name, const struct strv *lowers, struct store_rootfs *ret,
		      struct err *e);
	/* Directories in Docker's words for inspect; NULL: none are shown */
	void (*graph_data)(const struct store *s, const char *rw_name, const struct strv *lowers, struct strmap *ret);
	void (*status)(const struct store *s, struct strmap *ret); /* rows of `docker info`, in its order */
	void (*close)(struct store *s);                            /* frees s->driver_data. NULL: nothing to do */
};
extern const struct driver driver_overlay, driver_vfs, driver_btrfs, driver_erofs, driver_fuse;
int driver_pick(struct store *s, const char *want,
		struct err *e); /* drivers.c; NULL: prefers one that has data, then the first that works */
void drivers_elsewhere(const struct store *s, struct strv *ret); /* names of other drivers that have layers here */
int plain_layer_make(struct store *s, int stage, const char *parent, struct err *e); /* an empty directory stage/diff */
int plain_layer_dir(struct store *s, const char *name, struct err *e);               /* <folder>/<name>/diff */
int upper_rootfs(struct store *s, const char *name, const struct strv *lowers, struct store_rootfs *ret, struct err *e);
int upper_opaque(const struct store *s, int diff, const char *path);
int driver_overlay_attributes(const struct store *s, struct err *e); /* can this file system hold overlay's marks? */
void upper_graph_data(const struct store *s, const char *rw_name, const struct strv *lowers, struct strmap *ret);
int upper_rw_make(struct store *s, const char *name, const char *top, uint32_t uid, uint32_t gid, struct err *e);

#define INIT_LAYER "init"
#define LAYER_RECIPE "recipe" /* beside diff: how to make the archive again (archive/recipe.h) */
struct store_layer *layer_find(struct store *s, const char *chain); /* lock held */
char *layer_name(struct store *s, const char *chain);               /* its directory; yours; NULL where there is none */
void busy_enter(struct store *s, const char *chain);                /* lock held; waits until nobody else has it */
void busy_leave(struct store *s, const char *chain);                /* lock held */
void layer_publish(struct store *s, struct store_layer *l);         /* lock held; takes l's strings */
/* lock held: out of the table, into *ret */
void layer_take(struct store *s, struct store_layer *l, struct store_layer *ret);
void layer_put(struct db_batch *b, const struct store_layer *l); /* its document */
void blob_add(struct store_blobs *to, const struct store_blob_info *b);
bool blob_named(struct store *s, const char *digest);               /* lock held: some layer has it in its list */
int recipe_open(struct store *s, const char *chain, struct err *e); /* a descriptor */
int layers_load(struct store *s, struct err *e);
void init_layer_paths(struct strv *ret); /* what it brings, relative to the root; parents come first */
char *name_new(void);
int init_fill(int root); /* what a container's root must have (mount points): made below root where it is missing */
void subvolume_remove(int tmp, const char *name); /* tmp/<name>/diff where it is a btrfs subvolume; else nothing */
int tree_rw_settle(struct store *s, const char *name,
		   struct err *e); /* tmp/<name>, complete and synced, becomes a layer */
int tree_rootfs(struct store *s, const char *name, const struct strv *lowers, struct store_rootfs *ret, struct err *e);

struct worker;
struct store_pack *pack_new(void);
void pack_free(struct store_pack *p);
struct worker *pack_worker(struct store_pack *p);
int pack_pipe(struct store_pack *p, int *theirs, struct err *e);             /* theirs: the end to write to */
int diff_lists(const struct store_diff *d, struct strb *ret, struct err *e); /* opaque directories and ignored paths */

void doom(struct store *s, int dir, const char *name); /* dir/name goes to tmp/ and is deleted by and by */
int reap_start(struct store *s);
void reap_stop(struct store *s);
int partials_open(struct store *s, struct err *e); /* makes partial/ and blobs/, drops what is too old */
void partials_sweep(struct store *s);              /* those whose layer is there */
void partials_age(struct store *s);                /* drops what is too old */
void blobs_sweep(struct store *s);                 /* those that no layer names */
void blobs_forget(struct store *s, const struct store_blobs *b);
int tree_changed_size(const struct store_diff *d,
		      int64_t *ret); /* of files in d->tree that d->base has not, or otherwise */
