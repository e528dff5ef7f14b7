/* shim_link.h - hoyd's end of the sockets to the shims (shim/proto.h): starting a shim, finding a living one again, requests with their
 * answers, and one thread that receives everything. Private to the engine.
 *
 * Locking: a link's own lock guards its pending calls. The receiving thread calls the owner's callbacks with no lock held; they must
 * not block on anything that waits for this thread (a shim_call). */
#pragma once

#include "proc/proc.h"
#include "shim/proto.h"

struct shim_hub;
struct shim_link;

struct shim_news { /* one SHIM_EVENT; strings lent for the call */
	int64_t seq;
	uint32_t event; /* enum shim_event */
	int64_t time_ns;
	const char *exec_id;
	int64_t a, b;
	const char *text;
};
bool shim_news_read(const void *body, size_t n, struct shim_news *ret); /* false: malformed */
struct shim_callbacks {
	void (*news)(void *owner, struct shim_link *link, const struct shim_news *n);
	void (*dead)(void *owner, struct shim_link *link); /* the socket closed; comes once, after all news */
};

int shim_hub_new(const struct shim_callbacks *cb, struct shim_hub **ret, struct err *e);
void shim_hub_free(struct shim_hub *h); /* stops receiving; links must be released before or after, shims live on */

struct shim_place {
	const char *program; /* path of hoy-shim */
	const char *id;
	int folder;  /* container's folder */
	int sockets; /* exec root's shim/ */
};
int shim_spawn(struct shim_hub *h, const struct shim_place *p, struct shim_link **ret, struct err *e);
int shim_find(struct shim_hub *h, const struct shim_place *p, struct shim_link **ret,
	      struct err *e); /* -ECONNREFUSED, -ENOENT: none */
/* No call waits for ever: -EHOSTDOWN means that the shim does not answer, for calls of all kinds. The link works when the shim does again;
 * until then it is asked with little patience. The one way out is shim_kill. */
#define SHIM_SILENT (-EHOSTDOWN)
#define SHIM_CALL_S 10   /* patience with a living shim, whose loop waits for nothing */
#define SHIM_EXEC_S 60   /* ... that reads a program from a slow disk */
#define SHIM_START_S 120 /* ... that mounts volumes */
/* After HELLO: news flow to the owner from now on. The link holds the caller's reference of the owner until shim_forget_owner says true
 * or until the dead callback, which releases it. */
int shim_hello(struct shim_link *l, int64_t journal_seq, void *owner, struct msg *ret_state, struct err *e);
struct shim_link *shim_link_ref(struct shim_link *l);
void shim_link_unref(struct shim_link *l); /* NULL is fine; the last one closes the socket */
bool shim_alive(struct shim_link *l);
/* No callback begins after this returns. True for the one call that took the owner away: its caller releases what the link held of it. */
bool shim_forget_owner(struct shim_link *l);

/* Ends a shim that does not answer, as SIGKILL does; its end is told as that of any dead one. Never a process that only has its number
 * today: a child of ours that is not reaped, or one of whom its living socket, its pidfd and its arguments say the same. */
int shim_kill(struct shim_link *l, const char *id, struct err *e);

struct shim_request {
	uint16_t type;
	int patience_s; /* 0 = SHIM_CALL_S */
	const void *body;
	size_t n;
	const int *fds;
	size_t n_fds;
};
/* One request, one answer. A SHIM_ERROR answer becomes *e (ret_failure gets its enum act_failure where wanted). */
int shim_call(struct shim_link *l, const struct shim_request *q, struct msg *ret, uint32_t *ret_failure, struct err *e);

/* The same for what takes as long as it takes: patient for as long as the shim says, when asked between, that it is well. */
int shim_call_patiently(struct shim_link *l, const struct shim_request *q, struct err *e);

/* Requests with several answers (SHIM_START): begin, say more under the same number, take answers one by one, end. */
struct shim_talk;
int shim_talk_begin(struct shim_link *l, const struct shim_request *q, struct shim_talk **ret, struct err *e);
int shim_talk_say(struct shim_talk *t, const struct shim_request *q, struct err *e);
int shim_talk_next(struct shim_talk *t, int patience_s, struct msg *ret, uint32_t *ret_failure, struct err *e);
void shim_talk_end(struct shim_talk *t);
/* Not answered. Dropped (-EAGAIN) where the shim has not read for so long that there is no room. */
int shim_tell(struct shim_link *l, const struct shim_request *q);
void shim_ack(struct shim_link *l, int64_t journal_seq); /* everything up to this is stored: the shim may drop it */
