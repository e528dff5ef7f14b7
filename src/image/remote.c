/* remote.c - hoyd's side of a session with `hoy-worker registry`. Any number of threads wait for answers on one socket: one of
 * them at a time reads it, hands each message to whom it belongs, and passes the reading on when its own answer is there. */
#include "image/remote.h"
#include "base/kernel.h"
#include "image/trust.h"
#include "store/registry_call.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

struct call { /* one request under way; on its caller's stack */
	uint32_t seq;
	bool answered, news;
	struct msg answer;
	int64_t at;
	struct call *next;
};
struct remote {
	struct worker w;
	pthread_mutex_t lock; /* guards all below; not held while reading the socket */
	pthread_cond_t changed;
	struct call *calls;
	struct strv said;
	bool reading, cancelled, gone;
	uint32_t last_seq;
	void (*say)(void *ctx, const char *text);
	void *ctx;
};

/* ---- what REG_OPEN says ---- */
static void put_list(struct strb *b, const struct strv *v)
{
	msg_put_u32(b, v ? (uint32_t)v->n : 0);
	for (size_t i = 0; v && i < v->n; i++)
		msg_put_str(b, v->v[i]);
}

static void put_map(struct strb *b, const struct strmap *m)
{
	uint32_t n = m ? (uint32_t)m->n : 0;

	msg_put_u32(b, n);
	for (uint32_t i = 0; i < n; i++)
		msg_put_str(b, m->v[i].k);
	msg_put_u32(b, n);
	for (uint32_t i = 0; i < n; i++)
		msg_put_str(b, m->v[i].v);
}

/* "[registry=]URL": those of this registry. A "=" behind the first slash belongs to the URL. */
static void mirrors_of(const struct strv *all, const char *domain, struct strv *ret)
{
	for (size_t i = 0; i < all->n; i++) {
		const char *url = all->v[i];
		size_t n = strcspn(url, "=/");
		AUTO_FREE char *registry = xstrdup("docker.io");

		if (url[n] == '=') {
			free(registry);
			registry = xstrndup(url, n);
			url += n + 1;
		}
		if (streq(registry, domain))
			strv_add(ret, url);
	}
}

static int put_pem(struct strb *b, uint32_t *n, int dir, const char *host, const char *name, const char *kind,
		   struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int r = file_read(dir, name, (size_t)1 << 20, &text, &len);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_sys(e, r, "reading certificate %s of %s", name, host);
	msg_put_str(b, host);
	msg_put_str(b, kind);
	msg_put_bytes(b, text, len);
	(*n)++;
	return 0;
}

/* certs.d/<host>: *.crt are authorities; x.cert and x.key are ours and belong together. */
static int put_host(struct strb *b, uint32_t *n, const char *certs_dir, const char *host, struct err *e)
{
	AUTO_FREE char *path = path_join(certs_dir, host);
	AUTO_FD int dir = dir_open(AT_FDCWD, path);
	AUTO_STRV struct strv names = { 0 };
	int r = 0;

	if (dir < 0 || dir_list(dir, ".", &names) < 0)
		return 0;
	for (size_t i = 0; r == 0 && i < names.n; i++) {
		const char *name = names.v[i];

		if (str_ends(name, ".crt")) {
			r = put_pem(b, n, dir, host, name, "ca", e);
		} else if (str_ends(name, ".cert")) {
			AUTO_FREE char *key = xasprintf("%.*s.key", (int)(strlen(name) - strlen(".cert")), name);

			if (!strv_has(&names, key))
				return err_set(e, ERR_INVALID,
					       "missing key %s for client certificate %s. CA certificates must use the "
					       "extension .crt",
					       key, name);
			r = put_pem(b, n, dir, host, name, "cert", e);
			if (r == 0)
				r = put_pem(b, n, dir, host, key, "key", e);
		} else if (str_ends(name, ".key")) {
			AUTO_FREE char *cert = xasprintf("%.*s.cert", (int)(strlen(name) - strlen(".key")), name);

			if (!strv_has(&names, cert))
				return err_set(e, ERR_INVALID, "missing client certificate %s for key %s", cert, name);
		}
	}
	return r;
}

static char *host_of(const char *url)
{
	const char *p = strstr(url, "://");

	p = p ? p + 3 : url;
	return xstrndup(p, strcspn(p, "/?#"));
}

