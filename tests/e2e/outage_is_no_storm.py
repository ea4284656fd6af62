#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Apple answers 503 to everybody for a minute, while 200 clients are synced every five seconds: what is asked meanwhile falls to a
# tenth and less, and when Apple is back no second sees more than twice as much as usual, and everybody is served again.
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from world import Failure, World, wait_until  # noqa: E402

CLIENTS = 200
INTERVAL_S = 5
WORKERS = 2
USUAL_S = 20
OUTAGE_S = 60
PROBE_EVERY_S = 30


class Watch:
    """What applesim was asked, by its own clock."""

    def __init__(self, world):
        self.apple = world.apple
        self.after = 0
        self.requests = []

    def look(self):
        found = self.apple.get(f"/requests?after={self.after}")
        self.after = found["last"]
        self.requests += found["requests"]

    def now_ms(self):
        self.look()
        return self.requests[-1]["at_ms"]

    def between(self, since_ms, until_ms):
        return [request for request in self.requests if since_ms <= request["at_ms"] < until_ms]


def onboard(world):
    for number in range(CLIENTS):
        slug = f"client-{number + 1}"
        made = world.apple.post("/tenants", {"name": slug, "devices": 1})
        world.operator.post("/tenants", {"slug": slug, "display_name": slug, "sync_interval_s": INTERVAL_S})
        pair = world.technician.post(f"/tenants/{slug}/token/keys")["id"]
        pem = world.technician.get(f"/tenants/{slug}/token/keys/{pair}/certificate")
        world.technician.call("PUT", f"/tenants/{slug}/token", world.apple.call("POST", f"/tenants/{made['id']}/token", pem))


def served_since(world, instant):
    return world.rows(f"select count(*) as n from depbroker.sync_stream where synced_at > '{instant}'::timestamptz")[0]["n"]


def now(world):
    return world.rows("select now()::text as now")[0]["now"]


def closed(world):
    return len(world.broker.log("apple.breaker", state="closed"))


def busiest_second(requests):
    """The most requests of any second, wherever it begins."""
    times = sorted(request["at_ms"] for request in requests)
    most = first = 0
    for last, at in enumerate(times):
        while at - times[first] >= 1000:
            first += 1
        most = max(most, last - first + 1)
    return most


def main():
    with World(workers=WORKERS) as world:
        onboard(world)
        since = now(world)
        wait_until(lambda: served_since(world, since) == CLIENTS, "not everybody is synced", 60)
        watch = Watch(world)
        time.sleep(USUAL_S)
        end = watch.now_ms()
        usual = len(watch.between(end - USUAL_S * 1000, end)) / USUAL_S
        fault = world.apple.post("/faults", {"status": 503, "body": "", "times": 0})
        time.sleep(OUTAGE_S)
        watch.look()
        world.apple.call("DELETE", f"/faults/{fault['id']}")
        back = now(world)
        failed = [request for request in watch.requests if request["fault"]]
        first_ms = failed[0]["at_ms"]
        held_back = world.rows("select count(*) as n from depbroker.sync_stream where reason = 'held_back'")[0]["n"]
        wait_until(lambda: served_since(world, back) == CLIENTS, "not everybody is synced again", 150)
        wait_until(lambda: closed(world) == WORKERS, "the breakers are not closed", 60)
        watch.look()
        afterwards = [request for request in watch.requests if request["at_ms"] >= failed[-1]["at_ms"] and not request["fault"]]
        most = busiest_second(afterwards)
        late = [request for request in failed if request["at_ms"] > first_ms + 2 * INTERVAL_S * 1000]
        print(f"usual: {usual:.1f} requests a second; in the outage: {len(failed)} in {OUTAGE_S} s, {len(late)} of them after the"
              f" first {2 * INTERVAL_S} s; afterwards: at most {most} in any second; {held_back} clients were held back", flush=True)
        if len(failed) > usual * OUTAGE_S / 10:
            raise Failure(f"{len(failed)} requests in the outage: more than a tenth of the usual")
        if len(late) > WORKERS * (OUTAGE_S / PROBE_EVERY_S + 1):
            raise Failure(f"{len(late)} probes: more than one every {PROBE_EVERY_S} s of each process")
        if most > 2 * usual:
            raise Failure(f"{most} requests in a second, usual are {usual:.1f}")
        if held_back < CLIENTS / 4:
            raise Failure(f"only {held_back} clients say that they are held back")
        states = [(entry["before"], entry["state"]) for entry in world.broker.log("apple.breaker")]
        for change in (("closed", "open"), ("open", "half_open"), ("half_open", "recovering"), ("recovering", "closed")):
            if change not in states:
                raise Failure(f"the log does not say that the breaker went from {change[0]} to {change[1]}")
    print("ok", flush=True)


main()
