/* Promises of proc.h. The sandbox tests need root and are skipped without it; each runs in a forked child. */
#include "proc/proc.h"
#include "proc/threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void test_message_carries_body_and_descriptors(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };
	AUTO_FD int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct msg_reader r;
	size_t n = 0;
	int p[2];

	assert_int_equal(msg_pair(p), 0);
	msg_put_u32(&b, 7);
	msg_put_i64(&b, -5);
	msg_put_str(&b, "hoy");
	msg_put_str(&b, NULL);
	msg_put_str(&b, "");
	msg_put_bytes(&b, "a\0b", 3);
	assert_int_equal(msg_send(p[0], 12, 99, b.s, b.len, &null, 1), 0);
	assert_int_equal(msg_recv(p[1], &m), 1);
	assert_int_equal(m.type, 12);
	assert_int_equal(m.seq, 99);
	assert_int_equal(m.n_fds, 1);
	assert_true(fcntl(m.fds[0], F_GETFD) & FD_CLOEXEC);
	r = msg_reader(m.body, m.n);
	assert_int_equal(msg_get_u32(&r), 7);
	assert_int_equal(msg_get_i64(&r), -5);
	assert_string_equal(msg_get_str(&r), "hoy");
	assert_null(msg_get_str(&r));
	assert_false(r.bad);
	assert_string_equal(msg_get_str(&r), "");
	assert_memory_equal(msg_get_bytes(&r, &n), "a\0b", 3);
	assert_int_equal(n, 3);
	assert_int_equal(msg_get_u32(&r), 0); /* past the end */
	assert_true(r.bad);
	assert_int_equal(close(p[0]), 0);
	assert_int_equal(msg_recv(p[1], &m), 0);
	assert_int_equal(close(p[1]), 0);
}

static void test_hostile_messages_are_refused(void **state)
{
	static const char huge[MSG_BODY_MAX + 100];
	AUTO_MSG struct msg m = { 0 };
	struct msg_reader r;
	int p[2];

	assert_int_equal(msg_pair(p), 0);
	assert_int_equal(send(p[0], "abc", 3, 0), 3); /* shorter than a header */
	assert_int_equal(msg_recv(p[1], &m), -EBADMSG);
	assert_int_equal(send(p[0], "\0\0\0\0\0\0\0\0", 8, 0), 8); /* type 0 */
	assert_int_equal(msg_recv(p[1], &m), -EBADMSG);
	assert_int_equal(send(p[0], huge, sizeof huge, 0), sizeof huge);
	assert_int_equal(msg_recv(p[1], &m), -EBADMSG);
	assert_int_equal(msg_send(p[0], 1, 0, huge, sizeof huge, NULL, 0), -EMSGSIZE);
	assert_int_equal(msg_send(p[0], 1, 0, huge, MSG_BODY_MAX, NULL, 0), 0);
	assert_int_equal(msg_recv(p[1], &m), 1);
	assert_int_equal(m.n, MSG_BODY_MAX);
	assert_int_equal(close(p[1]), 0);
	assert_int_equal(msg_send(p[0], 1, 0, NULL, 0, NULL, 0), -EPIPE);
	assert_int_equal(close(p[0]), 0);

	r = msg_reader("\x05\0\0\0ab\0cd\0", 10); /* a string with a NUL inside */
	assert_null(msg_get_str(&r));
	assert_true(r.bad);
	r = msg_reader("\xf0\xff\xff\xff"
		       "ab",
		       6); /* longer than the body */
	assert_null(msg_get_str(&r));
	assert_true(r.bad);
}

static void test_last_words_come_before_the_reset(void **state)
{
	AUTO_MSG struct msg m = { 0 };
	int p[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p), 0);
	assert_int_equal(msg_send(p[0], 1, 0, "unread", 6, NULL, 0), 0);
	assert_int_equal(msg_send(p[1], 2, 0, "farewell", 8, NULL, 0), 0);
	(void)close(p[1]);
	assert_int_equal(msg_recv(p[0], &m), 1);
	assert_string_equal(m.body, "farewell");
	msg_done(&m);
	assert_int_equal(msg_recv(p[0], &m), 0);
	(void)close(p[0]);
}