static int put_certs(struct strb *b, const char *certs_dir, const char *domain, const struct strv *mirrors,
		     struct err *e)
{
	AUTO_STRB struct strb files = STRB_INIT;
	AUTO_STRV struct strv hosts = { 0 };
	uint32_t n = 0;
	int r = 0;

	strv_add(&hosts, streq(domain, "docker.io") ? "registry-1.docker.io" : domain);
	for (size_t i = 0; i < mirrors->n; i++)
		strv_push(&hosts, host_of(mirrors->v[i]));
	for (size_t i = 0; certs_dir && r == 0 && i < hosts.n; i++)
		if (!strchr(hosts.v[i], '/') && *hosts.v[i] != '.')
			r = put_host(&files, &n, certs_dir, hosts.v[i], e);
	msg_put_u32(b, n);
	strb_add(b, strb_str(&files), files.len);
	return r;
}

static int open_body(const struct remote_opts *o, struct strb *b, struct err *e)
{
	static const struct strmap no_headers = { 0 };
	const struct remote_config *c = o->config;
	AUTO_FREE char *familiar = ref_familiar_name(o->ref);
	AUTO_STRV struct strv mirrors = { 0 };

	if (!o->push)
		mirrors_of(&c->mirrors, o->ref->domain, &mirrors);
	msg_put_u32(b, REG_OPEN_VERSION);
	msg_put_str(b, o->ref->domain);
	msg_put_str(b, o->ref->path);
	msg_put_str(b, familiar);
	msg_put_u32(b, o->push);
	put_list(b, o->also);
	put_map(b, o->meta_headers ? o->meta_headers : &no_headers);
	msg_put_str(b, o->auth.username);
	msg_put_str(b, o->auth.password);
	msg_put_str(b, o->auth.identity_token);
	msg_put_str(b, o->auth.registry_token);
	put_list(b, &c->insecure);
	msg_put_str(b, c->http_proxy);
	msg_put_str(b, c->https_proxy);
	msg_put_str(b, c->no_proxy);
	msg_put_str(b, c->user_agent);
	msg_put_u32(b, c->parallel);
	msg_put_u32(b, c->attempts);
	msg_put_u32(b, c->stall_s);
	msg_put_u32(b, c->backoff_ms);
	put_list(b, &mirrors);
	return put_certs(b, c->certs_dir, o->ref->domain, &mirrors, e);
}

int remote_open(const struct remote_opts *o, struct remote **ret, struct err *e)
{
	static const struct strb nothing = STRB_INIT;
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };
	AUTO_WORKER struct worker w = WORKER_NONE;
	AUTO_FD int fd = -1;
	struct remote *n;
	int r = open_body(o, &b, e);

	if (r < 0)
		return r;
	fd = memfd_of("registry", strb_str(&b), b.len);
	if (fd < 0)
		return err_sys(e, fd, "starting a session with a registry");
	r = worker_start(o->config->worker, "registry", REG_OPEN, &nothing, &fd, 1, &w, e);
	if (r == 0)
		r = worker_answer(&w, REG_READY, &m, e);
	if (r < 0)
		return r;
	n = xcalloc(1, sizeof *n);
	n->w = w;
	w = WORKER_NONE;
	n->say = o->say;
	n->ctx = o->ctx;
	n->last_seq = 1;
	(void)pthread_mutex_init(&n->lock, NULL);
	(void)pthread_cond_init(&n->changed, NULL);
	*ret = n;
	return 0;
}

void remote_cancel(struct remote *r)
{
	(void)pthread_mutex_lock(&r->lock);
	r->cancelled = true;
	(void)pthread_cond_broadcast(&r->changed);
	(void)pthread_mutex_unlock(&r->lock);
	(void)shutdown(r->w.sock, SHUT_RDWR); /* wakes who reads */
	if (r->w.pidfd >= 0)
		(void)sys_pidfd_send_signal(r->w.pidfd, SIGKILL);
}

