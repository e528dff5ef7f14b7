/* registry.c - the session: reads what hoyd says first, locks itself in, then a fiber per request. */
#include "registry/registry.h"
#include "archive/archive.h"
#include "proc/proc.h"
#include "registry/root.h"
#include "registry/session.h"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>

/* who unpacks while it arrives follows these */
#define PROGRESS_STEP ((int64_t)512 << 10)
#define PROGRESS_NS ((int64_t)50 * 1000000)
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEMORY_MAX 0 /* sanitizers map terabytes */
#else
#define MEMORY_MAX ((int64_t)1 << 30) /* of addresses: threads that look names up map 64 MiB each */
#endif

static struct {
	int sock;
	struct session s;
} the; /* the worker's one session */

/* ---- sending; our end does not block, so that news can be dropped when hoyd is slow ---- */
static int send_surely(uint16_t type, uint32_t seq, const struct strb *body, const int *fds, size_t n_fds)
{
	for (;;) {
		int r = msg_send(the.sock, type, seq, strb_str(body), body->len, fds, n_fds);
		struct pollfd p = { .fd = the.sock, .events = POLLOUT };

		if (r != -EAGAIN)
			return r;
		(void)poll(&p, 1, -1);
	}
}

static void say(void *ctx, const char *text)
{
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_FREE char *part = xstrndup(text, 2000);

	msg_put_str(&b, part);
	(void)msg_send(the.sock, REG_SAY, 0, strb_str(&b), b.len, NULL, 0);
}

struct request {
	struct msg m;
	struct msg_reader rd;
	int64_t have, wire;    /* of transfers, also when they fail */
	int64_t told, told_ns; /* progress */
};

static void at(void *ctx, int64_t have)
{
	struct request *q = ctx;
	int64_t now;
	AUTO_STRB struct strb b = STRB_INIT;

	now = time_mono_ns();
	if (have - q->told < PROGRESS_STEP && have >= q->told && now - q->told_ns < PROGRESS_NS)
		return;
	msg_put_i64(&b, have);
	if (msg_send(the.sock, REG_AT, q->m.seq, strb_str(&b), b.len, NULL, 0) == 0) {
		q->told = have;
		q->told_ns = now;
	}
}

/* ---- the requests ---- */
static int on_resolve(struct request *q, struct strb *out, struct err *e)
{
	const char *what = msg_get_str(&q->rd), *platform = msg_get_str(&q->rd);

	return do_resolve(&the.s, what ? what : "", platform, out, e);
}

static int on_manifest(struct request *q, struct strb *out, struct err *e)
{
	const char *what = msg_get_str(&q->rd);
	bool head = msg_get_u32(&q->rd);

	return do_manifest(&the.s, what ? what : "", head, out, e);
}

static int on_tags(struct request *q, struct strb *out, struct err *e)
{
	return do_tags(&the.s, out, e);
}

static int on_referrers(struct request *q, struct strb *out, struct err *e)
{
	const char *digest = msg_get_str(&q->rd), *type = msg_get_str(&q->rd);

	return do_referrers(&the.s, digest ? digest : "", type, out, e);
}

static int check_digest(const char *d, struct err *e)
{
	return d && digest_ok(d) ? 0 : err_set(e, ERR_INVALID, "invalid checksum digest format");
}

static int on_blob_get(struct request *q, struct strb *out, struct err *e)
{
	AUTO_FD int fd = msg_take_fd(&q->m, 0);
	struct transfer t = { .fd = fd, .at = at, .ctx = q };
	const char *urls[16];
	uint32_t n;
	int r;

	t.digest = msg_get_str(&q->rd);
	t.size = msg_get_i64(&q->rd);
	t.have = q->told = msg_get_i64(&q->rd);
	n = msg_get_u32(&q->rd);
	for (uint32_t i = 0; i < n && t.n_urls < ARRAY_LEN(urls); i++) {
		const char *url = msg_get_str(&q->rd);

		if (url)
			urls[t.n_urls++] = url;
	}
	t.urls = urls;
	r = check_digest(t.digest, e);
	if (r == 0 && (fd < 0 || q->rd.bad || t.size < 0 || t.have < 0))
		r = err_set(e, ERR_INVALID, "wrong request");
	if (r == 0)
		r = do_blob_get(&the.s, &t, e);
	q->have = t.have;
	q->wire = t.wire;
	msg_put_i64(out, t.have);
	msg_put_i64(out, t.wire);
	return r;
}

static int on_blob_head(struct request *q, struct strb *out, struct err *e)
{
	const char *digest = msg_get_str(&q->rd);
	int64_t size = 0;
	int r = check_digest(digest, e);

	if (r == 0)
		r = do_blob_head(&the.s, digest, &size, e);
	msg_put_i64(out, size);
	return r;
}

