// SPDX-License-Identifier: Apache-2.0
#include "depbroker/err.h"

#include <stdio.h>
#include <string.h>

struct err_row {
	const char *name;
	const char *text;
	enum err_class class;
};

static const struct err_row err_rows[] = {
#define ERR_ROW(code, row_class, row_text) [code] = { #code, row_text, ERR_CLASS_##row_class },
	ERR_CODES(ERR_ROW)
#undef ERR_ROW
};

const char *err_name(enum err code)
{
	return err_rows[code].name;
}

const char *err_text(enum err code)
{
	return err_rows[code].text;
}

enum err_class err_class(enum err code)
{
	return err_rows[code].class;
}

enum err fault_set(struct fault *fault, enum err code, const char *format, ...)
{
	if (fault != NULL) {
		va_list arguments;

		va_start(arguments, format);
		(void)vsnprintf(fault->text, sizeof fault->text, format, arguments);
		va_end(arguments);
	}
	return code;
}

enum err fault_wrap(struct fault *fault, enum err code, const char *format, ...)
{
	if (fault != NULL) {
		struct fault inner = *fault;
		va_list arguments;
		size_t length;

		va_start(arguments, format);
		(void)vsnprintf(fault->text, sizeof fault->text, format, arguments);
		va_end(arguments);
		length = strlen(fault->text);
		(void)snprintf(fault->text + length, sizeof fault->text - length, ": %s",
			inner.text[0] != '\0' ? inner.text : err_text(code));
	}
	return code;
}
