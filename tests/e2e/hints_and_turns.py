#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# A worker acts at once on what the API has changed, by a hint; without one within a second. And a client with a long list leaves the
# others their turns.
import datetime
import os
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import equal, test  # noqa: E402
from world import Api, Failure, World, end_with_us, free_address, run_in, wait_until  # noqa: E402

WORLD = World(workers=1, own_postgres=True, DEPBROKER_PAGES_AT_ONCE="1", DEPBROKER_LOG_LEVEL="debug")
LISTS = ("/server/devices", "/devices/sync")


def hints_followed():
    """A run that began with a hint, or a claim for hints."""
    return WORLD.broker.log("run.hinted") + WORLD.broker.log("worker.claimed", hinted=True)


AT_ONCE_S = 0.03


def instant(record):
    return datetime.datetime.fromisoformat(record["ts"].replace("Z", "+00:00")).timestamp()


def clock_met(client):
    """Whether a claim by the clock came just when the API had stored the last wish: it says nothing of the hint, which was on its way."""
    wish = [asked for asked in WORLD.broker.log("api.request", tenant=client.slug, method="POST") if asked["route"].endswith("/sync")][-1]
    claims = WORLD.broker.log("worker.claimed", hinted=False)
    return any(abs(instant(claim) - instant(wish)) < AT_ONCE_S for claim in claims[-5:])


def acts_after(client, api):
    """Seconds from the API's answer to the end of the run that found the change, and whether a hint brought it about."""
    serial = client.truth()["devices"][0]["serial_number"]
    client.change(serial, asset_tag=f"tag-{time.monotonic_ns()}")
    before = len(WORLD.broker.log("sync.page", tenant=client.slug))
    hinted = len(hints_followed())
    api.post(f"{client.path}/sync", {"mode": "changes"})
    began = time.monotonic()
    wait_until(lambda: [page for page in WORLD.broker.log("sync.page", tenant=client.slug)[before:] if page["events"] > 0],
               "the change is stored", every=0.005)
    took = time.monotonic() - began
    wait_until(lambda: not client.stream()["owner"], "the run is over")
    return took, len(hints_followed()) > hinted


@test
def what_the_api_changes_is_acted_on_by_a_hint():
    client = WORLD.onboard("hinted", devices=1, interval_s=86400)
    # Asked again and again: that the device is assigned is told by Apple's next list.
    wait_until(lambda: client.sync_now() or not WORLD.unequal(client), lambda: WORLD.unequal(client), every=0.5)
    wait_until(lambda: not client.stream()["owner"], "the last run is over")
    found = 0
    for _ in range(10):
        hinted = acts_after(client, WORLD.technician)[1]
        if hinted or not clock_met(client):
            equal(hinted, True, "brought about by a hint")
            found += 1
    if found < 5:
        raise Failure(f"{found} of 10 were brought about by hints, and claims by the clock met the others")


@test
def without_a_hint_it_takes_a_second_at_most():
    """An api process that nobody gave sockets to, as on another machine."""
    client = WORLD.clients["hinted"]
    listen = free_address()
    environment = WORLD.broker.environment | {"DEPBROKER_LISTEN": listen, "DEPBROKER_ADMIN_LISTEN": free_address()}
    with open(os.path.join(WORLD.folder, "other.log"), "wb") as log:
        other = subprocess.Popen([WORLD.broker.program, "api"], env=environment, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=end_with_us)
    try:
        api = Api(listen, WORLD.technician.key)
        wait_until(lambda: answers(api, client), "the other api process answers")
        found = [acts_after(client, api) for _ in range(5)]
        equal([hinted for _, hinted in found], [False] * 5, "brought about by a hint")
        if statistics.median(took for took, _ in found) > 1:
            raise Failure(f"it took {found}")
    finally:
        other.terminate()
        equal(other.wait(30), 0, "exit code of the other api process")


def answers(api, client):
    try:
        return api.get(f"{client.path}/sync")
    except OSError:
        return None


@test
def hints_that_are_lost_with_a_worker_cost_nothing_else():
    """What was said while no worker listened is heard by the next one, or not: the change arrives."""
    client = WORLD.clients["hinted"]
    worker = WORLD.broker.workers()[0]
    os.kill(worker, 9)
    acts_after(client, WORLD.technician)
    wait_until(lambda: [pid for pid in WORLD.broker.workers() if pid != worker], "another worker runs")


def lists_since(after):
    """Whose lists were asked for, in their order at Apple."""
    names = {client.apple: slug for slug, client in WORLD.clients.items()}
    found = WORLD.apple.get(f"/requests?after={after}")["requests"]
    return [names[request["tenant"]] for request in found if request["path"].split("?")[0] in LISTS and request["tenant"] in names]


@test
def a_long_list_lets_a_short_one_through_page_by_page():
    big = WORLD.onboard("big", devices=200000, interval_s=86400)
    wait_until(lambda: big.stream()["run_pages"] >= 10, "the long list is being read")
    # Pages of two, so that ten devices are five pages.
    small = WORLD.onboard("small", devices=10, interval_s=86400, page_default=2, page_maximum=2)
    wait_until(lambda: len(small.stored()) == 10, "the short list is stored")
    order = lists_since(0)
    first, last = order.index("small"), len(order) - 1 - order[::-1].index("small")
    between = order[first:last + 1]
    if between.count("small") < 5:
        raise Failure(f"five pages were expected: {between}")
    if any(here == "big" and there == "big" for here, there in zip(between, between[1:])):
        raise Failure(f"two pages of the long list between two of the short one: {between}")
    equal(big.stream()["fetch_completed_at"], None, "the end of the long list")


if __name__ == "__main__":
    sys.exit(run_in(WORLD))
