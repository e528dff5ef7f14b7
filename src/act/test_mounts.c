/* act's mounts: what is mounted where, and that nothing of an image leads out of it. As root, for real. */
#include "act/fixture.h"
#include "act/act_int.h"

#include <sys/socket.h>
#include <sys/sysmacros.h>

static void test_masked_paths_are_null_or_empty(void **state)
{
	static const char *const masked[] = { "/proc/kcore", "/proc/timer_list", "/proc/acpi", "/etc",
					      "/proc/bus",   "/no/such",         NULL };
	struct fx f;

	NEEDS_ROOT();
	fx_init(&f);
	f.p.masked = masked;
	fx_run(&f, "stat -c '%t:%T' /proc/timer_list; ls -A /etc /proc/bus; touch /etc/x 2>&1; ls /no 2>/dev/null; "
		   "echo end");
	assert_string_equal(f.out, "1:3\n/etc:\n\n/proc/bus:\ntouch: /etc/x: Read-only file system\nend\n");
}

static void test_masked_path_does_not_follow_a_link_out(void **state)
{
	static const char *const masked[] = { "/link", NULL };
	AUTO_FREE char *link = NULL;
	struct fx f;
	struct stat st;

	NEEDS_ROOT();
	fx_init(&f);
	link = fx_path("root/link");
	assert_int_equal(symlink("../../../../../../etc/hostname", link), 0);
	f.p.masked = masked;
	fx_run(&f, "ls /etc");
	assert_string_equal(f.out, "group\npasswd\n"); /* it led to a missing file inside: skipped */
	assert_int_equal(stat("/etc/hostname", &st), 0);
	assert_true(S_ISREG(st.st_mode));
	(void)unlink(link);
}

static void test_readonly_paths(void **state)
{
	static const char *const readonly[] = { "/proc/sys", "/tmp", NULL };
	struct fx f;

	NEEDS_ROOT();
	fx_init(&f);
	f.p.readonly = readonly;
	fx_run(&f,
	       "touch /tmp/x 2>&1; echo 1 2>&1 > /proc/sys/net/ipv4/ip_forward; touch /bin/ok && echo rest writable");
	assert_non_null(strstr(f.out, "touch: /tmp/x: Read-only file system\n"));
	assert_non_null(strstr(f.out, "Read-only file system\nrest writable"));
}

static void test_readonly_root(void **state)
{
	struct fx f;

	NEEDS_ROOT();
	fx_init(&f);
	f.p.root_readonly = 1;
	fx_run(&f, "touch /x 2>&1; touch /dev/shm/ok && echo shm");
	assert_string_equal(f.out, "touch: /x: Read-only file system\nshm\n");
}

static void test_device_nodes_and_links(void **state)
{
	struct fx f;

	NEEDS_ROOT();
	fx_init(&f);
	fx_run(&f, "stat -c '%n %t:%T %a' /dev/null /dev/zero /dev/tty; ls -l /dev/fd /dev/ptmx /dev/stderr | grep -o "
		   "'/dev.*'");
	assert_string_equal(f.out, "/dev/null 1:3 666\n/dev/zero 1:5 666\n/dev/tty 5:0 666\n/dev/fd -> /proc/self/fd\n"
				   "/dev/ptmx -> pts/ptmx\n/dev/stderr -> /proc/self/fd/2\n");
}

static void test_devices_not_in_the_rules_are_denied(void **state)
{
	struct fx f;

	NEEDS_ROOT();
	fx_init(&f);
	fx_run(&f, "mknod /dev/full2 c 1 7 && cat /dev/full2 2>&1; head -c1 /dev/zero | grep -c .");
	assert_non_null(strstr(f.out, "Operation not permitted"));
}

static void test_bind_volume_and_its_flags(void **state)
{
	AUTO_FREE char *vol = NULL, *file = NULL;
	struct fx f;

	NEEDS_ROOT();
	fx_init(&f);
	vol = fx_path("vol");
	file = fx_path("vol/a");
	assert_int_equal(file_write(AT_FDCWD, file, "data\n", 5, 0644), 0);
	fx_mount(&f, (struct plan_mount){
			     .kind = PLAN_MOUNT_BIND, .flags = MS_REC, .target = "/deep/er/vol", .source = vol });
	fx_mount(&f, (struct plan_mount){
			     .kind = PLAN_MOUNT_BIND, .flags = MS_REC | MS_RDONLY, .target = "/ro", .source = vol });
	fx_mount(&f, (struct plan_mount){ .kind = PLAN_MOUNT_BIND, .target = "/deep/file", .source = file });
	fx_run(&f, "cat /deep/er/vol/a /deep/file; touch /ro/x 2>&1; touch /deep/er/vol/y && echo rw");
	assert_string_equal(f.out, "data\ndata\ntouch: /ro/x: Read-only file system\nrw\n");
}

