#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# The token of another Apple server is taken when two administrators agree, and then harms nobody: nothing is removed before the first
# complete list, the removal brake looks at that list, and until it is settled no device is assigned there.
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import equal, test  # noqa: E402
from world import Api, World, refused, run_in, wait_until  # noqa: E402

WORLD = World(workers=2)
DEVICES, THEIRS = 60, 5
RARELY_S = 3600
SECOND = []  # another administrator


def second():
    if not SECOND:
        SECOND.append(Api(WORLD.broker.listen, WORLD.broker.create_key("admin")))
    return SECOND[0]


def settled(devices=DEVICES):
    client = WORLD.onboard(devices=devices, interval_s=RARELY_S)
    wait_until(lambda: client.truth()["counts"]["with_profile"] == devices, "devices are not assigned")
    client.sync_now()
    WORLD.until_equal(client)
    return client


def other_server(devices=THEIRS):
    return WORLD.apple.post("/tenants", {"name": f"another-{len(WORLD.apple.get('/tenants')['tenants'])}", "devices": devices})["id"]


def truth(apple):
    return WORLD.apple.get(f"/tenants/{apple}/truth")


def uuid_of(apple):
    return WORLD.apple.get(f"/tenants/{apple}")["server_uuid"]


def file_of(client, apple):
    """A token of that server, made for the client's key."""
    pair = WORLD.technician.post(f"{client.path}/token/keys")["id"]
    pem = WORLD.technician.get(f"{client.path}/token/keys/{pair}/certificate")
    return WORLD.apple.call("POST", f"/tenants/{apple}/token", pem)


def override(client, file, api=None):
    return (api or WORLD.admin).call("PUT", f"{client.path}/token?override=true&reason=moved+to+another+server", file)


def pinned(client):
    return client.row("select server_uuid from depbroker.tenants where tenant_id = {id}")["server_uuid"]


def until_idle(client, generation):
    wait_until(lambda: client.stream()["generation"] > generation and client.stream()["owner"] is None and client.stream()["phase"] == 1,
               lambda: f"there is no complete list: {client.stream()}")


def requests(apple, path):
    return [request for request in WORLD.apple.get(f"/requests?tenant={apple}&after=0")["requests"] if request["path"] == path]


@test
def it_is_asked_for_by_an_administrator_and_the_old_token_stays_live():
    client, apple = settled(), other_server()
    file = file_of(client, apple)
    refused("token_identity_mismatch", WORLD.admin, "PUT", f"{client.path}/token", file)
    refused("forbidden", WORLD.operator, "PUT", f"{client.path}/token?override=true&reason=x", file)
    refused("bad_parameter", WORLD.admin, "PUT", f"{client.path}/token?override=true", file)
    refused("token_identity_mismatch", WORLD.admin, "PUT", f"{client.path}/token?override=true&reason=x&dry_run=true", file)
    before, token = pinned(client), WORLD.technician.get(f"{client.path}/token")
    asked = override(client, file)
    equal((asked["state"], asked["kind"], asked["target"], asked["changes"], asked["of"], asked["reason"]),
          ("pending", "token", uuid_of(apple), DEVICES, DEVICES, "moved to another server"), "it waits")
    shown = second().get(f"/approvals/{asked['id']}")
    equal("proposed" in shown, False, "the file is not shown")
    found = {item["field"]: (item["pinned"], item["given"]) for item in shown["detail"]["differences"]}
    equal(found["server_uuid"], (before, uuid_of(apple)), "the difference")
    devices = second().get(f"/approvals/{asked['id']}/devices?limit=1000")["items"]
    equal({device["serial_number"] for device in devices}, set(client.stored()), "devices")
    equal((pinned(client), WORLD.technician.get(f"{client.path}/token")), (before, token), "nothing has changed")
    new = client.add(1)
    client.sync_now()
    wait_until(lambda: new[0] in client.stored(), "the old token is not in use any more")
    refused("approval_by_same_key", WORLD.admin, "POST", f"/approvals/{asked['id']}/approve")
    refused("forbidden", WORLD.operator, "POST", f"/approvals/{asked['id']}/approve")
    # A device more than was agreed to.
    refused("approval_stale", second(), "POST", f"/approvals/{asked['id']}/approve")
    equal((pinned(client), WORLD.technician.get(f"{client.path}/token")["state"]), (before, "active"), "still nothing")
    wait_until(lambda: client.truth()["counts"]["with_profile"] == DEVICES + 1, "the new device is not assigned with the old token")


