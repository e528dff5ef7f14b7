/* seccomp_cache.c - a few slots; the one that was filled first makes room. */
#include "plan/seccomp_cache.h"
#include "plan/seccomp_default.h"

#include <pthread.h>

#define SLOTS 8
#define PROFILE_MAX (64 * 1024) /* what is larger is compiled each time */

struct slot {
	bool used;
	char *profile; /* NULL = the default policy */
	uint64_t caps;
	struct seccomp_ready ready;
};

struct seccomp_cache {
	pthread_mutex_t lock; /* guards all below; never held while compiling */
	struct slot slots[SLOTS];
	size_t next;
};

void seccomp_ready_done(struct seccomp_ready *r)
{
	free(r->filter.code);
	free(r->listener);
	free(r->metadata);
	*r = (struct seccomp_ready){ 0 };
}

static void copy(struct seccomp_ready *to, const struct seccomp_ready *from)
{
	to->filter = from->filter;
	to->filter.code = memcpy(xmalloc(from->filter.n), from->filter.code, from->filter.n);
	to->listener = xstrdup(from->listener);
	to->metadata = xstrdup(from->metadata);
}

static void slot_done(struct slot *s)
{
	seccomp_ready_done(&s->ready);
	free(s->profile);
	*s = (struct slot){ 0 };
}

struct seccomp_cache *seccomp_cache_new(void)
{
	struct seccomp_cache *c = xcalloc(1, sizeof *c);

	(void)pthread_mutex_init(&c->lock, NULL);
	return c;
}

void seccomp_cache_free(struct seccomp_cache *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		slot_done(&c->slots[i]);
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

static bool find(struct seccomp_cache *c, const char *profile, uint64_t caps, struct seccomp_ready *ret)
{
	bool found = false;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < SLOTS && !found; i++) {
		const struct slot *s = &c->slots[i];

		found = s->used && s->caps == caps && !s->profile == !profile &&
			(!profile || streq(s->profile, profile));
		if (found)
			copy(ret, &s->ready);
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

static void keep(struct seccomp_cache *c, const char *profile, uint64_t caps, const struct seccomp_ready *ready)
{
	struct slot *s;

	if (profile && strlen(profile) > PROFILE_MAX)
		return;
	pthread_mutex_lock(&c->lock);
	s = &c->slots[c->next];
	c->next = (c->next + 1) % SLOTS;
	slot_done(s);
	*s = (struct slot){ .used = true, .profile = xstrdup(profile), .caps = caps };
	copy(&s->ready, ready);
	pthread_mutex_unlock(&c->lock);
}

static int compile(const char *profile, uint64_t caps, struct seccomp_ready *ret, bool *ret_read, struct err *e)
{
	struct oci_seccomp policy = { 0 };
	int r = 0;

	if (profile)
		r = seccomp_from_docker_profile(profile, strlen(profile), caps, NULL, &policy, e);
	else
		seccomp_default(caps, NULL, &policy);
	*ret_read = r == 0;
	if (r == 0)
		r = seccomp_compile(&policy, &ret->filter, e);
	if (r == 0) {
		ret->listener = xstrdup(policy.listener_path);
		ret->metadata = xstrdup(policy.listener_metadata);
	}
	json_done(&oci_seccomp_type, &policy);
	return r;
}

int seccomp_cache_get(struct seccomp_cache *c, const char *profile, uint64_t caps, struct seccomp_ready *ret,
		      bool *ret_read, struct err *e)
{
	struct seccomp_ready ready = { 0 };
	int r;

	if (find(c, profile, caps, ret))
		return 0;
	r = compile(profile, caps, &ready, ret_read, e);
	if (r < 0)
		return r;
	keep(c, profile, caps, &ready);
	*ret = ready;
	return 0;
}
