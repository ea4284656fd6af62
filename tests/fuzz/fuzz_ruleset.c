// SPDX-License-Identifier: Apache-2.0
//
// ruleset_read with hostile text: a list that is accepted decides, explains itself, and reads back as it was written.
#include "tenants/ruleset.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ruleset_instance instances[] = {
	{ 1, TEXT("main"), RULESET_INSTANCE_ACTIVE }, { 2, TEXT("old"), RULESET_INSTANCE_DRAINING },
	{ 3, TEXT("gone"), RULESET_INSTANCE_RETIRED },
};

static void check_valid(const struct ruleset *ruleset, struct buffer *out)
{
	static const struct device_record record = {
		.serial_number = TEXT("C02XK1ABCD"), .model = TEXT("IPAD 9"), .device_family = TEXT("iPad"), .asset_tag = TEXT("\xc3\xa9tage"),
	};
	static const struct ruleset_device device = { .apple = &record, .predecessor = RULESET_PREDECESSOR_KNOWN, .predecessor_instance_id = 3 };
	struct ruleset *again = ruleset_read(ruleset_document(ruleset), instances, 3, RULESET_IN_FORCE);
	const struct ruleset_target target = ruleset_decide(ruleset, &device);

	assert(ruleset_is_valid(again) && text_equal(ruleset_document(again), ruleset_document(ruleset)));
	const struct ruleset_target same = ruleset_decide(again, &device);

	assert(ruleset_target_equal(&target, &same) && target.instance_id != 3);
	assert((target.instance_id == RULESET_INSTANCE_NONE) == (target.hold_reason.length > 0));
	ruleset_explain(out, ruleset, &device);
	ruleset_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(buffer_fini) struct buffer out = BUFFER((size_t)8 << 20);
	const struct text document = { (const char *)data, size };
	const enum ruleset_purpose purpose = size % 2 == 0 ? RULESET_PROPOSED : RULESET_IN_FORCE;
	struct ruleset *ruleset = ruleset_read(document, instances, 3, purpose);
	size_t count;

	(void)ruleset_findings(ruleset, &count);
	assert(count > 0 || ruleset_is_valid(ruleset));
	ruleset_findings_write(&out, ruleset);
	if (ruleset_is_valid(ruleset)) {
		check_valid(ruleset, &out);
	}
	ruleset_free(ruleset);
	return 0;
}
