/* container_list.c - `docker ps`: filters and rows. Served from memory. */
#include "engine/container_check.h"
#include "engine/container_view.h"

/* "Up 5 minutes", as go-units' HumanDuration. */
static void add_duration(struct strb *b, int64_t seconds)
{
	if (seconds < 1)
		strb_adds(b, "Less than a second");
	else if (seconds == 1)
		strb_adds(b, "1 second");
	else if (seconds < 60)
		strb_addf(b, "%lld seconds", (long long)seconds);
	else if (seconds < 120)
		strb_adds(b, "About a minute");
	else if (seconds < 3600)
		strb_addf(b, "%lld minutes", (long long)(seconds / 60));
	else if ((seconds + 1800) / 3600 == 1)
		strb_adds(b, "About an hour");
	else if ((seconds + 1800) / 3600 < 48)
		strb_addf(b, "%lld hours", (long long)((seconds + 1800) / 3600));
	else if (seconds / 3600 < 24 * 7 * 2)
		strb_addf(b, "%lld days", (long long)(seconds / 86400));
	else if (seconds / 3600 < 24 * 30 * 2)
		strb_addf(b, "%lld weeks", (long long)(seconds / 86400 / 7));
	else if (seconds / 3600 < 24 * 365 * 2)
		strb_addf(b, "%lld months", (long long)(seconds / 86400 / 30));
	else
		strb_addf(b, "%lld years", (long long)(seconds / 86400 / 365));
}

static char *status_text(const struct container_record *rec)
{
	const struct container_state *s = (const struct container_state *)&rec->state;
	struct strb b = STRB_INIT;
	int64_t now = time_now_ns();

	if (s->running && s->restarting) {
		strb_addf(&b, "Restarting (%lld) ", (long long)s->exit_code);
		add_duration(&b, (now - s->finished_ns) / 1000000000);
		strb_adds(&b, " ago");
	} else if (s->running) {
		strb_adds(&b, "Up ");
		add_duration(&b, (now - s->started_ns) / 1000000000);
		if (s->paused)
			strb_adds(&b, " (Paused)");
	} else if (s->removing) {
		strb_adds(&b, "Removal In Progress");
	} else if (s->dead) {
		strb_adds(&b, "Dead");
	} else if (!s->started_ns) {
		strb_adds(&b, "Created");
	} else {
		strb_addf(&b, "Exited (%lld) ", (long long)s->exit_code);
		add_duration(&b, (now - s->finished_ns) / 1000000000);
		strb_adds(&b, " ago");
	}
	return strb_take(&b);
}

/* Path and arguments as one line; arguments with blanks are quoted, as dockerd does. */
static char *command_text(const struct container_record *rec)
{
	struct strb b = STRB_INIT;

	strb_adds(&b, rec->path);
	for (size_t i = 0; i < rec->args.n; i++)
		strb_addf(&b, strpbrk(rec->args.v[i], " \t\n") ? " '%s'" : " %s", rec->args.v[i]);
	return strb_take(&b);
}

static void fill_ports(const struct container_record *rec, struct docker_container_summary *r)
{
	const struct net_endpoint *ep = shown_endpoint(rec);

	for (size_t i = 0; ep && i < ep->ports.n; i++) {
		__typeof__(r->ports.v) p = VEC_ADD(&r->ports);

		p->ip = xstrdup(ep->ports.v[i].host_ip);
		p->private_port = ep->ports.v[i].port;
		p->public_port = ep->ports.v[i].host_port;
		p->type = xstrdup(ep->ports.v[i].proto);
	}
	for (size_t i = 0; ep && i < rec->config.exposed_ports.n; i++) {
		const char *key = rec->config.exposed_ports.v[i];
		const char *proto = "tcp";
		uint16_t port = 0;
		bool published = false;

		(void)port_key_parse(key, &port, &proto);
		for (size_t k = 0; k < ep->ports.n; k++)
			published |= ep->ports.v[k].port == port && streq(ep->ports.v[k].proto, proto);
		if (!published) {
			__typeof__(r->ports.v) p = VEC_ADD(&r->ports);

			p->private_port = port;
			p->type = xstrdup(proto);
		}
	}
}

/* What was asked for, unless that name now means another image: then the id, as Docker does. */
static char *image_text(struct engine *en, const struct container_record *rec)
{
	AUTO_IMAGE struct image *i = NULL;

	if (image_find(en->images, rec->config.image, &i, NULL) == 0 && streq(i->id, rec->image))
		return xstrdup(rec->config.image);
	return xstrdup(rec->image);
}

