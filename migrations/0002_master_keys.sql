-- SPDX-License-Identifier: Apache-2.0
--
-- Which master key wraps which data key, so that master keys can be changed while everything runs.
--
-- Law  a master key whose row is gone wraps nothing and never will again: the reference from data_keys proves it, for every process on
--      every machine, however late its write comes

begin
	set local role depbroker_owner;

	-- Names only. The one of new data keys is current; others are being replaced. '' stands for whichever wrapped the data keys of
	-- before this migration, which did not note it.
	create table depbroker.master_keys (
		key_id text collate "C" primary key check (octet_length(key_id) <= 64),
		is_current boolean not null default false,
		added_at timestamptz not null default now()
	);
	create unique index master_keys_current on depbroker.master_keys (is_current) where is_current;
	insert into depbroker.master_keys (key_id) values ('');
	grant select, insert, update, delete on depbroker.master_keys to depbroker_directory;

	-- Data keys older than this are to be replaced; null: no replacement is under way.
	alter table depbroker.installation add column data_keys_since timestamptz;
	grant update (data_keys_since) on depbroker.installation to depbroker_directory;

	alter table depbroker.data_keys add column master_key_id text collate "C" not null default '';
	perform set_config('depbroker.tenant', '0', true); -- the check of what is there asks the policies
	alter table depbroker.data_keys add constraint data_keys_master_key foreign key (master_key_id) references depbroker.master_keys;
	perform set_config('depbroker.tenant', '', true);
	create index data_keys_master_key_id on depbroker.data_keys (master_key_id);
	grant update (wrapped, master_key_id, is_current), delete on depbroker.data_keys to depbroker_api;

	-- The linter knows the new table as one that has no client.
	execute replace(pg_get_functiondef('depbroker.lint()'::regprocedure), '''api_keys'')', '''api_keys'', ''master_keys'')');
end
