#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plan/seccomp_cache.h"
#include "plan/seccomp_default.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/syscall.h>

static const char *corpus;
#define ANSWER(e) (SECCOMP_RET_ERRNO | (e))

/* What the kernel would say. */
static uint32_t run(const struct seccomp_filter *f, uint32_t arch, int nr, uint64_t arg0, uint64_t arg1)
{
	struct seccomp_data d = { .nr = nr, .arch = arch, .args = { arg0, arg1 } };
	const struct sock_filter *v = f->code;
	uint32_t a = 0;

	for (size_t pc = 0; pc < f->n / sizeof *v; pc++) {
		const struct sock_filter *i = &v[pc];
		bool yes = false;

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&a, (const char *)&d + i->k, sizeof a);
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			continue;
		case BPF_RET | BPF_K:
			return i->k;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == i->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			yes = a > i->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= i->k;
			break;
		default:
			fail_msg("unknown instruction %#x at %zu", i->code, pc);
		}
		pc += yes ? i->jt : i->jf;
	}
	fail_msg("the program runs off its end");
	return 0;
}

static struct seccomp_filter compiled(const struct oci_seccomp *s)
{
	struct seccomp_filter f = { 0 };
	struct err e = ERR_INIT;

	if (seccomp_compile(s, &f, &e) < 0)
		fail_msg("%s", e.msg);
	return f;
}

static const struct seccomp_host amd64 = { "amd64", 6, 1 };

static struct seccomp_filter docker(uint64_t caps)
{
	struct oci_seccomp s = { 0 };
	struct seccomp_filter f;

	seccomp_default(caps, &amd64, &s);
	f = compiled(&s);
	json_done(&oci_seccomp_type, &s);
	return f;
}

static uint64_t cap(const char *name)
{
	return UINT64_C(1) << plan_cap_number(name);
}

#ifdef __x86_64__
#define X86_64 AUDIT_ARCH_X86_64
#define X86 AUDIT_ARCH_I386

static void test_default_allows_the_ordinary_and_denies_the_rest(void **state)
{
	struct seccomp_filter f = docker(cap("CAP_CHOWN"));

	assert_int_equal(run(&f, X86_64, SYS_read, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&f, X86_64, SYS_execve, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&f, X86_64, SYS_mount, 0, 0), ANSWER(EPERM));
	assert_int_equal(run(&f, X86_64, SYS_keyctl, 0, 0), ANSWER(EPERM));
	assert_int_equal(run(&f, X86_64, 425, 0, 0), ANSWER(EPERM)); /* io_uring_setup */
	assert_int_equal(run(&f, X86_64, SYS_chroot, 0, 0), ANSWER(EPERM));
	free(f.code);
}

static void test_default_follows_capabilities(void **state)
{
	struct seccomp_filter f = docker(cap("CAP_SYS_ADMIN") | cap("CAP_SYS_CHROOT"));

	assert_int_equal(run(&f, X86_64, SYS_mount, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&f, X86_64, 435, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&f, X86_64, SYS_clone, 0x10000000, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&f, X86_64, SYS_chroot, 0, 0), SECCOMP_RET_ALLOW);
	free(f.code);
}

static void test_default_ptrace_is_allowed_since_linux_4_8(void **state)
{
	struct seccomp_host old = { "amd64", 4, 7 };
	struct seccomp_filter f = docker(0);
	struct oci_seccomp s = { 0 };

	assert_int_equal(run(&f, X86_64, SYS_ptrace, 0, 0), SECCOMP_RET_ALLOW);
	free(f.code);
	seccomp_default(0, &old, &s);
	f = compiled(&s);
	assert_int_equal(run(&f, X86_64, SYS_ptrace, 0, 0), ANSWER(EPERM));
	free(f.code);
	json_done(&oci_seccomp_type, &s);
}

