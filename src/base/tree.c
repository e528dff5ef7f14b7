/* tree.c - removing trees that containers and archives left: any depth, any names. */
#include "base/base.h"
#include "base/kernel.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define DEPTH_MAX \
	32 /* each level holds a descriptor; deeper directories are renamed up to the top and done in a later round */

struct sweep {
	int top;
	unsigned names; /* how many names for renamed directories were tried */
	bool moved;     /* in this round */
};

/* One of the names may belong to somebody's file: the next one then. An empty directory may be renamed over. */
static int move_up(struct sweep *w, int dir, const char *name)
{
	for (unsigned tries = 0; tries < 1000; tries++) {
		char fresh[32];

		(void)snprintf(fresh, sizeof fresh, ".deep-%u", w->names++);
		if (renameat(dir, name, w->top, fresh) == 0) {
			w->moved = true;
			return 0;
		}
		if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
			return -errno;
	}
	return -EEXIST;
}

static int sweep_below(struct sweep *w, int fd, int depth);

/* 0 where it is gone, 1 for a directory with something in it */
static int remove_simple(int dir, const char *name, bool known_dir)
{
	if (!known_dir) {
		if (unlinkat(dir, name, 0) == 0)
			return 0;
		if (errno != EISDIR && errno != EPERM) /* Linux says the one of a directory, POSIX the other */
			return -errno;
	}
	if (unlinkat(dir, name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno == ENOTDIR)
		return -EPERM; /* a file that may not go: immutable, say */
	return errno == ENOTEMPTY || errno == EEXIST ? 1 : -errno;
}

static int sweep_one(struct sweep *w, int dir, const char *name, bool known_dir, int depth)
{
	struct k_open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
				  .resolve = K_RESOLVE_NO_XDEV };
	int r = remove_simple(dir, name, known_dir);
	int fd;

	if (r <= 0)
		return r;
	if (depth >= DEPTH_MAX)
		return move_up(w, dir, name);
	fd = sys_openat2(dir, name, &how);
	if (fd < 0)
		return -errno;
	r = sweep_below(w, fd, depth + 1);
	return unlinkat(dir, name, AT_REMOVEDIR) < 0 && r == 0 ? -errno : r;
}

/* Goes on after a failure: what can go, goes. Owns fd. */
static int sweep_below(struct sweep *w, int fd, int depth)
{
	DIR *d = fdopendir(fd);
	int r = 0;

	if (!d) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	for (struct dirent *e; (e = (errno = 0, readdir(d)));) {
		int k = streq(e->d_name, ".") || streq(e->d_name, "..")
				? 0
				: sweep_one(w, dirfd(d), e->d_name, e->d_type == DT_DIR, depth);

		if (k < 0 && k != -ENOENT && r == 0)
			r = k;
	}
	if (errno && r == 0)
		r = -errno;
	(void)closedir(d);
	return r;
}

int dir_remove(int dir, const char *path)
{
	AUTO_FD int top = -1;
	struct sweep w = { 0 };
	int r = remove_simple(dir, path, false);

	if (r <= 0)
		return r;
	top = openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (top < 0)
		return -errno;
	w.top = top;
	do {
		int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			return -errno;
		w.moved = false;
		r = sweep_below(&w, fd, 1);
	} while (w.moved);
	return unlinkat(dir, path, AT_REMOVEDIR) < 0 && r == 0 ? -errno : r;
}

/* ---- how much is in a tree ---- */
static int size_of(int fd, int depth, int64_t *sum)
{
	DIR *d = fdopendir(fd);
	struct dirent *x;

	if (!d) {
		int r = -errno;

		(void)close(fd);
		return r;
	}
	while ((x = readdir(d))) {
		struct stat st;
		int sub;

		if (streq(x->d_name, ".") || streq(x->d_name, "..") ||
		    fstatat(dirfd(d), x->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue; /* a running container removes files while we look */
		if (S_ISREG(st.st_mode))
			*sum += st.st_nlink > 1 ? st.st_size / (int64_t)st.st_nlink : st.st_size;
		if (!S_ISDIR(st.st_mode) || depth > 256)
			continue;
		sub = openat(dirfd(d), x->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			(void)size_of(sub, depth + 1, sum);
	}
	(void)closedir(d);
	return 0;
}

int tree_bytes(int dir, const char *path, int64_t *ret)
{
	int64_t sum = 0;
	int fd = dir_open(dir, path);
	int r = fd < 0 ? fd : size_of(fd, 0, &sum);

	if (r == 0)
		*ret = sum;
	return r;
}
