// SPDX-License-Identifier: Apache-2.0
#include "loop/http_target.h"

#include "depbroker/log.h"
#include "loop/curl_loop.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { HOST_MAX = 255, RESOLUTION_MAX = HOST_MAX + 16 + RESOLVER_ADDRESSES_MAX * (INET6_ADDRSTRLEN + 3) };

static char *part_of(CURLU *url, CURLUPart part, unsigned flags)
{
	char *value = NULL;

	return curl_url_get(url, part, &value, flags) == CURLUE_OK ? value : NULL;
}

static struct host_addresses *address_of(const char *host)
{
	struct host_addresses *literal = host_addresses_new(1);
	union host_address *address = &literal->list[0];
	char bare[INET6_ADDRSTRLEN] = "";
	const size_t length = strlen(host);

	if (inet_pton(AF_INET, host, &address->v4.sin_addr) == 1) {
		address->v4.sin_family = AF_INET;
		return literal;
	}
	if (host[0] == '[' && length > 2 && length - 2 < sizeof bare) {
		memcpy(bare, host + 1, length - 2);
		address->v6.sin6_family = AF_INET6;
		if (inet_pton(AF_INET6, bare, &address->v6.sin6_addr) == 1) {
			return literal;
		}
	}
	free(literal);
	return NULL;
}

// False: it holds what no name has that a resolver is asked for.
static bool to_lower_ascii(char *name)
{
	for (; *name != '\0'; name++) {
		if (*name <= ' ' || *name > '~') {
			return false;
		}
		if (*name >= 'A' && *name <= 'Z') {
			*name = (char)(*name - 'A' + 'a');
		}
	}
	return true;
}

static enum err take_parts(struct http_target *target, CURLU *url, struct fault *fault)
{
	char *scheme = part_of(url, CURLUPART_SCHEME, 0);
	char *host = part_of(url, CURLUPART_HOST, 0);
	char *port = part_of(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	const bool is_whole = scheme != NULL && host != NULL && port != NULL;

	if (is_whole) {
		target->host = duplicate(text_of(host));
		target->port = (unsigned)strtoul(port, NULL, 10);
		target->is_plain_http = strcmp(scheme, "https") != 0;
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	if (!is_whole || strlen(target->host) > HOST_MAX || !to_lower_ascii(target->host)) {
		return fault_set(fault, ERR_BAD_INPUT, "the URL's host is none");
	}
	target->literal = address_of(target->host);
	return OK;
}

// All that decides where a URL leads, for libcurl, too: up to its path, query or fragment.
struct text http_target_origin(const char *url)
{
	const char *end_of_scheme = strstr(url, "://");
	const char *authority = end_of_scheme != NULL ? end_of_scheme + 3 : url;

	return (struct text){ url, (size_t)(authority - url) + strcspn(authority, "/?#") };
}

enum err http_target_read(struct http_target **out, const char *url, struct fault *fault)
{
	struct http_target *target = allocate(sizeof *target);
	CURLU *parts = curl_url();
	CURLUcode result;

	if (parts == NULL) {
		abort();
	}
	result = curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER | CURLU_PATH_AS_IS); // as http_transfer.c has libcurl read it
	const enum err rc = result == CURLUE_OK ? take_parts(target, parts, fault) : fault_set(fault, ERR_BAD_INPUT, "%s", curl_url_strerror(result));

	curl_url_cleanup(parts);
	target->holders = 1;
	target->origin = duplicate(http_target_origin(url));
	*out = target;
	return rc;
}

static void spell(char spelling[INET6_ADDRSTRLEN], const struct sockaddr *address)
{
	const struct sockaddr_in *v4 = (const void *)address;
	const struct sockaddr_in6 *v6 = (const void *)address;

	memcpy(spelling, "of no IP family", sizeof "of no IP family");
	if (address->sa_family == AF_INET) {
		(void)inet_ntop(AF_INET, &v4->sin_addr, spelling, INET6_ADDRSTRLEN);
	} else if (address->sa_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &v6->sin6_addr, spelling, INET6_ADDRSTRLEN);
	}
}

