/* worker_call.h - jobs for hoy-worker: what hoyd and a worker say to each other, and hoyd's side of it.
 *
 * hoyd starts `hoy-worker VERB` with a SOCK_SEQPACKET socket as descriptor 3 (proc.h: struct msg) and sends one request; the worker
 * locks itself in before it reads a byte of what it was given, and answers once. Numbers are never redefined; layouts only grow
 * at the end. A worker dies with hoyd, and with the thread that started it: that thread waits for it. */
#pragma once

#include "base/base.h"
#include "proc/proc.h"
#include "store/store.h"

enum worker_msg {
	/* requests; the verb of the command line is given behind the number */
	WORKER_UNPACK =
		1, /* "unpack": str what, u32 enum worker_form, u32 wants progress, [fd archive][fd directory][fd recipe, empty] -> WORKER_UNPACKED. Not synced */
	WORKER_PACK =
		3, /* "pack": str diff id, u32 enum worker_comp, [fd recipe][fd layer][fd out] -> WORKER_PACKED: a layer's archive */
	WORKER_SPOOL = 2, /* "load": [fd archive][fd empty directory] -> WORKER_SPOOLED: each file becomes p<number> */

	WORKER_TREE = 4, /* "tree": u32 enum worker_tree, u32 is an upper directory, str lower_dir, str mount options,
		    * [fd out][fd directory, or mount namespace][memfd: opaque directories, "", ignored paths, each ended by NUL]
		    * [fd directory to compare with, or none] -> WORKER_PACKED: a directory as an archive */
	WORKER_VERIFY =
		5, /* "verify": str diff id, u32 enum worker_form, [fd recipe][fd layer] -> WORKER_VERIFIED: is it still what its archive brought? */
	/* Of a container's files. All begin with a view: u32 enum worker_view, u32 flags, str directory, str upper, str work, u32 n, n times
	 * str lower; their descriptors with [fd data][fd namespace, directory, or of lowers][memfd: mounts][fd root in the namespace] */
	WORKER_STAT = 40, /* "stat": view, str path -> WORKER_STATED */
	WORKER_GET = 41,  /* "get": view, str path; writes a tar to data -> WORKER_STATED, and then WORKER_PACKED */
	WORKER_PUT = 42,  /* "put": view, str path, u32 flags, str user; reads a tar from data -> WORKER_PUT_DONE */
	WORKER_CHANGES =
		43, /* "changes": view (what is below), u32 is an upper directory, data: the container's directory;
			      * in place of mounts [memfd: opaque directories, "", ignored paths] -> WORKER_CHANGED */
	WORKER_COPY = 20, /* "copy": [fd tree][fd empty directory] -> WORKER_COPIED. Not synced */

	/* answers */
	WORKER_ERROR = 100, /* u32 enum err_kind, u32 errno, str sentence */
	WORKER_UNPACKED =
		101, /* str digest of the bytes read, str diff id, i64 bytes read, i64 bytes of tar, i64 size of files,
	                        * i64 entries, str compression, [memfd: opaque directories, each ended by NUL] */
	WORKER_SPOOLED =
		102, /* [memfd: u32 n, then n times: str path, u32 is a file (else a link), i64 size, str link's target] */
	WORKER_PACKED = 104,   /* str digest of what was written, i64 bytes of it */
	WORKER_PROGRESS = 103, /* before the answer, any number of times: i64 bytes read so far */
	WORKER_VERIFIED =
		105, /* i64 entries, i64 bytes of the archive, i64 flaws, u32 how many of them are listed, [memfd: for each path and
		      * sentence; then directories that must be marked opaque; each ended by NUL] */
	WORKER_STATED = 140,   /* u32 mode, i64 size, i64 mtime in ns, str where a link leads */
	WORKER_PUT_DONE = 142, /* nothing */
	WORKER_CHANGED = 143,  /* [memfd: digit of the kind and path, each ended by NUL] */
	WORKER_COPIED = 120,   /* i64 entries, i64 files that share blocks with the original, i64 bytes copied */
};
enum worker_comp { WORKER_COMP_NONE = 0, WORKER_COMP_GZIP = 1, WORKER_COMP_ZSTD = 2 };
enum worker_tree { /* where the directory is */
		   WORKER_TREE_DIR = 0,
		   WORKER_TREE_NS = 1,      /* the root of that mount namespace */
		   WORKER_TREE_OVERLAY = 2, /* to be mounted, read-only: options are relative to lower_dir */
};
enum worker_view {                          /* where a container's files are */
		   WORKER_VIEW_DIR = 0,     /* that directory */
		   WORKER_VIEW_NS = 1,      /* in that mount namespace, below that root */
		   WORKER_VIEW_OVERLAY = 2, /* to be mounted; all names are relative to the directory */
};
enum worker_view_flags {
	WORKER_VIEW_WRITE = 1,
	WORKER_VIEW_LOWERS_FD = 2, /* lowers are detached mounts below the descriptor */
	WORKER_VIEW_EMPTY = 4,     /* nothing is there: DIR, whose files do not count */
};
/* A container's mounts in their order: flags ("r" read-only, "c" fill it with what it covers when it is empty, "1" not what is mounted below,
 * "t" tmpfs: only while it runs), source, destination, each ended by NUL. */
enum worker_put_flags {
	WORKER_PUT_NO_OVERWRITE = 1, /* no directory by something else, nor the other way round */
	WORKER_PUT_OWNER = 2,        /* everything belongs to that user */
	WORKER_PUT_ROOT_READONLY = 4,
};
enum worker_form { /* what becomes of a layer archive */
		   WORKER_FORM_OVERLAY =
			   0, /* files; whiteouts are devices 0/0, opaque directories are listed in the answer */
		   WORKER_FORM_WHOLE = 1, /* the directory holds the parent's tree: whiteouts delete from it */
		   WORKER_FORM_EROFS =
			   2, /* one file "layer.erofs" in it: the image of a read-only file system, whiteouts as in overlay */
};
#define WORKER_EROFS_NAME "layer.erofs"
#define WORKER_SOCKET 3
#define WORKER_LIST_MAX ((size_t)64 << 20)

struct worker {
	pid_t pid;
	int pidfd, sock;
};
#define WORKER_NONE ((struct worker){ .pid = -1, .pidfd = -1, .sock = -1 })
#define AUTO_WORKER CLEANUP(worker_done)
/* Starts it and sends the request; descriptors stay the caller's. */
int worker_start(const char *path, const char *verb, uint16_t type, const struct strb *body, const int *fds,
		 size_t n_fds, struct worker *ret, struct err *e);
/* Waits for the answer; WORKER_ERROR becomes e. A worker that dies without a word is an error too. */
int worker_answer(struct worker *w, uint16_t want, struct msg *ret, struct err *e);
/* The same with progress reports on the way. */
int worker_answer_watched(struct worker *w, uint16_t want, void (*progress)(void *ctx, int64_t done), void *ctx,
			  struct msg *ret, struct err *e);
void worker_done(struct worker *w); /* kills it when it still runs, and reaps it */

/* A descriptor for a worker to read src from; where src is a function, pump_run() feeds it and must run until done. */
struct pump {
	const struct store_source *src;
	int worker_end, our_end;
	void (*progress)(void *ctx, int64_t done); /* bytes given so far; NULL = silent */
	void *progress_ctx;
};
int pump_open(const struct store_source *src, struct pump *ret, struct err *e);
int pump_run(struct pump *p,
	     struct err *e); /* in the caller's thread; the worker's own failure is not one of the pump's */
void pump_close(struct pump *p);
