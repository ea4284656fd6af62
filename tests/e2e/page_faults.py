#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Everything that can be wrong with a page of Apple's list, in the first, a middle and the last page: each has the outcome that
# docs/reference/page-faults.md says, everything is equal after the next list, and nobody else notices.
import gzip
import os
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from faulty_apple import FaultyApple, Page, answer  # noqa: E402
from programs import ROOT  # noqa: E402
from world import Failure, World, free_address, wait_until  # noqa: E402

PAGES, PAGE_SIZE = 3, 4
DEVICES = PAGES * PAGE_SIZE - 1
PLACES = ("first", "middle", "last")
TENANTS = 16  # that have one fault after the other
HEALTHY = 5
HEALTHY_LAG_S = 10
TABLE = os.path.join(ROOT, "docs", "reference", "page-faults.md")


# --- faults: each gets the connection and Apple's true answer ---


def raw(make):
    return lambda wire, body: wire.send(make(body))


def spoiled(change):
    """A page that is JSON, with something else in it."""
    def fault(wire, body):
        page = Page(body)
        change(page)
        wire.send(answer(page.bytes()))
    return fault


def literal(old, new):
    """The first `old` in the answer's text becomes `new`."""
    def fault(wire, body):
        text = Page(body).bytes().decode()
        if old not in text:
            raise Failure(f"{old} is not in the page")
        wire.send(answer(text.replace(old, new, 1).encode("utf-8", "surrogatepass")))
    return fault


def refusal(status, word="", *headers):
    return raw(lambda body: answer(word.encode(), status, headers, kind="text/plain"))


def member(name, value):
    return spoiled(lambda page: page.json.update({name: value}))


def device(**members):
    return spoiled(lambda page: page.devices[0].update(members))


def every_device(change):
    return spoiled(lambda page: [change(at, one) for at, one in enumerate(page.devices)])


def hold_after(make):
    def fault(wire, body):
        wire.send(make(answer(body)))
        wire.hold()
    return fault


def reset(wire, body):
    wire.reset()


def without_list(more):
    return spoiled(lambda page: page.json.update({"devices": [], "more_to_follow": more}))


def strip_optional(at, one):
    for name in list(one):
        if name != "serial_number":
            del one[name]


def many_devices(page):
    """Of few serial numbers, so that their removal afterwards is no matter for the brake."""
    page.devices += [{"serial_number": f"EXTRA{at % 30:06d}"} for at in range(1001 - len(page.devices))]


def big_body(wire, body):
    wire.send(answer(length=100 << 20))
    for _ in range(100):
        wire.send(b" " * (1 << 20))


def flood_of_informational(wire, body):
    for _ in range(20000):
        wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    wire.send(answer(body))


WRONG_TYPES = {"model": 5, "color": {}, "description": [], "device_assigned_date": True, "os": 1.5, "asset_tag": False}
NULLS = dict.fromkeys(("model", "color", "description", "device_assigned_date", "os", "asset_tag", "profile_status"))
FOREIGN = "foreign cursor, set by main"

