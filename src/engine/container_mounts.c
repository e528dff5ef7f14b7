/* container_mounts.c - binds, mounts, tmpfs and image volumes of a create request become the record's list of mounts. */
#include "engine/container_check.h"
#include "engine/container_mounts.h"

#include <fcntl.h>
#include <sys/stat.h>

struct mounts_list {
	struct container_mount *v;
	size_t n;
};

static struct container_mount *find(struct container_record *rec, const char *destination)
{
	for (size_t i = 0; i < rec->mounts.n; i++)
		if (streq(rec->mounts.v[i].destination, destination))
			return &rec->mounts.v[i];
	return NULL;
}

static struct container_mount *add(struct container_record *rec, const char *type, const char *destination)
{
	__typeof__(rec->mounts.v) m = VEC_ADD(&rec->mounts);

	m->type = xstrdup(type);
	m->destination = path_clean(destination);
	m->rw = true;
	m->propagation = xstrdup(streq(type, "bind") ? "rprivate" : "");
	m->mode = xstrdup("");
	return m;
}

static void set(char **at, const char *v)
{
	free(*at);
	*at = xstrdup(v);
}

static int use_volume(struct engine *en, struct container_mount *m, const struct volume_req *q, struct err *e)
{
	struct volume_record v = { 0 };
	int r = volume_create(en->volumes, q, &v, e);

	if (r < 0)
		return r;
	m->name = xstrdup(v.name);
	m->driver = xstrdup("local");
	m->source = volume_path(en->volumes, v.name);
	m->anonymous = str_empty(q->name);
	json_done(&volume_record_type, &v);
	return 0;
}

/* "ro,z,rshared": the third part of a bind. */
static int apply_mode(struct container_mount *m, const char *spec, const char *mode, struct err *e)
{
	static const char *const propagations[] = { "private", "rprivate", "shared", "rshared", "slave", "rslave" };
	AUTO_STRV struct strv words = { 0 };

	strv_split(&words, mode, ",");
	for (size_t i = 0; i < words.n; i++) {
		const char *w = words.v[i];
		bool known = streq(w, "z") || streq(w, "Z") || streq(w, "nocopy") || streq(w, "rw") || streq(w, "ro") ||
			     streq(w, "consistent") || streq(w, "cached") || streq(w, "delegated");

		if (streq(w, "ro"))
			m->rw = false;
		if (streq(w, "nocopy"))
			m->no_copy = true;
		for (size_t k = 0; k < ARRAY_LEN(propagations); k++)
			if (streq(w, propagations[k])) {
				if (!streq(m->type, "bind"))
					return err_set(
						e, ERR_SYSTEM,
						"invalid volume specification: '%s': invalid mount config for type "
						"\"volume\": field VolumeOptions.Propagation must not be specified",
						spec);
				set(&m->propagation, w);
				known = true;
			}
		if (!known)
			return err_set(e, ERR_SYSTEM, "invalid mode: %s", mode);
	}
	set(&m->mode, mode);
	return 0;
}

static int check_destination(struct container_record *rec, const char *spec, const char *destination, struct err *e)
{
	AUTO_FREE char *clean = path_clean(destination);

	/* 500 for these, as dockerd */
	if (*destination != '/')
		return err_set(e, ERR_SYSTEM,
			       "invalid volume specification: '%s': invalid mount config for type \"bind\": invalid "
			       "mount path: '%s' mount path must be absolute",
			       spec, destination);
	if (streq(clean, "/"))
		return err_set(e, ERR_SYSTEM,
			       "invalid volume specification: '%s': invalid mount config for type \"bind\": invalid "
			       "specification: destination can't be '/'",
			       spec);
	if (find(rec, clean))
		return err_set(e, ERR_INVALID, "Duplicate mount point: %s", clean);
	return 0;
}

static int add_bind(struct engine *en, struct container_record *rec, const char *spec, struct err *e)
{
	AUTO_STRV struct strv parts = { 0 };
	struct container_mount *m;
	int r;

	for (const char *p = spec;; p++) {
		size_t n = strcspn(p, ":");

		strv_push(&parts, xstrndup(p, n));
		p += n;
		if (!*p)
			break;
	}
	if (parts.n == 1 && *parts.v[0]) { /* a destination alone: an anonymous volume */
		r = check_destination(rec, spec, parts.v[0], e);
		if (r < 0)
			return r;
		m = (struct container_mount *)add(rec, "volume", parts.v[0]);
		return use_volume(en, m, &(struct volume_req){ 0 }, e);
	}
	if (parts.n < 2 || parts.n > 3 || !*parts.v[0] || !*parts.v[1])
		return err_set(e, ERR_SYSTEM, "invalid volume specification: '%s'", spec);
	r = check_destination(rec, spec, parts.v[1], e);
	if (r < 0)
		return r;
	if (*parts.v[0] == '/') {
		m = (struct container_mount *)add(rec, "bind", parts.v[1]);
		m->source = path_clean(parts.v[0]);
		if (parts.n == 3)
			r = apply_mode(m, spec, parts.v[2], e);
		/* -v makes a missing source as a folder: Docker's old promise */
		if (r == 0 && access(m->source, F_OK) < 0) {
			r = dir_make(AT_FDCWD, m->source, 0755);
			if (r < 0)
				err_sys(e, r, "error while creating mount source path '%s': mkdir %s", m->source,
					m->source);
		}
		return r;
	}
	r = volume_name_check(parts.v[0], e);
	if (r < 0)
		return r;
	m = (struct container_mount *)add(rec, "volume", parts.v[1]);
	set(&m->mode, "z");
	if (parts.n == 3)
		r = apply_mode(m, spec, parts.v[2], e);
	return r < 0 ? r : use_volume(en, m, &(struct volume_req){ .name = parts.v[0] }, e);
}

