#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Why a device is where it is, over all clients that the key may see and without a word about the others; what two clients list, or nobody
# expects, is held until a person, Apple's dates, or the other client's list decide; a replacement goes where the device before it went.
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import Peer  # noqa: E402
from world import Api, Failure, Problem, World, run, wait_until  # noqa: E402

LONG_AGO = "2019-05-01T08:00:00Z"
TO_COME = "2099-05-01T08:00:00Z"


def equal(found, expected, what):
    if found != expected:
        raise Failure(f"{what}: {found!r}, not {expected!r}")


def key_for(world, *slugs):
    arguments = [word for slug in slugs for word in ("--tenant", slug)]
    key = run([world.broker.program, "admin", "create-key", "--role", "viewer", *arguments], env=world.broker.environment).strip()
    return Api(world.broker.listen, key)


def device(world, client, serial):
    return world.technician.get(f"{client.path}/devices/{serial}")


def refusal(key, path):
    try:
        key.get(path)
    except Problem as problem:
        return {name: value for name, value in problem.problem.items() if name not in ("trace_id", "instance", "request_id")}
    raise Failure(f"GET {path} is answered")


def open_alert(world, client, kind="device.held"):
    alerts = [alert for alert in world.technician.get("/alerts?limit=1000")["items"] if alert["tenant"] == client.slug and alert["kind"] == kind]
    return alerts[0] if alerts else None


def is_assigned(client, serial):
    return next((item for item in client.truth()["devices"] if item["serial_number"] == serial), {}).get("profile_uuid")


def until_state(world, client, serial, state):
    def now():
        return client.rows(f"select 1 from depbroker.devices where tenant_id = {client.id} and serial_number = '{serial}'") and \
            device(world, client, serial)["status"]["state"]
    wait_until(lambda: now() == state, lambda: f"{serial} of {client.slug} is {now()!r}, not {state!r}", 40)


def move(world, serial, older, newer, date):
    """As when a device goes to another organisation, and the one that had it has not heard of it."""
    older.change(serial, device_assigned_date=date, quiet=True)
    world.apple.post(f"/tenants/{older.apple}/devices/{serial}/move", {"to": newer.apple, "quiet_from": True})


# --- explained ---


def check_explained(world, client):
    serials = sorted(client.stored())
    world.technician.call("PUT", f"{client.path}/rules", {"rules": [
        {"name": "Never", "when": {"model": ["Apple II"]}, "then": {"hold": "museum"}},
        {"name": "One", "when": {"serial": [serials[0]]}, "then": {"instance": "main", "profile": {"department": "Library"}}},
    ], "otherwise": {"instance": "main"}})
    wait_until(lambda: device(world, client, serials[0])["rule"] == "one", "the rules do not decide", 30)
    wait_until(lambda: device(world, client, serials[0])["profile"]["observed"]["profile_uuid"] ==
               device(world, client, serials[0])["profile"]["wanted"]["profile_uuid"], "wanted and observed do not become the same", 30)
    shown = device(world, client, serials[0])
    why = shown["explanation"]
    equal((why["rules_version"], why["decision"]["decided_by"], why["decision"]["rule"], why["decision"]["instance"]),
          (2, "rule", "one", "main"), "what decided")
    equal([(rule["id"], rule["matched"]) for rule in why["decision"]["rules"]], [("never", False), ("one", True)], "each rule until then")
    never = why["decision"]["rules"][0]["conditions"][0]
    equal((never["condition"], never["wanted"], never["seen"], never["matched"]), ("model", ["Apple II"], shown["device"].get("model"), False),
          "why the first did not match")
    other = device(world, client, serials[1])
    equal(other["explanation"]["decision"]["decided_by"], "otherwise", "what decided about another")
    if other["profile"]["wanted"]["profile_uuid"] == shown["profile"]["wanted"]["profile_uuid"]:
        raise Failure("the rule's override makes no other profile")
    equal(other["profile"]["wanted"]["profile_uuid"], is_assigned(client, serials[1]), "the wanted profile is Apple's")


