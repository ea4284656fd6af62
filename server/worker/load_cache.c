// SPDX-License-Identifier: Apache-2.0
#include "worker/load_cache.h"

#include "depbroker/text.h"

#include <stdlib.h>

static struct load_kept *place_of(const struct load_cache *cache, int64_t tenant_id)
{
	return &cache->places[(uint64_t)tenant_id % LOAD_CACHE_PLACES];
}

static void empty(struct load_cache *cache, struct load_kept *place)
{
	if (place->rows != NULL) {
		cache->bytes -= pg_kept_size(place->rows);
		pg_kept_free(place->rows);
		*place = (struct load_kept){ 0 };
	}
}

const struct load_kept *load_cache_look(const struct load_cache *cache, int64_t tenant_id)
{
	const struct load_kept *place = cache->places != NULL ? place_of(cache, tenant_id) : NULL;

	return place != NULL && place->rows != NULL && place->tenant_id == tenant_id ? place : NULL;
}

void load_cache_put(struct load_cache *cache, const struct load_kept *kept)
{
	const size_t size = pg_kept_size(kept->rows);
	struct load_kept *place;

	if (cache->places == NULL) {
		cache->places = allocate_array(LOAD_CACHE_PLACES, sizeof *cache->places);
	}
	place = place_of(cache, kept->tenant_id);
	empty(cache, place);
	while (cache->bytes > 0 && cache->bytes + size > LOAD_CACHE_BYTES) {
		empty(cache, &cache->places[cache->hand]);
		cache->hand = (cache->hand + 1) % LOAD_CACHE_PLACES;
	}
	*place = *kept;
	cache->bytes += size;
}

void load_cache_drop(struct load_cache *cache, int64_t tenant_id)
{
	if (load_cache_look(cache, tenant_id) != NULL) {
		empty(cache, place_of(cache, tenant_id));
	}
}

void load_cache_free(struct load_cache *cache)
{
	for (size_t i = 0; cache->bytes > 0; i++) { // places behind the last one in use are not touched: they may never have been memory
		empty(cache, &cache->places[i]);
	}
	free(cache->places);
	*cache = (struct load_cache){ 0 };
}
