/* core.h - what the shim's files share. Private to shim/. Everything belongs to the one thread. */
#pragma once

#include "act/act.h"
#include "logfile/logfile.h"
#include "proc/proc.h"
#include "shim/proto.h"
#include "shim/shim.h"
#include "stream/stream.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/types.h>

#define SESSION_FULL (1024 * 1024) /* a client that does not read: the process waits from here on */
#define STDIN_FULL (64 * 1024)     /* a process that does not read: its clients wait */
#define FOLLOW_FULL (64 * 1024)
#define MS 1000000LL

/* ---- loop ---- */
struct source {
	int fd;
	uint32_t
		want; /* EPOLL* bits it is registered with; 0 = not registered. EPOLLHUP alone = tell me only of its end */
	void (*ready)(struct source *s, uint32_t events);
};
struct loop {
	int epoll;
};
int loop_open(struct loop *l);
void loop_want(struct loop *l, struct source *s, uint32_t events);
void loop_close(struct loop *l,
		struct source *s);             /* unregisters and closes: a copy of the descriptor may live elsewhere */
int loop_turn(struct loop *l, int timeout_ms); /* handles one event at most: handlers may free any source */

/* ---- journal ---- */
struct event {
	int64_t seq;
	uint32_t what;
	struct strb body; /* of SHIM_EVENT */
};
struct journal {
	int fd;
	int64_t newest, acked, size;
	struct {
		struct event *v;
		size_t n;
	} events; /* not acknowledged, oldest first */
};
#define JOURNAL_EVENTS_MAX 1024
int journal_open(struct journal *j, int dir, const char *name);
void journal_done(struct journal *j);
void journal_known(struct journal *j, int64_t seq); /* hoyd has everything up to seq */
const struct event *journal_add(struct journal *j, uint32_t what, const char *exec_id, int64_t a, int64_t b,
				const char *text);
int journal_sync(struct journal *j);

/* ---- the process's side ---- */
struct shim;
struct io {
	struct shim *shim;
	struct source in, out[2]; /* ours of its pipes; with a terminal: in and out[0] */
	struct strb queue;        /* stdin that the process has not taken yet */
	bool tty, logged;
	bool live;    /* there is a process, or was and its output is not drained */
	bool in_ends; /* close stdin when the queue is empty */
};
void io_init(struct io *io, struct shim *s);
int io_make(struct io *io, bool open_stdin, int ret_child[3]); /* the child's ends are the caller's */
int io_terminal(struct io *io, int master);                    /* takes master */
void io_begin(struct io *io);                                  /* the process runs: let bytes flow */
void io_input(struct io *io, const char *p, size_t n);
void io_input_end(struct io *io);
void io_drain(struct io *io);   /* what is readable now, back-pressure or not */
void io_finish(struct io *io);  /* closes all, ends its sessions */
void io_rest(void);             /* gives the memory of the last burst back */
void io_balance(struct io *io); /* who may send, who must wait: after every change of a queue */

/* ---- handed-over connections ---- */
enum conn_kind { CONN_ATTACH, CONN_FOLLOW, CONN_WAIT };
struct conn {
	struct source src;
	struct conn *next;
	struct shim *shim;
	enum conn_kind kind;
	uint32_t flags; /* SHIM_IO_* */
	struct strb out;
	size_t out_done;
	bool ending;      /* close when out is empty */
	bool lingering;   /* our side is shut, waiting for the peer's end */
	bool input_over;  /* the peer's side is shut */
	bool away;        /* the peer reads no more, but what it sent before is still to be taken */
	int64_t deadline; /* of lingering */

	struct io *io; /* attach */
	char exec_id[72];
	struct detach_matcher detach;
	struct logfile_reader *reader; /* follow */
	bool more;                     /* follow: there is more to send than one turn may take */
	bool draining;                 /* follow: the container is gone, end at the end of the log */
	int64_t exit_seq;              /* wait: the last exit when it came */
	uint32_t condition;            /* wait */
};
struct conn *conn_new(struct shim *s, int fd, enum conn_kind kind, uint32_t flags);
void conn_close(struct conn *c); /* at once; c is gone */
void conn_end(struct conn *c);   /* after its output; c may be gone */
bool conn_flush(struct conn *c); /* false = c is gone */
bool conn_lost(struct conn *c);  /* the peer is not there any more; false = c is gone */
bool conn_write(struct conn *c, enum stream_id id, const char *p, size_t n); /* framed as its flags say; false = gone */
static inline size_t conn_pending(const struct conn *c)
{
	return c->out.len - c->out_done;
}
void attach_new(struct io *io, int fd, uint32_t flags, const char *exec_id, const struct detach_keys *keys,
		const char *input, size_t n);
