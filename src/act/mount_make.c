/* mount_make.c - detached mounts, made in the caller with its credentials and its view of the host. The child attaches them. */
#include "act/act_int.h"
#include "act/cgroup.h"
#include "base/kernel.h"

#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define FSCONFIG_STRING_MAX 255
#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
#ifndef MS_LAZYTIME
#define MS_LAZYTIME (1 << 25)
#endif

bool mount_old_kernel;

uint64_t mount_attrs(uint32_t f)
{
	uint64_t a = 0;

	a |= f & MS_RDONLY ? K_MOUNT_ATTR_RDONLY : 0;
	a |= f & MS_NOSUID ? K_MOUNT_ATTR_NOSUID : 0;
	a |= f & MS_NODEV ? K_MOUNT_ATTR_NODEV : 0;
	a |= f & MS_NOEXEC ? K_MOUNT_ATTR_NOEXEC : 0;
	a |= f & MS_NODIRATIME ? K_MOUNT_ATTR_NODIRATIME : 0;
	a |= f & MS_NOSYMFOLLOW ? K_MOUNT_ATTR_NOSYMFOLLOW : 0;
	a |= f & MS_NOATIME ? K_MOUNT_ATTR_NOATIME : 0;
	a |= f & MS_STRICTATIME ? K_MOUNT_ATTR_STRICTATIME : 0;
	return a;
}

/* What depends on namespaces that only the child is in. */
bool mount_made_by_child(const struct plan_mount *m)
{
	static const char *const types[] = {
		"proc", "sysfs", "tmpfs", "devpts", "mqueue", "ramfs", "binder", "cgroup2"
	};

	if (m->kind != PLAN_MOUNT_FS || m->slot >= 0)
		return m->kind == PLAN_MOUNT_CGROUP;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (streq(m->fstype, types[i]))
			return true;
	return false;
}

static int fs_option(int fs, const char *k, const char *v)
{
	if (v && strlen(v) > FSCONFIG_STRING_MAX)
		return -E2BIG;
	if (sys_fsconfig(fs, v ? K_FSCONFIG_SET_STRING : K_FSCONFIG_SET_FLAG, k, v, 0) < 0)
		return -errno;
	return 0;
}

/* What the file system says about a refused option, for people ("e tmpfs: Bad value for 'size'"). */
static void fs_message(int fs, char *ret, size_t n)
{
	ssize_t k = read(fs, ret, n - 1);

	ret[k > 0 ? k : 0] = 0;
	ret[strcspn(ret, "\n")] = 0;
}

/* "a=1,b" as mount(8) writes it. */
static int fs_data(int fs, const char *text)
{
	AUTO_FREE char *data = xstrdup(text);
	int r = 0;

	for (char *p = data, *next; r == 0 && p && *p; p = next) {
		char *eq;

		next = strchr(p, ',');
		if (next)
			*next++ = 0;
		eq = strchr(p, '=');
		if (eq)
			*eq++ = 0;
		if (*p)
			r = fs_option(fs, p, eq);
	}
	return r;
}

static int fs_options(int fs, const struct plan_mount *m, struct err *e)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} super[] = { { MS_SYNCHRONOUS, "sync" },
		      { MS_DIRSYNC, "dirsync" },
		      { MS_LAZYTIME, "lazytime" },
		      { MS_MANDLOCK, "mand" } };
	char why[256];
	int r = 0;

	if (!str_empty(m->source))
		r = fs_option(fs, "source", m->source);
	for (size_t i = 0; i < ARRAY_LEN(super) && r == 0; i++)
		if (m->flags & super[i].flag)
			r = fs_option(fs, super[i].name, NULL);
	if (r == 0)
		r = fs_data(fs, m->data);
	if (r < 0) {
		fs_message(fs, why, sizeof why);
		return err_sys(e, r, "%s", why[0] ? why : "setting mount options");
	}
	return 0;
}

int mount_fs_new(const struct plan_mount *m, struct err *e)
{
	AUTO_FD int fs = sys_fsopen(m->fstype, K_FSOPEN_CLOEXEC);
	char why[256];
	int fd, r;

	if (fs < 0)
		return err_sys(e, -errno, "file system \"%s\"", m->fstype);
	r = fs_options(fs, m, e);
	/* A read-only disk is not written at all, not even its journal. */
	if (r == 0 && (m->flags & MS_RDONLY) && !mount_made_by_child(m))
		r = fs_option(fs, "ro", NULL);
	if (r < 0)
		return r;
	if (sys_fsconfig(fs, K_FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
		r = -errno;
		fs_message(fs, why, sizeof why);
		return err_sys(e, r, "%s", why[0] ? why : m->fstype);
	}
	fd = sys_fsmount(fs, K_FSMOUNT_CLOEXEC, (unsigned)mount_attrs(m->flags));
	return fd < 0 ? err_sys(e, -errno, "%s", m->fstype) : fd;
}

static int bind_new(const char *source, bool recursive, struct err *e)
{
	int fd = sys_open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0));

	return fd < 0 ? err_sys(e, -errno, "%s", source) : fd;
}

