/* plan_codec.c - a start plan as bytes and back. One table per struct says its fields in the order of the wire.
 *
 * Wire: 8 bytes magic and kind, u32 PLAN_VERSION, one record. A record is a u32 length and the fields of its table; a reader that
 * knows fewer fields skips the rest, one that knows more finds zeros: tables may only grow at their ends. Numbers are
 * little-endian. A string is u32 length+1 (0 = NULL), its bytes and a NUL, so that a decoded plan can lend it. */
#include "act/plan_format.h"

#include <stdalign.h>

enum kind {
	U32,
	U64,
	STR,
	STRV,   /* NULL-terminated array of strings; NULL pointer kept apart from an empty one */
	BYTES,  /* pointer and count of bytes, aligned for what it is */
	U32V,   /* pointer and count of u32 */
	RECORD, /* a struct inside the struct */
	RECORDV /* pointer and count of structs */
};

struct table;
struct row {
	enum kind kind;
	size_t at, count_at; /* offsets in the struct */
	const struct table *sub;
};
struct table {
	const struct row *rows;
	size_t n_rows, size; /* size of the C struct */
};

/* The third value is only there to refuse, at compile time, a member of another width. */
#define R32(t, f) \
	{ \
		U32, offsetof(struct t, f), sizeof(char[sizeof(((struct t *)0)->f) == 4 ? 1 : -1]), NULL \
	}
#define R64(t, f) \
	{ \
		U64, offsetof(struct t, f), sizeof(char[sizeof(((struct t *)0)->f) == 8 ? 1 : -1]), NULL \
	}
#define RSTR(t, f) \
	{ \
		STR, offsetof(struct t, f), 0, NULL \
	}
#define RSTRV(t, f) \
	{ \
		STRV, offsetof(struct t, f), 0, NULL \
	}
#define RBYTES(t, f, n) \
	{ \
		BYTES, offsetof(struct t, f), offsetof(struct t, n), NULL \
	}
#define RU32V(t, f, n) \
	{ \
		U32V, offsetof(struct t, f), offsetof(struct t, n), NULL \
	}
#define RREC(t, f, s) \
	{ \
		RECORD, offsetof(struct t, f), 0, &s##_table \
	}
#define RVEC(t, f, n, s) \
	{ \
		RECORDV, offsetof(struct t, f), offsetof(struct t, n), &s##_table \
	}
#define TABLE(t) static const struct table t##_table = { t##_rows, ARRAY_LEN(t##_rows), sizeof(struct t) }

