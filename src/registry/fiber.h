/* fiber.h - one story per request on one thread: a fiber runs until it waits, and goes on when somebody wakes it. So the client reads
 * from top to bottom (ping, sign in, ask, follow, try again) while one loop moves the bytes of all requests. */
#pragma once

#include "base/base.h"

struct fiber;
/* f(arg) begins with the next fiber_run_ready(). arg belongs to f. */
int fiber_start(void (*f)(void *arg), void *arg);
struct fiber *fiber_self(void);   /* NULL outside of all */
void fiber_wait(void);            /* until woken */
void fiber_wake(struct fiber *f); /* it runs in the next fiber_run_ready() */
bool fiber_run_ready(void);       /* true where something ran */

/* At most `free` fibers at a time; the others wait in line. Zeroed = locked for ever. */
struct fiber_gate {
	unsigned free;
	struct {
		struct fiber **v;
		size_t n;
	} line;
};
void fiber_enter(struct fiber_gate *g);
void fiber_leave(struct fiber_gate *g);
static inline void fiber_leavep(struct fiber_gate **g)
{
	if (*g)
		fiber_leave(*g);
}
#define AUTO_LEAVE CLEANUP(fiber_leavep)
