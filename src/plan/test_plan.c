#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/kernel.h"
#include "plan/defaults.h"
#include "plan/seccomp_default.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
static const char *corpus;
static struct strb bytes; /* what the plan of the running test is lent from */

static const char base[] =
	"{\"ociVersion\":\"1.2.1\",\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\"},\"root\":{\"path\":\"rootfs\"},"
	"\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"pid\"}]}}";

static void spec_with(const char *change, struct oci_spec *ret)
{
	struct err e = ERR_INIT;

	if (json_read(&oci_spec_type, base, sizeof base - 1, &json_limits_default, ret, &e) < 0 ||
	    json_read(&oci_spec_type, change, strlen(change), &json_limits_default, ret, &e) < 0)
		fail_msg("%s", e.msg);
}

static struct plan_env env(void)
{
	return (struct plan_env){ .id = "c1", .bundle = "/bundle", .cgroup_version = 1 };
}

static struct plan *plan_env_of(const char *change, const struct plan_env *with)
{
	struct oci_spec spec = { 0 };
	struct err e = ERR_INIT;
	struct plan *p = NULL;

	spec_with(change, &spec);
	if (plan_from_spec(&spec, with, &bytes, &p, &e) < 0)
		fail_msg("%s", e.msg);
	json_done(&oci_spec_type, &spec);
	return p;
}

static struct plan *plan_of(const char *change)
{
	struct plan_env with = env();

	return plan_env_of(change, &with);
}

static void test_a_small_spec_makes_a_plan(void **state)
{
	struct plan *p = plan_of("{}");

	assert_string_equal(p->mounts[0].target, "/");
	assert_string_equal(p->mounts[0].source, "/bundle/rootfs");
	assert_int_equal(p->mounts[0].kind, PLAN_MOUNT_BIND);
	assert_string_equal(p->process.args[0], "sh");
	assert_null(p->process.args[1]);
	assert_string_equal(p->cgroup.path, "/c1");
	assert_int_equal(p->ns[PLAN_NS_PID].mode, 1);
	assert_int_equal(p->ns[PLAN_NS_NET].mode, 0);
	assert_int_equal(p->process.umask, -1);
	assert_true(p->process.oom_score_adj == INT64_MIN);
	assert_int_equal(p->n_devices, 6);
	assert_int_equal(p->root_propagation, MS_SLAVE | MS_REC);
	plan_free(p);
}

