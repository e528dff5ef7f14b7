/* driver_erofs.c - every layer is one file, the image of a read-only file system that the worker writes straight from the archive: no
 * inodes are made or removed on the host, and one mount of it, with its page cache, serves all containers.
 *
 * A layer's mount is a descriptor (fsmount) that nobody else sees. For a container they are put together as directories 0, 1, 2, ... of
 * one more detached mount, a descriptor of which the shim gets: it can start the container again while hoyd is away. After hoyd is
 * started again, new containers get new mounts; those that run keep theirs. */
#include "store/priv.h"
#include "store/worker_call.h"
#include "base/kernel.h"

#include <fcntl.h>
#include <sys/stat.h>

#define MOUNTS_MAX 256 /* kept at once: descriptors and a little kernel memory each */

struct mount {
	char *name;
	int fd;
	uint64_t used;
};
struct mounts {
	pthread_mutex_t lock; /* held across mount calls that touch no disk */
	struct mount v[MOUNTS_MAX];
	size_t n;
	uint64_t clock;
};

/* ---- one image ---- */
static int mount_file(const char *path, struct err *e)
{
	AUTO_FD int file = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	AUTO_FD int fs = sys_fsopen("erofs", K_FSOPEN_CLOEXEC);
	char source[40];
	int fd;

	if (file < 0)
		return err_sys(e, -errno, "opening a layer's image");
	if (fs < 0)
		return err_sys(e, -errno, "this kernel has no erofs");
	(void)snprintf(source, sizeof source, "/proc/self/fd/%d", file); /* fsconfig takes 255 bytes at most */
	if (sys_fsconfig(fs, K_FSCONFIG_SET_STRING, "source", strlen(path) > 255 ? source : path, 0) < 0 ||
	    sys_fsconfig(fs, K_FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return errno == ENOTBLK
			       ? err_set(e, ERR_NOT_IMPLEMENTED,
					 "this kernel mounts erofs from block devices only: Linux 6.12 or newer with "
					 "CONFIG_EROFS_FS_BACKED_BY_FILE is needed")
			       : err_sys(e, -errno, "mounting %s", path);
	fd = sys_fsmount(fs, K_FSMOUNT_CLOEXEC, K_MOUNT_ATTR_RDONLY);
	return fd < 0 ? err_sys(e, -errno, "mounting %s", path) : fd;
}

static int clone_of(int mount, const char *path)
{
	int fd = sys_open_tree(mount, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (*path ? 0 : AT_EMPTY_PATH));

	return fd < 0 ? -errno : fd;
}

/* ---- all that are mounted ---- */
static void forget_at(struct mounts *m, size_t i)
{
	free(m->v[i].name);
	fd_closep(&m->v[i].fd);
	m->v[i] = m->v[--m->n];
}

static struct mount *find(struct mounts *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++)
		if (streq(m->v[i].name, name)) {
			m->v[i].used = ++m->clock;
			return &m->v[i];
		}
	return NULL;
}

/* Takes fd, unless another thread was faster. */
static struct mount *insert(struct mounts *m, const char *name, int fd)
{
	struct mount *x = find(m, name);
	size_t oldest = 0;

	if (x) {
		(void)close(fd);
		return x;
	}
	for (size_t i = 1; i < m->n; i++)
		if (m->v[i].used < m->v[oldest].used)
			oldest = i;
	if (m->n == MOUNTS_MAX)
		forget_at(m, oldest);
	m->v[m->n] = (struct mount){ .name = xstrdup(name), .fd = fd, .used = ++m->clock };
	return &m->v[m->n++];
}

/* A mount of our own of the layer, sharing everything with all others of it. */
static int layer_mount(struct store *s, const char *name, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s/diff/%s", s->layers_path, name, WORKER_EROFS_NAME);
	struct mounts *m = s->driver_data;
	struct mount *x;
	int fd;

	pthread_mutex_lock(&m->lock);
	x = find(m, name);
	if (!x) {
		pthread_mutex_unlock(&m->lock);
		fd = mount_file(path, e);
		if (fd < 0)
			return fd;
		pthread_mutex_lock(&m->lock);
		x = insert(m, name, fd);
	}
	fd = clone_of(x->fd, "");
	pthread_mutex_unlock(&m->lock);
	return fd < 0 ? err_sys(e, fd, "cloning the mount of layer %s", name) : fd;
}

static void erofs_forget(struct store *s, const char *name)
{
	struct mounts *m = s->driver_data;

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < m->n; i++)
		if (streq(m->v[i].name, name)) {
			forget_at(m, i);
			break;
		}
	pthread_mutex_unlock(&m->lock);
}

static void erofs_close(struct store *s)
{
	struct mounts *m = s->driver_data;

	while (m && m->n)
		forget_at(m, 0);
	if (m)
		pthread_mutex_destroy(&m->lock);
	free(m);
}

