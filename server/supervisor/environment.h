// SPDX-License-Identifier: Apache-2.0
//
// environment.h - a child's environment: ours, with some names set anew.
//
// Ownership  environment_with gives a malloc'ed list of malloc'ed texts; environment_free frees and wipes it.
#pragma once

#include <stddef.h>

// `settings` are "NAME=value"; a "NAME" alone removes it.
char **environment_with(const char *const *base, const char *const *settings, size_t count);
void environment_free(char **environment);