static void log_refused(const struct http_client_config *config, const struct sockaddr *address)
{
	char spelling[INET6_ADDRSTRLEN];

	spell(spelling, address);
	log_event(LOG_INFO, "http.address_refused", LOG_STRING("client", config->name), LOG_STRING("address", spelling));
}

static void set_port(union host_address *address, unsigned port)
{
	if (address->any.sa_family == AF_INET) {
		address->v4.sin_port = htons((uint16_t)port);
	} else if (address->any.sa_family == AF_INET6) {
		address->v6.sin6_port = htons((uint16_t)port);
	}
}

// "+name:443:192.0.2.1,[2001:db8::1]": libcurl takes it in the place of what it knew of the name, and for no longer than is said elsewhere.
static void write_resolution(struct http_target *target)
{
	struct buffer *out = &target->resolution;
	char spelling[INET6_ADDRSTRLEN];

	*out = BUFFER(RESOLUTION_MAX);
	buffer_add_format(out, "+%s:%u:", target->host, target->port);
	for (size_t i = 0; i < target->judged->count; i++) {
		const struct sockaddr *address = &target->judged->list[i].any;

		spell(spelling, address);
		buffer_add_format(out, address->sa_family == AF_INET6 ? "%s[%s]" : "%s%s", i > 0 ? "," : "", spelling);
	}
	target->resolve = (struct curl_slist){ .data = out->bytes };
}

enum err http_target_judge(struct http_target *target, const struct http_client_config *config, const struct host_addresses *addresses,
	struct fault *fault)
{
	struct host_addresses *judged = host_addresses_new(addresses->count);

	for (size_t i = 0; i < addresses->count; i++) {
		judged->list[i] = addresses->list[i];
		set_port(&judged->list[i], target->port);
		if (!address_may_be_reached(config, &judged->list[i].any, target->is_plain_http)) {
			log_refused(config, &judged->list[i].any);
			free(judged);
			return fault_set(fault, ERR_FORBIDDEN_ADDRESS, "the host has an address that may not be reached");
		}
	}
	target->judged = judged;
	if (target->literal == NULL) {
		write_resolution(target);
	}
	return OK;
}

static bool is_same(const union host_address *ours, const struct sockaddr *address)
{
	const struct sockaddr_in *v4 = (const void *)address;
	const struct sockaddr_in6 *v6 = (const void *)address;

	if (ours->any.sa_family != address->sa_family) {
		return false;
	}
	if (address->sa_family == AF_INET) {
		return ours->v4.sin_addr.s_addr == v4->sin_addr.s_addr && ours->v4.sin_port == v4->sin_port;
	}
	return memcmp(&ours->v6.sin6_addr, &v6->sin6_addr, sizeof v6->sin6_addr) == 0 && ours->v6.sin6_port == v6->sin6_port;
}

static bool was_judged(const struct http_target *target, const struct sockaddr *address)
{
	for (size_t i = 0; target->judged != NULL && i < target->judged->count; i++) {
		if (is_same(&target->judged->list[i], address)) {
			return true;
		}
	}
	return false;
}

bool http_target_admits(const struct http_target *target, const struct http_client_config *config, const struct sockaddr *address)
{
	const bool is_admitted = address_may_be_reached(config, address, target != NULL && target->is_plain_http) &&
		(config->guard == HTTP_ADDRESS_ANY || was_judged(target, address));

	if (!is_admitted) {
		log_refused(config, address);
	}
	return is_admitted;
}

// What libcurl remembers of the name is replaced by each request, and ends with the time of the one that brought it.
void http_target_set(struct http_target *target, CURL *easy, int64_t timeout_ms)
{
	if (target != NULL && target->resolution.length > 0) {
		CURL_SET(easy, CURLOPT_RESOLVE, &target->resolve);
		CURL_SET(easy, CURLOPT_DNS_CACHE_TIMEOUT, (long)(timeout_ms / 1000 + 1));
	}
}

void http_target_let_go(struct http_target *target)
{
	if (target == NULL || --target->holders > 0) {
		return;
	}
	free(target->origin);
	free(target->host);
	free(target->literal);
	free(target->judged);
	buffer_fini(&target->resolution);
	free(target);
}
