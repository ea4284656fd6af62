#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Server tokens by REST: the way of docs/tutorial.md with the simulation of Apple, every file that is none, and the guard
# against a token of somebody else. Whatever is refused, the token in use stays.
import base64
import json
import os
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from broker import ANSWERS, Broker, Client, Postgres, free_port, wait_until  # noqa: E402
from programs import SHARED, Control, Program, equal, run_tests, test  # noqa: E402

POSTGRES = Postgres()
SIMULATOR = Program("applesim")
APPLE, CONTROL = SIMULATOR.ready["apple"], Control(SIMULATOR.ready["control"])
BROKER = Broker(POSTGRES, DEPBROKER_APPLE_URL=APPLE)
BROKER.command("migrate")
BROKER.start()
API = Client(BROKER, BROKER.make_key())
NUMBERS = iter(range(1, 1000000))
VECTORS = os.path.join(SHARED, "protocol/vectors/token")


def new_tenant(**members):
    slug = f"tenant-{next(NUMBERS)}"
    API.expect(201, "POST", "/tenants", {"slug": slug, "display_name": slug} | members)
    return f"/tenants/{slug}"


def new_server(**members):
    """Another client of Apple's."""
    return CONTROL.post("/tenants", {"name": f"server-{next(NUMBERS)}"} | members)


def new_certificate(tenant):
    pair = API.expect(201, "POST", f"{tenant}/token/keys")
    return pair, API.expect(200, "GET", f"{tenant}/token/keys/{pair['id']}/certificate")


def token_file(server, certificate, query=""):
    """What Apple's administrator downloads."""
    CONTROL.call("PUT", f"/tenants/{server['id']}/certificate", certificate)
    return CONTROL.call("POST", f"/tenants/{server['id']}/token{query}")


def onboarded(**members):
    tenant, server = new_tenant(), new_server(**members)
    _, certificate = new_certificate(tenant)
    API.expect(200, "PUT", f"{tenant}/token", token_file(server, certificate))
    return tenant, server, certificate


def stored(tenant):
    """Everything that a token upload may change."""
    slug = tenant.split("/")[-1]
    return POSTGRES.sql(f"""
        select t.server_uuid, t.org_id, k.key_pair_id, k.state, s.token_id, s.is_current, s.taken_at, x.object_id, encode(x.ciphertext, 'hex'),
          u.token_state, u.token_expires_at, y.config_version
        from depbroker.tenants t join depbroker.tenant_status u using (tenant_id) join depbroker.sync_stream y using (tenant_id)
          left join depbroker.key_pairs k using (tenant_id)
          left join depbroker.server_tokens s using (tenant_id) left join depbroker.secrets x on x.tenant_id = t.tenant_id and x.kind = 1
        where t.slug = '{slug}' order by k.key_pair_id, s.token_id""")


def refused(code, tenant, body, query=""):
    before = stored(tenant)
    problem = API.problem(code, "PUT", f"{tenant}/token{query}", body)
    equal(stored(tenant), before, "what is stored")
    return problem


@test
def a_client_is_onboarded_as_the_tutorial_says():
    tenant, server = new_tenant(apple_url=APPLE + "/"), new_server(org_name="Acme Ltd", devices=3)
    pair, certificate = new_certificate(tenant)
    answer = API.expect(200, "PUT", f"{tenant}/token", token_file(server, certificate))
    token = answer["token"]
    equal((answer["dry_run"], token["state"], token["server_uuid"], token["org_name"], token["key_pair_id"]),
          (False, "active", server["server_uuid"], "Acme Ltd", pair["id"]), "token")
    equal(API.get(f"{tenant}/token"), token, "shown")
    equal(API.get(f"{tenant}/token/keys")["items"][0]["state"], "current", "pair")
    shown = API.get(tenant)
    equal((shown["identity"]["server_uuid"], shown["token"]["state"]), (server["server_uuid"], "active"), "identity")
    API.expect(202, "POST", f"{tenant}/sync", {"mode": "changes"})


@test
def a_new_token_of_the_same_server_takes_the_place_of_the_old_one():
    tenant, server, old_certificate = onboarded()
    old = API.get(f"{tenant}/token")
    pair, certificate = new_certificate(tenant)
    new = API.expect(200, "PUT", f"{tenant}/token", token_file(server, certificate, "?new_administrator=1"))["token"]
    equal((new["key_pair_id"], new["server_uuid"]), (pair["id"], old["server_uuid"]), "new")
    equal([item["state"] for item in API.get(f"{tenant}/token/keys")["items"]], ["current", "retired"], "pairs")
    equal(len({line.split("|")[7] for line in stored(tenant)}), 1, "the old token's secret is gone")
    refused("token_wrong_key", tenant, token_file(server, old_certificate))


