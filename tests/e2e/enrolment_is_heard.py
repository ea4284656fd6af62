#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# What MDM servers tell of enrolments: bodies as MicroMDM and NanoMDM send them, and the plain form; a misroute is told within a second, an
# enrolment of an unknown device is kept until the device comes, and a message that comes again changes nothing. Then the purchase list, and
# the life of an instance.
import base64
import hashlib
import hmac
import json
import os
import plistlib
import sys
import time
import uuid

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import SHARED, Peer  # noqa: E402
from world import Failure, Problem, World, wait_until  # noqa: E402

CLOCK = [1_700_000_000]  # of the MDM servers, long ago


def equal(found, expected, what):
    if found != expected:
        raise Failure(f"{what}: {found!r}, not {expected!r}")


def refused(call, code, what):
    try:
        call()
    except Problem as problem:
        equal(problem.problem.get("code"), code, what)
        return problem
    raise Failure(f"{what}: not refused")


# --- MDM servers ---


class Mdm:
    """An MDM server that has a hook's secret."""

    def __init__(self, world, client, instance):
        self.world, self.client, self.instance = world, client, instance
        made = world.technician.post(f"{client.path}/instances/{instance}/hook")
        self.path, self.signed_path, self.secret = made["path"], made["signed_path"], made["secret"]
        self.peer = Peer("http://" + world.broker.listen)

    def send(self, body, path=None, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.peer.request("POST", path or self.path, data, [("Content-Type", "application/json"), *headers])

    def heard(self, body, status="heard", **how):
        answer = self.send(body, **how)
        equal((answer.status, answer.text), (200, json.dumps({"status": status}, separators=(",", ":"))), "the answer to a hook")

    def sign(self, body):
        digest = hmac.new(self.secret.encode(), body, hashlib.sha256).digest()
        return [("X-Hmac-Signature", base64.b64encode(digest).decode())]


def udid_of(serial):
    return str(uuid.uuid5(uuid.NAMESPACE_OID, serial)).upper()


def tick():
    CLOCK[0] += 1
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(CLOCK[0])) + ".123456789Z"


def nano(topic, serial, binary=False, **event):
    """As NanoMDM sends it: with `ids`, compact."""
    udid = udid_of(serial)
    plist = {"MessageType": topic, "UDID": udid, "Topic": "com.apple.mgmt.x"}
    if topic == "Authenticate":
        plist.update(SerialNumber=serial, DeviceName="Ünïversal & <Mac> 😀", Model="Mac", Challenge=b"x" * 40)
    if topic == "TokenUpdate":
        plist.update(Token=b"t" * 32, PushMagic="m", AwaitingConfiguration=True)
    return {"topic": f"mdm.{topic}", "event_id": str(uuid.uuid4()), "created_at": tick(), "checkin_event": {
        "udid": udid, "ids": {"id": udid, "type": "Device"}, "token_update_tally": 1,
        "raw_payload": base64.b64encode(plistlib.dumps(plist, fmt=plistlib.FMT_BINARY if binary else plistlib.FMT_XML)).decode(), **event}}


def micro(topic, serial, **members):
    """As MicroMDM sends it: no `ids`, `url_params` null, indented."""
    event = nano(topic, serial)
    plist = plistlib.loads(base64.b64decode(event["checkin_event"]["raw_payload"]))
    plist.update(members)
    event["checkin_event"] = {"udid": udid_of(serial), "url_params": None, "raw_payload": base64.b64encode(plistlib.dumps(plist)).decode()}
    return json.dumps(event, indent=2).encode()


def device(world, client, serial):
    return world.technician.get(f"{client.path}/devices/{serial}")


def until(world, client, serial, **members):
    def found():
        shown = device(world, client, serial)["enrolment"]
        return shown and all(shown[name] == value for name, value in members.items()) and shown
    return wait_until(found, lambda: f"{serial} is not {members} but {device(world, client, serial)['enrolment']}", 20)


