/* import_url.c - docker import http://...: a worker fetches, a thread of ours waits for it, and what comes through the pipe between
 * them is imported while it comes. */
#include "image/pull_priv.h"

#include <fcntl.h>
#include <poll.h>

#define PIPE_SIZE (1 << 20)
#define LINE_EVERY_NS 100000000

struct fetch {
	struct voice voice;
	const char *url;
	int in, out; /* the pipe */
	pthread_t thread;
	bool running, torn;
	int result;
	struct err err;
	int64_t done, total, next_ns;
};

static void *fetch_all(void *arg)
{
	struct fetch *f = arg;

	f->result = remote_fetch(f->voice.remote, f->url, f->out, &f->err);
	fd_closep(&f->out); /* the worker has closed its own: this is the end of the stream */
	return NULL;
}

static int settle(struct fetch *f)
{
	if (f->running)
		(void)pthread_join(f->thread, NULL);
	f->running = false;
	return f->result;
}

/* A client that has gone is noticed although nothing comes. */
static ssize_t read_some(struct fetch *f, void *buf, size_t n)
{
	struct pollfd p = { .fd = f->in, .events = POLLIN };
	ssize_t r;

	while (poll(&p, 1, 1000) == 0)
		voice_poll(&f->voice); /* cancels the session: then the pipe ends */
	do
		r = read(f->in, buf, n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static void show(struct fetch *f, bool always)
{
	int64_t now = time_mono_ns();

	if (!always && now < f->next_ns)
		return;
	f->next_ns = now + LINE_EVERY_NS;
	voice_say(&f->voice,
		  &(struct image_note){ .status = "Importing", .detail = true, .current = f->done, .total = f->total });
}

/* The end of the stream is one only when the worker says that all has come. */
static ssize_t next(void *ctx, void *buf, size_t n)
{
	struct fetch *f = ctx;
	ssize_t r = read_some(f, buf, n);

	if (r > 0) {
		f->done += r;
		show(f, f->done == f->total);
	}
	if (r == 0 && settle(f) < 0) {
		f->torn = true;
		r = -EIO;
	}
	return r;
}

/* The answer's length, which says that there is a good answer. */
static int begin(struct fetch *f, struct err *e)
{
	char *at = (char *)&f->total;

	for (size_t have = 0; have < sizeof f->total;) {
		ssize_t r = read_some(f, at + have, sizeof f->total - have);

		if (r < 0)
			return err_sys(e, (int)r, "reading from a pipe");
		if (r == 0) {
			int k = settle(f);

			if (k < 0 && e)
				*e = f->err;
			return k < 0 ? k : err_set(e, ERR_SYSTEM, "unexpected EOF");
		}
		have += (size_t)r;
	}
	return 0;
}

static int run(struct fetch *f, struct images *t, struct image_import *in, char **ret_id, struct err *e)
{
	AUTO_FREE char *line = xasprintf("Downloading from %s", f->url);
	int r = -pthread_create(&f->thread, NULL, fetch_all, f);

	if (r < 0)
		return err_sys(e, r, "starting a thread");
	f->running = true;
	r = begin(f, e);
	if (r < 0)
		return r;
	voice_say(&f->voice, &(struct image_note){ .status = line });
	in->src = (struct image_source){ .fd = -1, .read = next, .ctx = f };
	r = image_import(t, in, ret_id, e);
	if (r < 0 && f->torn && e)
		*e = f->err;
	return r;
}

/* As Go's url.Parse and http.Get complain. */
static int check_url(const char *url, struct err *e)
{
	const char *host = strstr(url, "://") + 3, *bad;
	size_t n = strcspn(host, "/?#");
	AUTO_FREE char *scheme = xstrndup(url, (size_t)(host - 3 - url));

	for (const char *p = url; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return err_set(e, ERR_INVALID, "parse URL: net/url: invalid control character in URL");
	bad = strpbrk(host, " \"<>\\^`{|}%");
	if (bad && bad < host + n && *bad == '%')
		return err_set(e, ERR_INVALID, "parse \"%.300s\": invalid URL escape \"%.3s\"", url, bad);
	if (bad && bad < host + n)
		return err_set(e, ERR_INVALID, "parse \"%.300s\": invalid character \"%c\" in host name", url, *bad);
	if (strcasecmp(scheme, "http") != 0 && strcasecmp(scheme, "https") != 0)
		return err_set(e, ERR_SYSTEM, "Get \"%.300s\": unsupported protocol scheme \"%.20s\"", url, scheme);
	if (n == 0)
		return err_set(e, ERR_SYSTEM, "Get \"http:\": http: no Host in request URL");
	return 0;
}

static int check_options(const struct image_import *in, struct err *e)
{
	struct ref name = { 0 };
	int r = str_empty(in->repo) ? 0 : name_for_tag(in->repo, in->tag, &name, e);

	ref_done(&name);
	return r;
}

int image_import_url(struct images *t, const struct image_import *in, const struct image_transfer *x, char **ret_id,
		     struct err *e)
{
	AUTO_FREE char *url = strstr(in->from, "://") ? xstrdup(in->from) : xasprintf("http://%s", in->from);
	struct image_import own = *in;
	struct fetch f = { .url = url, .in = -1, .out = -1 };
	int ends[2], r = check_options(in, e);

	own.from = url;
	if (r == 0)
		r = check_url(url, e);
	if (r < 0)
		return r;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, -errno, "making a pipe");
	f.in = ends[0];
	f.out = ends[1];
	(void)fcntl(f.out, F_SETPIPE_SZ, PIPE_SIZE);
	voice_init(&f.voice, x);
	r = remote_open_any(x->remote, &f.voice.remote, e);
	if (r == 0)
		r = run(&f, t, &own, ret_id, e);
	if (f.running)
		remote_cancel(f.voice.remote); /* nobody reads any more */
	(void)settle(&f);
	remote_close(f.voice.remote);
	fd_closep(&f.in);
	fd_closep(&f.out);
	voice_done(&f.voice);
	return r;
}
