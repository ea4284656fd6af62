// SPDX-License-Identifier: Apache-2.0
#include "api/approval_kinds.h"

#include "api/resources.h"

static const struct approval_kind kinds[] = {
	{ "rules", rules_put, ROLE_TECHNICIAN, .of_tenant = true },
	{ "pin", pin_put, ROLE_TECHNICIAN, .of_tenant = true },
	{ "unpin", pin_delete, ROLE_TECHNICIAN, .of_tenant = true },
	{ "pins", pins_put, ROLE_TECHNICIAN, .of_tenant = true },
	{ "labels", device_labels_change, ROLE_TECHNICIAN, .of_tenant = true },
	{ "template", template_put, ROLE_OPERATOR, .of_tenant = false },
	{ "tenant.profile", tenant_profile_put, ROLE_TECHNICIAN, .of_tenant = true },
	{ "instance.profile", instance_profile_put, ROLE_TECHNICIAN, .of_tenant = true },
	{ "instance", instance_change, ROLE_TECHNICIAN, .of_tenant = true },
	{ "tenant", tenant_change, ROLE_TECHNICIAN, .of_tenant = true },
	{ "expected", expected_put, ROLE_TECHNICIAN, .of_tenant = true },
	{ "job", job_approve, ROLE_TECHNICIAN, .of_tenant = true },
	{ "token", token_upload, ROLE_ADMIN, .of_tenant = true, .is_secret = true },
};

const struct approval_kind *approval_kind(struct text name)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (text_equal_string(name, kinds[i].name)) {
			return &kinds[i];
		}
	}
	return NULL;
}
