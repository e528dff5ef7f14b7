/* transfer.h - pull and push: images on their way between a registry (remote.h) and the store. A transfer runs in the caller's
 * thread and a few of its own. What was fetched before a transfer ended early is kept (store.h: partial files, leases), so
 * the next one goes on from there; nothing becomes visible before it is whole. */
#pragma once

#include "image/remote.h"
#include "image/trust.h"

struct image_note {              /* one line of progress, as the API has them; strings lent */
	const char *id, *status; /* id NULL = about no layer */
	bool detail;             /* a layer's line: it carries progressDetail, empty or not */
	int64_t current, total;  /* 0 = none */
	const char *aux;         /* JSON, instead of a status */
};
struct image_transfer {
	const struct remote_config *remote;
	struct remote_auth auth;
	const struct strmap *meta_headers; /* NULL = none */
	const struct trust_policy *trust;  /* pull: whose signatures are needed; NULL = nobody's */
	bool keep_blobs;                   /* pull: the compressed layers stay, for pushes of the identical bytes */
	unsigned parallel;                 /* layers at a time; 0 = 3 */
	/* Called from several threads, one at a time. A negative return (the client is gone) ends the transfer. */
	int (*note)(void *ctx, const struct image_note *n);
	bool (*gone)(void *ctx); /* asked once a second from the caller's thread; NULL = never */
	void *ctx;
};
/* heal.c: broken layers (image_verify) are unpacked anew, from kept blobs or from the registry that they came from; nothing else is
 * touched. Told of each layer that was broken: from = "kept blob" or the repository, NULL where it is still broken and e says why. */
struct image_healed {
	const char *layer;
	const char *from;
	const char *error;
};
struct image_heal {
	const struct remote_config *remote;
	struct remote_auth auth;
	void (*layer)(void *ctx, const struct image_healed *h);
	bool (*gone)(void *ctx);
	void *ctx;
};
int image_heal(struct images *t, const struct strv *names, const struct image_heal *h, size_t *ret_layers,
	       size_t *ret_healed, size_t *ret_left, struct err *e);
/* ref's tag or digest, "latest" where it has neither; every tag of the repository with all. platform NULL = this machine's. */
int image_pull(struct images *t, const struct ref *ref, bool all, const char *platform, const struct image_transfer *x,
	       struct err *e);
/* docker import URL: in->from is the URL (http:// where it says nothing), in->src is not read. */
int image_import_url(struct images *t, const struct image_import *in, const struct image_transfer *x, char **ret_id,
		     struct err *e);
/* What one registry has under a name becomes the same in another, byte for byte: index, all platforms (or the one asked for), and
 * what refers to them - signatures, SBOMs, attestations: referrers, and cosign's tags. x->auth is for from's registry, auth_to for
 * to's. Nothing enters the table of images; blobs pass through partial files, so that a copy that was cut goes on. The name comes last. */
int image_copy(struct images *t, const struct ref *from, const struct ref *to, const char *platform,
	       const struct image_transfer *x, const struct remote_auth *auth_to, struct err *e);
/* ref's tag; without one every tag of the repository. */
int image_push(struct images *t, const struct ref *ref, const struct image_transfer *x, struct err *e);