void remote_close(struct remote *r)
{
	if (!r)
		return;
	worker_done(&r->w);
	strv_done(&r->said);
	(void)pthread_cond_destroy(&r->changed);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

/* ---- waiting for answers ---- */
static void hand_over(struct remote *r, struct msg *m) /* lock held */
{
	struct msg_reader rd = msg_reader(m->body, m->n);
	const char *text;

	if (m->type == REG_SAY) {
		text = msg_get_str(&rd);
		if (text && r->said.n < 64)
			strv_add(&r->said, text);
		return;
	}
	for (struct call *c = r->calls; c; c = c->next) {
		if (c->seq != m->seq)
			continue;
		if (m->type == REG_AT) {
			c->at = msg_get_i64(&rd);
			c->news = true;
		} else if (!c->answered) {
			c->answer = *m;
			*m = (struct msg){ 0 };
			c->answered = true;
		}
		return;
	}
}

/* lock held; reads one message, or waits while another thread does */
static void read_one(struct remote *r)
{
	AUTO_MSG struct msg m = { 0 };
	int k;

	if (r->reading) {
		(void)pthread_cond_wait(&r->changed, &r->lock);
		return;
	}
	r->reading = true;
	(void)pthread_mutex_unlock(&r->lock);
	k = msg_recv(r->w.sock, &m);
	(void)pthread_mutex_lock(&r->lock);
	r->reading = false;
	if (k > 0)
		hand_over(r, &m);
	else
		r->gone = true;
	(void)pthread_cond_broadcast(&r->changed);
}

/* lock held, and given up meanwhile: callbacks may take as long as they like */
static void tell(struct remote *r, struct call *c, const struct remote_progress *p)
{
	struct strv said = r->said;
	bool news = c->news;
	int64_t at = c->at;

	if (!said.n && !news)
		return;
	r->said = (struct strv){ 0 };
	c->news = false;
	(void)pthread_mutex_unlock(&r->lock);
	for (size_t i = 0; r->say && i < said.n; i++)
		r->say(r->ctx, said.v[i]);
	strv_done(&said);
	if (news && p && p->at)
		p->at(p->ctx, at);
	(void)pthread_mutex_lock(&r->lock);
}

static void forget(struct remote *r, struct call *c) /* lock held */
{
	struct call **at = &r->calls;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
}

/* The error of an answer, and behind it how far a transfer came. */
static int failed(const struct msg *m, int64_t *ret_have, int64_t *ret_wire, struct err *e)
{
	struct msg_reader rd = msg_reader(m->body, m->n);
	uint32_t kind = msg_get_u32(&rd), number = msg_get_u32(&rd);
	const char *text = msg_get_str(&rd);
	int64_t have = msg_get_i64(&rd), wire = msg_get_i64(&rd);
	int k;

	if (kind < ERR_SYSTEM || kind > ERR_NOT_IMPLEMENTED)
		kind = ERR_SYSTEM;
	k = err_set(e, (enum err_kind)kind, "%s", text ? text : "hoy-worker failed");
	if (number > 0 && number < 4096) {
		k = -(int)number;
		if (e)
			e->sys = k;
	}
	if (ret_have)
		*ret_have = have;
	if (ret_wire)
		*ret_wire = wire;
	return k;
}

static int ended(struct remote *r, struct err *e)
{
	int k;

	if (r->cancelled) {
		k = err_set(e, ERR_SYSTEM, "context canceled");
		if (e)
			e->sys = -ECANCELED;
		return k < 0 ? -ECANCELED : k;
	}
	return err_set(e, ERR_SYSTEM, "hoy-worker registry is gone");
}

struct ask {
	uint16_t type, want;
	struct strb body;
	int fd; /* lent; -1 = none */
	const struct remote_progress *progress;
	int64_t have, wire; /* of a failed transfer */
};

static int ask(struct remote *r, struct ask *a, struct msg *ret, struct err *e)
{
	struct call c = { 0 };
	int k;

	(void)pthread_mutex_lock(&r->lock);
	c.seq = ++r->last_seq;
	c.next = r->calls;
	r->calls = &c;
	k = r->cancelled || r->gone
		    ? -EPIPE
		    : msg_send(r->w.sock, a->type, c.seq, strb_str(&a->body), a->body.len, &a->fd, a->fd >= 0);
	while (k == 0 && !c.answered && !r->gone && !r->cancelled) {
		read_one(r);
		tell(r, &c, a->progress);
	}
	tell(r, &c, a->progress);
	forget(r, &c);
	(void)pthread_mutex_unlock(&r->lock);
	strb_done(&a->body);
	if (!c.answered)
		return ended(r, e);
	if (c.answer.type == WORKER_ERROR) {
		k = failed(&c.answer, &a->have, &a->wire, e);
		msg_done(&c.answer);
		return k;
	}
	if (c.answer.type != a->want) {
		msg_done(&c.answer);
		return err_set(e, ERR_SYSTEM, "hoy-worker answered something else");
	}
	*ret = c.answer;
	return 0;
}

/* An answer that comes in a memfd. */
static int ask_text(struct remote *r, struct ask *a, char **ret, struct msg_reader *ret_rd, struct err *e)
{
	AUTO_MSG struct msg m = { 0 };
	AUTO_FD int fd = -1;
	size_t n = 0;
	int k = ask(r, a, &m, e);

	if (k < 0)
		return k;
	fd = msg_take_fd(&m, 0);
	k = fd < 0 ? -EBADMSG : fd_read_all(fd, REG_TEXT_MAX, ret, &n);
	if (k < 0)
		return err_sys(e, k, "reading the worker's answer");
	*ret_rd = msg_reader(*ret, n);
	return 0;
}

static int broken(struct err *e)
{
	return err_set(e, ERR_SYSTEM, "hoy-worker answered nonsense");
}

static char *copy_bytes(struct msg_reader *rd, size_t *ret_n)
{
	const void *p = msg_get_bytes(rd, ret_n);
	char *copy = p && *ret_n ? xmalloc(*ret_n + 1) : NULL;

	if (copy) {
		memcpy(copy, p, *ret_n);
		copy[*ret_n] = 0;
	}
	return copy;
}

/* ---- reading ---- */
void remote_image_done(struct remote_image *i)
{
	free(i->digest);
	free(i->media_type);
	free(i->index);
	free(i->manifest);
	free(i->manifest_digest);
	free(i->manifest_type);
	free(i->config);
	json_done(&oci_manifest_type, &i->doc);
	*i = (struct remote_image){ 0 };
}

static int check_image(struct remote_image *i, struct err *e)
{
	int r;

	if (!i->digest || !i->manifest_digest || !digest_valid(i->digest) || !digest_valid(i->manifest_digest) ||
	    !i->manifest || !i->config)
		return broken(e);
	r = json_read(&oci_manifest_type, i->manifest, i->manifest_n, NULL, &i->doc, e);
	if (r < 0)
		return r;
	if (!i->doc.config || !i->doc.config->digest || !digest_valid(i->doc.config->digest))
		return broken(e);
	for (size_t k = 0; k < i->doc.layers.n; k++)
		if (!i->doc.layers.v[k].digest || !digest_valid(i->doc.layers.v[k].digest) ||
		    i->doc.layers.v[k].size < 0)
			return broken(e);
	return 0;
}

int remote_resolve(struct remote *r, const char *what, const char *platform, struct remote_image *ret, struct err *e)
{
	struct ask a = { .type = REG_RESOLVE, .want = REG_RESOLVED, .fd = -1 };
	struct remote_image i = { 0 };
	AUTO_FREE char *text = NULL;
	struct msg_reader rd;
	int k;

	msg_put_str(&a.body, what);
	msg_put_str(&a.body, platform);
	k = ask_text(r, &a, &text, &rd, e);
	if (k < 0)
		return k;
	i.digest = xstrdup(msg_get_str(&rd));
	i.media_type = xstrdup(msg_get_str(&rd));
	i.index = copy_bytes(&rd, &i.index_n);
	i.manifest = copy_bytes(&rd, &i.manifest_n);
	i.manifest_digest = xstrdup(msg_get_str(&rd));
	i.manifest_type = xstrdup(msg_get_str(&rd));
	i.config = copy_bytes(&rd, &i.config_n);
	k = rd.bad ? broken(e) : check_image(&i, e);
	if (k < 0) {
		remote_image_done(&i);
		return k;
	}
	*ret = i;
	return 0;
}

void remote_doc_done(struct remote_doc *d)
{
	free(d->bytes);
	free(d->media_type);
	free(d->digest);
	*d = (struct remote_doc){ 0 };
}

static int ask_document(struct remote *r, struct ask *a, struct remote_doc *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	struct remote_doc d = { 0 };
	struct msg_reader rd;
	size_t n = 0;
	int k = ask_text(r, a, &text, &rd, e);

	if (k < 0)
		return k;
	d.digest = xstrdup(msg_get_str(&rd));
	d.media_type = xstrdup(msg_get_str(&rd));
	d.n = (size_t)msg_get_i64(&rd);
	d.bytes = copy_bytes(&rd, &n);
	if (rd.bad || (d.bytes && n != d.n)) {
		remote_doc_done(&d);
		return broken(e);
	}
	*ret = d;
	return 0;
}

static int manifest(struct remote *r, const char *what, bool head, struct remote_doc *ret, struct err *e)
{
	struct ask a = { .type = REG_MANIFEST, .want = REG_DOCUMENT, .fd = -1 };

	msg_put_str(&a.body, what);
	msg_put_u32(&a.body, head);
	return ask_document(r, &a, ret, e);
}

int remote_manifest_get(struct remote *r, const char *what, struct remote_doc *ret, struct err *e)
{
	return manifest(r, what, false, ret, e);
}

int remote_manifest_head(struct remote *r, const char *what, struct remote_doc *ret, struct err *e)
{
	return manifest(r, what, true, ret, e);
}

static int ask_list(struct remote *r, struct ask *a, struct strv *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	AUTO_STRV struct strv v = { 0 };
	struct msg_reader rd;
	int k = ask_text(r, a, &text, &rd, e);

	if (k < 0)
		return k;
	for (uint32_t n = msg_get_u32(&rd); n > 0 && !rd.bad; n--) {
		const char *s = msg_get_str(&rd);

		strv_add(&v, s ? s : "");
	}
	if (rd.bad)
		return broken(e);
	*ret = v;
	v = (struct strv){ 0 };
	return 0;
}

int remote_tags(struct remote *r, struct strv *ret, struct err *e)
{
	return ask_list(r, &(struct ask){ .type = REG_TAGS, .want = REG_LIST, .fd = -1 }, ret, e);
}

int remote_referrers(struct remote *r, const char *digest, const char *type, struct oci_manifest *ret_index,
		     struct err *e)
{
	struct ask a = { .type = REG_REFERRERS, .want = REG_DOCUMENT, .fd = -1 };
	struct remote_doc d = { 0 };
	size_t kept = 0;
	int k;

	msg_put_str(&a.body, digest);
	msg_put_str(&a.body, type);
	k = ask_document(r, &a, &d, e);
	if (k < 0)
		return k;
	*ret_index = (struct oci_manifest){ 0 };
	k = json_read(&oci_manifest_type, d.bytes ? d.bytes : "", d.bytes ? d.n : 0, NULL, ret_index, e);
	remote_doc_done(&d);
	if (k < 0)
		return k;
	/* registries may ignore the filter; what has no digest is nothing that could be fetched */
	for (size_t i = 0; i < ret_index->manifests.n; i++) {
		struct oci_descriptor *m = &ret_index->manifests.v[i];

		if (!m->digest || !digest_valid(m->digest) || m->size < 0 ||
		    (!str_empty(type) && !streq(m->artifact_type, type)))
			json_done(&oci_descriptor_type, m);
		else
			ret_index->manifests.v[kept++] = *m;
	}
	ret_index->manifests.n = kept;
	return 0;
}

int remote_verify(struct remote *r, const struct trust_rule *rule, const char *name, const struct strv *digests,
		  const char *tag, bool *ret_good, char **ret_text, struct err *e)
{
	AUTO_STRB struct strb keys = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };
	AUTO_FD int fd = -1;
	struct ask a = { .type = REG_VERIFY, .want = REG_VERIFIED };
	struct msg_reader rd;
	const char *text;
	int k;

	msg_put_u32(&keys, (uint32_t)rule->keys.n);
	for (size_t i = 0; i < rule->keys.n; i++) {
		msg_put_str(&keys, rule->keys.v[i].name);
		msg_put_bytes(&keys, rule->keys.v[i].der, rule->keys.v[i].n);
	}
	a.fd = fd = memfd_of("keys", strb_str(&keys), keys.len);
	if (fd < 0)
		return err_sys(e, fd, "sending keys");
	msg_put_str(&a.body, name);
	put_list(&a.body, digests);
	msg_put_str(&a.body, tag);
	k = ask(r, &a, &m, e);
	if (k < 0)
		return k;
	rd = msg_reader(m.body, m.n);
	k = (int)msg_get_u32(&rd);
	text = msg_get_str(&rd);
	if (rd.bad || !text)
		return broken(e);
	*ret_good = k == 1;
	*ret_text = xstrdup(text);
	return 0;
}

