-- SPDX-License-Identifier: Apache-2.0
--
-- What a run goes by is the same from poll to poll nearly always. So a worker may keep what it has read, and ask one question instead of
-- reading it again: has anything been written since?
--
-- Laws  1. whoever writes a row that a run reads when it begins leaves news of it in the same transaction (the triggers below), or moves
--          the stream's load_id (a worker's fenced writes)
--       2. news goes only with the load_id that was before it: who reads everything moves both in one transaction
--       3. a load_id never comes again, also not after a crash that lost the last commits: it is drawn, not counted

declare
	linter text := pg_get_functiondef('depbroker.lint()'::regprocedure);
	noted_table text;
begin
	set local role depbroker_owner;

	alter table depbroker.sync_stream add column load_id bigint not null default 0;

	-- Only inserted into, so that writers do not wait for each other; no reference, since nobody reads it but with its client.
	create table depbroker.run_news (tenant_id bigint not null)
		with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
	create index run_news_client on depbroker.run_news (tenant_id);
	alter table depbroker.run_news enable row level security;
	alter table depbroker.run_news force row level security;
	create policy directory on depbroker.run_news to depbroker_directory using (true) with check (true);
	create policy own_client on depbroker.run_news to depbroker_api, depbroker_worker, depbroker_owner
		using (tenant_id = (select depbroker.current_tenant())) with check (tenant_id = (select depbroker.current_tenant()));
	create policy own_client_only on depbroker.run_news as restrictive to depbroker_api, depbroker_worker, depbroker_owner
		using (tenant_id = (select depbroker.current_tenant()));
	grant insert on depbroker.run_news to depbroker_directory, depbroker_api;
	grant select, delete on depbroker.run_news to depbroker_worker;

	-- As whoever writes, behind the same walls.
	create function depbroker.leave_news() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $function$
		begin
			insert into depbroker.run_news (tenant_id) select distinct tenant_id from changed;
			return null;
		end $function$;
	create function depbroker.leave_news_of_row() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $function$
		begin
			insert into depbroker.run_news (tenant_id) values (new.tenant_id);
			return null;
		end $function$;
	create function depbroker.leave_news_of_template() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $function$
		begin
			insert into depbroker.run_news (tenant_id)
				select t.tenant_id from depbroker.tenants t where t.template in (select c.name from changed c);
			return null;
		end $function$;

	-- Not of workers, whose writes are fenced, nor of the owner, who erases clients and migrates.
	foreach noted_table in array array['alerts', 'data_keys', 'dep_wishes', 'device_labels', 'endpoints', 'enrolment_inbox',
			'enrolments', 'expected_devices', 'expected_lists', 'instance_profiles', 'instances', 'job_rows', 'jobs',
			'pending_tokens', 'pins', 'positions', 'profile_definitions', 'profiles', 'replacements', 'reroutes', 'resends', 'rules', 'secrets',
			'server_tokens', 'tenant_profiles'] loop
		execute format('create trigger news_of_insert after insert on depbroker.%I referencing new table as changed for each statement '
			'when (current_user not in (''depbroker_worker'', ''depbroker_owner'')) execute function depbroker.leave_news()', noted_table);
		execute format('create trigger news_of_update after update on depbroker.%I referencing new table as changed for each statement '
			'when (current_user not in (''depbroker_worker'', ''depbroker_owner'')) execute function depbroker.leave_news()', noted_table);
		execute format('create trigger news_of_delete after delete on depbroker.%I referencing old table as changed for each statement '
			'when (current_user not in (''depbroker_worker'', ''depbroker_owner'')) execute function depbroker.leave_news()', noted_table);
	end loop;
	-- Written once a run, where collecting what was written would cost more than asking for each row.
	foreach noted_table in array array['tenants', 'tenant_status'] loop
		execute format('create trigger news_of_update after update on depbroker.%I for each row '
			'when (current_user not in (''depbroker_worker'', ''depbroker_owner'')) execute function depbroker.leave_news_of_row()', noted_table);
	end loop;
	create trigger news_of_insert after insert on depbroker.template_versions referencing new table as changed for each statement
		when (current_user <> 'depbroker_owner') execute function depbroker.leave_news_of_template();

	-- Each run moves its client's due time twice, which is written to each index. What these two find is found by the time, too, but for what a
	-- worker had claimed that has ended, which is rare.
	drop index depbroker.sync_due_claimed_by;
	drop index depbroker.sync_due_crashes;
	-- It names nothing that a search_path could change; with one of its own it is called in a more costly way (as in migration 0007).
	alter function depbroker.require_fence(boolean) reset search_path;

	linter := replace(linter, '''renewal_links'', ''approvals''', '''renewal_links'', ''approvals'', ''run_news''');
	if linter !~ '''run_news''' then
		raise exception 'the linter is not the one that this migration knows';
	end if;
	execute linter;
end
