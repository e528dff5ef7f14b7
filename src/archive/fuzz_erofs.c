/* fuzz_erofs.c - any bytes as a layer archive -> an erofs image: a sentence or an image, never a byte outside of it. */
#include "archive/archive.h"
#include "archive/recipe.h"
#include "base/kernel.h"

#include <sys/mman.h>
#include <sys/stat.h>

static const struct apply_budget budget = { .entries = 2000, .devices = 100, .bytes = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FD int image = memfd_create("image", MFD_CLOEXEC);
	AUTO_FD int notes = memfd_create("recipe", MFD_CLOEXEC);
	struct recipe *recipe = recipe_new(notes);
	struct apply_result res = { 0 };
	struct mem_source m;
	struct stat st;

	mem_source_init(&m, data, size, 1 + size % 5000);
	if (archive_erofs(&m.src, image, &budget, recipe, &res, NULL) == 0) {
		if (fstat(image, &st) < 0 || st.st_size % 4096 || st.st_size == 0)
			abort();
		apply_result_done(&res);
	}
	recipe_free(recipe);
	return 0;
}
