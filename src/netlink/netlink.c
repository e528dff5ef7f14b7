/* netlink.c - the batch itself: building, sending, matching answers to steps. */
#include "netlink/netlink.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <libmnl/libmnl.h>
#include <libnftnl/common.h>
#include <linux/netlink.h>

/* Answers on a lent socket may be left from an earlier use: numbers never repeat within this process. */
static uint32_t next_seq(void)
{
	static atomic_uint counter = 1;

	return atomic_fetch_add(&counter, 1);
}

void nl_batch_done(struct nl_batch *b)
{
	strb_done(&b->buf);
	free(b->steps.v);
	*b = NL_BATCH_INIT;
}

int nl_open(int protocol)
{
	AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static void finish_message(struct nl_batch *b)
{
	if (!b->building)
		return;
	b->buf.len = b->open + NLMSG_ALIGN(((struct nlmsghdr *)(b->buf.s + b->open))->nlmsg_len);
	b->building = false;
}

static struct nlmsghdr *start_message(struct nl_batch *b, const char *step, size_t room)
{
	struct nl_step *s;

	finish_message(b);
	strb_reserve(&b->buf, room + 256);
	b->open = b->buf.len;
	b->building = true;
	b->seq = next_seq();
	s = VEC_ADD(&b->steps);
	*s = (struct nl_step){ .seq = b->seq, .name = step };
	memset(b->buf.s + b->open, 0, NLMSG_ALIGN(sizeof(struct nlmsghdr)));
	return (struct nlmsghdr *)(b->buf.s + b->open);
}

struct nlmsghdr *nl_add(struct nl_batch *b, const char *step, uint16_t type, uint16_t flags, size_t room)
{
	struct nlmsghdr *m = start_message(b, step, room);

	m = mnl_nlmsg_put_header(m);
	m->nlmsg_type = type;
	/* an nf_tables batch is acknowledged once, by its last message (see nl_run); refusals always come */
	m->nlmsg_flags = NLM_F_REQUEST | flags | (b->nft ? 0 : NLM_F_ACK);
	m->nlmsg_seq = b->seq;
	return m;
}

void nft_begin(struct nl_batch *b)
{
	struct nlmsghdr *m = start_message(b, "opening the transaction", 64);

	(void)m;
	nftnl_batch_begin(b->buf.s + b->open, b->seq);
	b->nft = true;
}

static void nft_end(struct nl_batch *b)
{
	if (b->building)
		((struct nlmsghdr *)(b->buf.s + b->open))->nlmsg_flags |= NLM_F_ACK;
	start_message(b, "closing the transaction", 64);
	nftnl_batch_end(b->buf.s + b->open, b->seq);
}

static const char *step_name(const struct nl_batch *b, uint32_t seq)
{
	for (size_t i = 0; i < b->steps.n; i++)
		if (b->steps.v[i].seq == seq)
			return b->steps.v[i].name;
	return NULL;
}

/* The kernel's own words about a refusal, where it has some (extended acknowledgement) */
static const char *refusal_text(const struct nlmsghdr *m)
{
	const struct nlmsgerr *answer = mnl_nlmsg_get_payload(m);
	size_t skip = sizeof *answer;
	struct nlattr *a;

	if (!(m->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	if (!(m->nlmsg_flags & NLM_F_CAPPED))
		skip += mnl_nlmsg_get_payload_len(&answer->msg);
	mnl_attr_for_each(a, m, skip)
	{
		if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			return mnl_attr_get_str(a);
	}
	return NULL;
}

static int send_all(const struct nl_batch *b, int fd)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int on = 1, size = (int)MIN(b->buf.len * 2 + 65536, (size_t)INT32_MAX / 2);

	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
	if (b->buf.len > 100000 && setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	while (sendto(fd, b->buf.s, b->buf.len, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

struct answers {
	const struct nl_batch *b;
	int (*each)(void *arg, const struct nlmsghdr *m);
	void *arg;
	struct err *e;
	int first_refusal;
	bool any;
};

static void take_answer(struct answers *a, const struct nlmsghdr *m)
{
	const char *step = step_name(a->b, m->nlmsg_seq), *text;
	int r;

	if (!step)
		return;
	a->any = true;
	if (m->nlmsg_type == NLMSG_ERROR || m->nlmsg_type == NLMSG_DONE) {
		r = mnl_nlmsg_get_payload_len(m) >= sizeof(int) ? *(const int *)mnl_nlmsg_get_payload(m) : 0;
		if (r >= 0 || a->first_refusal)
			return;
		a->first_refusal = r;
		text = m->nlmsg_type == NLMSG_ERROR ? refusal_text(m) : NULL;
		if (text)
			err_sys(a->e, r, "%s (%s)", step, text);
		else
			err_sys(a->e, r, "%s", step);
	} else if (a->each && !a->first_refusal) {
		r = a->each(a->arg, m);
		if (r < 0)
			a->first_refusal = err_sys(a->e, r, "%s", step);
	}
}

/* The kernel has answered everything by the time sendto() returned, and continues dumps inside recv(): an empty queue is the end. */
static int receive_all(struct answers *a, int fd)
{
	AUTO_FREE char *buf = xmalloc(65536);

	for (;;) {
		ssize_t n = recv(fd, buf, 65536, MSG_DONTWAIT);
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return err_sys(a->e, -errno, "reading the kernel's answer");
		for (struct nlmsghdr *m = (void *)buf; mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left))
			take_answer(a, m);
	}
	if (!a->first_refusal && !a->any)
		return err_sys(a->e, -EPROTO, "no answer from the kernel");
	return a->first_refusal;
}

int nl_query(struct nl_batch *b, int fd, int (*each)(void *arg, const struct nlmsghdr *m), void *arg, struct err *e)
{
	struct answers a = { .b = b, .each = each, .arg = arg, .e = e };
	int r;

	if (b->nft)
		nft_end(b);
	finish_message(b);
	if (b->buf.len == 0)
		return 0;
	r = send_all(b, fd);
	if (r < 0)
		r = err_sys(e, r, "asking the kernel's network side");
	else
		r = receive_all(&a, fd);
	strb_clear(&b->buf);
	b->steps.n = 0;
	free(TAKE_PTR(b->steps.v));
	b->nft = false;
	return r;
}

int nl_run(struct nl_batch *b, int fd, struct err *e)
{
	return nl_query(b, fd, NULL, NULL, e);
}
