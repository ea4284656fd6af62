#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Is applesim what Apple's documents, the vectors and the schemas say? Everything over real sockets.
import base64
import datetime
import json
import os
import re
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from apple_client import AppleClient, authorization  # noqa: E402
from apple_rig import (APPLE, CERTIFICATE, CONTROL, HAVE_SHARED, check_named, define, expect, in_folder,  # noqa: E402
                       new_tenant, openssl, shared_json, stop, truth)
from programs import Control, Program, equal, run_tests, test  # noqa: E402

WEEK_S = 7 * 24 * 3600


# Session and OAuth.

@test
def a_right_signature_gives_a_session():
    _, client = new_tenant()
    equal(client.sign_on(realm="ADM").status, 200, "with realm")
    equal(client.sign_on(drop=["oauth_version"]).status, 200, "without version")
    if client.session == "" or client.ask("GET", "/account")["server_name"] == "":
        raise AssertionError("empty session or account")


@test
def the_published_vectors_are_accepted():
    if not HAVE_SHARED:
        return
    for vector in shared_json("vectors", "oauth1", "oauth1-session.json")["vectors"]:
        parts = vector["url"].split("/")
        sim = Program("applesim", "--public-url", "//".join((parts[0], parts[2])))
        control = Control(sim.ready["control"])
        try:
            control.post("/clock", {"skew_s": int(vector["timestamp"]) - int(time.time())})
            names = ("consumer_key", "consumer_secret", "access_token", "access_secret")
            token = {name: vector[name] for name in names}
            for header in ("authorization_header", "authorization_header_with_realm"):
                control.post("/tenants", {"token": token})
                client = AppleClient(sim.ready["apple"], token)
                equal(client.sign_on(header=vector[header]).status, 200, f"{vector['name']}, {header}")
                expect(client.sign_on(header=vector[header]), 401, "nonce_used")
        finally:
            control.close()
            sim.stop()


@test
def a_nonce_serves_once():
    _, client = new_tenant()
    now = int(time.time())
    equal(client.sign_on(nonce="abc", timestamp=now).status, 200, "first")
    expect(client.sign_on(nonce="abc", timestamp=now), 401, "nonce_used")
    equal(client.sign_on(nonce="abc", timestamp=now - 1).status, 200, "the same nonce at another time")


@test
def a_clock_that_is_off_is_refused():
    _, client = new_tenant()
    now = int(time.time())
    for off in (-295, 295):
        equal(client.sign_on(timestamp=now + off).status, 200, f"{off} s")
    for off in (-310, 310):
        expect(client.sign_on(timestamp=now + off), 401, "timestamp_refused")
    CONTROL.post("/clock", {"skew_s": 1000})
    try:
        answer = client.sign_on()
        expect(answer, 401, "timestamp_refused")
        date = datetime.datetime.strptime(answer.headers["Date"], "%a, %d %b %Y %H:%M:%S %Z")
        shift = date.replace(tzinfo=datetime.timezone.utc).timestamp() - time.time()
        if abs(shift - 1000) > 5:
            raise AssertionError(f"the Date header is off by {shift} s")
    finally:
        CONTROL.post("/clock", {"skew_s": 0})


@test
def a_wrong_signature_is_refused():
    _, client = new_tenant()
    for member in ("consumer_secret", "access_secret"):
        wrong = {**client.token, member: client.token[member] + "0"}
        expect(client.sign_on(header=authorization(wrong, APPLE + "/session")), 401, "signature_invalid")
    expect(client.sign_on(header=authorization(client.token, APPLE + "/sessions")), 401, "signature_invalid")
    port = APPLE.rsplit(":", 1)[0]
    expect(client.sign_on(header=authorization(client.token, port + "/session")), 401, "signature_invalid")


@test
def unknown_or_replaced_tokens_are_refused():
    tenant, client = new_tenant()
    unknown = {**client.token, "consumer_key": "CK_unknown"}
    expect(client.sign_on(header=authorization(unknown, APPLE + "/session")), 401, "token_rejected")
    session = client.session
    CONTROL.call("POST", f"/tenants/{tenant}/token", CERTIFICATE)
    renewed = CONTROL.get(f"/tenants/{tenant}/token")
    equal(renewed["consumer_key"], client.token["consumer_key"], "consumer key of the same administrator")
    expect(client.sign_on(), 403, "token_rejected")
    client.session = session
    expect(client.call("GET", "/account"), 401, "UNAUTHORIZED")
    equal(AppleClient(APPLE, renewed).sign_on().status, 200, "the new one")


@test
def a_token_of_another_administrator_has_another_consumer_key():
    tenant, client = new_tenant()
    renewed = client.token
    CONTROL.call("POST", f"/tenants/{tenant}/token?new_administrator=1", CERTIFICATE)
    other = CONTROL.get(f"/tenants/{tenant}/token")
    if other["consumer_key"] == renewed["consumer_key"]:
        raise AssertionError("another administrator has another consumer key")
    expect(AppleClient(APPLE, renewed).sign_on(), 401, "token_rejected")
    equal(AppleClient(APPLE, other).sign_on().status, 200, "newest token")


@test
def an_expired_token_is_refused():
    tenant, _ = new_tenant()
    CONTROL.call("POST", f"/tenants/{tenant}/token?expires_in_s=100", CERTIFICATE)
    client = AppleClient(APPLE, CONTROL.get(f"/tenants/{tenant}/token"))
    equal(client.sign_on().status, 200, "before")
    CONTROL.post("/clock", {"advance_s": 101})
    expect(client.sign_on(), 401, "token_expired")


