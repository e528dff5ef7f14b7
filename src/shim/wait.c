/* wait.c - POST /containers/ID/wait: the exit code as JSON when it is known to hoyd too, so that a client that asks at once
 * sees a stopped container. */
#include "shim/core.h"

static void answer(struct conn *c)
{
	char text[64] = "";
	int n = snprintf(text, sizeof text, "{\"StatusCode\":%d}\n", c->shim->exit_code);

	c->flags |= SHIM_IO_TTY; /* no frames */
	if (conn_write(c, STREAM_STDOUT, text, (size_t)n))
		conn_end(c);
}

void wait_new(struct shim *s, int fd, uint32_t flags, uint32_t condition)
{
	struct conn *c = conn_new(s, fd, CONN_WAIT, flags & SHIM_IO_CHUNKED);

	c->condition = condition;
	c->exit_seq = s->exit_seq;
	if (condition == 0 && s->state == IDLE && !s->wait_by && !s->restart.at_ns)
		answer(c);
}

/* Who asked for the next exit after the last one had happened goes on waiting. */
void wait_answer_all(struct shim *s, enum wait_which which)
{
	s->wait_by = 0;
	for (struct conn *c = s->conns, *next; c; c = next) {
		next = c->next;
		if (c->kind != CONN_WAIT || c->ending)
			continue;
		if (which == WAIT_EVERYBODY || c->condition == 0 || c->exit_seq != s->exit_seq)
			answer(c);
	}
}
