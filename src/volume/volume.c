/* volume.c - see volume.h. */
#include "volume/volume.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

/* clang-format off */
JSON_TYPE(volume_record, VOLUME_RECORD_FIELDS)
/* clang-format on */

/* A folder comes to its place after its record is committed, and leaves it before: between, it is in one of these. So a crash at any moment
 * leaves either a record whose folder is here, or a folder here that no record owns. */
#define COMING ".new"
#define GOING ".gone"

struct volumes {
	pthread_mutex_t lock; /* guards v, n */
	struct volume_record *v;
	size_t n;
	char *root;
	int root_fd;
	struct volume_store store;
};

static bool name_valid(const char *name)
{
	size_t n = strlen(name);

	if (n < 2 || n > 255)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = name[i];
		bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (!alnum && (i == 0 || !strchr("_.-", c)))
			return false;
	}
	return true;
}

int volume_name_check(const char *name, struct err *e)
{
	if (strlen(name) == 1)
		return err_set(e, ERR_INVALID,
			       "create %s: volume name is too short, names should be at least two alphanumeric "
			       "characters",
			       name);
	if (!name_valid(name))
		return err_set(e, ERR_INVALID,
			       "create %s: \"%s\" includes invalid characters for a local volume name, only "
			       "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, "
			       "use absolute path",
			       name, name);
	return 0;
}

/* What the options of Docker's local driver must look like. Mounting what they name is not done yet. */
static int check_options(const char *name, const struct strmap *options, struct err *e)
{
	static const char *const known[] = { "type", "o", "device", "size" };
	static const char *const needs[][2] = {
		{ "device", "type" }, { "type", "device" }, { "o", "device" }, { "o", "type" }
	};

	for (size_t i = 0; options && i < options->n; i++) {
		bool ok = false;

		for (size_t k = 0; k < ARRAY_LEN(known); k++)
			ok |= streq(options->v[i].k, known[k]);
		if (!ok)
			return err_set(e, ERR_INVALID, "create %s: invalid option: \"%s\"", name, options->v[i].k);
	}
	for (size_t i = 0; options && i < ARRAY_LEN(needs); i++)
		if (strmap_get(options, needs[i][0]) && !strmap_get(options, needs[i][1]))
			return err_set(e, ERR_INVALID, "create %s: missing required option: \"%s\"", name, needs[i][1]);
	if (options && options->n)
		return err_set(e, ERR_NOT_IMPLEMENTED,
			       "create %s: options of the local volume driver are not supported yet: \"%s\"", name,
			       options->v[0].k);
	return 0;
}

int volumes_open(const char *root_path, const struct volume_store *store, struct volumes **ret, struct err *e)
{
	struct volumes *v = xcalloc(1, sizeof *v);
	int r = dir_make(AT_FDCWD, root_path, 0701);

	(void)pthread_mutex_init(&v->lock, NULL);
	v->store = *store;
	v->root = xstrdup(root_path);
	v->root_fd = r < 0 ? r : dir_open(AT_FDCWD, root_path);
	r = MIN(v->root_fd, 0);
	if (r == 0)
		r = dir_make(v->root_fd, COMING, 0700);
	if (r == 0)
		r = dir_make(v->root_fd, GOING, 0700);
	if (r < 0) {
		volumes_free(v);
		return err_sys(e, r, "making %s", root_path);
	}
	*ret = v;
	return 0;
}

void volumes_free(struct volumes *v)
{
	if (!v)
		return;
	for (size_t i = 0; i < v->n; i++)
		json_done(&volume_record_type, &v->v[i]);
	free(v->v);
	free(v->root);
	fd_closep(&v->root_fd);
	free(v);
}

static struct volume_record *find(struct volumes *v, const char *name)
{
	for (size_t i = 0; i < v->n; i++)
		if (streq(v->v[i].name, name))
			return &v->v[i];
	return NULL;
}

int volumes_restore(struct volumes *v, const char *json, struct err *e)
{
	struct volume_record rec = { 0 };
	int r = json_read(&volume_record_type, json, strlen(json), NULL, &rec, e);

	if (r < 0)
		return r;
	*VEC_ADD(v) = rec;
	return 0;
}

char *volume_path(struct volumes *v, const char *name)
{
	return xasprintf("%s/%s/_data", v->root, name);
}

static int sync_folder(int dir, const char *path)
{
	AUTO_FD int fd = dir_open(dir, path);

	return fd < 0 ? fd : fsync(fd) < 0 ? -errno : 0;
}

static int make_folder(struct volumes *v, const char *name, const char *path, struct err *e)
{
	AUTO_FREE char *data = xasprintf("%s/_data", path);
	int r = dir_make(v->root_fd, path, 0701);

	if (r == 0)
		r = dir_make(v->root_fd, data, 0755);
	if (r == 0)
		r = sync_folder(v->root_fd, path);
	if (r == 0)
		r = sync_folder(v->root_fd, streq(path, name) ? "." : COMING);
	return r < 0 ? err_sys(e, r, "making volume %s", name) : 0;
}