@test
def a_malformed_authorization_is_a_bad_request():
    _, client = new_tenant()
    for name in ("oauth_consumer_key", "oauth_token", "oauth_signature_method", "oauth_timestamp", "oauth_nonce",
                 "oauth_signature"):
        expect(client.sign_on(drop=[name]), 400, "")
        expect(client.sign_on(extra=[(name, "x")]), 400, "")
    expect(client.sign_on(change={"oauth_signature_method": "PLAINTEXT"}), 400, "")
    expect(client.sign_on(change={"oauth_version": "2.0"}), 400, "")
    expect(client.sign_on(header="Basic abc"), 400, "")
    expect(client.sign_on(header='OAuth oauth_nonce="a'), 400, "")
    expect(client.call("GET", "/session", X_ADM_Auth_Session=None), 400, "")


@test
def a_session_expires():
    _, client = new_tenant()
    session = client.session
    CONTROL.post("/clock", {"advance_s": 1700})
    equal(client.call("GET", "/account", X_ADM_Auth_Session=session).status, 200, "before its end")
    CONTROL.post("/clock", {"advance_s": 200})
    expect(client.call("GET", "/account", X_ADM_Auth_Session=session), 401, "UNAUTHORIZED")
    expect(client.call("GET", "/account", X_ADM_Auth_Session=None), 401, "UNAUTHORIZED")
    expect(client.call("GET", "/account", X_ADM_Auth_Session="00000001zzzz"), 401, "UNAUTHORIZED")
    equal(client.sign_on().status, 200, "another one")
    equal(client.call("GET", "/account").status, 200, "it is good")


@test
def sessions_can_be_forgotten():
    _, client = new_tenant()
    CONTROL.call("DELETE", "/sessions")
    expect(client.call("GET", "/account"), 401, "UNAUTHORIZED")


@test
def sessions_of_two_tenants_are_apart():
    _, one = new_tenant(devices=1)
    _, two = new_tenant(devices=1)
    serials = [client.fetch()[0][0]["serial_number"] for client in (one, two)]
    if serials[0] == serials[1]:
        raise AssertionError("two tenants have the same device")
    one.session = "%08x" % 1 + two.session[8:]
    expect(one.call("GET", "/account"), 401, "UNAUTHORIZED")


@test
def a_session_token_rotates_and_the_old_one_has_grace():
    _, client = new_tenant()
    CONTROL.post("/clock", {"rotate_after": 3})
    try:
        first = client.session
        for _ in range(3):
            equal(client.call("GET", "/account").status, 200, "use")
        if client.session == first:
            raise AssertionError("no new session token came")
        equal(client.call("GET", "/account", X_ADM_Auth_Session=first).status, 200, "within grace")
        CONTROL.post("/clock", {"advance_s": 61})
        expect(client.call("GET", "/account", X_ADM_Auth_Session=first), 401, "UNAUTHORIZED")
        equal(client.call("GET", "/account").status, 200, "the new one")
    finally:
        CONTROL.post("/clock", {"rotate_after": 0})


# The gate.

@test
def user_agent_and_content_type_are_insisted_on():
    _, client = new_tenant()
    for agent, word in ((None, "USER_AGENT_MISSING"), ("", "USER_AGENT_MISSING"),
                        ("Go-http-client/1.1", "USER_AGENT_INVALID"), ("curl/7.88.1", "USER_AGENT_INVALID")):
        expect(client.call("POST", "/server/devices", {}, User_Agent=agent), 400, word)
        expect(client.call("GET", "/account", User_Agent=agent), 400, word)
    for media in (None, "application/json", "application/json; charset=UTF-8", "text/plain"):
        expect(client.call("POST", "/server/devices", {}, Content_Type=media), 415, "UNSUPPORTED_MEDIA_TYPE")
    headers = client.headers(Authorization=authorization(client.token, APPLE + "/session"), Content_Type=None)
    expect(client.peer.request("GET", "/session", None, headers), 415, "UNSUPPORTED_MEDIA_TYPE")


@test
def bodies_must_be_json_objects():
    _, client = new_tenant()
    for method, path in (("POST", "/server/devices"), ("POST", "/devices/sync"), ("POST", "/devices"), ("POST", "/profile"),
                         ("POST", "/profile/devices"), ("PUT", "/profile/devices"), ("DELETE", "/profile/devices"),
                         ("POST", "/devices/disown"), ("POST", "/device/activationlock"),
                         ("POST", "/account-driven-enrollment/profile")):
        for body in (b"", b"[]", b"{", b'{"a":1,}', b"null", b"\xff"):
            expect(client.call(method, path, body), 400, "MALFORMED_REQUEST_BODY")


@test
def paths_and_methods_are_told_apart():
    _, client = new_tenant()
    expect(client.call("GET", "/devices"), 405, "METHOD_NOT_ALLOWED")
    expect(client.call("POST", "/session", {}), 405, "METHOD_NOT_ALLOWED")
    expect(client.call("GET", "/nowhere"), 404, "NOT_FOUND")
    expect(client.call("GET", "/account", X_Server_Protocol_Version="ten"), 400, "INVALID_PROTOCOL_VERSION")


# Account.

def server_uuid(tenant):
    return CONTROL.get(f"/tenants/{tenant}")["server_uuid"]


