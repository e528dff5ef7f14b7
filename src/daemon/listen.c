/* listen.c - "unix:///path" and "tcp://host:port" as listening sockets. */
#include "daemon/daemon.h"
#include "proc/proc.h"

#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int give_to_group(const char *path, const char *group, struct err *e)
{
	const struct group *g;
	uint32_t gid = 0;

	if (str_to_u32(group ? group : "docker", 10, &gid) < 0) {
		g = getgrnam(group ? group : "docker");
		if (!g && !group)
			return 0; /* the default group need not exist */
		if (!g)
			return err_set(e, ERR_INVALID, "could not change group %s to %s: group %s not found", path,
				       group, group);
		gid = g->gr_gid;
	}
	if (fchownat(AT_FDCWD, path, 0, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(e, -errno, "could not change group %s to %s", path, group);
	return 0;
}

static bool somebody_listens(const char *path)
{
	int fd = sock_connect(AT_FDCWD, path, SOCK_STREAM);

	if (fd < 0)
		return false;
	(void)close(fd);
	return true;
}

static int listen_unix(const char *path, const char *group, struct listener *ret, struct err *e)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *parent = slash && slash != path ? xstrndup(path, (size_t)(slash - path)) : xstrdup("/");
	AUTO_FD int fd = -1;
	int r;

	if (*path != '/')
		return err_set(e, ERR_INVALID, "the path of a unix socket must be absolute: %s", path);
	if (somebody_listens(path))
		return err_set(e, ERR_CONFLICT, "can't create unix socket %s: another daemon is listening there", path);
	r = dir_make(AT_FDCWD, parent, 0755);
	if (r < 0)
		return err_sys(e, r, "making %s", parent);
	fd = sock_listen(AT_FDCWD, path, SOCK_STREAM, 0660);
	if (fd < 0)
		return err_sys(e, fd, "can't create unix socket %s", path);
	r = give_to_group(path, group, e);
	if (r < 0) {
		(void)unlink(path);
		return r;
	}
	*ret = (struct listener){ .fd = TAKE_FD(fd), .path = xstrdup(path) };
	return 0;
}

static int listen_tcp(const char *address, struct listener *ret, struct err *e)
{
	const char *colon = strrchr(address, ':');
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
				  .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *found = NULL;
	AUTO_FREE char *host = colon ? xstrndup(address, (size_t)(colon - address)) : xstrdup(address);
	const char *name = host;
	AUTO_FD int fd = -1;
	int one = 1, r;

	if (*name == '[' && str_ends(name, "]")) {
		host[strlen(host) - 1] = 0;
		name++;
	}
	r = getaddrinfo(*name ? name : NULL, colon ? colon + 1 : "2375", &hints, &found);
	if (r != 0)
		return err_set(e, ERR_INVALID, "failed to load listeners: tcp://%s: %s", address, gai_strerror(r));
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = 0;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
	    bind(fd, found->ai_addr, found->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
		r = -errno;
	freeaddrinfo(found);
	if (r < 0)
		return err_sys(e, r, "failed to load listeners: listen tcp %s", address);
	log_warn("listening on tcp://%s without TLS: everybody who can reach it is root on this machine", address);
	*ret = (struct listener){ .fd = TAKE_FD(fd) };
	return 0;
}

int listen_on(const char *host, const char *group, struct listener *ret, struct err *e)
{
	const char *rest = str_after(host, "unix://");

	if (rest)
		return listen_unix(rest, group, ret, e);
	rest = str_after(host, "tcp://");
	return rest ? listen_tcp(rest, ret, e) : err_set(e, ERR_INVALID, "invalid host: %s", host);
}

void listeners_done(struct listeners *l)
{
	for (size_t i = 0; i < l->n; i++) {
		fd_closep(&l->v[i].fd);
		if (l->v[i].path)
			(void)unlink(l->v[i].path);
		free(l->v[i].path);
	}
	free(l->v);
	*l = (struct listeners){ 0 };
}
