/* relay.c - carries bytes between a bound host socket and a container's port. One epoll loop; TCP by splice through a pipe per
 * direction, so bytes stay in the kernel; UDP by one connected socket per client. */
#include "net/relay.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define CHUNK 65536
#define UDP_IDLE_NS (90 * 1000000000LL)
#define EVENTS 64

struct address {
	struct sockaddr_storage sa;
	socklen_t len;
};

static int address_of(const char *text, uint16_t port, struct address *ret)
{
	struct sockaddr_in6 *v6 = (void *)&ret->sa;
	struct sockaddr_in *v4 = (void *)&ret->sa;

	memset(ret, 0, sizeof *ret);
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		ret->len = sizeof *v4;
		return 0;
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		ret->len = sizeof *v6;
		return 0;
	}
	return -EINVAL;
}

static int watch(int epoll, int fd, uint32_t events, void *tag)
{
	struct epoll_event ev = { .events = events, .data.ptr = tag };

	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* ---- TCP ---- */
struct session;
struct half { /* one descriptor of a session; epoll's tag */
	struct session *s;
	int fd;
	int pipe[2]; /* bytes read from fd, not yet written to the other half */
	size_t held;
	bool ended, passed; /* fd said end of file; ... and the other half was told */
};
struct session {
	struct half side[2];
	bool dead;
	struct session *next; /* of those that end after this round of events */
};
struct tcp {
	int listener, epoll;
	struct address target;
	size_t n;
	bool paused; /* at the maximum: new ones wait in the backlog */
	struct session *ended;
};

static void session_free(struct session *s)
{
	for (int i = 0; i < 2; i++) {
		fd_closep(&s->side[i].fd);
		fd_closep(&s->side[i].pipe[0]);
		fd_closep(&s->side[i].pipe[1]);
	}
	free(s);
}

static void session_end(struct tcp *t, struct session *s)
{
	if (s->dead)
		return;
	s->dead = true; /* another event of this round may still point at it */
	s->next = t->ended;
	t->ended = s;
}

/* -EAGAIN in either direction is no error: an edge will come. false = the session is over. */
static bool pump(struct half *from, struct half *to)
{
	for (;;) {
		ssize_t in = 0, out = 0;

		if (!from->ended && from->held < CHUNK) {
			in = splice(from->fd, NULL, from->pipe[1], NULL, CHUNK - from->held,
				    SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
			if (in > 0)
				from->held += (size_t)in;
			else if (in == 0)
				from->ended = true;
			else if (errno != EAGAIN && errno != EINTR)
				return false;
		}
		if (from->held) {
			out = splice(from->pipe[0], NULL, to->fd, NULL, from->held, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
			if (out > 0)
				from->held -= (size_t)out;
			else if (out < 0 && errno != EAGAIN && errno != EINTR)
				return false;
		}
		if (from->ended && !from->held && !from->passed) {
			from->passed = true;
			(void)shutdown(to->fd, SHUT_WR);
		}
		if (in <= 0 && out <= 0)
			return true;
	}
}

static void session_run(struct tcp *t, struct session *s)
{
	struct half *a = &s->side[0], *b = &s->side[1];

	if (!s->dead && (!pump(a, b) || !pump(b, a) || (a->passed && b->passed)))
		session_end(t, s);
}

static void tune(int fd)
{
	int on = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on,
			 sizeof on); /* a peer that vanished must not keep its session */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static struct session *session_new(const struct tcp *t, int client)
{
	struct session *s = xcalloc(1, sizeof *s);

	for (int i = 0; i < 2; i++)
		s->side[i] = (struct half){ .s = s, .fd = -1, .pipe = { -1, -1 } };
	s->side[0].fd = client;
	s->side[1].fd = socket(t->target.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->side[1].fd >= 0 && pipe2(s->side[0].pipe, O_CLOEXEC | O_NONBLOCK) == 0 &&
	    pipe2(s->side[1].pipe, O_CLOEXEC | O_NONBLOCK) == 0) {
		tune(client);
		tune(s->side[1].fd);
		if (connect(s->side[1].fd, (const void *)&t->target.sa, t->target.len) == 0 || errno == EINPROGRESS)
			return s;
	}
	session_free(s);
	return NULL;
}

static void listener_pause(struct tcp *t, bool pause)
{
	struct epoll_event ev = { .events = pause ? 0 : EPOLLIN, .data.ptr = NULL };

	if (t->paused != pause && epoll_ctl(t->epoll, EPOLL_CTL_MOD, t->listener, &ev) == 0)
		t->paused = pause;
}

static bool passing(int error) /* accept(2): errors of the connection, not of the listener */
{
	switch (error) {
	case EAGAIN:
	case EINTR:
	case ECONNABORTED:
	case EPERM:
	case EPROTO:
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return true;
	}
	return false;
}

static int accept_one(struct tcp *t)
{
	int client = accept4(t->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct session *s;

	if (client < 0) {
		if (errno == EMFILE || errno == ENFILE)
			listener_pause(t, true); /* until a session ends */
		return passing(errno) ? 0 : -errno;
	}
	s = session_new(t, client);
	if (!s)
		return 0;
	t->n++;
	if (t->n >= RELAY_SESSIONS_MAX)
		listener_pause(t, true);
	for (int i = 0; i < 2; i++)
		if (watch(t->epoll, s->side[i].fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &s->side[i]) < 0) {
			session_end(t, s);
			break;
		}
	return 0;
}

static void bury(struct tcp *t)
{
	while (t->ended) {
		struct session *s = t->ended;

		t->ended = s->next;
		session_free(s);
		t->n--;
		listener_pause(t, false);
	}
}

static int relay_tcp(int fd, const struct address *target)
{
	AUTO_FD int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct tcp t = { .listener = fd, .epoll = epoll, .target = *target };
	int r;

	if (epoll < 0)
		return -errno;
	if (listen(fd, 512) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	r = watch(epoll, fd, EPOLLIN, NULL);
	while (r >= 0) {
		struct epoll_event ev[EVENTS];
		int n = epoll_wait(epoll, ev, EVENTS, t.paused && t.n == 0 ? 1000 : -1);

		if (n < 0 && errno != EINTR)
			r = -errno;
		for (int i = 0; i < n && r >= 0; i++) {
			struct half *h = ev[i].data.ptr;

			if (!h)
				r = accept_one(&t);
			else if (ev[i].events & EPOLLERR)
				session_end(&t, h->s);
			else
				session_run(&t, h->s);
		}
		bury(&t);
		if (n == 0)
			listener_pause(&t, false);
	}
	return r;
}

/* ---- UDP ---- */
struct talk {
	struct address client;
	_Alignas(struct cmsghdr) char local
		[64]; /* the control message that says by which of the host's addresses the client came: answers leave from there */
	size_t local_len;
	int fd; /* connected to the target; -1 = free */
	int64_t last_ns;
};
struct udp {
	int fd, epoll;
	struct address target;
	struct talk *v; /* RELAY_SESSIONS_MAX of them, lazily touched */
	size_t top;     /* those above were never used */
};

static struct talk *talk_of(struct udp *u, const struct address *client)
{
	struct talk *free_one = NULL, *oldest = NULL;

	for (size_t i = 0; i < u->top; i++) {
		struct talk *t = &u->v[i];

		if (t->fd >= 0 && t->client.len == client->len && memcmp(&t->client.sa, &client->sa, client->len) == 0)
			return t;
		if (t->fd < 0)
			free_one = t;
		else if (!oldest || t->last_ns < oldest->last_ns)
			oldest = t;
	}
	if (!free_one && u->top < RELAY_SESSIONS_MAX)
		free_one = &u->v[u->top++];
	else if (!free_one) {
		fd_closep(&oldest->fd);
		free_one = oldest;
	}
	*free_one = (struct talk){ .client = *client,
				   .fd = socket(u->target.sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) };
	if (free_one->fd >= 0 && (connect(free_one->fd, (const void *)&u->target.sa, u->target.len) < 0 ||
				  watch(u->epoll, free_one->fd, EPOLLIN, free_one) < 0))
		fd_closep(&free_one->fd);
	return free_one;
}

/* Received and sent alike, ipi_ifindex apart: 0 lets routing choose the link, except for link-local addresses */
static void keep_local(struct talk *t, struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

	t->local_len = 0;
	if (!c || c->cmsg_len > sizeof t->local)
		return;
	if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo *info = (void *)CMSG_DATA(c);

		info->ipi_ifindex = 0;
		info->ipi_spec_dst = info->ipi_addr;
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo *info = (void *)CMSG_DATA(c);

		if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr))
			info->ipi6_ifindex = 0;
	} else {
		return;
	}
	memcpy(t->local, c, c->cmsg_len);
	t->local_len = CMSG_SPACE(c->cmsg_len - CMSG_LEN(0));
}

static void from_clients(struct udp *u, char *buf)
{
	for (int i = 0; i < EVENTS; i++) {
		struct address from = { 0 };
		_Alignas(struct cmsghdr) char control[64];
		struct iovec bytes = { buf, CHUNK };
		struct msghdr m = { .msg_name = &from.sa,
				    .msg_namelen = sizeof from.sa,
				    .msg_iov = &bytes,
				    .msg_iovlen = 1,
				    .msg_control = control,
				    .msg_controllen = sizeof control };
		ssize_t n = recvmsg(u->fd, &m, MSG_DONTWAIT);
		struct talk *t;

		if (n < 0)
			return;
		from.len = m.msg_namelen;
		t = talk_of(u, &from);
		t->last_ns = time_mono_ns();
		keep_local(t, &m);
		if (t->fd >= 0)
			(void)!send(t->fd, buf, (size_t)n, MSG_DONTWAIT);
	}
}

static void from_target(struct udp *u, struct talk *t, char *buf)
{
	for (int i = 0; i < EVENTS && t->fd >= 0; i++) {
		struct iovec bytes = { buf, CHUNK };
		struct msghdr m = { .msg_name = &t->client.sa,
				    .msg_namelen = t->client.len,
				    .msg_iov = &bytes,
				    .msg_iovlen = 1,
				    .msg_control = t->local_len ? t->local : NULL,
				    .msg_controllen = t->local_len };
		ssize_t n = recv(t->fd, buf, CHUNK, MSG_DONTWAIT);

		if (n < 0)
			return;
		bytes.iov_len = (size_t)n;
		t->last_ns = time_mono_ns();
		(void)!sendmsg(u->fd, &m, MSG_DONTWAIT);
	}
}

static void forget_idle(struct udp *u)
{
	int64_t now = time_mono_ns();

	for (size_t i = 0; i < u->top; i++)
		if (u->v[i].fd >= 0 && now - u->v[i].last_ns > UDP_IDLE_NS)
			fd_closep(&u->v[i].fd);
}

static int relay_udp(int fd, const struct address *target)
{
	AUTO_FREE struct talk *talks = xcalloc(RELAY_SESSIONS_MAX, sizeof *talks);
	AUTO_FREE char *buf = xmalloc(CHUNK);
	AUTO_FD int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct udp u = { .fd = fd, .epoll = epoll, .target = *target, .v = talks };
	int64_t swept_ns = time_mono_ns();
	int on = 1, r = epoll < 0 ? -errno : watch(epoll, fd, EPOLLIN, NULL);

	(void)setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on); /* one of the two is the socket's */
	(void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
	while (r >= 0) {
		struct epoll_event ev[EVENTS];
		int n = epoll_wait(epoll, ev, EVENTS, u.top ? 30000 : -1);

		if (n < 0 && errno != EINTR)
			r = -errno;
		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr)
				from_target(&u, ev[i].data.ptr, buf);
			else
				from_clients(&u, buf);
		}
		if (time_mono_ns() - swept_ns > UDP_IDLE_NS / 3) {
			swept_ns = time_mono_ns();
			forget_idle(&u);
		}
	}
	for (size_t i = 0; i < u.top; i++)
		fd_closep(&u.v[i].fd);
	return r;
}

int net_relay(int fd, const char *proto, const char *target, uint16_t port)
{
	struct rlimit files;
	struct address a;
	int r = address_of(target, port, &a);

	(void)signal(SIGPIPE, SIG_IGN);              /* splice has no MSG_NOSIGNAL */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* six descriptors per session */
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}

	if (r < 0)
		return r;
	return streq(proto, "udp") ? relay_udp(fd, &a) : relay_tcp(fd, &a);
}
