/* store.c - opening, sweeping and closing; the one layer that we make ourselves. */
#include "store/priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

char *name_new(void)
{
	char id[65];

	id_new(id);
	return xstrndup(id, 12);
}

/* Files that every container gets mounts on. Docker makes such a layer per container on top of the image; ours is one for all and
 * lies at the bottom: what the image has itself wins, and `docker diff` sees neither. */
static const char *const init_dirs[] = { "dev", "dev/pts", "dev/shm", "proc", "sys", "etc" };
static const char *const init_files[] = { ".dockerenv", "etc/resolv.conf", "etc/hosts", "etc/hostname", "dev/console" };
#define INIT_MTAB "etc/mtab"

void init_layer_paths(struct strv *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(init_dirs); i++)
		strv_add(ret, init_dirs[i]);
	for (size_t i = 0; i < ARRAY_LEN(init_files); i++)
		strv_add(ret, init_files[i]);
	strv_add(ret, INIT_MTAB);
}

/* root may be an image's tree: every way is resolved inside of it, and what is there stays. */
static int init_parent(int root, const char *path, const char **ret_base)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *way = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");

	*ret_base = slash ? slash + 1 : path;
	return open_in_root(root, way, O_PATH | O_DIRECTORY, 0);
}

int init_fill(int root)
{
	AUTO_STRV struct strv paths = { 0 };

	init_layer_paths(&paths);
	for (size_t i = 0; i < paths.n; i++) {
		const char *base;
		AUTO_FD int dir = init_parent(root, paths.v[i], &base);
		int r;

		if (dir == -ENOTDIR || dir == -ENOENT || dir == -ELOOP)
			continue; /* the image has something else there */
		if (dir < 0)
			return dir;
		if (i < ARRAY_LEN(init_dirs))
			r = mkdirat(dir, base, 0755);
		else if (streq(paths.v[i], INIT_MTAB))
			r = symlinkat("/proc/mounts", dir, base);
		else
			r = mknodat(dir, base, S_IFREG | 0755, 0);
		if (r < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int init_layer_make(struct store *s, struct err *e)
{
	AUTO_FD int fd = -1;
	int r;

	if (faccessat(s->layers, INIT_LAYER, F_OK, 0) == 0)
		return 0;
	(void)dir_remove(s->tmp, INIT_LAYER);
	r = dir_make(s->tmp, INIT_LAYER "/diff", 0755);
	if (r == 0)
		r = fd = dir_open(s->tmp, INIT_LAYER "/diff");
	if (r >= 0)
		r = init_fill(fd);
	if (r >= 0 && (syncfs(fd) < 0 || renameat(s->tmp, INIT_LAYER, s->layers, INIT_LAYER) < 0))
		r = -errno;
	return r < 0 ? err_sys(e, r, "making the init layer") : 0;
}

/* What an earlier life left unfinished. */
static int empty_tmp(struct store *s)
{
	int fd = openat(s->tmp, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *x;

	if (!d)
		return -errno;
	while ((x = readdir(d)))
		if (!streq(x->d_name, ".") && !streq(x->d_name, ".."))
			doom(s, s->tmp, x->d_name);
	(void)closedir(d);
	return 0;
}

static int open_tmp(struct store *s, struct err *e)
{
	AUTO_FREE char *tmp = path_join(s->root, "tmp");
	int r = dir_make(AT_FDCWD, tmp, 0700);

	if (r < 0 || (r = s->tmp = dir_open(AT_FDCWD, tmp)) < 0)
		return err_sys(e, r, "opening %s", tmp);
	return 0;
}

static int open_layers(struct store *s, struct err *e)
{
	int r;

	s->layers_path = path_join(s->root, s->driver->folder);
	r = dir_make(AT_FDCWD, s->layers_path, 0710);
	if (r < 0 || (r = s->layers = dir_open(AT_FDCWD, s->layers_path)) < 0)
		return err_sys(e, r, "opening %s", s->layers_path);
	return db_scope(s->db, s->driver->name, e);
}

static void say_others(const struct store *s)
{
	AUTO_STRV struct strv others = { 0 };

	drivers_elsewhere(s, &others);
	for (size_t i = 0; i < others.n; i++)
		log_warn("images of storage driver %s are kept, but not seen while hoyd runs with %s", others.v[i],
			 s->driver->name);
}

int store_open(const struct store_opts *o, struct store **ret, struct err *e)
{
	struct store *s = xcalloc(1, sizeof *s);
	int r;

	s->root = xstrdup(o->root);
	s->worker = xstrdup(o->worker);
	s->db = o->db;
	s->layers = s->tmp = s->partial = s->blobs = -1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->settled, NULL);
	pthread_mutex_init(&s->reap_lock, NULL);
	pthread_cond_init(&s->reap_wake, NULL);
	r = open_tmp(s, e);
	if (r == 0 && (r = empty_tmp(s)) < 0)
		r = err_sys(e, r, "emptying %s/tmp", s->root);
	if (r == 0)
		r = partials_open(s, e);
	if (r == 0)
		r = driver_pick(s, o->driver, e);
	if (r == 0)
		r = open_layers(s, e);
	if (r == 0)
		say_others(s);
	if (r == 0)
		r = init_layer_make(s, e);
	if (r == 0)
		r = layers_load(s, e);
	if (r == 0 && (r = reap_start(s)) < 0)
		r = err_sys(e, r, "starting the deleting thread");
	if (r < 0) {
		store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

static bool name_used(struct store *s, const char *name)
{
	if (streq(name, INIT_LAYER) || streq(name, ".") || streq(name, ".."))
		return true;
	for (size_t i = 0; i < s->table.n; i++)
		if (streq(s->table.v[i].name, name))
			return true;
	for (size_t i = 0; i < s->rw.n; i++)
		if (streq(s->rw.v[i].name, name))
			return true;
	return false;
}

/* Layers that no image and no container claimed: a crash came between their record and their owner's. */
static void drop_unclaimed(struct store *s)
{
	AUTO_STRV struct strv gone = { 0 };

	store_layer_expire(s, &gone);
	for (size_t i = 0; i < gone.n; i++)
		log_info("layer %s belongs to nothing: removed", gone.v[i]);
}

int store_sweep(struct store *s, struct err *e)
{
	int fd = openat(s->layers, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *x;

	if (!d)
		return err_sys(e, -errno, "reading %s", s->layers_path);
	drop_unclaimed(s);
	while ((x = readdir(d))) {
		bool used;

		pthread_mutex_lock(&s->lock);
		used = name_used(s, x->d_name);
		pthread_mutex_unlock(&s->lock);
		if (!used)
			doom(s, s->layers, x->d_name);
	}
	(void)closedir(d);
	partials_sweep(s);
	{
		AUTO_STRV struct strv others = { 0 };

		drivers_elsewhere(s, &others);
		if (!others.n) /* their layers name blobs too, and are not read */
			blobs_sweep(s);
	}
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	reap_stop(s);
	for (size_t i = 0; i < s->table.n; i++)
		store_layer_done(&s->table.v[i]);
	free(s->table.v);
	for (size_t i = 0; i < s->rw.n; i++) {
		free(s->rw.v[i].name);
		free(s->rw.v[i].top);
	}
	free(s->rw.v);
	if (s->driver && s->driver->close)
		s->driver->close(s);
	strv_done(&s->busy);
	strv_done(&s->partials);
	strv_done(&s->doomed);
	fd_closep(&s->layers);
	fd_closep(&s->tmp);
	fd_closep(&s->partial);
	fd_closep(&s->blobs);
	free(s->root);
	free(s->layers_path);
	free(s->worker);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->settled);
	pthread_mutex_destroy(&s->reap_lock);
	pthread_cond_destroy(&s->reap_wake);
	free(s);
}

const char *store_driver(const struct store *s)
{
	return s->driver->name;
}

void store_status(const struct store *s, struct strmap *ret)
{
	if (s->driver->status)
		s->driver->status(s, ret);
}

void store_other_drivers(const struct store *s, struct strv *ret)
{
	drivers_elsewhere(s, ret);
}

bool store_whole_trees(const struct store *s)
{
	return s->driver->whole_trees;
}

const char *store_worker(const struct store *s)
{
	return s->worker;
}

const char *store_backing(const struct store *s)
{
	static const struct {
		uint32_t magic;
		const char *name;
	} known[] = {
		{ 0xef53, "extfs" },     { 0x58465342, "xfs" },   { 0x9123683e, "btrfs" },
		{ 0x01021994, "tmpfs" }, { 0x2fc12fc1, "zfs" },   { 0xf2f52010, "f2fs" },
		{ 0x6969, "nfs" },       { 0x858458f6, "ramfs" }, { 0x794c7630, "overlayfs" },
	};
	struct statfs st;

	if (fstatfs(s->tmp, &st) == 0)
		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			if ((uint32_t)st.f_type == known[i].magic)
				return known[i].name;
	return "<unknown>";
}

int store_tmp(struct store *s, char **ret_name, int *ret_dirfd, struct err *e)
{
	AUTO_FREE char *name = name_new();
	int fd;

	if (mkdirat(s->tmp, name, 0700) < 0)
		return err_sys(e, -errno, "making a directory in %s/tmp", s->root);
	fd = dir_open(s->tmp, name);
	if (fd < 0)
		return err_sys(e, fd, "opening a directory in %s/tmp", s->root);
	*ret_dirfd = fd;
	*ret_name = TAKE_PTR(name);
	return 0;
}

void store_tmp_remove(struct store *s, const char *name)
{
	doom(s, s->tmp, name);
}
