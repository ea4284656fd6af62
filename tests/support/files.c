// SPDX-License-Identifier: Apache-2.0
#include "support/files.h"
#include "support/cmocka_all.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

char *file_read(const char *path, size_t *length)
{
	struct buffer content = BUFFER((size_t)64 * 1024 * 1024);
	char part[65536];
	size_t got;
	FILE *file = fopen(path, "rb");

	if (file == NULL) {
		fail_msg("cannot read %s", path);
	}
	while ((got = fread(part, 1, sizeof part, file)) > 0) {
		buffer_add(&content, part, got);
	}
	(void)fclose(file);
	if (length != NULL) {
		*length = content.length;
	}
	return buffer_take(&content);
}

char *temporary_directory(void)
{
	char *path = duplicate(TEXT("/tmp/depbroker-test-XXXXXX"));

	assert_non_null(mkdtemp(path));
	return path;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
	(void)status;
	(void)kind;
	(void)walk;
	return remove(path);
}

void remove_tree(const char *path)
{
	(void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

size_t count_entries(const char *directory)
{
	DIR *entries = opendir(directory);
	size_t count = 0;

	assert_non_null(entries);
	while (readdir(entries) != NULL) {
		count++;
	}
	(void)closedir(entries);
	return count;
}

size_t count_open_descriptors(void)
{
	return count_entries("/proc/self/fd");
}
