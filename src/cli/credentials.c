/* credentials.c - see credentials.h. config.json is kept as it is but for the one entry that changes. */
#include "cli/credentials.h"
#include "cli/jw.h"
#include "json/json.h"
#include "proc/proc.h"

#include <fcntl.h>
#include <sys/socket.h>

#define CONFIG_MAX ((size_t)4 << 20)
#define ANSWER_MAX ((size_t)1 << 20)

void credentials_done(struct credentials *c)
{
	freep(&c->username);
	freep(&c->password);
	freep(&c->identity_token);
}

char *credentials_server(const char *image)
{
	const char *slash = strchr(image, '/');
	AUTO_FREE char *first = slash ? xstrndup(image, (size_t)(slash - image)) : NULL;

	if (!first || (!strpbrk(first, ".:") && !streq(first, "localhost")) || streq(first, "docker.io") ||
	    streq(first, "index.docker.io"))
		return xstrdup(HUB_SERVER);
	return TAKE_PTR(first);
}

/* ---- config.json ---- */
static char *config_path(void)
{
	const char *dir = getenv("DOCKER_CONFIG"), *home = getenv("HOME");

	return !str_empty(dir) ? path_join(dir, "config.json") : xasprintf("%s/.docker/config.json", home ? home : "");
}

static int config_read(struct jval **ret, struct err *e)
{
	AUTO_FREE char *path = config_path(), *text = NULL;
	size_t n = 0;
	int r = file_read(AT_FDCWD, path, CONFIG_MAX, &text, &n);

	if (r == -ENOENT)
		return jval_parse("{}", 2, NULL, ret, e);
	if (r < 0)
		return err_sys(e, r, "open %s", path);
	r = jval_parse(text, n, NULL, ret, e);
	return r < 0 ? err_wrap(e, r, "loading config file: %s", path) : 0;
}

/* "https://reg:5000/v2/" -> "reg:5000": how entries of old clients are named. */
static char *host_of(const char *server)
{
	const char *s = str_after(server, "https://");

	s = s ? s : str_after(server, "http://") ? str_after(server, "http://") : server;
	return xstrndup(s, strcspn(s, "/"));
}

static bool is_entry(const char *key, const char *server)
{
	AUTO_FREE char *host = host_of(key);

	return streq(key, server) || (!strstr(server, "://") && streq(host, server));
}

static int entry_read(const struct jval *entry, struct credentials *ret, struct err *e)
{
	const char *auth = jval_str(jval_get(entry, "auth")), *token = jval_str(jval_get(entry, "identitytoken"));
	AUTO_STRB struct strb plain = STRB_INIT;
	char *colon;

	if (*token)
		ret->identity_token = xstrdup(token);
	if (!*auth)
		return 0;
	if (base64_decode(auth, strlen(auth), &plain) < 0 || !(colon = strchr(strb_str(&plain), ':')))
		return err_set(e, ERR_INVALID, "invalid auth configuration file");
	ret->username = xstrndup(plain.s, (size_t)(colon - plain.s));
	ret->password = xstrdup(colon + 1);
	return 0;
}

/* The whole file again, with `auths` changed: the entry of server replaced by value (JSON) or, where that is NULL, left out. */
static int config_write(const struct jval *root, const char *server, const char *value, char **ret_path, struct err *e)
{
	AUTO_FREE char *path = config_path();
	AUTO_FREE char *dir = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	AUTO_STRB struct strb text = STRB_INIT, pretty = STRB_INIT;
	const struct jval *auths = jval_get(root, "auths");
	struct jval *changed = NULL;
	bool first = true;
	int r;

	strb_adds(&text, "{\"auths\":{");
	for (size_t i = 0; i < jval_len(auths); i++) {
		const char *key = NULL;
		const struct jval *v = jval_entry(auths, i, &key);

		if (is_entry(key, server))
			continue;
		strb_adds(&text, first ? "" : ",");
		json_add_str(&text, key);
		strb_addc(&text, ':');
		jval_write(v, &text);
		first = false;
	}
	if (value) {
		strb_adds(&text, first ? "" : ",");
		json_add_str(&text, server);
		strb_addf(&text, ":%s", value);
	}
	strb_addc(&text, '}');
	for (size_t i = 0; i < jval_len(root); i++) {
		const char *key = NULL;
		const struct jval *v = jval_entry(root, i, &key);

		if (streq(key, "auths"))
			continue;
		strb_addc(&text, ',');
		json_add_str(&text, key);
		strb_addc(&text, ':');
		jval_write(v, &text);
	}
	strb_addc(&text, '}');
	r = jval_parse(strb_str(&text), text.len, NULL, &changed, e);
	if (r < 0)
		return r;
	jval_write_indent(changed, "\t", &pretty);
	jval_free(changed);
	r = dir_make(AT_FDCWD, dir, 0700);
	if (r == 0)
		r = file_replace(AT_FDCWD, path, strb_str(&pretty), pretty.len, 0600);
	if (r < 0)
		return err_sys(e, r, "saving %s", path);
	if (ret_path)
		*ret_path = TAKE_PTR(path);
	return 0;
}

