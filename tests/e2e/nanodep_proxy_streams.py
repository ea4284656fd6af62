#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# What passes through /nanodep/proxy is not held: a large answer goes to the client while it arrives, a body to Apple while it arrives; who is
# slow makes the other one wait, who breaks off breaks off for the other one, too. What could send a device somewhere is read to its end first.
import base64
import concurrent.futures
import json
import os
import queue
import re
import socket
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from broker import Broker, Client, Postgres, wait_until  # noqa: E402
from programs import Control, Program, equal, run_tests, test  # noqa: E402

MIB = 1 << 20
PAGE = bytes(range(256)) * (8 * MIB // 256)
WAIT_S = 30
STALLED_S = 1  # nothing more is taken for so long
WINDOW = 64 * 1024  # proxy_passing.h

# Freed memory that the sanitizer keeps for itself would hide what is held.
SANITIZER = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=0:thread_local_quarantine_size_kb=0")))
POSTGRES = Postgres()
SIMULATOR = Program("applesim")
CONTROL = Control(SIMULATOR.ready["control"])
BROKER = Broker(POSTGRES, DEPBROKER_APPLE_URL=SIMULATOR.ready["apple"], ASAN_OPTIONS=SANITIZER)
BROKER.command("migrate")
BROKER.start()
KEY = BROKER.make_key()
ADMIN = Client(BROKER, KEY)
NUMBERS = iter(range(1, 1000000))


# --- Apple ---

class Request:
    def __init__(self, connection, stream, method, path, headers):
        self.connection, self.stream, self.method, self.path, self.headers = connection, stream, method, path, headers

    def read_chunk(self):
        size = int(self.stream.readline(), 16)
        chunk = self.stream.read(size)
        self.stream.readline()
        return chunk

    def read_body(self):
        if self.headers.get("transfer-encoding") == "chunked":
            return b"".join(iter(self.read_chunk, b""))
        return self.stream.read(int(self.headers.get("content-length", 0)))

    def answer(self, status=200, body=b"", *fields, length=True):
        lines = [f"HTTP/1.1 {status} x", "Content-Type: application/json", *fields] + ([f"Content-Length: {len(body)}"] if length else [])
        self.connection.sendall("\r\n".join(lines + ["", ""]).encode() + body)

    def is_left(self):
        """Waits for the other side's end, and reads what comes until then."""
        self.connection.settimeout(WAIT_S)
        try:
            while self.connection.recv(65536):
                pass
        except ConnectionResetError:
            pass
        return True


class Apple:
    """Sessions by itself, and everything else by `act`, in a thread for each connection."""

    def __init__(self, account):
        self.account, self.act = account, None
        self.sessions = self.asked = self.most = 0
        self.busy = set()
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            threading.Thread(target=self.serve, args=self.listener.accept()[:1], daemon=True).start()

    def serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            try:
                while (line := stream.readline()):
                    method, path, _ = line.decode().split()
                    headers = {}
                    while (line := stream.readline().strip()):
                        name, _, value = line.decode().partition(":")
                        headers[name.lower()] = value.strip()
                    if not self.take(Request(connection, stream, method, path, headers)):
                        return
            except OSError:
                pass

    def take(self, request):
        """False: the connection ends with it."""
        if request.path == "/session":
            self.sessions += 1
            request.answer(200, json.dumps({"auth_session_token": f"session-{self.sessions}"}).encode())
        elif request.path == "/account":
            request.answer(200, self.account)
        else:
            with self.lock:
                self.asked += 1
                self.busy.add(request)
                self.most = max(self.most, len(self.busy))
            try:
                return self.act(request) is not False
            finally:
                with self.lock:
                    self.busy.discard(request)
        return True


def onboarded(key="admin"):
    """(slug, an Apple of its own)"""
    slug = f"tenant-{next(NUMBERS)}"
    ADMIN.expect(201, "POST", "/tenants", {"slug": slug, "display_name": slug})
    server = CONTROL.post("/tenants", {"name": slug, "devices": 0})
    ADMIN.expect(201, "POST", f"/tenants/{slug}/instances", {
        "name": "main", "kind": "nanomdm", "enrolment_url": "https://mdm.example.org/enroll", "allowed_hosts": ["mdm.example.org"]})
    pem = ask("GET", f"/v1/tokenpki/{slug}?cn=&validity_days=").body
    CONTROL.call("PUT", f"/tenants/{server['id']}/certificate", pem)
    equal(ask("PUT", f"/v1/tokenpki/{slug}?force=", CONTROL.call("POST", f"/tenants/{server['id']}/token")).status, 200, "token")
    apple = Apple(ask("GET", f"/proxy/{slug}/account").body)
    equal(ask("PUT", f"/v1/config/{slug}", json.dumps({"base_url": apple.url}).encode()).status, 200, "base URL")
    return slug, apple


# --- a client ---

class Asking:
    """A request on a connection of its own, written and read bit by bit."""

    def __init__(self, method, path, *fields, receive=None):
        self.connection = socket.socket()
        if receive:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.connection.settimeout(WAIT_S)
        self.connection.connect(("127.0.0.1", BROKER.port))
        self.stream = self.connection.makefile("rb")
        credentials = base64.b64encode(f"depserver:{KEY}".encode()).decode()
        self.send("\r\n".join((f"{method} /nanodep{path} HTTP/1.1", "Host: x", "User-Agent: test/1", f"Authorization: Basic {credentials}",
                               *fields, "", "")).encode())

    def send(self, data):
        self.connection.sendall(data)

    def send_chunk(self, data):
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def head(self):
        self.status = int(self.stream.readline().split()[1])
        self.headers = {}
        while (line := self.stream.readline().strip()):
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()
        return self

    def read_all(self):
        """(body, whether it is complete)"""
        if self.headers.get("transfer-encoding") != "chunked":
            length = int(self.headers.get("content-length", 0))
            body = self.stream.read(length)
            return body, len(body) == length
        body = b""
        while (line := self.stream.readline()):
            size = int(line, 16)
            part = self.stream.read(size)
            body += part
            self.stream.readline()
            if size == 0 or len(part) < size:
                return body, size == 0
        return body, False

    def answer(self):
        self.head()
        self.body, complete = self.read_all()
        equal(complete, True, "the answer is complete")
        self.close()
        return self

    def close(self):
        self.stream.close()
        self.connection.close()


def ask(method, path, body=b"", *fields):
    asking = Asking(method, path, *fields, *([f"Content-Length: {len(body)}"] if body else []))
    asking.send(body)
    return asking.answer()


def peak_kib():
    with open(f"/proc/{BROKER.process.pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read()).group(1))


def forget_peak():
    with open(f"/proc/{BROKER.process.pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    return peak_kib()


# --- answers ---

@test
def a_large_answer_passes_by_in_little_memory():
    slug, apple = onboarded()
    apple.act = lambda request: (request.read_body(), request.answer(200, PAGE))
    ask("POST", f"/proxy/{slug}/server/devices", b"{}")
    before = forget_peak()
    for _ in range(3):
        page = ask("POST", f"/proxy/{slug}/server/devices", b"{}")
        equal((page.status, page.headers.get("content-length"), page.body == PAGE), (200, str(len(PAGE)), True), "page")
    grown = peak_kib() - before
    print(f"an answer of {len(PAGE) // 1024} KiB, {grown} KiB more memory at the peak", flush=True)
    equal(grown < 2048, True, f"{grown} KiB")


@test
def a_slow_reader_makes_apple_wait():
    slug, apple = onboarded()
    size, progress = 64 * MIB, queue.Queue()

    def act(request):
        request.answer(200, b"", f"Content-Length: {size}", length=False)
        request.connection.settimeout(STALLED_S)
        sent = 0
        while sent < size:
            try:
                sent += request.connection.send(PAGE[:min(MIB, size - sent)])
            except socket.timeout:
                progress.put(sent)
                request.connection.settimeout(WAIT_S)

    apple.act = act
    asking = Asking("GET", f"/proxy/{slug}/large", receive=65536).head()
    before = forget_peak()
    stalled = progress.get(timeout=WAIT_S)
    equal(stalled < size // 2, True, f"Apple could send {stalled} bytes that nobody had read")
    read = 0
    while read < size:
        part = asking.stream.read(min(MIB, size - read))
        equal(len(part) > 0 and part == PAGE[:len(part)], True, f"after {read} bytes")
        read += len(part)
    asking.close()
    equal(peak_kib() - before < 2048, True, f"{peak_kib() - before} KiB more memory")


@test
def framing_is_apples_and_small_answers_are_whole():
    slug, apple = onboarded()

    def chunked(request):
        request.answer(200, b"", "Transfer-Encoding: chunked", "Retry-After: 7", length=False)
        for part in (b"one", b"two" * 10000):
            request.connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        request.connection.sendall(b"0\r\n\r\n")

    apple.act = chunked
    answer = ask("GET", f"/proxy/{slug}/x")
    equal((answer.status, answer.headers.get("transfer-encoding"), answer.headers.get("content-type"), answer.headers.get("retry-after")),
          (200, "chunked", "application/json", "7"), "head")
    equal(answer.body, b"one" + b"two" * 10000, "body")
    for length in (0, 1, 16384, 16385):
        apple.act = lambda request: request.answer(404, PAGE[:length])  # pylint: disable=cell-var-from-loop
        answer = ask("GET", f"/proxy/{slug}/x")
        equal((answer.status, answer.headers.get("content-length"), answer.body), (404, str(length), PAGE[:length]), f"{length} bytes")


@test
def the_first_bytes_come_before_the_last_are_sent():
    slug, apple = onboarded()
    go_on = threading.Event()

    def act(request):
        request.answer(200, PAGE[:MIB], f"Content-Length: {2 * MIB}", length=False)
        go_on.wait(WAIT_S)
        request.connection.sendall(PAGE[MIB:2 * MIB])

    apple.act = act
    asking = Asking("GET", f"/proxy/{slug}/x").head()
    equal(asking.stream.read(MIB) == PAGE[:MIB], True, "the first half")
    go_on.set()
    equal(asking.stream.read(MIB) == PAGE[MIB:2 * MIB], True, "the second half")
    asking.send(b"GET /nanodep/version HTTP/1.1\r\nHost: x\r\n\r\n")
    equal(asking.head().status, 200, "the connection goes on")
    asking.close()


@test
def what_apple_breaks_off_is_never_complete():
    slug, apple = onboarded()
    broken = [("Content-Length: 3000000", b"x" * 1000000), ("Content-Length: 20000", b"x" * 19999), ("Transfer-Encoding: chunked", b"100000\r\n" + b"x" * 70000),
              ("Transfer-Encoding: chunked", b"3\r\nabc\r\n")]
    for field, sent in broken:
        apple.act = lambda request: (request.answer(200, sent, field, length=False), False)[1]  # pylint: disable=cell-var-from-loop
        asking = Asking("GET", f"/proxy/{slug}/x").head()
        equal(asking.status, 200, field)
        body, complete = asking.read_all()
        equal((complete, len(body) < len(sent) + 1, asking.stream.read()), (False, True, b""), field)
        asking.close()
    wait_until(lambda: len(BROKER.events("nanodep.broken_off")) >= len(broken), "it is in the log")
    apple.act = lambda request: request.answer(200, b"well")
    equal(ask("GET", f"/proxy/{slug}/x").body, b"well", "afterwards")


@test
def an_answer_without_end_is_broken_off():
    slug, apple = onboarded()

    def act(request):
        request.answer(200, b"", "Transfer-Encoding: chunked", length=False)
        while True:
            request.connection.sendall(b"100000\r\n" + PAGE[:MIB] + b"\r\n")

    apple.act = act
    asking = Asking("GET", f"/proxy/{slug}/x").head()
    read = 0
    while (part := asking.stream.read(MIB)):
        read += len(part)
    equal(60 * MIB < read < 66 * MIB, True, f"{read} bytes")
    asking.close()


@test
def when_the_client_goes_apple_is_left():
    slug, apple = onboarded()
    left = queue.Queue()

    def act(request):
        request.answer(200, b"x" * 100000, "Content-Length: 1000000", length=False)
        left.put(request.is_left())
        return False

    apple.act = act
    asking = Asking("GET", f"/proxy/{slug}/x").head()
    asking.stream.read(100000)
    asking.close()
    equal(left.get(timeout=WAIT_S), True, "Apple's connection ends")
    apple.act = lambda request: request.answer(200, b"well")
    equal(ask("GET", f"/proxy/{slug}/x").body, b"well", "afterwards")


@test
def no_more_than_two_of_a_tenant_are_at_apple():
    slug, apple = onboarded()
    gate = threading.Event()
    apple.act = lambda request: (gate.wait(WAIT_S), request.answer(200, PAGE[:MIB]))
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(ask, "GET", f"/proxy/{slug}/x") for _ in range(6)]
        wait_until(lambda: apple.asked == 2, "two are at Apple")
        gate.set()
        equal([answer.result().body == PAGE[:MIB] for answer in answers], [True] * 6, "answers")
    equal((apple.most, apple.asked), (2, 6), "at a time, and in all")


# --- requests ---

def collect(apple, status=200, answer=b"{}"):
    """Apple takes bodies part by part: the queue has each, and None after the last."""
    parts = queue.Queue()

    def act(request):
        if request.headers.get("transfer-encoding") == "chunked":
            for part in iter(request.read_chunk, b""):
                parts.put(part)
        else:
            left = int(request.headers["content-length"])
            while left > 0 and (part := request.stream.read1(left)):
                parts.put(part)
                left -= len(part)
            if left > 0:
                parts.put("broken")
                return False
        parts.put(None)
        request.answer(status, answer)
        return True

    apple.act = act
    return parts


def take_until(parts, length):
    got = b""
    while len(got) < length:
        got += parts.get(timeout=WAIT_S)
    return got


@test
def a_body_goes_to_apple_while_it_comes():
    slug, apple = onboarded()
    body = PAGE[:600000]
    for method, path in (("POST", "server/devices"), ("DELETE", "profile/devices"), ("GET", "unknown")):
        for framing in (f"Content-Length: {len(body)}", "Transfer-Encoding: chunked"):
            parts = collect(apple)
            asking = Asking(method, f"/proxy/{slug}/{path}", framing, "Expect: 100-continue")
            equal(asking.head().status, 100, "interim")
            send = asking.send_chunk if framing.endswith("chunked") else asking.send
            send(body[:300000])
            equal(take_until(parts, 300000) == body[:300000], True, f"{method} {framing}: the first half, before the second is sent")
            send(body[300000:])
            if framing.endswith("chunked"):
                asking.send(b"0\r\n\r\n")
            equal(take_until(parts, 300000) == body[300000:], True, f"{method} {framing}: the second half")
            answer = asking.answer()
            equal((answer.status, answer.body), (200, b"{}"), f"{method} {framing}")


@test
def a_change_that_passes_by_is_in_the_audit_before_apple_has_it():
    slug, apple = onboarded()
    found = queue.Queue()

    def act(request):
        request.read_body()
        lines = POSTGRES.sql("select count(*) from depbroker.audit where action = 'proxy.pass' and target = '%s'" % slug)
        found.put(lines[0])
        request.answer(200, b"{}")

    apple.act = act
    equal(ask("DELETE", f"/proxy/{slug}/profile/devices", b'{"devices":["X"]}').status, 200, "answer")
    equal(found.get(timeout=WAIT_S), "1", "lines of the audit")


@test
def a_body_that_breaks_off_is_never_whole_for_apple():
    slug, apple = onboarded()
    for framing in ("Content-Length: 500000", "Transfer-Encoding: chunked"):
        ended = queue.Queue()

        def act(request):
            try:
                body = request.read_body()
                ended.put(len(body) == int(request.headers.get("content-length", -1)))
            except ValueError:  # no size of a chunk
                ended.put(False)
            return False

        apple.act = act  # pylint: disable=cell-var-from-loop
        asking = Asking("DELETE", f"/proxy/{slug}/profile/devices", framing)
        (asking.send_chunk if framing.endswith("chunked") else asking.send)(b"x" * 100000)
        wait_until(lambda: apple.busy, "Apple has its head")
        asking.close()
        equal(ended.get(timeout=WAIT_S), False, framing)
        wait_until(lambda: not apple.busy, "Apple is left")


@test
def a_refused_session_is_renewed_and_the_body_sent_again_while_it_is_held():
    slug, apple = onboarded()
    refused, bodies = [], []
    ask("GET", f"/proxy/{slug}/account")

    def act(request):
        bodies.append(request.read_body())
        if len(refused) < 1:
            refused.append(request)
            request.answer(401, b"UNAUTHORIZED")
        else:
            request.answer(200, b"well")

    apple.act = act
    for length in (20, 20000, WINDOW):
        for framing in (f"Content-Length: {length}", "Transfer-Encoding: chunked"):
            refused.clear()
            bodies.clear()
            sessions = apple.sessions
            asking = Asking("POST", f"/proxy/{slug}/devices", framing)
            if framing.endswith("chunked"):
                asking.send_chunk(PAGE[:length])
                asking.send(b"0\r\n\r\n")
            else:
                asking.send(PAGE[:length])
            answer = asking.answer()
            equal((answer.status, answer.body, [body == PAGE[:length] for body in bodies], apple.sessions - sessions), (200, b"well", [True, True], 1),
                  f"{framing}, {length} bytes")


@test
def a_refusal_after_more_than_is_held_is_the_answer_and_the_next_one_works():
    slug, apple = onboarded()
    ask("GET", f"/proxy/{slug}/account")
    sessions, apple.act = apple.sessions, lambda request: (request.read_body(), request.answer(401, b"UNAUTHORIZED"))
    answer = ask("POST", f"/proxy/{slug}/devices", PAGE[:5 * WINDOW])
    equal((answer.status, answer.body, apple.asked), (401, b"UNAUTHORIZED", 1), "Apple's words")
    apple.act = lambda request: (request.read_body(), request.answer(200, request.headers["x-adm-auth-session"].encode()))
    answer = ask("POST", f"/proxy/{slug}/devices", PAGE[:5 * WINDOW])
    equal((answer.status, answer.body), (200, f"session-{sessions + 1}".encode()), "a new session")


@test
def an_early_answer_of_apple_or_of_ours_is_given_after_the_body():
    slug, apple = onboarded()
    apple.act = lambda request: (request.answer(413, b"too much", "Connection: close"), request.is_left(), False)[2]
    answer = ask("POST", f"/proxy/{slug}/devices", PAGE[:MIB])
    equal((answer.status, answer.body), (413, b"too much"), "Apple's")
    apple.act = lambda request: (request.answer(400, PAGE[:MIB], "Connection: close"), request.is_left(), False)[2]
    answer = ask("POST", f"/proxy/{slug}/devices", PAGE[:MIB])
    equal((answer.status, answer.body == PAGE[:MIB]), (400, True), "Apple's, and long")
    ADMIN.expect(200, "PATCH", f"/tenants/{slug}", {"state": "paused"})
    asked = apple.asked
    equal(ask("POST", f"/proxy/{slug}/devices", PAGE[:MIB]).status, 409, "ours")
    equal(apple.asked, asked, "and nothing for Apple")


@test
def what_could_send_a_device_somewhere_is_read_to_its_end_first():
    slug, apple = onboarded()
    apple.act = lambda request: (request.read_body(), request.answer(200, b'{"profile_uuid":"X"}'))
    good = json.dumps({"profile_name": "main", "url": "https://mdm.example.org/enroll"}).encode() + b" " * 60000
    for body, status in ((good, 200), (good.replace(b"mdm.example.org", b"evil.example"), 403)):
        asked = apple.asked
        asking = Asking("POST", f"/proxy/{slug}/profile", "Content-Type: application/json", f"Content-Length: {len(body)}")
        asking.send(body[:-1])
        equal(ask("GET", f"/proxy/{slug}/other").status, 200, "another request meanwhile")
        equal(apple.asked, asked + 1, "nothing but that one is at Apple")
        asking.send(body[-1:])
        answer = asking.answer()
        equal((answer.status, apple.asked - asked), (status, 2 if status == 200 else 1), f"its end: {answer.body}")


def stop():
    ADMIN.close()
    CONTROL.close()
    BROKER.stop()
    SIMULATOR.stop()
    BROKER.remove()
    POSTGRES.stop()


if __name__ == "__main__":
    sys.exit(run_tests(stop))
