/* template_parse.c - template text into nodes. Errors read as Go's ("template: :1: unclosed action"). */
#include "cli/template_node.h"

#include <ctype.h>

#define DEPTH_MAX 64
#define SOURCE_MAX 65536

struct parser {
	const char *src;
	size_t pos, len;
	bool trim; /* the action just read ended with -}} */
	unsigned depth;
	unsigned ranges; /* how many range bodies we are in */
	struct err *e;
};
enum stop { STOP_EOF, STOP_END, STOP_ELSE };

static int fail(struct parser *p, const char *fmt, ...) PRINTF(2, 3);
static int fail(struct parser *p, const char *fmt, ...)
{
	unsigned line = 1;
	AUTO_STRB struct strb b = STRB_INIT;
	va_list ap;

	for (size_t i = 0; i < p->pos && i < p->len; i++)
		line += p->src[i] == '\n';
	va_start(ap, fmt);
	strb_addv(&b, fmt, ap);
	va_end(ap);
	return err_set(p->e, ERR_INVALID, "template: :%u: %s", line, strb_str(&b));
}

static bool looking_at(const struct parser *p, const char *s)
{
	size_t n = strlen(s);

	return p->len - p->pos >= n && memcmp(p->src + p->pos, s, n) == 0;
}

static void skip_space(struct parser *p)
{
	while (p->pos < p->len && isspace((unsigned char)p->src[p->pos]))
		p->pos++;
}

/* At the end of an action: "}}" or " -}}" (the space is already skipped). */
static bool at_close(const struct parser *p)
{
	return looking_at(p, "}}") || looking_at(p, "-}}");
}

static int close_action(struct parser *p)
{
	skip_space(p);
	if (p->pos >= p->len)
		return fail(p, "unclosed action");
	if (!at_close(p))
		return fail(p, "unexpected \"%c\" in operand", p->src[p->pos]);
	p->trim = p->src[p->pos] == '-';
	p->pos += p->trim ? 3 : 2;
	return 0;
}

static char *word(struct parser *p)
{
	size_t from = p->pos;

	while (p->pos < p->len && (isalnum((unsigned char)p->src[p->pos]) || p->src[p->pos] == '_' ||
				   (unsigned char)p->src[p->pos] >= 0x80))
		p->pos++;
	return xstrndup(p->src + from, p->pos - from);
}

static void add_utf8(struct strb *b, unsigned c)
{
	if (c < 0x80) {
		strb_addc(b, (char)c);
	} else if (c < 0x800) {
		strb_addc(b, (char)(0xc0 | c >> 6));
		strb_addc(b, (char)(0x80 | (c & 63)));
	} else {
		strb_addc(b, (char)(0xe0 | c >> 12));
		strb_addc(b, (char)(0x80 | (c >> 6 & 63)));
		strb_addc(b, (char)(0x80 | (c & 63)));
	}
}

static int escape(struct parser *p, struct strb *b)
{
	static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
	char c = p->src[p->pos++];
	const char *hit = c ? strchr(from, c) : NULL;
	unsigned digits = c == 'x' ? 2 : c == 'u' ? 4 : 0;
	char hex[5] = "";
	uint32_t code = 0;

	if (hit) {
		strb_addc(b, to[hit - from]);
		return 0;
	}
	if (!digits || p->len - p->pos < digits)
		return fail(p, "invalid syntax");
	memcpy(hex, p->src + p->pos, digits);
	if (str_to_u32(hex, 16, &code) < 0)
		return fail(p, "invalid syntax");
	p->pos += digits;
	if (digits == 2)
		strb_addc(b, (char)code);
	else
		add_utf8(b, code);
	return 0;
}

static int string(struct parser *p, char **ret)
{
	char quote = p->src[p->pos++];
	AUTO_STRB struct strb b = STRB_INIT;

	while (p->pos < p->len && p->src[p->pos] != quote) {
		char c = p->src[p->pos++];

		if (c == '\n' && quote == '"')
			return fail(p, "unterminated quoted string");
		if (c == '\\' && quote == '"' && p->pos < p->len) {
			if (escape(p, &b) < 0)
				return -EINVAL;
			continue;
		}
		strb_addc(&b, c);
	}
	if (p->pos >= p->len)
		return fail(p, quote == '"' ? "unterminated quoted string" : "unterminated raw quoted string");
	p->pos++;
	*ret = strb_take(&b);
	return 0;
}

