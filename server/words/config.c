// SPDX-License-Identifier: Apache-2.0
#include "depbroker/config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define VALUE_LIMIT 16384

enum kind {
	KIND_TEXT,
	KIND_FILE,     // a path
	KIND_NUMBER,   // whole, from minimum to maximum
	KIND_LISTEN,   // address:port
	KIND_URL,      // http:// or https://
	KIND_DATABASE, // a URL or a key=value list of libpq
	KIND_LEVEL,
	KIND_LATER,    // known, but not supported yet: refused
};

struct option {
	const char *name;
	enum kind kind;
	size_t offset; // of a char *, or of an int64_t for KIND_NUMBER
	const char *initial;
	enum { FOR_PEOPLE, SECRET, INTERNAL } audience;
	int64_t minimum;
	int64_t maximum;
	const char *help;
};

static const char number_of_cores[] = "number of cores";

#define AT(member) offsetof(struct config, member)

static const struct option options[] = {
	{ "DEPBROKER_DATABASE_URL", KIND_DATABASE, AT(database_url), NULL, SECRET, 0, 0,
		"PostgreSQL as libpq URL or key=value list; none: an embedded one in the state directory" },
	{ "DEPBROKER_STATE_DIR", KIND_FILE, AT(state_dir), "./var", FOR_PEOPLE, 0, 0,
		"directory of the embedded PostgreSQL and of the generated master key" },
	{ "DEPBROKER_MASTER_KEY_FILE", KIND_FILE, AT(master_key_file), "$STATE_DIR/master.key", FOR_PEOPLE, 0, 0,
		"file of the key that wraps all tenants' keys; made on first start" },
	{ "DEPBROKER_LISTEN", KIND_LISTEN, AT(listen), "127.0.0.1:8080", FOR_PEOPLE, 0, 0,
		"address:port of the REST API" },
	{ "DEPBROKER_DEP_LISTEN", KIND_LISTEN, AT(dep_listen), "127.0.0.1:8081", FOR_PEOPLE, 0, 0,
		"address:port of the virtual DEP servers" },
	{ "DEPBROKER_ADMIN_LISTEN", KIND_LISTEN, AT(admin_listen), "127.0.0.1:9090", FOR_PEOPLE, 0, 0,
		"address:port of /livez, /readyz and /metrics" },
	{ "DEPBROKER_PUBLIC_URL", KIND_URL, AT(public_url), NULL, FOR_PEOPLE, 0, 0,
		"URL at which administrators reach the REST API's listener, for renewal links; none: links are paths only" },
	{ "DEPBROKER_APPLE_URL", KIND_URL, AT(apple_url), "https://mdmenrollment.apple.com", FOR_PEOPLE, 0, 0,
		"base URL of Apple's DEP service; a tenant may override it" },
	{ "DEPBROKER_APPLE_CA_FILE", KIND_FILE, AT(apple_ca_file), NULL, FOR_PEOPLE, 0, 0,
		"PEM file of the only authorities trusted for Apple's URL (for staging); none: the system's store" },
	{ "DEPBROKER_WORKERS", KIND_NUMBER, AT(workers), number_of_cores, FOR_PEOPLE, 1, 256,
		"worker processes" },
	{ "DEPBROKER_SYNC_INTERVAL", KIND_NUMBER, AT(sync_interval_s), "300", FOR_PEOPLE, 1, 86400,
		"seconds between two syncs of a tenant; a tenant may override it" },
	{ "DEPBROKER_PROFILE_CHECK_INTERVAL", KIND_NUMBER, AT(profile_check_s), "86400", FOR_PEOPLE, 1, 604800,
		"seconds between two looks at what Apple has of an enrolment profile that is in use" },
	{ "DEPBROKER_PAGES_AT_ONCE", KIND_NUMBER, AT(pages_at_once), "8", FOR_PEOPLE, 1, 64,
		"pages that one worker process asks Apple for and applies at a time" },
	{ "DEPBROKER_TENANT_MEMORY_MIB", KIND_NUMBER, AT(tenant_memory_mib), "64", FOR_PEOPLE, 8, 1024,
		"MiB that one tenant may need in a worker while it is synced; beyond it that tenant waits, with an error" },
	{ "DEPBROKER_PAGE_MEMORY_KIB", KIND_NUMBER, AT(page_memory_kib), "4096", FOR_PEOPLE, 256, 4096,
		"KiB of Apple's longest answer that is taken" },
	{ "DEPBROKER_JOB_RETENTION_DAYS", KIND_NUMBER, AT(job_retention_days), "90", FOR_PEOPLE, 1, 3650,
		"how long jobs and their results are kept after their end" },
	{ "DEPBROKER_ALLOW_RELEASE", KIND_NUMBER, AT(allow_release), "0", FOR_PEOPLE, 0, 1,
		"1: jobs may ask Apple to release devices from their organisations, for good; each needs a second key" },
	{ "DEPBROKER_WEBHOOK_ALLOW", KIND_TEXT, AT(webhook_allow), NULL, FOR_PEOPLE, 0, 0,
		"address ranges that webhooks may reach besides public ones: \"10.0.0.0/8, fd00::/8\"" },
	{ "DEPBROKER_ALLOW_DISOWN", KIND_NUMBER, AT(allow_disown), "0", FOR_PEOPLE, 0, 1,
		"1: an admin's key may release devices at Apple for good" },
	{ "DEPBROKER_LOG_LEVEL", KIND_LEVEL, AT(log_level), "info", FOR_PEOPLE, 0, 0,
		"debug, info, warning or error" },
	{ "DEPBROKER_TLS_CERT_FILE", KIND_LATER, AT(tls_cert_file), NULL, FOR_PEOPLE, 0, 0,
		"not in this version: put a TLS proxy in front of the listeners" },
	{ "DEPBROKER_TLS_KEY_FILE", KIND_LATER, AT(tls_key_file), NULL, FOR_PEOPLE, 0, 0,
		"not in this version: put a TLS proxy in front of the listeners" },
	{ "DEPBROKER_TLS_CLIENT_CA_FILE", KIND_LATER, AT(tls_client_ca_file), NULL, FOR_PEOPLE, 0, 0,
		"not in this version: put a TLS proxy in front of the listeners" },
	{ "HTTPS_PROXY", KIND_URL, AT(https_proxy), NULL, FOR_PEOPLE, 0, 0,
		"proxy for the way to Apple, and for nothing else" },
	{ "DEPBROKER_NODE_ID", KIND_TEXT, AT(node_id), NULL, INTERNAL, 0, 0, NULL },
	{ "DEPBROKER_REPLACES_NODE", KIND_TEXT, AT(replaces_node), NULL, INTERNAL, 0, 0, NULL },
	{ "DEPBROKER_REPLACED_CRASHED", KIND_NUMBER, AT(replaced_crashed), NULL, INTERNAL, 0, 1, NULL },
	{ "DEPBROKER_WORKER_INDEX", KIND_NUMBER, AT(worker_index), NULL, INTERNAL, 0, 255, NULL },
	{ "DEPBROKER_HINT_SOCKETS", KIND_NUMBER, AT(hint_sockets), NULL, INTERNAL, 0, 256, NULL },
	{ "DEPBROKER_PARENT_PID", KIND_NUMBER, AT(parent_pid), NULL, INTERNAL, 1, INT_MAX, NULL },
};