static int invalid(struct err *e, const struct docker_mount *q, const char *fmt, ...) PRINTF(3, 4);
static int invalid(struct err *e, const struct docker_mount *q, const char *fmt, ...)
{
	AUTO_STRB struct strb b = STRB_INIT;
	va_list ap;

	va_start(ap, fmt);
	strb_addv(&b, fmt, ap);
	va_end(ap);
	return err_set(e, ERR_INVALID, "invalid mount config for type \"%s\": %s", q->type ? q->type : "", b.s);
}

static int add_mount(struct engine *en, struct container_record *rec, const struct docker_mount *q, struct err *e)
{
	struct container_mount *m;
	int r = 0;

	static const char *const propagations[] = { "private", "rprivate", "slave", "rslave", "shared", "rshared" };
	bool known = !q->bind_options || str_empty(q->bind_options->propagation);

	if (str_empty(q->target))
		return invalid(e, q, "field Target must not be empty");
	if (q->volume_options && !streq(q->type, "volume"))
		return err_set(e, ERR_INVALID, "VolumeOptions must not be specified on mount type \"%s\"",
			       q->type ? q->type : "");
	if (q->bind_options && !streq(q->type, "bind"))
		return err_set(e, ERR_INVALID, "BindOptions must not be specified on mount type \"%s\"",
			       q->type ? q->type : "");
	if (q->tmpfs_options && !streq(q->type, "tmpfs"))
		return err_set(e, ERR_INVALID, "TmpfsOptions must not be specified on mount type \"%s\"",
			       q->type ? q->type : "");
	for (size_t i = 0; !known && i < ARRAY_LEN(propagations); i++)
		known = streq(q->bind_options->propagation, propagations[i]);
	if (!known)
		return invalid(e, q, "invalid propagation mode: %s", q->bind_options->propagation);
	if (q->target[0] != '/')
		return invalid(e, q, "invalid mount path: '%s' mount path must be absolute", q->target);
	{
		AUTO_FREE char *clean = path_clean(q->target);

		if (streq(clean, "/"))
			return invalid(e, q, "invalid specification: destination can't be '/'");
		if (find(rec, clean))
			return err_set(e, ERR_INVALID, "Duplicate mount point: %s", clean);
	}
	if (streq(q->type, "bind")) {
		if (str_empty(q->source))
			return invalid(e, q, "field Source must not be empty");
		if (q->source[0] != '/')
			return invalid(e, q, "invalid mount path: '%s' mount path must be absolute", q->source);
		if (access(q->source, F_OK) < 0) {
			if (!q->bind_options || !q->bind_options->create_mountpoint)
				return invalid(e, q, "bind source path does not exist: %s", q->source);
			r = dir_make(AT_FDCWD, q->source, 0755);
			if (r < 0)
				return err_sys(e, r, "making %s", q->source);
		}
		m = (struct container_mount *)add(rec, "bind", q->target);
		m->source = path_clean(q->source);
		if (q->bind_options) {
			if (!str_empty(q->bind_options->propagation))
				set(&m->propagation, q->bind_options->propagation);
			m->non_recursive = q->bind_options->non_recursive;
			m->ro_recursive = q->bind_options->ro_force_recursive;
		}
	} else if (streq(q->type, "volume")) {
		struct volume_req v = { .name = q->source };

		m = (struct container_mount *)add(rec, "volume", q->target);
		set(&m->mode, "z");
		if (q->volume_options) {
			v.labels = &q->volume_options->labels;
			m->no_copy = q->volume_options->no_copy;
			if (q->volume_options->driver_config) {
				v.driver = q->volume_options->driver_config->name;
				v.options = &q->volume_options->driver_config->options;
			}
			if (!str_empty(q->volume_options->subpath))
				return err_set(e, ERR_NOT_IMPLEMENTED,
					       "volume-subpath is not supported by this version of hoyd");
		}
		r = use_volume(en, m, &v, e);
	} else if (streq(q->type, "tmpfs")) {
		AUTO_STRB struct strb o = STRB_INIT;

		if (!str_empty(q->source))
			return invalid(e, q, "field Source must not be specified");
		m = (struct container_mount *)add(rec, "tmpfs", q->target);
		m->source = xstrdup("");
		strb_adds(&o, "noexec,nosuid,nodev");
		if (q->tmpfs_options && q->tmpfs_options->size_bytes)
			strb_addf(&o, ",size=%lld", (long long)q->tmpfs_options->size_bytes);
		if (q->tmpfs_options && q->tmpfs_options->mode)
			strb_addf(&o, ",mode=%llo", (unsigned long long)q->tmpfs_options->mode);
		m->options = strb_take(&o);
	} else {
		return invalid(e, q, "mount type unknown");
	}
	if (q->read_only)
		m->rw = false;
	return r;
}

