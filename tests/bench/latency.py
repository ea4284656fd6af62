#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# latency.py - how soon a change at Apple is stored, and how soon it reaches a webhook, when "sync now" is asked for by the API.
#
#   tests/bench/latency.py [--build build/release] [--changes 300] [--workers 2] [--json] [--stages]
#
# Starts applesim and `depbroker serve` with its embedded PostgreSQL, fsync on, onboards one client with one device, and changes that
# device again and again. Both figures begin right before the request `POST /tenants/{tenant}/sync` is sent, on a connection that is
# open. "committed" ends when the worker has the database's word that row and event are committed, by the time of its log line;
# "webhook" when the first byte of the delivery is read. The next change waits until the run before it has ended, and a few
# milliseconds at random, so that no timer's rhythm is met again and again. As a module: measure(changes) gives the same as --json prints.
import argparse
import json
import os
import random
import socket
import statistics
import sys
import threading
import time
from datetime import datetime

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))

TARGETS = {"committed": (6.0, 30.0), "webhook": (10.0, 50.0)}  # milliseconds on an idle machine: p50, p99
PATIENCE_S = 20


class Sink:
    """A webhook that notes when the first byte of each request came, and answers 204."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d/hook" % self.listener.getsockname()[1]
        self.heard = threading.Condition()
        self.times = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        data, first = b"", None
        while True:
            part = connection.recv(65536)
            if not part:
                return
            first = first or time.time()
            data += part
            head, end, body = data.partition(b"\r\n\r\n")
            if not end:
                continue
            length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            if len(body) < length:
                continue
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            with self.heard:
                self.times.append(first)
                self.heard.notify_all()
            data, first = body[length:], None

    def next_after(self, count):
        with self.heard:
            if not self.heard.wait_for(lambda: len(self.times) > count, PATIENCE_S):
                raise SystemExit("latency.py: no webhook came in time")
            return self.times[count]


class Log:
    """What depbroker's log says from now on."""

    def __init__(self, path):
        self.file = open(path, encoding="utf-8", errors="replace")  # pylint: disable=consider-using-with
        self.file.seek(0, os.SEEK_END)
        self.rest = ""

    def until(self, event):
        """All entries up to the first one of that event."""
        found, end = [], time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            self.rest += self.file.readline()
            if not self.rest.endswith("\n"):
                time.sleep(0.001)
                continue
            line, self.rest = self.rest, ""
            if line.startswith("{"):
                found.append(json.loads(line))
                if found[-1]["event"] == event:
                    return found
        raise SystemExit(f"latency.py: no {event} in the log in time")


def seconds(entry):
    return datetime.fromisoformat(entry["ts"].replace("Z", "+00:00")).timestamp()


def one_change(client, api, sink, log, device, number):
    client.change(device, asset_tag=f"tag-{number}")
    sent, began = len(sink.times), time.time()
    answer = api.request("POST", f"/api/v1/tenants/{client.slug}/sync", b'{"mode":"changes"}',
                         {"Authorization": f"Bearer {client.world.technician.key}", "Content-Type": "application/json"})
    answered = time.time()
    if answer.status != 202:
        raise SystemExit(f"latency.py: the API answered {answer.status} {answer.text}")
    entries = log.until("run.finished")
    while (page := next((entry for entry in entries if entry["event"] == "sync.page" and entry["events"] > 0), None)) is None:
        entries += log.until("run.finished")  # a run that had begun before the change was there
    claimed = [seconds(entry) for entry in entries if entry["event"] in ("worker.claimed", "run.hinted")]
    times = {"answered": answered, "committed": seconds(page), "webhook": sink.next_after(sent), "finished": seconds(entries[-1])}
    if claimed:
        times["claimed"] = claimed[0]
    return {name: (at - began) * 1000 for name, at in times.items()}


def percentile(values, share):
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


def summary(samples):
    names = sorted(samples[0], key=lambda name: statistics.median(sample[name] for sample in samples))
    return {name: {"p50_ms": round(percentile(values, 0.5), 2), "p99_ms": round(percentile(values, 0.99), 2), "max_ms": round(max(values), 2)}
            for name in names for values in [[sample[name] for sample in samples if name in sample]]}


def measure(changes=300, workers=2, stages=False):
    """{"figures": {"committed": {"p50_ms", "p99_ms", "max_ms"}, "webhook": {...}, ...}, "changes", "load"}"""
    from programs import Peer
    from world import World
    sink = Sink()
    load = os.getloadavg()[0]
    with World(workers=workers, **({"DEPBROKER_LOG_LEVEL": "debug"} if stages else {})) as world:
        client = world.onboard("bench", devices=1, interval_s=86400, webhook_url=sink.url)
        device = client.truth()["devices"][0]["serial_number"]
        wait_until_quiet(client)
        time.sleep(1)
        log, api, samples = Log(world.broker.log_path), Peer("http://" + world.broker.listen), []
        for number in range(changes + 20):
            sample = one_change(client, api, sink, log, device, number)
            if number >= 20:  # the first ones find caches cold
                samples.append(sample)
            time.sleep(random.uniform(0.005, 0.03))
        api.close()
    return {"figures": summary(samples), "changes": changes, "workers": workers, "load": load}


def wait_until_quiet(client):
    """The client is onboarded, its device assigned and seen to be, all of that delivered, and its last run over."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        devices = list(client.stored().values())
        if devices and all(row["profile_status"] == "assigned" for row in devices) and client.pending() == 0 and not client.stream()["owner"]:
            return
        time.sleep(0.5)
        client.sync_now()
    raise SystemExit("latency.py: the client was not onboarded in time")


def print_table(result):
    print(f"{result['changes']} changes, {result['workers']} workers, load {result['load']:.2f} before; milliseconds since \"sync now\" was sent")
    print(f"{'':10} {'p50':>8} {'p99':>8} {'most':>8}   to reach")
    for name, figures in result["figures"].items():
        wanted = "p50 {:g}, p99 {:g}".format(*TARGETS[name]) if name in TARGETS else ""
        print(f"{name:10} {figures['p50_ms']:8.2f} {figures['p99_ms']:8.2f} {figures['max_ms']:8.2f}   {wanted}")


def main():
    parser = argparse.ArgumentParser(description="Measures from \"sync now\" to the committed event and to the webhook.")
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--changes", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--stages", action="store_true", help="with the log at debug, which costs a little: also when the client was claimed")
    arguments = parser.parse_args()
    os.environ["BUILD_DIR"] = os.path.abspath(arguments.build)
    result = measure(arguments.changes, arguments.workers, arguments.stages)
    if arguments.json:
        print(json.dumps(result))
    else:
        print_table(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
