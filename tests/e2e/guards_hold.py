#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# One test for each guard between a client's devices and harm: remove the guard, and its test fails. Everything is real, but for
# the clock at Apple, which applesim turns on.
import os
import signal
import socket
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import equal, test  # noqa: E402
from world import Problem, World, environment_of, run_in, wait_until  # noqa: E402

WORLD = World(workers=2, DEPBROKER_WEBHOOK_ALLOW="127.0.0.1/32")
NODE_ALIVE_S = 10
EVENT_REMOVED = 3  # enum event_type
RARELY_S = 3600  # between syncs: only what a test asks for happens


def settled(devices=20, interval_s=RARELY_S, **how):
    """A client whose devices are all fetched, assigned, confirmed and delivered."""
    client = WORLD.onboard(devices=devices, interval_s=interval_s, **how)
    wait_until(lambda: client.truth()["counts"]["with_profile"] == devices, "devices are not assigned")
    client.sync_now()
    WORLD.until_equal(client)
    return client


def until_synced(client, mode="changes"):
    """Asks for a sync, and waits for its end, whatever it is."""
    done = f"{'full' if mode == 'full' else 'sync'}_requests"
    client.sync_now(mode)
    wanted = client.row("select sync_requests, full_requests from depbroker.sync_due where tenant_id = {id}")[done]
    wait_until(lambda: client.stream()[done + "_done"] >= wanted and not client.stream()["owner"], "the sync does not end")
    return client.stream()["reason"]


def until_reason(client, reason):
    wait_until(lambda: client.stream()["reason"] == reason, lambda: f"{client.slug} says {client.stream()['reason']!r}, not {reason!r}")


def requests(client, path, after=0):
    return [request for request in WORLD.apple.get(f"/requests?tenant={client.apple}&after={after}")["requests"]
            if request["path"] == path]


def counts(client):
    return client.truth()["counts"]


def no_faults():
    WORLD.apple.call("DELETE", "/faults")
    WORLD.receiver.call("DELETE", "/faults")


# --- whose client it is ---


@test
def a_worker_that_was_away_cannot_write_any_more():
    client = WORLD.onboard(devices=0)
    until_reason(client, "up_to_date")
    client.add(200)
    WORLD.apple.call("PATCH", f"/tenants/{client.apple}", {"page_maximum": 20})
    client.fail_apple(endpoint="/devices/sync", delay_ms=1500, times=0)
    client.sync_now()
    owner = wait_until(lambda: client.stream()["owner"], "nobody takes the client")
    events = wait_until(lambda: client.stream()["event_seq"], "no page is applied")
    stopped = next(pid for pid in WORLD.broker.workers() if environment_of(pid)["DEPBROKER_NODE_ID"] == owner)
    os.kill(stopped, signal.SIGSTOP)
    try:
        wait_until(lambda: client.stream()["owner"] not in (owner, None), "no other worker takes over", NODE_ALIVE_S + 65)
        no_faults()
        wait_until(lambda: client.stream()["event_seq"] > events, "the other worker does not go on")
    finally:
        os.kill(stopped, signal.SIGCONT)
    wait_until(lambda: WORLD.broker.log("run.interrupted", tenant=client.slug, error="ERR_FENCED"), "its page was not fenced")
    WORLD.until_equal(client)
    WORLD.check_laws(client)


@test
def a_client_that_is_due_while_it_runs_is_run_once():
    client = WORLD.onboard(devices=100, interval_s=RARELY_S, page_maximum=10, before_rules=lambda tenant: tenant.fail_apple(
        endpoint="/server/devices", delay_ms=200, times=0))
    wait_until(lambda: client.stream()["event_seq"] > 0, "no page is applied")
    before = len(WORLD.broker.log("run.interrupted", tenant=client.slug))
    WORLD.technician.call("PUT", client.path + "/rules", {"default": "main"})  # fences the run, and makes the client due
    wait_until(lambda: client.stream()["fetch_completed_at"] or client.stream()["phase"] == 1, "the fetch does not end")
    no_faults()
    interrupted = len(WORLD.broker.log("run.interrupted", tenant=client.slug)) - before
    if interrupted > 1:
        raise AssertionError(f"it was interrupted {interrupted} times: two runs fence each other")
    client.sync_now()
    wait_until(lambda: counts(client)["with_profile"] == 100, "devices are not assigned")
    client.sync_now()
    WORLD.until_equal(client)
    WORLD.check_laws(client)


