/* registry_glue.c - pull, push, search and login in the Docker API's words. */
#include "engine/engine_private.h"
#include "image/transfer.h"
#include "schema/docker.h"
#include "schema/platform.h"

#define CERTS_DIR "/etc/docker/certs.d"

/* ---- progress ---- */
/* "36.86kB": four digits, as Docker's clients print sizes. */
static void size_text(double n, char *ret, size_t room)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	size_t i = 0;

	for (; n >= 1000.0 && i + 1 < ARRAY_LEN(units); i++)
		n /= 1000.0;
	(void)snprintf(ret, room, "%.4g%s", n, units[i]);
}

/* The bar that old clients print as it comes: "[=====>   ]  36.86kB/1.982MB". */
static char *bar_text(int64_t current, int64_t total)
{
	char now[32], all[32], bar[51];
	int done;

	size_text((double)current, now, sizeof now);
	if (total <= 0)
		return xasprintf("%8s", now);
	done = MIN((int)((double)current / (double)total * 100.0) / 2, 50);
	memset(bar, '=', sizeof bar - 1);
	bar[50] = 0;
	size_text((double)total, all, sizeof all);
	if (current > total)
		return xasprintf("[%s>%*s] %8s", bar, 0, "", now);
	return xasprintf("[%.*s>%*s] %8s/%s", done, bar, 50 - done, "", now, all);
}

static int note(void *ctx, const struct image_note *n)
{
	const struct engine_progress *p = ctx;
	struct docker_progress_detail detail = { .current = n->current, .total = n->total };
	AUTO_FREE char *bar = n->current > 0 ? bar_text(n->current, n->total) : NULL;
	struct docker_progress line = { .status = (char *)(uintptr_t)n->status,
					.detail = n->detail || n->aux ? &detail : NULL,
					.progress = bar,
					.id = (char *)(uintptr_t)n->id,
					.aux = (char *)(uintptr_t)n->aux };
	AUTO_STRB struct strb text = STRB_INIT;

	json_write(&docker_progress_type, &line, JSON_LATEST, &text);
	return p->line(p->ctx, strb_str(&text));
}

static bool gone(void *ctx)
{
	const struct engine_progress *p = ctx;

	return p->gone && p->gone(p->ctx);
}

/* ---- what the daemon's options say ---- */
static void remote_config(struct engine *en, struct remote_config *ret)
{
	const struct engine_config *c = &en->config;

	*ret = (struct remote_config){ .worker = store_worker(en->store),
				       .certs_dir = c->certs_dir ? c->certs_dir : CERTS_DIR,
				       .insecure = c->insecure_registries,
				       .mirrors = c->registry_mirrors,
				       .http_proxy = c->http_proxy,
				       .https_proxy = c->https_proxy,
				       .no_proxy = c->no_proxy,
				       .user_agent = "hoy/" HOY_VERSION,
				       .attempts = (unsigned)c->max_attempts };
}

static struct remote_auth remote_auth(const struct docker_auth_config *a)
{
	if (!a)
		return (struct remote_auth){ 0 };
	return (struct remote_auth){ .username = a->username,
				     .password = a->password,
				     .identity_token = a->identity_token,
				     .registry_token = a->registry_token };
}

/* ---- pull, push ---- */
static int wanted(const char *name, const char *tag, struct ref *ret, struct err *e)
{
	int r = ref_parse(name, ret, e);

	if (r < 0 || str_empty(tag))
		return r;
	free(ret->tag);
	free(ret->digest);
	ret->tag = ret->digest = NULL;
	if (digest_valid(tag)) {
		ret->digest = xstrdup(tag);
	} else {
		AUTO_FREE char *probe = xasprintf("x:%s", tag);
		struct ref p = { 0 };

		r = ref_parse(probe, &p, NULL) < 0 || p.digest ? err_set(e, ERR_INVALID, "invalid tag format") : 0;
		ref_done(&p);
		ret->tag = xstrdup(tag);
	}
	if (r < 0)
		ref_done(ret);
	return r;
}

