/* mounts.c - in the child: attaches the mounts below the new root and makes it the root.
 * Every path of the plan is resolved by the kernel inside the new root; nothing is joined to a host path. */
#include "act/act_int.h"
#include "act/cgroup.h"
#include "base/kernel.h"

#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define LINKS_MAX 40

int mount_onto(int mount, int target)
{
	return sys_move_mount(mount, "", target, "", K_MOVE_MOUNT_F_EMPTY_PATH | K_MOVE_MOUNT_T_EMPTY_PATH) < 0 ? -errno
														: 0;
}

/* Makes what is missing on the way. A link that leads nowhere yet (/var/run -> /run in an image without /run) is followed in
 * the text, the kernel still keeps every step inside root. */
static int make_dirs(int root, const char *path, int links)
{
	AUTO_FD int at = open_in_root(root, "/", O_PATH | O_DIRECTORY, 0);
	AUTO_STRB struct strb done = STRB_INIT;

	if (at < 0)
		return at;
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");
		AUTO_FREE char *name = xstrndup(p, n);
		size_t before = done.len;
		char link[PATH_MAX] = "";
		int next;

		p += n;
		p += strspn(p, "/");
		if (n == 0 || streq(name, "."))
			continue;
		strb_addf(&done, "/%s", name);
		next = open_in_root(root, strb_str(&done), O_PATH | O_DIRECTORY, 0);
		if (next == -ENOENT) {
			if (mkdirat(at, name, 0755) < 0 && errno != EEXIST)
				return -errno;
			next = open_in_root(root, strb_str(&done), O_PATH | O_DIRECTORY, 0);
		}
		if (next == -ENOENT && readlinkat(at, name, link, sizeof link - 1) > 0) {
			AUTO_FREE char *real = NULL;

			done.s[done.len = before] = 0;
			real = link[0] == '/' ? xasprintf("%s/%s", link, p)
					      : xasprintf("%s/%s/%s", strb_str(&done), link, p);
			return links > 0 ? make_dirs(root, real, links - 1) : -ELOOP;
		}
		if (next < 0)
			return next;
		(void)close(at);
		at = next;
	}
	return TAKE_FD(at);
}

int root_mkdir(int root, const char *path)
{
	int fd = open_in_root(root, path, O_PATH | O_DIRECTORY, 0);

	return fd == -ENOENT ? make_dirs(root, path, LINKS_MAX) : fd;
}

/* A file to be mounted over: the last name is made empty, in a directory that is made too. */
static int make_file(int root, const char *path, int links)
{
	AUTO_FREE char *copy = path_clean(path);
	char *slash = strrchr(copy, '/'), link[PATH_MAX] = "";
	const char *name = slash ? slash + 1 : copy;
	AUTO_FD int dir = -1, file = -1;

	if (slash)
		*slash = 0;
	dir = root_mkdir(root, slash && *copy ? copy : "/");
	if (dir < 0)
		return dir;
	if (mknodat(dir, name, S_IFREG | 0755, 0) < 0 && errno != EEXIST)
		return -errno;
	file = open_in_root(root, path, O_PATH, 0);
	if (file == -ENOENT && readlinkat(dir, name, link, sizeof link - 1) > 0) {
		AUTO_FREE char *real = link[0] == '/' ? xstrdup(link) : xasprintf("%s/%s", copy, link);

		return links > 0 ? make_file(root, real, links - 1) : -ELOOP;
	}
	return TAKE_FD(file);
}

int target_open(int root, const char *path, bool dir, struct err *e)
{
	int fd = open_in_root(root, path, O_PATH, 0);

	if (fd == -ENOENT)
		fd = dir ? root_mkdir(root, path) : make_file(root, path, LINKS_MAX);
	return fd < 0 ? err_sys(e, fd, "making the mountpoint %s", path) : fd;
}

