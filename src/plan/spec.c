/* The whole specification: what concerns all of it, and the order of the story. */
#include "plan/plan_private.h"

#include <sys/mount.h>

/* runc's 1.0.2-dev and other pre-releases are as good as releases; a 2.x would not be. */
static int check_version(struct builder *b, const char *version)
{
	if (str_empty(version))
		return REFUSE(b, "ociVersion is missing");
	if (!str_after(version, "1.") && !str_after(version, "0."))
		return REFUSE(b, "ociVersion %s is not supported; this runtime knows 1.0 to 1.3", version);
	return 0;
}

static int plan_hooks(struct builder *b, const struct oci_hooks *h, struct plan *p)
{
	const __typeof__(h->prestart) *stages[] = {
		&h->prestart,
		(const void *)&h->create_runtime,
		(const void *)&h->create_container,
		(const void *)&h->start_container,
		(const void *)&h->poststart,
		(const void *)&h->poststop,
	};
	struct plan_hook *v;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(stages); i++)
		n += stages[i]->n;
	v = NEW_ARRAY(b, struct plan_hook, n);
	p->hooks = v;
	p->n_hooks = n;
	for (size_t stage = 0; stage < ARRAY_LEN(stages); stage++)
		for (size_t i = 0; i < stages[stage]->n; i++) {
			const struct oci_hook *from = &stages[stage]->v[i];

			if (str_empty(from->path) || from->path[0] != '/')
				return REFUSE(b, "hooks: \"%s\" is not an absolute path", from->path ? from->path : "");
			if (from->timeout.set && from->timeout.v <= 0)
				return REFUSE(b, "hooks: %s: timeout must be positive", from->path);
			*v++ = (struct plan_hook){ .stage = (uint32_t)stage,
						   .path = from->path,
						   .args = plan_strings(b, &from->args),
						   .env = plan_strings(b, &from->env),
						   .timeout_s = from->timeout.v };
		}
	return 0;
}

/* Cleaned absolute paths; the empty string, which some callers leave in the list, is dropped. */
static int container_paths(struct builder *b, const char *what, const struct strv *from, const char *const **ret)
{
	const char **v = NEW_ARRAY(b, const char *, from->n + 1);
	size_t n = 0;

	for (size_t i = 0; i < from->n; i++) {
		if (str_empty(from->v[i]))
			continue;
		if (from->v[i][0] != '/')
			return REFUSE(b, "linux.%s: \"%s\" is not an absolute path", what, from->v[i]);
		AUTO_FREE char *clean = path_clean(from->v[i]);
		if (streq(clean, "/"))
			return REFUSE(b, "linux.%s: \"/\" is the whole container", what);
		v[n++] = plan_arena_strdup(b->a, clean);
	}
	*ret = v;
	return 0;
}

static int plan_names(struct builder *b, const struct oci_spec *s, struct plan *p)
{
	enum { NAME_MAX_LINUX = 64 };

	p->hostname = str_empty(s->hostname) ? NULL : s->hostname;
	p->domainname = str_empty(s->domainname) ? NULL : s->domainname;
	if (!p->hostname && !p->domainname)
		return 0;
	if (p->ns[PLAN_NS_UTS].mode == 0)
		return REFUSE(b, "unable to set %s without a private UTS namespace",
			      p->hostname ? "hostname" : "domainname");
	if ((p->hostname && strlen(p->hostname) > NAME_MAX_LINUX) ||
	    (p->domainname && strlen(p->domainname) > NAME_MAX_LINUX))
		return REFUSE(b, "hostname and domainname have at most %d characters", NAME_MAX_LINUX);
	return 0;
}