static int run(const struct proc_opts *o)
{
	int status = 0;
	pid_t pid = -1;
	int r = proc_spawn(o, &pid, NULL);

	if (r < 0)
		return r;
	assert_int_equal(proc_wait(pid, &status), 0);
	return proc_exit_code(status);
}

#define SH(...) ((char *const[]){ (char *)"sh", (char *)"-c", __VA_ARGS__, NULL })

static void test_spawn_reports_failure_and_exit_code(void **state)
{
	assert_int_equal(run(&(struct proc_opts){ .path = "/nonexistent", .argv = SH((char *)"true") }), -ENOENT);
	assert_int_equal(run(&(struct proc_opts){ .path = "/etc/passwd", .argv = SH((char *)"true") }), -EACCES);
	assert_int_equal(run(&(struct proc_opts){ .path = "/bin/sh", .argv = SH((char *)"exit 7") }), 7);
	assert_int_equal(run(&(struct proc_opts){ .path = "/bin/sh", .argv = SH((char *)"kill -9 $$") }), 137);
	assert_int_equal(run(&(struct proc_opts){ .path = "/bin/sh", .argv = SH((char *)"true"), .cwd = "/nowhere" }),
			 -ENOENT);
	/* no descriptor beyond 0,1,2, no environment, cwd /, default signals */
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(run(&(struct proc_opts){
				 .path = "/bin/sh",
				 .argv = SH((char *)"[ \"$PWD\" = / ] && [ -z \"$HOME\" ] && set -- /proc/self/fd/* && "
						    "[ $# -le 4 ] && grep -q 'SigIgn:.0*$' /proc/self/status") }),
			 0);
	(void)signal(SIGPIPE, SIG_DFL);
}

static void test_spawn_places_crossing_descriptors(void **state)
{
	char text[64] = "";
	int a[2], b[2];
	struct proc_fd fds[4];
	pid_t pid = -1;
	int pidfd = -1, status = 0;

	assert_int_equal(pipe2(a, O_CLOEXEC), 0);
	assert_int_equal(pipe2(b, O_CLOEXEC), 0);
	fds[0] = (struct proc_fd){ a[1], b[1] }; /* swapped: neither may be overwritten before it has moved */
	fds[1] = (struct proc_fd){ b[1], a[1] };
	{
		AUTO_FREE char *script = xasprintf("echo first >&%d; echo second >&%d", b[1], a[1]);
		char *argv[] = { (char *)"sh", (char *)"-c", script, NULL };

		assert_int_equal(
			proc_spawn(
				&(struct proc_opts){
					.path = "/bin/sh", .argv = argv, .fds = fds, .n_fds = 2, .new_session = true },
				&pid, &pidfd),
			0);
	}
	assert_true(pidfd >= 0);
	assert_int_equal(proc_wait(pid, &status), 0);
	assert_int_equal(proc_exit_code(status), 0);
	assert_int_equal(read(a[0], text, sizeof text), 6);
	assert_memory_equal(text, "first\n", 6);
	assert_int_equal(read(b[0], text, sizeof text), 7);
	assert_memory_equal(text, "second\n", 7);
	for (int i = 0; i < 2; i++) {
		(void)close(a[i]);
		(void)close(b[i]);
	}
	(void)close(pidfd);
}

static void test_die_with_parent_is_told_by_environment(void **state)
{
	assert_int_equal(run(&(struct proc_opts){ .path = "/bin/sh",
						  .argv = SH((char *)"[ \"$HOY_PDEATH\" = 1 ]"),
						  .die_with_parent = true }),
			 0);
}

static void *spawn_many(void *arg)
{
	for (int i = 0; i < 20; i++)
		if (run(&(struct proc_opts){ .path = "/bin/sh", .argv = SH((char *)"exit 3") }) != 3)
			*(bool *)arg = true;
	return NULL;
}

static void test_threads_spawn_at_once(void **state)
{
	pthread_t t[4];
	bool failed[4] = { false };

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, spawn_many, &failed[i]), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		assert_false(failed[i]);
	}
}