/* ---- kinds ---- */
static bool is_dir(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Old kernels, odd file systems and options too long for fsconfig: the classic call, onto a descriptor. */
static int mount_classic(const struct plan_mount *m, int target)
{
	char path[40];

	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", target);
	return mount(str_empty(m->source) ? m->fstype : m->source, path, m->fstype, m->flags & ~(uint32_t)MS_RDONLY,
		     m->data) < 0
		       ? -errno
		       : 0;
}

/* proc and sysfs must land where their name says: an image with /proc -> elsewhere would undo masks and labels. */
static int ordinary_target(int root, const struct plan_mount *m, struct err *e)
{
	struct k_open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = K_RESOLVE_IN_ROOT | K_RESOLVE_NO_SYMLINKS };
	int fd = sys_openat2(root, m->target, &how);

	if (fd < 0 && errno == ENOENT)
		return target_open(root, m->target, true, e);
	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return err_set(e, ERR_INVALID, "filesystem \"%s\" must be mounted on ordinary directory", m->fstype);
	if (fd >= 0 && !is_dir(fd)) {
		(void)close(fd);
		return err_set(e, ERR_INVALID, "filesystem \"%s\" must be mounted on ordinary directory", m->fstype);
	}
	return fd < 0 ? err_sys(e, -errno, "opening %s", m->target) : fd;
}

static int set_readonly(int fd, bool recursive)
{
	struct k_mount_attr ro = { .attr_set = K_MOUNT_ATTR_RDONLY };

	return sys_mount_setattr(fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &ro) < 0 ? -errno : 0;
}

static void later_readonly(struct job *j, int fd)
{
	j->m.late_ro = xrealloc(j->m.late_ro, j->m.n_late_ro + 1, sizeof(int));
	j->m.late_ro[j->m.n_late_ro++] = fd;
}

static int attach_fs(struct job *j, const struct plan_mount *m, struct err *e)
{
	AUTO_FD int before = open_in_root(j->m.root, m->target, O_PATH | O_DIRECTORY, 0); /* was it there? */
	bool strict = streq(m->fstype, "proc") || streq(m->fstype, "sysfs");
	struct plan_mount rw = *m;
	struct k_mount_attr attr = { .attr_set = m->rec_set,
				     .attr_clr = m->rec_clear,
				     .propagation = m->propagation & ~(uint32_t)MS_REC };
	AUTO_FD int fd = -1,
		    target = strict ? ordinary_target(j->m.root, m, e) : target_open(j->m.root, m->target, true, e);
	bool late = streq(m->fstype, "tmpfs") && (m->flags & MS_RDONLY); /* /dev is filled first */
	int r;

	if (target < 0)
		return target;
	if (late)
		rw.flags &= ~(uint32_t)MS_RDONLY;
	fd = mount_fs_new(&rw, e);
	if (fd == -E2BIG || fd == -ENOSYS) {
		r = mount_classic(&rw, target);
		if (r < 0)
			return err_sys(e, r, "%s", m->fstype);
		fd = open_in_root(j->m.root, m->target, O_PATH, 0);
		if (fd < 0)
			return err_sys(e, fd, "%s", m->target);
		if (!late && (m->flags & MS_RDONLY))
			(void)set_readonly(fd, false);
	} else {
		struct stat st;

		if (fd < 0)
			return fd;
		if (streq(m->fstype, "tmpfs") && before >= 0 && !strstr(m->data ? m->data : "", "mode=") &&
		    fstat(target, &st) == 0)
			(void)fchmodat(fd, ".", st.st_mode & 07777, 0); /* as the directory it covers */
		if (m->extra & PLAN_MOUNT_TMPCOPYUP) {
			r = copy_up_tmpfs(target, fd, e);
			if (r < 0)
				return r;
		}
		r = mount_onto(fd, target);
		if (r < 0)
			return err_sys(e, r, "attaching %s", m->fstype);
	}
	if ((attr.attr_set || attr.attr_clr || attr.propagation) &&
	    sys_mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr) < 0)
		return err_sys(e, -errno, "setting mount attributes");
	if (late)
		later_readonly(j, TAKE_FD(fd));
	return 0;
}

