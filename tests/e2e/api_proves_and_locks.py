#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# What a technician, or an MDM server, asks of a client's token: a MAID JWT, bypass codes, Activation Lock.
import base64
import json
import os
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from broker import ANSWERS, Broker, Client, Postgres  # noqa: E402
from programs import Control, Program, equal, run_tests, test  # noqa: E402

POSTGRES = Postgres()
SIMULATOR = Program("applesim")
APPLE, CONTROL = SIMULATOR.ready["apple"], Control(SIMULATOR.ready["control"])
BROKER = Broker(POSTGRES, DEPBROKER_APPLE_URL=APPLE)
BROKER.command("migrate")
BROKER.start()
API = Client(BROKER, BROKER.make_key("--role", "technician", "--name", "technician"))
ADMIN = Client(BROKER, BROKER.make_key())
VIEWER = Client(BROKER, BROKER.make_key("--role", "viewer"))
NUMBERS = iter(range(1, 1000000))


def onboarded(devices=1):
    """(tenant, server, certificate, serial numbers); no worker runs, so the devices are put where a fetch would put them."""
    slug = f"tenant-{next(NUMBERS)}"
    tenant = f"/tenants/{slug}"
    ADMIN.expect(201, "POST", "/tenants", {"slug": slug, "display_name": slug})
    server = CONTROL.post("/tenants", {"name": slug, "devices": devices})
    certificate = take_token(tenant, server)
    API.expect(201, "POST", f"{tenant}/instances", {
        "name": "main", "kind": "nanomdm", "enrolment_url": "https://mdm.example.org/enroll", "allowed_hosts": ["mdm.example.org"]})
    serials = [device["serial_number"] for device in CONTROL.get(f"/tenants/{server['id']}/truth")["devices"]]
    for serial in serials:
        POSTGRES.sql(f"""insert into depbroker.devices (tenant_id, serial_number, fingerprint, rules_version, first_seen_at, changed_at)
            select tenant_id, '{serial}', decode(repeat('00', 16), 'hex'), 0, now(), now() from depbroker.tenants where slug = '{slug}'""")
    return tenant, server, certificate, serials


def take_token(tenant, server):
    pair = API.expect(201, "POST", f"{tenant}/token/keys")
    certificate = API.expect(200, "GET", f"{tenant}/token/keys/{pair['id']}/certificate")
    CONTROL.call("PUT", f"/tenants/{server['id']}/certificate", certificate)
    API.expect(200, "PUT", f"{tenant}/token", CONTROL.call("POST", f"/tenants/{server['id']}/token"))
    return certificate


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def is_signed_by(certificate, jwt):
    with tempfile.TemporaryDirectory() as folder:
        signed, _, signature = jwt.rpartition(".")
        for name, content in (("certificate", certificate), ("signed", signed.encode()), ("signature", decoded(signature))):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)
        with open(os.path.join(folder, "key"), "wb") as file:
            file.write(subprocess.run(["openssl", "x509", "-in", "certificate", "-pubkey", "-noout"], cwd=folder, check=True,
                                      capture_output=True).stdout)
        return subprocess.run(["openssl", "dgst", "-sha256", "-verify", "key", "-signature", "signature", "signed"], cwd=folder, check=False,
                              capture_output=True).returncode == 0


# --- MAID ---

@test
def a_maid_jwt_is_signed_with_the_key_of_the_token_in_use():
    tenant, server, certificate, _ = onboarded()
    API.expect(201, "POST", f"{tenant}/token/keys")  # a staged one must not be taken
    answers = [API.ask("GET", f"{tenant}/instances/main/maidjwt") for _ in range(2)]
    for answer in answers:
        equal((answer.status, answer.headers["content-type"]), (200, "application/jwt"), "answer")
        header, claims, _ = answer.text.split(".")
        equal(decoded(header), b'{"alg":"RS256","typ":"JWT"}', "header")
        claims = json.loads(decoded(claims))
        equal(list(claims), ["iat", "iss", "jti", "service_type"], "claims")
        equal((claims["iss"], claims["service_type"]), (server["server_uuid"], "com.apple.maid"), "claims")
        equal(abs(claims["iat"] - time.time()) < 60, True, "now")
        equal((answer.headers["x-jwt-jti"], answer.headers["x-server-uuid"]), (claims["jti"], claims["iss"]), "headers")
        equal(is_signed_by(certificate, answer.text), True, "signature")
    equal(answers[0].headers["x-jwt-jti"] != answers[1].headers["x-jwt-jti"], True, "jti")
    equal("maid_jwt.signed" in BROKER.log() and answers[0].text not in BROKER.log(), True, "log")


@test
def after_a_renewal_the_new_key_signs():
    tenant, server, old, _ = onboarded()
    new = take_token(tenant, server)
    jwt = API.ask("GET", f"{tenant}/instances/main/maidjwt").text
    equal((is_signed_by(old, jwt), is_signed_by(new, jwt)), (False, True), "key")


