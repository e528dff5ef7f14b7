/* container_start.c - one story: from a record to a running process. Each step has its way back beside it. */
#include "engine/container_check.h"
#include "engine/engine_private.h"
#include "act/act.h"

#include <fcntl.h>

struct start {
	struct container *c;
	struct shim_link *shim;
	struct shim_talk *talk;
	struct net_endpoints eps;
	struct net_sockets sockets;
	struct strb plan;
	struct plan_slots slots;
	bool new_netns, prepared, attached;
	uint32_t failure;
	uint64_t starts_before;
};

struct step {
	const char *name; /* for debug logs */
	int (*does)(struct start *s, struct err *e);
	void (*undo)(struct start *s); /* NULL: nothing to undo; also called for the step that failed */
};

static int prepare_network(struct start *s, struct err *e)
{
	int r;

	if (str_after(s->c->rec.host.network_mode, "container:"))
		return 0; /* the other container's namespace arrives with the plan */
	r = container_nets_prepare(s->c, &s->eps, e);
	s->prepared = r == 0;
	return r < 0 ? err_wrap(e, r, "failed to set up container networking") : 0;
}

static void release_network(struct start *s)
{
	if (s->prepared)
		container_nets_release(s->c, &s->eps);
	s->prepared = false;
}

int container_ports_reserve(struct container *c, struct net_endpoint *ep, struct net_sockets *ret, struct err *e)
{
	struct {
		struct net_publish *v;
		size_t n;
	} want = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->rec.host.port_bindings.n; i++) {
		const char *key = c->rec.host.port_bindings.v[i].key; /* "80/tcp", checked at create */
		const char *proto = "tcp";
		uint16_t port = 0;
		const __typeof__(c->rec.host.port_bindings.v[i].val.list) *list = &c->rec.host.port_bindings.v[i]
											   .val.list;

		(void)port_key_parse(key, &port, &proto);
		for (size_t k = 0; r == 0 && k < list->n; k++) {
			struct net_publish p = { .proto = proto, .port = port, .host_ip = list->v[k].host_ip };

			r = net_host_port_parse(list->v[k].host_port ? list->v[k].host_port : "", &p.host_port_first,
						&p.host_port_last, e);
			*VEC_ADD(&want) = p;
		}
	}
	for (size_t i = 0; r == 0 && c->rec.host.publish_all_ports && i < c->rec.config.exposed_ports.n; i++) {
		const char *key = c->rec.config.exposed_ports.v[i];
		const char *proto = "tcp";
		uint16_t port = 0;
		bool bound = false;

		for (size_t k = 0; k < c->rec.host.port_bindings.n; k++)
			bound |= streq(c->rec.host.port_bindings.v[k].key, key);
		if (!bound && port_key_parse(key, &port, &proto))
			*VEC_ADD(&want) = (struct net_publish){ .proto = proto, .port = port };
	}
	if (r == 0 && want.n)
		r = net_ports_reserve(c->en->net, ep, want.v, want.n, ret, e);
	free(want.v);
	return r;
}

/* On the network that leads out */
static int reserve_ports(struct start *s, struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < s->eps.n && r == 0; i++)
		if (s->eps.v[i].default_route)
			r = container_ports_reserve(s->c, &s->eps.v[i], &s->sockets, e);
	return r < 0 ? err_wrap(e, r, "failed to set up container networking") : 0;
}

static void drop_ports(struct start *s)
{
	net_sockets_done(&s->sockets);
}

static int write_files(struct start *s, struct err *e)
{
	return container_write_files(s->c, s->prepared ? &s->eps : NULL, e);
}

static int make_plan(struct start *s, struct err *e)
{
	return container_plan(s->c, &s->plan, &s->slots, &s->new_netns, e);
}

static void drop_plan(struct start *s)
{
	plan_slots_done(&s->slots);
	strb_done(&s->plan);
}

static int get_shim(struct start *s, struct err *e)
{
	return container_shim(s->c, &s->shim, e);
}

