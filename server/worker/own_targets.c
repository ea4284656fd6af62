// SPDX-License-Identifier: Apache-2.0
#include "worker/own_targets.h"

#include "loop/pg.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>

enum { HTTPS_PORT = 443 };

static void add(struct own_targets *own, struct address_range range, unsigned port)
{
	range.port = port;
	own->ranges = reallocate(own->ranges, (own->count + 1) * sizeof *own->ranges);
	own->ranges[own->count++] = range;
}

static void add_address(struct own_targets *own, const struct sockaddr *address, unsigned port)
{
	struct address_range range = { .family = address->sa_family };

	if (range.family == AF_INET) {
		memcpy(range.bytes, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
		range.prefix_bits = 32;
		add(own, range, port);
	} else if (range.family == AF_INET6) {
		memcpy(range.bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
		range.prefix_bits = 128;
		add(own, range, port);
	}
}

// All that lead to this machine from itself, also in spellings of IPv4 in IPv6, which an operator may have allowed.
static void add_this_machine(struct own_targets *own, unsigned port)
{
	static const struct address_range always[] = {
		{ .family = AF_INET, .bytes = { 127 }, .prefix_bits = 8 },
		{ .family = AF_INET, .prefix_bits = 8 },
		{ .family = AF_INET6, .prefix_bits = 96 }, // ::, ::1, ::127.0.0.1
		{ .family = AF_INET6, .bytes = { [10] = 0xff, [11] = 0xff }, .prefix_bits = 96 },
	};
	struct ifaddrs *interfaces = NULL;

	for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
		add(own, always[i], port);
	}
	if (getifaddrs(&interfaces) != 0) {
		return;
	}
	for (const struct ifaddrs *at = interfaces; at != NULL; at = at->ifa_next) {
		if (at->ifa_addr != NULL) {
			add_address(own, at->ifa_addr, port);
		}
	}
	freeifaddrs(interfaces);
}

// "127.0.0.1:8080", "[::1]:8080", as config.c has checked it. 0 is any free port, which nobody knows here.
static unsigned port_of(const char *listen)
{
	return (unsigned)strtoul(strrchr(listen, ':') + 1, NULL, 10);
}

static void add_listeners(struct own_targets *own, const struct config *config)
{
	const char *const listeners[] = { config->listen, config->dep_listen, config->admin_listen };

	for (size_t i = 0; i < sizeof listeners / sizeof *listeners; i++) {
		if (listeners[i] != NULL && port_of(listeners[i]) != 0) {
			add_this_machine(own, port_of(listeners[i]));
		}
	}
}

static void add_database(struct own_targets *own, const char *url)
{
	unsigned ports[PG_PORTS_MAX];
	const size_t count = url != NULL ? pg_ports(url, ports) : 0;

	for (size_t i = 0; i < count; i++) {
		if (ports[i] != HTTPS_PORT) {
			add(own, (struct address_range){ .family = AF_INET }, ports[i]);
			add(own, (struct address_range){ .family = AF_INET6 }, ports[i]);
		}
	}
}

void own_targets_find(struct own_targets *own, const struct config *config)
{
	*own = (struct own_targets){ 0 };
	add_listeners(own, config);
	add_database(own, config->database_url);
}

void own_targets_fini(struct own_targets *own)
{
	free(own->ranges);
	*own = (struct own_targets){ 0 };
}
