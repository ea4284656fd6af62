// SPDX-License-Identifier: Apache-2.0
//
// load_cache.h - what runs of this process have read when they began, for later ones of the same clients.
//
// Whether it still holds is the database's word, which a run hears after it has taken the client (store_news_select): a run that goes by
// what is kept knows exactly what it would have read. Secrets are sealed in it, as they came.
//
// Ownership  the cache owns what is kept, until it is dropped, pushed out by another client's, or load_cache_free; a pointer from
//            load_cache_look is good until then: for no longer than a step.
// Law        a fixed number of clients and of bytes: of two that share a place the later one has it
#pragma once

#include "loop/pg.h"

enum { LOAD_CACHE_PLACES = 16384, LOAD_CACHE_BYTES = 48 << 20 };

struct load_kept {
	int64_t tenant_id;
	int64_t load_id, config_version, rules_version; // of the stream, when it was read
	int64_t read_at_ms; // monotonic
	struct pg_kept *rows;
};

struct load_cache { // zeroes: nothing is kept
	struct load_kept *places;
	size_t bytes;
	size_t hand; // where room is made next
};

const struct load_kept *load_cache_look(const struct load_cache *cache, int64_t tenant_id); // NULL: nothing
void load_cache_put(struct load_cache *cache, const struct load_kept *kept); // takes over its rows
void load_cache_drop(struct load_cache *cache, int64_t tenant_id);
void load_cache_free(struct load_cache *cache);