static int number(struct parser *p, struct operand *ret)
{
	char text[48] = "", *end;
	size_t n = strspn(p->src + p->pos, "+-0123456789.xXabcdefABCDEF_eE");

	if (n == 0 || n >= sizeof text)
		return fail(p, "bad number syntax");
	memcpy(text, p->src + p->pos, n);
	errno = 0;
	ret->number = strtoll(text, &end, 0);
	ret->kind = OPER_INT;
	if (*end) {
		ret->real = strtod(text, &end);
		ret->kind = OPER_DBL;
	}
	if (*end || errno)
		return fail(p, "bad number syntax: \"%s\"", text);
	p->pos += n;
	return 0;
}

static int pipeline(struct parser *p, struct tmpl_pipe *ret, const char *context);

static int name_operand(struct parser *p, struct operand *ret)
{
	ret->text = word(p);
	if (streq(ret->text, "true") || streq(ret->text, "false")) {
		ret->kind = OPER_BOOL;
		ret->number = streq(ret->text, "true");
		return 0;
	}
	if (streq(ret->text, "nil")) {
		ret->kind = OPER_NIL;
		return 0;
	}
	ret->kind = OPER_FUNC;
	if (!tmpl_func_known(ret->text))
		return fail(p, "function \"%s\" not defined", ret->text);
	return 0;
}

static int paren_operand(struct parser *p, struct operand *ret)
{
	p->pos++;
	ret->kind = OPER_PAREN;
	ret->pipe = xcalloc(1, sizeof *ret->pipe);
	if (++p->depth > DEPTH_MAX)
		return fail(p, "max expression depth exceeded");
	if (pipeline(p, ret->pipe, "parenthesized pipeline") < 0)
		return -EINVAL;
	p->depth--;
	skip_space(p);
	if (p->pos >= p->len || p->src[p->pos] != ')')
		return fail(p, "unclosed left paren");
	p->pos++;
	return 0;
}

static bool field_follows(const struct parser *p)
{
	return p->pos + 1 < p->len && p->src[p->pos] == '.' &&
	       (isalpha((unsigned char)p->src[p->pos + 1]) || p->src[p->pos + 1] == '_' ||
		(unsigned char)p->src[p->pos + 1] >= 0x80);
}

static int operand(struct parser *p, struct operand *ret)
{
	char c = p->src[p->pos];
	int r = 0;

	ret->at = p->pos;
	if (c == '.' && !(p->pos + 1 < p->len && isdigit((unsigned char)p->src[p->pos + 1]))) {
		ret->kind = OPER_DOT;
		if (!field_follows(p))
			p->pos++;
	} else if (c == '$') {
		AUTO_FREE char *name = NULL;

		p->pos++;
		name = word(p);
		ret->kind = OPER_VAR;
		ret->text = xasprintf("$%s", name);
	} else if (c == '"' || c == '`') {
		ret->kind = OPER_STR;
		r = string(p, &ret->text);
	} else if (c == '(') {
		r = paren_operand(p, ret);
	} else if (isdigit((unsigned char)c) || c == '-' || c == '+' || c == '.') {
		r = number(p, ret);
	} else if (isalpha((unsigned char)c) || c == '_') {
		r = name_operand(p, ret);
	} else {
		r = fail(p, "unexpected \"%c\" in command", c);
	}
	while (r == 0 && field_follows(p)) {
		p->pos++;
		strv_push(&ret->fields, word(p));
	}
	ret->end = p->pos;
	return r;
}

static int command(struct parser *p, struct tmpl_command *ret, const char *context)
{
	for (;;) {
		skip_space(p);
		if (p->pos >= p->len)
			return fail(p, "unclosed action");
		if (at_close(p) || p->src[p->pos] == '|' || p->src[p->pos] == ')')
			break;
		if (operand(p, VEC_ADD(ret)) < 0)
			return -EINVAL;
		if (p->pos < p->len && !isspace((unsigned char)p->src[p->pos]) && !at_close(p) &&
		    !strchr("|)", p->src[p->pos]))
			return fail(p, "unexpected \"%c\" in operand", p->src[p->pos]);
	}
	if (ret->n == 0)
		return fail(p, "missing value for %s", context);
	if (ret->v[0].kind == OPER_FUNC) /* messages show the whole call */
		ret->v[0].end = ret->v[ret->n - 1].end;
	if (ret->n > 1 && ret->v[0].kind != OPER_FUNC && ret->v[0].fields.n == 0)
		return fail(p, "can't give argument to non-function %.*s", (int)(ret->v[0].end - ret->v[0].at),
			    p->src + ret->v[0].at);
	return 0;
}

