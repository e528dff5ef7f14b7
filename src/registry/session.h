/* session.h - what one worker knows: the repository, its endpoints, who asks. Private to registry/. */
#pragma once

#include "registry/net.h"
#include "schema/oci_image.h"
#include "store/registry_call.h"

struct token {
	char *scope; /* what it was asked for */
	char *text;
	int64_t until_ns;
};
struct endpoint {
	char *base; /* "https://host[:port][/prefix]", without a slash at the end */
	bool mirror, insecure, plain_allowed;
	struct tls_files tls;
	bool pinged;
	struct fiber_gate gate; /* ping and tokens: one at a time */
	struct challenges challenges;
	struct {
		struct token *v;
		size_t n;
	} tokens;
};
struct session {
	/* of REG_OPEN; lent from its bytes, which live as long as the worker */
	const char *domain, *path, *familiar;
	bool push;
	struct strv also;
	struct strmap meta;
	const char *username, *password, *identity_token, *registry_token;
	struct strv insecure;
	const char *http_proxy, *https_proxy, *no_proxy, *user_agent;
	unsigned attempts, stall_s, backoff_ms;

	struct {
		struct endpoint *v;
		size_t n;
	} endpoints; /* mirrors in order, then the registry itself */
	size_t best; /* the first one that answered */
	struct fiber_gate transfers;
	struct strv said;                         /* warnings: each once */
	void (*say)(void *ctx, const char *text); /* to the user */
	void *ctx;
};

/* ---- endpoint.c ---- */
bool insecure_host(const struct strv *list, const char *host); /* host[:port]; looks names up */
int ping(struct session *s, struct endpoint *ep, struct err *e);
/* Runs op on the endpoints in order until one of them serves; the registry's own answer is the last word. */
int on_endpoints(struct session *s, int (*op)(struct session *s, struct endpoint *ep, void *arg, struct err *e),
		 void *arg, struct err *e);
struct endpoint *endpoint_own(struct session *s); /* the registry itself: for all writing */
/* "repository:<path>:pull[,push]" of the session, and of further repositories */
char *scope_pull(const struct session *s);
char *scope_push(const struct session *s);

/* ---- auth.c ---- */
/* What Authorization has to say to ep for these scopes (separated by spaces); *ret NULL: nothing. */
int authorization(struct session *s, struct endpoint *ep, const char *scopes, char **ret, struct err *e);
void token_forget(struct endpoint *ep, const char *scopes);
int token_fetch(struct session *s, struct endpoint *ep, const struct challenge *c, const char *scopes, char **ret_token,
		char **ret_refresh, int64_t *ret_lifetime_s, struct err *e);
static inline bool digest_ok(const char *s) /* the only algorithm there is */
{
	return strncmp(s, "sha256:", 7) == 0 && strlen(s) == 71 && hex_valid(s + 7, 64);
}

/* ---- api.c ---- */
enum verdict {               /* of one request */
	       API_DONE = 0, /* an answer below 500 */
	       API_AGAIN = 1 /* it may go better later */
};
/* One request with sign-in and redirects. h->url is where it begins; scopes NULL = without sign-in. *ret_wait_ms: what Retry-After
 * says, or -1. Fills e for API_AGAIN too. */
int api_once(struct session *s, struct endpoint *ep, struct http *h, const char *scopes, int64_t *ret_wait_ms,
	     struct err *e);
/* The same, again and again as often as the session allows. */
int api_run(struct session *s, struct endpoint *ep, struct http *h, const char *scopes, struct err *e);
/* Waits before try number `fails`; false where the registry wants us to wait too long. */
bool back_off(struct session *s, unsigned fails, int64_t wait_ms);
/* The error that an answer's status and body mean, in Docker's words: "manifest unknown: manifest unknown", "unauthorized: ...".
 * *ret_code (may be NULL) gets the registry's code, "" where it gave none. */
int api_error(const struct http *h, char ret_code[64], struct err *e);
int pull_error(const struct session *s, const char *what, const struct http *h, struct err *e);
int push_error(const struct session *s, const struct http *h, struct err *e);

