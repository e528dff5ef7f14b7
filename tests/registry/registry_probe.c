/* registry_probe - image/remote.h from the command line, for the tests of the registry client.
 *
 *   registry_probe [option=value...] VERB NAME [ARG...]
 * options: worker, certs, insecure, mirror, http_proxy, https_proxy, no_proxy, user, password, identity, token, push=1, also, meta=K=V,
 *          attempts, stall, backoff, parallel, platform, cancel=MILLISECONDS
 * verbs:   resolve TAG|DIGEST          digest, manifest digest and config's length
 *          manifest|head TAG|DIGEST    digest, type, length [and the bytes]
 *          tags; referrers DIGEST [TYPE]
 *          get FILE DIGEST SIZE [URL]  goes on where FILE ends; "have N wire N"
 *          pull FOLDER TAG             everything, layers in parallel, into FOLDER/<hex>
 *          hasblob DIGEST; mount DIGEST FROM; put FILE [DIGEST] ("-" = a pipe on stdin); putmanifest TAG TYPE FILE; delete DIGEST
 *          search TERM; login SERVER
 * An error is printed as "error <kind>: <sentence>" with exit status 1; what the registry says to the user as "say: <text>". */
#include "image/remote.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

struct probe {
	struct remote_config c;
	struct remote_opts o;
	struct strv also;
	struct strmap meta;
	struct ref ref;
	const char *platform;
	unsigned cancel_ms;
	struct remote *r;
};

static int fail(const struct err *e)
{
	static const char *const kinds[] = { "none",     "system",   "invalid",     "unauthorized", "forbidden",
					     "notfound", "conflict", "notmodified", "unavailable",  "notimplemented" };

	(void)printf("error %s: %s\n", kinds[e->kind], e->msg);
	return 1;
}

static void say(void *ctx, const char *text)
{
	(void)printf("say: %s\n", text);
	(void)fflush(stdout);
}

static void option(struct probe *p, const char *key, char *value)
{
	const struct {
		const char *key;
		const char **to;
	} texts[] = {
		{ "worker", &p->c.worker },
		{ "certs", &p->c.certs_dir },
		{ "http_proxy", &p->c.http_proxy },
		{ "https_proxy", &p->c.https_proxy },
		{ "no_proxy", &p->c.no_proxy },
		{ "user", &p->o.auth.username },
		{ "password", &p->o.auth.password },
		{ "identity", &p->o.auth.identity_token },
		{ "token", &p->o.auth.registry_token },
		{ "platform", &p->platform },
	};
	const struct {
		const char *key;
		unsigned *to;
	} numbers[] = { { "attempts", &p->c.attempts },
			{ "stall", &p->c.stall_s },
			{ "backoff", &p->c.backoff_ms },
			{ "parallel", &p->c.parallel },
			{ "cancel", &p->cancel_ms } };

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (streq(texts[i].key, key))
			*texts[i].to = value;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (streq(numbers[i].key, key))
			(void)str_to_u32(value, 10, numbers[i].to);
	if (streq(key, "insecure"))
		strv_add(&p->c.insecure, value);
	if (streq(key, "mirror"))
		strv_add(&p->c.mirrors, value);
	if (streq(key, "also"))
		strv_add(&p->also, value);
	if (streq(key, "push"))
		p->o.push = true;
	if (streq(key, "meta") && strchr(value, '=')) {
		char *eq = strchr(value, '=');

		*eq = 0;
		strmap_set(&p->meta, value, eq + 1);
	}
}

static int print_doc(struct remote_doc *d)
{
	(void)printf("digest %s\ntype %s\nlength %zu\n", d->digest, d->media_type ? d->media_type : "-", d->n);
	if (d->bytes)
		(void)printf("%s\n", d->bytes);
	remote_doc_done(d);
	return 0;
}

