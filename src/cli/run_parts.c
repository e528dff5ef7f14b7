/* run_parts.c - values with a grammar of their own: --mount, --gpus, --ulimit, --device and the block I/O limits. */
#include "cli/run_body.h"

#include <ctype.h>

int csv_split(const char *line, struct strv *ret, struct err *e)
{
	AUTO_STRB struct strb field = STRB_INIT;
	const char *p = line;

	for (;;) {
		strb_clear(&field);
		if (*p == '"') {
			for (p++; *p && (*p != '"' || p[1] == '"'); p++) {
				if (*p == '"')
					p++;
				strb_addc(&field, *p);
			}
			if (*p != '"' || (p[1] && p[1] != ','))
				return err_set(
					e, ERR_INVALID,
					"parse error on line 1, column %zu: extraneous or missing \" in quoted-field",
					(size_t)(p - line) + 1);
			p++;
		} else {
			for (; *p && *p != ','; p++) {
				if (*p == '"')
					return err_set(e, ERR_INVALID,
						       "parse error on line 1, column %zu: bare \" in non-quoted-field",
						       (size_t)(p - line) + 1);
				strb_addc(&field, *p);
			}
		}
		strv_add(ret, strb_str(&field));
		if (!*p)
			return 0;
		p++;
	}
}

void kv_map(const struct strv *list, struct strmap *ret)
{
	for (size_t i = 0; i < list->n; i++) {
		const char *eq = strchr(list->v[i], '=');
		AUTO_FREE char *key = eq ? xstrndup(list->v[i], (size_t)(eq - list->v[i])) : xstrdup(list->v[i]);

		strmap_set(ret, key, eq ? eq + 1 : "");
	}
}

/* ---- --mount ---- */
struct mount {
	const char *type, *source, *target, *consistency, *propagation, *recursive, *subpath, *image_subpath, *driver,
		*tmpfs_size, *tmpfs_mode;
	char *absolute;
	bool read_only, no_copy, non_recursive, bind, volume, image, tmpfs;
	struct strmap labels, options;
};

static void mount_done(struct mount *m)
{
	free(m->absolute);
	strmap_done(&m->labels);
	strmap_done(&m->options);
}

/* Keys with a text as their value. family: which "x-*" options the key is one of. */
static const struct {
	const char *key;
	size_t member;
	size_t family; /* 0: any type */
} mount_texts[] = {
#define TEXT(key, member) \
	{ \
		key, offsetof(struct mount, member), 0 \
	}
#define OF(key, member, family) \
	{ \
		key, offsetof(struct mount, member), offsetof(struct mount, family) \
	}
	TEXT("type", type),
	TEXT("source", source),
	TEXT("src", source),
	TEXT("target", target),
	TEXT("dst", target),
	TEXT("destination", target),
	TEXT("consistency", consistency),
	OF("bind-propagation", propagation, bind),
	OF("bind-recursive", recursive, bind),
	OF("volume-subpath", subpath, volume),
	OF("volume-driver", driver, volume),
	OF("image-subpath", image_subpath, image),
	OF("tmpfs-size", tmpfs_size, tmpfs),
	OF("tmpfs-mode", tmpfs_mode, tmpfs),
#undef TEXT
#undef OF
};

static int mount_flag(const char *key, const char *value, bool *ret, struct err *e)
{
	if (!value) {
		*ret = true;
		return 0;
	}
	if (go_parse_bool(value, ret, NULL) < 0)
		return err_set(e, ERR_INVALID, "invalid value for %s: %s", key, value);
	return 0;
}

static void pair_add(struct strmap *m, const char *pair)
{
	const char *eq = strchr(pair, '=');
	AUTO_FREE char *key = eq ? xstrndup(pair, (size_t)(eq - pair)) : xstrdup(pair);

	strmap_set(m, key, eq ? eq + 1 : "");
}

