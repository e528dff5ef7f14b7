/* db.h - the one database (hoy.db, SQLite in WAL mode): documents by table and key. The only truth about what exists.
 *
 * A document is JSON text; indexed columns are not needed because all reads are served from the owners' memory: the database is
 * read whole at start-up (db_each) and only written afterwards. What several callers hand in at the
 * same time is committed as one group; db_commit() returns when its batch is durable (synchronous=FULL), a lazy one when it will
 * outlive this process: a power loss may take it back, with nothing that was committed after it left behind. A batch is applied whole or not at all.
 * Thread-safe. Knows nothing of what the documents mean. */
#pragma once

#include "base/base.h"

enum db_table {
	DB_META,       /* schema version, instance id */
	DB_IMAGES,     /* key: image id "sha256:..." */
	DB_REFERENCES, /* key: "docker.io/library/x:tag" or "...@sha256:..." */
	DB_LAYERS,     /* key: chain id */
	DB_CONTAINERS, /* key: container id */
	DB_NETWORKS,   /* key: network id */
	DB_VOLUMES,    /* key: name */
	DB_TABLES,
};

struct db;
/* Creates hoy.db in dir when it is missing; refuses a file made by a newer major schema. path is dir's path (SQLite wants names). */
int db_open(const char *dir_path, struct db **ret, struct err *e);
/* Storage drivers keep images, references and layers apart: from here on these three tables are those of this driver. overlay2's
 * are the ones without a suffix. Before anything is read from them; may be called once. */
int db_scope(struct db *db, const char *driver, struct err *e);
void db_close(struct db *db); /* commits what is pending; NULL is fine */

struct db_batch { /* zero-initialised; owned strings */
	struct {
		enum db_table table;
		char *key, *text; /* text NULL = delete */
	} * v;
	size_t n;
	bool lazy; /* need not outlive a power loss */
};
#define AUTO_DB_BATCH CLEANUP(db_batch_done)
void db_batch_done(struct db_batch *b);
void db_put(struct db_batch *b, enum db_table table, const char *key, const char *text);
void db_del(struct db_batch *b, enum db_table table, const char *key);
int db_commit(struct db *db, const struct db_batch *b, struct err *e);
int db_put_one(struct db *db, enum db_table table, const char *key, const char *text, struct err *e);
int db_del_one(struct db *db, enum db_table table, const char *key, struct err *e);

/* Calls f for each document in key order; a negative return stops and is passed on. For start-up: do not write from inside f. */
int db_each(struct db *db, enum db_table table, int (*f)(void *ctx, const char *key, const char *text, struct err *e),
	    void *ctx, struct err *e);
int db_get(struct db *db, enum db_table table, const char *key, char **ret_text,
	   struct err *e); /* -ENOENT where absent */
