/* fetch.c - any URL into a pipe, for docker import: one request without credentials or certificates of ours, as Docker makes it. */
#include "registry/session.h"

#define ERROR_TEXT_MAX ((size_t)64 << 10)

struct to_pipe {
	int fd;
	bool begun;
	int64_t done;
};

/* Blocks when the reader is slow: this session does nothing else. */
static int on_bytes(struct http *h, const char *p, size_t n)
{
	struct to_pipe *t = h->ctx;
	const char *length = http_get(h, "content-length");
	int64_t whole = -1;
	int r;

	if (!t->begun) { /* the length comes first */
		if (length && str_to_i64(length, &whole) < 0)
			whole = -1;
		r = fd_write_all(t->fd, &whole, sizeof whole);
		if (r < 0)
			return r;
		t->begun = true;
	}
	t->done += (int64_t)n;
	return fd_write_all(t->fd, p, n);
}

static enum err_kind kind_of(long status)
{
	return status == 400   ? ERR_INVALID
	       : status == 401 ? ERR_UNAUTHORIZED
	       : status == 403 ? ERR_FORBIDDEN
	       : status == 404 ? ERR_NOT_FOUND
			       : ERR_SYSTEM;
}

static int refused(const struct http *h, struct err *e)
{
	size_t n = h->text.len;
	const char *text = strb_str(&h->text);

	while (n > 0 && strchr(" \t\r\n", text[n - 1]))
		n--;
	return err_set(e, kind_of(h->status), "failed to GET %s with status %s: %.*s", h->url,
		       h->reason ? h->reason : "", (int)MIN(n, (size_t)600), text);
}

int do_fetch(struct session *s, const char *url, int fd, int64_t *ret_n, struct err *e)
{
	struct endpoint nobody = { .base = (char *)(uintptr_t)url, .gate = { .free = 1 } };
	struct to_pipe t = { .fd = fd };
	AUTO_HTTP struct http h = { .method = "GET", .url = url, .sink = on_bytes, .ctx = &t, .max = ERROR_TEXT_MAX };
	int64_t wait = -1;
	int r = api_once(s, &nobody, &h, NULL, &wait, e);

	if (h.sink_error)
		return err_sys(e, h.sink_error, "handing on what %s sends", url);
	if (h.status == 0 || r < 0)
		return r < 0 ? r : -EIO;
	if (h.status < 200 || h.status > 299)
		return refused(&h, e);
	if (h.broken)
		return err_set(e, ERR_SYSTEM, "%s", *h.error ? h.error : "unexpected EOF");
	if (!t.begun && (r = on_bytes(&h, "", 0)) < 0) /* nothing came, and that was all */
		return err_sys(e, r, "handing on what %s sends", url);
	*ret_n = t.done;
	return 0;
}
