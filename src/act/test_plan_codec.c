/* plan_codec: a plan survives its wire form; hostile bytes never do harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "act/plan_format.h"

static const char *const lowers[] = { "l/a", "l/b", NULL }, *const args[] = { "sh", "-c", "", NULL };
static const char *const none[] = { NULL };

static struct plan sample(void)
{
	static const struct plan_mount mounts[] = {
		{ .kind = PLAN_MOUNT_OVERLAY,
		  .slot = -1,
		  .target = "/",
		  .lowers = lowers,
		  .upper = "/u",
		  .work = "/w" },
		{ .kind = PLAN_MOUNT_FS,
		  .flags = 14,
		  .slot = 3,
		  .target = "/proc",
		  .source = "proc",
		  .fstype = "proc" },
	};
	static const struct plan_device_rule rules[] = { { 0, 'a', -1, -1, 7 }, { 1, 'c', 1, 3, 6 } };
	static const struct plan_throttle rates[] = { { 8, 0, 1 << 20 } };
	static const uint32_t groups[] = { 1, 2, 3 };
	static const struct plan_kv kv[] = { { "net.a", "1" } };
	static const uint64_t filter[] = { 6, 7 };

	return (struct plan){
		.id = "abc",
		.ns = { [PLAN_NS_NET] = { 3, 1, NULL }, [PLAN_NS_TIME] = { 2, -1, "/proc/1/ns/time" } },
		.time_offsets = { 1, -2, INT64_MIN, INT64_MAX },
		.mounts = mounts,
		.n_mounts = 2,
		.masked = none,
		.sysctl = kv,
		.n_sysctl = 1,
		.cgroup = { .path = "/docker/x",
			    .memory = -1,
			    .pids = 5,
			    .devices = rules,
			    .n_devices = 2,
			    .throttle = { NULL, NULL, rates },
			    .n_throttle = { 0, 0, 1 } },
		.process = { .args = args,
			     .env = none,
			     .cwd = "/",
			     .groups = groups,
			     .n_groups = 3,
			     .caps = { 1, 2, 3, 4, ~(uint64_t)0 },
			     .oom_score_adj = INT64_MIN,
			     .seccomp = filter,
			     .n_seccomp = sizeof filter },
	};
}

static void test_round_trip_is_exact(void **state)
{
	struct plan p = sample(), *q = NULL;
	AUTO_STRB struct strb one = STRB_INIT, two = STRB_INIT;

	plan_encode(&p, &one);
	assert_int_equal(plan_decode(one.s, one.len, &q), 0);
	assert_string_equal(q->id, "abc");
	assert_null(q->hostname);
	assert_int_equal(q->ns[PLAN_NS_NET].slot, 1);
	assert_string_equal(q->ns[PLAN_NS_TIME].path, "/proc/1/ns/time");
	assert_true(q->time_offsets[2] == INT64_MIN && q->time_offsets[3] == INT64_MAX);
	assert_string_equal(q->mounts[0].lowers[1], "l/b");
	assert_null(q->mounts[0].lowers[2]);
	assert_int_equal(q->mounts[1].slot, 3);
	assert_int_equal(q->cgroup.memory, -1);
	assert_true(q->cgroup.devices[0].major == -1);
	assert_int_equal(q->cgroup.throttle[2][0].rate, 1 << 20);
	assert_non_null(q->masked);
	assert_null(q->masked[0]);
	assert_null(q->readonly);
	assert_string_equal(q->process.args[2], "");
	assert_int_equal(q->process.groups[2], 3);
	assert_true(q->process.caps[4] == ~(uint64_t)0);
	assert_int_equal(q->process.n_seccomp, 16);
	assert_memory_equal(q->process.seccomp, p.process.seccomp, 16);
	plan_encode(q, &two);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.s, two.s, one.len);
	plan_free(q);
}

static void test_process_round_trip(void **state)
{
	struct plan p = sample();
	struct plan_process *q = NULL;
	struct plan *wrong = NULL;
	AUTO_STRB struct strb b = STRB_INIT;

	plan_process_encode(&p.process, &b);
	assert_int_equal(plan_process_decode(b.s, b.len, &q), 0);
	assert_string_equal(q->args[0], "sh");
	assert_int_equal(plan_decode(b.s, b.len, &wrong), -EBADMSG);
	plan_process_free(q);
}

static void test_every_cut_is_refused(void **state)
{
	struct plan p = sample(), *q = NULL;
	AUTO_STRB struct strb b = STRB_INIT;

	plan_encode(&p, &b);
	for (size_t n = 0; n < b.len; n++) {
		AUTO_FREE char *cut = xmalloc(n + 1);

		memcpy(cut, b.s, n);
		assert_int_equal(plan_decode(cut, n, &q), -EBADMSG);
	}
	strb_addc(&b, 0);
	assert_int_equal(plan_decode(b.s, b.len, &q), -EBADMSG);
}

static void test_every_flipped_byte_is_survived(void **state)
{
	struct plan p = sample();
	AUTO_STRB struct strb b = STRB_INIT;
	static const unsigned char values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };

	plan_encode(&p, &b);
	for (size_t i = 0; i < b.len; i++)
		for (size_t k = 0; k < ARRAY_LEN(values); k++) {
			struct plan *q = NULL;
			char old = b.s[i];

			b.s[i] = (char)values[k];
			if (plan_decode(b.s, b.len, &q) == 0) {
				AUTO_STRB struct strb two = STRB_INIT;

				plan_encode(q, &two); /* reads every pointer */
				plan_free(q);
			}
			b.s[i] = old;
		}
}

static void test_newer_version_is_refused(void **state)
{
	struct plan p = sample(), *q = NULL;
	AUTO_STRB struct strb b = STRB_INIT;

	plan_encode(&p, &b);
	b.s[8] = PLAN_VERSION + 1;
	assert_int_equal(plan_decode(b.s, b.len, &q), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip_is_exact),      cmocka_unit_test(test_process_round_trip),
		cmocka_unit_test(test_every_cut_is_refused),     cmocka_unit_test(test_every_flipped_byte_is_survived),
		cmocka_unit_test(test_newer_version_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
