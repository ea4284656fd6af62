#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Endpoints for the alerts of all tenants: what is raised and what ends at any of them arrives there once, in order, whatever happens to workers
# and receivers; and they are nobody's but the provider's.
import itertools
import json
import os
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from openapi import complaints  # noqa: E402
from programs import Peer, equal, test  # noqa: E402
from sink import Sink  # noqa: E402
from world import Api, World, is_running, refused, run, run_in, wait_until  # noqa: E402

WORLD = World(workers=2)
SINK = Sink()
NUMBERS = itertools.count(1)
EVERYBODY = 9223372036854775807
LOG = f"from depbroker.events where tenant_id = {EVERYBODY}"


def onboard(count=2):
    """Clients whose tokens are good, and known to be; endpoints of former tests are gone."""
    for item in WORLD.admin.get("/endpoints")["items"]:
        WORLD.admin.call("DELETE", f"/endpoints/{item['id']}")
    clients = [WORLD.onboard(f"client-{next(NUMBERS)}", devices=0) for _ in range(count)]
    for client in clients:
        wait_until(lambda client=client: client.stream()["synced_at"], "no sync", 60)
    return clients


def add_endpoint(**members):
    path = f"/alerts/{next(NUMBERS)}"
    return WORLD.admin.post("/endpoints", {"url": SINK.url + path, **members}), path


def look(tenant_id):
    """As time does it: a worker looks at the client."""
    WORLD.sql(f"update depbroker.sync_due set wake = wake + 1, due_at = now() where tenant_id = {tenant_id}")


def expires_in(client, days):
    client.sql(f"update depbroker.tenant_status set token_expires_at = now() + interval '{days} days' where tenant_id = {{id}}")
    look(client.id)


def heard(path):
    """What came, without what came twice: (type, tenant, kind) in the order in which it came first."""
    found = {}
    for message in list(SINK.messages[path]):
        found.setdefault(dict(message.headers)["webhook-id"], json.loads(message.body))
    return list(found.values())


def of(client, path):
    return [(event["type"], event["data"]["alert"]["kind"]) for event in heard(path) if event["data"].get("alert", {}).get("tenant") == client.slug]


def until_heard(client, path, wanted, seconds=60):
    wait_until(lambda: of(client, path) == wanted, lambda: f"{client.slug}: {of(client, path)} instead of {wanted}", seconds)


def try_again_now():
    WORLD.sql(f"update depbroker.positions set next_try_at = now() where tenant_id = {EVERYBODY} and attempts > 0;"
              f"update depbroker.endpoints set not_before = null where tenant_id = {EVERYBODY}")
    look(EVERYBODY)


def log_is_gapless():
    row = WORLD.rows(f"select count(*) as n, coalesce(max(seq), 0) as last, (select seq from depbroker.alert_log) as seq {LOG}")[0]
    equal((row["n"], row["last"]), (row["seq"], row["seq"]), "numbers of the log of alerts")


RAISED = [("alert.raised", "token.expiring")]
RAISED_AND_CLEARED = RAISED + [("alert.cleared", "token.expiring")]


@test
def an_alert_of_any_tenant_comes_once_to_each_endpoint_when_it_is_raised_and_when_it_ends():
    one, other = onboard()
    endpoints = [add_endpoint(), add_endpoint()]
    for client in (one, other):
        expires_in(client, 20)
    for _, path in endpoints:
        until_heard(one, path, RAISED)
        until_heard(other, path, RAISED)
    expires_in(one, 300)
    until_heard(one, endpoints[0][1], RAISED_AND_CLEARED)
    until_heard(other, endpoints[0][1], RAISED)
    schemas = {item["type"]: item["schema"] for item in WORLD.admin.get("/event-types")["items"]}
    for made, path in endpoints:
        wait_until(lambda path=path: len(SINK.messages[path]) >= 3, "not everything arrives")
        equal(len(SINK.messages[path]), 3, "once each")
        for event in SINK.events(path):
            equal(list(complaints(event, schemas[event["type"]])), [], event)
        equal("secret" in made, True, "shown this one time")
        equal("secret" in WORLD.admin.get(f"/endpoints/{made['id']}"), False, "and never again")
    shown = [item for item in WORLD.admin.get("/alerts?all=true")["items"] if item["tenant"] == one.slug and item["kind"] == "token.expiring"][0]
    last = SINK.events(endpoints[0][1])[-1]["data"]["alert"]
    equal((last["id"], last["detail"], bool(last["cleared_at"])), (shown["id"], shown["detail"], True), "as the list has it")
    log_is_gapless()


