/* base.h - what every other module stands on: cleanup by scope, errors, growing strings and vectors, files,
 * time, the log. Needs nothing but libc, so that the static shim can use all of it.
 *
 * Conventions used everywhere: a function returns 0 (or a count) or a negative errno; outputs are named ret and
 * written only on success; `struct err *e` is last, may be NULL, and gets the sentence for people. */
#pragma once

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define CLEANUP(f) __attribute__((cleanup(f)))
#define UNUSED __attribute__((unused))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* ---- cleanup: resources close themselves; ownership moves with TAKE_* ---- */
static inline void fd_closep(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = saved;
}
static inline void freep(void *p)
{
	free(*(void **)p);
	*(void **)p = NULL;
}
#define AUTO_FD CLEANUP(fd_closep)
#define AUTO_FREE CLEANUP(freep)
#define TAKE_FD(fd) \
	({ \
		int fd_ = (fd); \
		(fd) = -1; \
		fd_; \
	})
#define TAKE_PTR(p) \
	({ \
		__typeof__(p) p_ = (p); \
		(p) = NULL; \
		p_; \
	})

/* ---- errors ---- */
enum err_kind {
	ERR_NONE = 0,
	ERR_SYSTEM,  /* the machine said no; message says what we were doing */
	ERR_INVALID, /* the caller's input is wrong */
	ERR_UNAUTHORIZED,
	ERR_FORBIDDEN,
	ERR_NOT_FOUND,
	ERR_CONFLICT,     /* right question, wrong state */
	ERR_NOT_MODIFIED, /* already so */
	ERR_UNAVAILABLE,
	ERR_NOT_IMPLEMENTED,
	ERR_TIMEOUT, /* the other side was too slow */
};
struct err {
	enum err_kind kind;
	int sys;        /* negative errno that caused it, or 0 */
	char msg[1024]; /* truncated with "..." where it does not fit */
};
#define ERR_INIT ((struct err){ 0 })
/* All return a negative errno that fits the kind (err_sys: r itself), so that `return err_set(...)` reads well. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...) PRINTF(3, 4);
int err_sys(struct err *e, int r, const char *fmt, ...) PRINTF(3, 4);  /* "fmt: strerror(-r)" */
int err_wrap(struct err *e, int r, const char *fmt, ...) PRINTF(3, 4); /* "fmt: old message", keeps the kind */

/* ---- memory: running out of it ends the process; a container engine cannot do better with overcommit ---- */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n, size_t size); /* overflow-checked n*size */
char *xstrdup(const char *s);                   /* NULL in, NULL out */
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) PRINTF(1, 2);

/* ---- growing strings; always NUL-terminated; may hold any bytes ---- */
struct strb {
	char *s; /* NULL only while empty and never written; use strb_str() to read */
	size_t len, cap;
};
#define STRB_INIT ((struct strb){ 0 })
#define AUTO_STRB CLEANUP(strb_done)
void strb_done(struct strb *b);
void strb_clear(struct strb *b); /* length 0, memory kept */
void strb_reserve(struct strb *b, size_t more);
void strb_add(struct strb *b, const void *p, size_t n);
void strb_adds(struct strb *b, const char *s);
void strb_addc(struct strb *b, char c);
void strb_addf(struct strb *b, const char *fmt, ...) PRINTF(2, 3);
void strb_addv(struct strb *b, const char *fmt, va_list ap);
char *strb_take(struct strb *b); /* never NULL; b is empty afterwards */
static inline const char *strb_str(const struct strb *b)
{
	return b->s ? b->s : "";
}

/* ---- vectors of strings: owned; v is NULL-terminated whenever n > 0, so it serves as argv ---- */
struct strv {
	char **v;
	size_t n;
};
#define AUTO_STRV CLEANUP(strv_done)
void strv_done(struct strv *v);
void strv_add(struct strv *v, const char *s); /* copies */
void strv_push(struct strv *v, char *s);      /* takes */
void strv_addf(struct strv *v, const char *fmt, ...) PRINTF(2, 3);
void strv_addv(struct strv *v, const struct strv *from);
void strv_copy(struct strv *to, const struct strv *from);
void strv_remove(struct strv *v, size_t i);
bool strv_has(const struct strv *v, const char *s);
void strv_sort(struct strv *v);
void strv_split(struct strv *v, const char *s, const char *separators); /* empty pieces are dropped */
void strv_env_set(struct strv *v, const char *assignment);              /* "K=V" replaces an earlier K= */
const char *strv_env_get(const struct strv *v, const char *key);        /* value or NULL; lent */

/* ---- ordered maps string -> string; small: linear search ---- */
struct strkv {
	char *k, *v;
};
struct strmap {
	struct strkv *v;
	size_t n;
};
#define AUTO_STRMAP CLEANUP(strmap_done)
void strmap_done(struct strmap *m);
void strmap_set(struct strmap *m, const char *k, const char *v); /* copies both */
const char *strmap_get(const struct strmap *m, const char *k);   /* NULL where absent */
bool strmap_has(const struct strmap *m, const char *want);       /* "k" or "k=v" */
void strmap_copy(struct strmap *to, const struct strmap *from);

