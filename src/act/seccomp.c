/* seccomp.c - installs the filter that plan/ compiled; hands a notify descriptor to its listener. */
#include "act/act_int.h"
#include "base/kernel.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define K_SECCOMP_SET_MODE_FILTER 1
#define K_SECCOMP_FLAG_NEW_LISTENER (1u << 3)
struct k_sock_filter {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};
struct k_sock_fprog {
	unsigned short len;
	const void *filter;
};

int seccomp_install(const struct plan_process *p, int *ret_listener, struct err *e)
{
	struct k_sock_fprog prog = { (unsigned short)(p->n_seccomp / sizeof(struct k_sock_filter)), p->seccomp };
	unsigned flags = p->seccomp_flags | (p->seccomp_listener ? K_SECCOMP_FLAG_NEW_LISTENER : 0);
	long r;

	if (p->n_seccomp == 0)
		return 0;
	if (p->n_seccomp % sizeof(struct k_sock_filter) || p->n_seccomp / sizeof(struct k_sock_filter) > 4096)
		return err_set(e, ERR_INVALID, "seccomp: the filter has a wrong size");
	r = syscall(SYS_seccomp, K_SECCOMP_SET_MODE_FILTER, flags, &prog);
	if (r < 0)
		return err_sys(e, -errno, "installing the seccomp filter");
	if (p->seccomp_listener)
		*ret_listener = (int)r;
	return 0;
}

/* The OCI container process state, with the descriptor beside it. */
int seccomp_notify(const struct plan *p, const struct plan_process *proc, pid_t pid, int fd, struct err *e)
{
	AUTO_FD int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	AUTO_STRB struct strb text = STRB_INIT;
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} c = { 0 };
	struct iovec v;
	struct msghdr h = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c.room };

	if (strlen(proc->seccomp_listener) >= sizeof a.sun_path)
		return err_set(e, ERR_INVALID, "seccomp listener path is too long");
	memcpy(a.sun_path, proc->seccomp_listener, strlen(proc->seccomp_listener) + 1);
	strb_addf(&text, "{\"ociVersion\":\"1.2.0\",\"fds\":[\"seccompFd\"],\"pid\":%d,\"metadata\":", (int)pid);
	json_string(&text, proc->seccomp_metadata ? proc->seccomp_metadata : "");
	strb_adds(&text, ",\"state\":");
	if (p)
		state_json(&text, p, "creating", pid);
	else
		strb_adds(&text, "{}");
	strb_addc(&text, '}');
	v = (struct iovec){ text.s, text.len };
	c.h.cmsg_level = SOL_SOCKET;
	c.h.cmsg_type = SCM_RIGHTS;
	c.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&c.h), &fd, sizeof fd);
	if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a) < 0 || sendmsg(s, &h, MSG_NOSIGNAL) < 0)
		return err_sys(e, -errno, "handing the seccomp descriptor to %s", proc->seccomp_listener);
	return 0;
}