static int attach_made(struct job *j, const struct plan_mount *m, int fd, struct err *e)
{
	bool dir = !(m->extra & PLAN_MOUNT_CREATE_FILE) && is_dir(fd);
	AUTO_FD int before = -1, target = -1;
	int r;

	if (m->extra & PLAN_MOUNT_VOLUME_COPYUP && dir)
		before = open_in_root(j->m.root, m->target, O_PATH | O_DIRECTORY, 0);
	target = target_open(j->m.root, m->target, dir, e);
	if (target < 0)
		return target;
	if (before >= 0) {
		bool readonly = m->flags & MS_RDONLY || m->rec_set & K_MOUNT_ATTR_RDONLY;

		r = copy_up_volume(before, fd, readonly, e);
		if (r < 0)
			return r;
	}
	r = mount_onto(fd, target);
	if (r == -ENOTDIR || (r == -EINVAL && is_dir(target) != is_dir(fd)))
		return err_sys(e, -ENOTDIR,
			       "Are you trying to mount a directory onto a file (or vice-versa)? "
			       "Check if the specified host path exists and is the expected type");
	return r < 0 ? err_sys(e, r, "attaching") : 0;
}

/* v1: a tmpfs with the container's own cgroup of each hierarchy and the names of controllers that share one. */
static int attach_cgroup_v1(struct job *j, const struct plan_mount *m, struct err *e)
{
	const struct cg_host *h = cg_host();
	struct plan_mount tmpfs = { .kind = PLAN_MOUNT_FS,
				    .flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | (m->flags & MS_RELATIME),
				    .slot = -1,
				    .fstype = "tmpfs",
				    .source = "tmpfs",
				    .data = "mode=755" };
	AUTO_FD int target = target_open(j->m.root, m->target, true, e), top = -1;
	struct k_mount_attr attr = { .attr_set = mount_attrs(m->flags) | K_MOUNT_ATTR_NOSUID | K_MOUNT_ATTR_NODEV |
						 K_MOUNT_ATTR_NOEXEC };
	int r;

	if (target < 0)
		return target;
	top = mount_fs_new(&tmpfs, e);
	if (top < 0)
		return top;
	r = mount_onto(top, target); /* before its children: attaching below a detached mount needs linux 6.15 */
	for (size_t i = 0; i < j->made->n_cgroup && r == 0; i++) {
		const char *name = strrchr(h->tree[i].mount, '/') + 1;
		AUTO_STRV struct strv controllers = { 0 };
		AUTO_FD int dir = -1;

		if (mkdirat(top, name, 0755) < 0)
			r = -errno;
		dir = openat(top, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (r == 0)
			r = dir < 0 ? -errno : mount_onto(j->made->cgroup[i], dir);
		strv_split(&controllers, h->tree[i].controllers, ",");
		for (size_t k = 0; k < controllers.n && r == 0; k++)
			if (!strchr(controllers.v[k], '=') && !streq(controllers.v[k], name))
				(void)symlinkat(name, top, controllers.v[k]);
	}
	if (r == 0 && sys_mount_setattr(top, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr) < 0)
		r = -errno;
	return r < 0 ? err_sys(e, r, "the cgroup file systems") : 0;
}

static int attach_cgroup_v2(struct job *j, const struct plan_mount *m, struct err *e)
{
	struct plan_mount fs = { .kind = PLAN_MOUNT_FS,
				 .flags = m->flags,
				 .slot = -1,
				 .target = m->target,
				 .fstype = "cgroup2",
				 .source = "cgroup",
				 .data = m->data };
	struct k_mount_attr attr = { .attr_set = mount_attrs(m->flags) };
	int r;

	if (j->made->n_cgroup > 0) {
		r = attach_made(j, m, j->made->cgroup[0], e);
		if (r == 0 && sys_mount_setattr(j->made->cgroup[0], "", AT_EMPTY_PATH, &attr) < 0)
			r = err_sys(e, -errno, "the cgroup file system");
		return r;
	}
	r = job_joined(j, e); /* its root is the cgroup we are in */
	return r < 0 ? r : attach_fs(j, &fs, e);
}

static int attach_one(struct job *j, size_t i, struct err *e)
{
	const struct plan_mount *m = &j->p->mounts[i];

	if (j->made->fd[i] >= 0)
		return attach_made(j, m, j->made->fd[i], e);
	if (!mount_made_by_child(m))
		return 0; /* optional, and its source was not there */
	if (m->kind == PLAN_MOUNT_CGROUP)
		return cg_host()->version == ACT_CGROUP_V1 ? attach_cgroup_v1(j, m, e) : attach_cgroup_v2(j, m, e);
	return attach_fs(j, m, e);
}

int mounts_attach(struct job *j, struct err *e)
{
	const struct plan *p = j->p;
	int r;

	if (p->n_mounts == 0 || !streq(p->mounts[0].target, "/") || j->made->fd[0] < 0)
		return err_set(e, ERR_INVALID, "the plan's first mount is not the root file system");
	/* Whatever the host shares ends here; volumes were cloned before, with the propagation they are to have. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(e, -errno, "making mounts private");
	{
		AUTO_FD int slash = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

		/* On top of the host's root: any place will do until the pivot, and this one always exists. */
		r = slash < 0 ? -errno : mount_onto(j->made->fd[0], slash);
	}
	if (r < 0)
		return err_sys(e, r, "attaching the root file system");
	j->m.root = j->made->fd[0];
	j->m.devs = true;
	for (size_t i = 1; i < p->n_mounts; i++) {
		const struct plan_mount *m = &p->mounts[i];

		if (m->kind == PLAN_MOUNT_BIND && streq(m->target, "/dev"))
			j->m.devs = false; /* the host's own: not ours to fill */
		r = attach_one(j, i, e);
		if (r < 0 && (m->extra & PLAN_MOUNT_OPTIONAL) && (r == -ENOENT || r == -EPERM || r == -ENODEV)) {
			if (e)
				*e = ERR_INIT;
			continue;
		}
		if (r < 0)
			return err_wrap(e, r, "error mounting \"%s\" to rootfs at \"%s\"",
					m->source   ? m->source
					: m->fstype ? m->fstype
						    : "cgroup",
					m->target);
	}
	return 0;
}

