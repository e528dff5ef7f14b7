/* detach.c - the keys that leave a container running. */
#include "stream/stream.h"

/* One name of the list: a single character is itself, "ctrl-x" for @ a-z [ \ ] ^ _, and DEL. -1 = unknown. */
static int key_code(const char *key, size_t n)
{
	static const char controls[] = "@abcdefghijklmnopqrstuvwxyz[\\]^_";
	const char *at = NULL;

	if (n == 1)
		return (unsigned char)*key;
	if (n == 3 && memcmp(key, "DEL", 3) == 0)
		return 127;
	if (n != 6 || memcmp(key, "ctrl-", 5) != 0)
		return -1;
	at = memchr(controls, key[5], sizeof controls - 1);
	return at ? (int)(at - controls) : -1;
}

int detach_keys_parse(const char *text, struct detach_keys *ret, struct err *e)
{
	struct detach_keys k = { 0 };

	for (const char *p = text; !str_empty(text);) {
		size_t n = strcspn(p, ",");
		int code = key_code(p, n);

		if (code < 0 || k.n == DETACH_KEYS_MAX)
			return err_set(e, ERR_INVALID, "Invalid escape keys (%s) provided", text);
		k.keys[k.n++] = (char)code;
		if (!p[n])
			break;
		p += n + 1;
	}
	*ret = k;
	return 0;
}

void detach_init(struct detach_matcher *m, const struct detach_keys *keys)
{
	*m = (struct detach_matcher){ 0 };
	if (keys && keys->n)
		m->keys = *keys;
	else
		m->keys = (struct detach_keys){ .keys = DETACH_KEYS_DEFAULT, .n = sizeof DETACH_KEYS_DEFAULT - 1 };
}

/* The held keys and c do not match: let go of as few as leave a shorter match. */
static void fall_back(struct detach_matcher *m, char c, struct strb *out)
{
	const char *keys = m->keys.keys;

	while (m->matched > 0 && keys[m->matched] != c) {
		size_t shorter = m->matched - 1;

		while (shorter > 0 && memcmp(keys, keys + m->matched - shorter, shorter) != 0)
			shorter--;
		strb_add(out, keys, m->matched - shorter);
		m->matched = shorter;
	}
}

bool detach_match(struct detach_matcher *m, const char *p, size_t n, struct strb *out)
{
	for (size_t i = 0; i < n; i++) {
		fall_back(m, p[i], out);
		if (m->keys.keys[m->matched] != p[i]) {
			strb_addc(out, p[i]);
			continue;
		}
		if (++m->matched == m->keys.n) {
			m->matched = 0;
			return true;
		}
	}
	return false;
}