int container_ports_hand_over(struct shim_link *l, struct net_sockets *sockets, struct err *e)
{
	for (size_t first = 0; first < sockets->n; first += MSG_FDS_MAX) {
		size_t n = MIN(sockets->n - first, (size_t)MSG_FDS_MAX);
		AUTO_STRB struct strb b = STRB_INIT;
		int fds[MSG_FDS_MAX], r;

		msg_put_u32(&b, (uint32_t)n);
		for (size_t i = 0; i < n; i++) {
			const struct net_socket *k = &sockets->v[first + i];

			fds[i] = k->fd;
			msg_put_u32(&b, k->relay);
			msg_put_str(&b, k->proto);
			msg_put_str(&b, k->target);
			msg_put_u32(&b, k->target_port);
		}
		r = shim_call(
			l,
			&(struct shim_request){ .type = SHIM_RESERVE, .body = b.s, .n = b.len, .fds = fds, .n_fds = n },
			NULL, NULL, e);
		if (r < 0)
			return r;
	}
	net_sockets_done(sockets); /* the shim holds them now */
	return 0;
}

static int hand_over_ports(struct start *s, struct err *e)
{
	return container_ports_hand_over(s->shim, &s->sockets, e);
}

static int begin(struct start *s, struct err *e)
{
	AUTO_FD int plan = memfd_of("plan", s->plan.s, s->plan.len);
	AUTO_STRB struct strb b = STRB_INIT;
	int fds[MSG_FDS_MAX];

	if (plan < 0)
		return err_sys(e, plan, "keeping the start plan");
	fds[0] = plan;
	for (size_t i = 0; i < s->slots.n; i++)
		fds[i + 1] = s->slots.v[i];
	msg_put_u32(&b, 0);
	return shim_talk_begin(
		s->shim,
		&(struct shim_request){
			.type = SHIM_START, .body = b.s, .n = b.len, .fds = fds, .n_fds = s->slots.n + 1 },
		&s->talk, e);
}

static void give_up(struct start *s)
{
	AUTO_STRB struct strb b = STRB_INIT;
	AUTO_MSG struct msg m = { 0 };

	if (!s->talk)
		return;
	if (s->new_netns && !s->attached) { /* the shim may be waiting for us; where it is not, it ignores this */
		msg_put_u32(&b, 1);
		if (shim_talk_say(s->talk, &(struct shim_request){ .type = SHIM_GO, .body = b.s, .n = b.len }, NULL) ==
		    0)
			(void)shim_talk_next(s->talk, SHIM_CALL_S, &m, NULL, NULL);
	}
	shim_talk_end(TAKE_PTR(s->talk));
}

static int connect_network(struct start *s, struct err *e)
{
	AUTO_MSG struct msg m = { 0 };
	AUTO_STRB struct strb b = STRB_INIT;
	int r;

	if (!s->new_netns)
		return 0;
	r = shim_talk_next(s->talk, SHIM_START_S, &m, &s->failure, e);
	if (r < 0) {
		s->attached = true; /* it has answered; nothing to give up */
		return r;
	}
	if (m.type != SHIM_NETNS || m.n_fds < 2)
		return err_set(e, ERR_SYSTEM, "the shim answered with message %u instead of its network namespace",
			       m.type);
	for (size_t i = 0; i < s->eps.n && r == 0; i++)
		r = net_endpoint_attach(s->c->en->net, &s->eps.v[i], m.fds[0], m.fds[1], m.n_fds > 2 ? m.fds[2] : -1,
					e);
	if (r < 0)
		return err_wrap(e, r, "failed to set up container networking");
	for (size_t i = 0; i < s->eps.n; i++)
		container_nets_event(s->c, "connect", &s->eps.v[i]);
	s->attached = true;
	msg_put_u32(&b, 0);
	return shim_talk_say(s->talk, &(struct shim_request){ .type = SHIM_GO, .body = b.s, .n = b.len }, e);
}

static void disconnect_network(struct start *s)
{
	for (size_t i = 0; i < s->eps.n; i++)
		net_endpoint_detach(s->c->en->net, &s->eps.v[i], NET_NAMESPACE_DIES);
}

static int finish(struct start *s, struct err *e)
{
	AUTO_MSG struct msg m = { 0 };
	struct container *c = s->c;
	struct timespec end = { 0 };
	bool failed, late = false;
	int r = shim_talk_next(s->talk, SHIM_START_S, &m, &s->failure, e);

	if (r < 0)
		return r;
	shim_talk_end(TAKE_PTR(s->talk));
	/* The news of the start comes over the same socket; it sets the state, in order with an exit that may follow at once. */
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += SHIM_CALL_S;
	pthread_mutex_lock(&c->lock);
	while (c->starts == s->starts_before && c->shim && !late)
		late = pthread_cond_timedwait(&c->changed, &c->lock, &end) == ETIMEDOUT;
	failed = c->starts == s->starts_before;
	pthread_mutex_unlock(&c->lock);
	return failed ? err_set(e, ERR_SYSTEM, "the container's shim %s", late ? "does not answer" : "died") : 0;
}

