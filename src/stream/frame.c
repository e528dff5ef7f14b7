/* frame.c - Docker's multiplexed frames and HTTP chunks. */
#include "stream/stream.h"

void stream_head(char ret[STREAM_HEAD], enum stream_id id, uint32_t n)
{
	const char head[STREAM_HEAD] = { (char)id,        0, 0, 0, (char)(n >> 24), (char)(n >> 16), (char)(n >> 8),
					 (char)(n & 0xff) };

	memcpy(ret, head, STREAM_HEAD);
}

void stream_add(struct strb *b, enum stream_id id, const void *p, size_t n)
{
	char head[STREAM_HEAD];

	stream_head(head, id, (uint32_t)n);
	strb_add(b, head, sizeof head);
	strb_add(b, p, n);
}

int stream_next(struct stream_reader *s, const char **p, size_t *n, struct stream_piece *ret)
{
	size_t take;

	while (s->left == 0) {
		take = MIN(*n, STREAM_HEAD - s->n_head);
		if (take == 0)
			return 0;
		memcpy(s->head + s->n_head, *p, take);
		s->n_head += (uint32_t)take;
		*p += take;
		*n -= take;
		if (s->n_head < STREAM_HEAD)
			return 0;
		if (s->head[0] > STREAM_SYSTEM || s->head[1] || s->head[2] || s->head[3])
			return -EBADMSG;
		s->n_head = 0;
		s->left = (uint32_t)s->head[4] << 24 | (uint32_t)s->head[5] << 16 | (uint32_t)s->head[6] << 8 |
			  s->head[7];
	}
	take = MIN(*n, (size_t)s->left);
	if (take == 0)
		return 0;
	*ret = (struct stream_piece){ .id = s->head[0], .p = *p, .n = take };
	s->left -= (uint32_t)take;
	*p += take;
	*n -= take;
	return 1;
}

size_t chunk_head(char ret[CHUNK_HEAD_MAX], size_t n)
{
	return (size_t)snprintf(ret, CHUNK_HEAD_MAX, "%zx\r\n", n);
}

void chunk_add(struct strb *b, const void *p, size_t n)
{
	char head[CHUNK_HEAD_MAX];

	if (n == 0)
		return;
	strb_add(b, head, chunk_head(head, n));
	strb_add(b, p, n);
	strb_adds(b, CHUNK_TAIL);
}
