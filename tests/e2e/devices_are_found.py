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
from world import Problem, World, run_in, wait_until  # noqa: E402

WORLD = World(workers=1)
RARELY_S = 3600


def refused(code, api, method, path, body=None):
    try:
        api.call(method, path, body)
    except Problem as problem:
        equal(problem.problem.get("code"), code, f"{method} {path}")
        return problem.problem
    raise AssertionError(f"not refused: {method} {path} {body}")


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


sys.exit(run_in(WORLD))
