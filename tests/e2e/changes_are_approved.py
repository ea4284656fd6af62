#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# The brake: whatever moves devices is on the account of its client or approved by a second key, once, as it was asked for.
import collections
import os
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import equal, test  # noqa: E402
from world import Problem, World, refused, run_in, seeded, wait_until  # noqa: E402

WORLD = World(workers=1)
DEVICES, LIMIT = 60, 25
RARELY_S = 3600


def onboarded(devices=DEVICES):
    client = WORLD.onboard(devices=devices, interval_s=RARELY_S)
    WORLD.technician.post(f"{client.path}/instances", {
        "name": "school", "kind": "fleet", "enrolment_url": f"https://mdm.{client.slug}.example/school",
        "allowed_hosts": [f"mdm.{client.slug}.example"]})
    wait_until(lambda: len(places(client)) == devices and set(places(client).values()) == {"main"}, "devices are not at main")
    wait_until(lambda: client.row("select devices from depbroker.tenant_status where tenant_id = {id}")["devices"] == devices, "they are not counted")
    return client


def places(client):
    """Where each device is to go, as stored."""
    return {row["serial_number"]: row["name"] for row in client.rows(
        "select d.serial_number, coalesce(i.name, 'held') as name from depbroker.devices d left join depbroker.instances i"
        " on i.tenant_id = d.tenant_id and i.instance_id = d.instance_id where d.tenant_id = {id} and d.gone_at is null")}


def until_at(client, serials, place):
    wait_until(lambda: {places(client)[serial] for serial in serials} == {place}, lambda: f"they are not at {place}: {places(client)}")


def pins(client, serials, **how):
    return WORLD.technician.post(f"{client.path}/pins", {"serial_numbers": list(serials), **how})


def approve(asked, api=None):
    return (api or WORLD.operator).post(f"/approvals/{asked['id']}/approve")


def listed(asked):
    found = WORLD.operator.get(f"/approvals/{asked['id']}/devices?limit=1000")["items"]
    return {device["serial_number"] for device in found}


def forget_what_was_spent(client):
    """A day later."""
    client.sql("update depbroker.brake_account set made_at = made_at - interval '24 hours' where tenant_id = {id}")


def audit(action):
    return [line for line in WORLD.admin.get("/audit?limit=1000")["items"] if line["action"] == action]


@test
def a_list_of_pins_over_the_limit_waits_and_is_made_as_it_was_asked_for():
    client = onboarded()
    serials = sorted(places(client))
    asked = pins(client, [serial.lower() for serial in serials[:30]], instance="school", reason="move")
    equal((asked["state"], asked["kind"], asked["changes"], asked["of"], asked["reason"]), ("pending", "pins", 30, DEVICES, "move"), "it waits")
    equal(listed(asked), set(serials[:30]), "its devices")
    equal(client.rows("select * from depbroker.pins where tenant_id = {id}"), [], "pins before")
    refused("approval_by_same_key", WORLD.technician, "POST", f"/approvals/{asked['id']}/approve")
    equal(approve(asked)["state"], "approved", "state")
    until_at(client, serials[:30], "school")
    until_at(client, serials[30:], "main")
    refused("approval_closed", WORLD.operator, "POST", f"/approvals/{asked['id']}/approve")
    equal([line["detail"]["id"] for line in audit("approval.approve")][-1], asked["id"], "audit")
    equal(WORLD.technician.get(f"/approvals/{asked['id']}")["proposed"]["instance"], "school", "what was asked for")
    # What was approved is on nobody's account.
    equal(pins(client, serials[30:55], instance="school"), {"pins": 25, "changes": 25}, "the whole limit is left")
    asked = pins(client, serials[55:56], instance="school")
    equal((asked["state"], asked["changes"]), ("pending", 1), "and nothing more")


