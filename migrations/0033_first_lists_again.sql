-- SPDX-License-Identifier: Apache-2.0
--
-- What a page of a first list costs, once more.

declare
	linter text := pg_get_functiondef('depbroker.lint()'::regprocedure);
begin
	set local role depbroker_owner;

	-- As before, after one pass over the index that finds out whether anybody else lists one of them: for most pages nobody does, and a
	-- look-up of its own for each serial number cost half of what writing the claims does.
	create or replace function depbroker.rivalled(serials text[], assigned timestamptz[]) returns setof text
		language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $function$
		declare
			client constant bigint := depbroker.current_tenant();
		begin
			if not exists (select from depbroker.serial_claims r
					where r.serial_number = any (serials) and r.tenant_id <> client and r.gone_at is null) then
				return;
			end if;
			return query select w.serial_number from unnest(serials, assigned) as w (serial_number, assigned_at)
			where exists (
				select from (select r.tenant_id, r.claimed_at, r.assigned_at from depbroker.serial_claims r
					where r.serial_number = w.serial_number collate "C" and r.tenant_id <> client and r.gone_at is null offset 0) as other
				left join lateral (select m.tenant_id, m.claimed_at, m.assigned_at from depbroker.serial_claims m
					where m.tenant_id = client and m.serial_number = w.serial_number collate "C" and m.gone_at is null offset 0) as mine on true
				where (mine.tenant_id is null or (other.claimed_at, other.tenant_id) < (mine.claimed_at, mine.tenant_id))
					and not coalesce(coalesce(w.assigned_at, mine.assigned_at) > other.assigned_at, false) offset 0);
		end $function$;

	-- That a device's instance is the own client's is a wall of its own instead of triggers, for which each row was kept a second time: the
	-- client's instances are read when the first device that has one is written, once a statement.
	drop trigger devices_inserted on depbroker.devices;
	drop trigger devices_updated on depbroker.devices;
	drop function depbroker.require_own_instance();
	create policy own_instance_inserted on depbroker.devices as restrictive for insert with check (instance_id is null or instance_id = any (array(
		select i.instance_id from depbroker.instances i where i.tenant_id = (select depbroker.current_tenant()))));
	create policy own_instance_updated on depbroker.devices as restrictive for update using (true) with check (instance_id is null
		or instance_id = any (array(select i.instance_id from depbroker.instances i where i.tenant_id = (select depbroker.current_tenant()))));
	linter := replace(linter, 'where not (coalesce(w.reads_own, w.writes_own, false) and coalesce(w.writes_own, true))',
		'where not (coalesce(w.reads_own, w.writes_own, false) and coalesce(w.writes_own, true))
				and not (c.relname = ''devices'' and w.polname in (''own_instance_inserted'', ''own_instance_updated'') and not w.polpermissive)');
	if linter !~ '''own_instance_inserted''' then
		raise exception 'the linter is not the one that this migration knows';
	end if;
	execute linter;
end
