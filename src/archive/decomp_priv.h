/* decomp_priv.h - what decomp.c shares with the gzip half. */
#pragma once

#include "archive/archive.h"

#define IN_SIZE 262144
struct decomp {
	struct decomp_input input;
	struct decomp_budget budget;
	enum comp comp;
	bool open, inside, done; /* inside = within a member or frame: an end here is a truncation */
	void *state;             /* the format's own */
	uint8_t *in;             /* IN_SIZE bytes of which [in_at, in_n) are waiting */
	size_t in_at, in_n;
	bool in_end;
	int64_t in_total, out_total;
	struct hash *hash; /* of what came in */
};
int decomp_more(struct decomp *d, struct err *e); /* 1 = bytes are waiting, 0 = the end */
int decomp_bad(const struct decomp *d, const char *why, struct err *e);

int bz_open(struct decomp *d);
void bz_close(struct decomp *d);
int bz_read(struct decomp *d, uint8_t *p, size_t n, size_t *ret_n, struct err *e);

int gz_open(struct decomp *d);
void gz_close(struct decomp *d);
int gz_read(struct decomp *d, uint8_t *p, size_t n, size_t *ret_n, struct err *e);
