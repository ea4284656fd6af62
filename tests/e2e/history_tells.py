#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# What became of each device, and why: its history with old and new values, what it was at any time, why it is gone, which device came in its
# place, and the records of Apple's that nobody could read.
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import Peer  # noqa: E402
from world import Failure, Problem, World, wait_until  # noqa: E402


def equal(found, expected, what):
    if found != expected:
        raise Failure(f"{what}: {found!r}, not {expected!r}")


def device(world, client, serial, query=""):
    return world.technician.get(f"{client.path}/devices/{serial}{query}")


def history(world, client, serial):
    items, after = [], 0
    while True:
        page = world.technician.get(f"{client.path}/devices/{serial}/history?limit=2&after={after}")
        items += page["items"]
        after = page["after"]
        if not page["more"]:
            return items


def now(world):
    return world.rows("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as t")[0]["t"]


def full_fetch(client):
    before = client.stream()["fetch_completed_at"]
    client.sync_now("full")
    wait_until(lambda: client.stream()["fetch_completed_at"] != before, "no full fetch is complete")


def photograph(world, client, album):
    """All devices as the API shows them, and when: nothing happens meanwhile."""
    world.until_equal(client)
    shown = world.technician.get(f"{client.path}/devices?gone=true&limit=1000")["items"]
    album.append((now(world), {item["serial_number"]: item for item in shown}))


def check_album(world, client, album):
    for moment, shown in album:
        then = world.technician.get(f"{client.path}/devices?gone=true&limit=1000&as_of={moment}")["items"]
        equal({item["serial_number"] for item in then}, set(shown), f"devices as of {moment}")
        present = world.technician.get(f"{client.path}/devices?limit=1000&as_of={moment}")["items"]
        equal({item["serial_number"] for item in present},
              {serial for serial, item in shown.items() if item["gone_at"] is None}, f"devices that were present at {moment}")
        for item in then:
            now_then = shown[item["serial_number"]]
            for member in ("instance", "held", "gone_reason", "device"):
                equal(item[member], now_then[member], f"{member} of {item['serial_number']} as of {moment}")
            equal(item["gone"], now_then["gone_at"] is not None, f"gone, as of {moment}")
            equal(device(world, client, item["serial_number"], f"?as_of={moment}"), item, f"one and many as of {moment}")


def check_moments(world, client):
    """At the time of each event the device is what the last event of that time says, and before the first one it is not known."""
    for serial in [row["serial_number"] for row in client.rows("select distinct serial_number from depbroker.events where tenant_id = {id}")]:
        items = [item for item in history(world, client, serial) if item["type"] != "device.replaced"]
        for item in items:
            last = [other for other in items if other["at"] <= item["at"]][-1]
            then = device(world, client, serial, f"?as_of={item['at']}")
            equal((then["seq"], then["device"], then["gone"]), (last["seq"], last["device"], last["type"] == "device.removed"),
                  f"{serial} at the time of event {item['seq']}")
    first = world.rows(f"select to_char(min(at) - interval '1 us', 'YYYY-MM-DD\"T\"HH24:MI:SS.USOF') as t from depbroker.events"
                       f" where tenant_id = {client.id}")[0]["t"].replace("+00", "Z")
    equal(world.technician.get(f"{client.path}/devices?as_of={first}")["items"], [], "devices before the first event")


def check_history(world):
    client = world.onboard(devices=4, interval_s=1)
    album = []
    photograph(world, client, album)
    kept, deleted, lost, replaced = sorted(client.stored())
    client.change(kept, asset_tag="A-17")
    wait_until(lambda: device(world, client, kept)["device"].get("asset_tag") == "A-17", "the change does not arrive")
    photograph(world, client, album)
    equal(history(world, client, kept)[-1]["changes"], {"asset_tag": [None, "A-17"]}, "what changed")
    client.change(kept, asset_tag="A-18", imei=["350000000000001"])
    wait_until(lambda: device(world, client, kept)["device"].get("asset_tag") == "A-18", "the change does not arrive")
    changes = history(world, client, kept)[-1]["changes"]
    equal((changes["asset_tag"], changes["imei"][1]), (["A-17", "A-18"], ["350000000000001"]), "what changed")
    client.remove(deleted)
    wait_until(lambda: device(world, client, deleted)["gone_reason"] == "deleted", "the deletion does not arrive")
    client.remove(lost, "?quiet=1")
    full_fetch(client)
    wait_until(lambda: device(world, client, lost)["gone_reason"] == "unlisted", "the removal is not found")
    photograph(world, client, album)
    for serial in (deleted, lost):
        shown = device(world, client, serial)
        told = [item for item in history(world, client, serial) if item["seq"] == shown["gone_seq"]][0]
        equal((told["type"], told["reason"], told["at"]), ("device.removed", shown["gone_reason"], shown["gone_at"]), "the event of the tombstone")
        equal(told["changes"]["gone_reason"], [None, shown["gone_reason"]], "what the event changed")
    world.apple.post(f"/tenants/{client.apple}/devices", {"devices": [deleted]})
    wait_until(lambda: device(world, client, deleted)["gone_at"] is None, "the device does not come back")
    photograph(world, client, album)
    check_replacement(world, client, replaced)
    photograph(world, client, album)
    check_parked(world, client)
    photograph(world, client, album)
    check_album(world, client, album)
    check_moments(world, client)
    refused(world, f"{client.path}/devices?as_of=yesterday")
    refused(world, f"{client.path}/devices/{kept}?as_of=2999-01-01T00:00:00Z")
    world.check_laws(client)


