/* devices.c - fills /dev: nodes, the usual links, /dev/console. Everything by descriptor of a directory inside the new root. */
#include "act/act_int.h"
#include "base/kernel.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static int bind_node(const struct plan_device *d, int dir, const char *name)
{
	AUTO_FD int from = sys_open_tree(AT_FDCWD, d->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), to = -1;
	struct stat st;

	if (from < 0 || fstat(from, &st) < 0)
		return -errno;
	if ((st.st_mode & S_IFMT) != d->type || st.st_rdev != makedev(d->major, d->minor))
		return -ENXIO; /* the host has something else under that name */
	if (mknodat(dir, name, S_IFREG | 0600, 0) < 0 && errno != EEXIST)
		return -errno;
	to = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return to < 0 ? -errno : mount_onto(from, to);
}

static int make_node(struct job *j, const struct plan_device *d, int dir, const char *name)
{
	dev_t dev = makedev(d->major, d->minor);
	struct stat st;

	if (j->userns && d->type != S_IFIFO)
		return bind_node(d, dir, name);
	if (mknodat(dir, name, d->type | (d->mode & 07777), dev) < 0) {
		if (errno == EPERM && d->type != S_IFIFO)
			return bind_node(d, dir, name);
		if (errno != EEXIST)
			return -errno;
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		if ((st.st_mode & S_IFMT) != d->type || (d->type != S_IFIFO && st.st_rdev != dev)) {
			if (unlinkat(dir, name, 0) < 0 || mknodat(dir, name, d->type | (d->mode & 07777), dev) < 0)
				return -errno;
		} else if (fchmodat(dir, name, d->mode & 07777, 0) < 0) {
			return -errno;
		}
	}
	if ((d->uid || d->gid) && fchownat(dir, name, d->uid, d->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return 0;
}

static int place(struct job *j, int dev, const struct plan_device *d, struct err *e)
{
	const char *name = str_after(d->path, "/dev/");
	AUTO_FREE char *copy = NULL;
	AUTO_FD int dir = -1;
	char *slash;
	int r;

	if (name && !strchr(name, '/')) {
		r = make_node(j, d, dev, name);
	} else {
		copy = path_clean(d->path);
		slash = strrchr(copy, '/');
		if (!slash || !slash[1])
			return err_set(e, ERR_INVALID, "invalid device path \"%s\"", d->path);
		*slash = 0;
		dir = root_mkdir(j->m.root, *copy ? copy : "/");
		r = dir < 0 ? dir : make_node(j, d, dir, slash + 1);
	}
	return r < 0 ? err_sys(e, r, "error creating device nodes: %s", d->path) : 0;
}

static void link_to(int dev, const char *target, const char *name, bool replace)
{
	if (symlinkat(target, dev, name) < 0 && errno == EEXIST && replace) {
		(void)unlinkat(dev, name, 0);
		(void)symlinkat(target, dev, name); /* an image's own /dev/fd is as good */
	}
}

int devices_make(struct job *j, struct err *e)
{
	AUTO_FD int dev = -1;

	if (!j->m.devs)
		return 0;
	dev = root_mkdir(j->m.root, "/dev");
	if (dev < 0)
		return err_sys(e, dev, "opening /dev of the container");
	for (size_t i = 0; i < j->p->n_devices; i++) {
		int r = place(j, dev, &j->p->devices[i], e);

		if (r < 0)
			return r;
	}
	link_to(dev, "/proc/self/fd", "fd", false);
	link_to(dev, "/proc/self/fd/0", "stdin", false);
	link_to(dev, "/proc/self/fd/1", "stdout", false);
	link_to(dev, "/proc/self/fd/2", "stderr", false);
	link_to(dev, "pts/ptmx", "ptmx", true);
	if (access("/proc/kcore", F_OK) == 0)
		link_to(dev, "/proc/kcore", "core", false);
	return 0;
}

/* The peer came from the master itself (TIOCGPTPEER): no name that a racing container could replace. */
int console_bind(struct job *j, int peer, struct err *e)
{
	AUTO_FD int from = sys_open_tree(peer, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), to = -1;
	int r;

	if (from < 0)
		return err_sys(e, -errno, "cloning the terminal for /dev/console");
	to = target_open(j->m.root, "/dev/console", false, e);
	if (to < 0)
		return to;
	r = mount_onto(from, to);
	return r < 0 ? err_sys(e, r, "binding /dev/console") : 0;
}