@test
def another_server_removes_nothing_before_the_brake_has_looked():
    client, apple = settled(), other_server()
    old, generation = set(client.stored()), client.stream()["generation"]
    asked = override(client, file_of(client, apple))
    equal(second().post(f"/approvals/{asked['id']}/approve")["state"], "approved", "approved")
    equal(pinned(client), uuid_of(apple), "pinned anew")
    until_idle(client, generation)
    new = {device["serial_number"] for device in truth(apple)["devices"]}
    equal(set(client.stored()), old | new, "nothing is removed")
    equal((client.stream()["removals_held"], client.stream()["is_other_server"]), (DEVICES, True), "held")
    generation = client.stream()["generation"]
    for _ in range(2):  # whatever looks at the client meanwhile
        client.sql("update depbroker.devices set assign_at = now() where tenant_id = {id} and instance_id is not null")
        epoch = client.stream()["epoch"]
        client.sync_now()
        wait_until(lambda epoch=epoch: client.stream()["epoch"] > epoch and client.stream()["owner"] is None, "no run")
    equal(requests(apple, "/profile/devices"), [], "assignments at the other server")
    equal(set(client.stored()), old | new, "still nothing is removed")
    WORLD.operator.post(f"{client.path}/sync", {"mode": "full", "allow_removals": DEVICES})
    wait_until(lambda: set(client.stored()) == new, "what a person allowed is not removed")
    wait_until(lambda: truth(apple)["counts"]["with_profile"] == THEIRS, "the devices of the other server are not assigned")
    equal(client.stream()["is_other_server"], False, "it is the tenant's server now")
    lines = [line for line in WORLD.admin.get("/audit?limit=1000")["items"] if line["target"] == client.slug]
    equal([line["action"] for line in lines if line["action"].startswith(("approval", "token.o"))],
          ["approval.request", "approval.approve", "token.override"], "audit")


@test
def the_same_devices_at_another_server_go_on_without_a_person():
    client, apple = settled(20), other_server(0)
    generation = client.stream()["generation"]
    for serial in sorted(client.stored()):
        client.remove(serial, "?quiet=true")
    WORLD.apple.post(f"/tenants/{apple}/devices", {"devices": sorted(client.stored())})
    asked = override(client, file_of(client, apple))
    second().post(f"/approvals/{asked['id']}/approve")
    until_idle(client, generation)
    asked_for = [request["path"] for request in WORLD.apple.get(f"/requests?tenant={apple}&after=0")["requests"] if "/devices" in request["path"]]
    equal(asked_for[0], "/server/devices", "what it was asked for first: it knows nothing of the former one's cursor")
    wait_until(lambda: truth(apple)["counts"]["with_profile"] == 20, "they are not assigned at the other server")
    equal(client.row("select count(*) as n from depbroker.events where tenant_id = {id} and type = 3")["n"], 0, "removals")


@test
def another_tenants_server_is_refused_when_asked_and_when_approved():
    client, neighbour = settled(5), settled(5)
    refused("server_belongs_to_another_tenant", WORLD.admin, "PUT", f"{client.path}/token?override=true&reason=x",
            file_of(client, neighbour.apple))
    apple = other_server()
    asked = override(client, file_of(client, apple))
    WORLD.operator.post("/tenants", {"slug": "faster", "display_name": "Faster"})
    faster = type(client)(WORLD, "faster", apple)
    faster.take_token("?same=1")  # the other one would not work any more
    before = pinned(client)
    problem = refused("approval_stale", second(), "POST", f"/approvals/{asked['id']}/approve")
    equal("Another tenant" in problem["detail"], True, f"why: {problem}")
    equal((pinned(client), pinned(faster)), (before, uuid_of(apple)), "each has its own")
    client.add(1)
    client.sync_now()
    wait_until(lambda: client.truth()["counts"]["with_profile"] == 6, "the old token is not in use any more")


@test
def another_identity_than_was_approved_is_not_taken():
    client, apple = settled(5), other_server()
    before = pinned(client)
    asked = override(client, file_of(client, apple))
    WORLD.apple.call("PATCH", f"/tenants/{apple}", {"server_uuid": "0123456789ABCDEF0123456789ABCDE0"})
    refused("approval_stale", second(), "POST", f"/approvals/{asked['id']}/approve")
    equal(pinned(client), before, "pinned")


@test
def while_apple_is_away_nothing_is_decided():
    client, apple = settled(5), other_server()
    file = file_of(client, apple)
    asked = override(client, file)
    WORLD.apple.post("/faults", {"tenant": apple, "endpoint": "/account", "status": 503, "times": 0})
    refused("apple_unreachable", second(), "POST", f"/approvals/{asked['id']}/approve")
    refused("apple_unreachable", WORLD.admin, "PUT", f"{client.path}/token?override=true&reason=x", file)
    equal(client.row("select count(*) as n from depbroker.pending_tokens where tenant_id = {id}")["n"], 0, "nothing waits to be taken alone")
    WORLD.apple.call("DELETE", "/faults")
    equal(second().post(f"/approvals/{asked['id']}/approve")["state"], "approved", "later")


sys.exit(run_in(WORLD))