static void test_missing_source_is_named(void **state)
{
	struct fx f;

	NEEDS_ROOT();
	fx_init(&f);
	fx_mount(&f, (struct plan_mount){ .kind = PLAN_MOUNT_BIND, .target = "/v", .source = "/no/such" });
	fx_sh(&f, "true");
	assert_int_equal(fx_create(&f), -ENOENT);
	assert_string_equal(f.e.msg,
			    "error mounting \"/no/such\" to rootfs at \"/v\": /no/such: no such file or directory");
	fx_done(&f);
	fx_init(&f);
	fx_mount(&f,
		 (struct plan_mount){
			 .kind = PLAN_MOUNT_BIND, .target = "/v", .source = "/no/such", .extra = PLAN_MOUNT_OPTIONAL });
	fx_run(&f, "ls /v 2>&1");
	assert_string_equal(f.out, "ls: /v: No such file or directory\n");
}

static void test_mount_target_through_links_stays_inside(void **state)
{
	AUTO_FREE char *vol = NULL, *abs = NULL, *up = NULL, *dangling = NULL, *host = NULL, *inside = NULL;
	struct fx f;

	NEEDS_ROOT();
	fx_init(&f);
	vol = fx_path("vol");
	host = xasprintf("/tmp/act-escape-%d", (int)getpid());
	inside = xasprintf("%s/root%s/sub", fx_dir, host);
	abs = fx_path("root/abs");
	up = fx_path("root/up");
	dangling = fx_path("root/run");
	assert_int_equal(symlink(host, abs), 0); /* absolute: the image's /tmp/... */
	assert_int_equal(symlink("../../../../../../tmp", up), 0);
	assert_int_equal(symlink("/made/late", dangling), 0);
	assert_int_equal(mkdir(host, 0755), 0);
	fx_mount(&f,
		 (struct plan_mount){ .kind = PLAN_MOUNT_BIND, .flags = MS_REC, .target = "/abs/sub", .source = vol });
	fx_mount(&f,
		 (struct plan_mount){ .kind = PLAN_MOUNT_BIND, .flags = MS_REC, .target = "/up/sub", .source = vol });
	fx_mount(&f, (struct plan_mount){
			     .kind = PLAN_MOUNT_BIND, .flags = MS_REC, .target = "/run/docker", .source = vol });
	fx_run(&f, "ls /made/late/docker /tmp/sub | grep -c a");
	assert_int_equal(rmdir(host), 0); /* empty: nothing was made on the host */
	assert_int_equal(access(inside, F_OK), 0);
	(void)unlink(abs);
	(void)unlink(up);
	(void)unlink(dangling);
}

/* A child that fails early leaves our "go on" unread, and the kernel says "reset" before it hands out what the child wrote. */
static void test_last_words_are_heard_before_a_reset(void **state)
{
	struct gate_msg m = { .kind = GATE_FAILED, .sys = -ELOOP, .text = "too many links" };
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(gate_tell(pair[0], GATE_JOINED), 0);
	assert_int_equal(gate_send(pair[1], &m, -1), 0);
	(void)close(pair[1]);
	assert_int_equal(gate_recv(pair[0], &m, NULL), 1);
	assert_int_equal(m.kind, GATE_FAILED);
	assert_string_equal(m.text, "too many links");
	assert_int_equal(gate_recv(pair[0], &m, NULL), 0);
	(void)close(pair[0]);
}

static void test_link_loop_is_an_error(void **state)
{
	AUTO_FREE char *loop = NULL;
	struct fx f;

	NEEDS_ROOT();
	fx_init(&f);
	loop = fx_path("root/loop");
	assert_int_equal(symlink("loop", loop), 0);
	fx_mount(&f, (struct plan_mount){ .kind = PLAN_MOUNT_BIND, .target = "/loop/x", .source = fx_dir });
	fx_sh(&f, "true");
	assert_int_equal(fx_create(&f), -ELOOP);
	fx_done(&f);
	(void)unlink(loop);
}