static void test_sockets_in_deep_directories(void **state)
{
	char temp[] = "/tmp/hoy-proc-XXXXXX";
	AUTO_FREE char *deep = NULL;
	AUTO_FD int dir = -1;
	AUTO_FD int l = -1;
	AUTO_FD int c = -1;
	struct stat st = { 0 };

	assert_non_null(mkdtemp(temp));
	deep = xasprintf("%s/%0100d/%0100d", temp, 0, 0);
	assert_int_equal(dir_make(AT_FDCWD, deep, 0755), 0);
	dir = dir_open(AT_FDCWD, deep);
	l = sock_listen(dir, "a.sock", SOCK_SEQPACKET, 0600);
	assert_true(l >= 0);
	assert_int_equal(fstatat(dir, "a.sock", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(sock_listen(dir, "a.sock", SOCK_SEQPACKET, 0600), -EADDRINUSE);
	c = sock_connect(dir, "a.sock", SOCK_SEQPACKET);
	assert_true(c >= 0);
	fd_closep(&l);
	l = sock_listen(dir, "a.sock", SOCK_SEQPACKET, 0600); /* the dead one goes */
	assert_true(l >= 0);
	assert_int_equal(file_write(dir, "plain", "x", 1, 0600), 0);
	assert_int_equal(faccessat(dir, "plain", F_OK, 0), 0);
	fd_closep(&c);
	{
		AUTO_FREE char *path = xasprintf("%s/a.sock", deep);

		c = sock_connect(AT_FDCWD, path, SOCK_SEQPACKET);
		assert_true(c >= 0);
	}
	assert_int_equal(dir_remove(AT_FDCWD, temp), 0);
}

/* ---- sandbox ---- */
static int in_child(int (*f)(const char *dir), const char *dir)
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(f(dir));
	assert_int_equal(proc_wait(pid, &status), 0);
	return proc_exit_code(status);
}

#define MUST(x) \
	do { \
		if (!(x)) \
			return __LINE__ % 200 + 1; \
	} while (0)

static int locked_in(const char *dir)
{
	struct err e = ERR_INIT;
	AUTO_FD int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct sandbox s = { .flags = SANDBOX_NO_NETWORK | SANDBOX_ROOT | SANDBOX_SECCOMP,
			     .root_fd = root,
			     .keep_caps = 1 << 0 /* CAP_CHOWN */,
			     .max_file = 4096 };
	char *argv[] = { (char *)"inside", NULL };

	if (sandbox_enter(&s, &e) < 0) {
		(void)fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	MUST(access("/inside", F_OK) == 0);
	MUST(access("/etc/passwd", F_OK) < 0);
	MUST(access("/../../etc/passwd", F_OK) < 0);
	MUST(chown("/inside", 5, 5) == 0);
	MUST(chmod("/inside", 0) < 0); /* not the owner any more, CAP_FOWNER is gone */
	MUST(socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EPERM);
	MUST(unshare(CLONE_NEWUSER) < 0 && errno == EPERM);
	MUST(mount("none", "/", "tmpfs", 0, NULL) < 0 && errno == EPERM);
	MUST(chroot("/") < 0 && errno == EPERM);
	MUST(kill(getppid(), 0) < 0 && errno == EPERM);
	MUST(execv("/inside", argv) < 0 && errno == EPERM);
	MUST(prctl(PR_CAPBSET_READ, 21, 0, 0, 0) == 0);
	MUST(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	{
		pid_t pid = fork(); /* plain processes are allowed */

		MUST(pid >= 0);
		if (pid == 0)
			_exit(0);
		MUST(waitpid(pid, NULL, 0) == pid);
	}
	return 0;
}

static int mknod_kept(const char *dir)
{
	struct err e = ERR_INIT;
	AUTO_FD int root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct sandbox s = { .flags = SANDBOX_ROOT, .root_fd = root, .keep_caps = 1 << 27 /* CAP_MKNOD */ };

	if (sandbox_enter(&s, &e) < 0)
		return 1;
	MUST(mknod("/null", S_IFCHR | 0666, (dev_t)(1 << 8 | 3)) == 0);
	MUST(open("/null", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES); /* nodev */
	return 0;
}

/* systemd makes every mount of a machine shared */
static int below_shared_mounts(const char *dir)
{
	MUST(unshare(CLONE_NEWNS) == 0);
	MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	MUST(mount("none", dir, "tmpfs", 0, NULL) == 0);
	MUST(mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) == 0);
	return mknod_kept(dir);
}

static int aborts(const char *dir)
{
	struct sandbox s = { .flags = SANDBOX_SECCOMP, .root_fd = -1 };

	if (sandbox_enter(&s, NULL) < 0)
		return 1;
	abort();
}

static void test_sandbox(void **state)
{
	char temp[] = "/tmp/hoy-sandbox-XXXXXX";

	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(temp));
	{
		AUTO_FREE char *inside = path_join(temp, "inside");

		assert_int_equal(file_write(AT_FDCWD, inside, "", 0, 0755), 0);
	}
	assert_int_equal(in_child(locked_in, temp), 0);
	assert_int_equal(in_child(mknod_kept, temp), 0);
	assert_int_equal(in_child(below_shared_mounts, temp), 0);
	assert_int_equal(in_child(aborts, temp), 128 + SIGABRT);
	assert_int_equal(dir_remove(AT_FDCWD, temp), 0);
}

/* ---- threads ---- */
struct tally {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int begun, done, wanted;
	pthread_t who[2];
};

/* Ends only when as many are at work at once as the test wants: nobody waits for a place behind somebody else. */
static void meet(void *arg)
{
	struct tally *t = arg;

	pthread_mutex_lock(&t->lock);
	t->begun++;
	pthread_cond_broadcast(&t->changed);
	while (t->begun < t->wanted)
		pthread_cond_wait(&t->changed, &t->lock);
	t->done++;
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

static void test_work_never_waits_for_other_work(void **state UNUSED)
{
	struct tally t = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
	struct threads *threads = threads_new(256 * 1024);

	for (int round = 0; round < 300; round++) { /* some threads are new, some have just finished, some have ended */
		int n = 1 + round * 7 % 24;

		if (round % 100 == 99)
			(void)sleep(3);
		pthread_mutex_lock(&t.lock);
		t.begun = t.done = 0;
		t.wanted = n;
		pthread_mutex_unlock(&t.lock);
		for (int i = 0; i < n; i++)
			assert_int_equal(threads_run(threads, meet, &t), 0);
		pthread_mutex_lock(&t.lock);
		while (t.done < n)
			pthread_cond_wait(&t.changed, &t.lock);
		pthread_mutex_unlock(&t.lock);
	}
	threads_close(threads);
}

static void note_thread(void *arg)
{
	struct tally *t = arg;

	pthread_mutex_lock(&t->lock);
	t->who[t->done++] = pthread_self();
	pthread_cond_broadcast(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

static void test_a_thread_that_has_finished_takes_the_next_work(void **state UNUSED)
{
	struct tally t = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
	struct threads *threads = threads_new(256 * 1024);

	for (int i = 0; i < 2; i++) {
		assert_int_equal(threads_run(threads, note_thread, &t), 0);
		pthread_mutex_lock(&t.lock);
		while (t.done <= i)
			pthread_cond_wait(&t.changed, &t.lock);
		pthread_mutex_unlock(&t.lock);
		(void)usleep(200 * 1000);
	}
	assert_true(pthread_equal(t.who[0], t.who[1]));
	threads_close(threads);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_words_come_before_the_reset),
		cmocka_unit_test(test_message_carries_body_and_descriptors),
		cmocka_unit_test(test_hostile_messages_are_refused),
		cmocka_unit_test(test_spawn_reports_failure_and_exit_code),
		cmocka_unit_test(test_spawn_places_crossing_descriptors),
		cmocka_unit_test(test_die_with_parent_is_told_by_environment),
		cmocka_unit_test(test_threads_spawn_at_once),
		cmocka_unit_test(test_sockets_in_deep_directories),
		cmocka_unit_test(test_work_never_waits_for_other_work),
		cmocka_unit_test(test_a_thread_that_has_finished_takes_the_next_work),
		cmocka_unit_test(test_sandbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
