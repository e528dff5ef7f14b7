/* gate.c - packets between the caller and the child. A child that dies is an end of file. */
#include "act/act_int.h"
#include "base/kernel.h"

#include <sys/socket.h>

int gate_send(int gate, const struct gate_msg *m, int fd)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} c = { 0 };
	/* The text goes as far as it is long. */
	size_t n = offsetof(struct gate_msg, text) + strlen(m->text) + 1;
	struct iovec v = { (void *)(uintptr_t)m, n };
	struct msghdr h = { .msg_iov = &v, .msg_iovlen = 1 };

	if (fd >= 0) {
		h.msg_control = &c;
		h.msg_controllen = sizeof c.room;
		c.h.cmsg_level = SOL_SOCKET;
		c.h.cmsg_type = SCM_RIGHTS;
		c.h.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&c.h), &fd, sizeof fd);
	}
	while (sendmsg(gate, &h, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int gate_recv(int gate, struct gate_msg *ret, int *ret_fd)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(sizeof(int))];
	} c = { 0 };
	struct iovec v = { ret, sizeof *ret };
	struct msghdr h = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c.room };
	AUTO_FD int fd = -1;
	ssize_t n;

	memset(ret, 0, sizeof *ret);
	do
		n = recvmsg(gate, &h, MSG_CMSG_CLOEXEC);
	while (n < 0 &&
	       (errno == EINTR || errno == ECONNRESET)); /* reset: died with our words unread; its own come next */
	if (n < 0)
		return -errno;
	if (n == 0)
		return 0;
	if (h.msg_controllen >= CMSG_LEN(sizeof(int)) && c.h.cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(&c.h), sizeof fd);
	ret->text[sizeof ret->text - 1] = 0;
	if ((size_t)n < offsetof(struct gate_msg, text))
		return -EBADMSG;
	if (ret_fd)
		*ret_fd = TAKE_FD(fd);
	return 1;
}

int gate_tell(int gate, enum gate_kind kind)
{
	struct gate_msg m = { .kind = (uint32_t)kind };

	return gate_send(gate, &m, -1);
}

/* A narrow seccomp filter is in force when the child stands at the gate: it gets by with read and write, which nobody forbids.
 * Should the caller be gone, SIGPIPE ends the child: as it should. */
int gate_say(int gate, const struct gate_msg *m)
{
	size_t n = offsetof(struct gate_msg, text) + strlen(m->text) + 1;

	while (write(gate, m, n) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

int gate_wait(int gate, enum gate_kind kind, struct err *e)
{
	struct gate_msg m = { 0 };
	ssize_t n;

	do
		n = read(gate, &m, sizeof m);
	while (n < 0 && errno == EINTR);
	if (n > 0 && m.kind == (uint32_t)kind)
		return 0;
	return err_sys(e, n < 0 ? -errno : -EPIPE, "waiting for the runtime");
}