static int on_blob_mount(struct request *q, struct strb *out, struct err *e)
{
	const char *digest = msg_get_str(&q->rd), *from = msg_get_str(&q->rd);
	bool there = false;
	int r = check_digest(digest, e);

	if (r == 0)
		r = do_blob_mount(&the.s, digest, from ? from : "", &there, e);
	msg_put_i64(out, there ? 0 : -1);
	return r;
}

static int on_blob_put(struct request *q, struct strb *out, struct err *e)
{
	AUTO_FD int fd = msg_take_fd(&q->m, 0);
	struct transfer t = { .fd = fd, .at = at, .ctx = q };
	char digest[72] = "";
	int r = 0;

	t.digest = msg_get_str(&q->rd);
	t.size = msg_get_i64(&q->rd);
	if (t.digest)
		r = check_digest(t.digest, e);
	if (r == 0 && fd < 0)
		r = err_set(e, ERR_INVALID, "wrong request");
	if (r == 0)
		r = do_blob_put(&the.s, &t, digest, e);
	q->have = t.have;
	msg_put_str(out, digest);
	msg_put_i64(out, t.have);
	return r;
}

static int on_manifest_put(struct request *q, struct strb *out, struct err *e)
{
	AUTO_FD int fd = msg_take_fd(&q->m, 0);
	const char *what = msg_get_str(&q->rd), *type = msg_get_str(&q->rd);
	AUTO_FREE char *bytes = NULL;
	char digest[72] = "";
	size_t n = 0;
	int r = fd_read_all(fd, REG_DOCUMENT_MAX, &bytes, &n);

	if (r < 0)
		return err_sys(e, r, "reading the manifest");
	r = do_manifest_put(&the.s, what ? what : "", type ? type : "", bytes, n, digest, e);
	msg_put_str(out, digest);
	msg_put_i64(out, (int64_t)n);
	return r;
}

static int on_manifest_delete(struct request *q, struct strb *out, struct err *e)
{
	const char *digest = msg_get_str(&q->rd);
	int r = check_digest(digest, e);

	msg_put_i64(out, 0);
	return r < 0 ? r : do_manifest_delete(&the.s, digest, e);
}

static int on_search(struct request *q, struct strb *out, struct err *e)
{
	const char *term = msg_get_str(&q->rd);
	uint32_t limit = msg_get_u32(&q->rd);

	return do_search(&the.s, term ? term : "", limit, out, e);
}

static int on_login(struct request *q, struct strb *out, struct err *e)
{
	return do_login(&the.s, out, e);
}

static int on_verify(struct request *q, struct strb *out, struct err *e)
{
	AUTO_FD int fd = msg_take_fd(&q->m, 0);
	struct verify_request v = { 0 };
	AUTO_FREE char *bytes = NULL;
	struct msg_reader keys;
	size_t n = 0;
	int r = fd_read_all(fd, REG_DOCUMENT_MAX, &bytes, &n);

	if (r < 0)
		return err_sys(e, r, "reading the keys");
	keys = msg_reader(bytes, n);
	for (uint32_t k = msg_get_u32(&keys); k > 0 && !keys.bad && v.n_keys < REG_KEYS_MAX; k--) {
		v.keys[v.n_keys].name = msg_get_str(&keys);
		v.keys[v.n_keys].der = msg_get_bytes(&keys, &v.keys[v.n_keys].n);
		v.n_keys++;
	}
	v.name = msg_get_str(&q->rd);
	for (uint32_t k = msg_get_u32(&q->rd); k > 0 && !q->rd.bad && v.n_digests < ARRAY_LEN(v.digests); k--) {
		const char *digest = msg_get_str(&q->rd);

		v.digests[v.n_digests++] = digest ? digest : "";
	}
	v.tag = msg_get_str(&q->rd);
	if (keys.bad || q->rd.bad || !v.name || !v.n_keys || !v.n_digests)
		return err_set(e, ERR_INVALID, "wrong request");
	return do_verify(&the.s, &v, out, e);
}

static int on_fetch(struct request *q, struct strb *out, struct err *e)
{
	AUTO_FD int fd = msg_take_fd(&q->m, 0);
	const char *url = msg_get_str(&q->rd);
	int64_t n = 0;
	int r = fd < 0 || !url ? err_set(e, ERR_INVALID, "wrong request") : do_fetch(&the.s, url, fd, &n, e);

	msg_put_i64(out, n);
	return r;
}

