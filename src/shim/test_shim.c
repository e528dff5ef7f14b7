/* Promises of hoy-shim, seen from hoyd's end of proto.h: the real binary, driven over a socket pair. argv[1] = the binary;
 * argv[2] = "fake" where it is linked with fake_act.c and has no namespaces. Root only otherwise: containers are made. */
#include "act/act.h"
#include "proc/proc.h"
#include "shim/proto.h"
#include "stream/stream.h"
#include "base/kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ID "0123456789abcdef"
#define LOG "c-json.log"
#define TIMEOUT_MS 10000

static const char *binary;
static bool fake;
static char temp[64];
static char cgroup_parent[64], cgroup[96]; /* of this run alone: others test at the same time */

struct event {
	int64_t seq;
	uint32_t what;
	char id[64];
	int64_t a, b;
};
static struct sh { /* hoyd's side */
	pid_t pid;
	int pidfd, sock, dir;
	uint32_t seq;
	struct event events[256];
	size_t n_events;
} sh;

/* ---- talking ---- */
static void note_event(const struct msg *m)
{
	struct msg_reader r = msg_reader(m->body, m->n);
	struct event *e = &sh.events[sh.n_events++ % ARRAY_LEN(sh.events)];
	const char *id;

	e->seq = msg_get_i64(&r);
	e->what = msg_get_u32(&r);
	(void)msg_get_i64(&r);
	id = msg_get_str(&r);
	(void)snprintf(e->id, sizeof e->id, "%s", id ? id : "");
	e->a = msg_get_i64(&r);
	e->b = msg_get_i64(&r);
	assert_false(r.bad);
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) > 0;
}

/* The next message; events are noted on the way. */
static void next_message(struct msg *m)
{
	assert_true(readable(sh.sock, TIMEOUT_MS));
	assert_int_equal(msg_recv(sh.sock, m), 1);
	if (m->type == SHIM_EVENT)
		note_event(m);
}

static void answer_to(uint32_t seq, struct msg *m)
{
	for (;;) {
		next_message(m);
		if (m->type != SHIM_EVENT) {
			assert_int_equal(m->seq, seq);
			return;
		}
		msg_done(m);
	}
}

static void sendm(uint16_t type, uint32_t seq, const struct strb *b, const int *fds, size_t n)
{
	assert_int_equal(msg_send(sh.sock, type, seq, b ? b->s : NULL, b ? b->len : 0, fds, n), 0);
}

/* Sends, waits, expects this answer. */
static void call(uint16_t type, const struct strb *b, const int *fds, size_t n, uint16_t want)
{
	AUTO_MSG struct msg m = { 0 };
	uint32_t seq = ++sh.seq;

	sendm(type, seq, b, fds, n);
	answer_to(seq, &m);
	if (m.type == SHIM_ERROR && want != SHIM_ERROR)
		print_error("shim: %s\n", m.n > 12 ? m.body + 12 : "?");
	assert_int_equal(m.type, want);
}

static const struct event *wait_event(uint32_t what)
{
	size_t seen = 0;

	for (;;) {
		AUTO_MSG struct msg m = { 0 };

		for (; seen < sh.n_events; seen++)
			if (sh.events[seen].what == what)
				return &sh.events[seen];
		next_message(&m);
		assert_int_equal(m.type, SHIM_EVENT);
	}
}

static void forget_events(void)
{
	sh.n_events = 0;
}

static void hello(int64_t known)
{
	AUTO_STRB struct strb b = STRB_INIT;

	msg_put_u32(&b, SHIM_PROTO_VERSION);
	msg_put_i64(&b, known);
	call(SHIM_HELLO, &b, NULL, 0, SHIM_STATE);
}

static void config(uint32_t flags)
{
	AUTO_STRB struct strb b = STRB_INIT;

	msg_put_u32(&b, flags);
	msg_put_str(&b, "json-file");
	msg_put_i64(&b, -1);
	msg_put_u32(&b, 1);
	msg_put_str(&b, LOG);
	msg_put_str(&b, NULL);
	call(SHIM_CONFIG, &b, NULL, 0, SHIM_OK);
}

/* ---- plans ---- */
static const char *const env[] = { "PATH=/bin:/usr/bin:/sbin:/usr/sbin", NULL };

static void process(struct plan_process *p, const char *const *args, bool tty)
{
	*p = (struct plan_process){ .args = args,
				    .env = env,
				    .cwd = "/",
				    .terminal = tty,
				    .umask = -1,
				    .oom_score_adj = INT64_MIN,
				    .io_class = -1,
				    .sched_policy = -1,
				    .personality = -1 };
	for (int i = 0; i < 3; i++)
		p->caps[i] = ~0ULL >> 23; /* CAP_0 to CAP_40 */
}

static const char *program = "/bin/sh";
static int64_t memory_limit;

