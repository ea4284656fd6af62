#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# What tests/faults relies on: each wound of tests/wire does what its README says, and nothing else.
import os
import socket
import struct
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from broker import Postgres, wait_until  # noqa: E402
from programs import Control, Program, equal, run_tests, test  # noqa: E402

WIRE = Program("wire")
CONTROL = Control(WIRE.ready["control"])
POSTGRES = Postgres()
POSTGRES.sql("create table written (number int)")
BYTES = bytes(range(256)) * 40
NUMBERS = iter(range(1, 1000))


class Echo:
    """Says what it hears, to each client."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    @staticmethod
    def serve(client):
        try:
            while data := client.recv(65536):
                client.sendall(data)
        except OSError:
            pass
        client.close()


ECHO = Echo()


def route(to, postgres=False, **plan):
    name = f"route-{next(NUMBERS)}"
    port = CONTROL.call("PUT", f"/routes/{name}", {"to": to, "postgres": postgres})["port"]
    if plan:
        CONTROL.call("PUT", f"/routes/{name}/plan", plan)
    return name, socket.create_connection(("127.0.0.1", port), timeout=20)


def heard(client, least):
    """So many bytes, or what came before the connection broke."""
    data = b""
    try:
        while len(data) < least:
            part = client.recv(65536)
            if not part:
                break
            data += part
    except ConnectionResetError:
        pass
    return data


def echoed(**plan):
    name, client = route(ECHO.address, **plan)
    begun = time.monotonic()
    try:
        client.sendall(BYTES)
    except (ConnectionResetError, BrokenPipeError):
        pass
    return name, client, heard(client, len(BYTES)), time.monotonic() - begun


# --- any connection ---

@test
def without_a_plan_everything_passes_and_so_does_the_end():
    _, client, data, _ = echoed()
    equal(data, BYTES)
    client.shutdown(socket.SHUT_WR)
    equal(client.recv(1), b"")


@test
def late_and_dripping_bytes_all_come_in_order():
    for plan in ({"delay": 1000, "delay_ms": 50}, {"drip": 1000}):
        _, _, data, took = echoed(**plan)
        equal(data, BYTES, str(plan))
        assert took > 0.001 or "delay" in plan, "a drip that takes no time"


@test
def a_reset_comes_at_some_byte():
    _, _, data, _ = echoed(reset=1000, within_bytes=5000)
    assert len(data) < len(BYTES) and BYTES.startswith(data), f"{len(data)} bytes came"


@test
def a_hole_is_silent_until_it_is_healed():
    data = None
    name, client = route(ECHO.address, hole=1000, within_bytes=1, hold_ms=600000)
    client.sendall(BYTES)
    client.settimeout(0.2)
    try:
        data = client.recv(1)
    except TimeoutError:
        pass
    equal(data, None, "what came out of a hole")
    CONTROL.call("DELETE", f"/routes/{name}/plan")
    client.settimeout(20)
    equal(heard(client, 1), b"", "after it was healed")


@test
def a_hole_ends_by_itself():
    equal(echoed(hole=1000, within_bytes=1, hold_ms=50)[2], b"")


@test
def a_cut_route_lets_nothing_pass_and_is_whole_afterwards():
    name, client = route(ECHO.address)
    client.sendall(b"before")
    equal(heard(client, 6), b"before")
    CONTROL.call("PUT", f"/routes/{name}/cut")
    client.sendall(b"lost")
    wait_until(lambda: CONTROL.get("/stats")["asked"][name] == 10, "the proxy has it")
    CONTROL.call("DELETE", f"/routes/{name}/cut")
    equal(heard(client, 1), b"", "of the time of the cut")


# --- COMMIT ---

def message(kind, body):
    return kind + struct.pack(">i", len(body) + 4) + body


def statement(sql):
    return message(b"P", b"\0" + sql + b"\0\0\0") + message(b"B", b"\0\0" + bytes(6)) + message(b"E", b"\0" + bytes(4))


def transaction(number):
    return statement(b"begin") + statement(b"insert into written values (%d)" % number) + statement(b"commit") + message(b"S", b"")


def until_ready(client):
    data = b""
    while data[-6:-1] != b"Z\0\0\0\5":
        part = client.recv(65536)
        if not part:
            raise ConnectionResetError
        data += part
    return data


def committed(parts=1, **plan):
    """Whether the client heard of its COMMIT, and whether it is made."""
    number = next(NUMBERS)
    name, client = route(os.path.join(POSTGRES.folder, ".s.PGSQL.5432"), postgres=True)
    start = b"\0\3\0\0user\0owner\0database\0depbroker\0\0"
    client.sendall(struct.pack(">i", len(start) + 4) + start)
    until_ready(client)
    CONTROL.call("PUT", f"/routes/{name}/plan", plan)
    data = transaction(number)
    size = -(-len(data) // parts)
    answer = b""
    try:
        for at in range(0, len(data), size):
            client.sendall(data[at:at + size])
            time.sleep(0.001 if parts > 1 else 0)
        answer = until_ready(client)
    except (ConnectionResetError, BrokenPipeError):
        pass
    return b"COMMIT\0" in answer, number


def is_written(number):
    return POSTGRES.sql(f"select 1 from written where number = {number}") == ["1"]


@test
def a_commit_without_a_plan_is_made_and_heard_of():
    heard_of, number = committed(hold_ms=1)
    equal((heard_of, is_written(number)), (True, True))


@test
def a_swallowed_answer_leaves_the_commit_made():
    for parts in (1, 7, 300):
        heard_of, number = committed(parts, swallow=1000, hold_ms=50)
        equal(heard_of, False)
        wait_until(lambda number=number: is_written(number), "it is committed")


@test
def a_cut_after_the_commit_leaves_it_made():
    for parts in (1, 7, 300):
        heard_of, number = committed(parts, cut_after=1000)
        equal(heard_of, False)
        wait_until(lambda number=number: is_written(number), "it is committed")


@test
def a_cut_before_the_commit_leaves_nothing():
    for parts in (1, 7, 300):
        heard_of, number = committed(parts, cut_before=1000)
        equal(heard_of, False)
        wait_until(lambda: POSTGRES.sql("select 1 from pg_stat_activity where backend_type = 'client backend' and state <> 'active'") == [], "the server has let go")
        equal(is_written(number), False)


def finish():
    POSTGRES.stop()
    CONTROL.close()
    WIRE.stop()


sys.exit(run_tests(finish))