static int get(struct probe *p, const char *file, const struct oci_descriptor *d, struct err *e)
{
	AUTO_FD int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int64_t have = 0, wire = 0;
	struct stat st = { 0 };
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, -errno, "%s", file);
	r = remote_blob_get(p->r, d, fd, st.st_size, NULL, &have, &wire, e);
	(void)printf("have %lld wire %lld\n", (long long)have, (long long)wire);
	return r;
}

struct layer {
	struct probe *p;
	const char *folder;
	const struct oci_descriptor *d;
	struct err e;
	int r;
	pthread_t thread;
};

static void *layer_main(void *arg)
{
	struct layer *l = arg;
	AUTO_FREE char *path = path_join(l->folder, l->d->digest + 7);

	l->r = get(l->p, path, l->d, &l->e);
	return NULL;
}

static int pull(struct probe *p, const char *folder, const char *tag, struct err *e)
{
	struct remote_image i = { 0 };
	int r = remote_resolve(p->r, tag, p->platform, &i, e);
	struct layer *l;

	if (r < 0)
		return r;
	l = xcalloc(i.doc.layers.n + 1, sizeof *l);
	for (size_t k = 0; k < i.doc.layers.n; k++) {
		l[k] = (struct layer){ .p = p, .folder = folder, .d = &i.doc.layers.v[k] };
		(void)pthread_create(&l[k].thread, NULL, layer_main, &l[k]);
	}
	for (size_t k = 0; k < i.doc.layers.n; k++) {
		(void)pthread_join(l[k].thread, NULL);
		if (l[k].r < 0) {
			r = l[k].r;
			*e = l[k].e;
		}
	}
	free(l);
	remote_image_done(&i);
	return r;
}

static int put(struct probe *p, const char *file, const char *digest, struct err *e)
{
	AUTO_FD int fd = streq(file, "-") ? dup(0) : open(file, O_RDONLY | O_CLOEXEC);
	struct remote_sent sent = { 0 };
	struct stat st = { 0 };
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(e, -errno, "%s", file);
	r = remote_blob_put(p->r, fd, digest, S_ISREG(st.st_mode) && digest ? st.st_size : -1, NULL, &sent, e);
	if (r == 0)
		(void)printf("sent %s %lld\n", sent.digest, (long long)sent.size);
	return r;
}

static int run(struct probe *p, const char *verb, char **a, struct err *e)
{
	struct remote_doc d = { 0 };
	struct strv v = { 0 };
	int r = 0;

	if (streq(verb, "resolve")) {
		struct remote_image i = { 0 };

		r = remote_resolve(p->r, a[0], p->platform, &i, e);
		if (r == 0)
			(void)printf("digest %s\nmanifest %s\nconfig %zu\nlayers %zu\nindex %zu\n", i.digest,
				     i.manifest_digest, i.config_n, i.doc.layers.n, i.index_n);
		remote_image_done(&i);
	} else if (streq(verb, "manifest") || streq(verb, "head")) {
		r = streq(verb, "head") ? remote_manifest_head(p->r, a[0], &d, e)
					: remote_manifest_get(p->r, a[0], &d, e);
		if (r == 0)
			print_doc(&d);
	} else if (streq(verb, "tags")) {
		r = remote_tags(p->r, &v, e);
		for (size_t i = 0; r == 0 && i < v.n; i++)
			(void)printf("%s\n", v.v[i]);
		strv_done(&v);
	} else if (streq(verb, "referrers")) {
		struct oci_manifest m = { 0 };

		r = remote_referrers(p->r, a[0], a[1], &m, e);
		for (size_t i = 0; r == 0 && i < m.manifests.n; i++)
			(void)printf("%s %s\n", m.manifests.v[i].digest, m.manifests.v[i].artifact_type);
		json_done(&oci_manifest_type, &m);
	} else if (streq(verb, "get")) {
		struct oci_descriptor want = { .digest = a[1] };

		(void)str_to_i64(a[2], &want.size);
		if (a[3])
			strv_add(&want.urls, a[3]);
		r = get(p, a[0], &want, e);
		strv_done(&want.urls);
	} else if (streq(verb, "pull")) {
		r = pull(p, a[0], a[1], e);
	} else if (streq(verb, "hasblob")) {
		int64_t size = 0;

		r = remote_blob_head(p->r, a[0], &size, e);
		if (r == 0)
			(void)printf("size %lld\n", (long long)size);
	} else if (streq(verb, "mount")) {
		r = remote_blob_mount(p->r, a[0], a[1], e);
		(void)printf(r == 0 ? "mounted\n" : r == -ENOENT ? "not mounted\n" : "");
		r = r == -ENOENT ? 0 : r;
	} else if (streq(verb, "put")) {
		r = put(p, a[0], a[1], e);
	} else if (streq(verb, "putmanifest")) {
		AUTO_FREE char *text = NULL;
		char digest[DIGEST_TEXT] = "";
		size_t n = 0;

		r = file_read(AT_FDCWD, a[2], 8 << 20, &text, &n);
		if (r == 0)
			r = remote_manifest_put(p->r, a[0], a[1], text, n, digest, e);
		if (r == 0)
			(void)printf("digest %s\n", digest);
	} else if (streq(verb, "delete")) {
		r = remote_manifest_delete(p->r, a[0], e);
	} else {
		r = err_set(e, ERR_INVALID, "unknown verb %s", verb);
	}
	return r;
}