static int plan_fd(const char *script, bool tty)
{
	const char *args[] = { program, "-c", script, NULL };
	AUTO_FREE char *root = path_join(temp, "root");
	struct plan_mount mounts[] = {
		{ .kind = PLAN_MOUNT_BIND, .target = "/", .source = root, .flags = MS_BIND | MS_REC, .slot = -1 },
		{ .kind = PLAN_MOUNT_FS, .target = "/proc", .source = "proc", .fstype = "proc", .slot = -1 },
		{ .kind = PLAN_MOUNT_FS,
		  .target = "/dev",
		  .source = "tmpfs",
		  .fstype = "tmpfs",
		  .data = "mode=755",
		  .slot = -1 },
		{ .kind = PLAN_MOUNT_FS,
		  .target = "/dev/pts",
		  .source = "devpts",
		  .fstype = "devpts",
		  .data = "newinstance,ptmxmode=0666,mode=0620",
		  .slot = -1 },
	};
	static const struct plan_device devices[] = {
		{ .path = "/dev/null", .type = S_IFCHR, .major = 1, .minor = 3, .mode = 0666 },
	};
	struct plan p = { .id = ID,
			  .hostname = "shimtest",
			  .mounts = mounts,
			  .n_mounts = ARRAY_LEN(mounts),
			  .devices = devices,
			  .n_devices = 1,
			  .cgroup = { .path = cgroup, .memory = memory_limit, .swappiness = -1, .cpu_idle = -1 } };
	AUTO_STRB struct strb b = STRB_INIT;
	int fd;

	process(&p.process, args, tty);
	for (int i = 0; i < PLAN_NS_COUNT; i++)
		p.ns[i] = (struct plan_ns_choice){
			.mode = i != PLAN_NS_USER && i != PLAN_NS_TIME && i != PLAN_NS_CGROUP, .slot = -1
		};
	plan_encode(&p, &b);
	fd = memfd_of("plan", b.s, b.len);
	assert_true(fd >= 0);
	return fd;
}

/* SHIM_START, NETNS, GO. Leaves the answer to GO in m. */
static void start_to(const char *script, bool tty, struct msg *m)
{
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_FD int plan = plan_fd(script, tty);
	uint32_t seq = ++sh.seq;

	msg_put_u32(&b, 0);
	sendm(SHIM_START, seq, &b, &plan, 1);
	answer_to(seq, m);
	if (m->type == SHIM_NETNS) {
		assert_int_equal(m->n_fds, 3);
		msg_done(m);
		sendm(SHIM_GO, seq, &b, NULL, 0);
		answer_to(seq, m);
	}
}

static pid_t start(const char *script, bool tty)
{
	AUTO_MSG struct msg m = { 0 };
	struct msg_reader r;

	start_to(script, tty, &m);
	if (m.type == SHIM_ERROR)
		print_error("start: %s\n", m.n > 12 ? m.body + 12 : "?");
	assert_int_equal(m.type, SHIM_STARTED);
	r = msg_reader(m.body, m.n);
	return (pid_t)msg_get_u32(&r);
}

/* A client: returns its end; the other goes to the shim. */
static int client(uint16_t type, const struct strb *b)
{
	int p[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p), 0);
	call(type, b, &p[1], 1, SHIM_OK);
	(void)close(p[1]);
	return p[0];
}

static int attach(uint32_t flags, const char *keys, const char *input)
{
	AUTO_STRB struct strb b = STRB_INIT;

	msg_put_u32(&b, flags);
	msg_put_bytes(&b, keys, strlen(keys));
	msg_put_bytes(&b, input, strlen(input));
	return client(SHIM_ATTACH, &b);
}

static int waiter(uint32_t condition, uint32_t flags)
{
	AUTO_STRB struct strb b = STRB_INIT;

	msg_put_u32(&b, condition);
	msg_put_u32(&b, flags);
	return client(SHIM_WAIT, &b);
}

#define OUTS (SHIM_IO_STDOUT | SHIM_IO_STDERR)
#define ALL (OUTS | SHIM_IO_STDIN)

static char *read_end(int fd, size_t *ret_n)
{
	AUTO_STRB struct strb b = STRB_INIT;
	char buf[4096];
	ssize_t n = 1;

	while (n > 0) {
		assert_true(readable(fd, TIMEOUT_MS));
		n = read(fd, buf, sizeof buf);
		assert_true(n >= 0); /* never a reset */
		strb_add(&b, buf, (size_t)n);
	}
	if (ret_n)
		*ret_n = b.len;
	return strb_take(&b);
}

static void read_until(int fd, const char *want)
{
	AUTO_STRB struct strb b = STRB_INIT;
	char buf[512];

	while (!strstr(strb_str(&b), want)) {
		ssize_t n;

		assert_true(readable(fd, TIMEOUT_MS));
		n = read(fd, buf, sizeof buf);
		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++) /* frame heads hold NULs */
			strb_addc(&b, buf[i] ? buf[i] : '.');
	}
}

static void demux(const char *p, size_t n, struct strb *out, struct strb *err)
{
	struct stream_reader s = { 0 };
	struct stream_piece piece;

	while (stream_next(&s, &p, &n, &piece) > 0)
		strb_add(piece.id == STREAM_STDERR ? err : out, piece.p, piece.n);
	assert_true(stream_between_frames(&s));
}

static char *log_text(void)
{
	char *s = NULL;

	assert_int_equal(file_read(sh.dir, LOG, 1 << 24, &s, NULL), 0);
	return s;
}