#define OPTION_COUNT (sizeof options / sizeof *options)
#define EACH_OPTION(option) \
	for (const struct option *option = options; option < options + OPTION_COUNT; option++)

static char **text_at(struct config *config, const struct option *option)
{
	return (char **)(void *)((char *)config + option->offset);
}

static int64_t *number_at(struct config *config, const struct option *option)
{
	return (int64_t *)(void *)((char *)config + option->offset);
}

// The value of `name` in the environment; NULL when it is absent or empty.
static const char *value_of(const char *const *environment, const char *name, const char *suffix)
{
	const size_t length = strlen(name);
	const size_t suffix_length = strlen(suffix);

	for (; *environment != NULL; environment++) {
		const char *entry = *environment;

		if (strncmp(entry, name, length) == 0 && strncmp(entry + length, suffix, suffix_length) == 0 &&
			entry[length + suffix_length] == '=') {
			const char *value = entry + length + suffix_length + 1;

			return *value != '\0' ? value : NULL;
		}
	}
	return NULL;
}

// How many letters must be added, left out or changed to get from one to the other (Levenshtein).
static size_t distance(struct text from, struct text to)
{
	size_t row[64];

	if (to.length >= sizeof row / sizeof *row) {
		return SIZE_MAX;
	}
	for (size_t j = 0; j <= to.length; j++) {
		row[j] = j;
	}
	for (size_t i = 1; i <= from.length; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= to.length; j++) {
			const size_t changed = diagonal + (from.bytes[i - 1] == to.bytes[j - 1] ? 0 : 1);
			const size_t shorter = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;

			diagonal = row[j];
			row[j] = changed < shorter ? changed : shorter;
		}
	}
	return row[to.length];
}

