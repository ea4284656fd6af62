// SPDX-License-Identifier: Apache-2.0
//
// depbroker keys: the master keys in the file, and the rotations.
#include "command.h"
#include "crypto/master_keys.h"
#include "rotation.h"
#include "store/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

const char keys_usage[] =
	"usage: depbroker keys add\n"
	"       depbroker keys rotate [--data-keys | --finish]\n"
	"\n"
	"  add                 makes a master key and puts it first into the file. With several machines: copy the file to all of them\n"
	"                      before keys rotate\n"
	"  rotate              wraps every tenant's data key with the first master key of the file; when that is the current one\n"
	"                      already, with a new one. Everything keeps running; after an interruption run it again\n"
	"  rotate --data-keys  gives every tenant a new data key and seals its secrets with it\n"
	"  rotate --finish     takes the master keys that wrap nothing any more out of the file. Backups of the database from before the\n"
	"                      rotation need them: keep a copy as long as you keep those\n"
	"\n"
	"Without DEPBROKER_DATABASE_URL it asks the embedded PostgreSQL of a running depbroker serve.\n";

struct keys_call {
	const char *path; // of the file
	int lock;
	struct master_keys keys;
	bool has_database;
	struct database database;
	// What the database says
	char current[KEY_NAME_MAX + 1];
	bool is_unfinished; // others than the current one may wrap something
	bool has_unnamed;   // data keys do not name the one that wraps them
};

// --- the file ---

// One at a time on a machine: the folder is locked, for the file itself is replaced.
static enum err lock_folder(struct keys_call *call, struct fault *fault)
{
	const char *slash = strrchr(call->path, '/');
	char folder[PATH_MAX];

	(void)snprintf(folder, sizeof folder, "%.*s", slash == NULL ? 1 : slash == call->path ? 1 : (int)(slash - call->path),
		slash == NULL ? "." : call->path);
	call->lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (call->lock < 0) {
		return fault_set(fault, ERR_SYSTEM, "cannot open the folder of the master key file %s: %s", call->path, strerror(errno));
	}
	if (flock(call->lock, LOCK_EX | LOCK_NB) != 0) {
		return fault_set(fault, ERR_CONFLICT, "another depbroker keys is at work");
	}
	return OK;
}

static enum err add_key(struct keys_call *call, struct fault *fault)
{
	struct master_keys *keys = &call->keys;
	char name[MASTER_KEY_ID_SIZE + 1];

	if (keys->count == MASTER_KEYS_MAX) {
		return fault_set(fault, ERR_BUDGET, "the master key file holds %d keys: depbroker keys rotate --finish takes out what is not "
			"used", MASTER_KEYS_MAX);
	}
	memmove(&keys->keys[1], &keys->keys[0], keys->count * sizeof keys->keys[0]);
	keys->count++;
	master_key_make(&keys->keys[0]);
	TRY(master_keys_replace(keys, call->path, fault));
	master_key_id(name, &keys->keys[0]);
	(void)printf("master key %s is in the file\n", name);
	return OK;
}

// --- the database ---

static enum err read_state(struct keys_call *call, struct fault *fault)
{
	struct database_transaction transaction;
	char newest[MASTER_KEY_ID_SIZE + 1];
	struct pg_transaction *t = database_begin(&call->database, &transaction, store_directory());
	enum err rc;

	master_key_id(newest, &call->keys.keys[0]);
	(void)store_master_key_begin(t, text_of(newest));
	(void)store_master_key_list(t);
	rc = database_run(&transaction, fault);
	for (size_t row = 0; rc == OK && row < pg_row_count(&transaction.pg, 1); row++) {
		bool is_current;
		const struct text name = store_master_key_list_read(&transaction.pg, 1, row, &is_current);

		if (is_current) {
			text_put(call->current, sizeof call->current, name);
		} else if (name.length == 0) {
			call->has_unnamed = true;
		} else {
			call->is_unfinished = true;
		}
	}
	pg_transaction_fini(&transaction.pg);
	return rc;
}

static enum err open_database(struct keys_call *call, const struct config *config, struct fault *fault)
{
	TRY(database_open(&call->database, config, fault));
	call->has_database = true;
	TRY(read_state(call, fault));
	if (master_keys_find(&call->keys, text_of(call->current)) == NULL) {
		return fault_set(fault, ERR_CRYPTO, "the master key file %s does not hold %s, which wraps the data keys: bring the right file",
			call->path, call->current);
	}
	return OK;
}

// --- the commands ---