static void endpoints_drop(struct container *c)
{
	for (size_t i = 0; i < c->rec.endpoints.n; i++)
		json_done(&net_endpoint_type, &c->rec.endpoints.v[i]);
	free(c->rec.endpoints.v);
	c->rec.endpoints.v = NULL;
	c->rec.endpoints.n = 0;
}

static int remember_endpoints(struct start *s, struct err *e)
{
	struct container *c = s->c;
	char sandbox[65];

	if (!s->prepared)
		return 0;
	/* Recorded before anything exists outside this process: a hoyd that dies from here on finds what to take back. */
	id_new(sandbox);
	pthread_mutex_lock(&c->lock);
	endpoints_drop(c);
	for (size_t i = 0; i < s->eps.n; i++)
		json_copy(&net_endpoint_type, VEC_ADD(&c->rec.endpoints), &s->eps.v[i]);
	free(c->rec.sandbox_id);
	c->rec.sandbox_id = xstrdup(sandbox);
	pthread_mutex_unlock(&c->lock);
	return container_save_lazy(c, e); /* nothing of it outlives the machine */
}

static void forget_endpoints(struct start *s)
{
	pthread_mutex_lock(&s->c->lock);
	endpoints_drop(s->c);
	pthread_mutex_unlock(&s->c->lock);
}

static const struct step steps[] = {
	{ "prepare network", prepare_network, release_network },
	{ "reserve ports", reserve_ports, drop_ports },
	{ "write files", write_files, NULL },
	{ "plan", make_plan, drop_plan },
	{ "remember endpoints", remember_endpoints, forget_endpoints },
	{ "shim", get_shim, NULL },
	{ "hand over ports", hand_over_ports, NULL },
	{ "begin", begin, give_up },
	{ "connect network", connect_network, disconnect_network },
	{ "finish", finish, NULL },
};

/* The exit codes that Docker's clients expect of a command that could not be started, and its sentence. */
static int start_failed(struct start *s, int r, struct err *e)
{
	struct container *c = s->c;
	int64_t code = 128;
	struct err why = *e;

	if (s->failure) {
		code = s->failure == ACT_FAILED_NOT_FOUND ? 127 : s->failure == ACT_FAILED_NOT_EXECUTABLE ? 126 : 128;
		if (s->failure == ACT_FAILED_CWD || strstr(why.msg, "no such file or directory"))
			code = 127;
		if (strstr(why.msg, "permission denied"))
			code = 126;
		r = err_set(e, code == 128 ? ERR_SYSTEM : ERR_INVALID,
			    "failed to create task for container: failed to create shim task: OCI runtime create "
			    "failed: runc create failed: unable to start container process: error during container "
			    "init: %s%s",
			    why.msg, str_ends(why.msg, ": is a directory") ? ": permission denied" : "");
		if (str_after(why.msg, "unable to find user ") || str_after(why.msg, "unable to find group "))
			r = err_set(e, ERR_SYSTEM, "%s", why.msg); /* dockerd looks them up itself: 500 */
	}
	pthread_mutex_lock(&c->lock);
	c->rec.state.exit_code = code;
	free(c->rec.state.error);
	c->rec.state.error = xstrdup(e->msg);
	container_unlock(c);
	if (container_save(c, &why) < 0)
		log_error("container %s: %s", c->id, why.msg);
	return r;
}

/* The process is gone: its addresses and ports are free again. It goes on naming the networks it was on, as dockerd's does. */
static bool release_endpoints(struct container *c)
{
	struct net_endpoints eps = { 0 };
	bool had;

	pthread_mutex_lock(&c->lock);
	eps.v = (struct net_endpoint *)TAKE_PTR(c->rec.endpoints.v);
	eps.n = c->rec.endpoints.n;
	c->rec.endpoints.n = 0;
	for (size_t i = 0; i < eps.n; i++)
		for (size_t k = 0; k < c->rec.networking.endpoints_config.n; k++) {
			__typeof__(c->rec.networking.endpoints_config.v) row = &c->rec.networking.endpoints_config.v[k];

			if (streq(row->key, eps.v[i].network)) {
				free(row->val.network_id);
				row->val.network_id = xstrdup(eps.v[i].network_id);
			}
		}
	pthread_mutex_unlock(&c->lock);
	for (size_t i = 0; i < eps.n; i++) {
		net_endpoint_detach(c->en->net, &eps.v[i], NET_NAMESPACE_DIES);
		net_endpoint_release(c->en->net, &eps.v[i]);
	}
	for (size_t i = 0; i < eps.n; i++) {
		container_nets_event(c, "disconnect", &eps.v[i]);
		container_names_changed(c, eps.v[i].network_id);
	}
	had = eps.n > 0;
	net_endpoints_done(&eps);
	return had;
}

