/* file.c - whole files in and out, directories, and opening what untrusted names point at. */
#include "base/base.h"
#include "base/kernel.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

int fd_write_all(int fd, const void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = write(fd, (const char *)p + done, n - done);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		done += (size_t)r;
	}
	return 0;
}

int fd_read_all(int fd, size_t max, char **ret, size_t *ret_n)
{
	AUTO_STRB struct strb b = STRB_INIT;
	char part[4096]; /* most files are smaller: they take no more memory than they need */

	for (;;) {
		bool direct = b.len >= 16 * sizeof part;
		ssize_t r;

		if (direct)
			strb_reserve(&b, b.len);
		r = direct ? read(fd, b.s + b.len, b.cap - b.len - 1) : read(fd, part, sizeof part);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		if (direct) {
			b.len += (size_t)r;
			b.s[b.len] = 0;
		} else {
			strb_add(&b, part, (size_t)r);
		}
		if (b.len > max)
			return -EFBIG;
	}
	if (ret_n)
		*ret_n = b.len;
	strb_reserve(&b, 0); /* an empty file is an empty text */
	*ret = strb_take(&b);
	return 0;
}

int file_read(int dir, const char *path, size_t max, char **ret, size_t *ret_n)
{
	AUTO_FD int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -errno;
	return fd_read_all(fd, max, ret, ret_n);
}

int file_write(int dir, const char *path, const void *p, size_t n, mode_t mode)
{
	AUTO_FD int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);

	if (fd < 0)
		return -errno;
	return fd_write_all(fd, p, n);
}

int file_put(int dir, const char *path, const char *text)
{
	AUTO_FD int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
	size_t n = strlen(text);
	ssize_t r;

	if (fd < 0)
		return -errno;
	do
		r = write(fd, text, n);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	return (size_t)r == n ? 0 : -EIO;
}

static int sync_parent(int dir, const char *path)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *parent = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
	AUTO_FD int fd = openat(dir, *parent ? parent : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int file_replace(int dir, const char *path, const void *p, size_t n, mode_t mode)
{
	unsigned char salt[6] = { 0 };
	char hex[13] = "";
	AUTO_FREE char *temp = NULL;
	int r = random_bytes(salt, sizeof salt);

	if (r < 0)
		return r;
	hex_encode(salt, sizeof salt, hex);
	temp = xasprintf("%s.%s.tmp", path, hex);
	{
		AUTO_FD int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

		if (fd < 0)
			return -errno;
		r = fd_write_all(fd, p, n);
		if (r == 0 && fsync(fd) < 0)
			r = -errno;
	}
	if (r == 0 && renameat(dir, temp, dir, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(dir, temp, 0);
		return r;
	}
	return sync_parent(dir, path);
}

int dir_make(int dir, const char *path, mode_t mode)
{
	AUTO_FREE char *copy = xstrdup(path);

	for (char *p = copy + (*copy == '/');; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = 0;
		if (*copy && mkdirat(dir, copy, mode) < 0 && errno != EEXIST)
			return -errno;
		*p = c;
		if (!c)
			return 0;
	}
}

int dir_list(int dir, const char *path, struct strv *ret)
{
	AUTO_STRV struct strv names = { 0 };
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int r;

	if (!d) {
		r = -errno;
		fd_closep(&fd);
		return r;
	}
	for (struct dirent *e; (e = (errno = 0, readdir(d)));)
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			strv_add(&names, e->d_name);
	r = errno ? -errno : 0;
	(void)closedir(d);
	if (r < 0)
		return r;
	strv_sort(&names);
	strv_addv(ret, &names);
	return 0;
}

int dir_open(int dir, const char *path)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int open_how(int dir, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct k_open_how how = { .flags = (uint64_t)(unsigned)flags | O_CLOEXEC, .resolve = resolve };
	int fd;

	if (flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))
		how.mode = mode;
	do /* EAGAIN: a rename raced with the walk */
		fd = sys_openat2(dir, path, &how);
	while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	return fd < 0 ? -errno : fd;
}

int open_in_root(int root, const char *path, int flags, mode_t mode)
{
	return open_how(root, path, flags, mode, K_RESOLVE_IN_ROOT | K_RESOLVE_NO_MAGICLINKS);
}

int open_beneath(int dir, const char *path, int flags, mode_t mode)
{
	return open_how(dir, path, flags, mode, K_RESOLVE_BENEATH | K_RESOLVE_NO_SYMLINKS | K_RESOLVE_NO_MAGICLINKS);
}

int memfd_of(const char *name, const void *p, size_t n)
{
	AUTO_FD int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return -errno;
	r = fd_write_all(fd, p, n);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return -errno;
	return TAKE_FD(fd);
}
