/* reap.c - removing trees: a rename into tmp/ at once, the deleting itself in a thread, off everybody's path. */
#include "store/priv.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static void *reap(void *arg)
{
	struct store *s = arg;

	pthread_mutex_lock(&s->reap_lock);
	for (;;) {
		AUTO_FREE char *name = NULL;
		int r;

		while (!s->doomed.n && !s->stop)
			pthread_cond_wait(&s->reap_wake, &s->reap_lock);
		if (!s->doomed.n)
			break; /* told to stop, and nothing left */
		name = xstrdup(s->doomed.v[0]);
		strv_remove(&s->doomed, 0);
		pthread_mutex_unlock(&s->reap_lock);

		subvolume_remove(s->tmp, name);
		r = dir_remove(s->tmp, name);
		if (r < 0 && r != -ENOENT)
			log_warn("deleting tmp/%s: %s", name, strerror(-r));

		pthread_mutex_lock(&s->reap_lock);
	}
	pthread_mutex_unlock(&s->reap_lock);
	return NULL;
}

int reap_start(struct store *s)
{
	int r = -pthread_create(&s->reaper, NULL, reap, s);

	s->reaping = r == 0;
	return r;
}

void reap_stop(struct store *s)
{
	if (!s->reaping)
		return;
	pthread_mutex_lock(&s->reap_lock);
	s->stop = true;
	pthread_cond_signal(&s->reap_wake);
	pthread_mutex_unlock(&s->reap_lock);
	pthread_join(s->reaper, NULL);
	s->reaping = false;
}

void doom(struct store *s, int dir, const char *name)
{
	AUTO_FREE char *fresh = dir == s->tmp ? xstrdup(name) : name_new();

	if (dir == s->layers && s->driver->forget)
		s->driver->forget(s, name);
	if (dir != s->tmp && renameat(dir, name, s->tmp, fresh) < 0) {
		if (errno != ENOENT)
			log_warn("removing %s: %s", name, strerror(errno));
		return;
	}
	pthread_mutex_lock(&s->reap_lock);
	strv_push(&s->doomed, TAKE_PTR(fresh));
	pthread_cond_signal(&s->reap_wake);
	pthread_mutex_unlock(&s->reap_lock);
}

/* Same size, time and kind: the same, as rsync says, and Docker's vfs driver too. */
static bool unchanged(int base, const char *name, const struct stat *st)
{
	struct stat old;

	return base >= 0 && fstatat(base, name, &old, AT_SYMLINK_NOFOLLOW) == 0 && old.st_mode == st->st_mode &&
	       old.st_size == st->st_size && old.st_mtim.tv_sec == st->st_mtim.tv_sec &&
	       old.st_mtim.tv_nsec == st->st_mtim.tv_nsec;
}

static void changed_size(int tree, int base, int depth, int64_t *sum)
{
	int again = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *x;

	while (d && (x = readdir(d))) {
		AUTO_FD int sub = -1, below = -1;
		struct stat st;

		if (streq(x->d_name, ".") || streq(x->d_name, "..") ||
		    fstatat(tree, x->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISREG(st.st_mode) && !unchanged(base, x->d_name, &st))
			*sum += st.st_nlink > 1 ? st.st_size / (int64_t)st.st_nlink : st.st_size;
		if (!S_ISDIR(st.st_mode) || depth > 256)
			continue;
		sub = openat(tree, x->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (base >= 0)
			below = openat(base, x->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			changed_size(sub, below, depth + 1, sum);
	}
	if (d)
		(void)closedir(d);
}

int tree_changed_size(const struct store_diff *d, int64_t *ret)
{
	*ret = 0;
	changed_size(d->tree, d->base, 0, ret);
	return 0;
}