/* clang-format off */
static const struct row plan_mount_rows[] = {
	R32(plan_mount, kind), R32(plan_mount, flags), R32(plan_mount, clear), R32(plan_mount, rec_set),
	R32(plan_mount, rec_clear), R32(plan_mount, propagation), R32(plan_mount, extra), R32(plan_mount, slot),
	RSTR(plan_mount, target), RSTR(plan_mount, source), RSTR(plan_mount, fstype), RSTR(plan_mount, data),
	RSTRV(plan_mount, lowers), RSTR(plan_mount, lower_dir), RSTR(plan_mount, upper), RSTR(plan_mount, work),
};
TABLE(plan_mount);
static const struct row plan_device_rows[] = {
	RSTR(plan_device, path), R32(plan_device, type), R32(plan_device, major), R32(plan_device, minor),
	R32(plan_device, mode), R32(plan_device, uid), R32(plan_device, gid),
};
TABLE(plan_device);
static const struct row plan_device_rule_rows[] = {
	R32(plan_device_rule, allow), R32(plan_device_rule, type), R64(plan_device_rule, major),
	R64(plan_device_rule, minor), R32(plan_device_rule, access),
};
TABLE(plan_device_rule);
static const struct row plan_idmap_rows[] = {
	R32(plan_idmap, inside), R32(plan_idmap, outside), R32(plan_idmap, count),
};
TABLE(plan_idmap);
static const struct row plan_rlimit_rows[] = {
	R32(plan_rlimit, resource), R64(plan_rlimit, soft), R64(plan_rlimit, hard),
};
TABLE(plan_rlimit);
static const struct row plan_kv_rows[] = { RSTR(plan_kv, k), RSTR(plan_kv, v) };
TABLE(plan_kv);
static const struct row plan_throttle_rows[] = {
	R32(plan_throttle, major), R32(plan_throttle, minor), R64(plan_throttle, rate),
};
TABLE(plan_throttle);
static const struct row plan_hugetlb_rows[] = { RSTR(plan_hugetlb, page_size), R64(plan_hugetlb, limit) };
TABLE(plan_hugetlb);
static const struct row plan_weight_device_rows[] = {
	R32(plan_weight_device, major), R32(plan_weight_device, minor), R32(plan_weight_device, weight),
	R32(plan_weight_device, leaf_weight),
};
TABLE(plan_weight_device);
static const struct row plan_ns_choice_rows[] = {
	R32(plan_ns_choice, mode), R32(plan_ns_choice, slot), RSTR(plan_ns_choice, path),
};
TABLE(plan_ns_choice);
static const struct row plan_cgroup_rows[] = {
	RSTR(plan_cgroup, path), R64(plan_cgroup, memory), R64(plan_cgroup, memory_swap),
	R64(plan_cgroup, memory_reservation), R64(plan_cgroup, kernel_memory_tcp), R64(plan_cgroup, swappiness),
	R64(plan_cgroup, oom_disable), R64(plan_cgroup, use_hierarchy), R64(plan_cgroup, memory_check_before_update),
	R64(plan_cgroup, cpu_shares), R64(plan_cgroup, cpu_period), R64(plan_cgroup, cpu_rt_period),
	R64(plan_cgroup, cpu_quota), R64(plan_cgroup, cpu_rt_runtime), R64(plan_cgroup, cpu_burst),
	R64(plan_cgroup, cpu_idle), RSTR(plan_cgroup, cpus), RSTR(plan_cgroup, mems), R64(plan_cgroup, pids),
	R32(plan_cgroup, blkio_weight), R32(plan_cgroup, blkio_leaf_weight),
	RVEC(plan_cgroup, weight_devices, n_weight_devices, plan_weight_device),
	RVEC(plan_cgroup, throttle[0], n_throttle[0], plan_throttle),
	RVEC(plan_cgroup, throttle[1], n_throttle[1], plan_throttle),
	RVEC(plan_cgroup, throttle[2], n_throttle[2], plan_throttle),
	RVEC(plan_cgroup, throttle[3], n_throttle[3], plan_throttle),
	RVEC(plan_cgroup, hugetlb, n_hugetlb, plan_hugetlb),
	RVEC(plan_cgroup, devices, n_devices, plan_device_rule),
	RVEC(plan_cgroup, unified, n_unified, plan_kv), R32(plan_cgroup, net_classid),
	RVEC(plan_cgroup, net_prio, n_net_prio, plan_kv),
};
TABLE(plan_cgroup);
static const struct row plan_process_rows[] = {
	RSTRV(plan_process, args), RSTRV(plan_process, env), RSTR(plan_process, cwd), RSTR(plan_process, user),
	R32(plan_process, uid), R32(plan_process, gid), RU32V(plan_process, groups, n_groups),
	RSTRV(plan_process, group_names), R32(plan_process, late), R64(plan_process, umask),
	R32(plan_process, terminal), R32(plan_process, rows), R32(plan_process, cols),
	R64(plan_process, caps[0]), R64(plan_process, caps[1]), R64(plan_process, caps[2]),
	R64(plan_process, caps[3]), R64(plan_process, caps[4]), R32(plan_process, no_new_privs),
	R64(plan_process, oom_score_adj), RVEC(plan_process, rlimits, n_rlimits, plan_rlimit),
	RBYTES(plan_process, seccomp, n_seccomp), R32(plan_process, seccomp_flags),
	RSTR(plan_process, seccomp_listener), RSTR(plan_process, seccomp_metadata), RSTR(plan_process, apparmor),
	RSTR(plan_process, selinux), R64(plan_process, io_class), R64(plan_process, io_priority),
	R64(plan_process, sched_policy), R64(plan_process, sched_nice), R64(plan_process, sched_priority),
	R64(plan_process, sched_flags), R64(plan_process, sched_runtime), R64(plan_process, sched_deadline),
	R64(plan_process, sched_period), R64(plan_process, personality),
	RSTR(plan_process, exec_cpu_affinity_initial), RSTR(plan_process, exec_cpu_affinity_final),
};
TABLE(plan_process);
static const struct row plan_hook_rows[] = {
	R32(plan_hook, stage), RSTR(plan_hook, path), RSTRV(plan_hook, args), RSTRV(plan_hook, env),
	R64(plan_hook, timeout_s),
};
TABLE(plan_hook);
static const struct row plan_rows[] = {
	RSTR(plan, id), RSTR(plan, hostname), RSTR(plan, domainname),
	RREC(plan, ns[0], plan_ns_choice), RREC(plan, ns[1], plan_ns_choice), RREC(plan, ns[2], plan_ns_choice),
	RREC(plan, ns[3], plan_ns_choice), RREC(plan, ns[4], plan_ns_choice), RREC(plan, ns[5], plan_ns_choice),
	RREC(plan, ns[6], plan_ns_choice), RREC(plan, ns[7], plan_ns_choice),
	RVEC(plan, uid_map, n_uid_map, plan_idmap), RVEC(plan, gid_map, n_gid_map, plan_idmap),
	R64(plan, time_offsets[0]), R64(plan, time_offsets[1]), R64(plan, time_offsets[2]), R64(plan, time_offsets[3]),
	RVEC(plan, mounts, n_mounts, plan_mount), R32(plan, root_readonly), R32(plan, root_propagation),
	R32(plan, no_pivot), R32(plan, no_new_keyring), RVEC(plan, devices, n_devices, plan_device),
	RSTRV(plan, masked), RSTRV(plan, readonly), RVEC(plan, sysctl, n_sysctl, plan_kv),
	RREC(plan, cgroup, plan_cgroup), RREC(plan, process, plan_process), RVEC(plan, hooks, n_hooks, plan_hook),
	RVEC(plan, annotations, n_annotations, plan_kv), RSTR(plan, bundle), R32(plan, init),
};
TABLE(plan);
/* clang-format on */
_Static_assert(PLAN_NS_COUNT == 8, "one row of plan_rows per namespace");

