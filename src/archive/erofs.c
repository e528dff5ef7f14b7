/* erofs.c - tar entries -> an erofs image, by the same rules as apply.c makes files of them. */
#include "archive/apply_priv.h"
#include "archive/erofs_priv.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#define TREE_BYTES_MAX ((size_t)1 << 30) /* of names kept: six million files with long names */

struct eapply {
	struct erofs_tree tree;
	struct erofs_image image;
	struct apply_budget budget;
	struct apply_result *res;
	struct recipe *recipe;
	struct tar *tar;
	uint64_t devices;
	int lost_error;
};

static int too_big(struct err *e)
{
	return err_set(e, ERR_INVALID, "archive has too many entries for an erofs layer");
}

/* ---- files that are replaced: the recipe gets what it refers to ---- */
struct lost {
	struct recipe *r;
	uint64_t key;
};

/* The address: whoever gets it next is another file only after this one is gone from the recipe. */
static uint64_t key_of(const struct erofs_node *n)
{
	return (uintptr_t)n;
}

static void lost_piece(void *ctx, const void *p, size_t n)
{
	struct lost *l = ctx;

	recipe_side(l->r, l->key, p, n);
}

static void lost(void *ctx, const struct erofs_node *n)
{
	struct eapply *a = ctx;
	struct lost l = { a->recipe, key_of(n) };
	int r;

	if (!S_ISREG(n->mode) || !recipe_refers(a->recipe, l.key))
		return;
	r = n->nid ? erofs_read_back(&a->image, n, lost_piece, &l) : -EIO;
	recipe_gone(a->recipe, l.key);
	if (r < 0 && a->lost_error == 0)
		a->lost_error = r;
}

/* ---- one entry ---- */
static void take_stat(struct erofs_node *n, const struct tar_entry *t, uint32_t kind)
{
	n->mode = kind | (t->mode & 07777);
	n->uid = t->uid;
	n->gid = t->gid;
	n->mtime = t->mtime;
	n->mtime_ns = t->mtime_ns;
}

static bool is_whiteout(const struct erofs_node *n)
{
	return S_ISCHR(n->mode) && n->rdev == 0;
}

static int put_dir(struct eapply *a, const struct tar_entry *t, struct erofs_node *dir, const char *base, struct err *e)
{
	struct erofs_name *old = base ? erofs_find(&a->tree, dir, base, strlen(base)) : NULL;
	struct erofs_node *n = base ? NULL : a->tree.root;

	if (old && S_ISDIR(old->node->mode)) {
		n = old->node;
	} else if (base) {
		bool hides = old &&
			     is_whiteout(old->node); /* removed below and made anew: nothing of the old one shows */

		if (old)
			erofs_unlink(&a->tree, old);
		n = erofs_node_new(&a->tree, S_IFDIR);
		erofs_link(&a->tree, dir, base, n);
		n->opaque = hides;
	}
	take_stat(n, t, S_IFDIR);
	a->tree.bytes -= n->xattr_n;
	free(n->xattr);
	n->xattr = NULL;
	if (erofs_xattrs(t->xattrs, t->n_xattrs, &n->xattr, &n->xattr_n, e) < 0)
		return -EINVAL;
	a->tree.bytes += n->xattr_n;
	return 0;
}

/* Contents go to the image at once; *tail gets what lies behind the last whole block where it may stand behind the inode. */
static int put_data(struct eapply *a, const struct tar_entry *t, struct erofs_node *n, uint8_t tail[EROFS_BLOCK],
		    size_t *ret_tail, struct err *e)
{
	size_t rest = (size_t)(t->size % EROFS_BLOCK), got = 0, k = 1;
	bool inlined = erofs_fits_inline(rest, n->xattr_n);
	int64_t whole = inlined ? t->size - (int64_t)rest : t->size, at = 0;
	const uint8_t *p = NULL;
	int r = erofs_data_begin(&a->image, &n->block);

	if (t->size == 0)
		n->block = 0xffffffff;
	while (r == 0 && k > 0) {
		size_t head;

		r = tar_data(a->tar, &p, &k, &at, e);
		if (r < 0)
			return r;
		head = at >= whole ? 0 : (size_t)MIN((int64_t)k, whole - at);
		if (head)
			r = erofs_data(&a->image, p, head);
		if (k > head) {
			if (got + k - head > rest)
				return err_set(e, ERR_INVALID, "%.200s: its data do not fit its size", t->name);
			memcpy(tail + got, p + head, k - head);
			got += k - head;
		}
	}
	if (r == 0)
		r = erofs_data_end(&a->image);
	*ret_tail = got;
	return r < 0 ? err_sys(e, r, "writing %.200s", t->name) : 0;
}

