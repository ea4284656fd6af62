#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# POST /devices/disown of a virtual DEP server where releases are enabled: a job that waits for a person, about devices that are still the
# instance's when Apple is asked, and no others.
import json
import os
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
import virtual_dep  # noqa: E402
from programs import Peer, equal, test  # noqa: E402
from world import World, run_in, wait_until  # noqa: E402

WORLD = World(workers=1, DEPBROKER_ALLOW_RELEASE="1", **virtual_dep.settings())
SCHOOL = "https://mdm.school.example/enrol"


def route(client, serial, instance):
    WORLD.technician.call("PUT", f"{client.path}/devices/{serial}/pin", {"instance": instance})


def at_school(client):
    return {device["serial_number"] for device in client.truth()["devices"] if device.get("profile_url") == SCHOOL}


def two_instances(devices):
    """A client whose first device is at its second instance, and an MDM server of each."""
    client = WORLD.onboard(devices=devices, interval_s=1)
    WORLD.until_equal(client)
    serials = sorted(client.stored())
    WORLD.technician.post(f"{client.path}/instances", {"name": "school", "kind": "fleet", "enrolment_url": SCHOOL, "allowed_hosts": ["mdm.school.example"]})
    route(client, serials[0], "school")
    wait_until(lambda: at_school(client) == {serials[0]}, "routed")
    return client, serials, virtual_dep.sign_on(client), virtual_dep.sign_on(client, "school")


def disown(apple, *serials):
    return apple.ask("POST", "/devices/disown", {"devices": list(serials)})["devices"]


def jobs(client):
    return WORLD.technician.get(f"{client.path}/jobs")["items"]


def waiting_job(client, count=1):
    wait_until(lambda: len(jobs(client)) == count and jobs(client)[0]["state"] == "waiting", lambda: f"{jobs(client)}", 30)
    return jobs(client)[0]


def approve(job):
    WORLD.operator.post(f"/approvals/{job['approval']}/approve")


def rows_of(client, job):
    """One JSON object a line."""
    peer = Peer("http://" + WORLD.broker.listen)
    lines = peer.request("GET", f"/api/v1{client.path}/jobs/{job['id']}/results", None, {"Authorization": f"Bearer {WORLD.technician.key}"}).text
    peer.close()
    return {row["serial_number"]: row["result"] for row in map(json.loads, lines.splitlines())}


def until_done(client, job):
    wait_until(lambda: WORLD.technician.get(f"{client.path}/jobs/{job['id']}")["state"] == "done", lambda: f"{jobs(client)}", 30)


def there(client):
    return {device["serial_number"] for device in client.truth()["devices"]}


@test
def a_person_decides_and_other_instances_lose_nothing():
    client, serials, main, school = two_instances(5)
    theirs, mine, moving, *others = serials
    cursor = main.fetch()[1]
    equal(disown(main, mine, theirs, moving, "ELSEWHERE"),
          {mine: "FAILED", theirs: "NOT_ACCESSIBLE", moving: "FAILED", "ELSEWHERE": "NOT_ACCESSIBLE"}, "results")
    job = waiting_job(client)
    equal((job["kind"], job["created_by"], job["changes"]), ("release", "dep:main", 2), "job")
    equal(set(rows_of(client, job)), {mine, moving}, "rows: the instance's own devices")
    equal(disown(main, mine, moving), {mine: "FAILED", moving: "FAILED"}, "again")
    equal(disown(school, mine), {mine: "NOT_ACCESSIBLE"}, "another's device")
    equal([line["target"] for line in WORLD.admin.get("/audit?limit=1000")["items"] if line["action"] == "dep.pass"], [client.slug], "asked for once")
    equal(there(client), set(serials), "nothing is done without a person")
    route(client, moving, "school")
    wait_until(lambda: at_school(client) == {theirs, moving}, "routed")
    approve(job)
    until_done(client, job)
    equal(rows_of(client, job), {mine: "done", moving: "failed"}, "what has moved meanwhile stays")
    equal(there(client), set(serials) - {mine}, "at Apple")
    told = {change["serial_number"] for change in main.sync(cursor)[0] if change["op_type"] == "deleted"}
    equal(told, {mine, moving}, "the MDM server hears of both")
    equal(disown(main, mine), {mine: "NOT_ACCESSIBLE"}, "afterwards")
    equal(set(device["serial_number"] for device in school.fetch()[0]), {theirs, moving}, "the other server")
    equal(disown(main, *others), {serial: "FAILED" for serial in others}, "the next one")
    equal(len(waiting_job(client, 2)["id"] and jobs(client)), 2, "is another job")


@test
def a_device_that_moves_after_it_was_agreed_to_stays():
    client, serials, main, _ = two_instances(3)
    moving = serials[1]
    disown(main, moving)
    job = waiting_job(client)
    workers = WORLD.broker.workers()
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        approve(job)
        wait_until(lambda: rows_of(client, job) == {moving: "asked"}, "carried out", 30)
        client.sql("update depbroker.devices set instance_id = (select instance_id from depbroker.instances where tenant_id = {id} and name = 'school')"
                   " where tenant_id = {id} and serial_number = '%s'" % moving)
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    until_done(client, job)
    equal(rows_of(client, job), {moving: "failed"}, "result")
    equal(there(client), set(serials), "at Apple")


if __name__ == "__main__":
    sys.exit(run_in(WORLD))