static void test_proc_on_a_link_is_refused(void **state)
{
	AUTO_FREE char *proc = NULL;
	struct fx f;

	NEEDS_ROOT();
	fx_init(&f);
	proc = fx_path("root/proc");
	assert_int_equal(rmdir(proc), 0);
	assert_int_equal(symlink("tmp", proc), 0);
	fx_sh(&f, "true");
	assert_true(fx_create(&f) < 0);
	assert_non_null(strstr(f.e.msg, "must be mounted on ordinary directory"));
	fx_done(&f);
	assert_int_equal(unlink(proc), 0);
	assert_int_equal(mkdir(proc, 0755), 0);
}

static void test_dev_as_a_link_makes_no_nodes_outside(void **state)
{
	AUTO_FREE char *dev = NULL, *host = NULL;
	struct fx f;

	NEEDS_ROOT();
	fx_init(&f);
	dev = fx_path("root/dev");
	host = xasprintf("/tmp/act-dev-%d", (int)getpid());
	(void)dir_remove(AT_FDCWD, dev);
	assert_int_equal(mkdir(host, 0755), 0);
	assert_int_equal(symlink(host, dev), 0);
	f.p.n_mounts = 2; /* no /dev mounted */
	fx_sh(&f, "true");
	(void)fx_create(&f);
	(void)act_start(&f.child, NULL);
	if (f.child.pid > 0)
		(void)fx_wait(f.child.pid);
	assert_int_equal(rmdir(host), 0); /* still empty */
	fx_done(&f);
	(void)unlink(dev);
}

static void overlay(struct fx *f, char *const path[3])
{
	static const char *lowers[3];

	lowers[0] = path[2];
	lowers[1] = f->root;
	f->mounts[0] = (struct plan_mount){ .kind = PLAN_MOUNT_OVERLAY,
					    .slot = -1,
					    .target = "/",
					    .lowers = lowers,
					    .upper = path[0],
					    .work = path[1] };
}

static void overlay_case(bool old_kernel)
{
	char *path[3] = { fx_path("up"), fx_path("work"), fx_path("vol") };
	AUTO_FREE char *written = fx_path("up/new");
	struct fx f;

	mount_old_kernel = old_kernel;
	fx_init(&f);
	overlay(&f, path);
	fx_run(&f, "touch /new; ls /bin/busybox; cat /lowfile");
	assert_string_equal(f.out, "/bin/busybox\nlow\n");
	assert_int_equal(unlink(written), 0);
	mount_old_kernel = false;
	for (int i = 0; i < 3; i++)
		free(path[i]);
}

static void test_overlay_root_on_new_and_old_kernels(void **state)
{
	AUTO_FREE char *low = NULL;

	NEEDS_ROOT();
	low = fx_path("vol/lowfile");
	assert_int_equal(file_write(AT_FDCWD, low, "low\n", 4, 0644), 0);
	overlay_case(false);
	overlay_case(true);
	(void)unlink(low);
}

