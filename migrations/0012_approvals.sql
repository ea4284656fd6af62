-- SPDX-License-Identifier: Apache-2.0
--
-- Approvals of every kind of change, and each client's account of devices that were moved without one.

declare
	linter text := pg_get_functiondef('depbroker.lint()'::regprocedure);
begin
	set local role depbroker_owner;

	-- Which kinds there are is the program's to know (server/api/approvals.c).
	alter table depbroker.approvals drop constraint approvals_kind_check;
	alter table depbroker.approvals add constraint approvals_kind_check check (octet_length(kind) between 1 and 40);
	-- A template is no client's. Numbers are of one sequence.
	alter table depbroker.approvals drop constraint approvals_pkey;
	alter table depbroker.approvals alter column tenant_id drop not null;
	alter table depbroker.approvals add constraint approvals_key unique (tenant_id, approval_id);
	alter table depbroker.approvals
		add column target text not null default '' check (octet_length(target) <= 400), -- the rest of the path
		add column detail text not null default '{}' check (octet_length(detail) <= 1048576); -- JSON: what is to be known before it is approved
	grant insert, update (state, decided_by, decided_at) on depbroker.approvals to depbroker_directory;

	-- What changes without an approval have moved, and limits that were lower before they were raised: kept for as long as they count.
	create table depbroker.brake_account (
		tenant_id bigint not null references depbroker.tenants,
		entry_id bigint not null,
		made_at timestamptz not null default clock_timestamp(),
		made_by text not null,
		action text not null check (octet_length(action) <= 40),
		changes bigint not null default 0 check (changes >= 0), -- devices
		limit_devices bigint, -- of before a raise
		limit_percent bigint,
		primary key (tenant_id, entry_id)
	);
	grant select, insert, delete on depbroker.brake_account to depbroker_api, depbroker_directory;
	alter table depbroker.brake_account enable row level security;
	alter table depbroker.brake_account force row level security;
	create policy directory on depbroker.brake_account to depbroker_directory using (true) with check (true);
	create policy own_client on depbroker.brake_account to depbroker_api, depbroker_worker, depbroker_owner
		using (tenant_id = (select depbroker.current_tenant())) with check (tenant_id = (select depbroker.current_tenant()));
	create policy own_client_only on depbroker.brake_account as restrictive to depbroker_api, depbroker_worker, depbroker_owner
		using (tenant_id = (select depbroker.current_tenant()));

	-- Of the api: a token of another server.
	alter table depbroker.sync_stream add column is_other_server boolean not null default false;
	grant update (cursor, cursor_at, phase, full_due_at, is_other_server, removals_held, removals_held_of, removals_held_at)
		on depbroker.sync_stream to depbroker_api;
	grant delete on depbroker.profiles to depbroker_api;

	linter := replace(linter, '''approvals''', '''approvals'', ''brake_account''');
	if linter !~ 'brake_account' then
		raise exception 'the linter is not the one that this migration knows';
	end if;
	execute linter;
end
