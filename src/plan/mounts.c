/* Mounts: the option words of runc and crun, and where a mount may go. */
#include "plan/plan_private.h"

#include <sys/mount.h>

#include "base/kernel.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif
#ifndef MS_LAZYTIME
#define MS_LAZYTIME (1 << 25)
#endif

enum option_kind { SET, CLEAR, BIND, PROPAGATE, REC_SET, REC_CLEAR, REC_ATIME, EXTRA, NOTHING, UNSUPPORTED };
struct option {
	const char *name;
	enum option_kind kind;
	unsigned long value;
};

/* Sorted by name, for bsearch. */
static const struct option options[] = {
	{ "async", CLEAR, MS_SYNCHRONOUS },
	{ "atime", CLEAR, MS_NOATIME },
	{ "bind", BIND, MS_BIND },
	{ "copy-symlink", UNSUPPORTED, 0 },
	{ "defaults", NOTHING, 0 },
	{ "dest-nofollow", UNSUPPORTED, 0 },
	{ "dev", CLEAR, MS_NODEV },
	{ "diratime", CLEAR, MS_NODIRATIME },
	{ "dirsync", SET, MS_DIRSYNC },
	{ "exec", CLEAR, MS_NOEXEC },
	{ "idmap", EXTRA, PLAN_MOUNT_IDMAP },
	{ "iversion", SET, MS_I_VERSION },
	{ "lazytime", SET, MS_LAZYTIME },
	{ "loud", CLEAR, MS_SILENT },
	{ "mand", SET, MS_MANDLOCK },
	{ "noatime", SET, MS_NOATIME },
	{ "nodev", SET, MS_NODEV },
	{ "nodiratime", SET, MS_NODIRATIME },
	{ "noexec", SET, MS_NOEXEC },
	{ "noiversion", CLEAR, MS_I_VERSION },
	{ "nolazytime", CLEAR, MS_LAZYTIME },
	{ "nomand", CLEAR, MS_MANDLOCK },
	{ "norelatime", CLEAR, MS_RELATIME },
	{ "nostrictatime", CLEAR, MS_STRICTATIME },
	{ "nosuid", SET, MS_NOSUID },
	{ "nosymfollow", SET, MS_NOSYMFOLLOW },
	{ "private", PROPAGATE, MS_PRIVATE },
	{ "ratime", REC_ATIME, K_MOUNT_ATTR_RELATIME },
	{ "rbind", BIND, MS_BIND | MS_REC },
	{ "rdev", REC_CLEAR, K_MOUNT_ATTR_NODEV },
	{ "rdiratime", REC_CLEAR, K_MOUNT_ATTR_NODIRATIME },
	{ "relatime", SET, MS_RELATIME },
	{ "remount", UNSUPPORTED, 0 },
	{ "rexec", REC_CLEAR, K_MOUNT_ATTR_NOEXEC },
	{ "ridmap", EXTRA, PLAN_MOUNT_IDMAP },
	{ "rnoatime", REC_ATIME, K_MOUNT_ATTR_NOATIME },
	{ "rnodev", REC_SET, K_MOUNT_ATTR_NODEV },
	{ "rnodiratime", REC_SET, K_MOUNT_ATTR_NODIRATIME },
	{ "rnoexec", REC_SET, K_MOUNT_ATTR_NOEXEC },
	{ "rnorelatime", REC_ATIME, K_MOUNT_ATTR_RELATIME },
	{ "rnostrictatime", REC_ATIME, K_MOUNT_ATTR_RELATIME },
	{ "rnosuid", REC_SET, K_MOUNT_ATTR_NOSUID },
	{ "rnosymfollow", REC_SET, K_MOUNT_ATTR_NOSYMFOLLOW },
	{ "ro", SET, MS_RDONLY },
	{ "rprivate", PROPAGATE, MS_PRIVATE | MS_REC },
	{ "rrelatime", REC_ATIME, K_MOUNT_ATTR_RELATIME },
	{ "rro", REC_SET, K_MOUNT_ATTR_RDONLY },
	{ "rrw", REC_CLEAR, K_MOUNT_ATTR_RDONLY },
	{ "rshared", PROPAGATE, MS_SHARED | MS_REC },
	{ "rslave", PROPAGATE, MS_SLAVE | MS_REC },
	{ "rstrictatime", REC_ATIME, K_MOUNT_ATTR_STRICTATIME },
	{ "rsuid", REC_CLEAR, K_MOUNT_ATTR_NOSUID },
	{ "rsymfollow", REC_CLEAR, K_MOUNT_ATTR_NOSYMFOLLOW },
	{ "runbindable", PROPAGATE, MS_UNBINDABLE | MS_REC },
	{ "rw", CLEAR, MS_RDONLY },
	{ "shared", PROPAGATE, MS_SHARED },
	{ "silent", SET, MS_SILENT },
	{ "slave", PROPAGATE, MS_SLAVE },
	{ "src-nofollow", UNSUPPORTED, 0 },
	{ "strictatime", SET, MS_STRICTATIME },
	{ "suid", CLEAR, MS_NOSUID },
	{ "symfollow", CLEAR, MS_NOSYMFOLLOW },
	{ "sync", SET, MS_SYNCHRONOUS },
	{ "tmpcopyup", EXTRA, PLAN_MOUNT_TMPCOPYUP },
	{ "unbindable", PROPAGATE, MS_UNBINDABLE },
	{ "volumecopyup", EXTRA, PLAN_MOUNT_VOLUME_COPYUP }, /* ours: hoyd's plans of new volumes */
};

