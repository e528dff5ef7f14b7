/* stats.c - GET /containers/{id}/stats: one sample, two a second apart, or one every second. */
#include "api/request.h"

#define SECOND_NS 1000000000

/* The processor time of the sample before: what clients compute percentages from. */
static void carry(struct docker_stats *now, const struct docker_stats *before)
{
	free(now->preread);
	now->preread = xstrdup(before->read);
	json_copy(&docker_cpu_stats_type, &now->precpu, &before->cpu);
}

/* False when the client has left. */
static bool wait_second(struct request *q)
{
	int64_t end = time_mono_ns() + SECOND_NS;

	while (time_mono_ns() < end) {
		if (http_conn_gone(q->conn))
			return false;
		(void)nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	}
	return true;
}

static int once(struct request *q, bool one_shot, struct err *e)
{
	struct docker_stats now = { 0 }, before = { 0 };
	int r = container_stats(q->engine, q->name, &now, e);

	if (r == 0 && !one_shot && now.cpu.online) { /* it runs */
		before = now;
		now = (struct docker_stats){ 0 };
		(void)wait_second(q);
		r = container_stats(q->engine, before.id, &now, e);
		if (r == 0)
			carry(&now, &before);
	}
	if (r == 0)
		r = api_reply_obj(q, 200, &docker_stats_type, &now);
	json_done(&docker_stats_type, &now);
	json_done(&docker_stats_type, &before);
	return r;
}

static int stream(struct request *q, struct err *e)
{
	struct docker_stats now = { 0 }, before = { 0 };
	struct api_lines lines = { .q = q };
	AUTO_FREE char *id = NULL;
	int r = container_stats(q->engine, q->name, &now, e);

	if (r < 0)
		return r;
	id = xstrdup(now.id); /* a name may move to another container meanwhile */
	while (r == 0) {
		AUTO_STRB struct strb text = STRB_INIT;

		if (before.read)
			carry(&now, &before);
		json_write(&docker_stats_type, &now, q->minor, &text);
		r = api_line(&lines, strb_str(&text));
		json_done(&docker_stats_type, &before);
		before = now;
		now = (struct docker_stats){ 0 };
		if (r == 0)
			r = wait_second(q) ? container_stats(q->engine, id, &now, NULL) : -EPIPE;
	}
	json_done(&docker_stats_type, &now);
	json_done(&docker_stats_type, &before);
	return api_lines_end(&lines, 0, e);
}

int api_containers_stats(struct request *q, struct err *e)
{
	bool streamed = api_q_bool_or(q, "stream", true), one_shot = q->minor >= 41 && api_q_bool(q, "one-shot");

	if (streamed && one_shot)
		return err_set(e, ERR_INVALID, "cannot have stream=true and one-shot=true");
	return streamed ? stream(q, e) : once(q, one_shot, e);
}
