#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# What a technician asks for all day: who pinned what and why, which devices wait for whom since when, what jobs there were.
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
import openapi  # noqa: E402
from programs import equal, test  # noqa: E402
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


sys.exit(run_in(WORLD))