/* ---- overlay ---- */
static char *lower_path(const struct plan_mount *m, const char *lower)
{
	return lower[0] == '/' || str_empty(m->lower_dir) ? xstrdup(lower) : path_join(m->lower_dir, lower);
}

/* Would this path, put behind lower_dir, be too long for fsconfig? */
static bool too_long(const struct plan_mount *m, const char *path)
{
	return path && path[0] != '/' && !str_empty(m->lower_dir) &&
	       strlen(m->lower_dir) + 1 + strlen(path) > FSCONFIG_STRING_MAX;
}

static int overlay_option(const struct plan_mount *m, int fs, const char *key, const char *path, bool relative)
{
	AUTO_FREE char *full = relative ? xstrdup(path) : lower_path(m, path);

	return fs_option(fs, key, full);
}

/* Lowers that are mounts nobody sees. The kernel takes one when it is the root of a tree of its own, and that tree must still be there
 * when the overlay is created: *ret holds the clones until then. */
struct clones {
	int *v;
	size_t n;
};

static void clones_done(struct clones *c)
{
	for (size_t i = 0; i < c->n; i++)
		(void)close(c->v[i]);
	free(c->v);
}

static int overlay_lower_at(int fs, int dir, const char *name, struct clones *ret)
{
	int fd = sys_open_tree(dir, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		return -errno;
	*VEC_ADD(ret) = fd;
	return sys_fsconfig(fs, K_FSCONFIG_SET_FD, "lowerdir+", NULL, fd) < 0 ? -errno : 0;
}

static int overlay_options(const struct plan_mount *m, int fs, bool relative, int lowers_fd)
{
	CLEANUP(clones_done) struct clones clones = { 0 };
	int r = 0;

	(void)fs_option(fs, "source", "overlay");
	for (size_t i = 0; m->lowers[i] && r == 0; i++)
		r = lowers_fd >= 0     ? overlay_lower_at(fs, lowers_fd, m->lowers[i], &clones)
		    : mount_old_kernel ? -EINVAL
				       : overlay_option(m, fs, "lowerdir+", m->lowers[i], relative);
	if (r == 0 && m->upper)
		r = overlay_option(m, fs, "upperdir", m->upper, relative);
	if (r == 0 && m->upper)
		r = overlay_option(m, fs, "workdir", m->work, relative);
	if (r == 0 && m->upper && (m->extra & PLAN_MOUNT_VOLATILE))
		r = fs_option(fs, "volatile", NULL);
	if (r == 0)
		r = fs_data(fs, m->data);
	if (r == 0 && sys_fsconfig(fs, K_FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		r = -errno;
	return r;
}

static int overlay_new_api(const struct plan_mount *m, int lowers_fd)
{
	AUTO_FD int fs = sys_fsopen("overlay", K_FSOPEN_CLOEXEC), back = -1;
	bool relative = too_long(m, m->upper) || too_long(m, m->work);
	int r, fd;

	if (fs < 0)
		return -errno;
	for (size_t i = 0; m->lowers[i] && lowers_fd < 0; i++)
		relative = relative || too_long(m, m->lowers[i]);
	if (relative) { /* fsconfig resolves against the working directory, now */
		back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (back < 0 || chdir(m->lower_dir) < 0)
			return -errno;
	}
	r = overlay_options(m, fs, relative, lowers_fd);
	if (relative && fchdir(back) < 0)
		return -errno;
	if (r < 0)
		return r;
	fd = sys_fsmount(fs, K_FSMOUNT_CLOEXEC, (unsigned)mount_attrs(m->flags));
	return fd < 0 ? -errno : fd;
}

/* In overlay's option string a colon parts lowers, a comma options and a backslash guards both. */
static void add_guarded(struct strb *b, const char *s)
{
	for (; *s; s++) {
		if (*s == ':' || *s == ',' || *s == '\\')
			strb_addc(b, '\\');
		strb_addc(b, *s);
	}
}

static int overlay_in_private_namespace(const struct plan_mount *m)
{
	AUTO_STRB struct strb data = STRB_INIT;
	bool relative = !str_empty(m->lower_dir);
	int fd;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	if (chdir(relative ? m->lower_dir : "/") < 0)
		return -errno;
	strb_adds(&data, "lowerdir=");
	for (size_t i = 0; m->lowers[i]; i++) {
		if (i)
			strb_addc(&data, ':');
		add_guarded(&data, m->lowers[i]);
	}
	if (m->upper) {
		strb_adds(&data, ",upperdir=");
		add_guarded(&data, m->upper);
		strb_adds(&data, ",workdir=");
		add_guarded(&data, m->work);
		if (m->extra & PLAN_MOUNT_VOLATILE)
			strb_adds(&data, ",volatile");
	}
	if (!str_empty(m->data))
		strb_addf(&data, ",%s", m->data);
	if (data.len >= (size_t)sysconf(_SC_PAGESIZE))
		return -E2BIG;
	/* Any directory will do: nobody else sees this namespace. */
	if (mount("overlay", "/proc", "overlay", m->flags & ~(unsigned long)MS_REC, strb_str(&data)) < 0)
		return -errno;
	fd = sys_open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* For kernels before 6.8: mount(2) takes a page of options with lowers relative to a working directory. */
static int overlay_old_api(const struct plan_mount *m)
{
	int pair[2], r, fd = -1, status;
	struct gate_msg msg = { 0 };
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	pid = spawn(0, -1, NULL);
	if (pid == 0) {
		r = overlay_in_private_namespace(m);
		msg = (struct gate_msg){ .kind = GATE_READY, .sys = r < 0 ? r : 0 };
		(void)gate_send(pair[1], &msg, r);
		_exit(0);
	}
	(void)close(pair[1]);
	r = pid < 0 ? (int)pid : gate_recv(pair[0], &msg, &fd);
	(void)close(pair[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 1)
		r = msg.sys;
	else if (r == 0)
		r = -EPIPE;
	return r < 0 ? r : fd;
}

static int overlay_new(const struct plan_mount *m, int lowers_fd, struct err *e)
{
	int fd;

	if (!m->lowers || !m->lowers[0])
		return err_set(e, ERR_INVALID, "an overlay needs a lower directory");
	if (m->upper && !m->work)
		return err_set(e, ERR_INVALID, "an overlay with an upper directory needs a work directory");
	if (lowers_fd < 0 && !m->upper &&
	    !m->lowers[1]) { /* one layer, nothing to write: a bind is cheaper and needs no overlay */
		AUTO_FREE char *path = lower_path(m, m->lowers[0]);
		struct k_mount_attr ro = { .attr_set = K_MOUNT_ATTR_RDONLY | mount_attrs(m->flags) };

		fd = bind_new(path, false, e);
		if (fd >= 0 && sys_mount_setattr(fd, "", AT_EMPTY_PATH, &ro) < 0) {
			(void)close(fd);
			return err_sys(e, -errno, "making %s read-only", path);
		}
		return fd;
	}
	fd = overlay_new_api(m, lowers_fd);
	/* EINVAL: lowerdir+ is unknown; E2BIG: a path over 255 bytes; ENOSYS: no fsopen. */
	if (lowers_fd < 0 && (fd == -EINVAL || fd == -E2BIG || fd == -ENOSYS))
		fd = overlay_old_api(m);
	if (fd == -E2BIG) {
		size_t n = 0;

		while (m->lowers[n])
			n++;
		return err_set(e, ERR_INVALID,
			       "the image has %zu layers, more than this kernel takes for one mount (500 since Linux "
			       "6.8, about "
			       "200 before)",
			       n - 1);
	}
	return fd < 0 ? err_sys(e, fd, "mounting the overlay") : fd;
}

/* ---- */
static int set_attributes(const struct plan_mount *m, int fd, int userns_fd, struct err *e)
{
	static const uint32_t atime = MS_NOATIME | MS_STRICTATIME | MS_RELATIME;
	uint32_t propagation = m->propagation ? m->propagation & ~(uint32_t)MS_REC : MS_PRIVATE;
	struct k_mount_attr top = { .attr_set = m->kind == PLAN_MOUNT_BIND ? mount_attrs(m->flags) : 0,
				    .attr_clr = mount_attrs(m->clear) };
	struct k_mount_attr all = { .attr_set = m->rec_set, .attr_clr = m->rec_clear };
	bool recursive = m->flags & MS_REC;

	if (m->kind == PLAN_MOUNT_BIND && (m->flags & atime))
		top.attr_clr |= K_MOUNT_ATTR__ATIME;
	if (all.attr_set & K_MOUNT_ATTR__ATIME)
		all.attr_clr |= K_MOUNT_ATTR__ATIME;
	if (!m->propagation || m->propagation & MS_REC) /* cut off, all of the tree */
		all.propagation = propagation;
	else
		top.propagation = propagation;
	if (m->extra & PLAN_MOUNT_IDMAP) {
		if (userns_fd < 0)
			return err_set(e, ERR_INVALID, "an idmapped mount needs a user namespace");
		(recursive ? &all : &top)->attr_set |= K_MOUNT_ATTR_IDMAP;
		(recursive ? &all : &top)->userns_fd = (uint64_t)userns_fd;
	}
	/* A fresh file system has its flags already and belongs to no peer group. */
	if (m->kind != PLAN_MOUNT_BIND && !m->propagation)
		all.propagation = 0;
	if ((all.attr_set || all.attr_clr || all.propagation) &&
	    sys_mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &all) < 0)
		return err_sys(e, -errno, "setting recursive mount attributes");
	if ((top.attr_set || top.attr_clr || top.propagation) && sys_mount_setattr(fd, "", AT_EMPTY_PATH, &top) < 0)
		return err_sys(e, -errno, "setting mount attributes");
	return 0;
}

static int make_one(const struct plan_mount *m, int slot_fd, int userns_fd, struct err *e)
{
	AUTO_FD int fd = -1;
	int r;

	switch (m->kind) {
	case PLAN_MOUNT_BIND:
		if (str_empty(m->source))
			return err_set(e, ERR_INVALID, "a bind needs a source");
		fd = bind_new(m->source, m->flags & MS_REC, e);
		break;
	case PLAN_MOUNT_FS:
		fd = mount_fs_new(m, e);
		break;
	case PLAN_MOUNT_OVERLAY:
		fd = overlay_new(m, slot_fd, e);
		break;
	case PLAN_MOUNT_FUSE_OVERLAY:
		fd = mount_fuse_overlay(m, e);
		break;
	default:
		return err_set(e, ERR_INVALID, "unknown kind of mount %u", m->kind);
	}
	if (fd < 0)
		return fd;
	r = set_attributes(m, fd, userns_fd, e);
	return r < 0 ? r : TAKE_FD(fd);
}

/* On v1 the container sees binds of its own cgroup, cut off from the host's peers. */
static int make_cgroup_view(const char *path, struct made_mounts *ret, struct err *e)
{
	const struct cg_host *h = cg_host();
	struct k_mount_attr private = { .propagation = MS_PRIVATE };

	if (ret->cgroup)
		return 0;
	ret->cgroup = xcalloc(ARRAY_LEN(h->tree), sizeof(int));
	for (size_t i = 0; i < h->n; i++) {
		AUTO_FD int dir = cg_open(&h->tree[i], path);
		int fd = dir < 0 ? -1 : sys_open_tree(dir, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

		if (fd < 0)
			return err_sys(e, -errno, "binding cgroup %s of %s", path, h->tree[i].mount);
		(void)sys_mount_setattr(fd, "", AT_EMPTY_PATH, &private);
		ret->cgroup[ret->n_cgroup++] = fd;
	}
	return 0;
}

int mounts_make(const struct plan *p, const struct act_opts *o, int userns_fd, struct made_mounts *ret, struct err *e)
{
	ret->fd = xcalloc(p->n_mounts + 1, sizeof *ret->fd);
	ret->lent = xcalloc(p->n_mounts + 1, sizeof *ret->lent);
	for (size_t i = 0; i < p->n_mounts; i++) {
		const struct plan_mount *m = &p->mounts[i];
		bool lowers = m->kind == PLAN_MOUNT_OVERLAY && m->extra & PLAN_MOUNT_LOWERS_IN_SLOT;
		int r = 0;

		ret->fd[i] = NO_MOUNT;
		ret->n = i + 1;
		if ((m->slot >= 0 && (size_t)m->slot >= o->n_slots) || (lowers && m->slot < 0))
			return err_set(e, ERR_INVALID, "mount %s wants descriptor slot %d of %zu", m->target, m->slot,
				       o->n_slots);
		if (m->slot >= 0 && !lowers) {
			ret->fd[i] = o->slots[m->slot];
			ret->lent[i] = true;
			continue;
		}
		if (m->kind == PLAN_MOUNT_CGROUP && p->cgroup.path &&
		    (cg_host()->version == ACT_CGROUP_V1 || p->ns[PLAN_NS_CGROUP].mode == 0))
			r = make_cgroup_view(p->cgroup.path, ret, e);
		else if (!mount_made_by_child(m))
			r = ret->fd[i] = make_one(m, lowers ? o->slots[m->slot] : -1, userns_fd, e);
		if (r < 0 && (m->extra & PLAN_MOUNT_OPTIONAL)) {
			ret->fd[i] = NO_MOUNT;
			continue;
		}
		if (r < 0)
			return err_wrap(e, r, "error mounting \"%s\" to rootfs at \"%s\"",
					m->source   ? m->source
					: m->fstype ? m->fstype
						    : "overlay",
					m->target);
	}
	return 0;
}

void mounts_done(struct made_mounts *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->fd[i] >= 0 && !m->lent[i])
			(void)close(m->fd[i]);
	for (size_t i = 0; i < m->n_cgroup; i++)
		(void)close(m->cgroup[i]);
	free(m->fd);
	free(m->lent);
	free(m->cgroup);
	*m = (struct made_mounts){ 0 };
}