/* ---- containers ---- */
static int tmpfs_new(void)
{
	AUTO_FD int fs = sys_fsopen("tmpfs", K_FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0 || sys_fsconfig(fs, K_FSCONFIG_SET_STRING, "mode", "0700", 0) < 0 ||
	    sys_fsconfig(fs, K_FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = sys_fsmount(fs, K_FSMOUNT_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

/* mount becomes the directory name of tree. */
static int attach(int tree, const char *name, int mount)
{
	if (mkdirat(tree, name, 0700) < 0 || sys_move_mount(mount, "", tree, name, K_MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

static int erofs_rootfs(struct store *s, const char *name, const struct strv *lowers, struct store_rootfs *ret,
			struct err *e)
{
	AUTO_FD int tree = tmpfs_new();

	if (tree < 0)
		return err_sys(e, tree, "making a place for a container's layers");
	for (size_t i = 0; i < lowers->n; i++) {
		AUTO_FREE char *path = xasprintf("%s/diff", lowers->v[i]);
		AUTO_FREE char *place = xasprintf("%zu", i);
		bool init = streq(lowers->v[i], INIT_LAYER);
		AUTO_FD int fd = init ? clone_of(s->layers, path) : layer_mount(s, lowers->v[i], e);
		int r = fd < 0 ? fd : attach(tree, place, fd);

		if (fd < 0 && !init)
			return r;
		if (r < 0)
			return err_sys(e, r, "putting a container's layers together");
		strv_add(&ret->lowers, place);
	}
	ret->has_lowers_fd = true;
	ret->lowers_fd = TAKE_FD(tree);
	ret->upper = xasprintf("%s/%s/diff", s->layers_path, name);
	ret->work = xasprintf("%s/%s/work", s->layers_path, name);
	return 0;
}

/* ---- does it work here? Tried with a real image: there are many ways in which it may not ---- */
static void put(uint8_t *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* An empty directory, as archive/erofs_image.c would write it. */
static void tiny_image(uint8_t b[4096])
{
	uint8_t *super = b + 1024, *root = super + 128, *entry = root + 64;

	memset(b, 0, 4096);
	put(super, 0xe0f5e1e2, 4);
	super[12] = 12;
	put(super + 14, 36, 2);
	put(super + 16, 1, 8);
	put(super + 36, 1, 4);
	put(root, 1 | 2 << 1, 2); /* extended; its data stand behind it */
	put(root + 4, S_IFDIR | 0755, 2);
	put(root + 8, 27, 8);
	put(root + 44, 2, 4);
	for (size_t i = 0; i < 2; i++, entry += 12) {
		put(entry, 36, 8);
		put(entry + 8, 24 + i, 2);
		entry[10] = 2;
	}
	memcpy(entry, "...", 3);
}

static int try_overlay(const char *dir, int lower)
{
	AUTO_FREE char *upper = path_join(dir, "upper"), *work = path_join(dir, "work");
	AUTO_FD int fs = sys_fsopen("overlay", K_FSOPEN_CLOEXEC), fd = -1;

	if (fs < 0 || sys_fsconfig(fs, K_FSCONFIG_SET_FD, "lowerdir+", NULL, lower) < 0 ||
	    sys_fsconfig(fs, K_FSCONFIG_SET_STRING, "upperdir", upper, 0) < 0 ||
	    sys_fsconfig(fs, K_FSCONFIG_SET_STRING, "workdir", work, 0) < 0 ||
	    sys_fsconfig(fs, K_FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = sys_fsmount(fs, K_FSMOUNT_CLOEXEC, 0);
	return fd < 0 ? -errno : 0;
}

static int try_all(const char *dir, struct err *e)
{
	AUTO_FREE char *image = path_join(dir, "image"), *upper = path_join(dir, "upper"),
		       *work = path_join(dir, "work");
	AUTO_FD int mnt = -1, tree = tmpfs_new(), lower = -1;
	uint8_t b[4096];
	int r;

	tiny_image(b);
	r = file_write(AT_FDCWD, image, b, sizeof b, 0600);
	if (r == 0 && (mkdir(upper, 0700) < 0 || mkdir(work, 0700) < 0))
		r = -errno;
	if (r < 0)
		return err_sys(e, r, "writing to %s", dir);
	mnt = mount_file(image, e);
	if (mnt < 0)
		return mnt;
	r = tree < 0 ? tree : attach(tree, "0", mnt);
	if (r == 0)
		r = lower = clone_of(tree, "0");
	if (r >= 0)
		r = try_overlay(dir, lower);
	return r < 0 ? err_sys(e, r,
			       "this kernel cannot make an overlay of detached mounts on this file system (Linux 6.15 "
			       "or newer "
			       "is needed)")
		     : 0;
}

static int erofs_probe(const struct store *s, struct err *e)
{
	AUTO_FREE char *dir = path_join(s->root, "tmp/.erofs-probe");
	int r;

	(void)dir_remove(s->tmp, ".erofs-probe");
	if (mkdirat(s->tmp, ".erofs-probe", 0700) < 0)
		return err_sys(e, -errno, "making a directory in %s/tmp", s->root);
	r = try_all(dir, e);
	(void)dir_remove(s->tmp, ".erofs-probe");
	return r;
}

static int erofs_open(struct store *s, struct err *e UNUSED)
{
	struct mounts *m = xcalloc(1, sizeof *m);

	pthread_mutex_init(&m->lock, NULL);
	s->driver_data = m;
	return 0;
}

static void erofs_status(const struct store *s, struct strmap *ret)
{
	strmap_set(ret, "Backing Filesystem", store_backing(s));
	strmap_set(ret, "Supports d_type", "true");
	strmap_set(ret, "Layers", "erofs images, mounted from files");
}

const struct driver driver_erofs = {
	.name = "erofs",
	.folder = "layers-erofs",
	.unpack = WORKER_FORM_EROFS,
	.probe = erofs_probe,
	.open = erofs_open,
	.layer_make = plain_layer_make,
	.layer_dir = layer_mount,
	.forget = erofs_forget,
	.rw_make = upper_rw_make,
	.rootfs = erofs_rootfs,
	.graph_data = upper_graph_data,
	.status = erofs_status,
	.close = erofs_close,
};
