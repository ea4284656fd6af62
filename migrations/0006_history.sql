-- SPDX-License-Identifier: Apache-2.0
--
-- What happened to each device, and why: old and new values in the log, reasons of tombstones, replacements, records that were parked.

begin
	set local role depbroker_owner;

	-- Why Apple has the device no more, and the event that said so.
	alter table depbroker.devices
		add column gone_reason smallint check (gone_reason between 1 and 4), -- enum removal_reason
		add column gone_seq bigint check (gone_seq > 0);

	alter table depbroker.events
		add column reason smallint check (reason between 1 and 5), -- enum removal_reason, of a removal
		add column changes text; -- JSON: {"member":[old,new],...}; null: everything is new, or nothing

	-- Devices that came in another one's place (Apple's /device/replacementDetails). A device that says so is asked about until Apple
	-- has said for which one, or ASKED_MAX times.
	create table depbroker.replacements (
		tenant_id bigint not null references depbroker.tenants,
		serial_number text collate "C" not null check (octet_length(serial_number) between 1 and 64),
		original_serial_number text collate "C" check (octet_length(original_serial_number) between 1 and 64), -- null: not known yet
		replacement_date text check (octet_length(replacement_date) <= 10),
		apple_word text check (octet_length(apple_word) <= 80), -- of its last refusal
		attempts int not null default 0,
		ask_at timestamptz default now(), -- null: not any more
		resolved_at timestamptz,
		primary key (tenant_id, serial_number)
	);
	create index replacements_original on depbroker.replacements (tenant_id, original_serial_number)
		where original_serial_number is not null;
	create index replacements_ask_at on depbroker.replacements (tenant_id, ask_at) where ask_at is not null;
	alter table depbroker.sync_stream add column replacement_due_at timestamptz; -- the earliest ask_at; null: nothing to ask

	-- Records of Apple's that name no usable device. A page goes on without them; each is kept once, however often it comes.
	create table depbroker.parked (
		tenant_id bigint not null references depbroker.tenants,
		digest bytea not null check (octet_length(digest) = 32), -- SHA-256 of `record` and `why`
		serial_number text, -- as far as it can be shown
		why text not null check (octet_length(why) <= 200),
		record text not null check (octet_length(record) <= 2000), -- JSON, cut
		first_at timestamptz not null default now(),
		last_at timestamptz not null default now(),
		times bigint not null default 1,
		primary key (tenant_id, digest)
	);
	create index parked_newest on depbroker.parked (tenant_id, last_at);
	alter table depbroker.tenant_status add column parked_records bigint not null default 0; -- since the client is there

	alter table depbroker.page_ledger drop constraint page_ledger_kind_check;
	alter table depbroker.page_ledger add constraint page_ledger_kind_check
		check (kind in ('fetch', 'changes', 'removal', 'details', 'route', 'assign', 'replacement'));

	alter table depbroker.replacements enable row level security;
	alter table depbroker.replacements force row level security;
	create policy own_client on depbroker.replacements using (tenant_id = (select depbroker.current_tenant()))
		with check (tenant_id = (select depbroker.current_tenant()));
	create policy own_client_only on depbroker.replacements as restrictive using (tenant_id = (select depbroker.current_tenant()));
	alter table depbroker.parked enable row level security;
	alter table depbroker.parked force row level security;
	create policy own_client on depbroker.parked using (tenant_id = (select depbroker.current_tenant()))
		with check (tenant_id = (select depbroker.current_tenant()));
	create policy own_client_only on depbroker.parked as restrictive using (tenant_id = (select depbroker.current_tenant()));
	grant select on depbroker.replacements, depbroker.parked to depbroker_api;
	grant select, insert, update on depbroker.replacements, depbroker.parked to depbroker_worker;
end