/* ---- the requests; bodies of answers are put into out ---- */
int do_resolve(struct session *s, const char *what, const char *platform, struct strb *out, struct err *e);
int do_manifest(struct session *s, const char *what, bool head, struct strb *out, struct err *e);
int do_tags(struct session *s, struct strb *out, struct err *e);
int do_referrers(struct session *s, const char *digest, const char *type, struct strb *out, struct err *e);
struct transfer { /* a blob under way */
	const char *digest;
	int64_t size, have, wire;
	int fd;
	const char **urls;
	uint32_t n_urls;
	void (*at)(void *ctx, int64_t have);
	void *ctx;
};
int do_blob_get(struct session *s, struct transfer *t, struct err *e);
int do_blob_head(struct session *s, const char *digest, int64_t *ret_size, struct err *e);
int do_blob_mount(struct session *s, const char *digest, const char *from, bool *ret_there, struct err *e);
int do_blob_put(struct session *s, struct transfer *t, char ret_digest[72], struct err *e); /* size -1: a pipe */
int do_manifest_put(struct session *s, const char *what, const char *type, const void *p, size_t n, char ret_digest[72],
		    struct err *e);
/* The request alone; *ret_listed (may be NULL): the registry keeps the list of referrers itself. */
int manifest_put(struct session *s, const char *what, const char *type, const void *p, size_t n, char ret_digest[72],
		 bool *ret_listed, struct err *e);
int do_manifest_delete(struct session *s, const char *digest, struct err *e);
int do_search(struct session *s, const char *term, uint32_t limit, struct strb *out, struct err *e);
int do_login(struct session *s, struct strb *out, struct err *e);

struct verify_request {         /* lent */
	const char *digests[2]; /* of the document that the name points at, and of the platform's manifest */
	size_t n_digests;
	const char *name; /* that has to be signed: domain/path */
	const char *tag;  /* that was asked for; NULL = none */
	struct {
		const char *name;
		const void *der;
		size_t n;
	} keys[REG_KEYS_MAX];
	size_t n_keys;
};
int do_verify(struct session *s, const struct verify_request *q, struct strb *out, struct err *e);

/* The body of url's answer into a pipe, behind its length (i64, -1 = not said): the length comes only with a good answer. */
int do_fetch(struct session *s, const char *url, int fd, int64_t *ret_n, struct err *e);

/* ---- what requests share ---- */
struct doc {
	char *bytes, *media_type, *digest; /* digest: what the registry's answer is known by */
	size_t n;
};
void doc_done(struct doc *d);
int document_fetch(struct session *s, const char *what, struct doc *ret,
		   struct err *e); /* a tag or a digest; as it is */
/* A blob of at most max bytes, its digest checked. */
int small_blob(struct session *s, const struct oci_descriptor *d, size_t max, struct strb *ret, struct err *e);
int referrers_fetch(struct session *s, const char *digest, const char *type, struct strb *ret_index, struct err *e);

/* ---- subject.c ---- */
struct referrer {
	const char *media_type, *digest;
	size_t n;
	const struct oci_manifest *doc;
};
/* Pure. index (n 0: there is none yet) with one more entry; out stays empty where it has that already. */
int referrers_add(const char *index, size_t n, const struct referrer *r, struct strb *out, struct err *e);
int subject_note(struct session *s, const char *media_type, const void *p, size_t n, const char *digest, struct err *e);

/* ---- manifest.c: pure ---- */
enum doc_kind { DOC_IMAGE, DOC_INDEX, DOC_SCHEMA1, DOC_OTHER };
enum doc_kind doc_kind(const char *media_type, const struct oci_manifest *m);
int document_read(const char *p, size_t n, struct oci_manifest *ret, struct err *e);
const struct oci_descriptor *document_choose(const struct oci_manifest *index, const struct oci_platform *want);
int document_check_image(const char *name, const struct oci_manifest *m, struct err *e); /* name: for the error */