def check_states(world, client):
    serials = sorted(client.stored())
    wait_until(lambda: len(world.technician.get(f"{client.path}/devices?state=assigned")["items"]) == len(serials), "not all are assigned", 30)
    client.change(serials[2], profile_status="pushed")
    until_state(world, client, serials[2], "pushed")
    assigned = world.technician.get(f"{client.path}/devices?state=assigned")["items"]
    equal({item["serial_number"] for item in assigned}, set(serials) - {serials[2]}, "those that wait for their enrolment")
    for item in assigned:
        equal((item["status"]["who"], item["status"]["since"] is not None), ("user", True), "who must act")
    equal(world.technician.get(f"{client.path}/devices?state=assigned&since_until={LONG_AGO}")["items"], [], "those that have waited for years")
    equal(world.technician.get(f"{client.path}/devices?state=assigned&since_until={TO_COME}")["items"], assigned, "those that wait since any time")
    equal(refusal(world.technician, f"{client.path}/devices?state=lost")["code"], "bad_parameter", "there is no such state")


def metrics(world):
    peer = Peer("http://" + world.broker.admin_listen)
    text = peer.request("GET", "/metrics").text
    peer.close()
    return text


def check_lag(world, client):
    lag = client.row("select assign_lag_ms from depbroker.tenant_status where tenant_id = {id}")["assign_lag_ms"]
    if not 0 < lag < 30000:
        raise Failure(f"devices waited {lag} ms for their first profile")
    text = metrics(world)
    equal(f'depbroker_assign_lag_seconds{{tenant="{client.slug}"}} {lag // 1000}.{lag % 1000:03}' in text, True, "the metric")


# --- what two clients list ---


def check_held_and_walls(world, older, newer, stranger, serial):
    move(world, serial, older, newer, LONG_AGO)
    until_state(world, newer, serial, "held")
    shown = device(world, newer, serial)
    equal((shown["instance"], shown["explanation"]["decision"]["decided_by"]), (None, "guard"), "the newer one's is held by the guard")
    equal(is_assigned(newer, serial), None, "and gets no profile")
    equal((device(world, older, serial)["instance"], device(world, older, serial)["held"]), ("main", False), "the older one keeps it")
    wait_until(lambda: open_alert(world, newer), "nobody is told", 20)
    both = world.technician.get(f"/devices/{serial}")
    equal([(item["tenant"], item["held"]) for item in both["items"]], [(older.slug, False), (newer.slug, True)], "who lists it")
    own = key_for(world, newer.slug)
    found = own.get(f"/devices/{serial}")
    equal([item["tenant"] for item in found["items"]], [newer.slug], "who may see one client sees its device")
    if older.slug in str(found) or older.slug in str(own.get("/alerts")):
        raise Failure("the other client is named")
    equal(refusal(key_for(world, stranger.slug), f"/devices/{serial}"), refusal(world.technician, "/devices/NOSUCHSERIAL"), "who may see neither")


def check_list_decides(world, older, newer, serial):
    older.sync_now("full")
    until_state(world, older, serial, "released")
    until_state(world, newer, serial, "assigned")
    if not is_assigned(newer, serial):
        raise Failure("the device has no profile")
    wait_until(lambda: open_alert(world, newer) is None, "the alert stays", 20)
    items = world.technician.get(f"/devices/{serial}")["items"]
    equal([(item["tenant"], item["gone_at"] is None) for item in items], [(newer.slug, True), (older.slug, False)], "owner now, and before")


def check_person_decides(world, older, newer, serial):
    move(world, serial, older, newer, LONG_AGO)
    until_state(world, newer, serial, "held")
    answer = world.technician.call("PUT", f"{newer.path}/devices/{serial}/pin", {"instance": "main", "reason": "sold"})
    equal(answer["offered_rule"]["then"], {"instance": "main"}, "a rule is offered")
    until_state(world, newer, serial, "assigned")
    world.technician.call("DELETE", f"{newer.path}/devices/{serial}/pin")
    wait_until(lambda: not newer.rows("select 1 from depbroker.reroutes where tenant_id = {id}"), "nobody looks at the device again", 20)
    shown = device(world, newer, serial)
    equal((shown["held"], shown["pinned"], shown["instance"]), (False, False, "main"), "a guard takes no device from where it is")