static void test_overlay_with_many_relative_lowers(void **state)
{
	static char names[301][24];
	static const char *lowers[302];
	AUTO_FREE char *up = NULL, *work = NULL, *marker = NULL, *deep = NULL, *base = NULL;
	struct fx f;

	NEEDS_ROOT();
	{ /* a directory whose name alone is over fsconfig's 255 bytes */
		char long_name[200];

		memset(long_name, 'd', sizeof long_name - 1);
		long_name[sizeof long_name - 1] = 0;
		base = xasprintf("%s/%s", fx_dir, long_name);
		deep = xasprintf("%s/%s", base, long_name);
	}
	up = path_join(deep, "u");
	work = path_join(deep, "w");
	marker = path_join(up, "marker");
	assert_int_equal(dir_make(AT_FDCWD, up, 0755), 0);
	assert_int_equal(dir_make(AT_FDCWD, work, 0755), 0);
	for (int i = 0; i < 300; i++) {
		AUTO_FREE char *d = NULL;

		(void)snprintf(names[i], sizeof names[i], "%012d/diff", i); /* as long as the store's */
		d = path_join(deep, names[i]);
		assert_int_equal(dir_make(AT_FDCWD, d, 0755), 0);
		lowers[i] = names[i];
	}
	for (int old = 0; old < 2; old++) {
		fx_init(&f);
		mount_old_kernel = old;
		lowers[200] = f.root;
		lowers[201] = NULL;
		f.mounts[0] = (struct plan_mount){ .kind = PLAN_MOUNT_OVERLAY,
						   .slot = -1,
						   .target = "/",
						   .lowers = lowers,
						   .lower_dir = deep,
						   .upper = "u",
						   .work = "w" };
		fx_run(&f, "ls /bin/sh; pwd; touch /marker");
		assert_string_equal(f.out, "/bin/sh\n/\n");
		assert_int_equal(unlink(marker), 0);
	}
	lowers[200] = names[200];
	lowers[201] = names[201];
	lowers[300] = f.root;
	fx_sh(&f, "true");
	assert_true(fx_create(&f) < 0);
	assert_non_null(strstr(f.e.msg, "the image has 300 layers, more than this kernel takes"));
	fx_done(&f);
	mount_old_kernel = false;
	fx_run(&f, "ls /bin/sh");
	assert_string_equal(f.out, "/bin/sh\n");
	(void)dir_remove(AT_FDCWD, base);
}

static void test_overlay_shows_no_deleted_file_in_a_user_namespace(void **state)
{
	static const struct plan_idmap map[] = { { 0, 0, 65536 } };
	AUTO_FREE char *low = NULL, *white = NULL;
	char *path[3];
	struct fx f;

	NEEDS_ROOT();
	low = fx_path("vol/gone");
	white = fx_path("up/gone");
	path[0] = fx_path("up");
	path[1] = fx_path("work");
	path[2] = fx_path("vol");
	assert_int_equal(file_write(AT_FDCWD, low, "x", 1, 0644), 0);
	assert_int_equal(mknod(white, S_IFCHR, makedev(0, 0)), 0);
	fx_init(&f);
	overlay(&f, path);
	f.p.ns[PLAN_NS_USER].mode = 1;
	f.p.uid_map = f.p.gid_map = map;
	f.p.n_uid_map = f.p.n_gid_map = 1;
	fx_run(&f, "ls /gone 2>&1");
	assert_string_equal(f.out, "ls: /gone: No such file or directory\n");
	(void)unlink(low);
	(void)unlink(white);
	for (int i = 0; i < 3; i++)
		free(path[i]);
}

static void test_tmpfs_copies_up_and_becomes_readonly(void **state)
{
	struct fx f;

	NEEDS_ROOT();
	fx_init(&f);
	fx_mount(&f, (struct plan_mount){ .kind = PLAN_MOUNT_FS,
					  .target = "/etc",
					  .source = "tmpfs",
					  .fstype = "tmpfs",
					  .extra = PLAN_MOUNT_TMPCOPYUP,
					  .flags = MS_RDONLY });
	fx_run(&f, "ls /etc; stat -c %a /etc/passwd; touch /etc/x 2>&1");
	assert_string_equal(f.out, "group\npasswd\n644\ntouch: /etc/x: Read-only file system\n");
}

static void test_an_empty_volume_gets_the_images_files(void **state)
{
	AUTO_FREE char *vol = NULL, *dir = NULL, *file = NULL, *link_path = NULL, *made = NULL;
	struct stat st;
	struct fx f;

	NEEDS_ROOT();
	vol = fx_path("copyvol");
	dir = fx_path("root/data");
	file = fx_path("root/data/f");
	link_path = fx_path("root/data/l");
	assert_int_equal(mkdir(vol, 0755), 0);
	assert_int_equal(mkdir(dir, 0750), 0);
	assert_int_equal(file_write(AT_FDCWD, file, "hi\n", 3, 0600), 0);
	assert_int_equal(chown(file, 1000, 1001), 0);
	assert_int_equal(chmod(file, 04751), 0);
	assert_int_equal(chown(dir, 5, 6), 0);
	assert_int_equal(symlink("/etc/passwd", link_path), 0);
	for (int round = 0; round < 2; round++) { /* the second time it is not empty: what was deleted stays so */
		fx_init(&f);
		fx_mount(&f, (struct plan_mount){ .kind = PLAN_MOUNT_BIND,
						  .flags = MS_BIND | MS_REC | MS_RDONLY,
						  .target = "/data",
						  .source = vol,
						  .extra = PLAN_MOUNT_VOLUME_COPYUP });
		fx_run(&f, "stat -c '%n %a %u %g' /data /data/*; touch /data/x 2>&1");
		assert_string_equal(f.out,
				    round ? "/data 750 5 6\n/data/l 777 0 0\ntouch: /data/x: Read-only file system\n"
					  : "/data 750 5 6\n/data/f 4751 1000 1001\n/data/l 777 0 0\n"
					    "touch: /data/x: Read-only file system\n");
		made = path_join(vol, "f");
		assert_int_equal(stat(made, &st), 0 - round);
		(void)unlink(made);
		free(TAKE_PTR(made));
	}
	assert_int_equal(stat("/etc/passwd", &st), 0);
	assert_int_equal(st.st_uid, 0);
}

