/* powerdisk.c - a disk whose power can be cut: one file, "disk", in a FUSE mount, for a loop device to lie on.
 * It has what a real disk has and a virtual one hides: a write cache. What was written counts for ever only once a flush came; at the
 * cut each sector of what was not flushed is kept or lost by lot, in the order of the writes, so an older version may be what stays.
 *
 *   powerdisk MIB MOUNTPOINT      says "ready"; then reads commands, one a line, and answers each with one line:
 *   arm N SEED      cut the power at the Nth write or flush from now on (0 = now). "armed"; later, by itself, "cut"
 *   lose PERMILLE   after "cut": this share of the unflushed sectors reaches the platter. "lost KEPT GONE"
 *   back            power is back: what is on the platter is what is there. "back"
 *   count           "count WRITES FLUSHES UNFLUSHED_BYTES"
 * From "cut" on every request hangs, as a machine without power does: nobody can acknowledge anything any more. After "lose" they are
 * answered, as if all were well, and forgotten, so that the dead machine's kernel can be taken down in peace. */
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fuse.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECTOR 512
/* The first block, and any request of one block, is kept or lost as a whole: ext4 trusts in that for the superblock, which has no journal. */
#define BLOCK 4096
enum power { ON, CUT, DEAD };
struct write {
	off_t at;
	size_t n;
	char *data;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static enum power power;
static char *seen, *platter; /* what the machine reads, and what would be there without power */
static off_t size;
static struct write *cache; /* written and not flushed, oldest first */
static size_t cached, cache_room;
static long long cached_bytes, writes, flushes, countdown = -1;
static unsigned long long dice;

static void say(const char *text)
{
	printf("%s\n", text);
	(void)fflush(stdout);
}

/* xorshift: the same seed gives the same losses */
static unsigned roll(unsigned sides)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (unsigned)((dice >> 20) % sides);
}

static void cut(void)
{
	countdown = -1;
	power = CUT;
	say("cut");
}

/* Every request that changes something begins here: false = it is to be forgotten. lock held. */
static bool request(void)
{
	if (power == ON && countdown > 0 && --countdown == 0)
		cut();
	while (power == CUT)
		(void)pthread_cond_wait(&changed, &lock);
	return power == ON;
}

static void cache_forget(void)
{
	for (size_t i = 0; i < cached; i++)
		free(cache[i].data);
	cached = 0;
	cached_bytes = 0;
}

static void lose(unsigned permille)
{
	long long kept = 0, gone = 0;

	for (size_t i = 0; i < cached; i++)
		for (size_t at = 0, n; at < cache[i].n; at += n) {
			size_t unit = cache[i].n <= BLOCK || cache[i].at + (off_t)at < BLOCK ? BLOCK : SECTOR;
			bool keep = roll(1000) < permille;

			n = cache[i].n - at < unit ? cache[i].n - at : unit;
			if (keep)
				memcpy(platter + cache[i].at + at, cache[i].data + at, n);
			*(keep ? &kept : &gone) += 1;
		}
	for (size_t i = 0; i < cached; i++)
		memcpy(seen + cache[i].at, platter + cache[i].at, cache[i].n);
	cache_forget();
	power = DEAD;
	(void)pthread_cond_broadcast(&changed);
	printf("lost %lld %lld\n", kept, gone);
	(void)fflush(stdout);
}

static void *commands(void *arg)
{
	char line[128];

	while (fgets(line, sizeof line, stdin)) {
		unsigned long long seed = 1;
		long long n = 0;
		unsigned permille = 0;

		pthread_mutex_lock(&lock);
		if (sscanf(line, "arm %lld %llu", &n, &seed) == 2) {
			dice = seed * 0x9e3779b97f4a7c15ull + 1;
			countdown = n;
			say("armed");
			if (n == 0)
				cut();
		} else if (sscanf(line, "lose %u", &permille) == 1) {
			lose(permille);
		} else if (strcmp(line, "back\n") == 0) {
			power = ON;
			say("back");
		} else if (strcmp(line, "count\n") == 0) {
			printf("count %lld %lld %lld\n", writes, flushes, cached_bytes);
			(void)fflush(stdout);
		} else {
			say("what?");
		}
		pthread_mutex_unlock(&lock);
	}
	pthread_mutex_lock(&lock);
	power = DEAD; /* nobody is to hang on a disk whose master is gone */
	(void)pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	fuse_exit(arg);
	return NULL;
}