static int without_repository(struct probe *p, const char *verb, const char *arg)
{
	struct err e = ERR_INIT;

	if (streq(verb, "search")) {
		struct remote_search s = { 0 };

		if (remote_search(&p->c, arg, &p->o.auth, 25, &s, &e) < 0)
			return fail(&e);
		for (size_t i = 0; i < s.n; i++)
			(void)printf("%s %lld %d %s\n", s.v[i].name, (long long)s.v[i].stars, s.v[i].official,
				     s.v[i].description);
		remote_search_done(&s);
	} else {
		char *token = NULL;

		if (remote_login(&p->c, arg, &p->o.auth, &token, &e) < 0)
			return fail(&e);
		(void)printf("token %s\n", token ? token : "-");
		free(token);
	}
	return 0;
}

static void *canceller(void *arg)
{
	struct probe *p = arg;

	(void)usleep(p->cancel_ms * 1000);
	remote_cancel(p->r);
	return NULL;
}

int main(int argc, char **argv)
{
	struct probe p = { .c = { .worker = "hoy-worker" }, .o = { .say = say } };
	struct err e = ERR_INIT;
	int i = 1, r;

	for (; i < argc && strchr(argv[i], '='); i++) {
		char *eq = strchr(argv[i], '=');

		*eq = 0;
		option(&p, argv[i], eq + 1);
	}
	if (argc - i < 2)
		return 2;
	if (streq(argv[i], "search") || streq(argv[i], "login"))
		return without_repository(&p, argv[i], argv[i + 1]);
	if (ref_parse(argv[i + 1], &p.ref, &e) < 0)
		return fail(&e);
	p.o.config = &p.c;
	p.o.ref = &p.ref;
	p.o.also = &p.also;
	p.o.meta_headers = &p.meta;
	r = remote_open(&p.o, &p.r, &e);
	if (r == 0) {
		pthread_t t;

		if (p.cancel_ms)
			(void)pthread_create(&t, NULL, canceller, &p);
		r = run(&p, argv[i], argv + i + 2, &e);
		if (p.cancel_ms)
			(void)pthread_join(t, NULL);
	}
	remote_close(p.r);
	ref_done(&p.ref);
	strv_done(&p.also);
	strmap_done(&p.meta);
	strv_done(&p.c.insecure);
	strv_done(&p.c.mirrors);
	if (getenv("PROBE_RSS")) {
		struct rusage u = { 0 };

		(void)getrusage(RUSAGE_CHILDREN, &u);
		(void)printf("worker rss %ld kB\n", u.ru_maxrss);
	}
	return r < 0 ? fail(&e) : 0;
}
