// SPDX-License-Identifier: Apache-2.0
//
// job_json.h - one job as answers have it.
#pragma once

#include "api/call.h"
#include "api/json_out.h"
#include "store/jobs.h"

// 202 with the job that a statement read back.
void job_answer_created(struct call *call, unsigned statement);
// `counts` NULL: without them.
void job_json(struct json_out *json, const char *name, const struct job_row *row, const int64_t *counts);
