/* archive.h - layer archives: bytes -> chunks (decompression, digests) -> tar entries -> files below a directory.
 * Linked into hoy-worker only: nothing here trusts its input, everything has a budget, and nothing knows of images or sockets.
 *
 * A `struct source` lends chunks of bytes one after the other; decompression, the thread between the two halves and memory
 * are sources, the tar reader and the spooler are their consumers, so that file contents are written to disk out of the very
 * buffer they were inflated into. */
#pragma once

#include "base/base.h"

/* ---- sources ---- */
struct source {
	/* Lends the next bytes until the next call; *ret_n = 0 at the end, and again ever after. */
	int (*next)(struct source *s, const uint8_t **ret, size_t *ret_n, struct err *e);
};
struct mem_source { /* for tests and fuzzers: chunk bytes at a time */
	struct source src;
	const uint8_t *p;
	size_t n, chunk;
};
void mem_source_init(struct mem_source *m, const void *p, size_t n, size_t chunk);

/* ---- SHA-256 (hash.c; OpenSSL) ---- */
struct hash;
int hash_prepare(void); /* loads the library's tables: call before the sandbox closes */
struct hash *hash_new(void);
void hash_add(struct hash *h, const void *p, size_t n);
void hash_text(struct hash *h, char ret[72]); /* "sha256:..."; h is spent */
void hash_free(struct hash *h);

/* ---- decompression (decomp.c) ---- */
enum comp { COMP_NONE, COMP_GZIP, COMP_ZSTD, COMP_XZ, COMP_BZIP2 };
const char *comp_name(enum comp c);
struct decomp_budget {
	int64_t out_max;    /* bytes that may come out at all */
	int64_t ratio;      /* and per byte that went in ... */
	int64_t ratio_from; /* ... once more than this came out: small streams of zeros are normal */
};
extern const struct decomp_budget decomp_budget_default;
struct decomp;
struct decomp_input { /* where compressed bytes come from: n = 0 is the end, negative errno */
	ssize_t (*read)(void *ctx, void *p, size_t n);
	void *ctx;
};
struct decomp_input decomp_input_fd(const int *fd); /* reads *fd */
struct decomp *decomp_new(struct decomp_input in, const struct decomp_budget *b);
void decomp_free(struct decomp *d);
/* Fills p as far as the stream goes; *ret_n < n only at the end. The format is found out by the first call. */
int decomp_read(struct decomp *d, void *p, size_t n, size_t *ret_n, struct err *e);
struct decomp_sums {
	enum comp comp;
	int64_t in, out;
	char digest
		[72]; /* of the bytes that went in; "" where they came out as they were (COMP_NONE), or nobody wanted it */
};
void decomp_unhashed(struct decomp *d); /* before the first read: nobody wants the digest */
int decomp_finish(struct decomp *d, struct decomp_sums *ret, struct err *e); /* reads the input to its end */

/* ---- compression (comp_gzip.c): what is added comes out of write, in pieces, some of it later ---- */
struct gzip;
typedef int gzip_write(void *ctx, const void *p, size_t n); /* negative errno ends it */
struct gzip *gzip_new(gzip_write *write, void *ctx);
int gzip_add(struct gzip *g, const void *p, size_t n);
int gzip_end(struct gzip *g); /* the last bytes */
void gzip_free(struct gzip *g);

/* ---- the thread that decompresses while we write (pipe.c) ---- */
struct pipe_source;
int pipe_source_new(struct decomp *d, struct pipe_source **ret, struct err *e); /* d is used by the thread until free */
struct source *pipe_source_src(struct pipe_source *p);
const char *pipe_source_digest(struct pipe_source *p,
			       struct err *e); /* of the bytes that came out; drains the rest first */
void pipe_source_unhashed(
	struct pipe_source *p); /* before the first read: nobody wants it; pipe_source_digest() gives "" */
void pipe_source_free(struct pipe_source *p); /* ends and joins the thread */

