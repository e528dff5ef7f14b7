/* child.h - private to act: the child's side, as create.c and exec.c fork it. */
#pragma once

#include "act/act_int.h"

struct child {
	struct job job;
	int ns[PLAN_NS_COUNT]; /* to be joined, or -1 */
};
void child_create(struct child *c) __attribute__((noreturn));
void child_exec(struct child *c, const struct act_target *t) __attribute__((noreturn));
void job_fail(struct job *j, const struct err *e) __attribute__((noreturn));
int become_root(struct err *e);
