/* erofs_image.c - the bytes of an erofs image, written once from front to back as an archive arrives: contents of files in whole blocks,
 * and between them runs of inodes, each with its attributes and the last piece of its file behind it. Directories come last, then
 * block 0 with the superblock and the root's inode. Uncompressed, extended inodes; linux/fs/erofs/erofs_fs.h has the format. */
#include "archive/apply_priv.h"
#include "archive/erofs_priv.h"

#include <fcntl.h>
#include <sys/stat.h>

#define MAGIC 0xe0f5e1e2u
#define SUPER_AT 1024
#define ROOT_AT (SUPER_AT + 128)
#define SLOT 32 /* bytes; inodes are numbered by them */
#define INODE 64
#define XATTR_HEAD 12
#define DIRENT 12
#define CHUNK ((size_t)64 * 1024)
#define BUFFERED ((size_t)1 << 20)
#define TAIL_MAX 3072 /* behind an inode; longer ones get a block of their own */
#define NO_BLOCK 0xffffffffu
#define XATTRS_MAX 32768
enum { PLAIN = 0, INLINE = 2 };

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v);
	put16(p + 2, v >> 16);
}

static void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)v);
	put32(p + 4, (uint32_t)(v >> 32));
}

static int64_t round_up(int64_t n, int64_t to)
{
	return (n + to - 1) / to * to;
}

static int write_at(int fd, const void *p, size_t n, int64_t at)
{
	for (const char *c = p; n > 0;) {
		ssize_t k = pwrite(fd, c, n, at);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		c += k;
		n -= (size_t)k;
		at += k;
	}
	return 0;
}

void erofs_image_init(struct erofs_image *i, int fd)
{
	*i = (struct erofs_image){ .fd = fd, .end = EROFS_BLOCK, .chunk_at = -1 };
	i->chunk = xcalloc(1, CHUNK);
	strb_reserve(&i->data, BUFFERED);
}

void erofs_image_done(struct erofs_image *i)
{
	strb_done(&i->data);
	free(i->chunk);
}

/* ---- contents ---- */
static int flush_data(struct erofs_image *i)
{
	int r = i->data.len ? write_at(i->fd, i->data.s, i->data.len, i->end - (int64_t)i->data.len) : 0;

	strb_clear(&i->data);
	return r;
}

int erofs_data_begin(struct erofs_image *i, uint32_t *ret_block)
{
	if (i->end / EROFS_BLOCK >= NO_BLOCK)
		return -EFBIG;
	*ret_block = (uint32_t)(i->end / EROFS_BLOCK);
	return 0;
}

int erofs_data(struct erofs_image *i, const void *p, size_t n)
{
	int r = 0;

	if (i->data.len + n > BUFFERED || n >= BUFFERED / 4)
		r = flush_data(i);
	if (r == 0 && n >= BUFFERED / 4)
		r = write_at(i->fd, p, n, i->end);
	else if (r == 0)
		strb_add(&i->data, p, n);
	i->end += (int64_t)n;
	return r;
}

int erofs_data_end(struct erofs_image *i)
{
	static const char zero[EROFS_BLOCK];

	return erofs_data(i, zero, (size_t)(round_up(i->end, EROFS_BLOCK) - i->end));
}

int erofs_data_sparse(struct erofs_image *i, int64_t size, uint32_t *ret_block, int64_t *ret_at)
{
	int r = flush_data(i);

	if (r < 0 || (r = erofs_data_begin(i, ret_block)) < 0)
		return r;
	if (size / EROFS_BLOCK >= NO_BLOCK - *ret_block)
		return -EFBIG;
	*ret_at = i->end;
	i->end += round_up(size, EROFS_BLOCK);
	return 0;
}

/* ---- inodes ---- */
static int flush_chunk(struct erofs_image *i)
{
	int r = i->chunk_at < 0 ? 0 : write_at(i->fd, i->chunk, CHUNK, i->chunk_at);

	i->chunk_at = -1;
	return r;
}

/* The last one gives back what it did not need, when nothing came behind it. */
static int end_chunk(struct erofs_image *i)
{
	bool last = i->chunk_at >= 0 && i->end == i->chunk_at + (int64_t)CHUNK;
	int r = flush_chunk(i);

	if (r == 0 && last)
		i->end -= (int64_t)(CHUNK - (size_t)round_up((int64_t)i->chunk_used, EROFS_BLOCK));
	return r;
}

bool erofs_fits_inline(size_t tail, uint32_t xattr_n)
{
	return tail > 0 && tail <= TAIL_MAX && xattr_n <= EROFS_BLOCK - TAIL_MAX - INODE;
}

