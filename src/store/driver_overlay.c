/* overlay.c - the overlay driver: a container's root is its upper directory over the layers, mounted by the shim.
 * It answers to Docker's name for it, overlay2. */
#include "store/priv.h"
#include "base/kernel.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

int driver_overlay_attributes(const struct store *s, struct err *e)
{
	char name[] = ".overlay-probe";
	int r;

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

static int overlay_probe(const struct store *s, struct err *e)
{
	AUTO_FD int fs = sys_fsopen("overlay", K_FSOPEN_CLOEXEC); /* loads the module, where it is one */

	if (fs < 0 && errno == ENODEV)
		return err_set(e, ERR_NOT_IMPLEMENTED, "this kernel has no overlayfs");
	return driver_overlay_attributes(s, e);
}

static int mkdir_once(int dir, const char *name, mode_t mode)
{
	return mkdirat(dir, name, mode) < 0 && errno != EEXIST ? -1 : 0;
}

/* What is there already stays: store_rw_claim mends with it what a power cut left. */
int upper_rw_make(struct store *s, const char *name, const char *top UNUSED, uint32_t uid, uint32_t gid, struct err *e)
{
	AUTO_FD int dir = -1;

	if (mkdir_once(s->layers, name, 0710) < 0 || (dir = dir_open(s->layers, name)) < 0 ||
	    mkdir_once(dir, "diff", 0755) < 0 || mkdir_once(dir, "work", 0700) < 0)
		return err_sys(e, -errno, "making a container's layer");
	if ((uid || gid) && (fchownat(dir, "diff", uid, gid, 0) < 0 || fchownat(dir, "work", uid, gid, 0) < 0))
		return err_sys(e, -errno, "making a container's layer");
	return 0;
}

int upper_rootfs(struct store *s, const char *name, const struct strv *lowers, struct store_rootfs *ret,
		 struct err *e UNUSED)
{
	ret->lower_dir = xstrdup(s->layers_path);
	for (size_t i = 0; i < lowers->n; i++)
		strv_addf(&ret->lowers, "%s/diff", lowers->v[i]);
	ret->upper = xasprintf("%s/%s/diff", s->layers_path, name);
	ret->work = xasprintf("%s/%s/work", s->layers_path, name);
	return 0;
}

void upper_graph_data(const struct store *s, const char *rw_name, const struct strv *lowers, struct strmap *ret)
{
	const char *name = rw_name ? rw_name : lowers->v[0];
	AUTO_FREE char *merged = xasprintf("%s/%s/merged", s->layers_path, name);
	AUTO_FREE char *upper = xasprintf("%s/%s/diff", s->layers_path, name);
	AUTO_FREE char *work = xasprintf("%s/%s/work", s->layers_path, name);
	AUTO_STRB struct strb lower = STRB_INIT;

	for (size_t i = rw_name ? 0 : 1; i < lowers->n; i++)
		strb_addf(&lower, "%s%s/%s/diff", lower.len ? ":" : "", s->layers_path, lowers->v[i]);
	if (lower.len)
		strmap_set(ret, "LowerDir", strb_str(&lower));
	strmap_set(ret, "MergedDir", merged);
	strmap_set(ret, "UpperDir", upper);
	strmap_set(ret, "WorkDir", work);
}

static void overlay_status(const struct store *s, struct strmap *ret)
{
	strmap_set(ret, "Backing Filesystem", store_backing(s));
	strmap_set(ret, "Supports d_type", "true");
	strmap_set(ret, "Using metacopy", "false");
	strmap_set(ret, "Native Overlay Diff", "true");
	strmap_set(ret, "userxattr", "false");
}

int upper_opaque(const struct store *s, int diff, const char *path)
{
	AUTO_FD int fd = open_in_root(diff, path, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return fd;
	return fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) < 0 ? -errno : 0;
}

const struct driver driver_overlay = {
	.name = "overlay2",
	.folder = "layers",
	.automatic = true,
	.probe = overlay_probe,
	.layer_make = plain_layer_make,
	.opaque = upper_opaque,
	.layer_dir = plain_layer_dir,
	.rw_make = upper_rw_make,
	.rootfs = upper_rootfs,
	.graph_data = upper_graph_data,
	.status = overlay_status,
};