def events(world, client, serial, *types):
    items = world.technician.get(f"{client.path}/devices/{serial}/history?limit=1000")["items"]
    return [item for item in items if item["type"] in types]


def alert(world, kind):
    found = [item for item in world.technician.get("/alerts?limit=1000")["items"] if item["kind"] == kind]
    return found[0] if found else None


def settled(client):
    return client.row("select count(*) as n from depbroker.enrolment_inbox where tenant_id = {id} and done_at is null")["n"] == 0


# --- tests ---


def check_life(world, client, main):
    """Authenticate, TokenUpdate, CheckOut; again; and each message twice."""
    serial, other = sorted(client.stored())[:2]
    equal(device(world, client, serial)["enrolment"], None, "the enrolment before anything was told")
    hello = nano("Authenticate", serial)
    main.heard(hello)
    until(world, client, serial, state="enrolling", instance="main", udid=udid_of(serial), source="hook")
    token = nano("TokenUpdate", serial, binary=True)
    body = json.dumps(token, separators=(",", ":")).encode()
    main.heard(body, path=main.signed_path, headers=main.sign(body))
    shown = until(world, client, serial, state="enrolled")
    equal((shown["awaiting_configuration"], shown["misrouted"]), (True, False), "what the token update said")
    main.heard(hello, "known")  # a replay
    main.heard(dict(hello, event_id="other"))  # the same news in another message, late
    wait_until(lambda: settled(client), "the inbox is not read")
    until(world, client, serial, state="enrolled")
    told = events(world, client, serial, "device.enrolled")
    equal(len(told), 1, "events of one enrolment")
    equal((told[0]["device"]["enrolment"]["again"], told[0]["device"]["enrolment"]["instance"]), (False, "main"), "the event")
    main.heard(micro("Authenticate", serial))
    until(world, client, serial, state="enrolling")
    main.heard(micro("TokenUpdate", serial, UserID="501"), "ignored")
    main.heard(micro("TokenUpdate", serial))
    until(world, client, serial, state="enrolled")
    equal([item["device"]["enrolment"]["again"] for item in events(world, client, serial, "device.enrolled")], [False, True], "enrolled again")
    main.heard(micro("CheckOut", serial))
    until(world, client, serial, state="unenrolled")
    equal(len(events(world, client, serial, "device.unenrolled")), 1, "events of a check-out")
    main.heard({"serial_number": other, "state": "enrolled", "at": tick()})
    until(world, client, other, state="enrolled", udid=None)


def check_ignored(main):
    main.heard({"topic": "mdm.Connect", "acknowledge_event": {"udid": "x"}}, "ignored")
    main.heard({"topic": "dep.SyncDevices"}, "ignored")
    main.heard(nano("TokenUpdate", "C02AAAAAAAAA", ids={"id": "a", "type": "User", "parent_id": "b"}), "ignored")
    for body, status in ((b"", 400), (b"[]", 400), (b"{", 400), ({"state": "gone", "serial_number": "A"}, 422), ({"state": "enrolled"}, 422),
                         ({"state": "enrolled", "serial_number": "A B"}, 422), ({"topic": "mdm.Authenticate"}, 422),
                         (nano("Authenticate", "A", raw_payload="####"), 422), (nano("Authenticate", "A", raw_payload="AAAA"), 422)):
        equal(main.send(body).status, status, f"the answer to {body!r}")