static int mount_field(struct mount *m, const char *field, struct err *e)
{
	const char *eq = strchr(field, '='), *value = eq ? eq + 1 : NULL;
	AUTO_FREE char *key = eq ? xstrndup(field, (size_t)(eq - field)) : xstrdup(field);

	for (char *p = key; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (streq(key, "readonly") || streq(key, "ro"))
		return mount_flag(key, value, &m->read_only, e);
	if (streq(key, "volume-nocopy")) {
		m->volume = true;
		return mount_flag(key, value, &m->no_copy, e);
	}
	if (streq(key, "bind-nonrecursive")) {
		m->bind = true;
		return mount_flag(key, value, &m->non_recursive, e);
	}
	if (!value)
		return err_set(e, ERR_INVALID, "invalid field '%s' must be a key=value pair", field);
	if (streq(key, "volume-label") || streq(key, "volume-opt")) {
		m->volume = true;
		pair_add(streq(key, "volume-opt") ? &m->options : &m->labels, value);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(mount_texts); i++) {
		if (!streq(mount_texts[i].key, key))
			continue;
		*(const char **)((char *)m + mount_texts[i].member) = value;
		if (mount_texts[i].family)
			*(bool *)((char *)m + mount_texts[i].family) = true;
		return 0;
	}
	return err_set(e, ERR_INVALID, "unexpected key '%s' in '%s'", key, field);
}

static int mount_verify(struct mount *m, struct err *e)
{
	static const char *const recursions[] = { "enabled", "disabled", "writable", "readonly" };
	bool known = !m->recursive;
	int64_t number;
	uint32_t mode;

	if (str_empty(m->type))
		return err_set(e, ERR_INVALID, "type is required");
	if (str_empty(m->target))
		return err_set(e, ERR_INVALID, "target is required");
	if (m->volume && !streq(m->type, "volume"))
		return err_set(e, ERR_INVALID, "cannot mix 'volume-*' options with mount type '%s'", m->type);
	if (m->bind && !streq(m->type, "bind"))
		return err_set(e, ERR_INVALID, "cannot mix 'bind-*' options with mount type '%s'", m->type);
	if (m->tmpfs && !streq(m->type, "tmpfs"))
		return err_set(e, ERR_INVALID, "cannot mix 'tmpfs-*' options with mount type '%s'", m->type);
	if (m->image && !streq(m->type, "image"))
		return err_set(e, ERR_INVALID, "cannot mix 'image-*' options with mount type '%s'", m->type);
	for (size_t i = 0; i < ARRAY_LEN(recursions); i++)
		known |= streq(m->recursive, recursions[i]);
	if (!known)
		return err_set(e, ERR_INVALID,
			       "invalid value for bind-recursive: %s (must be \"enabled\", \"disabled\", \"writable\", "
			       "or \"readonly\")",
			       m->recursive);
	if (streq(m->recursive, "readonly") && !m->read_only)
		return err_set(e, ERR_INVALID,
			       "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction");
	if (streq(m->recursive, "readonly") && !streq(m->propagation, "rprivate"))
		return err_set(e, ERR_INVALID,
			       "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified "
			       "in conjunction");
	if (streq(m->recursive, "writable") && !m->read_only)
		return err_set(e, ERR_INVALID,
			       "option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction");
	if (m->tmpfs_size && parse_bytes(m->tmpfs_size, &number, NULL) < 0)
		return err_set(e, ERR_INVALID, "invalid value for tmpfs-size: %s", m->tmpfs_size);
	if (m->tmpfs_mode && str_to_u32(m->tmpfs_mode, 8, &mode) < 0)
		return err_set(e, ERR_INVALID, "invalid value for tmpfs-mode: %s", m->tmpfs_mode);
	return 0;
}

static void mount_options_write(const struct mount *m, struct jw *w)
{
	int64_t size = 0;
	uint32_t mode = 0;

	if (m->bind) {
		jw_open(w, "BindOptions", '{');
		if (m->propagation)
			jw_str(w, "Propagation", m->propagation);
		if (m->non_recursive || streq(m->recursive, "disabled"))
			jw_bool(w, "NonRecursive", true);
		if (streq(m->recursive, "writable"))
			jw_bool(w, "ReadOnlyNonRecursive", true);
		if (streq(m->recursive, "readonly"))
			jw_bool(w, "ReadOnlyForceRecursive", true);
		jw_close(w, '}');
	}
	if (m->volume) {
		jw_open(w, "VolumeOptions", '{');
		if (m->no_copy)
			jw_bool(w, "NoCopy", true);
		if (m->labels.n)
			jw_map(w, "Labels", &m->labels);
		if (m->subpath)
			jw_str(w, "Subpath", m->subpath);
		if (m->driver || m->options.n) {
			jw_open(w, "DriverConfig", '{');
			if (m->driver)
				jw_str(w, "Name", m->driver);
			if (m->options.n)
				jw_map(w, "Options", &m->options);
			jw_close(w, '}');
		}
		jw_close(w, '}');
	}
	if (m->image_subpath) {
		jw_open(w, "ImageOptions", '{');
		jw_str(w, "Subpath", m->image_subpath);
		jw_close(w, '}');
	}
	if (m->tmpfs) {
		jw_open(w, "TmpfsOptions", '{');
		if (m->tmpfs_size && parse_bytes(m->tmpfs_size, &size, NULL) == 0)
			jw_int(w, "SizeBytes", size);
		if (m->tmpfs_mode && str_to_u32(m->tmpfs_mode, 8, &mode) == 0)
			jw_int(w, "Mode", mode);
		jw_close(w, '}');
	}
}

static void mount_write(struct mount *m, struct jw *w)
{
	jw_open(w, NULL, '{');
	jw_str(w, "Type", m->type);
	if (!str_empty(m->source))
		jw_str(w, "Source", m->source);
	jw_str(w, "Target", m->target);
	if (m->read_only)
		jw_bool(w, "ReadOnly", true);
	if (m->consistency)
		jw_str(w, "Consistency", m->consistency);
	mount_options_write(m, w);
	jw_close(w, '}');
}

int mount_json(const char *spec, struct jw *w, struct err *e)
{
	struct mount m = { .type = "volume" };
	AUTO_STRV struct strv fields = { 0 };
	int r;

	if (!*spec)
		return err_set(e, ERR_INVALID, "EOF");
	r = csv_split(spec, &fields, e);
	for (size_t i = 0; r >= 0 && i < fields.n; i++)
		r = mount_field(&m, fields.v[i], e);
	if (r >= 0)
		r = mount_verify(&m, e);
	if (r >= 0 && streq(m.type, "bind") && m.source && *m.source == '.') {
		AUTO_FREE char *cwd = getcwd(NULL, 0);
		AUTO_FREE char *joined = path_join(cwd ? cwd : "/", m.source);

		m.absolute = path_clean(joined);
		m.source = m.absolute;
	}
	if (r >= 0 && w)
		mount_write(&m, w);
	mount_done(&m);
	return r;
}

/* ---- --gpus ---- */
int gpus_json(const char *spec, struct jw *w, struct err *e)
{
	AUTO_STRV struct strv fields = { 0 }, ids = { 0 }, caps = { 0 };
	AUTO_STRMAP struct strmap options = { 0 };
	const char *driver = "";
	int64_t count = 0;
	bool any = false;
	int r = csv_split(spec, &fields, e);

	for (size_t i = 0; r >= 0 && i < fields.n; i++) {
		const char *f = fields.v[i], *eq = strchr(f, '='), *value = eq ? eq + 1 : f;

		if (!eq || str_after(f, "count=")) {
			any = true;
			count = -1;
			if (!streq(value, "all") && (str_to_i64(value, &count) < 0))
				return err_set(e, ERR_INVALID,
					       "invalid count (%s): value must be either \"all\" or an integer", value);
		} else if (str_after(f, "device=")) {
			strv_split(&ids, value, ",");
		} else if (str_after(f, "driver=")) {
			driver = value;
		} else if (str_after(f, "capabilities=")) {
			strv_split(&caps, value, ",");
		} else if (str_after(f, "options=")) {
			AUTO_STRV struct strv pairs = { 0 };

			strv_split(&pairs, value, ",");
			kv_map(&pairs, &options);
		} else {
			return err_set(e, ERR_INVALID, "unexpected key '%.*s' in '%s'", (int)(eq - f), f, f);
		}
	}
	if (r < 0 || !w)
		return r;
	if (!any && ids.n == 0)
		count = 1;
	if (!strv_has(&caps, "gpu"))
		strv_add(&caps, "gpu");
	jw_open(w, NULL, '{');
	jw_str(w, "Driver", driver);
	jw_int(w, "Count", count);
	if (ids.n)
		jw_strv(w, "DeviceIDs", &ids);
	jw_open(w, "Capabilities", '[');
	jw_strv(w, NULL, &caps);
	jw_close(w, ']');
	jw_map(w, "Options", &options);
	jw_close(w, '}');
	return 0;
}

/* ---- --ulimit ---- */
int ulimit_json(const char *spec, struct jw *w, struct err *e)
{
	static const char *const names[] = { "core",    "cpu",      "data",   "fsize",      "locks",
					     "memlock", "msgqueue", "nice",   "nofile",     "nproc",
					     "rss",     "rtprio",   "rttime", "sigpending", "stack" };
	const char *eq = strchr(spec, '='), *colon = eq ? strchr(eq + 1, ':') : NULL;
	AUTO_FREE char *name = eq ? xstrndup(spec, (size_t)(eq - spec)) : NULL;
	AUTO_FREE char *soft_text = eq ? xstrndup(eq + 1, colon ? (size_t)(colon - eq - 1) : strlen(eq + 1)) : NULL;
	int64_t soft, hard;
	bool known = false;

	if (!eq || !*soft_text)
		return err_set(e, ERR_INVALID, "invalid ulimit argument: %s", spec);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		known |= streq(names[i], name);
	if (!known)
		return err_set(e, ERR_INVALID, "invalid ulimit type: %s", name);
	if (colon && strchr(colon + 1, ':'))
		return err_set(e, ERR_INVALID,
			       "too many limit value arguments - %s, can only have up to two, `soft[:hard]`", eq + 1);
	if (str_to_i64(soft_text, &soft) < 0)
		return err_set(e, ERR_INVALID, "strconv.ParseInt: parsing \"%s\": invalid syntax", soft_text);
	hard = soft;
	if (colon && str_to_i64(colon + 1, &hard) < 0)
		return err_set(e, ERR_INVALID, "strconv.ParseInt: parsing \"%s\": invalid syntax", colon + 1);
	if (hard != -1 && (soft == -1 || soft > hard))
		return err_set(e, ERR_INVALID,
			       "ulimit soft limit must be less than or equal to hard limit: %lld > %lld",
			       (long long)soft, (long long)hard);
	if (!w)
		return 0;
	jw_open(w, NULL, '{');
	jw_str(w, "Name", name);
	jw_int(w, "Hard", hard);
	jw_int(w, "Soft", soft);
	jw_close(w, '}');
	return 0;
}

/* ---- devices ---- */
static bool device_mode(const char *s)
{
	return *s && strspn(s, "rwm") == strlen(s) && strlen(s) <= 3;
}

int device_json(const char *spec, struct jw *w, struct err *e)
{
	AUTO_STRV struct strv part = { 0 };
	const char *inside, *rights = "rwm";

	strv_split(&part, spec, ":");
	if (part.n == 0 || part.n > 3 || *spec == ':')
		return err_set(e, ERR_INVALID, "invalid device specification: %s", spec);
	inside = part.v[0];
	if (part.n == 3)
		rights = part.v[2];
	if (part.n >= 2 && part.n < 3 && device_mode(part.v[1]))
		rights = part.v[1];
	else if (part.n >= 2)
		inside = part.v[1];
	jw_open(w, NULL, '{');
	jw_str(w, "PathOnHost", part.v[0]);
	jw_str(w, "PathInContainer", inside);
	jw_str(w, "CgroupPermissions", rights);
	jw_close(w, '}');
	return 0;
}

int weight_device_json(const char *spec, struct jw *w, struct err *e)
{
	const char *colon = strchr(spec, ':');
	int64_t weight;

	if (!colon || strchr(colon + 1, ':'))
		return err_set(e, ERR_INVALID, "bad format: %s", spec);
	if (*spec != '/' || !str_after(spec, "/dev/"))
		return err_set(e, ERR_INVALID, "bad format for device path: %s", spec);
	if (str_to_i64(colon + 1, &weight) < 0 || (weight > 0 && (weight < 10 || weight > 1000)) || weight < 0)
		return err_set(e, ERR_INVALID, "invalid weight for device: %s", spec);
	if (!w)
		return 0;
	jw_open(w, NULL, '{');
	jw_str_n(w, "Path", spec, (size_t)(colon - spec));
	jw_int(w, "Weight", weight);
	jw_close(w, '}');
	return 0;
}

int throttle_json(const char *spec, bool bytes, struct jw *w, struct err *e)
{
	const char *colon = strchr(spec, ':');
	int64_t rate;

	if (!colon || strchr(colon + 1, ':'))
		return err_set(e, ERR_INVALID, "bad format: %s", spec);
	if (!str_after(spec, "/dev/"))
		return err_set(e, ERR_INVALID, "bad format for device path: %s", spec);
	if (bytes && (parse_bytes(colon + 1, &rate, NULL) < 0 || rate < 0))
		return err_set(e, ERR_INVALID,
			       "invalid rate for device: %s. The correct format is <device-path>:<number>[<unit>]. "
			       "Number must be a "
			       "positive integer. Unit is optional and can be kb, mb, or gb",
			       spec);
	if (!bytes && (str_to_i64(colon + 1, &rate) < 0 || rate < 0))
		return err_set(e, ERR_INVALID,
			       "invalid rate for device: %s. The correct format is <device-path>:<number>. Number must "
			       "be a positive "
			       "integer",
			       spec);
	if (!w)
		return 0;
	jw_open(w, NULL, '{');
	jw_str_n(w, "Path", spec, (size_t)(colon - spec));
	jw_int(w, "Rate", rate);
	jw_close(w, '}');
	return 0;
}
