-- SPDX-License-Identifier: Apache-2.0
--
-- Enrolment profiles in layers: templates of the whole installation, a layer of each client, a layer of each instance, every version of
-- each kept; what Apple has of a defined profile, and how often the same content was defined.

declare
	lint_source text := pg_get_functiondef('depbroker.lint()'::regprocedure);
	client_table text;
begin
	set local role depbroker_owner;

	-- The newest version of a name is the one in force. None is ever changed or deleted.
	create table depbroker.template_versions (
		name text collate "C" not null check (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
		version bigint not null check (version > 0),
		layer text not null check (octet_length(layer) <= 65536), -- JSON (tenants/profile_layers.h)
		made_at timestamptz not null default now(),
		made_by text not null,
		reason text check (octet_length(reason) <= 400),
		primary key (name, version)
	);
	grant select on depbroker.template_versions to depbroker_directory, depbroker_api, depbroker_worker;
	grant insert on depbroker.template_versions to depbroker_directory;

	-- The client's layer as it is; template_done: its devices were looked at with this version of its template.
	alter table depbroker.tenants
		add column template text collate "C" check (octet_length(template) between 1 and 63),
		add column profile text not null default '{}' check (octet_length(profile) <= 65536),
		add column profile_version bigint not null default 0,
		add column profile_mend boolean not null default false,
		add column template_done bigint not null default 0;
	create index tenants_template on depbroker.tenants (template) where template is not null;
	grant update (template_done) on depbroker.tenants to depbroker_worker;

	create table depbroker.tenant_profiles (
		tenant_id bigint not null references depbroker.tenants,
		version bigint not null check (version > 0),
		template text collate "C",
		layer text not null check (octet_length(layer) <= 65536),
		mend boolean not null,
		made_at timestamptz not null default now(),
		made_by text not null,
		reason text check (octet_length(reason) <= 400),
		primary key (tenant_id, version)
	);

	alter table depbroker.instances add column profile_version bigint not null default 0;
	create table depbroker.instance_profiles (
		tenant_id bigint not null,
		instance_id bigint not null,
		version bigint not null check (version > 0),
		layer text not null check (octet_length(layer) <= 65536),
		made_at timestamptz not null default now(),
		made_by text not null,
		reason text check (octet_length(reason) <= 400),
		primary key (tenant_id, instance_id, version),
		foreign key (tenant_id, instance_id) references depbroker.instances
	);

	-- What Apple has of it.
	alter table depbroker.profiles
		add column checked_at timestamptz,                  -- when Apple was asked last
		add column drift_count int not null default 0,
		add column drift text check (octet_length(drift) <= 262144), -- JSON: the differences; null: none
		add column mended_at timestamptz,                   -- at most once a content
		add column mend_due boolean not null default false; -- to be defined again

	-- Asked of Apple, whether an answer came or not: each may have made a profile.
	create table depbroker.profile_definitions (
		tenant_id bigint not null,
		instance_id bigint not null,
		content_digest bytea not null check (octet_length(content_digest) = 32),
		attempts int not null check (attempts >= 0),
		last_at timestamptz not null default now(),
		primary key (tenant_id, instance_id, content_digest),
		foreign key (tenant_id, instance_id) references depbroker.instances
	);

	alter table depbroker.tenant_status
		add column profile_drifts int not null default 0,              -- profiles that Apple has otherwise than they were meant
		add column profile_unusable boolean not null default false,    -- nothing is assigned because of an error in the layers, or Apple's refusal
		add column definitions_lost bigint not null default 0;         -- answers to definitions that never came, since the client is there

	foreach client_table in array array['tenant_profiles', 'instance_profiles', 'profile_definitions'] loop
		execute format('alter table depbroker.%I enable row level security', client_table);
		execute format('alter table depbroker.%I force row level security', client_table);
		execute format('create policy own_client on depbroker.%I using (tenant_id = (select depbroker.current_tenant())) '
			'with check (tenant_id = (select depbroker.current_tenant()))', client_table);
		execute format('create policy own_client_only on depbroker.%I as restrictive using (tenant_id = (select depbroker.current_tenant()))',
			client_table);
	end loop;
	grant select, insert on depbroker.tenant_profiles, depbroker.instance_profiles to depbroker_api;
	grant select on depbroker.profile_definitions to depbroker_api;
	grant select, insert, update on depbroker.profile_definitions to depbroker_worker;

	grant execute on function depbroker.audit_append(text, text, text, jsonb) to depbroker_directory; -- of templates, which are no client's

	lint_source := replace(lint_source, '''nodes'', ''api_keys''', '''nodes'', ''template_versions'', ''api_keys''');
	if lint_source !~ 'template_versions' then
		raise exception 'the linter is not the one that this migration knows';
	end if;
	execute lint_source;
end
