#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Endpoints fail in every way that endpoints fail in; then they come back. Every event arrives, once, in order for each device,
# and under one id however often it was sent.
#
# The first wait after a failure is 5 s, the next one 5 minutes: the later ones are cut short in the database (try_again_now).
import collections
import json
import os
import socket
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import equal, test  # noqa: E402
from world import World, free_address, run_in, wait_until  # noqa: E402

WORLD = World(workers=2)


class Listener:
    """Counts who connects, and answers with what it is given; without an answer it never says anything."""

    def __init__(self, address="127.0.0.1:0", answer=None):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_server((host, int(port)), backlog=64)
        self.address = "%s:%d" % self.socket.getsockname()
        self.answer = answer
        self.connections = 0
        self.open = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            self.open.append(peer)
            if self.answer:
                threading.Thread(target=self.reply, args=(peer,), daemon=True).start()

    def reply(self, peer):
        try:
            if peer.recv(65536):
                peer.sendall(self.answer)
            peer.close()
        except OSError:
            pass

    def close(self):
        self.socket.close()
        for peer in self.open:
            peer.close()


def messages(client):
    """What the receiver took from this client: body and id, in the order of arrival."""
    found = []
    for event in WORLD.receiver.get("/events")["events"]:
        body = json.loads(event["body"])
        if body["data"]["tenant"] == client.slug:
            found.append((event["id"], body))
    return found


def check_arrivals(client):
    """Every event of the log that is for the instance, once, and those of one device in the order of the log."""
    WORLD.check_laws(client)
    equal(client.pending(), 0, "pending")
    wanted = [event["seq"] for event in client.events() if event["instance_id"] is not None]
    taken = messages(client)
    equal(sorted(body["data"]["seq"] for _, body in taken), wanted, "events")
    equal(len({identity for identity, _ in taken}), len(taken), "ids")
    last = collections.defaultdict(int)
    for _, body in taken:
        if body["data"]["seq"] <= last[body["data"]["serial_number"]]:
            raise AssertionError(f"out of order: {body}")
        last[body["data"]["serial_number"]] = body["data"]["seq"]


def settled(devices=8, **how):
    client = WORLD.onboard(devices=devices, **how)
    WORLD.until_equal(client)
    return client


def plant(client, **fault):
    WORLD.receiver.call("PUT", "/faults", {"name": client.slug, "times": 0, **fault})


def heal():
    WORLD.receiver.call("DELETE", "/faults")


def until_failed(client, times=1, seconds=60):
    """Until each lane that has something to deliver has failed so many times."""
    wait_until(lambda: client.row("select count(*) as n from depbroker.positions where tenant_id = {id} and attempts >= %d" % times)["n"],
               "no delivery has failed", seconds)


def add_and_sync(client, count=8):
    serials = client.add(count)
    client.sync_now()
    return serials


