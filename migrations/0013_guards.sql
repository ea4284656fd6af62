-- SPDX-License-Identifier: Apache-2.0
--
-- Which clients list which serial numbers, so that one look-up finds a device over all of them, and the second client that lists one can be
-- told so, without a word about the first. Devices that arrive in spite of that, or unexpected, are held.

declare
	client bigint;
	clients bigint[];
	linter text := pg_get_functiondef('depbroker.lint()'::regprocedure);
begin
	set local role depbroker_owner;

	alter table depbroker.devices drop constraint devices_decider_check, add constraint devices_decider_check check (decider between 0 and 3);
	create index devices_guarded on depbroker.devices (tenant_id, serial_number) where decider = 3 and gone_at is null;
	alter table depbroker.expected_lists add column holds boolean not null default false; -- what is not on it is held when it arrives

	alter table depbroker.tenant_status add column assign_lag_ms bigint not null default 0;

	-- Written with the device's row. It is the directory's: serial numbers and dates, and nothing else about a device.
	create table depbroker.serial_claims (
		tenant_id bigint not null references depbroker.tenants,
		serial_number text collate "C" not null check (octet_length(serial_number) between 1 and 64),
		claimed_at timestamptz not null, -- since when the client lists it
		assigned_at timestamptz,         -- Apple's date of its assignment to the client's server
		gone_at timestamptz,
		primary key (tenant_id, serial_number)
	);
	create index serial_claims_by_serial on depbroker.serial_claims (serial_number);
	alter table depbroker.serial_claims enable row level security;
	alter table depbroker.serial_claims force row level security;
	create policy directory on depbroker.serial_claims to depbroker_directory using (true) with check (true);
	create policy own_client on depbroker.serial_claims to depbroker_api, depbroker_worker, depbroker_owner
		using (tenant_id = (select depbroker.current_tenant())) with check (tenant_id = (select depbroker.current_tenant()));
	create policy own_client_only on depbroker.serial_claims as restrictive to depbroker_api, depbroker_worker
		using (tenant_id = (select depbroker.current_tenant()));
	create policy rivals on depbroker.serial_claims for select to depbroker_owner using (true); -- for depbroker.rivalled
	grant select on depbroker.serial_claims to depbroker_directory, depbroker_api;
	grant select, insert, update on depbroker.serial_claims to depbroker_worker;

	-- Those of the serial numbers that another client listed before the transaction's client, unless Apple has assigned the device to this
	-- one's server since. `assigned`: Apple's dates, of those that are not claimed yet. Who the other is, it does not say.
	create function depbroker.rivalled(serials text[], assigned timestamptz[]) returns setof text
		language sql stable security definer set search_path = pg_catalog, pg_temp as $function$
		select w.serial_number from unnest(serials, assigned) as w (serial_number, assigned_at)
		left join depbroker.serial_claims mine on mine.tenant_id = depbroker.current_tenant() and mine.serial_number = w.serial_number
			and mine.gone_at is null
		where exists (select from depbroker.serial_claims r
			where r.serial_number = w.serial_number collate "C" and r.tenant_id <> depbroker.current_tenant() and r.gone_at is null
				and (mine.tenant_id is null or (r.claimed_at, r.tenant_id) < (mine.claimed_at, mine.tenant_id))
				and not coalesce(coalesce(w.assigned_at, mine.assigned_at) > r.assigned_at, false))
	$function$;
	revoke all on function depbroker.rivalled(text[], timestamptz[]) from public;
	grant execute on function depbroker.rivalled(text[], timestamptz[]) to depbroker_api, depbroker_worker;

	-- What is there already.
	set local role depbroker_directory;
	clients := array(select tenant_id from depbroker.tenants);
	set local role depbroker_owner;
	foreach client in array clients loop
		perform set_config('depbroker.tenant', client::text, true);
		insert into depbroker.serial_claims (tenant_id, serial_number, claimed_at, assigned_at, gone_at)
			select tenant_id, serial_number, first_seen_at, device_assigned_date, gone_at from depbroker.devices where tenant_id = client;
	end loop;

	linter := replace(linter, '''renewal_links'', ''approvals''', '''renewal_links'', ''approvals'', ''serial_claims''');
	linter := replace(linter, 'where not (coalesce(w.reads_own, w.writes_own, false) and coalesce(w.writes_own, true))',
		'where not (coalesce(w.reads_own, w.writes_own, false) and coalesce(w.writes_own, true))
				and not (c.relname = ''serial_claims'' and w.polname = ''rivals'' and w.polcmd = ''r''
					and w.polroles = array[(select oid from our_role where rolname = ''depbroker_owner'')])');
	if linter !~ '''rivals''' or linter !~ 'approvals'', ''serial_claims' then
		raise exception 'the linter is not the one that this migration knows';
	end if;
	execute linter;
end
