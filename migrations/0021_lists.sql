-- SPDX-License-Identifier: Apache-2.0
--
-- Rows of a job may give labels of their own.

begin
	set local role depbroker_owner;

	-- In place of those that the device has; null: those of the job, if it has any.
	alter table depbroker.job_rows add column labels text[] check (cardinality(labels) <= 20);
end
