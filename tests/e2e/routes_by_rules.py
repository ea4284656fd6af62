#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Devices go where rules and pins say, proved by the profiles that Apple has for them; a preview is what then happens; what moves too many
# waits for a second key.
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from world import Failure, Problem, World, wait_until  # noqa: E402

DEVICES = 60


def equal(found, expected, what):
    if found != expected:
        raise Failure(f"{what}: {found!r}, not {expected!r}")


def refused(key, method, path, body=None):
    try:
        key.call(method, path, body)
    except Problem as problem:
        return problem.problem
    raise Failure(f"{method} {path} is accepted")


def add_school(world, client):
    made = world.technician.post(f"{client.path}/instances", {
        "name": "school", "kind": "fleet", "enrolment_url": "https://mdm.school.example/enrol", "allowed_hosts": ["mdm.school.example"],
        "webhook_url": f"{world.receiver_url}/webhook/{client.slug}-school"})
    world.receiver.call("PUT", f"/secret/{client.slug}-school", made["webhook_secret"].encode())


def places(client):
    """Where each device goes, by the URL of the profile that Apple has for it."""
    truth = client.truth()
    profiles = {profile["profile_uuid"]: profile for profile in client.world.apple.get(f"/tenants/{client.apple}/profiles")["profiles"]}
    names = {"https://mdm.school.example/enrol": "school", f"https://mdm.{client.slug}.example/enroll": "main"}
    found = {}
    for device in truth["devices"]:
        uuid = device.get("profile_uuid")
        if uuid:
            profile = profiles[uuid]
            found[device["serial_number"]] = (names[profile["url"]], profile.get("department"))
        else:
            found[device["serial_number"]] = None
    return found


def until_at(client, wanted, what):
    wait_until(lambda: places(client) == wanted, f"{what}: devices do not get where they should be", 60)


def held(client):
    return {row["serial_number"]: row for row in client.rows(
        "select serial_number, hold_reason, held_since, rule_id from depbroker.devices where tenant_id = {id} and gone_at is null and instance_id is null")}


def rules_of(serials, **then):
    return {"name": "Some", "when": {"serial": sorted(serials)}, "then": then}


def check_rules_and_preview(world, client, serials):
    few = serials[:10]
    document = {"rules": [rules_of(few, instance="school", profile={"department": "Library"})], "otherwise": {"instance": "main"}}
    preview = world.technician.post(f"{client.path}/rules/preview?limit=4", document)
    equal((preview["devices"], preview["changes"], preview["limit"], preview["needs_approval"]), (DEVICES, 10, 25, False), "preview")
    equal(preview["moves"], [{"from": "main", "to": "school", "devices": 10}], "moves")
    equal([rule["devices"] for rule in preview["rules"]], [10, DEVICES - 10], "what each rule decides about")
    equal([item["serial_number"] for item in preview["moved"]], sorted(few)[:4], "the first page of what moves")
    rest = world.technician.post(f"{client.path}/rules/preview?limit=1000&cursor={preview['cursor']}", document)
    equal([item["serial_number"] for item in rest["moved"]], sorted(few)[4:], "the rest")
    dry = world.technician.call("PUT", f"{client.path}/rules?dry_run=true", document)
    equal(dry["changes"], 10, "a dry run says the same")
    equal(world.technician.get(f"{client.path}/rules")["version"], 1, "and changes nothing")
    put = world.technician.call("PUT", f"{client.path}/rules?reason=library", document)
    equal((put["version"], put["reason"], put["rules"][0]["id"]), (2, "library", "some"), "the new rules")
    wanted = {serial: ("school", "Library") if serial in few else ("main", None) for serial in serials}
    until_at(client, wanted, "rules")
    rows = client.rows("select serial_number, rule_id, rules_version, decider from depbroker.devices where tenant_id = {id}")
    equal({(row["rule_id"], row["rules_version"], row["decider"]) for row in rows}, {("some", 2, 2), ("otherwise", 1, 2)}, "what decided")
    return wanted


