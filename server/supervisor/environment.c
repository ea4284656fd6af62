// SPDX-License-Identifier: Apache-2.0
#include "supervisor/environment.h"

#include "depbroker/text.h"

#include <stdlib.h>
#include <string.h>

static bool is_set_anew(const char *entry, const char *const *settings, size_t count)
{
	const size_t length = strcspn(entry, "=");

	for (size_t i = 0; i < count; i++) {
		if (strcspn(settings[i], "=") == length && strncmp(entry, settings[i], length) == 0) {
			return true;
		}
	}
	return false;
}

char **environment_with(const char *const *base, const char *const *settings, size_t count)
{
	size_t total = count + 1;
	size_t at = 0;
	char **made;

	for (size_t i = 0; base[i] != NULL; i++) {
		total++;
	}
	made = allocate_array(total, sizeof *made);
	for (size_t i = 0; base[i] != NULL; i++) {
		if (!is_set_anew(base[i], settings, count)) {
			made[at++] = duplicate(text_of(base[i]));
		}
	}
	for (size_t i = 0; i < count; i++) {
		if (strchr(settings[i], '=') != NULL) {
			made[at++] = duplicate(text_of(settings[i]));
		}
	}
	return made;
}

void environment_free(char **environment)
{
	for (size_t i = 0; environment != NULL && environment[i] != NULL; i++) {
		wipe(environment[i], strlen(environment[i])); // may hold the database's password
		free(environment[i]);
	}
	free(environment);
}
