#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Does the reference receiver accept what Standard Webhooks 1.0.0 says is right, and nothing else? The vectors are published
# ones and our own; the signatures of this script are made with Python's library.
import base64
import hashlib
import hmac
import http.client
import json
import os
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import Control, Program, equal, run_tests, test  # noqa: E402

RECEIVER = Program("receiver")
PEER = Control(RECEIVER.ready["listen"])

KEY_A = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
KEY_B = "whsec_//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA="
ID = "msg_0T3nant42Ev0000000000001"
BODY = (b'{"type":"device.added","timestamp":"2023-11-14T22:13:20.000000Z","data":'
        b'{"tenant":"ten_0000000000000000000042","seq":1,"serial_number":"C02TEST0001"}}')
ZURICH = '{"type":"device.changed","data":{"note":"Zürich 日本 \\u0000 😀"}}'.encode()
SIGNED_A = "v1,cqbh9NTlWe1GmugkrZMidtE/QIhLFa3BHneKkh1qV5c="
SIGNED_B = "v1,Fl+V1itnUnZNiymmIwY8dRdek67cBSMfn3TjWKdh6VE="
ASYMMETRIC = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="

VECTORS = [  # key, id, timestamp, body, signature
    ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}',
     "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1649367553,
     b'{"email":"test@example.com","username":"test_user"}', "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="),
    (KEY_A, ID, 1700000000, BODY, SIGNED_A),
    (KEY_A, ID, 1700000000, BODY, SIGNED_A + " " + SIGNED_B),
    (KEY_B, ID, 1700000000, BODY, SIGNED_A + " " + SIGNED_B),
    (KEY_A, ID, 1700000001, BODY, "v1,5NF6PVHwIgaD/oJWwkJLvzJBz8qqUDhgquB4xzHiqVw="),
    (KEY_A, ID, 1700000000, b"", "v1,vKmUzDrNyxu6QAbKLEIxuYF72g6AYa/YdH4pfM0hbr4="),
    (KEY_A, ID, 1700000000, ZURICH, "v1,T15FIGaHIpYr3/S9/pE5Oqn26mUrH6mPZkEpF3S7mI4="),
    ("whsec_" + "a2tr" * 8, ID, 1700000000, BODY, "v1,osWR8xgv8372drWdkdXrJpkDmlNTFaQ0iM2Fp3kB5gU="),
    ("whsec_" + base64.b64encode(b"k" * 64).decode(), ID, 1700000000, BODY,
     "v1,d3y2FkMXJOlxMmvpQO0BnnMVKtAurXBuBeaw8ElXg3s="),
    (KEY_A, ID, 1700000000, BODY, ASYMMETRIC + " " + SIGNED_A),
]
INBOXES = iter(range(1, 1000000))


def new_inbox(secret=KEY_A):
    name = f"inbox-{next(INBOXES)}"
    PEER.call("PUT", f"/secret/{name}", secret.encode())
    return name


def deliver(inbox, headers, body):
    return PEER.request("POST", f"/webhook/{inbox}", body, headers).status


def headers_of(identity, timestamp, signature):
    return [("webhook-id", identity), ("webhook-timestamp", str(timestamp)), ("webhook-signature", signature),
            ("content-type", "application/json")]


def signature_of(secret, identity, timestamp, body):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{identity}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(mac).decode()


def signed(identity, body, secret=KEY_A, off_s=0):
    timestamp = int(time.time()) + off_s
    return headers_of(identity, timestamp, signature_of(secret, identity, timestamp, body))


def event(kind, serial, seq, tenant="acme", incarnation=1, **device):
    data = {"tenant": tenant, "seq": seq, "incarnation": incarnation, "serial_number": serial, "instance": "main",
            "device": {"serial_number": serial, **device}}
    return json.dumps({"type": kind, "timestamp": "2026-11-24T13:00:00.000000Z", "data": data}).encode()


def stats(inbox):
    return PEER.get("/stats")["inboxes"][inbox]


def devices(inbox):
    return {device["serial_number"]: device for device in PEER.get(f"/devices?name={inbox}")["devices"]}


def at_time(timestamp):
    PEER.call("PUT", "/clock", {"skew_s": timestamp - int(time.time())})


