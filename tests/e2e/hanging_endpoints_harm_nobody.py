#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# More endpoints than a worker has clients in flight take requests and never answer, all at once: another client's change is fetched and
# delivered as soon as ever.
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from world import Failure, World, wait_until  # noqa: E402

HANGING = 34  # process.h: RUNS_MAX is 32
DEVICES = 10  # on all lanes
WITHIN_S = 8  # a request that hangs is given up after 15


def change_all(client, tag):
    for device in client.truth()["devices"]:
        client.change(device["serial_number"], asset_tag=tag)
    client.sync_now()


def main():
    with World(workers=1) as world:
        clients = [world.onboard(f"client-{number:02}", devices=DEVICES, interval_s=86400) for number in range(HANGING + 1)]
        wait_until(lambda: all(client.inbox()["assigned"] == DEVICES and client.pending() == 0 for client in clients), "all is told", 180, 0.5)
        healthy, hanging = clients[-1], clients[:-1]
        for client in hanging:
            world.receiver.call("PUT", "/faults", {"name": client.slug, "times": 0, "delay_ms": 3600000})
        received = {client: client.inbox()["received"] for client in clients}
        for client in hanging:
            change_all(client, "hangs")
        wait_until(lambda: all(client.inbox()["received"] > received[client] for client in hanging), "all of them hang", 12, 0.05)
        begin = time.monotonic()
        change_all(healthy, "well")
        wait_until(lambda: healthy.inbox()["received"] >= received[healthy] + DEVICES, "the healthy client's changes do not arrive", 40, 0.02)
        took = time.monotonic() - begin
        most = max(client.inbox()["received"] - received[client] for client in hanging)
        print(f"{took:.2f} s; each of those that hang got at most {most} requests", flush=True)
        if took > WITHIN_S:
            raise Failure(f"the healthy client's changes took {took:.1f} s")
    print("ok", flush=True)


main()
