#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Endpoints of the format nanodep: one request for each page of changes, as NanoDEP's depsyncer sends it, of what the endpoint may see.
import base64
import collections
import hashlib
import hmac
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import equal, test  # noqa: E402
from sink import Sink  # noqa: E402
from world import Problem, World, run_in, wait_until  # noqa: E402

WORLD = World(workers=2)
SINK = Sink()
TOLD = "type between 1 and 4"
READ_AT_A_TIME = 1000  # events


def onboard(**how):
    client = WORLD.onboard(devices=0, **how)
    wait_until(lambda: client.stream()["synced_at"], "no sync", 60)
    return client


def add_endpoint(client, name, instance="main", **members):
    path = f"/{client.slug}/{name}"
    made = WORLD.technician.post(client.path + "/endpoints", {"instance": instance, "url": SINK.url + path, "format": "nanodep", **members})
    return made, path


def path_of(client, made):
    return f"{client.path}/endpoints/{made['id']}"


def refused(*request):
    try:
        WORLD.technician.call(*request)
    except Problem as problem:
        equal(problem.problem.get("code"), "bad_body", request)
        return
    raise AssertionError(f"{request} is taken")


def pages(path):
    return [body["device_response_event"]["device_response"] for body in SINK.events(path)]


def operations(path):
    """What the receiver has heard of each device, in its order."""
    heard = collections.defaultdict(list)
    for page in pages(path):
        for device in page.get("devices", []):
            heard[device["serial_number"]].append(device.get("op_type"))
    return heard


def log_by_pages(client, where=TOLD):
    """The events of each write, as the ledger has them: cursor -> serial numbers."""
    rows = client.rows(f"select e.serial_number, (select min(l.event_seq) from depbroker.page_ledger l where l.tenant_id = {{id}}"
                       f" and l.event_seq >= e.seq) as page from depbroker.events e where e.tenant_id = {{id}} and {where} order by e.seq")
    found = collections.defaultdict(list)
    for row in rows:
        found[f"1-{row['page']}"].append(row["serial_number"])
    return dict(found)


def heard_by_pages(path):
    return {page["cursor"]: [device["serial_number"] for device in page["devices"]] for page in pages(path)}


def until_assigned(client, count):
    wait_until(lambda: client.row("select count(*) as n from depbroker.events where tenant_id = {id} and type = 4")["n"] >= count, "not assigned", 120)


def until_heard(client, path, where=TOLD, seconds=60):
    """Each page of the log in a request of its own."""
    def is_heard():
        requests = pages(path)
        heard = {page["cursor"]: [device["serial_number"] for device in page["devices"]] for page in requests}
        return len(requests) == len(heard) and heard == log_by_pages(client, where)

    wait_until(is_heard, lambda: f"heard {heard_by_pages(path)} in {len(pages(path))} requests, not {log_by_pages(client, where)}", seconds)