def check_secrets(world, client, main):
    """Whatever is wrong, the refusal is the same, byte for byte but for the request id."""
    body = json.dumps(nano("Authenticate", sorted(client.stored())[0])).encode()
    wrong = "0" * 48
    attempts = [(f"/hooks/{client.slug}/main/{wrong}", ()), (f"/hooks/{client.slug}/none/{wrong}", ()), (f"/hooks/nobody/main/{wrong}", ()),
                (f"/hooks/nobody/main/{main.secret}", ()), (f"/hooks/{client.slug}/other/{main.secret}", ()), (main.signed_path, ()),
                (main.signed_path, [("X-Hmac-Signature", "AAAA")]), (main.signed_path, main.sign(body + b" "))]
    refusals = []
    for path, headers in attempts:
        answer = main.send(body, path, headers)
        told = answer.json()
        refusals.append((answer.status, {name: value for name, value in told.items() if name not in ("request_id", "instance")}))
    equal(len({json.dumps(refusal) for refusal in refusals}), 1, f"refusals {refusals}")
    equal(refusals[0][0], 404, "the refusal")
    old = main.path
    again = Mdm(world, client, "main")
    equal(main.send(body, old).status, 404, "the secret of before")
    again.heard({"topic": "mdm.Connect"}, "ignored")
    main.path, main.secret = again.path, again.secret
    if main.secret in open(world.broker.log_path, encoding="utf-8", errors="replace").read():
        raise Failure("the log holds the secret")
    equal(world.rows(f"select count(*) as n from depbroker.secrets where position(convert_to('{main.secret}', 'UTF8') in ciphertext) > 0")[0]["n"], 0,
          "secrets in the clear")


def check_misroute(world, client, main, other):
    serial = sorted(client.stored())[2]
    equal(alert(world, "device.misrouted"), None, "the alert before a misroute")
    started = time.monotonic()
    other.heard(nano("Authenticate", serial))
    wait_until(lambda: alert(world, "device.misrouted"), "no alert", 10, 0.02)
    took = time.monotonic() - started
    if took > 1:
        raise Failure(f"the alert took {took:.2f} s")
    print(f"an alert {took * 1000:.0f} ms after the hook", flush=True)
    equal(serial in alert(world, "device.misrouted")["detail"], True, "the device in the alert")
    until(world, client, serial, state="enrolling", instance="other", misrouted=True)
    told = events(world, client, serial, "device.misrouted")
    equal([(item["instance"], item["device"]["enrolment"]["instance"]) for item in told], [("main", "other")], "the events of a misroute")
    world.technician.post(f"/alerts/{alert(world, 'device.misrouted')['id']}/ack")
    other.heard(nano("TokenUpdate", serial))
    until(world, client, serial, state="enrolled", instance="other", misrouted=True)
    equal(len(events(world, client, serial, "device.misrouted")), 1, "events of one misroute")
    if alert(world, "device.misrouted")["acked_at"] is None:
        raise Failure("the alert lost its acknowledgement")
    main.heard(nano("Authenticate", serial))
    main.heard(nano("TokenUpdate", serial))
    until(world, client, serial, state="enrolled", instance="main", misrouted=False)
    wait_until(lambda: alert(world, "device.misrouted") is None, "the alert stays")
    rows = client.rows(f"select state from depbroker.enrolments where tenant_id = {{id}} and serial_number = '{serial}' and state = 2")
    equal(len(rows), 1, "places where it is enrolled")


def check_paused(world, client, main, other):
    """Nobody works for a paused client; a misroute is told all the same, by whoever hears of it."""
    serial = sorted(client.stored())[3]
    world.technician.call("PATCH", client.path, {"state": "paused"})
    hello = nano("Authenticate", serial)
    other.heard(hello)
    equal(serial in (alert(world, "device.misrouted") or {}).get("detail", ""), True, "the alert at once")
    equal(settled(client), False, "the inbox of a paused client")
    world.technician.call("PATCH", client.path, {"state": "active"})
    until(world, client, serial, state="enrolling", instance="other", misrouted=True)
    equal(len(events(world, client, serial, "device.misrouted")), 1, "events of the misroute")
    other.heard(nano("CheckOut", serial))
    until(world, client, serial, state="unenrolled", misrouted=False)
    wait_until(lambda: alert(world, "device.misrouted") is None, "the alert stays")
    other.heard(hello, "known")
    equal(alert(world, "device.misrouted"), None, "the alert after a replay")
    other.heard(dict(hello, event_id="late"))
    wait_until(lambda: settled(client), "the inbox is not read")
    equal(alert(world, "device.misrouted"), None, "the alert after old news")


