// SPDX-License-Identifier: Apache-2.0
//
// canned_peer.h - what a raw peer answers to a path: well, badly, slowly, too much, or not at all. canned_peer.c has the table.
#pragma once

#include "support/raw_peer.h"

// For raw_peer.on_request. A path that is not in the table is answered with the request itself.
void canned_answer(struct raw_peer *peer, struct raw_connection *connection);

extern unsigned canned_hanging; // requests of "/hang" so far
