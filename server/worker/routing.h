// SPDX-License-Identifier: Apache-2.0
//
// routing.h - where each device of the client goes and which profile it should have, as reconcile.h takes it.
//
// Ownership  facts are in the tenant's scratch memory: they are of the step under way.
// Law        a device is decided about with the rules that were loaded and with the facts about it, or not at all: whoever decides has
//            read its facts before
#pragma once

#include "worker/tenant.h"

// Facts of the devices of this step: rows of a store_fact_... statement. Without any: routing_no_facts.
void routing_take_facts(struct tenant *tenant, const struct pg_transaction *t, unsigned statement);
void routing_no_facts(struct tenant *tenant);

// Likewise, of a store_guard_... statement. Whoever did not ask leaves to the guards what they hold.
void routing_take_guards(struct tenant *tenant, const struct pg_transaction *t, unsigned statement);

// Decided now. `stored` NULL: the device is new. Guards hold what arrives, and take no device from where it is.
struct reconcile_settings routing_decide(struct tenant *tenant, const struct device_record *apple, const struct device_row *stored);
// As it was decided, for what happens to the assignment. The devices' routes are those of the loaded rules: routing_is_current.
struct reconcile_settings routing_as_decided(struct tenant *tenant, const struct device_row *row);
struct wanted_profile *routing_profile(struct tenant *tenant, const struct device_row *row); // NULL: it is held, and nothing is parked
// Of a device that goes.
struct reconcile_settings routing_of_gone(const struct tenant *tenant);

bool routing_is_current(const struct tenant *tenant);
