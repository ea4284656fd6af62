#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# What a technician asks for all day: who pinned what and why, which devices wait for whom since when, what jobs there were.
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
import openapi  # noqa: E402
from programs import Peer, equal, test  # noqa: E402
from world import Api, World, refused, run_in, wait_until  # noqa: E402

WORLD = World(workers=1)
RARELY_S = 3600


def places(client):
    return {row["serial_number"]: row["name"] for row in client.rows(
        "select d.serial_number, coalesce(i.name, 'held') as name from depbroker.devices d left join depbroker.instances i"
        " on i.tenant_id = d.tenant_id and i.instance_id = d.instance_id where d.tenant_id = {id} and d.gone_at is null")}


def onboarded(devices):
    client = WORLD.onboard(devices=devices, interval_s=RARELY_S)
    WORLD.technician.post(f"{client.path}/instances", {
        "name": "school", "kind": "fleet", "enrolment_url": f"https://mdm.{client.slug}.example/school",
        "allowed_hosts": [f"mdm.{client.slug}.example"]})
    wait_until(lambda: len(places(client)) == devices and set(places(client).values()) == {"main"}, "devices are not at main")
    wait_until(lambda: client.row("select devices from depbroker.tenant_status where tenant_id = {id}")["devices"] == devices, "they are not counted")
    return client


def all_pages(path, schema, limit):
    """All items of a list, page by page; each page is as the OpenAPI document has it."""
    items, cursor = [], None
    while True:
        asked = path + ("&" if "?" in path else "?") + f"limit={limit}" + (f"&cursor={cursor}" if cursor else "")
        page = WORLD.technician.get(asked)
        equal(list(openapi.complaints(page, {"$ref": "#/components/schemas/" + schema})), [], f"{asked} as described")
        items += page["items"]
        cursor = page["cursor"]
        if not cursor:
            return items


def serials_of(items):
    return [item["serial_number"] for item in items]


@test
def pins_are_listed_with_who_when_and_why():
    client = onboarded(6)
    serials = sorted(places(client))
    WORLD.technician.post(f"{client.path}/pins", {"serial_numbers": serials[:3], "instance": "school", "reason": "loan"})
    WORLD.operator.post(f"{client.path}/pins", {"serial_numbers": [serials[4], "ABSENT1"], "hold": "stolen"})
    found = all_pages(f"{client.path}/pins", "PinPage", 2)
    equal(serials_of(found), sorted([*serials[:3], serials[4], "ABSENT1"]), "all pins, by serial number")
    first = next(pin for pin in found if pin["serial_number"] == serials[0])
    keys = client.rows("select key_id, role from depbroker.api_keys")
    role_of = {key["key_id"]: key["role"] for key in keys}
    equal((first["instance"], first["reason"], role_of[first["made_by"]], first["made_at"] is not None), ("school", "loan", "technician", True), "who, why, when")
    equal(serials_of(all_pages(f"{client.path}/pins?instance=school", "PinPage", 2)), serials[:3], "of an instance")
    equal(serials_of(all_pages(f"{client.path}/pins?held=true", "PinPage", 1)), sorted([serials[4], "ABSENT1"]), "that are held")
    equal(all_pages(f"{client.path}/pins?instance=main", "PinPage", 2), [], "none are there")
    refused("instance_not_found", WORLD.technician, "GET", f"{client.path}/pins?instance=nowhere")
    refused("bad_parameter", WORLD.technician, "GET", f"{client.path}/pins?instance=school&held=true")
    devices = WORLD.technician.get(f"{client.path}/devices?limit=1")
    refused("bad_cursor", WORLD.technician, "GET", f"{client.path}/pins?cursor={devices['cursor']}")
    other = onboarded(1)
    equal(all_pages(f"{other.path}/pins", "PinPage", 2), [], "another client's are not shown")


SITES = {"rules": [{"name": "North", "when": {"labels": {"site": "north"}}, "then": {"instance": "school"}}], "otherwise": {"instance": "main"}}


def until_at(client, serials, place):
    wait_until(lambda: {places(client).get(serial) for serial in serials} == {place}, lambda: f"they are not at {place}: {places(client)}")


