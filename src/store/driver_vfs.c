/* driver_vfs.c - the driver for any file system: every layer and every container is a whole tree, a plain copy of what is below it.
 * Where the file system has reflinks (xfs, btrfs) the copy shares all blocks with the original. */
#include "store/priv.h"
#include "store/worker_call.h"

#include <fcntl.h>
#include <sys/stat.h>

/* A worker copies the tree below from into the directory to. */
static int tree_copy(struct store *s, int from, int to, struct err *e)
{
	AUTO_WORKER struct worker w = WORKER_NONE;
	AUTO_STRB struct strb body = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };
	int r = worker_start(s->worker, "copy", WORKER_COPY, &body, (int[]){ from, to }, 2, &w, e);

	return r < 0 ? r : worker_answer(&w, WORKER_COPIED, &m, e);
}

static int vfs_probe(const struct store *s UNUSED, struct err *e UNUSED)
{
	return 0;
}

static int vfs_layer_make(struct store *s, int stage, const char *parent, struct err *e)
{
	AUTO_FD int from = -1, to = -1;
	int r = plain_layer_make(s, stage, parent, e);

	if (r < 0 || !parent)
		return r;
	from = plain_layer_dir(s, parent, e);
	if (from < 0)
		return from;
	to = dir_open(stage, "diff");
	return to < 0 ? err_sys(e, to, "opening a directory for a layer") : tree_copy(s, from, to, e);
}

/* A copy that power can cut short must not look like a whole one: made in tmp/, synced, moved. */
int tree_rw_settle(struct store *s, const char *name, struct err *e)
{
	if (renameat(s->tmp, name, s->layers, name) < 0 || fsync(s->layers) < 0)
		return err_sys(e, -errno, "moving a container's layer into place");
	return 0;
}

static int vfs_rw_fill(struct store *s, const char *name, const char *top, uint32_t uid, uint32_t gid, struct err *e)
{
	AUTO_FREE char *path = path_join(name, "diff");
	AUTO_FD int from = -1, to = -1;
	int r = 0;

	if (mkdirat(s->tmp, name, 0710) < 0 || mkdirat(s->tmp, path, 0755) < 0 || (to = dir_open(s->tmp, path)) < 0)
		return err_sys(e, -errno, "making a container's layer");
	if (top) {
		from = plain_layer_dir(s, top, e);
		r = from < 0 ? from : tree_copy(s, from, to, e);
	}
	if (r < 0)
		return r;
	r = init_fill(to);
	if (r == 0 && (uid || gid) && fchown(to, uid, gid) < 0)
		r = -errno;
	if (r == 0 && syncfs(to) < 0)
		r = -errno;
	if (r < 0)
		return err_sys(e, r, "making a container's layer");
	return tree_rw_settle(s, name, e);
}

static int vfs_rw_make(struct store *s, const char *name, const char *top, uint32_t uid, uint32_t gid, struct err *e)
{
	int r = vfs_rw_fill(s, name, top, uid, gid, e);

	if (r < 0)
		doom(s, s->tmp, name);
	return r;
}

int tree_rootfs(struct store *s, const char *name, const struct strv *lowers UNUSED, struct store_rootfs *ret,
		struct err *e UNUSED)
{
	ret->bind = xasprintf("%s/%s/diff", s->layers_path, name);
	return 0;
}

const struct driver driver_vfs = {
	.name = "vfs",
	.folder = "layers-vfs",
	.automatic = true,
	.whole_trees = true,
	.unpack = WORKER_FORM_WHOLE,
	.probe = vfs_probe,
	.layer_make = vfs_layer_make,
	.layer_dir = plain_layer_dir,
	.rw_make = vfs_rw_make,
	.rootfs = tree_rootfs,
};
