/* driver_btrfs.c - every layer and every container is a subvolume, a snapshot of what is below it: making one costs a few blocks. The
 * kernel is asked directly, always by directory descriptor and name; no btrfs program is needed. */
#include "store/priv.h"
#include "store/worker_call.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* linux/btrfs.h */
#define BTRFS_MAGIC 0x9123683e
#define SUBVOLUME_INODE 256 /* of every subvolume's root */
#define SUBVOL_RDONLY 2ULL
struct vol_args {
	int64_t fd;
	char name[4088];
};
#define IOC_SNAP_CREATE _IOW(0x94, 1, struct vol_args)
#define IOC_SUBVOL_CREATE _IOW(0x94, 14, struct vol_args)
#define IOC_SNAP_DESTROY _IOW(0x94, 15, struct vol_args)
#define IOC_SUBVOL_SETFLAGS _IOW(0x94, 26, uint64_t)

static int call(int dir, unsigned long request, int fd, const char *name)
{
	struct vol_args a = { .fd = fd };

	if (strlen(name) >= sizeof a.name)
		return -ENAMETOOLONG;
	memcpy(a.name, name, strlen(name) + 1);
	return ioctl(dir, request, &a) < 0 ? -errno : 0;
}

static bool on_btrfs(int fd)
{
	struct statfs st;

	return fstatfs(fd, &st) == 0 && (uint32_t)st.f_type == BTRFS_MAGIC;
}

/* ---- removing ---- */
static int destroy(int dir, const char *name, int depth);

/* A container may have made subvolumes itself: a subvolume that holds others cannot go before them. */
static void destroy_below(int dir, const char *name, int depth)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *x;

	while (d && (x = readdir(d))) {
		struct stat st;

		if (streq(x->d_name, ".") || streq(x->d_name, "..") || depth > 256 ||
		    fstatat(fd, x->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
			continue;
		if (st.st_ino == SUBVOLUME_INODE)
			(void)destroy(fd, x->d_name, depth + 1);
		else
			destroy_below(fd, x->d_name, depth + 1);
	}
	if (d)
		(void)closedir(d);
}

static int destroy(int dir, const char *name, int depth)
{
	int r = call(dir, IOC_SNAP_DESTROY, 0, name);

	if (r == -ENOTEMPTY) {
		destroy_below(dir, name, depth);
		r = call(dir, IOC_SNAP_DESTROY, 0, name);
	}
	return r;
}

/* Whatever driver is in use now: tmp/ may hold what an earlier one has left. A sealed subvolume cannot be emptied file by file. */
void subvolume_remove(int tmp, const char *name)
{
	AUTO_FD int dir = on_btrfs(tmp) ? dir_open(tmp, name) : -1;
	struct stat st;

	if (dir >= 0 && fstatat(dir, "diff", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
	    st.st_ino == SUBVOLUME_INODE)
		(void)destroy(dir, "diff", 0);
}

/* ---- making ---- */
static int btrfs_probe(const struct store *s, struct err *e)
{
	static const char name[] = ".btrfs-probe";
	int r;

	if (!on_btrfs(s->tmp))
		return err_set(e, ERR_INVALID,
			       "prerequisites for driver not satisfied (wrong filesystem?): %s is on %s, not btrfs",
			       s->root, store_backing(s));
	(void)call(s->tmp, IOC_SNAP_DESTROY, 0, name);
	r = call(s->tmp, IOC_SUBVOL_CREATE, 0, name);
	if (r == 0)
		r = call(s->tmp, IOC_SNAP_DESTROY, 0, name);
	return r < 0 ? err_sys(e, r, "making and deleting a subvolume in %s/tmp", s->root) : 0;
}

/* dir/"diff" becomes a subvolume: a snapshot of the layer top, or empty. A descriptor of it. */
static int snapshot(struct store *s, int dir, const char *top, struct err *e)
{
	AUTO_FD int from = -1;
	int fd, r;

	if (top) {
		from = plain_layer_dir(s, top, e);
		if (from < 0)
			return from;
	}
	r = call(dir, top ? IOC_SNAP_CREATE : IOC_SUBVOL_CREATE, from, "diff");
	if (r < 0)
		return err_sys(e, r, "making a subvolume");
	fd = dir_open(dir, "diff");
	if (fd < 0 || (!top && fchmod(fd, 0755) < 0))
		return err_sys(e, -errno, "making a subvolume");
	return fd;
}

static int btrfs_layer_make(struct store *s, int stage, const char *parent, struct err *e)
{
	AUTO_FD int fd = snapshot(s, stage, parent, e);

	return fd < 0 ? fd : 0;
}

/* Nothing writes to a layer any more; the kernel sees to that. */
static int btrfs_layer_seal(struct store *s UNUSED, int stage, struct err *e)
{
	AUTO_FD int fd = dir_open(stage, "diff");
	uint64_t flags = SUBVOL_RDONLY;

	return fd < 0 || ioctl(fd, IOC_SUBVOL_SETFLAGS, &flags) < 0 ? err_sys(e, -errno, "sealing a layer's subvolume")
								    : 0;
}

/* No sync: a snapshot is whole or not there, whenever power goes, and one that is not there is made anew (store_rw_claim). */
static int rw_fill(struct store *s, const char *name, const char *top, uint32_t uid, uint32_t gid, struct err *e)
{
	AUTO_FD int dir = -1, fd = -1;
	int r;

	if (mkdirat(s->tmp, name, 0710) < 0 || (dir = dir_open(s->tmp, name)) < 0)
		return err_sys(e, -errno, "making a container's layer");
	fd = snapshot(s, dir, top, e);
	if (fd < 0)
		return fd;
	r = init_fill(fd);
	if (r == 0 && (uid || gid) && fchown(fd, uid, gid) < 0)
		r = -errno;
	return r < 0 ? err_sys(e, r, "making a container's layer") : tree_rw_settle(s, name, e);
}

static int btrfs_rw_make(struct store *s, const char *name, const char *top, uint32_t uid, uint32_t gid, struct err *e)
{
	int r = rw_fill(s, name, top, uid, gid, e);

	if (r < 0)
		doom(s, s->tmp, name);
	return r;
}

static void btrfs_status(const struct store *s UNUSED, struct strmap *ret)
{
	strmap_set(ret, "Btrfs", "");
}

const struct driver driver_btrfs = {
	.name = "btrfs",
	.folder = "layers-btrfs",
	.automatic = true,
	.whole_trees = true,
	.unpack = WORKER_FORM_WHOLE,
	.probe = btrfs_probe,
	.layer_make = btrfs_layer_make,
	.layer_seal = btrfs_layer_seal,
	.layer_dir = plain_layer_dir,
	.rw_make = btrfs_rw_make,
	.rootfs = tree_rootfs,
	.status = btrfs_status,
};
