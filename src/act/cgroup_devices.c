/* cgroup_devices.c - which devices a container may use: a list of words on v1, a small BPF program on v2. */
#include "act/cgroup.h"
#include "base/kernel.h"

static void number(char ret[24], int64_t v)
{
	if (v < 0)
		(void)snprintf(ret, 24, "*");
	else
		(void)snprintf(ret, 24, "%lld", (long long)v);
}

int cg_devices_v1(int dir, const struct plan_device_rule *rules, size_t n, struct err *e)
{
	AUTO_FD int allow = openat(dir, "devices.allow", O_WRONLY | O_CLOEXEC);
	AUTO_FD int deny = openat(dir, "devices.deny", O_WRONLY | O_CLOEXEC);

	if (allow < 0 || deny < 0)
		return err_sys(e, -errno, "opening devices.allow");
	for (size_t i = 0; i < n; i++) {
		char major[24], minor[24], text[80];

		number(major, rules[i].major);
		number(minor, rules[i].minor);
		if (rules[i].type == 'a')
			(void)snprintf(text, sizeof text, "a"); /* the kernel reads nothing after it */
		else
			(void)snprintf(text, sizeof text, "%c %s:%s %s%s%s", (int)rules[i].type, major, minor,
				       rules[i].access & 1 ? "r" : "", rules[i].access & 2 ? "w" : "",
				       rules[i].access & 4 ? "m" : "");
		if (write(rules[i].allow ? allow : deny, text, strlen(text)) < 0)
			return err_sys(e, -errno, "writing \"%s\" to devices.%s", text,
				       rules[i].allow ? "allow" : "deny");
	}
	return 0;
}

/* ---- v2 ----  linux/bpf.h, by hand: musl-gcc has it not */
struct insn {
	uint8_t code, regs; /* regs: dst in the low nibble, src in the high one */
	int16_t off;
	int32_t imm;
};
enum { BPF_LOAD = 5, BPF_ATTACH = 8, BPF_DETACH = 9, BPF_FD_BY_ID = 13, BPF_QUERY = 16 };
enum { PROG_CGROUP_DEVICE = 15, ATTACH_CGROUP_DEVICE = 6, F_ALLOW_MULTI = 2 };
enum {
	LDX_W = 0x61,
	MOV64_IMM = 0xb7,
	MOV64_REG = 0xbf,
	ALU32_AND = 0x54,
	ALU32_RSH = 0x74,
	JNE_IMM = 0x55,
	EXIT = 0x95
};
enum { R0, R1, R2, R3, R4, R5, R6 };
#define PROGRAM_MAX 4096
#define OLD_MAX 16

struct program {
	struct insn v[PROGRAM_MAX];
	size_t n;
};

static void emit(struct program *p, int code, int dst, int src, int off, int64_t imm)
{
	if (p->n < PROGRAM_MAX)
		p->v[p->n] = (struct insn){ (uint8_t)code, (uint8_t)(dst | src << 4), (int16_t)off, (int32_t)imm };
	p->n++;
}

/* The last rule that fits decides, as on v1: walked from the end. r2 = type, r3 = access asked, r4 = major, r5 = minor. */
static void emit_rule(struct program *p, const struct plan_device_rule *rule)
{
	int access = (rule->access & 1 ? 2 : 0) | (rule->access & 2 ? 4 : 0) | (rule->access & 4 ? 1 : 0);
	size_t at = p->n;

	if (rule->type != 'a') {
		emit(p, JNE_IMM, R2, 0, 0, rule->type == 'b' ? 1 : 2);
		/* Allowing needs all that is asked, denying any of it. */
		if (access != 7) {
			emit(p, MOV64_REG, R1, R3, 0, 0);
			emit(p, ALU32_AND, R1, 0, 0, rule->allow ? ~access & 7 : access);
			emit(p, rule->allow ? JNE_IMM : 0x15 /* JEQ */, R1, 0, 0, 0);
		}
		if (rule->major >= 0)
			emit(p, JNE_IMM, R4, 0, 0, rule->major);
		if (rule->minor >= 0)
			emit(p, JNE_IMM, R5, 0, 0, rule->minor);
	}
	emit(p, MOV64_IMM, R0, 0, 0, rule->allow ? 1 : 0);
	emit(p, EXIT, 0, 0, 0, 0);
	if (p->n > PROGRAM_MAX)
		return;
	for (; at < p->n; at++) /* every jump leads behind the rule */
		if (p->v[at].code == JNE_IMM || p->v[at].code == 0x15)
			p->v[at].off = (int16_t)(p->n - at - 1);
}

