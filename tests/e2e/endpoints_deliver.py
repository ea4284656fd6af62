#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Several endpoints for an instance, one for the tenant: each gets what concerns it, signed with its own secrets; what a dead or a picky
# one does harms no other.
#
# Waits of minutes and days are cut short in the database (as superuser, behind depbroker's back).
import base64
import collections
import hashlib
import hmac
import json
import os
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from openapi import complaints  # noqa: E402
from programs import Peer, equal, test  # noqa: E402
from sink import Sink  # noqa: E402
from world import Problem, World, run_in, wait_until  # noqa: E402

WORLD = World(workers=2)
SINK = Sink()


def add_endpoint(client, name, instance="main", **members):
    made = WORLD.technician.post(client.path + "/endpoints", {"instance": instance, "url": f"{SINK.url}/{client.slug}/{name}", **members})
    return made, f"/{client.slug}/{name}"


def path_of(client, endpoint):
    return f"{client.path}/endpoints/{endpoint['id']}"


def refused(code, *request):
    try:
        WORLD.technician.call(*request)
    except Problem as problem:
        equal(problem.problem.get("code"), code, request)
        return
    raise AssertionError(f"{request} is taken, not refused with {code}")


def onboard():
    client = WORLD.onboard(devices=0)
    wait_until(lambda: client.stream()["synced_at"], "no sync", 60)
    return client


def wait_for(client, path, wanted, seconds=60):
    wait_until(lambda: len(SINK.events(path)) >= wanted, lambda: f"{path}: {len(SINK.events(path))} of {wanted} events", seconds, 0.2)


def signed_by(secret, message):
    """Which items of its signature header are of this secret."""
    headers = dict(message.headers)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + message.body
    mine = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return [mine == item for item in headers["webhook-signature"].split(" ")]


def log_of(client, where="true"):
    return [row["seq"] for row in client.rows(f"select seq from depbroker.events where tenant_id = {{id}} and {where} order by seq")]


def seqs(path):
    return sorted(event["data"]["seq"] for event in SINK.events(path))


def sync(client, count):
    client.add(count)
    client.sync_now()


@test
def each_endpoint_of_an_instance_gets_all_of_it_signed_with_its_own_secret():
    client = onboard()
    endpoints = [add_endpoint(client, name) for name in ("a", "b")]
    sync(client, 6)
    WORLD.until_equal(client)
    wanted = log_of(client, "instance_id is not null")
    for made, path in endpoints:
        wait_for(client, path, len(wanted))
        equal(seqs(path), wanted, path)
        for message in SINK.messages[path]:
            equal(signed_by(made["secret"], message), [True], "its own secret")
            equal(signed_by(client.secret, message), [False], "the secret of the first one")
    ids = [{dict(message.headers)["webhook-id"] for message in SINK.messages[path]} for _, path in endpoints]
    equal(ids[0], ids[1], "an event has one id")
    equal(len(ids[0]), len(wanted), "an event has an id of its own")


@test
def an_endpoint_sees_its_own_instance_only_and_the_tenants_sees_all():
    client = onboard()
    WORLD.technician.post(f"{client.path}/instances", {
        "name": "school", "kind": "fleet", "enrolment_url": f"https://school.{client.slug}.example/",
        "allowed_hosts": [f"school.{client.slug}.example"]})
    _, school = add_endpoint(client, "school", "school")
    _, main = add_endpoint(client, "main")
    _, everything = add_endpoint(client, "all", None)
    refused("too_many_endpoints", "POST", client.path + "/endpoints", {"instance": None, "url": SINK.url})
    serials = client.add(4)
    client.sync_now()
    WORLD.until_equal(client)
    WORLD.technician.call("PUT", f"{client.path}/devices/{serials[0]}/pin", {"instance": "school"})
    wait_for(client, school, 1)
    wait_until(lambda: seqs(everything) == log_of(client), lambda: f"all: {seqs(everything)} is not {log_of(client)}", 60)
    equal({event["data"].get("instance") for event in SINK.events(school)}, {"school"}, "whose")
    equal({event["data"].get("serial_number") for event in SINK.events(school)}, {serials[0]}, "which device")
    wait_until(lambda: "device.removed" in {event["type"] for event in SINK.events(main)}, "it is not told that the device left")
    equal({event["data"].get("instance") for event in SINK.events(main)}, {"main"}, "whose")
    last = collections.defaultdict(int)
    for event in SINK.events(everything):  # the order of one device, over both instances
        serial = event["data"].get("serial_number", "")
        if event["data"]["seq"] <= last[serial]:
            raise AssertionError(f"out of order: {event}")
        last[serial] = event["data"]["seq"]


