/* linux.* of the configuration: namespaces, id maps, sysctls, device nodes. */
#include "plan/plan_private.h"

#include <sys/stat.h>

enum ns_mode { NS_OURS, NS_NEW, NS_PATH, NS_SLOT };

static const struct {
	const char *name;
	enum plan_ns ns;
} ns_names[] = {
	{ "user", PLAN_NS_USER }, { "pid", PLAN_NS_PID }, { "network", PLAN_NS_NET },   { "ipc", PLAN_NS_IPC },
	{ "mount", PLAN_NS_MNT }, { "uts", PLAN_NS_UTS }, { "cgroup", PLAN_NS_CGROUP }, { "time", PLAN_NS_TIME },
};

static int ns_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(ns_names); i++)
		if (streq(ns_names[i].name, name))
			return ns_names[i].ns;
	return -EINVAL;
}

int plan_namespaces(struct builder *b, const struct oci_linux *l, struct plan *p)
{
	unsigned seen = 0;

	for (size_t i = 0; i < PLAN_NS_COUNT; i++)
		p->ns[i].slot = -1;
	for (size_t i = 0; i < l->namespaces.n; i++) {
		const struct oci_namespace *n = &l->namespaces.v[i];
		int ns = ns_find(n->type);

		if (ns < 0)
			return REFUSE(b, "namespace type \"%s\" does not exist", n->type ? n->type : "");
		if (seen & (1u << ns))
			return REFUSE(b, "namespace \"%s\" is given twice", n->type);
		seen |= 1u << ns;
		if (!str_empty(n->path) && n->path[0] != '/')
			return REFUSE(b, "namespace path \"%s\" is not absolute", n->path);
		p->ns[ns].mode = str_empty(n->path) ? NS_NEW : NS_PATH;
		p->ns[ns].path = str_empty(n->path) ? NULL : n->path;
	}
	for (size_t i = 0; b->env->ns && i < PLAN_NS_COUNT; i++)
		if (b->env->ns[i].mode != NS_OURS)
			p->ns[i] = b->env->ns[i];
	if (p->ns[PLAN_NS_MNT].mode == NS_OURS)
		return REFUSE(b, "a container needs a mount namespace of its own: linux.namespaces has none");
	if (p->ns[PLAN_NS_MNT].mode != NS_NEW)
		return REFUSE(b, "joining another container's mount namespace is not supported");
	return 0;
}

static int id_map(struct builder *b, const char *what, const struct oci_id_mapping *from, size_t n,
		  struct plan_idmap *to)
{
	for (size_t i = 0; i < n; i++) {
		const struct oci_id_mapping *m = &from[i];

		if (!m->size || m->size > UINT32_MAX || m->container_id > UINT32_MAX - m->size ||
		    m->host_id > UINT32_MAX - m->size)
			return REFUSE(b, "linux.%s: %ju %ju %ju is not a range of ids", what,
				      (uintmax_t)m->container_id, (uintmax_t)m->host_id, (uintmax_t)m->size);
		to[i] = (struct plan_idmap){ (uint32_t)m->container_id, (uint32_t)m->host_id, (uint32_t)m->size };
		for (size_t k = 0; k < i; k++)
			if ((to[k].inside < to[i].inside + to[i].count && to[i].inside < to[k].inside + to[k].count) ||
			    (to[k].outside < to[i].outside + to[i].count &&
			     to[i].outside < to[k].outside + to[k].count))
				return REFUSE(b, "linux.%s: two ranges overlap", what);
	}
	return 0;
}

static bool mapped(const struct plan_idmap *m, size_t n, uint32_t id)
{
	for (size_t i = 0; i < n; i++)
		if (id >= m[i].inside && id - m[i].inside < m[i].count)
			return true;
	return false;
}

enum { ID_MAP_MAX = 340 }; /* lines the kernel takes: user_namespaces(7) */