@test
def the_account_tells_who_it_is_per_version():
    tenant, client = new_tenant(org_name="Zürich GmbH", org_id="4711", admin_id="a@b.example")
    account = client.ask("GET", "/account")
    check_named("AccountDetail", account)
    equal((account["org_name"], account["org_id"], account["admin_id"]), ("Zürich GmbH", "4711", "a@b.example"), "texts")
    equal(account["server_uuid"], server_uuid(tenant), "server_uuid")
    if not re.fullmatch("[0-9A-F]{32}", account["server_uuid"]):
        raise AssertionError(account["server_uuid"])
    limits = {url["uri"]: url.get("limit") for url in account["urls"]}
    equal(limits["/server/devices"], {"default": 1000, "maximum": 1000}, "limits")
    for version in (1, 2):
        client.version = version
        later = set(client.ask("GET", "/account")) & {"org_id", "org_id_hash", "org_type", "org_version", "urls"}
        equal(later, set(), f"version {version}")
    if HAVE_SHARED:
        known = set(shared_json("vectors", "apple-responses", "synthetic", "account-v10.json"))
        equal(known - set(account), set(), "members of the vector")


# Devices.

FIELDS_SINCE = {
    2: {"os", "device_family"},
    8: {"mdm_migration_deadline"},
    10: {"imei", "meid", "eid", "wifi_mac_address", "bluetooth_mac_address", "ethernet_mac_address",
         "is_replacement_device"},
}


@test
def fields_appear_with_their_version():
    tenant, client = new_tenant(devices=60)
    serial = next(iter(truth(tenant)))
    CONTROL.call("PATCH", f"/tenants/{tenant}/devices/{serial}", {"mdm_migration_deadline": "2027-01-01T00:00:00Z"})
    CONTROL.call("POST", f"/tenants/{tenant}/devices/{list(truth(tenant))[1]}/replace")
    for version in range(1, 11):
        client.version = version
        devices = client.fetch()[0]
        names = set().union(*devices)
        for since, fields in FIELDS_SINCE.items():
            equal(names & fields, fields if version >= since else set(), f"version {version}")
        if version >= 2:
            systems = {device["os"] for device in devices if device["device_family"] == "iPad"}
            equal(systems, {"iPadOS" if version >= 7 else "iOS"}, f"iPads in version {version}")
    client.version = None
    equal(set().union(*client.fetch()[0]) & {"os", "imei"}, set(), "without a version")


@test
def devices_are_realistic():
    tenant, client = new_tenant(devices=300)
    devices = client.fetch()[0]
    equal(len({device["serial_number"] for device in devices}), 300, "different serial numbers")
    equal({device["device_family"] for device in devices}, {"Mac", "iPad", "iPhone", "AppleTV", "Vision"}, "families")
    for device in devices:
        check_named("Device", device)
        if not re.fullmatch("[0-9A-Z]{10}|[0-9A-Z]{12}", device["serial_number"]):
            raise AssertionError(device["serial_number"])
        for imei in device.get("imei", []):
            total = sum(sum(divmod(int(c) * (1 + i % 2), 10)) for i, c in enumerate(imei))
            equal((len(imei), total % 10), (15, 0), "IMEI")
        equal(("op_type" in device, "op_date" in device), (False, False), "a full list has no operations")
    equal(set(truth(tenant)), {device["serial_number"] for device in devices}, "the truth")


@test
def the_same_seed_gives_the_same_world():
    lists = []
    for _ in range(2):
        sim = Program("applesim", "--seed", "99")
        control = Control(sim.ready["control"])
        control.post("/tenants", {"count": 3, "devices": 5})
        control.call("POST", "/tenants/2/token", CERTIFICATE)
        token = control.get("/tenants/2/token")
        devices = [device["serial_number"] for device in control.get("/tenants/2/truth")["devices"]]
        lists.append((devices, token["consumer_key"], token["access_secret"], control.get("/tenants/2")["server_uuid"]))
        control.close()
        sim.stop()
    equal(lists[0], lists[1], "two runs")


@test
def pages_have_limits_and_cursors_like_apples():
    tenant, client = new_tenant(devices=25)
    page = client.ask("POST", "/server/devices", {"limit": 10})
    check_named("FetchDeviceResponse", page)
    equal((len(page["devices"]), page["more_to_follow"]), (10, True), "first page")
    serials = [device["serial_number"] for device in page["devices"]]
    for expected in ((10, True), (5, False)):
        expect(client.call("POST", "/devices/sync", {"cursor": page["cursor"]}), 400, "INVALID_CURSOR")  # not read to its end
        page = client.ask("POST", "/server/devices", {"limit": 10, "cursor": page["cursor"]})
        equal((len(page["devices"]), page["more_to_follow"]), expected, "page")
        serials += [device["serial_number"] for device in page["devices"]]
    equal(serials, list(truth(tenant)), "all of them, in order")
    decoded = base64.b64decode(page["cursor"] + "=" * (-len(page["cursor"]) % 4)).decode()
    shape = r"(\d+):(\d+):(\d{13}):(\d{13}):(true|false):(\d{13}).*"
    if "=" in page["cursor"] or len(page["cursor"]) > 1000 or not re.fullmatch(shape, decoded):
        raise AssertionError(decoded)
    if HAVE_SHARED:
        for known in shared_json("vectors", "apple-responses", "cursors.json"):
            if not re.fullmatch(shape, known["decoded"]):
                raise AssertionError(known["decoded"])
    expect(client.call("POST", "/server/devices", {"limit": 0}), 400, "MALFORMED_REQUEST_BODY")
    expect(client.call("POST", "/server/devices", {"limit": "10"}), 400, "MALFORMED_REQUEST_BODY")
    equal(len(client.ask("POST", "/server/devices", {"limit": 5000})["devices"]), 25, "a limit above the maximum")


@test
def the_maximum_of_a_page_is_kept():
    _, client = new_tenant(devices=120, page_default=50, page_maximum=100)
    equal(len(client.ask("POST", "/server/devices", {})["devices"]), 50, "default")
    equal(len(client.ask("POST", "/server/devices", {"limit": 1000})["devices"]), 100, "maximum")
    equal(len(client.fetch()[0]), 120, "all")


