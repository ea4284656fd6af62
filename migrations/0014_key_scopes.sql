-- SPDX-License-Identifier: Apache-2.0
--
-- What a key may do besides what its role says, each of it only when it is said.

begin
	set local role depbroker_owner;

	alter table depbroker.api_keys add column scopes text[] not null default '{}' check (scopes <@ array['tokens:read']);
end
