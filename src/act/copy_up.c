/* copy_up.c - in the child: a new tmpfs or an empty volume starts with what the image has at that place: content, owners, modes, times
 * and extended attributes. A volume may be shared with a container that runs and means harm: no link is ever followed, nothing that
 * exists is written to, and modes are set through descriptors only. */
#include "act/act_int.h"
#include "base/kernel.h"

#include <dirent.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define DEPTH_MAX 64
#define LOCK_TRIES 500
#define LOCK_PAUSE_US 20000

/* What cannot be kept on the other file system is left out, as cp does. */
static void copy_xattrs(int from, int to)
{
	char names[4096], value[4096];
	ssize_t n = flistxattr(from, names, sizeof names);

	for (char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		ssize_t size = fgetxattr(from, p, value, sizeof value);

		if (size >= 0)
			(void)fsetxattr(to, p, value, (size_t)size, 0);
	}
}

/* Owner first: it clears setuid bits and file capabilities. */
static int copy_attributes(int from, int to, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		return -errno;
	copy_xattrs(from, to);
	(void)futimens(to, times);
	return 0;
}

static int copy_bytes(int from, int to)
{
	ssize_t n;

	while ((n = sendfile(to, from, NULL, 1 << 30)) > 0)
		;
	return n < 0 ? -errno : 0;
}

static int copy_file(int from, int to, const char *name, const struct stat *st)
{
	AUTO_FD int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	AUTO_FD int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (in < 0 || out < 0)
		return -errno;
	r = copy_bytes(in, out);
	return r < 0 ? r : copy_attributes(in, out, st);
}

static int copy_link(int from, int to, const char *name, const struct stat *st)
{
	struct timespec times[2] = { st->st_atim, st->st_mtim };
	char link[PATH_MAX] = "";

	if (readlinkat(from, name, link, sizeof link - 1) < 0 || symlinkat(link, to, name) < 0 ||
	    fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	(void)utimensat(to, name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

/* Devices, pipes, sockets: the mode is given at birth, for there is no way to change it later that cannot be led astray. */
static int copy_node(int to, const char *name, const struct stat *st)
{
	mode_t before = umask(0);
	int r = mknodat(to, name, st->st_mode, st->st_rdev) < 0 ? -errno : 0;

	(void)umask(before);
	if (r == 0 && fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	return r;
}

static int copy_tree(int from, int to, const struct stat *st, int depth);

static int copy_entry(int from, int to, const char *name, int depth)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode)) {
		AUTO_FD int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), out = -1;

		if (in < 0 || mkdirat(to, name, 0700) < 0)
			return -errno;
		out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		return out < 0 ? -errno : copy_tree(in, out, &st, depth - 1);
	}
	if (S_ISLNK(st.st_mode))
		return copy_link(from, to, name, &st);
	return S_ISREG(st.st_mode) ? copy_file(from, to, name, &st) : copy_node(to, name, &st);
}

static int copy_tree(int from, int to, const struct stat *st, int depth)
{
	int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);

	if (!d || depth == 0)
		r = d ? -ELOOP : -errno;
	for (struct dirent *e; r == 0 && (e = readdir(d));)
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			r = copy_entry(from, to, e->d_name, depth);
	if (d)
		(void)closedir(d);
	return r < 0 ? r : copy_attributes(from, to, st);
}

static int dir_is_empty(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);

	if (!d)
		return -errno;
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n <= 2;
}

int copy_up_tmpfs(int target, int mount, struct err *e)
{
	AUTO_FD int from = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int to = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int r = from < 0 || to < 0 || fstat(to, &st) < 0 ? -errno : copy_tree(from, to, &st, DEPTH_MAX);

	return r < 0 ? err_sys(e, r, "tmpcopyup") : 0;
}

static int set_readonly(int mount, bool on)
{
	struct k_mount_attr a = { 0 };

	*(on ? &a.attr_set : &a.attr_clr) = K_MOUNT_ATTR_RDONLY;
	return sys_mount_setattr(mount, "", AT_EMPTY_PATH, &a) < 0 ? -errno : 0;
}

/* Two containers may start with the same new volume: one fills it, the other waits, but not for ever, as the lock may be held by a
 * container. */
static bool lock(int fd)
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		(void)usleep(LOCK_PAUSE_US);
	}
	return false;
}

static int fill(int from, int to)
{
	struct stat st;
	int r;

	if (!lock(to))
		return 0;
	r = dir_is_empty(to);
	if (r > 0)
		r = fstat(from, &st) < 0 ? -errno : copy_tree(from, to, &st, DEPTH_MAX);
	return r;
}

int copy_up_volume(int target, int mount, bool readonly, struct err *e)
{
	AUTO_FD int from = openat(target, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), to = -1;
	int r = 0, sealed = 0;

	if (from < 0)
		return err_sys(e, -errno, "reading the image's files for a volume");
	if (readonly)
		r = set_readonly(mount, false); /* still detached: nobody else sees it */
	to = r < 0 ? -1 : openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r == 0)
		r = to < 0 ? -errno : fill(from, to);
	fd_closep(&to);
	if (readonly)
		sealed = set_readonly(mount, true);
	if (r == 0)
		r = sealed;
	return r < 0 ? err_sys(e, r, "copying the image's files into a new volume") : 0;
}