static int plan_time(struct builder *b, const struct oci_linux *l, struct plan *p)
{
	static const char *const clocks[] = { "monotonic", "boottime" };

	if (l->time_offsets.n && p->ns[PLAN_NS_TIME].mode != 1)
		return REFUSE(b, "time namespace offsets are specified without a new time namespace");
	for (size_t i = 0; i < l->time_offsets.n; i++) {
		const struct oci_time_offset *o = &l->time_offsets.v[i].val;
		size_t k = 0;

		while (k < ARRAY_LEN(clocks) && !streq(clocks[k], l->time_offsets.v[i].key))
			k++;
		if (k == ARRAY_LEN(clocks))
			return REFUSE(b, "linux.timeOffsets: clock \"%s\" has no offset in a time namespace",
				      l->time_offsets.v[i].key);
		if (o->nanosecs >= 1000000000)
			return REFUSE(b, "linux.timeOffsets: nanosecs must be below 1000000000");
		p->time_offsets[2 * k] = o->secs;
		p->time_offsets[2 * k + 1] = (int64_t)o->nanosecs;
	}
	return 0;
}

static int plan_personality(struct builder *b, const struct oci_personality *s, struct plan_process *p)
{
	enum { LINUX = 0, LINUX32 = 8 };

	if (!s)
		return 0;
	if (s->flags.n)
		return REFUSE(b, "linux.personality: flags are not supported");
	if (streq(s->domain, "LINUX"))
		p->personality = LINUX;
	else if (streq(s->domain, "LINUX32"))
		p->personality = LINUX32;
	else
		return REFUSE(b, "linux.personality: unknown domain \"%s\"", s->domain ? s->domain : "");
	return 0;
}

static int refuse_unsupported(struct builder *b, const struct oci_linux *l)
{
	if (l->memory_policy)
		return REFUSE(b, "linux.memoryPolicy is not supported");
	if (l->intel_rdt)
		return REFUSE(b, "linux.intelRdt is not supported");
	if (l->net_devices.n)
		return REFUSE(b, "linux.netDevices is not supported");
	if (!str_empty(l->mount_label))
		return REFUSE(b, "linux.mountLabel is not supported");
	return 0;
}

static int plan_cgroup_path(struct builder *b, const struct oci_linux *l, struct plan *p)
{
	const char *path = b->env->cgroup_path ? b->env->cgroup_path : l->cgroups_path;
	AUTO_STRB struct strb text = STRB_INIT;
	AUTO_FREE char *clean = NULL;

	if (str_empty(path))
		path = p->id;
	if (str_empty(path))
		return 0;
	for (const char *part = path; *part; part += strspn(part, "/")) {
		size_t n = strcspn(part, "/");

		if (n == 2 && part[0] == '.' && part[1] == '.')
			return REFUSE(b, "linux.cgroupsPath: \"%s\" must not contain \"..\"", path);
		part += n;
	}
	if (path[0] != '/')
		strb_addc(&text, '/');
	strb_adds(&text, path);
	clean = path_clean(strb_str(&text));
	if (streq(clean, "/"))
		return REFUSE(b, "linux.cgroupsPath: a container cannot be put in the root cgroup");
	p->cgroup.path = plan_arena_strdup(b->a, clean);
	return 0;
}

static void plan_annotations(struct builder *b, const struct oci_spec *s, struct plan *p)
{
	struct plan_kv *v = NEW_ARRAY(b, struct plan_kv, s->annotations.n);

	for (size_t i = 0; i < s->annotations.n; i++)
		v[i] = (struct plan_kv){ s->annotations.v[i].k, s->annotations.v[i].v };
	p->annotations = v;
	p->n_annotations = s->annotations.n;
}

static int plan_root(struct builder *b, const struct oci_linux *l, struct plan *p)
{
	p->root_propagation = MS_SLAVE | MS_REC;
	if (!str_empty(l->rootfs_propagation) && plan_propagation(l->rootfs_propagation, &p->root_propagation) < 0)
		return REFUSE(b, "linux.rootfsPropagation: \"%s\" does not exist", l->rootfs_propagation);
	p->no_pivot = b->env->no_pivot;
	p->no_new_keyring = b->env->no_new_keyring;
	return 0;
}