static void fill(struct container *c, struct docker_container_summary *r)
{
	const struct container_record *rec = &c->rec;

	r->id = xstrdup(rec->id);
	strv_addf(&r->names, "/%s", rec->name);
	r->image_id = xstrdup(rec->image);
	r->command = command_text(rec);
	r->created = rec->created_ns / 1000000000;
	fill_ports(rec, r);
	strmap_copy(&r->labels, &rec->config.labels);
	r->state = xstrdup(container_status(rec));
	r->status = status_text(rec);
	r->host_config.network_mode = xstrdup(rec->host.network_mode);
	for (size_t i = 0; i < rec->networking.endpoints_config.n; i++) {
		__typeof__(rec->networking.endpoints_config.v) from = &rec->networking.endpoints_config.v[i];
		__typeof__(r->network_settings.networks.v) row = VEC_ADD(&r->network_settings.networks);

		row->key = xstrdup(from->key);
		row->val.network_id = xstrdup(from->val.network_id);
		fill_endpoint(rec, from->key, (struct docker_endpoint_settings *)&row->val);
	}
	for (size_t i = 0; i < rec->mounts.n; i++) {
		struct docker_mount_point *p;

		if (streq(rec->mounts.v[i].type, "tmpfs"))
			continue;
		p = (struct docker_mount_point *)VEC_ADD(&r->mounts);
		fill_mount_point((const struct container_mount *)&rec->mounts.v[i], p);
		if (streq(p->type, "volume")) { /* dockerd's list does not ask the volume where it is */
			free(p->source);
			p->source = xstrdup("");
		}
	}
}

/* ---- filters ---- */
static const char *const known_filters[] = {
	"ancestor", "before", "exited",  "expose",  "health", "id",     "isolation", "is-task",
	"label",    "name",   "network", "publish", "since",  "status", "volume",
};

static bool any(const struct strv *values, bool (*match)(const struct container_record *rec, const char *v),
		const struct container_record *rec)
{
	for (size_t i = 0; values && i < values->n; i++)
		if (match(rec, values->v[i]))
			return true;
	return !values || !values->n;
}

static bool is_id(const struct container_record *rec, const char *v)
{
	return id_or_name_matches(v, rec->id);
}

static bool is_name(const struct container_record *rec, const char *v)
{
	AUTO_FREE char *slashed = xasprintf("/%s", rec->name);

	return id_or_name_matches(v, rec->name) || id_or_name_matches(v, slashed);
}

static bool is_status(const struct container_record *rec, const char *v)
{
	return streq(container_status(rec), v);
}

static bool is_exited(const struct container_record *rec, const char *v)
{
	int64_t code = 0;

	return !rec->state.running && rec->state.finished_ns && str_to_i64(v, &code) == 0 &&
	       code == rec->state.exit_code;
}

static bool is_health(const struct container_record *rec UNUSED, const char *v)
{
	return streq(v, "none");
}

static bool has_volume(const struct container_record *rec, const char *v)
{
	for (size_t i = 0; i < rec->mounts.n; i++)
		if (streq(rec->mounts.v[i].destination, v) ||
		    streq(str_empty(rec->mounts.v[i].name) ? rec->mounts.v[i].source : rec->mounts.v[i].name, v))
			return true;
	return false;
}

static bool on_network(const struct container_record *rec, const char *v)
{
	for (size_t i = 0; i < rec->networking.endpoints_config.n; i++) {
		__typeof__(rec->networking.endpoints_config.v) row = &rec->networking.endpoints_config.v[i];
		const struct net_endpoint *ep = container_endpoint(rec, row->key);
		const char *id = ep ? ep->network_id : row->val.network_id;

		if (streq(row->key, v) || (!str_empty(id) && str_after(id, v)))
			return true;
	}
	return false;
}

static int port_parse(const char *text, uint32_t *ret, struct err *e)
{
	int r = str_to_u32(text, 10, ret);

	if (r == 0 && *ret > UINT16_MAX)
		r = -ERANGE;
	if (r < 0)
		return err_set(e, ERR_SYSTEM, "strconv.ParseUint: parsing \"%s\": %s", text,
			       r == -ERANGE ? "value out of range" : "invalid syntax");
	return 0;
}

struct port_range {
	uint32_t first, last;
	char proto[16];
};

