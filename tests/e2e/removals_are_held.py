#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# A complete list that would remove many of a client's devices removes none until an operator has allowed exactly so many; and what a
# full fetch finds that no sync had told is counted.
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import Peer  # noqa: E402
from world import Failure, Problem, World, wait_until  # noqa: E402

DEVICES = 150


def equal(found, expected, what):
    if found != expected:
        raise Failure(f"{what}: {found!r}, not {expected!r}")


def metric(world, name, client):
    peer = Peer("http://" + world.broker.admin_listen)
    lines = peer.request("GET", "/metrics").text.splitlines()
    peer.close()
    return next(int(line.rpartition(" ")[2]) for line in lines if line.startswith(f'{name}{{tenant="{client.slug}"'))


def completed(client):
    return client.stream()["fetch_completed_at"]


def fetch_all(client):
    before = completed(client)
    client.sync_now("full")
    wait_until(lambda: completed(client) not in (None, before), "no full fetch is complete", 60)


def refused(world, status, key, client, body):
    try:
        key.post(f"{client.path}/sync", body)
    except Problem as problem:
        equal(problem.status, status, f"status of {body}")
        return problem.problem["code"]
    raise Failure(f"{body} is accepted")


def removed(client):
    return len([event for event in client.events() if event["type"] == 3])


def take_away(client, count):
    for serial in [device["serial_number"] for device in client.truth()["devices"]][:count]:
        client.remove(serial, "?quiet=1")


def check_held(world, client, held):
    fetch_all(client)
    shown = world.technician.get(f"{client.path}/sync")["removals"]
    equal((shown["held"], shown["of"], shown["since"] is not None), (held, DEVICES, held > 0), "held removals")
    equal(len(client.stored()), DEVICES, "devices that are left")
    equal(removed(client), 0, "events of removal")
    equal(metric(world, "depbroker_removals_held", client), held, "metric of held removals")


def check_brake(world):
    client = world.onboard(devices=DEVICES, interval_s=1)
    world.until_equal(client)
    take_away(client, 51)
    check_held(world, client, 51)
    equal(world.broker.log("sync.removals_held")[-1]["devices"], 51, "the log")
    take_away(client, 4)
    check_held(world, client, 55)
    equal(refused(world, 403, world.technician, client, {"mode": "full", "allow_removals": 55}), "forbidden", "code")
    equal(refused(world, 409, world.operator, client, {"mode": "full", "allow_removals": 51}), "removals_differ", "code")
    equal(refused(world, 422, world.operator, client, {"mode": "changes", "allow_removals": 55}), "bad_body", "code")
    take_away(client, 1)  # nobody has allowed this one
    before = completed(client)
    world.operator.post(f"{client.path}/sync", {"mode": "full", "allow_removals": 55})
    wait_until(lambda: completed(client) != before, "no full fetch is complete", 60)
    equal((removed(client), client.stream()["removals_held"]), (0, 56), "after one more has gone")
    world.operator.post(f"{client.path}/sync", {"mode": "full", "allow_removals": 56})
    world.until_equal(client)
    wait_until(lambda: removed(client) == 56, "events of removal are missing")
    wait_until(lambda: world.technician.get(f"{client.path}/sync")["removals"]["held"] == 0, "something is held still")
    allowed = world.broker.log("sync.removals_allowed")
    equal([entry["devices"] for entry in allowed], [55, 56], "the log of what was allowed")
    equal(client.row("select removals_allowed from depbroker.sync_due where tenant_id = {id}")["removals_allowed"], 0, "what is allowed")
    take_away(client, 60)  # what was allowed once is allowed once
    fetch_all(client)
    equal((removed(client), client.stream()["removals_held"]), (56, 60), "the next time")


def check_few(world):
    client = world.onboard(devices=DEVICES, interval_s=1)
    world.until_equal(client)
    take_away(client, 50)
    fetch_all(client)
    world.until_equal(client)
    equal(removed(client), 50, "events of removal")


def check_own_limits(world):
    """A tenant's own limits hold where the usual ones would not, and let go where they do."""
    client = world.onboard(devices=10, interval_s=1)
    world.until_equal(client)
    world.operator.call("PATCH", client.path, {"brake_percent": 10, "brake_devices": 2})
    take_away(client, 3)
    fetch_all(client)
    equal((world.technician.get(f"{client.path}/sync")["removals"]["held"], len(client.stored()), removed(client)), (3, 10, 0), "held by own limits")
    world.operator.call("PATCH", client.path, {"brake_percent": 30})  # 3 of 10 is not more than that
    fetch_all(client)
    world.until_equal(client)
    equal(removed(client), 3, "removed within the new percentage")
    large = world.onboard(devices=DEVICES, interval_s=1)
    world.until_equal(large)
    world.operator.call("PATCH", large.path, {"brake_devices": 60})
    take_away(large, 60)
    fetch_all(large)
    world.until_equal(large)
    equal(removed(large), 60, "removed within the new number, far above the usual ones")


def check_missed(world):
    client = world.onboard(devices=10, interval_s=1)
    world.until_equal(client)
    fetch_all(client)
    equal(metric(world, "depbroker_reconcile_missed_total", client), 0, "missed when nothing was")
    client.add(3, quiet=True)
    take_away(client, 2)
    fetch_all(client)
    world.until_equal(client)
    equal(metric(world, "depbroker_reconcile_missed_total", client), 5, "missed changes")
    client.add(4)  # told by a sync
    world.until_equal(client)
    fetch_all(client)
    equal(metric(world, "depbroker_reconcile_missed_total", client), 5, "missed changes after a sync that told")


def main():
    with World(workers=2) as world:
        check_brake(world)
        check_few(world)
        check_own_limits(world)
        check_missed(world)
    print("ok", flush=True)


main()
