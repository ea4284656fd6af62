# SPDX-License-Identifier: Apache-2.0
#
# virtual_dep.py - MDM servers at depbroker's virtual DEP servers: their certificates, their tokens, and the mirror that each of them
# keeps as Apple's documents say.
import http.client
import json
import os
import subprocess
import tempfile
import time

from apple_client import AppleClient
from programs import equal
from world import free_address

PATIENCE_S = 60


def settings():
    """For a World: where its virtual DEP servers are."""
    return {"DEPBROKER_DEP_LISTEN": free_address()}


def address(world):
    return "http://" + world.broker.environment["DEPBROKER_DEP_LISTEN"]


def open_token(file, folder):
    """The token in a .p7m, as any MDM server opens it with its cert.pem and key.pem."""
    done = subprocess.run(["openssl", "cms", "-decrypt", "-inform", "SMIME", "-recip", "cert.pem", "-inkey", "key.pem"], cwd=folder, input=file,
                          capture_output=True, check=True)
    text = done.stdout.split(b"\r\n\r\n", 1)[1].decode().replace("\r", "").strip().split("\n")
    equal((text[0], text[-1]), ("-----BEGIN MESSAGE-----", "-----END MESSAGE-----"), "frame")
    return json.loads("".join(text[1:-1]))


class KeyPair:
    """An MDM server's, with a self-signed certificate."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2",
                     "-subj", "/CN=mdm", "-set_serial", "0x1234")
        self.openssl("x509", "-in", "cert.pem", "-outform", "DER", "-out", "cert.der")

    def openssl(self, *arguments):
        return subprocess.run(["openssl", *arguments], cwd=self.folder.name, capture_output=True, check=True)

    def read(self, name):
        with open(os.path.join(self.folder.name, name), "rb") as file:
            return file.read()

    def open(self, file):
        return open_token(file, self.folder.name)


PAIR = KeyPair()


def make_token(client, instance="main", query=""):
    path = f"{client.path}/instances/{instance}/dep-token{query}"
    return PAIR.open(client.world.technician.call("POST", path, PAIR.read("cert.pem")))


def sign_on(client, instance="main", version=10):
    apple = AppleClient(address(client.world), make_token(client, instance), version)
    equal(apple.sign_on().status, 200, "sign on")
    return apple


class Mirror:
    """What an MDM server believes: a full list, then changes, and the full list again when its cursor is refused."""

    def __init__(self, apple, limit=None):
        self.apple, self.limit = apple, limit
        self.devices, self.cursor = {}, None

    def call(self, path, body):
        """Asked again as long as nobody answers, or nobody can: the process may be killed, the database away."""
        body = {**body, "limit": self.limit} if self.limit else body
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = self.apple.call("POST", path, body)
                if answer.status not in (401, 500, 503):
                    return answer
                if answer.status == 401:
                    self.apple.sign_on()
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
            if time.monotonic() > end:
                raise AssertionError(f"{path}: no answer within {PATIENCE_S} s")

    def fetch(self):
        found, cursor = {}, None
        while True:
            answer = self.call("/server/devices", {"cursor": cursor} if cursor else {})
            equal(answer.status, 200, f"full list: {answer.text}")
            page = answer.json()
            found.update({device["serial_number"]: device for device in page["devices"]})
            cursor = page["cursor"]
            if not page["more_to_follow"]:
                self.devices, self.cursor = found, cursor
                return

    def sync(self):
        """The changes that came."""
        changes = []
        while True:
            answer = self.call("/devices/sync", {"cursor": self.cursor})
            if answer.status == 400 and answer.text in ("EXPIRED_CURSOR", "INVALID_CURSOR"):
                self.fetch()
                return changes
            equal(answer.status, 200, f"changes: {answer.text}")
            page = answer.json()
            for change in page["devices"]:
                changes.append(change)
                if change["op_type"] == "deleted":
                    self.devices.pop(change["serial_number"], None)
                else:
                    self.devices[change["serial_number"]] = change
            self.cursor = page["cursor"]
            if not page["more_to_follow"]:
                return changes
