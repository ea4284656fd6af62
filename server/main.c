// SPDX-License-Identifier: Apache-2.0
//
// depbroker: the sub-commands.
#include "api/api.h"
#include "command.h"
#include "depbroker/log.h"
#include "depbroker/process.h"
#include "supervisor/internal_exec.h"
#include "supervisor/supervisor.h"
#include "worker/worker.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

#define CONFIGURED_BY "\nIt is configured by environment variables: depbroker --help lists them.\n"

struct command {
	const char *name;
	const char *help;  // one line for the list; NULL: hidden, or not in this version
	const char *usage; // all of --help
	int (*run)(const struct config *config, int argc, char **argv); // NULL: not in this version
	bool takes_arguments;
};

// --- the commands ---

static int serve(const struct config *config, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	// Also right after an upgrade has replaced the file: children are what their supervisor is.
	return serve_main(config, "/proc/self/exe");
}

// Processes of the service are told their database by serve.
static bool has_database(const struct config *config, const char *command)
{
	if (config->database_url == NULL) {
		(void)fprintf(stderr, "depbroker %s: DEPBROKER_DATABASE_URL is not set; depbroker serve starts this command with the "
			"one that it finds or makes\n", command);
	}
	return config->database_url != NULL;
}

static int api(const struct config *config, int argc, char **argv)
{
	(void)argc;
	return has_database(config, argv[0]) ? api_main(config) : EXIT_USAGE;
}

static int worker(const struct config *config, int argc, char **argv)
{
	(void)argc;
	return has_database(config, argv[0]) ? worker_main(config) : EXIT_USAGE;
}

static int migrate(const struct config *config, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return migrate_command(config);
}

static int healthcheck(const struct config *config, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return healthcheck_command(config);
}

static int write_out(const struct buffer *out)
{
	return fwrite(out->bytes, 1, out->length, stdout) == out->length && fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int show_config(const struct config *config, int argc, char **argv)
{
	struct buffer out CLEANUP(buffer_fini) = BUFFER(256 * 1024);

	(void)argc;
	(void)argv;
	config_write(&out, config);
	return write_out(&out);
}

static int show_version(const struct config *config, int argc, char **argv)
{
	(void)config;
	(void)argc;
	(void)argv;
	(void)puts("depbroker " DEPBROKER_VERSION);
	return EXIT_OK;
}

static int admin(const struct config *config, int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "create-key") == 0 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) {
		(void)fputs(create_key_usage, stdout);
		return EXIT_OK;
	}
	if (argc > 1 && strcmp(argv[1], "create-key") == 0) {
		return create_key_command(config, argc - 1, argv + 1);
	}
	(void)fprintf(stderr, "depbroker admin: its command is create-key; depbroker admin create-key --help says more\n");
	return EXIT_USAGE;
}

static const struct command commands[] = {
	{ "serve", "runs everything: the database when none is configured, the API, the workers",
		"usage: depbroker serve\n" CONFIGURED_BY, serve, false },
	{ "api", "the REST API, as serve starts it", "usage: depbroker api\n" CONFIGURED_BY, api, false },
	{ "worker", "a worker, as serve starts it", "usage: depbroker worker\n" CONFIGURED_BY, worker, false },
	{ "migrate", "brings the database's schema up to date", "usage: depbroker migrate\n\n"
		"Exit code 3: the database's schema is not one of this depbroker.\n" CONFIGURED_BY, migrate, false },
	{ "healthcheck", "asks the admin listener of this machine whether it is ready",
		"usage: depbroker healthcheck\n" CONFIGURED_BY, healthcheck, false },
	{ "config", "prints what is in force, secrets masked", "usage: depbroker config\n" CONFIGURED_BY, show_config, false },
	{ "admin", "create-key: makes an API key", create_key_usage, admin, true },
	{ "import", "nanodep: takes over clients of a NanoDEP, with their tokens", import_usage, import_command, true },
	{ "version", "prints the version", "usage: depbroker version\n", show_version, false },
	{ "doctor", "checks configuration, database, clocks and keys, and says what to do", doctor_usage, doctor_command, true },
	{ "keys", "add, rotate: replaces master keys and data keys", keys_usage, keys_command, true },
};

// --- which one ---

static int show_help(void)
{
	struct buffer out CLEANUP(buffer_fini) = BUFFER(64 * 1024);

	buffer_add_string(&out, "usage: depbroker COMMAND [--help]\n\n"
		"A broker between Apple's Automated Device Enrollment (DEP) and the MDM servers of many organisations.\n\n");
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (commands[i].help != NULL) {
			buffer_add_format(&out, "  %-12s %s\n", commands[i].name, commands[i].help);
		}
	}
	buffer_add_string(&out, "\nExit codes: 0 ok, 1 failed, 2 wrong usage.\n\nEnvironment:\n");
	config_help(&out);
	return write_out(&out);
}

static bool is_help(const char *argument)
{
	return strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0 || strcmp(argument, "help") == 0;
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (strcmp(commands[i].name, name) == 0) {
			return &commands[i];
		}
	}
	return NULL;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct config config CLEANUP(config_fini) = { 0 };
	struct fault fault;

	log_set_process(command->name);
	if (config_load(&config, (const char *const *)environ, &fault) != OK) {
		(void)fprintf(stderr, "depbroker %s: %s\n", command->name, fault.text);
		return EXIT_USAGE;
	}
	if (!log_set_level(text_of(config.log_level))) {
		return EXIT_USAGE; // config_load knows the words
	}
	return command->run(&config, argc, argv);
}

int main(int argc, char **argv)
{
	const struct command *command;

	if (argc > 1 && strcmp(argv[1], "internal-exec") == 0) {
		return internal_exec_main(argc - 1, argv + 1);
	}
	process_harden();
	if (argc < 2) {
		(void)fprintf(stderr, "depbroker: it needs a command; depbroker --help lists them\n");
		return EXIT_USAGE;
	}
	if (is_help(argv[1])) {
		return show_help();
	}
	command = find(argv[1]);
	if (command == NULL || command->run == NULL) {
		(void)fprintf(stderr, command == NULL ? "depbroker: \"%s\" is not a command; depbroker --help lists them\n"
			: "depbroker: %s is not in this version\n", argv[1]);
		return EXIT_USAGE;
	}
	if (argc > 2 && is_help(argv[2])) {
		(void)fputs(command->usage, stdout);
		return EXIT_OK;
	}
	if (argc > 2 && !command->takes_arguments) {
		(void)fprintf(stderr, "depbroker %s: it takes no arguments\n", command->name);
		return EXIT_USAGE;
	}
	if (command->run == show_version) { // whatever the environment says
		return show_version(NULL, argc, argv);
	}
	return run(command, argc - 1, argv + 1);
}
