// SPDX-License-Identifier: Apache-2.0
//
// ruleset.h - a client's ordered list of rules: which MDM instance a device goes to, or that it is held. The document is
// described for people in docs/reference/rules.md.
//
// Ownership  a ruleset owns everything that it gives out: texts, findings, targets' texts die with ruleset_free. A device's
//            texts are borrowed for the call. Of the document that it was read from nothing is kept.
// Laws       1. pure: the same document and instances give the same ruleset, which gives the same device the same target
//            2. a pin by hand comes before all; then a guard, which holds; then the first rule whose conditions all hold decides; then
//               `otherwise`. What these send elsewhere than the device is expected to go is held
//            3. a device is never sent to an instance that is unknown or retired: it is held, with the reason
//            4. an unknown key, a wrong type or value is an error with its place; a ruleset with errors decides nothing
//            5. warnings are sure: a rule that "can never match" does not match any device, one that "changes nothing" can
//               be left out without moving any
//            6. shares are stable: a larger percentage of the same salt has the devices of the smaller one and more
#pragma once

#include "depbroker/device.h"

enum {
	RULESET_DOCUMENT_MAX = 4 * 1024 * 1024, // bytes
	RULESET_RULES_MAX = 500,
	RULESET_TEXTS_MAX = 100000, // listed texts of all rules together
	RULESET_PATTERNS_MAX = 1000, // prefixes, globs and ranges of all rules together
	RULESET_TEXT_MAX = 256,      // bytes of each of them, of names, labels and reasons
	RULESET_PROFILE_MAX = 16384, // bytes of one override
	RULESET_FINDINGS_MAX = 100,
	RULESET_INSTANCE_NONE = 0, // held
};

// --- a list of rules ---

enum ruleset_instance_state { RULESET_INSTANCE_ACTIVE, RULESET_INSTANCE_DRAINING, RULESET_INSTANCE_RETIRED };

struct ruleset_instance { // of this client
	int64_t instance_id;
	struct text name;
	enum ruleset_instance_state state;
};

enum ruleset_finding_kind {
	RULESET_ERROR,
	RULESET_NEVER_MATCHES,  // warning: contradictory, or an earlier rule takes all of its devices
	RULESET_CHANGES_NOTHING, // warning: without it every device would go where it goes now
	RULESET_DRAINING,       // warning: its instance is to be emptied
	RULESET_GONE,           // warning, RULESET_IN_FORCE: its instance is unknown or retired
	RULESET_UNUSUAL,        // warning: a value that Apple is not known to report
};

struct ruleset_finding {
	enum ruleset_finding_kind kind;
	struct text pointer;  // RFC 6901, into the document as it was given: "/rules/3/when/serial/range"
	struct text sentence; // for a technician
	size_t rule, other;   // of a warning; `other`: the rule because of which, else RULESET_NO_RULE. ruleset_count(): `otherwise`
};

#define RULESET_NO_RULE SIZE_MAX

struct ruleset;

enum ruleset_purpose {
	RULESET_PROPOSED, // an unknown or retired instance is an error
	RULESET_IN_FORCE, // it is a warning, and the rule holds its devices (law 3): what was stored long ago still decides
	RULESET_DECIDES,  // as RULESET_IN_FORCE, for whoever only asks where devices go: it has no document, and no warnings about its list
};

// Never NULL: what is wrong with the document is in the findings, errors first; ask ruleset_is_valid. Of more than
// RULESET_FINDINGS_MAX the later ones are left out.
struct ruleset *ruleset_read(struct text document, const struct ruleset_instance *instances, size_t count,
	enum ruleset_purpose purpose);
void ruleset_free(struct ruleset *ruleset); // NULL: nothing

bool ruleset_is_valid(const struct ruleset *ruleset);
const struct ruleset_finding *ruleset_findings(const struct ruleset *ruleset, size_t *count);
// The findings as a JSON array of {"severity","code","pointer","sentence"}.
void ruleset_findings_write(struct buffer *out, const struct ruleset *ruleset);
// The document in its one form: without blanks, names in order, each rule with its id, `otherwise` instead of `default`.
// Reading it again gives the same ruleset and the same bytes. For valid ones, and not for RULESET_DECIDES.
struct text ruleset_document(const struct ruleset *ruleset);

size_t ruleset_count(const struct ruleset *ruleset); // rules, without `otherwise`
struct text ruleset_id(const struct ruleset *ruleset, size_t rule);   // "otherwise" for ruleset_count()
struct text ruleset_name(const struct ruleset *ruleset, size_t rule); // may be empty
// The override of the rule with this id; empty: none, or there is no such rule.
struct text ruleset_profile(const struct ruleset *ruleset, struct text id);
// Where a rule (or `otherwise`) sends devices itself; RULESET_INSTANCE_NONE: it holds, or inherits.
int64_t ruleset_instance_of(const struct ruleset *ruleset, size_t rule);
bool ruleset_names_instance(const struct ruleset *ruleset, int64_t instance_id); // any rule, or `otherwise`, sends devices there