/* Where an inode with so much behind it may begin, from `at`: what is inline must not cross a block's border. */
static int64_t place(int64_t at, uint32_t xattr_n, size_t tail)
{
	at = round_up(at, SLOT);
	if (tail && (at + INODE + xattr_n) % EROFS_BLOCK + tail > EROFS_BLOCK)
		at = round_up(at, EROFS_BLOCK);
	/* the inode's own 64 bytes: the kernel reads them from two blocks where it must */
	return at;
}

static void encode(uint8_t *p, const struct erofs_node *n, uint32_t links, uint64_t number)
{
	bool device = S_ISCHR(n->mode) || S_ISBLK(n->mode);
	uint32_t count = n->xattr_n ? (n->xattr_n - XATTR_HEAD) / 4 + 1 : 0;

	memset(p, 0, INODE);
	put16(p, 1 | (n->tail_inline ? INLINE : PLAIN) << 1);
	put16(p + 2, count);
	put16(p + 4, n->mode);
	put64(p + 8, (uint64_t)n->size);
	put32(p + 16, device ? n->rdev : n->block);
	put32(p + 20, (uint32_t)number);
	put32(p + 24, n->uid);
	put32(p + 28, n->gid);
	put64(p + 32, (uint64_t)n->mtime);
	put32(p + 40, n->mtime_ns);
	put32(p + 44, links);
}

int erofs_put_inode(struct erofs_image *i, struct erofs_node *n, const void *xattr, const void *tail, size_t tail_n)
{
	int64_t at = place((int64_t)i->chunk_used, n->xattr_n, tail_n);
	size_t need = INODE + n->xattr_n + tail_n;
	int r = 0;

	if (i->chunk_at < 0 || (size_t)at + need > CHUNK) {
		r = flush_chunk(i);
		if (r == 0)
			r = flush_data(i);
		i->chunk_at = i->end;
		i->end += CHUNK;
		i->chunk_used = 0;
		memset(i->chunk, 0, CHUNK);
		at = 0;
	}
	n->tail_inline = tail_n > 0;
	n->nid = (uint64_t)(i->chunk_at + at) / SLOT;
	encode(i->chunk + at, n, 1, ++i->inodes);
	if (n->xattr_n)
		memcpy(i->chunk + at + INODE, xattr, n->xattr_n);
	if (tail_n)
		memcpy(i->chunk + at + INODE + n->xattr_n, tail, tail_n);
	i->chunk_used = (size_t)at + need;
	return r;
}

int erofs_read_back(struct erofs_image *i, const struct erofs_node *n, void (*f)(void *ctx, const void *p, size_t n),
		    void *ctx)
{
	AUTO_FREE uint8_t *buf = xmalloc(BUFFERED);
	int64_t tail = n->tail_inline ? n->size % EROFS_BLOCK : 0, at = (int64_t)n->block * EROFS_BLOCK;
	int r = flush_data(i);

	if (r == 0 && i->chunk_at >= 0)
		r = write_at(i->fd, i->chunk, CHUNK, i->chunk_at);
	for (int64_t left = n->size; r == 0 && left > 0;) {
		ssize_t k;

		if (left == tail)
			at = (int64_t)n->nid * SLOT + INODE + n->xattr_n;
		k = pread(i->fd, buf, (size_t)MIN(left > tail ? left - tail : left, (int64_t)BUFFERED), at);
		if (k <= 0)
			return k < 0 ? -errno : -EIO;
		f(ctx, buf, (size_t)k);
		left -= k;
		at += k;
	}
	return r;
}

/* ---- attributes ---- */
static const struct {
	uint8_t index;
	const char *prefix;
} prefixes[] = {
	{ 2, "system.posix_acl_access" },
	{ 3, "system.posix_acl_default" },
	{ 1, "user." },
	{ 4, "trusted." },
	{ 6, "security." },
};

static int put_xattr(struct strb *b, const char *name, const void *value, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		const char *rest = str_after(name, prefixes[i].prefix);
		uint8_t head[4];

		if (!rest)
			continue;
		if (strlen(rest) > 255 || n > 65535 || b->len + n > XATTRS_MAX)
			return -E2BIG;
		head[0] = (uint8_t)strlen(rest);
		head[1] = prefixes[i].index;
		put16(head + 2, (uint32_t)n);
		strb_add(b, head, sizeof head);
		strb_adds(b, rest);
		strb_add(b, value, n);
		while (b->len % 4)
			strb_addc(b, 0);
		return 0;
	}
	return 0;
}

int erofs_xattrs(const struct tar_xattr *v, size_t n, void **ret, uint32_t *ret_n, struct err *e)
{
	static const char head[XATTR_HEAD];
	AUTO_STRB struct strb b = STRB_INIT;
	int r = 0;

	*ret = NULL;
	*ret_n = 0;
	strb_add(&b, head, sizeof head);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (xattr_wanted(v[i].name))
			r = put_xattr(&b, v[i].name, v[i].value, v[i].n);
	if (r < 0)
		return err_set(e, ERR_INVALID, "a file's extended attributes are too large");
	if (b.len > sizeof head) {
		*ret_n = (uint32_t)b.len;
		*ret = strb_take(&b);
	}
	return 0;
}