int container_start_op(struct container *c, struct err *e)
{
	struct start s = { .c = c };
	struct err own = ERR_INIT;
	int r = 0;
	size_t done;

	container_wait_for_writers(c);
	pthread_mutex_lock(&c->lock);
	s.starts_before = c->starts;
	if (c->rec.state.paused)
		r = err_set(e, ERR_CONFLICT, "cannot start a paused container, try unpause instead");
	else if (c->rec.state.running)
		r = err_set(e, ERR_NOT_MODIFIED, "container already started");
	else if (c->rec.state.removing || c->removed)
		r = err_set(e, ERR_CONFLICT, "container is marked for removal and cannot be started");
	else
		c->starting = true;
	pthread_mutex_unlock(&c->lock);
	if (r < 0)
		return r;
	if (!e)
		e = &own;
	(void)release_endpoints(c); /* of a run whose exit was heard only just now */
	for (done = 0; done < ARRAY_LEN(steps); done++) {
		log_debug("container %.12s: %s", c->id, steps[done].name);
		r = steps[done].does(&s, e);
		if (r < 0)
			break;
	}
	if (r < 0)
		for (size_t i = done + 1; i > 0; i--)
			if (steps[i - 1].undo)
				steps[i - 1].undo(&s);
	pthread_mutex_lock(&c->lock);
	c->starting = false;
	pthread_mutex_unlock(&c->lock);
	if (r < 0) {
		r = start_failed(&s, r, e);
		container_shim_end(c);
	} else if (container_running(c)) { /* a container that has ended already is saved by what hears its exit */
		int64_t seq;

		/* The number is taken before the record is written: what is acknowledged must be in it. */
		pthread_mutex_lock(&c->lock);
		seq = c->rec.state.journal_seq;
		pthread_mutex_unlock(&c->lock);
		/* After a power loss a container is as it was said to be, and a policy knows that it was started once; of what removes
		 * itself nothing is left to be told. */
		r = c->rec.host.auto_remove ? container_save_lazy(c, &own) : container_save(c, &own);
		if (r < 0) { /* it runs all the same; its shim tells a later hoyd again */
			log_error("container %s: %s", c->id, own.msg);
			r = 0;
		} else {
			shim_ack(s.shim, seq);
		}
	}
	drop_plan(&s);
	net_endpoints_done(&s.eps);
	shim_link_unref(s.shim);
	return r;
}

int container_start(struct engine *en, const char *ref, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	int r = container_find(en, ref, &c, e);

	if (r < 0)
		return r;
	pthread_mutex_lock(&c->op);
	r = container_start_op(c, e);
	if (r < 0 && r != -EALREADY && c->rec.host.auto_remove && !container_running(c)) {
		struct err why = ERR_INIT;

		if (container_remove_op(c, c->id, &(struct container_remove_opts){ .volumes = true }, &why) < 0 &&
		    why.kind != ERR_CONFLICT && why.kind != ERR_NOT_FOUND)
			log_error("removing container %s: %s", c->id, why.msg);
	}
	pthread_mutex_unlock(&c->op);
	return r;
}

bool container_removes_itself(struct container *c)
{
	bool yes;

	pthread_mutex_lock(&c->lock);
	yes = c->rec.host.auto_remove && !c->rec.state.running && !c->rec.state.removing && !c->removed;
	pthread_mutex_unlock(&c->lock);
	return yes;
}

void container_after_exit(struct container *c)
{
	struct err e = ERR_INIT, why = ERR_INIT;
	bool remove;

	if (container_running(c)) /* restarted meanwhile */
		return;
	remove = container_removes_itself(c);
	if (release_endpoints(c) && !remove && container_save(c, &e) < 0)
		log_error("container %s: %s", c->id, e.msg);
	if (!remove)
		container_shim_end(c);
	else if (container_remove_op(c, c->id, &(struct container_remove_opts){ .volumes = true }, &e) < 0) {
		log_error("removing container %s: %s", c->id, e.msg);
		if (container_save(c, &why) < 0) /* it stays, as one that has ended */
			log_error("container %s: %s", c->id, why.msg);
	}
}
