-- SPDX-License-Identifier: Apache-2.0
--
-- Activation Lock bypass codes; server tokens that came without the private key of their certificate.

begin
	set local role depbroker_owner;

	alter table depbroker.secrets drop constraint secrets_kind_check;
	alter table depbroker.secrets add constraint secrets_kind_check check (kind between 1 and 5);

	alter table depbroker.server_tokens alter column key_pair_id drop not null; -- null: imported without one

	-- The code itself is a sealed secret under code_id. Nobody can ask Apple which code is in force, so none is replaced.
	create table depbroker.bypass_codes (
		tenant_id bigint not null references depbroker.tenants,
		code_id bigint not null,
		serial_number text collate "C" not null check (octet_length(serial_number) between 1 and 64),
		made_at timestamptz not null default now(),
		made_by text not null, -- the API key's id
		sent_at timestamptz,   -- before Apple was asked to lock the device with it
		apple_word text check (octet_length(apple_word) <= 80), -- what Apple said; null after sent_at: not known
		primary key (tenant_id, code_id)
	);
	create index bypass_codes_by_device on depbroker.bypass_codes (tenant_id, serial_number, code_id);
	alter table depbroker.bypass_codes enable row level security;
	alter table depbroker.bypass_codes force row level security;
	create policy own_client on depbroker.bypass_codes using (tenant_id = (select depbroker.current_tenant()))
		with check (tenant_id = (select depbroker.current_tenant()));
	create policy own_client_only on depbroker.bypass_codes as restrictive using (tenant_id = (select depbroker.current_tenant()));
	grant select, insert, update (sent_at, apple_word) on depbroker.bypass_codes to depbroker_api;
end
