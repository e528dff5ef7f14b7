/* partial.c - unfinished downloads and kept blobs. A partial file is appended to by one thread; any number of others follow it. Nothing
 * is recorded about it: its length is all there is to know, and whoever unpacks it checks every byte. */
#include "store/priv.h"

#include <fcntl.h>
#include <sys/stat.h>

struct store_partial {
	struct store *store;
	char hex[65];
	int fd, read_fd;
	pthread_mutex_t lock;
	pthread_cond_t grown;
	/* below: guarded by lock */
	int64_t have;
	bool ended;
	int error;
};

static bool is_blob_name(const char *name)
{
	return strlen(name) == 64 && hex_valid(name, 64);
}

/* ---- at start ---- */
void partials_age(struct store *s)
{
	AUTO_STRV struct strv names = { 0 };
	int64_t oldest = time_now_ns() / 1000000000 - STORE_PARTIAL_KEEP_S;

	if (dir_list(s->partial, ".", &names) < 0)
		return;
	for (size_t i = 0; i < names.n; i++) {
		struct stat st;

		if (fstatat(s->partial, names.v[i], &st, AT_SYMLINK_NOFOLLOW) == 0 && is_blob_name(names.v[i]) &&
		    S_ISREG(st.st_mode) && st.st_mtime > oldest)
			continue;
		log_info("unfinished download %.64s is older than a week: removed", names.v[i]);
		doom(s, s->partial, names.v[i]);
	}
}

int partials_open(struct store *s, struct err *e)
{
	AUTO_FREE char *partial = path_join(s->root, "partial");
	AUTO_FREE char *blobs = path_join(s->root, "blobs/sha256");
	int r = dir_make(AT_FDCWD, partial, 0700);

	if (r == 0)
		r = dir_make(AT_FDCWD, blobs, 0700);
	if (r < 0 || (r = s->partial = dir_open(AT_FDCWD, partial)) < 0 ||
	    (r = s->blobs = dir_open(AT_FDCWD, blobs)) < 0)
		return err_sys(e, r, "opening %s", s->root);
	partials_age(s);
	return 0;
}

static bool is_named(struct store *s, const char *digest)
{
	bool named;

	pthread_mutex_lock(&s->lock);
	named = blob_named(s, digest);
	pthread_mutex_unlock(&s->lock);
	return named;
}

/* Hands on the digests in dir of which it is so that a layer names them, or not. */
static void each_named(struct store *s, int dir, bool named, void (*f)(struct store *s, const char *digest))
{
	AUTO_STRV struct strv names = { 0 };

	if (dir_list(dir, ".", &names) < 0)
		return;
	for (size_t i = 0; i < names.n; i++) {
		AUTO_FREE char *digest = xasprintf("sha256:%s", names.v[i]);

		if (is_named(s, digest) == named)
			f(s, digest);
	}
}

static void doom_blob(struct store *s, const char *digest)
{
	doom(s, s->blobs, digest + strlen("sha256:"));
}

void blobs_sweep(struct store *s)
{
	each_named(s, s->blobs, false, doom_blob);
}

void partials_sweep(struct store *s)
{
	each_named(s, s->partial, true, store_partial_forget);
}

/* ---- one holder per digest ---- */
static int claim(struct store *s, const char *digest, const int *cancel)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	while (r == 0 && strv_has(&s->partials, digest)) {
		struct timespec soon;

		(void)clock_gettime(CLOCK_REALTIME, &soon);
		soon.tv_sec++;
		(void)pthread_cond_timedwait(&s->settled, &s->lock, &soon);
		if (cancel && __atomic_load_n(cancel, __ATOMIC_ACQUIRE))
			r = -ECANCELED;
	}
	if (r == 0)
		strv_add(&s->partials, digest);
	pthread_mutex_unlock(&s->lock);
	return r;
}

static void release(struct store *s, const char *hex)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->partials.n; i++)
		if (streq(s->partials.v[i] + 7, hex)) {
			strv_remove(&s->partials, i);
			break;
		}
	pthread_cond_broadcast(&s->settled);
	pthread_mutex_unlock(&s->lock);
}

void store_partial_forget(struct store *s, const char *digest)
{
	bool held;

	if (!digest_valid(digest))
		return;
	pthread_mutex_lock(&s->lock);
	held = strv_has(&s->partials, digest);
	if (!held)
		strv_add(&s->partials, digest);
	pthread_mutex_unlock(&s->lock);
	if (held)
		return;
	(void)unlinkat(s->partial, digest + strlen("sha256:"), 0);
	release(s, digest + strlen("sha256:"));
}

