/* relay.h - carries connections from a bound host socket to a container's port, where packets have no path of their own: IPv6 host
 * addresses (::1 among them) in front of an IPv4-only container. Libc only: the shim links it and runs it in a forked child. */
#pragma once

#include "base/base.h"

/* Serves fd (as net_ports_reserve made it: TCP bound, UDP bound) until it is killed; returns only when fd itself fails: -errno.
 * target is an address ("172.17.0.2" or an IPv6 one). Closes descriptors of its own making only; keeps at most RELAY_SESSIONS_MAX
 * connections (UDP: conversations, idle for 90 s at most); more wait in the backlog. Single-threaded, epoll, splice.
 * Takes the process over: ignores SIGPIPE and raises the limit of open files to the hard one. */
#define RELAY_SESSIONS_MAX 1024
int net_relay(int fd, const char *proto, const char *target, uint16_t port);
