// SPDX-License-Identifier: Apache-2.0
#include "depbroker/spare_memory.h"

#include <malloc.h>

void spare_memory_return(size_t most)
{
	if (mallinfo2().fordblks > most) {
		(void)malloc_trim(0);
	}
}
