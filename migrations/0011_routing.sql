-- SPDX-License-Identifier: Apache-2.0
--
-- Where devices go: rules as documents, pins by hand, approvals of large changes, and on each device what decided.

declare
	client_table text;
	linter text := pg_get_functiondef('depbroker.lint()'::regprocedure);
begin
	set local role depbroker_owner;

	-- Versions from before have no document: theirs is made of default_instance_id when it is read.
	alter table depbroker.rules
		add column document text check (octet_length(document) <= 4194304), -- in its one form (tenants/ruleset.h)
		add column reason text not null default '' check (octet_length(reason) <= 400);

	-- What decided about a device (enum route_decider), and which place it had last while it was there.
	alter table depbroker.devices
		add column decider smallint not null default 0 check (decider between 0 and 2),
		add column rule_id text check (octet_length(rule_id) <= 256),
		add column hold_reason text check (octet_length(hold_reason) <= 400),
		add column held_since timestamptz,
		add column last_instance_id bigint;
	-- New devices are not to wait behind a thousand that change their place.
	drop index depbroker.devices_assign_at;
	create index devices_assign_urgent on depbroker.devices (tenant_id, assign_at)
		where assign_at is not null and assigned_profile_uuid is null;
	create index devices_assign_bulk on depbroker.devices (tenant_id, assign_at)
		where assign_at is not null and assigned_profile_uuid is not null;
	create index devices_held on depbroker.devices (tenant_id, held_since) where held_since is not null;
	-- Every client's devices are looked at once more. (An update would ask the policies.)
	alter table depbroker.sync_stream alter column profile_needed type boolean using true;
	alter table depbroker.tenant_status add column held_since timestamptz; -- of the device that is held for longest

	-- `content_digest` of rows from before is of the bytes, now it is of the one form (tenants/profile_render.h).
	alter table depbroker.profiles add column is_canonical boolean not null default false;

	-- By hand, before all rules; it stays when the device goes, and may be there before it comes.
	create table depbroker.pins (
		tenant_id bigint not null references depbroker.tenants,
		serial_number text collate "C" not null check (octet_length(serial_number) between 1 and 64),
		instance_id bigint, -- null: held
		reason text not null default '' check (octet_length(reason) <= 256),
		made_at timestamptz not null default now(),
		made_by text not null,
		primary key (tenant_id, serial_number),
		foreign key (tenant_id, instance_id) references depbroker.instances
	);
	grant select, insert, update, delete on depbroker.pins to depbroker_api;
	grant select on depbroker.pins to depbroker_worker;

	-- Devices about which something else is known now than when it was decided where they go.
	create table depbroker.reroutes (
		tenant_id bigint not null references depbroker.tenants,
		serial_number text collate "C" not null check (octet_length(serial_number) between 1 and 64),
		primary key (tenant_id, serial_number)
	);
	grant select, insert on depbroker.reroutes to depbroker_api;
	grant select, insert, delete on depbroker.reroutes to depbroker_worker;

	-- Changes that a second person is asked for.
	create table depbroker.approvals (
		tenant_id bigint not null references depbroker.tenants,
		approval_id bigint not null,
		kind text not null check (kind in ('rules')),
		payload text not null check (octet_length(payload) <= 4194304), -- rules: the document
		reason text not null default '' check (octet_length(reason) <= 400),
		base_version bigint not null, -- of the rules that it was costed against
		changes bigint not null,      -- devices
		present bigint not null,
		devices text not null check (octet_length(devices) <= 67108864), -- JSON: who moves from where to where
		state text not null default 'pending' check (state in ('pending', 'approved', 'rejected', 'stale')),
		requested_by text not null,
		requested_at timestamptz not null default now(),
		expires_at timestamptz not null default now() + interval '24 hours',
		decided_by text,
		decided_at timestamptz,
		primary key (tenant_id, approval_id),
		check ((state = 'pending') = (decided_at is null)),
		check (decided_by <> requested_by or state <> 'approved')
	);
	create index approvals_by_id on depbroker.approvals (approval_id);
	grant select, insert, update (state, decided_by, decided_at) on depbroker.approvals to depbroker_api;
	grant select on depbroker.approvals to depbroker_directory;

	foreach client_table in array array['pins', 'reroutes', 'approvals'] loop
		execute format('alter table depbroker.%I enable row level security', client_table);
		execute format('alter table depbroker.%I force row level security', client_table);
	end loop;
	foreach client_table in array array['pins', 'reroutes'] loop
		execute format('create policy own_client on depbroker.%I using (tenant_id = (select depbroker.current_tenant())) '
			'with check (tenant_id = (select depbroker.current_tenant()))', client_table);
		execute format('create policy own_client_only on depbroker.%I as restrictive using (tenant_id = (select depbroker.current_tenant()))',
			client_table);
	end loop;
	create policy directory on depbroker.approvals to depbroker_directory using (true) with check (true);
	create policy own_client on depbroker.approvals to depbroker_api, depbroker_worker, depbroker_owner
		using (tenant_id = (select depbroker.current_tenant())) with check (tenant_id = (select depbroker.current_tenant()));
	create policy own_client_only on depbroker.approvals as restrictive to depbroker_api, depbroker_worker, depbroker_owner
		using (tenant_id = (select depbroker.current_tenant()));

	linter := replace(linter, '''alerts'', ''renewal_links''', '''alerts'', ''renewal_links'', ''approvals''');
	if linter !~ 'approvals' then
		raise exception 'the linter is not the one that this migration knows';
	end if;
	execute linter;
end