def check_orphans(world, client, main):
    path = os.path.join(SHARED, "protocol", "vectors", "peers", "nanomdm")
    with open(os.path.join(path, "Authenticate.2.json"), "rb") as file:
        main.heard(file.read())
    with open(os.path.join(path, "DeviceInformation.1.json"), "rb") as file:
        main.heard(file.read(), "ignored")
    listing = f"{client.path}/enrolments?orphans=true"
    wait_until(lambda: world.technician.get(listing)["items"], "no orphan")
    equal([(item["serial_number"], item["state"], item["orphan"]) for item in world.technician.get(listing)["items"]],
          [("C02MT66KFLHH", "enrolling", True)], "orphans")
    equal(alert(world, "device.misrouted"), None, "an alert about an orphan")
    main.heard(nano("Authenticate", "C02ORPHAN01"))
    main.heard(nano("TokenUpdate", "C02ORPHAN01"))
    wait_until(lambda: len(world.technician.get(listing)["items"]) == 2, "no second orphan")
    world.apple.post(f"/tenants/{client.apple}/devices", {"devices": ["C02ORPHAN01"]})
    wait_until(lambda: "C02ORPHAN01" in client.stored(), "the device does not arrive")
    until(world, client, "C02ORPHAN01", state="enrolled", instance="main")
    wait_until(lambda: len(events(world, client, "C02ORPHAN01", "device.enrolled")) == 1, "the orphan is not told")
    equal([item["serial_number"] for item in world.technician.get(listing)["items"]], ["C02MT66KFLHH"], "orphans that are left")
    page = world.technician.get(f"{client.path}/enrolments?limit=2")
    equal((len(page["items"]), page["cursor"] is not None), (2, True), "a page of enrolments")
    equal(len(world.technician.get(f"{client.path}/enrolments?limit=2&cursor={page['cursor']}")["items"]), 2, "the next page")


def check_expected(world, client):
    there = sorted(client.stored())[0]
    upload = f"{client.path}/expected"
    text = ("\ufeffNote,Expected by,SERIAL,Colour\r\n"
            f"\"the \"\"first\"\" one,\nwith a line\",2030-01-01,{there},red\r\n"
            ",2020-01-01,C02LATE00001,\r\n\r\n"
            ",2999-01-01,C02SOON00001,\r\n").encode()
    answer = world.technician.call("PUT", upload, text)
    equal((answer["rows"], answer["counts"]), (3, {"arrived": 1, "awaited": 1, "overdue": 1, "unexpected": 0}), "the upload")
    items = {item["serial_number"]: item for item in world.technician.get(upload)["items"]}
    equal({serial: item["state"] for serial, item in items.items()},
          {there: "arrived", "C02LATE00001": "overdue", "C02SOON00001": "awaited"}, "what became of the list")
    equal((items[there]["note"], items[there]["arrived_instance"]), ("the \"first\" one,\nwith a line", "main"), "the first row")
    wait_until(lambda: alert(world, "device.overdue"), "no alert about what is overdue")
    equal("C02LATE00001" in alert(world, "device.overdue")["detail"], True, "the device in the alert")
    world.apple.post(f"/tenants/{client.apple}/devices", {"devices": ["C02LATE00001", "C02WRONG0001"]})
    wait_until(lambda: alert(world, "device.unexpected"), "no alert about what is unexpected")
    wait_until(lambda: alert(world, "device.overdue") is None, "the alert about what is overdue stays")
    unexpected = world.technician.get(f"{upload}?state=unexpected")["items"]
    equal([item["serial_number"] for item in unexpected], ["C02WRONG0001"], "what is unexpected")
    world.technician.call("POST", upload, b"serial,instance\nC02WRONG0001,other\n")
    wait_until(lambda: alert(world, "device.unexpected") is None, "the alert about what is unexpected stays")
    for bad in (b"", b"note\nx\n", b"serial,serial_number\nA,B\n", b"serial\n\"A\n", b"serial\nA\nA\n", b"serial,due\nA,tomorrow\n", b"serial\nc02\n"):
        refused(lambda bad=bad: world.technician.call("PUT", upload, bad), "list_unreadable", f"the list {bad!r}")
    refused(lambda: world.technician.call("PUT", upload, b"serial,instance\nA,nowhere\n"), "instance_not_found", "an unknown instance")
    equal(world.technician.get(upload)["counts"]["arrived"], 3, "the list after refusals")
    world.technician.call("PUT", upload, b"serial\n")
    equal(world.technician.get(upload)["items"], [], "an empty list")


