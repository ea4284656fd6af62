#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# fetch.py - how fast the devices of one client get from Apple into PostgreSQL, webhooks off, and what each process needs for it.
#
#   tests/bench/fetch.py [--build build/release] [--devices 100000] [--rounds 1]
#
# Starts applesim and `depbroker serve` with its embedded PostgreSQL in a temporary folder, onboards one client without an instance, and
# measures from the token's acceptance to the end of the first complete fetch; then a second full fetch, in which nothing has changed.
# CPU seconds are the kernel's account of each process (user and system) between the two moments; memory is the peak resident set, and
# the proportional set at the end.
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

TICK = os.sysconf("SC_CLK_TCK")


def call(method, url, body=None, key=None):
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data)
    if key:
        request.add_header("Authorization", "Bearer " + key)
    if data is not None:
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def free_port():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def descendants(pid):
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    head, tail = file.read().rsplit(")", 1)
                found[int(entry)] = (int(tail.split()[1]), head.split("(", 1)[1])
            except OSError:
                pass
    result, grown = {pid}, True
    while grown:
        more = {child for child, (parent, _) in found.items() if parent in result} - result
        result |= more
        grown = bool(more)
    return {child: found[child][1] for child in result if child in found}


def name_of(pid, short):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return short
    if words[0].startswith(b"postgres: "):
        title = words[0].decode().split(" ", 1)[1]
        return "postgres " + ("backends" if title.startswith("depbroker") else title.split(" ")[0])
    if b"/postgres" in words[0]:
        return "postgres"
    return "depbroker " + words[1].decode() if b"depbroker" in words[0] and len(words) > 1 else short


def cpu_of(pids):
    total = {}
    for pid, short in pids.items():
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total.setdefault(name_of(pid, short), 0.0)
        total[name_of(pid, short)] += (int(fields[11]) + int(fields[12])) / TICK
    return total


def memory_of(pids):
    rows = []
    for pid, short in sorted(pids.items()):
        values = {}
        try:
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                values.update(line.split(":", 1) for line in file if line.startswith("VmHWM"))
            with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
                values.update(line.split(":", 1) for line in file if line.startswith("Pss:"))
        except OSError:
            continue
        rows.append((name_of(pid, short), int(values["VmHWM"].split()[0]) / 1024, int(values["Pss"].split()[0]) / 1024))
    return rows


class World:
    def __init__(self, build, folder):
        self.key = None
        self.processes = []
        self.folder = folder
        self.environment = dict(os.environ, DEPBROKER_STATE_DIR=folder + "/var", DEPBROKER_SYNC_INTERVAL="86400", DEPBROKER_WORKERS="2")
        ports = {name: free_port() for name in ("DEPBROKER_LISTEN", "DEPBROKER_DEP_LISTEN", "DEPBROKER_ADMIN_LISTEN")}
        self.environment.update((name, f"127.0.0.1:{port}") for name, port in ports.items())
        self.api = f"http://127.0.0.1:{ports['DEPBROKER_LISTEN']}/api/v1"
        self.admin = f"http://127.0.0.1:{ports['DEPBROKER_ADMIN_LISTEN']}"
        simulator = subprocess.Popen([build + "/applesim", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--seed", "1"],
                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.processes.append(simulator)
        self.apple = json.loads(simulator.stdout.readline())
        with open(folder + "/serve.log", "wb") as log:
            self.serve = subprocess.Popen([build + "/depbroker", "serve"], env=self.environment, stderr=log)
        self.processes.append(self.serve)
        self.wait(lambda: call("GET", self.admin + "/readyz"), 60)
        self.key = subprocess.check_output([build + "/depbroker", "admin", "create-key"], env=self.environment).decode().strip()

    @staticmethod
    def wait(condition, seconds):
        until = time.monotonic() + seconds
        while True:
            try:
                result = condition()
                if result:
                    return result
            except (urllib.error.URLError, ConnectionError):
                pass
            if time.monotonic() > until:
                raise SystemExit("fetch.py: it did not come to an end in time")
            time.sleep(0.1)

    def ask(self, method, path, body=None):
        answer = call(method, self.api + path, body, self.key)
        return json.loads(answer) if answer else None

    def sync(self):
        return self.ask("GET", "/tenants/bench/sync")

    def close(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(60)


def measure(world, what, devices, start, done):
    pids = descendants(world.serve.pid)
    before, began = cpu_of(pids), time.monotonic()
    start()
    world.wait(done, 600)
    took = time.monotonic() - began
    pids = descendants(world.serve.pid)
    after = cpu_of(pids)
    print(f"{what}: {devices} devices in {took:.2f} s, {devices / took:.0f} devices/s")
    for name in sorted(after):
        used = after[name] - before.get(name, 0.0)
        if used >= 0.01:
            print(f"    {used:7.2f} CPU s  {name}")
    return pids


def main():
    parser = argparse.ArgumentParser(description="Measures the fetch of one client's devices.")
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--devices", type=int, default=100000)
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="depbroker-bench-", dir="/var/tmp")
    os.chmod(folder, 0o755)
    world = None
    try:
        world = World(os.path.abspath(arguments.build), folder)
        control = world.apple["control"]
        call("POST", control + "/tenants", {"name": "bench", "org_name": "Bench", "devices": arguments.devices})
        world.ask("POST", "/tenants", {"slug": "bench", "display_name": "Bench", "apple_url": world.apple["apple"]})
        pair = world.ask("POST", "/tenants/bench/token/keys")
        certificate = call("GET", world.api + f"/tenants/bench/token/keys/{pair['id']}/certificate", None, world.key)
        token = call("POST", control + "/tenants/bench/token", certificate)

        def completed(since):
            return lambda: (world.sync()["full"]["completed_at"] or "") > since

        measure(world, "first fetch", arguments.devices, lambda: world.ask("PUT", "/tenants/bench/token", token), completed(""))
        since = world.sync()["full"]["completed_at"]
        pids = measure(world, "second full fetch, nothing changed", arguments.devices,
                       lambda: world.ask("POST", "/tenants/bench/sync", {"mode": "full"}), completed(since))
        print("memory: peak resident MiB, proportional MiB now")
        for name, peak, share in memory_of(pids):
            print(f"    {peak:7.1f} {share:7.1f}  {name}")
    finally:
        if world:
            world.close()
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
