/* erofs_tree.c - the names of an image in the making. An archive may say anything in any order (entries that replace others, links into
 * directories that come later), so names stay in memory until the end; what files hold is on disk by then. */
#include "archive/erofs_priv.h"

#include <sys/stat.h>

static size_t hash_of(const struct erofs_node *dir, const char *name, size_t len)
{
	uint64_t h = (uintptr_t)dir * 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)name[i]) * 0x100000001b3u;
	return (size_t)(h ^ h >> 29);
}

void erofs_tree_init(struct erofs_tree *t)
{
	*t = (struct erofs_tree){ .cap = 1024 };
	t->hash = xcalloc(t->cap, sizeof *t->hash);
	(void)clock_gettime(CLOCK_REALTIME, &t->now);
	t->root = erofs_node_new(t, S_IFDIR | 0755);
	t->root->parent = t->root;
	t->root->links = 1;
}

struct erofs_node *erofs_node_new(struct erofs_tree *t, uint32_t mode)
{
	struct erofs_node *n = xcalloc(1, sizeof *n);

	n->mode = mode;
	n->mtime = t->now.tv_sec;
	n->mtime_ns = (uint32_t)t->now.tv_nsec;
	t->bytes += sizeof *n;
	return n;
}

static void node_free(struct erofs_tree *t, struct erofs_node *n)
{
	t->bytes -= sizeof *n;
	free(n->target);
	free(n->xattr);
	free(n);
}

struct erofs_name *erofs_find(const struct erofs_tree *t, const struct erofs_node *dir, const char *name, size_t len)
{
	struct erofs_name *x = t->hash[hash_of(dir, name, len) & (t->cap - 1)];

	while (x && (x->dir != dir || x->len != len || memcmp(x->s, name, len) != 0))
		x = x->next_hash;
	return x;
}

static void grow(struct erofs_tree *t)
{
	size_t cap = t->cap * 2;
	struct erofs_name **hash = xcalloc(cap, sizeof *hash);

	for (size_t i = 0; i < t->cap; i++)
		for (struct erofs_name *x = t->hash[i], *next; x; x = next) {
			struct erofs_name **slot = &hash[hash_of(x->dir, x->s, x->len) & (cap - 1)];

			next = x->next_hash;
			x->next_hash = *slot;
			*slot = x;
		}
	free(t->hash);
	t->hash = hash;
	t->cap = cap;
}

void erofs_link(struct erofs_tree *t, struct erofs_node *dir, const char *name, struct erofs_node *n)
{
	size_t len = strlen(name);
	struct erofs_name *x = xcalloc(1, sizeof *x + len + 1), **slot;

	if (t->n >= t->cap)
		grow(t);
	memcpy(x->s, name, len);
	x->len = len;
	x->dir = dir;
	x->node = n;
	x->next = dir->first;
	x->link = &dir->first;
	if (x->next)
		x->next->link = &x->next;
	dir->first = x;
	dir->n_names++;
	slot = &t->hash[hash_of(dir, name, len) & (t->cap - 1)];
	x->next_hash = *slot;
	*slot = x;
	t->n++;
	t->bytes += sizeof *x + len + 1 + sizeof(void *);
	n->links++;
	if (S_ISDIR(n->mode)) {
		n->parent = dir;
		n->name = x;
	}
}

static void unname(struct erofs_tree *t, struct erofs_name *x)
{
	struct erofs_name **p = &t->hash[hash_of(x->dir, x->s, x->len) & (t->cap - 1)];

	while (*p != x)
		p = &(*p)->next_hash;
	*p = x->next_hash;
	*x->link = x->next;
	if (x->next)
		x->next->link = x->link;
	x->dir->n_names--;
	t->n--;
	t->bytes -= sizeof *x + x->len + 1 + sizeof(void *);
}

/* Down to the deepest first, without recursion: archives make directories of any depth. */
void erofs_unlink(struct erofs_tree *t, struct erofs_name *name)
{
	struct erofs_name *x = name;

	for (;;) {
		struct erofs_node *dir = x->dir, *n = x->node;
		bool last = x == name;

		if (n->first) {
			x = n->first;
			continue;
		}
		unname(t, x);
		free(x);
		if (t->lost)
			t->lost(t->lost_ctx, n);
		if (--n->links == 0)
			node_free(t, n);
		if (last)
			return;
		/* back to the name of the directory that we emptied a little */
		x = dir->first ? dir->first : dir->name;
	}
}

void erofs_tree_done(struct erofs_tree *t)
{
	t->lost = NULL;
	while (t->root->first)
		erofs_unlink(t, t->root->first);
	node_free(t, t->root);
	free(t->hash);
}

static struct erofs_node *make_dir(struct erofs_tree *t, struct erofs_node *dir, const char *name)
{
	struct erofs_node *n = erofs_node_new(t, S_IFDIR | 0755);

	erofs_link(t, dir, name, n);
	return n;
}

static int walk(struct erofs_tree *t, struct erofs_node *dir, const char *path, bool make, int *links,
		struct erofs_node **ret)
{
	while (*path) {
		size_t n = strcspn(path, "/");
		const struct erofs_name *x;
		const char *at = path;
		int r;

		path += n + strspn(path + n, "/");
		if (n == 0 || (n == 1 && at[0] == '.'))
			continue;
		if (n == 2 && at[0] == '.' && at[1] == '.') {
			dir = dir->parent;
			continue;
		}
		x = erofs_find(t, dir, at, n);
		if (!x) {
			AUTO_FREE char *name = xstrndup(at, n);

			if (!make)
				return -ENOENT;
			dir = make_dir(t, dir, name);
		} else if (S_ISDIR(x->node->mode)) {
			dir = x->node;
		} else if (S_ISLNK(x->node->mode)) {
			if (++*links > EROFS_LINKS_MAX)
				return -ELOOP;
			r = walk(t, x->node->target[0] == '/' ? t->root : dir, x->node->target, false, links, &dir);
			if (r < 0)
				return r == -ENOENT && make ? -ELOOP : r; /* a dangling symlink is in the way */
		} else {
			return -ENOTDIR;
		}
	}
	*ret = dir;
	return 0;
}

int erofs_walk(struct erofs_tree *t, const char *path, bool make, struct erofs_node **ret)
{
	int links = 0;

	return walk(t, t->root, path, make, &links, ret);
}

char *erofs_path(const struct erofs_name *name)
{
	AUTO_STRV struct strv up = { 0 };
	AUTO_STRB struct strb b = STRB_INIT;

	strv_add(&up, name->s);
	for (const struct erofs_node *d = name->dir; d->name; d = d->parent)
		strv_add(&up, d->name->s);
	for (size_t i = up.n; i-- > 0;)
		strb_addf(&b, "%s%s", b.len ? "/" : "", up.v[i]);
	return strb_take(&b);
}