@test
def many_small_changes_are_one_large_one():
    client = onboarded()
    serials = sorted(places(client))
    for serial in serials[:10]:
        WORLD.technician.call("PUT", f"{client.path}/devices/{serial}/pin", {"instance": "school"})
    pins(client, serials[10:20], hold="stolen")
    rules = {"rules": [{"name": "some", "when": {"serial": serials[20:25]}, "then": {"instance": "school"}}], "otherwise": {"instance": "main"}}
    equal(WORLD.technician.call("PUT", f"{client.path}/rules", rules)["version"], 2, "five more")
    preview = WORLD.technician.post(f"{client.path}/rules/preview", {"rules": rules["rules"][:0], "otherwise": {"instance": "main"}})
    equal((preview["spent"], preview["changes"], preview["needs_approval"]), (25, 5, True), "preview")
    for method, path, body in (("PUT", f"/devices/{serials[30]}/pin", {"hold": "no"}), ("DELETE", f"/devices/{serials[0]}/pin", None),
                               ("POST", "/pins", {"serial_numbers": serials[:1], "unpin": True}), ("PUT", "/rules", {"version": 1})):
        equal(WORLD.technician.call(method, client.path + path, body)["state"], "pending", f"{method} {path}")
    # What moves nothing is nobody's matter.
    equal(pins(client, ["ABSENT1", "ABSENT2"], instance="school"), {"pins": 2, "changes": 0}, "absent devices")
    equal(pins(client, serials[:10], instance="school"), {"pins": 10, "changes": 0}, "the same again")
    forget_what_was_spent(client)
    equal(pins(client, serials[40:60], instance="school"), {"pins": 20, "changes": 20}, "a day later")


@test
def a_limit_that_was_raised_counts_a_day_later():
    client = onboarded()
    serials = sorted(places(client))
    WORLD.operator.call("PATCH", client.path, {"brake_devices": 1000, "brake_percent": 100})
    equal(pins(client, serials[:26], instance="school")["state"], "pending", "not yet")
    WORLD.operator.call("PATCH", client.path, {"brake_devices": 5, "brake_percent": 1})
    equal(pins(client, serials[:6], instance="school")["state"], "pending", "a lower one at once")
    WORLD.operator.call("PATCH", client.path, {"brake_devices": 1000, "brake_percent": 100})
    forget_what_was_spent(client)
    equal(pins(client, serials, instance="school"), {"pins": DEVICES, "changes": DEVICES}, "a day later")


@test
def what_changed_meanwhile_makes_it_stale():
    client = onboarded()
    serials = sorted(places(client))
    grown = pins(client, serials[:30], instance="school")
    pins(client, serials[:1], instance="school")  # one less is not more
    shrunk = pins(client, serials[:30], instance="school")
    equal(shrunk["changes"], 29, "one of them is there")
    pins(client, serials[:1], unpin=True)
    equal(refused("approval_stale", WORLD.operator, "POST", f"/approvals/{shrunk['id']}/approve")["status"], 409, "one more would move")
    equal(WORLD.operator.get(f"/approvals/{shrunk['id']}")["state"], "stale", "state")
    equal(approve(grown)["state"], "approved", "the other one is as it was")
    until_at(client, serials[:30], "school")
    layer = WORLD.technician.call("PUT", client.path + "/profile", {"layer": {"department": "first"}})
    equal((layer["state"], layer["kind"], layer["changes"]), ("pending", "tenant.profile", DEVICES), "the tenant's layer")
    client.sql("update depbroker.tenants set profile_version = profile_version + 1 where tenant_id = {id}")
    refused("approval_stale", WORLD.operator, "POST", f"/approvals/{layer['id']}/approve")
    expired = WORLD.technician.call("PUT", client.path + "/profile", {"layer": {"department": "first"}})
    WORLD.sql(f"update depbroker.approvals set expires_at = now() where approval_id = {expired['id']}")
    refused("approval_closed", WORLD.operator, "POST", f"/approvals/{expired['id']}/approve")
    equal(WORLD.technician.get(client.path + "/profile")["layer"], {}, "nothing of it was made")


