/* A seccomp policy of the OCI configuration -> tables per architecture -> BPF. */
#include "plan/plan.h"
#include "plan/seccomp_bpf.h"

#include <linux/seccomp.h>
#include <seccomp.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

enum { X32_BIT = 0x40000000, ERRNO_MAX = 4095 };

/* System calls that old architectures also (or only) reach through socketcall(2) and ipc(2). libseccomp names them by negative
 * numbers: -100 - call for socketcall's, -200 - call for ipc's. Here are the numbers of those that also exist directly. */
enum mux_family { MUX_NONE, MUX_X86, MUX_S390, MUX_PPC, MUX_MIPS, MUX_FAMILIES };
enum { MUX_SOCKETCALL = 100, MUX_IPC = 200, MUX_END = 300 };
static const struct {
	int pseudo;
	uint16_t direct[MUX_FAMILIES]; /* 0 = only multiplexed */
} multiplexed[] = {
	/* clang-format off */
	{ 101, { 0, 359, 359, 326, 4183 } }, /* socket */
	{ 102, { 0, 361, 361, 327, 4169 } }, /* bind */
	{ 103, { 0, 362, 362, 328, 4170 } }, /* connect */
	{ 104, { 0, 363, 363, 329, 4174 } }, /* listen */
	{ 105, { 0,   0,   0, 330, 4168 } }, /* accept */
	{ 106, { 0, 367, 367, 331, 4172 } }, /* getsockname */
	{ 107, { 0, 368, 368, 332, 4171 } }, /* getpeername */
	{ 108, { 0, 360, 360, 333, 4184 } }, /* socketpair */
	{ 109, { 0,   0,   0, 334, 4178 } }, /* send */
	{ 110, { 0,   0,   0, 336, 4175 } }, /* recv */
	{ 111, { 0, 369, 369, 335, 4180 } }, /* sendto */
	{ 112, { 0, 371, 371, 337, 4176 } }, /* recvfrom */
	{ 113, { 0, 373, 373, 338, 4182 } }, /* shutdown */
	{ 114, { 0, 366, 366, 339, 4181 } }, /* setsockopt */
	{ 115, { 0, 365, 365, 340, 4173 } }, /* getsockopt */
	{ 116, { 0, 370, 370, 341, 4179 } }, /* sendmsg */
	{ 117, { 0, 372, 372, 342, 4177 } }, /* recvmsg */
	{ 118, { 0, 364, 364, 344, 4334 } }, /* accept4 */
	{ 119, { 0, 337, 357, 343, 4335 } }, /* recvmmsg */
	{ 120, { 0, 345, 358, 349, 4343 } }, /* sendmmsg */
	{ 202, { 0, 393, 393, 393, 4393 } }, /* semget */
	{ 203, { 0, 394, 394, 394, 4394 } }, /* semctl */
	{ 204, { 0,   0, 392, 392,    0 } }, /* semtimedop; on the 64-bit ones */
	{ 211, { 0, 400, 400, 400, 4400 } }, /* msgsnd */
	{ 212, { 0, 401, 401, 401, 4401 } }, /* msgrcv */
	{ 213, { 0, 399, 399, 399, 4399 } }, /* msgget */
	{ 214, { 0, 402, 402, 402, 4402 } }, /* msgctl */
	{ 221, { 0, 397, 397, 397, 4397 } }, /* shmat */
	{ 222, { 0, 398, 398, 398, 4398 } }, /* shmdt */
	{ 223, { 0, 395, 395, 395, 4395 } }, /* shmget */
	{ 224, { 0, 396, 396, 396, 4396 } }, /* shmctl */
	/* clang-format on */
};

