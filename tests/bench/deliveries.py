#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# deliveries.py - what signed deliveries cost, how soon they come, and what hanging endpoints do to the others.
#
#   tests/bench/deliveries.py [--build build/release] [--only alone] [--only batches] [--only latency]
#
# `depbroker serve` with its embedded PostgreSQL, fsync on, and tests/receiver, which verifies each signature, on the same machine.
# Throughput: the events of some clients wait in the log until their endpoints are enabled; each is sent alone, or up to 500 of a request.
# Latency: some clients get new devices once a second, 500 events a second in all; from the time of the commit (PostgreSQL's own) to that
# at which the receiver has the request in its hands. Then two installations side by side, with half of the events each: in one of them a
# tenth of the endpoints take requests and never answer, from its first measured moment on. The others' latency, to that of the same clients
# of the other installation at the same time: what a shared machine does to one, it does to both, and logs grow alike.
import argparse
import concurrent.futures
import json
import multiprocessing
import os
import statistics
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from installation import Installation, tell, wait_until  # noqa: E402

SETTINGS = {"DEPBROKER_SYNC_INTERVAL": "86400", "DEPBROKER_WEBHOOK_ALLOW": "127.0.0.0/8"}
HANGING = {"delay_ms": 3600000, "times": 0}


class Deliveries(Installation):
    """Clients with an endpoint each, which has the whole log."""

    def __init__(self, build):
        super().__init__(build, **SETTINGS)
        self.receiver = self.add_receiver()
        self.clients = []  # (slug, number at applesim, endpoint)

    def add(self, count, devices, batch):
        for server in self.add_clients(count, devices):
            slug = f"client-{len(self.clients) + 1:05}"
            made = self.api.ask("POST", f"/tenants/{slug}/endpoints", {"instance": None, "batch_size": batch,
                                                                       "url": f"{self.receiver_url}/webhook/{slug}"})
            self.receiver.send("PUT", f"/secret/{slug}", made["secret"])
            self.clients.append((slug, server, made["id"]))

    def slugs(self):
        return [slug for slug, _, _ in self.clients]

    def ask_receiver(self, method, path, body=None):
        return self.receiver.ask(method, path, body)

    def accepted(self):
        return self.ask_receiver("GET", "/stats")["accepted"]

    def check(self, wanted):
        """Nothing lost, and nothing that a receiver complains of."""
        stats = self.ask_receiver("GET", "/stats")
        wrong = {name: stats[name] for name in ("refused", "conflicts", "inversions", "malformed", "foreign") if stats[name]}
        if wrong or stats["accepted"] != wanted:
            raise SystemExit(f"the receiver took {stats['accepted']} events of {wanted}, and complains: {wrong}")


# --- throughput ---


def throughput(options, batch):
    """The log's events, which have waited, as fast as they go."""
    with Deliveries(options.build) as broker:
        broker.add(options.busy_clients, options.waiting, batch)
        broker.sql("update depbroker.endpoints set disabled_at = now(), disabled_reason = 'for now'")
        broker.release()
        wait_until(lambda: broker.count_fetched() == options.busy_clients, "every client is fetched", 600)
        events = int(broker.number("select count(*) from depbroker.events where type not in (20, 21)"))  # those of alerts are no client's
        broker.sql("vacuum analyze")
        begin = broker.begin()
        for slug, _, endpoint in broker.clients:
            broker.api.ask("POST", f"/tenants/{slug}/endpoints/{endpoint}/enable")
        wait_until(lambda: broker.accepted() >= events, "all is delivered", 1200, 0.05)
        used = broker.used_since(begin)
        requests = int(broker.number("select count(*) from depbroker.attempts"))
        broker.check(events)
    tell(f"{events} events, up to {batch} of a request, {requests} requests: {used}")
    return {
        "events": events, "requests": requests, "per_s": events / used.seconds, "requests_per_s": requests / used.seconds,
        "depbroker_us": used.depbroker / events * 1e6, "postgres_us": used.postgres / events * 1e6,
        "receiver_share": used.cpu.get("receiver", 0.0) / sum(used.cpu.values()), "wal_bytes": used.wal / events,
        "per_s_by_cpu": 2 * events / sum(used.cpu.values()),
    }


# --- latency ---


def keep_commit_times(broker):
    broker.sql("alter system set track_commit_timestamp = on")
    broker.restart_postgres()
    if broker.sql("show track_commit_timestamp") != "on":
        raise SystemExit("PostgreSQL does not keep the times of commits")


def add_devices(broker, options, rate, rounds, first):
    """So many a second, client by client; `first` is the number of the first new device of each."""
    each = rate // len(broker.clients)
    begin, step = time.monotonic(), 1 / len(broker.clients)
    for turn in range(rounds * len(broker.clients)):
        slug, server, _ = broker.clients[turn % len(broker.clients)]
        number = first + turn // len(broker.clients) * each
        time.sleep(max(0, begin + turn * step - time.monotonic()))
        broker.control.ask("POST", f"/tenants/{server}/devices", {"devices": [
            {"serial_number": f"{slug[-5:]}{number + i:07}"} for i in range(each)]})
        broker.api.ask("POST", f"/tenants/{slug}/sync", {"mode": "changes"})
    return first + rounds * each, time.monotonic() - begin


