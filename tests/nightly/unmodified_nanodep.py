#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# NanoDEP as its authors release it: its shell tools against /nanodep, answer for answer beside its own depserver; and with a virtual DEP
# server as its Apple its deptokens, depserver, depsyncer, assigner and Go client. Needs Go 1.21 or later (found as `go`, or in
# /usr/local/go/bin) and whatever Go fetches modules from; an inherited GOPATH is used, and otherwise one of the test's own.
import base64
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
import virtual_dep  # noqa: E402
from broker import die_with_us  # noqa: E402
from programs import Peer, equal, run_tests, test  # noqa: E402
from world import World, free_address, run, wait_until  # noqa: E402

MODULE, VERSION = "github.com/micromdm/nanodep", "v0.7.0"
FOLDER = tempfile.mkdtemp(prefix="depbroker-nanodep-")
ENVIRONMENT = {"GOPATH": os.path.join(FOLDER, "go")} | os.environ | {
    "GOBIN": os.path.join(FOLDER, "bin"), "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod -modcacherw"}
API_KEY = "secret-of-the-peer"


# --- having it ---

def give_up(sentence):
    print(sentence)
    shutil.rmtree(FOLDER, ignore_errors=True)
    sys.exit(1)


def go(*arguments, folder=FOLDER):
    return subprocess.run([GO, *arguments], cwd=folder, env=ENVIRONMENT, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def had(done, what):
    if done.returncode != 0:
        give_up(f"{what}: {done.stderr[-2000:]}")
    return done.stdout


def fetch_and_build():
    """The folder of its sources; its programs, and ours with its client, are in FOLDER/bin."""
    had(go("install", f"{MODULE}/cmd/...@{VERSION}"), f"{MODULE} {VERSION} cannot be had, or built")
    ours = os.path.join(FOLDER, "client")
    os.mkdir(ours)
    shutil.copy(os.path.join(HERE, "nanodep_client.go"), ours)
    had(go("mod", "init", "nanodep_client", folder=ours), "go mod init")
    had(go("get", f"{MODULE}@{VERSION}", folder=ours), f"{MODULE} {VERSION} cannot be had")
    had(go("build", "-o", os.path.join(FOLDER, "bin", "nanodep_client"), ".", folder=ours), "nanodep_client cannot be built")
    return json.loads(had(go("list", "-m", "-json", MODULE, folder=ours), "go list"))["Dir"]


GO = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
if GO is None:
    give_up("Go cannot be had: there is no program go")
SOURCES = fetch_and_build()


def program(name):
    return os.path.join(FOLDER, "bin", name)


# --- its programs ---

class Tools:
    """Its shell tools, for one server and name."""

    def __init__(self, url, key, name):
        self.environment = os.environ | {"BASE_URL": url, "APIKEY": key, "DEP_NAME": name, "CURL_OPTS": "-sS -w \\n%{http_code}"}

    def ask(self, tool, *arguments):
        """(status, body)"""
        done = subprocess.run(["sh", os.path.join(SOURCES, "tools", tool + ".sh"), *arguments], env=self.environment, cwd=FOLDER, check=True,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)
        body, _, status = done.stdout.rpartition("\n")
        equal(done.stderr, "", f"{tool}: complaints")
        return int(status), body

    def right(self, tool, *arguments):
        status, body = self.ask(tool, *arguments)
        equal(status, 200, f"{tool} {arguments}: {body}")
        return body

    def json(self, tool, *arguments):
        return json.loads(self.right(tool, *arguments))


class Server:
    """Its depserver."""

    def __init__(self):
        self.address = free_address()
        self.url = "http://" + self.address
        self.storage = tempfile.mkdtemp(dir=FOLDER)
        self.process = subprocess.Popen([program("depserver"), "-api", API_KEY, "-listen", self.address, "-storage-dsn", self.storage],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_us)
        wait_until(self.answers, "depserver does not answer", 30)

    def answers(self):
        try:
            return Peer(self.url).request("GET", "/version").status == 200
        except OSError:
            return False

    def configure(self, name, base_url):
        answer = Peer(self.url).request("PUT", f"/v1/config/{name}", json.dumps({"base_url": base_url}).encode(), {"Authorization": basic(API_KEY)})
        equal(answer.status, 200, answer.text)

    def tools(self, name):
        return Tools(self.url, API_KEY, name)

    def close(self):
        self.process.terminate()
        self.process.wait(30)


class Syncer:
    """Its depsyncer, over the storage of a depserver, with a receiver for what it tells."""

    def __init__(self, server, name, *arguments):
        self.told = told = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.receiver.serve_forever, daemon=True).start()
        self.log_path = os.path.join(server.storage + ".log")
        with open(self.log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [program("depsyncer"), "-duration", "3600", "-limit", "2", "-debug", "-storage-dsn", server.storage, *arguments,
                 "-webhook-url", "http://127.0.0.1:%d/" % self.receiver.server_port, name],
                stdout=log, stderr=log, preexec_fn=die_with_us)

    def log(self):
        with open(self.log_path, encoding="utf-8") as log:
            return log.read()

    def sync_now(self):
        self.process.send_signal(signal.SIGHUP)

    def devices(self, topic):
        return [device for event in list(self.told) if event["topic"] == topic
                for device in event["device_response_event"]["device_response"].get("devices", [])]

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        self.receiver.shutdown()
        self.receiver.server_close()


