// SPDX-License-Identifier: Apache-2.0
//
// err.h - what can go wrong, as a code that decides and a sentence that explains.
//
// Ownership  a fault is a value of fixed size; nothing here allocates.
// Laws       1. the code alone says what to do next (its class: wait, blame the tenant, blame the caller, ...)
//            2. the sentence is for people; no program reads it, and no secret is ever written into it
//            3. whoever handles an error logs it, once; whoever passes it on may prefix it with fault_wrap
#pragma once

#include <stdarg.h>
#include <stdbool.h>

#define MUST_USE __attribute__((warn_unused_result))

//        code              class    text
#define ERR_CODES(X)                                                                    \
	X(OK,                 NONE,    "ok")                                                  \
	X(ERR_TIMEOUT,        RETRY,   "the other side did not answer in time")               \
	X(ERR_NETWORK,        RETRY,   "the connection failed")                               \
	X(ERR_THROTTLED,      RETRY,   "asked to slow down")                                  \
	X(ERR_UNAVAILABLE,    RETRY,   "the other side is out of service")                    \
	X(ERR_HELD_BACK,      RETRY,   "Apple is out of service for everybody")               \
	X(ERR_CANCELLED,      DROP,    "cancelled")                                           \
	X(ERR_FENCED,         DROP,    "another worker owns this tenant now")                 \
	X(ERR_UNKNOWN,        RETRY,   "it is not known whether the change was made")         \
	X(ERR_BAD_ANSWER,     TENANT,  "the answer does not make sense")                      \
	X(ERR_REFUSED,        TENANT,  "the other side refused the request")                  \
	X(ERR_SESSION,        RETRY,   "Apple wants a new session")                           \
	X(ERR_TOKEN_DEAD,     TENANT,  "Apple refuses this server token")                     \
	X(ERR_TERMS,          TENANT,  "Apple's terms must be accepted first")                \
	X(ERR_CURSOR_LOST,    TENANT,  "Apple does not know this cursor any more")            \
	X(ERR_CURSOR_END,     TENANT,  "Apple says that this cursor is used up")              \
	X(ERR_PROFILE_GONE,   TENANT,  "Apple does not know this enrolment profile")          \
	X(ERR_IDENTITY,       TENANT,  "the token belongs to another organisation or server") \
	X(ERR_FORBIDDEN_ADDRESS, TENANT, "the address is not one that may be reached")        \
	X(ERR_BUDGET,         TENANT,  "a limit was reached")                                 \
	X(ERR_BAD_INPUT,      CALLER,  "the request does not make sense")                     \
	X(ERR_NOT_FOUND,      CALLER,  "there is no such thing")                              \
	X(ERR_CONFLICT,       CALLER,  "it is in the way of something that exists")           \
	X(ERR_CRYPTO,         PAGE,    "a cryptographic operation failed")                    \
	X(ERR_DATABASE,       PAGE,    "the database refused a statement")                    \
	X(ERR_SYSTEM,         PAGE,    "the operating system refused a call")                 \
	X(ERR_BUG,            PAGE,    "internal error")

enum err {
#define ERR_ENUM(code, class, text) code,
	ERR_CODES(ERR_ENUM)
#undef ERR_ENUM
};

enum err_class {
	ERR_CLASS_NONE,   // not an error
	ERR_CLASS_RETRY,  // the same call may work later
	ERR_CLASS_DROP,   // stop, somebody else goes on
	ERR_CLASS_TENANT, // something about this tenant must change first
	ERR_CLASS_CALLER, // the caller must ask differently
	ERR_CLASS_PAGE,   // a person must look at depbroker itself
};

const char *err_name(enum err code);           // "ERR_TIMEOUT"
const char *err_text(enum err code);           // "the other side did not answer in time"
enum err_class err_class(enum err code);

struct fault {
	char text[320]; // one sentence, UTF-8, NUL-terminated, empty when there is nothing to add
};

// Both return their code, so that a function can end in `return fault_set(fault, ERR_..., "...")`.
// `fault` may be NULL: then only the code travels.
enum err fault_set(struct fault *fault, enum err code, const char *format, ...) __attribute__((format(printf, 3, 4)));
enum err fault_wrap(struct fault *fault, enum err code, const char *format, ...) __attribute__((format(printf, 3, 4)));

// Returns a code that is not OK from the enclosing function, unchanged.
#define TRY(expression)                          \
	do {                                         \
		const enum err try_code = (expression);  \
		if (try_code != OK) {                    \
			return try_code;                     \
		}                                        \
	} while (0)

// Runs `function` on the variable's address when its scope ends, on every path out.
#define CLEANUP(function) __attribute__((cleanup(function)))