/* One row per refusal: what is changed in a good configuration, and the sentence. */
static const struct {
	const char *change, *message;
} refusals[] = {
	{ "{\"ociVersion\":\"2.0.0\"}", "ociVersion 2.0.0 is not supported; this runtime knows 1.0 to 1.3" },
	{ "{\"ociVersion\":\"\"}", "ociVersion is missing" },
	{ "{\"process\":{\"args\":[]}}", "process.args must not be empty" },
	{ "{\"process\":{\"cwd\":\"tmp\"}}", "process.cwd must be an absolute path, not \"tmp\"" },
	{ "{\"process\":{\"env\":[\"A\"]}}", "invalid environment variable \"A\": it must be NAME=value" },
	{ "{\"process\":{\"env\":[\"=A\"]}}", "invalid environment variable \"=A\": it must be NAME=value" },
	{ "{\"process\":{\"user\":{\"uid\":4294967295}}}", "process.user: 4294967295:0 is not a valid pair of ids" },
	{ "{\"process\":{\"user\":{\"umask\":512}}}", "process.user.umask: 512 is not in 0..0777" },
	{ "{\"process\":{\"user\":{\"additionalGids\":[-1]}}}", "process.user.additionalGids: -1 is not a valid id" },
	{ "{\"process\":{\"oomScoreAdj\":1001}}", "process.oomScoreAdj: 1001 is not in -1000..1000" },
	{ "{\"process\":{\"rlimits\":[{\"type\":\"RLIMIT_X\"}]}}", "invalid rlimit type \"RLIMIT_X\"" },
	{ "{\"process\":{\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":2,\"hard\":1}]}}",
	  "rlimit RLIMIT_CPU: soft limit 2 is above the hard limit 1" },
	{ "{\"process\":{\"rlimits\":[{\"type\":\"RLIMIT_CPU\"},{\"type\":\"RLIMIT_CPU\"}]}}",
	  "rlimit RLIMIT_CPU is given twice" },
	{ "{\"process\":{\"scheduler\":{\"policy\":\"X\"}}}", "invalid scheduler policy \"X\"" },
	{ "{\"process\":{\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"nice\":20}}}",
	  "invalid scheduler.nice: 20 is not in -20..19" },
	{ "{\"process\":{\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"priority\":1}}}",
	  "scheduler.priority can only be specified for SCHED_FIFO or SCHED_RR policy" },
	{ "{\"process\":{\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"runtime\":1}}}",
	  "scheduler runtime, deadline and period can only be specified for SCHED_DEADLINE policy" },
	{ "{\"process\":{\"ioPriority\":{\"class\":\"X\"}}}", "invalid ioPriority.class \"X\"" },
	{ "{\"process\":{\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":8}}}",
	  "invalid ioPriority.priority: 8 is not in 0..7" },
	{ "{\"process\":{\"execCPUAffinity\":{\"initial\":\"a\"}}}",
	  "process.execCPUAffinity.initial: \"a\" is not a list of processors" },
	{ "{\"root\":{\"path\":\"\"}}", "root.path must not be empty" },
	{ "{\"hostname\":\"x\"}", "unable to set hostname without a private UTS namespace" },
	{ "{\"domainname\":\"x\"}", "unable to set domainname without a private UTS namespace" },
	{ "{\"mounts\":[{\"type\":\"tmpfs\"}]}", "a mount has no destination" },
	{ "{\"mounts\":[{\"destination\":\"/x\"}]}", "mount /x has neither a type nor the option \"bind\"" },
	{ "{\"mounts\":[{\"destination\":\"/a/..\",\"type\":\"tmpfs\"}]}",
	  "mount destination \"/\" is the container's root and cannot be mounted over" },
	{ "{\"mounts\":[{\"destination\":\"/x\",\"options\":[\"bind\"]}]}", "bind mount /x has no source" },
	{ "{\"mounts\":[{\"destination\":\"/x\",\"source\":\"/y\",\"options\":[\"bind\",\"size=1\"]}]}",
	  "mount /x: a bind mount takes no file system option (\"size=1\")" },
	{ "{\"mounts\":[{\"destination\":\"/x\",\"type\":\"tmpfs\",\"options\":[\"remount\"]}]}",
	  "mount /x: option \"remount\" is not supported" },
	{ "{\"mounts\":[{\"destination\":\"/x\",\"type\":\"sysfs\",\"options\":[\"tmpcopyup\"]}]}",
	  "mount /x: \"tmpcopyup\" is for tmpfs only" },
	{ "{\"mounts\":[{\"destination\":\"/x\",\"type\":\"tmpfs\",\"options\":[\"idmap\"]}]}",
	  "mount /x: \"idmap\" is for bind mounts only" },
	{ "{\"mounts\":[{\"destination\":\"/proc/self\",\"source\":\"/y\",\"options\":[\"bind\"]}]}",
	  "\"/proc/self\" cannot be mounted because it is inside /proc" },
	{ "{\"mounts\":[{\"destination\":\"/sys/../proc\",\"type\":\"tmpfs\"}]}",
	  "\"/proc\" cannot be mounted because it is not of type proc" },
	{ "{\"linux\":{\"namespaces\":[]}}",
	  "a container needs a mount namespace of its own: linux.namespaces has none" },
	{ "{\"linux\":{\"namespaces\":[{\"type\":\"x\"}]}}", "namespace type \"x\" does not exist" },
	{ "{\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]}}", "namespace \"pid\" is given twice" },
	{ "{\"linux\":{\"namespaces\":[{\"type\":\"pid\",\"path\":\"x\"}]}}", "namespace path \"x\" is not absolute" },
	{ "{\"linux\":{\"uidMappings\":[{\"size\":1}]}}",
	  "user namespace mappings specified, but user namespace isn't enabled in the config" },
	{ "{\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"user\"}]}}",
	  "user namespaces enabled, but no uid mappings found" },
	{ "{\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"user\"}],\"uidMappings\":[{\"size\":0}],"
	  "\"gidMappings\":[{\"size\":1}]}}",
	  "linux.uidMappings: 0 0 0 is not a range of ids" },
	{ "{\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"user\"}],\"gidMappings\":[{\"size\":1}],"
	  "\"uidMappings\":[{\"size\":5},{\"containerID\":4,\"hostID\":9,\"size\":1}]}}",
	  "linux.uidMappings: two ranges overlap" },
	{ "{\"process\":{\"user\":{\"uid\":7}},\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"user\"}],"
	  "\"uidMappings\":[{\"size\":5}],\"gidMappings\":[{\"size\":1}]}}",
	  "process.user: uid 7 is not mapped in the user namespace" },
	{ "{\"linux\":{\"sysctl\":{\"kernel.panic\":\"1\"}}}",
	  "sysctl \"kernel.panic\" is not in a separate kernel namespace" },
	{ "{\"linux\":{\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"}}}",
	  "sysctl \"net.ipv4.ip_forward\" is not allowed in the hosts network namespace" },
	{ "{\"linux\":{\"sysctl\":{\"kernel.msgmax\":\"1\"}}}",
	  "sysctl \"kernel.msgmax\" is not allowed in the hosts IPC namespace" },
	{ "{\"linux\":{\"sysctl\":{\"net/../kernel/panic\":\"1\"}}}",
	  "\"net/../kernel/panic\" is not the name of a sysctl" },
	{ "{\"linux\":{\"sysctl\":{\"kernel.hostname\":\"1\"}}}",
	  "sysctl \"kernel.hostname\" is not allowed: use the configuration's hostname" },
	{ "{\"linux\":{\"devices\":[{\"path\":\"x\",\"type\":\"c\"}]}}",
	  "linux.devices: \"x\" is not an absolute path" },
	{ "{\"linux\":{\"devices\":[{\"path\":\"/x\",\"type\":\"z\"}]}}", "linux.devices: /x: invalid type \"z\"" },
	{ "{\"linux\":{\"devices\":[{\"path\":\"/x\",\"type\":\"c\",\"major\":-1}]}}",
	  "linux.devices: /x: -1:0 is not a device number" },
	{ "{\"linux\":{\"maskedPaths\":[\"x\"]}}", "linux.maskedPaths: \"x\" is not an absolute path" },
	{ "{\"linux\":{\"readonlyPaths\":[\"/x/..\"]}}", "linux.readonlyPaths: \"/\" is the whole container" },
	{ "{\"linux\":{\"cgroupsPath\":\"/a/../../b\"}}", "linux.cgroupsPath: \"/a/../../b\" must not contain \"..\"" },
	{ "{\"linux\":{\"cgroupsPath\":\"/\"}}", "linux.cgroupsPath: a container cannot be put in the root cgroup" },
	{ "{\"linux\":{\"rootfsPropagation\":\"ro\"}}", "linux.rootfsPropagation: \"ro\" does not exist" },
	{ "{\"linux\":{\"personality\":{\"domain\":\"BSD\"}}}", "linux.personality: unknown domain \"BSD\"" },
	{ "{\"linux\":{\"timeOffsets\":{\"monotonic\":{\"secs\":1}}}}",
	  "time namespace offsets are specified without a new time namespace" },
	{ "{\"linux\":{\"memoryPolicy\":{\"mode\":\"MPOL_BIND\"}}}", "linux.memoryPolicy is not supported" },
	{ "{\"linux\":{\"intelRdt\":{}}}", "linux.intelRdt is not supported" },
	{ "{\"linux\":{\"resources\":{\"memory\":{\"limit\":-2}}}}", "resources.memory.limit: invalid value -2" },
	{ "{\"linux\":{\"resources\":{\"memory\":{\"limit\":20,\"swap\":10}}}}",
	  "memory+swap limit (10) must not be below the memory limit (20)" },
	{ "{\"linux\":{\"resources\":{\"memory\":{\"swappiness\":201}}}}",
	  "resources.memory.swappiness: invalid value 201" },
	{ "{\"linux\":{\"resources\":{\"cpu\":{\"cpus\":\"a\"}}}}",
	  "resources.cpu.cpus: \"a\" is not a list of numbers and ranges" },
	{ "{\"linux\":{\"resources\":{\"cpu\":{\"idle\":2}}}}", "resources.cpu.idle: invalid value 2" },
	{ "{\"linux\":{\"resources\":{\"blockIO\":{\"weight\":5}}}}",
	  "resources.blockIO.weight: 5 is not in 10..1000" },
	{ "{\"linux\":{\"resources\":{\"hugepageLimits\":[{\"pageSize\":\"../x\"}]}}}",
	  "resources.hugepageLimits: \"../x\" is not a page size like 2MB" },
	{ "{\"linux\":{\"resources\":{\"unified\":{\"memory.high\":\"1\"}}}}",
	  "resources.unified is for cgroup v2; this machine has v1" },
	{ "{\"linux\":{\"resources\":{\"devices\":[{\"access\":\"x\"}]}}}", "resources.devices: invalid access \"x\"" },
	{ "{\"linux\":{\"resources\":{\"devices\":[{\"type\":\"x\"}]}}}",
	  "resources.devices: invalid device type \"x\"" },
	{ "{\"linux\":{\"resources\":{\"rdma\":{\"mlx\":{}}}}}", "resources.rdma is not supported" },
	{ "{\"hooks\":{\"poststop\":[{\"path\":\"x\"}]}}", "hooks: \"x\" is not an absolute path" },
	{ "{\"hooks\":{\"poststop\":[{\"path\":\"/x\",\"timeout\":0}]}}", "hooks: /x: timeout must be positive" },
	{ "{\"linux\":{\"seccomp\":{\"defaultAction\":\"X\"}}}", "seccomp: unknown action \"X\"" },
};

