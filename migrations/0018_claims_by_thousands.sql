-- SPDX-License-Identifier: Apache-2.0
--
-- Claims are read and written by the thousand, with the devices of a page.

begin
	set local role depbroker_owner;

	-- They are written behind sync_stream's fence, as devices are, which names a client that exists. To look that up once more for each row
	-- cost a third of writing it.
	alter table depbroker.serial_claims drop constraint serial_claims_tenant_id_fkey;

	-- As before, with one look-up by an index for each serial number, whatever the planner believes: it read the claims of all clients once a
	-- page, so that a first list of n devices cost n * n. `offset 0` keeps it from that.
	create or replace function depbroker.rivalled(serials text[], assigned timestamptz[]) returns setof text
		language sql stable security definer set search_path = pg_catalog, pg_temp as $function$
		select w.serial_number from unnest(serials, assigned) as w (serial_number, assigned_at)
		cross join (select depbroker.current_tenant() as tenant_id offset 0) as client
		left join lateral (select m.tenant_id, m.claimed_at, m.assigned_at from depbroker.serial_claims m
			where m.tenant_id = client.tenant_id and m.serial_number = w.serial_number collate "C" and m.gone_at is null offset 0) as mine on true
		where exists (select from depbroker.serial_claims r
			where r.serial_number = w.serial_number collate "C" and r.tenant_id <> client.tenant_id and r.gone_at is null
				and (mine.tenant_id is null or (r.claimed_at, r.tenant_id) < (mine.claimed_at, mine.tenant_id))
				and not coalesce(coalesce(w.assigned_at, mine.assigned_at) > r.assigned_at, false) offset 0)
	$function$;
end