/* ---- writing ---- */
static void put_u32(struct strb *b, uint32_t v)
{
	unsigned char le[4] = { (unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16),
				(unsigned char)(v >> 24) };

	strb_add(b, le, sizeof le);
}

static void put_u64(struct strb *b, uint64_t v)
{
	put_u32(b, (uint32_t)v);
	put_u32(b, (uint32_t)(v >> 32));
}

static void put_str(struct strb *b, const char *s)
{
	size_t n = s ? strlen(s) + 1 : 0;

	put_u32(b, (uint32_t)n);
	strb_add(b, s ? s : "", n);
}

static void put_record(struct strb *b, const struct table *t, const void *from);

static void put_field(struct strb *b, const struct row *row, const char *from)
{
	const void *p = from + row->at;
	size_t n = 0;

	switch (row->kind) {
	case U32:
		put_u32(b, *(const uint32_t *)p);
		return;
	case U64:
		put_u64(b, *(const uint64_t *)p);
		return;
	case STR:
		put_str(b, *(const char *const *)p);
		return;
	case STRV: {
		const char *const *v = *(const char *const *const *)p;

		for (n = 0; v && v[n];)
			n++;
		put_u32(b, v ? (uint32_t)n + 1 : 0);
		for (size_t i = 0; i < n; i++)
			put_str(b, v[i]);
		return;
	}
	case BYTES:
		n = *(const size_t *)(const void *)(from + row->count_at);
		put_u32(b, (uint32_t)n);
		strb_add(b, n ? *(const void *const *)p : "", n);
		return;
	case U32V:
		n = *(const size_t *)(const void *)(from + row->count_at);
		put_u32(b, (uint32_t)n);
		for (size_t i = 0; i < n; i++)
			put_u32(b, (*(const uint32_t *const *)p)[i]);
		return;
	case RECORD:
		put_record(b, row->sub, p);
		return;
	case RECORDV:
		n = *(const size_t *)(const void *)(from + row->count_at);
		put_u32(b, (uint32_t)n);
		for (size_t i = 0; i < n; i++)
			put_record(b, row->sub, *(const char *const *)p + i * row->sub->size);
		return;
	}
}