@test
def cursors_are_checked():
    _, client = new_tenant(devices=3)
    _, other = new_tenant(devices=3)
    cursor = client.fetch()[1]
    foreign = other.fetch()[1]
    forged = base64.b64encode(b"0:0:1536427698914:1536427698914:true:1536427698914").decode().rstrip("=")
    expect(client.call("POST", "/server/devices", {"cursor": cursor}), 400, "EXHAUSTED_CURSOR")
    expect(client.call("POST", "/devices/sync", {}), 400, "CURSOR_REQUIRED")
    expect(client.call("POST", "/devices/sync", {"cursor": ""}), 400, "CURSOR_REQUIRED")
    expect(client.call("POST", "/devices/sync", {"cursor": None}), 400, "CURSOR_REQUIRED")
    changed = cursor[:5] + ("A" if cursor[5] != "A" else "B") + cursor[6:]
    for bad in (foreign, forged, changed, "garbage", cursor[:-2], "x" * 2000, 5):
        for path in ("/server/devices", "/devices/sync"):
            expect(client.call("POST", path, {"cursor": bad}), 400, "INVALID_CURSOR")
    CONTROL.post("/clock", {"advance_s": WEEK_S - 60})
    client.sign_on()
    fresh = client.sync(cursor)[1]
    CONTROL.post("/clock", {"advance_s": 120})
    client.sign_on()
    expect(client.call("POST", "/devices/sync", {"cursor": cursor}), 400, "EXPIRED_CURSOR")
    equal(client.sync(fresh)[0], [], "an idle sync renews its cursor")


@test
def refused_pages_are_not_counted():
    tenant, client = new_tenant(devices=3)
    cursor = client.fetch()[1]
    client.sync(cursor)
    expect(client.call("POST", "/devices/sync", {"cursor": "garbage"}), 400, "INVALID_CURSOR")
    equal(CONTROL.get(f"/tenants/{tenant}/truth")["counts"]["sync_pages"], 1, "pages")


@test
def changes_come_in_order_and_once():
    tenant, client = new_tenant(devices=2)
    cursor = client.fetch()[1]
    added = CONTROL.post(f"/tenants/{tenant}/devices", {"count": 2})["serials"]
    facts = {"color": "PURPLE", "asset_tag": None, "new_field": {"a": 1}}
    CONTROL.call("PATCH", f"/tenants/{tenant}/devices/{added[0]}", facts)
    CONTROL.call("DELETE", f"/tenants/{tenant}/devices/{added[1]}")
    page = client.ask("POST", "/devices/sync", {"cursor": cursor})
    check_named("FetchDeviceResponse", page)
    changes, cursor = page["devices"], page["cursor"]
    equal([(change["serial_number"], change["op_type"]) for change in changes],
          [(added[0], "added"), (added[1], "added"), (added[0], "modified"), (added[1], "deleted")], "changes")
    equal({name: changes[2][name] for name in facts}, facts, "facts")
    equal(client.sync(cursor)[0], [], "nothing new")
    told = CONTROL.get(f"/tenants/{tenant}/changes?after=2")["changes"]
    equal([(change["serial_number"], change["op_type"], change["op_date"]) for change in told],
          [(change["serial_number"], change["op_type"], change["op_date"]) for change in changes], "the truth's changes")
    again = client.sync(client.fetch()[1])[0]
    equal(again, [], "after a new full list")


@test
def a_long_sync_comes_in_pages():
    tenant, client = new_tenant()
    cursor = client.fetch()[1]
    serials = CONTROL.post(f"/tenants/{tenant}/devices", {"count": 25})["serials"]
    page = client.ask("POST", "/devices/sync", {"cursor": cursor, "limit": 10})
    equal((len(page["devices"]), page["more_to_follow"]), (10, True), "first page")
    added = [change["serial_number"] for change in client.sync(cursor, 10)[0] if change["op_type"] == "added"]
    equal(added, serials, "all")
    expect(client.call("POST", "/server/devices", {"cursor": page["cursor"]}), 400, "EXHAUSTED_CURSOR")


@test
def quiet_changes_show_in_full_lists_only():
    tenant, client = new_tenant(devices=2)
    cursor = client.fetch()[1]
    serial = CONTROL.post(f"/tenants/{tenant}/devices", {"count": 1, "quiet": True})["serials"][0]
    gone = next(iter(truth(tenant)))
    CONTROL.call("DELETE", f"/tenants/{tenant}/devices/{gone}?quiet=1")
    equal(client.sync(cursor)[0], [], "sync")
    serials = {device["serial_number"] for device in client.fetch()[0]}
    equal((serial in serials, gone in serials), (True, False), "full list")


@test
def a_moved_device_loses_its_profile():
    one, here = new_tenant(devices=1)
    two, there = new_tenant()
    serial = next(iter(truth(one)))
    cursors = here.fetch()[1], there.fetch()[1]
    here.ask("POST", "/profile/devices", {"profile_uuid": define(here), "devices": [serial]})
    CONTROL.post(f"/tenants/{one}/devices/{serial}/move", {"to": two, "op_type": "modified"})
    there.ask("POST", "/profile/devices", {"profile_uuid": define(there), "devices": [serial]})
    changes = here.sync(cursors[0])[0]
    equal([(change["op_type"], "profile_uuid" in change, "device_assigned_by" in change) for change in changes],
          [("modified", False, False), ("deleted", False, False)], "the old server does not see what the new one has")
    there.ask("DELETE", "/profile/devices", {"devices": [serial]})
    change = there.sync(cursors[1])[0][0]
    equal((change["op_type"], change["profile_status"], "profile_uuid" in change), ("modified", "empty", False), "the new one")
    equal(CONTROL.get(f"/devices/{serial}")["tenant"], two, "the truth")
    details = here.ask("POST", "/devices", {"devices": [serial]})["devices"][serial]
    equal(details["response_status"], "NOT_ACCESSIBLE", "details")