FAILURES = {  # name of the client -> what its endpoint does until it is healed
    "error": {"status": 500},
    "taken": {"status": 503, "perform": True},  # it takes the event in and says that it did not
    "reset": {"reset": True},
    "moved": {"status": 302},
    "slow-down": {"status": 429, "retry_after": 12},
}
TRAP = Listener(answer=b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


def have_failed():
    """Clients whose endpoints failed, each in its way, and came back: all at once, because of the waits."""
    if "error" not in WORLD.clients:
        clients = [WORLD.onboard(slug=name, devices=8) for name in FAILURES]
        WORLD.until_equal(*clients)
        for client in clients:
            plant(client, location=f"http://{TRAP.address}/", **FAILURES[client.slug])
            add_and_sync(client)
        for client in clients:
            until_failed(client)
            if client.pending() == 0:
                raise AssertionError(f"{client.slug}: nothing waits although the endpoint fails")
        heal()
        WORLD.until_equal(*clients)
    return WORLD.clients


@test
def endpoints_that_failed_get_everything_later():
    for client in have_failed().values():
        check_arrivals(client)
    answered = {attempt["status"] for attempt in WORLD.clients["error"].attempts()}
    equal(answered, {204, 500}, "answers")


@test
def a_retry_comes_with_the_id_of_the_first_attempt():
    if have_failed()["taken"].inbox()["duplicates"] == 0:
        raise AssertionError("no event that was taken in came again")


@test
def a_redirect_is_a_failure_and_is_never_followed():
    attempts = have_failed()["moved"].attempts()
    equal(TRAP.connections, 0, "connections to where the redirect leads")
    if 302 not in {attempt["status"] for attempt in attempts}:
        raise AssertionError("no attempt was answered with 302")


@test
def retry_after_is_waited_for():
    tries = have_failed()["slow-down"].rows("select seq, attempt, status, extract(epoch from at) as s from depbroker.attempts"
                                            " where tenant_id = {id}")
    refused = {each["seq"]: each["s"] for each in tries if each["status"] == 429}
    later = {each["seq"]: each["s"] for each in tries if each["status"] == 204 and each["seq"] in refused}
    if not refused or any(later[seq] - refused[seq] < 11.5 for seq in refused):
        raise AssertionError(f"it asked for 12 s: {tries}")


@test
def an_endpoint_that_is_not_there_gets_everything_later():
    address = free_address()
    client = WORLD.onboard(devices=8, webhook_url=f"http://{address}/webhook")
    until_failed(client)
    attempt = client.attempts()[0]
    equal(attempt["status"], 0, "status")
    if not attempt["error"]:
        raise AssertionError("the attempt does not say why")
    WORLD.technician.call("PATCH", client.path + "/instances/main", {"webhook_url": client.webhook_url})
    WORLD.until_equal(client)
    check_arrivals(client)


@test
def an_endpoint_that_does_not_answer_counts_as_failed_after_15_seconds():
    silent = Listener()
    client = WORLD.onboard(devices=1, webhook_url=f"http://{silent.address}/")
    begun = time.monotonic()
    until_failed(client)
    if time.monotonic() - begun < 10:
        raise AssertionError("it was not waited for")
    attempt = client.attempts()[0]
    equal(attempt["status"], 0, "status")
    WORLD.technician.call("PATCH", client.path + "/instances/main", {"webhook_url": client.webhook_url})
    silent.close()
    WORLD.until_equal(client)
    check_arrivals(client)


@test
def an_endpoint_that_is_gone_is_disabled_and_goes_on_where_it_was():
    client = settled()
    plant(client, status=410)
    add_and_sync(client)
    instance = wait_until(lambda: next((each for each in WORLD.technician.get(client.path + "/instances")["items"]
                                        if each["webhook_disabled_at"]), None), "the endpoint is not disabled")
    if "410" not in instance["webhook_disabled_reason"]:
        raise AssertionError(instance["webhook_disabled_reason"])
    heal()
    waiting = client.pending()
    if waiting == 0:
        raise AssertionError("nothing waits")
    add_and_sync(client)
    wait_until(lambda: client.pending() > waiting, "the later events are not in the log")
    faults = client.inbox()["faults"]
    client.sync_now()
    wanted = client.row("select sync_requests as n from depbroker.sync_due where tenant_id = {id}")["n"]
    wait_until(lambda: client.stream()["sync_requests_done"] == wanted, "the sync is not done")
    equal(client.inbox()["faults"], faults, "requests to a disabled endpoint")
    client.enable()
    WORLD.until_equal(client)
    check_arrivals(client)


@test
def the_second_wait_is_five_minutes():
    client = settled()
    plant(client, status=500)
    add_and_sync(client, 1)
    until_failed(client, 2)
    row = client.row("select extract(epoch from next_try_at - now()) as s from depbroker.positions where tenant_id = {id} and attempts = 2")
    if not 200 < row["s"] <= 360:
        raise AssertionError(f"it waits for {row['s']} s")
    heal()
    client.try_again_now()
    WORLD.until_equal(client)
    check_arrivals(client)


@test
def a_dead_endpoint_does_not_delay_another_client():
    silent = Listener()
    dead = WORLD.onboard(devices=64, webhook_url=f"http://{silent.address}/")
    wait_until(lambda: silent.connections > 0, "nobody sends to the dead endpoint")
    begun = time.monotonic()
    client = settled(devices=64)
    took = time.monotonic() - begun
    if client.pending() or not dead.pending():
        raise AssertionError("the wrong one is served")
    if took > 14:
        raise AssertionError(f"it took {took:.0f} s, as long as the dead endpoint takes")
    WORLD.technician.call("PATCH", dead.path + "/instances/main", {"webhook_url": dead.webhook_url})
    silent.close()
    WORLD.until_equal(dead)
    check_arrivals(dead)
    check_arrivals(client)


sys.exit(run_in(WORLD))