static const struct handler {
	uint16_t request, answer;
	bool in_memfd;
	int (*run)(struct request *q, struct strb *out, struct err *e);
} handlers[] = {
	{ REG_RESOLVE, REG_RESOLVED, true, on_resolve },
	{ REG_MANIFEST, REG_DOCUMENT, true, on_manifest },
	{ REG_TAGS, REG_LIST, true, on_tags },
	{ REG_REFERRERS, REG_DOCUMENT, true, on_referrers },
	{ REG_BLOB_GET, REG_BLOB_GOT, false, on_blob_get },
	{ REG_BLOB_HEAD, REG_SIZE, false, on_blob_head },
	{ REG_BLOB_MOUNT, REG_SIZE, false, on_blob_mount },
	{ REG_BLOB_PUT, REG_SENT, false, on_blob_put },
	{ REG_MANIFEST_PUT, REG_SENT, false, on_manifest_put },
	{ REG_MANIFEST_DELETE, REG_SIZE, false, on_manifest_delete },
	{ REG_SEARCH, REG_LIST, true, on_search },
	{ REG_LOGIN, REG_LIST, true, on_login },
	{ REG_FETCH, REG_SIZE, false, on_fetch },
	{ REG_VERIFY, REG_VERIFIED, false, on_verify },
};

static const struct handler *handler_of(uint16_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(handlers); i++)
		if (handlers[i].request == type)
			return &handlers[i];
	return NULL;
}

static void send_error(uint32_t seq, const struct request *q, int r, const struct err *e)
{
	AUTO_STRB struct strb b = STRB_INIT;

	msg_put_u32(&b, e->kind ? e->kind : ERR_SYSTEM);
	msg_put_u32(&b, (uint32_t)(e->sys < 0 ? -e->sys : 0));
	msg_put_str(&b, *e->msg ? e->msg : strerror(-r));
	msg_put_i64(&b, q ? q->have : 0);
	msg_put_i64(&b, q ? q->wire : 0);
	(void)send_surely(WORKER_ERROR, seq, &b, NULL, 0);
}

static void answer(struct request *q, const struct handler *h, const struct strb *out)
{
	static const struct strb nothing = STRB_INIT;
	struct err e = ERR_INIT;
	AUTO_FD int fd = -1;

	if (!h->in_memfd) {
		(void)send_surely(h->answer, q->m.seq, out, NULL, 0);
		return;
	}
	fd = out->len <= REG_TEXT_MAX ? memfd_of("answer", strb_str(out), out->len) : -EFBIG;
	if (fd < 0) {
		(void)err_sys(&e, fd, "answering");
		send_error(q->m.seq, q, fd, &e);
		return;
	}
	(void)send_surely(h->answer, q->m.seq, &nothing, &fd, 1);
}

static void serve(void *arg)
{
	struct request *q = arg;
	const struct handler *h = handler_of(q->m.type);
	AUTO_STRB struct strb out = STRB_INIT;
	struct err e = ERR_INIT;
	int r = h ? h->run(q, &out, &e)
		  : err_set(&e, ERR_INVALID, "hoy-worker registry: unknown request %u", q->m.type);

	if (r < 0)
		send_error(q->m.seq, q, r, &e);
	else
		answer(q, h, &out);
	msg_done(&q->m);
	free(q);
}

static int on_message(void *ctx)
{
	struct request *q = xcalloc(1, sizeof *q);
	int r = msg_recv(the.sock, &q->m);

	if (r <= 0) {
		free(q);
		return r == -EAGAIN ? 0 : 1;
	}
	q->rd = msg_reader(q->m.body, q->m.n);
	if (fiber_start(serve, q) < 0)
		return 1;
	return 0;
}

/* ---- the beginning ---- */
static void get_list(struct msg_reader *rd, struct strv *ret)
{
	for (uint32_t n = msg_get_u32(rd); n > 0 && !rd->bad; n--) {
		const char *s = msg_get_str(rd);

		if (s)
			strv_add(ret, s);
	}
}

static void add_endpoint(struct session *s, struct root *root, char *base, bool mirror)
{
	AUTO_FREE char *host = url_host(base);
	struct endpoint *ep = VEC_ADD(&s->endpoints);

	while (str_ends(base, "/"))
		base[strlen(base) - 1] = 0;
	*ep = (struct endpoint){ .base = base, .mirror = mirror, .gate = { .free = 1 } };
	if (host)
		root_tls(root, host, &ep->tls);
	if (mirror && url_has_scheme(base, "http"))
		return; /* who writes http means it */
	ep->insecure = host && !streq(host, "registry-1.docker.io") && !streq(host, "index.docker.io") &&
		       insecure_host(&s->insecure, host);
	ep->plain_allowed = ep->insecure;
}

