#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# A virtual DEP server is Apple as applesim is: applesim's own conformance tests, as they stand, against depbroker; when they turn the clock, all
# programs' time of day goes on. Left out are those of LEFT_OUT.
import base64
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import apple_client  # noqa: E402
import apple_rig  # noqa: E402
import applesim_conforms as conforms  # noqa: E402
import programs  # noqa: E402
import virtual_dep  # noqa: E402
from apple_client import AppleClient, authorization  # noqa: E402
from programs import equal, run_tests, test  # noqa: E402
from shifted_clock import ShiftedClock  # noqa: E402
from virtual_control import VirtualControl  # noqa: E402
from world import Problem, World, difference, wait_until  # noqa: E402

LEFT_OUT = {
    # of the simulation, not of the protocol
    conforms.the_published_vectors_are_accepted: "tokens are depbroker's own; the signature is tested with them in test_dep_face",
    conforms.sessions_can_be_forgotten: "a control of applesim's; a session ends with its token",
    conforms.a_session_token_rotates_and_the_old_one_has_grace: "after so many requests; here by age, which is tested below",
    conforms.the_same_seed_gives_the_same_world: "a control of applesim's",
    conforms.the_maximum_of_a_page_is_kept: "a control of applesim's; the maximum is 1000, which is tested below",
    conforms.refused_pages_are_not_counted: "applesim's count",
    conforms.results_can_be_planted_per_device: "a control of applesim's",
    # of what depbroker does for its MDM servers
    conforms.a_token_of_another_administrator_has_another_consumer_key: "a virtual server has no administrators",
    conforms.quiet_changes_show_in_full_lists_only: "what Apple's changes missed, and a full list finds, is told as a change",
    conforms.changes_come_in_order_and_once: "what came and went within one look at Apple is not told; tested below for what stays",
    conforms.a_moved_device_loses_its_profile: "a device that moves is `added`, never `modified`; tested below",
    conforms.each_assignment_is_a_change: "what a device has already is not assigned again",
    conforms.removing_a_profile_depends_on_what_the_device_has: "the device has the instance's profile then, not none",
    conforms.throttling_differs_by_version_and_cools_down: "nothing is asked of Apple before its time; tested below",
    conforms.disowned_devices_are_gone: "refused unless it is enabled; tested below",
}
SHARED = [shared for shared in programs.TESTS if shared not in LEFT_OUT]  # importing registered them
HOSTS = ["mdm.example.com", "m.example", "a", "a.example"]  # where the profiles of these tests lead

apple_rig.stop()
programs.TESTS[:] = []
CLOCK = ShiftedClock()
with CLOCK.for_programs():
    WORLD = World(workers=1, own_postgres=True, **virtual_dep.settings())
CONTROL = VirtualControl(WORLD, CLOCK)
DEP = virtual_dep.address(WORLD)
expect = conforms.expect


def new_client(devices=0, **more):
    client = WORLD.onboard(devices=devices, interval_s=2, **more)
    if "admin_id" in more:  # whom depbroker knows
        WORLD.operator.call("PATCH", client.path, {"apple_contact": more["admin_id"]})
    CONTROL.know(client)
    wait_until(lambda: not unlike(client), lambda: unlike(client), 60)
    return client


def unlike(client):
    """Serial numbers and profiles at Apple and here; empty: the same."""
    truth = {device["serial_number"]: device.get("profile_uuid") for device in client.truth()["devices"]}
    return difference(truth, {serial: row["profile_uuid"] for serial, row in client.stored().items()})


def new_tenant(devices=0, version=10, **more):
    client = new_client(devices, **more)
    allow(client, *HOSTS)
    CONTROL.post(f"/tenants/{client.apple}/token", apple_rig.CERTIFICATE)
    apple = AppleClient(DEP, CONTROL.get(f"/tenants/{client.apple}/token"), version)
    equal(apple.sign_on().status, 200, "sign on")
    return client.apple, apple