int plan_id_maps(struct builder *b, const struct oci_linux *l, struct plan *p)
{
	struct plan_idmap *uids, *gids;
	enum ns_mode user = p->ns[PLAN_NS_USER].mode;
	int r;

	if (user == NS_OURS) {
		if (l->uid_mappings.n || l->gid_mappings.n)
			return REFUSE(
				b, "user namespace mappings specified, but user namespace isn't enabled in the config");
		return 0;
	}
	if (user == NS_NEW && !l->uid_mappings.n)
		return REFUSE(b, "user namespaces enabled, but no uid mappings found");
	if (user == NS_NEW && !l->gid_mappings.n)
		return REFUSE(b, "user namespaces enabled, but no gid mappings found");
	if (l->uid_mappings.n > ID_MAP_MAX || l->gid_mappings.n > ID_MAP_MAX)
		return REFUSE(b, "user namespace mappings: more than %d ranges", ID_MAP_MAX);
	uids = NEW_ARRAY(b, struct plan_idmap, l->uid_mappings.n);
	gids = NEW_ARRAY(b, struct plan_idmap, l->gid_mappings.n);
	r = id_map(b, "uidMappings", l->uid_mappings.v, l->uid_mappings.n, uids);
	if (r == 0)
		r = id_map(b, "gidMappings", l->gid_mappings.v, l->gid_mappings.n, gids);
	if (r < 0)
		return r;
	p->uid_map = uids;
	p->n_uid_map = l->uid_mappings.n;
	p->gid_map = gids;
	p->n_gid_map = l->gid_mappings.n;
	if (user == NS_NEW && !p->process.user) {
		if (!mapped(uids, p->n_uid_map, p->process.uid))
			return REFUSE(b, "process.user: uid %u is not mapped in the user namespace", p->process.uid);
		if (!mapped(gids, p->n_gid_map, p->process.gid))
			return REFUSE(b, "process.user: gid %u is not mapped in the user namespace", p->process.gid);
	}
	return 0;
}

/* Which sysctls exist once per namespace; all others would be the host's. A name that ends with "/" is a directory. */
static const struct {
	const char *name;
	enum plan_ns ns;
} namespaced[] = {
	{ "kernel/msgmax", PLAN_NS_IPC }, { "kernel/msgmnb", PLAN_NS_IPC },          { "kernel/msgmni", PLAN_NS_IPC },
	{ "kernel/sem", PLAN_NS_IPC },    { "kernel/shmall", PLAN_NS_IPC },          { "kernel/shmmax", PLAN_NS_IPC },
	{ "kernel/shmmni", PLAN_NS_IPC }, { "kernel/shm_rmid_forced", PLAN_NS_IPC }, { "fs/mqueue/", PLAN_NS_IPC },
	{ "net/", PLAN_NS_NET },          { "kernel/domainname", PLAN_NS_UTS },      { "user/", PLAN_NS_USER },
};
static const char *const ns_adjectives[PLAN_NS_COUNT] = {
	[PLAN_NS_IPC] = "IPC", [PLAN_NS_NET] = "network", [PLAN_NS_UTS] = "UTS", [PLAN_NS_USER] = "user"
};

/* "net.ipv4.conf.eth0/100.forwarding" and "net/ipv4/conf/eth0.100/forwarding" are the same: as sysctl(8), the first
 * separator tells which kind of name it is. */
static char *sysctl_path(struct builder *b, const char *name)
{
	char *path = plan_arena_strdup(b->a, name);
	const char *first = strpbrk(name, "./");

	if (!first || *first == '/')
		return path;
	for (char *p = path; *p; p++)
		*p = *p == '.' ? '/' : *p == '/' ? '.' : *p;
	return path;
}

static bool path_is_plain(const char *path)
{
	if (path[0] == '/' || !path[0])
		return false;
	for (const char *part = path;; part++) {
		size_t n = strcspn(part, "/");

		if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		part += n;
		if (!*part)
			return true;
	}
}

static int check_sysctl(struct builder *b, const struct oci_spec *s, const struct plan *p, const char *name,
			const char *path)
{
	if (!path_is_plain(path))
		return REFUSE(b, "\"%s\" is not the name of a sysctl", name);
	if (streq(path, "kernel/hostname"))
		return REFUSE(b, "sysctl \"%s\" is not allowed: use the configuration's hostname", name);
	if (streq(path, "kernel/domainname") && !str_empty(s->domainname))
		return REFUSE(b, "sysctl \"%s\" conflicts with the configuration's domainname", name);
	for (size_t i = 0; i < ARRAY_LEN(namespaced); i++) {
		bool dir = str_ends(namespaced[i].name, "/");

		if (dir ? !str_after(path, namespaced[i].name) : !streq(path, namespaced[i].name))
			continue;
		if (p->ns[namespaced[i].ns].mode == NS_OURS)
			return REFUSE(b, "sysctl \"%s\" is not allowed in the hosts %s namespace", name,
				      ns_adjectives[namespaced[i].ns]);
		return 0;
	}
	return REFUSE(b, "sysctl \"%s\" is not in a separate kernel namespace", name);
}

