// SPDX-License-Identifier: Apache-2.0
//
// device_shown.h - the state of a device that people are shown, and the filters of lists of devices. Of this room only.
//
// Numbers are those of enum assign_state. What is settled without the profile that was assigned last waits for one that can be assigned.
#pragma once

#include "store/devices.h"

#define TOLD(what, condition) "(select " what " from depbroker.enrolments e where e.tenant_id = $1 and e.serial_number = devices.serial_number and " condition ")"
#define MISROUTED             "e.is_misrouted"
#define ENROLLED              "e.instance_id = devices.instance_id and e.state = 2"
#define DEVICE_STATE                                                                                                                    \
	"case when gone_at is not null then 'released' when instance_id is null then 'held'"                                          \
	" when exists " TOLD("", MISROUTED) " then 'misrouted' when assign_state = 3 then 'throttled' when assign_state = 4 then 'failed'" \
	" when assign_state in (2, 5) then 'assigning' when assign_state <> 0 then 'waiting'"                                          \
	" when exists " TOLD("", ENROLLED) " then 'enrolled'"                                                                         \
	" when lower(profile_uuid) = lower(assigned_profile_uuid) and profile_status in ('pushed', 'assigned') then profile_status"    \
	" else 'waiting' end"
#define DEVICE_SINCE                                                                                                                    \
	"coalesce(case s.state when 'released' then gone_at when 'held' then held_since when 'pushed' then profile_push_time"          \
	" when 'assigned' then profile_assign_time when 'misrouted' then " TOLD("max(e.at)", MISROUTED)                                \
	" when 'enrolled' then " TOLD("max(e.enrolled_at)", ENROLLED) " end, changed_at)"
#define DEVICE_LABELS                                                                                                           \
	"(select array_to_string(l.labels, E'\\n') from depbroker.device_labels l where l.tenant_id = $1 and l.serial_number = devices.serial_number)"

// `columns` of the devices of a client ($1) as they are shown, `from` which ones.
#define DEVICE_SHOWN(columns, from)                                                                                             \
	"select " columns " from " from " as devices cross join lateral (select " DEVICE_STATE " as state offset 0) as s where tenant_id = $1 "

// Serial numbers only; states are found out where they are asked for.
#define DEVICE_MEANT                                                                                                            \
	"select serial_number from depbroker.devices cross join lateral (select case when cardinality($5::text[]) > 0"                 \
	" or $6::timestamptz is not null then " DEVICE_STATE " end as state offset 0) as s where tenant_id = $1 "

// After one of them. What rules compare without regard to upper and lower case, this does, too.
#define DEVICE_FILTERED                                                                                                         \
	"and serial_number > $2 and serial_number >= $7 and serial_number < $8 and ($3 or gone_at is null)"                            \
	" and ($4 = -1 or coalesce(instance_id, 0) = $4) and ($9::text is null or lower(profile_uuid) = lower($9))"                    \
	" and ($10::text is null or profile_status = $10) and ($11::text is null or rule_id = $11)"                                    \
	" and ($12::text is null or lower(device_family) = lower($12)) and ($13::text is null or lower(model) like lower($13))"        \
	" and ($14::text is null or exists (select from depbroker.device_labels l where l.tenant_id = $1"                              \
	"  and l.serial_number = devices.serial_number and $14 = any (l.labels)))"                                                     \
	" and ($15::text is null or coalesce(hold_reason, '') = $15) and ($16 = 0 or gone_reason = $16)"                               \
	" and ($17::timestamptz is null or profile_assign_time <= $17) and ($18::timestamptz is null or assign_at <= $18)"             \
	" and (cardinality($5::text[]) = 0 or case when s.state = 'waiting' and assign_state = 0 then 'unassignable' else s.state end = any ($5))" \
	" and ($6::timestamptz is null or " DEVICE_SINCE " <= $6) order by serial_number "
enum { DEVICE_FILTER_VALUES = 18 };
void store_device_filter_values(struct pg_value values[DEVICE_FILTER_VALUES], int64_t tenant_id, const struct device_filter *filter);
