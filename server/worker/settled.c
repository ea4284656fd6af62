// SPDX-License-Identifier: Apache-2.0
#include "worker/settled.h"

#include <stdlib.h>
#include <string.h>

enum { COUNT_FIRST = 16 };

static size_t place_of(int64_t tenant_id)
{
	return (size_t)((uint64_t)tenant_id % SETTLED_MAX);
}

static void grow(struct settled *settled, size_t place)
{
	const size_t before = settled->count;

	while (settled->count <= place) {
		settled->count = settled->count > 0 ? 2 * settled->count : COUNT_FIRST;
	}
	settled->digests = reallocate(settled->digests, settled->count * sizeof *settled->digests);
	memset(settled->digests + before, 0, (settled->count - before) * sizeof *settled->digests);
}

bool settled_is(const struct settled *settled, int64_t tenant_id, const unsigned char digest[SHA256_SIZE])
{
	const size_t place = place_of(tenant_id);

	return place < settled->count && memcmp(settled->digests[place], digest, SHA256_SIZE) == 0;
}

void settled_note(struct settled *settled, int64_t tenant_id, const unsigned char digest[SHA256_SIZE])
{
	const size_t place = place_of(tenant_id);

	if (place >= settled->count) {
		grow(settled, place);
	}
	memcpy(settled->digests[place], digest, SHA256_SIZE);
}

void settled_free(struct settled *settled)
{
	free(settled->digests);
	*settled = (struct settled){ 0 };
}
