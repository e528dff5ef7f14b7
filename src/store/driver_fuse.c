/* driver_fuse.c - overlay without the kernel's overlayfs: Debian's fuse-overlayfs, a process per running container that its shim starts
 * and that ends with the container's mounts. Layers and containers look as with overlay2. */
#include "store/priv.h"

#include <sys/stat.h>

static const char *program(void)
{
	static const char *const places[] = { "/usr/bin/fuse-overlayfs", "/usr/local/bin/fuse-overlayfs" };

	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

static int fuse_probe(const struct store *s, struct err *e)
{
	if (!program())
		return err_set(e, ERR_INVALID, "the program fuse-overlayfs is not installed");
	if (access("/dev/fuse", R_OK | W_OK) < 0)
		return err_sys(e, -errno, "/dev/fuse");
	return driver_overlay_attributes(s, e);
}

static int fuse_rw_make(struct store *s, const char *name, const char *top, uint32_t uid, uint32_t gid, struct err *e)
{
	AUTO_FREE char *merged = path_join(name, "merged");
	int r = upper_rw_make(s, name, top, uid, gid, e);

	if (r == 0 && mkdirat(s->layers, merged, 0700) < 0)
		return err_sys(e, -errno, "making a container's layer");
	return r;
}

static int fuse_rootfs(struct store *s, const char *name, const struct strv *lowers, struct store_rootfs *ret,
		       struct err *e)
{
	const char *path = program();
	int r;

	if (!path)
		return err_set(e, ERR_SYSTEM, "the program fuse-overlayfs is not installed any more");
	r = upper_rootfs(s, name, lowers, ret, e);
	if (r == 0)
		ret->fuse = xstrdup(path);
	return r;
}

const struct driver driver_fuse = {
	.name = "fuse-overlayfs",
	.folder = "layers-fuse-overlayfs",
	.automatic = true,
	.probe = fuse_probe,
	.layer_make = plain_layer_make,
	.opaque = upper_opaque,
	.layer_dir = plain_layer_dir,
	.rw_make = fuse_rw_make,
	.rootfs = fuse_rootfs,
	.graph_data = upper_graph_data,
};