static bool exists(struct volumes *v, const char *path)
{
	struct stat st;

	return fstatat(v->root_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void sweep(struct volumes *v, const char *between)
{
	AUTO_STRV struct strv names = { 0 };

	if (dir_list(v->root_fd, between, &names) < 0)
		return;
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *path = path_join(between, names.v[i]);

		if (find(v, names.v[i]) && !exists(v, names.v[i]))
			(void)renameat(v->root_fd, path, v->root_fd, names.v[i]);
		else
			(void)dir_remove(v->root_fd, path);
	}
}

void volumes_sweep(struct volumes *v)
{
	sweep(v, COMING);
	sweep(v, GOING);
}

static int save(struct volumes *v, const struct volume_record *rec, struct err *e)
{
	AUTO_STRB struct strb text = STRB_INIT;

	json_write(&volume_record_type, rec, JSON_LATEST, &text);
	return v->store.save(v->store.ctx, rec->name, strb_str(&text), e);
}

/* lock held */
static int add(struct volumes *v, const struct volume_record *rec, struct err *e)
{
	AUTO_FREE char *coming = path_join(COMING, rec->name);
	bool found = exists(v, rec->name); /* data that a lost database has left: taken as it is */
	int r = make_folder(v, rec->name, found ? rec->name : coming, e);

	if (r == 0)
		r = save(v, rec, e);
	if (r < 0 && !found)
		(void)dir_remove(v->root_fd, coming);
	if (r < 0 || found || renameat(v->root_fd, coming, v->root_fd, rec->name) == 0)
		return r;
	return err_sys(e, -errno, "making volume %s", rec->name);
}

int volume_create(struct volumes *v, const struct volume_req *q, struct volume_record *ret, struct err *e)
{
	struct volume_record rec = { 0 };
	char id[65] = "", when[TIME_TEXT_MAX];
	const char *name = q->name;
	int r = 0;

	if (str_empty(name)) {
		id_new(id);
		name = id;
	}
	if (!str_empty(q->driver) && !streq(q->driver, "local"))
		return err_set(e, ERR_NOT_FOUND,
			       "create %s: error looking up volume plugin %s: plugin \"%s\" not found", name, q->driver,
			       q->driver);
	r = volume_name_check(name, e);
	if (r == 0)
		r = check_options(name, q->options, e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&v->lock);
	if (!find(v, name)) {
		/* The folder and the record are made under the lock: two creators of one name must meet. */
		rec.name = xstrdup(name);
		time_format(time_now_ns() / 1000000000 * 1000000000, when);
		rec.created = xstrdup(when);
		rec.anonymous = *id != 0;
		if (q->labels)
			strmap_copy(&rec.labels, q->labels);
		r = add(v, &rec, e);
		if (r == 0)
			*VEC_ADD(v) = rec;
		else
			json_done(&volume_record_type, &rec);
	}
	if (r == 0)
		json_copy(&volume_record_type, ret, find(v, name));
	pthread_mutex_unlock(&v->lock);
	return r;
}

int volume_get(struct volumes *v, const char *name, struct volume_record *ret, struct err *e)
{
	struct volume_record *rec;

	pthread_mutex_lock(&v->lock);
	rec = find(v, name);
	if (rec)
		json_copy(&volume_record_type, ret, rec);
	pthread_mutex_unlock(&v->lock);
	return rec ? 0 : err_set(e, ERR_NOT_FOUND, "get %s: no such volume", name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct volume_record *)a)->name, ((const struct volume_record *)b)->name);
}

int volume_list(struct volumes *v, struct volume_record **ret_v, size_t *ret_n)
{
	pthread_mutex_lock(&v->lock);
	*ret_n = v->n;
	*ret_v = xcalloc(v->n, sizeof **ret_v);
	for (size_t i = 0; i < v->n; i++)
		json_copy(&volume_record_type, &(*ret_v)[i], &v->v[i]);
	pthread_mutex_unlock(&v->lock);
	qsort(*ret_v, *ret_n, sizeof **ret_v, by_name);
	return 0;
}

static int put_aside(struct volumes *v, const char *name, const char *going, struct err *e)
{
	int r = 0;

	if (exists(v, going)) /* an earlier one of that name is still on its way */
		(void)dir_remove(v->root_fd, going);
	if (r == 0 && renameat(v->root_fd, name, v->root_fd, going) < 0 && errno != ENOENT)
		r = -errno;
	/* else power could take the record and leave the folder in its place, for the next volume of that name */
	if (r == 0)
		r = sync_folder(v->root_fd, ".");
	return r < 0 ? err_sys(e, r, "removing volume %s", name) : 0;
}

int volume_remove(struct volumes *v, const char *name, struct err *e)
{
	AUTO_FREE char *going = path_join(GOING, name);
	struct volume_record *rec, gone = { 0 };
	int r;

	pthread_mutex_lock(&v->lock);
	rec = find(v, name);
	if (!rec) {
		pthread_mutex_unlock(&v->lock);
		return err_set(e, ERR_NOT_FOUND, "get %s: no such volume", name);
	}
	r = put_aside(v, name, going, e);
	if (r == 0)
		r = v->store.remove(v->store.ctx, name, e);
	if (r < 0)
		(void)renameat(v->root_fd, going, v->root_fd, name);
	if (r == 0) {
		gone = *rec;
		memmove(rec, rec + 1, (size_t)(v->v + v->n - (rec + 1)) * sizeof *rec);
		v->n--;
	}
	pthread_mutex_unlock(&v->lock);
	if (r < 0)
		return r;
	r = dir_remove(v->root_fd, going);
	if (r < 0 && r != -ENOENT)
		err_sys(e, r, "removing the files of volume %s", gone.name);
	json_done(&volume_record_type, &gone);
	return r == -ENOENT ? 0 : r;
}