FAULTS = {
    "reset": reset,
    "truncated body": raw(lambda body: answer(body)[:-len(body) // 2]),
    "Content-Length too long": raw(lambda body: answer(body, length=len(body) + 10)),
    "Content-Length too short": raw(lambda body: answer(body, length=len(body) - 10)),
    "chunked, cut": raw(lambda body: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body[:20]),
    "gzip bomb": raw(lambda body: answer(gzip.compress(bytes(50 << 20)), headers=["Content-Encoding: gzip"])),
    "100 MB body": big_body,
    "empty body": raw(lambda body: answer()),
    "HTML": raw(lambda body: answer(b"<html><body>Maintenance</body></html>", kind="text/html")),
    "byte order mark": raw(lambda body: answer(b"\xef\xbb\xbf" + body)),
    "trailing bytes": raw(lambda body: answer(body + b"x")),
    "not JSON": raw(lambda body: answer(b"OK")),
    "bad UTF-8": raw(lambda body: answer(body.replace(b'"cursor"', b'"\xff\xfe": 1, "cursor"', 1))),
    "depth 100,000": raw(lambda body: answer(b"[" * 100000 + b"]" * 100000)),
    "300,000 members": raw(lambda body: answer(b"{" + b",".join(b'"%x":1' % at for at in range(300000)) + b"}")),
    "member twice": literal('"serial_number":', '"color": "red", "color": "blue", "serial_number":'),
    "huge number": literal('"serial_number":', '"size": 1' + "0" * 400 + ', "serial_number":'),
    "negative number": device(capacity=-1),
    "wrong types": device(**WRONG_TYPES),
    "null members": device(**NULLS),
    "members missing": every_device(strip_optional),
    "unknown member": device(brand_new={"a": [1, 2]}),
    "unknown profile_status": device(profile_status="sleeping"),
    "unknown op_type": device(op_type="exchanged", op_date="2026-01-01T00:00:00Z"),
    "serial number missing": spoiled(lambda page: page.devices.append({"model": "none"})),
    "serial number not a text": spoiled(lambda page: page.devices.append({"serial_number": 7})),
    "serial number with NUL": spoiled(lambda page: page.devices.append({"serial_number": "NUL\0NUL"})),
    "serial number of 65 bytes": spoiled(lambda page: page.devices.append({"serial_number": "X" * 65})),
    "serial number is blank": spoiled(lambda page: page.devices.append({"serial_number": "   "})),
    "serial number twice": spoiled(lambda page: page.devices.append(dict(page.devices[0], color="second"))),
    "serial number in lower case": spoiled(lambda page: page.devices.append(
        dict(page.devices[0], serial_number=page.devices[0]["serial_number"].lower()))),
    "device is not an object": spoiled(lambda page: page.devices.append(7)),
    "devices missing": spoiled(lambda page: page.json.pop("devices")),
    "empty list, more to follow": without_list(True),
    "empty list, no more": without_list(False),
    "cursor missing": spoiled(lambda page: page.json.pop("cursor")),
    "cursor empty": member("cursor", ""),
    "cursor of 10 kB": member("cursor", "x" * 10240),
    "cursor with NUL": member("cursor", "a\0b"),
    "cursor not ASCII": member("cursor", "\u00e9\u00e9"),
    "another tenant's cursor": lambda wire, body: member("cursor", FOREIGN)(wire, body),
    "more_to_follow missing": spoiled(lambda page: page.json.pop("more_to_follow")),
    "fetched_until in the past": member("fetched_until", "2001-01-01T00:00:00Z"),
    "fetched_until in the future": member("fetched_until", "2101-01-01T00:00:00Z"),
    "op_date out of order": every_device(lambda at, one: one.update(op_date=f"2026-01-{28 - at:02d}T00:00:00Z")),
    "op_date invalid": device(op_date="yesterday"),
    "1,001 devices": spoiled(many_devices),
    "status 400 in quotes": refusal(400, '"INVALID_CURSOR"'),
    "400 INVALID_CURSOR": refusal(400, "INVALID_CURSOR"),
    "400 EXPIRED_CURSOR": refusal(400, "EXPIRED_CURSOR"),
    "400 EXHAUSTED_CURSOR": refusal(400, "EXHAUSTED_CURSOR"),
    "400 CURSOR_REQUIRED": refusal(400, "CURSOR_REQUIRED"),
    "400 INVALID_LIMIT": refusal(400, "INVALID_LIMIT"),
    "400 without a word": refusal(400),
    "401": refusal(401, "UNAUTHORIZED"),
    "403 FORBIDDEN": refusal(403, "FORBIDDEN"),
    "403 ACCESS_DENIED": refusal(403, "ACCESS_DENIED"),
    "403 T_C_NOT_SIGNED": refusal(403, "T_C_NOT_SIGNED"),
    "403 token_rejected": refusal(403, "token_rejected"),
    "403 token_expired": refusal(403, "token_expired"),
    "403 signature_invalid": refusal(403, "signature_invalid"),
    "404": refusal(404, "NOT_FOUND"),
    "405": refusal(405),
    "408": refusal(408),
    "413": refusal(413),
    "429": refusal(429),
    "429, Retry-After in seconds": refusal(429, "", "Retry-After: 7200"),
    "429, Retry-After as a date": refusal(429, "", "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT"),
    "500": refusal(500, "INTERNAL_SERVER_ERROR"),
    "502": refusal(502),
    "503, Retry-After": refusal(503, "", "Retry-After: 120"),
    "504": refusal(504),
    "302 elsewhere": refusal(302, "", "Location: http://127.0.0.1:1/"),
    "204": raw(lambda body: b"HTTP/1.1 204 No Content\r\n\r\n"),
    "20,000 informational answers": flood_of_informational,
    "session replaced by a wrong one": raw(lambda body: answer(body, headers=["X-ADM-Auth-Session: nobodys"])),
    "Date absent": raw(answer),
    "Date ten minutes ahead": raw(lambda body: answer(body, date=http_date(600))),
    "Date ten minutes behind": raw(lambda body: answer(body, date=http_date(-600))),
}
SLOW_FAULTS = {  # end only with our patience, so each has a tenant of its own
    "black hole": lambda wire, body: wire.hold(),
    "slow drip": lambda wire, body: wire.drip(answer(body)),
    "stall in the headers": hold_after(lambda whole: whole[:30]),
    "stall in the body": hold_after(lambda whole: whole[:-20]),
}
WHOLE_FAULTS = ("connection refused", "no TLS there")  # of the service's address: the same wherever it happens


def http_date(offset_s):
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + offset_s))


