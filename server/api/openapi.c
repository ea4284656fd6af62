// SPDX-License-Identifier: Apache-2.0
//
// /openapi.json: the description of this API, as it is in docs/reference
#include "api/resources.h"
#include "depbroker/embedded.h"

extern const struct embedded_file openapi_files[];

void openapi_show(struct call *call)
{
	const struct embedded_file *file = &openapi_files[0];

	http_answer(call->request, 200, "application/json", (struct text){ file->bytes, (size_t)(file->end - file->bytes) });
}