/* ---- before and after ---- */
static int setup(void **state)
{
	char *argv[] = { (char *)"hoy-shim", (char *)ID, NULL };
	struct proc_fd fds[4];
	AUTO_FD int listener = -1;
	int p[2];

	sh = (struct sh){ .pid = -1 };
	sh.dir = dir_open(AT_FDCWD, temp);
	(void)unlinkat(sh.dir, LOG, 0);
	(void)unlinkat(sh.dir, "journal", 0);
	for (int i = 0; i < 100 && listener < 0; i++) { /* a dead shim's cleaner may hold its copy for a moment */
		listener = sock_listen(sh.dir, ID ".sock", SOCK_SEQPACKET, 0600);
		if (listener < 0)
			(void)usleep(20000);
	}
	assert_true(listener >= 0);
	assert_int_equal(msg_pair(p), 0);
	fds[0] = (struct proc_fd){ sh.dir, 3 };
	fds[1] = (struct proc_fd){ p[1], 4 };
	fds[2] = (struct proc_fd){ listener, 5 };
	fds[3] = (struct proc_fd){ sh.dir, 6 };
	assert_int_equal(proc_spawn(
				 &(struct proc_opts){
					 .path = binary, .argv = argv, .fds = fds, .n_fds = 4, .new_session = true },
				 &sh.pid, &sh.pidfd),
			 0);
	(void)close(p[1]);
	sh.sock = p[0];
	hello(0);
	return 0;
}

static int teardown(void **state)
{
	int status = 0;

	(void)close(sh.sock);
	(void)kill(sh.pid, SIGKILL);
	assert_int_equal(proc_wait(sh.pid, &status), 0);
	assert_true(WIFSIGNALED(status) || status == 0); /* no crash, no sanitizer's complaint */
	if (WIFSIGNALED(status))
		assert_int_equal(WTERMSIG(status), SIGKILL);
	(void)close(sh.dir);
	(void)close(sh.pidfd);
	if (!fake) { /* what hoyd does for a shim that died */
		(void)act_cgroup_kill(cgroup);
		(void)act_cgroup_remove(cgroup);
	}
	return 0;
}

/* ---- promises ---- */
static void test_run_and_exit_code_and_log(void **state)
{
	AUTO_FREE char *log = NULL;

	config(0);
	assert_true(start("echo out; echo err >&2; printf part; exit 7", false) > 0);
	assert_int_equal(wait_event(SHIM_EV_EXIT)->a, 7);
	log = log_text();
	assert_non_null(strstr(log, "{\"log\":\"out\\n\",\"stream\":\"stdout\",\"time\":\""));
	assert_non_null(strstr(log, "{\"log\":\"err\\n\",\"stream\":\"stderr\",\"time\":\""));
	assert_non_null(strstr(log, "{\"log\":\"part\",\"stream\":\"stdout\""));
}

static void test_start_again(void **state)
{
	config(0);
	for (int i = 1; i < 4; i++) {
		AUTO_FREE char *script = xasprintf("exit %d", i);

		forget_events();
		(void)start(script, false);
		assert_int_equal(wait_event(SHIM_EV_EXIT)->a, i);
	}
}

static void test_second_start_while_running_is_refused(void **state)
{
	AUTO_MSG struct msg m = { 0 };

	config(0);
	(void)start("sleep 100", false);
	start_to("true", false, &m);
	assert_int_equal(m.type, SHIM_ERROR);
}

static void test_missing_program_is_reported(void **state)
{
	AUTO_MSG struct msg m = { 0 };
	struct msg_reader r;
	int at;

	config(0);
	at = attach(OUTS, "", "");
	program = "/nonexistent";
	start_to("true", false, &m);
	program = "/bin/sh";
	assert_int_equal(m.type, SHIM_ERROR);
	r = msg_reader(m.body, m.n);
	assert_int_equal(msg_get_u32(&r), ENOENT);
	assert_int_equal(msg_get_u32(&r), ACT_FAILED_NOT_FOUND);
	free(read_end(at, NULL)); /* who attached before is not left waiting */
	(void)close(at);
	(void)start("exit 3", false); /* and the shim is as good as before */
	assert_int_equal(wait_event(SHIM_EV_EXIT)->a, 3);
}

static void test_attach_gets_frames_and_closes_stdin_once(void **state)
{
	AUTO_STRB struct strb out = STRB_INIT, err = STRB_INIT;
	AUTO_FREE char *got = NULL;
	size_t n = 0;
	int c;

	config(SHIM_CFG_OPEN_STDIN | SHIM_CFG_STDIN_ONCE);
	c = attach(ALL, "", "un"); /* before the start, with unread input */
	assert_int_equal(write(c, "read\n", 5), 5);
	assert_int_equal(shutdown(c, SHUT_WR), 0);
	(void)start("cat; echo done >&2; exit 3", false);
	got = read_end(c, &n);
	demux(got, n, &out, &err);
	assert_string_equal(strb_str(&out), "unread\n");
	assert_string_equal(strb_str(&err), "done\n");
	assert_int_equal(wait_event(SHIM_EV_EXIT)->a, 3);
	(void)close(c);
}

static void test_unread_input_does_not_reset_the_connection(void **state)
{
	AUTO_FREE char *got = NULL;
	size_t n = 0;
	int c;

	config(SHIM_CFG_OPEN_STDIN | SHIM_CFG_STDIN_ONCE);
	c = attach(ALL, "", "");
	assert_int_equal(write(c, "nobody reads this\n", 18), 18);
	(void)start("echo bye", false);
	got = read_end(c, &n);
	assert_int_equal(n, 8 + 4);
	(void)close(c);
}

