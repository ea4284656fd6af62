#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# The PostgreSQL that depbroker is configured with is killed and restarted while devices are fetched, assigned and delivered.
# The API says so meanwhile, and recovers by itself; in the end everything is equal.
import os
import signal
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import equal  # noqa: E402
from world import Failure, Problem, World, seeded, wait_until  # noqa: E402

CLIENTS = 6
DEVICES = 800
# How it ends, and for how long it is away. SIGQUIT is PostgreSQL's immediate shutdown, SIGINT its fast one.
ENDS = (("killed", 0.5), (signal.SIGINT, 0), (signal.SIGQUIT, 3), ("killed", 0), (signal.SIGINT, 6), ("killed", 1))


def api_says_so(world):
    """While it is away: a problem document with 503, and not ready."""
    wait_until(lambda: world.broker.readiness()[0] == 503, "readyz says ready without a database", 20)
    try:
        world.technician.get("/status")
    except Problem as problem:
        equal(problem.status, 503, "status")
        if not problem.problem.get("code") or not problem.problem.get("fix"):
            raise Failure(f"the problem does not say what to do: {problem.problem}") from None
        return
    raise Failure("the API answers without a database")


def end_database(world, how, away_s):
    if how == "killed":
        world.postgres.kill()
    else:
        world.postgres.stop(how)
    if away_s >= 3:
        api_says_so(world)
    time.sleep(away_s)
    world.postgres.start()


def recovers(world):
    begun = time.monotonic()
    wait_until(lambda: world.broker.readiness()[0] == 200, "depbroker is not ready again", 60)

    def answers():
        try:
            return world.technician.get("/status")
        except Problem as problem:
            equal(problem.status, 503, "status")
            return None
    wait_until(answers, "the API does not answer again", 60)
    return time.monotonic() - begun


def main():
    chance, seed = seeded("database_goes_away")
    started = time.monotonic()
    with World(workers=2, own_postgres=True, seed=seed % 1000 + 1) as world:
        slow = world.apple.post("/faults", {"endpoint": "/server/devices", "delay_ms": 300, "times": 0})
        clients = [world.onboard(devices=DEVICES, page_maximum=10) for _ in range(CLIENTS)]
        for how, away_s in ENDS:
            client = chance.choice(clients)
            client.add(3)
            client.remove(chance.choice([device["serial_number"] for device in client.truth()["devices"]]))
            time.sleep(chance.uniform(0.5, 3))
            progress = world.receiver.get("/stats")["accepted"]
            workers = world.broker.workers()
            end_database(world, how, away_s)
            took = recovers(world)
            wait_until(lambda: world.receiver.get("/stats")["accepted"] > progress, "nothing is delivered any more", 45)
            print(f"{how}, away for {away_s} s: ready again after {took:.1f} s, events arrive again after"
                  f" {time.monotonic() - started:.0f} s in all", flush=True)
            equal(world.broker.workers(), workers, "workers: they outlive the database")
        world.apple.call("DELETE", f"/faults/{slow['id']}")
        for client in clients:
            world.apple.call("PATCH", f"/tenants/{client.apple}", {"page_maximum": 1000})
        world.until_equal(seconds=120)
        world.check_laws()
        stats = world.receiver.get("/stats")
        print(f"equal after {time.monotonic() - started:.0f} s: {stats['accepted']} events, {stats['duplicates']} deliveries repeated",
              flush=True)
    print("ok", flush=True)


main()