void attach_output(struct io *io, enum stream_id id, const char *p, size_t n);
void attach_end_all(struct io *io);
bool attach_ready(struct conn *c, uint32_t events); /* false = gone */
void attach_balance(struct conn *c);
int follow_new(struct shim *s, int fd, uint32_t flags, int64_t since_ns, int64_t until_ns,
	       const struct logfile_pos *from, struct err *e);
void follow_pump(struct conn *c); /* c may be gone */
void follow_pump_all(struct shim *s, bool last);
void wait_new(struct shim *s, int fd, uint32_t flags, uint32_t condition);
enum wait_which { WAIT_EXITED, WAIT_EVERYBODY };
void wait_answer_all(struct shim *s, enum wait_which which);

/* ---- tasks ---- */
enum state { IDLE, PREPARED, RUNNING };
struct exec {
	struct exec *next;
	char *id;
	struct io io;
	struct act_child child;
	bool exited;
	int64_t deadline; /* exited: when to stop waiting for what still holds its pipes */
};
struct relay {
	struct relay *next;
	int fd;
	pid_t pid;
};
struct restart {
	uint32_t policy, max, count; /* enum shim_restart */
	bool stopping;               /* told to end: it does not come back */
	int64_t began_ns, delay_ns;  /* the last start; the last delay */
	int64_t at_ns;               /* when it runs again; 0 = nothing is planned */
	int plan;                    /* of the last start */
	int slots[MSG_FDS_MAX];      /* of its plan */
	size_t n_slots;
};
struct shim {
	struct shim_opts o;
	struct loop loop;
	struct source control, listener, signals, oom;
	struct journal journal;
	int64_t hoyd_gone_ns; /* when the connection ended; 0 = there is one */
	bool hello, quit, stop;
	uint32_t quit_seq;

	uint32_t cfg; /* SHIM_CFG_* */
	char *log_name;
	struct logfile *log;
	struct logfile_opts log_opts;

	enum state state;
	uint32_t start_seq, failed_seq; /* the start that is prepared; the last one that failed */
	struct io io;
	struct act_child child;
	int netns;
	char *cgroup;
	struct restart restart;
	bool own_pidns, own_userns, frozen, oomed;
	bool unsynced; /* its root file system is gone without being synced */
	int64_t started_ns, oom_seen;
	int exit_code;
	int64_t exit_seq; /* the exit's place in the journal, waiters are answered when hoyd knows it */
	int64_t wait_by;  /* ... or then; 0 = nobody has to be answered */
	int64_t busy_ns;  /* when much was copied last; memory is given back a while later; 0 = it was */
	pid_t cleaner;    /* drops namespaces and cgroup */
	int64_t clean_by; /* they are still to be dropped, without a cleaner if that may be; 0 = they are not */
	struct exec *execs;
	struct conn *conns;
	struct relay *relays;
};
int task_start(struct shim *s, uint32_t seq, struct msg *m, struct err *e); /* plan and slots are m's descriptors */
int task_go(struct shim *s, struct err *e);
void task_give_up(struct shim *s);
int task_again(struct shim *s,
	       struct err *e); /* the plan of the last start once more, in the network namespace that was kept */
void task_drop_netns(struct shim *s);
bool restart_plan(struct shim *s);
void restart_now(struct shim *s);
void restart_cancel(struct shim *s);
void restart_reset(struct shim *s);
int restart_keep(struct shim *s, int plan, const int *slots, size_t n); /* takes plan */
void restart_done(struct shim *s);
int task_exec(struct shim *s, uint32_t seq, struct msg *m, enum act_failure *ret_failure, struct err *e);
int task_signal(struct shim *s, int signo, bool all);
int task_freeze(struct shim *s, bool frozen, struct err *e);
void task_reap(struct shim *s);
void task_exec_exited(struct shim *s, struct exec *x, int status);
void task_timers(struct shim *s, int64_t now);
int64_t task_next_timer(const struct shim *s);
int task_resize(struct shim *s, const char *exec_id, uint32_t rows, uint32_t cols);
void task_clean_now(struct shim *s);
void task_clean_wait(struct shim *s); /* until nothing is left of the last run */
void task_event(struct shim *s, uint32_t what, const char *exec_id, int64_t a, int64_t b, const char *text, bool kept);
void relay_drop_all(struct shim *s);
int relay_add(struct shim *s, int fd, bool relayed, const char *proto, const char *target, uint16_t port);
int netlink_pair(int netns, int ret[2]); /* NETLINK_ROUTE, NETLINK_NETFILTER born inside */

/* ---- hoyd ---- */
void control_open(struct shim *s, int fd); /* takes fd */
void control_message(struct shim *s, struct msg *m);
void control_send_event(struct shim *s, const struct event *ev);
int control_reply(struct shim *s, uint32_t seq, uint16_t type, const struct strb *body, const int *fds, size_t n_fds);
void control_error(struct shim *s, uint32_t seq, int r, enum act_failure f, const char *text);
void control_maybe_end(struct shim *s, int64_t now);
