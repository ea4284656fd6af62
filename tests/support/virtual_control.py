# SPDX-License-Identifier: Apache-2.0
#
# virtual_control.py - applesim's control listener as its conformance tests know it, for a virtual DEP server: what is planted at Apple has
# reached depbroker when a call returns, the clock is that of all programs, and the token is depbroker's.
import datetime
import re
import urllib.parse

import apple_rig
from virtual_dep import open_token
from world import wait_until

TOKEN = re.compile(r"/tenants/(\d+)/token(?:\?(.*))?")
DEVICES = re.compile(r"/tenants/(\d+)/devices.*")


class VirtualControl:
    def __init__(self, world, clock):
        self.world, self.clock = world, clock
        self.clients, self.tokens = {}, {}

    def know(self, client):
        self.clients[client.apple] = client

    def call(self, method, path, body=None, status=None):
        token, devices = TOKEN.fullmatch(path), DEVICES.fullmatch(path)
        if path == "/clock":
            return self.turn(**body)
        if token:
            client = self.clients[int(token.group(1))]
            return self.token_of(client) if method == "GET" else self.make_token(client, body, dict(urllib.parse.parse_qsl(token.group(2) or "")))
        answer = self.world.apple.call(method, path, body, status)
        if devices and method != "GET":
            self.settle(self.clients[int(devices.group(1))])
        return answer

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body=None):
        return self.call("POST", path, body)

    def turn(self, advance_s=0, skew_s=None):
        self.clock.advance(advance_s)
        if skew_s is not None:
            self.clock.skew(skew_s)

    # --- tokens ---

    def make_token(self, client, certificate, query):
        """As Apple gives it: the file. Its end is moved in the database, as depbroker gives a year."""
        file = self.world.technician.call("POST", f"{client.path}/instances/main/dep-token", certificate)
        self.tokens[client.apple] = open_token(file, apple_rig.FOLDER.name)
        if "expires_in_s" in query:
            client.sql("update depbroker.dep_servers set expires_at = now() + interval '%d seconds' where tenant_id = {id}" % int(query["expires_in_s"]))
        return file

    def token_of(self, client):
        token = self.tokens[client.apple]
        at = datetime.datetime.fromisoformat(token["access_token_expiry"].replace("Z", "+00:00"))
        return token | {"expires_at_s": int(at.timestamp())}

    # --- devices ---

    def settle(self, client):
        """Until a run that began after this has ended, and each device has a profile there and here."""
        begun = client.row("select now()::text as at")["at"]
        client.sync_now()
        wait_until(lambda: self.is_settled(client, begun), lambda: f"{client.slug} is not as at Apple", 60)

    def is_settled(self, client, begun):
        stream = client.row(f"select coalesce(run_started_at > '{begun}' and synced_at > run_started_at, false) as is_done from depbroker.sync_stream"
                            " where tenant_id = {id}")
        truth = {device["serial_number"]: device.get("profile_uuid") for device in client.truth()["devices"]}
        stored = {serial: row["profile_uuid"] for serial, row in client.stored().items()}
        return stream["is_done"] and None not in truth.values() and truth == stored