static void test_bad_configurations_are_refused_with_a_sentence(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		struct plan_env with = env();
		struct oci_spec spec = { 0 };
		struct err e = ERR_INIT;
		struct plan *p = NULL;

		spec_with(refusals[i].change, &spec);
		if (plan_from_spec(&spec, &with, &bytes, &p, &e) >= 0)
			fail_msg("accepted: %s", refusals[i].change);
		assert_string_equal(e.msg, refusals[i].message);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_null(p);
		json_done(&oci_spec_type, &spec);
	}
}

static void test_wrong_types_are_refused_by_the_reader(void **state)
{
	static const char *const bad[] = { "{\"process\":[]}", "{\"process\":{\"args\":\"sh\"}}", "{\"mounts\":{}}",
					   "{\"linux\":{\"namespaces\":[1]}}",
					   "{\"process\":{\"user\":{\"uid\":-1}}}" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct oci_spec spec = { 0 };
		struct err e = ERR_INIT;

		assert_true(json_read(&oci_spec_type, bad[i], strlen(bad[i]), &json_limits_default, &spec, &e) < 0);
		assert_string_not_equal(e.msg, "");
	}
}

static void test_mount_options(void **state)
{
	struct plan *p = plan_of(
		"{\"mounts\":["
		"{\"destination\":\"/"
		"a\",\"source\":\"sub\",\"options\":[\"rbind\",\"ro\",\"rslave\",\"dev\",\"rro\",\"rnoatime\"]},"
		"{\"destination\":\"/"
		"b\",\"type\":\"tmpfs\",\"options\":[\"nosuid\",\"suid\",\"mode=755\",\"size=1m\",\"tmpcopyup\"]},"
		"{\"destination\":\"c\",\"type\":\"cgroup2\",\"source\":\"cgroup\"},"
		"{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"}]}");
	const struct plan_mount *m = p->mounts + 1;

	assert_int_equal(p->n_mounts, 5);
	assert_int_equal(m[0].kind, PLAN_MOUNT_BIND);
	assert_string_equal(m[0].source, "/bundle/sub");
	assert_int_equal(m[0].flags, MS_BIND | MS_REC | MS_RDONLY);
	assert_int_equal(m[0].clear, MS_NODEV);
	assert_int_equal(m[0].propagation, MS_SLAVE | MS_REC);
	assert_int_equal(m[0].rec_set, K_MOUNT_ATTR_RDONLY | K_MOUNT_ATTR_NOATIME);
	assert_int_equal(m[0].rec_clear, K_MOUNT_ATTR__ATIME);
	assert_int_equal(m[0].slot, -1);
	assert_int_equal(m[1].flags, 0);
	assert_int_equal(m[1].clear, MS_NOSUID);
	assert_string_equal(m[1].data, "mode=755,size=1m");
	assert_int_equal(m[1].extra, PLAN_MOUNT_TMPCOPYUP);
	assert_int_equal(m[2].kind, PLAN_MOUNT_CGROUP);
	assert_string_equal(m[2].target, "/c");
	assert_int_equal(m[3].kind, PLAN_MOUNT_FS);
	plan_free(p);
}