def allow(client, *hosts, instance="main"):
    known = WORLD.technician.get(f"{client.path}/instances/{instance}")["allowed_hosts"]
    WORLD.technician.call("PATCH", f"{client.path}/instances/{instance}", {"allowed_hosts": sorted({*known, *hosts})})


def in_our_order(tenant):
    """Ours is by serial number: nothing that an MDM server may rely on."""
    return {device["serial_number"]: device
            for device in sorted(CONTROL.clients[tenant].truth()["devices"], key=lambda device: device["serial_number"])}


def own_server_uuid(tenant):
    return WORLD.technician.get(f"{CONTROL.clients[tenant].path}/instances/main/dep-token")["server_uuid"]


def take_over():
    conforms.new_tenant, conforms.APPLE, conforms.truth, conforms.CONTROL = new_tenant, DEP, in_our_order, CONTROL
    conforms.server_uuid = own_server_uuid
    conforms.time = apple_client.time = CLOCK
    programs.TESTS[:] = SHARED + programs.TESTS


@test
def a_token_is_in_apples_layout_and_opens():
    client = new_client()
    file = WORLD.technician.call("POST", f"{client.path}/instances/main/dep-token", virtual_dep.PAIR.read("cert.der"))
    head, body = file.split(b"\n\n", 1)
    equal(head.decode().split("\n"), [
        'Content-Type: application/pkcs7-mime; name="smime.p7m"; smime-type=enveloped-data',
        "Content-Transfer-Encoding: base64", 'Content-Disposition: attachment; filename="smime.p7m"',
        "Content-Description: S/MIME Encrypted Message"], "outer headers")
    lines = body.decode().rstrip("\n").split("\n")
    equal({len(line) for line in lines[:-1]}, {76}, "columns")
    equal(lines[0][:4], "MIAG", "indefinite length")
    base64.b64decode(body)
    token = virtual_dep.PAIR.open(file)
    equal(AppleClient(DEP, token).sign_on().status, 200, "sign on")
    shown = WORLD.technician.get(f"{client.path}/instances/main/dep-token")
    equal((shown["state"], shown["instance"], shown["consumer_key_end"]), ("active", "main", token["consumer_key"][-4:]), "shown")
    if shown["used_at"] is None:
        raise AssertionError("it was used")
    equal(WORLD.technician.get(f"{client.path}/dep-tokens")["items"][0]["server_uuid"], shown["server_uuid"], "listed")
    for body in (b"", b"nothing", virtual_dep.PAIR.read("key.pem")):
        try:
            WORLD.technician.call("POST", f"{client.path}/instances/main/dep-token", body)
        except Problem as problem:
            equal(problem.status, 422, "no certificate")
        else:
            raise AssertionError("accepted")
    equal(AppleClient(DEP, token).sign_on().status, 200, "what was refused has changed nothing")


@test
def no_secret_of_a_token_is_in_the_database_or_the_log():
    client = new_client()
    token = virtual_dep.make_token(client)
    tables = client.rows("select c.relname as name from pg_class c where c.relnamespace = 'depbroker'::regnamespace and c.relkind = 'r'")
    for secret in (token["consumer_secret"], token["access_secret"], token["access_token"]):
        for table in tables:
            equal(client.row(f"select count(*) as n from depbroker.{table['name']} t where t::text like '%{secret}%'")["n"], 0, table["name"])
        with open(WORLD.broker.log_path, encoding="utf-8") as log:
            equal(secret in log.read(), False, "log")


