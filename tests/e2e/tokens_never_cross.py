#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Fifty clients, and each one's token is uploaded to each of the others: all 2,450 are refused, and nobody's cursor, token or sync changes.
# Then everybody's sync goes on with the token that it had.
import concurrent.futures
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import Control, equal, run_tests, test  # noqa: E402
from world import Api, Client, Problem, World, wait_until  # noqa: E402

CLIENTS, THREADS = 50, 4
KEPT = ("select t.slug, t.state, t.server_uuid, y.cursor, y.phase, y.generation, y.write_seq, y.config_version, s.token_id, p.token_id as pending,"
        " (select md5(string_agg(encode(x.ciphertext, 'hex'), ',' order by x.kind, x.object_id)) from depbroker.secrets x"
        "   where x.tenant_id = t.tenant_id and x.kind in (1, 3)) as sealed"
        " from depbroker.tenants t join depbroker.sync_stream y using (tenant_id) join depbroker.server_tokens s using (tenant_id)"
        " left join depbroker.pending_tokens p using (tenant_id) where s.is_current order by t.slug")


def onboard(world, number):
    """A client with a token, and the certificate that it was made for."""
    slug = f"client-{number}"
    client = Client(world, slug, world.apple.post("/tenants", {"name": slug, "devices": 2})["id"])
    world.operator.post("/tenants", {"slug": slug, "display_name": slug, "sync_interval_s": 86400})
    pair = world.technician.post(f"{client.path}/token/keys")["id"]
    client.certificate = world.technician.get(f"{client.path}/token/keys/{pair}/certificate")
    world.technician.call("PUT", f"{client.path}/token", world.apple.call("POST", f"/tenants/{client.apple}/token", client.certificate))
    return client


def token_for(control, owner, certificate):
    """The token of its owner, good as it is, in a file that opens with another client's key."""
    return control.call("POST", f"/tenants/{owner.apple}/token?same=1", certificate)


def in_parallel(work, items):
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, items))


def synced(world):
    return world.rows("select count(*) as n from depbroker.sync_stream where synced_at is not null and owner is null")[0]["n"]


@test
def no_token_is_ever_taken_for_another_client():
    with World(workers=1) as world:
        clients = [onboard(world, number) for number in range(CLIENTS)]
        wait_until(lambda: synced(world) == CLIENTS, "every client is synced", 60)
        before = world.rows(KEPT)
        devices = {client.slug: len(client.stored()) for client in clients}

        def attack(victim_at):
            """Every other client's token, made for the victim's certificate: the worst case, as the file opens."""
            victim, api, control = clients[victim_at], Api(world.broker.listen, world.technician.key), Control(world.sim.ready["control"])
            codes = []
            for other in clients:
                if other is victim:
                    continue
                try:
                    api.call("PUT", f"{victim.path}/token", token_for(control, other, victim.certificate))
                    codes.append("accepted")
                except Problem as problem:
                    codes.append(problem.problem["code"])
            return codes

        codes = [code for some in in_parallel(attack, range(CLIENTS)) for code in some]
        equal(len(codes), CLIENTS * (CLIENTS - 1), "uploads")
        equal(set(codes), {"token_identity_mismatch"}, "every one was refused")
        equal(world.rows(KEPT), before, "tokens, cursors, and everything sealed")
        for client in clients:  # the next sync runs, on the old token
            client.add(1)
            client.sync_now()
        wait_until(lambda: all(len(client.stored()) == devices[client.slug] + 1 for client in clients), "the next sync of everybody", 60)
        after = {row["slug"]: row for row in world.rows(KEPT)}
        for row in before:
            equal((after[row["slug"]]["token_id"], after[row["slug"]]["generation"], after[row["slug"]]["state"]),
                  (row["token_id"], row["generation"], "active"), row["slug"])


if __name__ == "__main__":
    sys.exit(run_tests())
