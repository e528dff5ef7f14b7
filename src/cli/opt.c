/* opt.c - options into values, and their help. */
#include "cli/opt.h"

static const char *const kind_words[] = {
#define OPT_AS_WORD(k, word) word,
	OPT_KINDS(OPT_AS_WORD)
#undef OPT_AS_WORD
};

static bool kind_is_list(enum opt_kind k)
{
	return k == OPT_LIST || k == OPT_MAP || k == OPT_FILTER || k == OPT_STRINGS || k == OPT_MOUNT ||
	       k == OPT_NETWORK || k == OPT_ULIMIT || k == OPT_GPUS;
}

static int check_filter(const char *value, struct err *e)
{
	if (*value && !strchr(value, '='))
		return err_set(e, ERR_INVALID, "bad format of filter (expected name=value)");
	return 0;
}

static int check_kind(enum opt_kind kind, const char *value, struct err *e)
{
	int64_t number;
	bool flag;

	switch (kind) {
	case OPT_BOOL:
		return go_parse_bool(value, &flag, e);
	case OPT_INT:
		return go_parse_int(value, 64, &number, e);
	case OPT_UINT:
	case OPT_UINT16:
		return go_parse_uint(value, kind == OPT_UINT16 ? 16 : 64, &number, e);
	case OPT_BYTES:
		return parse_bytes(value, &number, e);
	case OPT_DECIMAL:
		return parse_cpus(value, &number, e);
	case OPT_DURATION:
		return go_parse_duration(value, &number, e);
	case OPT_FILTER:
		return check_filter(value, e);
	default:
		return 0;
	}
}

/* As Go's %q */
static const char *quoted(const char *s, struct strb *ret)
{
	strb_addc(ret, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			strb_addf(ret, "\\%c", *s);
		else if (*s == '\n' || *s == '\t')
			strb_adds(ret, *s == '\n' ? "\\n" : "\\t");
		else
			strb_addc(ret, *s);
	}
	strb_addc(ret, '"');
	return strb_str(ret);
}

static int value_add(struct opts *o, size_t i, const char *value, struct err *e)
{
	const struct opt *row = &o->table[i];
	struct opt_value *v = &o->values[i];
	AUTO_STRB struct strb shown = STRB_INIT;
	struct err why = ERR_INIT;
	int r = check_kind(row->kind, value, &why);

	if (r >= 0 && row->check)
		r = row->check(value, &why);
	if (r < 0)
		value = quoted(value, &shown);
	if (r < 0 && row->letter)
		return err_set(e, ERR_INVALID, "invalid argument %s for \"-%c, --%s\" flag: %s", value, row->letter,
			       row->name, why.msg);
	if (r < 0)
		return err_set(e, ERR_INVALID, "invalid argument %s for \"--%s\" flag: %s", value, row->name, why.msg);
	if (!kind_is_list(row->kind))
		strv_done(&v->given);
	strv_add(&v->given, value);
	v->set = true;
	return 0;
}

static ssize_t find_name(const struct opts *o, const char *name, size_t len)
{
	for (size_t i = 0; i < o->n; i++)
		if (strlen(o->table[i].name) == len && memcmp(o->table[i].name, name, len) == 0)
			return (ssize_t)i;
	return -1;
}

static ssize_t find_letter(const struct opts *o, char letter)
{
	for (size_t i = 0; i < o->n; i++)
		if (o->table[i].letter == letter)
			return (ssize_t)i;
	return -1;
}

/* Returns how many of argv it used (1 or 2). */
static int parse_long(struct opts *o, int argc, char *const *argv, struct err *e)
{
	const char *name = argv[0] + 2;
	const char *eq = strchr(name, '=');
	size_t len = eq ? (size_t)(eq - name) : strlen(name);
	ssize_t i;
	int r;

	if (len == 0 || *name == '-')
		return err_set(e, ERR_INVALID, "bad flag syntax: %s", argv[0]);
	i = find_name(o, name, len);
	if (i < 0 && len == 4 && memcmp(name, "help", 4) == 0) {
		o->help = true;
		return 1;
	}
	if (i < 0)
		return err_set(e, ERR_INVALID, "unknown flag: --%.*s", (int)len, name);
	if (eq)
		return (r = value_add(o, (size_t)i, eq + 1, e)) < 0 ? r : 1;
	if (o->table[i].kind == OPT_BOOL)
		return (r = value_add(o, (size_t)i, "true", e)) < 0 ? r : 1;
	if (argc < 2)
		return err_set(e, ERR_INVALID, "flag needs an argument: --%s", name);
	return (r = value_add(o, (size_t)i, argv[1], e)) < 0 ? r : 2;
}

/* One word of letters. Returns how many of argv it used. */
static int parse_letters(struct opts *o, int argc, char *const *argv, struct err *e)
{
	const char *p = argv[0] + 1;
	int r;

	for (; *p; p++) {
		ssize_t i = find_letter(o, *p);

		if (i < 0 && *p == 'h') { /* as Docker: old spelling of --help */
			(void)fprintf(stderr, "Flag shorthand -h has been deprecated, use --help\n");
			o->help = true;
			return 1;
		}
		if (i < 0)
			return err_set(e, ERR_INVALID, "unknown shorthand flag: '%c' in -%s", *p, p);
		if (p[1] == '=' && p[2])
			return (r = value_add(o, (size_t)i, p + 2, e)) < 0 ? r : 1;
		if (o->table[i].kind == OPT_BOOL) {
			if ((r = value_add(o, (size_t)i, "true", e)) < 0)
				return r;
			continue;
		}
		if (p[1])
			return (r = value_add(o, (size_t)i, p + 1, e)) < 0 ? r : 1;
		if (argc < 2)
			return err_set(e, ERR_INVALID, "flag needs an argument: '%c' in -%s", *p, p);
		return (r = value_add(o, (size_t)i, argv[1], e)) < 0 ? r : 2;
	}
	return 1;
}