/* "80", "80/udp", "8000-8010/tcp"; what follows a second "/" or "-" is ignored, as dockerd does. */
static int port_range_parse(const char *spec, struct port_range *ret, struct err *e)
{
	size_t n = strcspn(spec, "/");
	const char *proto = spec[n] ? spec + n + 1 : "";
	AUTO_FREE char *first = xstrndup(spec, n);
	char *last = strchr(first, '-');
	int r;

	if (!n)
		return err_set(e, ERR_SYSTEM, "Empty string specified for ports.");
	(void)snprintf(ret->proto, sizeof ret->proto, "%.*s", (int)strcspn(proto, "/"), proto);
	if (!*ret->proto)
		(void)snprintf(ret->proto, sizeof ret->proto, "tcp");
	if (last) {
		*last++ = 0;
		last[strcspn(last, "-")] = 0;
	}
	r = port_parse(first, &ret->first, e);
	if (r == 0)
		r = port_parse(last ? last : first, &ret->last, e);
	if (r == 0 && ret->last < ret->first)
		r = err_set(e, ERR_SYSTEM, "Invalid range specified for the Port: %.*s", (int)n, spec);
	return r;
}

static bool port_in(const char *spec, const char *proto, int64_t port)
{
	struct port_range p;

	return port_range_parse(spec, &p, NULL) == 0 && port >= p.first && port <= p.last && streq(p.proto, proto);
}

static bool publishes(const struct container_record *rec, const char *v)
{
	for (size_t k = 0; k < rec->endpoints.n; k++)
		for (size_t i = 0; i < rec->endpoints.v[k].ports.n; i++)
			if (port_in(v, rec->endpoints.v[k].ports.v[i].proto, rec->endpoints.v[k].ports.v[i].host_port))
				return true;
	return false;
}

static bool exposes(const struct container_record *rec, const char *v)
{
	for (size_t i = 0; i < rec->config.exposed_ports.n; i++) {
		const char *proto = "tcp";
		uint16_t port = 0;

		if (port_key_parse(rec->config.exposed_ports.v[i], &port, &proto) && port_in(v, proto, port))
			return true;
	}
	return false;
}

static const struct {
	const char *key;
	bool (*match)(const struct container_record *rec, const char *v);
} matchers[] = {
	{ "id", is_id },           { "name", is_name },      { "status", is_status },
	{ "exited", is_exited },   { "health", is_health },  { "volume", has_volume },
	{ "network", on_network }, { "publish", publishes }, { "expose", exposes },
};

struct query {
	const struct engine_filters *f;
	struct strv ancestors; /* image ids */
	int64_t before_ns, since_ns;
	bool all;
	struct json_obool tasks; /* true: swarm's containers only: there are none */
};

/* Every value of a filter is one of the words: `list`, as errors show them. */
static int check_words(const struct engine_filters *f, const char *key, const char *what, const char *list,
		       struct err *e)
{
	const struct strv *v = engine_filter(f, key);
	AUTO_STRV struct strv words = { 0 };

	for (const char *p = list; *p; p += strspn(p, ", ")) {
		size_t n = strcspn(p, ",");

		strv_push(&words, xstrndup(p, n));
		p += n;
	}
	for (size_t i = 0; v && i < v->n; i++)
		if (!strv_has(&words, v->v[i]))
			return err_set(e, ERR_INVALID,
				       "invalid filter '%s=%s': invalid value for %s (%s): must be one of %s", key,
				       v->v[i], what, v->v[i], list);
	return 0;
}

static int check_exited(const struct engine_filters *f, struct err *e)
{
	const struct strv *v = engine_filter(f, "exited");

	for (size_t i = 0; v && i < v->n; i++) {
		int64_t n = 0;
		int r = str_to_i64(v->v[i], &n);

		if (r < 0)
			return err_set(e, ERR_INVALID, "invalid filter 'exited=%s': strconv.Atoi: parsing \"%s\": %s",
				       v->v[i], v->v[i], r == -ERANGE ? "value out of range" : "invalid syntax");
	}
	return 0;
}

static int check_ports(const struct engine_filters *f, const char *key, struct err *e)
{
	const struct strv *v = engine_filter(f, key);
	struct port_range p;

	for (size_t i = 0; v && i < v->n; i++) {
		if (strchr(v->v[i], ':'))
			return err_set(e, ERR_SYSTEM, "filter for '%s' should not contain ':': %s", key, v->v[i]);
		if (port_range_parse(v->v[i], &p, e) < 0)
			return err_wrap(e, -EIO, "error while looking up for %s %s", key, v->v[i]);
	}
	return 0;
}