@test
def the_same_pair_serves_for_the_next_token_too():
    tenant, server, certificate = onboarded()
    API.expect(200, "PUT", f"{tenant}/token", token_file(server, certificate))
    equal([item["state"] for item in API.get(f"{tenant}/token/keys")["items"]], ["current"], "pairs")


@test
def a_dry_run_tells_and_changes_nothing():
    tenant, server = new_tenant(), new_server()
    _, certificate = new_certificate(tenant)
    file = token_file(server, certificate)
    before = stored(tenant)
    answer = API.expect(200, "PUT", f"{tenant}/token?dry_run=true", file)
    equal((answer["dry_run"], answer["token"]["server_uuid"], answer["token"]["taken_at"]), (True, server["server_uuid"], None), "dry run")
    equal(stored(tenant), before, "stored")
    API.problem("token_not_found", "GET", f"{tenant}/token")
    API.problem("bad_parameter", "PUT", f"{tenant}/token?dry_run=maybe", file)
    API.expect(200, "PUT", f"{tenant}/token?dry_run=false", file)


@test
def a_token_of_another_certificate_names_the_pairs_that_would_do():
    tenant, server = new_tenant(), new_server()
    pairs = [new_certificate(tenant)[0] for _ in range(2)]
    _, foreign = new_certificate(new_tenant())
    problem = refused("token_wrong_key", tenant, token_file(server, foreign))
    equal({(pair["id"], pair["fingerprint"], pair["state"]) for pair in problem["key_pairs"]},
          {(pair["id"], pair["fingerprint"], "staged") for pair in pairs}, "pairs")
    equal(problem["status"], 422, "status")


@test
def no_token_is_taken_without_a_key_pair():
    refused("no_key_pair", new_tenant(), b"x")


@test
def every_published_file_is_judged_by_whom_it_is_for():
    tenant = new_tenant()
    new_certificate(tenant)
    names = [name for name in os.listdir(VECTORS) if name.endswith(".p7m")]
    equal(len(names) >= 9, True, "vectors")
    for name in names:
        with open(os.path.join(VECTORS, name), "rb") as file:
            refused("token_wrong_key", tenant, file.read())


def as_der(file):
    """What is base64 in a file: after its headers, or between its lines of dashes."""
    body = file.replace(b"\r", b"").split(b"\n\n", 1)[-1]
    return base64.b64decode(b"".join(line for line in body.splitlines() if not line.startswith(b"-----")))


def signed():
    """A CMS message that is not encrypted."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", "key", "-out", "pem"],
                       cwd=folder, check=True, capture_output=True)
        return subprocess.run(["openssl", "cms", "-sign", "-nodetach", "-outform", "DER", "-signer", "pem", "-inkey", "key"], cwd=folder,
                              input=b"x", check=True, capture_output=True).stdout


@test
def what_is_not_a_token_file_is_told_so():
    tenant, server = new_tenant(), new_server()
    _, certificate = new_certificate(tenant)
    good = token_file(server, certificate)
    with open(os.path.join(VECTORS, "cert.pem"), "rb") as file:
        a_certificate = file.read()
    for code, bodies in (
            ("token_file_unreadable", (b"", b"x", bytes(range(256)) * 16, b"PK\x03\x04zip", b"%PDF-1.7", signed())),
            ("token_file_truncated", (good[:len(good) // 2], good.rstrip()[:-10], as_der(good)[:-1], as_der(good)[:100])),
            ("token_file_is_certificate", (a_certificate, certificate, as_der(a_certificate), base64.b64encode(as_der(a_certificate)))),
            ("token_file_is_private_key", (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",)),
            ("token_file_is_web_page", (b"<html><body>Sign in</body></html>", b"\xef\xbb\xbf\r\n<!DOCTYPE html>\n<title>Apple</title>")),
            ("token_file_is_decrypted", (b'{"consumer_key":"CK"}', b"-----BEGIN MESSAGE-----\n{}\n-----END MESSAGE-----\n"))):
        for body in bodies:
            problem = refused(code, tenant, body)
            equal((problem["status"], problem["detail"] != "", problem["fix"] != ""), (422, True, True), body[:40])
    API.problem("body_too_large", "PUT", f"{tenant}/token", b"x" * (128 * 1024 + 1))


def sealed_for(certificate, content, cipher="-aes128", form="SMIME", *options):
    """A CMS message as Apple makes it, with any content."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "certificate.pem")
        with open(path, "wb") as file:
            file.write(certificate)
        return subprocess.run(["openssl", "cms", "-encrypt", "-binary", *options, cipher, "-outform", form, path], input=content, check=True,
                              capture_output=True).stdout