def check_dates_decide(world, older, newer, serial):
    move(world, serial, older, newer, LONG_AGO)
    until_state(world, newer, serial, "held")
    newer.change(serial, device_assigned_date=TO_COME)
    until_state(world, newer, serial, "assigned")


# --- what nobody expects ---


def check_expected(world, client):
    before = sorted(client.stored())
    world.technician.call("PUT", f"{client.path}/expected?hold=true", b"serial_number\nEXPECTED1\n")
    equal(world.technician.get(f"{client.path}/expected")["hold"], True, "what is not on it is held")
    world.apple.post(f"/tenants/{client.apple}/devices", {"devices": ["EXPECTED1", "SURPRISE1", "SURPRISE2"]})
    until_state(world, client, "EXPECTED1", "assigned")
    until_state(world, client, "SURPRISE1", "held")
    until_state(world, client, "SURPRISE2", "held")
    equal(device(world, client, "SURPRISE1")["hold_reason"], "it is not on the list of expected devices", "why")
    equal(is_assigned(client, "SURPRISE1"), None, "its profile")
    equal({device(world, client, serial)["held"] for serial in before}, {False}, "what was there before stays")
    world.technician.call("PUT", f"{client.path}/rules", {"default": "main"})
    wait_until(lambda: not client.stream()["profile_needed"], "the rules are not applied", 20)
    equal(device(world, client, "SURPRISE1")["status"]["state"], "held", "other rules do not let it pass")
    # A person who lets go of it leaves it to the guards, which are asked before it is decided about.
    for call, reason in (((("PUT", {"hold": "by hand"}), "by hand"), (("DELETE", None), "it is not on the list of expected devices"))):
        world.technician.call(call[0], f"{client.path}/devices/SURPRISE2/pin", call[1])
        wait_until(lambda reason=reason: device(world, client, "SURPRISE2")["hold_reason"] == reason,
                   lambda: f"not {reason!r}: {device(world, client, 'SURPRISE2')}", 30)
    equal(is_assigned(client, "SURPRISE2"), None, "its profile")
    world.technician.post(f"{client.path}/expected", b"serial_number\nSURPRISE1\n")
    until_state(world, client, "SURPRISE1", "assigned")
    equal(device(world, client, "SURPRISE2")["status"]["state"], "held", "the other one stays")
    world.technician.call("PUT", f"{client.path}/expected?hold=false", b"serial_number\nEXPECTED1\n")
    until_state(world, client, "SURPRISE2", "assigned")