@test
def every_vector_is_accepted():
    try:
        for key, identity, timestamp, body, signature in VECTORS:
            at_time(timestamp)
            inbox = new_inbox(key)
            equal(deliver(inbox, headers_of(identity, timestamp, signature), body), 204, f"{key} {signature}")
            equal((stats(inbox)["accepted"], stats(inbox)["refused"]), (1, 0), "counted")
    finally:
        PEER.call("PUT", "/clock", {"skew_s": 0})


@test
def secrets_have_four_spellings():
    bare = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    for spelling in (bare, bare + "=", "whsec_" + bare, "whsec_" + bare + "=", "whsec_" + bare + "=\n"):
        equal(deliver(new_inbox(spelling), signed("msg_1", BODY), BODY), 204, spelling)
    too_long = "whsec_" + base64.b64encode(b"k" * 65).decode()
    for wrong in ("", "whsec_", "whsec_AAAA", too_long, "!" * 44, " ".join([KEY_A] * 4)):
        PEER.call("PUT", "/secret/wrong", wrong.encode(), status=400)


@test
def everything_that_is_not_right_is_refused():
    inbox = new_inbox()
    now = int(time.time())
    right = signature_of(KEY_A, "msg_1", now, BODY)
    raw = base64.b64decode(right[3:])
    undecoded = hmac.new(KEY_A.encode(), b"msg_1.%d." % now + BODY, hashlib.sha256).digest()
    attempts = {
        "a bit of the body flipped": (headers_of("msg_1", now, right), BODY[:20] + bytes([BODY[20] ^ 1]) + BODY[21:]),
        "another id": (headers_of("msg_2", now, right), BODY),
        "a second later": (headers_of("msg_1", now + 1, right), BODY),
        "a second earlier": (headers_of("msg_1", now - 1, right), BODY),
        "too old": (signed("msg_1", BODY, off_s=-302), BODY),
        "too new": (signed("msg_1", BODY, off_s=302), BODY),
        "version 2": (headers_of("msg_1", now, "v2" + right[2:]), BODY),
        "cut to 8 characters": (headers_of("msg_1", now, right[:11]), BODY),
        "hexadecimal": (headers_of("msg_1", now, "v1," + raw.hex()), BODY),
        "secret not decoded": (headers_of("msg_1", now, "v1," + base64.b64encode(undecoded).decode()), BODY),
        "asymmetric only": (headers_of("msg_1", now, ASYMMETRIC), BODY),
        "another tenant's key": (signed("msg_1", BODY, secret=KEY_B), BODY),
        "no version": (headers_of("msg_1", now, right[3:]), BODY),
        "joined by a comma": (headers_of("msg_1", now, right + "," + right), BODY),
        "an id header twice": (headers_of("msg_1", now, right) + [("webhook-id", "msg_1")], BODY),
        "a signature header twice": (headers_of("msg_1", now, right) + [("Webhook-Signature", right)], BODY),
        "a timestamp that is no number": (headers_of("msg_1", f"{now}abc", right), BODY),
    }
    for missing in range(3):
        headers = headers_of("msg_1", now, right)
        attempts[f"{headers[missing][0]} missing"] = (headers[:missing] + headers[missing + 1:], BODY)
    for what, (headers, body) in attempts.items():
        equal(deliver(inbox, headers, body), 401, what)
    urlsafe_body, urlsafe = BODY, ""
    while not set(urlsafe) & set("-_"):  # a value that has one of the characters that differ
        urlsafe_body += b" "
        urlsafe = signature_of(KEY_A, "msg_1", now, urlsafe_body).replace("+", "-").replace("/", "_")
    equal(deliver(inbox, headers_of("msg_1", now, urlsafe), urlsafe_body), 401, "url-safe base64")
    equal((stats(inbox)["refused"], stats(inbox)["accepted"], devices(inbox)), (len(attempts) + 1, 0, {}), "no effect")
    equal(deliver(inbox, headers_of("msg_1", now, right), BODY), 204, "the right one")
    for off in (-295, 295):
        equal(deliver(inbox, signed(f"msg_{off}", BODY, off_s=off), BODY), 204, f"{off} s")


