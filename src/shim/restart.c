/* restart.c - the restart policy: whether a container that has ended runs again, when, and starting it without hoyd. The plan's
 * descriptor (sealed by hoyd) is kept, the network namespace with all that hoyd configured in it is kept meanwhile, and so are published ports. */
#include "shim/core.h"

#define DELAY_FIRST_NS (100 * MS)
#define DELAY_MAX_NS (60000 * MS)
#define GOOD_RUN_NS (10000 * MS) /* ran as long as that: the next delay is the first one again */
#define CLEANING_NS (10 * MS)

static bool wanted(const struct shim *s)
{
	switch (s->restart.policy) {
	case SHIM_RESTART_ALWAYS:
	case SHIM_RESTART_UNLESS_STOPPED:
		return true;
	case SHIM_RESTART_ON_FAILURE:
		return s->exit_code != 0 && (s->restart.max == 0 || s->restart.count < s->restart.max);
	default:
		return false;
	}
}

/* It has ended. True: it will run again. */
bool restart_plan(struct shim *s)
{
	struct restart *r = &s->restart;
	int64_t now = time_mono_ns();

	if (r->stopping || s->quit || s->own_userns || !wanted(s))
		return false;
	r->delay_ns = now - r->began_ns >= GOOD_RUN_NS || !r->delay_ns ? DELAY_FIRST_NS
								       : MIN(r->delay_ns * 2, DELAY_MAX_NS);
	r->at_ns = now + r->delay_ns;
	return true;
}

/* The last word on a container that was to run again. */
static void stays_down(struct shim *s, int code)
{
	s->restart.at_ns = 0;
	s->exit_code = code;
	relay_drop_all(s);
	task_event(s, SHIM_EV_EXIT, NULL, code, 0, NULL, true);
	s->exit_seq = s->journal.newest;
	(void)journal_sync(&s->journal);
	wait_answer_all(s, WAIT_EVERYBODY);
}

void restart_cancel(struct shim *s)
{
	if (!s->restart.at_ns)
		return;
	stays_down(s, s->exit_code);
	task_drop_netns(s);
}

void restart_now(struct shim *s)
{
	struct err e = ERR_INIT;

	if (s->cleaner > 0) { /* of the last run: its cgroup goes first */
		s->restart.at_ns = time_mono_ns() + CLEANING_NS;
		return;
	}
	s->restart.at_ns = 0;
	s->restart.count++;
	if (task_again(s, &e) == 0)
		return;
	log_error("restarting: %s", e.msg);
	stays_down(s, s->child.failure == ACT_FAILED_NOT_FOUND        ? 127
		      : s->child.failure == ACT_FAILED_NOT_EXECUTABLE ? 126
								      : 128);
}

/* A start by hand counts anew. */
void restart_reset(struct shim *s)
{
	s->restart.at_ns = s->restart.delay_ns = 0;
	s->restart.count = 0;
	s->restart.stopping = false;
}

void restart_done(struct shim *s)
{
	for (size_t i = 0; i < s->restart.n_slots; i++)
		(void)close(s->restart.slots[i]);
	s->restart.n_slots = 0;
	fd_closep(&s->restart.plan);
}

/* The plan, and namespaces of others that it joins: their descriptors are needed again. */
int restart_keep(struct shim *s, int plan, const int *slots, size_t n)
{
	restart_done(s);
	s->restart.plan = plan;
	for (size_t i = 0; i < n; i++) {
		int fd = fcntl(slots[i], F_DUPFD_CLOEXEC, 3);

		if (fd < 0)
			return -errno;
		s->restart.slots[s->restart.n_slots++] = fd;
	}
	return 0;
}
