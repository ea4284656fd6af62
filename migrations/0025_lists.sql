-- SPDX-License-Identifier: Apache-2.0
--
-- Rows of a job may give labels of their own, and name only what is their client's, which is checked once for all rows that are put together:
-- row by row it was five sixths of what they cost. Jobs are listed over all clients, and pruned.

begin
	set local role depbroker_owner;

	-- In place of those that the device has; null: those of the job, if it has any.
	alter table depbroker.job_rows add column labels text[] check (cardinality(labels) <= 20);

	create index jobs_newest on depbroker.jobs (job_id);
	grant delete on depbroker.jobs to depbroker_api;

	create function depbroker.job_rows_belong() returns trigger
		language plpgsql set search_path = pg_catalog as $function$
		begin
			if exists (select from (select distinct tenant_id, job_id from put) as p where not exists
					(select from depbroker.jobs j where j.tenant_id = p.tenant_id and j.job_id = p.job_id))
				or exists (select from (select distinct tenant_id, instance_id from put where instance_id is not null) as p where not exists
					(select from depbroker.instances i where i.tenant_id = p.tenant_id and i.instance_id = p.instance_id)) then
				raise exception 'a row names a job or an instance that is not its client''s' using errcode = 'foreign_key_violation';
			end if;
			return null;
		end $function$;
	create trigger job_rows_belong after insert on depbroker.job_rows referencing new table as put
		for each statement execute function depbroker.job_rows_belong();
	-- What they name does not change, and jobs go after their rows.
	revoke update on depbroker.job_rows from depbroker_api;
	grant update (result, detail, moves, from_instance_id, to_instance_id) on depbroker.job_rows to depbroker_api;
	alter table depbroker.job_rows drop constraint job_rows_tenant_id_job_id_fkey, drop constraint job_rows_tenant_id_instance_id_fkey;
end
