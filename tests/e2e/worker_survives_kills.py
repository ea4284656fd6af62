#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Workers are killed 200 times (DEPBROKER_TEST_KILLS) at random while 20 clients with 2,000 devices each are fetched, assigned and delivered, and while
# administrators at Apple go on adding, changing, removing and moving devices. Then the database, the receiver and applesim
# must say the same, and no event may be missing, doubled, out of order, or at somebody else's.
import os
import random
import signal
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from world import Failure, World, seeded  # noqa: E402

KILLS = int(os.environ.get("DEPBROKER_TEST_KILLS", "200"))
CLIENTS = 20 if KILLS >= 100 else 5
DEVICES = 2000
WORKERS = 4
PAGES = (10, 10, 20, 50, 200)  # devices in a page: some clients are read for long, others come to be assigned early
PAGE_DELAY_MS = 200
SOUND_S = 1.0  # whoever lived for so long is started again at once (supervisor.c), earlier ends are answered by waiting
EARLY = 0.05   # share of workers that die before
LIVES_S = (1.05, 2.2)
HERTZ = os.sysconf("SC_CLK_TCK")


def age_of(pid):
    with open("/proc/uptime", encoding="utf-8") as file:
        now = float(file.read().split()[0])
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return now - int(file.read().rpartition(")")[2].split()[19]) / HERTZ


class Reaper:
    """Decides for each worker when it has to die, as soon as it is there, and sees to it."""

    def __init__(self, world, chance):
        self.world, self.chance = world, chance
        self.ends = {}
        self.kills = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while self.kills < KILLS:
            self.look()
            time.sleep(0.02)

    def end_of(self, pid):
        if pid not in self.ends:
            early = self.chance.random() < EARLY
            self.ends[pid] = self.chance.uniform(0.05, SOUND_S) if early else self.chance.uniform(*LIVES_S)
        return self.ends[pid]

    def look(self):
        for pid in self.world.broker.workers():
            try:
                if self.kills < KILLS and age_of(pid) >= self.end_of(pid):
                    os.kill(pid, signal.SIGKILL)
                    self.kills += 1
            except (ProcessLookupError, FileNotFoundError):
                continue


class Administrators:
    """Go on working in Apple's portal meanwhile."""

    def __init__(self, clients, chance):
        self.clients, self.chance = clients, chance
        self.serials = {client.slug: [device["serial_number"] for device in client.truth()["devices"]] for client in clients}
        self.done = {"added": 0, "changed": 0, "removed": 0, "moved": 0}

    def take(self, client):
        serials = self.serials[client.slug]
        at = self.chance.randrange(len(serials))
        serials[at], serials[-1] = serials[-1], serials[at]
        return serials.pop()

    def work(self):
        client, other = self.chance.sample(self.clients, 2)
        what = self.chance.choice(("added", "changed", "changed", "removed", "moved"))
        if what == "added":
            self.serials[client.slug] += client.add(self.chance.randint(1, 3))
        elif what == "changed":
            client.change(self.chance.choice(self.serials[client.slug]), asset_tag=f"tag-{self.chance.randrange(1000000)}")
        elif what == "removed":
            client.remove(self.take(client))
        else:
            serial = self.take(client)
            word = self.chance.choice(("added", "modified"))
            client.world.apple.post(f"/tenants/{client.apple}/devices/{serial}/move", {"to": other.apple, "op_type": word})
            self.serials[other.slug].append(serial)
        self.done[what] += 1


def being_fetched(world):
    """How many clients' full list is not read to its end, from its beginning, in one go."""
    return world.rows("select count(*) as n from depbroker.sync_stream"
                      " where fetch_completed_at is null or full_due_at is not null")[0]["n"]


def kill_all(world, reaper, administrators):
    next_look = 0
    while reaper.kills < KILLS:
        administrators.work()
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + 5
            fetching = being_fetched(world)
            stats = world.receiver.get("/stats")
            print(f"{reaper.kills} kills, {fetching} clients are being fetched, {stats['accepted']} events were received", flush=True)
            if fetching == 0:
                raise Failure(f"after {reaper.kills} kills nothing is left to be fetched: this proves less than it should")
        time.sleep(0.03)


def main():
    chance, seed = seeded("worker_survives_kills")
    started = time.monotonic()
    with World(workers=WORKERS, seed=seed % 1000 + 1) as world:
        reaper = Reaper(world, random.Random(seed + 1))
        slow = world.apple.post("/faults", {"endpoint": "/server/devices", "delay_ms": PAGE_DELAY_MS, "times": 0})
        clients = [world.onboard(devices=DEVICES, interval_s=2, page_maximum=chance.choice(PAGES)) for _ in range(CLIENTS)]
        print(f"{CLIENTS} clients are there after {time.monotonic() - started:.0f} s, {reaper.kills} kills", flush=True)
        administrators = Administrators(clients, chance)
        kill_all(world, reaper, administrators)
        print(f"{reaper.kills} kills after {time.monotonic() - started:.0f} s; at Apple: {administrators.done}", flush=True)
        world.apple.call("DELETE", f"/faults/{slow['id']}")
        for client in clients:
            world.apple.call("PATCH", f"/tenants/{client.apple}", {"page_maximum": 1000})
        world.until_equal(seconds=200)
        world.check_laws()
        stats = world.receiver.get("/stats")
        counts = [client.truth()["counts"] for client in clients]
        print(f"equal after {time.monotonic() - started:.0f} s: {stats['present']} devices, {stats['accepted']} events,"
              f" {stats['duplicates']} deliveries repeated, {sum(count['assigned_needlessly'] for count in counts)} of"
              f" {sum(count['assigned'] for count in counts)} assignments needless", flush=True)
    print("ok", flush=True)


main()