@test
def a_renewed_token_ends_the_old_one_and_a_revoked_one_is_none():
    client = new_client(devices=2)
    apple = virtual_dep.sign_on(client)
    cursor = apple.fetch()[1]
    uuid = apple.ask("GET", "/account")["server_uuid"]
    session, renewed = apple.session, virtual_dep.make_token(client)
    equal(renewed["consumer_key"], apple.token["consumer_key"], "consumer key of the same server")
    expect(apple.sign_on(), 403, "token_rejected")
    apple.session = session
    expect(apple.call("GET", "/account"), 401, "UNAUTHORIZED")
    again = AppleClient(DEP, renewed)
    equal(again.sign_on().status, 200, "the new one")
    equal(again.ask("GET", "/account")["server_uuid"], uuid, "the same server")
    equal(again.sync(cursor)[0], [], "the cursor lives on")
    WORLD.technician.call("DELETE", f"{client.path}/instances/main/dep-token")
    expect(again.call("GET", "/account"), 401, "UNAUTHORIZED")
    expect(again.sign_on(), 401, "token_rejected")
    equal(WORLD.technician.get(f"{client.path}/instances/main/dep-token")["state"], "revoked", "state")


@test
def unknown_tokens_are_refused_alike():
    _, client = new_tenant()
    key = client.token["consumer_key"]
    nobody = key[:3] + "%016x" % 999999 + key[19:]
    other_instance = key[:19] + "%016x" % 999999 + key[35:]
    last_digit = key[:-1] + ("0" if key[-1] != "0" else "1")
    for unknown in ("CK_unknown", nobody, other_instance, last_digit):
        expect(client.sign_on(header=authorization({**client.token, "consumer_key": unknown}, DEP + "/session")), 401, "token_rejected")
    equal(client.sign_on(header=authorization(client.token, DEP.replace("http:", "https:") + "/session")).status, 200, "behind a TLS proxy")


@test
def a_session_survives_the_api_process():
    client = new_client(devices=3)
    apple = virtual_dep.sign_on(client)
    session = apple.session
    WORLD.psql.close()
    WORLD.psql = None
    WORLD.broker.stop()
    WORLD.broker.start()
    apple.peer.close()
    equal(len(apple.fetch()[0]), 3, "devices")
    equal(apple.session, session, "the same session")
    expect(apple.call("GET", "/account", X_ADM_Auth_Session=None), 401, "UNAUTHORIZED")
    expect(apple.call("GET", "/account", X_ADM_Auth_Session="00000001zzzz"), 401, "UNAUTHORIZED")
    expect(apple.call("GET", "/account", X_ADM_Auth_Session=session[:-1] + ("0" if session[-1] != "0" else "1")), 401, "UNAUTHORIZED")


@test
def the_account_is_the_clients_and_the_server_its_own():
    client = new_client()
    account = virtual_dep.sign_on(client).ask("GET", "/account")
    equal(account["server_name"], "main", "the instance")
    equal(account["server_uuid"] == WORLD.apple.get(f"/tenants/{client.apple}")["server_uuid"], False, "Apple's own server is not told")


@test
def records_are_apples_own_in_every_version():
    client = new_client(devices=60)
    client.change(next(iter(in_our_order(client.apple))), mdm_migration_deadline="2027-01-01T00:00:00Z")
    client.sync_now()
    wait_until(lambda: client.rows("select 1 as x from depbroker.devices where tenant_id = {id} and mdm_migration_deadline is not null"), "deadline")
    apple = virtual_dep.sign_on(client)
    at_apple = AppleClient(WORLD.apple_url, WORLD.apple.get(f"/tenants/{client.apple}/token"))
    at_apple.sign_on()
    for version in list(range(1, 11)) + [None]:
        apple.version = at_apple.version = version
        wanted = {device["serial_number"]: device for device in at_apple.fetch()[0]}
        found = {device["serial_number"]: device for device in apple.fetch()[0]}
        equal(difference(wanted, found), "", f"version {version}: the very records of Apple's")


@test
def no_cursor_outlives_a_restored_database():
    client = new_client(devices=3)
    apple = virtual_dep.sign_on(client)
    cursor = apple.fetch()[1]
    equal(apple.sync(cursor)[0], [], "before")
    client.sql("update depbroker.installation set incarnation = incarnation + 1")
    expect(apple.call("POST", "/devices/sync", {"cursor": cursor}), 400, "INVALID_CURSOR")
    equal(len(apple.fetch()[0]), 3, "and all is well after a full list")


