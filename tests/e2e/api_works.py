#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# The REST API as a black box: `depbroker api` on a private PostgreSQL. Every answer is held against docs/reference/openapi.json.
# Roles are tried in api_guards.py, server tokens in api_takes_tokens.py.
import json
import os
import socket
import sys
import threading
import zlib

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from broker import ANSWERS, Broker, Client, Postgres, wait_until  # noqa: E402
from programs import Peer, equal, run_tests, test  # noqa: E402

POSTGRES = Postgres()
BROKER = Broker(POSTGRES)
BROKER.command("migrate")
BROKER.start()
KEY = BROKER.make_key("--name", "test")
API = Client(BROKER, KEY)
NUMBERS = iter(range(1, 1000000))
HELD_EVENT, ADDED_EVENT = 5, 1


def new_tenant(**members):
    slug = f"tenant-{next(NUMBERS)}"
    API.expect(201, "POST", "/tenants", {"slug": slug, "display_name": "A tenant"} | members)
    return f"/tenants/{slug}"


def new_instance(tenant, name="main", **members):
    return API.expect(201, "POST", f"{tenant}/instances", {
        "name": name, "kind": "nanomdm", "enrolment_url": "https://mdm.example.org/enroll", "allowed_hosts": ["mdm.example.org"],
        "webhook_url": "http://127.0.0.1:7001/webhook"} | members)


def tenant_id(tenant):
    return POSTGRES.sql(f"select tenant_id from depbroker.tenants where slug = '{tenant.split('/')[-1]}'")[0]


# --- without a key, and beside the API ---

@test
def the_document_is_served_to_anybody():
    with open(os.path.join(os.path.dirname(__file__), "../../docs/reference/openapi.json"), "rb") as file:
        document = file.read()
    for path in ("/openapi.json", "/api/v1/openapi.json"):
        answer = Client(BROKER, None).ask("GET", path, raw=True)
        equal(answer.status, 200, path)
        equal(answer.body, document, path)


@test
def a_request_without_a_good_key_is_refused_and_told_how():
    good = BROKER.make_key()
    wrong_secret = good[:20] + ("A" if good[20] != "A" else "B") + good[21:]
    for key in (None, "", "x", "depb_", good[:-1], wrong_secret, good + "0", good.lower()):
        answer = Client(BROKER, key).ask("GET", "/status")
        equal(answer.status, 401, key)
        equal(answer.json()["code"], "unauthenticated", key)
        equal(answer.headers["www-authenticate"], 'Bearer realm="depbroker"', key)
    for header in ("Basic " + good, good, "Bearer", "Bearer  " + good):
        answer = Client(BROKER, None).ask("GET", "/status", headers={"Authorization": header})
        equal(answer.status, 401, header)
    equal(Client(BROKER, None).ask("GET", "/status", headers={"Authorization": "bearer " + good}).status, 200, "the scheme has no case")


