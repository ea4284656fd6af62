// SPDX-License-Identifier: Apache-2.0
//
// apple_device.h - one device out of Apple's JSON (dep-api.md, section 5.4).
//
// Law  what cannot be read spoils its own field; only a record without exactly one usable serial number is refused
#pragma once

#include "apple/apple_extra.h"
#include "depbroker/device.h"

enum { APPLE_SERIAL_MAX = 64 };

// Grows with every change of what is read of the same bytes, or of the fingerprint: hashes of bytes that were read otherwise say nothing.
enum { APPLE_READING_VERSION = 1 };

struct apple_device_reading {
	struct device_record record; // without extra and fingerprint
	struct apple_extra extra;
	unsigned fields_ignored;
	struct text refused_serial; // as it was sent
};

// `key` is the serial number that an answer by serial number gives the record; TEXT_NONE: there is none.
// NULL, or why the record is refused: a literal.
const char *apple_device_read(struct apple_device_reading *reading, struct apple_json *json, yyjson_val *value,
	struct text key);

// Makes a serial number of the answer canonical, where it stands. NULL, or why it cannot be used.
const char *apple_serial_canonical(struct text *serial, struct apple_json *json);
