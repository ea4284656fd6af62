// SPDX-License-Identifier: Apache-2.0
#include "support/apple_laws.h"
#include "support/cmocka_all.h"

#include <yyjson.h>

static bool is_canonical(struct text serial)
{
	for (size_t i = 0; i < serial.length; i++) {
		const unsigned char c = (unsigned char)serial.bytes[i];

		if (c <= ' ' || c == 0x7f || (c >= 'a' && c <= 'z')) {
			return false;
		}
	}
	return serial.length >= 1 && serial.length <= 64 && text_is_utf8(serial);
}

static bool is_storable(struct text t)
{
	return t.length <= APPLE_TEXT_MAX && text_is_utf8(t);
}

void apple_check_laws(const struct apple_page *page)
{
	for (size_t i = 0; i < page->count; i++) {
		const struct device_record *record = &page->devices[i];
		yyjson_doc *extra = NULL;

		assert_true(is_canonical(record->serial_number));
		assert_true(is_storable(record->model) && is_storable(record->description) && is_storable(record->color));
		assert_true(is_storable(record->asset_tag) && is_storable(record->device_family) && is_storable(record->os));
		assert_true(is_storable(record->profile_status) && is_storable(record->profile_uuid));
		assert_true(is_storable(record->device_assigned_by) && is_storable(record->response_status));
		assert_true(record->extra.length <= APPLE_EXTRA_MAX && text_is_utf8(record->extra));
		if (record->extra.length > 0) {
			extra = yyjson_read(record->extra.bytes, record->extra.length, 0);
			assert_true(yyjson_is_obj(yyjson_doc_get_root(extra)));
			yyjson_doc_free(extra);
		}
	}
	for (size_t i = 0; i < page->rejects_kept; i++) {
		assert_true(page->rejects[i].serial.length <= 64 && text_is_utf8(page->rejects[i].serial));
		assert_non_null(page->rejects[i].why);
		assert_true(page->rejects[i].record.length <= APPLE_REJECT_MAX && text_is_utf8(page->rejects[i].record));
	}
	assert_true(page->rejects_kept <= page->rejected && page->cursor.length <= APPLE_CURSOR_MAX);
	assert_true(text_is_utf8(page->cursor));
}

enum err apple_parse_checked(struct apple_page *page, struct text json)
{
	struct fault fault = { "" };
	const enum err rc = apple_page_parse(page, duplicate(json), json.length, &fault);

	assert_true((rc == OK) == (fault.text[0] == '\0'));
	apple_check_laws(page);
	return rc;
}
