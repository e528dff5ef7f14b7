/* fiber.c - fibers over ucontext. Stacks are mapped with a guard page; only what is touched costs memory. */
#include "registry/fiber.h"

#include <sys/mman.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#include <dlfcn.h>
#include <sanitizer/common_interface_defs.h>
#define STACK (1024 * 1024)
#elif defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define STACK (1024 * 1024)
#else
#define STACK (256 * 1024)
#endif
#define GUARD 4096

struct fiber {
	ucontext_t ctx;
	char *stack;
	void (*f)(void *);
	void *arg;
	bool done;
	void *san; /* sanitizers want to be told of every change of stacks */
	struct fiber *next_ready;
};

/* The one thread's state. */
static struct {
	ucontext_t loop;
	struct fiber *now, *ready, *ready_last;
	void *san;
	const void *loop_stack;
	size_t loop_size;
} sched;

#if defined(__SANITIZE_ADDRESS__)
/* ASan's own swapcontext guesses at stacks and warns of it; we tell it of every change, so libc's is the right one. */
static int swap(ucontext_t *from, const ucontext_t *to)
{
	static int (*real)(ucontext_t *, const ucontext_t *);

	if (!real) {
		void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
		void *f = libc ? dlsym(libc, "swapcontext") : NULL;

		if (!f)
			abort();
		memcpy(&real, &f, sizeof f);
	}
	return real(from, to);
}
#else
#define swap swapcontext
#endif

struct fiber *fiber_self(void)
{
	return sched.now;
}

#if defined(__SANITIZE_ADDRESS__)
static void san_entered(void)
{
	__sanitizer_finish_switch_fiber(NULL, &sched.loop_stack, &sched.loop_size);
}
#else
static void san_entered(void)
{
}
#endif

static void to_loop(struct fiber *f)
{
	sched.now = NULL;
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_start_switch_fiber(f->done ? NULL : &f->san, sched.loop_stack, sched.loop_size);
#elif defined(__SANITIZE_THREAD__)
	__tsan_switch_to_fiber(sched.san, 0);
#endif
	(void)swap(&f->ctx, &sched.loop);
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_finish_switch_fiber(f->san, &sched.loop_stack, &sched.loop_size);
#endif
}

static void fiber_main(void)
{
	struct fiber *f = sched.now;

	san_entered();
	f->f(f->arg);
	f->done = true;
	to_loop(f);
	abort(); /* nobody wakes the dead */
}

static void fiber_free(struct fiber *f)
{
#if defined(__SANITIZE_THREAD__)
	__tsan_destroy_fiber(f->san);
#endif
	(void)munmap(f->stack, STACK + GUARD);
	free(f);
}

static void to_fiber(struct fiber *f)
{
#if defined(__SANITIZE_ADDRESS__)
	void *mine = NULL;

	sched.now = f;
	__sanitizer_start_switch_fiber(&mine, f->stack + GUARD, STACK);
	(void)swap(&sched.loop, &f->ctx);
	__sanitizer_finish_switch_fiber(mine, NULL, NULL);
#elif defined(__SANITIZE_THREAD__)
	sched.now = f;
	sched.san = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(f->san, 0);
	(void)swap(&sched.loop, &f->ctx);
#else
	sched.now = f;
	(void)swap(&sched.loop, &f->ctx);
#endif
	if (f->done)
		fiber_free(f);
}

int fiber_start(void (*f)(void *arg), void *arg)
{
	struct fiber *n = xcalloc(1, sizeof *n);

	n->stack = mmap(NULL, STACK + GUARD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			0);
	if (n->stack == MAP_FAILED || mprotect(n->stack, GUARD, PROT_NONE) < 0 || getcontext(&n->ctx) < 0) {
		free(n);
		return -ENOMEM;
	}
	n->f = f;
	n->arg = arg;
	n->ctx.uc_stack.ss_sp = n->stack + GUARD;
	n->ctx.uc_stack.ss_size = STACK;
	makecontext(&n->ctx, fiber_main, 0);
#if defined(__SANITIZE_THREAD__)
	n->san = __tsan_create_fiber(0);
#endif
	fiber_wake(n);
	return 0;
}

void fiber_wait(void)
{
	to_loop(sched.now);
}

void fiber_wake(struct fiber *f)
{
	f->next_ready = NULL;
	if (sched.ready_last)
		sched.ready_last->next_ready = f;
	else
		sched.ready = f;
	sched.ready_last = f;
}

bool fiber_run_ready(void)
{
	bool any = false;

	while (sched.ready) {
		struct fiber *f = sched.ready;

		sched.ready = f->next_ready;
		if (!sched.ready)
			sched.ready_last = NULL;
		to_fiber(f);
		any = true;
	}
	return any;
}

void fiber_enter(struct fiber_gate *g)
{
	if (g->free > 0) {
		g->free--;
		return;
	}
	*VEC_ADD(&g->line) = fiber_self();
	fiber_wait(); /* the place is handed over by who leaves */
}

void fiber_leave(struct fiber_gate *g)
{
	if (g->line.n == 0) {
		g->free++;
		return;
	}
	fiber_wake(g->line.v[0]);
	memmove(g->line.v, g->line.v + 1, (--g->line.n) * sizeof g->line.v[0]);
}
