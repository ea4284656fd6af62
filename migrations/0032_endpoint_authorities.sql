-- SPDX-License-Identifier: Apache-2.0
--
-- Whom a webhook endpoint's server may have its certificate from, and which kinds of alerts one for alerts is told of; and that the audit
-- knows what the operator lets webhooks reach.

begin
	set local role depbroker_owner;

	-- PEM; null: the system's store.
	alter table depbroker.endpoints add column certificate_authority text check (octet_length(certificate_authority) between 1 and 16384);

	-- None: all of them. Of endpoints for alerts only.
	alter table depbroker.endpoints add column alert_kinds text[] not null default '{}'
		check (cardinality(alert_kinds) <= 32 and array_position(alert_kinds, null) is null and (alert_kinds = '{}' or tenant_id = 9223372036854775807));

	-- Of DEPBROKER_WEBHOOK_ALLOW, as it was last noted. Each worker notes it before it sends anything: however many start, one of them finds that it
	-- is another one.
	alter table depbroker.installation add column webhook_allow text[] not null default '{}';
	create function depbroker.note_webhook_allow(of_node text, ranges text[]) returns void
		language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $function$
		declare
			now_allowed text[] := array(select distinct r collate "C" from unnest(ranges) r order by 1);
			noted text[];
		begin
			if exists (select from depbroker.installation where webhook_allow = now_allowed) then
				return;
			end if;
			select webhook_allow into strict noted from depbroker.installation for update;
			if noted <> now_allowed then
				update depbroker.installation set webhook_allow = now_allowed;
				perform depbroker.audit_append('command:worker', 'webhook_allow.change', '*',
					jsonb_build_object('former', to_jsonb(noted), 'now', to_jsonb(now_allowed), 'node', of_node));
			end if;
		end $function$;
	revoke all on function depbroker.note_webhook_allow(text, text[]) from public;
	grant execute on function depbroker.note_webhook_allow(text, text[]) to depbroker_directory;
end
