// SPDX-License-Identifier: Apache-2.0
//
// doctor.h - depbroker doctor: checks that change nothing, one line each.
//
// Laws       1. a finding says what to do about it
//            2. nothing secret is shown: keys by their names only
#pragma once

#include "crypto/master_keys.h"
#include "database.h"

struct doctor {
	const struct config *config;
	unsigned findings;
	bool has_database;
	struct database database;
	bool has_keys;
	struct master_keys keys;
};

void doctor_ok(const char *check, const char *format, ...) __attribute__((format(printf, 2, 3)));
void doctor_skipped(const char *check, const char *why);
void doctor_finding(struct doctor *doctor, const char *check, const char *fix, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

void doctor_check_keys(struct doctor *doctor);  // which key seals what, and whether all of it opens
void doctor_check_apple(struct doctor *doctor); // our clock against Apple's
