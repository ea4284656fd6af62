// SPDX-License-Identifier: Apache-2.0
#include "loop/pg_inner.h"

#include <stdlib.h>
#include <string.h>

#define HOSTS_MAX 64

enum { USUAL_PORT = 5432 };

const char *pg_url_option(const struct pg_url *url, const char *keyword)
{
	for (const PQconninfoOption *option = url->options; option->keyword != NULL; option++) {
		if (strcmp(option->keyword, keyword) == 0) {
			return option->val;
		}
	}
	return NULL;
}

// What libpq would take, so that we see the same hosts: the URL's, else the environment's.
static void fill_in_defaults(const struct pg_url *url)
{
	static const char *const keywords[] = { "host", "hostaddr", "port" };
	PQconninfoOption *defaults = PQconndefaults();
	const struct pg_url environment = { .options = defaults };
	const bool has_host = pg_url_option(url, "host") != NULL || pg_url_option(url, "hostaddr") != NULL;

	if (defaults == NULL) { // only a broken service file, which the connections will report
		return;
	}
	for (PQconninfoOption *option = url->options; option->keyword != NULL; option++) {
		for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
			const char *value = pg_url_option(&environment, keywords[i]);

			if (strcmp(option->keyword, keywords[i]) == 0 && option->val == NULL && value != NULL &&
				(!has_host || strcmp(keywords[i], "port") == 0)) {
				option->val = strdup(value); // libpq frees it with free()
			}
		}
	}
	PQconninfoFree(defaults);
}

static size_t list_length(const char *list)
{
	size_t count = 1;

	if (list == NULL) {
		return 0;
	}
	for (; *list != '\0'; list++) {
		count += *list == ',';
	}
	return count;
}

// The element at `index` of a list with commas; NULL when it is empty.
static char *list_element(const char *list, size_t index)
{
	size_t length;

	if (list == NULL) {
		return NULL;
	}
	for (; index > 0; index--) {
		list = strchr(list, ',') + 1;
	}
	length = strcspn(list, ",");
	return length > 0 ? duplicate((struct text){ list, length }) : NULL;
}

static bool is_port(const char *port)
{
	char *end = NULL;
	const long number = strtol(port, &end, 10);

	return *port >= '0' && *port <= '9' && *end == '\0' && number >= 1 && number <= 65535;
}

static enum err find_hosts(struct pg_url *url, struct fault *fault)
{
	const char *names = pg_url_option(url, "host");
	const char *addresses = pg_url_option(url, "hostaddr");
	const char *ports = pg_url_option(url, "port");
	const size_t name_count = list_length(names);
	const size_t address_count = list_length(addresses);
	const size_t port_count = list_length(ports);
	const size_t count = name_count > 0 ? name_count : address_count > 0 ? address_count : 1;

	if (name_count > 0 && address_count > 0 && name_count != address_count) {
		return fault_set(fault, ERR_BAD_INPUT, "the database URL names %zu hosts and %zu addresses", name_count,
			address_count);
	}
	if (port_count > 1 && port_count != count) {
		return fault_set(fault, ERR_BAD_INPUT, "the database URL names %zu hosts and %zu ports", count, port_count);
	}
	if (count > HOSTS_MAX) {
		return fault_set(fault, ERR_BAD_INPUT, "the database URL names more than %d hosts", HOSTS_MAX);
	}
	url->hosts = allocate_array(count, sizeof *url->hosts);
	url->host_count = count;
	for (size_t i = 0; i < count; i++) {
		struct pg_host *host = &url->hosts[i];

		host->name = list_element(names, i);
		host->address = list_element(addresses, i);
		host->port = list_element(ports, port_count > 1 ? i : 0);
		if (host->port != NULL && !is_port(host->port)) {
			return fault_set(fault, ERR_BAD_INPUT, "the database URL has a port that is not a number from 1 to 65535");
		}
	}
	return OK;
}

static enum err parse(struct pg_url *url, const char *text, struct fault *fault)
{
	char *message = NULL;

	url->options = PQconninfoParse(text, &message);
	PQfreemem(message); // it quotes parts of the URL, so also of a password: nobody gets to see it
	if (url->options == NULL) {
		return fault_set(fault, ERR_BAD_INPUT, "the database URL is neither "
			"postgresql://user:password@host:port/database?option=value (special characters as %%XX) nor a list of "
			"option=value, or it has an option that libpq %d does not know", PQlibVersion() / 10000);
	}
	if (pg_url_option(url, "service") != NULL) { // its hosts would be looked up by libpq, which would block the loop
		return fault_set(fault, ERR_BAD_INPUT,
			"the database URL names a service: write its options into the URL instead");
	}
	fill_in_defaults(url);
	return find_hosts(url, fault);
}

enum err pg_url_parse(struct pg_url *out, const char *url, struct fault *fault)
{
	enum err rc;

	*out = (struct pg_url){ 0 };
	rc = parse(out, url, fault);
	if (rc != OK) {
		pg_url_fini(out);
	}
	return rc;
}

void pg_url_fini(struct pg_url *url)
{
	for (size_t i = 0; i < url->host_count; i++) {
		free(url->hosts[i].name);
		free(url->hosts[i].address);
		free(url->hosts[i].port);
	}
	free(url->hosts);
	for (const PQconninfoOption *option = url->options; option != NULL && option->keyword != NULL; option++) {
		if (option->val != NULL) {
			wipe(option->val, strlen(option->val));
		}
	}
	PQconninfoFree(url->options);
	*url = (struct pg_url){ 0 };
}

bool pg_host_needs_lookup(const struct pg_host *host)
{
	return host->address == NULL && host->name != NULL && host->name[0] != '/' && host->name[0] != '@';
}

size_t pg_ports(const char *database_url, unsigned ports[PG_PORTS_MAX])
{
	struct pg_url url;
	size_t count = 0;

	if (pg_url_parse(&url, database_url, NULL) != OK) {
		return 0; // whoever connects says so
	}
	for (size_t i = 0; i < url.host_count && count < PG_PORTS_MAX; i++) {
		const struct pg_host *host = &url.hosts[i];

		if (host->address != NULL || pg_host_needs_lookup(host)) {
			ports[count++] = host->port != NULL ? (unsigned)strtoul(host->port, NULL, 10) : USUAL_PORT;
		}
	}
	pg_url_fini(&url);
	return count;
}