def commits(broker):
    """{(slug, seq): microseconds}"""
    rows = broker.sql("select t.slug, e.seq, (extract(epoch from pg_xact_commit_timestamp(e.xmin)) * 1000000)::bigint"
                      " from depbroker.events e join depbroker.tenants t using (tenant_id)").splitlines()
    return {(slug, int(seq)): int(at) for slug, seq, at in (row.split("|") for row in rows)}


def arrivals(broker, after):
    """[((slug, seq), microseconds)] of the messages after that one, and the last one."""
    found = broker.ask_receiver("GET", f"/events?after={after}")
    return [((event["inbox"], json.loads(event["body"])["data"]["seq"]), event["at_us"]) for event in found["events"]], found["last"]


def latencies(broker, after, only, until_all):
    wanted = int(broker.number("select count(*) from depbroker.events e join depbroker.tenants t using (tenant_id)"
                               f" where t.slug = any ('{{{','.join(only)}}}')"))
    stats = lambda: broker.ask_receiver("GET", "/stats")["inboxes"]  # noqa: E731
    wait_until(lambda: sum(stats()[slug]["accepted"] for slug in only) >= wanted, "all is delivered", until_all, 0.05)
    committed = commits(broker)
    found, last = arrivals(broker, after)
    return [(at - committed[key]) / 1000 for key, at in found if key[0] in only], last


def p50_p99(samples):
    if len(samples) < 100:
        raise SystemExit(f"only {len(samples)} deliveries to measure")
    cuts = statistics.quantiles(samples, n=100)
    return cuts[49], cuts[98]


def get_ready(broker, options):
    """(number of the next new device of each, last message so far)"""
    keep_commit_times(broker)
    broker.add(options.hooked_clients, 0, 1)
    broker.release()
    wait_until(lambda: broker.count_fetched() == options.hooked_clients, "every client is fetched", 600)
    number, _ = add_devices(broker, options, options.rate, 5, 1)  # sessions, caches, statements
    _, last = latencies(broker, 0, broker.slugs(), 60)
    return number, last


def calm(options):
    with Deliveries(options.build) as broker:
        number, last = get_ready(broker, options)
        begin = broker.begin()
        _, seconds = add_devices(broker, options, options.rate, options.seconds, number)
        used = broker.used_since(begin)
        found, _ = latencies(broker, last, broker.slugs(), 60)
    p50, p99 = p50_p99(found)
    tell(f"{len(found) / seconds:.0f} events a second: {used}; p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    return {"rate": len(found) / seconds, "deliveries": len(found), "p50_ms": p50, "p99_ms": p99}


def beside_another(options, count, together):
    """Half the events, from the moment on at which both begin; `count` endpoints hang. (p50, p99, most, CPU)"""
    with Deliveries(options.build) as broker:
        number, last = get_ready(broker, options)
        for slug in broker.slugs()[:count]:
            broker.ask_receiver("PUT", "/faults", {"name": slug, **HANGING})
        together.wait(600)
        begin = broker.begin()
        add_devices(broker, options, options.rate // 2, 2 * options.seconds, number)
        used = broker.used_since(begin)
        found, _ = latencies(broker, last, broker.slugs()[options.hooked_clients // 10:], 120)
    p50, p99 = p50_p99(found)
    tell(f"{count} of {options.hooked_clients} hanging: {used}; p50 {p50:.2f} ms, p99 {p99:.2f} ms, most {max(found):.0f} ms")
    return p50, p99, max(found), used.depbroker + used.postgres


def latency(options):
    hanging = options.hooked_clients // 10
    found = calm(options)
    with multiprocessing.Manager() as manager, concurrent.futures.ProcessPoolExecutor(2) as pool:
        together = manager.Barrier(2)
        without, those = (pool.submit(beside_another, options, count, together) for count in (0, hanging))
        without, those = without.result(), those.result()
    return found | {
        "hanging": hanging, "without_p50_ms": without[0], "without_p99_ms": without[1], "hanging_p50_ms": those[0], "hanging_p99_ms": those[1],
        "hanging_ratio": those[1] / without[1], "hanging_most_ms": those[2], "hanging_cpu_ratio": those[3] / without[3],
    }


def add_options(parser):
    parser.add_argument("--busy-clients", type=int, default=8, help="whose events wait to be delivered")
    parser.add_argument("--waiting", type=int, default=5000, help="events of each of them")
    parser.add_argument("--hooked-clients", type=int, default=50, help="that get new devices all the time")
    parser.add_argument("--rate", type=int, default=500, help="events a second of all of them")
    parser.add_argument("--seconds", type=int, default=30, help="of that; and twice as long side by side")


PARTS = {"alone": lambda options: throughput(options, 1), "batches": lambda options: throughput(options, 500), "latency": latency}


def main():
    parser = argparse.ArgumentParser(description="Measures deliveries.")
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser.add_argument("--build", default=os.path.join(root, "build", "release"))
    parser.add_argument("--only", choices=list(PARTS), action="append")
    add_options(parser)
    options = parser.parse_args()
    print(json.dumps({part: PARTS[part](options) for part in options.only or PARTS}, indent=1))


if __name__ == "__main__":
    main()
