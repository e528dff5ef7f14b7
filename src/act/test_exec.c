/* act: further processes in a running container, and terminals. As root, for real. */
#include "act/fixture.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

struct box { /* a container that sleeps, to exec into */
	struct fx f;
	struct act_target t;
};

static void box_up(struct box *b, bool userns)
{
	static const struct plan_idmap map[] = { { 0, 100000, 65536 } };

	fx_init(&b->f);
	if (userns) {
		b->f.p.ns[PLAN_NS_USER].mode = 1;
		b->f.p.uid_map = b->f.p.gid_map = map;
		b->f.p.n_uid_map = b->f.p.n_gid_map = 1;
	}
	fx_sh(&b->f, "exec sleep 1000");
	if (fx_create(&b->f) < 0 || act_start(&b->f.child, &b->f.e) < 0)
		fail_msg("%s", b->f.e.msg);
	b->t = (struct act_target){
		.ns = b->f.child.ns, .init_pidfd = b->f.child.pidfd, .init_pid = b->f.child.pid, .cgroup = fx_cgroup
	};
}

static void box_down(struct box *b)
{
	assert_int_equal(act_cgroup_kill(fx_cgroup), 0);
	(void)fx_wait(b->f.child.pid);
	fx_done(&b->f);
}

/* g's process part is the exec; its stdout is read to the end. */
static int exec_in(struct box *b, struct fx *g, const char *script)
{
	struct act_opts o = ACT_OPTS_INIT;
	int out[2], r;

	fx_sh(g, script);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	o.stdio[1] = o.stdio[2] = out[1];
	r = act_exec(&g->p.process, &b->t, &o, &g->child, &g->e);
	(void)close(out[1]);
	g->pipe = out[0];
	fx_read(g);
	if (r == 0) {
		g->exit_code = fx_wait(g->child.pid);
		act_child_done(&g->child);
	}
	return r;
}

static void test_exec_is_in_the_container(void **state)
{
	struct box b;
	struct fx g;

	NEEDS_ROOT();
	for (int userns = 0; userns < 2; userns++) {
		box_up(&b, userns);
		fx_init(&g);
		if (exec_in(&b, &g,
			    "cat /proc/1/comm; hostname; id -u; grep -c hoy-act-test /proc/self/cgroup; ls -A /etc; "
			    "ls /proc/self/fd; exit 7") < 0)
			fail_msg("%s", g.e.msg);
		if (act_cgroup_version() == ACT_CGROUP_V1)
			assert_string_equal(g.out, "sleep\nbox\n0\n9\ngroup\npasswd\n0\n1\n2\n3\n");
		assert_int_equal(g.exit_code, 7);
		box_down(&b);
	}
}

static void test_exec_as_user_with_its_own_limits(void **state)
{
	struct box b;
	struct fx g;

	NEEDS_ROOT();
	box_up(&b, false);
	fx_init(&g);
	g.p.process.user = "bob:audio";
	g.p.process.cwd = "/tmp";
	g.p.process.caps[1] = g.p.process.caps[2] = 0;
	if (exec_in(&b, &g, "id -u; id -g; pwd; echo $HOME; grep CapEff /proc/self/status") < 0)
		fail_msg("%s", g.e.msg);
	assert_string_equal(g.out, "1000\n29\n/tmp\n/home/bob\nCapEff:\t0000000000000000\n");
	box_down(&b);
}

static void test_failed_exec_says_why_and_leaves_nobody(void **state)
{
	struct act_opts o = ACT_OPTS_INIT;
	struct act_pids pids = { 0 };
	struct box b;
	struct fx g;

	NEEDS_ROOT();
	box_up(&b, false);
	fx_init(&g);
	g.args[0] = "nosuch";
	assert_true(act_exec(&g.p.process, &b.t, &o, &g.child, &g.e) < 0);
	assert_int_equal(g.child.failure, ACT_FAILED_NOT_FOUND);
	assert_string_equal(g.e.msg, "exec: \"nosuch\": executable file not found in $PATH");
	g.args[0] = "/etc/passwd";
	assert_true(act_exec(&g.p.process, &b.t, &o, &g.child, &g.e) < 0);
	assert_int_equal(g.child.failure, ACT_FAILED_NOT_EXECUTABLE);
	assert_int_equal(act_cgroup_pids(fx_cgroup, &pids), 0);
	assert_int_equal(pids.n, 1);
	free(pids.v);
	box_down(&b);
}

static void test_exec_into_an_ended_container_says_so(void **state)
{
	struct act_opts o = ACT_OPTS_INIT;
	struct box b;
	struct fx g;

	NEEDS_ROOT();
	box_up(&b, false);
	fx_init(&g);
	fx_sh(&g, "true");
	assert_int_equal(act_cgroup_kill(fx_cgroup), 0);
	(void)fx_wait(b.f.child.pid);
	assert_true(act_exec(&g.p.process, &b.t, &o, &g.child, &g.e) < 0);
	assert_string_equal(g.e.msg, "cannot exec in a stopped container");
	fx_done(&b.f);
}

