/* Runs a fuzz target over files and folders of seeds, for builds without libFuzzer. Without arguments fuzz_X
 * runs over its own seeds, $srcdir/tests/fuzz/seeds/X: so "make check" needs no more than its name. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t seeds;

static int
replay_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data;
	long size;
	int failed = 1;

	if (!file || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		if (file)
			fclose(file);
		return 1;
	}
	rewind(file);
	/* Exactly as large as the seed, so that a sanitizer sees each byte read too far. */
	data = malloc(size > 0 ? (size_t)size : 1);
	if (data && fread(data, 1, (size_t)size, file) == (size_t)size) {
		LLVMFuzzerTestOneInput(data, (size_t)size);
		seeds++;
		failed = 0;
	}
	free(data);
	fclose(file);
	return failed;
}

static int
replay(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	char inner[4096];
	int failed = 0;

	if (!folder)
		return replay_file(path);
	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.') {
			snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
			failed |= replay(inner);
		}
	closedir(folder);
	return failed;
}

static int
replay_own(const char *program)
{
	const char *srcdir = getenv("srcdir");
	const char *name = strstr(program, "fuzz_");
	char path[4096];

	/* Folders on the way may have the word in their names too. */
	for (const char *next = name; next; next = strstr(next + 1, "fuzz_"))
		name = next;
	if (!name)
		return 1;
	snprintf(path, sizeof(path), "%s/tests/fuzz/seeds/%s", srcdir ? srcdir : ".", name + strlen("fuzz_"));
	return replay(path);
}

int
main(int argc, char **argv)
{
	int failed = argc > 1 ? 0 : replay_own(argv[0]);

	for (int i = 1; i < argc; i++)
		failed |= replay(argv[i]);
	printf("%zu seeds replayed\n", seeds);
	return failed || seeds == 0;
}
