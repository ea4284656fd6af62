#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Enrolment profiles in layers, from a template of all clients to what Apple has: previews that come true, drift that is shown and
# mended once, errors that assign nothing, and no path around the URL guard. The truth is applesim's.
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import equal, test  # noqa: E402
from world import Problem, World, run_in, wait_until  # noqa: E402

CHECK_S = 2
WORLD = World(workers=2, DEPBROKER_PROFILE_CHECK_INTERVAL=str(CHECK_S))
HOSTILE = [
    {"url": "https://evil.example/"}, {"URL": "https://mdm.evil.example/"}, {"configuration-web-url": "https://evil.example/"},
    {"configuration_web_url": "https://evil.example/"}, {"configuration_web_url": "https://{{tenant.slug}}.evil.example/"},
    {"future": {"deep": ["https://evil.example/"]}},
]


def profiles(client):
    """What Apple has, by UUID."""
    return {profile["profile_uuid"]: profile for profile in WORLD.apple.get(f"/tenants/{client.apple}/profiles")["profiles"]}


def worn(client):
    """The profiles that devices have at Apple, as Apple has them."""
    known = profiles(client)
    return {device["serial_number"]: known.get(device["profile_uuid"]) for device in client.truth()["devices"]}


def until_worn(client, devices, **members):
    """Every device has a profile with these members; null: without."""
    def fits():
        found = list(worn(client).values())
        return len(found) == devices and all(profile is not None and all(profile.get(name) == value for name, value in members.items())
                                             for profile in found)
    wait_until(fits, lambda: f"{client.slug}: not every device has a profile with {members}: {list(worn(client).values())[:2]}")


def put(client, layer, **how):
    return WORLD.technician.call("PUT", client.path + "/profile", {"layer": layer, **how})


def shown(client):
    return WORLD.technician.get(client.path + "/instances/main/profile")


def refused(code, method, path, body, api=None):
    try:
        (api or WORLD.admin).call(method, path, body)
    except Problem as problem:
        equal(problem.problem.get("code"), code, f"{method} {path} {body}")
        return problem.problem
    raise AssertionError(f"not refused: {method} {path} {body}")


def approved(asked):
    return WORLD.admin.post(f"/approvals/{asked['id']}/approve")


def alerts(client, kind):
    return [alert for alert in WORLD.operator.get("/alerts")["items"] if alert["tenant"] == client.slug and alert["kind"] == kind]


@test
def one_template_serves_two_clients_each_with_its_own_name():
    WORLD.operator.call("PUT", "/templates/base", {"layer": {
        "department": "{{tenant.name}}", "skip_setup_items": ["AppleID"], "is_supervised": True}, "reason": "first"})
    clients = [WORLD.onboard(devices=count, before_rules=lambda client: put(client, {"skip_setup_items+": ["Siri"]}, template="base"))
               for count in (12, 30)]
    for client, count in zip(clients, (12, 30)):
        until_worn(client, count, department=client.slug.title(), skip_setup_items=["AppleID", "Siri"], is_supervised=True,
                   url=f"https://mdm.{client.slug}.example/enroll")
        found = shown(client)
        equal(found["origins"]["department"], {"layer": "template", "pointer": "/department"}, "origin")
        equal(found["origins"]["url"]["layer"], "broker", "origin of the URL")
        wait_until(lambda client=client: (shown(client)["at_apple"] or {}).get("profile_uuid") in profiles(client), "its UUID is not shown")
        equal(len(profiles(client)), 1, "profiles at Apple")
    WORLD.until_equal(*clients)
    WORLD.check_laws(*clients)