@test
def what_becomes_worse_is_raised_again_and_what_only_goes_on_is_not():
    client, = onboard(1)
    _, path = add_endpoint()
    expires_in(client, 20)
    until_heard(client, path, RAISED)
    epoch = client.stream()["epoch"]
    look(client.id)
    wait_until(lambda: client.stream()["epoch"] > epoch and client.stream()["owner"] is None, "nobody looks")
    expires_in(client, 2)
    until_heard(client, path, RAISED * 2)
    equal(len(SINK.messages[path]), 2, "once each")


@test
def nothing_is_lost_and_nothing_overtakes_when_workers_are_killed_and_the_receiver_refuses():
    clients = onboard(3)
    made, path = add_endpoint()
    SINK.refuses[path] = lambda body: 503
    for client in clients:
        expires_in(client, 20)
    wait_until(lambda: SINK.requests[path] > 0, "it is not tried")
    for days, killed in ((300, 0), (10, 1), (300, 0)):  # each threshold is told once of a token
        for client in clients:
            before = len(WORLD.rows(f"select 1 {LOG} and device::json->>'tenant' = '{client.slug}'"))
            expires_in(client, days)
            wait_until(lambda client=client, before=before: len(WORLD.rows(f"select 1 {LOG} and device::json->>'tenant' = '{client.slug}'")) > before,
                       "it is not logged")
        pid = WORLD.broker.workers()[killed]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: not is_running(pid) and len(WORLD.broker.workers()) == 2, "no worker takes its place")
    equal(SINK.messages[path], [], "taken")
    del SINK.refuses[path]
    wanted = RAISED_AND_CLEARED * 2

    def is_all_there():
        try_again_now()
        return all(of(client, path) == wanted for client in clients)
    wait_until(is_all_there, lambda: [of(client, path) for client in clients], 90, 1)
    seqs = [(event["data"]["alert"]["tenant"], event["data"]["seq"]) for event in heard(path)]
    equal(len(seqs), len(set(seqs)), "an event has one id")
    for client in clients:
        mine = [seq for tenant, seq in seqs if tenant == client.slug]
        equal(mine, sorted(mine), "in order")
    equal(WORLD.admin.get(f"/endpoints/{made['id']}")["disabled_at"], None, "disabled")
    log_is_gapless()


@test
def it_is_told_when_a_worker_is_killed_in_the_middle_of_a_delivery():
    client, = onboard(1)
    made, path = add_endpoint()
    killed = []

    def kill(_):
        if not killed:
            owner = WORLD.rows(f"select owner from depbroker.sync_stream where tenant_id = {EVERYBODY}")[0]["owner"]
            for pid in WORLD.broker.workers():
                killed.append((pid, owner))
                os.kill(pid, signal.SIGKILL)
    SINK.refuses[path] = kill
    expires_in(client, 20)
    until_heard(client, path, RAISED, 90)
    equal((len(killed), killed[0][1] is not None), (2, True), "killed while it had it")
    equal({dict(message.headers)["webhook-id"] for message in SINK.messages[path]}, {dict(SINK.messages[path][0].headers)["webhook-id"]}, "one id")
    wait_until(lambda: WORLD.rows(f"select 1 from depbroker.positions where tenant_id = {EVERYBODY} and endpoint_id = {made['id']} and lane = "
                                  f"{client.id % 8} and acked_seq = (select max(seq) {LOG} and lane = {client.id % 8})"), "it is not settled", 90)