static int put_sparse(struct eapply *a, const struct tar_entry *t, struct erofs_node *n, struct err *e)
{
	const uint8_t *p = NULL;
	int64_t base = 0, at = 0;
	size_t k = 1;
	int r = erofs_data_sparse(&a->image, t->size, &n->block, &base);

	if (t->size == 0)
		n->block = 0xffffffff;
	while (r == 0 && k > 0) {
		r = tar_data(a->tar, &p, &k, &at, e);
		if (r < 0)
			return r;
		for (size_t done = 0; r == 0 && done < k;) {
			ssize_t w = pwrite(a->image.fd, p + done, k - done, base + at + (int64_t)done);

			if (w > 0)
				done += (size_t)w;
			else if (errno != EINTR)
				r = -errno;
		}
	}
	return r < 0 ? err_sys(e, r, "writing %.200s", t->name) : 0;
}

static int put_file(struct eapply *a, const struct tar_entry *t, struct erofs_node *n, const struct erofs_name *name,
		    const void *xattr, struct err *e)
{
	uint8_t tail[EROFS_BLOCK];
	size_t tail_n = 0;
	bool apart = a->recipe && !t->sparse && t->size > 0;
	int r;

	a->budget.bytes -= t->sparse ? 0 : t->size;
	if (a->budget.bytes < 0)
		return err_set(e, ERR_INVALID, "archive is too big: its files are larger than allowed");
	n->size = t->size;
	if (apart) {
		AUTO_FREE char *path = erofs_path(name);

		recipe_file(a->recipe, path, t->size, key_of(n));
		tar_data_apart(a->tar);
	}
	r = t->sparse ? put_sparse(a, t, n, e) : put_data(a, t, n, tail, &tail_n, e);
	if (r < 0)
		return r;
	a->res->size += t->size;
	r = erofs_put_inode(&a->image, n, xattr, tail, tail_n);
	return r < 0 ? err_sys(e, r, "writing %.200s", t->name) : 0;
}

static int put_other(struct eapply *a, const struct tar_entry *t, struct erofs_node *n, const void *xattr,
		     struct err *e)
{
	size_t len = n->target ? strlen(n->target) : 0;
	bool inlined = erofs_fits_inline(len, n->xattr_n);
	int r = 0;

	n->size = (int64_t)len;
	n->block = 0xffffffff;
	if (len && !inlined) {
		r = erofs_data_begin(&a->image, &n->block);
		if (r == 0)
			r = erofs_data(&a->image, n->target, len);
		if (r == 0)
			r = erofs_data_end(&a->image);
	}
	if (r == 0)
		r = erofs_put_inode(&a->image, n, xattr, n->target, inlined ? len : 0);
	return r < 0 ? err_sys(e, r, "writing %.200s", t->name) : 0;
}

static uint32_t kernel_dev(uint32_t major, uint32_t minor)
{
	return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}