@test
def without_a_secret_nothing_is_accepted():
    equal(PEER.request("POST", "/webhook", BODY, signed("msg_1", BODY)).status, 401, "no secret yet")
    equal(deliver("nobody", signed("msg_1", BODY), BODY), 404, "no such inbox")
    equal(PEER.request("GET", "/webhook").status, 405, "method")


@test
def two_secrets_overlap():
    inbox = new_inbox(f"{KEY_B} {KEY_A}")
    for number, key in enumerate((KEY_A, KEY_B)):
        equal(deliver(inbox, signed(f"msg_{number}", BODY, secret=key), BODY), 204, key)
    PEER.call("PUT", f"/secret/{inbox}", KEY_B.encode())
    equal(deliver(inbox, signed("msg_3", BODY), BODY), 401, "the old one")


@test
def a_message_has_its_effect_once():
    inbox = new_inbox()
    body = event("device.added", "A1", 1)
    for _ in range(3):
        equal(deliver(inbox, signed("msg_1", body), body), 204, "delivery")
    counted = stats(inbox)
    equal((counted["accepted"], counted["duplicates"], counted["conflicts"]), (1, 2, 0), "counted")
    other = event("device.removed", "A1", 2)
    equal(deliver(inbox, signed("msg_1", other), other), 204, "the same id for another body")
    equal((stats(inbox)["conflicts"], devices(inbox)["A1"]["present"]), (1, True), "conflict")


@test
def a_batch_is_its_events():
    inbox = new_inbox()
    events = [event("device.added", f"A{number}", number) for number in (1, 2, 3)]
    equal(deliver(inbox, signed("msg_2", events[1]), events[1]), 204, "alone")
    batch = json.dumps({"type": "batch", "data": {"events": [{"id": f"msg_{number}", **json.loads(body)}
                                                             for number, body in enumerate(events, 1)]}}).encode()
    equal(deliver(inbox, signed("msg_b", batch), batch), 204, "batch")
    equal([stats(inbox)[name] for name in ("accepted", "duplicates", "conflicts", "malformed")], [3, 1, 0, 0], "counted")
    equal(sorted(devices(inbox)), ["A1", "A2", "A3"], "devices")
    other = json.dumps({"type": "batch", "data": {"events": [{"id": "msg_3", **json.loads(events[0])}, {"no": "id"}]}}).encode()
    deliver(inbox, signed("msg_c", other), other)
    equal([stats(inbox)[name] for name in ("accepted", "conflicts", "malformed")], [3, 1, 1], "another body, and no event")


@test
def the_model_follows_the_events():
    inbox = new_inbox()
    steps = [("device.added", {"color": "BLUE"}, (True, False, "BLUE")),
             ("device.assigned", {"color": "BLUE"}, (True, True, "BLUE")),
             ("device.changed", {"color": "RED"}, (True, True, "RED")), ("device.removed", {}, (False, False, None)),
             ("device.added", {"color": "RED"}, (True, False, "RED"))]
    for seq, (kind, facts, expected) in enumerate(steps, 1):
        body = event(kind, "A1", seq, **facts)
        equal(deliver(inbox, signed(f"msg_{seq}", body), body), 204, kind)
        device = devices(inbox)["A1"]
        equal((device["present"], device["assigned"], device["device"].get("color")), expected, kind)
    equal((device["tenant"], device["instance"], device["seq"]), ("acme", "main", 5), "the device")
    equal((stats(inbox)["present"], stats(inbox)["assigned"]), (1, 0), "totals")


@test
def inversions_are_noticed_and_have_no_effect():
    inbox = new_inbox()
    for identity, kind, seq, incarnation, inversions, present in (
            ("1", "device.added", 5, 1, 0, True), ("2", "device.removed", 4, 1, 1, True),
            ("3", "device.removed", 5, 1, 2, True), ("4", "device.removed", 1, 2, 2, False), ("5", "device.added", 9, 1, 3, False)):
        body = event(kind, "A1", seq, incarnation=incarnation)
        equal(deliver(inbox, signed("msg_" + identity, body), body), 204, identity)
        equal((stats(inbox)["inversions"], devices(inbox)["A1"]["present"]), (inversions, present), identity)
    body = event("device.added", "B2", 2)
    deliver(inbox, signed("msg_6", body), body)
    equal(stats(inbox)["inversions"], 3, "other devices may overtake")