static void test_input_of_a_client_that_vanished_arrives(void **state)
{
	static char text[100000];
	AUTO_FREE char *log = NULL;
	int c;

	memset(text, 'x', sizeof text);
	config(SHIM_CFG_OPEN_STDIN | SHIM_CFG_STDIN_ONCE);
	c = attach(ALL, "", "");
	(void)start("echo noise; sleep 0.3; echo noise; wc -c", false);
	assert_int_equal(write(c, text, sizeof text), sizeof text);
	assert_int_equal(write(c, text, sizeof text), sizeof text); /* more than pipe and queue hold */
	(void)close(c);
	assert_int_equal(wait_event(SHIM_EV_EXIT)->a, 0);
	log = log_text();
	assert_non_null(strstr(log, "200000"));
}

static void test_client_that_vanishes_after_the_end_is_forgotten(void **state)
{
	int c;

	config(SHIM_CFG_OPEN_STDIN | SHIM_CFG_STDIN_ONCE);
	c = attach(ALL | SHIM_IO_TTY, "", "");
	(void)start("i=0; while [ $i -lt 9000 ]; do echo "
		    "0123456789012345678901234567890123456789012345678901234567890; i=$((i+1)); done",
		    false);
	(void)wait_event(SHIM_EV_EXIT); /* half a megabyte waits for us */
	assert_int_equal(write(c, "too late", 8), 8);
	(void)usleep(50000);
	(void)close(c);
	call(SHIM_QUIT, NULL, NULL, 0, SHIM_OK);
	assert_true(readable(sh.pidfd, 1500)); /* nobody is waited for */
}

static void test_several_clients_see_the_same(void **state)
{
	int c[5];

	config(0);
	for (int i = 0; i < 5; i++)
		c[i] = attach(OUTS | SHIM_IO_TTY, "", "");
	(void)start("echo one; echo two", false);
	for (int i = 0; i < 5; i++) {
		AUTO_FREE char *got = read_end(c[i], NULL);

		assert_string_equal(got, "one\ntwo\n");
		(void)close(c[i]);
	}
}

static void test_slow_client_blocks_but_loses_nothing(void **state)
{
	AUTO_FREE char *got = NULL, *log = NULL;
	size_t n = 0;
	int c;

	config(0);
	c = attach(OUTS | SHIM_IO_TTY, "", "");
	(void)start("i=0; while [ $i -lt 40000 ]; do echo "
		    "0123456789012345678901234567890123456789012345678901234567890; i=$((i+1)); done",
		    false);
	assert_false(readable(sh.sock, 1500) &&
		     (wait_event(SHIM_EV_START), readable(sh.sock, 1500))); /* it waits for us */
	got = read_end(c, &n);
	assert_int_equal(n, 40000 * 62);
	(void)wait_event(SHIM_EV_EXIT);
	(void)close(c);
}

static void test_client_that_vanishes_does_not_block(void **state)
{
	int c;

	config(0);
	c = attach(OUTS | SHIM_IO_TTY, "", "");
	(void)start("i=0; while [ $i -lt 40000 ]; do echo "
		    "0123456789012345678901234567890123456789012345678901234567890; i=$((i+1)); done",
		    false);
	(void)usleep(200000);
	(void)close(c);
	assert_int_equal(wait_event(SHIM_EV_EXIT)->a, 0);
}

static void test_terminal_resize_and_detach(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;
	int c;

	config(SHIM_CFG_TTY | SHIM_CFG_OPEN_STDIN);
	c = attach(ALL | SHIM_IO_TTY, "\x01", "");
	(void)start("echo ready; while read x; do echo \"<$x>\"; stty size; done; echo end", true);
	read_until(c, "ready");
	msg_put_str(&b, NULL);
	msg_put_u32(&b, 33);
	msg_put_u32(&b, 77);
	call(SHIM_RESIZE, &b, NULL, 0, SHIM_OK);
	assert_int_equal(write(c, "hi\n", 3), 3);
	read_until(c, "33 77");                     /* behind <hi> */
	assert_int_equal(write(c, "ab\x01", 3), 3); /* detach: what came before the key arrives */
	free(read_end(c, NULL));
	(void)close(c);
	assert_int_equal(wait_event(SHIM_EV_DETACH)->seq, 0);
	c = attach(ALL | SHIM_IO_TTY, "", "");
	assert_int_equal(write(c, "c\n", 2), 2);
	read_until(c, "<abc>");
	(void)close(c);
}

static void test_wait(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;
	int now, next, gone;

	config(0);
	now = waiter(0, 0);
	next = waiter(1, SHIM_IO_CHUNKED);
	gone = waiter(1, 0);
	(void)close(gone);
	{
		AUTO_FREE char *got = read_end(now, NULL); /* never started: at once */

		assert_string_equal(got, "{\"StatusCode\":0}\n");
	}
	(void)start("exit 5", false);
	(void)wait_event(SHIM_EV_EXIT);
	msg_put_i64(&b, wait_event(SHIM_EV_EXIT)->seq);
	sendm(SHIM_ACK, 0, &b, NULL, 0);
	{
		AUTO_FREE char *got = read_end(next, NULL);

		assert_string_equal(got, "11\r\n{\"StatusCode\":5}\n\r\n0\r\n\r\n");
	}
	(void)close(now);
	(void)close(next);
}

