/* cmd_registry.c - what has to do with registries: pull, push, search, login, logout. */
#include "cli/command.h"
#include "cli/credentials.h"
#include "cli/human.h"
#include "cli/jw.h"
#include "cli/listing.h"
#include "cli/pull.h"

#include <termios.h>

static int say(const char *text)
{
	(void)fflush(stdout);
	(void)fprintf(stderr, "%s\n", text);
	return 1;
}

static bool has_tag(const char *image)
{
	const char *slash = strrchr(image, '/');

	return strchr(image, '@') || strchr(slash ? slash : image, ':');
}

typedef int transfer_fn(struct cli *c, const char *image, bool all_tags, const char *platform, bool quiet, FILE *to,
			struct err *e);

static int transfer(struct cli *c, transfer_fn *fn, char **ret_shown)
{
	const char *image = c->words->v[0];
	bool all = opt_bool(c->o, "all-tags"), quiet = opt_bool(c->o, "quiet");
	AUTO_FREE char *shown = all ? xstrdup(image) : reference_display(image);
	struct err e = ERR_INIT;

	if (all && has_tag(image))
		return say("tag can't be used with --all-tags/-a");
	if (!streq(shown, image) && !quiet)
		(void)printf("Using default tag: latest\n");
	if (fn(c, image, all, opt_str(c->o, "platform"), quiet, stdout, &e) < 0)
		return cli_report(&e);
	*ret_shown = TAKE_PTR(shown);
	return 0;
}

int cmd_pull(struct cli *c)
{
	AUTO_FREE char *shown = NULL;
	int status = transfer(c, pull_image, &shown);

	if (status == 0)
		(void)printf("%s\n", shown);
	return status;
}

int cmd_push(struct cli *c)
{
	AUTO_FREE char *shown = NULL;
	int status = transfer(c, push_image, &shown);

	if (status == 0 && opt_bool(c->o, "quiet"))
		(void)printf("%s\n", shown);
	return status;
}

int cmd_image_copy(struct cli *c)
{
	const char *to = c->words->v[1];
	AUTO_FREE char *shown = reference_display(to);
	bool quiet = opt_bool(c->o, "quiet");
	struct err e = ERR_INIT;

	if (copy_image(c, c->words->v[0], to, opt_str(c->o, "platform"), quiet, stdout, &e) < 0)
		return cli_report(&e);
	if (quiet)
		(void)printf("%s\n", shown);
	return 0;
}

/* ---- search ---- */
#define SEARCH_HEADERS "Name=NAME,Description=DESCRIPTION,StarCount=STARS,IsOfficial=OFFICIAL,IsAutomated=AUTOMATED"
#define SEARCH_TABLE "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}"
#define DESCRIPTION_MAX 45

static void search_row(struct listing *l, const struct jval *v, bool full)
{
	struct strmap *cells = listing_add(l);
	AUTO_FREE char *text = xstrdup(jval_str(jval_get(v, "description")));

	for (char *p = text; *p; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	strmap_set(cells, "Name", jval_str(jval_get(v, "name")));
	if (full)
		strmap_set(cells, "Description", text);
	else
		cell_take(cells, "Description", ellipsis(text, DESCRIPTION_MAX));
	cell_setf(cells, "StarCount", "%lld", (long long)jval_int(jval_get(v, "star_count")));
	strmap_set(cells, "IsOfficial", jval_bool(jval_get(v, "is_official")) ? "[OK]" : "");
	strmap_set(cells, "IsAutomated", jval_bool(jval_get(v, "is_automated")) ? "[OK]" : "");
}

int cmd_search(struct cli *c)
{
	AUTO_FREE char *server = credentials_server(c->words->v[0]), *header = NULL, *filters = NULL, *text = NULL;
	AUTO_CREDENTIALS struct credentials who = { 0 };
	AUTO_STRMAP struct strmap headers = { 0 };
	AUTO_STRB struct strb path = STRB_INIT;
	AUTO_LISTING struct listing l = { .headers = SEARCH_HEADERS };
	struct jval *list = NULL;
	struct err e = ERR_INIT;
	size_t n = 0;
	int r = cli_client(c, &e);

	strb_adds(&path, "/images/search");
	query_add(&path, "term", c->words->v[0]);
	if (opt_int(c->o, "limit") > 0) {
		AUTO_FREE char *limit = xasprintf("%lld", (long long)opt_int(c->o, "limit"));

		query_add(&path, "limit", limit);
	}
	filters = filters_json(opt_list(c->o, "filter"));
	if (filters)
		query_add(&path, "filters", filters);
	if (r == 0)
		r = credentials_get(server, &who, &e);
	header = credentials_header(server, &who);
	strmap_set(&headers, "X-Registry-Auth", header);
	if (r == 0)
		r = client_text(c->client, &(struct client_call){ .path = strb_str(&path), .headers = &headers }, &text,
				&n, &e);
	if (r == 0)
		r = jval_parse(text, n, &json_limits_default, &list, &e);
	for (size_t i = 0; r == 0 && i < jval_len(list); i++)
		search_row(&l, jval_at(list, i), opt_bool(c->o, "no-trunc"));
	if (r == 0)
		r = listing_print(&l, opt_str(c->o, "format"), SEARCH_TABLE, &e);
	jval_free(list);
	return r < 0 ? cli_report(&e) : 0;
}

/* ---- login, logout ---- */
static char *server_named(const struct cli *c)
{
	const char *s = c->words->n ? c->words->v[0] : HUB_SERVER, *rest;
	size_t n;

	if (streq(s, "docker.io") || streq(s, "index.docker.io") || streq(s, "registry-1.docker.io") ||
	    streq(s, HUB_SERVER))
		return xstrdup(HUB_SERVER);
	rest = str_after(s, "https://");
	rest = rest ? rest : str_after(s, "http://") ? str_after(s, "http://") : s;
	n = strlen(rest);
	return xstrndup(rest, n && rest[n - 1] == '/' ? n - 1 : n);
}

static char *line_of(FILE *from)
{
	struct strb b = STRB_INIT;
	int ch;

	while ((ch = fgetc(from)) != EOF && ch != '\n' && b.len < 65536)
		strb_addc(&b, (char)ch);
	if (b.len && b.s[b.len - 1] == '\r')
		b.s[--b.len] = 0;
	return strb_take(&b);
}

static char *ask(const char *prompt, bool hidden)
{
	struct termios was, quiet;
	bool off = hidden && tcgetattr(STDIN_FILENO, &was) == 0;
	char *answer;

	(void)fputs(prompt, stdout);
	(void)fflush(stdout);
	if (off) {
		quiet = was;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &quiet);
	}
	answer = line_of(stdin);
	if (off) {
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &was);
		(void)fputc('\n', stdout);
	}
	return answer;
}