/* "$x :=", "$x =", "$i, $x :=" at the start of a pipeline; anything else is left unread. */
static void declaration(struct parser *p, struct tmpl_pipe *ret)
{
	size_t from = p->pos;

	for (;;) {
		AUTO_FREE char *name = NULL;

		skip_space(p);
		if (p->pos >= p->len || p->src[p->pos] != '$')
			break;
		p->pos++;
		name = word(p);
		strv_addf(&ret->vars, "$%s", name);
		skip_space(p);
		if (looking_at(p, ",") && ret->vars.n == 1) {
			p->pos++;
			continue;
		}
		ret->assign = looking_at(p, "=");
		if (!ret->assign && !looking_at(p, ":="))
			break;
		p->pos += ret->assign ? 1 : 2;
		return;
	}
	p->pos = from;
	ret->assign = false;
	strv_done(&ret->vars);
}

static int pipeline(struct parser *p, struct tmpl_pipe *ret, const char *context)
{
	declaration(p, ret);
	for (;;) {
		if (command(p, VEC_ADD(&ret->cmds), context) < 0)
			return -EINVAL;
		if (ret->cmds.n > 1 && ret->cmds.v[ret->cmds.n - 1].v[0].kind != OPER_FUNC &&
		    ret->cmds.v[ret->cmds.n - 1].v[0].fields.n == 0)
			return fail(p, "non executable command in pipeline stage %zu", ret->cmds.n);
		if (p->src[p->pos] != '|')
			return 0;
		p->pos++;
	}
}

static int list(struct parser *p, struct tmpl_list *ret, enum stop *ret_stop, char **ret_else);

/* The rest of {{if}}, {{with}}, {{range}}: its pipeline, its body, its else. "else if" is an if inside the else. */
static int block(struct parser *p, struct tmpl_node *node, enum node_kind kind, const char *name)
{
	enum stop stop = STOP_EOF;
	AUTO_FREE char *after = NULL;
	int r;

	if (++p->depth > DEPTH_MAX)
		return fail(p, "max nesting depth exceeded");
	node->kind = kind;
	if (pipeline(p, &node->pipe, name) < 0 || close_action(p) < 0)
		return -EINVAL;
	p->ranges += kind == NODE_RANGE;
	r = list(p, &node->body, &stop, &after);
	p->ranges -= kind == NODE_RANGE;
	if (r < 0)
		return r;
	if (stop == STOP_ELSE && !str_empty(after)) {
		if (!streq(after, name) || kind == NODE_RANGE)
			return fail(p, "unexpected <%s> in input", after);
		r = block(p, VEC_ADD(&node->other), kind, name);
		p->depth--;
		return r;
	}
	if (stop == STOP_ELSE && list(p, &node->other, &stop, NULL) < 0)
		return -EINVAL;
	if (stop != STOP_END)
		return fail(p, stop == STOP_ELSE ? "expected end; found {{else}}" : "unexpected EOF");
	p->depth--;
	return 0;
}

static bool keyword(struct parser *p, const char *name)
{
	size_t n = strlen(name);

	if (!looking_at(p, name))
		return false;
	if (p->pos + n < p->len && (isalnum((unsigned char)p->src[p->pos + n]) || p->src[p->pos + n] == '_'))
		return false;
	p->pos += n;
	skip_space(p);
	return true;
}

