/* act's cgroups, v1 on this host's controllers and v2 in a scratch cgroup of its unified tree. As root, for real. */
#include "act/cgroup.h"
#include "act/fixture.h"

#define NEEDS_V1() \
	do { \
		NEEDS_ROOT(); \
		if (act_cgroup_version() != ACT_CGROUP_V1) { \
			print_message("skipped: this host has no cgroup v1 controllers\n"); \
			skip(); \
		} \
	} while (0)

static struct plan_cgroup plain(void)
{
	return (struct plan_cgroup){ .path = fx_cgroup, .swappiness = -1, .cpu_idle = -1 };
}

static int64_t value(const char *controller, const char *file)
{
	AUTO_FD int dir = cg_open(cg_find(cg_host(), controller), fx_cgroup);
	int64_t v = -77;

	assert_true(dir >= 0);
	assert_int_equal(cg_read_key(dir, file, NULL, &v), 0);
	return v;
}

static void test_v1_limits_are_written(void **state)
{
	static const struct plan_throttle bps[] = { { 254, 0, 1 << 20 } };
	struct plan_cgroup c = plain();
	struct err e = ERR_INIT;

	NEEDS_V1();
	c.path = fx_cgroup;
	c.memory = 64 << 20;
	c.memory_swap = 128 << 20;
	c.memory_reservation = 32 << 20;
	c.pids = 17;
	c.cpu_shares = 512;
	c.cpu_period = 50000;
	c.cpu_quota = 25000;
	c.cpus = "0";
	if (access("/sys/dev/block/254:0", F_OK) == 0) {
		c.throttle[0] = bps;
		c.n_throttle[0] = 1;
	}
	if (act_cgroup_make(&c, false, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(value("memory", "memory.limit_in_bytes"), 64 << 20);
	assert_int_equal(value("memory", "memory.memsw.limit_in_bytes"), 128 << 20);
	assert_int_equal(value("memory", "memory.soft_limit_in_bytes"), 32 << 20);
	assert_int_equal(value("pids", "pids.max"), 17);
	assert_int_equal(value("cpu", "cpu.shares"), 512);
	assert_int_equal(value("cpu", "cpu.cfs_quota_us"), 25000);
	assert_int_equal(value("cpuset", "cpuset.cpus"), 0);
	assert_int_equal(act_cgroup_remove(fx_cgroup), 0);
	assert_int_equal(act_cgroup_remove(fx_cgroup), 0); /* gone is fine */
}

static void test_v1_memory_and_swap_move_up_and_down_together(void **state)
{
	static const int64_t steps[][2] = {
		{ 64 << 20, 128 << 20 }, { 256 << 20, 512 << 20 }, { 32 << 20, 32 << 20 }, { -1, -1 }
	};
	struct plan_cgroup c = plain();
	struct err e = ERR_INIT;

	NEEDS_V1();
	c.path = fx_cgroup;
	assert_int_equal(act_cgroup_make(&c, false, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		c.memory = steps[i][0];
		c.memory_swap = steps[i][1];
		if (act_cgroup_update(&c, &e) < 0)
			fail_msg("step %zu: %s", i, e.msg);
		if (c.memory > 0)
			assert_int_equal(value("memory", "memory.limit_in_bytes"), c.memory);
	}
	assert_int_equal(act_cgroup_remove(fx_cgroup), 0);
}

static void test_a_limit_without_its_controller_is_an_error(void **state)
{
	static const struct plan_hugetlb huge[] = { { "2MB", 1 << 21 } };
	struct plan_cgroup c = plain();
	struct err e = ERR_INIT;

	NEEDS_V1();
	if (cg_find(cg_host(), "hugetlb")) {
		print_message("skipped: this host has every controller on v1\n");
		skip();
	}
	c.path = fx_cgroup;
	c.hugetlb = huge;
	c.n_hugetlb = 1;
	assert_true(act_cgroup_make(&c, false, &e) < 0);
	assert_string_equal(e.msg, "cgroup controller \"hugetlb\" is not available on this host, but a limit is set");
	assert_int_equal(access("/sys/fs/cgroup/memory", F_OK), 0);
	{
		AUTO_FD int dir = cg_open(cg_find(cg_host(), "memory"), fx_cgroup);

		assert_int_equal(dir, -ENOENT); /* the half-made one is gone again */
	}
}

static void test_too_many_shares_are_refused(void **state)
{
	struct plan_cgroup c = plain();
	struct err e = ERR_INIT;

	NEEDS_V1();
	c.path = fx_cgroup;
	c.cpu_shares = 262145;
	assert_true(act_cgroup_make(&c, false, &e) < 0);
	assert_string_equal(e.msg, "the maximum allowed cpu-shares is 262144");
}

static void test_dotdot_is_refused(void **state)
{
	static const char *const bad[] = { "/a/../../b", "..", "", "/", "a/..", NULL };
	struct err e = ERR_INIT;

	for (size_t i = 0; bad[i]; i++) {
		struct plan_cgroup c = { .path = bad[i] };

		assert_true(act_cgroup_make(&c, false, &e) < 0);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_true(act_cgroup_remove(bad[i]) < 0);
		assert_true(act_cgroup_kill(bad[i]) < 0);
	}
	assert_int_equal(cg_path_check("/a..b/..c", &e), 0);
}

static void test_used_cgroup_is_refused_unless_adopted(void **state)
{
	struct plan_cgroup c = plain();
	struct err e = ERR_INIT;
	pid_t pid;

	NEEDS_ROOT();
	c.path = fx_cgroup;
	assert_int_equal(act_cgroup_make(&c, false, &e), 0);
	pid = fork();
	if (pid == 0)
		for (;;)
			(void)pause();
	assert_int_equal(cg_join(fx_cgroup, pid, &e), 0);
	assert_true(act_cgroup_make(&c, false, &e) < 0);
	assert_non_null(strstr(e.msg, "cgroup is not empty: 1 process(es) found"));
	assert_int_equal(act_cgroup_make(&c, true, &e), 0);
	assert_int_equal(act_cgroup_kill(fx_cgroup), 0);
	assert_int_equal(fx_wait(pid), 128 + SIGKILL);
	assert_int_equal(act_cgroup_remove(fx_cgroup), 0);
}

static void test_limits_hold_in_a_container_and_oom_is_counted(void **state)
{
	struct fx f;
	int oom = -1;

	NEEDS_V1();
	fx_init(&f);
	f.p.cgroup.memory = f.p.cgroup.memory_swap = 16 << 20;
	f.p.cgroup.pids = 5;
	fx_sh(&f, "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done");
	assert_int_equal(fx_create(&f), 0);
	assert_int_equal(act_cgroup_oom_fd(fx_cgroup, &oom), 0);
	assert_int_equal(act_cgroup_oom_count(fx_cgroup), 0);
	assert_int_equal(act_start(&f.child, &f.e), 0);
	assert_int_equal(fx_wait(f.child.pid), 128 + SIGKILL);
	assert_int_equal(act_cgroup_oom_count(fx_cgroup), 1);
	{
		uint64_t n = 0;

		assert_int_equal(read(oom, &n, sizeof n), sizeof n);
	}
	(void)close(oom);
	fx_done(&f);
}

static void freeze_and_kill(void)
{
	struct act_pids pids = { 0 };
	struct fx f;

	fx_init(&f);
	fx_sh(&f, "trap '' TERM; sleep 1000 & sleep 1000 & echo up; wait");
	assert_int_equal(fx_create(&f), 0);
	if (act_start(&f.child, &f.e) < 0)
		fail_msg("%s", f.e.msg);
	assert_int_equal(read(f.pipe, f.out, 3), 3);
	if (act_cgroup_freeze(fx_cgroup, true, &f.e) < 0)
		fail_msg("%s", f.e.msg);
	assert_int_equal(act_cgroup_pids(fx_cgroup, &pids), 0);
	assert_int_equal(pids.n, 3);
	free(pids.v);
	assert_int_equal(act_cgroup_freeze(fx_cgroup, false, &f.e), 0);
	assert_int_equal(act_cgroup_freeze(fx_cgroup, true, &f.e), 0);
	assert_int_equal(act_cgroup_kill(fx_cgroup), 0); /* frozen ones too */
	assert_int_equal(fx_wait(f.child.pid), 128 + SIGKILL);
	fx_done(&f);
	pids = (struct act_pids){ 0 };
	assert_int_equal(act_cgroup_pids(fx_cgroup, &pids), -ENOENT);
}

static void test_freeze_kill_and_remove_leave_nothing(void **state)
{
	NEEDS_ROOT();
	freeze_and_kill();
}

static void test_processes_below_are_found_and_killed(void **state)
{
	struct plan_cgroup c = plain();
	AUTO_FREE char *below = NULL;
	pid_t pid;

	NEEDS_V1();
	below = xasprintf("%s/in/side", fx_cgroup);
	c.path = below;
	assert_int_equal(act_cgroup_make(&c, false, NULL), 0);
	pid = fork();
	if (pid == 0)
		for (;;)
			(void)pause();
	assert_int_equal(cg_join(below, pid, NULL), 0);
	assert_int_equal(act_cgroup_kill(fx_cgroup), 0);
	assert_int_equal(fx_wait(pid), 128 + SIGKILL);
	assert_int_equal(act_cgroup_remove(fx_cgroup), 0);
}

/* ---- v2: in a cgroup below the unified mount of a hybrid host, or the real tree ---- */
static const char *v2_tree(struct cg_host *h)
{
	static const char *const mounts[] = { "/sys/fs/cgroup/unified", "/sys/fs/cgroup" };

	for (size_t i = 0; i < ARRAY_LEN(mounts); i++) {
		AUTO_FREE char *procs = xasprintf("%s/cgroup.controllers", mounts[i]);

		if (access(procs, F_OK) == 0) {
			*h = (struct cg_host){ .version = ACT_CGROUP_V2, .n = 1 };
			h->tree[0] = (struct cg_tree){ open(mounts[i], O_PATH | O_DIRECTORY | O_CLOEXEC),
						       (char *)(uintptr_t)mounts[i], (char *)(uintptr_t) "" };
			return NULL;
		}
	}
	return "no cgroup v2 tree is mounted";
}

#define WITH_V2(h) \
	struct cg_host h = { 0 }; \
	do { \
		NEEDS_ROOT(); \
		if (v2_tree(&h)) { \
			print_message("skipped: %s\n", v2_tree(&h)); \
			skip(); \
		} \
		cg_host_force(&h); \
	} while (0)

static void end_v2(struct cg_host *h)
{
	(void)act_cgroup_kill(fx_cgroup);
	(void)act_cgroup_remove(fx_cgroup);
	cg_host_force(NULL);
	(void)close(h->tree[0].fd);
}

static void test_v2_container_is_born_in_its_cgroup(void **state)
{
	struct fx f;

	WITH_V2(h);
	fx_init(&f);
	fx_run(&f, "grep '^0::' /proc/self/cgroup");
	{
		AUTO_FREE char *want = xasprintf("0::%s\n", fx_cgroup);

		assert_string_equal(f.out, want);
	}
	fx_init(&f);
	f.p.ns[PLAN_NS_CGROUP].mode = 1;
	fx_mount(&f, (struct plan_mount){ .kind = PLAN_MOUNT_CGROUP, .target = "/sys/fs/cgroup", .flags = MS_RDONLY });
	fx_run(&f, "grep '^0::' /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.procs; mkdir /sys/fs/cgroup/x 2>&1");
	assert_non_null(strstr(f.out, "0::/\n1\n"));
	assert_non_null(strstr(f.out, "Read-only file system"));
	end_v2(&h);
}

static void test_v2_freeze_kill_and_remove_leave_nothing(void **state)
{
	WITH_V2(h);
	freeze_and_kill();
	end_v2(&h);
}

static void test_v2_device_filter_denies_and_is_replaced(void **state)
{
	static const struct plan_device_rule all[] = { { 1, 'a', -1, -1, 7 } };
	struct plan_cgroup c;
	struct fx f;

	WITH_V2(h);
	fx_init(&f);
	fx_run(&f, "head -c1 /dev/full > /dev/null 2>&1 && echo allowed || echo denied; mknod /dev/k c 1 11 && echo "
		   "mknod; : < /dev/zero && echo zero");
	assert_string_equal(f.out, "denied\nmknod\nzero\n");
	fx_init(&f);
	f.p.cgroup.n_devices = 7;
	fx_sh(&f, "sleep 0.2; head -c1 /dev/full > /dev/null 2>&1 && echo allowed || echo denied");
	assert_int_equal(fx_create(&f), 0);
	c = f.p.cgroup;
	c.devices = all;
	c.n_devices = 1;
	if (act_cgroup_update(&c, &f.e) < 0)
		fail_msg("%s", f.e.msg);
	assert_int_equal(act_start(&f.child, &f.e), 0);
	fx_read(&f);
	assert_string_equal(f.out, "allowed\n");
	(void)fx_wait(f.child.pid);
	fx_done(&f);
	end_v2(&h);
}

static void test_v2_process_lands_beside_another(void **state)
{
	struct plan_cgroup c = plain();
	struct act_pids pids = { 0 };
	AUTO_FREE char *below = NULL;
	pid_t one, two;

	WITH_V2(h);
	below = xasprintf("%s/inside", fx_cgroup);
	c.path = below;
	assert_int_equal(act_cgroup_make(&c, false, NULL), 0);
	one = fork();
	if (one == 0)
		for (;;)
			(void)pause();
	two = fork();
	if (two == 0)
		for (;;)
			(void)pause();
	assert_int_equal(cg_join(below, one, NULL), 0);
	assert_int_equal(cg_v2_join_beside(one, two), 0);
	assert_int_equal(act_cgroup_pids(below, &pids), 0);
	assert_int_equal(pids.n, 2);
	free(pids.v);
	assert_int_equal(act_cgroup_kill(fx_cgroup), 0);
	(void)fx_wait(one);
	(void)fx_wait(two);
	end_v2(&h);
}

static void test_v2_limits_are_written_in_v2_units(void **state)
{
	static const struct {
		const char *file, *text;
	} wanted[] = { { "memory.max", "67108864\n" }, { "memory.swap.max", "33554432\n" },
		       { "memory.low", "1048576\n" },  { "cpu.max", "25000 50000\n" },
		       { "cpu.weight", "20\n" },       { "cpuset.cpus", "0\n" },
		       { "pids.max", "17\n" } };
	struct plan_cgroup c = plain();
	AUTO_FREE char *have = NULL;
	struct err e = ERR_INIT;
	AUTO_FD int dir = -1;

	WITH_V2(h);
	assert_int_equal(file_read(h.tree[0].fd, "cgroup.controllers", 4096, &have, NULL), 0);
	if (!strstr(have, "memory") || !strstr(have, "cpuset")) {
		end_v2(&h);
		free(TAKE_PTR(have)); /* skip() jumps */
		print_message("skipped: the v2 tree has no controllers\n");
		skip();
	}
	c.path = fx_cgroup;
	c.memory = 64 << 20;
	c.memory_swap = 96 << 20; /* v1's sum */
	c.memory_reservation = 1 << 20;
	c.pids = 17;
	c.cpu_shares = 512;
	c.cpu_period = 50000;
	c.cpu_quota = 25000;
	c.cpus = "0";
	if (act_cgroup_make(&c, false, &e) < 0)
		fail_msg("%s", e.msg);
	dir = cg_open(&h.tree[0], fx_cgroup);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		AUTO_FREE char *text = NULL;

		assert_int_equal(file_read(dir, wanted[i].file, 4096, &text, NULL), 0);
		assert_string_equal(text, wanted[i].text);
	}
	end_v2(&h);
}

static void test_v2_limit_without_its_controller_is_an_error(void **state)
{
	struct plan_cgroup c = plain();
	struct err e = ERR_INIT;
	AUTO_FREE char *have = NULL;

	WITH_V2(h);
	assert_int_equal(file_read(h.tree[0].fd, "cgroup.controllers", 4096, &have, NULL), 0);
	if (strstr(have, "pids")) {
		end_v2(&h);
		print_message("skipped: the v2 tree has the pids controller\n");
		skip();
	}
	c.path = fx_cgroup;
	c.pids = 5;
	assert_true(act_cgroup_make(&c, false, &e) < 0);
	assert_non_null(strstr(e.msg, "controller \"pids\" is not available, but a limit is set"));
	end_v2(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v1_limits_are_written),
		cmocka_unit_test(test_v1_memory_and_swap_move_up_and_down_together),
		cmocka_unit_test(test_a_limit_without_its_controller_is_an_error),
		cmocka_unit_test(test_too_many_shares_are_refused),
		cmocka_unit_test(test_dotdot_is_refused),
		cmocka_unit_test(test_used_cgroup_is_refused_unless_adopted),
		cmocka_unit_test(test_limits_hold_in_a_container_and_oom_is_counted),
		cmocka_unit_test(test_freeze_kill_and_remove_leave_nothing),
		cmocka_unit_test(test_processes_below_are_found_and_killed),
		cmocka_unit_test(test_v2_container_is_born_in_its_cgroup),
		cmocka_unit_test(test_v2_freeze_kill_and_remove_leave_nothing),
		cmocka_unit_test(test_v2_device_filter_denies_and_is_replaced),
		cmocka_unit_test(test_v2_process_lands_beside_another),
		cmocka_unit_test(test_v2_limits_are_written_in_v2_units),
		cmocka_unit_test(test_v2_limit_without_its_controller_is_an_error),
	};

	return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