@test
def a_server_that_is_another_one_now_is_not_believed():
    client = settled()
    before = client.stored()
    WORLD.apple.call("PATCH", f"/tenants/{client.apple}", {"server_uuid": "0123456789ABCDEF0123456789ABCDEF"})
    WORLD.apple.call("DELETE", "/sessions")
    client.add(5)
    client.remove(next(iter(before)))
    pages = counts(client)["sync_pages"] + counts(client)["fetch_pages"]
    until_synced(client)
    equal(client.row("select state from depbroker.tenants where tenant_id = {id}")["state"], "quarantined", "state")
    until_reason(client, "identity")
    equal(client.stored(), before, "devices")
    equal(counts(client)["sync_pages"] + counts(client)["fetch_pages"] - pages, 0, "pages that were read")
    try:
        client.sync_now()
        raise AssertionError("a quarantined client is synced")
    except Problem as problem:
        equal(problem.status, 409, "status")


@test
def no_device_is_assigned_at_a_server_that_is_another_one_now():
    client = settled(devices=5)
    client.sql("update depbroker.devices set assign_state = 1, assign_at = now() + interval '2 s', profile_status = 'empty',"
               " profile_uuid = null, assigned_profile_uuid = null where tenant_id = {id}")  # as after Apple showed that it has none
    WORLD.apple.call("PATCH", f"/tenants/{client.apple}", {"server_uuid": "1123456789ABCDEF0123456789ABCDEF"})
    WORLD.apple.call("DELETE", "/sessions")
    assigned = counts(client)["assigned"]
    client.sql("update depbroker.sync_due set due_at = now() + interval '2 s' where tenant_id = {id}")
    wait_until(lambda: client.row("select state from depbroker.tenants where tenant_id = {id}")["state"] == "quarantined",
               "the client is not quarantined", 20)
    equal(counts(client)["assigned"], assigned, "assignments")


# --- where events go ---


@test
def only_the_right_secret_is_accepted():
    client = settled()
    client.tell_receiver("whsec_" + "AAAA" * 11)
    client.add(4)
    client.sync_now()
    wait_until(lambda: client.inbox()["refused"] > 0, "no delivery was refused")
    wait_until(lambda: any(attempt["status"] == 401 for attempt in client.attempts()), "the refusal is not recorded")
    equal(client.inbox()["accepted"], 60, "events under the wrong secret")
    client.tell_receiver(client.secret)
    client.try_again_now()
    client.sync_now()
    WORLD.until_equal(client)
    WORLD.check_laws(client)


@test
def addresses_inside_are_never_connected_to():
    connections = []
    with socket.create_server(("127.0.0.2", 0)) as server:
        def count():
            while True:
                try:
                    connections.append(server.accept())
                except OSError:
                    return
        threading.Thread(target=count, daemon=True).start()
        port = server.getsockname()[1]
        client = WORLD.onboard(devices=1, interval_s=RARELY_S, webhook_url=f"http://127.0.0.2:{port}/")
        attempt = wait_until(client.attempts, "no attempt is recorded")[0]
        equal(attempt["status"], 0, "status")
        if "address" not in attempt["error"]:
            raise AssertionError(f"the attempt does not say why: {attempt}")
        equal(len(connections), 0, "connections")


# --- when Apple says no ---


@test
def a_dead_token_is_left_alone():
    client = settled()
    client.fail_apple(token_rejected=True)
    WORLD.apple.call("DELETE", "/sessions")
    equal(until_synced(client), "token_dead", "reason")
    asked = len(requests(client, "/session"))
    equal(WORLD.technician.get(client.path + "/token")["state"], "rejected", "the token's state")
    time.sleep(3)
    equal(len(requests(client, "/session")), asked, "sign-ins with a dead token")
    no_faults()
    client.take_token()
    WORLD.until_equal(client)
    until_reason(client, "up_to_date")