static void test_option_names_are_sorted(void **state)
{
	for (size_t i = 1; plan_mount_option_name(i); i++)
		assert_true(strcmp(plan_mount_option_name(i - 1), plan_mount_option_name(i)) < 0);
}

static void test_capabilities_unknown_ones_are_told_impossible_ones_dropped(void **state)
{
	AUTO_STRV struct strv warnings = { 0 };
	struct plan_env with = env();
	struct plan *p;

	with.warnings = &warnings;
	p = plan_env_of(
		"{\"process\":{\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_FLY\"],\"permitted\":[\"CAP_KILL\"],"
		"\"effective\":[\"CAP_KILL\",\"CAP_CHOWN\"],\"inheritable\":[\"CAP_CHOWN\"],\"ambient\":[\"CAP_CHOWN\"]"
		"}}}",
		&with);
	assert_int_equal(p->process.caps[0], 1);
	assert_int_equal(p->process.caps[1], 1 << 5);
	assert_int_equal(p->process.caps[2], 1 << 5);
	assert_int_equal(p->process.caps[3], 1);
	assert_int_equal(p->process.caps[4], 0);
	assert_int_equal(warnings.n, 3);
	assert_string_equal(warnings.v[0], "unknown capability CAP_FLY is ignored");
	plan_free(p);
}

