-- SPDX-License-Identifier: Apache-2.0
--
-- Further fields of clients and their deletion; the life of a server token: one that waits for Apple, what is wrong and who was told,
-- links by which a client's administrator renews it; the audit.

declare
	lint_source text := pg_get_functiondef('depbroker.lint()'::regprocedure);
	client_table text;
begin
	-- --- clients ---

	alter table depbroker.tenants drop constraint tenants_state_check;
	alter table depbroker.tenants
		add constraint tenants_state_check check (state in ('active', 'paused', 'quarantined', 'archived', 'deleting')),
		add column state_since timestamptz not null default now(),
		add column state_reason text check (octet_length(state_reason) <= 400),
		add column version bigint not null default 1, -- grows with each change that people see
		add column labels text[] not null default '{}' check (cardinality(labels) <= 20),
		add column notes text check (octet_length(notes) <= 4000),
		add column allowed_hosts text[] not null default '{}' check (cardinality(allowed_hosts) <= 50), -- empty: any
		add column brake_percent int check (brake_percent between 1 and 100),
		add column brake_devices int check (brake_devices between 1 and 1000000),
		add column time_zone text check (octet_length(time_zone) between 1 and 60), -- null: UTC
		add column technical_contact text check (octet_length(technical_contact) <= 400),
		add column apple_contact text check (octet_length(apple_contact) <= 400),
		add column expiry_days int[] not null default '{}' check (cardinality(expiry_days) <= 12); -- empty: 60, 30, 14, 7, 3, 1
	grant update (state_since, state_reason, version) on depbroker.tenants to depbroker_worker, depbroker_directory;

	alter table depbroker.tenant_status
		add column token_since timestamptz,      -- since when token_state is what it is
		add column token_checked_at timestamptz, -- when Apple said so last
		add column token_word text not null default '' check (octet_length(token_word) <= 80), -- Apple's, of a refusal
		add column pending_since timestamptz,    -- a token waits to be verified
		add column told_token_id bigint not null default 0, -- of this token people were told
		add column told_days int not null default 0,        -- that it ends within so many days; 0: not yet
		add column told_admin_id text;                      -- and who made it

	create function depbroker.require_hosts(client bigint) returns void
		language plpgsql volatile set search_path = pg_catalog as $function$
		begin
			if exists (select from depbroker.instances i join depbroker.tenants t on t.tenant_id = client
					where i.tenant_id = client and t.allowed_hosts <> '{}' and not i.allowed_hosts <@ t.allowed_hosts) then
				raise exception 'an instance has a host that its client does not allow'
					using errcode = 'check_violation', constraint = 'instances_within_hosts';
			end if;
		end $function$;

	-- --- tokens ---

	alter table depbroker.server_tokens add column taken_by text not null default ''; -- a key's id, or link:<number>
	grant insert, update on depbroker.server_tokens to depbroker_worker;
	grant update (state) on depbroker.key_pairs to depbroker_worker;
	grant select on depbroker.key_pairs to depbroker_worker;
	grant update (server_uuid, server_name, org_id, org_id_hash, org_name, org_type, pinned_at) on depbroker.tenants to depbroker_worker;

	-- Uploaded while Apple could not be asked whose it is. Its secret is sealed like a server token's, under token_id.
	create table depbroker.pending_tokens (
		tenant_id bigint primary key references depbroker.tenants,
		token_id bigint not null,
		key_pair_id bigint not null,
		consumer_key_end text not null check (octet_length(consumer_key_end) <= 4),
		expires_at timestamptz,
		uploaded_at timestamptz not null default now(),
		uploaded_by text not null,
		attempts int not null default 0,
		next_try_at timestamptz not null default now(),
		error text not null default '' check (octet_length(error) <= 400),
		foreign key (tenant_id, key_pair_id) references depbroker.key_pairs
	);
	grant select, insert, update, delete on depbroker.pending_tokens to depbroker_api, depbroker_worker;

	-- A link that lets a client's administrator renew the token. `hash` is SHA-256 of its secret, which has 192 random bits.
	create table depbroker.renewal_links (
		tenant_id bigint not null references depbroker.tenants,
		link_id bigint not null,
		hash bytea not null check (octet_length(hash) = 32),
		key_pair_id bigint not null,
		made_at timestamptz not null default now(),
		made_by text not null,
		expires_at timestamptz not null,
		used_at timestamptz,
		primary key (tenant_id, link_id),
		foreign key (tenant_id, key_pair_id) references depbroker.key_pairs
	);
	create index renewal_links_hash on depbroker.renewal_links (hash);
	grant select, insert, update (used_at) on depbroker.renewal_links to depbroker_api;
	grant select on depbroker.renewal_links to depbroker_directory;

	-- --- alerts: one row a client and kind ---

	create table depbroker.alerts (
		tenant_id bigint not null references depbroker.tenants,
		kind text collate "C" not null check (octet_length(kind) between 1 and 40),
		alert_id bigint not null default nextval('depbroker.object_ids'),
		detail text not null default '' check (octet_length(detail) <= 400),
		since timestamptz not null default now(),
		last_seen_at timestamptz not null default now(),
		cleared_at timestamptz, -- null: it is still so
		acked_at timestamptz,
		acked_by text,
		primary key (tenant_id, kind),
		unique (tenant_id, alert_id)
	);
	grant select, insert, update on depbroker.alerts to depbroker_worker;
	grant select, update (acked_at, acked_by, cleared_at) on depbroker.alerts to depbroker_api;
	grant select, insert, update on depbroker.alerts to depbroker_directory; -- who crashed cannot tell it

	alter table depbroker.page_ledger drop constraint page_ledger_kind_check;
	alter table depbroker.page_ledger add constraint page_ledger_kind_check
		check (kind in ('fetch', 'changes', 'removal', 'details', 'route', 'assign', 'told'));

	foreach client_table in array array['pending_tokens', 'renewal_links', 'alerts'] loop
		execute format('alter table depbroker.%I enable row level security', client_table);
		execute format('alter table depbroker.%I force row level security', client_table);
	end loop;
	create policy own_client on depbroker.pending_tokens using (tenant_id = (select depbroker.current_tenant()))
		with check (tenant_id = (select depbroker.current_tenant()));
	create policy own_client_only on depbroker.pending_tokens as restrictive using (tenant_id = (select depbroker.current_tenant()));
	foreach client_table in array array['renewal_links', 'alerts'] loop
		execute format('create policy directory on depbroker.%I to depbroker_directory using (true) with check (true)', client_table);
		execute format('create policy own_client on depbroker.%I to depbroker_api, depbroker_worker, depbroker_owner '
			'using (tenant_id = (select depbroker.current_tenant())) with check (tenant_id = (select depbroker.current_tenant()))', client_table);
		execute format('create policy own_client_only on depbroker.%I as restrictive to depbroker_api, depbroker_worker, depbroker_owner '
			'using (tenant_id = (select depbroker.current_tenant()))', client_table);
	end loop;

	-- --- the audit: append only, each row bound to the one before it ---

	create table depbroker.audit_head (
		only_one boolean primary key default true check (only_one),
		seq bigint not null default 0,
		hash bytea not null default decode(repeat('00', 32), 'hex')
	);
	insert into depbroker.audit_head default values;
	create table depbroker.audit (
		seq bigint primary key,
		at timestamptz not null,
		actor text not null,  -- an API key's id, link:<number>, or command:<name>
		action text not null, -- tenant.create
		target text not null, -- a tenant's slug
		detail jsonb not null,
		prev bytea not null,
		hash bytea not null
	);
	grant select on depbroker.audit to depbroker_directory;

	create function depbroker.audit_text(of_seq bigint, of_at timestamptz, of_actor text, of_action text, of_target text, of_detail jsonb)
		returns text language sql stable set search_path = pg_catalog, pg_temp as $function$
		select jsonb_build_object('seq', of_seq, 'at', to_char(of_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'actor', of_actor,
			'action', of_action, 'target', of_target, 'detail', of_detail)::text
	$function$;
	create function depbroker.audit_hash(of_prev bytea, of_text text) returns bytea
		language sql immutable set search_path = pg_catalog, pg_temp as $function$
		select sha256(convert_to('depb-audit-1', 'UTF8') || '\x00'::bytea || of_prev
			|| int8send(octet_length(convert_to(of_text, 'UTF8'))::bigint) || convert_to(of_text, 'UTF8'))
	$function$;

	-- The head's lock makes the chain gapless: call it last in a transaction.
	create function depbroker.audit_append(of_actor text, of_action text, of_target text, of_detail jsonb) returns void
		language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $function$
		declare
			head depbroker.audit_head;
			moment timestamptz := clock_timestamp();
			chained bytea;
		begin
			select * into strict head from depbroker.audit_head for update;
			chained := depbroker.audit_hash(head.hash, depbroker.audit_text(head.seq + 1, moment, of_actor, of_action, of_target, of_detail));
			insert into depbroker.audit (seq, at, actor, action, target, detail, prev, hash)
				values (head.seq + 1, moment, of_actor, of_action, of_target, of_detail, head.hash, chained);
			update depbroker.audit_head set seq = head.seq + 1, hash = chained;
		end $function$;
	revoke all on function depbroker.audit_append(text, text, text, jsonb) from public;
	grant execute on function depbroker.audit_append(text, text, text, jsonb) to depbroker_api;

	-- Rows that were changed, and those after rows that are missing.
	create function depbroker.audit_breaches() returns table (seq bigint, why text)
		language sql stable set search_path = pg_catalog, pg_temp as $function$
		with chained as (
			select a.*, lag(a.hash) over (order by a.seq) as before_hash, lag(a.seq, 1, 0::bigint) over (order by a.seq) as before_seq
			from depbroker.audit a
		)
		select c.seq, case when c.before_seq + 1 <> c.seq then 'gap' when coalesce(c.before_hash, decode(repeat('00', 32), 'hex')) <> c.prev
			then 'link' else 'hash' end
		from chained c
		where c.before_seq + 1 <> c.seq or coalesce(c.before_hash, decode(repeat('00', 32), 'hex')) <> c.prev
			or c.hash <> depbroker.audit_hash(c.prev, depbroker.audit_text(c.seq, c.at, c.actor, c.action, c.target, c.detail))
	$function$;

	-- --- the end of a client ---

	foreach client_table in array array['tenants', 'sync_due', 'tenant_status'] loop
		execute format('create policy own_client_erased on depbroker.%I to depbroker_owner '
			'using (tenant_id = (select depbroker.current_tenant())) with check (tenant_id = (select depbroker.current_tenant()))', client_table);
	end loop;

	-- Deletes up to `most` rows of each table of the transaction's client, which must be in the state deleting. True: nothing is left.
	create function depbroker.erase_client(most int) returns boolean
		language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $function$
		declare
			client bigint := depbroker.current_tenant();
			from_table text;
			deleted bigint;
			is_all boolean := true;
		begin
			perform from depbroker.tenants where tenant_id = client and state = 'deleting' for update;
			if not found then
				raise exception 'the client is not being deleted' using errcode = 'DB001';
			end if;
			foreach from_table in array array['secrets', 'data_keys', 'bypass_codes', 'attempts', 'events', 'devices', 'page_ledger', 'positions', 'profiles',
					'rules', 'instances', 'pending_tokens', 'renewal_links', 'alerts', 'server_tokens', 'key_pairs'] loop
				execute format('delete from depbroker.%1$I where tenant_id = $1 and (tableoid, ctid) in '
					'(select tableoid, ctid from depbroker.%1$I where tenant_id = $1 limit $2)', from_table) using client, most;
				get diagnostics deleted = row_count;
				is_all := deleted < most;
				exit when not is_all; -- what refers to it comes before it
			end loop;
			if is_all then
				delete from depbroker.sync_stream where tenant_id = client;
				delete from depbroker.sync_due where tenant_id = client;
				delete from depbroker.tenant_status where tenant_id = client;
				delete from depbroker.tenants where tenant_id = client;
			end if;
			return is_all;
		end $function$;
	revoke all on function depbroker.erase_client(int) from public;
	grant execute on function depbroker.erase_client(int) to depbroker_api;

	-- --- the linter knows the new tables of the directory, and those that are no client's ---

	lint_source := replace(lint_source, '''nodes'', ''api_keys''', '''nodes'', ''api_keys'', ''audit'', ''audit_head''');
	lint_source := replace(lint_source, '''sync_due'', ''tenant_status''', '''sync_due'', ''tenant_status'', ''alerts'', ''renewal_links''');
	if lint_source !~ 'audit_head' or lint_source !~ 'renewal_links' then
		raise exception 'the linter is not the one that this migration knows';
	end if;
	execute lint_source;
end