# --- what is promised ---


def promised():
    """(fault, place) -> outcomes that may be, as the table says."""
    found = {}
    with open(TABLE, encoding="utf-8") as file:
        for line in file:
            cells = [cell.strip().replace("`", "") for cell in line.strip().strip("|").split("|")]
            if len(cells) == len(PLACES) + 1 and cells[0] not in ("what is wrong", "---"):
                found.update({(cells[0], place): outcome for place, outcome in zip(PLACES, cells[1:])})
    return found


# --- tenants ---


class Patient:
    def __init__(self, world, apple, number, devices=DEVICES, interval_s=86400):
        self.world, self.slug = world, f"patient-{number}"
        made = world.apple.post("/tenants", {"name": self.slug, "devices": devices, "page_maximum": PAGE_SIZE,
                                             "page_default": PAGE_SIZE})
        self.apple = made["id"]
        world.operator.post("/tenants", {"slug": self.slug, "display_name": self.slug, "sync_interval_s": interval_s})
        pair = world.technician.post(f"/tenants/{self.slug}/token/keys")["id"]
        pem = world.technician.get(f"/tenants/{self.slug}/token/keys/{pair}/certificate")
        file = world.apple.call("POST", f"/tenants/{self.apple}/token", pem)
        self.wire = apple.add(world.apple.get(f"/tenants/{self.apple}/token")["consumer_key"])
        world.technician.call("PUT", f"/tenants/{self.slug}/token", file)
        self.truth = {one["serial_number"] for one in world.apple.get(f"/tenants/{self.apple}/truth")["devices"]}

    def shown(self):
        return self.world.technician.get(f"/tenants/{self.slug}/sync")

    def stored(self):
        items, query = set(), "?limit=1000"
        page = self.world.technician.get(f"/tenants/{self.slug}/devices{query}")
        items.update(one["serial_number"] for one in page["items"])
        return items

    def fetch_all(self, seconds=60):
        """Waits for the end of a run that was asked for everything."""
        before = self.shown()
        self.world.technician.post(f"/tenants/{self.slug}/sync", {"mode": "full"})

        def over():
            now = self.shown()
            return now["full"]["generation"] > before["full"]["generation"] and not now["run"]["under_way"] and now

        return before, wait_until(over, f"{self.slug}: the run does not end", seconds)

    def outcome(self, place, fault, seconds):
        sessions, hits = self.wire.sessions, self.wire.hits
        self.wire.fault = (place, fault)
        before, after = self.fetch_all(seconds)
        if self.wire.hits != hits + 1:
            raise Failure(f"the fault happened {self.wire.hits - hits} times")
        if not self.truth <= self.stored():
            raise Failure(f"{len(self.truth - self.stored())} devices are removed by it")
        if after["reason"] != "up_to_date":
            return after["reason"]
        if after["full"]["generation"] > before["full"]["generation"] + 1:
            return "fetched again"
        return "new session" if self.wire.sessions > sessions else "taken"

    def recover(self):
        _, after = self.fetch_all()
        if after["reason"] != "up_to_date" or after["error"]:
            raise Failure(f"{self.slug} does not recover: {after}")
        if self.stored() != self.truth:
            raise Failure(f"{self.slug}: {len(self.stored() ^ self.truth)} devices differ after recovery")