static void test_device_rules_start_with_a_denial_and_end_with_the_defaults(void **state)
{
	struct plan *p = plan_of("{\"linux\":{\"resources\":{\"devices\":[{\"allow\":true,\"type\":\"c\",\"major\":10,"
				 "\"access\":\"rw\"}]}}}");
	const struct plan_device_rule *r = p->cgroup.devices;

	assert_int_equal(r[0].allow, 0);
	assert_int_equal(r[0].type, 'a');
	assert_int_equal(r[1].allow, 1);
	assert_int_equal(r[1].major, 10);
	assert_int_equal(r[1].minor, -1);
	assert_int_equal(r[1].access, 3);
	assert_int_equal(p->cgroup.n_devices, 12);
	assert_int_equal(r[11].major, 5);
	assert_int_equal(r[11].minor, 2);
	plan_free(p);
}

static void test_devices_of_the_spec_replace_defaults(void **state)
{
	struct plan *p = plan_of("{\"linux\":{\"devices\":[{\"path\":\"/dev//"
				 "null\",\"type\":\"c\",\"major\":1,\"minor\":3,\"fileMode\":384},"
				 "{\"path\":\"/dev/fuse\",\"type\":\"c\",\"major\":10,\"minor\":229,\"uid\":5}]}}");

	assert_int_equal(p->n_devices, 7);
	assert_string_equal(p->devices[0].path, "/dev/null");
	assert_int_equal(p->devices[0].mode, 0600);
	assert_int_equal(p->devices[1].uid, 5);
	assert_int_equal(p->devices[1].mode, 0666);
	plan_free(p);
}