@test
def a_full_fetch_that_is_asked_for_with_a_dead_token_asks_apple_once():
    client = settled()
    client.fail_apple(token_rejected=True)
    WORLD.apple.call("DELETE", "/sessions")
    client.sync_now("full")
    until_reason(client, "token_dead")
    wait_until(lambda: not client.stream()["owner"], "the run does not end")
    asked = len(requests(client, "/session"))
    client.sql("update depbroker.devices set assign_state = 1, assign_at = now(), profile_status = 'empty', fingerprint = substr(sha256('x'), 1, 16) where tenant_id = {id}")
    client.sql("update depbroker.sync_due set wake = wake + 1, due_at = now() where tenant_id = {id}")
    time.sleep(4)
    equal(len(requests(client, "/session")), asked, "sign-ins with a dead token")
    no_faults()
    pages = counts(client)["fetch_pages"]
    client.sync_now()
    WORLD.until_equal(client)
    until_reason(client, "up_to_date")
    if counts(client)["fetch_pages"] == pages:
        raise AssertionError("the full fetch that was asked for is forgotten")


@test
def unsigned_terms_are_waited_for():
    client = settled()
    client.fail_apple(terms_unsigned=True)
    client.add(3)
    equal(until_synced(client), "terms", "reason")
    asked = counts(client)["requests"]
    time.sleep(3)
    equal(counts(client)["requests"], asked, "requests while terms are unsigned")
    no_faults()
    client.sync_now()
    wait_until(lambda: counts(client)["with_profile"] == 23, "devices are not assigned")
    client.sync_now()
    WORLD.until_equal(client)
    until_reason(client, "up_to_date")


@test
def terms_that_are_unsigned_from_the_beginning_are_waited_for():
    client = WORLD.onboard(devices=5, interval_s=RARELY_S, before_rules=lambda tenant: tenant.fail_apple(terms_unsigned=True))
    client.sync_now()
    until_reason(client, "terms")
    no_faults()
    client.sync_now()
    wait_until(lambda: counts(client)["with_profile"] == 5, "devices are not assigned")


@test
def an_expired_cursor_leads_to_a_full_fetch_that_removes_nothing_wrongly():
    client = settled(devices=50, page_maximum=10)
    gone = next(iter(client.stored()))
    before = client.stream()["generation"]  # 1, or 2 when the rules came in the middle of the first list, which is then read again
    client.remove(gone, "?quiet=1")
    client.fail_apple(endpoint="/devices/sync", status=400, body="EXPIRED_CURSOR")
    equal(until_synced(client), "up_to_date", "reason")
    equal(client.stream()["generation"], before + 1, "generation")
    WORLD.until_equal(client)
    removed = [event["serial_number"] for event in client.events() if event["type"] == EVENT_REMOVED]
    equal(removed, [gone], "removed devices")


@test
def a_full_fetch_that_breaks_off_removes_nothing():
    client = settled(devices=50, page_maximum=10)
    client.remove(next(iter(client.stored())), "?quiet=1")
    client.fail_apple(endpoint="/server/devices", page=3, status=500)
    until_synced(client, "full")
    until_reason(client, "backoff")
    equal([event for event in client.events() if event["type"] == EVENT_REMOVED], [], "removed devices")
    client.sync_now()
    client.sync_now("full")
    WORLD.until_equal(client)
    equal(len([event for event in client.events() if event["type"] == EVENT_REMOVED]), 1, "removed devices")


@test
def a_cursor_that_does_not_move_ends_the_run():
    client = settled()
    client.add(3)
    client.fail_apple(endpoint="/devices/sync", stuck_cursor=True, times=0)
    pages = counts(client)["sync_pages"]
    equal(until_synced(client), "stuck_cursor", "reason")
    if counts(client)["sync_pages"] - pages > 2:
        raise AssertionError(f"{counts(client)['sync_pages'] - pages} pages with one cursor")
    no_faults()
    until_synced(client)
    WORLD.until_equal(client)