static int read_open(struct session *s, struct root *root, struct strv *mirrors, const char *p, size_t n, struct err *e)
{
	struct msg_reader rd = msg_reader(p, n);
	AUTO_STRV struct strv k = { 0 };
	AUTO_STRV struct strv v = { 0 };

	if (msg_get_u32(&rd) != REG_OPEN_VERSION)
		return err_set(e, ERR_SYSTEM, "hoy-worker registry: of another version than hoyd");
	s->domain = msg_get_str(&rd);
	s->path = msg_get_str(&rd);
	s->familiar = msg_get_str(&rd);
	s->push = msg_get_u32(&rd);
	get_list(&rd, &s->also);
	get_list(&rd, &k);
	get_list(&rd, &v);
	for (size_t i = 0; i < k.n && i < v.n; i++)
		strmap_set(&s->meta, k.v[i], v.v[i]);
	s->username = msg_get_str(&rd);
	s->password = msg_get_str(&rd);
	s->identity_token = msg_get_str(&rd);
	s->registry_token = msg_get_str(&rd);
	get_list(&rd, &s->insecure);
	s->http_proxy = msg_get_str(&rd);
	s->https_proxy = msg_get_str(&rd);
	s->no_proxy = msg_get_str(&rd);
	s->user_agent = msg_get_str(&rd);
	s->transfers.free = msg_get_u32(&rd);
	s->attempts = msg_get_u32(&rd);
	s->stall_s = msg_get_u32(&rd);
	s->backoff_ms = msg_get_u32(&rd);
	get_list(&rd, mirrors);
	for (uint32_t files = msg_get_u32(&rd); files > 0 && !rd.bad; files--) {
		const char *host = msg_get_str(&rd), *kind = msg_get_str(&rd);
		size_t len = 0;
		const void *bytes = msg_get_bytes(&rd, &len);

		if (host && kind && bytes)
			root_pem(root, host, kind, bytes, len);
	}
	if (rd.bad || !s->domain || !s->path || !s->familiar)
		return err_set(e, ERR_SYSTEM, "hoy-worker registry: wrong request");
	s->transfers.free = s->transfers.free ? s->transfers.free : 3;
	s->attempts = s->attempts ? s->attempts : 5;
	s->stall_s = s->stall_s ? s->stall_s : 60;
	s->backoff_ms = s->backoff_ms ? s->backoff_ms : 500;
	return 0;
}

static int open_session(struct msg *m, struct session *s, struct err *e)
{
	AUTO_FD int fd = msg_take_fd(m, 0);
	AUTO_STRV struct strv mirrors = { 0 };
	const struct curl_api *curl = NULL;
	struct root root = { .fd = -1 };
	char *bytes = NULL; /* stays: the session lends its strings from it */
	size_t n = 0;
	int r = m->type == REG_OPEN && fd >= 0 ? fd_read_all(fd, REG_OPEN_MAX, &bytes, &n) : -EINVAL;

	if (r < 0)
		return err_sys(e, r, "hoy-worker registry: reading the request");
	if ((r = hash_prepare()) < 0)
		return err_sys(e, r, "loading SHA-256");
	if ((r = curl_api_load(&curl, e)) < 0 || (r = root_make(&root, e)) < 0 ||
	    (r = read_open(s, &root, &mirrors, bytes, n, e)) < 0 || (r = root_finish(&root, e)) < 0)
		return r;
	r = sandbox_enter(&(struct sandbox){ .flags = SANDBOX_NEW_ROOT | SANDBOX_SECCOMP,
					     .root_fd = root.fd,
					     .max_memory = MEMORY_MAX },
			  e);
	if (r < 0)
		return r;
	fd_closep(&root.fd);
	s->say = say;
	for (size_t i = 0; i < mirrors.n; i++)
		add_endpoint(s, &root, xstrdup(mirrors.v[i]), true);
	add_endpoint(s, &root,
		     xasprintf("https://%s", streq(s->domain, "docker.io") ? "registry-1.docker.io" : s->domain),
		     false);
	return net_open(curl,
			&(struct net_opts){ .user_agent = s->user_agent,
					    .http_proxy = s->http_proxy,
					    .https_proxy = s->https_proxy,
					    .no_proxy = s->no_proxy,
					    .meta_headers = &s->meta,
					    .stall_s = s->stall_s },
			e);
}

int registry_main(int sock)
{
	static const struct strb nothing = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };
	struct err e = ERR_INIT;
	int r;

	the.sock = sock;
	(void)mallopt(M_ARENA_MAX, 2);
	r = msg_recv(sock, &m);
	if (r <= 0)
		return 3;
	r = open_session(&m, &the.s, &e);
	if (r < 0) {
		send_error(m.seq, NULL, r, &e);
		return 1;
	}
	(void)fd_nonblock(sock, true);
	(void)send_surely(REG_READY, m.seq, &nothing, NULL, 0);
	(void)net_loop(sock, on_message, NULL);
	_exit(0); /* with transfers under way: nobody waits for them any more */
}