class GoClient:
    def __init__(self, base_url, tokens):
        path = os.path.join(tempfile.mkdtemp(dir=FOLDER), "tokens.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(tokens, file)
        self.process = subprocess.Popen([program("nanodep_client"), base_url, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=die_with_us)

    def ask(self, call, **members):
        self.process.stdin.write(json.dumps({"call": call, **members}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def right(self, call, **members):
        found = self.ask(call, **members)
        if "error" in found:
            raise AssertionError(f"{call} {members}: {found}")
        return found["answer"]

    def refused(self, word, call, **members):
        found = self.ask(call, **members)
        if word not in found.get("error", ""):
            raise AssertionError(f"{call} {members}: {found} instead of {word}")
        return found["is"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


def basic(key):
    return "Basic " + base64.b64encode(f"depserver:{key}".encode()).decode()


# --- the installation ---

WORLD = World(workers=1, **virtual_dep.settings())
FACE = f"http://{WORLD.broker.listen}/nanodep"
DEP = virtual_dep.address(WORLD)


def scoped_key():
    arguments = ["admin", "create-key", "--role", "technician", "--scope", "tokens:read"]
    return run([WORLD.broker.program, *arguments], env=WORLD.broker.environment).strip()


def write(name, content):
    path = os.path.join(tempfile.mkdtemp(dir=FOLDER), name)
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    return path


def apple_file(client, pem):
    return write("token.p7m", WORLD.apple.call("POST", f"/tenants/{client.apple}/token", pem))


def profile_file(**members):
    return write("profile.json", json.dumps({"profile_name": "Enrol", **members}))


def serials_of(client):
    return [device["serial_number"] for device in client.truth()["devices"]]


def lockable(client):
    """Those that Apple locks: no AppleTV."""
    return [row["s"] for row in client.rows("select serial_number as s from depbroker.devices where tenant_id = {id} and device_family <> 'AppleTV'")]


def url_at_apple(client, serial):
    return {device["serial_number"]: device.get("profile_url") for device in client.truth()["devices"]}[serial]


def url_of(client):
    return f"https://mdm.{client.slug}.example/enroll"


def beside(client):
    """A depserver with the same token at the same Apple."""
    peer = Server()
    token = WORLD.apple.get(f"/tenants/{client.apple}/token")
    members = ("consumer_key", "consumer_secret", "access_token", "access_secret")
    answer = Peer(peer.url).request("PUT", "/v1/tokens/" + client.slug, json.dumps(
        {name: token[name] for name in members} | {"access_token_expiry": "2099-01-01T00:00:00Z"}).encode(), {"Authorization": basic(API_KEY)})
    equal(answer.status, 200, answer.text)
    peer.configure(client.slug, WORLD.apple_url)
    return peer


# --- its shell tools against /nanodep ---

@test
def the_shell_tools_take_a_token_as_they_do_from_depserver():
    client = WORLD.onboard(devices=3)
    tools = Tools(FACE, scoped_key(), client.slug)
    for arguments in ((), ("my mdm", "365")):
        pem = tools.right("cfg-get-cert", *(argument.replace(" ", "%20") for argument in arguments))
        equal(pem.startswith("-----BEGIN CERTIFICATE-----"), True, pem)
    file = apple_file(client, pem.encode())
    token = tools.json("cfg-decrypt-tokens", file)
    at_apple = WORLD.apple.get(f"/tenants/{client.apple}/token")
    equal({name: at_apple[name] for name in token if name in at_apple}, {name: token[name] for name in token if name in at_apple}, "token")
    other = WORLD.onboard(devices=1)
    file = apple_file(other, pem.encode())
    equal(tools.ask("cfg-decrypt-tokens", file), (500, '{"error":"mismatched consumer key"}\n'), "of another server")
    equal(tools.ask("cfg-decrypt-tokens", file, "1")[0], 500, "forced")
    tools.right("dep-account-detail")
    jwt = tools.right("cfg-maidjwt")
    equal((jwt.count("."), jwt.endswith("\n")), (2, False), "a JWT")


@test
def the_shell_tools_get_the_answers_that_they_get_from_depserver():
    client = WORLD.onboard(devices=6)
    WORLD.until_equal(client)
    tools, peer = Tools(FACE, scoped_key(), client.slug), beside(client)
    theirs = peer.tools(client.slug)
    serials = serials_of(client)
    try:
        usual = client.stored()[serials[0]]["profile_uuid"]
        equal(tools.ask("cfg-set-assigner", usual), theirs.ask("cfg-set-assigner", usual), "what the rules do already")
        uuid = tools.json("dep-define-profile", profile_file(url=url_of(client), org_magic="m"))["profile_uuid"]
        for question in (["dep-account-detail"], ["dep-device-details", *serials], ["dep-device-details", "NOSUCHTHING"], ["dep-device-details"],
                         ["dep-get-profile", uuid], ["dep-get-profile", "0" * 32], ["dep-get-profile"],
                         ["dep-assign-profile", uuid, *serials], ["dep-remove-profile", "NOSUCHTHING"],
                         ["dep-define-profile", profile_file(url=url_of(client), is_mdm_removable=False)], ["dep-define-profile", write("bad", "{")],
                         ["dep-activation-lock", "NOSUCHTHING"], ["dep-activation-lock", serials[0], "short", "a message"]):
            equal(tools.ask(*question), theirs.ask(*question), question[0])
        for name in ("", "/nobody", "/" + client.slug):
            for path in ("/v1/tokens", "/v1/config", "/v1/assigner", "/v1/tokenpki"):
                for method in ("POST", "DELETE"):
                    wrong = [Peer(url).request(method, prefix + path + (name or "/"), b"", {"Authorization": basic(key)})
                             for url, prefix, key in ((f"http://{WORLD.broker.listen}", "/nanodep", tools.environment["APIKEY"]), (peer.url, "", API_KEY))]
                    equal((wrong[0].status, wrong[0].text), (wrong[1].status, wrong[1].text), f"{method} {path}{name}")
    finally:
        peer.close()


@test
def the_shell_tools_change_what_depbroker_agrees_to():
    client = WORLD.onboard(devices=8)
    WORLD.until_equal(client)
    tools = Tools(FACE, scoped_key(), client.slug)
    serials = lockable(client)
    uuid = tools.json("dep-define-profile", profile_file(url=url_of(client)))["profile_uuid"]
    equal(tools.json("dep-get-profile", uuid)["url"], url_of(client), "defined")
    equal(tools.json("dep-assign-profile", uuid, *serials[:2])["devices"], {serial: "SUCCESS" for serial in serials[:2]}, "assigned")
    equal(tools.json("dep-remove-profile", serials[0])["devices"], {serials[0]: "SUCCESS"}, "removed")
    equal(tools.ask("dep-define-profile", profile_file(url="https://elsewhere.example/"))[0], 403, "a profile that leads elsewhere")
    for wanted in ("SUCCESS", "DEVICE_ALREADY_LOCKED"):
        equal(tools.json("dep-activation-lock", serials[1], "0" * 64, "call us")["response_status"], wanted, "lock")


@test
def bypass_codes_are_those_of_its_own_program():
    key = scoped_key()
    peer = Peer(f"http://{WORLD.broker.listen}")
    for raw in ("00" * 16, "ff" * 16, "0123456789abcdef0123456789abcdef"):
        wanted = subprocess.run([program("bypasscode"), "-raw", raw], check=True, capture_output=True, text=True).stdout
        found = peer.request("GET", f"/nanodep/v1/bypasscode?raw={raw}", None, {"Authorization": basic(key)}).json()
        for name in ("raw", "code", "hash"):
            if found[name] not in wanted:
                raise AssertionError(f"{name}: {found[name]} is not in {wanted}")


# --- all of it, with a virtual DEP server as its Apple ---

def two_instances(devices):
    client = WORLD.onboard(devices=devices)
    WORLD.until_equal(client)
    WORLD.technician.post(f"{client.path}/instances", {"name": "school", "kind": "nanomdm", "enrolment_url": "https://mdm.school.example/enrol",
                                                       "allowed_hosts": ["mdm.school.example"]})
    return client


def route(client, serial, instance):
    WORLD.technician.call("PUT", f"{client.path}/devices/{serial}/pin", {"instance": instance})


def take_token(client, instance, server, name):
    """As an administrator does with Apple's portal."""
    tools = server.tools(name)
    pem = tools.right("cfg-get-cert")
    file = WORLD.technician.call("POST", f"{client.path}/instances/{instance}/dep-token", pem.encode())
    tools.json("cfg-decrypt-tokens", write("virtual.p7m", file))
    server.configure(name, DEP)
    return tools


@test
def deptokens_opens_the_token_file():
    client = WORLD.onboard(devices=1)
    folder = tempfile.mkdtemp(dir=FOLDER)
    subprocess.run([program("deptokens"), "-cert", "cert.pem", "-key", "cert.key"], cwd=folder, check=True, capture_output=True)
    with open(os.path.join(folder, "cert.pem"), "rb") as file:
        token = WORLD.technician.call("POST", f"{client.path}/instances/main/dep-token", file.read())
    done = subprocess.run([program("deptokens"), "-cert", "cert.pem", "-key", "cert.key", "-token", write("token.p7m", token)], cwd=folder, check=True,
                          capture_output=True, text=True)
    equal(set(json.loads(done.stdout)), {"consumer_key", "consumer_secret", "access_token", "access_secret", "access_token_expiry"}, "members")


@test
def depserver_has_a_virtual_server_as_its_apple():
    client = two_instances(8)
    server = Server()
    tools = take_token(client, "main", server, "mine")
    serials = lockable(client)
    foreign = serials.pop()
    route(client, foreign, "school")
    wait_until(lambda: url_at_apple(client, foreign) == "https://mdm.school.example/enrol", "routed")
    try:
        equal(tools.json("dep-account-detail")["server_name"], "main", "account")
        equal({serial: device["response_status"] for serial, device in tools.json("dep-device-details", serials[0], foreign)["devices"].items()},
              {serials[0]: "SUCCESS", foreign: "NOT_ACCESSIBLE"}, "details")
        uuid = tools.json("dep-define-profile", profile_file(url=url_of(client)))["profile_uuid"]
        equal(tools.json("dep-get-profile", uuid)["profile_name"], "Enrol", "profile")
        equal(tools.json("dep-assign-profile", uuid, serials[0], foreign)["devices"], {serials[0]: "SUCCESS", foreign: "NOT_ACCESSIBLE"}, "assigned")
        equal(tools.json("dep-remove-profile", serials[0], foreign)["devices"], {serials[0]: "SUCCESS", foreign: "NOT_ACCESSIBLE"}, "removed")
        equal(tools.ask("dep-define-profile", profile_file(url="https://mdm.school.example/enrol")), (400, "CONFIG_URL_INVALID"), "the other's host")
        equal(tools.json("dep-activation-lock", serials[1], "0" * 64)["response_status"], "SUCCESS", "lock")
        equal(tools.json("dep-activation-lock", foreign, "0" * 64)["response_status"], "NOT_ACCESSIBLE", "the other's device")
        equal(tools.right("cfg-maidjwt").count("."), 2, "a JWT")
        equal(url_at_apple(client, foreign), "https://mdm.school.example/enrol", "the other's device is where it was")
    finally:
        server.close()


@test
def depsyncer_follows_and_assigns():
    client = two_instances(5)
    server = Server()
    tools = take_token(client, "main", server, "mine")
    uuid = tools.json("dep-define-profile", profile_file(url=url_of(client), org_magic="assigner"))["profile_uuid"]
    tools.right("cfg-set-assigner", uuid)
    syncer = Syncer(server, "mine")
    try:
        serials = set(serials_of(client))
        wait_until(lambda: {device["serial_number"] for device in syncer.devices("dep.FetchDevices")} == serials, syncer.log, 30)
        added = client.add(3)
        client.sync_now()
        wait_until(lambda: set(added) <= set(client.stored()), "stored")
        moved = min(serials)
        route(client, moved, "school")
        wait_until(lambda: url_at_apple(client, moved) == "https://mdm.school.example/enrol", "routed")

        def told(kind):
            return {device["serial_number"] for device in syncer.devices("dep.SyncDevices") if device["op_type"] == kind}

        syncer.sync_now()
        wait_until(lambda: told("added") == set(added) and told("deleted") == {moved}, lambda: f"{syncer.log()} {syncer.told}", 30)

        def assigned():
            return {device["serial_number"] for device in client.truth()["devices"] if device.get("profile_uuid") == uuid}

        wait_until(lambda: assigned() == set(added), lambda: f"{assigned()} instead of {added}: {syncer.log()}", 30)
        for line in syncer.log().splitlines():
            if " err=" in line and "EXHAUSTED" not in line:
                raise AssertionError(line)
        equal(moved in {device["serial_number"] for device in syncer.devices("dep.SyncDevices") if "profile_uuid" in device}, False, "no profile of the other's")
    finally:
        syncer.close()
        server.close()


@test
def depsyncer_goes_on_with_its_cursor_and_after_a_lost_one():
    client = two_instances(3)
    server = Server()
    take_token(client, "main", server, "mine")
    serials = set(serials_of(client))
    syncer = Syncer(server, "mine")
    try:
        wait_until(lambda: {device["serial_number"] for device in syncer.devices("dep.FetchDevices")} == serials, syncer.log, 30)
        wait_until(lambda: any(event["topic"] == "dep.SyncDevices" for event in list(syncer.told)), syncer.log, 30)
    finally:
        syncer.close()
    syncer = Syncer(server, "mine")
    try:
        wait_until(lambda: any(event["topic"] == "dep.SyncDevices" for event in list(syncer.told)), syncer.log, 30)
        equal(syncer.devices("dep.FetchDevices"), [], "not again")
    finally:
        syncer.close()
    client.sql("update depbroker.installation set incarnation = incarnation + 1")
    syncer = Syncer(server, "mine")
    try:
        wait_until(lambda: {device["serial_number"] for device in syncer.devices("dep.FetchDevices")} == serials, syncer.log, 30)
    finally:
        syncer.close()
        server.close()


@test
def the_go_client_is_understood():
    client = two_instances(8)
    client.change(serials_of(client)[0], mdm_migration_deadline="2027-01-01T00:00:00Z", color=None, asset_tag="")
    client.sync_now()
    wait_until(lambda: client.rows("select 1 as x from depbroker.devices where tenant_id = {id} and mdm_migration_deadline is not null"), "deadline")
    go_client = GoClient(DEP, virtual_dep.make_token(client))
    serials = lockable(client)
    try:
        equal(go_client.right("AccountDetail")["server_name"], "main", "account")
        page = go_client.right("FetchDevices", limit=5)
        equal((len(page["devices"]), page["more_to_follow"]), (5, True), "first page")
        equal(go_client.refused("INVALID_CURSOR", "SyncDevices", cursor=page["cursor"]), "invalid", "not read to its end")
        page = go_client.right("FetchDevices", limit=5, cursor=page["cursor"])
        equal((len(page["devices"]), page["more_to_follow"]), (3, False), "second page")
        equal(go_client.refused("EXHAUSTED_CURSOR", "FetchDevices", cursor=page["cursor"]), "exhausted", "read to its end")
        equal(go_client.refused("INVALID_CURSOR", "FetchDevices", cursor="nonsense"), "invalid", "nonsense")
        go_client.refused("CURSOR_REQUIRED", "SyncDevices")
        equal(go_client.right("SyncDevices", cursor=page["cursor"]).get("devices", []), [], "nothing has changed")
        profile = {"profile_name": "Go", "url": url_of(client), "is_mdm_removable": True, "allow_pairing": True, "skip_setup_items": ["TOS"],
                   "devices": serials[:1]}
        made = go_client.right("DefineProfile", profile=profile)
        equal(made["devices"], {serials[0]: "SUCCESS"}, "assigned at once")
        found = go_client.right("GetProfile", uuid=made["profile_uuid"])
        equal((found["profile_name"], found["url"], found["skip_setup_items"]), ("Go", url_of(client), ["TOS"]), "profile")
        go_client.refused("FLAGS_INVALID", "DefineProfile", profile=profile | {"is_mdm_removable": False})
        go_client.refused("NOT_FOUND", "GetProfile", uuid="0" * 32)
        equal(go_client.right("AssignProfile", uuid=made["profile_uuid"], serials=[serials[1], "ELSEWHERE"])["devices"],
              {serials[1]: "SUCCESS", "ELSEWHERE": "NOT_ACCESSIBLE"}, "assigned")
        go_client.refused("PROFILE_NOT_FOUND", "AssignProfile", uuid="F" * 32, serials=serials[:1])
        go_client.refused("DEVICE_ID_REQUIRED", "AssignProfile", uuid=made["profile_uuid"])
        equal(go_client.right("DeviceDetails", serials=[serials[1]])["devices"][serials[1]]["profile_uuid"], made["profile_uuid"], "details")
        equal(go_client.right("RemoveProfile", serials=serials[:2])["devices"], {serial: "SUCCESS" for serial in serials[:2]}, "removed")
        equal(go_client.right("ActivationLock", serials=serials[:1], key="0" * 64, message="call")["response_status"], "SUCCESS", "lock")
        equal(len(go_client.right("OSBetaEnrollmentTokens")["betaEnrollmentTokens"]) > 0, True, "beta tokens")
        go_client.right("AssignAccountDrivenEnrollmentProfile", url=url_of(client))
        go_client.refused("MDM_SERVICE_DISCOVERY_URL_NOT_VALID", "AssignAccountDrivenEnrollmentProfile", url="https://elsewhere.example/")
        WORLD.apple.call("PATCH", f"/tenants/{client.apple}", {"beta_off": True})
        equal(go_client.refused("APPLE_SEED_FOR_IT_TURNED_OFF", "OSBetaEnrollmentTokens"), "turned off", "beta tokens")
    finally:
        go_client.close()


@test
def a_token_that_was_revoked_is_refused():
    client = WORLD.onboard(devices=2)
    WORLD.until_equal(client)
    go_client = GoClient(DEP, virtual_dep.make_token(client))
    try:
        go_client.right("AccountDetail")
        WORLD.technician.call("DELETE", f"{client.path}/instances/main/dep-token")
        go_client.refused("token_rejected", "FetchDevices")
        go_client.refused("token_rejected", "AccountDetail")
    finally:
        go_client.close()


def finish():
    try:
        WORLD.__exit__(None, None, None)
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)


if __name__ == "__main__":
    WORLD.__enter__()
    sys.exit(run_tests(finish))