/* libseccomp's tokens are the kernel's AUDIT_ARCH_*, but for x32, which shares x86_64's. `base` is where numbers begin. */
static const struct arch {
	const char *name;
	uint32_t token;
	bool wide;
	int base;
	enum mux_family mux;
} arches[] = {
	{ "SCMP_ARCH_X86", SCMP_ARCH_X86, false, 0, MUX_X86 },
	{ "SCMP_ARCH_X86_64", SCMP_ARCH_X86_64, true, 0 },
	{ "SCMP_ARCH_X32", SCMP_ARCH_X32, true, X32_BIT },
	{ "SCMP_ARCH_ARM", SCMP_ARCH_ARM, false, 0 },
	{ "SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64, true, 0 },
	{ "SCMP_ARCH_MIPS", SCMP_ARCH_MIPS, false, 4000, MUX_MIPS },
	{ "SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64, true, 5000 },
	{ "SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32, true, 6000 },
	{ "SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL, false, 4000, MUX_MIPS },
	{ "SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64, true, 5000 },
	{ "SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32, true, 6000 },
	{ "SCMP_ARCH_PPC", SCMP_ARCH_PPC, false, 0, MUX_PPC },
	{ "SCMP_ARCH_PPC64", SCMP_ARCH_PPC64, true, 0, MUX_PPC },
	{ "SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE, true, 0, MUX_PPC },
	{ "SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64, true, 0 },
	{ "SCMP_ARCH_S390", SCMP_ARCH_S390, false, 0, MUX_S390 },
	{ "SCMP_ARCH_S390X", SCMP_ARCH_S390X, true, 0, MUX_S390 },
	{ "SCMP_ARCH_PARISC", SCMP_ARCH_PARISC, false, 0 },
	{ "SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64, true, 0 },
};

/* System calls newer than libseccomp 2.5.4 of Debian 12; one number on all architectures unless a token says otherwise. */
static const struct {
	const char *name;
	int nr;
	uint32_t only;
} new_calls[] = {
	{ "cachestat", 451, 0 },
	{ "fchmodat2", 452, 0 },
	{ "map_shadow_stack", 453, 0 },
	{ "futex_wake", 454, 0 },
	{ "futex_wait", 455, 0 },
	{ "futex_requeue", 456, 0 },
	{ "statmount", 457, 0 },
	{ "listmount", 458, 0 },
	{ "lsm_get_self_attr", 459, 0 },
	{ "lsm_set_self_attr", 460, 0 },
	{ "lsm_list_modules", 461, 0 },
	{ "mseal", 462, 0 },
	{ "setxattrat", 463, 0 },
	{ "getxattrat", 464, 0 },
	{ "listxattrat", 465, 0 },
	{ "removexattrat", 466, 0 },
	{ "open_tree_attr", 467, 0 },
	{ "file_getattr", 468, 0 },
	{ "file_setattr", 469, 0 },
	{ "uretprobe", 335, SCMP_ARCH_X86_64 },
	{ "uprobe", 336, SCMP_ARCH_X86_64 },
	{ "riscv_hwprobe", 258, SCMP_ARCH_RISCV64 },
};

static const struct {
	const char *name;
	uint32_t ret;
	bool has_errno;
} actions[] = {
	{ "SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD, false },
	{ "SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD, false },
	{ "SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, false },
	{ "SCMP_ACT_TRAP", SECCOMP_RET_TRAP, false },
	{ "SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO, true },
	{ "SCMP_ACT_TRACE", SECCOMP_RET_TRACE, true },
	{ "SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW, false },
	{ "SCMP_ACT_LOG", SECCOMP_RET_LOG, false },
	{ "SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF, false },
};

static const struct {
	const char *name;
	enum seccomp_op op;
} ops[] = {
	{ "SCMP_CMP_NE", OP_NE },
	{ "SCMP_CMP_LT", OP_LT },
	{ "SCMP_CMP_LE", OP_LE },
	{ "SCMP_CMP_EQ", OP_EQ },
	{ "SCMP_CMP_GE", OP_GE },
	{ "SCMP_CMP_GT", OP_GT },
	{ "SCMP_CMP_MASKED_EQ", OP_MASKED_EQ },
};

static const struct {
	const char *name;
	uint32_t flag;
} flags[] = {
	{ "SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC },
	{ "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
	{ "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
	{ "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV },
};

static int action_find(const char *name, const struct json_oint *errno_ret, uint32_t *ret, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (!streq(actions[i].name, name))
			continue;
		*ret = actions[i].ret;
		if (!actions[i].has_errno) {
			if (errno_ret->set && errno_ret->v)
				return err_set(e, ERR_INVALID, "seccomp: action %s takes no errno", name);
			return 0;
		}
		if (errno_ret->set && (errno_ret->v < 0 || errno_ret->v > ERRNO_MAX))
			return err_set(e, ERR_INVALID, "seccomp: errno %jd is not in 0..%d", (intmax_t)errno_ret->v,
				       ERRNO_MAX);
		*ret |= errno_ret->set ? (uint32_t)errno_ret->v : EPERM;
		return 0;
	}
	return err_set(e, ERR_INVALID, "seccomp: unknown action \"%s\"", name ? name : "");
}

/* A number, a negative pseudo number (see `multiplexed`), or -1. */
static int resolve(const struct arch *a, const char *name)
{
	int nr = seccomp_syscall_resolve_name_arch(a->token, name);

	if (nr != __NR_SCMP_ERROR)
		return nr;
	for (size_t i = 0; i < ARRAY_LEN(new_calls); i++)
		if (streq(new_calls[i].name, name) && (!new_calls[i].only || new_calls[i].only == a->token))
			return new_calls[i].nr + a->base;
	return -1;
}

static void table_add(struct seccomp_table *t, const struct seccomp_rule *r, int nr)
{
	t->last = MAX(t->last, nr);
	if (r->action == t->otherwise)
		return;
	struct seccomp_rule *to = VEC_ADD(&t->rules);

	*to = *r;
	to->nr = nr;
	to->order = t->rules.n;
}

/* What socketcall's arguments point to cannot be seen: a rule with conditions that allows is not carried over, one that denies
 * denies the whole call. */
static void table_add_multiplexed(struct seccomp_table *t, const struct arch *a, const struct seccomp_rule *r,
				  int pseudo)
{
	bool ipc = pseudo >= MUX_IPC;
	struct seccomp_rule mux = { .action = r->action, .n_conds = 1 };

	for (size_t i = 0; i < ARRAY_LEN(multiplexed); i++)
		if (multiplexed[i].pseudo == pseudo && multiplexed[i].direct[a->mux])
			table_add(t, r, multiplexed[i].direct[a->mux]);
	if (r->n_conds && r->action == SECCOMP_RET_ALLOW)
		return;
	/* the upper half of ipc's is a version */
	mux.conds[0] = (struct seccomp_cond){ 0, OP_MASKED_EQ, ipc ? 0xffff : 0xffffffff,
					      (uint64_t)(pseudo - (ipc ? MUX_IPC : MUX_SOCKETCALL)) };
	table_add(t, &mux, seccomp_syscall_resolve_name_arch(a->token, ipc ? "ipc" : "socketcall"));
}

static void table_add_name(struct seccomp_table *t, const struct arch *a, const struct seccomp_rule *r,
			   const char *name)
{
	int nr = resolve(a, name);

	if (nr >= 0)
		table_add(t, r, nr);
	else if (a->mux && nr < -MUX_SOCKETCALL && nr > -MUX_END)
		table_add_multiplexed(t, a, r, -nr);
}

static int conditions(const struct oci_seccomp_syscall *s, struct seccomp_cond *ret, bool *ret_any, struct err *e)
{
	unsigned seen = 0;

	*ret_any = false;
	if (s->args.n > SECCOMP_ARGS)
		return err_set(e, ERR_INVALID, "seccomp: a rule has more than %d arguments", SECCOMP_ARGS);
	for (size_t i = 0; i < s->args.n; i++) {
		const struct oci_seccomp_arg *a = &s->args.v[i];
		size_t k = 0;

		while (k < ARRAY_LEN(ops) && !streq(ops[k].name, a->op))
			k++;
		if (k == ARRAY_LEN(ops))
			return err_set(e, ERR_INVALID, "seccomp: unknown operator \"%s\"", a->op ? a->op : "");
		if (a->index >= SECCOMP_ARGS)
			return err_set(e, ERR_INVALID, "seccomp: argument %ju does not exist", (uintmax_t)a->index);
		/* runc's rule: conditions are and-ed, unless one argument has several; then all are or-ed */
		*ret_any |= (seen >> a->index) & 1;
		seen |= 1u << a->index;
		ret[i] = (struct seccomp_cond){ (uint32_t)a->index, ops[k].op, a->value, a->value_two };
	}
	return 0;
}

static int table_fill(struct seccomp_table *t, const struct arch *a, const struct oci_seccomp *s, struct err *e)
{
	for (size_t i = 0; i < s->syscalls.n; i++) {
		const struct oci_seccomp_syscall *call = &s->syscalls.v[i];
		struct seccomp_rule r = { .n_conds = call->args.n };
		struct seccomp_rule split[SECCOMP_ARGS];
		bool any = false;
		int err = action_find(call->action, &call->errno_ret, &r.action, e);

		if (err == 0)
			err = conditions(call, r.conds, &any, e);
		if (err < 0)
			return err;
		for (size_t k = 0; any && k < call->args.n; k++) {
			split[k] = (struct seccomp_rule){ .action = r.action, .n_conds = 1 };
			split[k].conds[0] = r.conds[k];
		}
		for (size_t k = 0; k < call->names.n; k++)
			for (size_t m = 0; m < (any ? call->args.n : 1); m++)
				table_add_name(t, a, any ? &split[m] : &r, call->names.v[k]);
	}
	return 0;
}

static const struct arch *arch_by_token(uint32_t token)
{
	for (size_t i = 0; i < ARRAY_LEN(arches); i++)
		if (arches[i].token == token)
			return &arches[i];
	return NULL;
}

/* Native first; each once. */
static int arch_list(const struct oci_seccomp *s, const struct arch **ret, size_t *ret_n, struct err *e)
{
	size_t n = 0;

	ret[n] = arch_by_token(seccomp_arch_native());
	if (!ret[n++])
		return err_set(e, ERR_NOT_IMPLEMENTED, "seccomp: this machine's architecture is unknown");
	for (size_t i = 0; i < s->architectures.n; i++) {
		const struct arch *a = NULL;
		size_t k = 0;

		for (size_t j = 0; j < ARRAY_LEN(arches); j++)
			if (streq(arches[j].name, s->architectures.v[i]))
				a = &arches[j];
		if (!a && !streq(s->architectures.v[i], "SCMP_ARCH_NATIVE"))
			return err_set(e, ERR_INVALID, "seccomp: unknown architecture \"%s\"", s->architectures.v[i]);
		while (a && k < n && ret[k] != a)
			k++;
		if (a && k == n)
			ret[n++] = a;
	}
	*ret_n = n;
	return 0;
}

/* A system call that is newer than the policy gets ENOSYS, so that libc falls back, as with an older kernel; EPERM breaks it. */
static uint32_t beyond(uint32_t otherwise)
{
	switch (otherwise & SECCOMP_RET_ACTION_FULL) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
	case SECCOMP_RET_TRACE:
		return otherwise;
	default:
		return SECCOMP_RET_ERRNO | ENOSYS;
	}
}

static int section(struct bpf *p, const struct arch *a, const struct oci_seccomp *s, uint32_t otherwise, struct err *e)
{
	struct seccomp_table t = { .audit_arch = a->token,
				   .wide = a->wide,
				   .base = a->base,
				   .otherwise = otherwise,
				   .beyond = beyond(otherwise) };
	int r;

	t.last = a->base - 1;
	r = table_fill(&t, a, s, e);
	if (r == 0)
		bpf_search(p, &t);
	free(t.rules.v);
	return r;
}

enum { BAD_ARCH = SECCOMP_RET_KILL_THREAD };

/* x86_64 and x32 share the architecture word; bit 30 of the number tells them apart. -1 is a tracer's "skip it". */
static int section_x86_64(struct bpf *p, const struct arch *a, bool x32, const struct oci_seccomp *s,
			  uint32_t otherwise, struct err *e)
{
	struct bpf foreign = { 0 }, inner = { 0 };
	int r = 0;

	bpf_add(&inner, BPF_RET | BPF_K, 0, 0, otherwise);
	bpf_if(&foreign, BPF_JEQ, UINT32_MAX, &inner);
	if (x32)
		r = section(&foreign, arch_by_token(SCMP_ARCH_X32), s, otherwise, e);
	else
		bpf_add(&foreign, BPF_RET | BPF_K, 0, 0, BAD_ARCH);
	bpf_if(p, BPF_JGE, X32_BIT, &foreign);
	if (r == 0)
		r = section(p, a, s, otherwise, e);
	free(foreign.v);
	free(inner.v);
	return r;
}

static int program(struct bpf *p, const struct oci_seccomp *s, uint32_t otherwise, struct err *e)
{
	const struct arch *list[ARRAY_LEN(arches) + 1];
	size_t n = 0;
	bool x32 = false;
	int r = arch_list(s, list, &n, e);

	for (size_t i = 0; r == 0 && i < n; i++)
		x32 |= list[i]->token == SCMP_ARCH_X32;
	bpf_add(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, arch));
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct bpf body = { 0 };

		if (list[i]->token == SCMP_ARCH_X32)
			continue;
		bpf_add(&body, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
		r = list[i]->token == SCMP_ARCH_X86_64 ? section_x86_64(&body, list[i], x32, s, otherwise, e)
						       : section(&body, list[i], s, otherwise, e);
		bpf_if(p, BPF_JEQ, list[i]->token, &body);
		free(body.v);
	}
	bpf_add(p, BPF_RET | BPF_K, 0, 0, BAD_ARCH);
	if (r == 0 && p->n > BPF_MAXINSNS)
		return err_set(e, ERR_INVALID, "seccomp: the policy needs %zu instructions; the kernel takes %d", p->n,
			       BPF_MAXINSNS);
	return r;
}

static int filter_flags(const struct oci_seccomp *s, bool notify, uint32_t *ret, struct err *e)
{
	/* Without the field, as runc does: no costly mitigation for a filter that is not there to stop speculation. */
	*ret = s->flags.n ? 0 : SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	for (size_t i = 0; i < s->flags.n; i++) {
		size_t k = 0;

		while (k < ARRAY_LEN(flags) && !streq(flags[k].name, s->flags.v[i]))
			k++;
		if (k == ARRAY_LEN(flags))
			return err_set(e, ERR_INVALID, "seccomp: unknown flag \"%s\"", s->flags.v[i]);
		*ret |= flags[k].flag;
	}
	if (notify) /* excludes TSYNC, which means nothing for a process with one thread */
		*ret = (*ret & ~SECCOMP_FILTER_FLAG_TSYNC) | SECCOMP_FILTER_FLAG_NEW_LISTENER;
	else if (*ret & SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
		return err_set(e, ERR_INVALID,
			       "seccomp: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY");
	return 0;
}

static int check_notify(const struct oci_seccomp *s, bool *ret, struct err *e)
{
	*ret = false;
	if (streq(s->default_action, "SCMP_ACT_NOTIFY"))
		return err_set(e, ERR_INVALID, "seccomp: SCMP_ACT_NOTIFY cannot be the default action");
	for (size_t i = 0; i < s->syscalls.n; i++) {
		if (!streq(s->syscalls.v[i].action, "SCMP_ACT_NOTIFY"))
			continue;
		*ret = true;
		if (strv_has(&s->syscalls.v[i].names, "write"))
			return err_set(e, ERR_INVALID,
				       "seccomp: SCMP_ACT_NOTIFY cannot be used for write: the start itself needs it");
	}
	if (*ret && str_empty(s->listener_path))
		return err_set(e, ERR_INVALID, "seccomp: SCMP_ACT_NOTIFY needs a listenerPath");
	if (!*ret && !str_empty(s->listener_metadata) && str_empty(s->listener_path))
		return err_set(e, ERR_INVALID, "seccomp: listenerMetadata without a listenerPath");
	return 0;
}

int seccomp_compile(const struct oci_seccomp *s, struct seccomp_filter *ret, struct err *e)
{
	struct bpf p = { 0 };
	uint32_t otherwise = 0, filter = 0;
	bool notify = false;
	int r = action_find(s->default_action, &s->default_errno_ret, &otherwise, e);

	if (r == 0)
		r = check_notify(s, &notify, e);
	if (r == 0)
		r = filter_flags(s, notify, &filter, e);
	if (r == 0)
		r = program(&p, s, otherwise, e);
	if (r < 0) {
		free(p.v);
		return r;
	}
	*ret = (struct seccomp_filter){ p.v, p.n * sizeof *p.v, filter };
	return 0;
}
