// SPDX-License-Identifier: Apache-2.0
//
// crash_on_page.c - depbroker with a page that makes the parser abort: the linker puts this in front of apple_page_parse, in the test
// program depbroker_crashing and nowhere else.
#include "apple/apple.h"

#include <stdlib.h>
#include <string.h>

#define DEADLY "CRASHPARSER"

enum err parse_as_ever(struct apple_page *page, char *bytes, size_t length, struct fault *fault) __asm__("__real_apple_page_parse");
enum err parse_or_abort(struct apple_page *page, char *bytes, size_t length, struct fault *fault) __asm__("__wrap_apple_page_parse");

static bool holds(const char *bytes, size_t length, const char *word)
{
	const size_t word_length = strlen(word);

	for (size_t at = 0; at + word_length <= length; at++) {
		if (memcmp(bytes + at, word, word_length) == 0) {
			return true;
		}
	}
	return false;
}

enum err parse_or_abort(struct apple_page *page, char *bytes, size_t length, struct fault *fault)
{
	if (holds(bytes, length, DEADLY)) {
		abort();
	}
	return parse_as_ever(page, bytes, length, fault);
}