@test
def an_endpoint_that_is_given_up_is_told_to_the_others_once_and_gets_everything_when_it_is_enabled():
    client, = onboard(1)
    dead, path = add_endpoint()
    _, well = add_endpoint()
    SINK.refuses[path] = lambda body: 410
    before = WORLD.rows("select seq from depbroker.alert_log")[0]["seq"]
    expires_in(client, 20)
    wait_until(lambda: WORLD.admin.get(f"/endpoints/{dead['id']}")["disabled_at"], "it is not given up")

    def told(where):
        return [(event["type"], event["data"]["alert"]["kind"]) for event in heard(where) if event["data"]["alert"]["tenant"] is None]
    wait_until(lambda: told(well), "nobody is told")
    equal(told(well), [("alert.raised", "endpoint.disabled")], "told")
    for _ in range(3):  # another look finds nothing new
        epoch = WORLD.rows(f"select epoch from depbroker.sync_stream where tenant_id = {EVERYBODY}")[0]["epoch"]
        look(EVERYBODY)
        wait_until(lambda epoch=epoch: WORLD.rows(f"select 1 from depbroker.sync_stream where tenant_id = {EVERYBODY} and epoch > {epoch} and owner is null"),
                   "nobody looks")
    equal(WORLD.rows(f"select count(*) as n {LOG} and seq > {before}")[0]["n"], 2, "the alert of the client, and this one")
    mine = [item for item in WORLD.admin.get("/alerts")["items"] if item["tenant"] is None]
    equal([(item["kind"], dead["id"] in item["detail"]) for item in mine], [("endpoint.disabled", True)], "listed")
    bound = Api(WORLD.broker.listen, WORLD.broker.create_key("viewer", "--tenant", client.slug))
    equal([item for item in bound.get("/alerts")["items"] if item["tenant"] != client.slug], [], "what a tenant's key sees")
    refused("alert_not_found", Api(WORLD.broker.listen, WORLD.broker.create_key("technician", "--tenant", client.slug)), "POST", f"/alerts/{mine[0]['id']}/ack")
    del SINK.refuses[path]
    WORLD.admin.post(f"/endpoints/{dead['id']}/enable")
    until_heard(client, path, RAISED)
    for where in (path, well):
        wait_until(lambda where=where: told(where) == [("alert.raised", "endpoint.disabled"), ("alert.cleared", "endpoint.disabled")], lambda: told(path))
    log_is_gapless()


@test
def all_that_other_endpoints_can_do_they_can():
    client, = onboard(1)
    made, path = add_endpoint(events=["alert.raised"], headers={"X-Pager": "7"})
    at = f"/endpoints/{made['id']}"
    expires_in(client, 20)
    until_heard(client, path, RAISED)
    expires_in(client, 300)
    wait_until(lambda: WORLD.rows(f"select 1 {LOG} and type = 21 and device::json->>'tenant' = '{client.slug}'"), "it does not end")
    expires_in(client, 10)
    until_heard(client, path, RAISED * 2)  # and not that it ended
    seq = SINK.events(path)[0]["data"]["seq"]
    equal(WORLD.admin.post(at + "/replay", {"seqs": [seq]})["events"], 1, "once more")
    wait_until(lambda: [event["data"]["seq"] for event in SINK.events(path)].count(seq) == 2, "it does not come once more")
    WORLD.admin.post(at + "/test")
    wait_until(lambda: SINK.events(path)[-1]["type"] == "ping", "no ping")
    equal(sorted(SINK.events(path)[-1]["data"]), ["incarnation", "seq"], "a ping names no tenant")
    equal(dict(SINK.messages[path][-1].headers)["x-pager"], "7", "header")
    WORLD.admin.post(at + "/secret", {"overlap_s": 60})
    key = WORLD.admin.post(at + "/signing-key", {})
    equal(key["public_keys"], f"/webhook-keys/{made['id']}", "where it is")
    peer = Peer("http://" + WORLD.broker.listen, 10)
    equal(peer.request("GET", key["public_keys"]).json()["keys"][0]["key"], key["public_key"], "for anybody")
    equal(peer.request("GET", "/webhook-keys/1").status, 404, "of no endpoint")
    peer.close()
    WORLD.admin.post(at + "/test")
    wait_until(lambda: dict(SINK.messages[path][-1].headers)["webhook-signature"].count("v1,") == 2, "the former secret does not sign")
    equal(dict(SINK.messages[path][-1].headers)["webhook-signature"].count("v1a,"), 1, "nor the key pair")
    WORLD.admin.call("DELETE", at + "/signing-key")
    equal(WORLD.admin.call("PATCH", at, {"events": [], "batch_size": 10})["batch_size"], 10, "changed")
    equal({item["seq"] for item in WORLD.admin.get(at + "/deliveries")["items"]} >= {0, seq}, True, "deliveries")
    equal(made["id"] in {item["id"] for item in WORLD.admin.get("/endpoints")["items"]}, True, "listed")
    WORLD.admin.call("DELETE", at)
    refused("endpoint_not_found", WORLD.admin, "GET", at)