def with_check(start):
    """A key's check digits: CRC-32 in base62."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    crc, check = zlib.crc32(start.encode()), ""
    for _ in range(6):
        check, crc = digits[crc % 62] + check, crc // 62
    return start + check


@test
def a_key_of_the_right_form_with_another_secret_is_refused():
    good = BROKER.make_key()
    equal(with_check(good[:-6]), good, "the check")
    Client(BROKER, with_check(good[:14] + "x" * 32)).problem("unauthenticated", "GET", "/status")
    other = BROKER.make_key()
    Client(BROKER, with_check(good[:14] + other[14:-6])).problem("unauthenticated", "GET", "/status")


@test
def a_key_that_the_database_does_not_know_is_refused_by_the_same_words():
    unknown = BROKER.make_key()
    POSTGRES.sql(f"delete from depbroker.api_keys where key_id = '{unknown[5:13]}'")
    first = Client(BROKER, unknown).ask("GET", "/status").json()
    second = Client(BROKER, "nonsense").ask("GET", "/status").json()
    for answer in (first, second):
        for name in ("request_id", "instance"):
            answer.pop(name)
    equal(first, second, "an answer must not tell whether a key id exists")


@test
def expired_and_revoked_keys_are_refused_at_once():
    for change in ("expires_at = now() - interval '1 second'", "revoked_at = now()"):
        key = BROKER.make_key()
        client = Client(BROKER, key)
        client.expect(200, "GET", "/status")
        POSTGRES.sql(f"update depbroker.api_keys set {change} where key_id = '{key[5:13]}'")
        client.problem("unauthenticated", "GET", "/status")


@test
def every_answer_has_a_request_id_and_is_not_stored_by_caches():
    for path in ("/status", "/nowhere", "/tenants/absent"):
        answer = API.ask("GET", path)
        equal(len(answer.headers["x-request-id"]), 32, path)
        equal(answer.headers["cache-control"], "no-store", path)
        equal(answer.headers["x-content-type-options"], "nosniff", path)
    equal(answer.json()["request_id"], answer.headers["x-request-id"], "request id")


@test
def what_is_not_there_is_a_problem():
    API.problem("route_not_found", "GET", "/nowhere")
    API.problem("method_not_allowed", "DELETE", "/tenants")
    API.problem("unknown_parameter", "GET", "/tenants?colour=red")
    API.problem("unknown_parameter", "POST", "/tenants?limit=1", {})


# --- tenants ---

@test
def a_tenant_is_made_shown_changed_and_listed():
    made = API.expect(201, "POST", "/tenants", {"slug": "acme", "display_name": "Acme \u2014 \u65e5\u672c", "apple_url": "https://apple.example.org",
                                                 "sync_interval_s": 600})
    equal(made["display_name"], "Acme \u2014 \u65e5\u672c", "name")
    equal((made["state"], made["identity"], made["token"]["state"]), ("active", None, "none"), "new")
    equal(API.get("/tenants/acme"), made, "shown")
    equal(ANSWERS[-2][2].headers["location"], "/api/v1/tenants/acme", "location")
    changed = API.expect(200, "PATCH", "/tenants/acme", {"display_name": "Acme Ltd", "apple_url": None, "state": "paused"})
    equal((changed["display_name"], changed["apple_url"], changed["state"], changed["sync_interval_s"]), ("Acme Ltd", None, "paused", 600),
          "changed")
    equal([item for item in API.get("/tenants?limit=1000")["items"] if item["slug"] == "acme"], [changed], "listed")
    API.problem("slug_taken", "POST", "/tenants", {"slug": "acme", "display_name": "Another"})


FIELDS = {"labels": ["gold", "Zürich"], "notes": "pays late", "mdm_hosts": ["mdm.example.org"], "brake_percent": 5, "brake_devices": 20,
          "time_zone": "Europe/Zurich", "technical_contact": "Ada <ada@example.org>", "apple_contact": "Bob <bob@acme.example>",
          "expiry_days": [90, 10]}


@test
def further_fields_are_kept_checked_and_emptied():
    tenant = new_tenant(**FIELDS)
    shown = API.get(tenant)
    equal({name: shown[name] for name in FIELDS}, FIELDS, "created")
    changed = API.expect(200, "PATCH", tenant, {"labels": [], "notes": None, "brake_percent": None, "time_zone": None, "expiry_days": []})
    equal([changed[name] for name in ("labels", "notes", "brake_percent", "time_zone", "expiry_days")], [[], None, None, None, []], "emptied")
    equal((changed["mdm_hosts"], changed["apple_contact"]), (FIELDS["mdm_hosts"], FIELDS["apple_contact"]), "the others stay")
    for body in ({"labels": [""]}, {"labels": ["a\nb"]}, {"labels": ["x" * 61]}, {"labels": ["x"] * 21}, {"mdm_hosts": ["a b"]}, {"brake_percent": 101},
                 {"time_zone": "Europe Zurich"}, {"expiry_days": [0]}, {"expiry_days": ["7"]}, {"expiry_days": list(range(1, 14))},
                 {"expiry_days": list(range(1, 30))}, {"expiry_days": 7}, {"slug": "other"}, {"state": "deleting"}, {"state": "quarantined"}):
        API.problem("bad_body", "PATCH", tenant, body)
    technician = Client(BROKER, BROKER.make_key("--role", "technician"))
    technician.expect(200, "PATCH", tenant, {"notes": "x"})
    for body in ({"mdm_hosts": []}, {"brake_devices": 1}, {"apple_url": None}, {"state": "archived"}):
        technician.problem("forbidden", "PATCH", tenant, body)


@test
def a_change_may_be_based_on_a_version():
    tenant = new_tenant()
    etag = API.ask("GET", tenant).headers["etag"]
    answer = API.ask("PATCH", tenant, {"notes": "first"}, headers={"If-Match": etag})
    equal((answer.status, answer.headers["etag"] != etag), (200, True), "changed")
    equal(answer.headers["etag"], API.ask("GET", tenant).headers["etag"], "the same version")
    for value in (etag, '"x"', "1"):
        API.problem("precondition_failed", "PATCH", tenant, {"notes": "second"}, headers={"If-Match": value})
    API.expect(200, "PATCH", tenant, {"notes": "third"}, headers={"If-Match": "*"})


@test
def instances_keep_to_the_hosts_of_their_tenant():
    tenant = new_tenant(mdm_hosts=["mdm.example.org", "other.example.org"])
    new_instance(tenant)
    bad = {"name": "bad", "kind": "fleet", "enrolment_url": "https://evil.example/", "allowed_hosts": ["evil.example"]}
    API.problem("host_not_allowed", "POST", f"{tenant}/instances", bad)
    API.problem("host_not_allowed", "PATCH", f"{tenant}/instances/main", {"allowed_hosts": ["mdm.example.org", "evil.example"]})
    API.problem("host_not_allowed", "PATCH", tenant, {"mdm_hosts": ["other.example.org"]})
    API.expect(200, "PATCH", tenant, {"mdm_hosts": ["mdm.example.org"]})
    API.expect(200, "PATCH", tenant, {"mdm_hosts": []})
    API.expect(201, "POST", f"{tenant}/instances", bad)


@test
def a_tenant_is_archived_and_then_deleted_keys_first():
    tenant = new_tenant()
    slug, number = tenant.split("/")[-1], tenant_id(tenant)
    new_instance(tenant)
    API.expect(201, "POST", f"{tenant}/token/keys")
    API.expect(201, "POST", f"{tenant}/token/renewal-links")
    plant_devices(tenant, 40)
    API.problem("tenant_not_archived", "DELETE", tenant)
    archived = API.expect(200, "PATCH", tenant, {"state": "archived", "reason": "left us"})
    equal((archived["state"], archived["state_reason"]), ("archived", "left us"), "archived")
    Client(BROKER, BROKER.make_key("--role", "operator")).problem("forbidden", "DELETE", tenant)
    API.problem("precondition_failed", "DELETE", tenant, headers={"If-Match": '"1"'})
    lock = POSTGRES.hold(f"select from depbroker.devices where tenant_id = {number} for update")
    thread = threading.Thread(target=lambda: Client(BROKER, KEY).ask("DELETE", tenant), daemon=True)
    thread.start()
    wait_until(lambda: POSTGRES.sql("select count(*) from pg_stat_activity where wait_event_type = 'Lock'") != ["0"], "rows are being deleted")
    equal(POSTGRES.sql(f"select (select count(*) from depbroker.data_keys where tenant_id = {number}),"
                       f" (select count(*) from depbroker.secrets where tenant_id = {number})"), ["0|0"], "keys and secrets are gone already")
    API.problem("tenant_not_found", "GET", tenant)
    lock.release()
    thread.join()
    tables = POSTGRES.sql("select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'"
                          " where c.relnamespace = 'depbroker'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition")
    for table in tables:
        equal(POSTGRES.sql(f"select count(*) from depbroker.{table} where tenant_id = {number}"), ["0"], table)
    API.problem("tenant_not_found", "DELETE", tenant)
    lines = [line["action"] for line in audit() if line["target"] == slug]
    equal(lines, ["tenant.create", "instance.create", "token.key.create", "token.renewal_link.create", "tenant.change", "tenant.delete"], "audit")
    API.expect(201, "POST", "/tenants", {"slug": slug, "display_name": "Somebody else"})


def audit():
    lines, after = [], 0
    while True:
        page = API.get(f"/audit?after={after}")
        lines += page["items"]
        after = page["after"]
        if not page["more"]:
            return lines


@test
def the_audit_is_a_chain_that_shows_every_change_of_itself():
    tenant = new_tenant()
    API.expect(200, "PATCH", tenant, {"notes": "secret plan"})
    lines = audit()
    equal([line["seq"] for line in lines], list(range(1, len(lines) + 1)), "numbers")
    equal((lines[-1]["actor"], lines[-1]["action"], lines[-1]["target"], lines[-1]["detail"]["members"]),
          (KEY[5:13], "tenant.change", tenant.split("/")[-1], ["notes"]), "the last line")
    equal("secret plan" in json.dumps(lines), False, "no content")
    equal(POSTGRES.sql("select * from depbroker.audit_breaches()"), [], "whole")
    for harm, found in (("update depbroker.audit set actor = 'x' where seq = 2", "2|hash"), ("delete from depbroker.audit where seq = 2", "3|gap")):
        told = POSTGRES.sql(f"begin; {harm}; select * from depbroker.audit_breaches(); rollback")
        equal(told, [found], harm)
    for role in ("api", "worker", "directory"):
        refusal = POSTGRES.refused(f"set role depbroker_{role}; delete from depbroker.audit")
        equal("permission denied" in refusal, True, role)
    Client(BROKER, BROKER.make_key("--role", "operator")).problem("forbidden", "GET", "/audit")


@test
def tenants_are_listed_by_the_end_of_their_tokens():
    tenants = [new_tenant() for _ in range(4)]
    for tenant, days in zip(tenants, (300, -3, None, 20)):
        if days is not None:
            POSTGRES.sql(f"update depbroker.tenant_status set token_state = 'active', token_expires_at = now() + interval '{days} days 1 hour'"
                         f" where tenant_id = {tenant_id(tenant)}")
    for path in ("/tenants", "/status"):
        found, cursor = [], ""
        while True:
            page = API.get(f"{path}?sort=token_expires_at&limit=2{cursor}")
            found += [(f"/tenants/{item['slug']}", item["token"]["state"], item["token"]["days_left"]) for item in page["items"]]
            if page["cursor"] is None:
                break
            cursor = f"&cursor={page['cursor']}"
        equal([item for item in found if item[0] in tenants],
              [(tenants[1], "expired", -3), (tenants[3], "expiring", 20), (tenants[0], "active", 300), (tenants[2], "none", None)], path)
        equal(len(found), len({item[0] for item in found}), "each once")
        API.problem("bad_parameter", "GET", f"{path}?sort=size")
        API.problem("bad_cursor", "GET", f"{path}?sort=token_expires_at&cursor={b'by-expiry:x:acme'.hex()}")


@test
def alerts_are_listed_and_acknowledged_by_who_may_see_them():
    mine, other = new_tenant(), new_tenant()
    for tenant in (mine, other):
        POSTGRES.sql(f"insert into depbroker.alerts (tenant_id, kind, detail) select {tenant_id(tenant)}, kind, 'why'"
                     " from unnest(array['token.rejected', 'token.renewed']) kind")
    technician = Client(BROKER, BROKER.make_key("--role", "technician", "--tenant", mine.split("/")[-1]))
    items = technician.get("/alerts")["items"]
    equal({(item["tenant"], item["kind"], item["cleared_at"]) for item in items},
          {(mine.split("/")[-1], kind, None) for kind in ("token.rejected", "token.renewed")}, "mine only")
    foreign = [item["id"] for item in API.get("/alerts")["items"] if item["tenant"] == other.split("/")[-1]][0]
    for path in (f"/alerts/{foreign}/ack", "/alerts/99999999/ack", "/alerts/x/ack"):
        technician.problem("alert_not_found", "POST", path)
    for item in items:
        technician.expect(204, "POST", f"/alerts/{item['id']}/ack")
    shown = {item["kind"]: item for item in technician.get("/alerts?all=true")["items"]}
    equal((shown["token.rejected"]["cleared_at"], shown["token.rejected"]["acked_by"]), (None, technician.key[5:13]), "a condition stays")
    equal(shown["token.renewed"]["cleared_at"] is not None, True, "a notice is done with")
    Client(BROKER, BROKER.make_key("--role", "viewer")).problem("forbidden", "POST", f"/alerts/{foreign}/ack")


@test
def each_tenant_gets_a_data_key_of_its_own():
    one, other = tenant_id(new_tenant()), tenant_id(new_tenant())
    keys = POSTGRES.sql(f"select encode(wrapped, 'hex') from depbroker.data_keys where tenant_id in ({one}, {other})")
    equal(len(set(keys)), 2, "data keys")


@test
def lists_go_on_by_their_cursor_and_take_no_other():
    for _ in range(5):
        new_tenant()
    every = [item["slug"] for item in API.get("/tenants?limit=1000")["items"]]
    equal(every, sorted(every), "order")
    seen, cursor = [], ""
    while cursor is not None:
        page = API.get("/tenants?limit=2" + (f"&cursor={cursor}" if cursor else ""))
        seen += [item["slug"] for item in page["items"]]
        cursor = page["cursor"] or None
    equal(seen, every, "pages")
    foreign = API.get("/status?limit=1")["cursor"]
    for cursor in (foreign, "zz", "00", foreign[:-1], "74656e616e74733a", "74656e616e74733aff"):
        API.problem("bad_cursor", "GET", f"/tenants?cursor={cursor}")
    for limit in ("0", "1001", "-1", "x", "", "99999999999999999999"):
        API.problem("bad_parameter", "GET", f"/tenants?limit={limit}")


@test
def bodies_are_checked_member_by_member():
    good = {"slug": "never-made", "display_name": "x"}
    wrong = [
        {}, {"slug": "never-made"}, {"display_name": "x"}, good | {"colour": "red"}, good | {"slug": 1}, good | {"slug": None},
        good | {"slug": ""}, good | {"slug": "-a"}, good | {"slug": "a-"}, good | {"slug": "A"}, good | {"slug": "a" * 64},
        good | {"slug": "a_b"}, good | {"slug": "a/b"}, good | {"display_name": ""}, good | {"display_name": "x" * 201},
        good | {"display_name": ["x"]}, good | {"apple_url": "ftp://x"}, good | {"apple_url": ""}, good | {"apple_url": "https://u@x"},
        good | {"apple_url": 1}, good | {"sync_interval_s": 0}, good | {"sync_interval_s": 86401}, good | {"sync_interval_s": 1.5},
        good | {"sync_interval_s": "60"}, good | {"sync_interval_s": True}, good | {"protocol_version": 100}, good | {"state": "paused"},
    ]
    for body in wrong:
        equal(API.problem("bad_body", "POST", "/tenants", body)["status"], 422, body)
    for body in (b"", b"x", b"[]", b"1", b"null", b'"x"', b"{", b'{"slug":"a"} x', b'{"slug":"a","slug":"b","display_name":"x"}',
                 b'{"slug":"never-made","display_name":"\xff"}', b'{"slug":"never-made","display_name":"\\u0000"}', b"\xef\xbb\xbf{}",
                 b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", b'{"a":[' + b"1," * 20000 + b"1]}", b"{'slug':1}", b'{"sync_interval_s":1e999}',
                 b'{"sync_interval_s":99999999999999999999}'):
        equal(API.problem("bad_json", "POST", "/tenants", body)["status"], 400, body[:40])
    API.problem("body_too_large", "POST", "/tenants", b" " * (64 * 1024 + 1))
    API.problem("tenant_not_found", "GET", "/tenants/never-made")


@test
def a_pinned_key_in_a_body_is_never_quoted_back():
    answer = API.ask("POST", "/tenants", b'{"slug":"a","canary-4711":"x')
    equal("canary-4711" in answer.text, False, "quoted")


# --- key pairs ---

@test
def key_pairs_are_made_and_their_certificates_given():
    tenant = new_tenant()
    first = API.expect(201, "POST", f"{tenant}/token/keys")
    second = API.expect(201, "POST", f"{tenant}/token/keys")
    equal((first["state"], len(first["fingerprint"])), ("staged", 64), "pair")
    equal([pair["id"] for pair in API.get(f"{tenant}/token/keys")["items"]], [second["id"], first["id"]], "newest first")
    page = API.get(f"{tenant}/token/keys?limit=1")
    equal([pair["id"] for pair in API.get(f"{tenant}/token/keys?limit=1&cursor={page['cursor']}")["items"]], [first["id"]], "second page")
    pem = API.expect(200, "GET", f"{tenant}/token/keys/{first['id']}/certificate")
    equal(pem.startswith(b"-----BEGIN CERTIFICATE-----\n"), True, "certificate")
    equal(b"PRIVATE" in pem, False, "private key")
    for wrong in ("0", "x", "99999999", "-1", "9" * 30, first["id"] + "x"):
        API.problem("key_pair_not_found", "GET", f"{tenant}/token/keys/{wrong}/certificate")
    API.problem("key_pair_not_found", "GET", f"{new_tenant()}/token/keys/{first['id']}/certificate")


# --- instances and rules ---

@test
def an_instance_is_made_with_a_secret_that_is_shown_once():
    tenant = new_tenant()
    made = new_instance(tenant, profile={"is_supervised": True, "is_mdm_removable": False, "skip_setup_items": ["Siri"], "brand_new": {"x": 1}})
    equal(made["webhook_secret"].startswith("whsec_"), True, "secret")
    equal(made["profile"], {"is_supervised": True, "is_mdm_removable": False, "skip_setup_items": ["Siri"], "brand_new": {"x": 1}}, "profile")
    shown = API.get(f"{tenant}/instances/main")
    equal("webhook_secret" in shown, False, "shown once")
    equal(shown, {name: value for name, value in made.items() if name != "webhook_secret"}, "shown")
    API.problem("name_taken", "POST", f"{tenant}/instances", {"name": "main", "kind": "fleet", "enrolment_url": "https://a.example/",
                                                               "allowed_hosts": ["a.example"]})
    new_instance(tenant, "second", webhook_url=None)
    page = API.get(f"{tenant}/instances?limit=1")
    equal([item["name"] for item in page["items"]], ["main"], "first page")
    equal([item["name"] for item in API.get(f"{tenant}/instances?limit=2&cursor={page['cursor']}")["items"]], ["second"], "second page")
    API.problem("instance_not_found", "GET", f"{tenant}/instances/third")
    API.problem("instance_not_found", "GET", f"{new_tenant()}/instances/main")


@test
def an_instance_is_changed_and_its_guard_goes_along():
    tenant = new_tenant()
    new_instance(tenant, profile={"configuration_web_url": "https://mdm.example.org/web"})
    path = f"{tenant}/instances/main"
    changed = API.expect(200, "PATCH", path, {"enrolment_url": "https://mdm.example.org/other", "webhook_url": None})
    equal((changed["enrolment_url"], changed["webhook_url"], changed["allowed_hosts"]), ("https://mdm.example.org/other", None,
          ["mdm.example.org"]), "changed")
    API.problem("url_not_allowed", "PATCH", path, {"enrolment_url": "https://evil.example/"})
    API.problem("url_not_allowed", "PATCH", path, {"allowed_hosts": ["elsewhere.example"]})
    API.problem("url_not_allowed", "PATCH", path, {"allowed_hosts": ["elsewhere.example"], "enrolment_url": "https://elsewhere.example/"})
    both = API.expect(200, "PATCH", path, {"allowed_hosts": ["elsewhere.example"], "enrolment_url": "https://elsewhere.example/", "profile": {}})
    equal((both["allowed_hosts"], both["profile"]), (["elsewhere.example"], {}), "moved")
    for body in ({"name": "x"}, {"kind": "fleet"}, {"webhook_secret": "x"}, {"profile": None}, {"allowed_hosts": None}):
        API.problem("bad_body", "PATCH", path, body)
    API.problem("instance_not_found", "PATCH", f"{tenant}/instances/third", {})
    equal(API.expect(200, "PATCH", path, {})["allowed_hosts"], ["elsewhere.example"], "nothing to change")


@test
def a_profile_may_not_lead_elsewhere():
    tenant = new_tenant()
    good = {"name": "main", "kind": "nanomdm", "enrolment_url": "https://mdm.example.org/enroll", "allowed_hosts": ["mdm.example.org"]}
    for url in ("http://mdm.example.org/", "https://evil.example/", "https://mdm.example.org@evil.example/", "https://mdm.example.org.evil.example/",
                "https://mdm.example.org:8443/", "https://mdm.example.org\\@evil.example/", "https://m\u00fcnchen.example/"):
        API.problem("url_not_allowed", "POST", f"{tenant}/instances", good | {"enrolment_url": url})
        API.problem("url_not_allowed", "POST", f"{tenant}/instances", good | {"profile": {"configuration_web_url": url}})
    for profile in ({"URL": "https://mdm.example.org/"}, {"enrollUrl": "https://evil.example/"}, {"future": {"a": ["https://evil.example/"]}}):
        API.problem("url_not_allowed", "POST", f"{tenant}/instances", good | {"profile": profile})
    for profile in ({"url": "https://mdm.example.org/"}, {"devices": []}, {"is_supervised": "yes"}, {"department": ""},
                    {"department": 1}, {"department": "x" * 126}, {"skip_setup_items": "Siri"}, {"skip_setup_items": [1]},
                    {"is_mdm_removable": False}, {"is_mdm_removable": False, "is_supervised": False}, {"department": "{{tenant.nam}}"}):
        API.problem("profile_invalid", "POST", f"{tenant}/instances", good | {"profile": profile})
    for profile in ([], "x", None):
        API.problem("bad_body", "POST", f"{tenant}/instances", good | {"profile": profile})
    for change in ({"allowed_hosts": []}, {"allowed_hosts": ["https://mdm.example.org"]}, {"allowed_hosts": ["mdm.example.org", "*"]},
                   {"allowed_hosts": "mdm.example.org"}, {"allowed_hosts": ["a"] * 51}, {"kind": "other"}, {"name": "Main"}, {"name": "a b"},
                   {"webhook_url": "ftp://x"}, {"webhook_url": "x"}, {"webhook_url": "http://a:b@hooks.example/"}):
        API.problem("bad_body", "POST", f"{tenant}/instances", good | change)
    equal(API.get(f"{tenant}/instances")["items"], [], "nothing was made")


@test
def rules_have_versions_and_if_match_is_honoured():
    tenant = new_tenant()
    new_instance(tenant)
    before = API.ask("GET", f"{tenant}/rules")
    equal((before.json()["version"], before.json()["rules"], before.headers["etag"]), (0, [], '"0"'), "none yet")
    first = API.ask("PUT", f"{tenant}/rules", {"default": "main"}, headers={"If-Match": '"0"'})
    equal((first.status, first.json()["otherwise"], first.json()["made_by"], first.headers["etag"]), (200, {"instance": "main"}, KEY[5:13], '"1"'), "first")
    for wrong in ('"0"', '"2"', "1", '"x"', '""', 'W/"1"', '"18446744073709551617"'):
        equal(API.problem("precondition_failed", "PUT", f"{tenant}/rules", {"default": None}, headers={"If-Match": wrong})["status"], 412, wrong)
    equal(API.get(f"{tenant}/rules")["version"], 1, "nothing was changed")
    equal(API.expect(200, "PUT", f"{tenant}/rules", {"default": None}, headers={"If-Match": "*"})["version"], 2, "any")
    equal(API.expect(200, "PUT", f"{tenant}/rules", {"default": None})["version"], 3, "without If-Match")
    API.problem("rules_invalid", "PUT", f"{tenant}/rules", {"default": "other"})
    other = new_tenant()
    API.problem("rules_invalid", "PUT", f"{other}/rules", {"default": "main"})
    for body in ({}, {"default": 1}, {"default": ""}, {"default": "main", "x": 1}):
        equal(API.problem("rules_invalid", "PUT", f"{tenant}/rules", body)["findings"][0]["severity"], "error", body)


@test
def a_disabled_endpoint_is_enabled():
    tenant = new_tenant()
    new_instance(tenant)
    POSTGRES.sql(f"update depbroker.endpoints set disabled_at = now(), disabled_reason = '410' where tenant_id = {tenant_id(tenant)}")
    equal(API.get(f"{tenant}/instances/main")["webhook_disabled_reason"], "410", "disabled")
    equal(API.expect(200, "POST", f"{tenant}/instances/main/enable")["webhook_disabled_at"], None, "enabled")
    API.problem("instance_not_found", "POST", f"{tenant}/instances/other/enable")


@test
def deliveries_show_lanes_and_attempts():
    tenant = new_tenant()
    new_instance(tenant)
    POSTGRES.sql("insert into depbroker.attempts (tenant_id, endpoint_id, seq, attempt, at, status, error, took_ms)"
                 f" select tenant_id, instance_id, 7, n, now(), 500, 'no', 12 from depbroker.instances, generate_series(1, 3) n where tenant_id = {tenant_id(tenant)}")
    deliveries = API.get(f"{tenant}/instances/main/deliveries?limit=2")
    equal([lane["lane"] for lane in deliveries["lanes"]], list(range(9)), "lanes, the last one for what is sent once more")
    equal([(item["seq"], item["status"], item["error"]) for item in deliveries["items"]], [(7, 500, "no")] * 2, "attempts")
    API.problem("instance_not_found", "GET", f"{tenant}/instances/other/deliveries")


# --- sync, devices, events ---

@test
def sync_is_shown_and_asked_for():
    tenant = new_tenant()
    equal(API.get(f"{tenant}/sync")["phase"], "fetch", "phase")
    API.problem("token_not_found", "POST", f"{tenant}/sync", {"mode": "changes"})
    number = tenant_id(tenant)
    POSTGRES.sql(f"update depbroker.tenant_status set token_state = 'active' where tenant_id = {number}")
    for mode in ("changes", "full"):
        equal(API.expect(202, "POST", f"{tenant}/sync", {"mode": mode}), {"mode": mode}, mode)
    equal(POSTGRES.sql(f"select sync_requests, full_requests from depbroker.sync_due where tenant_id = {number}"), ["1|1"], "asked for")
    for body in ({}, {"mode": "other"}, {"mode": None}, {"mode": "full", "x": 1}):
        API.problem("bad_body", "POST", f"{tenant}/sync", body)
    API.expect(200, "PATCH", tenant, {"state": "paused"})
    API.problem("tenant_not_active", "POST", f"{tenant}/sync", {"mode": "full"})
    POSTGRES.sql(f"update depbroker.tenants set state = 'quarantined', state_since = now() where tenant_id = {number}")
    API.problem("tenant_not_active", "POST", f"{tenant}/sync", {"mode": "full"})
    API.problem("tenant_quarantined", "PATCH", tenant, {"state": "active"})
    API.problem("tenant_quarantined", "PATCH", tenant, {"state": "paused"})
    technician = Client(BROKER, BROKER.make_key("--role", "technician"))
    technician.problem("forbidden", "PATCH", tenant, {"state": "active", "reason": "I know"})
    released = API.expect(200, "PATCH", tenant, {"state": "active", "reason": "Apple renamed the server"})
    equal((released["state"], released["state_reason"]), ("active", "Apple renamed the server"), "released")


def plant_devices(tenant, count):
    """Rows as a worker writes them: every third is held, every fifth is gone."""
    number = tenant_id(tenant)
    POSTGRES.sql(f"""
        insert into depbroker.devices (tenant_id, serial_number, model, fingerprint, gone_at, instance_id, held_since, rules_version, first_seen_at, changed_at)
          select {number}, 'C02' || to_char(n, 'FM0000'), 'MacBook "Air"', decode(repeat('00', 16), 'hex'), case when n % 5 = 0 then now() end,
            case when n % 3 > 0 then (select instance_id from depbroker.instances where tenant_id = {number}) end, case when n % 3 = 0 then now() end, 1, now(), now()
          from generate_series(1, {count}) n;
        insert into depbroker.events (tenant_id, seq, at, type, serial_number, instance_id, lane, device)
          select {number}, n, now(), case when n % 3 = 0 then {HELD_EVENT} else {ADDED_EVENT} end, 'C02' || to_char(n, 'FM0000'),
            case when n % 3 > 0 then (select instance_id from depbroker.instances where tenant_id = {number}) end, n % 8,
            case when n % 2 = 0 then '{{"model":"MacBook"}}' end
          from generate_series(1, {count}) n""")


@test
def devices_are_listed_filtered_and_shown():
    tenant = new_tenant()
    new_instance(tenant)
    plant_devices(tenant, 30)
    every = API.get(f"{tenant}/devices?gone=true")["items"]
    equal([item["serial_number"] for item in every], [f"C02{n:04}" for n in range(1, 31)], "all")
    present = API.get(f"{tenant}/devices")["items"]
    equal(present, [item for item in every if item["gone_at"] is None], "present")
    held = API.get(f"{tenant}/devices?held=true")["items"]
    equal(held, [item for item in present if item["held"]], "held")
    equal(len(held), 8, "held")
    routed = API.get(f"{tenant}/devices?instance=main")["items"]
    equal(routed, [item for item in present if item["instance"] == "main"], "routed")
    equal(routed[0]["device"], {"serial_number": "C020001", "model": 'MacBook "Air"'}, "Apple's members")
    page = API.get(f"{tenant}/devices?limit=20")
    equal(page["items"] + API.get(f"{tenant}/devices?limit=20&cursor={page['cursor']}")["items"], present, "pages")
    API.problem("bad_cursor", "GET", f"/tenants?cursor={page['cursor']}")
    one = API.get(f"{tenant}/devices/C020002")
    equal({name: one[name] for name in every[1]}, every[1], "one")
    equal((one["replaces"], one["replaced_by"], one["enrolment"], one["explanation"]), (None, None, None, None), "what only one shows")
    API.problem("device_not_found", "GET", f"{tenant}/devices/C029999")
    API.problem("device_not_found", "GET", f"{new_tenant()}/devices/C020002")
    API.problem("instance_not_found", "GET", f"{tenant}/devices?instance=other")
    for query in ("held=yes", "gone=1", "held=true&instance=main"):
        API.problem("bad_parameter", "GET", f"{tenant}/devices?{query}")


@test
def the_log_is_read_by_number_and_by_device():
    tenant = new_tenant()
    new_instance(tenant)
    plant_devices(tenant, 30)
    page = API.get(f"{tenant}/events?limit=20")
    equal(([item["seq"] for item in page["items"]], page["after"], page["more"]), (list(range(1, 21)), 20, True), "first page")
    page = API.get(f"{tenant}/events?limit=20&after=20")
    equal(([item["seq"] for item in page["items"]], page["after"], page["more"]), (list(range(21, 31)), 30, False), "second page")
    equal(page["items"][1], {"seq": 22, "at": page["items"][1]["at"], "type": "device.added", "serial_number": "C020022", "instance": "main",
                             "reason": None, "device": {"model": "MacBook"}, "changes": None, "detail": None}, "an event")
    equal(API.get(f"{tenant}/events?after=30")["after"], 30, "at the end")
    history = API.get(f"{tenant}/devices/C020003/history")
    equal([(item["seq"], item["type"], item["instance"]) for item in history["items"]], [(3, "device.held", None)], "history")
    API.problem("device_not_found", "GET", f"{tenant}/devices/nobody/history")
    for query in ("after=-1", "after=x", "limit=0"):
        API.problem("bad_parameter", "GET", f"{tenant}/events?{query}")


# --- health, metrics, life ---

@test
def health_and_metrics_are_on_another_listener():
    tenant = new_tenant().split("/")[-1]
    POSTGRES.sql(f"update depbroker.tenant_status set devices = 7, event_seq = 9, announced_seq = 4, sync_error = 'x', token_state = 'active',"
                 f" token_expires_at = '2020-01-01' where tenant_id = {tenant_id(tenant)}")
    equal(BROKER.admin.request("GET", "/livez").json(), {"status": "ok"}, "livez")
    equal(BROKER.admin.request("GET", "/readyz").json(), {"status": "ready", "reasons": []}, "a tenant's trouble is not ours")
    answer = BROKER.admin.request("GET", "/metrics")
    lines = answer.text.splitlines()
    for line in (f'depbroker_devices{{tenant="{tenant}",state="present"}} 7', f'depbroker_events_pending{{tenant="{tenant}"}} 5',
                 f'depbroker_sync_failing{{tenant="{tenant}"}} 1', f'depbroker_token_state{{tenant="{tenant}",state="expired"}} 1',
                 f'depbroker_token_expiry_timestamp_seconds{{tenant="{tenant}"}} 1577836800', "depbroker_database_up 1"):
        equal(line in lines, True, line)
    names = {line.split("{")[0].split(" ")[0] for line in lines if not line.startswith("#")}
    for name in names:
        equal(sum(line.startswith(f"# TYPE {name} ") for line in lines), 1, name)
        equal(sum(line.startswith(f"# HELP {name} ") for line in lines), 1, name)
        equal(any(line.startswith(f"# TYPE {name} counter") for line in lines), name.endswith("_total"), name)
    equal(Peer(f"http://127.0.0.1:{BROKER.port}").request("GET", "/metrics").status, 404, "not for the public")
    BROKER.command("healthcheck")


@test
def the_status_shows_every_tenant_at_a_glance():
    tenant = new_tenant().split("/")[-1]
    item, = (item for item in API.get("/status?limit=1000")["items"] if item["slug"] == tenant)
    equal((item["token"]["state"], item["devices"], item["events_pending"]), ("none", {"present": 0, "assigned": 0, "held": 0}, 0), "new")


@test
def a_schema_that_is_not_ours_or_breaks_a_law_makes_it_unready():
    def reasons():
        answer = BROKER.admin.request("GET", "/readyz")
        return " ".join(answer.json()["reasons"]) if answer.status == 503 else ""
    POSTGRES.sql("alter table depbroker.devices no force row level security")
    wait_until(lambda: "linter" in reasons(), "the linter complains")
    BROKER.command("healthcheck", code=1)
    POSTGRES.sql("alter table depbroker.devices force row level security")
    wait_until(lambda: reasons() == "", "it is ready again")
    POSTGRES.sql("insert into depbroker.schema_migrations (number, name, sha256) values (9999, 'of the future', decode(repeat('00', 32), 'hex'))")
    wait_until(lambda: "9999" in reasons(), "the schema is too new")
    equal("newer depbroker" in BROKER.command("migrate", code=3).stderr, True, "migrate")
    POSTGRES.sql("delete from depbroker.schema_migrations where number = 9999")
    wait_until(lambda: reasons() == "", "it is ready again")


@test
def it_starts_without_a_database_and_says_so():
    away = Broker(POSTGRES, DEPBROKER_DATABASE_URL="postgresql://nobody:canary-password@127.0.0.1:1/depbroker")
    away.start()
    answer = away.admin.request("GET", "/readyz")
    equal((answer.status, answer.json()["status"]), (503, "unready"), "readyz")
    equal(away.admin.request("GET", "/livez").status, 200, "livez")
    equal("depbroker_database_up 0" in away.admin.request("GET", "/metrics").text, True, "metrics")
    equal("canary-password" in away.log() + answer.text, False, "the password is nowhere")
    away.stop()
    away.remove()


@test
def requests_in_flight_end_before_it_stops():
    other = Broker(POSTGRES)
    other.environment["DEPBROKER_MASTER_KEY_FILE"] = os.path.join(BROKER.folder, "master.key")
    other.start()
    tenant = new_tenant()
    numbers = "select last_value, is_called from depbroker.object_ids"
    before = POSTGRES.sql(numbers)
    with socket.create_connection(("127.0.0.1", other.port)) as connection:
        connection.sendall(f"POST /api/v1{tenant}/token/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 0\r\n\r\n".encode())
        wait_until(lambda: POSTGRES.sql(numbers) != before, "it has begun")
        other.process.terminate()
        answer = b""
        while part := connection.recv(65536):
            answer += part
    equal(answer.startswith(b"HTTP/1.1 201 "), True, answer[:100])
    other.wait_for_end()
    other.remove()


@test
def commands_say_what_is_wrong():
    for arguments in ((), ("nonsense",), ("doctor", "x"), ("keys",), ("keys", "rotate", "x"), ("keys", "add", "x"), ("admin",), ("admin", "nonsense"), ("version", "x"),
                      ("admin", "create-key", "--role", "king"), ("admin", "create-key", "--expires-days", "367"), ("admin", "create-key", "x"),
                      ("admin", "create-key", "--expires-days", "0"), ("admin", "create-key", "--tenant", "x"), ("admin", "create-key", "--name", "")):
        done = BROKER.command(*arguments, code=2)
        equal((done.stdout, done.stderr.startswith("depbroker")), ("", True), arguments)
    for arguments in (("--help",), ("serve", "--help"), ("api", "--help"), ("worker", "--help"), ("migrate", "--help"), ("healthcheck", "--help"),
                      ("config", "--help"), ("admin", "--help"), ("admin", "create-key", "--help"), ("keys", "--help"), ("doctor", "--help"), ("version", "--help"), ("version",)):
        equal(BROKER.command(*arguments).stdout != "", True, arguments)
    for name, is_shown in (("doctor", True), ("keys", True), ("internal-exec", False)):
        equal(f"  {name} " in BROKER.command("--help").stdout, is_shown, name)
    equal("DEPBROKER_NONSENSE" in BROKER.command("api", code=2, DEPBROKER_NONSENSE="1").stderr, True, "unknown option")
    BROKER.command("api", code=2, DEPBROKER_DATABASE_URL="")
    BROKER.command("admin", "create-key", "--role", "viewer", "--tenant", "nobody", code=1)
    equal("canary" in BROKER.command("config", DEPBROKER_DATABASE_URL="postgresql://a:canary@h/d").stdout, False, "masked")
    equal("admin create-key" in BROKER.command("admin", "create-key", code=1, DEPBROKER_DATABASE_URL="").stderr, True, "no serve runs here")


@test
def no_secret_is_in_any_answer_or_in_the_log():
    tenant = new_tenant()
    secret = new_instance(tenant)["webhook_secret"]
    API.expect(201, "POST", f"{tenant}/token/keys")
    with open(os.path.join(BROKER.folder, "master.key"), encoding="ascii") as file:
        master = file.read().strip()
    told = [answer.text for method, path, answer in ANSWERS if not (method == "POST" and path.endswith("/instances"))]
    for name, canary in (("webhook secret", secret), ("webhook secret", "whsec_"), ("master key", master), ("API key", KEY), ("API key", "depb_"),
                         ("private key", "PRIVATE KEY")):
        equal(any(canary in text for text in told if "openapi" not in text), False, f"{name} in an answer")
        equal(canary in BROKER.log(), False, f"{name} in the log")
    equal(json.dumps(secret) in " ".join(POSTGRES.sql("select encode(ciphertext, 'escape') from depbroker.secrets")), False, "in the clear")


def stop():
    API.close()
    BROKER.stop()
    BROKER.remove()
    POSTGRES.stop()


if __name__ == "__main__":
    sys.exit(run_tests(stop))