@test
def events_of_another_tenant_are_noticed():
    inbox = new_inbox()
    for number, tenant in enumerate(("acme", "acme", "other"), 1):
        body = event("device.added", f"A{number}", number, tenant=tenant)
        deliver(inbox, signed(f"msg_{number}", body), body)
    equal(stats(inbox)["foreign"], 1, "foreign")


@test
def what_is_no_event_is_counted():
    inbox = new_inbox()
    for number, (body, malformed) in enumerate(((b"", 1), (b"[]", 2), (b'{"type":"device.added","data":{}}', 3),
                                                (b'{"type":"ping","data":{}}', 3))):
        equal(deliver(inbox, signed(f"msg_{number}", body), body), 204, body)
        equal(stats(inbox)["malformed"], malformed, body)


@test
def events_can_be_read_from_a_place():
    last = PEER.get("/events")["last"]
    inbox = new_inbox()
    body = event("device.added", "A1", 1, note='a "quote"')
    deliver(inbox, signed("msg_9", body), body)
    events = PEER.get(f"/events?after={last}")["events"]
    equal([(one["id"], one["outcome"], one["body"].encode()) for one in events], [("msg_9", "applied", body)], "events")


@test
def faults_are_planted_and_end():
    inbox = new_inbox()
    body = event("device.added", "A1", 1)
    PEER.call("PUT", "/faults", {"name": inbox, "status": 503, "times": 2, "retry_after": 7})
    for _ in range(2):
        answer = PEER.request("POST", f"/webhook/{inbox}", body, signed("msg_1", body))
        equal((answer.status, answer.headers["Retry-After"]), (503, "7"), "fault")
    equal(stats(inbox)["accepted"], 0, "not taken in")
    PEER.call("PUT", "/faults", {"name": inbox, "reset": True, "perform": True})
    try:
        deliver(inbox, signed("msg_1", body), body)
        raise AssertionError("an answer came")
    except (ConnectionResetError, http.client.RemoteDisconnected):
        pass
    equal(stats(inbox)["accepted"], 1, "taken in, the answer lost")
    equal(deliver(inbox, signed("msg_1", body), body), 204, "again")
    equal((stats(inbox)["duplicates"], stats(inbox)["faults"]), (1, 3), "counted")
    redirect = {"status": 302, "location": "http://127.0.0.1:1/", "body_bytes": 1000}
    PEER.call("PUT", "/faults", {"name": inbox, "times": 0, **redirect})
    answer = PEER.request("POST", f"/webhook/{inbox}", body, signed("msg_1", body))
    equal((answer.status, answer.headers["Location"]), (302, "http://127.0.0.1:1/"), "redirect")
    if len(answer.body) < 1000:
        raise AssertionError("a short body")
    PEER.call("PUT", "/faults", {"name": inbox, "delay_ms": 300})
    begin = time.monotonic()
    equal(deliver(inbox, signed("msg_1", body), body), 204, "late")
    if time.monotonic() - begin < 0.29:
        raise AssertionError("not late")
    PEER.call("DELETE", "/faults")


@test
def events_are_printed_and_the_state_survives():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "state.json")
        program = Program("receiver", "--secret", KEY_A, "--state", path, "--print-events")
        peer = Control(program.ready["listen"])
        body = event("device.added", "A1", 1, color="BLUE")
        equal(peer.request("POST", "/webhook", body, signed("msg_1", body)).status, 204, "first")
        equal(program.process.stdout.readline().strip(), "applied " + body.decode(), "printed")
        before = peer.get("/devices")
        peer.close()
        program.stop()
        program = Program("receiver", "--state", path)
        peer = Control(program.ready["listen"])
        equal(peer.get("/devices"), before, "devices")
        equal(peer.request("POST", "/webhook", body, signed("msg_1", body)).status, 204, "again, the secret is known")
        equal(peer.get("/stats")["duplicates"], 1, "duplicate")
        peer.close()
        program.stop()


def stop():
    PEER.close()
    RECEIVER.stop()


if __name__ == "__main__":
    sys.exit(run_tests(stop))
