#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# run.py - what depbroker needs, against what it should need, as a table.
#
#   tests/bench/run.py                     the whole set; takes long
#   tests/bench/run.py --small             the same with a hundredth of the clients and devices: a quick look
#   tests/bench/run.py --only idle --idle-clients 2000 --rounds 3
#
# Each row is measured in an installation of its own, `--rounds` times; the table has medians. Times of the wall and what is made of them
# (devices/s, lag) are worth as much as the load at that time, which is printed with the table. CPU seconds suffer less, but suffer: of
# cores that share their parts with others, a second does less. So the pace is printed, too: what a fixed loop needs now.
import argparse
import collections
import datetime
import json
import os
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, FOLDER)
import deliveries  # noqa: E402
from installation import MIB, Installation, MemoryWatch, tell, wait_until  # noqa: E402
from latency import TARGETS  # noqa: E402

PAGE = 1000
REST_S = 10  # after a first sync: workers give spare memory back with a heart-beat
Figure = collections.namedtuple("Figure", "what value unit target most", defaults=(None, True))  # most: at most the target, else at least


# --- first sync, and what one large client needs ---


def first_sync(options):
    with Installation(options.build, DEPBROKER_SYNC_INTERVAL="86400") as broker:
        clients, devices = options.clients, options.devices
        broker.add_clients(clients, devices)
        memory = MemoryWatch(broker.serve.pid)
        memory.start()
        begin = broker.begin()
        broker.release()
        wait_until(lambda: broker.count_fetched() == clients, "every client is fetched", 1800)
        used = broker.used_since(begin)
        memory.stop()
        stored = broker.number("select count(*) from depbroker.devices")
        if stored != clients * devices:
            raise SystemExit(f"{stored} devices are stored of {clients * devices}")
        time.sleep(REST_S)
        rest = MemoryWatch(broker.serve.pid)
        rest.look()
        millions = clients * devices / 1e6
    tell(f"first sync of {clients} x {devices}: {used}")
    return [
        Figure("depbroker, per million devices", used.depbroker / millions, "CPU s", 4),
        Figure("PostgreSQL, per million devices", used.postgres / millions, "CPU s"),
        Figure("depbroker's processes, peak", memory.depbroker, "MiB", 96),
        Figure("all processes, peak", memory.all, "MiB"),
        Figure(f"depbroker's processes, {REST_S} s later", rest.depbroker, "MiB"),
        Figure(f"all processes, {REST_S} s later", rest.all, "MiB"),
        Figure("devices a second", clients * devices / used.seconds, "/s", 55000, False),
        Figure("devices a second, by CPU on 2 cores", 2 * clients * devices / sum(used.cpu.values()), "/s"),
        Figure("WAL of a device", used.wal / clients / devices, "B"),
    ]


def list_is_complete(broker, place):
    """By the log from that place on: asking the database would cost it a good part of what a list costs."""
    events = [line["event"] for line in broker.lines(place)[0] if line["event"] in ("sync.full", "run.finished")]
    return "sync.full" in events and events[-1] == "run.finished"


def fetch_all(broker, what):
    """A full list on demand, from the request to its end."""
    place = broker.lines()[1]
    begin = broker.begin()
    broker.api.ask("POST", "/tenants/client-00001/sync", {"mode": "full"})
    wait_until(lambda: list_is_complete(broker, place), "the list is complete", 3600)
    used = broker.used_since(begin)
    tell(f"{what}: {used}")
    return used


