-- SPDX-License-Identifier: Apache-2.0
--
-- Virtual DEP servers: instances whose MDM server speaks Apple's protocol with depbroker.

declare
	client_table text;
begin
	set local role depbroker_owner;

	-- The four secrets of such a server's token and the key of its cursors: kind 7, under the instance's number.
	alter table depbroker.secrets drop constraint secrets_kind_check;
	alter table depbroker.secrets add constraint secrets_kind_check check (kind between 1 and 7);

	-- `consumer_key` names the client and the instance, so that whoever signs on is found without a look at others.
	create table depbroker.dep_servers (
		tenant_id bigint not null references depbroker.tenants,
		instance_id bigint not null,
		server_uuid text not null check (server_uuid ~ '^[0-9A-F]{32}$'), -- stays when the token is renewed
		consumer_key text not null check (octet_length(consumer_key) between 1 and 128),
		secret_version int not null check (secret_version > 0),
		fingerprint text not null check (fingerprint ~ '^[0-9a-f]{64}$'), -- of the MDM server's certificate
		may_disown boolean not null default false,
		made_at timestamptz not null default now(),
		made_by text not null, -- the API key's id
		expires_at timestamptz not null,
		revoked_at timestamptz, -- null: the token is in force, unless it has expired
		used_at timestamptz,    -- the last session began
		primary key (tenant_id, instance_id),
		foreign key (tenant_id, instance_id) references depbroker.instances
	);
	grant select, insert, update on depbroker.dep_servers to depbroker_api;

	-- What was signed with, as long as the clock window lasts.
	create table depbroker.dep_nonces (
		tenant_id bigint not null,
		instance_id bigint not null,
		digest bytea not null check (octet_length(digest) = 32), -- SHA-256 of time and nonce
		signed_at timestamptz not null,
		primary key (tenant_id, instance_id, digest),
		foreign key (tenant_id, instance_id) references depbroker.dep_servers
	);
	grant select, insert, delete on depbroker.dep_nonces to depbroker_api;

	foreach client_table in array array['dep_servers', 'dep_nonces'] loop
		execute format('alter table depbroker.%I enable row level security', client_table);
		execute format('alter table depbroker.%I force row level security', client_table);
		execute format('create policy own_client on depbroker.%I using (tenant_id = (select depbroker.current_tenant())) '
			'with check (tenant_id = (select depbroker.current_tenant()))', client_table);
		execute format('create policy own_client_only on depbroker.%I as restrictive using (tenant_id = (select depbroker.current_tenant()))',
			client_table);
	end loop;
end
