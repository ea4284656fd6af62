// SPDX-License-Identifier: Apache-2.0
//
// routing.h - what decides about single devices besides the rules: pins by hand, replacements, where they are expected, profiles that their MDM server wants; and the devices that are to be decided about
// once more.
#pragma once

#include "store/store.h"
#include "tenants/ruleset.h"

struct routing_fact { // about one serial number, whether such a device is known or not
	struct text serial_number;
	bool is_pinned;
	int64_t pin_instance_id; // 0: held
	struct text pin_reason;
	bool is_replacement;
	bool original_is_asked_for; // Apple has not said yet for which device it came
	bool original_is_known;     // as a device of this client,
	int64_t original_instance_id; // which is or was there; 0: held
	struct text labels; // of the device itself, a line each; empty: none
	int64_t wish_instance_id;     // whose MDM server wants another profile for it than the instance's; 0: none
	struct text wished_profile_uuid;
	int64_t expected_instance_id; // by the list, unless the device is somewhere already; 0: anywhere
};

// Any tenant scope. Only serial numbers about which there is a fact give a row.
unsigned store_fact_by_serials(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count);
unsigned store_fact_list(struct pg_transaction *t, int64_t tenant_id, struct text after, int limit); // of store_device_list, the present ones
unsigned store_fact_to_assign(struct pg_transaction *t, int64_t tenant_id, int64_t now_us, int limit); // of store_device_to_assign
void store_fact_read(const struct pg_transaction *t, unsigned statement, size_t row, struct routing_fact *out);

// How the rules see the device; `fact` NULL: there is none about it. Without labels.
static inline struct ruleset_device store_fact_device(const struct device_record *apple, const struct routing_fact *fact)
{
	const bool replaces = fact != NULL && fact->is_replacement;

	return (struct ruleset_device){
		.apple = apple,
		.is_pinned = fact != NULL && fact->is_pinned,
		.pin_instance_id = fact != NULL ? fact->pin_instance_id : RULESET_INSTANCE_NONE,
		.pin_reason = fact != NULL ? fact->pin_reason : TEXT_NONE,
		.predecessor = !replaces ? (apple->is_replacement ? RULESET_PREDECESSOR_PENDING : RULESET_PREDECESSOR_NONE)
			: fact->original_is_asked_for ? RULESET_PREDECESSOR_PENDING
			: fact->original_is_known ? RULESET_PREDECESSOR_KNOWN : RULESET_PREDECESSOR_UNKNOWN,
		.expected_instance_id = fact != NULL ? fact->expected_instance_id : RULESET_INSTANCE_NONE,
		.predecessor_instance_id = fact != NULL ? fact->original_instance_id : RULESET_INSTANCE_NONE,
	};
}

enum { FACT_LABELS_MAX = 2 * RULESET_LABELS_MAX };

// Its own labels (lines), then those of the client. `room` is to live as long as the device.
static inline void store_fact_label(struct ruleset_device *device, struct ruleset_label room[FACT_LABELS_MAX], struct text own,
	const struct ruleset_label *of_client, size_t count)
{
	const size_t first = ruleset_labels_read(room, own);

	for (size_t i = 0; i < count; i++) {
		room[first + i] = of_client[i];
	}
	device->labels = room;
	device->label_count = first + count;
}

// One row: whether there are facts at all, and devices to be decided about once more.
unsigned store_routing_select(struct pg_transaction *t, int64_t tenant_id);
void store_routing_read(const struct pg_transaction *t, unsigned statement, bool *has_facts, bool *has_reroutes);

// Worker scope, in a fenced transaction; api scope after store_start_over (store_pins_put does it).
void store_reroute_insert(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count);
void store_reroute_delete(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count);
// Their serial numbers, and those of devices that no guard (store/guards.h) holds any more.
unsigned store_reroute_list(struct pg_transaction *t, int64_t tenant_id, int limit);
struct text store_reroute_read(const struct pg_transaction *t, unsigned statement, size_t row);

struct pin_row {
	struct text serial_number;
	int64_t instance_id; // 0: held
	struct text instance; // its name, read
	struct text reason;
	int64_t made_at_us;
	struct text made_by;
};

// Api scope: the client's run starts over and looks at the device.
enum { STORE_PINS_MAX = 2000 };
void store_pins_put(struct pg_transaction *t, int64_t tenant_id, const struct pin_row *pin, const struct text *serials, size_t count); // all as this one
unsigned store_pins_delete(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count); // a row for each that there was
unsigned store_pin_select(struct pg_transaction *t, int64_t tenant_id, struct text serial);
// By serial number, the first `limit` after `after`; `instance_id` -1: wherever, 0: held, else this one's.
unsigned store_pin_list(struct pg_transaction *t, int64_t tenant_id, struct text after, int64_t instance_id, int limit);
void store_pin_read(const struct pg_transaction *t, unsigned statement, size_t row, struct pin_row *out);

// What rules look at, of present devices, with their facts: for a dry run over all of them.
struct routed_row {
	struct device_record apple;
	struct routing_fact fact;
	int64_t first_seen_us;
	struct text guard_reason; // as ruleset_device has it
};
enum { STORE_ROUTED_MAX = 2000 };
// Any tenant scope, by serial number, the first `limit` after `after`.
unsigned store_routed_list(struct pg_transaction *t, int64_t tenant_id, struct text after, int64_t seen_since_us, int limit);
// Those that a guard or an expectation holds.
unsigned store_routed_guarded(struct pg_transaction *t, int64_t tenant_id, struct text after, int limit);
// Of these serial numbers, those that are present.
unsigned store_routed_by_serials(struct pg_transaction *t, int64_t tenant_id, const struct text *serials, size_t count);
void store_routed_read(const struct pg_transaction *t, unsigned statement, size_t row, struct routed_row *out);
