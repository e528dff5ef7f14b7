/* priv.h - the inside of the store: one table of layers under one lock, a driver, a thread that deletes. */
#pragma once

#include "store/store.h"

#include <pthread.h>

struct rw_layer {
	char *name, *top; /* top: chain id or NULL */
};
struct store {
	char *root, *worker;
	int layers, tmp; /* directory descriptors */
	struct db *db;
	const struct driver *driver;

	/* guarded by lock; never held across I/O */
	pthread_mutex_t lock;
	pthread_cond_t settled; /* a chain id left `busy` */
	struct {
		struct store_layer *v;
		size_t n;
	} table;
	struct strv busy; /* chain ids that a thread is adding or removing right now */
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

/* A way to make root file systems of layers. All functions may be called by several threads. */
struct driver {
	const char *name;
	int (*probe)(const struct store *s, struct err *e); /* does it work on this file system? */
	int (*rw_make)(struct store *s, const char *name, uint32_t uid, uint32_t gid);
	/* lowers: directories relative to layers/, top first */
	void (*rootfs)(const struct store *s, const char *name, const struct strv *lowers, struct store_rootfs *ret);
	int (*opaque)(const struct store *s, int diff, const char *path); /* hides what lower layers have there */
};
extern const struct driver driver_overlay;

#define INIT_LAYER "init"
struct store_layer *layer_find(struct store *s, const char *chain); /* lock held */
void busy_enter(struct store *s, const char *chain);                /* lock held; waits until nobody else has it */
void busy_leave(struct store *s, const char *chain);                /* lock held */
void layer_copy(struct store_layer *to, const struct store_layer *from);
void layer_publish(struct store *s, struct store_layer *l); /* lock held; takes l's strings */
int layer_record(struct store *s, const struct store_layer *l, struct err *e);
int layers_load(struct store *s, struct err *e);
int init_layer_make(struct store *s, struct err *e);
char *name_new(void);

void doom(struct store *s, int dir, const char *name); /* dir/name goes to tmp/ and is deleted by and by */
int reap_start(struct store *s);
void reap_stop(struct store *s);
int tree_size(int dir, const char *name, int64_t *ret);
