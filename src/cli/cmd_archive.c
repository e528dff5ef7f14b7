/* cmd_archive.c - tar archives in and out: load, import, save, export. */
#include "cli/command.h"
#include "cli/pull.h"
#include "cli/session.h"

#include <fcntl.h>

static int open_input(const char *path, int *ret, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, ERR_INVALID, "open %s: %s", path,
			       errno == ENOENT ? "no such file or directory" : strerror(errno));
	*ret = fd;
	return 0;
}

static int upload(struct cli *c, const char *path, int fd, bool quiet, struct err *e)
{
	struct answer *a = NULL;
	/* the client takes descriptors above 0 only: stdin may be 0 */
	AUTO_FD int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	int r = own < 0 ? err_sys(e, -errno, "reading the archive") : cli_client(c, e);

	if (r < 0)
		return r;
	r = client_start(
		c->client,
		&(struct client_call){ .method = "POST", .path = path, .upload = own, .type = "application/x-tar" }, &a,
		e);
	if (r < 0)
		return r;
	r = progress_show(a, quiet, stdout, e);
	answer_free(a);
	return r;
}

#if defined(__aarch64__)
#define ARCH_HERE "arm64"
#elif defined(__arm__)
#define ARCH_HERE "arm"
#elif defined(__i386__)
#define ARCH_HERE "386"
#elif defined(__riscv)
#define ARCH_HERE "riscv64"
#else
#define ARCH_HERE "amd64"
#endif

/* "linux/arm/v7" -> the JSON that the API wants; an operating system or a processor alone stands for ours otherwise. */
static int add_platform(struct cli *c, struct strb *path, struct err *e)
{
	const char *text = opt_str(c->o, "platform");
	AUTO_STRV struct strv part = { 0 };
	AUTO_STRB struct strb json = STRB_INIT;
	AUTO_FREE char *os = NULL, *arch = NULL;

	if (!*text)
		return 0;
	strv_split(&part, text, "/");
	if (!part.n || part.n > 3 ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/") != strlen(text))
		return err_set(e, ERR_INVALID,
			       "invalid platform: \"%s\": cannot parse platform specifier: invalid argument", text);
	os = xstrdup(part.n == 1 && !streq(part.v[0], "linux") ? "linux" : part.v[0]);
	arch = xstrdup(part.n > 1 ? part.v[1] : streq(part.v[0], "linux") ? ARCH_HERE : part.v[0]);
	if (streq(arch, "x86_64") || streq(arch, "x86-64"))
		memcpy(arch, "amd64", 6);
	if (streq(arch, "aarch64"))
		memcpy(arch, "arm64", 6);
	strb_addf(&json, "{\"architecture\":\"%s\",\"os\":\"%s\"", arch, os);
	if (part.n > 2)
		strb_addf(&json, ",\"variant\":\"%s\"", part.v[2]);
	strb_addc(&json, '}');
	query_add(path, "platform", strb_str(&json));
	return 0;
}

int cmd_load(struct cli *c)
{
	const char *input = opt_str(c->o, "input");
	AUTO_STRB struct strb path = STRB_INIT;
	AUTO_FD int fd = -1;
	struct err e = ERR_INIT;
	int r;

	if (!*input && isatty(STDIN_FILENO)) {
		(void)fprintf(stderr, "requested load from stdin, but stdin is empty\n");
		return 1;
	}
	r = *input ? open_input(input, &fd, &e) : 0;
	strb_adds(&path, "/images/load");
	query_add(&path, "quiet", opt_bool(c->o, "quiet") || !isatty(STDOUT_FILENO) ? "1" : "0");
	if (r >= 0)
		r = add_platform(c, &path, &e);
	if (r >= 0)
		r = upload(c, strb_str(&path), *input ? fd : STDIN_FILENO, false, &e);
	return r < 0 ? cli_report(&e) : 0;
}

int cmd_import(struct cli *c)
{
	const char *source = c->words->v[0];
	const struct strv *changes = opt_list(c->o, "change");
	bool remote = str_after(source, "http://") || str_after(source, "https://");
	AUTO_FREE char *name = NULL, *tag = NULL;
	AUTO_STRB struct strb path = STRB_INIT;
	AUTO_FD int fd = -1;
	struct err e = ERR_INIT;
	int r = streq(source, "-") || remote ? 0 : open_input(source, &fd, &e);

	strb_adds(&path, "/images/create");
	query_add(&path, "fromSrc", remote ? source : "-");
	if (c->words->n > 1) {
		reference_split(c->words->v[1], &name, &tag);
		query_add(&path, "repo", name);
		query_add(&path, "tag", tag);
	}
	if (*opt_str(c->o, "message"))
		query_add(&path, "message", opt_str(c->o, "message"));
	if (*opt_str(c->o, "platform"))
		query_add(&path, "platform", opt_str(c->o, "platform"));
	for (size_t i = 0; i < changes->n; i++)
		query_add(&path, "changes", changes->v[i]);
	if (r >= 0)
		r = upload(c, strb_str(&path), fd >= 0 ? fd : STDIN_FILENO, false, &e);
	return r < 0 ? cli_report(&e) : 0;
}

/* A download, to stdout or to a file that appears only when it is whole. */
static int download(struct cli *c, const char *path, const char *output, const char *what)
{
	AUTO_FREE char *partial = *output ? xasprintf("%s.hoy-partial", output) : NULL;
	AUTO_FD int file = -1;
	struct answer *a = NULL;
	struct err e = ERR_INIT;
	char buf[65536];
	ssize_t n = 0;
	int r;

	if (!*output && isatty(STDOUT_FILENO)) {
		(void)fprintf(stderr, "cowardly refusing to %s to a terminal. Use the -o flag or redirect\n", what);
		return 1;
	}
	r = cli_client(c, &e);
	if (r >= 0)
		r = client_start(c->client, &(struct client_call){ .path = path }, &a, &e);
	if (r >= 0 && *output) {
		file = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (file < 0)
			r = err_sys(&e, -errno, "open %s", output);
	}
	while (r >= 0 && (n = answer_read(a, buf, sizeof buf)) > 0) {
		r = fd_write_full(*output ? file : STDOUT_FILENO, buf, (size_t)n);
		if (r < 0)
			r = err_sys(&e, r, "writing the archive");
	}
	if (r >= 0 && n < 0)
		r = err_set(&e, ERR_SYSTEM, "unexpected EOF");
	answer_free(a);
	if (r >= 0 && *output && rename(partial, output) < 0)
		r = err_sys(&e, -errno, "writing %s", output);
	if (r < 0 && file >= 0)
		(void)unlink(partial);
	return r < 0 ? cli_report(&e) : 0;
}

int cmd_save(struct cli *c)
{
	AUTO_STRB struct strb path = STRB_INIT;
	struct err e = ERR_INIT;

	strb_adds(&path, "/images/get");
	for (size_t i = 0; i < c->words->n; i++)
		query_add(&path, "names", c->words->v[i]);
	if (add_platform(c, &path, &e) < 0)
		return cli_report(&e);
	return download(c, strb_str(&path), opt_str(c->o, "output"), "save");
}

int cmd_export(struct cli *c)
{
	AUTO_FREE char *name = url_escape(c->words->v[0]);
	AUTO_FREE char *path = xasprintf("/containers/%s/export", name);

	return download(c, path, opt_str(c->o, "output"), "export");
}
