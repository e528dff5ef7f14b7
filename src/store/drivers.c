/* drivers.c - which driver it is: the one asked for, else the one that has layers here, else the first that works. The words are
 * dockerd's, for people search for them. */
#include "store/priv.h"

#include <fcntl.h>
#include <sys/stat.h>

/* In dockerd's order of preference; those that it does not have come behind. */
static const struct driver *const drivers[] = { &driver_overlay, &driver_fuse, &driver_btrfs, &driver_vfs,
						&driver_erofs };

static const struct {
	const char *name, *instead;
} gone[] = {
	{ "aufs", "overlay2" },
	{ "devicemapper", "overlay2" },
	{ "overlay", "overlay2" },
};
static const struct {
	const char *name, *why;
} never[] = {
	{ "zfs", "hoyd has no driver for zfs; overlay2 works on zfs 2.2 and newer, vfs on every file system" },
	{ "windowsfilter", "windowsfilter is for Windows containers; on Linux use overlay2" },
};

static const struct driver *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
		if (streq(drivers[i]->name, name))
			return drivers[i];
	return NULL;
}

static int no_such_driver(const char *want, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(gone); i++)
		if (streq(want, gone[i].name))
			return err_set(
				e, ERR_INVALID,
				"error initializing graphdriver: [graphdriver] ERROR: the %s storage-driver has been "
				"deprecated and removed; visit https://docs.docker.com/go/storage-driver/ for more "
				"information. Use %s instead: images saved with `docker save` by an engine that used "
				"%s load like any other",
				want, gone[i].instead, want);
	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		if (streq(want, never[i].name))
			return err_set(e, ERR_INVALID, "error initializing graphdriver: driver not supported: %s (%s)",
				       want, never[i].why);
	return err_set(e, ERR_INVALID, "error initializing graphdriver: driver not supported: %s", want);
}

/* More than what every start makes. */
static bool has_layers(const struct store *s, const struct driver *d)
{
	AUTO_FREE char *path = path_join(s->root, d->folder);
	AUTO_STRV struct strv names = { 0 };

	return dir_list(AT_FDCWD, path, &names) == 0 && names.n > (size_t)strv_has(&names, INIT_LAYER);
}

void drivers_elsewhere(const struct store *s, struct strv *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
		if (drivers[i] != s->driver && has_layers(s, drivers[i]))
			strv_add(ret, drivers[i]->name);
}

static int use(struct store *s, const struct driver *d, struct err *e)
{
	int r = d->probe(s, e);

	if (r < 0)
		return r;
	s->driver = d;
	return d->open ? d->open(s, e) : 0;
}

/* As dockerd: data of vfs do not count, it is what one ends up with where nothing else works; two others need a word from the user. */
static int prior(struct store *s, const struct driver **ret, struct err *e)
{
	AUTO_STRB struct strb names = STRB_INIT;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
		if (!streq(drivers[i]->name, "vfs") && has_layers(s, drivers[i])) {
			strb_addf(&names, "%s%s", n++ ? ", " : "", drivers[i]->name);
			*ret = drivers[i];
		}
	if (n > 1)
		return err_set(e, ERR_INVALID,
			       "error initializing graphdriver: %s contains several valid graphdrivers: %s; cleanup or "
			       "explicitly choose storage driver (-s <DRIVER>)",
			       s->root, strb_str(&names));
	return (int)n;
}

int driver_pick(struct store *s, const char *want, struct err *e)
{
	const struct driver *d = want ? find(want) : NULL;
	AUTO_STRB struct strb why = STRB_INIT;
	int r;

	if (want && !d)
		return no_such_driver(want, e);
	if (!want) {
		r = prior(s, &d, e);
		if (r < 0)
			return r;
	}
	if (d) {
		r = use(s, d, e);
		return r < 0 ? err_wrap(e, r, "error initializing graphdriver: %s", d->name) : 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++) {
		struct err no = ERR_INIT;

		r = drivers[i]->automatic ? use(s, drivers[i], &no) : -EOPNOTSUPP;
		if (r == 0)
			return 0;
		if (no.msg[0])
			strb_addf(&why, "%s%s: %s", why.len ? "; " : "", drivers[i]->name, no.msg);
	}
	return err_set(e, ERR_INVALID, "error initializing graphdriver: no supported storage driver found (%s)",
		       strb_str(&why));
}

/* ---- what several drivers do the same way ---- */
int plain_layer_make(struct store *s UNUSED, int stage, const char *parent UNUSED, struct err *e)
{
	return mkdirat(stage, "diff", 0755) < 0 ? err_sys(e, -errno, "making a directory for a layer") : 0;
}

int plain_layer_dir(struct store *s, const char *name, struct err *e)
{
	AUTO_FREE char *path = path_join(name, "diff");
	int fd = dir_open(s->layers, path);

	return fd < 0 ? err_sys(e, fd, "opening layer %s", name) : fd;
}