static void test_limits(void **state)
{
	struct plan *p = plan_of(
		"{\"linux\":{\"resources\":{\"memory\":{\"limit\":100,\"swap\":-1},\"pids\":{\"limit\":0},"
		"\"cpu\":{\"quota\":50000,\"period\":100000,\"shares\":512},\"blockIO\":{\"weight\":300,"
		"\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":1,\"rate\":9}]}}}}");

	assert_int_equal(p->cgroup.memory, 100);
	assert_int_equal(p->cgroup.memory_swap, -1);
	assert_int_equal(p->cgroup.pids, 1);
	assert_int_equal(p->cgroup.cpu_quota, 50000);
	assert_int_equal(p->cgroup.cpu_shares, 512);
	assert_int_equal(p->cgroup.cpu_idle, -1);
	assert_int_equal(p->cgroup.swappiness, -1);
	assert_int_equal(p->cgroup.blkio_weight, 300);
	assert_int_equal(p->cgroup.n_throttle[0], 0);
	assert_int_equal(p->cgroup.throttle[3][0].rate, 9);
	plan_free(p);
}

static void test_unified_limits_on_v2(void **state)
{
	struct plan_env with = env();
	struct plan *p;

	with.cgroup_version = 2;
	p = plan_env_of("{\"linux\":{\"resources\":{\"unified\":{\"memory.high\":\"1\"}}}}", &with);
	assert_string_equal(p->cgroup.unified[0].k, "memory.high");
	plan_free(p);
}

static void test_sysctl_names_become_paths(void **state)
{
	struct plan *p = plan_of("{\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"network\"},{\"type\":"
				 "\"ipc\"}],\"sysctl\":{"
				 "\"net.ipv4.conf.eth0/100.forwarding\":\"1\",\"net/ipv4/conf/eth0.100/"
				 "forwarding\":\"2\",\"fs.mqueue.msg_max\":\"3\"}}}");

	assert_string_equal(p->sysctl[0].k, "net/ipv4/conf/eth0.100/forwarding");
	assert_string_equal(p->sysctl[1].k, "net/ipv4/conf/eth0.100/forwarding");
	assert_string_equal(p->sysctl[2].k, "fs/mqueue/msg_max");
	plan_free(p);
}