@test
def a_session_is_replaced_in_time():
    _, client = new_tenant()
    first = client.session
    CLOCK.advance(880)
    equal((client.call("GET", "/account").status, client.session == first), (200, True), "young")
    CLOCK.advance(40)
    equal((client.call("GET", "/account").status, client.session == first), (200, False), "another one comes")
    equal(client.call("GET", "/account", X_ADM_Auth_Session=first).status, 200, "the old one is good until its end")
    CLOCK.advance(920)
    expect(client.call("GET", "/account", X_ADM_Auth_Session=first), 401, "UNAUTHORIZED")
    equal(client.call("GET", "/account").status, 200, "the new one lives on")


@test
def a_page_has_a_thousand_devices_at_most():
    client = new_client(devices=1001)
    apple = virtual_dep.sign_on(client)
    for limit in ({}, {"limit": 5000}):
        page = apple.ask("POST", "/server/devices", limit)
        equal((len(page["devices"]), page["more_to_follow"]), (1000, True), f"{limit}")
    equal(len(apple.fetch()[0]), 1001, "all")


@test
def changes_are_told_in_order():
    client = new_client(devices=2)
    mirror = virtual_dep.Mirror(virtual_dep.sign_on(client), limit=2)
    mirror.fetch()
    added = client.add(3)
    client.sync_now()
    wait_until(lambda: not unlike(client), lambda: unlike(client), 60)
    changes = mirror.sync()
    for serial in added:
        told = [change["op_type"] for change in changes if change["serial_number"] == serial]
        equal((told[0], set(told[1:]) <= {"modified"}), ("added", True), f"{serial}: {told}")
    client.change(added[0], color="PURPLE", new_field={"a": 1})
    client.remove(added[1])
    client.sync_now()
    wait_until(lambda: added[1] not in client.stored(), "the device is still there")
    changes = mirror.sync()
    of = {change["serial_number"]: change for change in changes}
    equal((of[added[0]]["op_type"], of[added[0]]["color"], of[added[0]]["new_field"]), ("modified", "PURPLE", {"a": 1}), "changed")
    equal((of[added[1]]["op_type"], "profile_uuid" in of[added[1]], "device_assigned_by" in of[added[1]]), ("deleted", False, False), "gone")
    for change in changes:
        conforms.check_named("Device", change)
    equal(set(mirror.devices), set(client.stored()), "mirror")
    equal(mirror.sync(), [], "nothing is told twice")
    equal(mirror.apple.ask("POST", "/devices", {"devices": [added[1]]})["devices"][added[1]]["response_status"], "NOT_ACCESSIBLE", "details")


def at_apple(client, serial):
    """The URL that Apple sends the device to."""
    uuid = {device["serial_number"]: device.get("profile_uuid") for device in client.truth()["devices"]}[serial]
    profiles = {profile["profile_uuid"]: profile["url"] for profile in WORLD.apple.get(f"/tenants/{client.apple}/profiles")["profiles"]}
    return profiles.get(uuid)


def until_at_apple(client, serial, url):
    wait_until(lambda: at_apple(client, serial) == url, lambda: f"{serial} is sent to {at_apple(client, serial)}, not to {url}", 30)


def two_instances():
    """A client whose second device is pinned to its second instance, and an MDM server of each."""
    client = new_client(devices=2)
    mine, theirs = list(in_our_order(client.apple))
    WORLD.technician.post(f"{client.path}/instances", {"name": "school", "kind": "fleet", "enrolment_url": "https://mdm.school.example/enrol",
                                                       "allowed_hosts": ["mdm.school.example"]})
    WORLD.technician.call("PUT", f"{client.path}/devices/{theirs}/pin", {"instance": "school"})
    until_at_apple(client, theirs, "https://mdm.school.example/enrol")
    allow(client, "mdm.example.com")
    return client, mine, theirs, virtual_dep.sign_on(client), virtual_dep.sign_on(client, "school")


