/* cli.c - from argv to a command: the global options, the tables, help, and the words of Docker's usage errors. */
#include "cli/cli.h"
#include "cli/command.h"

#include <signal.h>
#include <sys/ioctl.h>

#define OPTIONS(name) static const struct opt name##_options[] = {
#define OPTIONS_END \
	{ \
		0, NULL, OPT_BOOL, NULL, NULL, NULL \
	} \
	} \
	;
#include "cli/options.def"
#undef OPTIONS
#undef OPTIONS_END

static const struct command commands[] = {
#define COMMAND(fn, table, names_, arguments_, least_, most_, flags_, help_) \
	{ .names = names_, \
	  .arguments = arguments_, \
	  .least = least_, \
	  .most = most_, \
	  .flags = flags_, \
	  .options = table##_options, \
	  .n_options = ARRAY_LEN(table##_options) - 1, \
	  .run = fn, \
	  .help = help_ },
#include "cli/commands.def"
#undef COMMAND
};

static const struct {
	const char *name, *help;
} groups[] = {
	{ "container", "Manage containers" }, { "image", "Manage images" },   { "network", "Manage networks" },
	{ "system", "Manage Hoy" },           { "volume", "Manage volumes" },
};

/* The commands that come first in the help of `hoy` */
static const char *const common[] = { "run", "exec", "ps", "pull", "images", "version", "info" };

static unsigned screen_columns(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

/* Does this command answer to the path ("ps", "container list")? */
static bool command_is(const struct command *cmd, const char *path)
{
	const char *p = cmd->names;
	size_t n = strlen(path);

	while (*p) {
		size_t len = strcspn(p, "|");

		if (len == n && memcmp(p, path, n) == 0)
			return true;
		p += len + (p[len] == '|');
	}
	return false;
}

static const struct command *command_find(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (command_is(&commands[i], path))
			return &commands[i];
	return NULL;
}

static bool group_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (streq(groups[i].name, name))
			return true;
	return false;
}

/* The name that usage shows: in a group its first name, on the top level the name there. */
static char *canonical(const struct command *cmd, const char *path)
{
	if (strchr(path, ' '))
		return xstrndup(cmd->names, strcspn(cmd->names, "|"));
	return xstrdup(path);
}

static void usage_line(const struct command *cmd, const char *path, struct strb *b)
{
	strb_addf(b, "Usage:  hoy %s %s\n", path, cmd->arguments);
}

static void command_help(const struct command *cmd, const char *path)
{
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_STRV struct strv names = { 0 };

	usage_line(cmd, path, &b);
	strb_addf(&b, "\n%s\n", cmd->help);
	strv_split(&names, cmd->names, "|");
	if (names.n > 1) {
		strb_adds(&b, "\nAliases:\n  ");
		for (size_t i = 0; i < names.n; i++)
			strb_addf(&b, "%shoy %s", i ? ", " : "", names.v[i]);
		strb_addc(&b, '\n');
	}
	if (cmd->n_options) {
		strb_adds(&b, "\nOptions:\n");
		opts_help(cmd->options, cmd->n_options, screen_columns(), &b);
	}
	(void)fputs(strb_str(&b), stdout);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The commands below a prefix ("container " or "" for the top level), one a line, sorted. */
static void list_commands(const char *prefix, bool want_common, struct strb *b)
{
	AUTO_STRV struct strv rows = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		AUTO_STRV struct strv names = { 0 };

		strv_split(&names, commands[i].names, "|");
		for (size_t k = 0; k < names.n; k++) {
			const char *rest = str_after(names.v[k], prefix);

			if (!rest || strchr(rest, ' ') || (*prefix && k))
				continue;
			strv_addf(&rows, "  %-11s %s\n", rest, commands[i].help);
		}
	}
	if (rows.n)
		qsort(rows.v, rows.n, sizeof *rows.v, by_text);
	for (size_t i = 0; i < rows.n; i++) {
		bool is_common = false;

		for (size_t k = 0; k < ARRAY_LEN(common); k++) {
			const char *rest = str_after(rows.v[i] + 2, common[k]);

			is_common |= rest && *rest == ' ';
		}
		if (*prefix || is_common == want_common)
			strb_adds(b, rows.v[i]);
	}
}

static void top_help(void)
{
	AUTO_STRB struct strb b = STRB_INIT;

	strb_adds(
		&b,
		"Usage:  hoy [OPTIONS] COMMAND\n\nRuns containers: Docker's command line, small\n\nCommon Commands:\n");
	list_commands("", true, &b);
	strb_adds(&b, "\nManagement Commands:\n");
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		strb_addf(&b, "  %-11s %s\n", groups[i].name, groups[i].help);
	strb_adds(&b, "\nCommands:\n");
	list_commands("", false, &b);
	strb_adds(&b, "\nGlobal Options:\n");
	opts_help(global_options, ARRAY_LEN(global_options) - 1, screen_columns(), &b);
	strb_adds(&b, "\nRun 'hoy COMMAND --help' for more information on a command.\n");
	(void)fputs(strb_str(&b), stdout);
}

static void group_help(const char *name)
{
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_FREE char *prefix = xasprintf("%s ", name);

	strb_addf(&b, "Usage:  hoy %s COMMAND\n\n", name);
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (streq(groups[i].name, name))
			strb_addf(&b, "%s\n\nCommands:\n", groups[i].help);
	list_commands(prefix, false, &b);
	strb_addf(&b, "\nRun 'hoy %s COMMAND --help' for more information on a command.\n", name);
	(void)fputs(strb_str(&b), stdout);
}

static int usage_error(const struct command *cmd, const char *path, const char *why, const char *verb, int status)
{
	AUTO_STRB struct strb b = STRB_INIT;

	usage_line(cmd, path, &b);
	(void)fprintf(stderr, "%s\n\n%s\n%s 'hoy %s --help' for more information\n", why, strb_str(&b), verb, path);
	return status;
}

static int count_error(const struct command *cmd, const char *path)
{
	AUTO_FREE char *why = NULL;
	const char *plural = (cmd->most == cmd->least ? cmd->least
			      : cmd->most < 0         ? cmd->least
						      : cmd->most) == 1
				     ? ""
				     : "s";

	if (cmd->most == 0)
		why = xasprintf("hoy: 'hoy %s' accepts no arguments", path);
	else if (cmd->most == cmd->least)
		why = xasprintf("hoy: 'hoy %s' requires %d argument%s", path, cmd->least, plural);
	else if (cmd->most < 0)
		why = xasprintf("hoy: 'hoy %s' requires at least %d argument%s", path, cmd->least, plural);
	else if (cmd->least == 0)
		why = xasprintf("hoy: 'hoy %s' requires at most %d argument%s", path, cmd->most, plural);
	else
		why = xasprintf("hoy: 'hoy %s' requires at least %d and at most %d argument%s", path, cmd->least,
				cmd->most, plural);
	return usage_error(cmd, path, why, cmd->most < 0 && cmd->least > 0 ? "See" : "Run", 1);
}

static int run_command(struct cli *c, const struct command *cmd, const char *as, int argc, char **argv)
{
	AUTO_FREE char *path = canonical(cmd, as);
	AUTO_OPTS struct opts o = { 0 };
	struct err e = ERR_INIT;
	int status;

	if (opts_parse(cmd->options, cmd->n_options, cmd->flags & CMD_STOP_AT_WORD, argc, argv, &o, &e) < 0)
		return usage_error(cmd, path, e.msg, "Run", 125);
	if (o.help) {
		command_help(cmd, path);
		return 0;
	}
	if ((int)o.words.n < cmd->least || (cmd->most >= 0 && (int)o.words.n > cmd->most))
		return count_error(cmd, path);
	c->command = cmd;
	c->path = path;
	c->o = &o;
	c->words = &o.words;
	status = cmd->run(c);
	if (fflush(stdout) != 0 && status == 0)
		status = 1;
	return status;
}

static int run_group(struct cli *c, const char *group, int argc, char **argv)
{
	const struct command *cmd = NULL;
	AUTO_FREE char *path = NULL;

	if (argc == 0 || streq(argv[0], "--help") || streq(argv[0], "-h")) {
		group_help(group);
		return 0;
	}
	if (argv[0][0] == '-') {
		(void)fprintf(
			stderr,
			"unknown flag: %s\n\nUsage:  hoy %s COMMAND\n\nRun 'hoy %s --help' for more information\n",
			argv[0], group, group);
		return 125;
	}
	path = xasprintf("%s %s", group, argv[0]);
	cmd = command_find(path);
	if (!cmd) {
		(void)fprintf(
			stderr,
			"hoy: unknown command: hoy %s\n\nUsage:  hoy %s\n\nRun 'hoy %s --help' for more information\n",
			path, group, group);
		return 1;
	}
	return run_command(c, cmd, path, argc - 1, argv + 1);
}

static int run_help(int argc, char **argv)
{
	const struct command *cmd;
	AUTO_FREE char *path = NULL;

	if (argc == 0) {
		top_help();
		return 0;
	}
	path = argc > 1 ? xasprintf("%s %s", argv[0], argv[1]) : xstrdup(argv[0]);
	cmd = command_find(path);
	if (argc == 1 && group_known(path)) {
		group_help(path);
		return 0;
	}
	if (!cmd) {
		(void)fprintf(stderr, "unknown help topic: %s\n", path);
		return 1;
	}
	command_help(cmd, path);
	return 0;
}

static int dispatch(struct cli *c, int argc, char **argv)
{
	const struct command *cmd = command_find(argv[0]);

	if (cmd)
		return run_command(c, cmd, argv[0], argc - 1, argv + 1);
	if (group_known(argv[0]))
		return run_group(c, argv[0], argc - 1, argv + 1);
	if (streq(argv[0], "help"))
		return run_help(argc - 1, argv + 1);
	(void)fprintf(stderr, "hoy: unknown command: hoy %s\n\nRun 'hoy --help' for more information\n", argv[0]);
	return 1;
}

static const char *refused_global(const struct opts *o)
{
	const char *context = opt_str(o, "context");

	if (opt_bool(o, "tls") || opt_bool(o, "tlsverify"))
		return "TLS connections are not supported; use a unix socket (ssh can forward one)";
	if (*context && !streq(context, "default"))
		return "contexts are not supported; use --host or DOCKER_HOST";
	if (opt_list(o, "host")->n > 1)
		return "specify only one -H";
	return NULL;
}

int cli_main(int argc, char **argv)
{
	AUTO_OPTS struct opts o = { 0 };
	struct err e = ERR_INIT;
	struct cli c = { 0 };
	int status;

	(void)signal(SIGPIPE, SIG_IGN);
	if (opts_parse(global_options, ARRAY_LEN(global_options) - 1, true, argc - 1, argv + 1, &o, &e) < 0) {
		(void)fprintf(stderr,
			      "%s\n\nUsage:  hoy [OPTIONS] COMMAND [ARG...]\n\nRun 'hoy --help' for more information\n",
			      e.msg);
		return 125;
	}
	if (opt_bool(&o, "version")) {
		(void)printf("Hoy version %s\n", HOY_VERSION);
		return 0;
	}
	if (o.help || o.words.n == 0) {
		top_help();
		return 0;
	}
	if (refused_global(&o)) {
		(void)fprintf(stderr, "hoy: %s\n", refused_global(&o));
		return 1;
	}
	if (opt_list(&o, "host")->n)
		c.host = opt_str(&o, "host");
	status = dispatch(&c, (int)o.words.n, o.words.v);
	client_free(c.client);
	return status;
}
