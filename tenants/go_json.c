// SPDX-License-Identifier: Apache-2.0
#include "tenants/go_json.h"

void go_json_escape(struct buffer *out, struct text json)
{
	for (size_t i = 0; i < json.length; i++) {
		const unsigned char c = (unsigned char)json.bytes[i];
		const bool is_separator = c == 0xe2 && json.length - i > 2 && (unsigned char)json.bytes[i + 1] == 0x80 &&
			((unsigned char)json.bytes[i + 2] & 0xfe) == 0xa8; // U+2028, U+2029

		if (c == '<' || c == '>' || c == '&') {
			buffer_add_format(out, "\\u%04x", c);
		} else if (is_separator) {
			buffer_add_format(out, "\\u20%02x", ((unsigned char)json.bytes[i + 2] & 1) == 0 ? 0x28 : 0x29);
			i += 2;
		} else {
			buffer_add(out, &json.bytes[i], 1);
		}
	}
}
