/* clients.h - the connections of clients: a thread for each, and a bound on all of them together. A full house answers 503 with a few
 * threads that are kept for that; when those are busy too, new clients wait in the listening socket's queue. Before it comes to that,
 * connections on which no request is under way are closed, the one that has waited longest first. */
#pragma once

#include "base/base.h"

struct api;
struct threads;
struct clients;
/* Lives as long as the process: its threads do. */
struct clients *clients_new(struct api *api, struct threads *threads, size_t max);
void clients_accept(struct clients *c, int listener); /* may wait for a tenth of a second when there is no room */
size_t clients_max(void);                             /* as many as this process's descriptors allow */
