/* db.c - SQLite behind document tables. Whoever finds nobody committing commits what is waiting, its own and others', as one transaction:
 * a lone caller wakes nobody and waits for nobody, a crowd shares the disk's waits. */
#include "db/db.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>

#define SCHEMA_MAJOR 1
#define RESERVE_BYTES (512 * 1024)

static const char *const table_names[DB_TABLES] = {
	[DB_META] = "meta",       [DB_IMAGES] = "images",         [DB_REFERENCES] = "refs",
	[DB_LAYERS] = "layers",   [DB_CONTAINERS] = "containers", [DB_NETWORKS] = "networks",
	[DB_VOLUMES] = "volumes",
};

struct waiting { /* on the committing thread's stack */
	const struct db_batch *batch;
	struct waiting *next;
	int result;
	bool done;
	struct err e;
};

struct db {
	sqlite3 *sql; /* used with sql_lock held */
	char *names[DB_TABLES];
	pthread_mutex_t sql_lock;
	pthread_mutex_t lock; /* guards the queue */
	pthread_cond_t done;
	struct waiting *first, **last;
	bool busy;     /* lock: somebody commits */
	char *reserve; /* path of a file that only holds space: see spend_reserve() */

	/* sql_lock: statements are parsed once, when first needed */
	sqlite3_stmt *begin, *commit, *put[DB_TABLES], *del[DB_TABLES];
};

static int refuse(struct db *db, struct err *e, const char *doing)
{
	int code = sqlite3_extended_errcode(db->sql);
	int r = (code & 0xff) == SQLITE_FULL ? -ENOSPC : (code & 0xff) == SQLITE_CORRUPT ? -EUCLEAN : -EIO;

	err_sys(e, r, "hoy.db: %s: %s", doing, sqlite3_errmsg(db->sql));
	return r;
}

static int run(struct db *db, const char *sql, struct err *e)
{
	if (sqlite3_exec(db->sql, sql, NULL, NULL, NULL) != SQLITE_OK)
		return refuse(db, e, sql);
	return 0;
}

static int step(struct db *db, sqlite3_stmt *s, const char *doing, struct err *e)
{
	int r = sqlite3_step(s) == SQLITE_DONE ? 0 : refuse(db, e, doing);

	(void)sqlite3_reset(s);
	return r;
}

static int prepared(struct db *db, sqlite3_stmt **at, const char *sql, struct err *e)
{
	if (!*at && sqlite3_prepare_v3(db->sql, sql, -1, SQLITE_PREPARE_PERSISTENT, at, NULL) != SQLITE_OK)
		return refuse(db, e, "prepare");
	return 0;
}

static int apply_row(struct db *db, enum db_table table, const char *key, const char *text, struct err *e)
{
	sqlite3_stmt **at = text ? &db->put[table] : &db->del[table];
	int r = 0;

	if (!*at) {
		AUTO_FREE char *sql =
			text ? xasprintf(
				       "INSERT INTO %s(key, doc) VALUES(?1, ?2) ON CONFLICT(key) DO UPDATE SET doc=?2",
				       db->names[table])
			     : xasprintf("DELETE FROM %s WHERE key=?1", db->names[table]);

		r = prepared(db, at, sql, e);
	}
	if (r < 0)
		return r;
	(void)sqlite3_bind_text(*at, 1, key, -1, SQLITE_STATIC);
	if (text)
		(void)sqlite3_bind_text(*at, 2, text, -1, SQLITE_STATIC);
	r = step(db, *at, "write", e);
	(void)sqlite3_clear_bindings(*at);
	return r;
}

static int apply(struct db *db, const struct db_batch *b, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->n; i++)
		r = apply_row(db, b->v[i].table, b->v[i].key, b->v[i].text, e);
	return r;
}

/* On a full disk nothing could be removed either, because removing is a commit too. A file that holds some space is given up for that
 * one commit, and made again as soon as there is room. */
static void keep_reserve(const struct db *db)
{
	AUTO_FD int fd = open(db->reserve, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0 && fallocate(fd, 0, 0, RESERVE_BYTES) < 0)
		(void)unlink(db->reserve);
}

static bool spend_reserve(const struct db *db, const struct waiting *group)
{
	bool deletes = false;

	for (const struct waiting *w = group; w; w = w->next)
		for (size_t i = 0; i < w->batch->n; i++)
			deletes |= !w->batch->v[i].text;
	return deletes && unlink(db->reserve) == 0;
}

static int transaction(struct db *db, const struct waiting *group, struct err *e)
{
	int r = prepared(db, &db->begin, "BEGIN IMMEDIATE", e);

	if (r == 0)
		r = prepared(db, &db->commit, "COMMIT", e);
	if (r == 0)
		r = step(db, db->begin, "BEGIN IMMEDIATE", e);
	for (const struct waiting *w = group; r == 0 && w; w = w->next)
		r = apply(db, w->batch, e);
	if (r == 0)
		r = step(db, db->commit, "COMMIT", e);
	if (r < 0 && !sqlite3_get_autocommit(db->sql))
		(void)run(db, "ROLLBACK", NULL);
	return r;
}