class Ward(threading.Thread):
    """One patient and its faults, one after the other."""

    def __init__(self, patient, cases, table, complaints, seconds=60):
        super().__init__(daemon=True)
        self.patient, self.cases, self.table, self.complaints, self.seconds = patient, cases, table, complaints, seconds
        self.start()

    def run(self):
        wait_until(lambda: self.patient.shown()["reason"] == "up_to_date", "the first list is missing", 60)
        for name, place, fault in self.cases:
            try:
                found = self.patient.outcome(place, fault, self.seconds)
                if found not in self.table.get((name, place)).split(" or "):
                    self.complaints.append(f"{name}, {place} page: {found}, promised is {self.table.get((name, place))}")
                self.patient.recover()
            except (Failure, OSError) as error:
                self.complaints.append(f"{name}, {place} page: {error}")
                self.patient.wire.fault = None


def check_address(world, patient, url, complaints):
    world.operator.call("PATCH", f"/tenants/{patient.slug}", {"apple_url": url})
    try:
        _, after = patient.fetch_all()
        if after["reason"] != "backoff" or not after["error"]:
            complaints.append(f"{url}: {after}")
        world.operator.call("PATCH", f"/tenants/{patient.slug}", {"apple_url": None})
        patient.recover()
    except Failure as error:
        complaints.append(f"{url}: {error}")


def watch_healthy(healthy, wards, complaints):
    """Until all wards are through. Somebody who is in order is synced every second, whatever the others suffer."""
    worst = 0
    while any(ward.is_alive() for ward in wards):
        for patient in healthy:
            shown = patient.shown()
            worst = max(worst, shown["lag_s"] if shown["lag_s"] is not None else 999)
            if shown["error"]:
                complaints.append(f"{patient.slug} is healthy and has an error: {shown['error']}")
        time.sleep(0.5)
    print(f"the healthy ones were synced {worst} s ago at worst", flush=True)
    if worst > HEALTHY_LAG_S:
        complaints.append(f"a healthy tenant was not synced for {worst} s")


def main():
    global FOREIGN
    table, complaints = promised(), []
    cases = [(name, place, fault) for name, fault in FAULTS.items() for place in PLACES]
    slow = [(name, place, fault) for name, fault in SLOW_FAULTS.items() for place in PLACES]
    names = {name for name, _, _ in cases + slow} | set(WHOLE_FAULTS)
    if names != {name for name, _ in table}:
        raise Failure(f"the table and the faults differ: {names ^ {name for name, _ in table}}")
    apple = FaultyApple(PAGES)
    with World(workers=2, DEPBROKER_APPLE_URL=apple.url) as world:
        host, _, port = world.apple_url.removeprefix("http://").partition(":")
        apple.upstream = (host, int(port))
        started = time.monotonic()
        slow_ones = [Patient(world, apple, f"slow-{at}") for at in range(len(slow))]
        wards = [Ward(patient, [case], table, complaints, 100) for patient, case in zip(slow_ones, slow)]
        patients = [Patient(world, apple, at) for at in range(TENANTS)]
        healthy = [Patient(world, apple, f"healthy-{at}", interval_s=1) for at in range(HEALTHY)]
        for patient in patients + healthy:
            wait_until(lambda patient=patient: patient.shown()["reason"] == "up_to_date", "the first list is missing", 60)
        FOREIGN = world.rows("select s.cursor from depbroker.sync_stream s join depbroker.tenants t using (tenant_id)"
                             " where t.slug = 'patient-healthy-0'")[0]["cursor"]
        print(f"{len(patients) + len(healthy) + len(slow)} tenants after {time.monotonic() - started:.0f} s", flush=True)
        wards += [Ward(patient, cases[at::TENANTS], table, complaints) for at, patient in enumerate(patients)]
        watch_healthy(healthy, wards, complaints)
        check_address(world, patients[0], f"http://{free_address()}", complaints)
        check_address(world, patients[0], apple.url.replace("http:", "https:"), complaints)
        print(f"{len(cases) + len(slow) + len(WHOLE_FAULTS)} faults after {time.monotonic() - started:.0f} s", flush=True)
    apple.close()
    if complaints:
        raise Failure("\n".join(complaints))
    print("ok", flush=True)


main()