@test
def a_filter_passes_what_it_names_and_the_position_moves_past_the_rest():
    client = onboard()
    made, path = add_endpoint(client, "picky", events=["device.assigned"], headers={"X-Api-Key": "k 1"})
    equal((made["events"], made["headers"]), (["device.assigned"], {"X-Api-Key": "k 1"}), "shown")
    sync(client, 5)
    WORLD.until_equal(client)  # nothing is left to deliver at any of them
    wait_for(client, path, 5)
    equal({event["type"] for event in SINK.events(path)}, {"device.assigned"}, "types")
    equal({dict(message.headers).get("x-api-key") for message in SINK.messages[path]}, {"k 1"}, "header")
    changed = WORLD.technician.call("PATCH", path_of(client, made), {"events": ["device.removed"], "headers": {}})
    equal((changed["events"], changed["headers"]), (["device.removed"], {}), "changed")
    client.remove(next(iter(client.stored())))
    client.sync_now()
    wait_until(lambda: SINK.events(path)[-1]["type"] == "device.removed", "no removal")
    equal("x-api-key" in dict(SINK.messages[path][-1].headers), False, "header")


@test
def an_instance_names_its_first_endpoint_by_webhook_url():
    client = onboard()
    first, other = WORLD.technician.get(client.path + "/endpoints")["items"][0], add_endpoint(client, "other")[0]
    equal((first["instance"], first["url"]), ("main", client.webhook_url), "the first one")
    WORLD.technician.call("PATCH", f"{client.path}/instances/main", {"webhook_url": None})
    equal(WORLD.technician.get(path_of(client, first))["url"], None, "url")
    WORLD.technician.call("PATCH", path_of(client, first), {"url": client.webhook_url})
    equal(WORLD.technician.get(f"{client.path}/instances/main")["webhook_url"], client.webhook_url, "webhook_url")
    refused("endpoint_stays", "DELETE", path_of(client, first))
    WORLD.technician.call("DELETE", path_of(client, other))
    refused("endpoint_not_found", "GET", path_of(client, other))
    sync(client, 2)
    WORLD.until_equal(client)


@test
def wrong_endpoints_are_refused():
    client = onboard()
    for member in ({"url": "ftp://x"}, {"events": ["device.lost"]}, {"headers": {"Host": "x"}}, {"headers": {"Webhook-Id": "x"}},
                   {"headers": {"Content-Length": "1"}}, {"headers": {"Authorization": "x"}}, {"headers": {"X": "a\r\nb: c"}},
                   {"headers": {"X": 1}}, {"headers": {f"X-{i}": "1" for i in range(9)}}, {"secret": "x"}):
        refused("bad_body", "POST", client.path + "/endpoints", {"instance": "main", "url": SINK.url} | member)
    refused("instance_not_found", "POST", client.path + "/endpoints", {"instance": "none", "url": SINK.url})
    for number in range(4):
        add_endpoint(client, f"number-{number}")
    refused("too_many_endpoints", "POST", client.path + "/endpoints", {"instance": "main", "url": SINK.url})


@test
def a_new_secret_signs_together_with_the_former_one_and_alone_after_a_compromise():
    client = onboard()
    made, path = add_endpoint(client, "rotated")
    second = WORLD.technician.post(path_of(client, made) + "/secret", {})
    equal(second["overlap_s"], 86400, "overlap")
    sync(client, 1)
    wait_for(client, path, 2)
    for message in SINK.messages[path]:
        equal(signed_by(second["secret"], message), [True, False], "the new one is first")
        equal(signed_by(made["secret"], message), [False, True], "the former one")
    WORLD.technician.post(path_of(client, made) + "/secret", {"overlap_s": 60})
    refused("too_many_secrets", "POST", path_of(client, made) + "/secret", {"overlap_s": 60})
    last = WORLD.technician.post(path_of(client, made) + "/secret", {"overlap_s": 0})
    before = len(SINK.messages[path])
    sync(client, 1)
    wait_for(client, path, before + 2)
    for message in SINK.messages[path][before:]:
        equal(signed_by(last["secret"], message), [True], "it alone")


