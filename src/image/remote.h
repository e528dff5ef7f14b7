/* remote.h - one repository of a registry, seen from hoyd: a session with a hoy-worker that speaks the distribution protocol
 * (OCI distribution specification 1.1, Docker Registry HTTP API V2). The worker resolves names, speaks TLS, follows redirects, signs in,
 * retries and waits as the registry asks, and parses what comes; it has no file system and no capability. hoyd gives it
 * descriptors and gets checked answers.
 *
 * Thread-safe: several threads may fetch or send blobs over one session; the worker runs them in parallel, at most
 * opts.parallel at a time. Every call blocks its thread until it is answered; remote_cancel() from another thread
 * ends all of them with -ECANCELED. Errors carry Docker's wording and kind ("manifest for x:y not found: manifest unknown ...",
 * "pull access denied for x, repository does not exist or may require 'docker login' ...", "Get \"https://h/v2/\": dial tcp ...").
 * Nothing here writes the store or the tables of images. */
#pragma once

#include "image/image.h"

/* What the daemon's options and certs.d say about registries; lives as long as hoyd. */
struct remote_config {
	const char *worker;    /* path of hoy-worker */
	const char *certs_dir; /* /etc/docker/certs.d: <host[:port]>/{ca.crt, *.cert, *.key} */
	struct strv
		insecure; /* hosts, host:port and CIDRs that may be spoken to without or with unknown TLS; 127.0.0.0/8 and ::1/128 always */
	struct strv
		mirrors; /* "[registry=]URL", tried in order before the registry itself; without "registry=" for docker.io */
	const char *http_proxy, *https_proxy, *no_proxy; /* NULL = none */
	const char *user_agent;
	unsigned parallel; /* transfers at a time and session; 0 = 3, as Docker */
	unsigned
		attempts; /* per request, and of a blob without any progress; 0 = 5, as Docker's --max-download-attempts */
	unsigned stall_s;    /* seconds without a byte after which a connection is given up; 0 = 60 */
	unsigned backoff_ms; /* before the second attempt, doubled for each further one; 0 = 500 */
};

struct remote_auth { /* of X-Registry-Auth, or of a login; NULL fields where not given */
	const char *username, *password, *identity_token, *registry_token;
};
struct remote_opts {
	const struct remote_config *config;
	const struct ref *ref; /* domain and path; tag and digest are ignored */
	struct remote_auth auth;
	bool push;               /* ask for the right to write too */
	const struct strv *also; /* further repositories to read from (cross-repository mounts); NULL = none */
	const struct strmap *meta_headers; /* X-Meta-... of the client, passed on; NULL = none */
	/* Called from any calling thread, and never after remote_close(): "Warning" headers, "Retrying in 5 seconds". NULL = silent */
	void (*say)(void *ctx, const char *text);
	void *ctx;
};
struct remote;
/* The worker dies with the calling thread, which therefore has to be the one that closes it. */
int remote_open(const struct remote_opts *o, struct remote **ret, struct err *e);
void remote_cancel(struct remote *r);
void remote_close(struct remote *r); /* ends the worker; no call may be running; NULL is fine */

/* ---- reading ---- */
struct remote_image {     /* remote_image_done */
	char *digest;     /* of the document that the name points at: what RepoDigests remembers */
	char *media_type; /* of that document */
	char *index;      /* its bytes when it is an index or list, else NULL */
	size_t index_n;
	char *manifest; /* the chosen manifest's exact bytes */
	size_t manifest_n;
	char *manifest_digest, *manifest_type;
	char *config; /* exact bytes, digest checked */
	size_t config_n;
	struct oci_manifest
		doc; /* the manifest, read and checked: schema 2 or OCI, every digest valid, sizes not negative */
};
void remote_image_done(struct remote_image *i);
/* Walks indexes (nested at most 4 deep, no cycles, attestations skipped) to the manifest for platform ("os/arch[/variant]", NULL = this
 * machine's). what: a tag or a digest. Schema 1 and artifacts that are no images are refused as Docker does. */
int remote_resolve(struct remote *r, const char *what, const char *platform, struct remote_image *ret, struct err *e);