@test
def a_maid_jwt_needs_role_instance_token_and_key():
    tenant, _, _, _ = onboarded()
    VIEWER.problem("forbidden", "GET", f"{tenant}/instances/main/maidjwt")
    API.problem("instance_not_found", "GET", f"{tenant}/instances/other/maidjwt")
    slug = tenant.split("/")[-1]
    POSTGRES.sql(f"update depbroker.tenants set state = 'quarantined' where slug = '{slug}'")
    API.problem("tenant_not_active", "GET", f"{tenant}/instances/main/maidjwt")
    POSTGRES.sql(f"update depbroker.tenants set state = 'active' where slug = '{slug}'")
    POSTGRES.sql(f"""update depbroker.server_tokens set key_pair_id = null
        where tenant_id = (select tenant_id from depbroker.tenants where slug = '{slug}')""")
    API.problem("token_has_no_key", "GET", f"{tenant}/instances/main/maidjwt")
    equal(API.get(f"{tenant}/token")["key_pair_id"], None, "key pair")
    API.expect(204, "DELETE", f"{tenant}/token")
    API.problem("token_not_found", "GET", f"{tenant}/instances/main/maidjwt")


# --- bypass codes ---

@test
def a_bypass_code_is_stored_sealed_and_shown_again():
    tenant, _, _, (serial,) = onboarded()
    path = f"{tenant}/devices/{serial}/bypass-code"
    API.problem("bypass_code_not_found", "GET", path)
    first = API.expect(201, "POST", path)
    equal((len(first["code"]), [len(group) for group in first["code"].split("-")]), (31, [5, 5, 4, 4, 4, 4]), "code")
    equal((first["serial_number"], first["sent_at"], first["apple_status"], first["stale"]), (serial, None, None, False), "row")
    second = API.expect(201, "POST", path)
    equal(second["code"] != first["code"], True, "random")
    equal(API.get(path)["items"], [second, first], "newest first, none replaced")
    VIEWER.problem("forbidden", "GET", path)
    VIEWER.problem("forbidden", "POST", path)
    API.problem("device_not_found", "POST", f"{tenant}/devices/NOBODY/bypass-code")
    everything = " ".join(POSTGRES.sql("select b::text from depbroker.bypass_codes b") +
                          POSTGRES.sql("select encode(ciphertext, 'escape') || encode(ciphertext, 'hex') from depbroker.secrets"))
    for secret in (first["code"], first["code"].replace("-", ""), first["escrow_key"]):
        equal(secret in everything + BROKER.log(), False, "in clear")
    equal(len(BROKER.events("bypass_code.shown")) >= 1, True, "whoever sees one leaves a trace")


@test
def a_code_that_cannot_be_stored_is_not_shown():
    tenant, _, _, (serial,) = onboarded()
    POSTGRES.sql("alter table depbroker.secrets add constraint no_more check (kind <> 5) not valid")
    problem = API.ask("POST", f"{tenant}/devices/{serial}/bypass-code")
    POSTGRES.sql("alter table depbroker.secrets drop constraint no_more")
    equal((problem.status, "code\":\"internal" in problem.text), (500, True), problem.text)
    API.problem("bypass_code_not_found", "GET", f"{tenant}/devices/{serial}/bypass-code")


@test
def codes_of_a_device_are_bounded_and_none_is_thrown_away():
    tenant, _, _, (serial,) = onboarded()
    path = f"{tenant}/devices/{serial}/bypass-code"
    codes = [API.expect(201, "POST", path)["code"] for _ in range(20)]
    API.problem("too_many_bypass_codes", "POST", path)
    equal([item["code"] for item in API.get(path)["items"]], codes[::-1], "all of them")


@test
def codes_of_a_device_that_left_are_stale_and_no_new_ones_are_made():
    tenant, _, _, (serial,) = onboarded()
    path = f"{tenant}/devices/{serial}/bypass-code"
    API.expect(201, "POST", path)
    POSTGRES.sql(f"update depbroker.devices set gone_at = now() where serial_number = '{serial}'")
    equal([item["stale"] for item in API.get(path)["items"]], [True], "stale")
    API.problem("device_gone", "POST", path)
    API.problem("device_gone", "POST", f"{tenant}/devices/{serial}/activation-lock", {})


@test
def a_code_of_another_row_does_not_open():
    tenant, _, _, serials = onboarded(devices=2)
    for serial in serials:
        API.expect(201, "POST", f"{tenant}/devices/{serial}/bypass-code")
    POSTGRES.sql(f"""with two as (select s.ctid, row_number() over (order by object_id) as n, lead(ciphertext) over (order by object_id) as other
          from depbroker.secrets s join depbroker.tenants t using (tenant_id) where t.slug = '{tenant.split('/')[-1]}' and kind = 5)
        update depbroker.secrets s set ciphertext = two.other from two where s.ctid = two.ctid and two.n = 1""")
    API.problem("internal", "GET", f"{tenant}/devices/{serials[0]}/bypass-code")
    API.get(f"{tenant}/devices/{serials[1]}/bypass-code")