@test
def a_former_secret_ends_when_its_time_is_over():
    client = onboard()
    made, path = add_endpoint(client, "expires")
    second = WORLD.technician.post(path_of(client, made) + "/secret", {"overlap_s": 86400})
    client.sql("update depbroker.secrets set expires_at = now() - interval '1 second' where tenant_id = {id} and expires_at is not null")
    sync(client, 1)
    wait_for(client, path, 2)
    for message in SINK.messages[path]:
        equal(signed_by(second["secret"], message), [True], "it alone")


@test
def a_dead_endpoint_is_probed_one_by_one_and_given_up_after_five_days_and_nothing_is_lost():
    client = onboard()
    dead, path = add_endpoint(client, "dead")
    _, well = add_endpoint(client, "well")
    SINK.refuses[path] = lambda body: time.sleep(0.3) or 500
    client.add(24)
    client.sync_now()
    wait_for(client, well, 48)
    rows = "select attempts, first_failed_at from depbroker.positions where tenant_id = {id} and endpoint_id = " + dead["id"]
    wait_until(lambda: sum(row["attempts"] > 0 for row in client.rows(rows)) >= 4, "it does not fail", 90)
    SINK.most_under_way[path] = 0
    client.sql("update depbroker.positions set next_try_at = now() where attempts > 0 and tenant_id = {id}")
    before = SINK.requests[path]
    client.sql("update depbroker.sync_due set wake = wake + 1, due_at = now() where tenant_id = {id}")
    wait_until(lambda: SINK.requests[path] > before, "it is not probed")
    wait_until(lambda: SINK.under_way[path] == 0, "it does not answer")
    equal(SINK.most_under_way[path], 1, "requests at a time")
    client.sql("update depbroker.positions set next_try_at = now(), first_failed_at = first_failed_at - interval '4 days 23 hours'"
               " where attempts > 0 and tenant_id = {id}")
    client.sql("update depbroker.sync_due set wake = wake + 1, due_at = now() where tenant_id = {id}")
    before = SINK.requests[path]
    wait_until(lambda: SINK.requests[path] > before, "it is not probed")
    equal(WORLD.technician.get(path_of(client, dead))["disabled_at"], None, "before five days")
    client.sql("update depbroker.positions set next_try_at = now(), first_failed_at = first_failed_at - interval '2 hours'"
               " where attempts > 0 and tenant_id = {id}")
    client.sql("update depbroker.sync_due set wake = wake + 1, due_at = now() where tenant_id = {id}")
    shown = wait_until(lambda: (lambda each: each if each["disabled_at"] else None)(WORLD.technician.get(path_of(client, dead))),
                       "it is not given up", 90)
    equal("five days" in shown["disabled_reason"], True, "reason")

    def alerts():
        return [each for each in WORLD.technician.get("/alerts")["items"] if each["tenant"] == client.slug and each["kind"] == "endpoint.disabled"]
    wait_until(alerts, "nobody is told")
    equal(dead["id"] in alerts()[0]["detail"], True, "which one")
    del SINK.refuses[path]
    WORLD.technician.post(path_of(client, dead) + "/enable")
    wait_until(lambda: set(seqs(path)) == set(log_of(client, "instance_id is not null")), "not everything arrives", 60)
    equal(len(seqs(path)), len(set(seqs(path))), "once")
    wait_until(lambda: not alerts(), "the alert does not end")