static void put_record(struct strb *b, const struct table *t, const void *from)
{
	size_t at = b->len;
	uint32_t n;

	put_u32(b, 0);
	for (size_t i = 0; i < t->n_rows; i++)
		put_field(b, &t->rows[i], from);
	n = (uint32_t)(b->len - at - 4);
	for (int i = 0; i < 4; i++)
		b->s[at + (size_t)i] = (char)(n >> (8 * i));
}

static const char plan_magic[8] = "hoyplan", process_magic[8] = "hoyproc";

static void encode(const char *magic, const struct table *t, const void *from, struct strb *out)
{
	struct strb b = STRB_INIT;

	/* The record's length is patched by its offset in a buffer of its own: out may hold bytes already. */
	strb_add(&b, magic, 8);
	put_u32(&b, PLAN_VERSION);
	put_record(&b, t, from);
	strb_add(out, b.s, b.len);
	strb_done(&b);
}

/* ---- reading: the same walk twice, first with base NULL to measure, then to fill ---- */
struct reader {
	const unsigned char *p;
	size_t n;
	bool bad;
};
struct arena {
	char *base; /* NULL while measuring */
	size_t used, max;
};

static const unsigned char *take(struct reader *r, size_t n)
{
	const unsigned char *p = r->p;

	if (n > r->n) {
		r->bad = true;
		r->n = 0;
		return NULL;
	}
	r->p += n;
	r->n -= n;
	return p;
}

static uint32_t get_u32(struct reader *r)
{
	const unsigned char *p = take(r, 4);

	return p ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : 0;
}

static uint64_t get_u64(struct reader *r)
{
	uint64_t low = get_u32(r);

	return low | (uint64_t)get_u32(r) << 32;
}

static const char *get_str(struct reader *r)
{
	uint32_t n = get_u32(r);
	const char *s;

	if (n == 0)
		return NULL;
	s = (const char *)take(r, n);
	if (s && memchr(s, 0, n) != s + n - 1)
		r->bad = true;
	return r->bad ? NULL : s;
}

/* Room for n elements; NULL while measuring, or when the budget is spent (then r->bad). */
static void *arena_take(struct arena *a, struct reader *r, size_t n, size_t size)
{
	size_t bytes, at = (a->used + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);

	if (r->bad || __builtin_mul_overflow(n, size, &bytes) || bytes > a->max || at > a->max - bytes) {
		r->bad = true;
		return NULL;
	}
	a->used = at + bytes;
	return a->base ? a->base + at : NULL;
}

static void get_record(struct reader *r, struct arena *a, const struct table *t, void *to);

