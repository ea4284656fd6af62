-- SPDX-License-Identifier: Apache-2.0
--
-- Instances are numbered by their changes, so that nobody overwrites what somebody else has changed meanwhile.

begin
	set local role depbroker_owner;

	alter table depbroker.instances add column version bigint not null default 1;
end
