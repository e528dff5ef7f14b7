/* fake_engine.h - an engine for the API's tests: remembers what it was asked, answers what it was told. */
#pragma once

#include "engine/engine.h"

struct fake {
	enum err_kind fail; /* the next calls fail like this, with the message below */
	char message[200];
	char said[65536];   /* the last call and its arguments */
	int64_t body_bytes; /* what load read */
	bool stop_early;    /* load fails after the first bytes */
};
extern struct fake fake;
