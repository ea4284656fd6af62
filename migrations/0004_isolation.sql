-- SPDX-License-Identifier: Apache-2.0
--
-- What keeps one client's trouble from everybody else: crashes that it was in flight at, removals that wait for a person, and what
-- a full fetch found that the changes had missed.

begin
	-- When workers crashed while this client was in flight, the newest first, not older than an hour at that time. From three on nobody
	-- claims it until a person has made it active again.
	alter table depbroker.sync_due add column crashes timestamptz[] not null default '{}';
	create index sync_due_crashes on depbroker.sync_due (due_at) where crashes <> '{}';
	grant update (state, updated_at) on depbroker.tenants to depbroker_directory;

	-- The last complete list would have removed so many of so many devices, and did not: the brake (tenants/brake.h).
	alter table depbroker.sync_stream
		add column removals_held int not null default 0 check (removals_held >= 0),
		add column removals_held_of int not null default 0 check (removals_held_of >= removals_held),
		add column removals_held_at timestamptz;
	-- A person allowed so many, by the full fetch of this number.
	alter table depbroker.sync_due
		add column removals_allowed int not null default 0 check (removals_allowed >= 0),
		add column removals_allowed_for bigint not null default 0;

	alter table depbroker.tenant_status
		add column removals_held int not null default 0,
		add column missed_changes bigint not null default 0; -- since the client is there
end
