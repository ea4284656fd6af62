-- SPDX-License-Identifier: Apache-2.0
--
-- Webhook endpoints of other formats than depbroker's own, and key pairs that they are signed with.

begin
	set local role depbroker_owner;

	alter table depbroker.endpoints add column format text not null default 'native' check (format in ('native', 'nanodep'));
	alter table depbroker.endpoints add constraint endpoints_pages_are_no_batches check (format = 'native' or batch_size = 1);
	-- Which write an event is of: the first one after which the log was as long.
	create index page_ledger_by_event on depbroker.page_ledger (tenant_id, event_seq, write_seq);

	-- Private keys for signatures v1a: kind 8, under the endpoint's number. Whoever verifies asks for the public part.
	alter table depbroker.secrets drop constraint secrets_kind_check;
	alter table depbroker.secrets add constraint secrets_kind_check check (kind between 1 and 8);
	alter table depbroker.secrets add column public_part text check (octet_length(public_part) <= 128);
	alter table depbroker.endpoints add column key_version int not null default 0; -- of the newest one; 0: there was none yet
end
