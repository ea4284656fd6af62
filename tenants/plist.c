// SPDX-License-Identifier: Apache-2.0
#include "tenants/plist.h"

struct plist_member *plist_wanted(struct plist_member *members, size_t count, struct text key)
{
	for (size_t i = 0; i < count; i++) {
		if (text_equal_string(key, members[i].name)) {
			return &members[i];
		}
	}
	return NULL;
}

void plist_add_character(struct buffer *out, uint32_t c)
{
	const size_t length = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	char bytes[4];

	for (size_t i = length - 1; i > 0; i--) {
		bytes[i] = (char)(0x80 | (c & 0x3f));
		c >>= 6;
	}
	bytes[0] = (char)(length == 1 ? c : (0xf00u >> length & 0xff) | c); // as many ones as there are bytes, and a zero
	buffer_add(out, bytes, length);
}

enum err plist_read(struct plist_member *members, size_t count, struct text plist, struct arena *arena, struct fault *fault)
{
	for (size_t i = 0; i < count; i++) {
		members[i].kind = PLIST_ABSENT;
		members[i].text = TEXT_NONE;
	}
	if (plist.length > PLIST_BYTES_MAX) {
		return fault_set(fault, ERR_BAD_INPUT, "the property list has more than %d bytes", PLIST_BYTES_MAX);
	}
	return (text_starts_with(plist, TEXT("bplist")) ? plist_read_binary : plist_read_xml)(members, count, plist, arena, fault);
}
