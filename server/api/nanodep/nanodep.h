// SPDX-License-Identifier: Apache-2.0
//
// nanodep.h - the REST API of NanoDEP's depserver under /nanodep (docs/reference/nanodep-api.md): another face of the same calls.
//
// Laws  1. a name is a tenant's slug; what a key may not see does not exist for it
//       2. answers are NanoDEP's to the byte, but for what docs/decisions/0017 names
#pragma once

#include "api/call.h"

#define NANODEP_JSON  "application/json"
#define NANODEP_PLAIN "text/plain; charset=utf-8"

enum { NANODEP_ANSWER_MAX = 64 * 1024 };

extern const struct http_route nanodep_routes[];
extern const size_t nanodep_route_count;

// answers.c
void nanodep_json(struct buffer *out, struct text value); // a quoted string, spelled as Go spells it
void nanodep_error(struct call *call, unsigned status, const char *format, ...) __attribute__((format(printf, 3, 4))); // {"error":"..."}
void nanodep_plain(struct call *call, unsigned status, const char *sentence);
void nanodep_answer(struct call *call, unsigned status, struct buffer *json); // takes it
void nanodep_refuse(struct call *call, enum api_problem which, const char *detail);
void nanodep_refuse_config(struct call *call, enum api_problem which, const char *detail);   // GET
void nanodep_refuse_assigner(struct call *call, enum api_problem which, const char *detail); // GET
void nanodep_refuse_proxy(struct call *call, enum api_problem which, const char *detail);
// HEAD, which finds the GET route, is not one of NanoDEP's methods. False: that has been answered.
MUST_USE bool nanodep_is_get(struct call *call);

// names.c
void nanodep_version(struct call *call);
void nanodep_names(struct call *call);
void nanodep_nothing(struct call *call);      // 404
void nanodep_wrong_method(struct call *call); // 405
void nanodep_wrong_name(struct call *call);   // under a path whose methods are GET and PUT
void nanodep_wrong_name_any(struct call *call);

// key_pair.c
void nanodep_key_pair_make(struct call *call);
// tokens.c
void nanodep_tokens_show(struct call *call);
extern const struct token_bringer nanodep_token_file;
extern const struct token_bringer nanodep_token_plain;
// settings.c
void nanodep_config_show(struct call *call);
void nanodep_config_put(struct call *call);
void nanodep_assigner_show(struct call *call);
void nanodep_assigner_put(struct call *call);
// bypass.c
void nanodep_bypass_code(struct call *call);
// proxy.c
void nanodep_proxy(struct call *call);
bool nanodep_proxy_reads(const struct http_request *request); // and does nothing else
bool nanodep_proxy_in_parts(const struct http_request *request); // it sends no device anywhere
