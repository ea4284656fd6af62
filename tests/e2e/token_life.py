#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# The life of a server token, seen by the worker: each state is told apart, raised once, and ends by itself; another identity quarantines.
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import Peer, equal, run_tests, test  # noqa: E402
from world import Api, Problem, World, wait_until  # noqa: E402

WORLD = World(workers=1)
WORLD.__enter__()
ADMIN = Api(WORLD.broker.listen, WORLD.broker.create_key("admin"))
NUMBERS = iter(range(1, 1000))


def onboarded():
    client = WORLD.onboard(f"client-{next(NUMBERS)}", devices=1)
    WORLD.until_equal(client)
    return client


def token(client):
    return WORLD.technician.get(client.path)["token"]


def open_alerts(client):
    return {item["kind"] for item in WORLD.technician.get("/alerts")["items"] if item["tenant"] == client.slug}


def events(client):
    return [event["type"] for event in WORLD.technician.get(f"{client.path}/events?limit=1000")["items"] if not event["type"].startswith("device.")]


def look(client):
    """As time does it: a worker looks at the client."""
    client.sql("update depbroker.sync_due set wake = wake + 1, due_at = now() where tenant_id = {id}")


def expires_in(client, days):
    client.sql(f"update depbroker.tenant_status set token_expires_at = now() + interval '{days} days' where tenant_id = {{id}}")
    look(client)


@test
def thresholds_are_raised_once_each_and_cleared_by_a_new_token():
    client, seen = onboarded(), 0
    for days, state, count in ((50, "expiring", 1), (40, "expiring", 1), (6.5, "expiring", 2), (-1, "expired", 3)):
        expires_in(client, days)
        wait_until(lambda count=count: len(events(client)) == count, lambda: f"{count}: {events(client)}", 30)
        seen = client.stream()["epoch"]
        look(client)
        wait_until(lambda seen=seen: client.stream()["epoch"] > seen and client.stream()["owner"] is None, "looked at again", 30)
        equal((token(client)["state"], len(events(client))), (state, count), days)
    equal(events(client), ["token.expiring", "token.expiring", "token.expired"], "events")
    equal(open_alerts(client), {"token.expired"}, "alerts")
    client.take_token()
    wait_until(lambda: token(client)["state"] == "active" and not open_alerts(client), "renewed", 30)
    WORLD.check_laws(client)


@test
def a_tenants_own_thresholds_take_the_place_of_the_usual_ones():
    client = onboarded()
    WORLD.technician.call("PATCH", client.path, {"expiry_days": [90, 10]})
    for days, state, count in ((100, "active", 0), (80, "expiring", 1), (20, "expiring", 1), (9.5, "expiring", 2)):
        expires_in(client, days)
        wait_until(lambda: token(client)["state"] == state, lambda: f"{days}: {token(client)}", 30)
        seen = client.stream()["epoch"]
        look(client)
        wait_until(lambda seen=seen: client.stream()["epoch"] > seen and client.stream()["owner"] is None, "looked at", 30)
        equal(events(client), ["token.expiring"] * count, days)


@test
def a_renewal_at_the_same_server_keeps_the_cursor():
    client = onboarded()
    WORLD.technician.call("PATCH", client.path, {"state": "paused"})
    kept = ("phase", "cursor", "generation", "fetch_started_at", "fetch_completed_at")
    wait_until(lambda: client.stream()["owner"] is None, "nobody works on it", 30)
    before = {name: client.stream()[name] for name in kept}
    client.take_token()
    equal({name: client.stream()[name] for name in kept}, before, "stream")
    equal(bool(before["cursor"]), True, "there is one")
    added = client.add(1)
    WORLD.technician.call("PATCH", client.path, {"state": "active"})
    WORLD.until_equal(client)
    equal((set(added) <= set(client.stored()), client.stream()["fetch_started_at"]), (True, before["fetch_started_at"]), "by the changes, without a fetch")


@test
def another_administrator_at_apple_is_raised_without_a_renewal():
    client = onboarded()
    WORLD.apple.call("PATCH", f"/tenants/{client.apple}", {"admin_id": "successor@client.example"})
    WORLD.apple.call("DELETE", "/sessions")
    wait_until(lambda: "token.admin_changed" in open_alerts(client), lambda: open_alerts(client), 30)
    equal((token(client)["state"], WORLD.technician.get(f"{client.path}/token")["admin_id"]), ("active", "successor@client.example"), "token")
    equal(events(client), ["token.admin_changed"], "once")


@test
def a_paused_client_is_watched_and_otherwise_left_alone():
    client = onboarded()
    WORLD.technician.call("PATCH", client.path, {"state": "paused"})
    client.add(1)
    expires_in(client, 5)
    wait_until(lambda: "token.expiring" in open_alerts(client), "raised", 30)
    equal(len(client.stored()), 1, "nothing was read")
    WORLD.technician.call("PATCH", client.path, {"state": "active"})
    wait_until(lambda: len(client.stored()) == 2, "and then", 30)


@test
def terms_of_one_client_mark_no_other_and_end_by_themselves():
    client, other = onboarded(), onboarded()
    plan = client.fail_apple(terms_unsigned=True)
    kept = WORLD.technician.get(f"{client.path}/token")["taken_at"]
    client.sync_now()
    other.sync_now()
    wait_until(lambda: token(client)["state"] == "terms_unsigned" and "terms.unsigned" in open_alerts(client), lambda: token(client), 30)
    equal((token(client)["apple_error"], "administrator" in token(client)["fix"]), ("T_C_NOT_SIGNED", True), "told")
    equal((token(other)["state"], open_alerts(other)), ("active", set()), "the other one")
    WORLD.apple.call("DELETE", f"/faults/{plan['id']}")
    client.sync_now()
    wait_until(lambda: token(client)["state"] == "active" and not open_alerts(client), "signed", 30)
    equal(WORLD.technician.get(f"{client.path}/token")["taken_at"], kept, "the token was never discarded")
    equal(events(client), ["terms.unsigned"], "events")


