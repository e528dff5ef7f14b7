/* sock.c - local sockets below a directory descriptor. sun_path holds 108 bytes; /proc/self/fd/N/name always fits. */
#include "proc/proc.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static int address(int dir, const char *name, struct sockaddr_un *ret)
{
	int n = dir == AT_FDCWD ? snprintf(ret->sun_path, sizeof ret->sun_path, "%s", name)
				: snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/%s", dir, name);

	ret->sun_family = AF_UNIX;
	return n < 0 || (size_t)n >= sizeof ret->sun_path ? -ENAMETOOLONG : 0;
}

/* A path whose directory is deep is reached through a descriptor of that directory. */
static int split(int *dir, const char **name, int *ret_opened)
{
	const char *slash = strrchr(*name, '/');
	AUTO_FREE char *parent = NULL;

	if (!slash)
		return 0;
	parent = xstrndup(*name, slash == *name ? 1 : (size_t)(slash - *name));
	*ret_opened = openat(*dir, parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*ret_opened < 0)
		return -errno;
	*dir = *ret_opened;
	*name = slash + 1;
	return 0;
}

int sock_connect(int dir, const char *name, int type)
{
	struct sockaddr_un a = { 0 };
	AUTO_FD int opened = -1;
	AUTO_FD int fd = -1;
	int r = split(&dir, &name, &opened);

	if (r == 0)
		r = address(dir, name, &a);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	while (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
		if (errno != EINTR)
			return -errno;
	return TAKE_FD(fd);
}

int sock_listen(int dir, const char *name, int type, mode_t mode)
{
	struct sockaddr_un a = { 0 };
	AUTO_FD int opened = -1;
	AUTO_FD int fd = -1;
	int r = split(&dir, &name, &opened);

	if (r == 0)
		r = address(dir, name, &a);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	(void)fchmod(fd, mode); /* before bind the mode of the node follows it: no moment with wider rights */
	if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0) {
		AUTO_FD int other = -1;

		if (errno != EADDRINUSE)
			return -errno;
		other = sock_connect(dir, name, type);
		if (other != -ECONNREFUSED)
			return -EADDRINUSE; /* alive, or not a socket of this kind: not ours to remove */
		if (unlinkat(dir, name, 0) < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
			return -errno;
	}
	if (fchmodat(dir, name, mode, 0) < 0 || listen(fd, SOMAXCONN) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int fd_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) < 0)
		return -errno;
	return 0;
}