static int option_cmp(const void *key, const void *row)
{
	return strcmp(key, ((const struct option *)row)->name);
}

static const struct option *option_find(const char *name)
{
	return bsearch(name, options, ARRAY_LEN(options), sizeof *options, option_cmp);
}

const char *plan_mount_option_name(size_t i)
{
	for (size_t row = 0; row < ARRAY_LEN(options); row++)
		if (options[row].kind != UNSUPPORTED && i-- == 0)
			return options[row].name;
	return NULL;
}

int plan_propagation(const char *name, uint32_t *ret)
{
	const struct option *o = str_empty(name) ? NULL : option_find(name);

	if (!o || o->kind != PROPAGATE)
		return -EINVAL;
	*ret = (uint32_t)o->value;
	return 0;
}

static int option_apply(struct builder *b, const char *word, struct plan_mount *m, struct strb *data)
{
	const struct option *o = option_find(word);

	if (!o) {
		if (data->len)
			strb_addc(data, ',');
		strb_adds(data, word);
		return 0;
	}
	switch (o->kind) {
	case SET:
		m->flags |= o->value;
		m->clear &= ~o->value;
		break;
	case CLEAR:
		m->clear |= o->value;
		m->flags &= ~o->value;
		break;
	case BIND:
		m->kind = PLAN_MOUNT_BIND;
		m->flags |= o->value;
		break;
	case PROPAGATE:
		m->propagation = o->value;
		break;
	case REC_SET:
		m->rec_set |= o->value;
		m->rec_clear &= ~o->value;
		break;
	case REC_CLEAR:
		m->rec_clear |= o->value;
		m->rec_set &= ~o->value;
		break;
	case REC_ATIME: /* one field of values, not bits: it is set by clearing all of it first */
		m->rec_set = (m->rec_set & ~K_MOUNT_ATTR__ATIME) | o->value;
		m->rec_clear |= K_MOUNT_ATTR__ATIME;
		break;
	case EXTRA:
		m->extra |= o->value;
		break;
	case NOTHING:
		break;
	case UNSUPPORTED:
		return REFUSE(b, "mount %s: option \"%s\" is not supported", m->target, word);
	}
	return 0;
}

/* Programs believe what /proc says. Only these single files of it may be replaced (lxcfs does so). */
static const char *const proc_files[] = {
	"/proc/cpuinfo",
	"/proc/diskstats",
	"/proc/meminfo",
	"/proc/stat",
	"/proc/swaps",
	"/proc/uptime",
	"/proc/loadavg",
	"/proc/slabinfo",
	"/proc/net/dev",
	"/proc/sys/kernel/ns_last_pid",
	"/proc/sys/crypto/fips_enabled",
};

static int check_target(struct builder *b, const struct plan_mount *m)
{
	const char *rest = str_after(m->target, "/proc");

	if (streq(m->target, "/"))
		return REFUSE(b, "mount destination \"/\" is the container's root and cannot be mounted over");
	if (!rest || (*rest && *rest != '/'))
		return 0;
	if (!*rest) {
		if (streq(m->fstype, "proc") || (m->kind == PLAN_MOUNT_BIND && streq(m->source, "/proc")))
			return 0;
		return REFUSE(b, "\"/proc\" cannot be mounted because it is not of type proc");
	}
	for (size_t i = 0; i < ARRAY_LEN(proc_files); i++)
		if (streq(m->target, proc_files[i]))
			return 0;
	if (streq(m->fstype, "binfmt_misc") && streq(m->target, "/proc/sys/fs/binfmt_misc"))
		return 0;
	return REFUSE(b, "\"%s\" cannot be mounted because it is inside /proc", m->target);
}

static const char *clean_in_arena(struct builder *b, const char *path)
{
	AUTO_FREE char *clean = path_clean(path);

	return plan_arena_strdup(b->a, clean);
}

