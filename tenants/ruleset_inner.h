// SPDX-License-Identifier: Apache-2.0
//
// ruleset_inner.h - a compiled ruleset, for the files that make one and ask it.
#pragma once

#include "tenants/tree_value.h"
#include "tenants/ruleset.h"
#include "tenants/text_set.h"

//          field             key in "when"            kind
#define RULE_FIELDS(X)                                                   \
	X(RULE_SERIAL,            "serial",                RULE_KIND_TEXT)     \
	X(RULE_DEVICE_FAMILY,     "device_family",         RULE_KIND_TEXT)     \
	X(RULE_OS,                "os",                    RULE_KIND_TEXT)     \
	X(RULE_MODEL,             "model",                 RULE_KIND_TEXT)     \
	X(RULE_COLOR,             "color",                 RULE_KIND_TEXT)     \
	X(RULE_DESCRIPTION,       "description",           RULE_KIND_TEXT)     \
	X(RULE_ASSET_TAG,         "asset_tag",             RULE_KIND_TEXT)     \
	X(RULE_ASSIGNED_BY,       "device_assigned_by",    RULE_KIND_TEXT)     \
	X(RULE_ASSIGNED_DATE,     "device_assigned_date",  RULE_KIND_DATE)     \
	X(RULE_REPLACEMENT,       "is_replacement_device", RULE_KIND_BOOL)     \
	X(RULE_SHARE,             "share",                 RULE_KIND_SHARE)    \
	X(RULE_LABEL,             "labels",                RULE_KIND_LABELS)

enum rule_kind { RULE_KIND_TEXT, RULE_KIND_DATE, RULE_KIND_BOOL, RULE_KIND_SHARE, RULE_KIND_LABELS };

enum rule_field {
#define RULE_FIELD_ENUM(field, key, kind) field,
	RULE_FIELDS(RULE_FIELD_ENUM)
#undef RULE_FIELD_ENUM
	RULE_FIELD_COUNT,
};

struct rule_field_entry {
	struct text key;
	enum rule_kind kind;
};

extern const struct rule_field_entry rule_fields[RULE_FIELD_COUNT];

enum { RULE_SHARE_WHOLE = 10000 }; // hundredths of a percent

struct rule_condition {
	enum rule_field field;
	struct text label;           // RULE_LABEL: its name
	struct text_set set;         // RULE_KIND_TEXT, RULE_LABEL
	int64_t after_us, before_us; // RULE_KIND_DATE: after_us <= date < before_us
	bool truth;                  // RULE_KIND_BOOL
	uint32_t share;              // RULE_KIND_SHARE
	struct text salt;
	struct text wanted; // JSON, for people
};

enum rule_action { RULE_SEND, RULE_HOLD, RULE_INHERIT };

struct rule {
	struct text id, name;
	struct rule_condition *conditions; // in the order of enum rule_field: cheap ones do not wait behind dear ones by chance
	size_t condition_count;
	enum rule_action action;
	struct text instance_name; // RULE_SEND
	int64_t instance_id;       // RULE_SEND; RULESET_INSTANCE_NONE: it is not there any more, and hold_reason says so
	struct text hold_reason;
	struct text profile;
};

struct ruleset {
	struct arena arena;
	enum ruleset_purpose purpose;
	struct rule *rules; // rule_count of them, then `otherwise`, which has no conditions
	size_t rule_count;
	struct ruleset_instance *instances;
	size_t instance_count;
	struct ruleset_finding *findings;
	size_t finding_count, error_count;
	size_t text_count, pattern_count; // counted against the limits
	struct text document;
};

// --- ruleset_finding.c ---

struct rule_path { // of a value in the document, innermost first
	const struct rule_path *up;
	struct text name; // of a member; bytes NULL: an element
	size_t index;
};

void rule_error(struct ruleset *ruleset, const struct rule_path *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void rule_warn(struct ruleset *ruleset, const struct ruleset_finding *finding, const struct rule_path *at, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
// Each member of `object` that `known` lacks is an error.
void rule_refuse_unknown(struct ruleset *ruleset, const struct rule_path *at, const struct tree_value *object,
	const struct text *known, size_t count);

// --- ruleset_condition.c ---

void *ruleset_take(struct ruleset *ruleset, size_t size);
struct text ruleset_keep(struct ruleset *ruleset, struct text text);
struct text ruleset_keep_json(struct ruleset *ruleset, const struct tree_value *value);
// A string of 1 to RULESET_TEXT_MAX bytes without control characters; otherwise an error.
bool rule_read_text(struct ruleset *ruleset, const struct rule_path *at, const struct tree_value *value, struct text *out);
// Fills rule->conditions from "when".
void rule_read_when(struct ruleset *ruleset, size_t index, const struct rule_path *at, const struct tree_value *when);

// --- ruleset_decide.c ---

struct rule_view { // a device while it is looked at: each hash is reckoned once, if at all
	const struct ruleset_device *device;
	uint64_t hashes[RULE_FIELD_COUNT];
	unsigned hashed; // bits
};

uint32_t rule_share_of(struct text salt, struct text serial); // 0 to RULE_SHARE_WHOLE - 1
struct text rule_seen_text(const struct ruleset_device *device, const struct rule_condition *condition);
bool rule_condition_holds(const struct rule_condition *condition, struct rule_view *view);
bool rule_holds(const struct rule *rule, struct rule_view *view);

// --- ruleset_warn.c ---

void ruleset_find_warnings(struct ruleset *ruleset);
