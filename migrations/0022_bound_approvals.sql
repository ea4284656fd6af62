-- SPDX-License-Identifier: Apache-2.0
--
-- What a second person agreed to is what happens: before a job begins, each device is held against the list that was approved.

begin
	set local role depbroker_owner;

	alter table depbroker.jobs
		add column checked bigint not null default 0 check (checked between 0 and row_count), -- rows, before the first is carried out
		add column checked_against bigint, -- sync_due.change_count of when the check began
		add column problem text check (octet_length(problem) <= 400); -- why it asks once more
end