def check_expected_elsewhere(world, client):
    """A device that was bought for the school, when the rules send it to main: held with both names, until a person, the list or the rules decide."""
    bought = ["BOUGHT1", "BOUGHT2", "BOUGHT3", "BOUGHT4"]
    there = min(serial for serial in client.stored() if device(world, client, serial)["instance"] == "main")
    rows = "".join(f"{serial},school\n" for serial in bought + [there])
    world.technician.call("PUT", f"{client.path}/expected", f"serial,instance\nMAIN1,main\nANY1,\n{rows}".encode())
    world.apple.post(f"/tenants/{client.apple}/devices", {"devices": ["MAIN1", "ANY1", *bought]})
    for serial in ("MAIN1", "ANY1"):
        until_state(world, client, serial, "assigned")
    for serial in bought:
        until_state(world, client, serial, "held")
        equal(is_assigned(client, serial), None, "its profile")
    shown = device(world, client, "BOUGHT1")
    equal(shown["hold_reason"].split(":")[0], "expected-list mismatch", "why")
    decision = shown["explanation"]["decision"]
    equal((decision["decided_by"], decision["expected"], decision["wanted"], decision["instance"]), ("expected_list", "school", "main", None), "both names")
    equal(device(world, client, there)["instance"], "main", "what is somewhere already stays")
    wait_until(lambda: [alert for alert in world.technician.get("/alerts?limit=1000")["items"]
                        if (alert["tenant"], alert["kind"]) == (client.slug, "device.held")], "no alert")
    wait_until(lambda: f'depbroker_devices{{tenant="{client.slug}",state="held"}} 4' in metrics(world), lambda: metrics(world), 30)
    # Apple tells something new about it: it is held all the same.
    client.change("BOUGHT1", asset_tag="NEW")
    wait_until(lambda: client.rows("select 1 from depbroker.devices where tenant_id = {id} and asset_tag = 'NEW'"), "the change is not heard of", 30)
    equal(device(world, client, "BOUGHT1")["held"], True, "still")
    # A person, the list, the rules.
    world.technician.call("PUT", f"{client.path}/devices/BOUGHT1/pin", {"instance": "main"})
    until_state(world, client, "BOUGHT1", "assigned")
    world.technician.post(f"{client.path}/expected", b"serial,instance\nBOUGHT2,main\n")
    until_state(world, client, "BOUGHT2", "assigned")
    equal(device(world, client, "BOUGHT3")["held"], True, "the others stay")
    before = world.technician.get(f"{client.path}/rules")
    world.technician.call("PUT", f"{client.path}/rules", {
        "rules": [{"when": {"serial": ["BOUGHT3"]}, "then": {"instance": "school"}}, *before["rules"]], "otherwise": before["otherwise"]})
    until_state(world, client, "BOUGHT3", "assigned")
    equal(device(world, client, "BOUGHT3")["instance"], "school", "where it was expected")
    world.technician.call("PUT", f"{client.path}/expected", b"serial\n")
    until_state(world, client, "BOUGHT4", "assigned")


# --- who replaces ---


def check_inherit(world, client):
    serials = sorted(client.stored())
    made = world.technician.post(f"{client.path}/instances", {
        "name": "school", "kind": "fleet", "enrolment_url": "https://mdm.school.example/enrol", "allowed_hosts": ["mdm.school.example"],
        "webhook_url": f"{world.receiver_url}/webhook/{client.slug}-school"})
    world.receiver.call("PUT", f"/secret/{client.slug}-school", made["webhook_secret"].encode())
    world.technician.call("PUT", f"{client.path}/rules", {"rules": [
        {"name": "Same place", "when": {"is_replacement_device": True}, "then": {"inherit": True}},
        {"name": "Pupils", "when": {"serial": [serials[0]]}, "then": {"instance": "school"}}], "otherwise": {"instance": "main"}})
    wait_until(lambda: device(world, client, serials[0])["instance"] == "school", "the rule does not decide", 30)
    for old, place in ((serials[0], "school"), (serials[1], "main")):
        new = world.apple.post(f"/tenants/{client.apple}/devices/{old}/replace")["serial_number"]
        until_state(world, client, new, "assigned")
        shown = device(world, client, new)
        equal((shown["instance"], shown["rule"], shown["replaces"]["serial_number"]), (place, "same-place", old), "where the replacement goes")
        condition = shown["explanation"]["decision"]["rules"][0]
        equal((condition["id"], condition["matched"]), ("same-place", True), "and why")
        urls = {profile["profile_uuid"]: profile["url"] for profile in world.apple.get(f"/tenants/{client.apple}/profiles")["profiles"]}
        equal("school" in urls[is_assigned(client, new)], place == "school", "its profile at Apple")


def check(world):
    older, newer = world.onboard(devices=6, interval_s=1), world.onboard(devices=2, interval_s=1)
    stranger = world.onboard(devices=3, interval_s=1)
    world.until_equal(older, newer, stranger)
    first, second, third = sorted(older.stored())[:3]
    check_explained(world, newer)
    check_states(world, older)
    check_lag(world, older)
    check_held_and_walls(world, older, newer, stranger, first)
    check_list_decides(world, older, newer, first)
    check_person_decides(world, older, newer, second)
    check_dates_decide(world, older, newer, third)
    check_inherit(world, stranger)
    check_expected(world, stranger)
    check_expected_elsewhere(world, stranger)
    for client in (older, newer, stranger):
        world.check_log(client)
        world.check_ledger(client)


def main():
    with World(workers=2) as world:
        check(world)
    print("ok", flush=True)


main()
