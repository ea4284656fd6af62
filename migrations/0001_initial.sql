-- SPDX-License-Identifier: Apache-2.0
--
-- The first schema. Every migration is one PL/pgSQL block (server/store/migrate.c puts DO around it), so it is atomic by itself.
--
-- Laws  1. a client's table has tenant_id first in every key, forced row level security with a permissive and a restrictive policy, and
--          references only rows of the same client
--       2. nobody who runs depbroker owns anything: tables belong to depbroker_owner, the running roles get what they need
--       3. whoever reads or writes a client's row has said which client: otherwise it is an error, not an empty answer
--       4. depbroker.lint() finds breaches of 1 and 2; no process serves while it finds one

-- Roles are shared by all databases of a server, so they may exist already.
declare
	wanted_role text;
	client_table text;
begin
	foreach wanted_role in array array['depbroker_owner', 'depbroker_directory', 'depbroker_api', 'depbroker_worker'] loop
		if to_regrole(wanted_role) is null then
			begin
				execute format('create role %I nologin nosuperuser nobypassrls noinherit nocreaterole nocreatedb', wanted_role);
			exception when duplicate_object or unique_violation then
				null;
			end;
		end if;
		if not pg_has_role(session_user, wanted_role, 'member') then
			execute format('grant %I to %I', wanted_role, session_user);
		end if;
	end loop;

	grant all on schema depbroker to depbroker_owner; -- whoever owns a table of it must
	alter table depbroker.schema_migrations owner to depbroker_owner;
	alter schema depbroker owner to depbroker_owner;
	set local role depbroker_owner;
	grant usage on schema depbroker to depbroker_directory, depbroker_api, depbroker_worker;
	grant select on depbroker.schema_migrations to depbroker_directory, depbroker_api, depbroker_worker;

	-- Whose rows this transaction may see. Never set: error 42704. Empty (the directory's scope): error 22P02.
	create function depbroker.current_tenant() returns bigint
		language sql stable parallel safe set search_path = pg_catalog
		as 'select current_setting(''depbroker.tenant'')::bigint';

	-- Raises what the programs read as "another worker owns this tenant now, or its configuration changed".
	create function depbroker.require_fence(holds boolean) returns void
		language plpgsql volatile set search_path = pg_catalog as $function$
		begin
			if not coalesce(holds, false) then
				raise exception 'the fence does not hold' using errcode = 'DB001';
			end if;
		end $function$;

	-- --- the directory: what concerns all clients ---

	-- `incarnation` grows when the log starts again after a restore, so that no webhook id ever names two bodies.
	create table depbroker.installation (
		only_one boolean primary key default true check (only_one),
		incarnation bigint not null default 1 check (incarnation > 0),
		created_at timestamptz not null default now()
	);
	insert into depbroker.installation default values;
	grant select on depbroker.installation to depbroker_directory, depbroker_api, depbroker_worker;

	create sequence depbroker.tenant_ids as bigint;
	create sequence depbroker.object_ids as bigint; -- key pairs, server tokens, instances
	grant usage on sequence depbroker.tenant_ids to depbroker_directory;
	grant usage on sequence depbroker.object_ids to depbroker_directory, depbroker_api, depbroker_worker;

	create table depbroker.tenants (
		tenant_id bigint primary key check (tenant_id > 0),
		slug text collate "C" not null unique check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
		display_name text not null check (octet_length(display_name) between 1 and 200),
		state text not null default 'active' check (state in ('active', 'paused', 'quarantined')),
		apple_url text check (octet_length(apple_url) between 1 and 2000), -- null: the installation's
		protocol_version int check (protocol_version between 1 and 99),
		sync_interval_s int check (sync_interval_s between 1 and 86400),
		-- The Apple server that this client is, pinned by its first token. No two clients are the same server.
		server_uuid text unique check (octet_length(server_uuid) between 1 and 200),
		server_name text,
		org_id text,
		org_id_hash text,
		org_name text,
		org_type text,
		pinned_at timestamptz,
		created_at timestamptz not null default now(),
		updated_at timestamptz not null default now(),
		check ((server_uuid is null) = (pinned_at is null))
	);

	-- When a worker should look at a client. A hint: losing or repeating it does no harm, sync_stream decides.
	create table depbroker.sync_due (
		tenant_id bigint primary key references depbroker.tenants,
		due_at timestamptz not null default now(),
		claimed_by text check (octet_length(claimed_by) <= 200),
		wake bigint not null default 0,          -- grows when something should be looked at before its time
		sync_requests bigint not null default 0, -- grows with each "sync now"
		full_requests bigint not null default 0  -- grows with each "fetch everything now"
	) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
	create index sync_due_at on depbroker.sync_due (due_at);
	create index sync_due_claimed_by on depbroker.sync_due (claimed_by) where claimed_by is not null;

	-- What lists over all clients show; each row is written by its client's own transactions.
	create table depbroker.tenant_status (
		tenant_id bigint primary key references depbroker.tenants,
		token_expires_at timestamptz,
		token_state text not null default 'none',
		sync_phase text not null default 'fetch',
		sync_reason text not null default '',
		sync_error text not null default '',
		synced_at timestamptz,          -- end of the last run without an error
		sync_next_at timestamptz,
		devices bigint not null default 0,   -- present at Apple
		assigned bigint not null default 0,  -- of these: Apple reports the wanted profile
		held bigint not null default 0,      -- of these: no rule chose an instance
		announced_seq bigint not null default 0, -- every event up to it is delivered or concerns nobody
		event_seq bigint not null default 0,
		updated_at timestamptz not null default now()
	) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

	create table depbroker.nodes (
		node_id text primary key check (octet_length(node_id) between 1 and 200),
		alive_until timestamptz not null
	) with (fillfactor = 50);

	create table depbroker.api_keys (
		key_id text collate "C" primary key check (key_id ~ '^[0-9A-Za-z]{8}$'),
		hash bytea not null check (octet_length(hash) = 32), -- SHA-256 of the whole key
		name text not null check (octet_length(name) between 1 and 200),
		role text not null check (role in ('admin', 'operator', 'technician', 'viewer')),
		tenant_ids bigint[] check (cardinality(tenant_ids) <= 1000 and array_position(tenant_ids, null) is null), -- null: every client
		created_at timestamptz not null default now(),
		expires_at timestamptz not null,
		revoked_at timestamptz,
		check (tenant_ids is null or role in ('technician', 'viewer'))
	);

	grant select on depbroker.tenants, depbroker.sync_due, depbroker.tenant_status, depbroker.nodes, depbroker.api_keys to depbroker_directory;
	grant update on depbroker.sync_due to depbroker_directory;
	grant insert, update, delete on depbroker.nodes to depbroker_directory;
	grant insert, update on depbroker.api_keys to depbroker_directory;
	grant select on depbroker.nodes to depbroker_worker;
	grant select, insert, update on depbroker.tenants, depbroker.sync_due, depbroker.tenant_status to depbroker_api;
	grant select on depbroker.tenants, depbroker.sync_due, depbroker.tenant_status to depbroker_worker;
	grant update on depbroker.sync_due, depbroker.tenant_status to depbroker_worker;
	grant update (state, updated_at) on depbroker.tenants to depbroker_worker;

	-- --- keys and secrets of a client ---

	create table depbroker.data_keys (
		tenant_id bigint not null references depbroker.tenants,
		version int not null check (version > 0),
		wrapped bytea not null check (octet_length(wrapped) between 40 and 512),
		is_current boolean not null default true,
		created_at timestamptz not null default now(),
		primary key (tenant_id, version)
	);
	create unique index data_keys_current on depbroker.data_keys (tenant_id) where is_current;

	create table depbroker.secrets (
		tenant_id bigint not null,
		kind smallint not null check (kind between 1 and 4), -- enum secret_kind
		object_id bigint not null,
		version int not null check (version > 0),
		data_key_version int not null,
		nonce bytea not null check (octet_length(nonce) = 12),
		ciphertext bytea not null check (octet_length(ciphertext) between 16 and 66000),
		created_at timestamptz not null default now(),
		primary key (tenant_id, kind, object_id, version),
		foreign key (tenant_id, data_key_version) references depbroker.data_keys,
		unique (tenant_id, data_key_version, nonce) -- a repeated nonce is an error, not a risk
	);

	create table depbroker.key_pairs (
		tenant_id bigint not null references depbroker.tenants,
		key_pair_id bigint not null,
		state text not null default 'staged' check (state in ('staged', 'current', 'retired')),
		fingerprint text not null check (fingerprint ~ '^[0-9a-f]{64}$'), -- SHA-256 of the certificate
		certificate_pem text not null check (octet_length(certificate_pem) <= 8192),
		not_before timestamptz not null,
		not_after timestamptz not null,
		created_at timestamptz not null default now(),
		primary key (tenant_id, key_pair_id)
	);
	create unique index key_pairs_current on depbroker.key_pairs (tenant_id) where state = 'current';

	create table depbroker.server_tokens (
		tenant_id bigint not null,
		token_id bigint not null,
		key_pair_id bigint not null,
		is_current boolean not null default true,
		consumer_key_end text not null check (octet_length(consumer_key_end) <= 4), -- to recognise it by; never more
		expires_at timestamptz,
		server_uuid text not null,
		server_name text,
		admin_id text,
		org_id text,
		org_id_hash text,
		org_name text,
		org_type text,
		taken_at timestamptz not null default now(),
		primary key (tenant_id, token_id),
		foreign key (tenant_id, key_pair_id) references depbroker.key_pairs
	);
	create unique index server_tokens_current on depbroker.server_tokens (tenant_id) where is_current;

	-- --- where devices go ---

	create table depbroker.instances (
		tenant_id bigint not null references depbroker.tenants,
		instance_id bigint not null,
		name text collate "C" not null check (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'), -- in webhooks: never changed
		kind text not null check (kind in ('nanomdm', 'micromdm', 'fleet', 'jamf', 'generic')),
		enrolment_url text not null check (octet_length(enrolment_url) between 1 and 2000),
		allowed_hosts text[] not null check (cardinality(allowed_hosts) between 1 and 50 and '' <> all (allowed_hosts)
			and array_to_string(allowed_hosts, '', ' ') !~ '[[:space:]]'), -- blanks would join two of them
		profile text not null default '{}' check (octet_length(profile) <= 65536), -- further members of Apple's profile, JSON
		webhook_url text check (octet_length(webhook_url) between 1 and 2000),
		webhook_secret_version int not null default 1,
		webhook_disabled_at timestamptz,
		webhook_disabled_reason text,
		created_at timestamptz not null default now(),
		updated_at timestamptz not null default now(),
		primary key (tenant_id, instance_id),
		unique (tenant_id, name)
	);

	create table depbroker.rules (
		tenant_id bigint not null references depbroker.tenants,
		version bigint not null check (version > 0),
		default_instance_id bigint, -- null: hold
		made_at timestamptz not null default now(),
		made_by text not null, -- the API key's id
		primary key (tenant_id, version),
		foreign key (tenant_id, default_instance_id) references depbroker.instances
	);

	-- What was defined at Apple: the same content has the same UUID.
	create table depbroker.profiles (
		tenant_id bigint not null,
		instance_id bigint not null,
		content_digest bytea not null check (octet_length(content_digest) = 32), -- SHA-256 of `content`
		content text not null check (octet_length(content) <= 131072),          -- as sent to Apple
		profile_uuid text check (octet_length(profile_uuid) between 1 and 64),
		refused text check (octet_length(refused) <= 400), -- Apple's word: the same content is not tried again
		token_id bigint not null, -- the token that it was defined with
		defined_at timestamptz not null default now(),
		primary key (tenant_id, instance_id, content_digest),
		foreign key (tenant_id, instance_id) references depbroker.instances,
		foreign key (tenant_id, token_id) references depbroker.server_tokens,
		check ((profile_uuid is null) = (refused is not null))
	);

	-- --- the stream ---

	-- One narrow row: proof of ownership (epoch, owner), the cursor, and the counters that number writes and events.
	-- One UPDATE of it begins every write of a worker; nothing that changes in it is indexed.
	create table depbroker.sync_stream (
		tenant_id bigint primary key references depbroker.tenants,
		epoch bigint not null default 0,          -- grows with each change of owner
		owner text check (octet_length(owner) <= 200),
		write_seq bigint not null default 0,      -- grows with each write of an owner
		event_seq bigint not null default 0,      -- number of the last event; gapless
		config_version bigint not null default 0, -- grows when rules, instances, the token or the state change: a run starts over
		rules_version bigint not null default 0,  -- 0: none, everything is held
		phase smallint not null default 0,        -- enum sync_phase
		cursor text check (octet_length(cursor) <= 4096),
		cursor_at timestamptz,
		generation bigint not null default 0,
		fetch_started_at timestamptz,
		fetch_completed_at timestamptz,
		full_due_at timestamptz,
		stuck_runs int not null default 0,
		exhausted_runs int not null default 0,
		failures int not null default 0,
		sync_next_at timestamptz not null default '-infinity',
		sync_requests_done bigint not null default 0,
		full_requests_done bigint not null default 0,
		reason text not null default '',      -- sync_reason_name
		error_text text not null default '' check (octet_length(error_text) <= 400),
		apple_error text not null default '' check (octet_length(apple_error) <= 80),
		run_started_at timestamptz,
		run_pages int not null default 0,     -- of the run that is under way, or of the last one
		run_devices int not null default 0,
		synced_at timestamptz,
		profile_needed boolean not null default true, -- rules or instances changed: routes and profiles are to be looked at
		updated_at timestamptz not null default now()
	) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);

	-- Written by the thousand, always behind sync_stream's fence, which names a client that exists: so no reference to tenants here.
	create table depbroker.devices (
		tenant_id bigint not null,
		serial_number text collate "C" not null check (octet_length(serial_number) between 1 and 64),
		-- as Apple reported last
		model text, description text, color text, asset_tag text, device_family text, os text,
		profile_status text, profile_uuid text, device_assigned_by text,
		profile_assign_time timestamptz, profile_push_time timestamptz,
		device_assigned_date timestamptz, mdm_migration_deadline timestamptz,
		extra text, -- further members, one JSON object
		op_date timestamptz,
		fingerprint bytea not null check (octet_length(fingerprint) = 16),
		gone_at timestamptz, -- a tombstone, not a delete
		-- where it goes
		instance_id bigint, -- null: held
		rules_version bigint not null, -- that chose it
		-- assignment at Apple (enum assign_state); assign_at null: nothing to do
		assign_state smallint not null default 0,
		assign_at timestamptz,
		assign_attempts int not null default 0,
		assigned_profile_uuid text, -- the last one that Apple accepted for it
		first_seen_at timestamptz not null,
		changed_at timestamptz not null,
		primary key (tenant_id, serial_number),
		foreign key (tenant_id, instance_id) references depbroker.instances
	) with (fillfactor = 85);
	create index devices_assign_at on depbroker.devices (tenant_id, assign_at) where assign_at is not null;

	-- The log. Append only; by month, so that old ones are dropped whole.
	create table depbroker.events (
		tenant_id bigint not null,
		seq bigint not null check (seq > 0),
		at timestamptz not null,
		type smallint not null, -- enum event_type
		serial_number text collate "C",
		instance_id bigint, -- whom it concerns; null: nobody
		lane smallint not null check (lane between 0 and 7),
		device text, -- JSON
		primary key (tenant_id, seq, at)
	) partition by range (at);
	create index events_by_device on depbroker.events (tenant_id, serial_number, seq);
	create index events_to_deliver on depbroker.events (tenant_id, instance_id, lane, seq) where instance_id is not null;

	-- One row a write that changed something: proof of what came from where.
	create table depbroker.page_ledger (
		tenant_id bigint not null references depbroker.tenants,
		write_seq bigint not null,
		epoch bigint not null,
		at timestamptz not null default now(),
		kind text not null check (kind in ('fetch', 'changes', 'removal', 'details', 'route', 'assign')),
		generation bigint not null,
		records int not null,
		devices_changed int not null,
		event_seq bigint not null, -- after it
		page_digest bytea check (octet_length(page_digest) = 32), -- SHA-256 of Apple's answer
		primary key (tenant_id, write_seq)
	);

	-- --- delivery: a position for each instance and lane, never a row for each delivery ---

	create table depbroker.positions (
		tenant_id bigint not null,
		instance_id bigint not null,
		lane smallint not null check (lane between 0 and 7),
		acked_seq bigint not null default 0, -- every event of the lane up to it is settled
		attempts int not null default 0,     -- failed ones of the next event
		next_try_at timestamptz not null default '-infinity',
		first_failed_at timestamptz,
		primary key (tenant_id, instance_id, lane),
		foreign key (tenant_id, instance_id) references depbroker.instances
	) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);

	create table depbroker.attempts (
		tenant_id bigint not null,
		instance_id bigint not null,
		seq bigint not null,
		attempt int not null check (attempt > 0),
		at timestamptz not null,
		status int not null, -- 0: no answer
		error text not null default '' check (octet_length(error) <= 400),
		took_ms int not null,
		primary key (tenant_id, instance_id, seq, attempt, at)
	) partition by range (at);
	create index attempts_newest on depbroker.attempts (tenant_id, instance_id, at);

	-- --- walls ---

	foreach client_table in array array['data_keys', 'secrets', 'key_pairs', 'server_tokens', 'instances', 'rules', 'profiles', 'sync_stream',
			'devices', 'events', 'page_ledger', 'positions', 'attempts'] loop
		execute format('alter table depbroker.%I enable row level security', client_table);
		execute format('alter table depbroker.%I force row level security', client_table);
		execute format('create policy own_client on depbroker.%I using (tenant_id = (select depbroker.current_tenant())) '
			'with check (tenant_id = (select depbroker.current_tenant()))', client_table);
		execute format('create policy own_client_only on depbroker.%I as restrictive using (tenant_id = (select depbroker.current_tenant()))',
			client_table);
	end loop;

	-- Tables that the directory reads over all clients; everybody else sees the own client's row only.
	foreach client_table in array array['tenants', 'sync_due', 'tenant_status'] loop
		execute format('alter table depbroker.%I enable row level security', client_table);
		execute format('alter table depbroker.%I force row level security', client_table);
		execute format('create policy directory on depbroker.%I to depbroker_directory using (true) with check (true)', client_table);
		execute format('create policy own_client on depbroker.%I to depbroker_api, depbroker_worker '
			'using (tenant_id = (select depbroker.current_tenant())) with check (tenant_id = (select depbroker.current_tenant()))', client_table);
		execute format('create policy own_client_only on depbroker.%I as restrictive to depbroker_api, depbroker_worker '
			'using (tenant_id = (select depbroker.current_tenant()))', client_table);
	end loop;

	grant select, insert on depbroker.data_keys to depbroker_api;
	grant select on depbroker.data_keys to depbroker_worker;
	grant select, insert, update, delete on depbroker.secrets to depbroker_api, depbroker_worker;
	grant select, insert, update on depbroker.key_pairs to depbroker_api;
	grant select, insert, update on depbroker.server_tokens to depbroker_api;
	grant select on depbroker.server_tokens to depbroker_worker;
	grant select, insert, update on depbroker.instances to depbroker_api;
	grant select on depbroker.instances to depbroker_worker;
	grant update (webhook_disabled_at, webhook_disabled_reason) on depbroker.instances to depbroker_worker;
	grant select, insert on depbroker.rules to depbroker_api;
	grant select on depbroker.rules to depbroker_worker;
	grant select on depbroker.profiles to depbroker_api;
	grant select, insert, update, delete on depbroker.profiles to depbroker_worker;
	grant select, insert on depbroker.sync_stream to depbroker_api;
	grant update (config_version, rules_version, profile_needed) on depbroker.sync_stream to depbroker_api;
	grant select, update on depbroker.sync_stream to depbroker_worker;
	grant select on depbroker.devices, depbroker.events, depbroker.page_ledger, depbroker.attempts to depbroker_api;
	grant select, insert, update on depbroker.devices to depbroker_worker;
	grant select, insert on depbroker.events, depbroker.page_ledger, depbroker.attempts to depbroker_worker;
	grant select, insert, update on depbroker.positions to depbroker_api, depbroker_worker;

	-- --- partitions: born locked, made ahead ---

	create function depbroker.ensure_partitions(months_ahead int) returns void
		language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $function$
		declare
			parent text;
			part text;
			month date;
		begin
			perform pg_advisory_xact_lock(hashtext('depbroker.ensure_partitions'));
			foreach parent in array array['events', 'attempts'] loop
				for i in -1 .. least(months_ahead, 24) loop
					month := (date_trunc('month', now() at time zone 'UTC') + make_interval(months => i))::date;
					part := format('%s_%s', parent, to_char(month, 'YYYYMM'));
					continue when to_regclass(format('depbroker.%I', part)) is not null;
					execute format('create table depbroker.%I (like depbroker.%I including defaults including constraints)', part, parent);
					execute format('alter table depbroker.%I enable row level security', part);
					execute format('alter table depbroker.%I force row level security', part);
					execute format('create policy own_client on depbroker.%I using (tenant_id = (select depbroker.current_tenant())) '
						'with check (tenant_id = (select depbroker.current_tenant()))', part);
					execute format('create policy own_client_only on depbroker.%I as restrictive '
						'using (tenant_id = (select depbroker.current_tenant()))', part);
					execute format('alter table depbroker.%I attach partition depbroker.%I for values from (%L) to (%L)', parent, part,
						month::timestamp at time zone 'UTC', (month + interval '1 month')::timestamp at time zone 'UTC');
				end loop;
			end loop;
		end $function$;
	revoke all on function depbroker.ensure_partitions(int) from public;
	grant execute on function depbroker.ensure_partitions(int) to depbroker_directory;
	perform depbroker.ensure_partitions(2);

	-- --- the linter: one row a breach ---

	create function depbroker.lint() returns table (rule text, object text)
		language sql stable set search_path = pg_catalog, pg_temp as $function$
		with relation as (
			select c.oid, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.relowner, c.relispartition, c.relacl
			from pg_class c
			where c.relnamespace = 'depbroker'::regnamespace and c.relkind in ('r', 'p')
		), client_relation as (
			select r.*, a.attnum as tenant_column
			from relation r join pg_attribute a on a.attrelid = r.oid and a.attname = 'tenant_id' and not a.attisdropped
		), our_role as (
			select oid, rolname, rolsuper, rolbypassrls from pg_roles
			where rolname in ('depbroker_owner', 'depbroker_directory', 'depbroker_api', 'depbroker_worker')
		), wall as ( -- a policy, and whether all that it says is "the own client"; null where it says nothing
			select p.polrelid, p.polname, p.polpermissive, p.polroles, p.polcmd,
				pg_get_expr(p.polqual, p.polrelid) ~ own.client as reads_own,
				pg_get_expr(p.polwithcheck, p.polrelid) ~ own.client as writes_own
			from pg_policy p, (select '^\(tenant_id = \( SELECT depbroker\.current_tenant\(\)( AS current_tenant)?\)\)$' as client) own
		), granted as ( -- tables and their columns, without what an owner may do
			select r.oid, r.relname, a.grantee, a.privilege_type from relation r, aclexplode(r.relacl) a where a.grantee <> r.relowner
			union all
			select r.oid, r.relname, a.grantee, a.privilege_type
			from relation r join pg_attribute c on c.attrelid = r.oid, aclexplode(c.attacl) a where a.grantee <> r.relowner
		)
		select 'row level security is not enabled and forced', relname::text from client_relation
			where not (relrowsecurity and relforcerowsecurity)
		union all
		select 'no permissive policy for the own client', relname::text from client_relation
			where not exists (select from wall w where w.polrelid = client_relation.oid and w.polpermissive and w.polcmd = '*' and w.reads_own)
		union all
		select 'no restrictive policy for the own client', relname::text from client_relation
			where not exists (select from wall w where w.polrelid = client_relation.oid and not w.polpermissive and w.polcmd = '*' and w.reads_own
				and (w.polroles = array[0::oid] or client_relation.relname in ('tenants', 'sync_due', 'tenant_status')))
		union all
		select 'policies do not ask for the client of the transaction', 'current_tenant'
			where not exists (select from pg_proc p where p.oid = to_regprocedure('depbroker.current_tenant()') and not p.prosecdef
				and p.prosrc = 'select current_setting(''depbroker.tenant'')::bigint')
		union all
		select 'a policy does not name the client', c.relname || '.' || w.polname from client_relation c join wall w on w.polrelid = c.oid
			where not (coalesce(w.reads_own, w.writes_own, false) and coalesce(w.writes_own, true))
				and not (c.relname in ('tenants', 'sync_due', 'tenant_status') and w.polname = 'directory'
					and w.polroles = array[(select oid from our_role where rolname = 'depbroker_directory')])
		union all
		select 'a table has no client', relname::text from relation
			where oid not in (select oid from client_relation)
				and relname not in ('schema_migrations', 'installation', 'nodes', 'api_keys')
		union all
		select distinct 'the directory may use a client''s table', g.relname::text
			from granted g join client_relation c on c.oid = g.oid join our_role r on r.oid = g.grantee
			where c.relname not in ('tenants', 'sync_due', 'tenant_status') and r.rolname = 'depbroker_directory'
		union all
		select distinct 'everybody may use a table', relname::text from granted where grantee = 0
		union all
		select distinct 'a partition has grants of its own', g.relname::text from granted g join relation r on r.oid = g.oid
			where r.relispartition
		union all
		select 'a key does not begin with the client', i.indexrelid::regclass::text
			from pg_index i join client_relation c on c.oid = i.indrelid
			where i.indisunique and i.indkey[0] <> c.tenant_column and c.relname <> 'tenants'
		union all
		select 'a reference leaves the client', con.conname::text
			from pg_constraint con join client_relation c on c.oid = con.conrelid join client_relation f on f.oid = con.confrelid
			where con.contype = 'f' and (con.conkey[1] <> c.tenant_column or con.confkey[1] <> f.tenant_column)
		union all
		select 'a role can get around row level security', rolname::text from our_role where rolsuper or rolbypassrls
		union all
		select 'a table has another owner', r.relname::text from relation r
			where r.relowner <> (select oid from our_role where rolname = 'depbroker_owner')
		union all
		select 'a role is a member of another one', m.rolname::text
			from pg_auth_members am join our_role m on m.oid = am.member
		union all
		select 'a view gets around row level security', c.relname::text from pg_class c
			where c.relnamespace = 'depbroker'::regnamespace and c.relkind in ('v', 'm')
				and not coalesce('security_invoker=true' = any (c.reloptions), false)
		union all
		select 'a definer function has no search_path', p.proname::text from pg_proc p
			where p.pronamespace = 'depbroker'::regnamespace and p.prosecdef
				and not exists (select from unnest(p.proconfig) setting where setting like 'search_path=%')
		union all
		select 'a definer function is for everybody', p.proname::text from pg_proc p
			where p.pronamespace = 'depbroker'::regnamespace and p.prosecdef
				and (p.proacl is null or exists (select from aclexplode(p.proacl) a where a.grantee = 0))
		union all
		select distinct 'a role may truncate, reference or trigger', relname::text from granted
			where privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER')
	$function$;
end