struct remote_doc {
	char *bytes, *media_type, *digest;
	size_t n;
};
void remote_doc_done(struct remote_doc *d);
int remote_manifest_get(struct remote *r, const char *what, struct remote_doc *ret,
			struct err *e); /* as it is; <= 8 MiB */
int remote_manifest_head(struct remote *r, const char *what, struct remote_doc *ret,
			 struct err *e);                            /* bytes NULL, n its length */
int remote_tags(struct remote *r, struct strv *ret, struct err *e); /* all pages, <= 100,000 */
/* Descriptors of what refers to digest (signatures, SBOMs): the API, or the tag "sha256-<hex>" where the registry has none. type may be NULL. */
int remote_referrers(struct remote *r, const char *digest, const char *type, struct oci_manifest *ret_index,
		     struct err *e);

/* Looks for a signature of one of these digests by one of the rule's keys, for the repository name (and tag, NULL = by digest). *ret_good
 * says whether there is one, *ret_text by which key, or else what was found. Negative where the registry could not be asked. */
struct trust_rule;
int remote_verify(struct remote *r, const struct trust_rule *rule, const char *name, const struct strv *digests,
		  const char *tag, bool *ret_good, char **ret_text, struct err *e);

/* Appends a blob's bytes to fd, beginning at its byte `from` (the file has exactly that many): Range with If-Range, again and again
 * until the whole is there or attempts without any progress are used up. Several URLs of foreign layers are tried in
 * order. Does not check the digest (the reader of the file does), but never writes past d->size. progress (may be NULL) is
 * called in the caller's thread with the length of the file. On error *ret_have says how far the file is good.
 * wire (may be NULL) gets the bytes that crossed the network. */
struct remote_progress {
	void (*at)(void *ctx, int64_t have);
	void *ctx;
};
int remote_blob_get(struct remote *r, const struct oci_descriptor *d, int fd, int64_t from,
		    const struct remote_progress *p, int64_t *ret_have, int64_t *wire, struct err *e);

/* ---- writing ---- */
int remote_blob_head(struct remote *r, const char *digest, int64_t *ret_size,
		     struct err *e); /* -ENOENT where it is not there */
/* Tries to take digest over from the other repository of this registry (path). 0 = it is there now, -ENOENT = it has to be sent. */
int remote_blob_mount(struct remote *r, const char *digest, const char *from, struct err *e);
/* Sends the bytes of src (a file: size known, sent in one piece and resumed after a break; a pipe: chunks). digest and size NULL/-1 where
 * only the end knows them: the worker counts and hashes; -EAGAIN: it broke, and may go better when all of it is sent again. */
struct remote_sent {
	char digest[DIGEST_TEXT];
	int64_t size;
};
int remote_blob_put(struct remote *r, int src, const char *digest, int64_t size, const struct remote_progress *p,
		    struct remote_sent *ret, struct err *e);
int remote_manifest_put(struct remote *r, const char *what, const char *media_type, const void *bytes, size_t n,
			char ret_digest[DIGEST_TEXT], struct err *e);
int remote_manifest_delete(struct remote *r, const char *digest, struct err *e);

/* ---- without a repository ---- */
/* A session that only fetches: with a registry's certificates it has nothing to do. Closed with remote_close(). */
int remote_open_any(const struct remote_config *c, struct remote **ret, struct err *e);
/* What url answers with, into a pipe: i64 length (-1 = not known) once there is a good answer, then the bytes. One at a time and session. */
int remote_fetch(struct remote *r, const char *url, int pipe, struct err *e);
struct remote_search_row {
	char *name, *description;
	int64_t stars;
	bool official, automated;
};
struct remote_search {
	struct remote_search_row *v;
	size_t n;
};
void remote_search_done(struct remote_search *s);
/* docker search [host/]term: the v1 search endpoint, limit 1..100. */
int remote_search(const struct remote_config *c, const char *term, const struct remote_auth *a, int limit,
		  struct remote_search *ret, struct err *e);
/* docker login: checks the credentials; *ret_token is an identity token where the registry gives one, else NULL. */
int remote_login(const struct remote_config *c, const char *server, const struct remote_auth *a, char **ret_token,
		 struct err *e);
