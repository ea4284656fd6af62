#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# A verifier that is not ours, the package standardwebhooks from npm, accepts every webhook that is sent, and none of the forged ones.
# Exit code 77: npm's registry cannot be reached.
import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests/support"))
from programs import BUILD, equal, test  # noqa: E402
from sink import Sink  # noqa: E402
from world import World, run_in, wait_until  # noqa: E402

PACKAGE = "standardwebhooks@1.1.1"
MODULES = os.path.join(BUILD, "standardwebhooks")


def install():
    subprocess.run([os.path.join(ROOT, "deploy/dependencies.sh"), "node"], check=True)
    if not os.path.isdir(os.path.join(MODULES, "node_modules/standardwebhooks")):
        os.makedirs(MODULES, exist_ok=True)
        done = subprocess.run(["npm", "install", "--prefix", MODULES, "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE], check=False)
        if done.returncode != 0:
            print("standardwebhooks cannot be had from npm")
            sys.exit(77)


install()
WORLD = World(workers=2)
SINK = Sink()


def judge(requests):
    """What the package says about each (secret, headers, body)."""
    lines = [json.dumps({"secret": secret, "headers": headers, "body": base64.b64encode(body).decode()}) for secret, headers, body in requests]
    done = subprocess.run(["node", os.path.join(HERE, "standard_webhooks.js")], input="\n".join(lines) + "\n", text=True, capture_output=True, check=True,
                          timeout=60, env=os.environ | {"NODE_PATH": os.path.join(MODULES, "node_modules")})
    return [line == "true" for line in done.stdout.split()]


def headers_of(message):
    """As such a server sees them: of two of a name, both, joined."""
    headers = {}
    for name, value in message.headers:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def add_endpoint(client):
    made = WORLD.technician.post(client.path + "/endpoints", {"instance": None, "url": f"{SINK.url}/{client.slug}", "headers": {"X-More": "1"}})
    return made, f"/{client.slug}"


def sent():
    """A tenant with devices that came, changed and left, a ping, and secrets in rotation: its messages with the secrets that must do."""
    if not hasattr(sent, "result"):
        client, other = WORLD.onboard(devices=0), WORLD.onboard(devices=0)
        (made, path), (foreign, _) = add_endpoint(client), add_endpoint(other)
        serials = client.add(20)
        client.sync_now()
        WORLD.until_equal(client)
        WORLD.technician.post(f"{client.path}/endpoints/{made['id']}/test")
        wait_until(lambda: any(event["type"] == "ping" for event in SINK.events(path)), "no ping")
        single = len(SINK.messages[path])
        second = WORLD.technician.post(f"{client.path}/endpoints/{made['id']}/secret", {})["secret"]
        client.change(serials[0], description="Z\u00fcrich \u65e5\u672c \U0001f600")
        client.remove(serials[1])
        client.sync_now()
        wait_until(lambda: SINK.events(path)[-1]["type"] == "device.removed" or "device.removed" in [e["type"] for e in SINK.events(path)], "no removal")
        WORLD.until_equal(client)
        messages = SINK.messages[path]
        sent.result = [(message, [made["secret"]] if i < single else [second, made["secret"]]) for i, message in enumerate(messages)], foreign["secret"]
    return sent.result


@test
def every_webhook_is_accepted_with_each_secret_that_is_valid():
    messages, foreign = sent()
    requests = [(secret, headers_of(message), message.body) for message, secrets in messages for secret in secrets]
    verdicts = judge(requests)
    equal((len(verdicts), all(verdicts)), (len(requests), True), "accepted")
    equal({json.loads(message.body)["type"] for message, _ in messages} >= {"device.added", "device.assigned", "device.removed", "ping"}, True, "types")
    equal({len(secrets) for _, secrets in messages}, {1, 2}, "secrets")
    equal(any(judge([(foreign, headers_of(message), message.body) for message, _ in messages])), False, "another tenant's secret")


@test
def what_is_forged_is_refused():
    (message, (secret, *_)), *_ = sent()[0]
    right, body = headers_of(message), message.body
    key = base64.b64decode(secret.removeprefix("whsec_"))

    def signature(identity, timestamp, with_key=key):
        return base64.b64encode(hmac.new(with_key, f"{identity}.{timestamp}.".encode() + body, hashlib.sha256).digest()).decode()

    def at(timestamp):
        return right | {"webhook-timestamp": str(timestamp), "webhook-signature": "v1," + signature(right["webhook-id"], timestamp)}
    value = right["webhook-signature"].removeprefix("v1,")
    now = int(time.time())
    forged = {
        "a body byte": (right, bytes([body[0] ^ 1]) + body[1:]),
        "the id": (right | {"webhook-id": right["webhook-id"][:-1] + ("0" if right["webhook-id"][-1] != "0" else "1")}, body),
        "a second later": (right | {"webhook-timestamp": str(int(right["webhook-timestamp"]) + 1)}, body),
        "a second earlier": (right | {"webhook-timestamp": str(int(right["webhook-timestamp"]) - 1)}, body),
        "too old": (at(now - 302), body),
        "too new": (at(now + 320), body),
        "another version": (right | {"webhook-signature": "v2," + value}, body),
        "truncated": (right | {"webhook-signature": "v1," + value[:8]}, body),
        "hexadecimal": (right | {"webhook-signature": "v1," + base64.b64decode(value).hex()}, body),
        "the undecoded secret": (right | {"webhook-signature": "v1," + signature(right["webhook-id"], right["webhook-timestamp"], secret.encode())}, body),
        "the header twice": (right | {"webhook-signature": "v1,AAAA, " + right["webhook-signature"].replace("v1", "v2")}, body),
        "another tenant's key": (right | {"webhook-signature": "v1," + signature(
            right["webhook-id"], right["webhook-timestamp"], base64.b64decode(sent()[1].removeprefix("whsec_")))}, body),
    }
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        forged[f"no {name}"] = ({key: value for key, value in right.items() if key != name}, body)
    urlsafe = value.replace("+", "-").replace("/", "_")
    if urlsafe != value:
        forged["url-safe"] = (right | {"webhook-signature": "v1," + urlsafe}, body)
    equal(judge([(secret, at(now), body)]), [True], "the same, made right")
    verdicts = judge([(secret, *request) for request in forged.values()])
    equal({name: verdict for name, verdict in zip(forged, verdicts) if verdict}, {}, "accepted")
    equal(len(verdicts), len(forged), "judged")


sys.exit(run_in(WORLD))