@test
def a_profile_gets_to_the_instances_own_devices_only():
    client, mine, theirs, main, school = two_instances()
    own = f"https://mdm.{client.slug}.example/enroll"
    uuid = conforms.define(main)
    cursor = main.fetch()[1]
    for method in ("POST", "PUT"):
        answer = main.ask(method, "/profile/devices", {"profile_uuid": uuid, "devices": [mine, theirs, "ELSEWHERE"]})
        conforms.check_named("AssignProfileResponse", answer)
        equal(answer, {"profile_uuid": uuid, "devices": {mine: "SUCCESS", theirs: "NOT_ACCESSIBLE", "ELSEWHERE": "NOT_ACCESSIBLE"}}, "results")
        for record in (main.ask("POST", "/devices", {"devices": [mine]})["devices"][mine], main.fetch()[0][0]):
            equal((record["profile_uuid"], record["profile_status"], "profile_push_time" in record), (uuid, "assigned", False), "shown at once")
    until_at_apple(client, mine, "https://mdm.example.com/enroll")
    until_at_apple(client, theirs, "https://mdm.school.example/enrol")
    equal(client.truth()["counts"]["assigned_needlessly"], 0, "nothing is assigned twice")
    equal({change["op_type"] for change in main.sync(cursor)[0]}, {"modified"}, "changes")
    expect(school.call("POST", "/profile/devices", {"profile_uuid": uuid, "devices": [theirs]}), 404, "PROFILE_NOT_FOUND")
    expect(school.call("GET", "/profile?profile_uuid=" + uuid), 400, "NOT_FOUND")
    details = school.ask("POST", "/devices", {"devices": [mine, theirs]})["devices"]
    equal((details[mine], details[theirs]["response_status"]), ({"serial_number": mine, "response_status": "NOT_ACCESSIBLE"}, "SUCCESS"), "details")
    equal(school.ask("DELETE", "/profile/devices", {"devices": [mine]})["devices"], {mine: "NOT_ACCESSIBLE"}, "another's device")
    equal(at_apple(client, mine), "https://mdm.example.com/enroll", "nothing has changed")
    answer = main.ask("DELETE", "/profile/devices", {"devices": [mine, theirs]})
    equal(answer["devices"], {mine: "SUCCESS", theirs: "NOT_ACCESSIBLE"}, "removed")
    until_at_apple(client, mine, own)


@test
def a_device_that_moves_leaves_the_profile_of_the_old_server():
    client, mine, _, main, school = two_instances()
    main.ask("POST", "/profile/devices", {"profile_uuid": conforms.define(main), "devices": [mine]})
    until_at_apple(client, mine, "https://mdm.example.com/enroll")
    cursor = school.fetch()[1]
    WORLD.technician.call("PUT", f"{client.path}/devices/{mine}/pin", {"instance": "school"})
    until_at_apple(client, mine, "https://mdm.school.example/enrol")
    told = school.sync(cursor)[0]
    equal((told[0]["op_type"], told[0]["profile_status"], "profile_uuid" in told[0]), ("added", "empty", False), "the old profile is not told")
    equal(main.ask("POST", "/profile/devices", {"profile_uuid": conforms.define(main), "devices": [mine]})["devices"], {mine: "NOT_ACCESSIBLE"}, "not its own")
    client.sync_now("full")
    equal(at_apple(client, mine), "https://mdm.school.example/enrol", "the old wish counts for nothing")