@test
def details_are_per_device():
    tenant, client = new_tenant(devices=2)
    serials = list(truth(tenant))
    answer = client.ask("POST", "/devices", {"devices": serials + ["NOSUCHTHING"] + serials})
    check_named("DeviceListResponse", {"devices": {serial: answer["devices"][serial] for serial in serials}})
    equal({serial: device["response_status"] for serial, device in answer["devices"].items()},
          {serials[0]: "SUCCESS", serials[1]: "SUCCESS", "NOSUCHTHING": "NOT_ACCESSIBLE"}, "statuses")
    expect(client.call("POST", "/devices", {}), 400, "DEVICE_ID_REQUIRED")
    expect(client.call("POST", "/devices", {"devices": []}), 400, "DEVICE_ID_REQUIRED")
    expect(client.call("POST", "/devices", {"devices": [1]}), 400, "MALFORMED_REQUEST_BODY")
    if HAVE_SHARED:
        known = shared_json("vectors", "apple-responses", "micromdm", "device_details_response.json")["devices"]
        assigned = set(known["C02T0HL0GGC0"]) - {"profile_uuid", "profile_assign_time"}
        equal(assigned - set(answer["devices"][serials[0]]), set(), "members of the vector")


# Profiles.

@test
def a_profile_is_checked():
    _, client = new_tenant()
    good = {"profile_name": "n", "url": "https://mdm.example.com/"}
    for change, word in (
            ({"profile_name": None}, "CONFIG_NAME_REQUIRED"), ({"profile_name": ""}, "CONFIG_NAME_INVALID"),
            ({"profile_name": "ü" * 126}, "CONFIG_NAME_INVALID"), ({"profile_name": 5}, "CONFIG_NAME_INVALID"),
            ({"url": None}, "CONFIG_URL_REQUIRED"), ({"url": ""}, "CONFIG_URL_INVALID"),
            ({"url": "mdm"}, "CONFIG_URL_INVALID"), ({"configuration_web_url": "x"}, "CONFIG_URL_INVALID"),
            ({"url": "https://a b/"}, "CONFIG_URL_INVALID"), ({"url": "https://a/%zz"}, "CONFIG_URL_INVALID"),
            ({"url": "https://a/" + "x" * 1991}, "CONFIG_URL_INVALID"), ({"url": "https:///x"}, "CONFIG_URL_INVALID"),
            ({"department": "d" * 126}, "DEPARTMENT_INVALID"), ({"org_magic": "m" * 257}, "MAGIC_INVALID"),
            ({"support_phone_number": "1" * 51}, "SUPPORT_PHONE_INVALID"),
            ({"support_email_address": "e" * 251}, "SUPPORT_EMAIL_INVALID"),
            ({"is_mdm_removable": False}, "FLAGS_INVALID"), ({"is_supervised": "yes"}, "FLAGS_INVALID"),
            ({"language": "english"}, "LOCALE_INVALID"), ({"region": "us"}, "LOCALE_INVALID"),
            ({"skip_setup_items": "TOS"}, "MALFORMED_REQUEST_BODY"), ({"anchor_certs": ["%"]}, "MALFORMED_REQUEST_BODY")):
        body = {name: value for name, value in {**good, **change}.items() if value is not None}
        expect(client.call("POST", "/profile", body), 400, word)
    for change in ({"profile_name": "ü" * 125}, {"is_mdm_removable": False, "is_supervised": True},
                   {"language": "de", "region": "DE"}, {"url": "https://a/" + "x" * 1990}, {"anchor_certs": ["aGVsbG8="]},
                   {"future": [1]}, {"org_magic": "", "department": "", "support_phone_number": "", "support_email_address": ""}):
        answer = client.ask("POST", "/profile", {**good, **change})
        check_named("DefineProfileResponse", answer)
        if not re.fullmatch("[0-9A-F]{32}", answer["profile_uuid"]):
            raise AssertionError(answer["profile_uuid"])


@test
def a_profile_is_given_back_with_defaults():
    _, client = new_tenant(devices=1)
    serial = client.fetch()[0][0]["serial_number"]
    given = {"profile_name": "n", "url": "https://m.example/", "future": 1, "org_magic": "m", "skip_setup_items": ["TOS"]}
    answer = client.ask("POST", "/profile", {**given, "devices": [serial]})
    equal(answer["devices"], {serial: "SUCCESS"}, "assigned at once")
    profile = client.ask("GET", "/profile?profile_uuid=" + answer["profile_uuid"])
    check_named("Profile", profile)
    usual = {"allow_pairing": True, "is_supervised": False, "is_mandatory": False, "is_mdm_removable": True,
             "await_device_configured": False, "auto_advance_setup": False, "is_multi_user": False}
    equal(profile, {**given, **usual, "profile_uuid": answer["profile_uuid"]}, "profile")
    if define(client) == define(client):
        raise AssertionError("each definition is another profile")
    expect(client.call("GET", "/profile"), 400, "PROFILE_UUID_REQUIRED")
    expect(client.call("GET", "/profile?profile_uuid=" + "0" * 32), 400, "NOT_FOUND")
    _, other = new_tenant()
    expect(other.call("GET", "/profile?profile_uuid=" + answer["profile_uuid"]), 400, "NOT_FOUND")
    if HAVE_SHARED:
        known = shared_json("vectors", "apple-responses", "micromdm", "fetch_profile_response.json")
        optional = {"support_phone_number", "support_email_address", "department"}
        equal(set(known) - optional - set(profile), set(), "members of the vector")


