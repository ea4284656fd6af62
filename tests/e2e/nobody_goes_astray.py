#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Rules and pins change all the time while devices come, go and move, Apple throttles, fails, and loses answers, and workers are killed.
# Every single assignment that Apple took is held against the rules that were in force then, judged by a model of its own
# (tests/support/rule_model.py): no device is ever sent where no rule wants it. In the end every device is where the last rules say.
#
# DEPBROKER_TEST_SCALE: tenants,devices each,seconds. The nightly form is 20,2000,600.
import collections
import os
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
import rule_model  # noqa: E402
from world import Failure, World, seeded, wait_until  # noqa: E402

TENANTS, DEVICES, SECONDS = (int(part) for part in os.environ.get("DEPBROKER_TEST_SCALE", "4,150,25").split(","))
INSTANCES = ["main", "school", "lab"]
# A request that was under way when the rules changed was sent by the ones before. How long one may take: a planted delay, and a busy machine.
UNDER_WAY_S = 3
DELAY_MS = 300
DEFINITIONS_THAT_FAIL = [{"endpoint": "POST /profile", "status": 500}, {"endpoint": "POST /profile", "reset": True}]
CALENDAR_S = 48 * 3600  # past every cool-down


class History:
    """What was in force, from when to when. Between asking and the answer both the old and the new one are."""

    def __init__(self):
        self.spans = []  # [from, to, what]

    def change(self, asked_at, answered_at, what):
        if self.spans:
            self.spans[-1][1] = answered_at
        self.spans.append([asked_at, float("inf"), what])

    def in_force(self, begin, end):
        return [what for since, until, what in self.spans if since <= end and until >= begin]


