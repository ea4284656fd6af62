// SPDX-License-Identifier: Apache-2.0
#include "tenants/slug.h"

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool is_slug(struct text t)
{
	if (t.length < 1 || t.length > SLUG_MAX || t.bytes[0] == '-' || t.bytes[t.length - 1] == '-') {
		return false;
	}
	for (size_t i = 0; i < t.length; i++) {
		if (!is_letter_or_digit(t.bytes[i]) && t.bytes[i] != '-') {
			return false;
		}
	}
	return true;
}

void slug_of(char out[SLUG_MAX + 1], struct text name)
{
	size_t length = 0;

	for (size_t i = 0; i < name.length && length < SLUG_MAX; i++) {
		const char c = name.bytes[i];
		const char lower = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;

		if (is_letter_or_digit(lower)) {
			out[length++] = lower;
		} else if (length > 0 && out[length - 1] != '-') {
			out[length++] = '-';
		}
	}
	while (length > 0 && out[length - 1] == '-') {
		length--;
	}
	out[length] = '\0';
}
