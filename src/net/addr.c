/* addr.c - IPv4 arithmetic, address pools, sets of addresses in use. Pure. */
#include "net/internal.h"

/* Docker's defaults, in its order */
const char *const default_pools[] = { "172.17.0.0/16,16", "172.18.0.0/16,16", "172.19.0.0/16,16",  "172.20.0.0/14,16",
				      "172.24.0.0/14,16", "172.28.0.0/14,16", "192.168.0.0/16,20", NULL };

bool ip4_parse(const char *s, uint32_t *ret)
{
	struct in_addr a;

	if (str_empty(s) || inet_pton(AF_INET, s, &a) != 1)
		return false;
	*ret = ntohl(a.s_addr);
	return true;
}

void ip4_text(uint32_t ip, char ret[IP4_TEXT_MAX])
{
	snprintf(ret, IP4_TEXT_MAX, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
}

uint32_t ip4_mask(int len)
{
	return len <= 0 ? 0 : UINT32_MAX << (32 - len);
}

bool ip4_net_parse(const char *s, struct ip4_net *ret_net, uint32_t *ret_ip)
{
	const char *slash = s ? strchr(s, '/') : NULL;
	char text[IP4_TEXT_MAX];
	int64_t len;
	uint32_t ip;

	if (!slash || (size_t)(slash - s) >= sizeof text)
		return false;
	snprintf(text, sizeof text, "%.*s", (int)(slash - s), s);
	if (!ip4_parse(text, &ip) || str_to_i64(slash + 1, &len) < 0 || len < 0 || len > 32)
		return false;
	*ret_net = (struct ip4_net){ .ip = ip & ip4_mask((int)len), .len = (int)len };
	if (ret_ip)
		*ret_ip = ip;
	return true;
}

void ip4_net_text(struct ip4_net net, char ret[IP4_TEXT_MAX + 4])
{
	char ip[IP4_TEXT_MAX];

	ip4_text(net.ip, ip);
	snprintf(ret, IP4_TEXT_MAX + 4, "%s/%d", ip, net.len);
}

bool ip4_in(struct ip4_net net, uint32_t ip)
{
	return (ip & ip4_mask(net.len)) == net.ip;
}

bool ip4_overlap(struct ip4_net a, struct ip4_net b)
{
	uint32_t mask = ip4_mask(MIN(a.len, b.len));

	return (a.ip & mask) == (b.ip & mask);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool mac_parse(const char *s, uint8_t ret[6])
{
	uint8_t mac[6];

	if (!s || strlen(s) != 17)
		return false;
	for (int i = 0; i < 6; i++) {
		int high = hex_digit(s[i * 3]), low = hex_digit(s[i * 3 + 1]);

		if (high < 0 || low < 0 || (i < 5 && s[i * 3 + 2] != ':' && s[i * 3 + 2] != '-'))
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(ret, mac, 6);
	return true;
}

void mac_text(const uint8_t mac[6], char ret[18])
{
	snprintf(ret, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

int pool_parse(const char *s, struct pool *ret, struct err *e)
{
	AUTO_FREE char *base = xstrdup(s);
	char *comma = strchr(base, ',');
	struct pool p;
	int64_t size;

	if (!comma)
		return err_set(e, ERR_INVALID, "invalid default address pool \"%s\": it is to be BASE/BITS,SIZE", s);
	*comma = 0;
	if (!ip4_net_parse(base, &p.base, NULL) || str_to_i64(comma + 1, &size) < 0)
		return err_set(e, ERR_INVALID, "invalid default address pool \"%s\": it is to be BASE/BITS,SIZE", s);
	if (size < p.base.len || size > 30 || p.base.len < 8)
		return err_set(e, ERR_INVALID,
			       "invalid default address pool \"%s\": the size must be between the base's bits and 30",
			       s);
	p.size = (int)size;
	*ret = p;
	return 0;
}

static bool overlaps_any(struct ip4_net net, const struct ip4_net *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ip4_overlap(net, v[i]))
			return true;
	return false;
}

bool pool_choose(const struct strv *pools, const struct ip4_net *taken, size_t n_taken, struct ip4_net *ret)
{
	for (size_t i = 0; i < pools->n; i++) {
		struct pool p = { 0 };

		if (pool_parse(pools->v[i], &p, NULL) < 0 || p.size <= 0)
			continue;
		for (uint32_t k = 0; k < 1u << (p.size - p.base.len); k++) {
			struct ip4_net net = { .ip = p.base.ip + (k << (32 - p.size)), .len = p.size };

			if (!overlaps_any(net, taken, n_taken)) {
				*ret = net;
				return true;
			}
		}
	}
	return false;
}

static uint32_t set_size(const struct ip4_set *s)
{
	return 1u << (32 - s->net.len); /* networks are /8 or smaller: checked where they come from */
}

void ip4_set_init(struct ip4_set *s, struct ip4_net net)
{
	*s = (struct ip4_set){ .net = net };
	s->bits = xcalloc((set_size(s) + 63) / 64, sizeof *s->bits);
	if (net.len < 31) {
		ip4_set_take(s, net.ip);
		ip4_set_take(s, net.ip + (set_size(s) - 1));
	}
}

void ip4_set_done(struct ip4_set *s)
{
	free(s->bits);
	*s = (struct ip4_set){ 0 };
}

bool ip4_set_take(struct ip4_set *s, uint32_t ip)
{
	uint32_t i = ip - s->net.ip;
	uint64_t bit = 1ull << (i % 64);

	if (!s->bits || !ip4_in(s->net, ip) || s->bits[i / 64] & bit)
		return false;
	s->bits[i / 64] |= bit;
	return true;
}

/* The lowest free one of range, which lies within the set's network. */
bool ip4_set_take_lowest(struct ip4_set *s, struct ip4_net range, uint32_t *ret)
{
	uint32_t first = range.ip - s->net.ip, end;

	if (!s->bits || !ip4_in(s->net, range.ip))
		return false;
	end = first + (1u << (32 - range.len));
	for (uint32_t i = first; i < end;) {
		if (i % 64 == 0 && s->bits[i / 64] == UINT64_MAX) {
			i += 64;
			continue;
		}
		if (!(s->bits[i / 64] >> (i % 64) & 1)) {
			s->bits[i / 64] |= 1ull << (i % 64);
			*ret = s->net.ip + i;
			return true;
		}
		i++;
	}
	return false;
}

void ip4_set_release(struct ip4_set *s, uint32_t ip)
{
	uint32_t i = ip - s->net.ip;

	if (s->bits && ip4_in(s->net, ip))
		s->bits[i / 64] &= ~(1ull << (i % 64));
}