/* pivot_root(".", "."): the old root ends up on top of the new one and is dropped from there; no directory is needed for it. */
static int pivot(struct job *j, struct err *e)
{
	AUTO_FD int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (old < 0 || fchdir(j->m.root) < 0)
		return err_sys(e, -errno, "entering the root file system");
	if (j->p->no_pivot) {
		/* The host stays below: at least its proc and sys must not be found there. */
		(void)umount2("/sys", MNT_DETACH);
		(void)umount2("/proc", MNT_DETACH);
		if (chroot(".") < 0)
			return err_sys(e, -errno, "chroot");
	} else {
		if (syscall(SYS_pivot_root, ".", ".") < 0)
			return err_sys(e, -errno, "pivot_root");
		if (fchdir(old) < 0 || umount2(".", MNT_DETACH) < 0)
			return err_sys(e, -errno, "detaching the host's root");
	}
	return chdir("/") < 0 ? err_sys(e, -errno, "chdir to the root") : 0;
}

int mounts_seal(struct job *j, struct err *e)
{
	unsigned long propagation = j->p->root_propagation;
	int r = 0;

	for (size_t i = 0; i < j->m.n_late_ro && r == 0; i++)
		r = set_readonly(j->m.late_ro[i], false);
	if (r == 0 && j->p->root_readonly)
		r = set_readonly(j->m.root, false);
	if (r < 0)
		return err_sys(e, r, "making mounts read-only");
	r = pivot(j, e);
	if (r < 0)
		return r;
	/* Slave and private are for the root alone: the volumes below have been given their own. */
	if (propagation & (MS_SLAVE | MS_PRIVATE))
		propagation &= ~(unsigned long)MS_REC;
	if (propagation && mount(NULL, "/", NULL, propagation, NULL) < 0)
		return err_sys(e, -errno, "setting the propagation of the root");
	return 0;
}
