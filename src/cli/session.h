/* session.h - a person (or a pipe) at a hijacked connection: copying both ways with half-close, the raw terminal and its way
 * back, window sizes, signals handed on, detach keys. Used by run, start, attach and exec. */
#pragma once

#include "cli/command.h"

struct session {
	struct cli *cli;
	int fd;             /* the connection; the session's */
	struct strb unread; /* what came with the head */
	bool tty;           /* raw bytes; otherwise frames */
	bool use_stdin;
	bool use_stdout, use_stderr;
	const char *detach_keys; /* "" = the default */
	const char *resize_path; /* "/containers/ID/resize", or NULL */
	const char *kill_path;   /* "/containers/ID/kill" when signals are handed on, or NULL */
	bool detached;           /* out: the keys were typed */
};
/* Call before the container starts, so that no signal is missed; ended by session_end. */
void session_signals_block(void);
/* Copies until the peer ends the connection or the keys are typed. */
int session_run(struct session *s, struct err *e);
void session_drop(struct session *s); /* a connection that session_run never got */
/* Tells the daemon our window's size; tries again while the container is still starting. */
void session_resize(struct cli *cli, const char *resize_path);
/* The same for a program that has drawn its screen already: a wrong size first, so that it draws again. */
void session_redraw(struct cli *cli, const char *resize_path);
bool terminal_size(unsigned *ret_rows, unsigned *ret_columns);
/* "the input device is not a TTY" and the like, before anything is asked of the daemon */
int session_check_tty(bool attach_stdin, bool tty, struct err *e);
int fd_write_full(int fd, const void *p, size_t n); /* also to a descriptor that is O_NONBLOCK */

/* The daemon's framed stream (logs) or raw one -> stdout and stderr. */
struct answer;
int stream_copy(struct answer *a, bool framed, struct err *e);
