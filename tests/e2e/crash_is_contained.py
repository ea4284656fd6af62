#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# One client's page makes the parser abort (depbroker_crashing). Its worker dies three times, is started again within a second each
# time, and then the client is quarantined, while everybody else goes on. An admin's call releases it.
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from datetime import datetime  # noqa: E402

from programs import BUILD, Peer  # noqa: E402
from world import Failure, Problem, World, wait_until  # noqa: E402

DEADLY = "CRASHPARSER"
OTHERS = 12
CRASHES = 3


def state_of(client):
    return client.row("select state from depbroker.tenants where tenant_id = {id}")["state"]


def metric(world, name, client):
    peer = Peer("http://" + world.broker.admin_listen)
    lines = peer.request("GET", "/metrics").text.splitlines()
    peer.close()
    return next(int(line.rpartition(" ")[2]) for line in lines if line.startswith(f'{name}{{tenant="{client.slug}"'))


def seconds(entry):
    return datetime.fromisoformat(entry["ts"].replace("Z", "+00:00")).timestamp()


def check_restarts(world):
    """Each worker that ended has a successor within a second. The machine may be busy: half a second more is granted."""
    starts = [seconds(entry) for entry in world.broker.log("worker.started")]
    ends = [seconds(entry) for entry in world.broker.log("child.ended") if entry["signal"] != 0]
    if len(ends) != CRASHES:
        raise Failure(f"{len(ends)} workers ended by a signal, not {CRASHES}")
    for end in ends:
        after = min((start - end for start in starts if start >= end), default=999)
        if after > 1.5:
            raise Failure(f"a worker was started {after:.1f} s after the other had ended")


def main():
    with World(workers=2, program="depbroker_crashing") as world:
        others = [world.onboard(devices=5, interval_s=1) for _ in range(OTHERS)]
        bad = world.onboard("bad", devices=3, interval_s=1)
        world.until_equal(seconds=60)
        world.apple.post(f"/tenants/{bad.apple}/devices", {"devices": [DEADLY]})
        added = {}
        for other in others:
            added[other.slug] = other.add(2)
        wait_until(lambda: state_of(bad) == "quarantined", "the client that crashes workers is not quarantined", 60)
        for other in others:
            world.until_equal(other, seconds=30)
            if state_of(other) != "active":
                raise Failure(f"{other.slug} is {state_of(other)}")
            if not set(added[other.slug]) <= set(other.stored()):
                raise Failure(f"{other.slug} was not synced meanwhile")
        wait_until(lambda: len(world.broker.workers()) == 2, "a worker is missing", 10)
        check_restarts(world)
        strikes = [entry for entry in world.broker.log("tenant.quarantined")]
        if [entry["tenant"] for entry in strikes] != ["bad"]:
            raise Failure(f"the log says of quarantine: {strikes}")
        shown = world.technician.get("/tenants/bad/sync")["crashes"]
        if shown["count"] != CRASHES or shown["last_at"] is None:
            raise Failure(f"the API shows {shown}")
        if metric(world, "depbroker_tenant_quarantined", bad) != 1 or metric(world, "depbroker_tenant_quarantined", others[0]) != 0:
            raise Failure("the metrics do not show the quarantine")
        try:
            bad.sync_now()
            raise Failure("a quarantined client takes a request to sync")
        except Problem as problem:
            if problem.status != 409:
                raise
        before = len(world.broker.log("child.ended"))
        bad.remove(DEADLY, "?quiet=1")
        bad.fail_apple(endpoint="/devices/sync", status=400, body="EXPIRED_CURSOR")  # the log of changes still has it, and is read at once
        world.apple.call("DELETE", "/sessions")
        try:
            world.technician.call("PATCH", "/tenants/bad", {"state": "active"})
            raise Failure("a technician releases a quarantined client")
        except Problem as problem:
            if problem.status != 403:
                raise
        alerts = [alert for alert in world.admin.get("/alerts")["items"] if alert["kind"] == "tenant.quarantined"]
        if [alert["tenant"] for alert in alerts] != ["bad"]:
            raise Failure(f"the alerts say of quarantine: {alerts}")
        world.admin.call("PATCH", "/tenants/bad", {"state": "active", "reason": "the list is mended"})
        bad.sync_now("full")
        world.until_equal(seconds=60)
        if world.technician.get("/tenants/bad/sync")["crashes"]["count"] != 0:
            raise Failure("the crashes are not forgiven")
        wait_until(lambda: not [alert for alert in world.admin.get("/alerts")["items"] if alert["tenant"] == "bad"], "the alert stays open", 10)
        if len(world.broker.log("child.ended")) != before:
            raise Failure("a worker ended after the release")
    print("ok", flush=True)


main()
