#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Does applesim fail as it was told to, tell the truth, remember it, and read no head that can be read in two ways?
import http.client
import json
import os
import re
import select
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from apple_client import AppleClient  # noqa: E402
from apple_rig import (CERTIFICATE, CONTROL, HAVE_SHARED, SIM, check_named, define, expect, in_folder,  # noqa: E402
                       new_tenant, shared_json, stop, truth)
from programs import BUILD, Control, Program, equal, run_tests, test  # noqa: E402


# Faults.

@test
def every_error_of_the_catalogue_can_be_planted():
    if not HAVE_SHARED:
        return
    tenant, client = new_tenant(devices=1)
    for entry in shared_json("vectors", "apple-responses", "error-catalogue.json")["entries"]:
        endpoint = f"{entry['method']} {entry['path']}"
        CONTROL.post("/faults", {"tenant": tenant, "endpoint": endpoint, "status": entry["status"], "body": entry["body"]})
        if entry["path"] == "/session":
            answer = client.sign_on()
        else:
            answer = client.call(entry["method"], entry["path"], None if entry["method"] == "GET" else {})
        expect(answer, entry["status"], entry["body"])
    equal({fault["times"] for fault in CONTROL.get("/faults")["faults"]}, {0}, "all used up")
    CONTROL.call("DELETE", "/faults")


@test
def terms_and_tokens_can_be_refused_until_further_notice():
    tenant, client = new_tenant()
    _, other = new_tenant()
    fault = CONTROL.post("/faults", {"tenant": tenant, "terms_unsigned": True})["id"]
    for _ in range(3):
        expect(client.sign_on(), 403, "T_C_NOT_SIGNED")
        expect(client.call("POST", "/devices/sync", {}), 403, "T_C_NOT_SIGNED")
    equal(other.call("GET", "/account").status, 200, "another tenant")
    CONTROL.call("DELETE", f"/faults/{fault}")
    CONTROL.post("/faults", {"tenant": tenant, "token_rejected": True})
    expect(client.sign_on(), 401, "token_rejected")
    expect(client.call("GET", "/account"), 401, "UNAUTHORIZED")
    CONTROL.call("DELETE", "/faults")
    equal(client.sign_on().status, 200, "afterwards")


@test
def a_fault_can_wait_for_a_page():
    tenant, client = new_tenant(devices=40)
    for page, at in (("first", 0), ("middle", 1), (3, 2), ("last", 3)):
        CONTROL.post("/faults", {"tenant": tenant, "endpoint": "/server/devices", "page": page, "status": 503,
                                 "body": "<html>", "content_type": "text/html", "retry_after": 7})
        cursor = None
        for number in range(4):
            body = {"limit": 10, **({"cursor": cursor} if cursor else {})}
            answer = client.call("POST", "/server/devices", body)
            if number == at:
                equal((answer.status, answer.text, answer.headers["Retry-After"]), (503, "<html>", "7"), f"{page}")
                answer = client.call("POST", "/server/devices", body)
            equal(answer.status, 200, f"{page}, page {number}")
            cursor = answer.json()["cursor"]


@test
def cursors_can_stick_and_devices_double():
    tenant, client = new_tenant(devices=3)
    cursor = client.fetch()[1]
    CONTROL.post(f"/tenants/{tenant}/devices", {"count": 1})
    CONTROL.post("/faults", {"tenant": tenant, "stuck_cursor": True, "times": 2})
    for _ in range(2):
        page = client.ask("POST", "/devices/sync", {"cursor": cursor})
        check_named("FetchDeviceResponse", page)
        equal((page["cursor"], page["more_to_follow"]), (cursor, True), "stuck")
    equal(len(client.sync(cursor)[0]), 1, "free again")
    CONTROL.post("/faults", {"tenant": tenant, "duplicates": 2})
    equal(len(client.fetch()[0]), 12, "each three times")


@test
def answers_can_be_late_cut_and_lost():
    tenant, client = new_tenant(devices=3)
    serials = list(truth(tenant))
    CONTROL.post("/faults", {"tenant": tenant, "delay_ms": 300})
    begin = time.monotonic()
    client.ask("GET", "/account")
    if time.monotonic() - begin < 0.29:
        raise AssertionError("not late")
    for fault, error in (({"cut_after_bytes": 10}, http.client.IncompleteRead),
                         ({"reset": True}, (ConnectionResetError, http.client.RemoteDisconnected))):
        request = {"profile_uuid": define(client), "devices": serials}
        CONTROL.post("/faults", {"tenant": tenant, "endpoint": "POST /profile/devices", **fault})
        try:
            client.call("POST", "/profile/devices", request)
        except error:
            pass
        else:
            raise AssertionError(f"{fault}: a whole answer came")
        equal({device["profile_uuid"] for device in truth(tenant).values()}, {request["profile_uuid"]}, "done all the same")
    request = {"profile_uuid": define(client), "devices": serials}
    CONTROL.post("/faults", {"tenant": tenant, "endpoint": "/profile/devices", "status": 500, "body": "", "perform": True})
    expect(client.call("POST", "/profile/devices", request), 500, "")
    equal({device["profile_uuid"] for device in truth(tenant).values()}, {request["profile_uuid"]}, "done, but answered 500")
    CONTROL.call("POST", "/faults", {"status": 99}, status=400)
    CONTROL.call("POST", "/faults", {"tenant": 1}, status=400)


