// SPDX-License-Identifier: Apache-2.0
//
// device_list.h - where each device stands in a page of Apple's, as bytes, so that a device whose bytes have not changed need not be read.
//
// Ownership  extents point into the page.
// Laws       1. pure. Of a page that a parser takes, true means: the extents are the elements of the first array "devices" at its top, all of
//               them, in their order, and each is an object
//            2. of any other page they are just some bytes: whoever leaves them out compares them, whole, with such as were read before
#pragma once

#include "depbroker/text.h"

struct device_extent {
	struct text bytes;  // from its brace to its brace
	struct text serial; // a guess, where it is easily made; empty: none
};

struct device_list {
	struct device_extent *extents;
	size_t count, room;
	struct text inside; // what stands between the brackets of the array
};

// False: it is not seen, or there are more than `most`.
MUST_USE bool device_list_find(struct device_list *list, struct text page, size_t most);
void device_list_fini(struct device_list *list);
