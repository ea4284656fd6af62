// SPDX-License-Identifier: Apache-2.0
//
// The options: defaults, secrets in files, one clear sentence for everything that is wrong.
#include "depbroker/config.h"
#include "support/cmocka_all.h"
#include "support/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void assert_contains(const char *whole, const char *part)
{
	if (strstr(whole, part) == NULL) {
		fail_msg("\"%s\" does not contain \"%s\"", whole, part);
	}
}

static void assert_refused(const char *entry, const char *part)
{
	const char *const environment[] = { "PATH=/bin", entry, NULL };
	struct config config;
	struct fault fault = { "" };

	assert_int_equal(config_load(&config, environment, &fault), ERR_BAD_INPUT);
	assert_contains(fault.text, part);
	assert_null(config.state_dir);
}

// A file in a new directory with this content and mode; both paths are the caller's.
static char *secret_file(char **directory, const char *content, mode_t mode)
{
	struct buffer path = BUFFER(4096);
	FILE *file;

	*directory = temporary_directory();
	buffer_add_format(&path, "%s/secret", *directory);
	file = fopen(path.bytes, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(content, 1, strlen(content), file), strlen(content));
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path.bytes, mode), 0);
	return buffer_take(&path);
}

static enum err load_with_secret_file(struct config *config, const char *content, mode_t mode, struct fault *fault)
{
	char *directory;
	char *path = secret_file(&directory, content, mode);
	struct buffer entry CLEANUP(buffer_fini) = BUFFER(4096);
	const char *environment[] = { NULL, NULL };

	buffer_add_format(&entry, "DEPBROKER_DATABASE_URL_FILE=%s", path);
	environment[0] = entry.bytes;
	const enum err rc = config_load(config, environment, fault);

	remove_tree(directory);
	free(directory);
	free(path);
	return rc;
}

static void an_empty_environment_gives_the_documented_defaults(void **state)
{
	const char *const environment[] = { "DEPBROKER_LISTEN=", NULL };
	struct config config;

	(void)state;
	assert_int_equal(config_load(&config, environment, NULL), OK);
	assert_null(config.database_url);
	assert_string_equal(config.state_dir, "./var");
	assert_string_equal(config.master_key_file, "./var/master.key");
	assert_string_equal(config.listen, "127.0.0.1:8080");
	assert_string_equal(config.dep_listen, "127.0.0.1:8081");
	assert_string_equal(config.admin_listen, "127.0.0.1:9090");
	assert_string_equal(config.apple_url, "https://mdmenrollment.apple.com");
	assert_null(config.public_url);
	assert_null(config.apple_ca_file);
	assert_null(config.https_proxy);
	assert_null(config.webhook_allow);
	assert_string_equal(config.log_level, "info");
	assert_int_equal(config.workers, sysconf(_SC_NPROCESSORS_ONLN));
	assert_int_equal(config.sync_interval_s, 300);
	assert_int_equal(config.parent_pid, 0);
	config_fini(&config);
}

static void values_of_the_environment_take_the_place_of_defaults(void **state)
{
	const char *const environment[] = { "DEPBROKER_STATE_DIR=/srv/depbroker", "DEPBROKER_LISTEN=[::]:80", "DEPBROKER_WORKERS=7",
		"DEPBROKER_APPLE_URL=https://127.0.0.1:8443/", "DEPBROKER_PUBLIC_URL=https://broker.example/x//", "DEPBROKER_DATABASE_URL=host=a,b dbname=d", "HTTPS_PROXY=http://proxy:3128",
		"DEPBROKER_NODE_ID=host-0123", "DEPBROKER_WORKER_INDEX=3", "DEPBROKER_PARENT_PID=42", "UNRELATED=1", NULL };
	struct config config;

	(void)state;
	assert_int_equal(config_load(&config, environment, NULL), OK);
	assert_string_equal(config.master_key_file, "/srv/depbroker/master.key");
	assert_string_equal(config.listen, "[::]:80");
	assert_string_equal(config.apple_url, "https://127.0.0.1:8443");
	assert_string_equal(config.public_url, "https://broker.example/x");
	assert_string_equal(config.database_url, "host=a,b dbname=d");
	assert_string_equal(config.https_proxy, "http://proxy:3128");
	assert_string_equal(config.node_id, "host-0123");
	assert_int_equal(config.workers, 7);
	assert_int_equal(config.worker_index, 3);
	assert_int_equal(config.parent_pid, 42);
	config_fini(&config);
}

