-- SPDX-License-Identifier: Apache-2.0
--
-- Endpoints: where webhooks go, several for each instance and one for the client itself. An instance's first endpoint has the instance's own
-- number, so that secrets (which are sealed for a number), positions and attempts from before are its own.

declare
	client_table text;
begin
	set local role depbroker_owner;

	create table depbroker.endpoints (
		tenant_id bigint not null references depbroker.tenants,
		endpoint_id bigint not null,
		instance_id bigint, -- whose events it gets; null: all of the client's log
		url text check (octet_length(url) between 1 and 2000), -- null: nothing is sent, of an instance's first endpoint only
		events text[] not null default '{}' check (cardinality(events) <= 64 and array_position(events, null) is null), -- types; none: all
		headers text[] not null default '{}' check (cardinality(headers) <= 8 and array_to_string(headers, '', ' ') !~ '[^ -~]'), -- "name: value"
		secret_version int not null default 1, -- of the newest one
		disabled_at timestamptz,
		disabled_reason text check (octet_length(disabled_reason) <= 400),
		not_before timestamptz, -- it asked to slow down
		succeeded_at timestamptz, -- while an event waited to be tried again: the endpoint is not dead, the event is what it refuses
		created_at timestamptz not null default now(),
		updated_at timestamptz not null default now(),
		primary key (tenant_id, endpoint_id),
		foreign key (tenant_id, instance_id) references depbroker.instances,
		check (url is not null or (instance_id is not null and endpoint_id = instance_id)),
		check ((disabled_at is null) = (disabled_reason is null))
	);
	create unique index endpoints_of_client on depbroker.endpoints (tenant_id) where instance_id is null;
	create index endpoints_of_instance on depbroker.endpoints (tenant_id, instance_id);

	-- The policies would ask for one client.
	alter table depbroker.instances no force row level security;
	alter table depbroker.positions no force row level security;
	insert into depbroker.endpoints (tenant_id, endpoint_id, instance_id, url, secret_version, disabled_at, disabled_reason, created_at)
		select tenant_id, instance_id, instance_id, webhook_url, webhook_secret_version, webhook_disabled_at,
			case when webhook_disabled_at is not null then left(coalesce(webhook_disabled_reason, ''), 100) end, created_at
		from depbroker.instances;
	alter table depbroker.positions rename column instance_id to endpoint_id;
	alter table depbroker.positions drop constraint positions_tenant_id_instance_id_fkey;
	alter table depbroker.positions add foreign key (tenant_id, endpoint_id) references depbroker.endpoints;
	alter table depbroker.positions drop constraint positions_lane_check;
	alter table depbroker.positions add constraint positions_lane_check check (lane between 0 and 8); -- the last one: resends
	insert into depbroker.positions (tenant_id, endpoint_id, lane) select tenant_id, endpoint_id, 8 from depbroker.endpoints;
	alter table depbroker.positions force row level security;
	alter table depbroker.instances force row level security;
	alter table depbroker.instances drop column webhook_url, drop column webhook_secret_version, drop column webhook_disabled_at,
		drop column webhook_disabled_reason;

	-- Events that an endpoint refused during the whole schedule while it took others.
	create table depbroker.parked_events (
		tenant_id bigint not null,
		endpoint_id bigint not null,
		seq bigint not null,
		attempts int not null,
		first_failed_at timestamptz not null,
		parked_at timestamptz not null default now(),
		status int not null, -- of the last attempt; 0: no answer
		primary key (tenant_id, endpoint_id, seq),
		foreign key (tenant_id, endpoint_id) references depbroker.endpoints
	);

	-- Events of the log to be sent once more, besides what the positions say; 0: a ping. They have a lane of their own, the ninth.
	create table depbroker.resends (
		tenant_id bigint not null,
		endpoint_id bigint not null,
		seq bigint not null check (seq >= 0),
		requested_at timestamptz not null default now(),
		primary key (tenant_id, endpoint_id, seq),
		foreign key (tenant_id, endpoint_id) references depbroker.endpoints
	);

	foreach client_table in array array['endpoints', 'parked_events', 'resends'] loop
		execute format('alter table depbroker.%I enable row level security', client_table);
		execute format('alter table depbroker.%I force row level security', client_table);
		execute format('create policy own_client on depbroker.%I using (tenant_id = (select depbroker.current_tenant())) '
			'with check (tenant_id = (select depbroker.current_tenant()))', client_table);
		execute format('create policy own_client_only on depbroker.%I as restrictive using (tenant_id = (select depbroker.current_tenant()))',
			client_table);
	end loop;
	grant select, delete on depbroker.parked_events to depbroker_api;
	grant select, insert, update, delete on depbroker.resends to depbroker_api;
	grant select, delete on depbroker.resends to depbroker_worker;
	grant select, insert, update on depbroker.parked_events to depbroker_worker;
	grant select, insert, update, delete on depbroker.endpoints to depbroker_api;
	grant select, update (disabled_at, disabled_reason, not_before, succeeded_at) on depbroker.endpoints to depbroker_worker;

	grant delete on depbroker.positions to depbroker_api;
	alter table depbroker.attempts rename column instance_id to endpoint_id;

	alter table depbroker.attempts add column answer text check (octet_length(answer) <= 1024); -- its beginning, without control characters

	-- Attempts are kept for a while; dropped whole, and not when somebody would have to be waited for.
	create function depbroker.drop_old_attempts(months_kept int) returns void
		language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set lock_timeout = '1s' as $function$
		declare
			part text;
			oldest text := format('attempts_%s', to_char(date_trunc('month', now() at time zone 'UTC') - make_interval(months => greatest(months_kept, 1)), 'YYYYMM'));
		begin
			for part in
				select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
				where i.inhparent = 'depbroker.attempts'::regclass and c.relname ~ '^attempts_[0-9]{6}$' and c.relname < oldest
			loop
				execute format('drop table depbroker.%I', part);
			end loop;
		exception when lock_not_available then
			null; -- the next time
		end $function$;
	revoke all on function depbroker.drop_old_attempts(int) from public;
	grant execute on function depbroker.drop_old_attempts(int) to depbroker_directory;

	-- After a new version of a webhook's secret the former one signs for a while, too.
	alter table depbroker.secrets add column expires_at timestamptz;
end