@test
def assignment_walks_every_device():
    tenant, client = new_tenant(devices=3)
    serials = list(truth(tenant))
    cursor = client.fetch()[1]
    uuid = define(client)
    for method in ("POST", "PUT"):
        answer = client.ask(method, "/profile/devices", {"profile_uuid": uuid, "devices": serials[:2] + ["ELSEWHERE"]})
        check_named("AssignProfileResponse", answer)
        results = {serials[0]: "SUCCESS", serials[1]: "SUCCESS", "ELSEWHERE": "NOT_ACCESSIBLE"}
        equal(answer, {"profile_uuid": uuid, "devices": results}, "results")
        for device in client.ask("POST", "/devices", {"devices": serials[:2]})["devices"].values():
            equal((device["profile_uuid"], device["profile_status"]), (uuid, "assigned"), "profile")
    equal({change["op_type"] for change in client.sync(cursor)[0]}, {"modified"}, "changes")
    equal(truth(tenant)[serials[0]]["profile_url"], "https://mdm.example.com/enroll", "the truth")
    expect(client.call("POST", "/profile/devices", {"profile_uuid": uuid}), 400, "DEVICE_ID_REQUIRED")
    expect(client.call("POST", "/profile/devices", {"devices": serials}), 400, "PROFILE_UUID_REQUIRED")
    expect(client.call("POST", "/profile/devices", {"profile_uuid": "F" * 32, "devices": serials}), 404, "PROFILE_NOT_FOUND")


@test
def each_assignment_is_a_change():
    tenant, client = new_tenant(devices=2)
    cursor = client.fetch()[1]
    uuid = define(client)
    for _ in range(2):
        client.ask("POST", "/profile/devices", {"profile_uuid": uuid, "devices": list(truth(tenant))})
    changes = client.sync(cursor)[0]
    equal([change["op_type"] for change in changes], ["modified"] * 4, "changes")
    equal((changes[0]["profile_uuid"], changes[0]["profile_status"]), (uuid, "assigned"), "profile")
    equal(changes[0]["profile_assign_time"], changes[2]["op_date"], "the last assignment's time")
    equal(CONTROL.get(f"/tenants/{tenant}/truth")["counts"]["assigned_needlessly"], 2, "needless assignments")


@test
def more_than_a_thousand_devices_are_not_assigned():
    tenant, client = new_tenant(devices=1001)
    answer = client.ask("POST", "/profile/devices", {"profile_uuid": define(client), "devices": list(truth(tenant))})
    equal(sorted(answer["devices"].values()), ["FAILED"] + ["SUCCESS"] * 1000, "results")


@test
def removing_a_profile_walks_every_device():
    tenant, client = new_tenant(devices=2)
    serials = list(truth(tenant))
    uuid = define(client)
    client.ask("POST", "/profile/devices", {"profile_uuid": uuid, "devices": serials})
    answer = client.ask("DELETE", "/profile/devices", {"devices": serials + ["ELSEWHERE"]})
    check_named("ClearProfileResponse", answer)
    equal(answer["devices"], {serials[0]: "SUCCESS", serials[1]: "SUCCESS", "ELSEWHERE": "NOT_ACCESSIBLE"}, "results")
    for device in client.ask("POST", "/devices", {"devices": serials})["devices"].values():
        equal(device.get("profile_uuid") == uuid, False, "it is gone")
    expect(client.call("DELETE", "/profile/devices", {}), 400, "DEVICE_ID_REQUIRED")


@test
def removing_a_profile_depends_on_what_the_device_has():
    tenant, client = new_tenant(devices=2)
    serials = list(truth(tenant))
    client.ask("POST", "/profile/devices", {"profile_uuid": define(client), "devices": serials})
    CONTROL.call("PATCH", f"/tenants/{tenant}/devices/{serials[0]}", {"profile_status": "pushed"})
    pushed = {device["serial_number"]: device for device in client.fetch()[0]}[serials[0]]
    equal((pushed["profile_status"], "profile_push_time" in pushed), ("pushed", True), "pushed")
    client.ask("DELETE", "/profile/devices", {"devices": serials})
    equal([truth(tenant)[serial]["profile_status"] for serial in serials], ["removed", "empty"], "statuses")


@test
def a_device_that_left_and_came_back_has_no_profile():
    tenant, client = new_tenant(devices=1)
    serial = next(iter(truth(tenant)))
    cursor = client.fetch()[1]
    client.ask("POST", "/profile/devices", {"profile_uuid": define(client), "devices": [serial]})
    CONTROL.call("DELETE", f"/tenants/{tenant}/devices/{serial}")
    CONTROL.post(f"/tenants/{tenant}/devices", {"devices": [serial], "assigned_by_default": True})
    changes = client.sync(cursor)[0]
    last = [change for change in changes if change["op_type"] == "added"][-1]
    equal({change["op_type"] for change in changes[changes.index(last) + 1:]} <= {"modified"}, True, "it stays")
    equal((last["profile_status"], "profile_uuid" in last), ("empty", False), "it has no profile")
    equal(last["device_assigned_by"], "-1", "nobody did it")