@test
def an_event_that_is_refused_while_others_are_taken_is_parked_and_its_lane_goes_on():
    client = onboard()
    made, path = add_endpoint(client, "poisoned")
    serial = client.add(1)[0]
    SINK.refuses[path] = lambda body: 422 if body["data"]["serial_number"] == serial and body["type"] == "device.added" else None
    client.sync_now()
    position = f"select attempts from depbroker.positions where tenant_id = {{id}} and endpoint_id = {made['id']} and attempts > 0"
    wait_until(lambda: client.rows(position), "nothing fails")
    sync(client, 12)  # other lanes go on, and the endpoint takes what they bring
    wait_until(lambda: client.row(f"select succeeded_at from depbroker.endpoints where tenant_id = {{id}} and endpoint_id = {made['id']}")["succeeded_at"],
               "that it took others is not noted")
    client.sql(f"update depbroker.positions set next_try_at = now(), attempts = 9 where tenant_id = {{id}} and attempts > 0")
    client.sql("update depbroker.sync_due set wake = wake + 1, due_at = now() where tenant_id = {id}")
    parked = wait_until(lambda: WORLD.technician.get(path_of(client, made) + "/deliveries")["parked"], "it is not parked", 60)
    wait_until(lambda: set(seqs(path)) == set(log_of(client, "instance_id is not null")) - {parked[0]["seq"]}, "the lane does not go on", 60)
    equal((len(parked), parked[0]["attempts"], parked[0]["status"]), (1, 10, 422), "parked")
    equal(WORLD.technician.get(path_of(client, made))["disabled_at"], None, "disabled")
    answers = {item["answer"] for item in WORLD.technician.get(path_of(client, made) + "/deliveries")["items"] if item["status"] == 422}
    equal(answers, {"no  thanks? "}, "what it said")


def batched(path, first=0):
    """The events of each request."""
    return [body["data"]["events"] for body in SINK.events(path)[first:]]


def replay_all(client, made):
    """Of its instance's log, in one lane."""
    WORLD.until_equal(client)
    wait_until(lambda: client.pending() == 0, "something is pending", 60)
    wanted = log_of(client, "instance_id is not null")
    equal(WORLD.technician.post(path_of(client, made) + "/replay", {"from": "2020-01-01T00:00:00Z"})["events"], len(wanted), "ordered")
    return wanted