/* Typed vector by hand: struct { T *v; size_t n; }. VEC_ADD returns a pointer to a new zeroed element. */
#define VEC_ADD(vec) \
	({ \
		__typeof__(vec) vec_ = (vec); \
		vec_->v = vec_grow(vec_->v, vec_->n, sizeof *vec_->v); \
		&vec_->v[vec_->n++]; \
	})
/* Of a table of n rows sorted by their keys: the first row that is not before key. key_of lends row i's key. */
size_t sorted_place(size_t n, const char *(*key_of)(const void *table, size_t i), const void *table, const char *key);
void *vec_grow(void *v, size_t n, size_t size); /* room for one more, zeroed; capacity follows powers of two of n */

/* ---- text ---- */
static inline bool streq(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}
static inline bool str_empty(const char *s)
{
	return !s || !*s;
}
const char *str_after(const char *s, const char *prefix); /* the rest, or NULL */
bool str_ends(const char *s, const char *suffix);
int str_to_i64(const char *s, int64_t *ret); /* whole string, decimal; -EINVAL, -ERANGE */
int str_to_u32(const char *s, unsigned base, uint32_t *ret);
char *path_join(const char *a, const char *b);           /* one slash between; b absolute is appended all the same */
char *path_clean(const char *p);                         /* lexical: "." ".." "//" removed, as Go's path.Clean */
void hex_encode(const void *bytes, size_t n, char *ret); /* 2n+1 bytes */
char *base64_encode(const void *bytes, size_t n);        /* the standard alphabet, padded */
/* appends; both alphabets, with or without padding; -EINVAL */
int base64_decode(const char *s, size_t n, struct strb *ret);
bool hex_valid(const char *s, size_t n); /* exactly n lower-case hex digits, then anything */

/* ---- numbers and time ---- */
int random_bytes(void *p, size_t n);
void id_new(char ret[65]);  /* 64 hex digits; never all digits in the first 12 (Docker's rule) */
int64_t time_now_ns(void);  /* CLOCK_REALTIME */
int64_t time_mono_ns(void); /* CLOCK_BOOTTIME */
#define TIME_TEXT_MAX 40
void time_format(int64_t ns, char ret[TIME_TEXT_MAX]);       /* RFC 3339 nano, UTC, as Go: trailing zeros dropped */
void time_format_fixed(int64_t ns, char ret[TIME_TEXT_MAX]); /* the same with nine digits always (docker logs -t) */
int time_parse(const char *s, int64_t *ret_ns);              /* RFC 3339 with zone; -EINVAL */
/* "1h2.5s" and "1.5g" (powers of 1024); -EINVAL, -ERANGE. ret_at (may be NULL) is set, on failure too, to where reading ended. */
int duration_parse(const char *s, int64_t *ret_ns, const char **ret_at);
int bytes_parse(const char *s, int64_t *ret, const char **ret_at);

/* ---- files; all relative to a directory descriptor (AT_FDCWD where there is none) ---- */
int fd_write_all(int fd, const void *p, size_t n);
int fd_read_all(int fd, size_t max, char **ret, size_t *ret_n); /* to end of file; -EFBIG over max; NUL-terminated */
int file_read(int dir, const char *path, size_t max, char **ret, size_t *ret_n); /* ret_n may be NULL */
int file_write(int dir, const char *path, const void *p, size_t n,
	       mode_t mode);                               /* O_TRUNC in place: bind-mounted files */
int file_put(int dir, const char *path, const char *text); /* one write(2) to an existing file: cgroup, sysctl */
int file_replace(int dir, const char *path, const void *p, size_t n,
		 mode_t mode);                        /* temp, fsync, rename, fsync of dir */
int dir_make(int dir, const char *path, mode_t mode); /* mkdir -p */
int dir_remove(int dir,
	       const char *path); /* rm -r of any depth; follows no link, enters no mount; leaves what it cannot */
int tree_bytes(int dir, const char *path, int64_t *ret); /* bytes of regular files in it and below, as Docker counts */
int dir_list(int dir, const char *path, struct strv *ret);            /* names in it, sorted, without . and .. */
int dir_open(int dir, const char *path);                              /* O_PATH-less directory fd, CLOEXEC */
int open_in_root(int root, const char *path, int flags, mode_t mode); /* openat2 RESOLVE_IN_ROOT|NO_MAGICLINKS */
int open_beneath(int dir, const char *path, int flags,
		 mode_t mode);                           /* openat2 RESOLVE_BENEATH|NO_SYMLINKS|NO_MAGICLINKS */
int memfd_of(const char *name, const void *p, size_t n); /* sealed memfd with these bytes, offset 0; or -errno */

/* ---- log: one line per event to stderr or a file; the only non-const global is the level ---- */
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
void log_level_set(enum log_level level);
enum log_level log_level_get(void);
void log_write(enum log_level level, const char *fmt, ...) PRINTF(2, 3);
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) \
	do { \
		if (log_level_get() >= LOG_DEBUG) \
			log_write(LOG_DEBUG, __VA_ARGS__); \
	} while (0)

/* sprintf, strcpy, strcat, atoi, strtok do not compile here. */
#ifndef __clang_analyzer__
#pragma GCC poison sprintf vsprintf strcpy strcat atoi atol strtok gets
#endif
