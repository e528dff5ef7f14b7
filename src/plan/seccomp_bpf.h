/* seccomp_bpf.h - a program of classic BPF that is being written (private to this folder). */
#pragma once

#include "base/base.h"

#include <linux/filter.h>

struct bpf {
	struct sock_filter *v;
	size_t n;
};
enum { SECCOMP_ARGS = 6 };
enum seccomp_op { OP_NE, OP_LT, OP_LE, OP_EQ, OP_GE, OP_GT, OP_MASKED_EQ };
struct seccomp_cond {
	uint32_t index;
	enum seccomp_op op;
	uint64_t value, value_two;
};
/* One rule: all conditions hold -> action. */
struct seccomp_rule {
	int nr;
	uint32_t action;
	size_t n_conds;
	struct seccomp_cond conds[SECCOMP_ARGS];
	size_t order; /* place in the policy: earlier wins */
};
struct seccomp_table { /* everything about one architecture */
	uint32_t audit_arch;
	bool wide; /* 64-bit arguments */
	int base;  /* lowest system call number */
	int last;  /* highest number that the policy mentions; above it `beyond` holds */
	uint32_t otherwise, beyond;
	struct {
		struct seccomp_rule *v;
		size_t n;
	} rules;
};

void bpf_add(struct bpf *p, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k);
/* "If A op k then `yes` else go on": whatever the length of `yes`. */
void bpf_if(struct bpf *p, uint16_t jump, uint32_t k, const struct bpf *yes);
/* The search for one architecture; the accumulator holds the system call number. Sorts t's rules. */
void bpf_search(struct bpf *p, struct seccomp_table *t);