def refused(world, path):
    try:
        world.technician.get(path)
    except Problem as problem:
        equal((problem.status, problem.problem["code"]), (400, "bad_parameter"), path)
        return
    raise Failure(f"{path} is accepted")


def check_replacement(world, client, replaced):
    client.fail_apple(endpoint="/device/replacementDetails", status=404, body="DEVICE_NOT_FOUND", times=1)
    fresh = world.apple.post(f"/tenants/{client.apple}/devices/{replaced}/replace")["serial_number"]
    shown = wait_until(lambda: fresh in client.stored() and device(world, client, fresh)["replaces"], "the replacement does not arrive")
    shown = wait_until(lambda: device(world, client, fresh)["replaces"]["apple_word"] and device(world, client, fresh), "Apple is not asked")
    equal((shown["replaces"]["serial_number"], shown["replaces"]["apple_word"]), (None, "DEVICE_NOT_FOUND"), "after a refusal")
    client.sql("update depbroker.replacements set ask_at = now() where tenant_id = {id};"
               "update depbroker.sync_stream set replacement_due_at = now() where tenant_id = {id}")  # a day later
    shown = wait_until(lambda: device(world, client, fresh)["replaces"]["serial_number"] and device(world, client, fresh), "Apple is not asked again", 30)
    equal(shown["replaces"]["serial_number"], replaced, "what it replaces")
    equal((shown["replaces"]["ask_at"], len(shown["replaces"]["date"]), shown["replaced_by"]), (None, 10, None), "the replacement")
    told = [item for item in history(world, client, fresh) if item["type"] == "device.replaced"]
    equal([item["changes"] for item in told], [{"original_device_serial_number": [None, replaced]}], "events of the replacement")
    equal((told[0]["instance"], told[0]["device"]["original_device_serial_number"]), ("main", replaced), "what the instance is told")
    old = wait_until(lambda: device(world, client, replaced)["gone_at"] and device(world, client, replaced), "the old device is still there")
    equal((old["gone_reason"], old["replaced_by"]["serial_number"], old["replaces"]), ("replaced", fresh, None), "the old device")
    asked = [request for request in world.apple.get(f"/requests?tenant={client.apple}")["requests"]
             if "replacementDetails" in json.dumps(request)]
    equal(len(asked), 2, "questions to Apple")


def check_parked(world, client):
    parked = f"{client.path}/sync/parked"
    equal(world.technician.get(parked)["items"], [], "parked records")
    spoiled = {"serial_number": "NO GOOD", "model": "x" * 3000, "imei": ["1"]}
    good = dict(device(world, client, sorted(client.stored())[0])["device"], op_type="modified", op_date="2026-01-01T00:00:00Z")
    cursor = client.stream()["cursor"]
    client.fail_apple(endpoint="/devices/sync", status=200, times=2, content_type="application/json;charset=UTF8",
                      body=json.dumps({"devices": [spoiled, good, spoiled], "cursor": cursor, "more_to_follow": False}))
    wait_until(lambda: world.technician.get(f"{client.path}/sync")["parked_records"] >= 4, "nothing is parked")
    items = world.technician.get(parked)["items"]
    equal([(item["serial_number"], item["times"], item["why"]) for item in items],
          [("NO GOOD", 4, "its serial number has blanks or control characters")], "parked records")
    if not items[0]["record"].startswith('{"serial_number":"NO GOOD","model":"xxx') or len(items[0]["record"]) != 2000:
        raise Failure(f"parked record {items[0]['record']!r}")
    peer = Peer("http://" + world.broker.admin_listen)
    equal(f'depbroker_records_parked_total{{tenant="{client.slug}"}} 4' in peer.request("GET", "/metrics").text, True, "metric")
    peer.close()


def check_older_protocol(world):
    """Below version 10 there are no replacements, and nobody asks for them."""
    client = world.onboard(devices=1, interval_s=1)
    world.until_equal(client)
    world.technician.call("PATCH", client.path, {"protocol_version": 9})
    fresh = world.apple.post(f"/tenants/{client.apple}/devices/{sorted(client.stored())[0]}/replace")["serial_number"]
    wait_until(lambda: fresh in client.stored(), "the replacement does not arrive")
    world.until_equal(client)
    equal(device(world, client, fresh)["replaces"], None, "what it replaces")
    equal(client.rows("select 1 from depbroker.replacements where tenant_id = {id}"), [], "replacements")


def main():
    with World(workers=2) as world:
        check_history(world)
        check_older_protocol(world)
    print("ok", flush=True)


main()
