-- SPDX-License-Identifier: Apache-2.0
--
-- A profile for devices that are held: that of an instance of a kind of its own, which no device is ever routed to.

declare
	eraser text := pg_get_functiondef('depbroker.erase_client(int)'::regprocedure);
begin
	set local role depbroker_owner;

	alter table depbroker.instances drop constraint instances_kind_check;
	alter table depbroker.instances
		add constraint instances_kind_check check (kind in ('nanomdm', 'nanohub', 'micromdm', 'fleet', 'zentral', 'jamf', 'simplemdm', 'iru',
			'intune', 'mosyle', 'addigy', 'jumpcloud', 'meraki', 'generic', 'parking'));
	alter table depbroker.tenants
		add column parking_instance_id bigint, -- null: what is held gets no profile
		add constraint tenants_parking foreign key (tenant_id, parking_instance_id) references depbroker.instances
			not valid; -- there are none yet to be validated, and no client in whose name it could be done

	-- A client's row, whose parking is taken away when its end begins, goes last as before: what it refers to does not keep it.
	eraser := replace(eraser, 'f.conrelid <> f.confrelid', 'f.conrelid <> f.confrelid and f.conrelid <> ''depbroker.tenants''::regclass');
	if eraser !~ '<> ''depbroker.tenants''::regclass' then
		raise exception 'the end of a client is not the one that this migration knows';
	end if;
	execute eraser;
end
