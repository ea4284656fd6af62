-- SPDX-License-Identifier: Apache-2.0
--
-- Several events in one request to a webhook endpoint.

begin
	set local role depbroker_owner;

	alter table depbroker.endpoints add column batch_size int not null default 1 check (batch_size between 1 and 500); -- 1: events as they are
	-- Events up to this one were refused together, twice, and are sent one by one: one that is refused must not take others with it.
	alter table depbroker.positions add column single_until bigint not null default 0;
	alter table depbroker.attempts add column events int not null default 1 check (events >= 1); -- of the request; seq is the first one's
end