static void test_environment_overrides(void **state)
{
	static const struct plan_mount root = {
		.kind = PLAN_MOUNT_OVERLAY, .slot = -1, .target = "/", .lower_dir = "/l", .upper = "u", .work = "w"
	};
	struct plan_ns_choice ns[PLAN_NS_COUNT] = { [PLAN_NS_NET] = { .mode = 3, .slot = 2 } };
	AUTO_STRV struct strv groups = { 0 };
	struct plan_env with = env();
	struct plan *p;

	strv_add(&groups, "audio");
	with.root = &root;
	with.n_root = 1;
	with.ns = ns;
	with.user = "postgres:5";
	with.group_names = &groups;
	with.late = PLAN_LATE_HOME | PLAN_LATE_PATH;
	with.cgroup_path = "docker/x";
	with.init = true;
	p = plan_env_of("{\"root\":{\"readonly\":true}}", &with);
	assert_int_equal(p->mounts[0].kind, PLAN_MOUNT_OVERLAY);
	assert_string_equal(p->mounts[0].upper, "u");
	assert_int_equal(p->root_readonly, 1);
	assert_int_equal(p->ns[PLAN_NS_NET].mode, 3);
	assert_int_equal(p->ns[PLAN_NS_NET].slot, 2);
	assert_string_equal(p->process.user, "postgres:5");
	assert_string_equal(p->process.group_names[0], "audio");
	assert_int_equal(p->process.late, PLAN_LATE_HOME | PLAN_LATE_PATH);
	assert_string_equal(p->cgroup.path, "/docker/x");
	assert_int_equal(p->init, 1);
	plan_free(p);
}

static void test_process_of_an_exec(void **state)
{
	static const char text[] =
		"{\"args\":[\"id\"],\"cwd\":\"/\",\"terminal\":true,\"consoleSize\":{\"height\":25,\"width\":80},"
		"\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":5,\"hard\":18446744073709551615}]}";
	struct oci_seccomp policy = { 0 };
	struct plan_process *pp = NULL;
	struct oci_process p = { 0 };
	struct plan_env with = env();
	struct err e = ERR_INIT;

	assert_int_equal(json_read(&oci_process_type, text, sizeof text - 1, &json_limits_default, &p, &e), 0);
	seccomp_default(0, NULL, &policy);
	assert_int_equal(plan_process_from_spec(&p, &policy, &with, &bytes, &pp, &e), 0);
	assert_int_equal(pp->rows, 25);
	assert_int_equal(pp->rlimits[0].resource, RLIMIT_NOFILE);
	assert_true(pp->rlimits[0].hard == UINT64_MAX);
	assert_true(pp->n_seccomp > 1000);
	plan_process_free(pp);
	json_done(&oci_process_type, &p);
	json_done(&oci_seccomp_type, &policy);
}

/* The whole default configuration against what dockerd 28.5.2 writes, as far as it does not depend on the container. */
static void expect_docker(const char *file, bool privileged)
{
	AUTO_FREE char *path = path_join(corpus, file);
	AUTO_STRB struct strb ours = STRB_INIT, theirs = STRB_INIT;
	struct oci_spec a = { 0 }, b = { 0 };
	AUTO_FREE char *text = NULL;
	struct err e = ERR_INIT;
	size_t n;

	assert_int_equal(file_read(AT_FDCWD, path, 1 << 20, &text, &n), 0);
	assert_int_equal(json_read(&oci_spec_type, text, n, &json_limits_default, &a, &e), 0);
	spec_docker_default(&(struct spec_defaults){ .privileged = privileged, .cgroup_version = 1 }, &b);
	assert_int_equal(a.mounts.n, b.mounts.n + 3); /* resolv.conf, hostname, hosts */
	for (size_t i = 0; i < b.mounts.n; i++) {
		strb_clear(&ours);
		strb_clear(&theirs);
		json_write(&oci_mount_type, &b.mounts.v[i], JSON_LATEST, &ours);
		json_write(&oci_mount_type, &a.mounts.v[i], JSON_LATEST, &theirs);
		assert_string_equal(strb_str(&ours), strb_str(&theirs));
	}
	for (size_t i = 0; i < a.linux_.masked_paths.n; i++)
		assert_string_equal(a.linux_.masked_paths.v[i], b.linux_.masked_paths.v[i]);
	assert_int_equal(a.linux_.masked_paths.n, b.linux_.masked_paths.n);
	assert_int_equal(a.linux_.readonly_paths.n, b.linux_.readonly_paths.n);
	assert_int_equal(a.linux_.namespaces.n, b.linux_.namespaces.n);
	assert_int_equal(a.linux_.sysctl.n, b.linux_.sysctl.n);
	if (!privileged)
		assert_int_equal(plan_cap_mask(&a.process.capabilities.bounding),
				 plan_cap_mask(&b.process.capabilities.bounding));
	json_done(&oci_spec_type, &a);
	json_done(&oci_spec_type, &b);
}

