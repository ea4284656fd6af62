#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Signatures v1a: on request, verified by Node's Ed25519 with the key that anybody can ask for; a pair is replaced with an overlap.
import base64
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests/support"))
from programs import equal, test  # noqa: E402
from sink import Sink  # noqa: E402
from world import Problem, World, run_in, wait_until  # noqa: E402

subprocess.run([os.path.join(ROOT, "deploy/dependencies.sh"), "node"], check=True)
WORLD = World(workers=2)
SINK = Sink()
SIGNATURE = re.compile(r"v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)*( v1a,[A-Za-z0-9+/]{86}==)*")


def judge(key, messages):
    """Which v1a items of each message fit the key."""
    lines = [json.dumps({"key": key, "headers": dict(message.headers), "body": base64.b64encode(message.body).decode()}) for message in messages]
    done = subprocess.run(["node", os.path.join(HERE, "ed25519.js")], input="\n".join(lines) + "\n", text=True, capture_output=True, check=True, timeout=60)
    return [line.split(" ") if line else [] for line in done.stdout.split("\n")[:-1]]


def endpoint():
    client = WORLD.onboard(devices=0)
    wait_until(lambda: client.stream()["synced_at"], "no sync", 60)
    path = f"/{client.slug}/keys"
    made = WORLD.technician.post(client.path + "/endpoints", {"instance": "main", "url": SINK.url + path})
    return client, f"{client.path}/endpoints/{made['id']}", path


def ping(at, path):
    before = len(SINK.messages[path])
    WORLD.technician.post(at + "/test")
    wait_until(lambda: len(SINK.messages[path]) > before, "no ping")
    message = SINK.messages[path][-1]
    if not SIGNATURE.fullmatch(dict(message.headers)["webhook-signature"]):
        raise AssertionError(f"signature: {dict(message.headers)['webhook-signature']}")
    return message


def public_path(at):
    _, _, slug, _, number = at.split("/")
    return f"/webhook-keys/{slug}/{number}"


def public_keys(at):
    """As anybody gets them."""
    try:
        with urllib.request.urlopen(f"http://{WORLD.broker.listen}{public_path(at)}", timeout=10) as answer:
            return json.load(answer)["keys"]
    except urllib.error.HTTPError as error:
        equal((error.code, json.load(error)["code"]), (404, "endpoint_not_found"), "refusal")
        return None


def problem_of(*request):
    try:
        WORLD.technician.call(*request)
    except Problem as problem:
        return problem.problem.get("code")
    return None


@test
def an_endpoint_without_a_key_pair_signs_as_before_and_shows_no_key():
    client, at, path = endpoint()
    equal(judge("whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=", [ping(at, path)]), [[]], "v1a items")
    for nobody in (at, client.path + "/endpoints/999999", client.path + "/endpoints/x", "/tenants/nobody/endpoints/1"):
        equal(public_keys(nobody), None, nobody)


@test
def what_is_sent_fits_the_key_that_anybody_gets_and_no_other():
    client, at, path = endpoint()
    made = WORLD.technician.post(at + "/signing-key", {})
    equal((made["public_keys"], made["overlap_s"]), (public_path(at), 86400), "answer")
    equal(public_keys(at), [{"key": made["public_key"], "expires_at": None}], "public keys")
    client.add(8)
    client.sync_now()
    WORLD.until_equal(client)
    wait_until(lambda: len(SINK.messages[path]) >= 16, "not everything arrives", 60)
    messages = [*SINK.messages[path], ping(at, path)]
    equal(judge(made["public_key"], messages), [["true"]] * len(messages), "its key")
    _, other_at, _ = endpoint()
    other = WORLD.technician.post(other_at + "/signing-key", {})["public_key"]
    equal(judge(other, messages), [["false"]] * len(messages), "another endpoint's key")
    flipped = [message._replace(body=bytes([message.body[0] ^ 1]) + message.body[1:]) for message in messages]
    equal(judge(made["public_key"], flipped), [["false"]] * len(messages), "another body")
    stored = client.row("select ciphertext, public_part from depbroker.secrets where tenant_id = {id} and kind = 8")
    equal((stored["public_part"], "whsk_" in str(stored["ciphertext"])), (made["public_key"], False), "stored")
    if "whsk_" in open(WORLD.broker.log_path, encoding="utf-8", errors="replace").read():
        raise AssertionError("a private key is in the log")


@test
def a_replaced_pair_signs_together_with_the_new_one_and_not_after_its_time():
    client, at, path = endpoint()
    first = WORLD.technician.post(at + "/signing-key", {})["public_key"]
    second = WORLD.technician.post(at + "/signing-key", {"overlap_s": 3600})["public_key"]
    message = ping(at, path)
    equal((judge(second, [message]), judge(first, [message])), ([["true", "false"]], [["false", "true"]]), "both, the newest first")
    equal([(key["key"], key["expires_at"] is None) for key in public_keys(at)], [(second, True), (first, False)], "public keys")
    client.sql("update depbroker.secrets set expires_at = now() where tenant_id = {id} and kind = 8 and expires_at is not null")
    message = ping(at, path)
    equal((judge(second, [message]), judge(first, [message])), ([["true"]], [["false"]]), "after its time")
    equal([key["key"] for key in public_keys(at)], [second], "public keys after its time")
    third = WORLD.technician.post(at + "/signing-key", {"overlap_s": 0})["public_key"]
    equal(judge(third, [ping(at, path)]), [["true"]], "a compromised one is not used any more")
    for _ in range(2):
        WORLD.technician.post(at + "/signing-key", {})
    equal(problem_of("POST", at + "/signing-key", {}), "too_many_secrets", "a fourth one")
    equal(problem_of("POST", at + "/signing-key", {"overlap_s": -1}), "bad_body", "overlap")
    WORLD.technician.call("DELETE", at + "/signing-key")
    equal((judge(third, [ping(at, path)]), public_keys(at)), ([[]], None), "when it is asked for no more")
    newest = WORLD.technician.post(at + "/signing-key", {})["public_key"]
    equal(judge(newest, [ping(at, path)]), [["true"]], "and once more")
    actions = [row["action"] for row in client.rows("select action from depbroker.audit where action like 'endpoint.signing_key%' order by 1")]
    equal(set(actions), {"endpoint.signing_key", "endpoint.signing_key_drop"}, "audit")


@test
def whoever_asks_for_public_keys_too_often_waits():
    _, at, _ = endpoint()
    WORLD.technician.post(at + "/signing-key", {})
    for _ in range(700):
        try:
            urllib.request.urlopen(f"http://{WORLD.broker.listen}{public_path(at)}", timeout=10).close()
        except urllib.error.HTTPError as error:
            equal((error.code, error.headers["retry-after"]), (429, "60"), "refusal")
            return
    raise AssertionError("nobody is refused")


sys.exit(run_in(WORLD))