static bool is_name_of(struct text name, const struct option *option)
{
	const struct text known = text_of(option->name);

	if (text_equal(name, known)) {
		return true;
	}
	return option->audience == SECRET && name.length == known.length + 5 && text_starts_with(name, known) &&
		memcmp(name.bytes + known.length, "_FILE", 5) == 0;
}

static enum err check_name(struct text name, struct fault *fault)
{
	const char *nearest = NULL;
	size_t nearest_distance = SIZE_MAX;

	EACH_OPTION(option) {
		if (is_name_of(name, option)) {
			return OK;
		}
		const size_t away = distance(name, text_of(option->name));

		if (option->audience != INTERNAL && away < nearest_distance) {
			nearest_distance = away;
			nearest = option->name;
		}
	}
	return fault_set(fault, ERR_BAD_INPUT, "%.*s is not an option of depbroker; did you mean %s?",
		name.length > 60 ? 60 : (int)name.length, name.bytes, nearest);
}

static enum err check_names(const char *const *environment, struct fault *fault)
{
	for (; *environment != NULL; environment++) {
		const struct text name = { *environment, strcspn(*environment, "=") };

		// Names of the tests are in the environment of everything that a test starts.
		if (text_starts_with(name, TEXT("DEPBROKER_")) && !text_starts_with(name, TEXT("DEPBROKER_TEST_"))) {
			TRY(check_name(name, fault));
		}
	}
	return OK;
}

static bool parse_number(int64_t *out, const char *value)
{
	int64_t number = 0;

	if (*value == '\0') {
		return false;
	}
	for (; *value != '\0'; value++) {
		if (*value < '0' || *value > '9' || number > INT64_C(1000000000000)) {
			return false;
		}
		number = number * 10 + (*value - '0');
	}
	*out = number;
	return true;
}

static bool is_listen_address(const char *value)
{
	const char *colon = strrchr(value, ':');
	int64_t port;

	if (colon == NULL || colon == value || !parse_number(&port, colon + 1) || port > 65535) {
		return false;
	}
	if (value[0] == '[') { // [::1]:8080
		return colon[-1] == ']' && colon - value > 3;
	}
	return memchr(value, ':', (size_t)(colon - value)) == NULL && strpbrk(value, " /[]") == NULL;
}

static bool is_url(const char *value)
{
	const char *host = strstr(value, "://");

	if (host == NULL || !(text_starts_with(text_of(value), TEXT("https://")) || text_starts_with(text_of(value), TEXT("http://")))) {
		return false;
	}
	return host[3] != '\0' && host[3] != '/' && strpbrk(value, " \t\r\n\"<>") == NULL;
}

static bool is_database(const char *value)
{
	return strncmp(value, "postgresql://", 13) == 0 || strncmp(value, "postgres://", 11) == 0 ||
		(strstr(value, "://") == NULL && strchr(value, '=') != NULL);
}

static enum err load_number(int64_t *out, const struct option *option, const char *value, struct fault *fault)
{
	if (value == NULL && option->initial == number_of_cores) {
		const long cores = sysconf(_SC_NPROCESSORS_ONLN);

		*out = cores < 1 ? 1 : cores > option->maximum ? option->maximum : cores;
		return OK;
	}
	if (value == NULL) {
		value = option->initial;
	}
	if (value == NULL) {
		return OK;
	}
	if (!parse_number(out, value) || *out < option->minimum || *out > option->maximum) {
		return fault_set(fault, ERR_BAD_INPUT, "%s must be a whole number from %" PRId64 " to %" PRId64 ", and is \"%.40s\"",
			option->name, option->minimum, option->maximum, value);
	}
	return OK;
}

