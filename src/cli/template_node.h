/* template_node.h - what the template parser makes and the runner walks. Private to template_*.c. */
#pragma once

#include "cli/template.h"

enum operand_kind { OPER_DOT, OPER_VAR, OPER_FUNC, OPER_STR, OPER_INT, OPER_DBL, OPER_BOOL, OPER_NIL, OPER_PAREN };
struct tmpl_pipe;
struct operand {
	enum operand_kind kind;
	char *text;             /* VAR: name with $; FUNC: name; STR: value */
	int64_t number;         /* INT, BOOL */
	double real;            /* DBL */
	struct tmpl_pipe *pipe; /* PAREN */
	struct strv fields;     /* .A.B that follow */
	size_t at, end;         /* where it stands in the source, for messages */
};
struct tmpl_command {
	struct operand *v;
	size_t n;
};
struct tmpl_pipe {
	struct strv vars; /* $x, or $k, $v */
	bool assign;      /* = rather than := */
	struct {
		struct tmpl_command *v;
		size_t n;
	} cmds;
};
enum node_kind { NODE_TEXT, NODE_ACTION, NODE_IF, NODE_WITH, NODE_RANGE, NODE_BREAK, NODE_CONTINUE };
struct tmpl_list {
	struct tmpl_node *v;
	size_t n;
};
struct tmpl_node {
	enum node_kind kind;
	char *text;
	struct tmpl_pipe pipe;
	struct tmpl_list body, other;
};
struct tmpl {
	char *source;
	struct tmpl_list list;
};

bool tmpl_func_known(const char *name);