int remote_blob_get(struct remote *r, const struct oci_descriptor *d, int fd, int64_t from,
		    const struct remote_progress *p, int64_t *ret_have, int64_t *wire, struct err *e)
{
	struct ask a = { .type = REG_BLOB_GET, .want = REG_BLOB_GOT, .fd = fd, .progress = p, .have = from };
	AUTO_MSG struct msg m = { 0 };
	struct msg_reader rd;
	int k;

	msg_put_str(&a.body, d->digest);
	msg_put_i64(&a.body, d->size);
	msg_put_i64(&a.body, from);
	put_list(&a.body, &d->urls);
	k = ask(r, &a, &m, e);
	if (k == 0) {
		rd = msg_reader(m.body, m.n);
		a.have = msg_get_i64(&rd);
		a.wire = msg_get_i64(&rd);
	}
	if (ret_have)
		*ret_have = MAX(a.have, from);
	if (wire)
		*wire = a.wire;
	return k;
}

/* ---- writing ---- */
static int ask_size(struct remote *r, struct ask *a, int64_t *ret, struct err *e)
{
	AUTO_MSG struct msg m = { 0 };
	struct msg_reader rd;
	int k = ask(r, a, &m, e);

	if (k < 0)
		return k;
	rd = msg_reader(m.body, m.n);
	*ret = msg_get_i64(&rd);
	return 0;
}

