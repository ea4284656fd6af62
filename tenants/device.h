// SPDX-License-Identifier: Apache-2.0
//
// device.h - a device's record as stored JSON, and its fingerprint.
//
// Laws       1. pure: equal records give equal bytes
//            2. op_type, op_date and response_status are of the answer that brought the record, not of the device: they are
//               in neither
//            3. no two different records share an encoding, so equal fingerprints mean equal records (SHA-256)
#pragma once

#include "depbroker/device.h"

// Appends one JSON object with Apple's member names, in the order of struct device_record, absent ones left out; then the
// members of `extra` as they are.
void device_json_write(struct buffer *out, const struct device_record *record);

// Appends "member":[old,new] for each member that differs, absent ones as null: `start` before the first, commas between them.
void device_changes_write(struct buffer *out, const char *start, const struct device_record *before, const struct device_record *after);

// Fills record->fingerprint.
void device_fingerprint(struct device_record *record);