# Bookkeeping.

@test
def requests_are_logged():
    tenant, client = new_tenant(devices=2)
    client.fetch()
    client.call("POST", "/devices/sync", {})
    log = CONTROL.get(f"/requests?tenant={tenant}")["requests"]
    equal([(entry["path"], entry["status"], entry["word"], entry["devices"]) for entry in log],
          [("/session", 200, "", 0), ("/server/devices", 200, "", 2), ("/devices/sync", 400, "CURSOR_REQUIRED", 0)], "log")
    if CONTROL.get("/stats")["requests"] < 3:
        raise AssertionError("requests are not counted")


@test
def the_state_survives_a_restart():
    path = in_folder("state.json")
    sim = Program("applesim", "--seed", "5", "--state", path)
    control = Control(sim.ready["control"])
    control.post("/tenants", {"name": "acme", "devices": 5, "org_name": "A \"quoted\" name"})
    control.call("POST", "/tenants/acme/token", CERTIFICATE)
    token = control.get("/tenants/acme/token")
    client = AppleClient(sim.ready["apple"], token)
    client.sign_on()
    devices, cursor = client.fetch()
    serials = [device["serial_number"] for device in devices]
    uuid = define(client)
    client.ask("POST", "/profile/devices", {"profile_uuid": uuid, "devices": serials[:3]})
    control.call("PATCH", f"/tenants/acme/devices/{serials[0]}", {"color": "GOLD"})
    control.call("DELETE", f"/tenants/acme/devices/{serials[4]}")
    control.post("/clock", {"advance_s": 1000})
    names = ("/tenants/acme/truth", "/tenants/acme/changes", "/tenants/acme/token", "/tenants/acme/profiles", "/tenants/acme")
    before = [control.get(name) for name in names]
    changes = client.sync(cursor)[0]
    before[0]["counts"] = None
    before[2]["sessions"] = []  # the one thing that ends
    for peer in (control, client.peer):
        peer.close()
    sim.stop()
    sim = Program("applesim", "--state", path)
    control = Control(sim.ready["control"])
    after = [control.get(name) for name in names]
    after[0]["counts"] = None
    equal(after, before, "the same world")
    client = AppleClient(sim.ready["apple"], token)
    equal(client.sign_on().status, 200, "the same token")
    equal(client.sync(cursor)[0], changes, "the same cursor")
    added = control.post("/tenants/acme/devices", {"count": 1})["serials"][0]
    if added in serials:
        raise AssertionError("a serial number twice")
    for peer in (control, client.peer):
        peer.close()
    sim.stop()


@test
def it_ends_with_its_parent():
    script = ("import subprocess, sys, os\n"
              f"p = subprocess.Popen([{os.path.join(BUILD, 'applesim')!r}, '--parent',"
              " str(os.getpid())], stdout=subprocess.PIPE)\n"
              "p.stdout.readline()\nprint(p.pid)\n")
    parent = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    try:
        ended = os.pidfd_open(int(parent.stdout))
    except ProcessLookupError:
        return
    equal(len(select.select([ended], [], [], 10)[0]), 1, "it ended")
    os.close(ended)


def exchange(request):
    """Everything that comes back for these bytes, until the other side closes."""
    with socket.create_connection(SIM.ready["apple"].removeprefix("http://").split(":"), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while True:
            part = connection.recv(65536)
            if not part:
                return answer
            answer += part


@test
def heads_that_can_be_read_in_two_ways_are_not_read():
    host, agent = b"Host: a\r\n", b"User-Agent: t/1\r\n"
    for head in (b"", host + host, host + b"Content-Length: 1\r\nContent-Length: 1\r\n", host + b"Content-Length: +1\r\n",
                 host + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", host + b"Transfer-Encoding: gzip\r\n",
                 host + b"X: a\r\n folded\r\n", host + b"no colon\r\n", host + b"Name : a\r\n"):
        equal(exchange(b"GET /account HTTP/1.1\r\n" + head + b"\r\n"), b"", head)
    for line in (b"GET /account HTTP/2\r\n", b"GET account HTTP/1.1\r\n", b"GET  /account HTTP/1.1\r\n"):
        equal(exchange(line + host + b"\r\n"), b"", line)
    answer = exchange(b"GET /account HTTP/1.1\r\n" + host + agent + b"\r\nGET /nowhere HTTP/1.1\r\n" + host +
                      b"Connection: close\r\n\r\n")
    equal(re.findall(rb"HTTP/1.1 (\d+) ", answer), [b"401", b"404"], "two at once")


@test
def bodies_may_come_in_chunks_and_on_demand():
    _, client = new_tenant(devices=1)
    head = "".join(f"{name}: {value}\r\n" for name, value in client.headers(Host="a", Connection="close").items()).encode()
    line = b"POST /server/devices HTTP/1.1\r\n"
    chunks = b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n"
    equal(json.loads(exchange(line + head + chunks).split(b"\r\n\r\n", 1)[1])["more_to_follow"], False, "chunks")
    with socket.create_connection(SIM.ready["apple"].removeprefix("http://").split(":"), timeout=10) as connection:
        connection.sendall(line + head + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        equal(connection.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n", "go on")
        connection.sendall(b"{}")
        equal(connection.recv(100)[:13], b"HTTP/1.1 200 ", "answer")


if __name__ == "__main__":
    sys.exit(run_tests(stop))