// No value of a secret kind is ever put into the sentence.
static enum err check_text(const struct option *option, const char *value, struct fault *fault)
{
	switch (option->kind) {
	case KIND_LISTEN:
		if (!is_listen_address(value)) {
			return fault_set(fault, ERR_BAD_INPUT, "%s must be an address and a port, such as 127.0.0.1:8080 or [::1]:8080, "
				"and is \"%.60s\"", option->name, value);
		}
		return OK;
	case KIND_URL:
		if (!is_url(value)) {
			return fault_set(fault, ERR_BAD_INPUT, "%s must be a URL that starts with https:// or http:// and names a host",
				option->name);
		}
		return OK;
	case KIND_DATABASE:
		if (!is_database(value)) {
			return fault_set(fault, ERR_BAD_INPUT, "%s must start with postgresql:// or be a list such as "
				"\"host=db dbname=depbroker\"", option->name);
		}
		return OK;
	case KIND_LEVEL:
		if (strcmp(value, "debug") != 0 && strcmp(value, "info") != 0 && strcmp(value, "warning") != 0 &&
			strcmp(value, "error") != 0) {
			return fault_set(fault, ERR_BAD_INPUT, "%s must be debug, info, warning or error, and is \"%.40s\"", option->name,
				value);
		}
		return OK;
	case KIND_LATER:
		return fault_set(fault, ERR_BAD_INPUT, "%s is set, but TLS listeners come with a later version: unset it and put a TLS "
			"proxy in front of depbroker", option->name);
	case KIND_TEXT:
	case KIND_FILE:
	case KIND_NUMBER: return OK;
	}
	return OK;
}

static enum err read_whole(struct buffer *out, int file, const struct option *option, const char *path, struct fault *fault)
{
	char part[4096];
	struct stat status;
	ssize_t got = 0;

	if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
		return fault_set(fault, ERR_BAD_INPUT, "%s_FILE names %.120s, which is not a file", option->name, path);
	}
	if ((status.st_mode & S_IROTH) != 0) {
		return fault_set(fault, ERR_BAD_INPUT, "%s_FILE names %.120s, which everybody on this machine can read: run chmod o-r on it",
			option->name, path);
	}
	while ((got = read(file, part, sizeof part)) > 0) {
		buffer_add(out, part, (size_t)got);
	}
	wipe(part, sizeof part);
	if (got < 0) {
		return fault_set(fault, ERR_BAD_INPUT, "%s_FILE names %.120s, which cannot be read: %m", option->name, path);
	}
	if (out->length > 0 && out->bytes[out->length - 1] == '\n') {
		out->length--;
	}
	if (out->overflow || out->length == 0 || memchr(out->bytes, '\0', out->length) != NULL ||
		memchr(out->bytes, '\n', out->length) != NULL) {
		return fault_set(fault, ERR_BAD_INPUT, "%s_FILE names %.120s, which must hold one line of at most %d bytes", option->name,
			path, VALUE_LIMIT);
	}
	return OK;
}

static enum err read_secret_file(char **out, const struct option *option, const char *path, struct fault *fault)
{
	struct buffer content CLEANUP(buffer_fini_wiped) = BUFFER(VALUE_LIMIT);
	const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (file < 0) {
		return fault_set(fault, ERR_BAD_INPUT, "%s_FILE names %.120s, which cannot be opened: %m", option->name, path);
	}
	const enum err rc = read_whole(&content, file, option, path, fault);

	(void)close(file);
	if (rc == OK) {
		*out = duplicate(buffer_text(&content));
	}
	return rc;
}

static enum err load_text(struct config *out, const struct option *option, const char *value, const char *file,
	struct fault *fault)
{
	char **at = text_at(out, option);

	if (file != NULL) {
		TRY(read_secret_file(at, option, file, fault));
	} else if (value != NULL) {
		*at = duplicate(text_of(value));
	} else if (option->initial != NULL) {
		*at = duplicate(text_of(option->initial));
	}
	return *at != NULL ? check_text(option, *at, fault) : OK;
}

static enum err load_option(struct config *out, const struct option *option, const char *const *environment,
	struct fault *fault)
{
	const char *value = value_of(environment, option->name, "");
	const char *file = option->audience == SECRET ? value_of(environment, option->name, "_FILE") : NULL;

	if (value != NULL && file != NULL) {
		return fault_set(fault, ERR_BAD_INPUT, "%s and %s_FILE are both set: keep one of them", option->name, option->name);
	}
	if (option->kind == KIND_NUMBER) {
		return load_number(number_at(out, option), option, value, fault);
	}
	return load_text(out, option, value, file, fault);
}

static void cut_slashes(char *url)
{
	size_t length = strlen(url);

	while (length > 0 && url[length - 1] == '/') {
		url[--length] = '\0';
	}
}

// Defaults that depend on other options.
static void derive(struct config *config)
{
	struct buffer path = BUFFER(VALUE_LIMIT + 16);

	cut_slashes(config->apple_url);
	if (config->public_url != NULL) {
		cut_slashes(config->public_url);
	}
	if (strcmp(config->master_key_file, "$STATE_DIR/master.key") == 0) {
		buffer_add_string(&path, config->state_dir);
		buffer_add_string(&path, "/master.key");
		free(config->master_key_file);
		config->master_key_file = buffer_take(&path);
	}
}

