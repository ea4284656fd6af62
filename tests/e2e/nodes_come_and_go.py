#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Two machines with one database: the second just joins and takes its share; each is restarted in turn, and the clients go on at the
# other; one that is cut off from the database stops asking Apple by itself, loses its clients, and takes its share again afterwards.
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import Control, Program, equal  # noqa: E402
from world import Broker, Failure, World, seeded, wait_until  # noqa: E402

CLIENTS = 12
INTERVAL_S = 1
ALIVE_S = 10  # NODE_ALIVE_S
PAUSE_MOST_S = ALIVE_S + 20 * INTERVAL_S  # between two runs of a client: machines under load are late, too
SHARE_OF = 6  # each of the two has at least one of six runs


class Machines:
    def __init__(self, world, wire):
        self.world, self.wire = world, wire
        database = self.route("database", os.path.join(world.postgres.folder, ".s.PGSQL.5432"), postgres=True)
        apple = self.route("apple", world.apple_url.removeprefix("http://"))
        folder = os.path.join(world.folder, "second")
        os.mkdir(folder)
        self.first = world.broker
        self.second = Broker(folder, 1, f"postgresql://depbroker@127.0.0.1:{database}/depbroker?sslmode=disable",
                             DEPBROKER_APPLE_URL=f"http://127.0.0.1:{apple}",
                             DEPBROKER_MASTER_KEY_FILE=os.path.join(world.broker.state, "master.key"))

    def route(self, name, to, postgres=False):
        return self.wire.call("PUT", f"/routes/{name}", {"to": to, "postgres": postgres})["port"]

    def runs(self):
        """(machine, client, when) of each run that came to its end, in order."""
        found = [(at, entry["tenant"], entry["ts"]) for at, machine in enumerate((self.first, self.second))
                 for entry in machine.log("run.finished")]
        return sorted(found, key=lambda run: run[2])

    def until_each_ran(self, times, of=None, since=None):
        """Each client so many more times since then; `of`: at that machine."""
        since = since or self.now()

        def least():
            counts = {slug: 0 for slug in self.world.clients}
            for machine, slug, at in self.runs():
                if at > since and of in (None, machine):
                    counts[slug] += 1
            return min(counts.values()) >= times
        wait_until(least, f"not every client ran {times} times at {of}", 90, 0.2)
        return since

    @staticmethod
    def now():
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".999999Z"


def shares(machines, since):
    counts = [sum(1 for machine, _, at in machines.runs() if machine == which and at > since) for which in (0, 1)]
    print(f"runs at each machine: {counts}", flush=True)
    return counts


def second_joins(machines):
    machines.second.start()
    wait_until(lambda: machines.second.log("worker.started"), "the second machine's worker did not start")
    since = machines.until_each_ran(10)
    counts = shares(machines, since)
    if min(counts) * SHARE_OF < sum(counts):
        raise Failure(f"the machines do not share: {counts} runs")


def nothing_is_left_of(machines, names):
    """Whoever left has given back everything, at once: nobody waits for the end of a heart-beat."""
    listed = ", ".join(f"'{name}'" for name in names)
    for table, column in (("nodes", "node_id"), ("sync_due", "claimed_by"), ("sync_stream", "owner")):
        found = machines.world.rows(f"select * from depbroker.{table} where {column} in ({listed})")
        equal(found, [], f"{table} after the end")


def rolling_restart(machines):
    for machine in (machines.first, machines.second) * 2:
        for client in machines.world.clients.values():
            client.add(1)
        names = [entry["node"] for entry in machine.log("worker.started")]
        machine.stop()
        nothing_is_left_of(machines, names)
        machines.until_each_ran(2)
        machine.start()
        machines.until_each_ran(2)


def asked(machines):
    return machines.wire.get("/stats")["asked"]["apple"]


def cut_off(machines):
    """Nothing of the second machine reaches the database, nor does it learn so."""
    machines.wire.call("PUT", "/routes/database/cut")
    wait_until(lambda: machines.second.log("worker.cut_off"), "the machine that is cut off does not notice", 60)
    since = machines.until_each_ran(1, of=0)  # calls that were under way are over, and its clients are the other's
    before = asked(machines)
    machines.until_each_ran(3, of=0)
    equal(asked(machines), before, "bytes that a machine without a database sent to Apple")
    machines.wire.call("DELETE", "/routes/database/cut")
    wait_until(lambda: any(machine == 1 and at > since for machine, _, at in machines.runs()), "it does not come back", 60)


def no_client_paused(machines):
    last, longest = {}, 0
    for _, slug, at in machines.runs():
        seconds = time.mktime(time.strptime(at[:19], "%Y-%m-%dT%H:%M:%S"))
        longest = max(longest, seconds - last.get(slug, seconds))
        last[slug] = seconds
    print(f"the longest pause of a client: {longest:.0f} s", flush=True)
    if longest > PAUSE_MOST_S:
        raise Failure(f"a client paused for {longest:.0f} s")


def main():
    _, seed = seeded("nodes_come_and_go")
    wire = Program("wire")
    with World(workers=1, own_postgres=True, seed=seed % 1000 + 1) as world:
        for _ in range(CLIENTS):
            world.onboard(devices=20, interval_s=INTERVAL_S)
        world.until_equal()
        machines = Machines(world, Control(wire.ready["control"]))
        try:
            second_joins(machines)
            rolling_restart(machines)
            world.until_equal()
            cut_off(machines)
            world.until_equal()
            no_client_paused(machines)
            world.check_laws()
        finally:
            machines.second.stop()
        if machines.second.complaints():
            raise Failure(machines.second.complaints()[0])
    wire.stop()
    print("ok", flush=True)


main()
