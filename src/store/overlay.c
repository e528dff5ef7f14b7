/* overlay.c - the overlay driver: a container's root is its upper directory over the layers, mounted by the shim.
 * It answers to Docker's name for it, overlay2. */
#include "store/priv.h"
#include "base/kernel.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static int overlay_probe(const struct store *s, struct err *e)
{
	AUTO_FREE char *fs = NULL;
	char name[] = ".overlay-probe";
	int r = file_read(AT_FDCWD, "/proc/filesystems", 65536, &fs, NULL);

	if (r < 0)
		return err_sys(e, r, "reading /proc/filesystems");
	if (!strstr(fs, "\toverlay\n") && access("/sys/module/overlay", F_OK) < 0)
		log_debug("overlay is not in /proc/filesystems yet: the first mount loads it");
	(void)unlinkat(s->tmp, name, AT_REMOVEDIR);
	if (mkdirat(s->tmp, name, 0700) < 0)
		return err_sys(e, -errno, "making a directory in %s/tmp", s->root);
	{
		AUTO_FD int fd = dir_open(s->tmp, name);

		r = fd < 0 ? fd : fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) < 0 ? -errno : 0;
	}
	(void)unlinkat(s->tmp, name, AT_REMOVEDIR);
	return r < 0 ? err_sys(e, r, "%s: this file system cannot hold overlay layers (trusted attributes)", s->root)
		     : 0;
}

static int overlay_rw_make(struct store *s, const char *name, uint32_t uid, uint32_t gid)
{
	AUTO_FD int dir = -1;

	if (mkdirat(s->layers, name, 0710) < 0)
		return -errno;
	dir = dir_open(s->layers, name);
	if (dir < 0)
		return dir;
	if (mkdirat(dir, "diff", 0755) < 0 || mkdirat(dir, "work", 0700) < 0)
		return -errno;
	if ((uid || gid) && (fchownat(dir, "diff", uid, gid, 0) < 0 || fchownat(dir, "work", uid, gid, 0) < 0))
		return -errno;
	return 0;
}

static void overlay_rootfs(const struct store *s, const char *name, const struct strv *lowers, struct store_rootfs *ret)
{
	ret->lower_dir = path_join(s->root, "layers");
	strv_copy(&ret->lowers, lowers);
	ret->upper = xasprintf("%s/layers/%s/diff", s->root, name);
	ret->work = xasprintf("%s/layers/%s/work", s->root, name);
}

static int overlay_opaque(const struct store *s, int diff, const char *path)
{
	AUTO_FD int fd = open_in_root(diff, path, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return fd;
	return fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) < 0 ? -errno : 0;
}

const struct driver driver_overlay = {
	.name = "overlay2",
	.probe = overlay_probe,
	.rw_make = overlay_rw_make,
	.rootfs = overlay_rootfs,
	.opaque = overlay_opaque,
};