/* The log is not synced where nobody in the group needs it; the next commit that is synced takes these along. */
static int commit_once(struct db *db, const struct waiting *group, struct err *e)
{
	bool lazy = true;
	int r;

	for (const struct waiting *w = group; w; w = w->next)
		lazy &= w->batch->lazy;
	if (lazy)
		(void)run(db, "PRAGMA synchronous=NORMAL", NULL);
	r = transaction(db, group, e);
	if (lazy)
		(void)run(db, "PRAGMA synchronous=FULL", NULL);
	return r;
}

/* All waiting batches in one transaction; when that fails, each alone, so that one bad batch does not fail the others. */
static void commit_group(struct db *db, struct waiting *group)
{
	struct err e = ERR_INIT;
	int r;

	pthread_mutex_lock(&db->sql_lock);
	r = commit_once(db, group, &e);
	if (r == -ENOSPC && spend_reserve(db, group))
		r = commit_once(db, group, &e);
	if (r < 0 && group->next) {
		pthread_mutex_unlock(&db->sql_lock);
		for (struct waiting *w = group, *next; w; w = next) {
			next = w->next;
			w->next = NULL;
			commit_group(db, w);
			w->next = next;
		}
		return;
	}
	if (r == 0 && access(db->reserve, F_OK) < 0)
		keep_reserve(db);
	pthread_mutex_unlock(&db->sql_lock);
	for (struct waiting *w = group; w; w = w->next) {
		w->result = r;
		w->e = e;
	}
}

static int check_version(struct db *db, struct err *e)
{
	AUTO_FREE char *text = NULL;
	int64_t major = 0;
	int r = db_get(db, DB_META, "schema", &text, e);

	if (r == -ENOENT)
		return db_put_one(db, DB_META, "schema", "1", e);
	if (r < 0)
		return r;
	if (str_to_i64(text, &major) < 0 || major > SCHEMA_MAJOR)
		return err_set(e, ERR_INVALID, "hoy.db was written by a newer hoyd (schema %s, this one knows %d)",
			       text, SCHEMA_MAJOR);
	return 0;
}

static int make_table(struct db *db, enum db_table table, struct err *e)
{
	AUTO_FREE char *sql = xasprintf(
		"CREATE TABLE IF NOT EXISTS %s(key TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID",
		db->names[table]);

	return run(db, sql, e);
}

static void forget_statements(struct db *db, enum db_table table)
{
	(void)sqlite3_finalize(TAKE_PTR(db->put[table]));
	(void)sqlite3_finalize(TAKE_PTR(db->del[table]));
}

int db_scope(struct db *db, const char *driver, struct err *e)
{
	static const enum db_table scoped[] = { DB_IMAGES, DB_REFERENCES, DB_LAYERS };
	int r = 0;

	if (streq(driver, "overlay2"))
		return 0;
	pthread_mutex_lock(&db->sql_lock);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(scoped); i++) {
		char **name = &db->names[scoped[i]];

		forget_statements(db, scoped[i]);
		free(*name);
		*name = xasprintf("%s_%s", table_names[scoped[i]], driver);
		for (char *p = *name; *p; p++)
			*p = *p == '-' ? '_' : *p;
		r = make_table(db, scoped[i], e);
	}
	pthread_mutex_unlock(&db->sql_lock);
	return r;
}

int db_open(const char *dir_path, struct db **ret, struct err *e)
{
	AUTO_FREE char *path = path_join(dir_path, "hoy.db");
	struct db *db = xcalloc(1, sizeof *db);
	int r = 0;

	db->last = &db->first;
	db->reserve = xasprintf("%s-reserve", path);
	for (enum db_table i = 0; i < DB_TABLES; i++)
		db->names[i] = xstrdup(table_names[i]);
	(void)pthread_mutex_init(&db->lock, NULL);
	(void)pthread_mutex_init(&db->sql_lock, NULL);
	(void)pthread_cond_init(&db->done, NULL);
	if (sqlite3_open_v2(path, &db->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) !=
	    SQLITE_OK)
		r = refuse(db, e, path);
	/* A small page cache: documents are read once. mmap and shared memory stay out of the daemon's footprint:
	 * EXCLUSIVE locking keeps the WAL index on the heap, and refuses a second daemon on the same data root. */
	if (r == 0)
		r = run(db,
			"PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
			"PRAGMA cache_size=-256; PRAGMA journal_size_limit=1048576; PRAGMA wal_autocheckpoint=256;",
			e);
	for (enum db_table i = 0; r == 0 && i < DB_TABLES; i++)
		r = make_table(db, i, e);
	if (r == 0)
		r = check_version(db, e);
	if (r < 0) {
		db_close(db);
		return r;
	}
	*ret = db;
	return 0;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	(void)sqlite3_finalize(db->begin);
	(void)sqlite3_finalize(db->commit);
	for (enum db_table i = 0; i < DB_TABLES; i++)
		forget_statements(db, i);
	(void)sqlite3_close(db->sql);
	for (enum db_table i = 0; i < DB_TABLES; i++)
		free(db->names[i]);
	free(db->reserve);
	free(db);
}