@test
def labels_of_one_device_are_a_change_like_any_other():
    client = onboarded(30)
    serials = sorted(places(client))
    WORLD.technician.call("PUT", f"{client.path}/rules", SITES)
    labels = f"{client.path}/devices/{serials[0].lower()}/labels"
    found = WORLD.technician.call("PATCH", labels, {"labels": ["site=north", "loan"], "reason": "moved"})
    equal(list(openapi.complaints(found, {"$ref": "#/components/schemas/DeviceLabels"})), [], "as described")
    equal((found["serial_number"], found["labels"]), (serials[0], ["site=north", "loan"]), "labels")
    until_at(client, serials[:1], "school")
    # What it moves is on the same account as pins and rules: 25 a day.
    WORLD.technician.post(f"{client.path}/pins", {"serial_numbers": serials[1:25], "instance": "school"})
    other = f"{client.path}/devices/{serials[28]}/labels"
    equal(WORLD.technician.call("PATCH", other, {"labels": ["site=south"]})["labels"], ["site=south"], "what moves nothing is nobody's matter")
    asked = WORLD.technician.call("PATCH", other, {"labels": ["site=north"], "reason": "moved, too"})
    equal((asked["state"], asked["kind"], asked["changes"], asked["target"], asked["reason"]), ("pending", "labels", 1, serials[28], "moved, too"), "it waits")
    equal(WORLD.technician.get(other)["labels"], ["site=south"], "nothing is done")
    refused("approval_by_same_key", WORLD.technician, "POST", f"/approvals/{asked['id']}/approve")
    equal(WORLD.operator.post(f"/approvals/{asked['id']}/approve")["state"], "approved", "by another key")
    until_at(client, serials[28:29], "school")
    equal(WORLD.technician.get(other)["labels"], ["site=north"], "now it has them")
    # Labels may be there before the device, and are taken away by an empty list.
    absent = f"{client.path}/devices/ABSENT1/labels"
    equal(WORLD.technician.call("PATCH", absent, {"labels": ["site=north"]})["labels"], ["site=north"], "of a device that is to come")
    equal(WORLD.technician.call("PATCH", absent, {"labels": []})["labels"], [], "taken away")
    for wrong in ({"labels": ["a\nb"]}, {"labels": [""]}, {"labels": ["x" * 61]}, {"labels": [str(n) for n in range(21)]}, {}, {"labels": "a"}):
        refused("bad_body", WORLD.technician, "PATCH", other, wrong)


def job_of_list(client, query, text):
    peer = Peer("http://" + WORLD.technician.listen, timeout=60)
    try:
        answer = peer.request("POST", f"/api/v1{client.path}/jobs?{query}", text.encode(),
                              {"Authorization": "Bearer " + WORLD.technician.key, "Content-Type": "text/csv"})
    finally:
        peer.close()
    return answer.json()


def until_over(client, job):
    def shown():
        found = WORLD.technician.get(f"{client.path}/jobs/{job['id']}")
        return found if found["state"] in ("done", "previewed", "waiting") else None
    return wait_until(shown, lambda: f"the job is not over: {WORLD.technician.get(client.path + '/jobs/' + job['id'])}", 60, 0.05)


def labels_of(client):
    return {row["serial_number"]: row["labels"] for row in client.rows("select serial_number, labels from depbroker.device_labels where tenant_id = {id}")}


@test
def each_row_of_a_list_may_have_labels_of_its_own():
    client = onboarded(6)
    serials = sorted(places(client))
    WORLD.technician.call("PUT", f"{client.path}/rules", SITES)
    job = until_over(client, job_of_list(client, "kind=label", "serial,Labels\n"
                                         f"{serials[0]},\"site=north, loan\"\n{serials[1]},site=south;loan\n{serials[2]},\n{serials[3]},{'x' * 61}\n"))
    equal((job["state"], job["moved"], job["results"]["done"], job["results"]["refused"]), ("done", 1, 2, 2), "labelled")
    equal(labels_of(client), {serials[0]: ["site=north", "loan"], serials[1]: ["site=south", "loan"]}, "each its own")
    until_at(client, serials[:1], "school")
    again = until_over(client, job_of_list(client, "kind=label&labels=loan", f"serial,labels\n{serials[0]},site=north;loan\n{serials[2]},\n"))
    equal((again["results"]["unchanged"], again["results"]["done"]), (1, 1), "those of the job are for rows without")
    equal(labels_of(client)[serials[2]], ["loan"], "the job's")
    pinned = until_over(client, job_of_list(client, "kind=assign&instance=school", f"serial,labels\n{serials[4]},year=2026\n{serials[0]},\n"))
    equal((pinned["moved"], pinned["results"]["done"]), (1, 2), "assigned")
    equal((labels_of(client)[serials[4]], labels_of(client)[serials[0]]), (["year=2026"], ["site=north", "loan"]), "and labelled, where the row says so")
    more = until_over(client, WORLD.technician.post(f"{client.path}/jobs", {
        "kind": "pin", "instance": "school", "rows": [{"serial_number": serials[4], "labels": []}, {"serial_number": "LATER1", "labels": ["new"]}]}))
    equal((more["results"]["done"], labels_of(client).get(serials[4]), labels_of(client)["LATER1"]), (2, None, ["new"]), "as JSON")
    until_over(client, WORLD.technician.post(f"{client.path}/jobs", {"kind": "label", "labels": [], "rows": [serials[0]]}))
    equal(labels_of(client).get(serials[0]), None, "taken away")
    refused("bad_body", WORLD.technician, "POST", f"{client.path}/jobs", {"kind": "label", "rows": serials[:1]})
    refused("bad_body", WORLD.technician, "POST", f"{client.path}/jobs", {"kind": "unpin", "labels": ["a"], "rows": serials[:1]})


