// SPDX-License-Identifier: Apache-2.0
//
// command.h - the sub-commands of depbroker that are not processes of the service.
//
// Laws  1. results go to standard output, everything else to standard error
//       2. exit codes: 0 ok, 1 failed, 2 wrong usage
#pragma once

#include "depbroker/config.h"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int migrate_command(const struct config *config); // also EXIT_SCHEMA_IS_FOREIGN
int healthcheck_command(const struct config *config);
// argv[0] is "create-key".
int create_key_command(const struct config *config, int argc, char **argv);
extern const char create_key_usage[];
// argv[0] is "import".
int import_command(const struct config *config, int argc, char **argv);
extern const char import_usage[];
// argv[0] is "keys".
int keys_command(const struct config *config, int argc, char **argv);
extern const char keys_usage[];
// argv[0] is "doctor".
int doctor_command(const struct config *config, int argc, char **argv);
extern const char doctor_usage[];
