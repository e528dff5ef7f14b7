/* api.h - the Docker API: routes, and for each one decode -> one engine call -> encode. The only place where error kinds become HTTP
 * status. Speaks API 1.24 to 1.51; what it does not know how to do answers 501, swarm answers as a node outside a swarm does. */
#pragma once

#include "engine/engine.h"
#include "http/http.h"

#define API_VERSION_MINOR 51
#define API_MIN_MINOR 24
#define API_VERSION "1.51"
#define API_MIN_VERSION "1.24"

struct api {
	struct engine *engine;
};
/* An http_handler: http_serve_conn(fd, NULL, api_handle, &api). */
void api_handle(struct http_conn *c, const struct http_request *rq, void *api);