STATES = ("held", "throttled", "failed", "assigning", "waiting", "unassignable", "pushed", "enrolled", "misrouted", "released", "assigned", "fresh")


def in_every_state(client):
    """A device in each state, put there behind depbroker's back; name of the state: serial number."""
    serials = dict(zip(STATES, sorted(places(client))))
    made = {
        "held": "instance_id = null, decider = 2, rule_id = 'theft', hold_reason = 'stolen', held_since = now() - interval '2 days'",
        "throttled": "assign_state = 3, assign_at = now() + interval '1 hour'",
        "failed": "assign_state = 4, assign_at = now() + interval '2 hours'",
        "assigning": "assign_state = 2, assign_at = now() + interval '30 minutes'",
        "waiting": "assign_state = 1, assign_at = now() + interval '3 hours', assigned_profile_uuid = null",
        "unassignable": "assigned_profile_uuid = 'FORMER'",
        "pushed": "profile_status = 'pushed', profile_push_time = now() - interval '1 day', profile_assign_time = now() - interval '3 days'",
        "released": "gone_at = now(), gone_reason = 1, instance_id = null",
        "assigned": "profile_assign_time = now() - interval '40 days', model = 'iPad Air 5%', device_family = 'iPad'",
        "fresh": "profile_assign_time = now(), model = 'iPad Air 52', device_family = 'iPad', profile_uuid = assigned_profile_uuid",
    }
    for state, change in made.items():
        client.sql("update depbroker.devices set " + change + f" where tenant_id = {{id}} and serial_number = '{serials[state]}'")
    instances = {row["name"]: row["instance_id"] for row in client.rows("select name, instance_id from depbroker.instances where tenant_id = {id}")}
    for state, instance, misrouted in (("enrolled", "main", "false"), ("misrouted", "school", "true")):
        client.sql("insert into depbroker.enrolments (tenant_id, instance_id, enrolment_id, serial_number, state, at, enrolled_at, is_misrouted)"
                   f" values ({{id}}, {instances[instance]}, 'udid-{state}', '{serials[state]}', 2, now(), now(), {misrouted})")
    client.sql("insert into depbroker.device_labels (tenant_id, serial_number, labels, made_by) values"
               f" ({{id}}, '{serials['fresh']}', array['loan', 'site=north'], 'x'), ({{id}}, '{serials['released']}', array['loan'], 'x')")
    return serials


