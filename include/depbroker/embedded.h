// SPDX-License-Identifier: Apache-2.0
//
// embedded.h - files that the build put into the program (cmake/embed.cmake): migrations, the OpenAPI document.
#pragma once

#include <stddef.h>

struct embedded_file {
	const char *name;  // without folders; NULL ends a table
	const char *bytes; // NUL-terminated
	const char *end;   // where the NUL is
};
