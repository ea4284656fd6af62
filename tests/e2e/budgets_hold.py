#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# A client that needs more memory than it may have waits and says so; the worker lives, and everybody else goes on.
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import equal, test  # noqa: E402
from world import Failure, World, run_in, wait_until  # noqa: E402

WORLD = World(workers=1, own_postgres=True, DEPBROKER_TENANT_MEMORY_MIB="8", DEPBROKER_PAGE_MEMORY_KIB="4000")


def onboard(slug, count, note_bytes):
    """So many devices, each with a member of that length which depbroker keeps although it does not know it."""
    def fill(client):
        devices = [{"serial_number": f"{slug[:4].upper()}{number:08}", "note": "x" * note_bytes} for number in range(count)]
        for at in range(0, count, 100):
            WORLD.apple.post(f"/tenants/{client.apple}/devices", {"devices": devices[at:at + 100]})
    return WORLD.onboard(slug, devices=0, interval_s=86400, before_token=fill)


def refused(client, word):
    def look():
        sync = WORLD.technician.get(f"{client.path}/sync")
        return sync if sync["reason"] == "backoff" and word in sync["error"] else None
    return wait_until(look, lambda: f"it is refused: {WORLD.technician.get(client.path + '/sync')}")


def goes_on(worker, slug):
    other = WORLD.onboard(slug, devices=20, interval_s=86400)
    wait_until(lambda: len(other.stored()) == 20, "the other client is synced")
    equal(WORLD.broker.workers(), worker, "the worker")


@test
def an_answer_beyond_the_page_memory_stops_its_client_alone():
    worker = WORLD.broker.workers()
    huge = onboard("huge", 1000, 4200)
    refused(huge, "larger than allowed")
    equal(huge.stored(), {}, "what is stored of it")
    goes_on(worker, "other-1")


@test
def a_page_that_needs_more_than_the_tenant_memory_stops_its_client_alone():
    worker = WORLD.broker.workers()
    fat = onboard("fatty", 1000, 3000)
    refused(fat, "more memory")
    equal(fat.stored(), {}, "what is stored of it")
    goes_on(worker, "other-2")


@test
def a_client_within_its_budget_is_synced_whole():
    slim = onboard("slim", 1000, 300)
    wait_until(lambda: len(slim.stored()) == 1000, "it is synced")
    if WORLD.broker.log("child.ended"):
        raise Failure("a process ended")


if __name__ == "__main__":
    sys.exit(run_in(WORLD))