int plan_sysctls(struct builder *b, const struct oci_spec *s, struct plan *p)
{
	const struct strmap *m = &s->linux_.sysctl;
	struct plan_kv *v = NEW_ARRAY(b, struct plan_kv, m->n);

	for (size_t i = 0; i < m->n; i++) {
		char *path = sysctl_path(b, m->v[i].k);
		int r = check_sysctl(b, s, p, m->v[i].k, path);

		if (r < 0)
			return r;
		v[i] = (struct plan_kv){ path, m->v[i].v };
	}
	p->sysctl = v;
	p->n_sysctl = m->n;
	return 0;
}

/* Nodes that every container has. */
static const struct plan_device default_devices[] = {
	{ "/dev/null", S_IFCHR, 1, 3, 0666, 0, 0 }, { "/dev/random", S_IFCHR, 1, 8, 0666, 0, 0 },
	{ "/dev/full", S_IFCHR, 1, 7, 0666, 0, 0 }, { "/dev/tty", S_IFCHR, 5, 0, 0666, 0, 0 },
	{ "/dev/zero", S_IFCHR, 1, 5, 0666, 0, 0 }, { "/dev/urandom", S_IFCHR, 1, 9, 0666, 0, 0 },
};

static int device(struct builder *b, const struct oci_device *s, struct plan_device *ret)
{
	AUTO_FREE char *clean = NULL;

	if (str_empty(s->path) || s->path[0] != '/')
		return REFUSE(b, "linux.devices: \"%s\" is not an absolute path", s->path ? s->path : "");
	clean = path_clean(s->path);
	if (streq(clean, "/"))
		return REFUSE(b, "linux.devices: \"%s\" is not the path of a device", s->path);
	ret->path = plan_arena_strdup(b->a, clean);
	if (streq(s->type, "c") || streq(s->type, "u"))
		ret->type = S_IFCHR;
	else if (streq(s->type, "b"))
		ret->type = S_IFBLK;
	else if (streq(s->type, "p"))
		ret->type = S_IFIFO;
	else
		return REFUSE(b, "linux.devices: %s: invalid type \"%s\"", s->path, s->type ? s->type : "");
	if (ret->type != S_IFIFO) {
		if (s->major < 0 || s->major > 0xfff || s->minor < 0 || s->minor > 0xfffff)
			return REFUSE(b, "linux.devices: %s: %jd:%jd is not a device number", s->path,
				      (intmax_t)s->major, (intmax_t)s->minor);
		ret->major = (uint32_t)s->major;
		ret->minor = (uint32_t)s->minor;
	}
	if (s->file_mode.set && (s->file_mode.v < 0 || s->file_mode.v > UINT32_MAX))
		return REFUSE(b, "linux.devices: %s: invalid fileMode %jd", s->path, (intmax_t)s->file_mode.v);
	if ((s->uid.set && (s->uid.v < 0 || s->uid.v >= UINT32_MAX)) ||
	    (s->gid.set && (s->gid.v < 0 || s->gid.v >= UINT32_MAX)))
		return REFUSE(b, "linux.devices: %s: invalid owner", s->path);
	ret->mode = s->file_mode.set ? (uint32_t)s->file_mode.v & 07777 : 0666;
	ret->uid = s->uid.set ? (uint32_t)s->uid.v : 0;
	ret->gid = s->gid.set ? (uint32_t)s->gid.v : 0;
	return 0;
}

static struct plan_device *device_find(struct plan_device *v, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++)
		if (streq(v[i].path, path))
			return &v[i];
	return NULL;
}

int plan_devices(struct builder *b, const struct oci_linux *l, struct plan *p)
{
	struct plan_device *v = NEW_ARRAY(b, struct plan_device, l->devices.n + ARRAY_LEN(default_devices));
	size_t n = 0;

	for (size_t i = 0; i < l->devices.n; i++) {
		struct plan_device d = { 0 }, *earlier;
		int r = device(b, &l->devices.v[i], &d);

		if (r < 0)
			return r;
		earlier = device_find(v, n, d.path);
		if (earlier)
			*earlier = d;
		else
			v[n++] = d;
	}
	for (size_t i = 0; i < ARRAY_LEN(default_devices); i++)
		if (!device_find(v, n, default_devices[i].path))
			v[n++] = default_devices[i];
	p->devices = v;
	p->n_devices = n;
	return 0;
}