static void test_follow_continues_from_the_mark(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT, out = STRB_INIT, err = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };
	struct msg_reader r;
	const char *file;
	int64_t offset;
	int c;

	config(SHIM_CFG_OPEN_STDIN);
	c = attach(ALL | SHIM_IO_TTY, "", "");
	(void)start("echo first; read x; echo second; echo third >&2", false);
	read_until(c, "first");
	sendm(SHIM_LOG_MARK, ++sh.seq, NULL, NULL, 0);
	answer_to(sh.seq, &m);
	assert_int_equal(m.type, SHIM_LOG_AT);
	r = msg_reader(m.body, m.n);
	file = msg_get_str(&r);
	offset = msg_get_i64(&r);
	msg_put_u32(&b, OUTS | SHIM_IO_CHUNKED);
	msg_put_i64(&b, 0);
	msg_put_i64(&b, 0);
	msg_put_str(&b, file);
	msg_put_i64(&b, offset);
	msg_put_u32(&b, 0);
	{
		int f = client(SHIM_FOLLOW, &b);
		AUTO_FREE char *got = NULL;

		assert_false(readable(f, 100));
		assert_int_equal(write(c, "go\n", 3), 3);
		size_t n = 0;

		got = read_end(f, &n);
		assert_int_equal(n, 2 * (3 + 8 + 2) + 7 + 6 + 5);
		assert_memory_equal(got, "f\r\n\1\0\0\0\0\0\0\7second\n\r\n", 20);
		assert_memory_equal(got + n - 5, "0\r\n\r\n", 5);
		(void)close(f);
	}
	(void)close(c);
}

static uint32_t exec_fds(const char *id, const char *script, uint32_t flags, bool tty, int conn, const char *input)
{
	AUTO_STRB struct strb b = STRB_INIT, plan = STRB_INIT;
	const char *args[] = { "/bin/sh", "-c", script, NULL };
	struct plan_process p;
	int fds[2];

	process(&p, args, tty);
	plan_process_encode(&p, &plan);
	fds[0] = memfd_of("exec", plan.s, plan.len);
	fds[1] = conn;
	msg_put_str(&b, id);
	msg_put_u32(&b, flags);
	msg_put_bytes(&b, "", 0);
	msg_put_bytes(&b, input, strlen(input));
	msg_put_u32(&b, tty ? 20 : 0);
	msg_put_u32(&b, tty ? 50 : 0);
	sendm(SHIM_EXEC, ++sh.seq, &b, fds, conn < 0 ? 1 : 2);
	(void)close(fds[0]);
	if (conn >= 0)
		(void)close(conn);
	return sh.seq;
}

static void test_exec(void **state)
{
	AUTO_STRB struct strb out = STRB_INIT, err = STRB_INIT;
	AUTO_FREE char *got = NULL;
	AUTO_MSG struct msg m = { 0 };
	size_t n = 0;
	uint32_t seq;
	int p[2];

	config(0);
	(void)start("sleep 100", false);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p), 0);
	seq = exec_fds("e1", "cat; echo oops >&2; exit 9", ALL, false, p[1], "from");
	answer_to(seq, &m);
	assert_int_equal(m.type, SHIM_STARTED);
	assert_int_equal(write(p[0], " exec\n", 6), 6);
	assert_int_equal(shutdown(p[0], SHUT_WR), 0);
	assert_int_equal(wait_event(SHIM_EV_EXEC_EXIT)->a, 9);
	assert_string_equal(wait_event(SHIM_EV_EXEC_EXIT)->id, "e1");
	got = read_end(p[0], &n);
	demux(got, n, &out, &err);
	assert_string_equal(strb_str(&out), "from exec\n");
	assert_string_equal(strb_str(&err), "oops\n");
	(void)close(p[0]);
}

static void test_several_execs_and_terminals(void **state)
{
	AUTO_FREE char *log = NULL;
	int c[4];

	config(0);
	(void)start("sleep 100", false);
	for (int i = 0; i < 4; i++) {
		AUTO_MSG struct msg m = { 0 };
		AUTO_FREE char *id = xasprintf("exec%d", i);
		uint32_t seq;
		int p[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p), 0);
		seq = exec_fds(id, "read x; echo got $x; exit 1", ALL | SHIM_IO_TTY, true, p[1], "");
		answer_to(seq, &m);
		assert_int_equal(m.type, SHIM_STARTED);
		c[i] = p[0];
	}
	for (int i = 3; i >= 0; i--) {
		AUTO_FREE char *text = xasprintf("n%d\n", i), *want = xasprintf("got n%d", i);

		assert_int_equal(write(c[i], text, 3), 3);
		read_until(c[i], want);
		free(read_end(c[i], NULL));
		(void)close(c[i]);
	}
	{
		AUTO_MSG struct msg m = { 0 };
		uint32_t seq = exec_fds("bg", "exit 4", SHIM_IO_DETACHED, false, -1, "");

		answer_to(seq, &m);
		assert_int_equal(m.type, SHIM_STARTED);
		while (wait_event(SHIM_EV_EXEC_EXIT)->a == 1)
			wait_event(SHIM_EV_EXEC_EXIT), sh.events[0] = sh.events[--sh.n_events];
	}
	log = log_text();
	assert_string_equal(log, ""); /* execs are not logged */
}

