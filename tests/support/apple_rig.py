# SPDX-License-Identifier: Apache-2.0
#
# apple_rig.py - an applesim that runs, and short words for talking to it. Importing it starts one; `stop` ends it.
import json
import os
import re
import subprocess
import tempfile

from apple_client import AppleClient
from programs import SHARED, Control, Program, equal

PROTOCOL = os.path.join(SHARED, "protocol")
HAVE_SHARED = os.path.isdir(PROTOCOL)
if not HAVE_SHARED:
    print(f"{PROTOCOL} is not here: neither schemas nor published vectors are checked")
FOLDER = tempfile.TemporaryDirectory()
SIM = Program("applesim", "--seed", "7", "--rotate-after", "0")
APPLE = SIM.ready["apple"]
CONTROL = Control(SIM.ready["control"])


def in_folder(name):
    return os.path.join(FOLDER.name, name)


def openssl(*arguments, check=True):
    return subprocess.run(["openssl", *arguments], cwd=FOLDER.name, capture_output=True, check=check)


openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2",
        "-subj", "/CN=conformance", "-set_serial", "0x1234")
with open(in_folder("cert.pem"), "rb") as pem_file:
    CERTIFICATE = pem_file.read()


def shared_json(*path):
    with open(os.path.join(PROTOCOL, *path), encoding="utf-8") as file:
        return json.load(file)


def new_tenant(devices=0, version=10, **more):
    """A tenant with a token, and a client that has signed on."""
    tenant = CONTROL.post("/tenants", {"devices": devices, **more})
    CONTROL.call("POST", f"/tenants/{tenant['id']}/token", CERTIFICATE)
    client = AppleClient(APPLE, CONTROL.get(f"/tenants/{tenant['id']}/token"), version)
    equal(client.sign_on().status, 200, "sign on")
    return tenant["id"], client


def truth(tenant):
    return {device["serial_number"]: device for device in CONTROL.get(f"/tenants/{tenant}/truth")["devices"]}


def define(client, **more):
    profile = {"profile_name": "main", "url": "https://mdm.example.com/enroll", **more}
    return client.ask("POST", "/profile", profile)["profile_uuid"]


def expect(answer, status, word):
    equal((answer.status, answer.text), (status, word), "answer")


# A subset of JSON Schema that is what Apple's schemas use. Enumerations are open (dep-api.md, section 13).
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}


def check_schema(schema, value, where):
    if "$ref" in schema:
        check_schema(shared_json("schemas", "dep", schema["$ref"]), value, where)
        return
    wanted = TYPES.get(schema.get("type"))
    if wanted and (not isinstance(value, wanted) or (wanted is int and isinstance(value, bool))):
        raise AssertionError(f"{where}: {value!r} is no {schema['type']}")
    if "enum" in schema and not isinstance(value, str):
        raise AssertionError(f"{where}: {value!r} is no word")
    if schema.get("format") == "date-time" and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value):
        raise AssertionError(f"{where}: {value!r} is no time")
    for name in schema.get("required", []):
        if name not in value:
            raise AssertionError(f"{where}: {name} is missing")
    for name, member in (value.items() if isinstance(value, dict) else []):
        inner = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
        if isinstance(inner, dict) and member is not None:  # absent and null are alike
            check_schema(inner, member, f"{where}.{name}")
    for index, item in enumerate(value if isinstance(value, list) else []):
        check_schema(schema.get("items", {}), item, f"{where}[{index}]")


def check_named(name, value):
    if HAVE_SHARED:
        check_schema({"$ref": name + ".json"}, value, name)


def stop():
    CONTROL.close()
    SIM.stop()