@test
def each_page_of_changes_is_one_signed_request_as_depsyncer_sends_it():
    client = onboard()
    made, path = add_endpoint(client, "mdm")
    equal((made["format"], made["batch_size"]), ("nanodep", 1), "shown")
    serials = client.add(30)
    client.sync_now()
    until_assigned(client, 30)
    until_heard(client, path)
    client.change(serials[0], description="<Zürich> & 日本")
    client.remove(serials[1])
    client.sync_now()
    wait_until(lambda: operations(path)[serials[1]][-1:] == ["deleted"] and "modified" in operations(path)[serials[0]], "not told")
    until_heard(client, path)
    equal(max(len(page["devices"]) for page in pages(path)), 30, "devices of the page")
    for serial in serials[2:]:
        equal((operations(path)[serial][0], set(operations(path)[serial][1:])), ("added", {"modified"}), serial)
    key = base64.b64decode(made["secret"].removeprefix("whsec_"))
    for message in SINK.messages[path]:
        headers, body = dict(message.headers), json.loads(message.body)
        equal(headers["content-type"], "application/json", "content type")
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + message.body
        equal(headers["webhook-signature"], "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode(), "signature")
        equal(list(body), ["topic", "event_id", "created_at", "device_response_event"], "members")
        equal((body["topic"], body["event_id"], body["device_response_event"]["dep_name"]), ("dep.SyncDevices", "", client.slug), "head")
        equal(list(body["device_response_event"]["device_response"]), ["cursor", "devices", "fetched_until", "more_to_follow"], "members")
        equal(body["device_response_event"]["device_response"]["more_to_follow"], False, "more")
        equal(message.body, go_encoded(body), "bytes")
    changed = [device for page in pages(path) for device in page["devices"] if device.get("description") == "<Zürich> & 日本"]
    equal({device["serial_number"] for device in changed}, {serials[0]}, "the changed one")


def go_encoded(body):
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


@test
def what_a_complete_list_brings_is_a_fetch_and_what_it_lacks_a_deletion():
    client = onboard(interval_s=86400)  # so that changes are not asked for before the list is
    _, path = add_endpoint(client, "mdm", events=["device.added", "device.removed"])
    gone = client.add(1)[0]
    client.sync_now()
    until_assigned(client, 1)
    until_heard(client, path, "type in (1, 3)")
    first = len(pages(path))
    serials = client.add(3)
    client.remove(gone)
    client.sync_now("full")
    wait_until(lambda: len(pages(path)) >= first + 2, "no pages of the list", 60)
    until_heard(client, path, "type in (1, 3)")
    listed, left = SINK.events(path)[first:]
    equal([body["topic"] for body in (listed, left)], ["dep.FetchDevices", "dep.SyncDevices"], "topics")
    devices = listed["device_response_event"]["device_response"]["devices"]
    equal({device["serial_number"] for device in devices}, set(serials), "devices of the list")
    equal([set(device) & {"op_type", "op_date"} for device in devices], [set()] * 3, "operations in a list")
    equal(operations(path)[gone], ["added", "deleted"], "the one that is not listed")


@test
def an_endpoint_hears_of_its_own_instance_only_and_the_tenants_of_all():
    client = onboard()
    WORLD.technician.post(f"{client.path}/instances", {
        "name": "school", "kind": "fleet", "enrolment_url": f"https://school.{client.slug}.example/",
        "allowed_hosts": [f"school.{client.slug}.example"]})
    (_, main), (_, school), (_, everything) = add_endpoint(client, "main"), add_endpoint(client, "school", "school"), add_endpoint(client, "all", None)
    serials = client.add(4)
    client.sync_now()
    until_assigned(client, 4)
    WORLD.technician.call("PUT", f"{client.path}/devices/{serials[0]}/pin", {"instance": "school"})
    until_assigned(client, 5)
    for path, name in ((main, "main"), (school, "school")):
        until_heard(client, path, f"{TOLD} and instance_id = (select instance_id from depbroker.instances i where i.tenant_id = {{id}} and name = '{name}')")
    until_heard(client, everything)
    equal(set(operations(school)), {serials[0]}, "what the other instance heard of")
    equal([operation for operation in operations(main)[serials[0]] if operation != "modified"], ["added", "deleted"], "where it was")
    moved = [page for page in pages(everything) if [device.get("op_type") for device in page["devices"]] == ["deleted", "added"]]
    equal(len(moved), 1, "the tenant's endpoint hears of the move in one page")
    equal(WORLD.technician.post(path_of(client, {"id": endpoint_of(client, everything)}) + "/replay", {"serial_number": serials[1]})["events"] > 0, True,
          "sent once more")
    wait_until(lambda: len(pages(everything)) > len(log_by_pages(client)), "nothing is sent once more")


def endpoint_of(client, path):
    return [item["id"] for item in WORLD.technician.get(client.path + "/endpoints")["items"] if item["url"] == SINK.url + path][0]


@test
def pages_stay_whole_when_more_waits_than_is_read_at_a_time():
    client = onboard()
    made, path = add_endpoint(client, "behind", events=["device.added"])
    client.sql(f"update depbroker.endpoints set disabled_at = now(), disabled_reason = 'test' where tenant_id = {{id}} and endpoint_id = {made['id']}")
    for count in (650, 1300, 1950):
        client.add(650)
        client.sync_now()
        until_assigned(client, count)
    wanted = log_by_pages(client, "type = 1")
    ends = client.rows("select min(e.seq) as first, max(e.seq) as last from depbroker.events e where e.tenant_id = {id} and type = 1 group by"
                       " (select min(l.event_seq) from depbroker.page_ledger l where l.tenant_id = {id} and l.event_seq >= e.seq)")
    equal(any((page["first"] - 1) // READ_AT_A_TIME != (page["last"] - 1) // READ_AT_A_TIME for page in ends), True, f"a page in two readings: {ends}")
    WORLD.technician.post(path_of(client, made) + "/enable")
    wait_until(lambda: len(pages(path)) >= len(wanted), "not everything arrives", 60)
    equal(heard_by_pages(path), wanted, "pages")
    equal(len(pages(path)), len(wanted), "a request for each of them")
    equal(sorted(map(len, wanted.values()))[-1] > 500, True, "pages of many devices")
    before = len(pages(path))
    equal(WORLD.technician.post(path_of(client, made) + "/replay", {"from": "2020-01-01T00:00:00Z"})["events"] >= 1950, True, "sent once more")
    wait_until(lambda: len(pages(path)) >= before + len(wanted), "not everything arrives once more", 60)
    again = collections.defaultdict(list)
    for page in pages(path)[before:]:
        again[page["cursor"]] += [device["serial_number"] for device in page["devices"]]
    equal(dict(again), wanted, "the same pages")


@test
def a_page_that_is_refused_comes_again_and_then_device_by_device():
    client = onboard()
    made, path = add_endpoint(client, "picky", events=["device.added"])
    requests = []

    def refuse(body):
        serials = [device["serial_number"] for device in body["device_response_event"]["device_response"]["devices"]]
        requests.append(serials)
        return 500 if bad() in serials else None
    serials = []

    def bad():
        return sorted(serials or ["none yet"])[0] if serials else requests[0][0]
    SINK.refuses[path] = refuse
    serials += client.add(5)
    client.sync_now()
    wait_until(lambda: len(requests) >= 2, "it does not come again", 60)
    equal(requests[0], requests[1], "the same page")
    equal(len(requests[0]), 5, "all of it")
    wait_until(lambda: client.rows("select 1 from depbroker.positions where tenant_id = {id} and single_until > 0"), "it is tried for ever")
    del SINK.refuses[path]
    client.try_again_now()
    wait_until(lambda: set(operations(path)) == set(serials), lambda: f"{operations(path)} of {serials}", 60)
    equal([len(page["devices"]) for page in pages(path)], [1] * 5, "one by one")
    equal([len({row["acked_seq"] for row in client.rows(f"select acked_seq from depbroker.positions where tenant_id = {{id}} and endpoint_id = {made['id']}"
                                                        " and lane < 8")})], [1], "positions of the lanes, which move together")


@test
def a_ping_is_a_page_without_devices_and_other_bodies_are_refused():
    client = onboard()
    made, path = add_endpoint(client, "pinged")
    WORLD.technician.post(path_of(client, made) + "/test")
    wait_until(lambda: SINK.events(path), "no ping")
    body = SINK.events(path)[0]
    equal((body["topic"], body["event_id"]), ("dep.SyncDevices", ""), "head")
    equal(set(body["device_response_event"]["device_response"]), {"cursor", "fetched_until", "more_to_follow"}, "members")
    url = SINK.url + "/more"
    for wrong in ({"format": "nanomdm"}, {"format": "nanodep", "batch_size": 2}, {"format": 1}):
        refused("POST", client.path + "/endpoints", {"instance": "main", "url": url, **wrong})
    refused("PATCH", path_of(client, made), {"batch_size": 2})
    refused("PATCH", path_of(client, made), {"format": "native"})
    equal(WORLD.technician.call("PATCH", path_of(client, made), {"events": ["device.added"]})["format"], "nanodep", "it stays")
    equal(WORLD.technician.post(client.path + "/endpoints", {"instance": "main", "url": url})["format"], "native", "when nothing is said")


sys.exit(run_in(WORLD))