static void test_new_tmpfs_has_the_mode_of_what_it_covers(void **state)
{
	AUTO_FREE char *dir = NULL;
	struct fx f;

	NEEDS_ROOT();
	dir = fx_path("root/closed");
	assert_int_equal(mkdir(dir, 0700), 0);
	fx_init(&f);
	fx_mount(&f, (struct plan_mount){
			     .kind = PLAN_MOUNT_FS, .target = "/closed", .source = "tmpfs", .fstype = "tmpfs" });
	fx_mount(&f, (struct plan_mount){
			     .kind = PLAN_MOUNT_FS, .target = "/not/there", .source = "tmpfs", .fstype = "tmpfs" });
	fx_run(&f, "stat -c %a /closed /not/there");
	assert_string_equal(f.out, "700\n1777\n");
}

static void test_cgroup_view_shows_our_own_cgroup_read_only(void **state)
{
	struct fx f;

	NEEDS_ROOT();
	if (act_cgroup_version() != ACT_CGROUP_V1) {
		print_message("skipped: this host has cgroup v2\n");
		skip();
	}
	for (uint32_t ns = 0; ns < 2; ns++) {
		fx_init(&f);
		f.p.ns[PLAN_NS_CGROUP].mode = ns;
		f.p.cgroup.memory = 64 << 20;
		fx_mount(&f, (struct plan_mount){ .kind = PLAN_MOUNT_CGROUP,
						  .target = "/sys/fs/cgroup",
						  .fstype = "cgroup",
						  .source = "cgroup",
						  .flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY });
		fx_run(&f, "cat /sys/fs/cgroup/memory/memory.limit_in_bytes; mkdir /sys/fs/cgroup/pids/x 2>&1; "
			   "mkdir /sys/fs/cgroup/x 2>&1; grep memory /proc/self/cgroup");
		assert_non_null(strstr(
			f.out,
			"67108864\nmkdir: can't create directory '/sys/fs/cgroup/pids/x': Read-only file system\n"
			"mkdir: can't create directory '/sys/fs/cgroup/x': Read-only file system\n"));
		assert_non_null(strstr(f.out, ns ? ":memory:/\n" : fx_cgroup));
	}
}

static void test_recursive_readonly_and_propagation(void **state)
{
	AUTO_FREE char *vol = NULL, *sub = NULL;
	struct fx f;

	NEEDS_ROOT();
	vol = fx_path("vol");
	sub = fx_path("vol/sub");
	assert_int_equal(mkdir(sub, 0755), 0);
	assert_int_equal(mount("t", sub, "tmpfs", 0, NULL), 0);
	fx_init(&f);
	fx_mount(&f, (struct plan_mount){ .kind = PLAN_MOUNT_BIND,
					  .flags = MS_REC,
					  .target = "/rro",
					  .source = vol,
					  .rec_set = 1 /* MOUNT_ATTR_RDONLY */,
					  .propagation = MS_SLAVE | MS_REC });
	fx_run(&f, "touch /rro/sub/x 2>&1");
	assert_string_equal(f.out, "touch: /rro/sub/x: Read-only file system\n");
	assert_int_equal(umount2(sub, MNT_DETACH), 0);
	(void)rmdir(sub);
}