int images_pull(struct engine *en, const char *from, const char *tag, const char *platform,
		const struct engine_registry *reg, const struct engine_progress *p, struct err *e)
{
	struct oci_platform checked = { 0 };
	struct remote_config config;
	struct image_transfer x = { .remote = &config,
				    .auth = remote_auth(reg->auth),
				    .meta_headers = reg->meta_headers,
				    .trust = en->trust,
				    .keep_blobs = en->config.keep_blobs,
				    .parallel = (unsigned)en->config.max_downloads,
				    .note = note,
				    .gone = gone,
				    .ctx = (void *)(uintptr_t)p };
	struct ref ref = { 0 };
	int r = str_empty(platform) ? 0 : platform_parse(platform, &checked, e);

	json_done(&oci_platform_type, &checked);
	if (r == 0)
		r = wanted(from, tag, &ref, e);
	if (r < 0)
		return r;
	remote_config(en, &config);
	r = image_pull(en->images, &ref, !ref.tag && !ref.digest, str_empty(platform) ? NULL : platform, &x, e);
	images_mind_room(en);
	ref_done(&ref);
	return r;
}

/* An image here is for one platform: asking for another one is refused before anything is said. */
static int push_platform(struct engine *en, const struct ref *ref, const char *json, struct err *e)
{
	AUTO_FREE char *name = ref_familiar(ref);
	AUTO_IMAGE struct image *i = NULL;
	struct oci_platform want = { 0 }, have;
	int r;

	if (str_empty(json))
		return 0;
	r = json_read(&oci_platform_type, json, strlen(json), &json_limits_default, &want, e);
	if (r < 0)
		return err_wrap(e, r, "failed to parse platform");
	if (ref->tag && image_find(en->images, name, &i, NULL) == 0) {
		have = (struct oci_platform){ .os = str_empty(i->oci.os) ? (char *)(uintptr_t) "linux" : i->oci.os,
					      .architecture = i->oci.architecture,
					      .variant = i->oci.variant };
		if (platform_match(&want, &have) < 0) {
			AUTO_FREE char *wanted_text = platform_text(&want), *text = platform_text(&have);

			r = err_set(e, ERR_NOT_FOUND,
				    "image with reference %s was found but its platform (%s) does not match the "
				    "specified platform (%s)",
				    name, text, wanted_text);
		}
	}
	json_done(&oci_platform_type, &want);
	return r;
}

int images_push(struct engine *en, const char *name, const char *tag, const char *platform,
		const struct engine_registry *reg, const struct engine_progress *p, struct err *e)
{
	struct remote_config config;
	struct image_transfer x = { .remote = &config,
				    .auth = remote_auth(reg->auth),
				    .meta_headers = reg->meta_headers,
				    .parallel = (unsigned)en->config.max_uploads,
				    .note = note,
				    .gone = gone,
				    .ctx = (void *)(uintptr_t)p };
	struct ref ref = { 0 };
	int r = wanted(name, tag, &ref, e);

	if (r < 0)
		return r;
	remote_config(en, &config);
	r = push_platform(en, &ref, platform, e);
	if (r == 0)
		r = image_push(en->images, &ref, &x, e);
	ref_done(&ref);
	return r;
}

/* The status of an import's last line is its id. */
int images_import_url(struct engine *en, const char *url, const struct image_import_opts *o,
		      const struct engine_progress *p, struct err *e)
{
	struct remote_config config;
	struct image_transfer x = { .remote = &config, .note = note, .gone = gone, .ctx = (void *)(uintptr_t)p };
	struct image_import in = { .from = url,
				   .repo = o->repo,
				   .tag = o->tag,
				   .message = o->message,
				   .platform = o->platform,
				   .changes = o->changes };
	struct oci_platform checked = { 0 };
	AUTO_FREE char *id = NULL;
	int r = str_empty(o->platform) ? 0 : platform_parse(o->platform, &checked, e);

	json_done(&oci_platform_type, &checked);
	if (r < 0)
		return r;
	remote_config(en, &config);
	r = image_import_url(en->images, &in, &x, &id, e);
	if (r == 0)
		(void)note((void *)(uintptr_t)p, &(struct image_note){ .status = id });
	return r;
}