@test
def a_template_change_is_previewed_and_comes_true():
    small, large = WORLD.clients["client-1"], WORLD.clients["client-2"]
    layer = {"department": "{{tenant.name}}", "skip_setup_items": ["AppleID"], "is_supervised": True, "org_magic": "second"}
    preview = WORLD.operator.call("PUT", "/templates/base?dry_run=true", {"layer": layer})
    equal((preview["tenants"], preview["devices"], preview["needs_approval"]), (2, 42, True), "preview")
    equal({item["tenant"]: item["devices"] for item in preview["items"]}, {small.slug: 12, large.slug: 30}, "by tenant")
    asked = WORLD.operator.call("PUT", "/templates/base", {"layer": layer, "reason": "second"})
    equal((asked["state"], asked["kind"], asked["target"], asked["changes"], asked["tenant"]), ("pending", "template", "base", 42, None), "it waits")
    devices = WORLD.admin.get(f"/approvals/{asked['id']}/devices?limit=1000")["items"]
    equal({(item["tenant"], item["serial_number"]) for item in devices},
          {(client.slug, serial) for client in (small, large) for serial in client.stored()}, "the devices of both")
    equal(WORLD.operator.get("/templates/base")["version"], 1, "nothing was changed")
    before = {client.slug: {device["serial_number"]: device["profile_uuid"] for device in client.truth()["devices"]} for client in (small, large)}
    refused("forbidden", "POST", f"/approvals/{asked['id']}/approve", None, WORLD.technician)
    refused("approval_by_same_key", "POST", f"/approvals/{asked['id']}/approve", None, WORLD.operator)
    equal(approved(asked)["state"], "approved", "approved")
    equal(WORLD.operator.get("/templates/base")["version"], 2, "version")
    changed = 0
    for client, count in ((small, 12), (large, 30)):
        until_worn(client, count, org_magic="second")
        after = {device["serial_number"]: device["profile_uuid"] for device in client.truth()["devices"]}
        changed += sum(after[serial] != uuid for serial, uuid in before[client.slug].items())
    equal(changed, preview["devices"], "devices whose profile changed, and those that the preview said")
    WORLD.until_equal(small, large)


@test
def to_go_back_is_to_put_an_old_version_and_defines_nothing_anew():
    small = WORLD.clients["client-1"]
    count = len(profiles(small))
    old = WORLD.operator.get("/templates/base?version=1")
    equal((old["version"], old["reason"]), (1, "first"), "old version")
    approved(WORLD.operator.call("PUT", "/templates/base", {"layer": old["layer"], "reason": "back"}))
    until_worn(small, 12, org_magic=None)
    equal(len(profiles(small)), count, "the profile of before is used again")
    WORLD.until_equal(*WORLD.clients.values())
    equal([version["version"] for version in WORLD.operator.get("/templates/base")["versions"]], [3, 2, 1], "versions")


@test
def drift_is_shown_and_mended_once_where_the_client_wants_it():
    small = WORLD.clients["client-1"]
    uuid = shown(small)["at_apple"]["profile_uuid"]
    WORLD.apple.call("PATCH", f"/tenants/{small.apple}/profiles/{uuid}", {"department": "Somebody else"})
    wait_until(lambda: shown(small)["at_apple"]["drifts"], "the drift is not shown")
    equal(shown(small)["at_apple"]["differences"], [{"key": "department", "difference": "changed", "meant": "Client-1",
                                                     "found": "Somebody else", "counts": True}], "differences")
    wait_until(lambda: alerts(small, "profile.drifted"), "nobody is told")
    count = len(profiles(small))
    put(small, {"skip_setup_items+": ["Siri"]}, mend=True)
    until_worn(small, 12, department="Client-1")
    WORLD.until_equal(small)
    equal(len(profiles(small)), count + 1, "profiles at Apple")
    wait_until(lambda: not shown(small)["at_apple"]["drifts"] and not alerts(small, "profile.drifted"), "the drift does not end")
    uuid = shown(small)["at_apple"]["profile_uuid"]
    WORLD.apple.call("PATCH", f"/tenants/{small.apple}/profiles/{uuid}", {"department": "Again"})
    wait_until(lambda: shown(small)["at_apple"]["drifts"], "the second drift is not shown")
    checked = shown(small)["at_apple"]["checked_at"]
    wait_until(lambda: shown(small)["at_apple"]["checked_at"] not in (checked, None), "it is not looked at again")
    equal(len(profiles(small)), count + 1, "the same content is mended once")
    WORLD.apple.call("PATCH", f"/tenants/{small.apple}/profiles/{uuid}", {"department": "Client-1"})
    wait_until(lambda: not shown(small)["at_apple"]["drifts"], "the drift does not end")