static void test_default_personality_by_value(void **state)
{
	struct seccomp_filter f = docker(0);

	assert_int_equal(run(&f, X86_64, SYS_personality, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&f, X86_64, SYS_personality, 8, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&f, X86_64, SYS_personality, 0x20008, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&f, X86_64, SYS_personality, 0xffffffff, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&f, X86_64, SYS_personality, 0x0040000, 0), ANSWER(EPERM)); /* ADDR_NO_RANDOMIZE: gdb */
	assert_int_equal(run(&f, X86_64, SYS_personality, UINT64_C(1) << 32, 0), ANSWER(EPERM));
	free(f.code);
}

static void test_default_clone3_does_not_exist_and_clone_makes_no_namespaces(void **state)
{
	struct seccomp_filter f = docker(0);

	assert_int_equal(run(&f, X86_64, 435, 0, 0), ANSWER(ENOSYS));
	assert_int_equal(run(&f, X86_64, SYS_clone, 0x01200011, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&f, X86_64, SYS_clone, 0x10000000, 0), ANSWER(EPERM));
	assert_int_equal(run(&f, X86_64, SYS_clone, 0x00020000, 0), ANSWER(EPERM));
	free(f.code);
}

static void test_default_socket_refuses_vsock(void **state)
{
	struct seccomp_filter f = docker(0);

	assert_int_equal(run(&f, X86_64, SYS_socket, 2, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&f, X86_64, SYS_socket, 40, 0), ANSWER(EPERM));
	free(f.code);
}

static void test_calls_newer_than_the_policy_do_not_exist(void **state)
{
	struct seccomp_filter f = docker(0);

	assert_int_equal(run(&f, X86_64, 451, 0, 0), SECCOMP_RET_ALLOW); /* cachestat: newer than libseccomp 2.5.4 */
	assert_int_equal(run(&f, X86_64, 466, 0, 0), SECCOMP_RET_ALLOW); /* removexattrat, the newest of the policy */
	assert_int_equal(run(&f, X86_64, 467, 0, 0), ANSWER(ENOSYS));
	assert_int_equal(run(&f, X86_64, 9999, 0, 0), ANSWER(ENOSYS));
	free(f.code);
}

static void test_architectures_have_their_own_numbers(void **state)
{
	struct seccomp_filter f = docker(0);

	assert_int_equal(run(&f, X86, 3, 0, 0), SECCOMP_RET_ALLOW);               /* read */
	assert_int_equal(run(&f, X86, 21, 0, 0), ANSWER(EPERM));                  /* mount */
	assert_int_equal(run(&f, X86, 102, 1, 0), SECCOMP_RET_ALLOW);             /* socketcall */
	assert_int_equal(run(&f, X86_64, 0x40000000, 0, 0), SECCOMP_RET_ALLOW);   /* read of x32 */
	assert_int_equal(run(&f, X86_64, 0x40000000 + 165, 0, 0), ANSWER(EPERM)); /* mount of x32 */
	assert_int_equal(run(&f, X86_64, -1, 0, 0), ANSWER(EPERM));
	assert_int_equal(run(&f, AUDIT_ARCH_AARCH64, 0, 0, 0), SECCOMP_RET_KILL_THREAD);
	free(f.code);
}

static struct seccomp_filter policy(const char *json)
{
	struct oci_seccomp s = { 0 };
	struct err e = ERR_INIT;
	struct seccomp_filter f;

	if (json_read(&oci_seccomp_type, json, strlen(json), &json_limits_default, &s, &e) < 0)
		fail_msg("%s", e.msg);
	f = compiled(&s);
	json_done(&oci_seccomp_type, &s);
	return f;
}