int images_copy(struct engine *en, const char *from, const char *to, const char *platform,
		const struct engine_registry *from_reg, const struct engine_registry *to_reg,
		const struct engine_progress *p, struct err *e)
{
	struct oci_platform checked = { 0 };
	struct remote_auth auth_to = remote_auth(to_reg->auth);
	struct remote_config config;
	struct image_transfer x = { .remote = &config,
				    .auth = remote_auth(from_reg->auth),
				    .meta_headers = from_reg->meta_headers,
				    .parallel = (unsigned)en->config.max_downloads,
				    .note = note,
				    .gone = gone,
				    .ctx = (void *)(uintptr_t)p };
	struct ref source = { 0 }, target = { 0 };
	int r = str_empty(platform) ? 0 : platform_parse(platform, &checked, e);

	json_done(&oci_platform_type, &checked);
	if (r == 0)
		r = ref_parse(from, &source, e);
	if (r == 0)
		r = ref_parse(to, &target, e);
	if (r == 0 && target.digest)
		r = err_set(e, ERR_INVALID, "cannot copy to a digest reference");
	remote_config(en, &config);
	if (r == 0)
		r = image_copy(en->images, &source, &target, str_empty(platform) ? NULL : platform, &x, &auth_to, e);
	ref_done(&source);
	ref_done(&target);
	return r;
}

/* ---- search, login, what a registry says ---- */
static int search_flag(const struct engine_filters *f, const char *key, struct json_obool *ret, struct err *e)
{
	const struct strv *v = engine_filter(f, key);

	if (!v || !v->n)
		return 0;
	if (v->n > 1 ||
	    (!streq(v->v[0], "true") && !streq(v->v[0], "false") && !streq(v->v[0], "1") && !streq(v->v[0], "0")))
		return err_set(e, ERR_INVALID, "invalid filter '%s=%s'", key, v->v[0]);
	*ret = (struct json_obool){ true, streq(v->v[0], "true") || streq(v->v[0], "1") };
	return 0;
}

struct search_filter {
	struct json_obool official, automated;
	int64_t stars;
};

static int search_filter(const struct engine_filters *f, struct search_filter *ret, struct err *e)
{
	const struct strv *stars = engine_filter(f, "stars");
	int r = 0;

	for (size_t i = 0; i < f->n; i++)
		if (!streq(f->v[i].key, "is-automated") && !streq(f->v[i].key, "is-official") &&
		    !streq(f->v[i].key, "stars"))
			return err_set(e, ERR_INVALID, "invalid filter '%s'", f->v[i].key);
	r = search_flag(f, "is-official", &ret->official, e);
	if (r == 0)
		r = search_flag(f, "is-automated", &ret->automated, e);
	for (size_t i = 0; r == 0 && stars && i < stars->n; i++) {
		int64_t n = 0;

		if (str_to_i64(stars->v[i], &n) < 0)
			return err_set(e, ERR_INVALID, "invalid filter 'stars=%s'", stars->v[i]);
		ret->stars = MAX(ret->stars, n);
	}
	return r;
}

int images_search(struct engine *en, const char *term, int64_t limit, const struct engine_filters *f,
		  const struct engine_registry *reg, struct docker_search_result **ret_v, size_t *ret_n, struct err *e)
{
	struct search_filter want = { 0 };
	struct remote_search found = { 0 };
	struct remote_config config;
	struct remote_auth auth = remote_auth(reg->auth);
	struct docker_search_result *v;
	size_t n = 0;
	int r = search_filter(f, &want, e);

	if (r < 0)
		return r;
	if (limit == 0)
		limit = 25;
	if (limit < 1 || limit > 100)
		return err_set(e, ERR_INVALID, "limit %lld is outside the range of [1, 100]", (long long)limit);
	remote_config(en, &config);
	r = remote_search(&config, term, &auth, (int)limit, &found, e);
	if (r < 0)
		return r;
	v = xcalloc(found.n, sizeof *v);
	for (size_t i = 0; i < found.n; i++) {
		struct remote_search_row *row = &found.v[i];

		if ((want.official.set && want.official.v != row->official) ||
		    (want.automated.set && want.automated.v != row->automated) || row->stars < want.stars)
			continue;
		v[n++] = (struct docker_search_result){ .name = TAKE_PTR(row->name),
							.description = TAKE_PTR(row->description),
							.star_count = row->stars,
							.is_official = row->official,
							.is_automated = row->automated };
	}
	remote_search_done(&found);
	*ret_v = v;
	*ret_n = n;
	return 0;
}

static void add_platform(struct docker_distribution *d, const struct oci_platform *p)
{
	struct docker_remote_platform *to = VEC_ADD(&d->platforms);

	to->architecture = xstrdup(p->architecture);
	to->os = xstrdup(p->os);
	to->os_version = xstrdup(p->os_version);
	to->variant = xstrdup(p->variant);
}