# --- Activation Lock ---

@test
def a_device_is_locked_with_the_stored_code_only():
    tenant, _, _, (serial, *others) = onboarded(devices=20)
    API.problem("bypass_code_not_found", "POST", f"{tenant}/devices/{serial}/activation-lock", {})
    for serial in (serial, *others):
        path = f"{tenant}/devices/{serial}/activation-lock"
        API.expect(201, "POST", f"{tenant}/devices/{serial}/bypass-code")
        code = API.expect(201, "POST", f"{tenant}/devices/{serial}/bypass-code")
        answer = API.ask("POST", path, {"lost_message": "Ring Acme"})
        if "DEVICE_NOT_SUPPORTED" not in answer.text:  # which Apple says of an Apple TV
            break
    equal((answer.status, answer.json()), (200, {"serial_number": serial, "apple_status": "SUCCESS", "bypass_code_id": code["id"]}), "locked")
    VIEWER.problem("forbidden", "POST", path, {})
    API.problem("bad_body", "POST", path, {"lost_message": ""})
    API.problem("bad_body", "POST", path, {"escrow_key": "00"})
    items = API.get(f"{tenant}/devices/{serial}/bypass-code")["items"]
    equal([(item["id"] == code["id"], item["sent_at"] is not None, item["apple_status"]) for item in items],
          [(True, True, "SUCCESS"), (False, False, None)], "which code is in force")
    problem = API.problem("activation_lock_refused", "POST", path, {})
    equal((problem["status"], problem["apple_error"]), (409, "DEVICE_ALREADY_LOCKED"), "again")


@test
def what_apple_says_and_does_not_say_about_a_lock_is_told():
    tenant, server, _, (serial,) = onboarded()
    path = f"{tenant}/devices/{serial}/activation-lock"
    API.expect(201, "POST", f"{tenant}/devices/{serial}/bypass-code")
    for word in ("NOT_ACCESSIBLE", "ORG_NOT_SUPPORTED", "DEVICE_NOT_SUPPORTED", "FAILED"):
        CONTROL.post("/faults", {"endpoint": "/device/activationlock", "status": 200,
                                 "body": json.dumps({"serial_number": serial, "response_status": word})})
        equal(API.problem("activation_lock_refused", "POST", path, {})["apple_error"], word, "word")
        equal(API.get(f"{tenant}/devices/{serial}/bypass-code")["items"][0]["apple_status"], word, "kept")
    for fault in ({"reset": True}, {"status": 200, "body": "{}"}, {"status": 500}):
        CONTROL.post("/faults", {"endpoint": "/device/activationlock", "times": 0} | fault)
        equal(API.problem("outcome_unknown", "POST", path, {})["status"], 503, fault)
        CONTROL.call("DELETE", "/faults")
        item = API.get(f"{tenant}/devices/{serial}/bypass-code")["items"][0]
        equal((item["sent_at"] is not None, item["apple_status"]), (True, None), "it may be in force")


@test
def a_token_of_another_organisation_locks_nothing():
    tenant, server, _, (serial,) = onboarded()
    API.expect(201, "POST", f"{tenant}/devices/{serial}/bypass-code")
    account = {"server_uuid": "F" * 32, "org_id": "1", "org_id_hash": "2", "org_name": "Other"}
    CONTROL.post("/faults", {"endpoint": "/account", "status": 200, "body": json.dumps(account)})
    problem = API.problem("token_identity_mismatch", "POST", f"{tenant}/devices/{serial}/activation-lock", {})
    equal("server_uuid" in [difference["field"] for difference in problem["differences"]], True, "differences")
    equal(API.get(f"{tenant}/devices/{serial}/bypass-code")["items"][0]["sent_at"], None, "nothing was sent")


@test
def codes_and_keys_are_told_to_nobody_else():
    told = [answer for method, path, answer in ANSWERS if "bypass-code" not in path and "maidjwt" not in path]
    codes = {item["code"] for method, path, answer in ANSWERS if path.endswith("/bypass-code") and answer.status == 200
             for item in answer.json()["items"]}
    equal(len(codes) > 20, True, "codes")
    everything = " ".join(answer.text for answer in told) + BROKER.log()
    equal([code for code in codes if code in everything], [], "told")


def stop():
    for client in (API, ADMIN, VIEWER, CONTROL):
        client.close()
    BROKER.stop()
    SIMULATOR.stop()
    BROKER.remove()
    POSTGRES.stop()


if __name__ == "__main__":
    sys.exit(run_tests(stop))
