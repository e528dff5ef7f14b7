/* msg.c - framed messages with descriptors over SOCK_SEQPACKET: the kernel keeps their borders, we keep their shape. */
#include "proc/proc.h"

#include <sys/socket.h>

struct header { /* native byte order: both ends are on this machine */
	uint16_t type, version;
	uint32_t seq;
};
#define MSG_VERSION 1
#define NULL_LEN UINT32_MAX

union control { /* aligned room for the descriptors */
	char room[CMSG_SPACE(sizeof(int) * MSG_FDS_MAX)];
	struct cmsghdr align;
};

void msg_done(struct msg *m)
{
	for (size_t i = 0; i < m->n_fds; i++)
		fd_closep(&m->fds[i]);
	free(m->body);
	*m = (struct msg){ 0 };
}

int msg_take_fd(struct msg *m, size_t i)
{
	return i < m->n_fds ? TAKE_FD(m->fds[i]) : -1;
}

int msg_pair(int ret[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0 ? -errno : 0;
}

int msg_send(int fd, uint16_t type, uint32_t seq, const void *body, size_t n, const int *fds, size_t n_fds)
{
	struct header h = { .type = type, .version = MSG_VERSION, .seq = seq };
	struct iovec iov[2] = { { &h, sizeof h }, { (void *)body, n } };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = n ? 2 : 1 };
	union control c = { 0 };
	ssize_t r;

	if (n > MSG_BODY_MAX || n_fds > MSG_FDS_MAX || type == 0)
		return -EMSGSIZE;
	if (n_fds) {
		struct cmsghdr *cm = NULL;

		mh.msg_control = c.room;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		cm = CMSG_FIRSTHDR(&mh);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * n_fds);
	}
	do
		r = sendmsg(fd, &mh, MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static void take_descriptors(struct msghdr *mh, struct msg *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t n = c->cmsg_len > CMSG_LEN(0) ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd = -1;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (m->n_fds < MSG_FDS_MAX)
				m->fds[m->n_fds++] = fd;
			else
				(void)close(fd);
		}
	}
}

int msg_recv(int fd, struct msg *ret)
{
	AUTO_MSG struct msg m = { 0 };
	struct header h = { 0 };
	struct iovec iov[2] = { { &h, sizeof h }, { 0 } };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = 2 };
	union control c = { 0 };
	ssize_t size, r;

	do /* the size first, so that a waiting reader holds no 64 KiB */
		size = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC);
	while (size < 0 &&
	       (errno == EINTR || errno == ECONNRESET)); /* reset: it left with our words unread; its own come next */
	if (size <= 0)
		return size < 0 ? -errno : 0;
	iov[1].iov_len = (size_t)size > sizeof h ? MIN((size_t)size - sizeof h, (size_t)MSG_BODY_MAX) : 0;
	m.body = xcalloc(iov[1].iov_len + 1, 1);
	iov[1].iov_base = m.body;
	mh.msg_control = c.room;
	mh.msg_controllen = sizeof c.room;
	do
		r = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);
	while (r < 0 && (errno == EINTR || errno == ECONNRESET));
	if (r <= 0)
		return r < 0 ? -errno : 0;
	take_descriptors(&mh, &m);
	if (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || (size_t)r < sizeof h || h.type == 0)
		return -EBADMSG;
	m.type = h.type;
	m.version = h.version;
	m.seq = h.seq;
	m.n = (size_t)r - sizeof h;
	m.body[m.n] = 0;
	*ret = m;
	m = (struct msg){ 0 };
	return 1;
}

void msg_put_u32(struct strb *b, uint32_t v)
{
	strb_add(b, &v, sizeof v);
}

void msg_put_i64(struct strb *b, int64_t v)
{
	strb_add(b, &v, sizeof v);
}

void msg_put_bytes(struct strb *b, const void *p, size_t n)
{
	msg_put_u32(b, (uint32_t)n);
	strb_add(b, p, n);
}

void msg_put_str(struct strb *b, const char *s)
{
	if (!s) {
		msg_put_u32(b, NULL_LEN);
		return;
	}
	msg_put_u32(b, (uint32_t)strlen(s));
	strb_add(b, s, strlen(s) + 1); /* with its NUL: the reader lends it */
}

struct msg_reader msg_reader(const void *p, size_t n)
{
	return (struct msg_reader){ .p = p, .n = n };
}

static const char *take(struct msg_reader *r, size_t n)
{
	const char *p = r->p;

	if (r->bad || n > r->n) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	r->n -= n;
	return p;
}

uint32_t msg_get_u32(struct msg_reader *r)
{
	uint32_t v = 0;
	const char *p = take(r, sizeof v);

	if (p)
		memcpy(&v, p, sizeof v);
	return v;
}

int64_t msg_get_i64(struct msg_reader *r)
{
	int64_t v = 0;
	const char *p = take(r, sizeof v);

	if (p)
		memcpy(&v, p, sizeof v);
	return v;
}

const char *msg_get_str(struct msg_reader *r)
{
	uint32_t n = msg_get_u32(r);
	const char *p = NULL;

	if (r->bad || n == NULL_LEN)
		return NULL;
	p = take(r, (size_t)n + 1);
	if (p && (p[n] || memchr(p, 0, n))) { /* one string, all of it */
		r->bad = true;
		return NULL;
	}
	return p;
}

const void *msg_get_bytes(struct msg_reader *r, size_t *ret_n)
{
	uint32_t n = msg_get_u32(r);
	const char *p = r->bad ? NULL : take(r, n);

	*ret_n = p ? n : 0;
	return p;
}
