/* proto.h - what hoyd and a container's shim say to each other, over SOCK_SEQPACKET (proc.h: struct msg). Numbers are never redefined;
 * layouts only grow at the end. hoyd talks first; a shim serves one hoyd at a time (a newer connection replaces the older).
 *
 * hoy-shim is started by hoyd as:  hoy-shim <id>   with descriptors
 *     3  the container's folder (data root: docker/containers/<id>): journal, log files
 *     4  a connected SOCK_SEQPACKET socket to this hoyd
 *     5  a listening SOCK_SEQPACKET socket (exec root: shim/<id>.sock), where later hoyds find it; the shim unlinks nothing
 *     6  the directory shim/ of the exec root, so that the shim can remove its socket when it ends
 * in a session and cgroup of its own (hoyd puts it there), environment empty. It ends by itself when its container is not running,
 * its journal is acknowledged, nobody is attached and hoyd says SHIM_QUIT or has been gone for 10 s with nothing left to tell.
 *
 * Every request is answered by SHIM_OK or SHIM_ERROR (or the answer named below) with the same seq. Layout notation: u32, i64, str,
 * bytes as msg_put_*; [fd name] = a descriptor, in this order. */
#pragma once

#define SHIM_PROTO_VERSION 1

enum shim_msg {
	SHIM_REEXEC = 1, /* reserved for replacing a shim by a newer one */

	/* hoyd -> shim */
	SHIM_HELLO =
		10, /* u32 version, i64 journal seq that hoyd has stored      -> SHIM_STATE, then the journal above it */
	SHIM_CONFIG =
		11, /* u32 flags(SHIM_CFG_*), str log driver ("json-file","none"), i64 max_size(-1 none), u32 max_file,
	                          * str log path name in folder, str json of extra attrs or NULL   -> OK. Before the first attach or start. */
	SHIM_START =
		12, /* u32 flags, [plan memfd][slot descriptors...]: prepares; answers SHIM_NETNS at once when the plan makes a new
	                          * network namespace; then waits for SHIM_GO. Without a new namespace it goes on by itself.
	                          * At the end: SHIM_STARTED or SHIM_ERROR */
	SHIM_GO =
		13, /* the network is configured: let it exec. Same seq as its SHIM_START. u32 0 = go, else give up. Not answered when the
	               * start has failed meanwhile: the SHIM_ERROR of the start is the answer */
	SHIM_SIGNAL = 14, /* u32 signo, u32 all (the whole cgroup), u32 stop_intent */
	SHIM_FREEZE = 15, /* u32 1 = freeze, 0 = thaw */
	SHIM_ATTACH =
		16, /* u32 flags(SHIM_IO_*), bytes detach keys (decoded; none = ctrl-p,ctrl-q), bytes unread input, [fd connection] -> OK */
	SHIM_FOLLOW =
		17, /* logs -f: u32 flags(SHIM_IO_* STDOUT/STDERR/MUX/TIMESTAMPS), i64 since_ns(0), i64 until_ns(0), str file, i64 offset,
	                          * u32 last_line_partial, [fd connection]: continues from (file, offset) of the log. chunked framing by flag */
	SHIM_LOG_MARK = 18, /* -> SHIM_LOG_AT: where the log ends now */
	SHIM_WAIT =
		19, /* u32 condition(0 not-running, 1 next-exit), u32 flags(SHIM_IO_CHUNKED), [fd connection]: writes {"StatusCode":n}\n and closes -> OK */
	SHIM_EXEC = 20, /* str exec id, u32 flags(SHIM_IO_*), bytes detach keys, bytes unread input, u32 rows, u32 cols,
	                          * [fd process plan memfd][fd connection, unless DETACHED]   -> SHIM_STARTED or SHIM_ERROR
	                          * The HTTP head is out already: output flows at once. 21 is not used any more */
	SHIM_RESIZE = 22, /* str exec id or NULL = container, u32 rows, u32 cols */
	SHIM_ACK = 23, /* i64 journal seq: stored by hoyd, may be dropped. Not answered. Clients of SHIM_WAIT get their
	                      * answer when the exit is acknowledged (or after 100 ms, or when there is no hoyd): acknowledge at once */
	SHIM_LEND_NS = 24, /* u32 mask of 1 << PLAN_NS_*          -> SHIM_NS u32 mask given, [fds in order of bits] */
	SHIM_LEND_NETLINK =
		25, /* u32 count      -> SHIM_NETLINK [NETLINK_ROUTE and NETLINK_NETFILTER sockets born in the container's netns][fd netns] */
	SHIM_QUIT = 26, /* end when nothing runs. -> OK then exit; SHIM_ERROR (EBUSY) while a process runs */
	SHIM_LEND_ROOT =
		27, /* -> SHIM_ROOT [fd O_PATH of the container's root in its mount namespace]: reads and writes of a running container */
	SHIM_UPDATE = 28, /* bytes encoded plan whose cgroup part is applied (docker update) -> OK */
	SHIM_RESERVE =
		29, /* u32 n, n times { u32 relay, str proto "tcp"/"udp", str target address, u32 target port }, [n sockets bound to
	             * host ports]: added to those held until the container ends; those with relay are served by a forked child
	             * that calls net_relay(). n = 0 drops all that are held. Comes before SHIM_START or before its SHIM_GO */
	SHIM_ATTACH_CLOSE = 30, /* every attach session ends (container removed) */
	SHIM_RESTART =
		31, /* u32 enum shim_restart, u32 most restarts (0 = any number): counts from the next exit on -> OK */
	SHIM_SYNC = 32, /* -> OK, behind every event that the shim has told so far */

