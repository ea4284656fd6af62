-- SPDX-License-Identifier: Apache-2.0
--
-- Webhook endpoints of other formats than depbroker's own.

begin
	set local role depbroker_owner;

	alter table depbroker.endpoints add column format text not null default 'native' check (format in ('native', 'nanodep'));
	alter table depbroker.endpoints add constraint endpoints_pages_are_no_batches check (format = 'native' or batch_size = 1);
	-- Which write an event is of: the first one after which the log was as long.
	create index page_ledger_by_event on depbroker.page_ledger (tenant_id, event_seq, write_seq);
end