def check_pins(world, client, serials, wanted):
    pinned, stopped, absent = serials[20], serials[21], "ABSENT0001"
    answer = world.technician.call("PUT", f"{client.path}/devices/{pinned}/pin", {"instance": "school", "reason": "loan"})
    equal((answer["pin"]["instance"], answer["offered_rule"]["then"]), ("school", {"instance": "school"}), "the pin, and a rule like it")
    world.technician.call("PUT", f"{client.path}/devices/{stopped.lower()}/pin", {"hold": "stolen"})
    world.technician.call("PUT", f"{client.path}/devices/{absent}/pin", {"instance": "school"})
    equal(refused(world.technician, "PUT", f"{client.path}/devices/{pinned}/pin", {"instance": "nowhere"})["code"], "instance_not_found", "no such instance")
    wanted = wanted | {pinned: ("school", None)}
    until_at(client, wanted, "pins")
    wait_until(lambda: stopped in held(client), "the device is not held", 30)
    equal(held(client)[stopped]["hold_reason"], "stolen", "why it is held")
    if held(client)[stopped]["held_since"] is None:
        raise Failure("since when it is held is not known")
    world.technician.call("DELETE", f"{client.path}/devices/{pinned}/pin")
    world.technician.call("DELETE", f"{client.path}/devices/{stopped}/pin")
    equal(refused(world.technician, "DELETE", f"{client.path}/devices/{pinned}/pin")["code"], "pin_not_found", "it is gone")
    until_at(client, wanted | {pinned: ("main", None)}, "pins that are gone")
    wait_until(lambda: held(client) == {}, "a device is still held", 30)
    return wanted | {pinned: ("main", None)}


def check_brake(world, client, serials, wanted):
    second = world.operator
    document = {"rules": [], "otherwise": {"instance": "school"}}
    answer = world.technician.call("PUT", f"{client.path}/rules?reason=all+to+the+school", document)
    equal((answer["state"], answer["changes"], answer["of"]), ("pending", DEVICES, DEVICES), "it waits")
    path = f"/approvals/{answer['id']}"
    equal(world.technician.get(f"{client.path}/rules")["version"], 2, "nothing is in force")
    shown = second.get(path + "/devices?limit=40")
    rest = second.get(f"{path}/devices?limit=40&cursor={shown['cursor']}")
    equal([item["serial_number"] for item in shown["items"] + rest["items"]], serials, "the devices that would move")
    equal(refused(world.technician, "POST", path + "/approve")["code"], "approval_by_same_key", "not by who asked for it")
    equal(world.technician.get("/approvals")["items"][0]["id"], answer["id"], "it is listed")
    equal(places(client), wanted, "nothing has moved")
    equal(second.post(path + "/approve")["state"], "approved", "approved by another key")
    equal(refused(second, "POST", path + "/approve")["code"], "approval_closed", "only once")
    until_at(client, {serial: ("school", None) for serial in serials}, "the approved rules")
    again = world.technician.call("PUT", f"{client.path}/rules", {"version": 2})
    world.technician.call("PUT", f"{client.path}/rules", {"rules": [rules_of(serials[:1], instance="main")], "otherwise": {"instance": "school"}})
    equal(refused(second, "POST", f"/approvals/{again['id']}/approve")["code"], "approval_stale", "other rules are in force now")
    again = world.technician.call("PUT", f"{client.path}/rules?reason=back", {"version": 2})
    equal(second.post(f"/approvals/{again['id']}/approve")["state"], "approved", "the old version once more")
    until_at(client, wanted, "rolled back")
    versions = world.technician.get(f"{client.path}/rules/versions")["items"]
    equal([item["version"] for item in versions], [5, 4, 3, 2, 1], "every version is kept")
    equal(versions[0]["reason"], "back", "why")
    equal(refused(world.technician, "PUT", f"{client.path}/rules", {"version": 99})["code"], "rules_version_not_found", "none of this number")
    one = world.technician.call("PUT", f"{client.path}/rules", document)
    equal(second.post(f"/approvals/{one['id']}/reject")["state"], "rejected", "rejected")
    equal(refused(second, "POST", f"/approvals/{one['id']}/approve")["code"], "approval_closed", "and not approved any more")


def check(world):
    client = world.onboard(devices=DEVICES, interval_s=1)
    world.until_equal(client)
    add_school(world, client)
    serials = sorted(client.stored())
    until_at(client, {serial: ("main", None) for serial in serials}, "the default")
    wanted = check_rules_and_preview(world, client, serials)
    wanted = check_pins(world, client, serials, wanted)
    check_brake(world, client, serials, wanted)
    uuids = {row["profile_uuid"] for row in client.rows("select profile_uuid from depbroker.profiles where tenant_id = {id}")}
    equal(len(uuids), 3, "profiles: of main, of the school, and of its library")
    wait_until(lambda: client.row("select count(*) as n from depbroker.devices where tenant_id = {id} and gone_at is null"
                                  " and assigned_profile_uuid is distinct from profile_uuid")["n"] == 0, "the last answers are not stored", 30)
    world.check_log(client)
    world.check_ledger(client)


def main():
    with World(workers=2) as world:
        check(world)
    print("ok", flush=True)


main()