static int check_values(const struct engine_filters *f, struct err *e)
{
	int r = check_exited(f, e);

	if (r == 0)
		r = check_words(f, "status", "state", "created, running, paused, restarting, removing, exited, dead",
				e);
	if (r == 0)
		r = check_words(f, "health", "health", "none, starting, healthy, unhealthy", e);
	if (r == 0)
		r = check_ports(f, "publish", e);
	if (r == 0)
		r = check_ports(f, "expose", e);
	return r;
}

static int find_time(struct engine *en, const char *ref, int64_t *ret, struct err *e)
{
	AUTO_CONTAINER struct container *c = NULL;
	int r = container_find(en, ref, &c, e);

	if (r == 0)
		*ret = c->rec.created_ns;
	return r;
}

static int prepare(struct engine *en, const struct container_list_opts *o, struct query *q, struct err *e)
{
	const struct strv *v;
	int r = check_values(o->filters, e);

	for (size_t i = 0; r == 0 && o->filters && i < o->filters->n; i++) {
		bool known = false;

		for (size_t k = 0; k < ARRAY_LEN(known_filters); k++)
			known |= streq(known_filters[k], o->filters->v[i].key);
		if (!known)
			r = err_set(e, ERR_INVALID, "invalid filter '%s'", o->filters->v[i].key);
	}
	if (r == 0)
		r = engine_filter_bool(o->filters, "is-task", &q->tasks, e);
	q->f = o->filters;
	q->all = o->all || o->limit > 0;
	v = engine_filter(o->filters, "status");
	q->all |= v && v->n;
	v = engine_filter(o->filters, "exited");
	q->all |= v && v->n;
	v = engine_filter(o->filters, "before");
	q->before_ns = INT64_MAX;
	if (r == 0 && v && v->n)
		r = find_time(en, v->v[0], &q->before_ns, e);
	q->all |= v && v->n;
	v = engine_filter(o->filters, "since");
	if (r == 0 && v && v->n)
		r = find_time(en, v->v[0], &q->since_ns, e);
	q->all |= v && v->n;
	v = engine_filter(o->filters, "ancestor");
	for (size_t i = 0; r == 0 && v && i < v->n; i++) {
		AUTO_IMAGE struct image *image = NULL;

		strv_add(&q->ancestors, image_find(en->images, v->v[i], &image, NULL) == 0 ? image->id : "");
	}
	return r;
}

static bool wanted(const struct query *q, const struct container_record *rec)
{
	if (q->tasks.v || (!q->all && !rec->state.running))
		return false;
	if (rec->created_ns >= q->before_ns || rec->created_ns <= q->since_ns)
		return false;
	if (q->ancestors.n && !strv_has(&q->ancestors, rec->image))
		return false;
	if (!engine_labels_match(&rec->config.labels, engine_filter(q->f, "label"), true))
		return false;
	for (size_t i = 0; q->f && i < ARRAY_LEN(matchers); i++)
		if (!any(engine_filter(q->f, matchers[i].key), matchers[i].match, rec))
			return false;
	return true;
}

int container_list(struct engine *en, const struct container_list_opts *o, struct docker_container_summary **ret_v,
		   size_t *ret_n, struct err *e)
{
	AUTO_CONTAINERS struct container_set all = { 0 };
	struct query q = { 0 };
	struct docker_container_summary *v;
	size_t n = 0;
	int r = prepare(en, o, &q, e);

	if (r < 0) {
		strv_done(&q.ancestors);
		return r;
	}
	container_set(en, &all);
	v = xcalloc(all.n, sizeof *v);
	for (size_t i = 0; i < all.n && (o->limit <= 0 || n < (size_t)o->limit); i++) {
		struct container *c = all.v[i];
		bool take;

		pthread_mutex_lock(&c->lock);
		take = wanted(&q, &c->rec);
		if (take)
			fill(c, &v[n]);
		pthread_mutex_unlock(&c->lock);
		if (!take)
			continue;
		v[n].image = image_text(en, &c->rec);
		if (o->size) {
			(void)store_rw_size(en->store, c->rec.rw_layer, &v[n].size_rw, NULL);
			v[n].size_root_fs = v[n].size_rw + store_chain_size(en->store, c->rec.top);
		}
		n++;
	}
	strv_done(&q.ancestors);
	*ret_v = v;
	*ret_n = n;
	return 0;
}
