-- SPDX-License-Identifier: Apache-2.0
--
-- A poll that finds nothing new needs two updates, and the frame of their transactions cost more than they did. So a worker takes the clients
-- that it claims together, and ends quiet runs together. These two functions are all that may write rows of several clients' streams.
--
-- Laws  1. each row has a fence of its own; one that does not hold, or that somebody else has locked, is left out of the answer, and nobody
--          else's part fails or waits for it
--       2. they lock the stream's row first, as everybody does, and wait for neither it nor the due row
--       3. what a run goes by is asked for after its client's stream is locked, in a statement of its own

declare
	linter text := pg_get_functiondef('depbroker.lint()'::regprocedure);
	polled_table text;
begin
	set local role depbroker_owner;

	-- The owner, in whose name the functions are carried out, sees what they need; workers and the API see the own client only, as before.
	foreach polled_table in array array['sync_stream', 'sync_due', 'tenant_status', 'run_news'] loop
		execute format('create policy polls_read on depbroker.%I for select to depbroker_owner using (true)', polled_table);
		continue when polled_table = 'run_news';
		execute format('create policy polls_write on depbroker.%I for update to depbroker_owner using (true)', polled_table);
	end loop;
	foreach polled_table in array array['sync_stream', 'run_news'] loop
		execute format('drop policy own_client_only on depbroker.%I', polled_table);
		execute format('create policy own_client_only on depbroker.%I as restrictive to depbroker_api, depbroker_worker '
			'using (tenant_id = (select depbroker.current_tenant()))', polled_table);
	end loop;

	-- Takes what this transaction has claimed for the node, as far as it is nobody's, no suspect, and without news: the streams as they are then.
	create function depbroker.take_claimed(node text, forgotten_after_s bigint) returns setof depbroker.sync_stream
		language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
		set enable_hashjoin = off set enable_mergejoin = off as $function$
		declare
			locked bigint[];
		begin
			select array_agg(l.tenant_id) into locked from (
				select s.tenant_id from depbroker.sync_due d join depbroker.sync_stream s on s.tenant_id = d.tenant_id
				where d.due_at = now() + forgotten_after_s * interval '1 second' and d.claimed_by = node and d.crashes = '{}'
					and s.owner is null
				for update of s skip locked) l;
			if locked is null then
				return;
			end if;
			return query update depbroker.sync_stream s set epoch = s.epoch + 1, owner = node, run_started_at = now(), run_pages = 0,
					run_devices = 0, updated_at = now()
				where s.tenant_id = any(locked) and not exists (select from depbroker.run_news n where n.tenant_id = s.tenant_id)
				returning s.*;
		end $function$;
	revoke all on function depbroker.take_claimed(text, bigint) from public;
	grant execute on function depbroker.take_claimed(text, bigint) to depbroker_directory;

	-- Ends the node's runs that found nothing: what else there is in the rows stays as it is. The clients whose run is ended.
	create function depbroker.end_quietly(node text, clients bigint[], epochs bigint[], write_seqs bigint[], event_seqs bigint[],
			config_versions bigint[], cursors text[], cursor_ats timestamptz[], next_ats timestamptz[], pages bigint[], devices bigint[],
			synced_ats timestamptz[], tells_tokens boolean[], unusables boolean[], wakes bigint[], due_ats timestamptz[])
		returns setof bigint
		language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
		set enable_hashjoin = off set enable_mergejoin = off as $function$
		declare
			locked bigint[];
		begin
			select array_agg(l.tenant_id) into locked from (
				select s.tenant_id from depbroker.sync_stream s join depbroker.sync_due d on d.tenant_id = s.tenant_id
				where s.tenant_id = any(clients) and s.owner = node
				for update skip locked) l;
			if locked is null then
				return;
			end if;
			return query with asked as (
				select * from unnest(clients, epochs, write_seqs, event_seqs, config_versions, cursors, cursor_ats, next_ats, pages, devices,
					synced_ats, tells_tokens, unusables, wakes, due_ats) as a (client, epoch, write_seq, event_seq, config_version, cursor,
					cursor_at, next_at, pages, devices, synced_at, tells_token, unusable, wake, due_at)
				where a.client = any(locked)
			), moved as (
				update depbroker.sync_stream s set owner = null, write_seq = s.write_seq + 1, cursor = a.cursor, cursor_at = a.cursor_at,
					sync_next_at = coalesce(a.next_at, '-infinity'), run_pages = a.pages, run_devices = a.devices, synced_at = a.synced_at,
					updated_at = now()
				from asked a
				where s.tenant_id = a.client and s.owner = node and s.epoch = a.epoch and s.write_seq = a.write_seq
					and s.event_seq = a.event_seq and s.config_version = a.config_version
				returning a.*
			), due as (
				update depbroker.sync_due d set claimed_by = null,
					due_at = case when d.wake = m.wake then coalesce(m.due_at, now()) else now() end
				from moved m where d.tenant_id = m.client and d.claimed_by = node
			), told as (
				update depbroker.tenant_status t set synced_at = m.synced_at, sync_next_at = m.next_at, profile_unusable = m.unusable,
					token_checked_at = case when m.tells_token then now() else t.token_checked_at end,
					token_word = case when m.tells_token then '' else t.token_word end, updated_at = now()
				from moved m where t.tenant_id = m.client
			)
			select m.client from moved m;
		end $function$;
	revoke all on function depbroker.end_quietly(text, bigint[], bigint[], bigint[], bigint[], bigint[], text[], timestamptz[], timestamptz[],
		bigint[], bigint[], timestamptz[], boolean[], boolean[], bigint[], timestamptz[]) from public;
	grant execute on function depbroker.end_quietly(text, bigint[], bigint[], bigint[], bigint[], bigint[], text[], timestamptz[], timestamptz[],
		bigint[], bigint[], timestamptz[], boolean[], boolean[], bigint[], timestamptz[]) to depbroker_directory;

	linter := replace(linter, 'where not (coalesce(w.reads_own, w.writes_own, false) and coalesce(w.writes_own, true))',
		'where not (coalesce(w.reads_own, w.writes_own, false) and coalesce(w.writes_own, true))
				and not ((c.relname in (''sync_stream'', ''sync_due'', ''tenant_status'', ''run_news'') and w.polname = ''polls_read'' and w.polcmd = ''r''
					or c.relname in (''sync_stream'', ''sync_due'', ''tenant_status'') and w.polname = ''polls_write'' and w.polcmd = ''w'')
					and w.polroles = array[(select oid from our_role where rolname = ''depbroker_owner'')])');
	linter := replace(linter, '(w.polroles = array[0::oid] or client_relation.relname in (',
		'(w.polroles = array[0::oid] or client_relation.relname = ''sync_stream'' and w.polroles @>
					array(select oid from our_role where rolname in (''depbroker_api'', ''depbroker_worker'')) or client_relation.relname in (');
	if linter !~ 'polls_write' or linter !~ 'sync_stream'' and w.polroles @>' then
		raise exception 'the linter is not the one that this migration knows';
	end if;
	execute linter;
end
