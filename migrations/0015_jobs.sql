-- SPDX-License-Identifier: Apache-2.0
--
-- The same done to many devices: a job is costed, may wait for a second person, and is then carried out a slice of rows at a time.

declare
	client_table text;
	linter text := pg_get_functiondef('depbroker.lint()'::regprocedure);
begin
	set local role depbroker_owner;

	create table depbroker.jobs (
		tenant_id bigint not null references depbroker.tenants,
		job_id bigint not null,
		kind text not null check (kind in ('assign', 'pin', 'unpin', 'remove_profile', 'reroute', 'label', 'retire', 'release')),
		state text not null default 'costing'
			check (state in ('costing', 'waiting', 'scheduled', 'running', 'asking', 'done', 'previewed', 'rejected', 'cancelled')),
		dry_run boolean not null,
		reason text not null default '' check (octet_length(reason) <= 256),
		labels text[] check (cardinality(labels) <= 20), -- of label; null: they are taken away
		start_at timestamptz, -- null: as soon as it may
		row_count bigint not null check (row_count between 0 and 100000),
		costed bigint not null default 0 check (costed between 0 and row_count),     -- rows that were looked at
		position bigint not null default 0 check (position between 0 and row_count), -- rows that were carried out
		changes bigint not null default 0, -- devices that the job moves, as far as it is costed
		moved bigint not null default 0,   -- devices that it has moved
		present bigint not null default 0, -- devices of the client when it was costed
		allowed bigint not null default 0, -- devices that it may move: the client's limit, or what a second person agreed to
		retires_id bigint, -- of retire: the instance, and
		target_id bigint,  -- where its devices, pins and rules go
		approval_id bigint,
		created_at timestamptz not null default now(),
		created_by text not null,
		started_at timestamptz,
		finished_at timestamptz,
		primary key (tenant_id, job_id),
		foreign key (tenant_id, approval_id) references depbroker.approvals (tenant_id, approval_id),
		foreign key (tenant_id, retires_id) references depbroker.instances,
		foreign key (tenant_id, target_id) references depbroker.instances,
		check ((kind = 'retire') = (retires_id is not null and target_id is not null and retires_id <> target_id))
	);
	create index jobs_due on depbroker.jobs (tenant_id, job_id) where state in ('costing', 'scheduled', 'running');
	grant select, insert, update on depbroker.jobs to depbroker_api;
	grant select, update (state, finished_at) on depbroker.jobs to depbroker_worker;
	grant select on depbroker.jobs to depbroker_directory;

	create table depbroker.job_rows (
		tenant_id bigint not null,
		job_id bigint not null,
		row_number bigint not null, -- from 1, without gaps
		serial_number text collate "C" not null check (octet_length(serial_number) <= 64), -- as it was given, where it is none
		instance_id bigint, -- of assign and pin; null: held
		result text not null default 'waiting' check (result in ('waiting', 'refused', 'done', 'unchanged', 'not_found', 'asked', 'failed')),
		detail text check (octet_length(detail) <= 400),
		moves boolean not null default false, -- to another place, or to another profile
		from_instance_id bigint,
		to_instance_id bigint,
		primary key (tenant_id, job_id, row_number),
		foreign key (tenant_id, job_id) references depbroker.jobs,
		foreign key (tenant_id, instance_id) references depbroker.instances
	);
	create index job_rows_asked on depbroker.job_rows (tenant_id, job_id, row_number) where result = 'asked';
	grant select, insert, update, delete on depbroker.job_rows to depbroker_api;
	grant select, update (result, detail) on depbroker.job_rows to depbroker_worker;

	-- Of single devices, put by jobs; they stay when the device goes, and may be there before it comes.
	create table depbroker.device_labels (
		tenant_id bigint not null references depbroker.tenants,
		serial_number text collate "C" not null check (octet_length(serial_number) between 1 and 64),
		labels text[] not null check (cardinality(labels) between 1 and 20),
		made_at timestamptz not null default now(),
		made_by text not null,
		primary key (tenant_id, serial_number)
	);
	grant select, insert, update, delete on depbroker.device_labels to depbroker_api;
	grant select on depbroker.device_labels to depbroker_worker;

	foreach client_table in array array['jobs', 'job_rows', 'device_labels'] loop
		execute format('alter table depbroker.%I enable row level security', client_table);
		execute format('alter table depbroker.%I force row level security', client_table);
	end loop;
	foreach client_table in array array['job_rows', 'device_labels'] loop
		execute format('create policy own_client on depbroker.%I using (tenant_id = (select depbroker.current_tenant())) '
			'with check (tenant_id = (select depbroker.current_tenant()))', client_table);
		execute format('create policy own_client_only on depbroker.%I as restrictive using (tenant_id = (select depbroker.current_tenant()))',
			client_table);
	end loop;
	create policy directory on depbroker.jobs to depbroker_directory using (true) with check (true);
	create policy own_client on depbroker.jobs to depbroker_api, depbroker_worker, depbroker_owner
		using (tenant_id = (select depbroker.current_tenant())) with check (tenant_id = (select depbroker.current_tenant()));
	create policy own_client_only on depbroker.jobs as restrictive to depbroker_api, depbroker_worker, depbroker_owner
		using (tenant_id = (select depbroker.current_tenant()));

	linter := replace(linter, '''renewal_links'', ''approvals''', '''renewal_links'', ''approvals'', ''jobs''');
	if linter !~ '''jobs''' then
		raise exception 'the linter is not the one that this migration knows';
	end if;
	execute linter;
end