static int put_new(struct eapply *a, const struct tar_entry *t, struct erofs_node *dir, const char *base, struct err *e)
{
	static const struct {
		char type;
		uint32_t kind;
	} kinds[] = { { '0', S_IFREG }, { '2', S_IFLNK }, { '3', S_IFCHR }, { '4', S_IFBLK }, { '6', S_IFIFO } };
	AUTO_FREE void *xattr = NULL;
	struct erofs_node *n;
	uint32_t kind = 0;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].type == t->type)
			kind = kinds[i].kind;
	if (!kind)
		return err_set(e, ERR_INVALID, "%.200s: an entry of an unknown kind", t->name);
	if (kind == S_IFLNK && str_empty(t->link))
		return apply_refuse(t->name, "symbolic link without a target", e);
	if ((kind == S_IFCHR || kind == S_IFBLK) && ++a->devices > a->budget.devices)
		return err_set(e, ERR_INVALID, "archive has more than %llu devices",
			       (unsigned long long)a->budget.devices);
	n = erofs_node_new(&a->tree, kind);
	erofs_link(&a->tree, dir, base, n);
	take_stat(n, t, kind);
	if (kind == S_IFLNK) {
		n->mode = S_IFLNK | 0777;
		n->target = xstrdup(t->link);
		a->tree.bytes += strlen(t->link);
	}
	if (kind == S_IFCHR || kind == S_IFBLK)
		n->rdev = kernel_dev(t->major, t->minor);
	if (kind == S_IFREG && erofs_xattrs(t->xattrs, t->n_xattrs, &xattr, &n->xattr_n, e) < 0)
		return -EINVAL;
	return kind == S_IFREG ? put_file(a, t, n, erofs_find(&a->tree, dir, base, strlen(base)), xattr, e)
			       : put_other(a, t, n, xattr, e);
}

static int put_link(struct eapply *a, const struct tar_entry *t, struct erofs_node *dir, const char *base,
		    struct err *e)
{
	AUTO_FREE char *target = NULL, *way = NULL;
	struct erofs_node *from = NULL, *n;
	struct erofs_name *to, *old;
	const char *slash;
	int r = apply_clean_name(t->link, &target, e);

	if (r < 0)
		return r;
	slash = strrchr(target, '/');
	way = slash ? xstrndup(target, (size_t)(slash - target)) : xstrdup("");
	slash = slash ? slash + 1 : target;
	r = erofs_walk(&a->tree, way, false, &from);
	to = r == 0 && *slash ? erofs_find(&a->tree, from, slash, strlen(slash)) : NULL;
	if (!to)
		return err_set(e, ERR_INVALID, "hard link %.200s: its target %.200s is not in this layer", t->name,
			       t->link);
	if (S_ISDIR(to->node->mode))
		return err_set(e, ERR_INVALID, "hard link %.200s: its target %.200s is a directory", t->name, t->link);
	old = erofs_find(&a->tree, dir, base, strlen(base));
	if (old == to)
		return apply_refuse(t->name, "hard link to itself", e);
	n = to->node;
	n->links++; /* replacing may take its last other name */
	if (old)
		erofs_unlink(&a->tree, old);
	erofs_link(&a->tree, dir, base, n);
	n->links--;
	return 0;
}

/* ---- whiteouts; as take_whiteout() of apply.c ---- */
static int put_whiteout(struct eapply *a, struct erofs_node *dir, const char *name, const char *path, struct err *e)
{
	struct erofs_name *old;
	struct erofs_node *n;

	if (streq(name, ".wh..opq")) {
		dir->opaque = dir != a->tree.root; /* the root of a merged tree has nothing to hide */
		return 0;
	}
	if (str_after(name, ".wh."))
		return 0; /* aufs' own bookkeeping */
	if (!*name || streq(name, ".") || streq(name, ".."))
		return apply_refuse(path, "whiteout of no name", e);
	old = erofs_find(&a->tree, dir, name, strlen(name));
	if (old) { /* what this layer brings itself stays */
		if (S_ISDIR(old->node->mode))
			old->node->opaque = true;
		return 0;
	}
	n = erofs_node_new(&a->tree, S_IFCHR);
	n->block = 0xffffffff;
	erofs_link(&a->tree, dir, name, n);
	return erofs_put_inode(&a->image, n, NULL, NULL, 0);
}

