/* erofs_priv.h - an erofs image in the making: its tree in memory (erofs_tree.c) and what is on disk already (erofs_image.c). */
#pragma once

#include "archive/archive.h"
#include "archive/recipe.h"

#define EROFS_BLOCK 4096
#define EROFS_LINKS_MAX 40

struct erofs_name;
struct erofs_node { /* an inode */
	uint32_t mode, uid, gid, rdev, links, mtime_ns;
	int64_t mtime, size;
	uint64_t nid;   /* where the inode lies, in units of 32 bytes */
	uint32_t block; /* of the data that is not behind the inode */
	uint32_t xattr_n;
	bool tail_inline, patched;
	char *target; /* of a symlink */
	/* directories; they are written at the end */
	bool opaque;
	void *xattr;
	struct erofs_node *parent;
	struct erofs_name *name; /* its one name; NULL: the root */
	struct erofs_name *first;
	size_t n_names;
	int64_t meta_at; /* while the end is being laid out */
};
struct erofs_name { /* a directory's entry */
	struct erofs_node *dir, *node;
	struct erofs_name *next, **link; /* in the directory */
	struct erofs_name *next_hash;
	size_t len;
	char s[];
};
struct erofs_tree {
	struct erofs_node *root;
	struct erofs_name **hash;
	size_t n, cap;
	size_t bytes;        /* that all this takes */
	struct timespec now; /* of directories that the archive does not list */
	void (*lost)(void *ctx,
		     const struct erofs_node *n); /* a name of it goes, perhaps the one that the recipe knows */
	void *lost_ctx;
};
void erofs_tree_init(struct erofs_tree *t);
void erofs_tree_done(struct erofs_tree *t);
struct erofs_node *erofs_node_new(struct erofs_tree *t, uint32_t mode);
struct erofs_name *erofs_find(const struct erofs_tree *t, const struct erofs_node *dir, const char *name, size_t len);
void erofs_link(struct erofs_tree *t, struct erofs_node *dir, const char *name, struct erofs_node *n);
void erofs_unlink(struct erofs_tree *t, struct erofs_name *name); /* with all that is below it */
/* The directory that path leads to; symlinks are followed inside the tree, as the kernel would below this root. make: missing ones are
 * made. -ENOENT, -ENOTDIR, -ELOOP */
int erofs_walk(struct erofs_tree *t, const char *path, bool make, struct erofs_node **ret);
char *erofs_path(const struct erofs_name *name); /* from the root, without a link on its way */

/* Attributes as they lie behind an inode; NULL and 0 where there are none. */
int erofs_xattrs(const struct tar_xattr *v, size_t n, void **ret, uint32_t *ret_n, struct err *e);
int erofs_mark_opaque(void **xattr, uint32_t *n, struct err *e); /* one more: trusted.overlay.opaque */

struct erofs_image {
	int fd;
	int64_t end;      /* all below it is given away */
	struct strb data; /* bytes not written yet, that lie before end */
	uint8_t *chunk;   /* where inodes go at present */
	int64_t chunk_at; /* -1: none */
	size_t chunk_used;
	uint64_t inodes;
};
void erofs_image_init(struct erofs_image *i, int fd);
void erofs_image_done(struct erofs_image *i);
/* Data of a file: begin, pieces from front to back, then its inode (erofs_put_inode with the bytes behind the last whole block). */
int erofs_data_begin(struct erofs_image *i, uint32_t *ret_block);
int erofs_data(struct erofs_image *i, const void *p, size_t n);
int erofs_data_end(struct erofs_image *i); /* filled up to a whole block */
int erofs_data_sparse(struct erofs_image *i, int64_t size, uint32_t *ret_block,
		      int64_t *ret_at); /* the caller writes to ret_at... */
bool erofs_fits_inline(size_t tail, uint32_t xattr_n);
int erofs_put_inode(struct erofs_image *i, struct erofs_node *n, const void *xattr, const void *tail, size_t tail_n);
int erofs_read_back(struct erofs_image *i, const struct erofs_node *n, void (*f)(void *ctx, const void *p, size_t n),
		    void *ctx);
int erofs_finish(struct erofs_image *i, struct erofs_tree *t); /* directories, numbers of links, the superblock */