static bool newest_is_current(const struct keys_call *call)
{
	return master_keys_find(&call->keys, text_of(call->current)) == &call->keys.keys[0];
}

static enum err with_provider(struct keys_call *call, enum err (*rotate)(struct rotation *rotation, struct fault *fault),
	const char *name, struct fault *fault)
{
	struct rotation rotation = { .database = &call->database };
	enum err rc;

	(void)snprintf(rotation.master_key, sizeof rotation.master_key, "%s", name);
	TRY(key_provider_open_file(&rotation.provider, call->path, fault));
	rc = rotate(&rotation, fault);
	key_provider_close(rotation.provider);
	if (rc == OK) {
		(void)printf("done: %zu tenants, %zu data keys changed\n", rotation.tenants, rotation.changed);
	}
	return rc;
}

static enum err rotate_master(struct keys_call *call, const struct config *config, struct fault *fault)
{
	char name[MASTER_KEY_ID_SIZE + 1];

	TRY(open_database(call, config, fault));
	if (newest_is_current(call) && !call->is_unfinished) {
		TRY(add_key(call, fault));
	}
	master_key_id(name, &call->keys.keys[0]);
	TRY(with_provider(call, rotate_master_key, name, fault));
	(void)printf("every other master key wraps nothing now, and never will again; depbroker keys rotate --finish takes them out of the "
		"file\n");
	return OK;
}

static enum err rotate_data(struct keys_call *call, const struct config *config, struct fault *fault)
{
	TRY(open_database(call, config, fault));
	return with_provider(call, rotate_data_keys, call->current, fault);
}

// Keys that are newer than the current one wait for their rotation, and stay.
static enum err finish(struct keys_call *call, const struct config *config, struct fault *fault)
{
	const struct master_key *current;
	size_t kept;

	TRY(open_database(call, config, fault));
	if (call->is_unfinished || call->has_unnamed) {
		return fault_set(fault, ERR_CONFLICT, "other master keys may still be in use: run depbroker keys rotate first");
	}
	current = master_keys_find(&call->keys, text_of(call->current));
	kept = (size_t)(current - call->keys.keys) + 1;
	if (kept < call->keys.count) {
		const size_t removed = call->keys.count - kept;

		call->keys.count = kept;
		TRY(master_keys_replace(&call->keys, call->path, fault));
		(void)printf("%zu master keys are taken out of the file\n", removed);
	} else {
		(void)printf("the file holds no master key that is not used\n");
	}
	return OK;
}

static enum err add(struct keys_call *call, const struct config *config, struct fault *fault)
{
	(void)config;
	return add_key(call, fault);
}

static const struct {
	const char *words[2];
	enum err (*run)(struct keys_call *call, const struct config *config, struct fault *fault);
} commands[] = {
	{ { "add", NULL }, add },
	{ { "rotate", NULL }, rotate_master },
	{ { "rotate", "--data-keys" }, rotate_data },
	{ { "rotate", "--finish" }, finish },
};

static bool matches(size_t command, int argc, char **argv)
{
	const char *const *words = commands[command].words;

	return argc == (words[1] == NULL ? 2 : 3) && strcmp(argv[1], words[0]) == 0 && (words[1] == NULL || strcmp(argv[2], words[1]) == 0);
}

static int run(size_t command, const struct config *config)
{
	struct keys_call call = { .path = config->master_key_file, .lock = -1 };
	struct fault fault = { 0 };
	enum err rc;

	(void)setvbuf(stdout, NULL, _IOLBF, 0); // who watches sees each step
	rc = lock_folder(&call, &fault);
	rc = rc == OK ? master_keys_sweep(call.path, &fault) : rc;
	rc = rc == OK ? master_keys_load(&call.keys, call.path, false, &fault) : rc;
	rc = rc == OK ? commands[command].run(&call, config, &fault) : rc;
	if (call.has_database) {
		database_close(&call.database);
	}
	master_keys_fini(&call.keys);
	if (call.lock >= 0) {
		(void)close(call.lock);
	}
	if (rc != OK) {
		(void)fprintf(stderr, "depbroker keys: %s\n", fault.text[0] != '\0' ? fault.text : err_text(rc));
	}
	return rc == OK ? EXIT_OK : EXIT_FAILED;
}

int keys_command(const struct config *config, int argc, char **argv)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		if (matches(i, argc, argv)) {
			return run(i, config);
		}
	}
	(void)fprintf(stderr, "depbroker keys: its commands are add and rotate\n\n%s", keys_usage);
	return EXIT_USAGE;
}