class Site:
    """A client with three instances, and what its rules and pins were at any time."""

    def __init__(self, world, chance, interval_s=1):
        self.world, self.chance = world, chance
        self.client = world.onboard(devices=DEVICES, interval_s=interval_s, before_rules=self.add_instances)
        self.serials = sorted(device["serial_number"] for device in self.client.truth()["devices"])
        self.rules, self.pins = History(), collections.defaultdict(History)
        self.changes, self.approvals, self.judged = 0, 0, 0
        now = time.time()
        self.rules.change(0, now, {"rules": [], "otherwise": {"instance": "main"}})

    def add_instances(self, client):
        for name in INSTANCES[1:]:
            self.world.technician.post(f"{client.path}/instances", {
                "name": name, "kind": "generic", "enrolment_url": f"https://{name}.{client.slug}.example/enroll",
                "allowed_hosts": [f"{name}.{client.slug}.example"]})
        client.fail_apple(**self.chance.choice(DEFINITIONS_THAT_FAIL))  # of the client's first profile

    def instance_of(self, url):
        name = url.split("//")[1].split(".")[0]
        host = f"{name}.{self.client.slug}.example"
        if not url.startswith(f"https://{host}/"):
            raise Failure(f"{self.client.slug}: a profile leads to {url}")
        return "main" if name == "mdm" else name

    def make(self, method, path, body=None):
        """A change, with a second key if it needs one."""
        answer = self.world.technician.call(method, self.client.path + path, body)
        if answer and answer.get("state") == "pending":
            self.world.operator.post(f"/approvals/{answer['id']}/approve")
            self.approvals += 1

    def put_rules(self, document):
        asked_at = time.time()
        self.make("PUT", "/rules?reason=test", document)
        self.rules.change(asked_at, time.time(), document)
        self.changes += 1

    def change_rules(self):
        self.put_rules(rule_model.random_rules(self.chance, INSTANCES, self.serials))

    def change_pin(self):
        serial = self.chance.choice(self.serials)
        path = f"/devices/{serial}/pin"
        history = self.pins[serial]
        target = self.chance.choice(INSTANCES)
        asked_at = time.time()
        if not history.spans:
            history.change(0, asked_at, None)
        if history.spans[-1][2] is None:
            self.make("PUT", path, {"instance": target})
            history.change(asked_at, time.time(), target)
        else:
            self.make("DELETE", path)
            history.change(asked_at, time.time(), None)

    def change_devices(self):
        kind = self.chance.randrange(4)
        if kind == 0:
            self.serials += self.client.add(self.chance.randrange(1, 10))
            return
        present = [device["serial_number"] for device in self.client.truth()["devices"]]
        serial = self.chance.choice(present)
        if kind == 1:
            self.client.remove(serial)
        elif kind == 2:
            self.client.change(serial, asset_tag=f"TAG-{self.chance.randrange(100)}")
        else:
            self.client.change(serial, cool_down_s=self.chance.randrange(1, 6))

    def fail(self):
        plan = self.chance.choice([
            {"endpoint": "/profile/devices", "throttle": {"share": 0.3, "retry_after_seconds": 2}, "times": 2},
            {"endpoint": "/profile/devices", "fail": {"share": 0.3}, "times": 2},
            {"endpoint": "/profile/devices", "missing": {"share": 0.3}, "times": 2},
            {"endpoint": "/profile/devices", "status": 503, "perform": True, "times": 2},
            {"endpoint": "/profile/devices", "reset": True},
            {"endpoint": "/profile/devices", "delay_ms": DELAY_MS, "times": 3},
            *DEFINITIONS_THAT_FAIL,
            {"endpoint": "/devices/sync", "status": 429, "retry_after": "1"},
            {"endpoint": "/devices", "reset": True},
            {"status": 401, "body": "UNAUTHORIZED"},
        ])
        self.client.fail_apple(**plan)

    # What Apple has seen

    def assignments(self, after):
        return self.world.apple.get(f"/tenants/{self.client.apple}/assignments?after={after}")

    def urls(self):
        return {profile["profile_uuid"]: profile["url"] for profile in self.world.apple.get(f"/tenants/{self.client.apple}/profiles")["profiles"]}

    # What must hold

    def targets(self, device, begin, end):
        pins = self.pins[device["serial_number"]].in_force(begin, end) or [None]
        for pin in pins:
            for document in self.rules.in_force(begin, end):
                yield pin or rule_model.decide(document, device)

    def check_assignments(self, calendar_s=0):
        """Those since the last time. `calendar_s`: how far Apple's calendar is ahead by now."""
        urls = self.urls()
        facts = {row["serial_number"]: row for row in self.client.rows(
            "select serial_number, device_family, model from depbroker.devices where tenant_id = {id}")}
        answer = self.assignments(self.judged)
        self.judged = answer["last"]
        for one in answer["assignments"]:
            serial, at = one["serial_number"], one["at_ms"] / 1000
            at -= calendar_s if at > time.time() + calendar_s / 2 else 0  # some are of before the calendar was turned on
            found = self.instance_of(urls[one["profile_uuid"]])
            wanted = set(self.targets(facts[serial], at - UNDER_WAY_S, at + 0.01))
            if found not in wanted:
                raise Failure(f"{self.client.slug}: {serial} was sent to {found} at {at:.3f}, when it was to go to {wanted}; "
                              f"rules changed at {[span[:2] for span in self.rules.spans]}")

    def end_waits(self):
        """Devices that wait for Apple, or after an error, are due now: as superuser, behind depbroker's back. Definitions whose answers were
        lost are long ago; those that Apple did not take are asked for by whoever wants a sync."""
        self.client.sql("update depbroker.profile_definitions set last_at = last_at - interval '2 days' where tenant_id = {id};"
                        "update depbroker.devices set assign_at = now() where tenant_id = {id} and assign_at > now();"
                        "update depbroker.sync_due set wake = wake + 1, due_at = now() where tenant_id = {id}")
        self.client.sync_now()

    def unsettled(self):
        """Devices that are not where the last rules say."""
        now = time.time()
        truth = {device["serial_number"]: device for device in self.client.truth()["devices"]}
        urls = self.urls()
        facts = {row["serial_number"]: row for row in self.client.rows(
            "select serial_number, device_family, model, assign_state, assign_at, assign_attempts from depbroker.devices"
            " where tenant_id = {id} and gone_at is null")}
        wrong = [f"{serial} is not known" for serial in truth if serial not in facts]
        for serial, device in truth.items():
            wanted = set(self.targets(facts[serial], now, now)) if serial in facts else {None}
            uuid = device.get("profile_uuid")
            found = self.instance_of(urls[uuid]) if uuid else None
            if wanted != {None} and found not in wanted:
                wrong.append(f"{serial} is at {found}, not {wanted}: {facts[serial]}")
        return wrong