@test
def layers_of_tenants_and_instances_wait_too():
    client = onboarded()
    changes = (
        ("PUT", "/profile", {"layer": {"department": "one"}, "reason": "why"}, "tenant.profile", None),
        ("PUT", "/instances/main/profile", {"layer": {"department": "two"}}, "instance.profile", "main"),
        ("PATCH", "/instances/main", {"enrolment_url": f"https://mdm.{client.slug}.example/three"}, "instance", "main"),
        ("PATCH", "", {"labels": ["site=Basel"]}, None, None),
    )
    for method, path, body, kind, target in changes:
        asked = WORLD.technician.call(method, client.path + path, body)
        if kind is None:
            equal(asked["labels"], ["site=Basel"], "labels that nothing uses move nothing")
            continue
        equal((asked["state"], asked["kind"], asked["target"], asked["changes"]), ("pending", kind, target, DEVICES), path)
        equal(listed(asked), set(places(client)), "devices")
        equal(approve(asked)["state"], "approved", path)
    shown = WORLD.technician.get(client.path + "/instances/main/profile")
    equal((shown["profile"]["department"], shown["profile"]["url"]), ("two", f"https://mdm.{client.slug}.example/three"), "all of them")
    equal(WORLD.technician.call("PUT", client.path + "/instances/school/profile", {"layer": {"department": "x"}})["version"], 1, "no device is there")


@test
def labels_and_names_that_profiles_use_wait_too():
    client = onboarded()
    approve(WORLD.technician.call("PUT", client.path + "/profile", {"layer": {"department": "{{tenant.name}}"}}))
    asked = WORLD.technician.call("PATCH", client.path, {"display_name": "Renamed", "notes": "kept"})
    equal((asked["state"], asked["kind"], asked["changes"]), ("pending", "tenant", DEVICES), "a name in each profile")
    equal(WORLD.technician.get(client.path)["notes"], None, "nothing was changed")
    equal(approve(asked)["state"], "approved", "approved")
    found = WORLD.technician.get(client.path)
    equal((found["display_name"], found["notes"]), ("Renamed", "kept"), "all of it")
    rules = {"rules": [{"name": "a", "when": {"labels": {"site": "north"}}, "then": {"instance": "school"}}], "otherwise": {"instance": "main"}}
    equal(WORLD.technician.call("PUT", f"{client.path}/rules", rules)["version"], 2, "no device has the label")
    asked = WORLD.technician.call("PATCH", client.path, {"labels": ["site=north"]})
    equal((asked["state"], asked["changes"]), ("pending", DEVICES), "a label of the rules")
    equal(approve(asked)["state"], "approved", "approved")
    until_at(client, places(client), "school")