enum err config_load(struct config *out, const char *const *environment, struct fault *fault)
{
	enum err rc;

	*out = (struct config){ 0 };
	rc = check_names(environment, fault);
	EACH_OPTION(option) {
		if (rc == OK) {
			rc = load_option(out, option, environment, fault);
		}
	}
	if (rc != OK) {
		config_fini(out);
		return rc;
	}
	derive(out);
	return OK;
}

void config_fini(struct config *config)
{
	EACH_OPTION(option) {
		if (option->kind != KIND_NUMBER) {
			char **at = text_at(config, option);

			if (*at != NULL) {
				wipe(*at, strlen(*at));
			}
			free(*at);
		}
	}
	*config = (struct config){ 0 };
}

// Values of `password=` and `sslpassword=`, in a URL's query or in a key=value list, where they may be 'quoted'.
static size_t add_masked_value(struct buffer *out, struct text rest)
{
	size_t at = 0;

	buffer_add_string(out, "***");
	if (rest.length > 0 && rest.bytes[0] == '\'') {
		for (at = 1; at < rest.length && rest.bytes[at] != '\''; at++) {
			at += rest.bytes[at] == '\\' ? 1 : 0;
		}
		at++;
		return at < rest.length ? at : rest.length;
	}
	while (at < rest.length && strchr(" \t\r\n&", rest.bytes[at]) == NULL) {
		at += rest.bytes[at] == '\\' ? 2 : 1;
	}
	return at < rest.length ? at : rest.length;
}

static void add_masked_parameters(struct buffer *out, struct text t)
{
	static const char word[] = "password";

	for (size_t at = 0; at < t.length;) {
		struct text rest = { t.bytes + at, t.length - at };
		size_t equals = sizeof word - 1;

		if (rest.length <= equals || strncasecmp(rest.bytes, word, equals) != 0) {
			buffer_add(out, t.bytes + at++, 1);
			continue;
		}
		while (equals < rest.length && strchr(" =", rest.bytes[equals]) != NULL) {
			equals++;
		}
		buffer_add(out, rest.bytes, equals);
		at += equals;
		if (rest.bytes[equals - 1] == '=' || rest.bytes[equals - 1] == ' ') {
			at += add_masked_value(out, (struct text){ t.bytes + at, t.length - at });
		}
	}
}

void config_add_masked(struct buffer *out, struct text url)
{
	const char *start = memmem(url.bytes, url.length, "://", 3);
	const char *end = url.bytes + url.length;
	const char *at_sign = start != NULL ? memrchr(start, '@', (size_t)(end - start)) : NULL;
	const char *colon = at_sign != NULL ? memchr(start + 3, ':', (size_t)(at_sign - start - 3)) : NULL;

	// The last @ rather than the first: of a password that should have been escaped nothing must be shown.
	if (colon != NULL) {
		buffer_add(out, url.bytes, (size_t)(colon - url.bytes) + 1);
		buffer_add_string(out, "***");
		url = (struct text){ at_sign, (size_t)(end - at_sign) };
	}
	add_masked_parameters(out, url);
}

void config_write(struct buffer *out, const struct config *config)
{
	EACH_OPTION(option) {
		const char *at = (const char *)config + option->offset;

		if (option->audience == INTERNAL) {
			continue;
		}
		buffer_add_format(out, "%s=", option->name);
		if (option->kind == KIND_NUMBER) {
			int64_t number;

			memcpy(&number, at, sizeof number);
			buffer_add_format(out, "%" PRId64, number);
		} else {
			const char *value;

			memcpy(&value, at, sizeof value);
			if (value != NULL && (option->kind == KIND_DATABASE || option->kind == KIND_URL)) {
				config_add_masked(out, text_of(value));
			} else if (value != NULL) {
				buffer_add_string(out, value);
			}
		}
		buffer_add_string(out, "\n");
	}
}

void config_help(struct buffer *out)
{
	EACH_OPTION(option) {
		if (option->audience == INTERNAL) {
			continue;
		}
		buffer_add_format(out, "  %s%s\n      %s", option->name, option->audience == SECRET ? ", or ..._FILE with its file" : "",
			option->help);
		if (option->initial != NULL) {
			buffer_add_format(out, " [%s]", option->initial);
		}
		buffer_add_string(out, "\n");
	}
}