int opts_parse(const struct opt *table, size_t n, bool stop_at_word, int argc, char *const *argv, struct opts *ret,
	       struct err *e)
{
	struct opts o = { .table = table, .n = n, .values = xcalloc(n ? n : 1, sizeof(struct opt_value)) };
	int i = 0;

	while (i < argc && !o.help) {
		int used;

		if (streq(argv[i], "--")) {
			i++;
			break;
		}
		if (argv[i][0] != '-' || !argv[i][1]) {
			if (stop_at_word)
				break;
			strv_add(&o.words, argv[i++]);
			continue;
		}
		if (argv[i][1] == '-')
			used = parse_long(&o, argc - i, argv + i, e);
		else
			used = parse_letters(&o, argc - i, argv + i, e);
		if (used < 0) {
			opts_done(&o);
			return used;
		}
		i += used;
	}
	for (; i < argc; i++)
		strv_add(&o.words, argv[i]);
	*ret = o;
	return 0;
}

void opts_done(struct opts *o)
{
	for (size_t i = 0; o->values && i < o->n; i++)
		strv_done(&o->values[i].given);
	free(o->values);
	strv_done(&o->words);
	*o = (struct opts){ 0 };
}

static size_t must_find(const struct opts *o, const char *name)
{
	ssize_t i = find_name(o, name, strlen(name));

	if (i < 0) {
		(void)fprintf(stderr, "hoy: bug: no option --%s in this table\n", name);
		abort();
	}
	return (size_t)i;
}

bool opt_set(const struct opts *o, const char *name)
{
	return o->values[must_find(o, name)].set;
}

const char *opt_str(const struct opts *o, const char *name)
{
	size_t i = must_find(o, name);
	const struct opt_value *v = &o->values[i];

	if (v->given.n)
		return v->given.v[v->given.n - 1];
	return o->table[i].initial ? o->table[i].initial : "";
}

bool opt_bool(const struct opts *o, const char *name)
{
	bool value = false;

	return go_parse_bool(opt_str(o, name), &value, NULL) == 0 && value;
}

int64_t opt_int(const struct opts *o, const char *name)
{
	const char *text = opt_str(o, name);
	int64_t value = 0;

	if (!*text)
		return 0;
	switch (o->table[must_find(o, name)].kind) {
	case OPT_BYTES:
		(void)parse_bytes(text, &value, NULL);
		break;
	case OPT_DURATION:
		(void)go_parse_duration(text, &value, NULL);
		break;
	case OPT_DECIMAL:
		(void)parse_cpus(text, &value, NULL);
		break;
	default:
		(void)go_parse_int(text, 64, &value, NULL);
	}
	return value;
}

const struct strv *opt_list(const struct opts *o, const char *name)
{
	return &o->values[must_find(o, name)].given;
}

/* ---- help ---- */
static void wrap(struct strb *out, const char *text, unsigned indent, unsigned columns)
{
	size_t width = columns > indent + 24 ? columns - indent : 24;

	while (*text) {
		size_t len = strcspn(text, "\n"), cut = len;

		if (len > width) {
			for (cut = width; cut > 0 && text[cut] != ' '; cut--)
				;
			if (cut == 0)
				cut = strcspn(text, " \n");
		}
		strb_add(out, text, cut);
		text += cut;
		if (*text == ' ' || *text == '\n')
			text++;
		if (*text)
			strb_addf(out, "\n%*s", (int)indent, "");
	}
	strb_addc(out, '\n');
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct opt *const *)a)->name, (*(const struct opt *const *)b)->name);
}

static unsigned left_width(const struct opt *o)
{
	const char *word = kind_words[o->kind];

	return (unsigned)(8 + strlen(o->name) + (word ? 1 + strlen(word) : 0));
}

static void add_initial(const struct opt *o, struct strb *help)
{
	if (str_empty(o->initial) || streq(o->initial, "false") || streq(o->initial, "0"))
		return;
	strb_addf(help, o->kind == OPT_STR ? " (default \"%s\")" : " (default %s)", o->initial);
}

void opts_help(const struct opt *table, size_t n, unsigned columns, struct strb *out)
{
	const struct opt **rows = xcalloc(n ? n : 1, sizeof *rows);
	unsigned left = 0;

	for (size_t i = 0; i < n; i++) {
		rows[i] = &table[i];
		if (table[i].help)
			left = MAX(left, left_width(&table[i]));
	}
	qsort(rows, n, sizeof *rows, by_name);
	for (size_t i = 0; i < n; i++) {
		const char *word = kind_words[rows[i]->kind];
		AUTO_STRB struct strb help = STRB_INIT;

		if (!rows[i]->help)
			continue;
		strb_adds(&help, rows[i]->help);
		add_initial(rows[i], &help);
		if (rows[i]->letter)
			strb_addf(out, "  -%c, --%s", rows[i]->letter, rows[i]->name);
		else
			strb_addf(out, "      --%s", rows[i]->name);
		if (word)
			strb_addf(out, " %s", word);
		strb_addf(out, "%*s", (int)(left - left_width(rows[i]) + 3), "");
		wrap(out, strb_str(&help), left + 3, columns);
	}
	free(rows);
}