def one_client(options):
    """A client of many devices: the first list, one with 1 % changed, one in which nothing has changed; and one of 1,000 to compare."""
    with Installation(options.build, DEPBROKER_SYNC_INTERVAL="86400") as broker:
        server = broker.add_clients(1, options.large)[0]
        memory = MemoryWatch(broker.serve.pid)
        memory.start()
        place = broker.lines()[1]
        begin = broker.begin()
        broker.release()
        wait_until(lambda: list_is_complete(broker, place), "the list is complete", 3600)
        fresh = broker.used_since(begin)
        tell(f"first list of {options.large}: {fresh}")
        memory.stop()
        serials = broker.sql(f"select serial_number from depbroker.devices order by md5(serial_number) limit {options.large // 100}").split()
        for serial in serials:
            broker.control.ask("PATCH", f"/tenants/{server}/devices/{serial}", {"asset_tag": "changed", "quiet": True})
        changed = fetch_all(broker, "list with 1 % changed")
        # The less of two: in the background the server still tidies up after the one before.
        same = min((fetch_all(broker, "list without a change") for _ in range(2)), key=lambda used: used.wal)
        events = broker.number("select max(event_seq) from depbroker.sync_stream")
    pages = max(1, options.large / PAGE)
    small = small_list(options)
    return [
        Figure("depbroker, per million devices", fresh.depbroker * 1e6 / options.large, "CPU s"),
        Figure("all but applesim, a device, to one in lists of 1,000", fresh.all / options.large / small, "x", 1.1),
        Figure("a worker, peak", memory.worker, "MiB"),
        Figure("events", events, ""),
        Figure("list with 1 % changed, to the first, everything", sum(changed.cpu.values()) / sum(fresh.cpu.values()), "x", 0.1),
        Figure("list with 1 % changed, to the first, all but applesim", changed.all / fresh.all, "x", 0.1),
        Figure("list without a change, depbroker, per million", same.depbroker * 1e6 / options.large, "CPU s"),
        Figure("list without a change, PostgreSQL, per million", same.postgres * 1e6 / options.large, "CPU s"),
        Figure("WAL of an unchanged page", same.wal / pages, "B", 1000),
    ]


