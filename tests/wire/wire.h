// SPDX-License-Identifier: Apache-2.0
//
// wire.h - a TCP proxy that fails on purpose, seeded: late, dripping, reset, swallowed and cut connections, and lost answers to COMMIT.
//
//   control.c      routes and plans, as tests ask for them
//   route.c        listens for one route and connects each client with its target
//   pair.c         the two ends of one connection, and what goes wrong between them
//   pg_frontend.c  where in what a client of PostgreSQL says its COMMIT is
//
// Ownership  main.c owns struct wire; routes live as long as it; a pair frees itself when both its ends are closed.
// Thread     loop thread only.
// Laws       1. bytes keep their order, and none is changed: a wound loses what comes after some point, or delays it
//            2. after DELETE /plan nothing is lost any more: connections that had lost something are reset
#pragma once

#include "loop/loop.h"
#include "rig/web.h"
#include "wire/pg_frontend.h"

enum wound {
	WOUND_NONE,
	WOUND_DELAY, // each part comes late
	WOUND_DRIP,  // a few bytes at a time
	WOUND_RESET, // both ends are reset at some byte
	WOUND_HOLE,  // from some byte on nothing passes, until both ends are reset
	WOUND_SWALLOW,    // the server gets COMMIT, nothing that it says then reaches the client
	WOUND_CUT_AFTER,  // the server gets COMMIT, the client is reset
	WOUND_CUT_BEFORE, // COMMIT does not reach the server, both ends are reset
	WOUND_KINDS,
};

struct plan {
	uint64_t random;
	int64_t share[WOUND_KINDS]; // of 1,000 connections; of 1,000 COMMITs for the last three
	int64_t delay_ms;           // at most
	int64_t hold_ms;            // how long a connection hangs at most
	int64_t within_bytes;       // before which byte it happens
};

struct wire {
	struct loop *loop;
	struct list routes;
	uint64_t connections;
	uint64_t wounds[WOUND_KINDS];
	struct web_server control;
};

struct route {
	struct list link;
	struct wire *wire;
	char name[64];
	uv_tcp_t listener;
	unsigned port;
	char target_path[108]; // of a unix socket; empty: target_address
	struct sockaddr_in target_address;
	bool is_postgres;
	bool is_cut; // nothing passes, in any connection
	uint64_t asked_bytes; // what clients said, whether it passed or not
	struct plan plan;
	struct list pairs;
};

void wire_handle(struct web_request *request, struct web_answer *answer); // of the control listener
void wire_close(struct wire *wire);
void wire_fini(struct wire *wire); // when the loop has ended

MUST_USE enum err route_open(struct route **out, struct wire *wire, struct text name, struct text target, struct fault *fault);
void route_close(struct route *route);
void route_begin_plan(struct route *route, const struct plan *plan); // connections that are there already are wounded, too
void route_end_plan(struct route *route);
void route_cut(struct route *route, bool is_cut); // those of the time of the cut are reset when it ends

int64_t plan_random(struct plan *plan, int64_t below);
enum wound plan_wound(struct plan *plan, enum wound first, enum wound last);

struct pair;
void pair_open(struct route *route);
void pair_begin_plan(struct pair *pair);
void pair_heal(struct pair *pair);
void pair_reset(struct pair *pair);
struct pair *pair_of(struct list *link);
