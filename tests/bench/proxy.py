#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# proxy.py - what a request through /nanodep/proxy costs, against applesim on the same machine.
#
#   tests/bench/proxy.py [--build build/release] [--requests 20000] [--connections 32] [--tenants 16] [--json]
#
# `depbroker serve` with its embedded PostgreSQL; each connection sends GET /account of one tenant again and again. CPU is the api process's,
# user and system, a request; PostgreSQL's and applesim's are told besides. Requests a second are worth as much as the load at that time: the
# client and applesim take their part of the same cores.
import argparse
import base64
import json
import os
import selectors
import socket
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from installation import Installation, tell  # noqa: E402

TARGET_MS = 0.1  # a third of what the peer needs


class Load:
    """Requests over some connections, the next one on each when its answer is whole."""

    def __init__(self, address, heads):
        self.selector = selectors.DefaultSelector()
        self.sent = self.done = 0
        for head in heads:
            connection = socket.create_connection(address)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(connection, selectors.EVENT_READ, [head, b""])

    def send(self, connection, head):
        self.sent += 1
        connection.sendall(head)

    def run(self, count):
        self.sent, self.done = 0, 0
        for key in list(self.selector.get_map().values()):
            self.send(key.fileobj, key.data[0])
        while self.done < self.sent:
            for key, _ in self.selector.select(60):
                self.take(key.fileobj, key.data, count)

    def take(self, connection, state, count):
        part = connection.recv(65536)
        if not part:
            raise SystemExit("a connection was closed")
        state[1] += part
        head, end, body = state[1].partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return
        if not head.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"not answered: {state[1][:300]}")
        state[1] = b""
        self.done += 1
        if self.sent < count:
            self.send(connection, state[0])

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()


def measure(options):
    with Installation(options.build) as broker:
        broker.add_clients(options.tenants, 10)
        connection = broker.api.connection
        credentials = base64.b64encode(b"depserver:" + broker.api.headers["Authorization"].split()[1].encode()).decode()
        heads = [f"GET /nanodep/proxy/client-{1 + i % options.tenants:05}/account HTTP/1.1\r\nHost: bench\r\nUser-Agent: nanodep-tools/0\r\n"
                 f"Authorization: Basic {credentials}\r\nAccept: */*\r\n\r\n".encode() for i in range(options.connections)]
        load = Load((connection.host, connection.port), heads)
        load.run(10 * options.connections)  # sessions, caches, statements
        begin = broker.begin()
        load.run(options.requests)
        used = broker.used_since(begin)
        load.close()
    tell(f"{options.requests} requests: {used}; load {os.getloadavg()[0]:.1f}")
    return {
        "requests": options.requests, "connections": options.connections, "tenants": options.tenants,
        "api_cpu_ms": used.cpu.get("depbroker api", 0.0) / options.requests * 1000,
        "postgres_cpu_ms": used.postgres / options.requests * 1000,
        "applesim_cpu_ms": used.cpu.get("applesim", 0.0) / options.requests * 1000,
        "requests_per_s": options.requests / used.seconds, "load": os.getloadavg()[0], "at": time.strftime("%FT%TZ", time.gmtime()),
    }


def main():
    parser = argparse.ArgumentParser(description="Measures the proxy of the NanoDEP API.")
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser.add_argument("--build", default=os.path.join(root, "build", "release"))
    parser.add_argument("--requests", type=int, default=20000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--tenants", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options)
    if options.json:
        print(json.dumps(result))
        return
    print(f"api process     {result['api_cpu_ms']:.3f} ms CPU a request (at most {TARGET_MS})")
    print(f"PostgreSQL      {result['postgres_cpu_ms']:.3f} ms CPU a request")
    print(f"applesim        {result['applesim_cpu_ms']:.3f} ms CPU a request")
    print(f"throughput      {result['requests_per_s']:.0f} requests/s at {result['connections']} connections, load {result['load']:.1f}")


if __name__ == "__main__":
    main()
