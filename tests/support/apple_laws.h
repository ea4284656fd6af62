// SPDX-License-Identifier: Apache-2.0
//
// apple_laws.h - what every page of Apple keeps, whatever it was read from.
#pragma once

#include "apple/apple.h"

// Fails the test for a record that breaks law 2 of device.h, or holds what a database does not take.
void apple_check_laws(const struct apple_page *page);
// Parses a copy of the text as a page, and checks them.
enum err apple_parse_checked(struct apple_page *page, struct text json);
