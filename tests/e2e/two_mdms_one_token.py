#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Two MDM servers share one Apple token. Devices are sent to and fro between them while Apple fails and processes are killed: each
# server's mirror is in the end what was decided, and no record that it ever got was of a device, or told of a profile, that was not its own.
# DEPBROKER_TEST_REROUTES: how many devices are sent elsewhere.
import os
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
import virtual_dep  # noqa: E402
from world import Failure, World, children_of, seeded, wait_until  # noqa: E402

REROUTES = int(os.environ.get("DEPBROKER_TEST_REROUTES") or 200)
DEVICES, EACH_ROUND = 30, 20
RANDOM, SEED = seeded("e2e/two_mdms_one_token")
INSTANCES = ("main", "school")


def change(world, method, path, body):
    """By two people, when it takes two: the day's limit of moved devices is soon reached."""
    answer = world.technician.call(method, path, body)
    if isinstance(answer, dict) and answer.get("state") == "pending":
        world.operator.post(f"/approvals/{answer['id']}/approve")


def add_school(world, client):
    world.technician.post(f"{client.path}/instances", {
        "name": "school", "kind": "fleet", "enrolment_url": "https://mdm.school.example/enrol", "allowed_hosts": ["mdm.school.example"]})


class Server:
    """An MDM server, and what it was told at all."""

    def __init__(self, world, client, name):
        self.world, self.client, self.name = world, client, name
        self.mirror = virtual_dep.Mirror(virtual_dep.sign_on(client, name), limit=RANDOM.choice((None, 7)))
        self.told = {}
        self.uuids = set()
        self.url = f"https://profiles.{name}.example/{client.slug}"
        known = world.technician.get(f"{client.path}/instances/{name}")
        change(world, "PATCH", f"{client.path}/instances/{name}", {"allowed_hosts": [*known["allowed_hosts"], f"profiles.{name}.example"]})
        self.own = {known["enrolment_url"], self.url}
        self.uuid = self.mirror.apple.ask("POST", "/profile", {"profile_name": name, "url": self.url})["profile_uuid"]
        self.fetch()

    def hear(self, record):
        serial = record["serial_number"]
        self.told[serial] = self.told.get(serial, 0) + (record.get("op_type") == "added")
        if "profile_uuid" in record:
            self.uuids.add(record["profile_uuid"])
            if record.get("op_type") == "deleted":
                raise Failure(f"{self.name} is told of the profile of a device that has left: {record}")

    def fetch(self):
        self.mirror.fetch()
        for record in self.mirror.devices.values():
            self.hear(record)

    def sync(self):
        for record in self.mirror.sync():
            self.hear(record)

    def wish(self, serials):
        """Wants a profile of its own for any devices, its own or not."""
        answer = self.mirror.call("/profile/devices", {"profile_uuid": self.uuid, "devices": serials})
        if answer.status != 200:
            raise Failure(f"{self.name}: {answer.status} {answer.text}")

    def accessible(self, serials):
        answer = self.mirror.call("/devices", {"devices": sorted(serials)}).json()["devices"]
        return {serial for serial, record in answer.items() if record["response_status"] == "SUCCESS"}


def fail_something(world, client):
    what = RANDOM.choice(("nothing", "apple", "worker", "api"))
    if what == "apple":
        client.fail_apple(status=503, times=RANDOM.randrange(1, 8))
    elif what != "nothing":
        for pid in children_of(world.broker.process.pid, what)[:1]:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: world.broker.readiness()[0] == 200, f"no {what} any more", 60)
    return what


def reroute(world, client, wanted):
    serial = RANDOM.choice(sorted(wanted))
    place = RANDOM.choice([name for name in (*INSTANCES, None) if name != wanted[serial]])
    change(world, "PUT", f"{client.path}/devices/{serial}/pin", {"instance": place} if place else {"hold": "a test"})
    wanted[serial] = place