static void a_wrong_value_gives_a_sentence_that_names_the_option(void **state)
{
	static const char *const bad[] = { "DEPBROKER_LISTEN=8080", "DEPBROKER_LISTEN=localhost", "DEPBROKER_LISTEN=:80",
		"DEPBROKER_LISTEN=::1:80", "DEPBROKER_LISTEN=[]:80", "DEPBROKER_LISTEN=127.0.0.1:65536", "DEPBROKER_LISTEN=a b:80",
		"DEPBROKER_WORKERS=0", "DEPBROKER_WORKERS=257", "DEPBROKER_WORKERS=two", "DEPBROKER_WORKERS=-1",
		"DEPBROKER_WORKERS=99999999999999999999", "DEPBROKER_SYNC_INTERVAL=5m", "DEPBROKER_APPLE_URL=ftp://apple",
		"DEPBROKER_APPLE_URL=https://", "DEPBROKER_APPLE_URL=https:///path", "DEPBROKER_LOG_LEVEL=verbose",
		"DEPBROKER_DATABASE_URL=mysql://host/db", "DEPBROKER_DATABASE_URL=depbroker", "HTTPS_PROXY=proxy:3128" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char name[64] = { 0 };

		memcpy(name, bad[i], strcspn(bad[i], "="));
		assert_refused(bad[i], name);
	}
}

static void an_unknown_option_is_refused_and_the_nearest_one_named(void **state)
{
	(void)state;
	assert_refused("DEPBROKER_LISTENS=127.0.0.1:1", "did you mean DEPBROKER_LISTEN?");
	assert_refused("DEPBROKER_DATABSE_URL=x", "did you mean DEPBROKER_DATABASE_URL?");
	assert_refused("DEPBROKER_WORKER=2", "did you mean DEPBROKER_WORKERS?");
	assert_refused("DEPBROKER_LISTEN_FILE=/x", "did you mean DEPBROKER_LISTEN?");
	assert_refused("DEPBROKER_=", "is not an option");
}

static void names_of_the_tests_are_passed_over(void **state)
{
	const char *const environment[] = { "DEPBROKER_TEST_SEED=1", NULL };
	struct config config CLEANUP(config_fini);
	struct fault fault;

	(void)state;
	assert_int_equal(config_load(&config, environment, &fault), OK);
}

static void tls_listeners_are_refused_rather_than_ignored(void **state)
{
	(void)state;
	assert_refused("DEPBROKER_TLS_CERT_FILE=/cert.pem", "later version");
	assert_refused("DEPBROKER_TLS_KEY_FILE=/key.pem", "TLS proxy in front");
	assert_refused("DEPBROKER_TLS_CLIENT_CA_FILE=/ca.pem", "later version");
}

static void a_secret_is_read_from_its_file_without_one_newline(void **state)
{
	struct config config;

	(void)state;
	assert_int_equal(load_with_secret_file(&config, "postgresql://u:p@h/d\n", 0600, NULL), OK);
	assert_string_equal(config.database_url, "postgresql://u:p@h/d");
	config_fini(&config);
}

static void a_secret_file_is_refused_when_everybody_can_read_it_or_it_is_not_one_line(void **state)
{
	struct config config;
	struct fault fault;

	(void)state;
	assert_int_equal(load_with_secret_file(&config, "postgresql://h/d", 0644, &fault), ERR_BAD_INPUT);
	assert_contains(fault.text, "chmod o-r");
	assert_int_equal(load_with_secret_file(&config, "postgresql://h/d\n\n", 0600, &fault), ERR_BAD_INPUT);
	assert_contains(fault.text, "one line");
	assert_int_equal(load_with_secret_file(&config, "\n", 0600, &fault), ERR_BAD_INPUT);
	assert_int_equal(load_with_secret_file(&config, "mysql://u:hunter2@h", 0600, &fault), ERR_BAD_INPUT);
	assert_null(strstr(fault.text, "hunter2"));
	assert_refused("DEPBROKER_DATABASE_URL_FILE=/does/not/exist", "cannot be opened");
	assert_refused("DEPBROKER_DATABASE_URL_FILE=/tmp", "not a file");
}

static void a_secret_and_its_file_together_are_refused(void **state)
{
	const char *const environment[] = { "DEPBROKER_DATABASE_URL=host=h dbname=d", "DEPBROKER_DATABASE_URL_FILE=/x", NULL };
	struct config config;
	struct fault fault;

	(void)state;
	assert_int_equal(config_load(&config, environment, &fault), ERR_BAD_INPUT);
	assert_contains(fault.text, "both set");
}