def small_list(options):
    """CPU seconds of a device in lists of 1,000, a tenth as many devices in all."""
    clients = max(1, options.large // 10 // PAGE)
    with Installation(options.build, DEPBROKER_SYNC_INTERVAL="86400") as broker:
        broker.add_clients(clients, PAGE)
        begin = broker.begin()
        broker.release()
        wait_until(lambda: broker.count_fetched() == clients, "every client is fetched", 1800)
        used = broker.used_since(begin)
    tell(f"{clients} lists of {PAGE}: {used}")
    return used.all / (clients * PAGE)


# --- many clients, in which nothing happens ---


def instant(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Lags:
    """From the log: how much later than it was due each run of a client ended."""

    def __init__(self):
        self.due = {}
        self.seconds = []
        self.polls = 0

    def take(self, lines, only=None):
        for line in lines:
            if line.get("event") != "run.finished" or (only is not None and line["tenant"] not in only):
                continue
            at = instant(line["ts"])
            if line["tenant"] in self.due:
                self.seconds.append(at - self.due[line["tenant"]])
            self.polls += 1
            self.due[line["tenant"]] = at + line["due_in_ms"] / 1000
        return self

    def p99(self):
        return statistics.quantiles(self.seconds, n=100)[98] if len(self.seconds) > 1 else 0.0


def idle_world(options):
    """Clients whose first list is done and whose polls have spread over the interval."""
    broker = Installation(options.build, DEPBROKER_SYNC_INTERVAL=str(options.interval))
    try:
        broker.add_clients(options.idle_clients, options.idle_devices)
        broker.release(options.interval)
        wait_until(lambda: broker.count_fetched() >= options.idle_clients, "every client is fetched", 3600)
        time.sleep(options.interval * 1.2)
    except BaseException:
        broker.close()
        raise
    return broker


def idle(options):
    broker = idle_world(options)
    with broker:
        _, place = broker.lines(os.path.getsize(broker.log_path))
        before = broker.requests()
        memory = MemoryWatch(broker.serve.pid, 5)
        memory.start()
        begin = broker.begin()
        time.sleep(options.interval * options.intervals)
        used = broker.used_since(begin)
        memory.stop()
        lags = Lags().take(broker.lines(place)[0])
        polls = broker.requests()["sync_pages"] - before["sync_pages"]
    thousands = polls / 1000
    tell(f"{polls} polls of {options.idle_clients} clients: {used}")
    return [
        Figure("clients", options.idle_clients, ""),
        Figure("polls", polls, ""),
        Figure("depbroker, per 1,000 polls", used.depbroker / thousands, "CPU s", 0.25),
        Figure("PostgreSQL, per 1,000 polls", used.postgres / thousands, "CPU s", 0.75),
        Figure("depbroker's processes, peak", memory.depbroker, "MiB"),
        Figure("all processes, peak", memory.all, "MiB", 200),
        Figure("WAL of a poll", used.wal / polls, "B"),
        Figure("p99 of the lag", lags.p99() * 1000, "ms"),
    ]


# --- one in a hundred is poisoned ---

POISONS = (
    {"delay_ms": 3600000},                                   # hangs
    {"drip_ms": 1000},                                      # a byte a second
    {"pad_bytes": 64 * MIB},                                # far more than a page may have
    {"status": 429, "body": ""},                             # always
    {"status": 500, "body": ""},                             # always
    {"body": "{\"devices\": [{\"serial_number\": "},         # malformed
)


def lags_of(broker, options, healthy):
    _, place = broker.lines(os.path.getsize(broker.log_path))
    time.sleep(options.interval * options.intervals)
    lines, _ = broker.lines(place)
    errors = sum(1 for line in lines if line.get("level") in ("warning", "error") and line.get("tenant") in healthy)
    return Lags().take(lines, healthy), errors


def poison(options):
    broker = idle_world(options)
    with broker:
        count = max(len(POISONS), options.idle_clients // 100)
        names = [f"client-{number:05}" for number in range(1, options.idle_clients + 1)]
        healthy = set(names[count:])
        before, _ = lags_of(broker, options, healthy)
        for number in range(1, count + 1):
            broker.control.ask("POST", "/faults", {"tenant": number, "times": 0} | POISONS[number % len(POISONS)])
        time.sleep(options.interval * 1.2)
        after, errors = lags_of(broker, options, healthy)
    tell(f"lag p50 {statistics.median(before.seconds):.3f} s, p99 {before.p99():.3f} s; with {count} poisoned p50 "
         f"{statistics.median(after.seconds):.3f} s, p99 {after.p99():.3f} s; polls {before.polls}, {after.polls}")
    return [
        Figure("p99 of healthy clients' lag, without poison", before.p99() * 1000, "ms"),
        Figure("p99 of healthy clients' lag, with poison", after.p99() * 1000, "ms"),
        Figure("p99 with poison to p99 without", after.p99() / max(before.p99(), 0.001), "x", 1.2),
        Figure("warnings and errors of healthy clients", errors, "", 0),
    ]


# --- how soon a change arrives ---


def latency(options):
    """latency.py in a process of its own, since it waits in threads; its targets are here, too."""
    program = os.path.join(FOLDER, "latency.py")
    done = subprocess.run([program, "--build", options.build, "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"latency.py ended with {done.returncode}")
    figures = json.loads(done.stdout)["figures"]
    return [
        Figure(f"{name}, {share}", figures[name][share + "_ms"], "ms", target)
        for name, targets in TARGETS.items() for share, target in zip(("p50", "p99"), targets)
    ]


# --- what rules would do ---

PREVIEWED = 100000
PLANT = """
insert into depbroker.devices (tenant_id, serial_number, model, device_family, os, fingerprint, instance_id, rules_version, decider, rule_id,
  first_seen_at, changed_at)
select i.tenant_id, 'PREVIEW' || lpad(n::text, 7, '0'), 'MacBook Air', case when n %% 3 = 0 then 'iPad' else 'Mac' end, 'OSX',
  '\\x00000000000000000000000000000000', i.instance_id, 1, 2, 'otherwise', now(), now()
from depbroker.instances i, generate_series(1, %d) n
"""


def preview(options):
    """As many devices as a large client has, and rules that move a third of them."""
    count = PREVIEWED // (100 if options.small else 1)
    with Installation(options.build, DEPBROKER_SYNC_INTERVAL="86400") as broker:
        broker.add_clients(1, 0)
        path = "/tenants/client-00001"
        for name in ("main", "ipads"):
            broker.api.ask("POST", path + "/instances", {"name": name, "kind": "generic", "enrolment_url": f"https://{name}.example/",
                                                         "allowed_hosts": [f"{name}.example"], "webhook_url": "https://127.0.0.1/"})
        broker.api.ask("PUT", path + "/rules", {"default": "main"})
        broker.sql(PLANT % count + "where i.name = 'main'")
        broker.sql("vacuum analyze depbroker.devices")
        rules = {"rules": [{"name": "iPads", "when": {"device_family": ["iPad"]}, "then": {"instance": "ipads"}}], "otherwise": {"instance": "main"}}
        taken, begin = [], broker.begin()
        for _ in range(5):
            start = time.monotonic()
            answer = broker.api.ask("POST", path + "/rules/preview", rules)
            taken.append(time.monotonic() - start)
            if (answer["devices"], answer["changes"]) != (count, count // 3):
                raise SystemExit(f"a preview of {count} devices says {answer['devices']}, {answer['changes']}")
        used = broker.used_since(begin)
    tell(f"five previews of {count} devices: {used}")
    return [
        Figure("a preview, by the wall", statistics.median(taken), "s", 1),
        Figure("a preview, depbroker", used.depbroker / 5, "CPU s"),
        Figure("a preview, PostgreSQL", used.postgres / 5, "CPU s"),
    ]


# --- webhooks ---


def deliver(options):
    alone, batches, soon = (deliveries.PARTS[part](options) for part in ("alone", "batches", "latency"))
    return [figure for name, found in (("alone", alone), ("500 of a request", batches)) for figure in (
        Figure(f"{name}: deliveries a second", found["per_s"], "/s"),
        Figure(f"{name}: deliveries a second, by CPU on 2 cores", found["per_s_by_cpu"], "/s"),
        Figure(f"{name}: depbroker, of a delivery", found["depbroker_us"], "CPU us"),
        Figure(f"{name}: PostgreSQL, of a delivery", found["postgres_us"], "CPU us"),
        Figure(f"{name}: the receiver's part of all CPU", found["receiver_share"] * 100, "%"))] + [
        Figure("events a second, to measure latency", soon["rate"], "/s"),
        Figure("from the commit to the receiver, p50", soon["p50_ms"], "ms"),
        Figure("from the commit to the receiver, p99", soon["p99_ms"], "ms"),
        Figure("p99 with a tenth of the endpoints hanging", soon["hanging_p99_ms"], "ms"),
        Figure("p99 with hanging ones to p99 without", soon["hanging_ratio"], "x", 1.2),
    ]


# --- the table ---

ROWS = {
    "first": (first_sync, "first sync of many clients"),
    "large": (one_client, "one large client"),
    "idle": (idle, "many clients, nothing changes"),
    "latency": (latency, "a change at Apple, asked for at once"),
    "deliveries": (deliver, "webhooks"),
    "preview": (preview, "a preview of other rules"),
    "poison": (poison, "one in a hundred is poisoned"),
}


def shown(number):
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.2f}" if abs(number) >= 1 or number == 0 else f"{number:.3f}"


def verdict(figure, value):
    if figure.target is None:
        return "", "", ""
    good = value <= figure.target if figure.most else value >= figure.target
    ratio = value / figure.target if figure.target else float(value)
    return ("<= " if figure.most else ">= ") + shown(figure.target), shown(ratio), "yes" if good else "NO"


def table(title, rounds):
    print(f"\n{title}")
    print(f"  {'':56} {'median':>10} {'unit':6} {'target':>10} {'ratio':>7} reached   all rounds")
    for figures in zip(*rounds):
        value = statistics.median(figure.value for figure in figures)
        target, ratio, good = verdict(figures[0], value)
        each = ", ".join(shown(figure.value) for figure in figures) if len(figures) > 1 else ""
        print(f"  {figures[0].what:56} {shown(value):>10} {figures[0].unit:6} {target:>10} {ratio:>7} {good:9} {each}".rstrip())
    sys.stdout.flush()


def pace():
    """CPU seconds of a loop that is always the same."""
    start, total = time.process_time(), 0
    for number in range(5000000):
        total += number * number % 7
    return time.process_time() - start


def conditions():
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, pace {pace():.2f} s"


def read_options():
    parser = argparse.ArgumentParser(description="Measures depbroker against its targets.")
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--only", action="append", choices=list(ROWS), help="this row; may be given several times")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="a hundredth of everything")
    parser.add_argument("--clients", type=int, default=1000, help="of the first sync")
    parser.add_argument("--devices", type=int, default=1000, help="of each of them")
    parser.add_argument("--large", type=int, default=1000000, help="devices of the large client")
    parser.add_argument("--idle-clients", type=int, default=10000)
    parser.add_argument("--idle-devices", type=int, default=10, help="of each of them")
    parser.add_argument("--interval", type=int, default=60, help="seconds between two polls of a client")
    parser.add_argument("--intervals", type=int, default=2, help="how many of them are measured")
    deliveries.add_options(parser)
    options = parser.parse_args()
    if options.small:
        options.waiting, options.seconds = 500, 5
        options.clients, options.large, options.idle_clients, options.interval = 20, 20000, 200, 10
    return options


def main():
    options = read_options()
    print(f"build {options.build}")
    for name in options.only or ROWS:
        measure, title = ROWS[name]
        before = conditions()
        rounds = [measure(options) for _ in range(options.rounds)]
        table(f"{name}: {title} (before: {before}; after: {conditions()})", rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