static void test_signal(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;
	int c;

	config(0);
	c = attach(OUTS | SHIM_IO_TTY, "", "");
	(void)start("trap 'exit 42' TERM; echo ready; while :; do sleep 0.05; done", false);
	read_until(c, "ready");
	msg_put_u32(&b, SIGTERM);
	msg_put_u32(&b, 0);
	msg_put_u32(&b, 1);
	call(SHIM_SIGNAL, &b, NULL, 0, SHIM_OK);
	assert_int_equal(wait_event(SHIM_EV_EXIT)->a, 42);
	call(SHIM_SIGNAL, &b, NULL, 0, SHIM_ERROR);
	(void)close(c);
}

static void test_hoyd_dies_and_a_new_one_hears_everything(void **state)
{
	AUTO_FREE char *log = NULL;
	int next, c;
	int64_t newest;

	config(SHIM_CFG_OPEN_STDIN | SHIM_CFG_STDIN_ONCE);
	c = attach(ALL | SHIM_IO_TTY, "", "");
	next = waiter(1, 0);
	(void)start("echo before; read x; echo after; exit 6", false);
	read_until(c, "before");
	(void)wait_event(SHIM_EV_START);
	(void)close(sh.sock); /* kill -9 */
	assert_int_equal(write(c, "x\n", 2), 2);
	free(read_end(c, NULL)); /* the session outlives hoyd */
	(void)close(c);
	{
		AUTO_FREE char *got = read_end(next, NULL);

		assert_string_equal(got, "{\"StatusCode\":6}\n");
	}
	(void)close(next);
	sh.sock = sock_connect(sh.dir, ID ".sock", SOCK_SEQPACKET);
	assert_true(sh.sock >= 0);
	forget_events();
	hello(1); /* it had stored the start */
	assert_int_equal(wait_event(SHIM_EV_EXIT)->a, 6);
	newest = wait_event(SHIM_EV_EXIT)->seq;
	assert_int_equal(newest, 2);
	assert_int_equal(sh.n_events, 1);
	log = log_text();
	assert_non_null(strstr(log, "after"));
	/* a third hoyd replaces the second and, nothing being acknowledged, hears it again */
	c = sh.sock;
	sh.sock = sock_connect(sh.dir, ID ".sock", SOCK_SEQPACKET);
	forget_events();
	hello(0);
	assert_int_equal(wait_event(SHIM_EV_EXIT)->seq, 2);
	(void)close(c);
}

static void test_journal_survives_a_torn_tail(void **state)
{
	AUTO_FREE char *text = NULL;
	size_t n = 0;

	config(0);
	(void)start("exit 8", false);
	(void)wait_event(SHIM_EV_EXIT);
	assert_int_equal(file_read(sh.dir, "journal", 1 << 20, &text, &n), 0);
	assert_true(n > 0);
	assert_int_equal(teardown(NULL), 0);
	(void)setup(NULL); /* a shim of its own, which makes an empty journal: now another begins with the old one */
	assert_int_equal(kill(sh.pid, SIGKILL), 0);
	{
		int status = 0;
		char *argv[] = { (char *)"hoy-shim", (char *)ID, NULL };
		AUTO_FD int l = -1;
		struct proc_fd fds[4];
		int p[2];

		assert_int_equal(proc_wait(sh.pid, &status), 0);
		(void)close(sh.sock);
		(void)close(sh.pidfd);
		text = xrealloc(text, n + 30, 1);
		memset(text + n, 0x20, 30); /* half a record */
		assert_int_equal(file_write(sh.dir, "journal", text, n + 30, 0600), 0);
		l = sock_listen(sh.dir, ID ".sock", SOCK_SEQPACKET, 0600);
		assert_int_equal(msg_pair(p), 0);
		fds[0] = (struct proc_fd){ sh.dir, 3 };
		fds[1] = (struct proc_fd){ p[1], 4 };
		fds[2] = (struct proc_fd){ l, 5 };
		fds[3] = (struct proc_fd){ sh.dir, 6 };
		assert_int_equal(proc_spawn(&(struct proc_opts){ .path = binary, .argv = argv, .fds = fds, .n_fds = 4 },
					    &sh.pid, &sh.pidfd),
				 0);
		(void)close(p[1]);
		sh.sock = p[0];
	}
	forget_events();
	hello(0);
	assert_int_equal(wait_event(SHIM_EV_EXIT)->a, 8);
	config(0);
	forget_events();
	(void)start("exit 9", false);
	assert_int_equal(wait_event(SHIM_EV_EXIT)->seq, 4);
}

static void test_shim_dies_and_takes_the_container_with_it(void **state)
{
	AUTO_FD int init = -1;
	pid_t pid;

	config(0);
	pid = start("sleep 1000", false);
	init = proc_pidfd(pid);
	assert_true(init >= 0);
	assert_int_equal(kill(sh.pid, SIGKILL), 0);
	assert_true(readable(init, TIMEOUT_MS));
}

