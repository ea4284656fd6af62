// SPDX-License-Identifier: Apache-2.0
//
// Replays the files of a corpus folder through a fuzz target, for builds without libFuzzer.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// A block of exactly the file's size, so that reading beyond its end is found out.
static int replay_file(const char *path)
{
	struct stat status;
	FILE *file = fopen(path, "rb");
	uint8_t *data;
	size_t size;

	if (file == NULL || fstat(fileno(file), &status) != 0) {
		perror(path);
		exit(1);
	}
	if (!S_ISREG(status.st_mode)) {
		(void)fclose(file);
		return 0;
	}
	size = (size_t)status.st_size;
	data = malloc(size > 0 ? size : 1);
	if (data == NULL || fread(data, 1, size, file) != size) {
		perror(path);
		exit(1);
	}
	(void)fclose(file);
	(void)LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 1;
}

int main(int argument_count, char **arguments)
{
	DIR *folder = argument_count == 2 ? opendir(arguments[1]) : NULL;
	int count = 0;

	if (argument_count != 2) {
		(void)fprintf(stderr, "usage: %s FOLDER\n", arguments[0]);
		return 2;
	}
	for (const struct dirent *entry = folder != NULL ? readdir(folder) : NULL; entry != NULL; entry = readdir(folder)) {
		char path[4096];

		if (entry->d_name[0] != '.') {
			(void)snprintf(path, sizeof path, "%s/%s", arguments[1], entry->d_name);
			count += replay_file(path);
		}
	}
	if (folder != NULL) {
		(void)closedir(folder);
	}
	(void)printf("%d files\n", count);
	return 0;
}
