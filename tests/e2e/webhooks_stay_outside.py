#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Webhooks never reach depbroker's own listeners or its database, whatever the operator allows; and nothing that can be set gets out as anything
# but what it is.
import json
import os
import socket
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import equal, test  # noqa: E402
from world import Problem, World, free_address, run_in, wait_until  # noqa: E402

DEP_LISTEN = free_address()
DATABASE_PORT = int(free_address().rpartition(":")[2])
WORLD = World(workers=1, own_postgres=True, DEPBROKER_WEBHOOK_ALLOW="0.0.0.0/0, ::/0", DEPBROKER_DEP_LISTEN=DEP_LISTEN)
# The database is asked by its socket; that it has a TCP port, too, is what its URL says last.
WORLD.broker.environment["DEPBROKER_DATABASE_URL"] = (
    f"postgresql:///depbroker?user=depbroker&host={WORLD.postgres.folder},127.0.0.1&port=5432,{DATABASE_PORT}")


class RawPeer:
    """Keeps the heads and bodies that come, byte by byte, and answers 204."""

    def __init__(self, host="127.0.0.1", port=0):
        self.socket = socket.create_server((host, port))
        self.url = "http://127.0.0.1:%d" % self.socket.getsockname()[1]
        self.requests = []
        self.accepted = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            peer, _ = self.socket.accept()
            self.accepted += 1
            threading.Thread(target=self.take, args=(peer,), daemon=True).start()

    def take(self, peer):
        data = b""
        while True:
            part = peer.recv(65536)
            if not part:
                return
            data += part
            head, end, body = data.partition(b"\r\n\r\n")
            length = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            if end and length and len(body) >= length[0]:
                self.requests.append((head, body[:length[0]]))
                data = body[length[0]:]
                peer.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


def attempt_at(url):
    """What came of a ping to it."""
    made = WORLD.admin.post("/endpoints", {"url": url})
    WORLD.admin.post(f"/endpoints/{made['id']}/test")
    found = wait_until(lambda: WORLD.admin.get(f"/endpoints/{made['id']}/deliveries")["items"], f"{url} is not tried")
    WORLD.admin.call("DELETE", f"/endpoints/{made['id']}")
    return found[0]["status"], found[0]["error"] or ""


@test
def its_own_listeners_and_its_database_are_no_targets():
    database = RawPeer(port=DATABASE_PORT)  # would answer
    other = RawPeer()
    equal(attempt_at(other.url + "/"), (204, ""), "another port is reached")
    port = other.url.rpartition(":")[2]
    own = [address.rpartition(":")[2] for address in (WORLD.broker.listen, WORLD.broker.admin_listen, DEP_LISTEN)] + [str(DATABASE_PORT)]
    hosts = ["127.0.0.1", "127.1", "127.9.9.9", "localhost", "0.0.0.0", "2130706433", "0x7f000001"]
    for own_port in own:
        for host in hosts:
            status, error = attempt_at(f"http://{host}:{own_port}/livez")
            equal((status, "address" in error), (None, True), f"{host}:{own_port}: {error}")
    equal(database.accepted, 0, "connections to the database's port")
    equal(attempt_at(f"http://localhost:{port}/")[0], 204, "and still another port is reached")


BAD = {"CR": "\r", "LF": "\n", "CRLF": "\r\nX-Injected: 1\r\n", "NUL": "\0", "DEL": "\x7f", "0x80": "\x80", "0xff": "\xff", "UTF-8": "\u00fc\u4e16",
       "line separator": "\u2028", "tab": "\t", "escape": "\x1b"}
OUR_HEADERS = {"host", "user-agent", "accept", "content-type", "content-length", "webhook-id", "webhook-timestamp", "webhook-signature", "x-good"}


def take_or_refuse(method, path, body):
    """True: it was taken."""
    try:
        return WORLD.admin.call(method, path, body)
    except Problem as problem:
        equal(400 <= problem.status < 500, True, f"{method} {path} {body}: {problem}")
        return None


@test
def nothing_that_is_set_becomes_a_header_or_a_line_of_its_own():
    peer = RawPeer()
    client = WORLD.onboard(devices=1, webhook_url=peer.url + "/main")
    WORLD.admin.post(client.path + "/endpoints", {"instance": None, "url": peer.url + "/own", "headers": {"X-Good": "1"}})
    tried = taken = 0
    for bad in BAD.values():
        for where in ("a" + bad + "b", bad + "b", "a" + bad):
            url = f"{peer.url}/{where}"
            for path, body in (
                    (client.path + "/endpoints", {"instance": "main", "url": url}),
                    (client.path + "/endpoints", {"instance": "main", "url": peer.url, "headers": {where: "1"}}),
                    (client.path + "/endpoints", {"instance": "main", "url": peer.url, "headers": {"X-Good": where}}),
                    (client.path + "/endpoints", {"instance": "main", "url": peer.url, "events": [where]}),
                    (client.path + "/endpoints", {"instance": where, "url": peer.url}),
                    ("/endpoints", {"url": url}), ("/endpoints", {"url": peer.url, "headers": {"X-Good": where}}),
                    ("/endpoints", {"url": peer.url, "headers": {where: "1"}}),
                    (client.path + "/instances", {"name": where, "kind": "fleet", "enrolment_url": "https://a.example/", "allowed_hosts": ["a.example"]}),
                    (client.path + "/instances", {"name": "x", "kind": "fleet", "enrolment_url": "https://a.example/", "allowed_hosts": ["a.example"],
                                                  "webhook_url": url}),
                    ("/tenants", {"slug": where, "display_name": "x"})):
                tried += 1
                equal(take_or_refuse("POST", path, body), None, f"{path} {body}")
            for field in ("display_name", "notes", "technical_contact", "apple_contact"):  # texts for people: they may be taken, and stay what they are
                tried += 1
                made = take_or_refuse("PATCH", client.path, {field: where})
                taken += made is not None
                if made is not None:
                    equal(made[field], where, field)
    for serial in client.add(2):
        client.change(serial, description="a\r\nX-Injected: 1\r\n\r\n\u00fc", asset_tag="\u2028\x7f")
    client.sync_now()
    wait_until(lambda: len(peer.requests) >= 6, lambda: f"{len(peer.requests)} requests", 60)
    for head, body in peer.requests:
        lines = head.split(b"\r\n")
        equal([byte for byte in head.replace(b"\r\n", b"") if not 0x20 <= byte < 0x7f], [], head)
        equal({line.split(b":")[0].decode().lower() for line in lines[1:]} - OUR_HEADERS, set(), "headers")
        equal([byte for byte in body if byte < 0x20], [], "control characters of a body")
        json.loads(body)
    print(f"{tried} tried, {taken} of them taken as texts for people", flush=True)


sys.exit(run_in(WORLD))