/* What stands inside {{ }}. Returns 1 where it ends the list. */
static int action(struct parser *p, struct tmpl_list *ret, enum stop *ret_stop, char **ret_else)
{
	static const struct {
		const char *name;
		enum node_kind kind;
	} blocks[] = { { "if", NODE_IF }, { "with", NODE_WITH }, { "range", NODE_RANGE } };
	static const struct {
		const char *name;
		enum node_kind kind;
	} jumps[] = { { "break", NODE_BREAK }, { "continue", NODE_CONTINUE } };
	struct tmpl_node *node;

	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		if (keyword(p, blocks[i].name))
			return block(p, VEC_ADD(ret), blocks[i].kind, blocks[i].name);
	for (size_t i = 0; i < ARRAY_LEN(jumps); i++) {
		if (!keyword(p, jumps[i].name))
			continue;
		if (!p->ranges)
			return fail(p, "{{%s}} outside {{range}}", jumps[i].name);
		((struct tmpl_node *)VEC_ADD(ret))->kind = jumps[i].kind;
		return close_action(p);
	}
	if (keyword(p, "end")) {
		*ret_stop = STOP_END;
		return close_action(p) < 0 ? -EINVAL : 1;
	}
	if (keyword(p, "else")) {
		*ret_stop = STOP_ELSE;
		if (!ret_else || at_close(p))
			return close_action(p) < 0 ? -EINVAL : 1;
		*ret_else = word(p);
		skip_space(p);
		return **ret_else ? 1 : fail(p, "unexpected \"%c\" in else", p->src[p->pos]);
	}
	node = VEC_ADD(ret);
	node->kind = NODE_ACTION;
	if (pipeline(p, &node->pipe, "command") < 0)
		return -EINVAL;
	return close_action(p);
}

static void text_add(struct parser *p, struct tmpl_list *ret, size_t to, bool trim_right)
{
	size_t from = p->pos;

	while (p->trim && from < to && isspace((unsigned char)p->src[from]))
		from++;
	while (trim_right && to > from && isspace((unsigned char)p->src[to - 1]))
		to--;
	p->trim = false;
	if (to > from) {
		struct tmpl_node *node = VEC_ADD(ret);

		node->kind = NODE_TEXT;
		node->text = xstrndup(p->src + from, to - from);
	}
}

static int comment(struct parser *p)
{
	const char *end = strstr(p->src + p->pos, "*/");

	if (!end)
		return fail(p, "unclosed comment");
	p->pos = (size_t)(end - p->src) + 2;
	skip_space(p);
	if (!at_close(p))
		return fail(p, "comment ends before closing delimiter");
	return close_action(p);
}

static int list(struct parser *p, struct tmpl_list *ret, enum stop *ret_stop, char **ret_else)
{
	*ret_stop = STOP_EOF;
	for (;;) {
		const char *open = strstr(p->src + p->pos, "{{");
		size_t to = open ? (size_t)(open - p->src) : p->len;
		bool trim_left = open && open[2] == '-' && isspace((unsigned char)open[3]);
		int r;

		text_add(p, ret, to, trim_left);
		p->pos = to;
		if (!open)
			return 0;
		p->pos += trim_left ? 3 : 2;
		skip_space(p);
		if (p->pos >= p->len)
			return fail(p, "unclosed action");
		r = looking_at(p, "/*") ? comment(p) : action(p, ret, ret_stop, ret_else);
		if (r != 0)
			return r < 0 ? r : 0;
	}
}

int tmpl_parse(const char *text, struct tmpl **ret, struct err *e)
{
	struct tmpl *t;
	struct parser p;
	enum stop stop;
	int r;

	if (strlen(text) > SOURCE_MAX)
		return err_set(e, ERR_INVALID, "template: :1: template is too long");
	t = xcalloc(1, sizeof *t);
	t->source = xstrdup(text);
	p = (struct parser){ .src = t->source, .len = strlen(text), .e = e };
	r = list(&p, &t->list, &stop, NULL);
	if (r == 0 && stop != STOP_EOF)
		r = fail(&p, stop == STOP_END ? "unexpected {{end}}" : "unexpected {{else}}");
	if (r < 0) {
		tmpl_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

static void tmpl_pipe_done(struct tmpl_pipe *p)
{
	for (size_t i = 0; i < p->cmds.n; i++) {
		for (size_t k = 0; k < p->cmds.v[i].n; k++) {
			struct operand *o = &p->cmds.v[i].v[k];

			free(o->text);
			strv_done(&o->fields);
			if (o->pipe)
				tmpl_pipe_done(o->pipe);
			free(o->pipe);
		}
		free(p->cmds.v[i].v);
	}
	free(p->cmds.v);
	strv_done(&p->vars);
}

static void list_done(struct tmpl_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].text);
		tmpl_pipe_done(&l->v[i].pipe);
		list_done(&l->v[i].body);
		list_done(&l->v[i].other);
	}
	free(l->v);
}

void tmpl_free(struct tmpl *t)
{
	if (!t)
		return;
	list_done(&t->list);
	free(t->source);
	free(t);
}