static void test_every_operator_over_64_bits(void **state)
{
	static const struct {
		const char *op;
		uint64_t value, two;
		uint64_t yes[3], no[3];
	} t[] = {
#define BIG UINT64_C(0x100000005)
		{ "SCMP_CMP_EQ", BIG, 0, { BIG, BIG, BIG }, { 5, BIG + 1, UINT64_C(0x200000005) } },
		{ "SCMP_CMP_NE", BIG, 0, { 5, BIG + 1, UINT64_C(0x200000005) }, { BIG, BIG, BIG } },
		{ "SCMP_CMP_LT", BIG, 0, { BIG - 1, 6, 0 }, { BIG, BIG + 1, UINT64_C(0x200000000) } },
		{ "SCMP_CMP_LE", BIG, 0, { BIG, BIG - 1, 6 }, { BIG + 1, UINT64_C(0x200000000), UINT64_MAX } },
		{ "SCMP_CMP_GE", BIG, 0, { BIG, BIG + 1, UINT64_C(0x200000000) }, { BIG - 1, 6, 0 } },
		{ "SCMP_CMP_GT", BIG, 0, { BIG + 1, UINT64_C(0x200000000), UINT64_MAX }, { BIG, BIG - 1, 6 } },
		{ "SCMP_CMP_MASKED_EQ",
		  UINT64_C(0xf0000000f),
		  BIG,
		  { BIG, BIG + 0x10, BIG + (UINT64_C(1) << 36) },
		  { 5, BIG + 1, BIG << 1 } },
	};

	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		AUTO_FREE char *text = xasprintf(
			"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"getpid\"],\"action\":\"SCMP_"
			"ACT_ERRNO\","
			"\"errnoRet\":7,\"args\":[{\"index\":0,\"value\":%ju,\"valueTwo\":%ju,\"op\":\"%s\"}]}]}",
			(uintmax_t)t[i].value, (uintmax_t)t[i].two, t[i].op);
		struct seccomp_filter f = policy(text);

		for (size_t k = 0; k < 3; k++) {
			assert_int_equal(run(&f, X86_64, SYS_getpid, t[i].yes[k], 0), ANSWER(7));
			assert_int_equal(run(&f, X86_64, SYS_getpid, t[i].no[k], 0), SECCOMP_RET_ALLOW);
		}
		free(f.code);
	}
}

#define SYSCALLS(list) "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[" list "]}"
#define ARG(i, v) "{\"index\":" #i ",\"value\":" #v ",\"op\":\"SCMP_CMP_EQ\"}"

static void test_conditions_are_anded_unless_one_argument_repeats(void **state)
{
	struct seccomp_filter f = policy(
		SYSCALLS("{\"names\":[\"getpid\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[" ARG(0, 1) "," ARG(
			1, 2) "]},"
			      "{\"names\":[\"getppid\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[" ARG(0, 1) "," ARG(
				      0, 2) "]}"));

	assert_int_equal(run(&f, X86_64, SYS_getpid, 1, 2), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&f, X86_64, SYS_getpid, 1, 3), ANSWER(EPERM));
	assert_int_equal(run(&f, X86_64, SYS_getppid, 1, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&f, X86_64, SYS_getppid, 2, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&f, X86_64, SYS_getppid, 3, 0), ANSWER(EPERM));
	free(f.code);
}

