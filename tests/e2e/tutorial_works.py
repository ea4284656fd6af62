#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# docs/tutorial.md, step by step, with the real thing: `depbroker serve` with its own PostgreSQL and a worker, Apple's simulation, and a
# receiver of webhooks.
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from broker import Broker, Client, wait_until  # noqa: E402
from programs import Control, Program, equal, run_tests, test  # noqa: E402

SIMULATOR, RECEIVER = Program("applesim"), Program("receiver")
APPLE, CONTROL, HOOKS = SIMULATOR.ready["apple"], Control(SIMULATOR.ready["control"]), Control(RECEIVER.ready["listen"])
BROKER = Broker(None, DEPBROKER_WEBHOOK_ALLOW="127.0.0.0/8", DEPBROKER_WORKERS="1", DEPBROKER_SYNC_INTERVAL="1")
BROKER.start("serve")
API = Client(BROKER, BROKER.make_key())


@test
def a_first_client_by_hand():
    API.expect(201, "POST", "/tenants", {"slug": "acme", "display_name": "Acme Ltd", "apple_url": APPLE})
    pair = API.expect(201, "POST", "/tenants/acme/token/keys")
    certificate = API.expect(200, "GET", f"/tenants/acme/token/keys/{pair['id']}/certificate")
    CONTROL.post("/tenants", {"name": "acme", "devices": 12})
    CONTROL.call("PUT", "/tenants/acme/certificate", certificate)
    API.expect(200, "PUT", "/tenants/acme/token", CONTROL.call("POST", "/tenants/acme/token"))
    instance = API.expect(201, "POST", "/tenants/acme/instances", {
        "name": "main", "kind": "nanomdm", "enrolment_url": "https://mdm.acme.example/enroll", "allowed_hosts": ["mdm.acme.example"],
        "webhook_url": RECEIVER.ready["listen"] + "/webhook"})
    HOOKS.call("PUT", "/secret", instance["webhook_secret"].encode())
    API.expect(200, "PUT", "/tenants/acme/rules", {"default": "main"})

    wait_until(lambda: API.get("/status")["items"][0]["devices"] == {"present": 12, "assigned": 12, "held": 0}, "all devices are assigned")
    wait_until(lambda: API.get("/status")["items"][0]["events_pending"] == 0, "all events are delivered")
    truth = CONTROL.get("/tenants/acme/truth")
    ours = {item["serial_number"]: item["assignment"]["profile_uuid"] for item in API.get("/tenants/acme/devices")["items"]}
    equal(ours, {item["serial_number"]: item["profile_uuid"] for item in truth["devices"]}, "what Apple has")
    equal(len(HOOKS.get("/devices")["devices"]), 12, "what the MDM server was told")
    serial = sorted(ours)[0]
    history = API.get(f"/tenants/acme/devices/{serial}/history")["items"]
    equal([item["type"] for item in history if item["type"] in ("device.added", "device.assigned")], ["device.added", "device.assigned"], "history")
    equal(len(API.get("/tenants/acme/events?after=0")["items"]) >= 24, True, "the log")
    equal(API.get("/tenants/acme/sync")["error"], None, "sync")


@test
def a_device_that_comes_later_is_routed_at_the_next_turn():
    CONTROL.post("/tenants/acme/devices", {"devices": ["C02LATER0001"]})
    API.expect(202, "POST", "/tenants/acme/sync", {"mode": "changes"})
    wait_until(lambda: API.ask("GET", "/tenants/acme/devices/C02LATER0001").status == 200, "it is there")
    wait_until(lambda: API.get("/status")["items"][0]["devices"]["assigned"] == 13, "it is assigned")


@test
def everything_stays_over_a_restart():
    def devices():  # but for how long they have been waiting for
        items = API.get("/tenants/acme/devices")["items"]
        equal(all((item.get("awaiting_enrolment") or {"age_s": 0}).pop("age_s") >= 0 for item in items), True, "ages")
        return items

    before = devices()
    BROKER.stop()
    BROKER.start("serve")
    equal(devices(), before, "devices")
    equal(BROKER.events("serve.stopped")[-1]["exit_code"], 0, "exit code")


def stop():
    API.close()
    CONTROL.close()
    HOOKS.close()
    BROKER.stop()
    BROKER.remove()
    SIMULATOR.stop()
    RECEIVER.stop()


if __name__ == "__main__":
    sys.exit(run_tests(stop))