@test
def a_filter_by_kind_passes_what_it_names_and_goes_on_past_the_rest():
    client, = onboard(1)
    made, path = add_endpoint(alert_kinds=["token.expired", "endpoint.disabled"])
    _, other = add_endpoint(alert_kinds=["token.expiring"], events=["alert.raised"])
    _, everything = add_endpoint()
    at = f"/endpoints/{made['id']}"
    equal(WORLD.admin.get(at)["alert_kinds"], ["token.expired", "endpoint.disabled"], "shown")
    expires_in(client, 20)
    until_heard(client, everything, RAISED)
    expires_in(client, -1)
    expired = [("alert.raised", "token.expired")]
    until_heard(client, path, expired)
    expires_in(client, 300)
    until_heard(client, path, expired + [("alert.cleared", "token.expired")])
    wait_until(lambda: len(of(client, everything)) == 4, lambda: of(client, everything))
    equal(of(client, other), RAISED, "one kind, and one type")
    equal({kind for _, kind in of(client, path)}, {"token.expired"}, "and no other kind")
    wait_until(lambda: not WORLD.rows(f"select 1 from depbroker.positions p join depbroker.events e on e.tenant_id = p.tenant_id and e.lane = p.lane"
                                      f" and e.seq > p.acked_seq where p.tenant_id = {EVERYBODY}"), "something is left waiting")
    seqs = [event["data"]["seq"] for event in heard(everything)]
    before = len(SINK.messages[path])
    WORLD.admin.post(at + "/replay", {"seqs": seqs})
    wait_until(lambda: len(SINK.messages[path]) >= before + 2 and not WORLD.rows(f"select 1 from depbroker.resends where tenant_id = {EVERYBODY}"),
               "nothing comes once more")
    equal(len(SINK.messages[path]), before + 2, "once more, but only what it wants")
    WORLD.admin.post(at + "/test")
    wait_until(lambda: SINK.events(path)[-1]["type"] == "ping", "no ping")
    equal(WORLD.admin.call("PATCH", at, {"events": []})["alert_kinds"], ["token.expired", "endpoint.disabled"], "it stays when something else is changed")
    equal(WORLD.admin.call("PATCH", at, {"alert_kinds": []})["alert_kinds"], [], "taken away")
    expires_in(client, 10)
    wait_until(lambda: of(client, path)[-1:] == RAISED, lambda: of(client, path))


@test
def a_filter_by_kind_knows_all_kinds_and_no_others():
    peer = Peer("http://" + WORLD.broker.listen, 10)
    document = peer.request("GET", "/openapi.json").json()
    peer.close()
    client, = onboard(1)
    kinds = document["components"]["schemas"]["Alert"]["properties"]["kind"]["enum"]
    made, _ = add_endpoint(alert_kinds=kinds)
    equal(made["alert_kinds"], kinds, "all of them")
    for wrong in (["token.lost"], ["device.added"], [""], ["token.expired", 1], "token.expired", None, ["token.expired"] * 33):
        refused("bad_body", WORLD.admin, "POST", "/endpoints", {"url": SINK.url, "alert_kinds": wrong})
        refused("bad_body", WORLD.admin, "PATCH", f"/endpoints/{made['id']}", {"alert_kinds": wrong})
    first = WORLD.technician.get(client.path + "/endpoints")["items"][0]
    equal(first["alert_kinds"], [], "of a tenant's")
    refused("bad_body", WORLD.technician, "PATCH", f"{client.path}/endpoints/{first['id']}", {"alert_kinds": ["token.expired"]})
    refused("bad_body", WORLD.technician, "POST", f"{client.path}/endpoints", {"instance": "main", "url": SINK.url, "alert_kinds": []})