/* "name[:ro|rw]": the mounts of another container */
static int add_from(struct engine *en, struct container_record *rec, const char *spec, struct err *e)
{
	AUTO_CONTAINER struct container *other = NULL;
	size_t n = strcspn(spec, ":");
	AUTO_FREE char *name = xstrndup(spec, n);
	const char *mode = spec[n] ? spec + n + 1 : "rw";
	int r;

	if (!*spec)
		return err_set(e, ERR_INVALID, "volumes-from specification cannot be an empty string");
	if (!streq(mode, "ro") && !streq(mode, "rw") && !streq(mode, "z"))
		return err_set(e, ERR_INVALID, "invalid mode: %s", mode);
	r = container_find(en, name, &other, e);
	if (r < 0) {
		e->kind = ERR_INVALID; /* it is the request that is wrong, not its address */
		return r;
	}
	pthread_mutex_lock(&other->lock);
	for (size_t i = 0; i < other->rec.mounts.n; i++) {
		if (find(rec, other->rec.mounts.v[i].destination) || streq(other->rec.mounts.v[i].type, "tmpfs"))
			continue;
		__typeof__(rec->mounts.v) m = VEC_ADD(&rec->mounts);

		json_copy(&container_mount_type, m, &other->rec.mounts.v[i]);
		m->rw = m->rw && !streq(mode, "ro");
		m->anonymous = false; /* goes with its first owner */
		m->no_copy = true;    /* and was filled by it */
	}
	pthread_mutex_unlock(&other->lock);
	return 0;
}

static int add_tmpfs(struct container_record *rec, const struct strkv *kv, struct err *e)
{
	struct container_mount *m;

	if (kv->k[0] != '/')
		return err_set(e, ERR_INVALID, "invalid mount path: '%s' mount path must be absolute", kv->k);
	if (streq(kv->k, "/"))
		return err_set(e, ERR_INVALID, "invalid specification: destination can't be '/'");
	if (find(rec, kv->k))
		return err_set(e, ERR_INVALID, "Duplicate mount point: %s", kv->k);
	m = (struct container_mount *)add(rec, "tmpfs", kv->k);
	m->source = xstrdup("");
	m->options = xasprintf("noexec,nosuid,nodev%s%s", *kv->v ? "," : "", kv->v);
	return 0;
}

static int by_destination(const void *a, const void *b)
{
	return strcmp(((const struct container_mount *)a)->destination,
		      ((const struct container_mount *)b)->destination);
}

int container_resolve_mounts(struct engine *en, struct container_record *rec, struct err *e)
{
	const struct docker_host_config *h = &rec->host;
	int r = 0;

	for (size_t i = 0; r == 0 && i < h->binds.n; i++)
		r = add_bind(en, rec, h->binds.v[i], e);
	for (size_t i = 0; r == 0 && i < h->mounts.n; i++)
		r = add_mount(en, rec, (const struct docker_mount *)&h->mounts.v[i], e);
	for (size_t i = 0; r == 0 && i < h->tmpfs.n; i++)
		r = add_tmpfs(rec, &h->tmpfs.v[i], e);
	for (size_t i = 0; r == 0 && i < h->volumes_from.n; i++)
		r = add_from(en, rec, h->volumes_from.v[i], e);
	for (size_t i = 0; r == 0 && i < rec->config.volumes.n; i++) {
		const char *destination = rec->config.volumes.v[i];
		AUTO_FREE char *whole = path_join("/", destination); /* images say "VOLUME data", and mean /data */
		AUTO_FREE char *clean = path_clean(whole);
		struct container_mount *m;

		if (!clean[1])
			return err_set(
				e, ERR_INVALID,
				"invalid volume specification: '%s': invalid specification: destination can't be '/'",
				destination);
		if (find(rec, clean))
			continue;
		m = (struct container_mount *)add(rec, "volume", clean);
		r = use_volume(en, m, &(struct volume_req){ .name = NULL }, e);
	}
	if (rec->mounts.n > 1) /* outer mounts before those inside them */
		qsort(rec->mounts.v, rec->mounts.n, sizeof *rec->mounts.v, by_destination);
	return r;
}
