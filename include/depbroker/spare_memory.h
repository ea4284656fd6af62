// SPDX-License-Identifier: Apache-2.0
//
// spare_memory.h - what the allocator keeps of what was freed.
#pragma once

#include <stddef.h>

// Gives it back to the system when it is more than `most`: pages of a long list leave much that nobody uses between little that somebody
// does, and the allocator gives none of that back by itself.
void spare_memory_return(size_t most);
