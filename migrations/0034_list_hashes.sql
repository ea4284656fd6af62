-- SPDX-License-Identifier: Apache-2.0
--
-- A device that Apple lists with the bytes that its row was written from is not read again: the row has a keyed hash of them.

begin
	set local role depbroker_owner;

	alter table depbroker.devices add column list_hash bigint check (list_hash <> 0); -- null: not known
end
