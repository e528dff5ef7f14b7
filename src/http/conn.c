/* conn.c - bytes in and out of a connection, and bodies. */
#include "http/conn.h"

#include <poll.h>
#include <sys/socket.h>

#define IN_STEP 16384
#define OUT_MAX 16384

void http_conn_use(struct http_conn *c, size_t n)
{
	c->pos += n;
	if (c->pos == c->in.len) {
		c->pos = 0;
		strb_clear(&c->in);
	}
}

static int wait_fd(int fd, short events, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	int r;

	do {
		r = poll(&p, 1, timeout_ms > 0 ? timeout_ms : -1);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r == 0 ? -ETIMEDOUT : 0;
}

/* Waiting is done by poll, never by socket options: those would follow the descriptor to its next owner. */
static ssize_t receive(struct http_conn *c, void *buf, size_t n, int timeout_ms)
{
	if (c->body_error)
		return c->body_error;
	for (;;) {
		ssize_t got = recv(c->fd, buf, n, timeout_ms > 0 ? MSG_DONTWAIT : 0);

		if (got >= 0)
			return got;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return c->body_error = -errno;
		int r = wait_fd(c->fd, POLLIN, timeout_ms);

		if (r < 0)
			return r;
	}
}

void http_conn_hurry(struct http_conn *c)
{
	if (c->body_ms && !c->body_deadline)
		c->body_deadline = time_mono_ns() + c->body_ms * 1000000LL;
}

/* How long the next bytes of a body may take; 0 = for ever, negative = too late already. */
static int body_patience_ms(const struct http_conn *c)
{
	int64_t rest_ms;

	if (!c->body_deadline)
		return c->stall_ms;
	rest_ms = (c->body_deadline - time_mono_ns()) / 1000000;
	return rest_ms > 0 ? (int)rest_ms : -1;
}

static ssize_t receive_body(struct http_conn *c, void *buf, size_t n)
{
	int patience_ms = body_patience_ms(c);
	ssize_t got = patience_ms < 0 ? -ETIMEDOUT : receive(c, buf, n, patience_ms);

	return got == -ETIMEDOUT ? (c->body_error = -ETIMEDOUT) : got;
}

/* receives more; count, 0 = end of file, -errno (-ETIMEDOUT); timeout 0 = none */
static int http_conn_fill(struct http_conn *c, int timeout_ms)
{
	ssize_t got;

	if (c->pos) {
		memmove(c->in.s, c->in.s + c->pos, c->in.len - c->pos);
		c->in.len -= c->pos;
		c->pos = 0;
	}
	strb_reserve(&c->in, IN_STEP);
	got = receive(c, c->in.s + c->in.len, IN_STEP, timeout_ms);
	if (got > 0)
		c->in.len += (size_t)got;
	c->in.s[c->in.len] = 0;
	return (int)got;
}

int http_conn_send(struct http_conn *c, const void *p, size_t n)
{
	const char *s = p;
	int patience_ms = c->progress == REPLY_STREAM ? 0 : c->stall_ms;

	while (n && !c->error) {
		ssize_t sent = send(c->fd, s, n, MSG_NOSIGNAL | (patience_ms ? MSG_DONTWAIT : 0));

		if (sent >= 0) {
			s += sent;
			n -= (size_t)sent;
		} else if (errno == EAGAIN) {
			c->error = wait_fd(c->fd, POLLOUT, patience_ms);
		} else if (errno != EINTR) {
			c->error = -errno;
		}
	}
	return c->error;
}

int http_conn_flush(struct http_conn *c)
{
	int r = http_conn_send(c, c->out.s, c->out.len);

	strb_clear(&c->out);
	return r;
}

ssize_t http_conn_read_head(struct http_conn *c, int idle_ms, int head_ms)
{
	int64_t deadline = 0;
	size_t seen = 0;

	if (c->in.len == c->pos) {
		strb_done(&c->in); /* an idle connection holds no buffer */
		c->pos = 0;
		int r = wait_fd(c->fd, POLLIN, idle_ms);

		if (r < 0)
			return r;
	}
	for (;;) {
		size_t n = c->in.len - c->pos;
		ssize_t len = n ? http_head_len(c->in.s + c->pos, n, seen) : 0;
		int r, rest_ms;

		if (len)
			return len;
		seen = n;
		if (!deadline)
			deadline = time_mono_ns() + (int64_t)head_ms * 1000000;
		rest_ms = (int)((deadline - time_mono_ns()) / 1000000);
		if (rest_ms <= 0)
			return -ETIMEDOUT;
		r = http_conn_fill(c, rest_ms);
		if (r <= 0)
			return r < 0 ? r : n ? -ECONNRESET : 0;
	}
}

void http_conn_set_body(struct http_conn *c, bool chunked, int64_t length, bool to_close)
{
	c->chunks = (struct http_chunks){ 0 };
	c->body_deadline = 0;
	c->left = length > 0 ? (uint64_t)length : 0;
	c->body = chunked ? BODY_CHUNKED : c->left ? BODY_LENGTH : to_close && length < 0 ? BODY_TO_CLOSE : BODY_NONE;
}

static ssize_t take_buffered(struct http_conn *c, void *buf, size_t n)
{
	n = MIN(n, c->in.len - c->pos);
	memcpy(buf, c->in.s + c->pos, n);
	http_conn_use(c, n);
	return (ssize_t)n;
}

static ssize_t read_plain(struct http_conn *c, void *buf, size_t n)
{
	ssize_t got;

	if (c->body == BODY_LENGTH)
		n = (size_t)MIN((uint64_t)n, c->left);
	got = c->in.len > c->pos ? take_buffered(c, buf, n) : receive_body(c, buf, n);
	if (got < 0)
		return got;
	if (c->body == BODY_TO_CLOSE) {
		if (got == 0)
			c->body = BODY_NONE;
		return got;
	}
	if (got == 0)
		return c->body_error = -EPROTO; /* cut off */
	c->left -= (uint64_t)got;
	if (!c->left)
		c->body = BODY_NONE;
	return got;
}

static ssize_t read_chunked(struct http_conn *c, void *buf, size_t n)
{
	for (;;) {
		const char *data = NULL;
		size_t n_data = 0;
		ssize_t used;

		if (c->in.len == c->pos) {
			int patience_ms = body_patience_ms(c);
			int r = patience_ms < 0 ? -ETIMEDOUT : http_conn_fill(c, patience_ms);

			if (r == -ETIMEDOUT)
				return c->body_error = r;
			if (r <= 0)
				return r < 0 ? r : (c->body_error = -EPROTO);
		}
		/* no more than fits: what is eaten must find room */
		used = http_chunks_feed(&c->chunks, c->in.s + c->pos,
					c->chunks.state == CHUNK_DATA ? MIN(n, c->in.len - c->pos) : c->in.len - c->pos,
					&data, &n_data);
		if (used < 0)
			return c->body_error = -EPROTO;
		if (n_data > n) { /* the frame before the data was in the same bytes: give the surplus back */
			size_t surplus = n_data - n;

			if (c->chunks.state == CHUNK_DATA_CR)
				c->chunks.state = CHUNK_DATA;
			c->chunks.left += surplus;
			used -= (ssize_t)surplus;
			n_data = n;
		}
		if (n_data)
			memcpy(buf, data, n_data);
		http_conn_use(c, (size_t)used);
		if (c->chunks.state == CHUNK_DONE)
			c->body = BODY_NONE;
		if (n_data || c->body == BODY_NONE)
			return (ssize_t)n_data;
	}
}

ssize_t http_body_read(struct http_conn *c, void *buf, size_t n)
{
	if (c->body_error)
		return c->body_error;
	if (c->body == BODY_NONE || !n)
		return 0;
	if (c->want_continue) {
		c->want_continue = false;
		strb_adds(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
		int r = http_conn_flush(c);

		if (r < 0)
			return r;
	}
	return c->body == BODY_CHUNKED ? read_chunked(c, buf, n) : read_plain(c, buf, n);
}

/* Small bodies are free: they are bounded by the number of connections. */
#define BODY_FREE 65536

static int charge(struct http_conn *c, size_t size)
{
	int64_t more = (int64_t)size - BODY_FREE - c->charged;

	if (!c->budget || more <= 0)
		return 0;
	if (__atomic_sub_fetch(&c->budget->left, more, __ATOMIC_RELAXED) < 0) {
		(void)__atomic_add_fetch(&c->budget->left, more, __ATOMIC_RELAXED);
		return -ENOBUFS;
	}
	c->charged += more;
	return 0;
}

void http_conn_pay_back(struct http_conn *c)
{
	if (c->charged)
		(void)__atomic_add_fetch(&c->budget->left, c->charged, __ATOMIC_RELAXED);
	c->charged = 0;
}

int http_body_text(struct http_conn *c, size_t max, char **ret, size_t *ret_n)
{
	AUTO_STRB struct strb b = STRB_INIT;

	if (c->body == BODY_LENGTH && c->left > max)
		return -EFBIG; /* before the peer sends it */
	http_conn_hurry(c);
	for (;;) {
		ssize_t got;

		strb_reserve(&b, 4096);
		if (charge(c, b.cap) < 0) {
			c->body_error = -ENOBUFS; /* the rest is not read either */
			return -ENOBUFS;
		}
		got = http_body_read(c, b.s + b.len, b.cap - b.len - 1);
		if (got < 0)
			return (int)got;
		b.len += (size_t)got;
		b.s[b.len] = 0;
		if (!got)
			break;
		if (b.len > max)
			return -EFBIG;
	}
	if (ret_n)
		*ret_n = b.len;
	*ret = strb_take(&b);
	return 0;
}

void http_conn_add_chunk(struct http_conn *c, const void *p, size_t n)
{
	if (!n)
		return; /* would be the last one */
	strb_addf(&c->out, "%zx\r\n", n);
	strb_add(&c->out, p, n);
	strb_add(&c->out, "\r\n", 2);
	if (c->out.len >= OUT_MAX)
		(void)http_conn_flush(c);
}

int http_conn_fd(const struct http_conn *c)
{
	return c->fd;
}

bool http_conn_gone(const struct http_conn *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLRDHUP };

	return c->error || (poll(&p, 1, 0) == 1 && p.revents);
}

int http_detach(struct http_conn *c, int *ret_fd, struct strb *ret_unread)
{
	char waste[4096];
	size_t budget = 65536;
	int r;

	http_conn_hurry(c);
	while (c->body != BODY_NONE && c->body != BODY_TO_CLOSE && !c->want_continue && budget) {
		ssize_t got = http_body_read(c, waste, MIN(sizeof waste, budget));

		if (got < 0)
			return (int)got;
		budget -= (size_t)got;
	}
	r = http_conn_flush(c);
	if (r < 0)
		return r;
	strb_add(ret_unread, strb_str(&c->in) + c->pos, c->in.len - c->pos);
	http_conn_use(c, c->in.len - c->pos);
	*ret_fd = TAKE_FD(c->fd);
	c->taken = true;
	return 0;
}

void http_conn_free(struct http_conn *c)
{
	if (!c)
		return;
	fd_closep(&c->fd);
	free(c->host);
	strb_done(&c->in);
	strb_done(&c->out);
	strmap_done(&c->headers);
	free(c);
}