/* ---- helpers ---- */
static char *helper_for(const struct jval *root, const char *server)
{
	const char *own = jval_str(jval_get(jval_get(root, "credHelpers"), server));
	const char *all = jval_str(jval_get(root, "credsStore"));

	return *own ? xstrdup(own) : *all ? xstrdup(all) : NULL;
}

/* A program on PATH; its name comes from a file of ours, but a slash in it would leave PATH. */
static char *find_program(const char *name)
{
	AUTO_STRV struct strv dirs = { 0 };

	strv_split(&dirs, getenv("PATH") ? getenv("PATH") : "/usr/local/bin:/usr/bin:/bin", ":");
	for (size_t i = 0; !strchr(name, '/') && i < dirs.n; i++) {
		AUTO_FREE char *path = path_join(dirs.v[i], name);

		if (access(path, X_OK) == 0)
			return TAKE_PTR(path);
	}
	return NULL;
}

extern char **environ;

static int helper_call(const char *helper, const char *verb, const char *input, char **ret, struct err *e)
{
	AUTO_FREE char *name = xasprintf("docker-credential-%s", helper);
	AUTO_FREE char *path = find_program(name), *text = NULL;
	char *argv[] = { name, (char *)(uintptr_t)verb, NULL };
	AUTO_FD int ours = -1;
	AUTO_FD int theirs = -1;
	int pair[2], status = 0, r;
	size_t n = 0;
	pid_t pid;

	if (!path)
		return err_set(
			e, ERR_NOT_FOUND,
			"error getting credentials - err: exec: \"%s\": executable file not found in $PATH, out: ``",
			name);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(e, -errno, "making a socket");
	ours = pair[0];
	theirs = pair[1];
	r = proc_spawn(&(struct proc_opts){ .path = path,
					    .argv = argv,
					    .envp = environ,
					    .fds = (struct proc_fd[]){ { theirs, 0 }, { theirs, 1 }, { 2, 2 } },
					    .n_fds = 3 },
		       &pid, NULL);
	if (r < 0)
		return err_sys(e, r, "starting %s", path);
	fd_closep(&theirs);
	(void)send(ours, input, strlen(input), MSG_NOSIGNAL);
	(void)shutdown(ours, SHUT_WR);
	r = fd_read_all(ours, ANSWER_MAX, &text, &n);
	(void)proc_wait(pid, &status);
	if (r < 0)
		return err_sys(e, r, "reading from %s", name);
	while (n && strchr("\n\r ", text[n - 1]))
		text[--n] = 0;
	if (proc_exit_code(status) != 0)
		return err_set(e, strstr(text, "credentials not found") ? ERR_NOT_FOUND : ERR_SYSTEM,
			       "error %s credentials - err: exit status %d, out: `%s`",
			       streq(verb, "get")     ? "getting"
			       : streq(verb, "store") ? "storing"
						      : "erasing",
			       proc_exit_code(status), text);
	if (ret)
		*ret = TAKE_PTR(text);
	return 0;
}

