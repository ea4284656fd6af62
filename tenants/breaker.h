// SPDX-License-Identifier: Apache-2.0
//
// breaker.h - whether Apple is asked at all, when it is out of service for everybody.
//
//   closed --(most of the clients that asked lately failed)--> open --(30 s)--> half-open: one probe
//     ^                                                          ^                |          |
//     +--(hardly anybody is turned away)------- recovering <-----|---(answered)---+          |
//                                                                +---------(failed)----------+
//
// Ownership  a plain value, one a process and address of Apple. Several processes each have one and agree without talking: each
//            sees a sample of the same trouble, sends one probe in 30 s, and comes back with its own share of the steady rate.
// Laws       1. pure: time is given, in milliseconds that never go back
//            2. clients are counted, not requests: of each its newest outcome. BREAKER_CLIENTS_MIN of them at least, so that a few
//               bad ones never close the door to the others. The newest may decide alone: a client that is served by another process by
//               now, or seldom, has left an outcome that says nothing about the last seconds
//            3. while it is open or half-open, at most one request leaves in BREAKER_PROBE_EVERY_MS, and only its outcome counts
//            4. while it recovers, no second has more requests than 11/6 of the rate that was usual before, or of BREAKER_RATE_MIN.
//               Only when that has not been enough for a minute does the limit begin to grow
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	BREAKER_CLIENTS = 64,            // of which outcomes are remembered
	BREAKER_CLIENTS_MIN = 8,         // that say something about everybody
	BREAKER_OPENS_AT_PERCENT = 75,   // of them
	BREAKER_RUN = 16,                // clients that failed one after the other, with nobody answered meanwhile
	BREAKER_SILENT_MS = 2000,        // for so long at least: at a high rate chance alone makes such a run among the bad ones
	BREAKER_OUTCOME_LIFE_MS = 300000,
	BREAKER_PROBE_EVERY_MS = 30000,
	BREAKER_PROBE_LIFE_MS = 120000,  // longer than a call can take: nobody will tell any more
	BREAKER_RATE_MIN = 5,            // requests a second
	BREAKER_TURNED_AWAY_S = 5,       // who is turned away while it recovers comes again after so long to three times so long
	BREAKER_WINDOW_MS = 16000,       // a little more than that: who was turned away in it came again in it, or in the next one
	BREAKER_HARDLY_PERCENT = 5,      // of those who asked in one
};

struct breaker_outcome {
	int64_t client, at_ms;
	bool failed;
};

struct breaker {
	enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER_RECOVERING } state;
	struct breaker_outcome outcomes[BREAKER_CLIENTS]; // the oldest first
	size_t count;
	int64_t answered_ms; // the last time that anybody was
	// The usual rate: a mean over a minute, in thousandths of requests a second
	int64_t second_began_ms;
	int64_t seconds, requests;
	int64_t usual_rate;
	// Open
	int64_t next_probe_ms;
	uint32_t probe; // number of the last one
	// Recovering
	int64_t recovering_since_ms, window_began_ms, filled_ms;
	int64_t asked, turned_away; // in the window
	int64_t tokens;             // thousandths of requests
};

struct breaker_answer {
	bool admitted;
	uint32_t probe; // which one it is; 0: none
	int64_t wait_s; // of one that is not admitted: at least so long. -1: as long as it waits between two syncs
};

enum breaker_news {
	BREAKER_ANSWERED, // Apple is at work, whatever it said
	BREAKER_FAILED,   // 5xx, 429, no answer in time, no connection
	BREAKER_NO_NEWS,  // the request was called off
};

void breaker_init(struct breaker *breaker, int64_t now_ms);
struct breaker_answer breaker_ask(struct breaker *breaker, int64_t now_ms);
// Once for each request that was admitted.
void breaker_tell(struct breaker *breaker, struct breaker_answer admitted, int64_t client, enum breaker_news news, int64_t now_ms);