static void build(struct program *p, const struct plan_device_rule *rules, size_t n)
{
	size_t i = n;

	p->n = 0;
	emit(p, LDX_W, R2, R1, 0, 0);
	emit(p, MOV64_REG, R3, R2, 0, 0);
	emit(p, ALU32_AND, R2, 0, 0, 0xffff);
	emit(p, ALU32_RSH, R3, 0, 0, 16);
	emit(p, LDX_W, R4, R1, 4, 0);
	emit(p, LDX_W, R5, R1, 8, 0);
	while (i-- > 0) {
		emit_rule(p, &rules[i]);
		if (rules[i].type == 'a') /* nothing above it can matter */
			return;
	}
	emit(p, MOV64_IMM, R0, 0, 0, 0);
	emit(p, EXIT, 0, 0, 0, 0);
}

static long bpf(int cmd, void *attr, size_t n)
{
#ifdef SYS_bpf
	return syscall(SYS_bpf, cmd, attr, n);
#else
	errno = ENOSYS;
	return -1;
#endif
}

static int load(const struct program *p)
{
	static const char license[] = "Apache-2.0";
	struct {
		uint32_t type, n;
		uint64_t insns, license;
		uint32_t log_level, log_size;
		uint64_t log;
		uint32_t version, flags;
	} attr = { .type = PROG_CGROUP_DEVICE,
		   .n = (uint32_t)p->n,
		   .insns = (uint64_t)(uintptr_t)p->v,
		   .license = (uint64_t)(uintptr_t)license };
	long fd = bpf(BPF_LOAD, &attr, sizeof attr);

	return fd < 0 ? -errno : (int)fd; /* born CLOEXEC */
}

/* The new program first, then the old ones away: there is no instant without a rule. */
int cg_devices_v2(int dir, const struct plan_device_rule *rules, size_t n, struct err *e)
{
	AUTO_FREE struct program *p = xmalloc(sizeof *p);
	AUTO_FD int cgroup = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), prog = -1;
	uint32_t old[OLD_MAX] = { 0 };
	struct {
		uint32_t target, attach_type, query_flags, attach_flags;
		uint64_t ids;
		uint32_t n, pad;
	} query = { .target = (uint32_t)cgroup,
		    .attach_type = ATTACH_CGROUP_DEVICE,
		    .ids = (uint64_t)(uintptr_t)old,
		    .n = OLD_MAX };
	struct {
		uint32_t target, prog, type, flags;
	} attach = { (uint32_t)cgroup, 0, ATTACH_CGROUP_DEVICE, F_ALLOW_MULTI };

	if (cgroup < 0)
		return err_sys(e, -errno, "opening the cgroup for its device filter");
	build(p, rules, n);
	if (p->n > PROGRAM_MAX)
		return err_set(e, ERR_INVALID, "too many device rules: %zu", n);
	if (bpf(BPF_QUERY, &query, sizeof query) < 0)
		query.n = 0;
	prog = load(p);
	if (prog < 0)
		return err_sys(e, prog, "loading the device filter");
	attach.prog = (uint32_t)prog;
	if (bpf(BPF_ATTACH, &attach, sizeof attach) < 0)
		return err_sys(e, -errno, "attaching the device filter");
	for (uint32_t i = 0; i < MIN(query.n, (uint32_t)OLD_MAX); i++) {
		struct {
			uint32_t id, next, flags;
		} by_id = { old[i], 0, 0 };
		long fd = bpf(BPF_FD_BY_ID, &by_id, sizeof by_id);

		if (fd < 0)
			continue;
		attach.prog = (uint32_t)fd;
		attach.flags = 0;
		if (bpf(BPF_DETACH, &attach, sizeof attach) < 0)
			(void)0; /* it went meanwhile */
		(void)close((int)fd);
	}
	return 0;
}