@test
def a_profile_stays_on_the_instances_hosts():
    client, mine, _, main, _ = two_instances()
    defined = len(WORLD.apple.get(f"/tenants/{client.apple}/profiles")["profiles"])
    good = {"profile_name": "n", "url": "https://mdm.example.com/"}
    for change in ({"url": "https://mdm.school.example/"}, {"url": "http://mdm.example.com/"}, {"url": "https://mdm.example.com.evil.example/"},
                   {"configuration_web_url": "https://evil.example/"}, {"url": "https://mdm.example.com@evil.example/"}):
        expect(main.call("POST", "/profile", {**good, **change}), 400, "CONFIG_URL_INVALID")
    equal(main.call("POST", "/profile", {**good, "URL": "https://evil.example/"}).status, 400, "another spelling")
    equal(len(WORLD.apple.get(f"/tenants/{client.apple}/profiles")["profiles"]), defined, "nothing was defined")
    uuid = main.ask("POST", "/profile", {**good, "devices": [mine]})["profile_uuid"]
    until_at_apple(client, mine, "https://mdm.example.com/")
    WORLD.technician.call("PATCH", f"{client.path}/instances/main", {"allowed_hosts": [f"mdm.{client.slug}.example"]})
    until_at_apple(client, mine, f"https://mdm.{client.slug}.example/enroll")
    expect(main.call("POST", "/profile/devices", {"profile_uuid": uuid, "devices": [mine]}), 404, "PROFILE_NOT_FOUND")


@test
def apples_cool_down_is_told_and_waited_for():
    client, mine, _, main, _ = two_instances()
    uuid = conforms.define(main)
    client.fail_apple(throttle={"serials": [mine], "retry_after_seconds": 600})
    for version, result, has_time in ((10, "THROTTLED", True), (9, "THROTTLED", False), (8, "FAILED", False)):
        main.version = version
        answer = main.ask("POST", "/profile/devices", {"profile_uuid": uuid, "devices": [mine]})
        equal(answer["devices"], {mine: result}, f"version {version}")
        equal(540 < answer.get("retry_after_seconds", 0) <= 700, has_time, f"version {version}: {answer}")
    equal(client.truth()["counts"]["assigned_too_early"], 0, "Apple is not asked before")


@test
def nobody_disowns():
    client, mine, theirs, main, _ = two_instances()
    equal(main.ask("POST", "/devices/disown", {"devices": [mine, theirs]})["devices"], {mine: "FAILED", theirs: "NOT_ACCESSIBLE"}, "results")
    equal(len(client.truth()["devices"]), 2, "all there")


def audited(client):
    """What MDM servers of the client had Apple do, oldest first."""
    return [(line["actor"], line["target"], line["detail"]["method"], line["detail"]["path"])
            for line in WORLD.admin.get("/audit?limit=1000")["items"] if line["action"] == "dep.pass" and line["detail"]["tenant"] == client.slug]


@test
def an_mdm_server_locks_its_own_devices_only():
    client, _, theirs, main, school = two_instances()
    path, key = "/device/activationlock", "0123456789abcdefABCDEF" + "0" * 42
    families = {device["serial_number"]: device["device_family"] for apple in (main, school) for device in apple.fetch()[0]}
    serials = sorted(families)
    for serial in serials:
        other = main if serial == theirs else school
        equal(other.ask("POST", path, {"device": serial, "escrow_key": key}), {"serial_number": serial, "response_status": "NOT_ACCESSIBLE"}, "another's")
    equal(audited(client), [], "nothing was passed on")
    for serial in serials:
        name, owner = ("school", school) if serial == theirs else ("main", main)
        for wanted in ("SUCCESS", "DEVICE_ALREADY_LOCKED"):  # so Apple had not locked it before
            wanted = "DEVICE_NOT_SUPPORTED" if families[serial] == "AppleTV" else wanted
            answer = owner.ask("POST", path, {"device": serial, "escrow_key": key, "lost_message": "call \"us\""})
            conforms.check_named("ActivationLockStatusResponse", answer)
            equal(answer, {"serial_number": serial, "response_status": wanted}, "lock")
            equal(audited(client)[-1], (f"dep:{name}", serial, "POST", path), "audit")
    equal(len(audited(client)), 2 * len(serials), "each is in the audit")
    equal(main.ask("POST", path, {"device": "ELSEWHERE"})["response_status"], "NOT_ACCESSIBLE", "nobody's")
    for bad in ({}, {"device": ""}, {"device": 1}, {"device": "A", "escrow_key": "short"}, {"device": "A", "escrow_key": "g" * 64},
                {"device": "A", "escrow_key": ""}, {"device": "A", "escrow_key": None}, {"device": "A", "lost_message": 5}, {"device": "A" * 65}):
        expect(main.call("POST", path, bad), 400, "MALFORMED_REQUEST_BODY")
    dump = client.rows("select detail::text as d from depbroker.audit where action = 'dep.pass'")
    equal(any(key in row["d"] for row in dump), False, "no escrow key is kept")