int erofs_mark_opaque(void **xattr, uint32_t *n, struct err *e)
{
	static const char head[XATTR_HEAD];
	AUTO_STRB struct strb b = STRB_INIT;

	strb_add(&b, *n ? *xattr : head, *n ? *n : sizeof head);
	if (put_xattr(&b, "trusted.overlay.opaque", "y", 1) < 0)
		return err_set(e, ERR_INVALID, "a directory's extended attributes are too large");
	free(*xattr);
	*n = (uint32_t)b.len;
	*xattr = strb_take(&b);
	return 0;
}

/* ---- directories: sorted, block by block dirents and then their names ---- */
struct entry {
	const char *s;
	size_t len;
	const struct erofs_node *node;
};
struct entries {
	struct entry *v;
	size_t n;
};

static int by_bytes(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int c = memcmp(x->s, y->s, MIN(x->len, y->len));

	return c ? c : (x->len > y->len) - (x->len < y->len);
}

static struct entries entries_of(const struct erofs_node *d)
{
	struct entries all = { .v = xcalloc(d->n_names + 2, sizeof(struct entry)) };

	all.v[all.n++] = (struct entry){ ".", 1, d };
	all.v[all.n++] = (struct entry){ "..", 2, d->parent };
	for (const struct erofs_name *x = d->first; x; x = x->next)
		all.v[all.n++] = (struct entry){ x->s, x->len, x->node };
	qsort(all.v, all.n, sizeof *all.v, by_bytes);
	return all;
}

/* How many entries from i on go into one block; *ret_bytes: what they take. */
static size_t one_block(const struct entries *all, size_t i, size_t *ret_bytes)
{
	size_t used = 0, n = 0;

	while (i + n < all->n && used + DIRENT + all->v[i + n].len <= EROFS_BLOCK)
		used += DIRENT + all->v[i + n++].len;
	*ret_bytes = used;
	return n;
}

static int64_t dir_size(const struct entries *all)
{
	int64_t size = 0;
	size_t bytes = 0;

	for (size_t i = 0; i < all->n;) {
		size = round_up(size, EROFS_BLOCK);
		i += one_block(all, i, &bytes);
		size += (int64_t)bytes;
	}
	return size;
}

static uint8_t kind_of(const struct erofs_node *n)
{
	static const struct {
		mode_t mode;
		uint8_t kind;
	} kinds[] = { { S_IFREG, 1 }, { S_IFDIR, 2 },  { S_IFCHR, 3 }, { S_IFBLK, 4 },
		      { S_IFIFO, 5 }, { S_IFSOCK, 6 }, { S_IFLNK, 7 } };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if ((n->mode & S_IFMT) == kinds[i].mode)
			return kinds[i].kind;
	return 0;
}

static void dir_block(const struct entries *all, size_t i, size_t n, uint8_t block[EROFS_BLOCK])
{
	size_t name = n * DIRENT;

	memset(block, 0, EROFS_BLOCK);
	for (size_t k = 0; k < n; k++) {
		const struct entry *x = &all->v[i + k];
		uint8_t *p = block + k * DIRENT;

		put64(p, x->node->nid);
		put16(p + 8, (uint32_t)name);
		p[10] = kind_of(x->node);
		memcpy(block + name, x->s, x->len);
		name += x->len;
	}
}

/* ---- the end ---- */
struct dirs {
	struct erofs_node **v;
	size_t n;
};

static void all_dirs(struct erofs_tree *t, struct dirs *ret)
{
	*VEC_ADD(ret) = t->root;
	for (size_t i = 0; i < ret->n; i++)
		for (const struct erofs_name *x = ret->v[i]->first; x; x = x->next)
			if (S_ISDIR(x->node->mode))
				*VEC_ADD(ret) = x->node;
}

/* First sizes and places for all, because entries name places; then whole blocks for all; then inodes for all. */
static int64_t lay_out(struct dirs *dirs, int64_t at)
{
	int64_t meta = 0;

	for (size_t i = 0; i < dirs->n; i++) {
		struct erofs_node *d = dirs->v[i];
		struct entries all = entries_of(d);
		size_t tail;

		d->size = dir_size(&all);
		free(all.v);
		tail = (size_t)(d->size % EROFS_BLOCK);
		d->tail_inline = i > 0 && erofs_fits_inline(tail, d->xattr_n);
		d->block = (uint32_t)(at / EROFS_BLOCK);
		at += d->tail_inline ? d->size - (int64_t)tail : round_up(d->size, EROFS_BLOCK);
		if (i == 0) /* the root lies in block 0 */
			continue;
		d->meta_at = place(meta, d->xattr_n, d->tail_inline ? tail : 0);
		meta = d->meta_at + INODE + d->xattr_n + (d->tail_inline ? (int64_t)tail : 0);
	}
	dirs->v[0]->nid = ROOT_AT / SLOT;
	for (size_t i = 1; i < dirs->n; i++)
		dirs->v[i]->nid = (uint64_t)(at + dirs->v[i]->meta_at) / SLOT;
	return at;
}