static void test_denied_socket_is_denied_through_socketcall(void **state)
{
	struct seccomp_filter f = policy(
		"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86\"],\"syscalls\":["
		"{\"names\":[\"socket\",\"semop\"],\"action\":\"SCMP_ACT_KILL_PROCESS\"}]}");

	assert_int_equal(run(&f, X86, 359, 2, 0), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(run(&f, X86, 102, 1, 0), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(run(&f, X86, 102, 3, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&f, X86, 117, 0x10001, 0), SECCOMP_RET_KILL_PROCESS); /* ipc(2) with a version */
	free(f.code);
}

/* The generator against libseccomp's: Docker's policy, every number, both architectures. */
static void test_same_answers_as_libseccomp(void **state)
{
	static const uint64_t args[] = {
		0, 8, 40, 0x20000, 0x20008, 0x40000, 0x10000000, 0xffffffff, UINT64_C(1) << 33
	};
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	struct oci_seccomp s = { 0 };
	struct seccomp_filter ours, theirs = { 0 };
	FILE *out = tmpfile();
	int last = 0;

	seccomp_default(0, &amd64, &s);
	ours = compiled(&s);
	assert_int_equal(seccomp_arch_add(ctx, SCMP_ARCH_X86), 0);
	assert_int_equal(seccomp_arch_add(ctx, SCMP_ARCH_X32), 0);
	for (size_t i = 0; i < s.syscalls.n; i++) {
		const struct oci_seccomp_syscall *call = &s.syscalls.v[i];

		for (size_t k = 0; k < call->names.n; k++) {
			int nr = seccomp_syscall_resolve_name(call->names.v[k]);
			struct scmp_arg_cmp cmp = { 0 };

			if (nr == __NR_SCMP_ERROR)
				continue;
			last = MAX(last, nr);
			if (call->args.n)
				cmp = (struct scmp_arg_cmp){ (unsigned)call->args.v[0].index,
							     streq(call->args.v[0].op, "SCMP_CMP_NE") ? SCMP_CMP_NE
							     : streq(call->args.v[0].op, "SCMP_CMP_EQ")
								     ? SCMP_CMP_EQ
								     : SCMP_CMP_MASKED_EQ,
							     call->args.v[0].value, call->args.v[0].value_two };
			assert_int_equal(seccomp_rule_add_array(ctx,
								streq(call->action, "SCMP_ACT_ALLOW")
									? SCMP_ACT_ALLOW
									: SCMP_ACT_ERRNO(ENOSYS),
								nr, call->args.n ? 1 : 0, &cmp),
					 0);
		}
	}
	assert_int_equal(seccomp_export_bpf(ctx, fileno(out)), 0);
	theirs.n = (size_t)ftell(out);
	(void)fseek(out, 0, SEEK_END);
	theirs.n = (size_t)lseek(fileno(out), 0, SEEK_END);
	theirs.code = xmalloc(theirs.n);
	assert_int_equal(pread(fileno(out), theirs.code, theirs.n, 0), (ssize_t)theirs.n);
	assert_true(ours.n < theirs.n);
	for (int nr = 0; nr <= last; nr++)
		for (size_t i = 0; i < ARRAY_LEN(args); i++) {
			uint32_t want = run(&theirs, X86_64, nr, args[i], 0);

			if (nr == 335) /* uretprobe: newer than libseccomp */
				continue;
			if (run(&ours, X86_64, nr, args[i], 0) != want)
				fail_msg("%d(%#jx): %#x instead of %#x", nr, (uintmax_t)args[i],
					 run(&ours, X86_64, nr, args[i], 0), want);
			if (run(&ours, X86, nr, args[i], 0) != run(&theirs, X86, nr, args[i], 0))
				fail_msg("x86 %d(%#jx): %#x instead of %#x", nr, (uintmax_t)args[i],
					 run(&ours, X86, nr, args[i], 0), run(&theirs, X86, nr, args[i], 0));
		}
	(void)fclose(out);
	seccomp_release(ctx);
	free(ours.code);
	free(theirs.code);
	json_done(&oci_seccomp_type, &s);
}

/* What dockerd 28.5.2 wrote for its runtime. */
static void expect_recorded(const char *file, uint64_t caps)
{
	AUTO_FREE char *path = path_join(corpus, file);
	AUTO_FREE char *text = NULL;
	AUTO_STRB struct strb ours = STRB_INIT, theirs = STRB_INIT;
	struct oci_spec spec = { 0 };
	struct oci_seccomp s = { 0 };
	struct err e = ERR_INIT;
	size_t n;

	assert_int_equal(file_read(-100, path, 1 << 20, &text, &n), 0);
	assert_int_equal(json_read(&oci_spec_type, text, n, &json_limits_default, &spec, &e), 0);
	seccomp_default(caps ? caps : plan_cap_mask(&spec.process.capabilities.bounding), &amd64, &s);
	json_write(&oci_seccomp_type, &s, JSON_LATEST, &ours);
	json_write(&oci_seccomp_type, spec.linux_.seccomp, JSON_LATEST, &theirs);
	assert_string_equal(strb_str(&ours), strb_str(&theirs));
	json_done(&oci_seccomp_type, &s);
	json_done(&oci_spec_type, &spec);
}

static void test_default_is_what_docker_writes(void **state)
{
	expect_recorded("docker-default.json", 0);
	expect_recorded("docker-all.json", 0);
}
#endif

static void refuses(const char *json, const char *message)
{
	struct seccomp_filter f = { 0 };
	struct oci_seccomp s = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(json_read(&oci_seccomp_type, json, strlen(json), &json_limits_default, &s, &e), 0);
	assert_true(seccomp_compile(&s, &f, &e) < 0);
	assert_int_equal(e.kind, ERR_INVALID);
	assert_string_equal(e.msg, message);
	json_done(&oci_seccomp_type, &s);
}

static void test_nonsense_is_refused(void **state)
{
	refuses("{}", "seccomp: unknown action \"\"");
	refuses("{\"defaultAction\":\"SCMP_ACT_MAYBE\"}", "seccomp: unknown action \"SCMP_ACT_MAYBE\"");
	refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"VAX\"]}",
		"seccomp: unknown architecture \"VAX\"");
	refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"X\"]}", "seccomp: unknown flag \"X\"");
	refuses("{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":5000}",
		"seccomp: errno 5000 is not in 0..4095");
	refuses("{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}", "seccomp: SCMP_ACT_NOTIFY cannot be the default action");
	refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"x\"],\"action\":\"SCMP_ACT_NOTIFY\"}"
		"]}",
		"seccomp: SCMP_ACT_NOTIFY needs a listenerPath");
	refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_"
		"ERRNO\","
		"\"args\":[{\"index\":6,\"op\":\"SCMP_CMP_EQ\"}]}]}",
		"seccomp: argument 6 does not exist");
	refuses("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_"
		"ERRNO\","
		"\"args\":[{\"index\":0,\"op\":\"=\"}]}]}",
		"seccomp: unknown operator \"=\"");
}