class Fate:
    """What happens to all of them."""

    def __init__(self, world, sites, chance):
        self.world, self.sites, self.chance, self.kills = world, sites, chance, 0

    def kill_a_worker(self):
        workers = self.world.broker.workers()
        if workers:
            self.kills += 1
            os.kill(self.chance.choice(workers), signal.SIGKILL)

    def step(self):
        site = self.chance.choice(self.sites)
        kinds = [(site.change_rules, 30), (site.change_pin, 20), (site.change_devices, 20), (site.fail, 27),
                 (lambda: self.world.apple.call("DELETE", "/sessions"), 1), (self.kill_a_worker, 2)]
        self.chance.choices([act for act, _ in kinds], [weight for _, weight in kinds])[0]()

    def happen(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()
            time.sleep(self.chance.random() * 2 * seconds_between(len(self.sites)))
        self.world.apple.call("DELETE", "/faults")


def seconds_between(sites):
    """So that the rules of one client stay in force for several times as long as a request may be under way."""
    return 3 / sites


def has_asked(world, path, after):
    return any(one["path"].startswith(path) for one in world.apple.get(f"/requests?after={after}")["requests"])


def sent_to(site, serial, after):
    urls = site.urls()
    return [site.instance_of(urls[one["profile_uuid"]]) for one in site.assignments(after)["assignments"] if one["serial_number"] == serial]


def change_while_a_run_waits(site, serial, change, wanted):
    """The run was loaded before the change and waits for a session; then it reads that the device is due: it must not act on what it believes."""
    world, client = site.world, site.client
    before = site.assignments(0)["last"]
    last = world.apple.get("/requests")["last"]
    client.fail_apple(endpoint="/session", delay_ms=3000)
    world.apple.call("DELETE", "/sessions")
    client.sql("update depbroker.devices set profile_uuid = null, assigned_profile_uuid = null, profile_status = 'empty', assign_state = 1,"
               f" assign_at = now() where tenant_id = {{id}} and serial_number = '{serial}';"
               "update depbroker.sync_stream set load_id = load_id + 1 where tenant_id = {id};"  # as a worker would: what is kept does not hold
               "update depbroker.sync_due set wake = wake + 1, due_at = now() where tenant_id = {id}")
    wait_until(lambda: has_asked(world, "/session", last), "no session is asked for", 30, 0.05)
    change()
    wait_until(lambda: sent_to(site, serial, before), f"{serial} is not assigned")
    sent = sent_to(site, serial, before)
    if set(sent) != {wanted}:
        raise Failure(f"{serial} was sent to {sent}, when it was to go to {wanted} only")


def check_runs_that_waited(world, chance):
    site = Site(world, chance, interval_s=3600)
    serial = site.serials[0]
    pin = f"{site.client.path}/devices/{serial}/pin"
    settle(site)
    change_while_a_run_waits(site, serial, lambda: site.put_rules({"rules": [], "otherwise": {"instance": "school"}}), "school")
    settle(site)
    change_while_a_run_waits(site, serial, lambda: world.technician.call("PUT", pin, {"instance": "lab"}), "lab")


def definitions(world, after=0):
    return sum(1 for one in world.apple.get(f"/requests?after={after}")["requests"] if (one["method"], one["path"]) == ("POST", "/profile"))


def check_definitions_that_fail(world):
    """A profile that Apple does not take now holds its devices up for some seconds, then for longer, and a sync that somebody wants ends the wait."""
    last = world.apple.get("/requests")["last"]
    client = world.onboard(devices=3, interval_s=3600, before_rules=lambda client: client.fail_apple(endpoint="POST /profile", status=500, times=0))
    waits = "select refusals, extract(epoch from wait_until - now())::int as wait_s from depbroker.profile_definitions where tenant_id = {id}"
    wait_until(lambda: client.rows(waits) and client.row(waits)["refusals"] == 2, "it is not asked for again by itself", 30)
    if not 200 < client.row(waits)["wait_s"] <= 360:
        raise Failure(f"after the second refusal: {client.row(waits)}")
    for count in (3, 4):
        client.sync_now()
        wait_until(lambda count=count: client.row(waits)["refusals"] == count, "a sync that somebody wants does not ask for it", 30)
        wait_until(lambda: not client.stream()["owner"], "the run does not end", 30)
        if definitions(world, last) != count:
            raise Failure(f"{count} refusals after {definitions(world, last)} requests")
    world.apple.call("DELETE", "/faults")
    client.sync_now()
    wait_until(lambda: all(device.get("profile_uuid") for device in client.truth()["devices"]), "the devices still wait", 30)
    if definitions(world, last) != 5 or client.row("select refusals as n from depbroker.profile_definitions where tenant_id = {id}")["n"] != 0:
        raise Failure("one definition did it, and there are no refusals any more")


def settle(site):
    wait_until(lambda: not site.unsettled(), site.unsettled)
    site.client.sync_now()  # so that the rows, too, know that Apple did it
    wait_until(lambda: site.client.row("select count(*) as n from depbroker.devices where tenant_id = {id} and assign_at is not null")["n"] == 0,
               "what Apple shows is not stored")


def check(world, chance):
    sites = [Site(world, chance) for _ in range(TENANTS)]
    fate = Fate(world, sites, chance)
    fate.happen(SECONDS)
    for site in sites:
        site.check_assignments()
    world.apple.post("/clock", {"advance_s": CALENDAR_S})
    for site in sites:
        site.end_waits()
    for site in sites:
        wait_until(lambda site=site: not site.unsettled(), lambda site=site: f"{site.client.slug}: not where they are to go: {site.unsettled()[:5]}",
                   120, 0.5)
        site.check_assignments(CALENDAR_S)
    judged = sum(site.judged for site in sites)
    changes, approvals = sum(site.changes for site in sites), sum(site.approvals for site in sites)
    print(f"{judged} assignments of {sum(len(site.serials) for site in sites)} devices, {changes} changes of rules, "
          f"{sum(len(history.spans) for site in sites for history in site.pins.values())} of pins, {fate.kills} workers killed, {approvals} approvals", flush=True)
    if changes < 2 or judged <= TENANTS * DEVICES:
        raise Failure("nothing happened that could have gone wrong")
    for site in sites:
        world.check_log(site.client)
        world.check_ledger(site.client)


def main():
    chance, seed = seeded("nobody_goes_astray")
    with World(workers=2, seed=seed % 1000 + 1, own_postgres=True) as world:
        check_definitions_that_fail(world)
        check_runs_that_waited(world, chance)
        check(world, chance)
    print("ok", flush=True)


main()