@test
def devices_are_found_by_everything_that_is_shown_of_them():
    client = onboarded(len(STATES))
    wait_until(lambda: client.row("select count(*) as n from depbroker.devices where tenant_id = {id} and assigned_profile_uuid is null")["n"] == 0,
               "they are not assigned")
    WORLD.technician.call("PATCH", client.path, {"state": "paused"})
    client.sql("update depbroker.devices set profile_uuid = assigned_profile_uuid, profile_status = 'assigned', profile_assign_time = now(),"
               " assign_state = 0, assign_at = null, device_family = 'Mac', model = 'Mac mini' where tenant_id = {id}")
    serials = in_every_state(client)
    shown = {item["serial_number"]: item for item in all_pages(f"{client.path}/devices?gone=true", "DevicePage", 5)}
    for name, serial in serials.items():
        equal(shown[serial]["status"]["state"], {"unassignable": "waiting", "fresh": "assigned"}.get(name, name), f"the state of {name}")
    now = shown[serials["fresh"]]["changed_at"]
    equal(40 * 86400 <= shown[serials["assigned"]]["awaiting_enrolment"]["age_s"] < 41 * 86400, True, "how long it has waited for its enrolment")
    equal((shown[serials["enrolled"]]["awaiting_enrolment"], shown[serials["fresh"]]["labels"]), (None, ["loan", "site=north"]), "members")
    a_day_ago = client.row("select to_char((now() - interval '1 day') at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') as t")["t"]
    soon = client.row("select to_char((now() + interval '90 minutes') at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') as t")["t"]
    profile = shown[serials["fresh"]]["device"]["profile_uuid"]
    prefix = serials["held"][:-1]
    present = [name for name in STATES if name != "released"]
    at_main = [name for name in present if name != "held"]
    for query, names in (
            ("state=held", ["held"]), ("state=throttled", ["throttled"]), ("state=failed", ["failed"]), ("state=assigning", ["assigning"]),
            ("state=waiting", ["waiting", "unassignable"]), ("state=pushed", ["pushed"]), ("state=enrolled", ["enrolled"]),
            ("state=misrouted", ["misrouted"]), ("state=released", ["released"]), ("state=assigned", ["assigned", "fresh"]),
            ("state=failed,throttled,held", ["failed", "throttled", "held"]), ("state=held,released", ["held", "released"]),
            ("state=released&gone=true", ["released"]), ("state=held&gone=true", ["held"]), ("gone=true", STATES), ("instance=main", at_main),
            ("instance=school", []), ("held=true", ["held"]), ("instance=main&state=held", []),
            ("who=technician", ["held", "misrouted", "unassignable"]), ("who=apple", ["throttled", "failed"]), ("who=user", ["assigned", "fresh", "pushed"]),
            ("who=depbroker", ["waiting", "assigning"]), ("who=technician&state=waiting", ["unassignable"]), ("who=apple&state=held", []),
            ("cause=stolen", ["held"]), ("cause=deleted", ["released"]), ("cause=Apple+wants+a+pause+for+this+device", ["throttled"]),
            ("cause=its+instance+has+no+profile+that+can+be+assigned", ["unassignable"]), ("cause=nothing+of+the+kind", []),
            ("rule=theft", ["held"]), ("rule=none", []), ("family=ipad&model=ipad+air+5*", ["assigned", "fresh"]), ("model=iPad+Air+5%25", ["assigned"]),
            ("model=iPad+Air+5?", ["assigned", "fresh"]), ("model=iPad", []), ("family=Vision", []), ("label=loan", ["fresh"]), ("label=site%3Dnorth", ["fresh"]),
            ("label=loan&gone=true", ["fresh", "released"]), ("label=nothing", []), ("profile_status=pushed", ["pushed"]),
            (f"profile={profile.lower()}", present), ("profile=ABSENT", []), (f"awaiting_enrolment_since={a_day_ago}", ["assigned", "pushed"]),
            (f"awaiting_enrolment_since={a_day_ago}&state=pushed", ["pushed"]), (f"next_before={soon}", ["throttled", "assigning"]),
            (f"next_before={soon}&who=apple", ["throttled"]), (f"since_until={a_day_ago}&state=held", ["held"]),
            (f"serial_prefix={prefix.lower()}", [name for name in present if serials[name].startswith(prefix)]), (f"serial_prefix={serials['held']}", ["held"]),
            ("serial_prefix=ZZZZZZ", [])):
        for limit in (1, 100):
            equal(serials_of(all_pages(f"{client.path}/devices?{query}", "DevicePage", limit)), sorted(serials[name] for name in names), f"?{query}")
    equal(all_pages(f"{client.path}/devices?as_of={now}&instance=main", "DevicePage", 100) is not None, True, "as of then")
    for query in ("state=gone", "state=", "state=held,", "who=me", "profile_status=none", "next_before=soon", "awaiting_enrolment_since=1", "since_until=x",
                  "serial_prefix=C0-2", "rule=", "model=", "cause=", f"as_of={now}&rule=a", f"as_of={now}&state=held"):
        problem = refused("bad_parameter", WORLD.technician, "GET", f"{client.path}/devices?{query}")
        name = query.rpartition("&")[2].partition("=")[0]
        equal(name in problem["detail"] or "as_of" in problem["detail"], True, f"?{query} is refused by name: {problem['detail']}")


