// SPDX-License-Identifier: Apache-2.0
#include "worker/breakers.h"

#include "depbroker/clock.h"
#include "depbroker/text.h"

#include <stdlib.h>
#include <string.h>

struct entry {
	struct list link;
	struct breaker breaker;
	char *base_url;
};

struct breaker *breakers_of(struct breakers *breakers, const char *base_url)
{
	struct entry *entry;

	LIST_EACH(at, after, &breakers->all) {
		entry = CONTAINER_OF(at, struct entry, link);
		if (strcmp(entry->base_url, base_url) == 0) {
			return &entry->breaker;
		}
	}
	if (breakers->count == BREAKERS_MAX) {
		return NULL;
	}
	entry = allocate(sizeof *entry);
	entry->base_url = duplicate(text_of(base_url));
	breaker_init(&entry->breaker, clock_monotonic_ms());
	list_add_last(&breakers->all, &entry->link);
	breakers->count++;
	return &entry->breaker;
}

void breakers_free(struct breakers *breakers)
{
	LIST_EACH(at, after, &breakers->all) {
		struct entry *entry = CONTAINER_OF(at, struct entry, link);

		list_remove(at);
		free(entry->base_url);
		free(entry);
	}
	breakers->count = 0;
}
