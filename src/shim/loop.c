/* loop.c - epoll, one event a turn. */
#include "shim/core.h"

int loop_open(struct loop *l)
{
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	return l->epoll < 0 ? -errno : 0;
}

/* A descriptor that nobody wants is taken out: the kernel would report its hang-up again and again. */
void loop_want(struct loop *l, struct source *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };
	int op = s->want ? events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL : EPOLL_CTL_ADD;

	if (s->fd < 0 || s->want == events)
		return;
	if (epoll_ctl(l->epoll, op, s->fd, &ev) == 0)
		s->want = events;
}

void loop_close(struct loop *l, struct source *s)
{
	loop_want(l, s, 0);
	s->want = 0;
	fd_closep(&s->fd);
}

int loop_turn(struct loop *l, int timeout_ms)
{
	struct epoll_event ev = { 0 };
	int n = epoll_wait(l->epoll, &ev, 1, timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (n > 0) {
		struct source *s = ev.data.ptr;

		s->ready(s, ev.events);
	}
	return n;
}