# --- assigning ---


@test
def devices_that_apple_throttles_wait():
    client = WORLD.onboard(devices=0, interval_s=RARELY_S)
    until_reason(client, "up_to_date")
    serials = client.add(6)
    throttled = serials[:2]
    client.fail_apple(endpoint="/profile/devices", throttle={"serials": throttled, "retry_after_seconds": 12})
    client.sync_now()
    wait_until(lambda: counts(client)["with_profile"] == 4, "the others are not assigned")
    wait_until(lambda: client.rows("select 1 from depbroker.devices where tenant_id = {id} and assign_state = 3"), "nobody waits")
    waits = client.rows("select serial_number, extract(epoch from assign_at - changed_at) as s from depbroker.devices"
                        " where tenant_id = {id} and assign_state = 3")
    equal(sorted(row["serial_number"] for row in waits), sorted(throttled), "devices that wait")
    if min(row["s"] for row in waits) < 11:
        raise AssertionError(f"Apple asked for 12 s: {waits}")
    wait_until(lambda: counts(client)["with_profile"] == 6, "throttled devices are not assigned later", 40)
    equal((counts(client)["assigned_needlessly"], counts(client)["assigned_too_early"]), (0, 0), "needless and early assignments")


@test
def an_assignment_whose_answer_is_lost_is_not_repeated():
    client = WORLD.onboard(devices=0, interval_s=RARELY_S)
    until_reason(client, "up_to_date")
    client.add(10)
    client.fail_apple(endpoint="/profile/devices", reset=True)  # done, but never heard of
    client.sync_now()
    wait_until(lambda: counts(client)["with_profile"] == 10, "devices are not assigned")
    client.sync_now()
    WORLD.until_equal(client)
    equal(len(requests(client, "/profile/devices")), 1, "assignments")
    equal(counts(client)["assigned_needlessly"], 0, "needless assignments")
    WORLD.check_laws(client)


@test
def devices_that_the_answer_leaves_out_are_read_back():
    client = WORLD.onboard(devices=0, interval_s=RARELY_S)
    until_reason(client, "up_to_date")
    serials = client.add(10)
    client.fail_apple(endpoint="/profile/devices", missing={"serials": serials[:3]})
    client.sync_now()
    wait_until(lambda: requests(client, "/devices"), "nothing is read back")
    client.sync_now()
    WORLD.until_equal(client)
    equal(counts(client)["assigned_needlessly"], 0, "needless assignments")
    WORLD.check_laws(client)


@test
def a_profile_that_apple_does_not_know_is_defined_anew():
    client = WORLD.onboard(devices=0, interval_s=RARELY_S)
    until_reason(client, "up_to_date")
    client.add(4)
    client.fail_apple(endpoint="/profile/devices", status=400, body="PROFILE_NOT_FOUND")
    client.sync_now()
    wait_until(lambda: counts(client)["with_profile"] == 4, "devices are not assigned")
    equal(counts(client)["profiles"], 2, "profiles at Apple")
    client.sync_now()
    WORLD.until_equal(client)


@test
def a_profile_that_cannot_be_defined_now_does_not_keep_devices_from_being_read():
    client = WORLD.onboard(devices=7, interval_s=RARELY_S, before_rules=lambda tenant: tenant.fail_apple(
        endpoint="POST /profile", status=500, times=0))
    wait_until(lambda: len(client.stored()) == 7, "devices are not read", 20)
    wait_until(lambda: "POST /profile" in client.stream()["error_text"], "the failure is not to be seen")
    no_faults()
    client.sql("update depbroker.devices set assign_at = now() where tenant_id = {id}")  # instead of the five minutes that they wait
    client.sync_now()
    wait_until(lambda: counts(client)["with_profile"] == 7, "devices are not assigned")


sys.exit(run_in(WORLD))