@test
def throttling_differs_by_version_and_cools_down():
    tenant, client = new_tenant(devices=2)
    serials = list(truth(tenant))
    uuid = define(client)
    request = {"profile_uuid": uuid, "devices": serials}
    for version, result, has_time in ((10, "THROTTLED", True), (9, "THROTTLED", False), (8, "FAILED", False)):
        client.version = version
        CONTROL.post("/faults", {"tenant": tenant, "throttle": {"serials": serials[:1], "retry_after_seconds": 600}})
        answer = client.ask("POST", "/profile/devices", request)
        check_named("AssignProfileResponse", answer)
        equal(answer["devices"], {serials[0]: result, serials[1]: "SUCCESS"}, f"version {version}")
        equal(answer.get("retry_after_seconds"), 600 if has_time else None, f"version {version}")
    client.version = 10
    equal(client.ask("POST", "/profile/devices", request)["devices"][serials[0]], "THROTTLED", "too early")
    equal(CONTROL.get(f"/tenants/{tenant}/truth")["counts"]["assigned_too_early"], 1, "noticed")
    CONTROL.post("/clock", {"advance_s": 86401})
    client.sign_on()
    equal(client.ask("POST", "/profile/devices", request)["devices"][serials[0]], "SUCCESS", "after a day")


@test
def results_can_be_planted_per_device():
    tenant, client = new_tenant(devices=200)
    serials = list(truth(tenant))
    request = {"profile_uuid": define(client), "devices": serials}
    for member, result in (("fail", "FAILED"), ("not_accessible", "NOT_ACCESSIBLE")):
        CONTROL.post("/faults", {"tenant": tenant, member: {"share": 0.3}})
        results = list(client.ask("POST", "/profile/devices", request)["devices"].values())
        if not 20 < results.count(result) < 120 or results.count(result) + results.count("SUCCESS") != 200:
            raise AssertionError(results)
    CONTROL.post("/faults", {"tenant": tenant, "missing": {"serials": serials[:2]}})
    equal(len(client.ask("POST", "/profile/devices", request)["devices"]), 198, "missing")


# The rest.

@test
def disowned_devices_are_gone():
    tenant, client = new_tenant(devices=2)
    serials = list(truth(tenant))
    cursor = client.fetch()[1]
    answer = client.ask("POST", "/devices/disown", {"devices": [serials[0], "ELSEWHERE"]})
    check_named("DeviceStatusResponse", answer)
    equal(answer["devices"], {serials[0]: "SUCCESS", "ELSEWHERE": "NOT_ACCESSIBLE"}, "results")
    equal([change["op_type"] for change in client.sync(cursor)[0]], ["deleted"], "changes")
    CONTROL.call("PATCH", f"/tenants/{tenant}", {"may_not_disown": True})
    equal(client.ask("POST", "/devices/disown", {"devices": serials[1:]})["devices"], {serials[1]: "FAILED"}, "not allowed")
    expect(client.call("POST", "/devices/disown", {}), 400, "DEVICE_ID_REQUIRED")


@test
def activation_lock_answers_per_device():
    tenant, client = new_tenant(devices=1)
    CONTROL.post(f"/tenants/{tenant}/devices", {"devices": ["LOCKME0001"]})
    answer = client.ask("POST", "/device/activationlock", {"device": "ELSEWHERE", "escrow_key": "0" * 64})
    check_named("ActivationLockStatusResponse", answer)
    equal(answer, {"serial_number": "ELSEWHERE", "response_status": "NOT_ACCESSIBLE"}, "elsewhere")
    mac = next(d["serial_number"] for d in client.fetch()[0] if d["device_family"] != "AppleTV")
    for status in ("SUCCESS", "DEVICE_ALREADY_LOCKED"):
        equal(client.ask("POST", "/device/activationlock", {"device": mac})["response_status"], status, "lock")
    short = {"device": mac, "escrow_key": "short"}
    expect(client.call("POST", "/device/activationlock", short), 400, "MALFORMED_REQUEST_BODY")


@test
def beta_tokens_can_be_turned_off():
    tenant, client = new_tenant()
    answer = client.ask("GET", "/os-beta-enrollment/tokens")
    check_named("GetSeedBuildTokenResponse", answer)
    equal(answer["betaEnrollmentTokens"], answer["seedBuildTokens"], "twins")
    CONTROL.call("PATCH", f"/tenants/{tenant}", {"beta_off": True})
    expect(client.call("GET", "/os-beta-enrollment/tokens"), 403, "APPLE_SEED_FOR_IT_TURNED_OFF")


@test
def service_discovery_is_kept():
    tenant, client = new_tenant()
    path = "/account-driven-enrollment/profile"
    expect(client.call("GET", path), 404, "NOT_FOUND")
    expect(client.call("POST", path, {}), 400, "MDM_SERVICE_DISCOVERY_URL_REQUIRED")
    insecure = {"mdm_service_discovery_url": "http://a.example"}
    expect(client.call("POST", path, insecure), 400, "MDM_SERVICE_DISCOVERY_URL_NOT_VALID")
    equal(client.call("POST", path, {"mdm_service_discovery_url": "https://a.example/x"}).status, 200, "set")
    answer = client.ask("GET", path)
    check_named("GetAccountDrivenEnrollmentProfileResponse", answer)
    equal(answer["mdm_service_discovery_url"], "https://a.example/x", "kept")
    equal(client.call("DELETE", path).status, 200, "delete")
    expect(client.call("GET", path), 404, "NOT_FOUND")
    CONTROL.call("PATCH", f"/tenants/{tenant}", {"discovery_unsupported": True})
    for method, body in (("GET", None), ("DELETE", None), ("POST", {"mdm_service_discovery_url": "https://a.example/x"})):
        expect(client.call(method, path, body), 400, "ORG_NOT_SUPPORTED")