@test
def a_lock_needs_no_escrow_key():
    client = new_client(devices=6)
    apple = virtual_dep.sign_on(client)
    serial = next(device["serial_number"] for device in apple.fetch()[0] if device["device_family"] != "AppleTV")
    equal(apple.ask("POST", "/device/activationlock", {"device": serial})["response_status"], "SUCCESS", "lock")


@test
def accounts_are_sent_to_the_instances_hosts_only():
    client, _, _, main, school = two_instances()
    path, member = "/account-driven-enrollment/profile", "mdm_service_discovery_url"
    own, foreign = "https://mdm.example.com/discover", "https://mdm.school.example/discover"
    for bad in (foreign, "http://mdm.example.com/", "https://mdm.example.com@evil.example/", "https://mdm.example.com.evil.example/", "", 5):
        expect(main.call("POST", path, {member: bad}), 400, "MDM_SERVICE_DISCOVERY_URL_NOT_VALID")
    equal(audited(client), [], "nothing was passed on")
    equal(main.call("POST", path, {member: own, "more": 1}).status, 200, "set")
    equal(audited(client), [("dep:main", client.slug, "POST", path)], "audit")
    equal(main.ask("GET", path)[member], own, "its own")
    expect(school.call("GET", path), 404, "NOT_FOUND")
    expect(school.call("DELETE", path), 404, "NOT_FOUND")
    expect(school.call("POST", path, {member: foreign}), 400, "ORG_NOT_SUPPORTED")
    equal(main.ask("GET", path)[member], own, "the other server has changed nothing")
    equal(main.call("DELETE", path).status, 200, "deleted")
    equal(school.call("POST", path, {member: foreign}).status, 200, "free again")
    expect(main.call("GET", path), 404, "NOT_FOUND")
    equal([line[0] for line in audited(client)], ["dep:main", "dep:main", "dep:school"], "audit")


@test
def what_apple_says_of_the_token_is_not_told():
    client = new_client()
    apple = virtual_dep.sign_on(client)
    path = "/os-beta-enrollment/tokens"
    for fault, status, word in (({"status": 403, "body": "FORBIDDEN"}, 503, "SERVICE_UNAVAILABLE"), ({"status": 500, "body": "x"}, 503, "SERVICE_UNAVAILABLE"),
                                ({"status": 429, "body": "x"}, 429, "TOO_MANY_REQUESTS")):
        WORLD.apple.post("/faults", {"tenant": client.apple, "endpoint": path, "times": 2, **fault})  # a session is renewed once
        expect(apple.call("GET", path), status, word)
        WORLD.apple.call("DELETE", "/faults")
    equal(apple.call("GET", path).status, 200, "afterwards")


@test
def answers_come_from_the_database():
    client = new_client(devices=2)
    client.fail_apple(status=503, times=0)
    apple = virtual_dep.sign_on(client)
    equal(len(apple.fetch()[0]), 2, "devices while Apple is away")


def finish():
    WORLD.__exit__(None, None, None)


if __name__ == "__main__":
    with CLOCK.for_programs():
        WORLD.__enter__()
    take_over()
    sys.exit(run_tests(finish))
