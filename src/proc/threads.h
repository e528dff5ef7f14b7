/* threads.h - work for detached threads. One that has finished waits a moment for the next piece of work; a thread is made only when
 * none waits, so work never queues behind other work. Thread-safe. Not for programs with one thread: the shim has no part of it. */
#pragma once

#include "base/base.h"

typedef void thread_fn(void *arg);
struct threads;
struct threads *threads_new(size_t stack);
/* f(arg) begins soon, in another thread. -EAGAIN where no thread can be had: f is not called. */
int threads_run(struct threads *t, thread_fn *f, void *arg);
/* Threads that wait end now, those at work when they have finished; none may be asked for any more. NULL is fine. */
void threads_close(struct threads *t);