static void test_quit(void **state)
{
	struct stat st = { 0 };
	int status = 0;

	config(0);
	(void)start("sleep 1000", false);
	call(SHIM_QUIT, NULL, NULL, 0, SHIM_ERROR);
	{
		AUTO_STRB struct strb b = STRB_INIT;

		msg_put_u32(&b, SIGKILL);
		msg_put_u32(&b, !fake);
		msg_put_u32(&b, 1);
		call(SHIM_SIGNAL, &b, NULL, 0, SHIM_OK);
	}
	assert_int_equal(wait_event(SHIM_EV_EXIT)->a, 137);
	call(SHIM_QUIT, NULL, NULL, 0, SHIM_OK);
	assert_true(readable(sh.pidfd, TIMEOUT_MS));
	assert_int_equal(waitid(P_PID, (id_t)sh.pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	assert_int_equal(fstatat(sh.dir, ID ".sock", &st, 0), -1);
	(void)status;
}

/* Every message with every length of rubbish, and with well-formed bodies cut short. */
static void test_hostile_messages(void **state)
{
	unsigned char bytes[256];
	uint32_t x = 12345;

	config(0);
	(void)start("sleep 100", false);
	for (int round = 0; round < 600; round++) {
		AUTO_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		uint16_t type = (uint16_t)(round % 35 + 1);
		size_t n;

		for (size_t i = 0; i < sizeof bytes; i++) {
			x = x * 1664525 + 1013904223;
			bytes[i] = x & 0x1000000 ? (unsigned char)(x >> 16) & 7 : (unsigned char)(x >> 24);
		}
		n = x % sizeof bytes;
		if (type == SHIM_SIGNAL || type == SHIM_QUIT || type == SHIM_FREEZE || type == SHIM_LEND_NETLINK)
			continue; /* these would mean what they say */
		assert_int_equal(msg_send(sh.sock, type, 0x8000, bytes, n, &null, round % 3 != 0), 0);
		while (readable(sh.sock, 0)) {
			AUTO_MSG struct msg m = { 0 };

			assert_int_equal(msg_recv(sh.sock, &m), 1);
		}
	}
	assert_int_equal(send(sh.sock, "x", 1, 0), 1);
	for (;;) {
		AUTO_MSG struct msg m = { 0 };

		assert_true(readable(sh.sock, 1000));
		assert_int_equal(msg_recv(sh.sock, &m), 1);
		if (m.type == SHIM_ERROR && m.seq == 0)
			break;
	}
	hello(0);
}

static void test_real_container_is_inside_its_namespaces(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };
	AUTO_FD int root = -1;
	int c;

	if (fake)
		skip();
	config(SHIM_CFG_OPEN_STDIN);
	c = attach(ALL | SHIM_IO_TTY, "", "");
	(void)start("hostname; echo pid $$; ls /; read x", false);
	read_until(c, "shimtest\npid 1\n");
	sendm(SHIM_LEND_ROOT, ++sh.seq, NULL, NULL, 0);
	answer_to(sh.seq, &m);
	assert_int_equal(m.type, SHIM_ROOT);
	root = msg_take_fd(&m, 0);
	assert_int_equal(faccessat(root, "bin/busybox", F_OK, 0), 0);
	assert_int_equal(faccessat(root, "proc/1", F_OK, 0), 0);
	msg_done(&m);
	msg_put_u32(&b, 1 << PLAN_NS_PID | 1 << PLAN_NS_NET);
	sendm(SHIM_LEND_NS, ++sh.seq, &b, NULL, 0);
	answer_to(sh.seq, &m);
	assert_int_equal(m.type, SHIM_NS);
	assert_true(m.n_fds >= 1);
	msg_done(&m);
	sendm(SHIM_LEND_NETLINK, ++sh.seq, &b, NULL, 0);
	answer_to(sh.seq, &m);
	assert_int_equal(m.type, SHIM_NETLINK);
	assert_int_equal(m.n_fds, 3);
	(void)close(c);
}

static void test_real_freeze(void **state)
{
	AUTO_STRB struct strb on = STRB_INIT, off = STRB_INIT, b = STRB_INIT;
	int c;

	if (fake)
		skip();
	config(0);
	c = attach(OUTS | SHIM_IO_TTY, "", "");
	(void)start("while :; do echo tick; sleep 0.05; done", false);
	read_until(c, "tick");
	msg_put_u32(&on, 1);
	msg_put_u32(&off, 0);
	call(SHIM_FREEZE, &on, NULL, 0, SHIM_OK);
	while (readable(c, 50)) {
		char buf[512];

		assert_true(read(c, buf, sizeof buf) > 0);
	}
	assert_false(readable(c, 300));
	call(SHIM_FREEZE, &off, NULL, 0, SHIM_OK);
	read_until(c, "tick");
	call(SHIM_FREEZE, &on, NULL, 0, SHIM_OK);
	msg_put_u32(&b, SIGKILL); /* kills even while frozen */
	msg_put_u32(&b, 1);
	msg_put_u32(&b, 1);
	call(SHIM_SIGNAL, &b, NULL, 0, SHIM_OK);
	assert_int_equal(wait_event(SHIM_EV_EXIT)->a, 137);
	(void)close(c);
}

static void test_real_out_of_memory(void **state)
{
	if (fake)
		skip();
	config(0);
	memory_limit = 8 << 20;
	(void)start("x=0123456789; while :; do x=$x$x; done", false);
	memory_limit = 0;
	assert_int_equal(wait_event(SHIM_EV_EXIT)->b, 1);
	assert_int_equal(wait_event(SHIM_EV_EXIT)->a, 137);
	assert_true(wait_event(SHIM_EV_OOM)->seq > 0);
}

static uint32_t prepare(void)
{
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };
	AUTO_FD int plan = plan_fd("exit 1", false);
	uint32_t seq = ++sh.seq;

	msg_put_u32(&b, 0);
	sendm(SHIM_START, seq, &b, &plan, 1);
	answer_to(seq, &m);
	assert_int_equal(m.type, SHIM_NETNS);
	return seq;
}