void db_batch_done(struct db_batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		free(b->v[i].key);
		free(b->v[i].text);
	}
	free(b->v);
	*b = (struct db_batch){ 0 };
}

static void add(struct db_batch *b, enum db_table table, const char *key, const char *text)
{
	__typeof__(b->v) row = VEC_ADD(b);

	row->table = table;
	row->key = xstrdup(key);
	row->text = xstrdup(text);
}

void db_put(struct db_batch *b, enum db_table table, const char *key, const char *text)
{
	add(b, table, key, text);
}

void db_del(struct db_batch *b, enum db_table table, const char *key)
{
	add(b, table, key, NULL);
}

/* lock held, nobody else commits. */
static void lead(struct db *db)
{
	struct waiting *group = db->first;

	db->first = NULL;
	db->last = &db->first;
	db->busy = true;
	pthread_mutex_unlock(&db->lock);
	commit_group(db, group);
	pthread_mutex_lock(&db->lock);
	db->busy = false;
	if (group->next || db->first) /* others', or the next leader */
		pthread_cond_broadcast(&db->done);
	for (struct waiting *w = group, *next; w; w = next) {
		next = w->next; /* w is gone as soon as its owner sees done */
		w->done = true;
	}
}

int db_commit(struct db *db, const struct db_batch *b, struct err *e)
{
	struct waiting w = { .batch = b };

	if (b->n == 0)
		return 0;
	pthread_mutex_lock(&db->lock);
	*db->last = &w;
	db->last = &w.next;
	while (!w.done)
		if (db->busy)
			pthread_cond_wait(&db->done, &db->lock);
		else
			lead(db);
	pthread_mutex_unlock(&db->lock);
	if (w.result < 0 && e)
		*e = w.e;
	return w.result;
}

int db_put_one(struct db *db, enum db_table table, const char *key, const char *text, struct err *e)
{
	AUTO_DB_BATCH struct db_batch b = { 0 };

	db_put(&b, table, key, text);
	return db_commit(db, &b, e);
}

int db_del_one(struct db *db, enum db_table table, const char *key, struct err *e)
{
	AUTO_DB_BATCH struct db_batch b = { 0 };

	db_del(&b, table, key);
	return db_commit(db, &b, e);
}

int db_each(struct db *db, enum db_table table, int (*f)(void *ctx, const char *key, const char *text, struct err *e),
	    void *ctx, struct err *e)
{
	AUTO_FREE char *sql = xasprintf("SELECT key, doc FROM %s ORDER BY key", db->names[table]);
	sqlite3_stmt *s = NULL;
	int r = 0, code = SQLITE_DONE;

	pthread_mutex_lock(&db->sql_lock);
	if (sqlite3_prepare_v2(db->sql, sql, -1, &s, NULL) != SQLITE_OK)
		r = refuse(db, e, "read");
	while (r == 0 && (code = sqlite3_step(s)) == SQLITE_ROW)
		r = f(ctx, (const char *)sqlite3_column_text(s, 0), (const char *)sqlite3_column_text(s, 1), e);
	if (r == 0 && code != SQLITE_DONE)
		r = refuse(db, e, "read");
	(void)sqlite3_finalize(s);
	pthread_mutex_unlock(&db->sql_lock);
	return r;
}

int db_get(struct db *db, enum db_table table, const char *key, char **ret_text, struct err *e)
{
	AUTO_FREE char *sql = xasprintf("SELECT doc FROM %s WHERE key=?1", db->names[table]);
	sqlite3_stmt *s = NULL;
	int r = 0, code;

	pthread_mutex_lock(&db->sql_lock);
	if (sqlite3_prepare_v2(db->sql, sql, -1, &s, NULL) != SQLITE_OK) {
		r = refuse(db, e, "read");
	} else {
		(void)sqlite3_bind_text(s, 1, key, -1, SQLITE_STATIC);
		code = sqlite3_step(s);
		if (code == SQLITE_ROW)
			*ret_text = xstrdup((const char *)sqlite3_column_text(s, 0));
		else
			r = code == SQLITE_DONE
				    ? err_set(e, ERR_NOT_FOUND, "no document %s in %s", key, db->names[table])
				    : refuse(db, e, "read");
	}
	(void)sqlite3_finalize(s);
	pthread_mutex_unlock(&db->sql_lock);
	return r;
}