static int profile(const char *json, uint64_t caps, struct oci_seccomp *ret, struct err *e)
{
	static const struct seccomp_host host = { "amd64", 6, 1 };

	return seccomp_from_docker_profile(json, strlen(json), caps, &host, ret, e);
}

static void test_profile_conditions(void **state)
{
	struct oci_seccomp s = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(
		profile("{\"defaultAction\":\"SCMP_ACT_ERRNO\","
			"\"archMap\":[{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":[\"SCMP_ARCH_X86\"]},"
			"{\"architecture\":\"SCMP_ARCH_AARCH64\",\"subArchitectures\":null}],"
			"\"syscalls\":["
			"{\"name\":\"one\",\"action\":\"SCMP_ACT_ALLOW\",\"comment\":\"x\",\"includes\":{},"
			"\"excludes\":{}},"
			"{\"names\":[\"caps\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_CHOWN\","
			"\"CAP_KILL\"]}},"
			"{\"names\":[\"nocaps\"],\"action\":\"SCMP_ACT_ALLOW\",\"excludes\":{\"caps\":[\"CAP_CHOWN\","
			"\"CAP_KILL\"]}},"
			"{\"names\":[\"arm\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"arches\":[\"arm64\"]}},"
			"{\"names\":[\"new\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"6.2\"}},"
			"{\"names\":[\"old\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"5.10\"},"
			"\"args\":null}]}",
			cap("CAP_CHOWN"), &s, &e),
		0);
	assert_int_equal(s.architectures.n, 2);
	assert_string_equal(s.architectures.v[1], "SCMP_ARCH_X86");
	assert_int_equal(s.syscalls.n, 2);
	assert_string_equal(s.syscalls.v[0].names.v[0], "one");
	assert_string_equal(s.syscalls.v[1].names.v[0], "old");
	json_done(&oci_seccomp_type, &s);
}

static void test_profile_mistakes_are_told_in_dockers_words(void **state)
{
	struct oci_seccomp s = { 0 };
	struct err e = ERR_INIT;

	assert_true(profile("{\"defaultAction\":1}", 0, &s, &e) < 0);
	assert_non_null(strstr(e.msg, "Decoding seccomp profile failed: "));
	assert_true(profile("{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"name\":\"a\",\"names\":[\"b\"]}]}",
			    0, &s, &e) < 0);
	assert_string_equal(
		e.msg, "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'");
	assert_true(profile("{\"syscalls\":[{\"names\":[\"b\"],\"includes\":{\"minKernel\":\"six\"}}]}", 0, &s, &e) <
		    0);
	assert_string_equal(e.msg, "invalid kernel version: six, expected \"<kernel>.<major>\"");
	assert_null(s.default_action);
}

/* ---- the cache ---- */
static void test_a_cached_filter_is_the_one_compiled_for_its_profile_and_caps(void **state UNUSED)
{
	static const char *const profiles[] = { NULL,
						"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":["
						"\"ptrace\"],\"action\":\"SCMP_ACT_ERRNO\"}]}",
						"{\"defaultAction\":\"SCMP_ACT_ALLOW\"}" };
	struct seccomp_cache *c = seccomp_cache_new();

	for (int round = 0; round < 3; round++) /* more keys than slots: some are compiled again */
		for (size_t i = 0; i < ARRAY_LEN(profiles); i++)
			for (uint64_t caps = 0; caps < 4; caps++) {
				uint64_t mask = caps & 2 ? (uint64_t)1 << 21 | caps : caps;
				AUTO_SECCOMP struct seccomp_ready got = { 0 };
				struct oci_seccomp policy = { 0 };
				struct seccomp_filter want = { 0 };
				bool read;

				assert_int_equal(seccomp_cache_get(c, profiles[i], mask, &got, &read, NULL), 0);
				if (profiles[i])
					assert_int_equal(seccomp_from_docker_profile(profiles[i], strlen(profiles[i]),
										     mask, NULL, &policy, NULL),
							 0);
				else
					seccomp_default(mask, NULL, &policy);
				assert_int_equal(seccomp_compile(&policy, &want, NULL), 0);
				assert_int_equal(got.filter.n, want.n);
				assert_int_equal(got.filter.flags, want.flags);
				assert_memory_equal(got.filter.code, want.code, want.n);
				free(want.code);
				json_done(&oci_seccomp_type, &policy);
			}
	seccomp_cache_free(c);
}

static void test_a_bad_profile_is_refused_each_time(void **state UNUSED)
{
	static const char *const bad[] = { "{nonsense", "{\"defaultAction\":\"SCMP_ACT_NONSENSE\"}" };
	struct seccomp_cache *c = seccomp_cache_new();

	for (size_t i = 0; i < 4; i++) {
		AUTO_SECCOMP struct seccomp_ready got = { 0 };
		struct err e = ERR_INIT;
		bool read = i % 2 == 0;

		assert_true(seccomp_cache_get(c, bad[i % 2], 0, &got, &read, &e) < 0);
		assert_int_equal(read, i % 2 == 1);
		assert_true(*e.msg);
	}
	seccomp_cache_free(c);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
#ifdef __x86_64__
		cmocka_unit_test(test_default_allows_the_ordinary_and_denies_the_rest),
		cmocka_unit_test(test_default_follows_capabilities),
		cmocka_unit_test(test_default_ptrace_is_allowed_since_linux_4_8),
		cmocka_unit_test(test_default_personality_by_value),
		cmocka_unit_test(test_default_clone3_does_not_exist_and_clone_makes_no_namespaces),
		cmocka_unit_test(test_default_socket_refuses_vsock),
		cmocka_unit_test(test_calls_newer_than_the_policy_do_not_exist),
		cmocka_unit_test(test_architectures_have_their_own_numbers),
		cmocka_unit_test(test_every_operator_over_64_bits),
		cmocka_unit_test(test_conditions_are_anded_unless_one_argument_repeats),
		cmocka_unit_test(test_denied_socket_is_denied_through_socketcall),
		cmocka_unit_test(test_same_answers_as_libseccomp),
		cmocka_unit_test(test_default_is_what_docker_writes),
#endif
		cmocka_unit_test(test_nonsense_is_refused),
		cmocka_unit_test(test_profile_conditions),
		cmocka_unit_test(test_a_cached_filter_is_the_one_compiled_for_its_profile_and_caps),
		cmocka_unit_test(test_a_bad_profile_is_refused_each_time),
		cmocka_unit_test(test_profile_mistakes_are_told_in_dockers_words),
	};

	if (argc < 2)
		return 2;
	corpus = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
