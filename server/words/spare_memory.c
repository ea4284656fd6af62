// SPDX-License-Identifier: Apache-2.0
#include "depbroker/spare_memory.h"

#include <malloc.h>

enum { KEPT_MAX = 32 << 20 }; // the most that the allocator takes for the first of them

void spare_memory_keep(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, KEPT_MAX);
	(void)mallopt(M_TRIM_THRESHOLD, 2 * KEPT_MAX);
	(void)mallopt(M_TOP_PAD, 1 << 20);
}

void spare_memory_return(size_t most)
{
	if (mallinfo2().fordblks > most) {
		(void)malloc_trim(0);
	}
}
