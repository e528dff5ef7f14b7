/* volume.h - named volumes of the local driver: volumes/<name>/_data below the data root, and their records. In-memory table guarded by
 * one mutex; persistence through callbacks. Who uses a volume is the engine's knowledge, asked through a callback too. */
#pragma once

#include "json/json.h"

/* clang-format off */
#define VOLUME_RECORD_FIELDS(F, T)                          \
	F(T, STR,   name,       "Name",       0, none)      \
	F(T, STR,   created,    "CreatedAt",  0, none)      \
	F(T, MAP,   labels,     "Labels",     0, none)      \
	F(T, MAP,   options,    "Options",    0, none)      \
	F(T, BOOL,  anonymous,  "Anonymous",  0, none)      \
	F(T, EXTRA, extra,      "",           0, none)
JSON_STRUCT(volume_record, VOLUME_RECORD_FIELDS)
/* clang-format on */

struct volumes;
struct volume_store {
	void *ctx;
	int (*save)(void *ctx, const char *name, const char *json, struct err *e);
	int (*remove)(void *ctx, const char *name, struct err *e);
};
/* root_path: the folder volumes/ (made when missing). */
int volumes_open(const char *root_path, const struct volume_store *store, struct volumes **ret, struct err *e);
void volumes_free(struct volumes *v);
int volumes_restore(struct volumes *v, const char *json, struct err *e); /* start-up: one stored record */
void volumes_sweep(
	struct volumes *v); /* ... and then: creations and removals that a crash cut short are finished or undone */

/* An existing volume of that name is returned as it is (Docker's rule). name NULL or "" = anonymous, 64 hex digits. */
struct volume_req {
	const char *name, *driver;             /* driver NULL, "" or "local" */
	const struct strmap *labels, *options; /* may be NULL */
};
int volume_create(struct volumes *v, const struct volume_req *q, struct volume_record *ret, struct err *e);
int volume_get(struct volumes *v, const char *name, struct volume_record *ret, struct err *e);
int volume_list(struct volumes *v, struct volume_record **ret_v, size_t *ret_n); /* by name */
int volume_remove(struct volumes *v, const char *name, struct err *e); /* caller has checked that nobody uses it */
char *volume_path(struct volumes *v, const char *name);                /* ".../volumes/<name>/_data" */
int volume_name_check(const char *name, struct err *e);