static void test_default_configuration_is_dockers(void **state)
{
	expect_docker("docker-default.json", false);
	expect_docker("docker-priv.json", true);
}

static void test_editing_the_default_configuration(void **state)
{
	struct oci_spec s = { 0 };
	struct plan_env with = env();
	struct err e = ERR_INIT;
	struct plan *p = NULL;

	spec_docker_default(&(struct spec_defaults){ .cgroup_version = 2 }, &s);
	spec_drop_namespace(&s, "network");
	spec_set_namespace(&s, "pid", "/proc/1/ns/pid");
	assert_true(spec_drop_mount(&s, "/dev/mqueue"));
	assert_false(spec_drop_mount(&s, "/dev/mqueue"));
	spec_set_mount(&s, "/dev/shm", "bind", "/shm", "rbind,rprivate");
	strmap_done(&s.linux_.sysctl);
	strv_add(&s.process.args, "sh");
	s.root.path = xstrdup("/r");
	assert_int_equal(plan_from_spec(&s, &with, &bytes, &p, &e), 0);
	assert_int_equal(p->ns[PLAN_NS_NET].mode, 0);
	assert_int_equal(p->ns[PLAN_NS_PID].mode, 2);
	assert_int_equal(p->ns[PLAN_NS_CGROUP].mode, 1);
	assert_int_equal(p->n_mounts, 7);
	assert_int_equal(p->mounts[6].kind, PLAN_MOUNT_BIND);
	plan_free(p);
	json_done(&oci_spec_type, &s);
}

static void test_fuzz_corpus(void **state)
{
	DIR *dir = opendir(corpus);
	unsigned n_files = 0;

	assert_non_null(dir);
	for (struct dirent *d; (d = readdir(dir));) {
		AUTO_FREE char *text = NULL;
		size_t n;

		if (d->d_type != DT_REG || file_read(dirfd(dir), d->d_name, 1 << 20, &text, &n) < 0)
			continue;
		n_files++;
		(void)LLVMFuzzerTestOneInput((const uint8_t *)text, n);
		for (size_t cut = 1; cut < n; cut += 97) { /* and what a torn or scratched file gives */
			char kept = text[cut];

			text[cut] = (char)(kept ^ 1);
			(void)LLVMFuzzerTestOneInput((const uint8_t *)text, n);
			text[cut] = kept;
		}
	}
	(void)closedir(dir);
	assert_true(n_files >= 4);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_small_spec_makes_a_plan),
		cmocka_unit_test(test_bad_configurations_are_refused_with_a_sentence),
		cmocka_unit_test(test_wrong_types_are_refused_by_the_reader),
		cmocka_unit_test(test_mount_options),
		cmocka_unit_test(test_option_names_are_sorted),
		cmocka_unit_test(test_capabilities_unknown_ones_are_told_impossible_ones_dropped),
		cmocka_unit_test(test_device_rules_start_with_a_denial_and_end_with_the_defaults),
		cmocka_unit_test(test_devices_of_the_spec_replace_defaults),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_unified_limits_on_v2),
		cmocka_unit_test(test_sysctl_names_become_paths),
		cmocka_unit_test(test_environment_overrides),
		cmocka_unit_test(test_process_of_an_exec),
		cmocka_unit_test(test_default_configuration_is_dockers),
		cmocka_unit_test(test_editing_the_default_configuration),
		cmocka_unit_test(test_fuzz_corpus),
	};

	if (argc < 2)
		return 2;
	corpus = argv[1];
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	strb_done(&bytes);
	return failed;
}
