-- SPDX-License-Identifier: Apache-2.0
--
-- What MDM servers tell of enrolments, what a client has bought and expects, and the life of an instance.

declare
	client_table text;
begin
	set local role depbroker_owner;

	-- --- instances ---

	alter table depbroker.instances drop constraint instances_kind_check;
	alter table depbroker.instances
		add constraint instances_kind_check check (kind in ('nanomdm', 'nanohub', 'micromdm', 'fleet', 'zentral', 'jamf', 'simplemdm', 'iru',
			'intune', 'mosyle', 'addigy', 'jumpcloud', 'meraki', 'generic')),
		add column state text not null default 'active' check (state in ('active', 'draining', 'retired')),
		add column labels text[] not null default '{}' check (cardinality(labels) <= 20),
		add column anchor_certs text[] not null default '{}' check (cardinality(anchor_certs) <= 10
			and octet_length(array_to_string(anchor_certs, '')) <= 65536), -- PEM, a certificate each
		add column hook_secret_version int not null default 0, -- the last one that was made
		add column hook_made_at timestamptz; -- null: it has no secret, and nobody may tell anything in its name

	-- A secret by which an instance's MDM server shows that it is the one: kind 6.
	alter table depbroker.secrets drop constraint secrets_kind_check;
	alter table depbroker.secrets add constraint secrets_kind_check check (kind between 1 and 6);

	-- --- enrolments ---

	-- What was told, as far as it concerns enrolments. The client's owner reads what is not done; what is done is kept for a while, so
	-- that the same message told again is known.
	create table depbroker.enrolment_inbox (
		tenant_id bigint not null references depbroker.tenants,
		digest bytea not null check (octet_length(digest) = 32), -- SHA-256 of the instance and the message
		message_id bigint not null default nextval('depbroker.object_ids'),
		instance_id bigint not null,
		enrolment_id text collate "C" not null check (octet_length(enrolment_id) between 1 and 160),
		serial_number text collate "C" check (octet_length(serial_number) between 1 and 64), -- null: the message has none
		word smallint not null check (word between 1 and 3), -- enum enrolment_word
		awaiting boolean not null default false, -- the device waits in its Setup Assistant
		at timestamptz not null, -- as the MDM server says, and not later than it was heard
		heard_at timestamptz not null default now(),
		done_at timestamptz,
		primary key (tenant_id, digest),
		foreign key (tenant_id, instance_id) references depbroker.instances
	);
	create index enrolment_inbox_waiting on depbroker.enrolment_inbox (tenant_id, message_id) where done_at is null;
	create index enrolment_inbox_done on depbroker.enrolment_inbox (tenant_id, done_at) where done_at is not null;

	-- enrolment_id: the device's UDID, or the enrolment's own id where there is none, or serial:<serial number>.
	create table depbroker.enrolments (
		tenant_id bigint not null references depbroker.tenants,
		instance_id bigint not null,
		enrolment_id text collate "C" not null check (octet_length(enrolment_id) between 1 and 160),
		serial_number text collate "C" check (octet_length(serial_number) between 1 and 64), -- null: not known
		state smallint not null check (state between 1 and 3), -- enum enrolment_state
		at timestamptz not null,   -- of the newest news
		heard_at timestamptz not null default now(),
		enrolled_at timestamptz,   -- the last time
		awaiting boolean not null default false,
		is_orphan boolean not null default false,    -- the client has no such device
		is_misrouted boolean not null default false, -- the device was wanted elsewhere when it enrolled, and still is
		primary key (tenant_id, instance_id, enrolment_id),
		foreign key (tenant_id, instance_id) references depbroker.instances
	);
	create index enrolments_by_device on depbroker.enrolments (tenant_id, serial_number);
	create index enrolments_unsettled on depbroker.enrolments (tenant_id) where is_orphan or is_misrouted;

	-- --- what a client expects ---

	-- Since when a list is there: what comes later and is not on it is unexpected.
	create table depbroker.expected_lists (
		tenant_id bigint primary key references depbroker.tenants,
		version bigint not null default 1,
		since timestamptz not null default now(),
		uploaded_at timestamptz not null default now(),
		uploaded_by text not null, -- the API key's id
		-- The alerts about it were looked at with this version of it, this event of the log, on this day.
		reviewed_version bigint not null default 0,
		reviewed_seq bigint not null default 0,
		reviewed_on date not null default '-infinity'
	);
	create table depbroker.expected_devices (
		tenant_id bigint not null references depbroker.tenants,
		serial_number text collate "C" not null check (octet_length(serial_number) between 1 and 64),
		due_on date, -- null: nobody said when
		note text check (octet_length(note) <= 400),
		instance_id bigint, -- null: wherever the rules send it
		primary key (tenant_id, serial_number),
		foreign key (tenant_id, instance_id) references depbroker.instances
	);
	create index expected_devices_due_on on depbroker.expected_devices (tenant_id, due_on) where due_on is not null;

	-- --- the ledger's kinds are the program's to know ---

	alter table depbroker.page_ledger drop constraint page_ledger_kind_check;
	alter table depbroker.page_ledger add constraint page_ledger_kind_check check (kind ~ '^[a-z_]{1,20}$');

	-- --- walls ---

	foreach client_table in array array['enrolment_inbox', 'enrolments', 'expected_lists', 'expected_devices'] loop
		execute format('alter table depbroker.%I enable row level security', client_table);
		execute format('alter table depbroker.%I force row level security', client_table);
		execute format('create policy own_client on depbroker.%I using (tenant_id = (select depbroker.current_tenant())) '
			'with check (tenant_id = (select depbroker.current_tenant()))', client_table);
		execute format('create policy own_client_only on depbroker.%I as restrictive using (tenant_id = (select depbroker.current_tenant()))',
			client_table);
	end loop;
	grant select, insert on depbroker.enrolment_inbox to depbroker_api;
	grant select, update (done_at), delete on depbroker.enrolment_inbox to depbroker_worker;
	grant select on depbroker.enrolments to depbroker_api;
	grant select, insert, update on depbroker.enrolments to depbroker_worker;
	grant select, insert, update, delete on depbroker.expected_lists, depbroker.expected_devices to depbroker_api;
	grant select on depbroker.expected_lists, depbroker.expected_devices to depbroker_worker;
	grant update (reviewed_version, reviewed_seq, reviewed_on) on depbroker.expected_lists to depbroker_worker;
	grant insert, update (kind, detail, since, last_seen_at, cleared_at, acked_at, acked_by) on depbroker.alerts to depbroker_api; -- a misroute is told at once
end
