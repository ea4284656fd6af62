-- SPDX-License-Identifier: Apache-2.0
--
-- What a first list costs, once more: it writes each device for the first time, with an event and a claim.

declare
	linter text := pg_get_functiondef('depbroker.lint()'::regprocedure);
	eraser text := pg_get_functiondef('depbroker.erase_client(int)'::regprocedure);
begin
	set local role depbroker_owner;

	-- That a device's instance is the own client's was looked up for each device, half of what writing it costs, although a page goes to a
	-- few instances. Instances do not go but with their client, so it is looked up for each of them, once a statement.
	alter table depbroker.devices drop constraint devices_tenant_id_instance_id_fkey;
	create function depbroker.require_own_instance() returns trigger
		language plpgsql set search_path = pg_catalog, pg_temp as $function$
		begin
			if exists (
				select from (select distinct a.tenant_id, a.instance_id from arrived a where a.instance_id is not null) as used
				where not exists (select from depbroker.instances i where i.tenant_id = used.tenant_id and i.instance_id = used.instance_id)
			) then
				raise exception 'a device goes to an instance that its client does not have' using errcode = 'foreign_key_violation';
			end if;
			return null;
		end $function$;
	create trigger devices_inserted after insert on depbroker.devices referencing new table as arrived
		for each statement execute function depbroker.require_own_instance();
	create trigger devices_updated after update on depbroker.devices referencing new table as arrived
		for each statement execute function depbroker.require_own_instance();

	-- As before, but what the client itself claims is looked up only where another one claims the same, and the function's plan is kept.
	create or replace function depbroker.rivalled(serials text[], assigned timestamptz[]) returns setof text
		language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $function$
		declare
			client constant bigint := depbroker.current_tenant();
		begin
			return query select w.serial_number from unnest(serials, assigned) as w (serial_number, assigned_at)
			where exists (
				select from (select r.tenant_id, r.claimed_at, r.assigned_at from depbroker.serial_claims r
					where r.serial_number = w.serial_number collate "C" and r.tenant_id <> client and r.gone_at is null offset 0) as other
				left join lateral (select m.tenant_id, m.claimed_at, m.assigned_at from depbroker.serial_claims m
					where m.tenant_id = client and m.serial_number = w.serial_number collate "C" and m.gone_at is null offset 0) as mine on true
				where (mine.tenant_id is null or (other.claimed_at, other.tenant_id) < (mine.claimed_at, mine.tenant_id))
					and not coalesce(coalesce(w.assigned_at, mine.assigned_at) > other.assigned_at, false) offset 0);
		end $function$;

	-- One index instead of two: claims are looked up by serial number, and those of one client with its devices. So theirs is a key that does
	-- not begin with the client, and they are erased with its devices.
	alter table depbroker.serial_claims drop constraint serial_claims_pkey, add primary key (serial_number, tenant_id);
	drop index depbroker.serial_claims_by_serial;
	linter := replace(linter, 'c.relname <> ''tenants''', 'c.relname not in (''tenants'', ''serial_claims'')');
	if linter !~ 'not in \(''tenants'', ''serial_claims''\)' then
		raise exception 'the linter is not the one that this migration knows';
	end if;
	execute linter;
	eraser := regexp_replace(eraser, '(\n\s*loop\n)(\s*execute format)', $with$\1				if from_table = 'depbroker.devices'::regclass then
					with erased as (
						delete from depbroker.devices where tenant_id = client and ctid = any (array(
							select ctid from depbroker.devices where tenant_id = client limit most)) returning serial_number
					), unclaimed as (
						delete from depbroker.serial_claims c using erased e where c.serial_number = e.serial_number and c.tenant_id = client
					)
					select count(*) into deleted from erased;
					if deleted = most then
						return false;
					end if;
				end if;
\2$with$);
	if eraser !~ 'unclaimed' then
		raise exception 'the end of a client is not the one that this migration knows';
	end if;
	execute eraser;
end