int remote_blob_head(struct remote *r, const char *digest, int64_t *ret_size, struct err *e)
{
	struct ask a = { .type = REG_BLOB_HEAD, .want = REG_SIZE, .fd = -1 };
	struct err own = ERR_INIT;
	int k;

	msg_put_str(&a.body, digest);
	k = ask_size(r, &a, ret_size, &own);
	if (e && k < 0)
		*e = own;
	return k < 0 && own.kind == ERR_NOT_FOUND ? -ENOENT : k;
}

int remote_blob_mount(struct remote *r, const char *digest, const char *from, struct err *e)
{
	struct ask a = { .type = REG_BLOB_MOUNT, .want = REG_SIZE, .fd = -1 };
	int64_t there = -1;
	int k;

	msg_put_str(&a.body, digest);
	msg_put_str(&a.body, from);
	k = ask_size(r, &a, &there, e);
	return k < 0 ? k : there < 0 ? -ENOENT : 0;
}

static int ask_sent(struct remote *r, struct ask *a, char ret_digest[DIGEST_TEXT], int64_t *ret_size, struct err *e)
{
	AUTO_MSG struct msg m = { 0 };
	struct msg_reader rd;
	const char *digest;
	int k = ask(r, a, &m, e);

	if (k < 0)
		return k;
	rd = msg_reader(m.body, m.n);
	digest = msg_get_str(&rd);
	if (!digest || !digest_valid(digest))
		return broken(e);
	(void)snprintf(ret_digest, DIGEST_TEXT, "%s", digest);
	*ret_size = msg_get_i64(&rd);
	return 0;
}

