/* mount_fuse.c - an overlay made by the program fuse-overlayfs. It is started in a mount namespace that nobody else sees, puts itself
 * into the background when its mount stands, and ends when the last mount of it goes: with the container. */
#include "act/act_int.h"
#include "base/kernel.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void add_guarded(struct strb *b, const char *s)
{
	for (; *s; s++) {
		if (*s == ',' || *s == '\\')
			strb_addc(b, '\\');
		strb_addc(b, *s);
	}
}

static void options(const struct plan_mount *m, struct strb *b)
{
	strb_adds(b, "lowerdir=");
	for (size_t i = 0; m->lowers[i]; i++) {
		if (i)
			strb_addc(b, ':');
		add_guarded(b, m->lowers[i]);
	}
	strb_adds(b, ",upperdir=");
	add_guarded(b, m->upper);
	strb_adds(b, ",workdir=");
	add_guarded(b, m->work);
	if (m->extra & PLAN_MOUNT_VOLATILE)
		strb_adds(b, ",volatile");
}

/* 0 when the mount stands; otherwise what the program said is in why. */
static int run(const struct plan_mount *m, const char *where, char *why, size_t n)
{
	AUTO_STRB struct strb o = STRB_INIT;
	char *argv[] = { (char *)(uintptr_t) "fuse-overlayfs", (char *)(uintptr_t) "-o", NULL, (char *)(uintptr_t)where,
			 NULL };
	char *const env[] = { NULL };
	int said[2], status = 0;
	size_t got = 0;
	ssize_t k;
	pid_t pid;

	options(m, &o);
	argv[2] = o.s;
	if (pipe2(said, O_CLOEXEC) < 0)
		return -errno;
	pid = spawn(0, -1, NULL);
	if (pid == 0) {
		AUTO_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		(void)dup2(null, 0);
		(void)dup2(said[1], 1);
		(void)dup2(said[1], 2);
		(void)execve(m->source, argv, env);
		_exit(127);
	}
	(void)close(said[1]);
	while (pid > 0 && (k = read(said[0], why + got, n - 1 - got)) != 0)
		if (k > 0)
			got += (size_t)k;
		else if (errno != EINTR)
			break;
	(void)close(said[0]);
	why[got] = 0;
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid < 0 ? (int)pid : WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

static int mount_private(const struct plan_mount *m, char *why, size_t n)
{
	AUTO_FREE char *where = xasprintf("%s/../merged", m->upper);
	int fd, r;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    chdir(str_empty(m->lower_dir) ? "/" : m->lower_dir) < 0)
		return -errno;
	r = run(m, where, why, n);
	if (r < 0)
		return r;
	fd = sys_open_tree(AT_FDCWD, where, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* The program lives in this namespace: with its own mount in it, it would never end. */
	(void)umount2(where, MNT_DETACH);
	return fd;
}

int mount_fuse_overlay(const struct plan_mount *m, struct err *e)
{
	struct gate_msg msg = { 0 };
	int pair[2], r, fd = -1;
	pid_t pid;

	if (str_empty(m->source) || !m->lowers || !m->lowers[0] || !m->upper || !m->work)
		return err_set(e, ERR_INVALID, "fuse-overlayfs needs a program, lower, upper and work directories");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, -errno, "making a socket");
	pid = spawn(0, -1, NULL);
	if (pid == 0) {
		r = mount_private(m, msg.text, sizeof msg.text);
		msg.kind = GATE_READY;
		msg.sys = r < 0 ? r : 0;
		(void)gate_send(pair[1], &msg, r);
		_exit(0);
	}
	(void)close(pair[1]);
	r = pid < 0 ? (int)pid : gate_recv(pair[0], &msg, &fd);
	(void)close(pair[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (r == 1 && msg.sys == 0 && fd >= 0)
		return fd;
	msg.text[sizeof msg.text - 1] = 0;
	msg.text[strcspn(msg.text, "\n")] = 0;
	r = r == 1 ? msg.sys : r < 0 ? r : -EPIPE;
	return msg.text[0] ? err_sys(e, r, "%s: %.300s", m->source, msg.text) : err_sys(e, r, "running %s", m->source);
}
