/* registry_call.h - what hoyd and `hoy-worker registry` say to each other. One worker per session; its first request is REG_OPEN,
 * every later one is answered under its own number, in any order, so that many can be under way. Numbers are never redefined;
 * layouts only grow at the end. A failed request is answered with WORKER_ERROR (worker_call.h), followed by i64 have, i64 wire. */
#pragma once

#include "store/worker_call.h"

enum registry_msg {
	/* requests */
	REG_OPEN = 200,            /* [memfd: struct of fields, see registry_open_write] -> REG_READY */
	REG_RESOLVE = 201,         /* str tag or digest, str platform -> REG_RESOLVED */
	REG_MANIFEST = 202,        /* str tag or digest, u32 head only -> REG_DOCUMENT */
	REG_TAGS = 203,            /* -> REG_LIST */
	REG_REFERRERS = 204,       /* str digest, str artifact type -> REG_DOCUMENT (an index) */
	REG_BLOB_GET = 205,        /* [fd file] str digest, i64 size, i64 from, u32 n, n * str URL -> REG_BLOB_GOT */
	REG_BLOB_HEAD = 206,       /* str digest -> REG_SIZE */
	REG_BLOB_MOUNT = 207,      /* str digest, str from -> REG_SIZE (size -1: it has to be sent) */
	REG_BLOB_PUT = 208,        /* [fd] str digest, i64 size -> REG_SENT */
	REG_MANIFEST_PUT = 209,    /* [memfd] str tag or digest, str media type -> REG_SENT */
	REG_MANIFEST_DELETE = 210, /* str digest -> REG_SIZE */
	REG_SEARCH = 211,          /* str term, u32 limit -> REG_LIST */
	REG_LOGIN = 212,           /* -> REG_LIST: identity token or nothing */
	REG_VERIFY =
		213, /* [memfd: u32 n, n * (str name, bytes SubjectPublicKeyInfo)] str name, u32 n, n * str digest, str tag -> REG_VERIFIED */
	REG_FETCH =
		214, /* [fd pipe] str URL -> REG_SIZE. Into the pipe: i64 length of what comes, -1 = not known; the bytes. No i64, no good answer */

	/* answers */
	REG_READY = 300,
	REG_RESOLVED =
		301, /* [memfd: str digest, str media type, bytes index, bytes manifest, str digest, str type, bytes config] */
	REG_DOCUMENT = 302, /* [memfd: str digest, str media type, i64 length, bytes (none for head)] */
	REG_LIST = 303,     /* [memfd: u32 n, n * str] */
	REG_BLOB_GOT = 304, /* i64 length of the file, i64 bytes that crossed the network */
	REG_SIZE = 305,     /* i64 */
	REG_SENT = 306,     /* str digest, i64 size */
	REG_VERIFIED = 307, /* u32 whether a good signature was found, str by which key, or why not */

	/* news, never answered */
	REG_AT = 350,  /* of a request: i64 bytes so far. May be left out when hoyd is slow to read */
	REG_SAY = 351, /* (number 0) str: for the user */
};

/* What REG_OPEN's memfd holds, in this order: u32 REG_OPEN_VERSION, str domain, str path, u32 push, list also, map headers,
 * str username, str password, str identity token, str registry token, list insecure, str http proxy, str https proxy,
 * str no proxy, str user agent, u32 parallel, u32 attempts, u32 stall seconds, u32 back-off ms, list mirrors (in order, URLs of this domain),
 * list PEM files: host, kind ("ca", "cert", "key"), bytes. A list is u32 n and n strings, a map two lists. */
#define REG_OPEN_VERSION 1
#define REG_OPEN_MAX ((size_t)16 << 20)
#define REG_DOCUMENT_MAX ((size_t)8 << 20) /* of a manifest, index or configuration */
#define REG_TEXT_MAX ((size_t)64 << 20)    /* of any answer's memfd */
#define REG_TAGS_MAX 100000
#define REG_KEYS_MAX 32
