-- SPDX-License-Identifier: Apache-2.0
--
-- Whom a webhook endpoint's server may have its certificate from.

begin
	set local role depbroker_owner;

	-- PEM; null: the system's store.
	alter table depbroker.endpoints add column certificate_authority text check (octet_length(certificate_authority) between 1 and 16384);
end
