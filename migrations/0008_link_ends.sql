-- SPDX-License-Identifier: Apache-2.0
--
-- A renewal link that was taken back, and the private key of one that nobody used. The ledger's kinds together again, of which two
-- migrations had each left out the other's. The end of a client finds its tables by itself, so that no later one is forgotten.

begin
	alter table depbroker.renewal_links
		add column revoked_at timestamptz,
		add column key_dropped_at timestamptz; -- its private key went, unless a token was made with it
	grant update (revoked_at, key_dropped_at) on depbroker.renewal_links to depbroker_api;
	create index renewal_links_unused on depbroker.renewal_links (expires_at) where used_at is null and key_dropped_at is null;

	alter table depbroker.page_ledger drop constraint page_ledger_kind_check;
	alter table depbroker.page_ledger add constraint page_ledger_kind_check
		check (kind in ('fetch', 'changes', 'removal', 'details', 'route', 'assign', 'replacement', 'told'));

	-- Deletes up to `most` rows of each table of the transaction's client, which must be in the state deleting. True: nothing is left.
	-- What refers to a table comes before it, so that the client itself is the last.
	create or replace function depbroker.erase_client(most int) returns boolean
		language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $function$
		declare
			client bigint := depbroker.current_tenant();
			from_table regclass;
			deleted bigint;
		begin
			perform from depbroker.tenants where tenant_id = client and state = 'deleting' for update;
			if not found then
				raise exception 'the client is not being deleted' using errcode = 'DB001';
			end if;
			for from_table in
				with recursive client_table as (
					select c.oid from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
					where c.relnamespace = 'depbroker'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
				), refers as (
					select distinct f.conrelid as child, f.confrelid as parent from pg_constraint f
					where f.contype = 'f' and f.conrelid <> f.confrelid and f.conrelid in (select oid from client_table)
						and f.confrelid in (select oid from client_table)
				), height (oid, level) as (
					select oid, 0 from client_table
					union
					select r.parent, h.level + 1 from height h join refers r on r.child = h.oid where h.level < 20
				)
				select h.oid from height h group by h.oid order by max(h.level), h.oid
			loop
				execute format('delete from %1$s where tenant_id = $1 and (tableoid, ctid) in '
					'(select tableoid, ctid from %1$s where tenant_id = $1 limit $2)', from_table) using client, most;
				get diagnostics deleted = row_count;
				if deleted = most then
					return false;
				end if;
			end loop;
			return true;
		end $function$;
end