@test
def every_form_of_a_token_file_is_taken():
    tenant, server, certificate = onboarded()
    credentials = CONTROL.get(f"/tenants/{server['id']}/token")
    plain = json.dumps({name: credentials[name] for name in ("consumer_key", "consumer_secret", "access_token", "access_secret")} |
                       {"access_token_expiry": "2099-01-01T00:00:00Z"}).encode()
    middle = plain.index(b"CS_") + 5
    wrapped = b"Content-Type: text/plain;charset=UTF-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n-----BEGIN MESSAGE-----\r\n%b\r\n-----END MESSAGE-----\r\n"
    files = [sealed_for(certificate, plain, cipher) for cipher in ("-aes128", "-aes192", "-aes256", "-des3")]
    files += [sealed_for(certificate, content) for content in (wrapped % plain, plain[:middle] + b"\r\n" + plain[middle:])]
    files += [sealed_for(certificate, plain, "-aes128", "DER"), sealed_for(certificate, plain, "-aes128", "DER", "-stream"),
              sealed_for(certificate, plain, "-aes128", "PEM", "-stream")]
    good = files[0].replace(b"\r\n", b"\n")
    files += [good.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + good, good.rstrip(), good + b" \n\n", good.split(b"\n\n", 1)[1],
              base64.b64encode(as_der(good)), good.replace(b"; ", b";\n\t")]
    for file in files:
        token = API.expect(200, "PUT", f"{tenant}/token?dry_run=true", file)["token"]
        equal(token["server_uuid"], server["server_uuid"], file[:60])


@test
def a_message_without_a_token_inside_is_told_apart():
    tenant = new_tenant()
    _, certificate = new_certificate(tenant)
    token = {"consumer_key": "CK_1", "consumer_secret": "CS_canary", "access_token": "AT_1", "access_secret": "AS_1"}
    for content in (b"hello", b"{}", json.dumps(token | {"access_secret": ""}).encode(), json.dumps(token | {"consumer_key": 1}).encode()):
        problem = refused("token_content_unreadable", tenant, sealed_for(certificate, content))
        equal("canary" in json.dumps(problem), False, "content in the answer")
    expired = token | {"access_token_expiry": "2020-01-01T00:00:00Z"}
    equal("2020-01-01" in refused("token_expired", tenant, sealed_for(certificate, json.dumps(expired).encode()))["detail"], True, "when")


@test
def what_apple_refuses_is_not_taken():
    tenant, server = new_tenant(), new_server()
    _, certificate = new_certificate(tenant)
    unknown = {"consumer_key": "CK_unknown", "consumer_secret": "CS_1", "access_token": "AT_1", "access_secret": "AS_1",
               "access_token_expiry": "2099-01-01T00:00:00Z"}
    refused("token_refused_by_apple", tenant, sealed_for(certificate, json.dumps(unknown).encode()))
    superseded = token_file(server, certificate)
    file = token_file(server, certificate)
    refused("token_refused_by_apple", tenant, superseded)
    for fault, code, status in (({"terms_unsigned": True}, "apple_terms_unsigned", 409), ({"status": 404, "times": 0}, "apple_answer_unusable", 502),
                                ({"endpoint": "/account", "status": 200, "body": "[]", "times": 0}, "apple_answer_unusable", 502),
                                ({"endpoint": "/account", "status": 200, "body": '{"org_id":"1"}', "times": 0}, "apple_answer_unusable", 502)):
        CONTROL.post("/faults", fault)
        equal(refused(code, tenant, file)["status"], status, fault)
        CONTROL.call("DELETE", "/faults")
    API.expect(200, "PUT", f"{tenant}/token", file)


