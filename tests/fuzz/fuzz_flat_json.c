// SPDX-License-Identifier: Apache-2.0
//
// flat_json_read with hostile text: no byte beyond the text is touched, and values lie inside it.
#include "tenants/flat_json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct flat_json_member members[] = { { .name = "a" }, { .name = "consumer_key" }, { .name = "" } };
	char *json = allocate(size > 0 ? size : 1);
	struct fault fault;

	if (size > 0) {
		memcpy(json, data, size);
	}
	if (flat_json_read(members, 3, json, size, &fault) == OK) {
		for (size_t i = 0; i < 3; i++) {
			const struct text value = members[i].value;

			assert(value.bytes == NULL || (value.bytes > json && value.bytes + value.length < json + size));
			assert(text_is_utf8(value));
		}
	}
	free(json);
	return 0;
}
