#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# What an api process does unasked: it ends deletions that were broken off in the middle, and drops the keys of renewal links that nobody used.
import os
import signal
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import Peer, equal, run_tests, test  # noqa: E402
from world import Psql, World, children_of, wait_until  # noqa: E402

WORLD = World(workers=1)
WORLD.__enter__()
NUMBERS = iter(range(1, 1000))
WAITING = "from pg_stat_activity where wait_event_type = 'Lock' and query like '%erase_client%'"


def onboarded(devices=1):
    client = WORLD.onboard(f"client-{next(NUMBERS)}", devices=devices)
    WORLD.until_equal(client)
    return client


def kill_api():
    """As the out-of-memory killer does it; the supervisor starts another one."""
    api, = children_of(WORLD.broker.process.pid, "api")
    os.kill(api, signal.SIGKILL)
    wait_until(lambda: children_of(WORLD.broker.process.pid, "api") not in ([], [api]) and WORLD.broker.is_ready(), "a new api process", 60)


def one(statement):
    return WORLD.rows(statement)[0]


def ask_and_forget(method, path):
    try:
        WORLD.admin.call(method, path)
    except OSError:
        pass  # it is killed meanwhile


@test
def a_deletion_that_was_killed_is_ended_by_whoever_comes_next():
    client, other = onboarded(devices=20), onboarded()
    WORLD.operator.call("PATCH", client.path, {"state": "archived"})
    link = WORLD.technician.post(f"{client.path}/token/renewal-links")
    number = client.id
    WORLD.sql(f"insert into depbroker.replacements (tenant_id, serial_number) values ({number}, 'NEW1');"
              f"insert into depbroker.parked (tenant_id, digest, why, record) values ({number}, sha256('x'), 'it has no serial number', '{{}}')")
    holder = Psql(os.path.join(WORLD.broker.state, "postgres-socket"))
    holder.ask(f"begin; select from depbroker.devices where tenant_id = {number} for update")
    thread = threading.Thread(target=ask_and_forget, args=("DELETE", client.path), daemon=True)
    thread.start()
    wait_until(lambda: one(f"select count(*) as n {WAITING}")["n"] > 0, "the rows are being deleted", 30)
    kill_api()
    thread.join(30)
    WORLD.sql(f"select pg_terminate_backend(pid) {WAITING}")  # nobody goes on for the dead one
    left = one(f"select (select state from depbroker.tenants where tenant_id = {number}) as state,"
               f" (select count(*) from depbroker.data_keys where tenant_id = {number}) as keys,"
               f" (select count(*) from depbroker.secrets where tenant_id = {number}) as secrets,"
               f" (select count(*) from depbroker.devices where tenant_id = {number}) as devices")
    equal(left, {"state": "deleting", "keys": 0, "secrets": 0, "devices": 20}, "broken off in the middle: keys first")
    peer = Peer("http://" + WORLD.broker.listen)
    equal(peer.request("GET", link["path"]).status, 404, "a link of it opens nothing any more")
    peer.close()
    holder.ask("rollback")
    holder.close()
    wait_until(lambda: not WORLD.rows(f"select from depbroker.tenants where tenant_id = {number}"), "the deletion is ended", 90)
    tables = WORLD.rows("select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'"
                        " where c.relnamespace = 'depbroker'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition")
    for table in tables:
        equal(one(f"select count(*) as n from depbroker.{table['relname']} where tenant_id = {number}")["n"], 0, table)
    told = [line["action"] for line in WORLD.rows(f"select action from depbroker.audit where target = '{client.slug}' order by seq")]
    equal((told[0], told[-1], told.count("tenant.delete")), ("tenant.create", "tenant.delete", 1), "the audit stays")
    equal(WORLD.rows("select * from depbroker.audit_breaches()"), [], "and is whole")
    other.add(1)
    other.sync_now()
    WORLD.until_equal(other)


@test
def the_key_of_a_link_that_expired_unused_is_dropped_a_week_later_unless_a_token_was_made_with_it():
    client = onboarded()
    unused, recent, uploaded = [WORLD.technician.post(f"{client.path}/token/renewal-links") for _ in range(3)]
    pem = WORLD.technician.get(f"{client.path}/token/keys/{uploaded['key_pair_id']}/certificate")
    WORLD.technician.call("PUT", f"{client.path}/token", WORLD.apple.call("POST", f"/tenants/{client.apple}/token", pem))
    for link, days in ((unused, 8), (recent, 6), (uploaded, 8)):
        WORLD.sql(f"update depbroker.renewal_links set expires_at = now() - interval '{days} days' where link_id = {link['id']}")
    kill_api()

    def keys():
        return {row["key_pair_id"]: (row["state"], row["keys"]) for row in client.rows(
            "select k.key_pair_id::text, k.state, (select count(*) from depbroker.secrets s where s.tenant_id = k.tenant_id and s.kind = 3"
            " and s.object_id = k.key_pair_id) as keys from depbroker.key_pairs k where tenant_id = {id}")}
    wait_until(lambda: keys()[unused["key_pair_id"]] == ("retired", 0), lambda: str(keys()), 60)
    equal((keys()[recent["key_pair_id"]], keys()[uploaded["key_pair_id"]]), (("staged", 1), ("current", 1)), "the others")
    states = {item["id"]: item["state"] for item in WORLD.technician.get(f"{client.path}/token/renewal-links")["items"]}
    equal(set(states.values()), {"expired"}, "they are listed")


def stop():
    WORLD.__exit__(None, None, None)


if __name__ == "__main__":
    sys.exit(run_tests(stop))
