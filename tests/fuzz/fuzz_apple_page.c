// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a page of devices, and as device details: no crash, no leak, and no record that breaks law 2 of device.h.
#include "apple/apple.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check(const struct apple_page *page)
{
	for (size_t i = 0; i < page->count; i++) {
		const struct device_record *record = &page->devices[i];
		const struct text serial = record->serial_number;

		if (serial.length < 1 || serial.length > 64 || !text_is_utf8(serial) || !text_is_utf8(record->model) ||
			!text_is_utf8(record->extra) || record->extra.length > APPLE_EXTRA_MAX) {
			abort();
		}
		for (size_t at = 0; at < serial.length; at++) {
			const char c = serial.bytes[at];

			if ((c >= '\0' && c <= ' ') || c == 0x7f || (c >= 'a' && c <= 'z')) {
				abort();
			}
		}
	}
	if (page->cursor.length > APPLE_CURSOR_MAX || !text_is_utf8(page->cursor)) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	enum err (*const parsers[])(struct apple_page *page, char *bytes, size_t length, struct fault *fault) = {
		apple_page_parse, apple_details_parse,
	};

	for (size_t i = 0; i < sizeof parsers / sizeof *parsers; i++) {
		struct apple_page page;
		struct fault fault;

		(void)parsers[i](&page, duplicate((struct text){ (const char *)bytes, length }), length, &fault);
		check(&page);
		apple_page_fini(&page);
	}
	return 0;
}
