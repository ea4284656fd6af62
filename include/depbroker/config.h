// SPDX-License-Identifier: Apache-2.0
//
// config.h - the options of depbroker: one table, read from the environment, walked by parsing, `depbroker config` and --help.
//
// Ownership  config_load fills a struct that owns its texts until config_fini, which wipes them.
// Laws       1. an option that is absent or empty has its default; nothing is guessed from a value that is wrong
//            2. a DEPBROKER_ name that is not in the table is an error, and so is a bad value; each error is one sentence
//            3. a secret NAME may be given as NAME_FILE instead, in a file that not everybody can read; never as both
//            4. config_write shows what is in force; passwords are shown as ***
#pragma once

#include "depbroker/text.h"

struct config {
	char *database_url;     // NULL: the embedded PostgreSQL
	char *state_dir;        // "./var"
	char *master_key_file;  // "./var/master.key"
	char *listen;           // "127.0.0.1:8080"
	char *dep_listen;       // "127.0.0.1:8081"
	char *admin_listen;     // "127.0.0.1:9090"
	char *public_url;       // where others find `listen`, without a slash at its end; NULL: unknown
	char *apple_url;        // without a slash at its end
	char *apple_ca_file;    // NULL: the system's store
	char *https_proxy;      // for Apple only; NULL: none
	char *webhook_allow;    // "10.0.0.0/8, ..."; NULL: public addresses only
	char *log_level;        // "info"
	int64_t workers;        // processes
	int64_t sync_interval_s;
	int64_t profile_check_s;    // between two looks at a profile at Apple
	int64_t pages_at_once;      // in one worker process
	int64_t tenant_memory_mib;
	int64_t page_memory_kib;
	int64_t job_retention_days; // after their end
	int64_t allow_release;  // 1: jobs may release devices from their organisations
	int64_t allow_disown; // 1: the proxy of the NanoDEP API passes POST /devices/disown on
	// Said by the supervisor to its children, not by people.
	char *node_id;          // of this worker, new for each start; NULL when nobody gave one
	char *replaces_node;    // the node id of the worker that died in our place, or NULL
	int64_t replaced_crashed; // 1: by its own doing
	int64_t worker_index;   // 0, 1, ...
	int64_t parent_pid;     // 0: started by hand
	int64_t hint_sockets;   // that we were given (loop/hint.h); 0: no hints
	// Accepted names of a later version: config_load refuses them.
	char *tls_cert_file;
	char *tls_key_file;
	char *tls_client_ca_file;
};

// `environment` is environ, or a list of its form. ERR_BAD_INPUT with the sentence; then *out is empty.
MUST_USE enum err config_load(struct config *out, const char *const *environment, struct fault *fault);
void config_fini(struct config *config);
void config_write(struct buffer *out, const struct config *config); // NAME=value, a line an option, passwords masked
void config_help(struct buffer *out);                               // the options, their defaults and meanings

// Appends a database or proxy URL (or a libpq key=value list) with its passwords replaced by ***.
void config_add_masked(struct buffer *out, struct text url);
