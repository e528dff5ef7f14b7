/* pull_priv.h - what pull.c and pull_layers.c share: one image on its way in. */
#pragma once

#include "image/priv.h"
#include "image/transfer.h"

/* A transfer's voice: notes from several threads, one at a time, and the way to end all of it. */
struct voice {
	const struct image_transfer *x;
	struct remote *remote, *other; /* other: of a copy, where it goes */
	pthread_mutex_t lock;
	int cancelled; /* atomic; the first reason, negative errno */
};
void voice_init(struct voice *v, const struct image_transfer *x);
void voice_done(struct voice *v);
void voice_cancel(struct voice *v, int why);
void voice_say(struct voice *v, const struct image_note *n);            /* a client that is gone cancels */
void voice_status(struct voice *v, const char *id, const char *status); /* of a layer, without numbers */
void voice_poll(struct voice *v);                                       /* is the client still there? */

/* At most ten lines a second and layer. */
struct meter {
	struct voice *voice;
	const char *id, *status;
	int64_t total, next_ns;
};
void meter_at(void *meter, int64_t current);

/* Layers first..n-1 of i (config and manifest agree on their number) into the store, on top of parent (held by the caller, given back).
 * On success the caller holds i's top layer, unowned otherwise but leased. */
int pull_layers(struct images *t, struct voice *v, const char *repo, const struct remote_image *from, struct image *i,
		size_t first, const char *parent, char ret_chain[DIGEST_TEXT], struct err *e);