@test
def an_apple_that_is_away_is_not_a_fault_of_the_token():
    """It waits, sealed, and nothing of what is in use changes; a dry run only tells."""
    for away, fault in ((None, {"status": 503, "times": 0}), (None, {"reset": True, "times": 0}), (f"http://127.0.0.1:{free_port()}", None)):
        tenant, server, certificate = onboarded()
        live = API.get(f"{tenant}/token")
        if away:
            API.expect(200, "PATCH", tenant, {"apple_url": away})
        else:
            CONTROL.post("/faults", fault)
        file = token_file(server, certificate)
        equal(refused("apple_unreachable", tenant, file, "?dry_run=true")["status"], 503, "dry run")
        answer = API.expect(202, "PUT", f"{tenant}/token", file)
        equal(answer["token"], API.get(f"{tenant}/token"), "shown")
        equal({name: answer["token"][name] for name in live if name != "pending"}, {name: live[name] for name in live if name != "pending"}, "in use")
        equal(answer["token"]["pending"]["attempts"], 0, "pending")
        equal(API.get(tenant)["token"]["pending"], True, "glance")
        API.expect(202, "PUT", f"{tenant}/token", file)  # it takes the place of the first
        slug = tenant.split("/")[-1]
        count = f"select count(*) from depbroker.secrets s join depbroker.tenants t using (tenant_id) where t.slug = '{slug}' and s.kind = 1"
        equal(POSTGRES.sql(count), ["2"], "secrets")
        API.expect(204, "DELETE", f"{tenant}/token/pending")
        API.problem("no_pending_token", "DELETE", f"{tenant}/token/pending")
        equal((POSTGRES.sql(count), API.get(f"{tenant}/token")), (["1"], live), "as before")
        CONTROL.call("DELETE", "/faults")


@test
def the_first_token_may_wait_too():
    tenant, server = new_tenant(), new_server()
    _, certificate = new_certificate(tenant)
    CONTROL.post("/faults", {"status": 503, "times": 0})
    equal(API.expect(202, "PUT", f"{tenant}/token", token_file(server, certificate))["token"]["state"], "pending", "state")
    equal(API.get(tenant)["identity"], None, "nothing is pinned")
    CONTROL.call("DELETE", "/faults")
    API.expect(204, "DELETE", f"{tenant}/token")
    API.problem("token_not_found", "GET", f"{tenant}/token")


@test
def there_is_no_way_around_the_guard():
    tenant, server, certificate = onboarded()
    file = token_file(new_server(), certificate)
    equal(API.expect(202, "PUT", f"{tenant}/token?override=true&reason=because", file)["state"], "pending", "it waits for another key")
    refused("bad_parameter", tenant, file, "?override=true")
    refused("bad_parameter", tenant, file, "?reason=because")
    Client(BROKER, BROKER.make_key("--role", "operator")).problem("forbidden", "PUT", f"{tenant}/token?override=true&reason=x", file)


@test
def any_number_of_pairs_may_be_staged_and_a_half_done_renewal_touches_nothing():
    tenant, server, _ = onboarded()
    live = API.get(f"{tenant}/token")
    before = [line for line in stored(tenant) if "|current|" in line]
    pairs = [new_certificate(tenant) for _ in range(5)]
    for _, certificate in pairs[:3]:
        CONTROL.call("PUT", f"/tenants/{server['id']}/certificate", certificate)  # uploaded at Apple, no token downloaded
    equal([line for line in stored(tenant) if "|current|" in line], before, "stored")
    equal(API.get(f"{tenant}/token"), live, "live")
    API.expect(200, "PUT", f"{tenant}/token", token_file(server, pairs[1][1]))
    states = {item["id"]: item["state"] for item in API.get(f"{tenant}/token/keys")["items"]}
    equal((states[pairs[1][0]["id"]], sorted(states.values())), ("current", ["current", "retired"] + ["staged"] * 4), "pairs")


@test
def swapped_tokens_of_two_clients_are_refused_field_by_field():
    one, one_server, one_certificate = onboarded(org_name="One")
    other, other_server, other_certificate = onboarded(org_name="Other")
    for tenant, pinned, given, certificate in ((one, one_server, other_server, one_certificate), (other, other_server, one_server, other_certificate)):
        problem = refused("token_identity_mismatch", tenant, token_file(given, certificate))
        differences = {item["field"]: (item["pinned"], item["given"]) for item in problem["differences"]}
        equal(differences["server_uuid"], (pinned["server_uuid"], given["server_uuid"]), "server_uuid")
        equal("org_id" in differences and "org_id_hash" in differences, True, differences)
        equal(problem["status"], 409, "status")
        refused("token_identity_mismatch", tenant, token_file(given, certificate), "?dry_run=true")


@test
def one_changed_field_is_enough_to_refuse():
    tenant, server, certificate = onboarded()
    CONTROL.call("PATCH", f"/tenants/{server['id']}", {"org_id": "4711"})
    problem = refused("token_identity_mismatch", tenant, token_file(server, certificate))
    equal([item["field"] for item in problem["differences"] if item["field"] != "org_id_hash"], ["org_id"], "differences")