// --- one device ---

struct ruleset_label {
	struct text name, value;
};

// Of lines such as "site=north"; what has no sign of equality has an empty value. At most RULESET_LABELS_MAX are read. The texts stay borrowed.
enum { RULESET_LABELS_MAX = 32 };
size_t ruleset_labels_read(struct ruleset_label out[RULESET_LABELS_MAX], struct text lines);

enum ruleset_predecessor {   // what is known about the device that this one replaces
	RULESET_PREDECESSOR_NONE,    // it replaces none
	RULESET_PREDECESSOR_PENDING, // Apple has not been asked yet: an `inherit` rule holds it
	RULESET_PREDECESSOR_UNKNOWN, // asked, and the old one is no device of this client: an `inherit` rule does not match
	RULESET_PREDECESSOR_KNOWN,   // it is or was at predecessor_instance_id (RULESET_INSTANCE_NONE: held)
};

struct ruleset_device {
	const struct device_record *apple;
	bool is_pinned;
	int64_t pin_instance_id; // RULESET_INSTANCE_NONE: pinned to be held
	struct text pin_reason;  // of a hold; may be empty
	struct text guard_reason; // why a guard holds it, whatever the rules say; empty: none does
	int64_t expected_instance_id; // where it is expected to go when it arrives; RULESET_INSTANCE_NONE: wherever the rules send it
	enum ruleset_predecessor predecessor; // is_replacement_device: any but NONE
	int64_t predecessor_instance_id;
	const struct ruleset_label *labels; // the first of a name counts: the device's own, then the client's
	size_t label_count;
};

enum ruleset_decider { RULESET_BY_PIN, RULESET_BY_RULE, RULESET_BY_OTHERWISE, RULESET_BY_GUARD, RULESET_BY_EXPECTATION };

struct ruleset_target {
	enum ruleset_decider decider;
	size_t rule; // index; ruleset_count() for `otherwise`, RULESET_NO_RULE for a pin, a guard or an expectation
	struct text rule_id; // "otherwise"; empty for these
	int64_t instance_id; // RULESET_INSTANCE_NONE: held
	struct text hold_reason; // a sentence, when held; of a pin it is the device's
	struct text profile; // override, one JSON object; empty: none
};

struct ruleset_target ruleset_decide(const struct ruleset *ruleset, const struct ruleset_device *device);
bool ruleset_target_equal(const struct ruleset_target *a, const struct ruleset_target *b); // the same place and profile

// Why: {"decided_by":"rule","rule":"ipads","index":2,"instance":"main","rules":[{"index","id","matched","conditions":[
// {"condition","wanted","seen","matched"}]}]}. `rules` are those up to the one that decided; of a device that a pin or a guard decides
// about all up to the one that would decide without it; "expected" and "wanted" are the instances of an expectation that is not met. Long lists in `wanted` are shortened to {"list_of":n}.
void ruleset_explain(struct buffer *out, const struct ruleset *ruleset, const struct ruleset_device *device);

// --- a dry run ---

struct ruleset_move { // from one group of devices with the same way to another
	int64_t from_instance_id, to_instance_id; // RULESET_INSTANCE_NONE: held; both the same: another profile, or another reason to hold
	size_t count;
};

struct ruleset_moved_device {
	struct text serial;
	size_t move; // index of its ruleset_move
	size_t old_rule, new_rule; // as ruleset_target.rule
};

struct ruleset_preview;

// `before` NULL: there are no rules yet, everything but pins is held. Both must be valid and outlive the preview.
struct ruleset_preview *ruleset_preview_new(const struct ruleset *before, const struct ruleset *after);
void ruleset_preview_free(struct ruleset_preview *preview); // NULL: nothing
// Each device once, gone ones not at all.
void ruleset_preview_add(struct ruleset_preview *preview, const struct ruleset_device *device);
// One whose pin or labels change, too.
void ruleset_preview_add_changed(struct ruleset_preview *preview, const struct ruleset_device *before, const struct ruleset_device *after);

size_t ruleset_preview_devices(const struct ruleset_preview *preview); // that were added
const struct ruleset_move *ruleset_preview_moves(const struct ruleset_preview *preview, size_t *count); // in order of appearance
const struct ruleset_moved_device *ruleset_preview_moved(const struct ruleset_preview *preview, size_t *count); // likewise
size_t ruleset_preview_hits(const struct ruleset_preview *preview, size_t rule); // devices that the new list's rule decides
