#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# A parking profile: while a device is held it has the profile of an instance of its own kind, which passes every check and is no place to go to.
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import equal  # noqa: E402
from world import Failure, Problem, World, wait_until  # noqa: E402

DEVICES = 40


def refused(code, call):
    try:
        call()
    except Problem as problem:
        equal(problem.problem["code"], code, f"refused: {problem.problem}")
        return
    raise Failure(f"not refused as {code}")


def places_at_apple(world, client):
    """The first part of the host that each device's profile leads to; None: it has none."""
    devices = client.truth()["devices"]  # first: a profile that a device has is there
    urls = {profile["profile_uuid"]: profile["url"] for profile in world.apple.get(f"/tenants/{client.apple}/profiles")["profiles"]}
    return {device["serial_number"]: urls[device["profile_uuid"]].split("/")[2].split(".")[0] if device.get("profile_uuid") else None
            for device in devices}


def until_at_apple(world, client, serials, place):
    wait_until(lambda: {places_at_apple(world, client)[serial] for serial in serials} == {place},
               lambda: f"not all are at {place}: {places_at_apple(world, client)}", 40)


def hold(world, client, serials):
    asked = world.technician.post(f"{client.path}/pins", {"serial_numbers": serials, "hold": "stock"})
    if "expires_at" in asked:
        world.operator.post(f"/approvals/{asked['id']}/approve")


def park_in(world, client, name):
    return world.technician.call("PUT", f"{client.path}/profile", {"layer": {}, "parking": name})


def add_lobby(world, client):
    body = {"name": "lobby", "kind": "parking", "enrolment_url": f"https://lobby.{client.slug}.example/enrol", "allowed_hosts": ["elsewhere.example"]}
    refused("url_not_allowed", lambda: world.technician.post(f"{client.path}/instances", body))
    world.technician.post(f"{client.path}/instances", body | {"allowed_hosts": [f"lobby.{client.slug}.example"]})
    refused("url_not_allowed", lambda: world.technician.call("PUT", f"{client.path}/instances/lobby/profile", {
        "layer": {"configuration_web_url": "https://elsewhere.example/enrol"}}))


def check_no_way_leads_there(world, client, serial):
    refused("rules_invalid", lambda: world.technician.call("PUT", f"{client.path}/rules", {"rules": [], "otherwise": {"instance": "lobby"}}))
    refused("instance_retired", lambda: world.technician.call("PUT", f"{client.path}/devices/{serial}/pin", {"instance": "lobby"}))
    refused("instance_retired", lambda: world.technician.post(f"{client.path}/jobs", {"kind": "assign", "instance": "lobby", "rows": [serial]}))
    refused("instance_not_found", lambda: world.technician.call("PUT", f"{client.path}/expected", f"serial,instance\n{serial},lobby\n".encode()))
    refused("instance_retired", lambda: world.technician.call("PATCH", f"{client.path}/instances/main", {"state": "retired", "target": "lobby"}))
    refused("bad_body", lambda: park_in(world, client, "main"))
    refused("instance_not_found", lambda: park_in(world, client, "nowhere"))


def check_parked(world, client, serial, before_seq):
    def show():
        return world.technician.get(f"{client.path}/devices/{serial}")

    wait_until(lambda: show()["profile"]["observed"]["profile_uuid"] == show()["profile"]["wanted"]["profile_uuid"], "what Apple shows is not stored", 30)
    shown = show()
    equal((shown["instance"], shown["held"], shown["status"]["state"], shown["hold_reason"]), (None, True, "held", "stock"), "it is held, and nowhere")
    equal(shown["profile"]["parking"], "lobby", "explained")
    row = client.row("select devices, assigned, held from depbroker.tenant_status where tenant_id = {id}")
    equal((row["assigned"], row["held"]), (row["devices"] - 1, 1), "counted as held, and not as assigned")
    told = {event["type"] for event in client.events() if event["serial_number"] == serial and event.get("instance_id") and event["seq"] > before_seq}
    equal(told - {3}, set(), "no instance is told but the one that loses it")


def check_it_stays_while_it_is_in_use(world, client):
    retire = {"state": "retired"}
    refused("instance_has_devices", lambda: world.technician.call("PATCH", f"{client.path}/instances/lobby", retire))
    refused("bad_body", lambda: world.technician.call("PATCH", f"{client.path}/instances/lobby", retire | {"target": "main"}))
    refused("bad_body", lambda: world.technician.post(f"{client.path}/jobs", {"kind": "retire", "instance": "main", "filter": {"instance": "lobby"}}))


def check(world):
    client = world.onboard(devices=DEVICES, interval_s=1)
    serials = sorted(device["serial_number"] for device in client.truth()["devices"])
    until_at_apple(world, client, serials, "mdm")
    world.until_equal(client)
    add_lobby(world, client)
    check_no_way_leads_there(world, client, serials[0])
    # Without one, what is held keeps what it had.
    before_seq = client.stream()["event_seq"]
    hold(world, client, serials[:1])
    wait_until(lambda: world.technician.get(f"{client.path}/devices/{serials[0]}")["held"], "it is not held", 30)
    equal(places_at_apple(world, client)[serials[0]], "mdm", "its profile")
    equal(park_in(world, client, "lobby")["parking"], "lobby", "in use")
    until_at_apple(world, client, serials[:1], "lobby")
    until_at_apple(world, client, serials[1:], "mdm")
    client.sync_now("full")
    wait_until(lambda: client.row("select assigned from depbroker.tenant_status where tenant_id = {id}")["assigned"] == DEVICES - 1, "not counted", 30)
    check_parked(world, client, serials[0], before_seq)
    # Its release replaces it.
    world.technician.call("PUT", f"{client.path}/devices/{serials[0]}/pin", {"instance": "main"})
    until_at_apple(world, client, serials, "mdm")
    equal(world.technician.get(f"{client.path}/devices/{serials[0]}")["profile"]["parking"], None, "not parked any more")
    check_it_stays_while_it_is_in_use(world, client)
    # Whatever changes it is a change of the profiles of all that are held.
    hold(world, client, serials[:30])
    until_at_apple(world, client, serials[:30], "lobby")
    for method, path, body in (("PUT", "/instances/lobby/profile", {"layer": {"department": "stock"}}), ("PUT", "/profile", {"layer": {}, "parking": None})):
        asked = world.technician.call(method, client.path + path, body)
        equal((asked["state"], asked["changes"]), ("pending", 30), f"{method} {path}")
        listed = world.operator.get(f"/approvals/{asked['id']}/devices?limit=1000")["items"]
        equal({device["serial_number"] for device in listed}, set(serials[:30]), "its devices")
    world.operator.post(f"/approvals/{asked['id']}/approve")
    equal(world.technician.get(f"{client.path}/profile")["parking"], None, "out of use")
    client.add(1)
    hold(world, client, serials[30:31])
    wait_until(lambda: world.technician.get(f"{client.path}/devices/{serials[30]}")["held"], "it is not held", 30)
    equal(places_at_apple(world, client)[serials[30]], "mdm", "nothing is parked any more")
    equal(world.technician.call("PATCH", f"{client.path}/instances/lobby", {"state": "retired"})["state"], "retired", "out of use, it is retired")
    world.check_log(client)
    world.check_ledger(client)


def main():
    with World(workers=1) as world:
        check(world)
    print("ok", flush=True)


main()
