-- SPDX-License-Identifier: Apache-2.0
--
-- A change is made as it was costed, or not at all: what it was costed against is numbered.

begin
	set local role depbroker_owner;

	-- Grows with each change of what devices go by: rules, pins, layers and templates of profiles, labels, instances.
	alter table depbroker.sync_due add column change_count bigint not null default 0;
end