@test
def two_changes_at_a_time_do_not_both_have_what_is_left():
    client = onboarded()
    serials = sorted(places(client))
    answers = []

    def change(part):
        answers.append(pins(client, part, instance="school"))

    threads = [threading.Thread(target=change, args=(serials[i * 10:i * 10 + 10],)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = sum(answer["changes"] for answer in answers if "state" not in answer)
    equal((len(answers), made), (6, 20), "moved at once")
    equal(client.row("select count(*) as n from depbroker.pins where tenant_id = {id}")["n"], 20, "pins")


def expect(client, method, rows, query=""):
    return WORLD.technician.call(method, f"{client.path}/expected{query}", ("serial,instance\n" + "".join(f"{row}\n" for row in rows)).encode())


@test
def a_list_of_expected_devices_that_lets_many_go_waits():
    client = onboarded()
    expect(client, "PUT", ["SOME,"], "?hold=true")
    surprises = [f"SURPRISE{number:02}" for number in range(30)]
    WORLD.apple.post(f"/tenants/{client.apple}/devices", {"devices": surprises})
    client.sync_now()
    wait_until(lambda: len(places(client)) == DEVICES + 30, "they do not arrive")
    until_at(client, surprises, "held")
    equal(expect(client, "POST", [f"{serial}," for serial in surprises[:5]])["rows"], 5, "a few")
    until_at(client, surprises[:5], "main")
    forget_what_was_spent(client)
    elsewhere = expect(client, "POST", [f"{serial},school" for serial in surprises[5:]])
    equal(elsewhere["rows"], 25, "these stay held, for another reason")
    wait_until(lambda: client.row("select count(*) as n from depbroker.devices where tenant_id = {id} and decider = 4")["n"] == 25, "they do not")
    forget_what_was_spent(client)
    pins(client, sorted(places(client))[:1], instance="school")
    asked = expect(client, "PUT", [])
    equal((asked["state"], asked["kind"], asked["changes"]), ("pending", "expected", 25), "an end of the list")
    equal(listed(asked), set(surprises[5:]), "whom it lets go")
    until_at(client, surprises[5:], "held")
    equal(WORLD.technician.get(f"{client.path}/expected")["counts"]["arrived"], 30, "the list stays")
    equal(approve(asked)["state"], "approved", "approved")
    until_at(client, surprises, "main")
    equal(WORLD.technician.get(f"{client.path}/expected")["items"], [], "nothing is expected")


def at_once(*calls):
    """The answers of calls that are made at the same moment, in their order; of what is refused its code."""
    answers = [None] * len(calls)

    def make(place, call):
        try:
            answers[place] = WORLD.operator.call(*call)
        except Problem as problem:
            answers[place] = {"code": problem.problem["code"]}

    threads = [threading.Thread(target=make, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def is_made(answer):
    return "expires_at" not in answer and "code" not in answer


@test
def a_template_and_who_begins_to_use_it_do_not_pass_each_other():
    """Each of the two costs nothing as long as the other one has not been made."""
    client = onboarded()
    made = 0
    for turn in range(20):
        name = f"race-{turn}"
        WORLD.operator.call("PUT", f"/templates/{name}", {"layer": {}})
        calls = [("PUT", f"{client.path}/profile", {"layer": {}, "template": name}), ("PUT", f"/templates/{name}", {"layer": {"department": "x"}})]
        answers = at_once(*(calls if turn % 2 else calls[::-1]))
        made += sum(map(is_made, answers))
        if all(map(is_made, answers)):
            raise AssertionError(f"turn {turn}: {DEVICES} devices get another profile, and nobody was asked: {answers}")
        client.sql("update depbroker.tenants set template = null where tenant_id = {id}")
    equal(made > 0, True, "one of the two is made")


@test
def two_layers_that_hide_each_other_do_not_both_cost_nothing():
    client = onboarded()
    hidden, shown = {"layer": {"department": "hidden"}}, {"layer": {"department": "shown"}}
    for turn in range(10):
        forget_what_was_spent(client)
        for path, layer in (("/profile", hidden), ("/instances/main/profile", hidden)):
            answer = WORLD.technician.call("PUT", client.path + path, layer)
            if "expires_at" in answer:
                approve(answer)
        # The tenant's layer is hidden by the instance's, and the instance's is as the tenant's.
        answers = at_once(("PUT", client.path + "/profile", shown), ("PUT", client.path + "/instances/main/profile", {"layer": {}}))
        if all(map(is_made, answers)):
            raise AssertionError(f"turn {turn}: {DEVICES} devices get another profile, and nobody was asked")


class Random:
    """Every way to move devices that the API has, in any order."""

    def __init__(self, client, chance):
        self.client, self.chance = client, chance
        self.instances, self.made = ["main", "school"], 0
        self.ways = (self.pin, self.hold, self.unpin, self.pins, self.no_pins, self.rules, self.otherwise, self.rules_again, self.tenant_layer,
                     self.park, self.instance_layer, self.template, self.rename, self.labels, self.url, self.expected, self.expected, self.job, self.job, self.retire)
        self.deck, self.done = [], collections.Counter()

    def some(self):
        serials = sorted(places(self.client)) + ["TOCOME1", "TOCOME2"]
        return sorted(self.chance.sample(serials, self.chance.choice((1, 2, 5, 12, 30))))

    def place(self):
        return self.chance.choice(self.instances)

    def layer(self):
        return {"layer": {"department": f"d{self.chance.randrange(3)}"} if self.chance.random() < 0.7 else {}}

    def next(self):
        if not self.deck:
            self.deck = self.chance.sample(self.ways, len(self.ways))
        way = self.deck.pop()
        self.done[way.__name__] += 1
        method, path, body = way()
        return method, path if path.startswith("/templates/") else self.client.path + path, body

    # One way each

    def pin(self):
        return "PUT", f"/devices/{self.some()[0]}/pin", {"instance": self.place()}

    def hold(self):
        return "PUT", f"/devices/{self.some()[0]}/pin", {"hold": "random"}

    def unpin(self):
        return "DELETE", f"/devices/{self.some()[0]}/pin", None

    def pins(self):
        return "POST", "/pins", {"serial_numbers": self.some(), "instance": self.place()}

    def no_pins(self):
        return "POST", "/pins", {"serial_numbers": self.some(), "unpin": True}

    def rules(self):
        when = self.chance.choice(({"serial": self.some()}, {"labels": {"site": "north"}}, {"share": 30}))
        then = self.chance.choice(({"instance": self.place()}, {"instance": self.place(), "profile": {"department": "rule"}}, {"hold": "rule"}))
        return "PUT", "/rules", {"rules": [{"name": "r", "when": when, "then": then}], "otherwise": {"instance": self.place()}}

    def otherwise(self):
        return "PUT", "/rules", {"rules": [], "otherwise": {"instance": self.place()}}

    def rules_again(self):
        return "PUT", "/rules", {"version": 1}

    def tenant_layer(self):
        return "PUT", "/profile", self.layer() | self.chance.choice(({}, {"template": None}, {"template": "random-a"}, {"template": "random-b"}))

    def park(self):
        return "PUT", "/profile", self.layer() | {"parking": self.chance.choice(("lobby", None))}

    def instance_layer(self):
        return "PUT", f"/instances/{self.chance.choice(self.instances + ['lobby'])}/profile", self.layer()

    def template(self):
        return "PUT", f"/templates/random-{self.chance.choice('ab')}", self.layer()

    def rename(self):
        return "PATCH", "", {"display_name": f"Name {self.chance.randrange(3)}", "brake_devices": self.chance.choice((10, 25))}

    def labels(self):
        return "PATCH", "", {"labels": [self.chance.choice(("gold", "site=north", "site=south"))]}

    def url(self):
        place = self.place()
        return "PATCH", f"/instances/{place}", {"enrolment_url": f"https://mdm.{self.client.slug}.example/{place}/{self.chance.randrange(2)}"}

    def expected(self):
        rows = [f"{serial},{self.chance.choice(['', self.place()])}\n" for serial in self.some() if self.chance.random() < 0.7]
        method = self.chance.choice(("PUT", "POST") if rows else ("PUT",))
        return method, f"/expected?hold={self.chance.choice(('true', 'false'))}", ("serial,instance\n" + "".join(rows)).encode()

    def job(self):
        kind = self.chance.choice(("assign", "pin", "unpin", "reroute", "remove_profile", "label"))
        body = {"kind": kind, "rows": self.some()}
        if kind in ("assign", "pin"):
            body["instance"] = self.place()
        if kind == "label":
            body["labels"] = self.chance.choice((["site=north"], ["site=south"], []))
        return "POST", "/jobs", body

    def retire(self):
        """An instance that is made for it, with or without devices."""
        old, new = self.chance.sample(self.instances, 2)
        return "POST", "/jobs", {"kind": "retire", "instance": new, "filter": {"instance": old}}

    def arrive(self):
        """Not a call: what is new is where it is by its first decision, and moves from there on."""
        before = len(places(self.client))
        self.made += 3
        WORLD.apple.post(f"/tenants/{self.client.apple}/devices", {"devices": [f"NEW{self.made + number:04}" for number in range(3)]})
        self.client.sync_now()
        wait_until(lambda: len(places(self.client)) == before + 3, "they do not arrive")

    def replace_retired(self):
        states = {item["name"]: item["state"] for item in WORLD.technician.get(f"{self.client.path}/instances")["items"]}
        self.instances = [name for name in self.instances if states[name] != "retired"]
        while len(self.instances) < 3:
            self.made += 1
            self.instances.append(f"mdm-{self.made}")
            WORLD.technician.post(f"{self.client.path}/instances", {
                "name": self.instances[-1], "kind": "fleet", "enrolment_url": f"https://mdm.{self.client.slug}.example/{self.instances[-1]}",
                "allowed_hosts": [f"mdm.{self.client.slug}.example"]})


def wanted_by(client):
    """Place and profile of each device, as the API says it would be: what the brake is about."""
    digests = {item["name"]: WORLD.technician.get(f"{client.path}/instances/{item['name']}/profile")["digest"]
               for item in WORLD.technician.get(f"{client.path}/instances")["items"]}
    digests["held"] = digests.get(WORLD.technician.get(f"{client.path}/profile")["parking"])
    overrides = {row["serial_number"]: row["rule_id"] for row in client.rows(
        "select serial_number, case when decider = 2 and rule_id = 'r' then rule_id end as rule_id from depbroker.devices where tenant_id = {id}")}
    document = WORLD.technician.get(f"{client.path}/rules")
    override = next((str(rule["then"].get("profile")) for rule in document["rules"]), None)
    return {serial: (place, digests.get(place), override if overrides[serial] else None) for serial, place in places(client).items()}


def job_of(client, answer):
    """A job when it is over, or waits."""
    path = f"{client.path}/jobs/{answer['id']}"
    return wait_until(lambda: next((job for job in [WORLD.technician.get(path)] if job["state"] in ("done", "waiting")), None),
                      lambda: f"the job does not end: {WORLD.technician.get(path)}")


def outcome_of(client, call):
    """The approval that a call waits for, or None: it was made, or refused."""
    refusals = ("pin_not_found", "instance_has_devices", "bad_body", "too_many_jobs", "rules_invalid")
    try:
        answer = WORLD.operator.call(*call)
    except Problem as problem:
        equal(problem.problem["code"] in refusals, True, f"{call}: {problem.problem}")
        return None
    if call[1].endswith("/jobs"):
        job = job_of(client, answer)
        return {"id": job["approval"], "changes": job["changes"], "job": answer} if job["state"] == "waiting" else None
    return answer if isinstance(answer, dict) and answer.get("state") == "pending" and "expires_at" in answer else None


def agree(client, asked):
    """By a third key. What has changed meanwhile makes it stale, and a job asks once more."""
    try:
        approve(asked, WORLD.admin)
    except Problem as problem:
        equal(problem.problem["code"], "approval_stale", "refused")
    if "job" in asked:
        job_of(client, asked["job"])
    settled(client)


def count_moved(before, after):
    return sum(after.get(serial, place) != place for serial, place in before.items())


@test
def no_sequence_of_calls_moves_more_than_the_limit_without_an_approval():
    """Each call is followed by the decisions of the worker; devices whose place or profile changed are counted by what is stored."""
    chance, _ = seeded("e2e/changes_are_approved")
    client = onboarded()
    for name in ("random-a", "random-b"):
        WORLD.operator.call("PUT", f"/templates/{name}", {"layer": {}})
    WORLD.technician.post(f"{client.path}/instances", {
        "name": "lobby", "kind": "parking", "enrolment_url": f"https://mdm.{client.slug}.example/lobby", "allowed_hosts": [f"mdm.{client.slug}.example"]})
    ways = Random(client, chance)
    all_moved, moved, asked_for, approved = 0, 0, 0, 0
    for turn in range(120):
        ways.replace_retired()
        if turn % 10 == 0:
            ways.arrive()
        if turn % 15 == 0:
            forget_what_was_spent(client)
            all_moved, moved = all_moved + moved, 0
        settled(client)
        before = wanted_by(client)
        call = ways.next()
        asked = outcome_of(client, call)
        settled(client)
        after = wanted_by(client)
        if asked:
            equal(count_moved(before, after), 0, f"{call}: it waits, and yet devices moved")
            asked_for += 1
            if chance.random() < 0.3:
                approved += 1
                agree(client, asked)
                equal(count_moved(before, wanted_by(client)) <= asked["changes"], True, f"{call}: more than was approved: {asked}")
        else:
            moved += count_moved(before, after)
            if moved > LIMIT:
                raise AssertionError(f"{moved} devices were moved without an approval, the last ones by {call}")
    print(f"{asked_for} asked, {approved} approved, {all_moved + moved} moved: {dict(ways.done)}", flush=True)
    if not (asked_for and approved and all_moved) or len(ways.done) < len(set(ways.ways)):
        raise AssertionError("the test tests nothing")


def settled(client):
    """The worker has looked at everything that was asked for so far."""
    wait_until(lambda: client.row("select s.owner is null and not s.profile_needed and d.claimed_by is null and d.due_at > now() and not exists"
                                  " (select from depbroker.reroutes r where r.tenant_id = s.tenant_id) and not exists (select from depbroker.tenants t"
                                  "  where t.tenant_id = s.tenant_id and t.template_done is distinct from coalesce((select max(v.version)"
                                  "   from depbroker.template_versions v where v.name = t.template), t.template_done)) as idle"
                                  " from depbroker.sync_stream s join depbroker.sync_due d using (tenant_id) where tenant_id = {id}")["idle"],
               "the worker does not come to rest", every=0.02)


sys.exit(run_in(WORLD))
