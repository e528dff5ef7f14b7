/* fuzz_recipe.c - any bytes as a recipe, played over a small directory; and any bytes as a tar, which must come back out of its
 * recipe. The first byte chooses. */
#include "archive/recipe.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	struct strb bytes;
};

static int collect(void *ctx, const void *p, size_t n)
{
	struct seen *s = ctx;

	if (s->bytes.len + n > 8 << 20)
		return -EFBIG;
	strb_add(&s->bytes, p, n);
	return 0;
}

static void play_any(const uint8_t *data, size_t size)
{
	AUTO_FD int recipe = memfd_of("recipe", data, size);
	AUTO_FD int dir = open("/dev/null", O_PATH | O_CLOEXEC); /* no directory: every path fails */
	struct seen s = { 0 };

	(void)recipe_play(recipe, dir, NULL, &(struct recipe_sink){ .write = collect, .ctx = &s }, NULL);
	strb_done(&s.bytes);
}

static void there_and_back(const uint8_t *data, size_t size, int dir)
{
	static const struct apply_budget budget = { .entries = 200, .devices = 20, .bytes = 1 << 20 };
	AUTO_FD int fd = memfd_create("recipe", MFD_CLOEXEC);
	struct recipe *recipe = recipe_new(fd);
	struct apply_result res = { 0 };
	struct hash *h = hash_new();
	struct seen s = { 0 };
	struct mem_source m;
	char diff_id[72];

	hash_add(h, data, size);
	hash_text(h, diff_id);
	hash_free(h);
	mem_source_init(&m, data, size, 1 + size % 3000);
	if (archive_apply_recipe(&m.src, dir, &budget, recipe, &res, NULL) == 0) {
		apply_result_done(&res);
		if (recipe_end(recipe, diff_id, (int64_t)size, NULL) == 0 &&
		    (recipe_play(fd, dir, diff_id, &(struct recipe_sink){ .write = collect, .ctx = &s }, NULL) < 0 ||
		     s.bytes.len != size || memcmp(strb_str(&s.bytes), data, size) != 0))
			abort();
	}
	recipe_free(recipe);
	strb_done(&s.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[] = "/dev/shm/hoy-fuzz-recipe-XXXXXX";

	if (size < 1 || hash_prepare() < 0)
		return 0;
	if (*data == 'H') {
		play_any(data, size);
		return 0;
	}
	if (geteuid() != 0 || size > 1 << 20 || !mkdtemp(name))
		return 0;
	{
		AUTO_FD int dir = dir_open(AT_FDCWD, name);

		there_and_back(data, size, dir);
	}
	(void)dir_remove(AT_FDCWD, name);
	return 0;
}
