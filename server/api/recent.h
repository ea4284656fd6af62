// SPDX-License-Identifier: Apache-2.0
//
// recent.h - the rows of a key and a tenant that were read a moment ago, for requests that come in crowds and change nothing.
//
// Ownership  what is found or begun is the call's until recent_leave; rows that are kept are shared by calls.
// Thread     loop thread only.
// Laws       1. rows are at most RECENT_MS old when a call begins with them, counted from before they were asked for
//            2. rows are kept, not verdicts: each call compares the key, and looks at what it may do, by itself
//            3. what changed something of a tenant in this process has the tenant's rows forgotten before it is answered
#pragma once

#include "loop/pg.h"

enum { RECENT_MS = 1000, RECENT_MAX = 256 };

struct recent_rows; // of one transaction, which is asked for by whoever begins it
struct recent *recent_open(void);
void recent_close(struct recent *recent); // no call has any. NULL is harmless

// Both names as they are in the request. NULL: there are none.
struct recent_rows *recent_find(struct recent *recent, struct text key_id, struct text slug);
// `done` is called once, when the transaction is over. Statements are added to the transaction, then recent_start.
struct recent_rows *recent_begin(struct recent *recent, struct text key_id, struct text slug, void (*done)(void *argument), void *argument);
struct pg_transaction *recent_transaction(struct recent_rows *rows);
void recent_start(struct recent_rows *rows, struct pg_pool *pool, int timeout_ms);
// From now on others may find them.
void recent_keep(struct recent_rows *rows, int64_t tenant_id);
void recent_leave(struct recent_rows *rows); // NULL is harmless; a transaction that is not over is given up
void recent_forget(struct recent *recent, int64_t tenant_id);
