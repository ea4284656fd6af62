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

	-- Enrolment profiles that MDM servers defined, and which of their devices should have which. A wish counts only as long as the device is
	-- where the profile is from; the client's worker is the only one that acts on it.
	create table depbroker.dep_profiles (
		tenant_id bigint not null,
		instance_id bigint not null,
		profile_uuid text collate "C" not null check (octet_length(profile_uuid) between 1 and 64),
		content text not null check (octet_length(content) <= 131072), -- as sent to Apple
		defined_at timestamptz not null default now(),
		lost_at timestamptz, -- Apple does not know it any more, or the instance has other hosts since
		primary key (tenant_id, instance_id, profile_uuid),
		unique (tenant_id, profile_uuid),
		foreign key (tenant_id, instance_id) references depbroker.dep_servers
	);
	grant select, insert, update (lost_at) on depbroker.dep_profiles to depbroker_api;
	grant select, update (lost_at) on depbroker.dep_profiles to depbroker_worker;
	create table depbroker.dep_wishes (
		tenant_id bigint not null,
		serial_number text collate "C" not null check (octet_length(serial_number) between 1 and 64),
		instance_id bigint not null,
		profile_uuid text collate "C" not null,
		wished_at timestamptz not null default now(),
		primary key (tenant_id, serial_number),
		foreign key (tenant_id, instance_id, profile_uuid) references depbroker.dep_profiles
	);
	grant select, insert, update, delete on depbroker.dep_wishes to depbroker_api;
	grant select on depbroker.dep_wishes to depbroker_worker;

	foreach client_table in array array['dep_servers', 'dep_nonces', 'dep_profiles', 'dep_wishes'] loop
		execute format('alter table depbroker.%I enable row level security', client_table);
		execute format('alter table depbroker.%I force row level security', client_table);
		execute format('create policy own_client on depbroker.%I using (tenant_id = (select depbroker.current_tenant())) '
			'with check (tenant_id = (select depbroker.current_tenant()))', client_table);
		execute format('create policy own_client_only on depbroker.%I as restrictive using (tenant_id = (select depbroker.current_tenant()))',
			client_table);
	end loop;
end
