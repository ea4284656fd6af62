// SPDX-License-Identifier: Apache-2.0
//
// endpoint_format.h - what the bodies of an endpoint's requests are.
#pragma once

#include "depbroker/text.h"

enum endpoint_format {
	ENDPOINT_NATIVE = 0,  // event.h, event_batch.h
	ENDPOINT_NANODEP = 1, // nanodep_page.h
};

const char *endpoint_format_name(enum endpoint_format format); // "native"
bool endpoint_format_of(struct text name, enum endpoint_format *out); // false: there is no such format