@test
def a_batch_has_consecutive_events_each_with_the_id_that_it_has_alone():
    client = onboard()
    made, path = add_endpoint(client, "batches", batch_size=5)
    _, alone = add_endpoint(client, "alone")
    equal(made["batch_size"], 5, "shown")
    sync(client, 9)
    wanted = replay_all(client, made)
    wait_until(lambda: sum(map(len, batched(path))) >= 2 * len(wanted), "not everything arrives", 60)
    ids = {json.loads(message.body)["data"]["seq"]: dict(message.headers)["webhook-id"] for message in SINK.messages[alone]}
    bodies = {json.loads(message.body)["data"]["seq"]: json.loads(message.body) for message in SINK.messages[alone]}
    last = collections.defaultdict(int)
    replayed = []
    for request in batched(path):
        for event in request:
            seq, serial = event["data"]["seq"], event["data"]["serial_number"]
            equal(event, {"id": ids[seq], **bodies[seq]}, "an event of a batch")
            if seq <= last[serial] and seq not in [each for each, _ in replayed]:
                replayed.append((seq, len(request)))
            last[serial] = max(last[serial], seq)
    equal(sorted(seq for seq, _ in replayed), wanted, "once more")
    equal(max(map(len, batched(path))), 5, "most events of a request")
    lengths = [len(request) for request in batched(path)][-(-(-len(wanted) // 5)):]
    equal(lengths, [5] * (len(wanted) // 5) + [len(wanted) % 5] * (len(wanted) % 5 > 0), "whole requests, in a row")
    for message in SINK.messages[path]:
        equal(signed_by(made["secret"], message), [True], "signed")
    equal(len({dict(message.headers)["webhook-id"] for message in SINK.messages[path]}), len({message.body for message in SINK.messages[path]}),
          "an id for each body")

    def attempts():
        return [item["events"] for item in WORLD.technician.get(path_of(client, made) + "/deliveries?limit=100")["items"]]
    wait_until(lambda: sum(attempts()) == 2 * len(wanted), lambda: f"attempts: {attempts()}")
    equal(WORLD.technician.call("PATCH", path_of(client, made), {"events": []})["batch_size"], 5, "it stays")
    equal(WORLD.technician.call("PATCH", path_of(client, made), {"batch_size": 1})["batch_size"], 1, "changed")
    for size in (0, 501, "5"):
        refused("bad_body", "PATCH", path_of(client, made), {"batch_size": size})
    WORLD.technician.post(path_of(client, made) + "/test")
    wait_until(lambda: SINK.events(path)[-1]["type"] == "ping", "an event is not as it is")


@test
def one_event_that_is_refused_takes_no_other_of_its_batch_with_it():
    client = onboard()
    made, path = add_endpoint(client, "one-bad", batch_size=500)
    serials = client.add(6)
    client.sync_now()
    wanted = replay_all(client, made)
    wait_until(lambda: sum(map(len, batched(path))) >= 2 * len(wanted), "not everything arrives", 60)
    bad = wanted[4]
    sizes = []

    def refuse(body):
        seqs_of_it = [event["data"]["seq"] for event in body["data"]["events"]]
        if bad in seqs_of_it:
            sizes.append(len(seqs_of_it))
            return 422
        return None
    SINK.refuses[path] = refuse
    first = len(SINK.events(path))
    replay_all(client, made)
    lane = "from depbroker.positions where tenant_id = {id} and lane = 8 and attempts > 0 and endpoint_id = " + made["id"]
    try_again = ("update depbroker.positions set next_try_at = now() where tenant_id = {id} and attempts > 0",
                 "update depbroker.sync_due set wake = wake + 1, due_at = now() where tenant_id = {id}")
    wait_until(lambda: client.rows("select 1 " + lane + " and single_until > 0"), "a batch is tried for ever", 60)
    for statement in try_again:
        client.sql(statement)
    wait_until(lambda: sizes[-1] == 1 and client.rows("select 1 " + lane), lambda: f"it is not sent alone: {sizes}", 60)
    equal(sizes, [len(wanted), len(wanted), 1], "requests with it")
    before = len(SINK.events(path))
    sync(client, 4)
    wait_until(lambda: len(SINK.events(path)) > before, "other lanes wait, too")
    wait_until(lambda: client.row(f"select succeeded_at from depbroker.endpoints where tenant_id = {{id}} and endpoint_id = {made['id']}")["succeeded_at"],
               "that it took others is not noted")
    client.sql("update depbroker.positions set attempts = 9 where tenant_id = {id} and attempts > 0")
    for statement in try_again:
        client.sql(statement)
    parked = wait_until(lambda: WORLD.technician.get(path_of(client, made) + "/deliveries")["parked"], "it is not parked", 60)
    equal([event["seq"] for event in parked], [bad], "parked")

    def again():
        return [event["data"]["seq"] for request in batched(path, first) for event in request if event["data"]["serial_number"] in serials]
    wait_until(lambda: len(again()) >= len(wanted) - 1, lambda: f"{again()} of {wanted}", 60)
    equal(again(), [seq for seq in wanted if seq != bad], "all others, once and in their order")


@test
def an_endpoint_that_asks_to_slow_down_is_left_alone_also_by_the_next_run():
    client = onboard()
    made, path = add_endpoint(client, "slow")
    SINK.refuses[path] = lambda body: 429
    sync(client, 1)
    shown = wait_until(lambda: WORLD.technician.get(path_of(client, made))["not_before"], "it is not noted")
    client.sql(f"update depbroker.endpoints set not_before = now() + interval '1 hour' where tenant_id = {{id}} and endpoint_id = {made['id']}")
    equal(bool(shown), True, "shown")
    client.sql("update depbroker.positions set next_try_at = now() where attempts > 0 and tenant_id = {id}")
    del SINK.refuses[path]
    before = SINK.requests[path]
    sync(client, 3)
    wait_until(lambda: len(client.received()) >= 4, "the other endpoint waits, too")
    equal(SINK.requests[path], before, "requests to the slow one")
    WORLD.technician.post(path_of(client, made) + "/enable")
    wait_until(lambda: set(seqs(path)) == set(log_of(client, "instance_id is not null")), "not everything arrives", 60)


@test
def what_was_delivered_comes_once_more_with_its_id_and_in_its_order():
    client = onboard()
    made, path = add_endpoint(client, "again")
    serials = client.add(4)
    client.sync_now()
    WORLD.until_equal(client)
    all_of_it = log_of(client, "instance_id is not null")
    wait_for(client, path, len(all_of_it))
    ids = {json.loads(message.body)["data"]["seq"]: dict(message.headers)["webhook-id"] for message in SINK.messages[path]}
    of_one = log_of(client, f"serial_number = '{serials[0]}'")
    before_all = client.row("select (min(at) - interval '1 second')::text as at from depbroker.events where tenant_id = {id}")["at"]
    before_all = before_all.replace(" ", "T") + ":00"
    for order, wanted in (({"seqs": all_of_it[:1]}, all_of_it[:1]), ({"serial_number": serials[0]}, of_one), ({"from": before_all}, all_of_it),
                          ({"from": before_all, "to": before_all}, []), ({"seqs": [max(all_of_it) + 1000]}, []), ({"parked": True}, [])):
        before = len(SINK.messages[path])
        equal(WORLD.technician.post(path_of(client, made) + "/replay", order)["events"], len(wanted), order)
        wait_for(client, path, before + len(wanted))
        again = SINK.messages[path][before:]
        equal([json.loads(message.body)["data"]["seq"] for message in again], wanted, order)
        equal([dict(message.headers)["webhook-id"] for message in again], [ids[seq] for seq in wanted], "ids")
    equal(client.inbox()["duplicates"], 0, "another endpoint gets nothing of it")
    wait_until(lambda: not client.rows("select seq from depbroker.resends where tenant_id = {id}"), "something waits to be sent once more")
    for wrong in ({}, {"to": before_all}, {"from": "x"}, {"parked": False}, {"parked": True, "seqs": [1]}, {"seqs": [0]}):
        refused("bad_body", "POST", path_of(client, made) + "/replay", wrong)
    client.sql(f"insert into depbroker.resends select tenant_id, endpoint_id, n + 1000000 from depbroker.endpoints, generate_series(1, 10000) n"
               f" where endpoint_id = {made['id']}")
    refused("replay_too_large", "POST", path_of(client, made) + "/replay", {"seqs": all_of_it[:1]})


@test
def what_came_since_the_last_failure_comes_once_more():
    client = onboard()
    made, path = add_endpoint(client, "was-down")
    at = path_of(client, made)
    replayed = lambda: WORLD.technician.post(at + "/replay", {"since": "failure"})["events"]  # noqa: E731
    client.add(3)
    client.sync_now()
    WORLD.until_equal(client)
    wait_for(client, path, len(log_of(client, "instance_id is not null")))
    equal(replayed(), 0, "nothing has failed")
    before = log_of(client)[-1]
    SINK.refuses[path] = lambda body: 503
    WORLD.technician.post(at + "/test")  # a ping tells nothing of events
    client.add(4)
    client.sync_now()
    wait_until(lambda: client.rows(f"select 1 from depbroker.attempts where tenant_id = {{id}} and endpoint_id = {made['id']} and status = 503 and seq > 0"),
               "nothing fails")
    del SINK.refuses[path]
    WORLD.technician.post(at + "/enable")
    wait_until(lambda: set(seqs(path)) == set(log_of(client, "instance_id is not null")), "not everything arrives", 60)
    WORLD.until_equal(client)
    wait_until(lambda: client.pending() == 0, "something is pending", 60)
    first = client.row(f"select min(seq) as seq from depbroker.attempts where tenant_id = {{id}} and endpoint_id = {made['id']} and status = 503 and seq > 0")
    wanted = log_of(client, f"instance_id is not null and seq >= {first['seq']}")
    ids = {json.loads(message.body)["data"]["seq"]: dict(message.headers)["webhook-id"] for message in SINK.messages[path]}
    count = len(SINK.messages[path])
    equal(first["seq"] > before, True, "what was taken before is not sent once more")
    equal(replayed(), len(wanted), "ordered")
    wait_for(client, path, count + len(wanted))
    again = SINK.messages[path][count:]
    equal([json.loads(message.body)["data"]["seq"] for message in again], wanted, "in their order")
    equal([dict(message.headers)["webhook-id"] for message in again], [ids[seq] for seq in wanted], "ids")
    audited = client.rows(f"select detail from depbroker.audit where action = 'endpoint.replay' and target = '{client.slug}' order by at")
    equal([json.loads(row["detail"]) if isinstance(row["detail"], str) else row["detail"] for row in audited],
          [{"endpoint": int(made["id"]), "by": "since"}] * 2, "audit")
    refused("bad_body", "POST", at + "/replay", {"since": "yesterday"})
    refused("bad_body", "POST", at + "/replay", {"since": "failure", "seqs": [1]})


@test
def whoever_replays_too_often_waits_and_others_do_not():
    client = onboard()
    (made, _), (other, _) = add_endpoint(client, "often"), add_endpoint(client, "seldom")
    order = {"seqs": [1]}
    for _ in range(10):
        WORLD.technician.post(path_of(client, made) + "/replay", order)
    peer = Peer("http://" + WORLD.broker.listen, 10)
    answer = peer.request("POST", f"/api/v1{path_of(client, made)}/replay", json.dumps(order).encode(),
                          [("Authorization", f"Bearer {WORLD.technician.key}"), ("Content-Type", "application/json")])
    peer.close()
    equal((answer.status, answer.headers.get("retry-after"), answer.json()["code"]), (429, "60", "too_many_requests"), "the eleventh")
    WORLD.technician.post(path_of(client, other) + "/replay", order)


@test
def a_ping_is_sent_once_whatever_is_answered():
    client = onboard()
    made, path = add_endpoint(client, "pinged", events=["device.removed"])
    WORLD.technician.post(path_of(client, made) + "/test")
    wait_for(client, path, 1)
    event = SINK.events(path)[0]
    equal((event["type"], event["data"]["tenant"]), ("ping", client.slug), "ping")
    equal(signed_by(made["secret"], SINK.messages[path][0]), [True], "signed")
    SINK.refuses[path] = lambda body: 500
    WORLD.technician.post(path_of(client, made) + "/test")

    def failed():
        return [item for item in WORLD.technician.get(path_of(client, made) + "/deliveries")["items"] if item["status"] == 500]
    wait_until(failed, "the attempt is not shown")
    equal(failed()[0]["seq"], 0, "seq")
    equal(client.rows("select seq from depbroker.resends where tenant_id = {id}"), [], "it waits to be sent again")


@test
def what_had_to_wait_behind_a_hanging_endpoint_is_no_failure_of_its_own():
    client = onboard()
    hanging = [add_endpoint(client, name) for name in ("hanging-1", "hanging-2")]  # their sixteen lanes are all that a client may have under way
    made, path = add_endpoint(client, "waiting")
    gate = threading.Event()
    for _, slow in hanging:
        SINK.refuses[slow] = lambda body: gate.wait(40) and None
    client.add(60)
    client.sync_now()

    def attempts(of):
        return client.rows(f"select status, error from depbroker.attempts where tenant_id = {{id}} and endpoint_id = {of['id']} and status not between 200 and 299")
    wait_until(lambda: all(attempts(each) for each, _ in hanging), "nothing hangs", 60)
    waited = client.rows(f"select lane from depbroker.positions where tenant_id = {{id}} and endpoint_id = {made['id']} and acked_seq < "
                         "(select max(seq) from depbroker.events where tenant_id = {id})")
    equal(bool(waited), True, "something of the other endpoint waits")
    equal({row["status"] for each, _ in hanging for row in attempts(each)}, {0}, "of the hanging ones")
    gate.set()
    wait_until(lambda: set(seqs(path)) == set(log_of(client, "instance_id is not null")), "not everything arrives", 90)
    equal(attempts(made), [], "failures of the one that had to wait")


@test
def a_replay_that_fails_is_tried_again():
    client = onboard()
    made, path = add_endpoint(client, "retried")
    sync(client, 1)
    WORLD.until_equal(client)
    wanted = log_of(client, "instance_id is not null")
    wait_for(client, path, len(wanted))
    SINK.refuses[path] = lambda body: 503
    WORLD.technician.post(path_of(client, made) + "/replay", {"seqs": wanted})
    wait_until(lambda: client.rows("select 1 from depbroker.positions where tenant_id = {id} and lane = 8 and attempts > 0"), "it does not fail")
    del SINK.refuses[path]
    wait_for(client, path, 2 * len(wanted), 30)
    equal(seqs(path), sorted(wanted + wanted), "the same events")


@test
def a_compromised_secret_is_not_used_by_a_run_that_is_under_way_either():
    client = onboard()
    made, path = add_endpoint(client, "compromised")
    sync(client, 40)
    first = len(replay_all(client, made))  # in one lane, of which 32 are read at a time
    wait_for(client, path, 2 * first, 90)
    gate = threading.Event()
    SINK.refuses[path] = lambda body: gate.wait(10) and None
    before, under_way = len(SINK.messages[path]), SINK.requests[path]
    replay_all(client, made)
    wait_until(lambda: SINK.requests[path] > under_way, "nothing is sent once more")
    last = WORLD.technician.post(path_of(client, made) + "/secret", {"overlap_s": 0})
    gate.set()
    wait_for(client, path, before + first, 60)
    messages = SINK.messages[path][before:]
    old = sum(signed_by(made["secret"], message) == [True] for message in messages)
    if not 1 <= old <= 32:  # what the lane had read when it was replaced
        raise AssertionError(f"{old} of {len(messages)} messages are signed with the former secret")
    equal([signed_by(last["secret"], message) for message in messages[old:]], [[True]] * (len(messages) - old), "the others")


@test
def what_no_hint_tells_of_is_found_before_the_next_events_are_sent():
    client = onboard()
    made, path = add_endpoint(client, "former")
    sync(client, 40)
    first = len(replay_all(client, made))
    wait_for(client, path, 2 * first, 90)
    gate = threading.Event()
    SINK.refuses[path] = lambda body: gate.wait(10) and None
    before, under_way = len(SINK.messages[path]), SINK.requests[path]
    replay_all(client, made)
    wait_until(lambda: SINK.requests[path] > under_way, "nothing is sent once more")
    # As the api process writes it, but for the word to the workers, which may be lost.
    client.sql(f"begin; update depbroker.sync_stream set config_version = config_version + 1 where tenant_id = {{id}};"
               f" update depbroker.endpoints set url = '{SINK.url}{path}-now' where tenant_id = {{id}} and endpoint_id = {made['id']}; commit")
    gate.set()
    wait_until(lambda: len(SINK.messages[path]) + len(SINK.messages[path + "-now"]) >= before + first, "not everything arrives", 60)
    equal(len(SINK.messages[path]) - before <= 32, True, f"{len(SINK.messages[path]) - before} of {first} events went to where the endpoint was")


def events_of(body):
    """As they would be alone."""
    if body["type"] != "batch":
        return [body]
    return [{name: value for name, value in event.items() if name != "id"} for event in body["data"]["events"]]


@test
def each_type_has_a_schema_that_its_example_and_all_that_was_sent_fit():
    items = WORLD.technician.get("/event-types")["items"]
    schemas = {item["type"]: item["schema"] for item in items}
    equal(len(schemas), len(items), "each once")
    for item in items:
        equal(list(complaints(item["example"], item["schema"])), [], item["type"])
        equal(item["example"]["type"], item["type"], "type of the example")
        others = [other for other, schema in schemas.items() if other != item["type"] and not list(complaints(item["example"], schema))]
        equal(others, [], "fits the schema of another type")
    client = onboard()
    for first in range(0, len(items), 8):  # every type can be asked for
        WORLD.technician.call("PATCH", path_of(client, WORLD.technician.get(client.path + "/endpoints")["items"][0]),
                              {"events": [item["type"] for item in items[first:first + 8]]})
    sent = [event for messages in SINK.messages.values() for message in messages for event in events_of(json.loads(message.body))]
    equal({event["type"] for event in sent} >= {"device.added", "device.assigned", "device.removed", "ping"}, True, "sent in these tests")
    for event in sent:
        equal(list(complaints(event, schemas[event["type"]])), [], event)


sys.exit(run_in(WORLD))
