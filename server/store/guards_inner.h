// SPDX-License-Identifier: Apache-2.0
//
// guards_inner.h - the conditions of guards in SQL; $1 is the client.
#pragma once

// The client's list of expected devices holds what is not on it. What came before there was a list is not unexpected. That there is one is
// asked once, not for each device.
#define GUARD_UNEXPECTED(serial)                                                                                                      \
	"exists (select from depbroker.expected_lists h where h.tenant_id = $1 and h.holds)"                                              \
	" and exists (select from depbroker.expected_lists l where l.tenant_id = $1 and l.holds"                                               \
	" and not exists (select from depbroker.expected_devices x where x.tenant_id = $1 and x.serial_number = " serial ")"              \
	" and not exists (select from depbroker.devices e where e.tenant_id = $1 and e.serial_number = " serial " and e.first_seen_at <= l.since))"

// Devices that a guard holds.
#define GUARDED "select d.serial_number from depbroker.devices d where d.tenant_id = $1 and d.decider = 3 and d.gone_at is null"
// Of these, the ones that none would hold any more.
#define GUARDED_NO_MORE                                                                                                               \
	"select d.serial_number from (" GUARDED ") as d where not (" GUARD_UNEXPECTED("d.serial_number") ")"                             \
	" and d.serial_number not in (select depbroker.rivalled((select array_agg(g.serial_number) from (" GUARDED ") as g (serial_number)), null))"