@test
def a_rejected_token_is_told_with_apples_word_and_a_new_one_heals():
    client = onboarded()
    WORLD.apple.call("POST", f"/tenants/{client.apple}/token", None)  # a newer one was made at Apple
    WORLD.apple.call("DELETE", "/sessions")  # nobody asks for a sync: the next one is due within the interval
    wait_until(lambda: "token.rejected" in open_alerts(client), lambda: token(client), 30)
    equal((token(client)["state"], bool(token(client)["apple_error"])), ("rejected", True), token(client))
    metrics = Peer("http://" + WORLD.broker.admin_listen).request("GET", "/metrics").text
    equal(f'depbroker_token_state{{tenant="{client.slug}",state="rejected"}} 1' in metrics, True, "metrics")
    equal(f'depbroker_token_expiry_timestamp_seconds{{tenant="{client.slug}"}}' in metrics, True, "expiry")
    client.take_token()
    wait_until(lambda: token(client)["state"] == "active" and not open_alerts(client), "healed", 30)


@test
def an_outage_is_a_failing_sync_and_says_nothing_of_the_token():
    client = onboarded()
    plan = client.fail_apple(status=503, times=0)
    for _ in range(3):
        before = client.stream()["sync_requests_done"]
        client.sync_now()
        wait_until(lambda before=before: client.stream()["sync_requests_done"] > before, "tried", 30)
    wait_until(lambda: open_alerts(client) == {"sync.failing"}, lambda: open_alerts(client), 30)
    equal(token(client)["state"], "active", "token")
    WORLD.apple.call("DELETE", f"/faults/{plan['id']}")
    client.sync_now()
    wait_until(lambda: not open_alerts(client), "over", 30)


@test
def a_token_that_waited_and_is_another_clients_is_refused_and_told():
    client, other = onboarded(), onboarded()
    first = f"first-{next(NUMBERS)}"  # nothing is pinned yet: only the other tenant's own identity stands against it
    WORLD.operator.post("/tenants", {"slug": first, "display_name": first})
    plan = other.fail_apple(status=503, times=0)
    before = WORLD.technician.get(f"{client.path}/token")
    for path in (client.path, f"/tenants/{first}"):
        pair = WORLD.technician.post(f"{path}/token/keys")["id"]
        pem = WORLD.technician.get(f"{path}/token/keys/{pair}/certificate")
        WORLD.technician.call("PUT", f"{path}/token", WORLD.apple.call("POST", f"/tenants/{other.apple}/token?same=1", pem))
        equal(WORLD.technician.get(f"{path}/token")["pending"]["uploaded_by"], WORLD.technician.key[5:13], "waits")
    WORLD.apple.call("DELETE", f"/faults/{plan['id']}")

    def refused():
        return [item["tenant"] for item in WORLD.technician.get("/alerts")["items"] if item["kind"] == "token.refused"]
    wait_until(lambda: {client.slug, first} <= set(refused()), refused, 60)
    equal(WORLD.technician.get(f"{client.path}/token"), before | {"checked_at": WORLD.technician.get(f"{client.path}/token")["checked_at"]}, "in use")
    equal((WORLD.technician.get(f"/tenants/{first}")["token"]["state"], WORLD.technician.get(f"/tenants/{first}")["identity"]), ("none", None), "first")
    equal(client.row("select count(*) as n from depbroker.secrets where tenant_id = {id} and kind = 1")["n"], 1, "no secret of it is kept")
    other.sync_now()
    client.sync_now()
    WORLD.until_equal(client, other)


@test
def another_identity_quarantines_and_only_an_admin_releases():
    for member, value in (("server_uuid", "0123456789ABCDEF0123456789ABCDEF"), ("org_id", "4711")):
        client = onboarded()
        truth = WORLD.apple.get(f"/tenants/{client.apple}")
        WORLD.apple.call("PATCH", f"/tenants/{client.apple}", {member: value})
        client.add(3)
        WORLD.apple.call("DELETE", "/sessions")
        client.sync_now()
        wait_until(lambda: "tenant.quarantined" in open_alerts(client), lambda: WORLD.technician.get(client.path), 30)
        shown = WORLD.technician.get(client.path)
        equal((shown["state"], shown["token"]["state"], member in shown["state_reason"]), ("quarantined", "quarantined", True), shown)
        equal(len(client.stored()), 1, "nothing of the other server was believed")
        equal(client.row("select count(*) as n from depbroker.secrets where tenant_id = {id} and kind = 4")["n"], 0, "no session is kept")
        try:
            WORLD.operator.call("PATCH", client.path, {"state": "active", "reason": "why not"})
            raise AssertionError("an operator released it")
        except Problem as problem:
            equal(problem.status, 403, "operator")
        WORLD.apple.call("PATCH", f"/tenants/{client.apple}", {member: truth.get(member) or client.row(
            "select org_id from depbroker.tenants where tenant_id = {id}")["org_id"]})
        ADMIN.call("PATCH", client.path, {"state": "active", "reason": "Apple has corrected it"})
        wait_until(lambda: len(client.stored()) == 4 and not open_alerts(client), lambda: (len(client.stored()), open_alerts(client)), 30)


def stop():
    WORLD.__exit__(None, None, None)


if __name__ == "__main__":
    sys.exit(run_tests(stop))
