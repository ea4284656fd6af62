#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# docs/how-to/move-in-waves.md, step by step, with the bodies that stand in it: each wave is larger than the one before and holds it, a step
# back brings back who moved last, and at the end the old instance is retired by the one job that does the rest.
import json
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import ROOT, equal, test  # noqa: E402
from world import Problem, World, run_in, wait_until  # noqa: E402

DEVICES = 80
SERIAL = "C02XK1AAJG5H"  # of the page
WORLD = World(workers=1)
with open(os.path.join(ROOT, "docs", "how-to", "move-in-waves.md"), encoding="utf-8") as file:
    PAGE = file.read()


def body_with(word):
    """The one JSON object of the page that has the word: what curl sends, or a block of its own."""
    bodies = re.findall(r"-d '(\{.*?\})'", PAGE, re.S) + re.findall(r"```json\n(.*?)```", PAGE, re.S)
    found = [body for body in bodies if word in body]
    equal(len(found), 1, f"bodies with {word}")
    return found[0]


def places(client):
    """Where each device's profile at Apple leads to."""
    names = {"mdm": "main", "fleet": "fleet"}
    profiles = {profile["profile_uuid"]: names[profile["url"].split("/")[2].split(".")[0]]
                for profile in WORLD.apple.get(f"/tenants/{client.apple}/profiles")["profiles"]}
    return {device["serial_number"]: profiles.get(device.get("profile_uuid")) for device in client.truth()["devices"]}


def moved(client):
    return {serial for serial, place in places(client).items() if place == "fleet"}


def agreed(made):
    """A second key agrees to what is above the limit."""
    if made and made.get("state") == "pending":
        WORLD.operator.post(f"/approvals/{made['id']}/approve")


def wave(client, percent):
    rules = json.loads(body_with("Wave").replace('"percent": 10', f'"percent": {percent}'))
    preview = {device["serial_number"] for device in WORLD.technician.post(f"{client.path}/rules/preview", rules)["moved"]}
    agreed(WORLD.technician.call("PUT", f"{client.path}/rules", rules))
    return preview


def until_moved(client, holds, what):
    wait_until(lambda: holds(moved(client)) and None not in places(client).values(), lambda: f"{what}: {sorted(moved(client))}", 60)
    return moved(client)


@test
def a_school_moves_in_waves():
    client = WORLD.onboard(devices=DEVICES, interval_s=1)
    wait_until(lambda: set(places(client).values()) == {"main"}, "not everything is at the old server", 60)
    WORLD.technician.post(f"{client.path}/instances", json.loads(body_with('"kind": "fleet"')))
    tried = sorted(places(client))[0]
    WORLD.technician.post(f"{client.path}/jobs", json.loads(body_with("trial").replace(SERIAL, tried)))
    until_moved(client, lambda now: now == {tried}, "the one that is tried")

    foretold = [wave(client, 10)]
    first = until_moved(client, lambda now: len(now) > 1 and now >= foretold[0], "the first wave")
    foretold.append(wave(client, 40))
    second = until_moved(client, lambda now: len(now) > DEVICES / 5 and now >= foretold[1], "the second wave")
    equal((first < second, tried in first), (True, True), "a wave holds those before it")
    equal(foretold, [first - {tried}, second - first], "as the previews said")

    before = WORLD.technician.get(f"{client.path}/rules")["version"] - 1
    agreed(WORLD.technician.call("PUT", f"{client.path}/rules", {"version": before}))
    until_moved(client, lambda now: now == first, "a step back")

    try:
        WORLD.technician.call("PATCH", f"{client.path}/instances/main", {"state": "retired"})
        raise AssertionError("it is retired with devices")
    except Problem as problem:
        equal(problem.problem["code"], "instance_has_devices", "refused")
    WORLD.technician.call("PATCH", f"{client.path}/instances/main", {"state": "draining"})
    job = WORLD.technician.post(f"{client.path}/jobs?dry_run=true", json.loads(body_with("unpin")))
    wait_until(lambda: WORLD.technician.get(f"{client.path}/jobs/{job['id']}")["state"] == "previewed", "the dry run", 30)

    job = WORLD.technician.call("PATCH", f"{client.path}/instances/main", json.loads(body_with("target")))
    shown = wait_until(lambda: (found := WORLD.technician.get(f"{client.path}/jobs/{job['id']}"))["state"] in ("waiting", "done") and found, "costed", 60)
    if shown["state"] == "waiting":
        WORLD.operator.post(f"/approvals/{shown['approval']}/approve")
    until_moved(client, lambda now: len(now) == DEVICES, "the end")
    wait_until(lambda: WORLD.technician.get(f"{client.path}/instances/main")["state"] == "retired", "it is not retired", 30)
    WORLD.check_log(client)
    WORLD.check_ledger(client)


run_in(WORLD)
