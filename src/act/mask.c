/* mask.c - hides paths and makes paths read-only, before the pivot: what covers them comes from the host and is proven there. */
#include "act/act_int.h"
#include "base/kernel.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static bool missing(int r)
{
	return r == -ENOENT || r == -ENOTDIR;
}

/* All masked directories share one empty read-only tmpfs. */
static int cover_dir(int target, int *shared)
{
	static const struct plan_mount empty = { .kind = PLAN_MOUNT_FS,
						 .flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
						 .slot = -1,
						 .fstype = "tmpfs",
						 .source = "tmpfs",
						 .data = "size=0,nr_inodes=2,mode=755" };
	AUTO_FD int again = -1;

	if (*shared < 0) {
		*shared = mount_fs_new(&empty, NULL);
		return *shared < 0 ? *shared : mount_onto(*shared, target);
	}
	again = sys_open_tree(*shared, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	return again < 0 ? -errno : mount_onto(again, target);
}

static int cover_file(int target, int null)
{
	AUTO_FD int copy = sys_open_tree(null, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return copy < 0 ? -errno : mount_onto(copy, target);
}

static int mask_one(struct job *j, const char *path, int null, int *shared)
{
	AUTO_FD int target = open_in_root(j->m.root, path, O_PATH, 0);
	struct stat st;

	if (target < 0)
		return missing(target) ? 0 : target;
	if (fstat(target, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? cover_dir(target, shared) : cover_file(target, null);
}

static int readonly_one(struct job *j, const char *path)
{
	struct k_mount_attr ro = { .attr_set = K_MOUNT_ATTR_RDONLY };
	AUTO_FD int target = open_in_root(j->m.root, path, O_PATH, 0), copy = -1;

	if (target < 0)
		return missing(target) ? 0 : target;
	copy = sys_open_tree(target, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (copy < 0 || sys_mount_setattr(copy, "", AT_EMPTY_PATH | AT_RECURSIVE, &ro) < 0)
		return -errno;
	return mount_onto(copy, target);
}

int mask_paths(struct job *j, struct err *e)
{
	AUTO_FD int null = -1, shared = -1;
	struct stat st;
	int r;

	for (size_t i = 0; j->p->readonly && j->p->readonly[i]; i++) {
		r = readonly_one(j, j->p->readonly[i]);
		if (r < 0)
			return err_sys(e, r, "can't make %s read-only", j->p->readonly[i]);
	}
	if (!j->p->masked || !j->p->masked[0])
		return 0;
	null = open("/dev/null", O_PATH | O_CLOEXEC);
	if (null < 0 || fstat(null, &st) < 0)
		return err_sys(e, -errno, "opening /dev/null");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return err_set(e, ERR_SYSTEM, "the host's /dev/null is not the null device");
	for (size_t i = 0; j->p->masked[i]; i++) {
		r = mask_one(j, j->p->masked[i], null, &shared);
		if (r < 0)
			return err_sys(e, r, "can't mask path \"%s\"", j->p->masked[i]);
	}
	return 0;
}
