/* Runs a fuzz target over files and folders of seeds, for builds without libFuzzer. */
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
	}
	free(data);
	fclose(file);
	return 0;
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

int
main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed |= replay(argv[i]);
	printf("%zu seeds replayed\n", seeds);
	return failed || seeds == 0;
}
