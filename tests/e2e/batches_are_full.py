#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Devices of several instances, mixed, are assigned with as few requests as Apple's limit of a thousand devices allows.
import collections
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from world import Failure, World, wait_until  # noqa: E402

NAMES = ["school", "lab", "hall"]
EACH = 1000


def add_instances(world, client):
    for name in NAMES:
        world.technician.post(f"{client.path}/instances", {
            "name": name, "kind": "generic", "enrolment_url": f"https://{name}.{client.slug}.example/enroll",
            "allowed_hosts": [f"{name}.{client.slug}.example"]})


def places(world, client):
    urls = {profile["profile_uuid"]: profile["url"] for profile in world.apple.get(f"/tenants/{client.apple}/profiles")["profiles"]}
    return {device["serial_number"]: urls[device["profile_uuid"]].split("//")[1].split(".")[0] if device.get("profile_uuid") else None
            for device in client.truth()["devices"]}


def assigned(world, client, serials):
    document = {"rules": [{"name": name, "when": {"serial": serials[place::3]}, "then": {"instance": name}} for place, name in enumerate(NAMES)],
                "otherwise": {"hold": "unknown"}}
    wanted = {serial: NAMES[place % 3] for place, serial in enumerate(serials)}
    last = world.apple.get("/requests")["last"]
    answer = world.technician.call("PUT", f"{client.path}/rules?reason=split", document)
    world.operator.post(f"/approvals/{answer['id']}/approve")
    wait_until(lambda: places(world, client) == wanted, "the devices do not get where they are to go", 120, 0.5)
    requests = world.apple.get(f"/requests?after={last}")["requests"]
    return collections.Counter((one["method"], one["path"]) for one in requests)[("POST", "/profile/devices")]


def main():
    with World(workers=1) as world:
        client = world.onboard(devices=EACH * len(NAMES), interval_s=3600, before_rules=lambda client: add_instances(world, client))
        wait_until(lambda: set(places(world, client).values()) == {"mdm"}, "the devices are not assigned", 120, 0.5)
        requests = assigned(world, client, sorted(places(world, client)))
        print(f"{requests} requests for {EACH * len(NAMES)} devices", flush=True)
        if requests != len(NAMES):
            raise Failure("one of each instance would do")
    print("ok", flush=True)


main()