/* ---- tar (tar.c, tar_pax.c): pure; any bytes give entries or a sentence ---- */
#define TAR_BLOCK 512
#define TAR_NAME_MAX 4096     /* bytes of a path or link target, NUL included */
#define TAR_EXT_MAX (1 << 20) /* bytes of one PAX or GNU extension header */
#define TAR_SPARSE_MAX 262144 /* fragments of one sparse file */
struct tar_xattr {
	char *name, *value;
	size_t n;
};
struct tar_extent {
	int64_t at, n;
};
struct tar_entry { /* lent by the reader until the next tar_next() */
	char type; /* '0' file, '1' hard link, '2' symlink, '3' char, '4' block device, '5' directory, '6' fifo */
	const char *name, *link;
	uint32_t mode, uid, gid; /* mode: permission bits only */
	int64_t size;            /* of the file once it is on disk */
	int64_t mtime;
	uint32_t mtime_ns;
	uint32_t major, minor;
	const struct tar_xattr *xattrs;
	size_t n_xattrs;
	bool sparse;
};
struct tar;
struct tar *tar_new(struct source *src);
void tar_free(struct tar *t);
int tar_next(struct tar *t, const struct tar_entry **ret, struct err *e); /* 1 = an entry, 0 = the end, negative */
/* The entry's data piece by piece, lent until the next call; *ret_at is its place in the file. *ret_n = 0 at the end. */
int tar_data(struct tar *t, const uint8_t **ret, size_t *ret_n, int64_t *ret_at, struct err *e);
/* tap sees every byte of the stream once, in order, but for the data of entries that are said to be kept apart. */
void tar_tap(struct tar *t, void (*tap)(void *ctx, const void *p, size_t n), void *ctx);
void tar_data_apart(struct tar *t);          /* of the present entry; all of it must be read with tar_data() then */
int tar_drain(struct tar *t, struct err *e); /* what stands behind the archive's end */

/* ---- applying to disk (apply.c) ---- */
struct apply_budget {
	uint64_t entries, devices;
	int64_t bytes; /* of file contents */
	/* root holds the tree of the layers below: whiteouts delete from it (never what this archive brought itself), links may lead
	 * to it, and nothing is marked opaque */
	bool whole_tree;
	/* No layer, but files for a directory that lives (docker cp): no name is a whiteout, what is there already keeps neither owner nor
	 * mode, the archive's root leaves the directory as it is; errors are in dockerd's words. */
	bool plain, no_overwrite; /* no_overwrite: no directory gives way to something else, nor the other way round */
	bool owned;               /* everything belongs to uid and gid */
	uint32_t uid, gid;
	bool as_me;        /* owners are what the kernel gives */
	/* The first component `from` ("." : none) is called `to` here ("." : what is in it goes into the directory itself); NULL: as it is */
	const char *from, *to;
	const char *where; /* the directory, for errors */
};
extern const struct apply_budget apply_budget_default;
struct recipe;
struct apply_result {
	uint64_t entries;
	int64_t size;       /* bytes of regular files, hard links counted once */
	struct strv opaque; /* directories, relative to the root, that hide what lower layers have in them */
};
void apply_result_done(struct apply_result *r);
/* Applies the archive below root, an empty or half-filled directory. Names and the symlinks on their way are resolved inside root
 * and never lead out of it. Whiteouts become character devices 0/0. On error the caller removes what is there. */
int archive_apply(struct source *src, int root, const struct apply_budget *b, struct apply_result *ret, struct err *e);
/* The same, writing how to make the archive again (recipe.h; NULL is fine). Reads src to its end. */
int archive_apply_recipe(struct source *src, int root, const struct apply_budget *b, struct recipe *recipe,
			 struct apply_result *ret, struct err *e);
/* The same files as the image of a read-only file system (erofs): image is an empty file, open for reading and writing. Whiteouts are
 * devices 0/0, opaque directories have overlay's mark; result's list of them is empty. */
int archive_erofs(struct source *src, int image, const struct apply_budget *b, struct recipe *recipe,
		  struct apply_result *ret, struct err *e);

/* ---- copying a tree (copy.c) ---- */
struct copy_result {
	uint64_t entries, cloned; /* cloned: files that share their blocks with the original */
	int64_t bytes;            /* that were really copied */
};
/* Copies all below from into to, with everything that an image can say of a file: owners, modes, times, attributes, hard links,
 * devices, holes. What is there already stays as it is, directories are merged. The root's own attributes only where as_root. */
int archive_copy(int from, int to, bool as_root, struct copy_result *ret, struct err *e);