	/* shim -> hoyd, answers */
	SHIM_OK = 100,
	SHIM_ERROR = 101, /* u32 errno, u32 enum act_failure, str sentence */
	SHIM_STATE =
		102, /* u32 version, u32 running, u32 pid, i64 started_ns, i64 newest journal seq, u32 frozen, u32 attached sessions,
		      * u32 restarting: it has ended and will run again by itself */
	SHIM_NETNS = 103,   /* [fd netns][fd NETLINK_ROUTE socket][fd NETLINK_NETFILTER socket], born inside */
	SHIM_STARTED = 104, /* u32 pid, i64 time ns */
	SHIM_LOG_AT =
		105, /* str file, i64 offset; everything before it is readable. file is a token (logfile_pos_parse) that
	                     * stays true when the log is rotated; hoyd reads up to there with logfile_query.to */
	SHIM_NS = 106,
	SHIM_NETLINK = 107,
	SHIM_ROOT = 108,

	/* shim -> hoyd, unasked (seq 0): the journal and sessions */
	SHIM_EVENT =
		200, /* i64 journal seq (0 = not kept), u32 enum shim_event, i64 time ns, str exec id or NULL, i64 a, i64 b, str text */
};

enum shim_restart {
	SHIM_RESTART_NO,
	SHIM_RESTART_ALWAYS,
	SHIM_RESTART_UNLESS_STOPPED,
	SHIM_RESTART_ON_FAILURE,
};

enum shim_exit_flag {
	SHIM_EXIT_OOM = 1, /* the kernel's OOM killer struck */
	SHIM_EXIT_AGAIN =
		2, /* the shim will start it again; a later exit without this says that it will not after all */
};

enum shim_event {
	SHIM_EV_START = 1,      /* a = pid, b = restarts by the shim since the last start by hoyd */
	SHIM_EV_EXIT = 2,       /* a = exit code 0..255 (128+signal), b = SHIM_EXIT_* */
	SHIM_EV_EXEC_START = 3, /* exec id, a = pid */
	SHIM_EV_EXEC_EXIT = 4,  /* exec id, a = exit code */
	SHIM_EV_OOM = 5,
	SHIM_EV_DETACH = 6, /* detach keys typed; exec id or NULL */
};

enum shim_cfg {
	SHIM_CFG_TTY = 1,
	SHIM_CFG_OPEN_STDIN = 2, /* keep a stdin for the process; otherwise /dev/null */
	SHIM_CFG_STDIN_ONCE = 4, /* close it when the first attached client goes */
};

enum shim_io {
	SHIM_IO_STDIN = 1,
	SHIM_IO_STDOUT = 2,
	SHIM_IO_STDERR = 4,
	SHIM_IO_TTY = 8,      /* raw bytes; otherwise multiplexed frames */
	SHIM_IO_CHUNKED = 16, /* wrap what is written in HTTP chunks and end with the last chunk (wait, logs) */
	SHIM_IO_TIMESTAMPS = 32,
	SHIM_IO_DETACHED = 64, /* 128 is not used any more */
	SHIM_IO_DETAILS = 256, /* logs: attributes before the line */
};