int remote_blob_put(struct remote *r, int src, const char *digest, int64_t size, const struct remote_progress *p,
		    struct remote_sent *ret, struct err *e)
{
	struct ask a = { .type = REG_BLOB_PUT, .want = REG_SENT, .fd = src, .progress = p };

	msg_put_str(&a.body, digest);
	msg_put_i64(&a.body, size);
	return ask_sent(r, &a, ret->digest, &ret->size, e);
}

int remote_manifest_put(struct remote *r, const char *what, const char *media_type, const void *bytes, size_t n,
			char ret_digest[DIGEST_TEXT], struct err *e)
{
	AUTO_FD int fd = memfd_of("manifest", bytes, n);
	struct ask a = { .type = REG_MANIFEST_PUT, .want = REG_SENT, .fd = fd };
	int64_t size = 0;

	if (fd < 0)
		return err_sys(e, fd, "sending a manifest");
	msg_put_str(&a.body, what);
	msg_put_str(&a.body, media_type);
	return ask_sent(r, &a, ret_digest, &size, e);
}

int remote_manifest_delete(struct remote *r, const char *digest, struct err *e)
{
	struct ask a = { .type = REG_MANIFEST_DELETE, .want = REG_SIZE, .fd = -1 };
	int64_t ignored = 0;

	msg_put_str(&a.body, digest);
	return ask_size(r, &a, &ignored, e);
}