def url_of(client, uuid):
    profiles = client.world.apple.get(f"/tenants/{client.apple}/profiles")["profiles"]
    return {profile["profile_uuid"]: profile["url"] for profile in profiles}[uuid]


def check_apart(servers, wanted):
    """When everything is settled, each device is at exactly one server, or held."""
    for server in servers:
        mine = {serial for serial, place in wanted.items() if place == server.name}
        wait_until(lambda server=server, mine=mine: (server.sync(), set(server.mirror.devices) == mine)[1],
                   lambda server=server, mine=mine: f"{server.name} has {sorted(set(server.mirror.devices) ^ mine)} wrong", 90)
        found = server.accessible(wanted)
        if found != mine:
            raise Failure(f"{server.name} may ask for {sorted(found ^ mine)}")
        listed = virtual_dep.Mirror(server.mirror.apple, limit=RANDOM.choice((None, 5)))
        listed.fetch()
        if set(listed.devices) != mine:
            raise Failure(f"the full list of {server.name} has {sorted(set(listed.devices) ^ mine)} wrong")


def check_apple(client, servers, wanted):
    """Apple sends each device to the server that has it, by a profile of depbroker's or of that server's own."""
    own = {server.name: server.own for server in servers}

    def wrong():
        profiles = {profile["profile_uuid"]: profile["url"] for profile in client.world.apple.get(f"/tenants/{client.apple}/profiles")["profiles"]}
        devices = {device["serial_number"]: profiles.get(device.get("profile_uuid")) for device in client.truth()["devices"]}
        return {serial: url for serial, url in devices.items() if wanted[serial] and url not in own[wanted[serial]]}

    def right():
        if wrong():
            client.sync_now()  # as a person does after Apple failed: otherwise the client waits
        return not wrong()

    wait_until(right, lambda: f"Apple sends devices elsewhere: {wrong()}", 90, every=1)


def check_never(client, servers):
    """No server was told of a device that was never its own, nor of a profile that leads elsewhere."""
    for server in servers:
        ever = client.rows("select distinct e.serial_number as s from depbroker.events e join depbroker.instances i using (tenant_id, instance_id)"
                           f" where e.tenant_id = {{id}} and i.name = '{server.name}' and e.type = 1")
        foreign = set(server.told) - {row["s"] for row in ever}
        if foreign:
            raise Failure(f"{server.name} was told of {sorted(foreign)}")
        urls = {url_of(client, uuid) for uuid in server.uuids}
        if not urls <= server.own:
            raise Failure(f"{server.name} saw profiles that lead to {sorted(urls - server.own)}")


def main():
    with World(workers=2, **virtual_dep.settings()) as world:
        client = world.onboard(devices=DEVICES)
        world.until_equal(client)
        add_school(world, client)
        servers = [Server(world, client, name) for name in INSTANCES]
        wanted = {device["serial_number"]: "main" for device in client.truth()["devices"]}
        check_apart(servers, wanted)
        first = min(wanted)  # so that depbroker's profile is defined for each: a definition that Apple does not take waits for minutes
        change(world, "PUT", f"{client.path}/devices/{first}/pin", {"instance": "school"})
        wanted[first] = "school"
        check_apple(client, servers, wanted)
        done = 0
        while done < REROUTES:
            failed = fail_something(world, client)
            for _ in range(min(EACH_ROUND, REROUTES - done)):
                reroute(world, client, wanted)
                done += 1
                if RANDOM.randrange(3) == 0:
                    server = RANDOM.choice(servers)
                    RANDOM.choice((server.sync, server.sync, server.fetch))()
            check_apart(servers, wanted)
            check_apple(client, servers, wanted)
            RANDOM.choice(servers).wish(RANDOM.sample(sorted(wanted), 10))
            print(f"{done} devices sent elsewhere; failed: {failed}", flush=True)
        check_apple(client, servers, wanted)
        check_never(client, servers)
        if not all(server.uuids for server in servers):
            raise Failure("no server saw a profile of its own")
    print("ok")


if __name__ == "__main__":
    sys.exit(main())