static int write_blocks(struct erofs_image *i, const struct erofs_node *d)
{
	struct entries all = entries_of(d);
	uint8_t block[EROFS_BLOCK];
	int r = 0;

	for (size_t k = 0, n, bytes; r == 0 && k < all.n; k += n) {
		n = one_block(&all, k, &bytes);
		if (k + n == all.n && d->tail_inline)
			break;
		dir_block(&all, k, n, block);
		r = erofs_data(i, block, sizeof block);
	}
	free(all.v);
	return r;
}

static uint32_t dir_links(const struct erofs_node *d)
{
	uint32_t n = 2;

	for (const struct erofs_name *x = d->first; x; x = x->next)
		n += S_ISDIR(x->node->mode);
	return n;
}

static int write_inode(struct erofs_image *i, const struct erofs_node *d)
{
	struct entries all = entries_of(d);
	uint8_t head[INODE], block[EROFS_BLOCK], zero[EROFS_BLOCK] = { 0 };
	size_t gap = (size_t)((int64_t)d->nid * SLOT - i->end), k = 0, n = 0, bytes = 0;
	int r = erofs_data(i, zero, gap);

	encode(head, d, dir_links(d), ++i->inodes);
	if (r == 0)
		r = erofs_data(i, head, sizeof head);
	if (r == 0 && d->xattr_n)
		r = erofs_data(i, d->xattr, d->xattr_n);
	for (; k + (n = one_block(&all, k, &bytes)) < all.n; k += n)
		;
	if (r == 0 && d->tail_inline) {
		dir_block(&all, k, n, block);
		r = erofs_data(i, block, bytes);
	}
	free(all.v);
	return r;
}

/* Files got one name when they were written; those with more are counted now. */
static int write_links(struct erofs_image *i, const struct dirs *dirs)
{
	for (size_t k = 0; k < dirs->n; k++)
		for (const struct erofs_name *x = dirs->v[k]->first; x; x = x->next) {
			struct erofs_node *n = x->node;
			uint8_t v[4];
			int r;

			if (S_ISDIR(n->mode) || n->links == 1 || n->patched)
				continue;
			put32(v, n->links);
			r = write_at(i->fd, v, sizeof v, (int64_t)n->nid * SLOT + 44);
			if (r < 0)
				return r;
			n->patched = true;
		}
	return 0;
}

static int write_super(struct erofs_image *i, const struct erofs_node *root)
{
	uint8_t b[EROFS_BLOCK] = { 0 };

	if (INODE + root->xattr_n > EROFS_BLOCK - ROOT_AT)
		return -E2BIG;
	put32(b + SUPER_AT, MAGIC);
	b[SUPER_AT + 12] = 12; /* log2 of the block size */
	put16(b + SUPER_AT + 14, ROOT_AT / SLOT);
	put64(b + SUPER_AT + 16, i->inodes + 1);
	put32(b + SUPER_AT + 36, (uint32_t)(i->end / EROFS_BLOCK));
	encode(b + ROOT_AT, root, dir_links(root), 1);
	if (root->xattr_n)
		memcpy(b + ROOT_AT + INODE, root->xattr, root->xattr_n);
	return write_at(i->fd, b, sizeof b, 0);
}

int erofs_finish(struct erofs_image *i, struct erofs_tree *t)
{
	struct dirs dirs = { 0 };
	int r = end_chunk(i);

	all_dirs(t, &dirs);
	if (r == 0)
		r = write_links(i, &dirs);
	if (r == 0 && lay_out(&dirs, i->end) / EROFS_BLOCK >= NO_BLOCK)
		r = -EFBIG;
	for (size_t k = 0; r == 0 && k < dirs.n; k++)
		r = write_blocks(i, dirs.v[k]);
	for (size_t k = 1; r == 0 && k < dirs.n; k++)
		r = write_inode(i, dirs.v[k]);
	if (r == 0)
		r = erofs_data_end(i);
	if (r == 0)
		r = flush_data(i);
	if (r == 0)
		r = write_super(i, t->root);
	if (r == 0 && ftruncate(i->fd, i->end) < 0)
		r = -errno;
	free(dirs.v);
	return r;
}
