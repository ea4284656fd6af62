#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Who may do what: every operation of the OpenAPI document with every role, and that somebody else's tenant cannot be told
# from one that does not exist.
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from broker import Broker, Client, Postgres  # noqa: E402
from openapi import DOCUMENT  # noqa: E402
from programs import equal, run_tests, test  # noqa: E402

POSTGRES = Postgres()
BROKER = Broker(POSTGRES)
BROKER.command("migrate")
BROKER.start()
ADMIN = Client(BROKER, BROKER.make_key())
OWN, OTHER, ABSENT = "own-tenant-1", "oth-tenant-1", "abs-tenant-1"  # of one length, so that answers can be compared
for slug in (OWN, OTHER):
    ADMIN.expect(201, "POST", "/tenants", {"slug": slug, "display_name": slug})
    ADMIN.expect(201, "POST", f"/tenants/{slug}/instances", {"name": "main", "kind": "fleet", "enrolment_url": "https://mdm.example.org/",
                                                              "allowed_hosts": ["mdm.example.org"]})
    ADMIN.expect(201, "POST", f"/tenants/{slug}/token/keys")

RANKS = ["nobody", "viewer", "technician", "operator", "admin"]
CLIENTS = {
    "nobody": Client(BROKER, None),
    "viewer": Client(BROKER, BROKER.make_key("--role", "viewer", "--tenant", OWN)),
    "technician": Client(BROKER, BROKER.make_key("--role", "technician", "--tenant", OWN)),
    "operator": Client(BROKER, BROKER.make_key("--role", "operator")),
    "admin": ADMIN,
}
BOUND = ("viewer", "technician")  # to one tenant
NAMES = {"tenant": OWN, "instance": "main", "template": "base", "endpoint": "1", "secret": "0" * 48, "serial": "C02XXXX", "key": "1", "id": "1", "link": "0" * 48}


def operations():
    """(method, path template, least role) of everything in the document."""
    for template, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            said = re.search(r"Least role: (\w+)\.", operation.get("description", ""))
            yield method.upper(), template, said.group(1) if said else "nobody"


def filled(template, **names):
    return re.sub(r"{(\w+)}", lambda match: (NAMES | names)[match.group(1)], template)


@test
def each_role_may_do_what_the_document_says_and_nothing_more():
    tried = 0
    for method, template, least in operations():
        for rank, client in CLIENTS.items():
            answer = client.ask(method, filled(template), b"{}" if method in ("POST", "PUT", "PATCH") else None, raw=True)
            expected = None
            if RANKS.index(rank) < RANKS.index(least):
                expected = 401 if rank == "nobody" else 403
            if template.startswith("/api/v1/endpoints") and rank in BOUND:
                expected = None  # it does not exist
            what = f"{rank}: {method} {template}"
            equal(answer.status if answer.status in (401, 403) else None, expected, what)
            equal(answer.status >= 500, False, what)
            tried += 1
    equal(tried, len(list(operations())) * len(RANKS), "combinations")


@test
def somebody_elses_tenant_is_absent_byte_for_byte():
    def told(client, method, template, slug):
        answer = client.ask(method, filled(template, tenant=slug), b"{}" if method in ("POST", "PUT", "PATCH") else None, raw=True)
        request_id = answer.headers["x-request-id"]
        headers = sorted((name.lower(), value) for name, value in answer.headers.items() if name.lower() not in ("date", "x-request-id"))
        return answer.status, headers, answer.text.replace(request_id, "ID").replace(slug, "SLUG")
    tried = 0
    for method, template, _ in operations():
        if "{tenant}" not in template:
            continue
        for rank in ("viewer", "technician"):
            other = told(CLIENTS[rank], method, template, OTHER)
            equal(other, told(CLIENTS[rank], method, template, ABSENT), f"{rank}: {method} {template}")
            equal(other[0] in (403, 404), True, f"{rank}: {method} {template}")
            tried += 1
    equal(tried > 40, True, "combinations")


@test
def lists_show_only_what_a_key_may_see():
    for path in ("/tenants", "/status"):
        equal([item["slug"] for item in CLIENTS["viewer"].get(path)["items"]], [OWN], path)
        equal([item["slug"] for item in CLIENTS["operator"].get(path)["items"]], [OTHER, OWN], path)
    everything = Client(BROKER, BROKER.make_key("--role", "viewer"))
    equal(len(everything.get("/tenants")["items"]), 2, "a viewer of all tenants")


@test
def objects_of_another_tenant_are_not_reached_through_ones_own():
    pair = ADMIN.get(f"/tenants/{OTHER}/token/keys")["items"][0]["id"]
    CLIENTS["viewer"].problem("key_pair_not_found", "GET", f"/tenants/{OWN}/token/keys/{pair}/certificate")
    ADMIN.expect(201, "POST", f"/tenants/{OTHER}/instances", {"name": "theirs", "kind": "fleet", "enrolment_url": "https://mdm.example.org/",
                                                              "allowed_hosts": ["mdm.example.org"]})
    for rank in ("technician", "admin"):
        CLIENTS[rank].problem("rules_invalid", "PUT", f"/tenants/{OWN}/rules", {"default": "theirs"})
        CLIENTS[rank].problem("instance_not_found", "PATCH", f"/tenants/{OWN}/instances/theirs", {})
        CLIENTS[rank].problem("instance_not_found", "GET", f"/tenants/{OWN}/devices?instance=theirs")
    page = CLIENTS["operator"].get("/tenants?limit=1")
    equal([item["slug"] for item in page["items"]], [OTHER], "first")
    equal([item["slug"] for item in CLIENTS["viewer"].get(f"/tenants?cursor={page['cursor']}")["items"]], [OWN], "a cursor of somebody else")


@test
def a_technician_may_not_point_a_tenant_at_another_apple():
    ADMIN.expect(200, "PATCH", f"/tenants/{OWN}", {"apple_url": None})
    CLIENTS["technician"].expect(200, "PATCH", f"/tenants/{OWN}", {"display_name": "Own"})
    for value in ("https://evil.example", None):
        CLIENTS["technician"].problem("forbidden", "PATCH", f"/tenants/{OWN}", {"display_name": "x", "apple_url": value})
    equal(ADMIN.get(f"/tenants/{OWN}")["display_name"], "Own", "nothing was changed")
    CLIENTS["operator"].expect(200, "PATCH", f"/tenants/{OWN}", {"apple_url": "https://apple.example"})


@test
def paths_that_two_readers_could_read_differently_reach_nothing():
    for path in (f"/tenants/{OWN}/../{OTHER}", f"/tenants/{OWN}%2f..%2f{OTHER}", f"/tenants/{OWN}/./token", f"/tenants//{OWN}", f"/tenants/{OWN}%00",
                 f"/tenants/{OWN}/%2e%2e/{OTHER}", f"/tenants/{OWN}%5ctoken", f"/tenants/{OWN}/token/"):
        equal(CLIENTS["viewer"].ask("GET", path).status in (400, 404), True, path)


@test
def the_body_of_a_refused_request_is_not_waited_for():
    for client, path, status in ((CLIENTS["nobody"], f"/tenants/{OWN}/token", 401), (CLIENTS["viewer"], f"/tenants/{OWN}/token", 403),
                                 (CLIENTS["technician"], f"/tenants/{OTHER}/token", 404)):
        answer = client.ask("PUT", path, b"", headers={"Content-Length": "100000"})
        equal(answer.status, status, path)


def stop():
    BROKER.stop()
    BROKER.remove()
    POSTGRES.stop()


if __name__ == "__main__":
    sys.exit(run_tests(stop))
