-- SPDX-License-Identifier: Apache-2.0
--
-- Rows of a job may give labels of their own. Jobs are listed over all clients, and pruned.

begin
	set local role depbroker_owner;

	-- In place of those that the device has; null: those of the job, if it has any.
	alter table depbroker.job_rows add column labels text[] check (cardinality(labels) <= 20);

	create index jobs_newest on depbroker.jobs (job_id);
	grant delete on depbroker.jobs to depbroker_api;
end