static int helper_get(const char *helper, const char *server, struct credentials *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	struct jval *v = NULL;
	struct err why = ERR_INIT;
	int r = helper_call(helper, "get", server, &text, &why);

	if (r < 0 && why.kind == ERR_NOT_FOUND && strstr(why.msg, "credentials not found"))
		return 0;
	if (r < 0) {
		*e = why;
		return r;
	}
	r = jval_parse(text, strlen(text), NULL, &v, e);
	if (r < 0)
		return err_wrap(e, r, "docker-credential-%s", helper);
	if (streq(jval_str(jval_get(v, "Username")), "<token>")) {
		ret->identity_token = xstrdup(jval_str(jval_get(v, "Secret")));
	} else {
		ret->username = xstrdup(jval_str(jval_get(v, "Username")));
		ret->password = xstrdup(jval_str(jval_get(v, "Secret")));
	}
	jval_free(v);
	return 0;
}

/* ---- the three verbs ---- */
int credentials_get(const char *server, struct credentials *ret, struct err *e)
{
	AUTO_FREE char *helper = NULL;
	const struct jval *auths;
	struct jval *root = NULL;
	int r = config_read(&root, e);

	if (r < 0)
		return r;
	helper = helper_for(root, server);
	auths = jval_get(root, "auths");
	if (helper) {
		r = helper_get(helper, server, ret, e);
	} else {
		for (size_t i = 0; r == 0 && i < jval_len(auths); i++) {
			const char *key = NULL;
			const struct jval *entry = jval_entry(auths, i, &key);

			if (!is_entry(key, server))
				continue;
			r = entry_read(entry, ret, e);
			break;
		}
	}
	jval_free(root);
	return r;
}

static int helper_store(const char *helper, const char *server, const struct credentials *c, struct err *e)
{
	AUTO_JW struct jw w = { 0 };

	jw_open(&w, NULL, '{');
	jw_str(&w, "ServerURL", server);
	jw_str(&w, "Username", c->identity_token ? "<token>" : c->username);
	jw_str(&w, "Secret", c->identity_token ? c->identity_token : c->password);
	jw_close(&w, '}');
	return helper_call(helper, "store", strb_str(&w.b), NULL, e);
}

int credentials_store(const char *server, const struct credentials *c, char **ret_file, struct err *e)
{
	AUTO_FREE char *helper = NULL,
		       *plain = xasprintf("%s:%s", c->username ? c->username : "", c->password ? c->password : "");
	AUTO_FREE char *auth = NULL;
	AUTO_JW struct jw w = { 0 };
	struct jval *root = NULL;
	bool known;
	int r = config_read(&root, e);

	*ret_file = NULL;
	if (r < 0)
		return r;
	helper = helper_for(root, server);
	known = jval_get(jval_get(root, "auths"), server) != NULL;
	if (helper) {
		r = helper_store(helper, server, c, e);
		if (r == 0)
			r = config_write(root, server, "{}", NULL, e);
	} else {
		auth = base64_encode(plain,
				     c->identity_token ? (size_t)(strchr(plain, ':') + 1 - plain) : strlen(plain));
		jw_open(&w, NULL, '{');
		jw_str(&w, "auth", auth);
		if (c->identity_token)
			jw_str(&w, "identitytoken", c->identity_token);
		jw_close(&w, '}');
		r = config_write(root, server, strb_str(&w.b), known ? NULL : ret_file, e);
	}
	jval_free(root);
	return r;
}

int credentials_erase(const char *server, struct err *e)
{
	AUTO_FREE char *helper = NULL;
	struct jval *root = NULL;
	int r = config_read(&root, e);

	if (r < 0)
		return r;
	helper = helper_for(root, server);
	if (helper)
		r = helper_call(helper, "erase", server, NULL, e);
	if (r == 0)
		r = config_write(root, server, NULL, NULL, e);
	jval_free(root);
	return r;
}

char *credentials_header(const char *server, const struct credentials *c)
{
	AUTO_JW struct jw w = { 0 };
	char *out;

	jw_open(&w, NULL, '{');
	if (c->username)
		jw_str(&w, "username", c->username);
	if (c->password)
		jw_str(&w, "password", c->password);
	if (c->identity_token)
		jw_str(&w, "identitytoken", c->identity_token);
	jw_str(&w, "serveraddress", server);
	jw_close(&w, '}');
	out = base64_encode(strb_str(&w.b), w.b.len);
	for (char *p = out; *p; p++) /* the URL alphabet, as Docker's client writes it */
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	return out;
}