static int disk_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	(void)fi;
	*st = (struct stat){ .st_mode = S_IFDIR | 0700, .st_nlink = 2 };
	if (strcmp(path, "/") == 0)
		return 0;
	*st = (struct stat){ .st_mode = S_IFREG | 0600, .st_nlink = 1, .st_size = size, .st_blksize = 4096 };
	return strcmp(path, "/disk") == 0 ? 0 : -ENOENT;
}

static int disk_open(const char *path, struct fuse_file_info *fi)
{
	fi->direct_io = 1; /* what the machine knows must not live on in the host's cache */
	return strcmp(path, "/disk") == 0 ? 0 : -ENOENT;
}

static int disk_read(const char *path, char *to, size_t n, off_t at, struct fuse_file_info *fi)
{
	(void)path;
	(void)fi;
	if (at >= size)
		return 0;
	if ((off_t)n > size - at)
		n = (size_t)(size - at);
	pthread_mutex_lock(&lock);
	while (power == CUT)
		(void)pthread_cond_wait(&changed, &lock);
	memcpy(to, seen + at, n);
	pthread_mutex_unlock(&lock);
	return (int)n;
}

static int disk_write(const char *path, const char *data, size_t n, off_t at, struct fuse_file_info *fi)
{
	(void)path;
	(void)fi;
	if (at >= size || (off_t)n > size - at)
		return -ENOSPC;
	pthread_mutex_lock(&lock);
	writes++;
	if (request()) {
		if (cached == cache_room)
			cache = realloc(cache, (cache_room = cache_room ? cache_room * 2 : 1024) * sizeof *cache);
		cache[cached] = (struct write){ at, n, malloc(n) };
		memcpy(cache[cached++].data, data, n);
		cached_bytes += (long long)n;
		memcpy(seen + at, data, n);
	}
	pthread_mutex_unlock(&lock);
	return (int)n;
}

static int disk_fsync(const char *path, int datasync, struct fuse_file_info *fi)
{
	(void)path;
	(void)datasync;
	(void)fi;
	pthread_mutex_lock(&lock);
	flushes++;
	if (request()) {
		for (size_t i = 0; i < cached; i++)
			memcpy(platter + cache[i].at, cache[i].data, cache[i].n);
		cache_forget();
	}
	pthread_mutex_unlock(&lock);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct fuse_operations ops = {
		.getattr = disk_getattr,
		.open = disk_open,
		.read = disk_read,
		.write = disk_write,
		.fsync = disk_fsync,
	};
	char name[] = "powerdisk", fsname[] = "-ofsname=powerdisk";
	struct fuse_args args = FUSE_ARGS_INIT(2, ((char *[]){ name, fsname, NULL }));
	struct fuse *fuse;
	pthread_t thread;
	int r;

	if (argc != 3 || (size = (off_t)atoll(argv[1]) << 20) <= 0)
		return 2;
	seen = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	platter = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (seen == MAP_FAILED || platter == MAP_FAILED)
		return 1;
	fuse = fuse_new(&args, &ops, sizeof ops, NULL);
	if (!fuse || fuse_mount(fuse, argv[2]) < 0)
		return 1;
	say("ready");
	if (pthread_create(&thread, NULL, commands, fuse) != 0)
		return 1;
	r = fuse_loop(fuse); /* one request after the other: their order is the order of the cache */
	fuse_unmount(fuse);
	return r != 0;
}