def check_instance(world, client):
    path = f"{client.path}/instances"
    pem = world.technician.get(f"{client.path}/token/keys/{world.technician.get(f'{client.path}/token/keys')['items'][0]['id']}/certificate")
    pem = pem.decode() if isinstance(pem, bytes) else pem
    shown = world.technician.call("PATCH", f"{path}/other", {"state": "draining", "labels": ["old", "school"], "anchor_certs": [pem]})
    equal((shown["state"], shown["labels"], [text.strip() for text in shown["anchor_certs"]]), ("draining", ["old", "school"], [pem.strip()]),
          "the instance")
    equal(world.technician.call("PATCH", f"{path}/other", {})["labels"], ["old", "school"], "labels after a change of nothing")
    refused(lambda: world.technician.call("PATCH", f"{path}/other", {"anchor_certs": ["-----BEGIN"]}), "bad_body", "a certificate that is none")
    problem = refused(lambda: world.technician.call("PATCH", f"{path}/main", {"state": "retired"}), "instance_has_devices", "retiring")
    equal(f"{len(client.stored())} devices" in str(problem), True, f"the count in {problem}")
    equal(world.technician.get(f"{path}/main")["state"], "active", "the instance that was not retired")
    equal(world.technician.call("PATCH", f"{path}/other", {"state": "retired"})["state"], "retired", "the unused one")
    refused(lambda: world.technician.call("PUT", f"{client.path}/rules", {"default": "other"}), "rules_invalid", "rules that name it")


def check_delivered(client):
    """Enrolments are events like others; the other instance has no webhook."""
    told = ("select count(*) as n from depbroker.events e join depbroker.instances i on i.tenant_id = e.tenant_id and"
            " i.instance_id = e.instance_id where e.tenant_id = {id} and i.name = 'main'")
    wait_until(lambda: client.inbox()["accepted"] == client.row(told)["n"], lambda: f"{client.inbox()} of {client.row(told)}", 20)
    wrong = {name: client.inbox()[name] for name in ("conflicts", "inversions", "foreign", "malformed")}
    equal({name: count for name, count in wrong.items() if count}, {}, "complaints of the receiver")


def main():
    with World(workers=2) as world:
        client = world.onboard(devices=4, interval_s=1)
        world.technician.post(f"{client.path}/instances", {
            "name": "other", "kind": "micromdm", "enrolment_url": "https://other.example/enroll", "allowed_hosts": ["other.example"]})
        world.until_equal(client)
        hooks = {name: Mdm(world, client, name) for name in ("main", "other")}
        check_life(world, client, hooks["main"])
        check_ignored(hooks["main"])
        check_secrets(world, client, hooks["main"])
        check_misroute(world, client, hooks["main"], hooks["other"])
        check_paused(world, client, hooks["main"], hooks["other"])
        check_orphans(world, client, hooks["main"])
        check_expected(world, client)
        check_instance(world, client)
        check_delivered(client)
        world.check_log(client)
        world.check_ledger(client)
    print("ok", flush=True)


main()