/* The daemon tries them; *token where the registry gave one. */
static int check(struct cli *c, const char *server, struct credentials *who, struct err *e)
{
	AUTO_JW struct jw w = { 0 };
	struct jval *answer = NULL;
	int r;

	jw_open(&w, NULL, '{');
	if (who->username)
		jw_str(&w, "username", who->username);
	if (who->password)
		jw_str(&w, "password", who->password);
	if (who->identity_token)
		jw_str(&w, "identitytoken", who->identity_token);
	jw_str(&w, "serveraddress", server);
	jw_close(&w, '}');
	r = cli_post(c, "/auth", strb_str(&w.b), &answer, e);
	if (r == 0 && *jval_str(jval_get(answer, "IdentityToken"))) {
		free(who->identity_token);
		freep(&who->password);
		who->identity_token = xstrdup(jval_str(jval_get(answer, "IdentityToken")));
	}
	jval_free(answer);
	return r;
}

static int keep(const char *server, const struct credentials *who, struct err *e)
{
	AUTO_FREE char *file = NULL;
	int r = credentials_store(server, who, &file, e);

	if (r < 0)
		return err_wrap(e, r, "Error saving credentials");
	if (file)
		(void)fprintf(stderr,
			      "\nWARNING! Your credentials are stored unencrypted in '%s'.\n"
			      "Configure a credential helper to remove this warning. See\n"
			      "https://docs.docker.com/go/credential-store/\n\n",
			      file);
	(void)printf("Login Succeeded\n");
	return 0;
}

/* 1: there are none, or the registry does not take them any more. */
static int with_known(struct cli *c, const char *server, struct err *e)
{
	AUTO_CREDENTIALS struct credentials who = { 0 };
	struct err why = ERR_INIT;
	int r = credentials_get(server, &who, e);

	if (r < 0)
		return r;
	if (!who.identity_token && !(who.username && who.password))
		return 1;
	(void)printf("Authenticating with existing credentials...%s%s%s\n", who.username ? " [Username: " : "",
		     who.username ? who.username : "", who.username ? "]" : "");
	(void)printf(
		"\n Info -> To login with a different account, run 'docker logout' followed by 'docker login'\n\n\n");
	if (check(c, server, &who, &why) < 0) {
		if (why.kind == ERR_UNAVAILABLE) {
			*e = why;
			return -ECONNREFUSED;
		}
		(void)fprintf(stderr, "Login did not succeed, error: %s\n", why.msg);
		return 1;
	}
	return keep(server, &who, e);
}

int cmd_login(struct cli *c)
{
	const char *user = opt_str(c->o, "username"), *password = opt_str(c->o, "password");
	bool from_stdin = opt_bool(c->o, "password-stdin");
	AUTO_FREE char *server = server_named(c);
	AUTO_CREDENTIALS struct credentials who = { 0 };
	struct err e = ERR_INIT;
	int r = 0;

	if (from_stdin && *password)
		return say("conflicting options: cannot specify both --password and --password-stdin");
	if (from_stdin && !*user)
		return say("the --password-stdin option requires --username to be set");
	if (*password)
		(void)say("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
	if (!*user && !*password) {
		r = with_known(c, server, &e);
		if (r <= 0)
			return r < 0 ? cli_report(&e) : 0;
	}
	if (from_stdin) {
		size_t n = 0;

		r = fd_read_all(STDIN_FILENO, 65536, &who.password, &n);
		if (r < 0)
			return say("reading the password failed");
		while (n && (who.password[n - 1] == '\n' || who.password[n - 1] == '\r'))
			who.password[--n] = 0;
	} else if (*password) {
		who.password = xstrdup(password);
	}
	if ((!*user || !who.password) && !isatty(STDIN_FILENO))
		return say("Error: Cannot perform an interactive login from a non TTY device");
	who.username = *user ? xstrdup(user) : ask("Username: ", false);
	if (!*who.username)
		return say("Error: Non-null Username Required");
	if (!who.password)
		who.password = ask("Password: ", true);
	if (!*who.password)
		return say("Error: Password Required");
	r = check(c, server, &who, &e);
	if (r == 0)
		r = keep(server, &who, &e);
	return r < 0 ? cli_report(&e) : 0;
}

int cmd_logout(struct cli *c)
{
	AUTO_FREE char *server = server_named(c);
	struct err e = ERR_INIT;

	(void)printf("Removing login credentials for %s\n", server);
	if (credentials_erase(server, &e) < 0) {
		(void)fflush(stdout);
		(void)fprintf(stderr, "WARNING: could not erase credentials:\n%s: %s\n", server, e.msg);
	}
	return 0;
}
