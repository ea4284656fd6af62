// SPDX-License-Identifier: Apache-2.0
//
// spare_memory.h - what the allocator keeps of what was freed.
#pragma once

#include <stddef.h>

// Whatever is freed is kept for the next one, until spare_memory_return: a page of a list takes and frees some MiB, and memory that comes new
// from the system costs more than what is done with it.
void spare_memory_keep(void);
// Gives it back to the system when it is more than `most`: pages of a long list leave much that nobody uses between little that somebody
// does, and the allocator gives none of that back by itself.
void spare_memory_return(size_t most);
