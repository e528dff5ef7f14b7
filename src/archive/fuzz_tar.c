/* fuzz_tar.c - any bytes as a layer archive: read in odd chunks, applied below a directory on tmpfs. What must hold beside not
 * crashing: nothing appears outside of that directory. */
#include "archive/archive.h"

#include <fcntl.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct apply_budget budget = { .entries = 200, .devices = 20, .bytes = 1 << 20 };

static void only_read(const uint8_t *data, size_t size)
{
	const struct tar_entry *t = NULL;
	struct mem_source m;
	struct tar *tar;

	mem_source_init(&m, data, size, 1 + size % 700);
	tar = tar_new(&m.src);
	while (tar_next(tar, &t, NULL) > 0)
		;
	tar_free(tar);
}

/* Sparse files may claim any length: that costs nothing but is checked to be refused by the kernel or kept as a hole. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char outer[] = "/dev/shm/hoy-fuzz-tar-XXXXXX";
	struct apply_result res = { 0 };
	struct mem_source m;
	struct stat st;

	only_read(data, size);
	if (geteuid() != 0 || !mkdtemp(outer))
		return 0;
	{
		AUTO_FD int out = dir_open(AT_FDCWD, outer);
		AUTO_FD int in = -1;

		if (mkdirat(out, "in", 0755) == 0 && (in = dir_open(out, "in")) >= 0) {
			mem_source_init(&m, data, size, 4096);
			if (archive_apply(&m.src, in, &budget, &res, NULL) == 0)
				apply_result_done(&res);
			if (fstat(out, &st) < 0 || st.st_nlink != 3)
				abort(); /* a directory beside "in" */
			(void)dir_remove(out, "in");
			if (unlinkat(AT_FDCWD, outer, AT_REMOVEDIR) < 0)
				abort(); /* something beside "in" */
		}
	}
	return 0;
}
