// SPDX-License-Identifier: Apache-2.0
//
// plist_read with hostile bytes: none beyond the list is touched, and texts that it gives out are UTF-8.
#include "tenants/plist.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plist_member members[] = { { .name = "SerialNumber" }, { .name = "UDID" }, { .name = "AwaitingConfiguration" }, { .name = "" } };
	enum { MEMBERS = sizeof members / sizeof *members };
	struct arena arena CLEANUP(arena_fini) = ARENA(1 << 20);
	char *plist = allocate(size > 0 ? size : 1);
	struct fault fault;

	if (size > 0) {
		memcpy(plist, data, size);
	}
	if (plist_read(members, MEMBERS, (struct text){ plist, size }, &arena, &fault) == OK) {
		for (size_t i = 0; i < MEMBERS; i++) {
			assert(text_is_utf8(members[i].text) && members[i].text.length <= PLIST_TEXT_MAX);
			assert(members[i].kind == PLIST_STRING || members[i].text.length == 0);
		}
	}
	free(plist);
	return 0;
}