static void test_start_is_given_up(void **state)
{
	AUTO_STRB struct strb no = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };
	struct msg_reader r;
	uint32_t seq;

	config(0);
	seq = prepare();
	msg_put_u32(&no, 1);
	sendm(SHIM_GO, seq, &no, NULL, 0);
	answer_to(seq, &m);
	assert_int_equal(m.type, SHIM_ERROR);
	r = msg_reader(m.body, m.n);
	assert_int_equal(msg_get_u32(&r), ECANCELED);
	(void)prepare(); /* and now hoyd dies instead of saying go */
	(void)close(sh.sock);
	sh.sock = sock_connect(sh.dir, ID ".sock", SOCK_SEQPACKET);
	sh.seq = 0; /* a new hoyd counts anew */
	hello(0);
	(void)start("exit 4", false);
	assert_int_equal(wait_event(SHIM_EV_EXIT)->a, 4);
	assert_int_equal(wait_event(SHIM_EV_START)->seq, 1); /* what never ran is not told */
}

static void test_waiters_and_acknowledgement(void **state)
{
	AUTO_STRB struct strb b = STRB_INIT;
	int first, late;

	config(0);
	first = waiter(1, 0);
	(void)start("exit 5", false);
	(void)wait_event(SHIM_EV_EXIT);
	assert_false(readable(first, 20)); /* hoyd does not know yet */
	late = waiter(1, 0);               /* means the exit after this one */
	{
		AUTO_FREE char *got = read_end(first, NULL); /* a slow hoyd delays it by little */

		assert_string_equal(got, "{\"StatusCode\":5}\n");
	}
	assert_false(readable(late, 200));
	forget_events();
	(void)start("exit 6", false);
	msg_put_i64(&b, wait_event(SHIM_EV_EXIT)->seq);
	sendm(SHIM_ACK, 0, &b, NULL, 0);
	{
		AUTO_FREE char *got = read_end(late, NULL);

		assert_string_equal(got, "{\"StatusCode\":6}\n");
	}
	(void)close(first);
	(void)close(late);
}

static void make_root(void)
{
	static const char *const names[] = { "sh", "cat", "echo", "sleep", "stty", "hostname", "ls", "true", "wc" };
	AUTO_FREE char *bin = path_join(temp, "root/bin"), *box = path_join(bin, "busybox");
	static const char *const dirs[] = { "root/proc", "root/dev", "root/sys", "root/tmp", "root/etc" };
	AUTO_FREE char *bytes = NULL;
	size_t n = 0;

	assert_int_equal(dir_make(AT_FDCWD, bin, 0755), 0);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		AUTO_FREE char *d = path_join(temp, dirs[i]);

		assert_int_equal(dir_make(AT_FDCWD, d, 0755), 0);
	}
	assert_int_equal(file_read(AT_FDCWD, "/bin/busybox", 1 << 24, &bytes, &n), 0);
	assert_int_equal(file_write(AT_FDCWD, box, bytes, n, 0755), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO_FREE char *link_name = path_join(bin, names[i]);

		assert_int_equal(link(box, link_name), 0);
	}
}

#define EACH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		EACH(test_run_and_exit_code_and_log),
		EACH(test_start_again),
		EACH(test_second_start_while_running_is_refused),
		EACH(test_missing_program_is_reported),
		EACH(test_attach_gets_frames_and_closes_stdin_once),
		EACH(test_unread_input_does_not_reset_the_connection),
		EACH(test_input_of_a_client_that_vanished_arrives),
		EACH(test_client_that_vanishes_after_the_end_is_forgotten),
		EACH(test_several_clients_see_the_same),
		EACH(test_slow_client_blocks_but_loses_nothing),
		EACH(test_client_that_vanishes_does_not_block),
		EACH(test_terminal_resize_and_detach),
		EACH(test_wait),
		EACH(test_follow_continues_from_the_mark),
		EACH(test_exec),
		EACH(test_several_execs_and_terminals),
		EACH(test_signal),
		EACH(test_hoyd_dies_and_a_new_one_hears_everything),
		EACH(test_journal_survives_a_torn_tail),
		EACH(test_shim_dies_and_takes_the_container_with_it),
		EACH(test_quit),
		EACH(test_hostile_messages),
		EACH(test_real_container_is_inside_its_namespaces),
		EACH(test_real_freeze),
		EACH(test_real_out_of_memory),
		EACH(test_start_is_given_up),
		EACH(test_waiters_and_acknowledgement),
	};
	int r;

	if (argc < 2)
		return 2;
	binary = realpath(argv[1], NULL); /* it is started in another directory */
	fake = argc > 2 && streq(argv[2], "fake");
	if (!fake &&
	    (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
		return 77;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)snprintf(cgroup_parent, sizeof cgroup_parent, "/hoy-shim-test-%d", (int)getpid());
	(void)snprintf(cgroup, sizeof cgroup, "%s/" ID, cgroup_parent);
	(void)snprintf(temp, sizeof temp, "/tmp/hoy-shim-XXXXXX");
	if (!mkdtemp(temp))
		return 1;
	if (!fake)
		make_root();
	if (argc > 3)
		cmocka_set_test_filter(argv[3]);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)dir_remove(AT_FDCWD, temp);
	if (!fake)
		(void)act_cgroup_remove(cgroup_parent);
	return r;
}