static int fill_platforms(struct remote *rm, const struct remote_doc *doc, struct docker_distribution *ret,
			  struct err *e)
{
	struct oci_manifest m = { 0 };
	struct remote_image image = { 0 };
	int r = json_read(&oci_manifest_type, doc->bytes, doc->n, &json_limits_default, &m, e);

	for (size_t i = 0; r == 0 && i < m.manifests.n; i++)
		if (m.manifests.v[i].platform)
			add_platform(ret, m.manifests.v[i].platform);
	if (r == 0 && m.config) {
		struct oci_image config = { 0 };

		r = remote_resolve(rm, doc->digest, NULL, &image, e);
		if (r == 0)
			r = json_read(&oci_image_type, image.config, image.config_n, &json_limits_default, &config, e);
		if (r == 0 && !str_empty(config.os))
			add_platform(ret, &(struct oci_platform){ .architecture = config.architecture,
								  .os = config.os,
								  .os_version = config.os_version,
								  .variant = config.variant });
		json_done(&oci_image_type, &config);
		remote_image_done(&image);
	}
	json_done(&oci_manifest_type, &m);
	return r;
}

int distribution_inspect(struct engine *en, const char *name, const struct engine_registry *reg,
			 struct docker_distribution *ret, struct err *e)
{
	struct remote_config config;
	struct remote_doc doc = { 0 };
	struct remote *rm = NULL;
	struct ref ref = { 0 };
	int r = ref_parse(name, &ref, e);

	if (r < 0)
		return r;
	remote_config(en, &config);
	r = remote_open(&(struct remote_opts){ .config = &config,
					       .ref = &ref,
					       .auth = remote_auth(reg->auth),
					       .meta_headers = reg->meta_headers },
			&rm, e);
	if (r == 0)
		r = remote_manifest_get(rm, ref.digest ? ref.digest : ref.tag ? ref.tag : "latest", &doc, e);
	if (r == 0) {
		ret->descriptor.media_type = xstrdup(doc.media_type);
		ret->descriptor.digest = xstrdup(doc.digest);
		ret->descriptor.size = (int64_t)doc.n;
		r = fill_platforms(rm, &doc, ret, e);
	}
	remote_doc_done(&doc);
	remote_close(rm);
	ref_done(&ref);
	return r;
}

int registry_login(struct engine *en, const struct docker_auth_config *a, struct docker_auth_response *ret,
		   struct err *e)
{
	struct remote_auth auth = remote_auth(a);
	struct remote_config config;
	int r;

	remote_config(en, &config);
	r = remote_login(&config, str_empty(a->server_address) ? "https://index.docker.io/v1/" : a->server_address,
			 &auth, &ret->identity_token, e);
	if (r == 0)
		ret->status = xstrdup("Login Succeeded");
	return r;
}

/* ---- broken layers, fetched again ---- */
static void layer_healed(void *ctx, const struct image_healed *h)
{
	const struct engine_progress *p = ctx;
	AUTO_STRB struct strb b = STRB_INIT;

	strb_adds(&b, "{\"layer\":");
	json_add_str(&b, h->layer);
	strb_addf(&b, ",\"status\":\"%s\",\"%s\":", h->from ? "healed" : "broken", h->from ? "from" : "error");
	json_add_str(&b, h->from ? h->from : h->error);
	strb_addc(&b, '}');
	(void)p->line(p->ctx, strb_str(&b));
}

int images_heal(struct engine *en, const struct strv *names, const struct engine_registry *reg,
		const struct engine_progress *p, struct err *e)
{
	struct remote_config config;
	struct image_heal h = { .remote = &config,
				.auth = remote_auth(reg->auth),
				.layer = layer_healed,
				.gone = gone,
				.ctx = (void *)(uintptr_t)p };
	size_t layers = 0, healed = 0, left = 0;
	AUTO_FREE char *line = NULL;
	int r;

	remote_config(en, &config);
	r = image_heal(en->images, names, &h, &layers, &healed, &left, e);
	if (r < 0)
		return r;
	line = xasprintf("{\"layers\":%zu,\"healed\":%zu,\"broken\":%zu}", layers, healed, left);
	(void)p->line(p->ctx, line);
	return 0;
}
