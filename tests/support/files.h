// SPDX-License-Identifier: Apache-2.0
//
// files.h - small helpers of tests that read and make files.
#pragma once

#include "depbroker/text.h"

char *file_read(const char *path, size_t *length); // NUL-terminated, the caller frees; fails the test when it cannot be read
char *temporary_directory(void);                   // a new one, mode 0700; the caller frees the path and removes it
void remove_tree(const char *path);
size_t count_entries(const char *directory); // with "." and ".."
size_t count_open_descriptors(void);         // of this process, and one more: that of the look itself
