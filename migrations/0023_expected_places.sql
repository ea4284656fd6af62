-- SPDX-License-Identifier: Apache-2.0
--
-- A list of expected devices says where one is to go; one that the rules want elsewhere when it arrives is held.

begin
	set local role depbroker_owner;

	alter table depbroker.devices drop constraint devices_decider_check, add constraint devices_decider_check check (decider between 0 and 4);
	create index devices_expected_elsewhere on depbroker.devices (tenant_id, serial_number) where decider = 4 and gone_at is null;
	create index expected_devices_with_place on depbroker.expected_devices (tenant_id, serial_number) where instance_id is not null;

	-- A list of expected devices that releases many waits, too.
	alter table depbroker.approvals drop constraint approvals_payload_check,
		add constraint approvals_payload_check check (octet_length(payload) <= 67108864);
end