@test
def jobs_take_the_filters_of_the_list():
    client = onboarded(6)
    serials = sorted(places(client))
    WORLD.technician.post(f"{client.path}/pins", {"serial_numbers": serials[:3], "hold": "stolen"})
    until_at(client, serials[:3], "held")
    WORLD.technician.call("PATCH", f"{client.path}/devices/{serials[1]}/labels", {"labels": ["loan"]})
    for filter, meant in (({"state": "held", "label": "loan"}, 1), ({"cause": "stolen"}, 3), ({"who": "technician"}, 3), ({"held": True, "label": "x"}, 0),
                          ({"instance": "main", "state": "held"}, 0), ({"serial_prefix": serials[5]}, 1), ({}, 6), ({"state": "released"}, 0)):
        job = WORLD.technician.post(f"{client.path}/jobs?dry_run=true", {"kind": "assign", "instance": "school", "filter": filter})
        equal(job["rows"], meant, f"devices of {filter}")
    job = until_over(client, WORLD.technician.post(f"{client.path}/jobs", {"kind": "unpin", "filter": {"state": "held", "label": "loan"}}))
    equal(job["moved"], 1, "done")
    until_at(client, serials[1:2], "main")
    for wrong in ({"state": "lost"}, {"colour": "red"}, {"state": ["held"]}, {"next_before": "soon"}, {"held": True, "instance": "main"}, {"state": "held", "x": 1}):
        refused("bad_body", WORLD.technician, "POST", f"{client.path}/jobs", {"kind": "unpin", "filter": wrong})
    refused("bad_body", WORLD.technician, "POST", f"{client.path}/jobs",
            {"kind": "retire", "instance": "school", "filter": {"instance": "main", "state": "assigned"}})


@test
def jobs_are_listed_by_state_and_kind_over_all_tenants_and_pruned():
    one, other = onboarded(2), onboarded(2)
    done = until_over(one, WORLD.technician.post(f"{one.path}/jobs", {"kind": "pin", "instance": "school", "rows": ["LATER1", "LATER2"]}))
    seen = until_over(one, WORLD.technician.post(f"{one.path}/jobs?dry_run=true", {"kind": "unpin", "rows": ["LATER1"]}))
    more = until_over(other, WORLD.technician.post(f"{other.path}/jobs", {"kind": "pin", "instance": "school", "rows": ["LATER1"]}))

    def ids(path, limit=100):
        return [(job["tenant"], job["id"]) for job in all_pages(path, "JobPage", limit)]
    equal(ids(f"{one.path}/jobs"), [(one.slug, seen["id"]), (one.slug, done["id"])], "of a tenant, the newest first")
    equal(ids(f"{one.path}/jobs?state=done"), [(one.slug, done["id"])], "by state")
    equal(ids(f"{one.path}/jobs?state=previewed,running&kind=unpin"), [(one.slug, seen["id"])], "by states and kind")
    equal(ids(f"{one.path}/jobs?kind=assign"), [], "none of the kind")
    equal(ids("/jobs?kind=pin&state=done", 1)[:2], [(other.slug, more["id"]), (one.slug, done["id"])], "over all tenants")
    only = WORLD.broker.create_key("viewer", "--tenant", other.slug)
    equal([job["id"] for job in Api(WORLD.broker.listen, only).get("/jobs")["items"]], [more["id"]], "that the key may see")
    refused("bad_parameter", WORLD.technician, "GET", "/jobs?state=gone")
    refused("bad_parameter", WORLD.technician, "GET", "/jobs?kind=sell")
    refused("bad_cursor", WORLD.technician, "GET", f"/jobs?cursor={WORLD.technician.get(one.path + '/jobs?limit=1')['cursor']}")
    # Kept for 90 days after its end: the oldest goes, the others stay.
    one.sql(f"update depbroker.jobs set finished_at = now() - interval '91 days' where tenant_id = {{id}} and job_id = {done['id']};"
            f"update depbroker.jobs set finished_at = now() - interval '89 days' where tenant_id = {{id}} and job_id = {seen['id']}")
    wait_until(lambda: ids(f"{one.path}/jobs") == [(one.slug, seen["id"])], "the old job is still there", 60)
    equal(one.row("select count(*) as n from depbroker.job_rows where tenant_id = {id}")["n"], 1, "with its rows")
    equal(len(one.rows("select 1 from depbroker.pins where tenant_id = {id}")), 2, "what it did stays")


sys.exit(run_in(WORLD))