static void partial_free(struct store_partial *p)
{
	fd_closep(&p->fd);
	fd_closep(&p->read_fd);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->grown);
	release(p->store, p->hex);
	free(p);
}

static int open_file(struct store_partial *p)
{
	int dir = p->store->partial;
	struct stat st;

	p->fd = openat(dir, p->hex, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (p->fd < 0 || fstat(p->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	p->read_fd = openat(dir, p->hex, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (p->read_fd < 0)
		return -errno;
	p->have = st.st_size;
	return lseek(p->fd, 0, SEEK_END) < 0 ? -errno : 0;
}

int store_partial_open(struct store *s, const char *digest, const int *cancel, struct store_partial **ret,
		       struct err *e)
{
	struct store_partial *p;
	int r = digest_valid(digest) ? claim(s, digest, cancel)
				     : err_set(e, ERR_INVALID, "invalid checksum digest format");

	if (r == -ECANCELED)
		return err_sys(e, r, "waiting for another download of %s", digest);
	if (r < 0)
		return r;
	p = xcalloc(1, sizeof *p);
	p->store = s;
	p->fd = p->read_fd = -1;
	memcpy(p->hex, digest + 7, 64);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->grown, NULL);
	r = open_file(p);
	if (r < 0) {
		partial_free(p);
		return err_sys(e, r, "opening the download of %s", digest);
	}
	*ret = p;
	return 0;
}

/* ---- growing ---- */
int store_partial_fd(const struct store_partial *p)
{
	return p->fd;
}

int64_t store_partial_have(struct store_partial *p)
{
	int64_t n;

	pthread_mutex_lock(&p->lock);
	n = p->have;
	pthread_mutex_unlock(&p->lock);
	return n;
}

void store_partial_grew(struct store_partial *p, int64_t have)
{
	pthread_mutex_lock(&p->lock);
	p->have = MAX(have, p->have);
	pthread_cond_broadcast(&p->grown);
	pthread_mutex_unlock(&p->lock);
}

void store_partial_end(struct store_partial *p, int r)
{
	pthread_mutex_lock(&p->lock);
	p->ended = true;
	p->error = r < 0 ? r : 0;
	pthread_cond_broadcast(&p->grown);
	pthread_mutex_unlock(&p->lock);
}

static int64_t wait_growth(void *ctx, int64_t at)
{
	struct store_partial *p = ctx;
	int64_t r;

	pthread_mutex_lock(&p->lock);
	while (p->have <= at && !p->ended)
		pthread_cond_wait(&p->grown, &p->lock);
	r = p->have > at ? p->have : p->error < 0 ? p->error : at;
	pthread_mutex_unlock(&p->lock);
	return r;
}

struct store_source store_partial_source(struct store_partial *p)
{
	return (struct store_source){ .fd = p->read_fd, .wait = wait_growth, .ctx = p };
}

int store_partial_reset(struct store_partial *p)
{
	if (ftruncate(p->fd, 0) < 0 || lseek(p->fd, 0, SEEK_SET) < 0)
		return -errno;
	pthread_mutex_lock(&p->lock);
	p->have = 0;
	p->ended = false;
	p->error = 0;
	pthread_mutex_unlock(&p->lock);
	return 0;
}

/* ---- the end ---- */
static int keep_blob(struct store_partial *p)
{
	struct store *s = p->store;

	if (fsync(p->fd) < 0 || renameat(s->partial, p->hex, s->blobs, p->hex) < 0 || fsync(s->blobs) < 0)
		return -errno;
	return 0;
}

int store_partial_close(struct store_partial *p, enum store_partial_fate fate, struct err *e)
{
	int r = 0;

	if (!p)
		return 0;
	if (fate == STORE_PARTIAL_BLOB && (r = keep_blob(p)) < 0)
		(void)err_sys(e, r, "keeping the blob sha256:%s", p->hex);
	if (fate == STORE_PARTIAL_DROP || r < 0 || (fate == STORE_PARTIAL_KEEP && p->have == 0))
		(void)unlinkat(p->store->partial, p->hex, 0);
	partial_free(p);
	return r;
}

int store_blob_open(struct store *s, const char *digest)
{
	int fd = digest_valid(digest) ? openat(s->blobs, digest + 7, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -EINVAL;

	return fd < 0 && fd != -EINVAL ? -errno : fd;
}