/* Absolute, or below the bundle. */
static int host_path(struct builder *b, const char *what, const char *path, const char **ret)
{
	AUTO_FREE char *joined = NULL;

	if (path[0] == '/') {
		*ret = clean_in_arena(b, path);
		return 0;
	}
	if (!b->env->bundle || b->env->bundle[0] != '/')
		return REFUSE(b, "%s \"%s\" must be an absolute path", what, path);
	joined = path_join(b->env->bundle, path);
	*ret = clean_in_arena(b, joined);
	return 0;
}

static int mount_from_spec(struct builder *b, const struct oci_mount *s, struct plan_mount *m)
{
	AUTO_STRB struct strb data = STRB_INIT;
	AUTO_STRB struct strb target = STRB_INIT;

	m->slot = -1;
	if (str_empty(s->destination))
		return REFUSE(b, "a mount has no destination");
	if (s->destination[0] != '/') {
		plan_warn(b->env, "mount destination %s is not absolute; taken as below /", s->destination);
		strb_addc(&target, '/');
	}
	strb_adds(&target, s->destination);
	m->target = clean_in_arena(b, strb_str(&target));
	for (size_t i = 0; i < s->options.n; i++) {
		int r = option_apply(b, s->options.v[i], m, &data);

		if (r < 0)
			return r;
	}
	m->fstype = s->type;
	m->source = s->source;
	if (streq(s->type, "bind")) {
		m->kind = PLAN_MOUNT_BIND;
		m->flags |= MS_BIND;
	}
	if (s->uid_mappings.n || s->gid_mappings.n)
		return REFUSE(b,
			      "mount %s: its own uidMappings and gidMappings are not supported; use the container's "
			      "with \"idmap\"",
			      m->target);
	if (m->kind == PLAN_MOUNT_BIND) {
		if (data.len)
			return REFUSE(b, "mount %s: a bind mount takes no file system option (\"%s\")", m->target,
				      strb_str(&data));
		if (str_empty(s->source))
			return REFUSE(b, "bind mount %s has no source", m->target);
		int r = host_path(b, "the source of a bind mount", s->source, &m->source);
		if (r < 0)
			return r;
		m->fstype = NULL;
		if (m->extra & PLAN_MOUNT_TMPCOPYUP)
			return REFUSE(b, "mount %s: \"tmpcopyup\" is for tmpfs only", m->target);
		return check_target(b, m);
	}
	if (str_empty(s->type))
		return REFUSE(b, "mount %s has neither a type nor the option \"bind\"", m->target);
	if (m->extra & PLAN_MOUNT_VOLUME_COPYUP)
		return REFUSE(b, "mount %s: \"volumecopyup\" is for bind mounts only", m->target);
	if (m->extra & PLAN_MOUNT_IDMAP)
		return REFUSE(b, "mount %s: \"idmap\" is for bind mounts only", m->target);
	if ((m->extra & PLAN_MOUNT_TMPCOPYUP) && !streq(s->type, "tmpfs"))
		return REFUSE(b, "mount %s: \"tmpcopyup\" is for tmpfs only", m->target);
	m->kind = streq(s->type, "cgroup") || streq(s->type, "cgroup2") ? PLAN_MOUNT_CGROUP : PLAN_MOUNT_FS;
	if (streq(s->type, "mqueue"))
		m->extra |= PLAN_MOUNT_OPTIONAL;
	if (str_empty(m->source))
		m->source = s->type;
	m->data = data.len ? plan_arena_strdup(b->a, strb_str(&data)) : NULL;
	return check_target(b, m);
}

static int root_mounts(struct builder *b, const struct oci_root *root, struct plan *p)
{
	struct plan_mount *m = (struct plan_mount *)p->mounts;

	if (b->env->n_root) {
		if (!streq(b->env->root[0].target, "/"))
			return REFUSE(b, "the first mount of a root file system must be \"/\"");
		memcpy(m, b->env->root, sizeof *m * b->env->n_root);
		return 0;
	}
	if (str_empty(root->path))
		return REFUSE(b, "root.path must not be empty");
	*m = (struct plan_mount){ .kind = PLAN_MOUNT_BIND, .flags = MS_BIND | MS_REC, .slot = -1, .target = "/" };
	return host_path(b, "root.path", root->path, &m->source);
}

int plan_mounts(struct builder *b, const struct oci_spec *s, struct plan *p)
{
	size_t n_root = b->env->n_root ? b->env->n_root : 1;
	struct plan_mount *m = NEW_ARRAY(b, struct plan_mount, n_root + s->mounts.n);
	int r;

	p->mounts = m;
	p->n_mounts = n_root + s->mounts.n;
	r = root_mounts(b, &s->root, p);
	for (size_t i = 0; r == 0 && i < s->mounts.n; i++)
		r = mount_from_spec(b, &s->mounts.v[i], &m[n_root + i]);
	p->root_readonly = s->root.readonly;
	return r;
}
