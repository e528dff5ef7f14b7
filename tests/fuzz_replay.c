/* fuzz_replay.c - main() for the fuzzers in a normal build: every file of the given folders goes through the target, then small
 * mutations of each, the same ones every time, so that a corpus guards more than its own bytes. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX (4 << 20)
#define MUTANTS 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t seed = 88172645463325252u;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

static void mutate_and_run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size + 1);

	if (!copy)
		abort();
	for (int i = 0; i < MUTANTS; i++) {
		size_t n = size;

		memcpy(copy, data, size);
		if (n > 0 && next_random() % 4 == 0)
			n = next_random() % n;
		for (uint64_t changes = 1 + next_random() % 4; n > 0 && changes > 0; changes--)
			copy[next_random() % n] = (uint8_t)next_random();
		LLVMFuzzerTestOneInput(copy, n);
	}
	free(copy);
}

static int run_file(const char *folder, const char *name)
{
	char path[4096];
	uint8_t *data = malloc(INPUT_MAX);
	size_t size;
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "rb");
	if (!f || !data) {
		perror(path);
		return -1;
	}
	size = fread(data, 1, INPUT_MAX, f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, size);
	if (size <= 4096) /* a mutant of something big costs more than it finds */
		mutate_and_run(data, size);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	int n = 0;

	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *entry;

		if (!dir) {
			perror(argv[i]);
			return 1;
		}
		while ((entry = readdir(dir))) {
			if (entry->d_name[0] == '.')
				continue;
			if (run_file(argv[i], entry->d_name) < 0)
				return 1;
			n++;
		}
		closedir(dir);
	}
	printf("%d inputs, %d mutants each\n", n, MUTANTS);
	return 0;
}
