// SPDX-License-Identifier: Apache-2.0
//
// fact_inner.h - what is known about single devices, as columns that several statements read.
#pragma once

#include "store/routing.h"
#include "store/store_inner.h"

#define FACT                                                                                                                     \
	"p.serial_number is not null, p.instance_id, p.reason, r.serial_number is not null,"                                          \
	" r.original_serial_number is null and r.ask_at is not null, o.serial_number is not null, o.instance_id"
// `wanted` has serial numbers. Each is looked up by primary key.
#define WITH_FACT(wanted)                                                                                                        \
	" from (" wanted ") as w"                                                                                                     \
	" left join depbroker.pins p on p.tenant_id = $1 and p.serial_number = w.serial_number"                                       \
	" left join depbroker.replacements r on r.tenant_id = $1 and r.serial_number = w.serial_number"                               \
	" left join lateral (select d.serial_number, case when d.gone_at is null then d.instance_id else d.last_instance_id end"       \
	"  as instance_id from depbroker.devices d where d.tenant_id = $1 and d.serial_number = r.original_serial_number offset 0) as o" \
	" on true"
// Of the device itself: `w` has its columns.
#define ROUTED                                                                                                                   \
	"w.serial_number, w.model, w.description, w.color, w.asset_tag, w.device_family, w.os, w.device_assigned_by,"                  \
	" w.device_assigned_date, w.first_seen_at"

void read_fact(struct columns *at, struct routing_fact *out);     // FACT
void read_routed(struct columns *at, struct routed_row *out);     // ROUTED, FACT