static void test_slot_with_a_detached_mount(void **state)
{
	struct plan_mount tmpfs = {
		.kind = PLAN_MOUNT_FS, .slot = -1, .fstype = "tmpfs", .source = "tmpfs", .data = "mode=0711"
	};
	struct act_opts o = ACT_OPTS_INIT;
	struct fx f;
	int slot, out[2];

	NEEDS_ROOT();
	slot = mount_fs_new(&tmpfs, NULL);
	assert_true(slot >= 0);
	fx_init(&f);
	fx_mount(&f, (struct plan_mount){ .kind = PLAN_MOUNT_BIND, .target = "/lent", .slot = 1 });
	fx_sh(&f, "stat -c %a /lent");
	o.slots = (const int[]){ -1, slot };
	o.n_slots = 2;
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	o.stdio[1] = o.stdio[2] = out[1];
	if (act_create(&f.p, &o, &f.child, &f.e) < 0 || act_start(&f.child, &f.e) < 0)
		fail_msg("%s", f.e.msg);
	(void)close(out[1]);
	f.pipe = out[0];
	fx_read(&f);
	assert_string_equal(f.out, "711\n");
	(void)fx_wait(f.child.pid);
	(void)close(slot);
	fx_done(&f);
}

static void test_idmapped_volume(void **state)
{
	static const struct plan_idmap map[] = { { 0, 100000, 65536 } };
	AUTO_FREE char *vol = NULL, *file = NULL;
	struct fx f;

	NEEDS_ROOT();
	vol = fx_path("vol");
	file = fx_path("vol/mine");
	assert_int_equal(file_write(AT_FDCWD, file, "x", 1, 0600), 0);
	fx_init(&f);
	f.p.ns[PLAN_NS_USER].mode = 1;
	f.p.uid_map = f.p.gid_map = map;
	f.p.n_uid_map = f.p.n_gid_map = 1;
	f.mounts[0].extra = PLAN_MOUNT_IDMAP; /* an image that nobody has shifted */
	fx_mount(&f, (struct plan_mount){
			     .kind = PLAN_MOUNT_BIND, .target = "/v", .source = vol, .extra = PLAN_MOUNT_IDMAP });
	fx_run(&f, "stat -c %u /v/mine; cat /v/mine && echo");
	assert_string_equal(f.out, "0\nx\n");
	(void)unlink(file);
}

static void test_the_host_root_is_gone(void **state)
{
	struct fx f;

	NEEDS_ROOT();
	fx_init(&f);
	fx_run(&f, "grep -c . /proc/self/mountinfo; cat /proc/self/mountinfo | grep -c act-test");
	assert_string_equal(f.out, "7\n1\n"); /* seven mounts; only our root's own line names its source */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_masked_paths_are_null_or_empty),
		cmocka_unit_test(test_masked_path_does_not_follow_a_link_out),
		cmocka_unit_test(test_readonly_paths),
		cmocka_unit_test(test_readonly_root),
		cmocka_unit_test(test_device_nodes_and_links),
		cmocka_unit_test(test_devices_not_in_the_rules_are_denied),
		cmocka_unit_test(test_bind_volume_and_its_flags),
		cmocka_unit_test(test_missing_source_is_named),
		cmocka_unit_test(test_mount_target_through_links_stays_inside),
		cmocka_unit_test(test_last_words_are_heard_before_a_reset),
		cmocka_unit_test(test_link_loop_is_an_error),
		cmocka_unit_test(test_proc_on_a_link_is_refused),
		cmocka_unit_test(test_dev_as_a_link_makes_no_nodes_outside),
		cmocka_unit_test(test_overlay_root_on_new_and_old_kernels),
		cmocka_unit_test(test_overlay_with_many_relative_lowers),
		cmocka_unit_test(test_overlay_shows_no_deleted_file_in_a_user_namespace),
		cmocka_unit_test(test_tmpfs_copies_up_and_becomes_readonly),
		cmocka_unit_test(test_an_empty_volume_gets_the_images_files),
		cmocka_unit_test(test_new_tmpfs_has_the_mode_of_what_it_covers),
		cmocka_unit_test(test_cgroup_view_shows_our_own_cgroup_read_only),
		cmocka_unit_test(test_recursive_readonly_and_propagation),
		cmocka_unit_test(test_slot_with_a_detached_mount),
		cmocka_unit_test(test_idmapped_volume),
		cmocka_unit_test(test_the_host_root_is_gone),
	};

	return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