static void passwords_are_masked_and_the_rest_stays_readable(void **state)
{
	static const char *const cases[][2] = {
		{ "postgresql://u:hunter2@h:5432/d?sslmode=require", "postgresql://u:***@h:5432/d?sslmode=require" },
		{ "postgresql://u:hun@ter2@h/d", "postgresql://u:***@h/d" },
		{ "postgresql://u:hun/t@er2@h/d", "postgresql://u:***@h/d" },
		{ "postgresql://u@h:5432/d", "postgresql://u@h:5432/d" },
		{ "postgresql:///d?host=/run/pg&user=u", "postgresql:///d?host=/run/pg&user=u" },
		{ "postgresql://h/d?password=hunter2&user=u", "postgresql://h/d?password=***&user=u" },
		{ "postgresql://h/d?sslPassword=hunter2", "postgresql://h/d?sslPassword=***" },
		{ "host=h password=hunter2 user=u", "host=h password=*** user=u" },
		{ "host=h password = 'hun ter\\'2' user=u", "host=h password = *** user=u" },
		{ "host=h password='hunter2", "host=h password=***" },
		{ "password=hunter\\ 2 user=u", "password=*** user=u" },
		{ "http://u:hunter2@proxy:3128", "http://u:***@proxy:3128" },
		{ "dbname=password", "dbname=password" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buffer out CLEANUP(buffer_fini) = BUFFER(4096);

		config_add_masked(&out, text_of(cases[i][0]));
		buffer_add_string(&out, "");
		assert_string_equal(out.bytes, cases[i][1]);
	}
}

static void what_is_in_force_is_shown_without_passwords_and_internals(void **state)
{
	const char *const environment[] = { "DEPBROKER_DATABASE_URL=postgresql://u:hunter2@h/d", "HTTPS_PROXY=http://u:hunter2@p",
		"DEPBROKER_NODE_ID=n", "DEPBROKER_WORKERS=3", NULL };
	struct buffer out CLEANUP(buffer_fini) = BUFFER(65536);
	struct config config;

	(void)state;
	assert_int_equal(config_load(&config, environment, NULL), OK);
	config_write(&out, &config);
	config_fini(&config);
	assert_contains(out.bytes, "DEPBROKER_DATABASE_URL=postgresql://u:***@h/d\n");
	assert_contains(out.bytes, "HTTPS_PROXY=http://u:***@p\n");
	assert_contains(out.bytes, "DEPBROKER_WORKERS=3\n");
	assert_contains(out.bytes, "DEPBROKER_MASTER_KEY_FILE=./var/master.key\n");
	assert_null(strstr(out.bytes, "hunter2"));
	assert_null(strstr(out.bytes, "NODE_ID"));
}

static void the_help_names_every_option_and_its_default(void **state)
{
	static const char *const parts[] = { "DEPBROKER_DATABASE_URL, or ..._FILE", "[./var]", "[number of cores]", "[300]",
		"HTTPS_PROXY", "DEPBROKER_TLS_CERT_FILE", "DEPBROKER_WEBHOOK_ALLOW" };
	struct buffer out CLEANUP(buffer_fini) = BUFFER(65536);

	(void)state;
	config_help(&out);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		assert_contains(out.bytes, parts[i]);
	}
	assert_null(strstr(out.bytes, "PARENT_PID"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_environment_gives_the_documented_defaults),
		cmocka_unit_test(values_of_the_environment_take_the_place_of_defaults),
		cmocka_unit_test(a_wrong_value_gives_a_sentence_that_names_the_option),
		cmocka_unit_test(an_unknown_option_is_refused_and_the_nearest_one_named),
		cmocka_unit_test(names_of_the_tests_are_passed_over),
		cmocka_unit_test(tls_listeners_are_refused_rather_than_ignored),
		cmocka_unit_test(a_secret_is_read_from_its_file_without_one_newline),
		cmocka_unit_test(a_secret_file_is_refused_when_everybody_can_read_it_or_it_is_not_one_line),
		cmocka_unit_test(a_secret_and_its_file_together_are_refused),
		cmocka_unit_test(passwords_are_masked_and_the_rest_stays_readable),
		cmocka_unit_test(what_is_in_force_is_shown_without_passwords_and_internals),
		cmocka_unit_test(the_help_names_every_option_and_its_default),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