@test
def secrets_outlive_the_keys_that_they_are_sealed_with():
    client, = onboard(1)
    _, path = add_endpoint()
    run([WORLD.broker.program, "keys", "add"], env=WORLD.broker.environment)
    for how in ((), ("--data-keys",), ("--finish",)):
        run([WORLD.broker.program, "keys", "rotate", *how], env=WORLD.broker.environment)
    equal(WORLD.rows(f"select count(*) as n from depbroker.data_keys where tenant_id = {EVERYBODY} and version > 1")[0]["n"], 1, "its data key is another one")
    expires_in(client, 20)
    until_heard(client, path, RAISED)
    run([WORLD.broker.program, "doctor"], env=WORLD.broker.environment)


@test
def they_do_not_exist_for_keys_of_some_tenants_and_are_no_business_of_other_roles():
    client, = onboard(1)
    made, _ = add_endpoint()
    at = f"/endpoints/{made['id']}"
    requests = [("GET", "/endpoints"), ("POST", "/endpoints", {"url": SINK.url}), ("GET", at), ("PATCH", at, {"events": []}), ("DELETE", at),
                ("POST", at + "/enable"), ("POST", at + "/secret", {}), ("POST", at + "/signing-key", {}), ("DELETE", at + "/signing-key"),
                ("POST", at + "/replay", {"seqs": [1]}), ("POST", at + "/test"), ("GET", at + "/deliveries")]
    bound = Api(WORLD.broker.listen, WORLD.broker.create_key("technician", "--tenant", client.slug))
    for request in requests:
        refused("endpoint_not_found", bound, *request)
        for other in (WORLD.operator, WORLD.technician):
            refused("forbidden", other, *request)
    refused("endpoint_not_found", WORLD.technician, "GET", f"{client.path}{at}")  # of no tenant
    first = WORLD.technician.get(client.path + "/endpoints")["items"][0]
    refused("endpoint_not_found", WORLD.admin, "GET", f"/endpoints/{first['id']}")
    for wrong in ({}, {"url": "ftp://x"}, {"url": SINK.url, "events": ["device.added"]}, {"url": SINK.url, "instance": None},
                  {"url": SINK.url, "format": "nanodep"}, {"url": SINK.url, "batch_size": 0}):
        refused("bad_body", WORLD.admin, "POST", "/endpoints", wrong)


@test
def the_log_of_alerts_is_no_tenant():
    onboard(1)
    add_endpoint()
    for way in (("GET", "/tenants/*"), ("DELETE", "/tenants/*"), ("PATCH", "/tenants/*", {"state": "paused"}), ("POST", "/tenants/*/sync", {"mode": "full"}),
                ("POST", "/tenants/*/instances", {}), ("GET", "/tenants/*/endpoints"), ("GET", "/tenants/*/events"), ("POST", "/tenants/*/token/keys")):
        refused("tenant_not_found", WORLD.admin, *way)
    for path in ("/tenants", "/status", "/status?sort=token_expires_at"):
        slugs = [item.get("slug") or item.get("tenant") for item in WORLD.admin.get(path)["items"]]
        equal([slug for slug in slugs if slug == "*"], [], path)
    peer = Peer("http://" + WORLD.broker.admin_listen, 10)
    equal('tenant="*"' in peer.request("GET", "/metrics").text, False, "metrics")
    peer.close()
    equal(WORLD.rows(f"select count(*) as n from depbroker.attempts a where tenant_id = {EVERYBODY}")[0]["n"] > 0, True, "and yet it works")
    WORLD.check_laws()


sys.exit(run_in(WORLD))