@test
def a_replacement_names_the_device_it_replaces():
    tenant, client = new_tenant(devices=1)
    old = next(iter(truth(tenant)))
    cursor = client.fetch()[1]
    new = CONTROL.post(f"/tenants/{tenant}/devices/{old}/replace")["serial_number"]
    changes = {change["op_type"]: change for change in client.sync(cursor)[0]}
    equal((changes["deleted"]["serial_number"], changes["deleted"]["released_by_replacement"]), (old, True), "the old device")
    equal((changes["added"]["serial_number"], changes["added"]["is_replacement_device"]), (new, True), "the new device")
    details = client.ask("GET", "/device/replacementDetails?device=" + new)
    equal((details["serial_number"], details["original_device_serial_number"]), (new, old), "details")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", details["replacement_date"]):
        raise AssertionError(details)
    expect(client.call("GET", "/device/replacementDetails"), 400, "DEVICE_ID_REQUIRED")
    expect(client.call("GET", "/device/replacementDetails?device=" + old), 404, "DEVICE_NOT_FOUND")
    client.version = 9
    expect(client.call("GET", "/device/replacementDetails?device=" + new), 404, "NOT_FOUND")


# The token file.

@test
def the_token_file_has_apples_layout():
    tenant, _ = new_tenant()
    file = CONTROL.call("POST", f"/tenants/{tenant}/token", CERTIFICATE)
    head, body = file.split(b"\n\n", 1)
    equal(head.decode().split("\n"), [
        'Content-Type: application/pkcs7-mime; name="smime.p7m"; smime-type=enveloped-data',
        "Content-Transfer-Encoding: base64", 'Content-Disposition: attachment; filename="smime.p7m"',
        "Content-Description: S/MIME Encrypted Message"], "outer headers")
    lines = body.decode().rstrip("\n").split("\n")
    equal({len(line) for line in lines[:-1]}, {76}, "columns")
    equal(lines[0][:4], "MIAG", "indefinite length")
    with open(in_folder("token.der"), "wb") as out:
        out.write(base64.b64decode(body))
    with open(in_folder("token.p7m"), "wb") as out:
        out.write(file)
    dump = openssl("asn1parse", "-inform", "DER", "-in", "token.der").stdout.decode()
    shape = [" ".join(re.search(r" l= *(\S+ .*)", line).group(1).split()) for line in dump.strip().split("\n")]
    wanted = [r"inf cons: SEQUENCE", r"\d+ prim: OBJECT :pkcs7-envelopedData", r"inf cons: cont \[ 0 \]",
              r"inf cons: SEQUENCE", r"1 prim: INTEGER :00", r"\d+ cons: SET", r"\d+ cons: SEQUENCE", r"1 prim: INTEGER :00"]
    for index, pattern in enumerate(wanted):
        if not re.fullmatch(pattern, shape[index]):
            raise AssertionError(f"element {index}: {shape[index]}")
    text = "\n".join(shape)
    for pattern in (r"INTEGER :1234\n", r"OBJECT :rsaEncryption\n0 prim: NULL\n256 prim: OCTET STRING",
                    r"inf cons: SEQUENCE\n9 prim: OBJECT :pkcs7-data\n29 cons: SEQUENCE\n9 prim: OBJECT :aes-128-cbc\n16 prim: ",
                    r"inf cons: cont \[ 0 \]\n\d+ prim: OCTET STRING", r"0 prim: EOC$"):
        if not re.search(pattern, text):
            raise AssertionError(f"no {pattern} in\n{text}")


@test
def the_token_file_opens_with_its_key_only():
    tenant, _ = new_tenant()
    with open(in_folder("open.p7m"), "wb") as out:
        out.write(CONTROL.call("POST", f"/tenants/{tenant}/token?expires_in_s=86400", CERTIFICATE))
    decrypt = ("cms", "-decrypt", "-inform", "SMIME", "-in", "open.p7m")
    plain = openssl(*decrypt, "-recip", "cert.pem", "-inkey", "key.pem").stdout
    head, body = plain.split(b"\r\n\r\n", 1)
    equal(head.decode().split("\r\n"),
          ["Content-Type: text/plain;charset=UTF-8", "Content-Transfer-Encoding: 7bit"], "inner headers")
    begin, text, end = body.decode().replace("\r", "").strip().split("\n")
    equal((begin, end), ("-----BEGIN MESSAGE-----", "-----END MESSAGE-----"), "frame")
    token = json.loads(text)
    kept = CONTROL.get(f"/tenants/{tenant}/token")
    for name, pattern in (("consumer_key", "CK_[0-9a-f]{64}"), ("consumer_secret", "CS_[0-9a-f]{40}"),
                          ("access_token", r"AT_O\d+O[0-9a-f]+O\d{13}"), ("access_secret", "AS_[0-9a-f]{40}")):
        equal((token[name], bool(re.fullmatch(pattern, token[name]))), (kept[name], True), name)
    expiry = datetime.datetime.fromisoformat(token["access_token_expiry"].replace("Z", "+00:00")).timestamp()
    equal(int(expiry), kept["expires_at_s"], "expiry")
    equal(AppleClient(APPLE, token).sign_on().status, 200, "it works")
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other", "-keyout", "other.pem",
            "-out", "other-cert.pem")
    wrong = openssl(*decrypt, "-recip", "other-cert.pem", "-inkey", "other.pem", check=False)
    if wrong.returncode == 0:
        raise AssertionError("another key opened it")
    CONTROL.call("PUT", f"/tenants/{tenant}/certificate", b"no certificate", status=400)


if __name__ == "__main__":
    sys.exit(run_tests(stop))
