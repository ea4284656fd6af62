-- SPDX-License-Identifier: Apache-2.0
--
-- Alerts of all clients go into one log of the provider's, which endpoints of its own are delivered from. It is the log of a reserved client,
-- "*", so that positions, attempts, secrets, keys and walls are those of any other one.
--
-- Laws  1. whoever raises or ends an alert has written it into this log in the same transaction (the trigger below)
--       2. its numbers have no gaps, and are committed in their order: the row of alert_log is locked until then
--       3. the reserved client has no Apple server, no instances and no devices, cannot be changed, ended or named by anybody, and stays

declare
	everybody constant bigint := 9223372036854775807; -- STORE_EVERYBODY
begin
	set local role depbroker_owner;

	alter table depbroker.tenants
		drop constraint tenants_slug_check,
		add constraint tenants_slug_check check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$' or (tenant_id = 9223372036854775807 and slug = '*')),
		drop constraint tenants_state_check,
		add constraint tenants_state_check check (state in ('active', 'paused', 'quarantined', 'archived', 'deleting', 'reserved')),
		add constraint tenants_reserved check ((state = 'reserved') = (tenant_id = 9223372036854775807)
			and (state <> 'reserved' or (slug = '*' and server_uuid is null)));
	alter table depbroker.instances add constraint instances_of_clients check (tenant_id <> 9223372036854775807);
	alter table depbroker.key_pairs add constraint key_pairs_of_clients check (tenant_id <> 9223372036854775807);

	create table depbroker.alert_log (
		tenant_id bigint primary key references depbroker.tenants,
		seq bigint not null default 0 -- of its last event
	) with (fillfactor = 50);
	alter table depbroker.alert_log enable row level security;
	alter table depbroker.alert_log force row level security;
	create policy own_client on depbroker.alert_log using (tenant_id = (select depbroker.current_tenant()))
		with check (tenant_id = (select depbroker.current_tenant()));
	create policy own_client_only on depbroker.alert_log as restrictive using (tenant_id = (select depbroker.current_tenant()));
	grant select on depbroker.alert_log to depbroker_api;

	-- Its due row comes with its data key, when it gets its first endpoint: until then no worker looks at it.
	perform set_config('depbroker.tenant', everybody::text, true);
	insert into depbroker.tenants (tenant_id, slug, display_name, state) values (everybody, '*', 'Everybody', 'reserved');
	insert into depbroker.sync_stream (tenant_id, profile_needed) values (everybody, false);
	insert into depbroker.tenant_status (tenant_id) values (everybody);
	insert into depbroker.alert_log (tenant_id) values (everybody);
	perform set_config('depbroker.tenant', '', true);

	drop index depbroker.endpoints_of_client;
	create unique index endpoints_of_client on depbroker.endpoints (tenant_id) where instance_id is null and tenant_id <> 9223372036854775807;
	alter table depbroker.endpoints add constraint endpoints_of_alerts_are_native
		check (tenant_id <> 9223372036854775807 or (instance_id is null and format = 'native'));

	-- Grows with each time that an alert is news, although it was open and says the same.
	alter table depbroker.alerts add column raised bigint not null default 1;
	grant update (raised) on depbroker.alerts to depbroker_api;

	-- Acts in the name of the alert's client, then of the reserved one; when it ends, its caller's name is back. If it fails, so does the transaction.
	create function depbroker.log_alert() returns trigger
		language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
		declare
			everybody constant bigint := 9223372036854775807;
			alert depbroker.alerts := case when tg_op = 'DELETE' then old else new end;
			caller constant text := coalesce(current_setting('depbroker.tenant', true), '');
			client text;
			next_seq bigint;
		begin
			if tg_op = 'DELETE' then -- with its client
				alert.cleared_at := clock_timestamp();
			end if;
			if not (tg_op = 'INSERT' or (old.cleared_at is null) <> (alert.cleared_at is null)
					or (alert.cleared_at is null and (old.detail <> alert.detail or old.raised <> alert.raised))) then
				return null;
			end if;
			if alert.tenant_id <> everybody then
				perform set_config('depbroker.tenant', alert.tenant_id::text, true);
				select t.slug into strict client from depbroker.tenants t where t.tenant_id = alert.tenant_id;
			end if;
			perform set_config('depbroker.tenant', everybody::text, true);
			update depbroker.alert_log set seq = seq + 1 where tenant_id = everybody returning seq into strict next_seq;
			insert into depbroker.events (tenant_id, seq, at, type, lane, device) values (everybody, next_seq, clock_timestamp(),
				case when alert.cleared_at is null then 20 else 21 end, alert.tenant_id % 8, -- EVENT_ALERT_RAISED, EVENT_ALERT_CLEARED
				jsonb_build_object('id', alert.alert_id::text, 'tenant', client, 'kind', alert.kind, 'detail', alert.detail,
					'since', to_char(alert.since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
					'cleared_at', to_char(alert.cleared_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))::text);
			update depbroker.sync_due set wake = wake + 1, due_at = least(due_at, now()) where tenant_id = everybody;
			perform set_config('depbroker.tenant', caller, true);
			return null;
		end $function$;
	revoke all on function depbroker.log_alert() from public;
	create trigger logged after insert or update of detail, cleared_at, raised on depbroker.alerts
		for each row execute function depbroker.log_alert();
	create trigger logged_with_its_client after delete on depbroker.alerts for each row when (old.cleared_at is null)
		execute function depbroker.log_alert();
end