/* ---- without a repository ---- */
void remote_search_done(struct remote_search *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i].name);
		free(s->v[i].description);
	}
	free(s->v);
	*s = (struct remote_search){ 0 };
}

static int open_host(const struct remote_config *c, const char *host, const struct remote_auth *a, struct remote **ret,
		     struct err *e)
{
	struct ref ref = { .domain = (char *)(uintptr_t)host, .path = (char *)(uintptr_t) "" };

	return remote_open(
		&(struct remote_opts){
			.config = c, .ref = &ref, .auth = a ? *a : (struct remote_auth){ 0 }, .push = true },
		ret, e);
}

int remote_open_any(const struct remote_config *c, struct remote **ret, struct err *e)
{
	struct remote_config bare = *c;

	bare.certs_dir = NULL;
	return open_host(&bare, "any.invalid", NULL, ret, e);
}

int remote_fetch(struct remote *r, const char *url, int pipe, struct err *e)
{
	struct ask a = { .type = REG_FETCH, .want = REG_SIZE, .fd = pipe };
	int64_t n = 0;

	msg_put_str(&a.body, url);
	return ask_size(r, &a, &n, e);
}

int remote_search(const struct remote_config *c, const char *term, const struct remote_auth *auth, int limit,
		  struct remote_search *ret, struct err *e)
{
	struct ask a = { .type = REG_SEARCH, .want = REG_LIST, .fd = -1 };
	const char *slash = strchr(term, '/');
	AUTO_FREE char *host = slash ? xstrndup(term, (size_t)(slash - term)) : NULL;
	AUTO_STRV struct strv list = { 0 };
	struct remote_search s = { 0 };
	struct remote *r = NULL;
	int k;

	if (strstr(term, "://"))
		return err_set(e, ERR_INVALID, "invalid repository name: repository name (%s) should not have a scheme",
			       term);
	if (!host || (!strpbrk(host, ".:") && !streq(host, "localhost"))) { /* names of the Hub have slashes too */
		free(host);
		host = xstrdup("index.docker.io");
	} else {
		term = slash + 1;
	}
	if (streq(host, "docker.io")) {
		free(host);
		host = xstrdup("index.docker.io");
	}
	if (streq(host, "index.docker.io") && str_after(term, "library/"))
		term = str_after(term, "library/");
	k = open_host(c, host, auth, &r, e);
	if (k < 0)
		return k;
	msg_put_str(&a.body, term);
	msg_put_u32(&a.body, (uint32_t)MIN(MAX(limit, 1), 100));
	k = ask_list(r, &a, &list, e);
	remote_close(r);
	if (k < 0)
		return k;
	for (size_t i = 0; i + 4 < list.n; i += 5) {
		struct remote_search_row *row = VEC_ADD(&s);

		*row = (struct remote_search_row){ .name = xstrdup(list.v[i]),
						   .description = xstrdup(list.v[i + 1]),
						   .official = streq(list.v[i + 3], "1"),
						   .automated = streq(list.v[i + 4], "1") };
		(void)str_to_i64(list.v[i + 2], &row->stars);
	}
	*ret = s;
	return 0;
}

int remote_login(const struct remote_config *c, const char *server, const struct remote_auth *auth, char **ret_token,
		 struct err *e)
{
	AUTO_FREE char *host = host_of(str_empty(server) ? "docker.io" : server);
	AUTO_STRV struct strv list = { 0 };
	struct remote *r = NULL;
	int k;

	if (streq(host, "index.docker.io")) {
		free(host);
		host = xstrdup("docker.io");
	}
	k = open_host(c, host, auth, &r, e);
	if (k < 0)
		return k;
	k = ask_list(r, &(struct ask){ .type = REG_LOGIN, .want = REG_LIST, .fd = -1 }, &list, e);
	remote_close(r);
	if (k < 0)
		return k;
	*ret_token = list.n ? xstrdup(list.v[0]) : NULL;
	return 0;
}