@test
def a_layer_with_an_error_assigns_nothing_and_says_why():
    client = WORLD.onboard(devices=5)
    until_worn(client, 5, department=None)
    client.sync_now()
    WORLD.until_equal(client)
    WORLD.operator.call("PATCH", client.path, {"labels": ["site=Basel"]})
    put(client, {"department": "{{label.site}}"})
    until_worn(client, 5, department="Basel")
    client.sync_now()
    WORLD.until_equal(client)
    before = worn(client)
    WORLD.operator.call("PATCH", client.path, {"labels": []})  # no layer changes, and what it needs is gone
    wait_until(lambda: alerts(client, "profile.unusable"), "nobody is told")
    equal("label.site" in alerts(client, "profile.unusable")[0]["detail"], True, "the reason")
    equal(shown(client)["profile"], None, "there is no profile")
    client.add(3)
    client.sync_now()
    wait_until(lambda: len(client.stored()) == 8, "new devices are not seen")
    equal({serial: profile for serial, profile in worn(client).items() if profile}, before, "nothing is assigned")
    WORLD.operator.call("PATCH", client.path, {"labels": ["site=Bern"]})
    until_worn(client, 8, department="Bern")
    wait_until(lambda: not alerts(client, "profile.unusable"), "the alert does not end")
    WORLD.until_equal(client)


@test
def lost_answers_do_not_make_ever_new_profiles():
    client = WORLD.onboard(devices=2, before_rules=lambda tenant: tenant.fail_apple(endpoint="POST /profile", reset=True, times=0))
    wait_until(lambda: alerts(client, "profile.undefined"), "nobody is told")
    made = len(profiles(client))
    equal(made, 3, "profiles that lost answers made")
    WORLD.apple.call("DELETE", "/faults")
    for _ in range(3):
        client.sync_now()
    wait_until(lambda: client.stream()["sync_requests_done"] >= 3 and not client.stream()["owner"], "the sync does not end")
    equal(len(profiles(client)), made, "it waits")
    client.sql("update depbroker.profile_definitions set last_at = now() - interval '1 day' where tenant_id = {id}")
    client.sql("update depbroker.devices set assign_at = now() where tenant_id = {id} and assign_at is not null")  # they wait for it
    client.sync_now()
    until_worn(client, 2, department=None)
    wait_until(lambda: not alerts(client, "profile.undefined"), "the alert does not end")


@test
def a_hostile_url_is_refused_on_each_path():
    client = WORLD.clients["client-1"]
    before = profiles(client)
    for layer in HOSTILE:
        code = "profile_invalid" if layer in ({"url": "https://evil.example/"},) else "url_not_allowed"
        problem = refused(code, "PUT", client.path + "/instances/main/profile", {"layer": layer})
        equal(bool(problem.get("findings") or problem.get("items")), True, f"{layer}: where it is")
    for method, path, name in (("PUT", client.path + "/instances/main/profile", "layer"), ("PUT", client.path + "/profile", "layer"),
                               ("PUT", "/templates/base", "layer"), ("PATCH", client.path + "/instances/main", "profile")):
        for layer in HOSTILE:
            try:
                WORLD.admin.call(method, path, {name: layer})
            except Problem as problem:
                equal(problem.status, 422, f"{method} {path} {layer}")
            else:
                raise AssertionError(f"not refused: {method} {path} {layer}")
    # The layer was good for the host that is taken away.
    WORLD.technician.call("PATCH", client.path + "/instances/main", {"allowed_hosts": [f"mdm.{client.slug}.example", "web.example"]})
    put(client, {"configuration_web_url": "https://web.example/"})
    refused("url_not_allowed", "PATCH", client.path + "/instances/main", {"allowed_hosts": [f"mdm.{client.slug}.example"]})
    until_worn(client, 12, configuration_web_url="https://web.example/")
    for profile in profiles(client).values():
        if profile["profile_uuid"] not in before:
            equal("evil" in str(profile), False, "what Apple has")


if __name__ == "__main__":
    sys.exit(run_in(WORLD))