/* `to` is NULL while measuring: what is read is checked and dropped. */
static void get_field(struct reader *r, struct arena *a, const struct row *row, char *to)
{
	void *p = to ? to + row->at : NULL;
	size_t n = 0;
	void *v = NULL;

	switch (row->kind) {
	case U32: {
		uint32_t x = get_u32(r);

		if (p)
			*(uint32_t *)p = x;
		return;
	}
	case U64: {
		uint64_t x = get_u64(r);

		if (p)
			*(uint64_t *)p = x;
		return;
	}
	case STR: {
		const char *s = get_str(r);

		if (p)
			*(const char **)p = s;
		return;
	}
	case STRV:
		n = get_u32(r);
		if (n == 0)
			return;
		if ((n - 1) > r->n / 4)
			r->bad = true;
		v = arena_take(a, r, n, sizeof(char *));
		for (size_t i = 0; i + 1 < n && !r->bad; i++) {
			const char *s = get_str(r);

			if (!s) /* it would cut the list short */
				r->bad = true;
			if (v)
				((const char **)v)[i] = s;
		}
		if (p)
			*(void **)p = v;
		return;
	case BYTES: {
		const unsigned char *bytes;

		n = get_u32(r);
		bytes = take(r, n);
		if (n == 0 || r->bad)
			return;
		v = arena_take(a, r, n, 1);
		if (v)
			memcpy(v, bytes, n);
		break;
	}
	case U32V:
		n = get_u32(r);
		if (n > r->n / 4)
			r->bad = true;
		if (n == 0)
			return;
		v = arena_take(a, r, n, sizeof(uint32_t));
		for (size_t i = 0; i < n && !r->bad; i++) {
			uint32_t x = get_u32(r);

			if (v)
				((uint32_t *)v)[i] = x;
		}
		break;
	case RECORD:
		get_record(r, a, row->sub, p);
		return;
	case RECORDV:
		n = get_u32(r);
		if (n > r->n / 4)
			r->bad = true;
		if (n == 0)
			return;
		v = arena_take(a, r, n, row->sub->size);
		for (size_t i = 0; i < n && !r->bad; i++)
			get_record(r, a, row->sub, v ? (char *)v + i * row->sub->size : NULL);
		break;
	}
	if (p && !r->bad) {
		*(void **)p = v;
		*(size_t *)(void *)(to + row->count_at) = n;
	}
}

static void get_record(struct reader *r, struct arena *a, const struct table *t, void *to)
{
	uint32_t n = get_u32(r);
	const unsigned char *p = take(r, n);
	struct reader in = { p, n, p == NULL };

	for (size_t i = 0; i < t->n_rows && in.n > 0 && !in.bad; i++)
		get_field(&in, a, &t->rows[i], to);
	if (in.bad)
		r->bad = true;
}

static int decode(const char *magic, const struct table *t, const void *bytes, size_t n, void **ret)
{
	struct reader start = { (const unsigned char *)bytes, n, false }, r;
	struct arena a = { 0 };
	const unsigned char *m;
	char *base;

	if (n > PLAN_BYTES_MAX)
		return -EBADMSG;
	a.max = n * 8;
	m = take(&start, 8);
	if (!m || memcmp(m, magic, 8) != 0 || get_u32(&start) != PLAN_VERSION || start.bad)
		return -EBADMSG;
	for (int filling = 0; filling < 2; filling++) {
		void *to;

		r = start;
		a.used = 0;
		to = arena_take(&a, &r, 1, t->size);
		get_record(&r, &a, t, to);
		if (r.bad || r.n != 0) {
			free(a.base);
			return -EBADMSG;
		}
		if (!filling) { /* the strings' bytes come along, behind the structs */
			a.base = xcalloc(1, a.used + n);
			start.p = memcpy(a.base + a.used, start.p, start.n);
		}
	}
	base = a.base;
	*ret = base; /* the outermost struct is the first thing in the arena */
	return 0;
}

void plan_encode(const struct plan *p, struct strb *out)
{
	encode(plan_magic, &plan_table, p, out);
}

int plan_decode(const void *bytes, size_t n, struct plan **ret)
{
	void *p = NULL;
	int r = decode(plan_magic, &plan_table, bytes, n, &p);

	if (r == 0)
		*ret = p;
	return r;
}

void plan_free(struct plan *p)
{
	free(p);
}

void plan_process_encode(const struct plan_process *p, struct strb *out)
{
	encode(process_magic, &plan_process_table, p, out);
}

int plan_process_decode(const void *bytes, size_t n, struct plan_process **ret)
{
	void *p = NULL;
	int r = decode(process_magic, &plan_process_table, bytes, n, &p);

	if (r == 0)
		*ret = p;
	return r;
}

void plan_process_free(struct plan_process *p)
{
	free(p);
}