static int build(struct builder *b, const struct oci_spec *s, struct plan *p)
{
	const struct oci_linux *l = &s->linux_;
	int r;

	*p = (struct plan){ .id = b->env->id, .bundle = b->env->bundle, .init = b->env->init };
	r = check_version(b, s->oci_version);
	if (r == 0)
		r = refuse_unsupported(b, l);
	if (r == 0)
		r = plan_process(b, &s->process, l->seccomp, &p->process);
	if (r == 0)
		r = plan_personality(b, l->personality, &p->process);
	if (r == 0)
		r = plan_namespaces(b, l, p);
	if (r == 0)
		r = plan_id_maps(b, l, p);
	if (r == 0)
		r = plan_names(b, s, p);
	if (r == 0)
		r = plan_time(b, l, p);
	if (r == 0)
		r = plan_root(b, l, p);
	if (r == 0)
		r = plan_mounts(b, s, p);
	if (r == 0)
		r = plan_devices(b, l, p);
	if (r == 0)
		r = container_paths(b, "maskedPaths", &l->masked_paths, &p->masked);
	if (r == 0)
		r = container_paths(b, "readonlyPaths", &l->readonly_paths, &p->readonly);
	if (r == 0)
		r = plan_sysctls(b, s, p);
	if (r == 0)
		r = plan_cgroup_path(b, l, p);
	if (r == 0)
		r = plan_limits(b, &l->resources, &p->cgroup);
	if (r == 0)
		r = plan_device_rules(b, &l->resources, &p->cgroup);
	if (r == 0)
		r = plan_hooks(b, &s->hooks, p);
	plan_annotations(b, s, p);
	return r;
}

int plan_build(const struct oci_spec *spec, const struct plan_env *env, struct plan_arena *a, struct plan *ret,
	       struct err *e)
{
	struct builder b = { .env = env, .a = a, .e = e };

	return build(&b, spec, ret);
}

int plan_bytes_from_spec(const struct oci_spec *spec, const struct plan_env *env, struct strb *ret, struct err *e)
{
	AUTO_ARENA struct plan_arena a = PLAN_ARENA_INIT;
	struct plan p;
	int r = plan_build(spec, env, &a, &p, e);

	if (r < 0)
		return r;
	strb_clear(ret);
	plan_encode(&p, ret);
	if (ret->len > PLAN_BYTES_MAX) {
		strb_clear(ret);
		return err_set(e, ERR_INVALID, "the container's configuration is too big");
	}
	return 0;
}

int plan_from_spec(const struct oci_spec *spec, const struct plan_env *env, struct strb *bytes, struct plan **ret,
		   struct err *e)
{
	int r = plan_bytes_from_spec(spec, env, bytes, e);

	if (r < 0)
		return r;
	r = plan_decode(bytes->s, bytes->len, ret);
	return r < 0 ? err_sys(e, r, "reading back the start plan") : 0;
}

int plan_process_build(const struct oci_process *p, const struct oci_seccomp *seccomp, const struct plan_env *env,
		       struct plan_arena *a, struct plan_process *ret, struct err *e)
{
	struct builder b = { .env = env, .a = a, .e = e };

	return plan_process(&b, p, seccomp, ret);
}

int plan_process_bytes_from_spec(const struct oci_process *p, const struct oci_seccomp *seccomp,
				 const struct plan_env *env, struct strb *ret, struct err *e)
{
	AUTO_ARENA struct plan_arena a = PLAN_ARENA_INIT;
	struct plan_process process;
	int r = plan_process_build(p, seccomp, env, &a, &process, e);

	if (r < 0)
		return r;
	strb_clear(ret);
	plan_process_encode(&process, ret);
	return 0;
}

int plan_process_from_spec(const struct oci_process *p, const struct oci_seccomp *seccomp, const struct plan_env *env,
			   struct strb *bytes, struct plan_process **ret, struct err *e)
{
	int r = plan_process_bytes_from_spec(p, seccomp, env, bytes, e);

	if (r < 0)
		return r;
	r = plan_process_decode(bytes->s, bytes->len, ret);
	return r < 0 ? err_sys(e, r, "reading back the process") : 0;
}

int plan_limits_build(const struct oci_resources *r, const char *cgroup_path, const struct plan_env *env,
		      struct plan_arena *a, struct plan_cgroup *ret, struct err *e)
{
	struct builder b = { .env = env, .a = a, .e = e };

	*ret = (struct plan_cgroup){ .path = cgroup_path };
	return plan_limits(&b, r, ret);
}