@test
def a_server_of_another_client_is_refused_and_named_to_those_who_may_know():
    owner, server, _ = onboarded()
    tenant = new_tenant()
    _, certificate = new_certificate(tenant)
    file = token_file(server, certificate)
    problem = refused("server_belongs_to_another_tenant", tenant, file)
    equal((problem["status"], problem["tenant"]), (409, owner.split("/")[-1]), "named")
    technician = Client(BROKER, BROKER.make_key("--role", "technician", "--tenant", tenant.split("/")[-1]))
    problem = technician.problem("server_belongs_to_another_tenant", "PUT", f"{tenant}/token", file)
    equal(owner.split("/")[-1] in json.dumps(problem), False, "not named")
    equal("tenant" in problem, False, "not named")


@test
def a_removed_token_leaves_the_client_pinned():
    tenant, server, certificate = onboarded()
    API.expect(204, "DELETE", f"{tenant}/token")
    API.problem("token_not_found", "GET", f"{tenant}/token")
    API.problem("token_not_found", "DELETE", f"{tenant}/token")
    shown = API.get(tenant)
    equal((shown["token"]["state"], shown["identity"]["server_uuid"]), ("none", server["server_uuid"]), "state")
    equal({line.split("|")[7] for line in stored(tenant)}, {""}, "no secret is left")
    refused("token_identity_mismatch", tenant, token_file(new_server(), certificate))
    API.expect(200, "PUT", f"{tenant}/token", token_file(server, certificate))


@test
def two_first_tokens_at_once_pin_one_server_only():
    tenant = new_tenant()
    files = [token_file(new_server(), new_certificate(tenant)[1]) for _ in range(2)]
    lock = POSTGRES.hold("select from depbroker.sync_stream where tenant_id ="
                         f" (select tenant_id from depbroker.tenants where slug = '{tenant.split('/')[-1]}') for update")
    answers = []
    threads = [threading.Thread(target=lambda file=file: answers.append(Client(BROKER, API.key).ask("PUT", f"{tenant}/token", file)))
               for file in files]
    for thread in threads:
        thread.start()
    wait_until(lambda: POSTGRES.sql("select count(*) from pg_stat_activity where wait_event_type = 'Lock'") == ["2"], "both are about to be taken")
    lock.release()
    for thread in threads:
        thread.join()
    answers = [answer.json() for answer in answers]
    taken = [answer["token"]["server_uuid"] for answer in answers if "token" in answer]
    equal((len(taken), [answer["code"] for answer in answers if "code" in answer]), (1, ["token_identity_mismatch"]), answers)
    equal(API.get(f"{tenant}/token")["server_uuid"], taken[0], "token")
    equal(API.get(tenant)["identity"]["server_uuid"], taken[0], "pinned")


@test
def secrets_of_another_row_do_not_open():
    tenant, server, certificate = onboarded()
    file = token_file(server, certificate)
    other, _, _ = onboarded()
    slugs = [path.split("/")[-1] for path in (tenant, other)]
    POSTGRES.sql(f"""update depbroker.secrets s set ciphertext = o.ciphertext from depbroker.secrets o, depbroker.tenants t, depbroker.tenants u
        where s.tenant_id = t.tenant_id and t.slug = '{slugs[0]}' and o.tenant_id = u.tenant_id and u.slug = '{slugs[1]}'
          and s.kind = 3 and o.kind = 3""")
    equal(refused("internal", tenant, file)["status"], 500, "status")


@test
def no_part_of_a_token_is_in_any_answer_or_in_the_log():
    tenant, server, _ = onboarded()
    credentials = CONTROL.get(f"/tenants/{server['id']}/token")
    equal(API.get(f"{tenant}/token")["consumer_key_end"], credentials["consumer_key"][-4:], "the last four characters")
    told = " ".join(answer.text for _, _, answer in ANSWERS) + BROKER.log()
    for name in ("consumer_key", "consumer_secret", "access_token", "access_secret"):
        equal(credentials[name] in told, False, name)
    equal("PRIVATE KEY" in told, False, "private key")
    rows = " ".join(POSTGRES.sql("select row_to_json(t) from depbroker.server_tokens t") +
                    POSTGRES.sql("select encode(ciphertext, 'escape') from depbroker.secrets"))
    for name in ("consumer_secret", "access_token", "access_secret"):
        equal(credentials[name] in rows, False, f"{name} in the database")


def stop():
    API.close()
    CONTROL.close()
    BROKER.stop()
    SIMULATOR.stop()
    BROKER.remove()
    POSTGRES.stop()


if __name__ == "__main__":
    sys.exit(run_tests(stop))
