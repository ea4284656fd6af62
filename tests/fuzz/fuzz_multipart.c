// SPDX-License-Identifier: Apache-2.0
//
// The form behind a renewal link, which anybody can send. The input's first line is the Content-Type, the rest is the body.
#include "api/multipart.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// What was read is what stands in the body between two delimiters: never before it, never beyond it, and without one inside.
static void check(struct text file, struct text body)
{
	assert(file.bytes > body.bytes && file.bytes + file.length < body.bytes + body.length);
	assert(memcmp(file.bytes - 4, "\r\n\r\n", 4) == 0 && memcmp(file.bytes + file.length, "\r\n--", 4) == 0);
	assert(memcmp(body.bytes, "--", 2) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct text all = { (const char *)data, size };
	const char *end = size > 0 ? memchr(all.bytes, '\n', size) : NULL;
	const size_t length = end != NULL ? (size_t)(end - all.bytes) : size;
	const size_t taken = length + (end != NULL ? 1 : 0);
	const struct text body = { all.bytes + taken, size - taken };
	struct fault fault;
	struct text file;

	if (multipart_file(&file, (struct text){ all.bytes, length }, body, "token", &fault) == OK) {
		check(file, body);
	}
	return 0;
}
