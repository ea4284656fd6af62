// SPDX-License-Identifier: Apache-2.0
//
// curl_loop.h - one curl multi handle on the event loop.
//
// Ownership  the caller embeds struct curl_loop and keeps it until `closed`; easy handles are the caller's.
// Thread     loop thread only.
// Laws       1. `finished` is called for each transfer that ended, never from inside curl; it may do anything but close
//            2. a socket is watched by one poll handle from its opening to its closing, so that a connection that is used
//               again costs no system call for it
//            3. each easy handle that is added was given to curl_loop_prepare after its last reset
#pragma once

#include "loop/loop.h"

#include <curl/curl.h>

struct curl_watch;

struct curl_loop {
	struct loop *loop;
	CURLM *multi;
	struct delay timer;
	struct curl_watch **watches; // by descriptor
	size_t watch_slots;
	unsigned open_handles; // of libuv
	bool is_closing;
	void (*finished)(struct curl_loop *curl, CURL *easy, CURLcode result);
	void (*closed)(struct curl_loop *curl);
};

void curl_loop_open(struct curl_loop *curl, struct loop *loop, void (*finished)(struct curl_loop *, CURL *, CURLcode));
// Closes all connections. No easy handle may be left in it. `closed` is called later.
void curl_loop_close(struct curl_loop *curl, void (*closed)(struct curl_loop *curl));

void curl_loop_prepare(struct curl_loop *curl, CURL *easy); // whoever opens its sockets must do it by curl_loop_socket
curl_socket_t curl_loop_socket(struct curl_loop *curl, const struct curl_sockaddr *address);
void curl_loop_add(struct curl_loop *curl, CURL *easy);
void curl_loop_remove(struct curl_loop *curl, CURL *easy);

// A refused option is a bug of ours or memory exhaustion.
#define CURL_SET(easy, option, value)                                    \
	do {                                                                 \
		if (curl_easy_setopt((easy), (option), (value)) != CURLE_OK) {   \
			abort();                                                     \
		}                                                                \
	} while (0)
