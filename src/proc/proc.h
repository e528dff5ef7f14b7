/* proc.h - other processes: starting them, holding them by pidfd, talking to them in framed messages with descriptors,
 * and locking ourselves in (sandbox). Linked into everything, the static shim included: libc only.
 *
 * Messages travel over SOCK_SEQPACKET unix sockets, so the kernel keeps their borders. A message's type number is never
 * redefined and its layout only grows at the end: a new meaning takes a new number. Anything big goes in a memfd. */
#pragma once

#include "base/base.h"

/* ---- messages ---- */
#define MSG_BODY_MAX 65536 /* bytes of body */
#define MSG_FDS_MAX 16
struct msg {
	uint16_t type;    /* never 0 */
	uint16_t version; /* of the body's layout: readers take the fields they know */
	uint32_t seq;     /* a reply carries its request's number; 0 = not a request */
	char *body;       /* n bytes + NUL; owned */
	size_t n;
	int fds[MSG_FDS_MAX]; /* owned; all CLOEXEC */
	size_t n_fds;
};
#define AUTO_MSG CLEANUP(msg_done)
void msg_done(struct msg *m);             /* frees the body, closes descriptors that are still there */
int msg_take_fd(struct msg *m, size_t i); /* -1 where there is none; the slot becomes -1 */
int msg_pair(int ret[2]);                 /* SOCK_SEQPACKET, CLOEXEC */
/* Descriptors stay the caller's. -EPIPE/-ECONNRESET when the peer is gone (never SIGPIPE); blocks unless fd is O_NONBLOCK. */
int msg_send(int fd, uint16_t type, uint32_t seq, const void *body, size_t n, const int *fds, size_t n_fds);
/* 1 = one message, 0 = end of file, -errno. -EBADMSG for a malformed or truncated one (its descriptors are closed). */
int msg_recv(int fd, struct msg *ret);

/* Bodies are a row of little fields, written and read in the same order; reading past the end yields zero values and sets bad. */
struct msg_reader {
	const char *p;
	size_t n;
	bool bad;
};
void msg_put_u32(struct strb *b, uint32_t v);
void msg_put_i64(struct strb *b, int64_t v);
void msg_put_str(struct strb *b, const char *s); /* NULL is kept apart from "" */
void msg_put_bytes(struct strb *b, const void *p, size_t n);
struct msg_reader msg_reader(const void *p, size_t n);
uint32_t msg_get_u32(struct msg_reader *r);
int64_t msg_get_i64(struct msg_reader *r);
const char *msg_get_str(struct msg_reader *r); /* lent from the body; NULL where NULL was put or on bad */
const void *msg_get_bytes(struct msg_reader *r, size_t *ret_n);

/* ---- starting programs (posix_spawn or an equivalent vfork: never a plain fork of a big process) ---- */
struct proc_fd {
	int from, to; /* descriptor `from` of ours becomes `to` there */
};
struct proc_opts {
	const char *path; /* the executable; argv[0] is argv's */
	char *const *argv;
	char *const *envp; /* NULL = empty */
	const struct proc_fd
		*fds; /* everything else is closed (CLOEXEC); 0,1,2 default to /dev/null, /dev/null, our stderr */
	size_t n_fds;
	const char *cwd; /* NULL = "/" */
	bool new_session;
	bool die_with_parent; /* the program itself calls PR_SET_PDEATHSIG early; here: passed in the environment as HOY_PDEATH=1 */
};
int proc_spawn(const struct proc_opts *o, pid_t *ret_pid, int *ret_pidfd); /* ret_pidfd may be NULL */
int proc_wait(pid_t pid, int *ret_status);                                 /* wait(2) status; restarts on EINTR */
int proc_exit_code(int wait_status);                                       /* 0..255, or 128+signal */
int proc_pidfd(pid_t pid);
int proc_self_dir(char **ret); /* the directory of our own executable: programs live side by side */

/* ---- local sockets with long paths: connects and binds through /proc/self/fd/N, so that any directory depth works ---- */
int sock_listen(int dir, const char *name, int type, mode_t mode); /* unlinks a dead one first; SOCK_CLOEXEC */
int sock_connect(int dir, const char *name, int type);
int fd_nonblock(int fd, bool on);

/* ---- sandbox: gives up what a worker does not need; irrevocable ---- */
enum sandbox_flags {
	SANDBOX_NO_NETWORK = 1, /* new empty network namespace */
	SANDBOX_ROOT = 2, /* pivot_root onto root_fd's directory, the old root detached; mounted nodev,nosuid,noexec */
	SANDBOX_NEW_ROOT = 8,   /* the same with a mount of our own that is not attached yet (fsmount): root_fd */
	SANDBOX_SUBMOUNTS = 16, /* ROOT: with what is mounted below it */
	SANDBOX_READONLY = 32,  /* ROOT: for us, whatever it is for others */
	SANDBOX_SECCOMP = 4,    /* deny list: exec, ptrace, mount, namespaces, bpf, keyctl, modules, sockets, ... */
};
struct sandbox {
	unsigned flags;
	int root_fd;        /* O_PATH or directory; -1 unless SANDBOX_ROOT */
	uint64_t keep_caps; /* bit per capability that stays (permitted and effective); all others leave every set */
	int64_t max_memory; /* RLIMIT_AS in bytes, 0 = none */
	int64_t max_file;   /* RLIMIT_FSIZE, 0 = none */
};
int sandbox_enter(const struct sandbox *s, struct err *e);
