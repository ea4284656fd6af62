// SPDX-License-Identifier: Apache-2.0
//
// pg_frontend.h - follows the messages that a client of PostgreSQL sends (protocol 3, without TLS). A COMMIT is an unnamed statement, as
// depbroker sends it, and has reached the server for good with the next sync.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pg_saw { PG_SAW_NOTHING, PG_SAW_MESSAGE, PG_SAW_COMMIT, PG_SAW_SYNC };

struct pg_frontend {
	bool has_started; // the first message has no type
	unsigned char head[5];
	size_t head_length;
	uint32_t left; // of the message's body
	char body[16]; // its beginning
	size_t body_length;
};

// Reads on to the end of a message: returns what it was, and where the next one begins. PG_SAW_NOTHING: all was read, no message ended.
enum pg_saw pg_frontend_read(struct pg_frontend *frontend, const char **at, const char *end);
