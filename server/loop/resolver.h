// SPDX-License-Identifier: Apache-2.0
//
// resolver.h - the addresses of host names, all of them, from the C library.
//
// Ownership  the caller embeds struct resolver_question and keeps it until `answered`, or until resolver_give_up.
// Thread     loop thread only; getaddrinfo runs on threads of its own, which see nothing but their own lookup.
// Laws       1. `answered` is called once, never from inside resolver_ask, and not after resolver_give_up
//            2. a lookup that hangs holds up whoever asks for the same name, and nobody else: it has a thread for itself, not one of the loop's
//               pool. RESOLVER_THREADS hang at most, of one key RESOLVER_THREADS_PER_KEY; beyond it a question is an error
//            3. an answer is all that the name has, or none: more than RESOLVER_ADDRESSES_MAX are an error
//            4. nothing is remembered: what an answer is good for, and how long, is for the asker to say
#pragma once

#include "loop/loop.h"

#include <netinet/in.h>
#include <sys/socket.h>

enum { RESOLVER_ADDRESSES_MAX = 64, RESOLVER_THREADS = 256, RESOLVER_THREADS_PER_KEY = 32 };

struct resolver;

union host_address {
	struct sockaddr any; // of a family that is neither: AF_UNSPEC
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

struct host_addresses {
	size_t count; // never 0
	union host_address list[];
};

struct host_addresses *host_addresses_new(size_t count); // zeroed; freed by free()

struct resolver_question {
	// NULL: the name has none, or they could not be learned. They are lent for the call.
	void (*answered)(struct resolver_question *question, const struct host_addresses *addresses);
	struct list link; // of those who wait for the same name
};

struct resolver *resolver_open(struct loop *loop);
// No question may be left. Lookups that hang do so alone. `closed` is called later.
void resolver_close(struct resolver *resolver, void (*closed)(void *argument), void *argument);

// Names are compared byte by byte; `key` is who wants to know. ERR_NETWORK: too many lookups hang.
MUST_USE enum err resolver_ask(struct resolver *resolver, struct resolver_question *question, int64_t key, const char *name, struct fault *fault);
void resolver_give_up(struct resolver_question *question); // harmless when it does not wait