static void test_our_own_pid_namespace_is_unchanged_by_exec(void **state)
{
	struct box b;
	struct fx g;
	pid_t pid;

	NEEDS_ROOT();
	box_up(&b, false);
	fx_init(&g);
	assert_int_equal(exec_in(&b, &g, "true"), 0);
	pid = fork();
	if (pid == 0)
		_exit(getppid() == 0); /* 0: the parent is invisible from inside a container */
	assert_int_equal(fx_wait(pid), 0);
	box_down(&b);
}

/* Reads the terminal until its other side is closed. */
static void read_terminal(int master, char *out, size_t size)
{
	size_t n = 0;
	ssize_t k;

	while (n < size - 1 && (k = read(master, out + n, size - 1 - n)) > 0)
		n += (size_t)k;
	out[n] = 0;
}

static void test_terminal_of_a_container(void **state)
{
	struct fx f;

	NEEDS_ROOT();
	fx_init(&f);
	f.p.process.terminal = 1;
	f.p.process.rows = 33;
	f.p.process.cols = 77;
	f.p.process.user = "bob";
	fx_sh(&f, "tty; stty size; stat -c %u /dev/pts/0; test -c /dev/console && echo console; echo on > /dev/tty; ls "
		  "-1 /dev/pts");
	if (fx_create(&f) < 0)
		fail_msg("%s", f.e.msg);
	assert_true(f.child.terminal >= 0);
	if (act_start(&f.child, &f.e) < 0)
		fail_msg("%s", f.e.msg);
	read_terminal(f.child.terminal, f.out, sizeof f.out);
	assert_string_equal(f.out, "/dev/pts/0\r\n33 77\r\n1000\r\nconsole\r\non\r\n0\r\nptmx\r\n");
	assert_int_equal(fx_wait(f.child.pid), 0);
	fx_done(&f);
}

static void test_terminal_of_an_exec(void **state)
{
	struct act_opts o = ACT_OPTS_INIT;
	struct box b;
	struct fx g;

	NEEDS_ROOT();
	box_up(&b, false);
	fx_init(&g);
	g.p.process.terminal = 1;
	fx_sh(&g, "tty; read x; echo got $x");
	if (act_exec(&g.p.process, &b.t, &o, &g.child, &g.e) < 0)
		fail_msg("%s", g.e.msg);
	assert_int_equal(write(g.child.terminal, "abc\n", 4), 4);
	read_terminal(g.child.terminal, g.out, sizeof g.out);
	assert_non_null(strstr(g.out, "/dev/pts/0\r\n"));
	assert_non_null(strstr(g.out, "got abc\r\n"));
	assert_int_equal(fx_wait(g.child.pid), 0);
	act_child_done(&g.child);
	box_down(&b);
}

static void test_fake_ptmx_of_an_image_is_refused(void **state)
{
	AUTO_FREE char *dir = NULL, *file = NULL;
	struct fx f;

	NEEDS_ROOT();
	fx_init(&f);
	dir = fx_path("root/dev/pts");
	file = fx_path("root/dev/pts/ptmx");
	assert_int_equal(dir_make(AT_FDCWD, dir, 0755), 0);
	assert_int_equal(file_write(AT_FDCWD, file, "x", 1, 0666), 0);
	f.p.n_mounts = 2; /* no /dev, no devpts */
	f.p.process.terminal = 1;
	fx_sh(&f, "true");
	assert_true(fx_create(&f) < 0);
	assert_non_null(strstr(f.e.msg, "is not on a devpts file system"));
	fx_done(&f);
}

static void test_act_netns_new_has_loopback_and_leaves_us_alone(void **state)
{
	struct stat before, after, made;
	struct err e = ERR_INIT;
	int fd = -1;

	NEEDS_ROOT();
	assert_int_equal(stat("/proc/self/ns/net", &before), 0);
	assert_int_equal(act_netns_new(&fd, &e), 0);
	assert_int_equal(stat("/proc/self/ns/net", &after), 0);
	assert_int_equal(fstat(fd, &made), 0);
	assert_true(before.st_ino == after.st_ino && made.st_ino != before.st_ino);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exec_is_in_the_container),
		cmocka_unit_test(test_exec_as_user_with_its_own_limits),
		cmocka_unit_test(test_failed_exec_says_why_and_leaves_nobody),
		cmocka_unit_test(test_exec_into_an_ended_container_says_so),
		cmocka_unit_test(test_our_own_pid_namespace_is_unchanged_by_exec),
		cmocka_unit_test(test_terminal_of_a_container),
		cmocka_unit_test(test_terminal_of_an_exec),
		cmocka_unit_test(test_fake_ptmx_of_an_image_is_refused),
		cmocka_unit_test(test_act_netns_new_has_loopback_and_leaves_us_alone),
	};

	return cmocka_run_group_tests(tests, fx_setup, fx_teardown);
}