static int put(struct eapply *a, const struct tar_entry *t, char *path, struct err *e)
{
	struct erofs_node *dir = NULL;
	char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path, *hidden = str_after(base, ".wh.");
	struct erofs_name *old;
	int r;

	if (!*path) /* the root itself */
		return t->type == '5' ? put_dir(a, t, NULL, NULL, e)
				      : apply_refuse(t->name, "an archive's root must be a directory", e);
	if (strlen(base) > 255)
		return -ENAMETOOLONG;
	if (slash)
		*slash = 0;
	r = erofs_walk(&a->tree, slash ? path : "", true, &dir);
	if (slash)
		*slash = '/';
	if (r < 0)
		return r;
	if (hidden)
		return put_whiteout(a, dir, hidden, path, e);
	if (t->type == '5')
		return put_dir(a, t, dir, base, e);
	if (t->type == '1')
		return put_link(a, t, dir, base, e);
	old = erofs_find(&a->tree, dir, base, strlen(base));
	if (old)
		erofs_unlink(&a->tree, old);
	return put_new(a, t, dir, base, e);
}

static int put_entry(struct eapply *a, const struct tar_entry *t, struct err *e)
{
	AUTO_FREE char *path = NULL;
	struct err mine = ERR_INIT;
	int r = apply_clean_name(t->name, &path, e);

	if (r < 0)
		return r;
	if (++a->res->entries > a->budget.entries)
		return err_set(e, ERR_INVALID, "archive has more than %llu entries",
			       (unsigned long long)a->budget.entries);
	r = put(a, t, path, &mine);
	if (r == 0 && a->lost_error < 0)
		return err_sys(e, a->lost_error, "reading what %.200s replaces", t->name);
	if (r == 0)
		return a->tree.bytes > TREE_BYTES_MAX ? too_big(e) : 0;
	if (mine.kind) {
		if (e)
			*e = mine;
		return r;
	}
	if (r == -ENAMETOOLONG || r == -ENOTDIR || r == -ELOOP || r == -EEXIST)
		return err_set(e, ERR_INVALID, "cannot unpack %.200s: %s", t->name, strerror(-r));
	return err_sys(e, r, "unpacking %.200s", t->name);
}

/* The marks of opaque directories stand among their attributes. */
static int mark_opaque(struct eapply *a, struct err *e)
{
	struct {
		struct erofs_node **v;
		size_t n;
	} dirs = { 0 };
	int r = 0;

	*VEC_ADD(&dirs) = a->tree.root;
	for (size_t i = 0; r == 0 && i < dirs.n; i++) {
		struct erofs_node *d = dirs.v[i];

		if (d->opaque)
			r = erofs_mark_opaque(&d->xattr, &d->xattr_n, e);
		for (const struct erofs_name *x = d->first; x; x = x->next)
			if (S_ISDIR(x->node->mode))
				*VEC_ADD(&dirs) = x->node;
	}
	free(dirs.v);
	return r;
}

static void tap(void *ctx, const void *p, size_t n)
{
	recipe_raw(ctx, p, n);
}

static int run(struct eapply *a, struct err *e)
{
	const struct tar_entry *t = NULL;
	int r;

	while ((r = tar_next(a->tar, &t, e)) > 0) {
		r = put_entry(a, t, e);
		if (r < 0)
			return r;
	}
	if (r == 0 && a->recipe)
		r = tar_drain(a->tar, e);
	if (r == 0)
		r = mark_opaque(a, e);
	if (r < 0)
		return r;
	r = erofs_finish(&a->image, &a->tree);
	return r == -E2BIG ? err_set(e, ERR_INVALID, "the root directory's extended attributes are too large")
	       : r < 0     ? err_sys(e, r, "writing the layer's image")
			   : 0;
}

int archive_erofs(struct source *src, int image, const struct apply_budget *b, struct recipe *recipe,
		  struct apply_result *ret, struct err *e)
{
	struct apply_result res = { 0 };
	struct eapply a = { .budget = *b, .res = &res, .recipe = recipe };
	int r;

	erofs_tree_init(&a.tree);
	erofs_image_init(&a.image, image);
	a.tar = tar_new(src);
	if (recipe) {
		tar_tap(a.tar, tap, recipe);
		a.tree.lost = lost;
		a.tree.lost_ctx = &a;
	}
	r = run(&a, e);
	tar_free(a.tar);
	erofs_tree_done(&a.tree);
	erofs_image_done(&a.image);
	if (r < 0) {
		apply_result_done(&res);
		return r;
	}
	*ret = res;
	return 0;
}
