-- SPDX-License-Identifier: Apache-2.0
--
-- A profile that Apple does not take now is asked for again after a wait that grows, and that a request to sync ends.

begin
	set local role depbroker_owner;

	alter table depbroker.profile_definitions
		add column refusals int not null default 0 check (refusals >= 0), -- in a row: Apple answered that it does not take it now
		add column wait_until timestamptz;                                -- not asked for before; its devices are due at this instant
end
