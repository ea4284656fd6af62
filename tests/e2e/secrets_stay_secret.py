#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Known secrets go through a whole installation, and are then looked for where they must not be: logs, metrics, every answer of the
# API, the database as its superuser reads it and as it lies on the disk, command lines, environments, and everything that is in the
# memory of each process once the tenants rest (more than a core image would hold). Needs root for the memory, and a build without
# sanitizers, because these keep freed memory.
import base64
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
import world as worlds  # noqa: E402
from programs import ROOT, Peer, equal  # noqa: E402
from world import Failure, World, children_of, seeded, wait_until  # noqa: E402

BARE = os.path.join(ROOT, "build", "bare")
CLIENTS = 4
DEVICES = 20
REST_S = 15  # a tenant that does not run is forgotten within this time


def build():
    """The program as it is installed."""
    for command in (["cmake", "--preset", "release", "-B", BARE, "-DDEPBROKER_TESTS=OFF"],
                    ["cmake", "--build", BARE, "-j", "2", "--target", "depbroker"]):
        worlds.run(command, cwd=ROOT)
    return os.path.join(BARE, "depbroker")


class Answers:
    """Everything that any client of ours is answered."""

    def __init__(self):
        self.kept = []
        self.request = Peer.request
        answers = self

        def request(peer, method, path, *arguments, **options):
            answer = answers.request(peer, method, path, *arguments, **options)
            answers.kept.append((method, path, str(answer.headers).encode() + answer.body))
            return answer
        Peer.request = request


class Secret:
    def __init__(self, what, *forms):
        self.what = what
        self.forms = [form for form in forms if form]


def text_forms(text):
    data = text.encode()
    return [data, data.hex().encode(), base64.b64encode(data)[:len(data) * 4 // 3 // 4 * 4]]


def modulus_of(pem):
    done = subprocess.run(["openssl", "x509", "-noout", "-modulus"], input=pem, capture_output=True, check=True)
    return bytes.fromhex(done.stdout.decode().strip().partition("=")[2])


def secrets_of_token(client, token):
    for member in ("consumer_secret", "access_token", "access_secret"):
        yield Secret(f"{client.slug}: {member}", *text_forms(token[member]))
    for session in token["sessions"]:
        yield Secret(f"{client.slug}: session", *text_forms(session[-32:]))


def secrets_of_client(client):
    encoded = client.secret.removeprefix("whsec_")
    raw = base64.b64decode(encoded)
    yield Secret(f"{client.slug}: webhook secret", encoded.rstrip("=").encode(), raw, raw.hex().encode())
    for pem in client.certificates:
        # A private key in DER has the modulus, the exponent, and then one member more than a public one.
        key = modulus_of(pem)[-24:] + bytes.fromhex("0203010001028201")
        yield Secret(f"{client.slug}: private key", key, key.hex().encode(), *(base64.b64encode(key[skip:])[:-4] for skip in range(3)))


def secrets_of(world):
    found = []
    for client in world.clients.values():
        for token in [*client.former_tokens, world.apple.get(f"/tenants/{client.apple}/token")]:
            found += secrets_of_token(client, token)
        found += secrets_of_client(client)
    for name in ("operator", "technician"):
        found.append(Secret(f"API key of the {name}", getattr(world, name).key[14:46].encode()))
    return found


def master_key_of(world):
    with open(os.path.join(world.broker.state, "master.key"), encoding="ascii") as file:
        digits = file.read().strip()
    return Secret("master key", bytes.fromhex(digits), digits.encode(), digits.upper().encode(),
                  base64.b64encode(bytes.fromhex(digits))[:40])


def hits(secrets, data):
    return [secret.what for secret in secrets if any(form in data for form in secret.forms)]


def expect_none(secrets, data, where):
    found = hits(secrets, data)
    if found:
        raise Failure(f"{where}: {found}")


# --- where it is looked ---


def regions(pid):
    """What the process can read, and is not a file's: (begin, bytes, name)."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            place, rights, _, _, _, *name = line.split(maxsplit=5)
            begin, end = (int(part, 16) for part in place.split("-"))
            if rights[0] != "r" or (name and name[0].strip() in ("[vvar]", "[vsyscall]")):
                continue
            try:
                memory.seek(begin)
                yield begin, memory.read(end - begin), name[0].strip() if name else ""
            except OSError:
                continue


def memory_hits(pid, secrets):
    found = []
    for begin, data, name in regions(pid):
        for secret in secrets:
            for form in secret.forms:
                at = data.find(form)
                if at >= 0:
                    found.append((secret.what, f"{name or 'mapped'}+{at:#x}", re.sub(rb"[^ -~]", b".", data[max(0, at - 60):at])))
    return found


def read(path):
    with open(path, "rb") as file:
        return file.read()


def processes(world):
    serve = world.broker.process.pid
    found = {"serve": [serve]} | {name: children_of(serve, name) for name in ("api", "worker")}
    equal(all(found.values()), True, f"processes: {found}")
    return [(name, pid) for name, pids in found.items() for pid in pids]


def check_database(world, secrets):
    dump = subprocess.run(["pg_dump", "-h", world.postgres.folder, "-U", "depbroker", "depbroker"], capture_output=True, check=True).stdout
    equal(b"COPY depbroker.secrets" in dump, True, "the dump has the sealed secrets")
    expect_none(secrets, dump, "dump of the database")
    world.sql("checkpoint")
    for folder, _, files in os.walk(world.postgres.data):
        for name in files:
            expect_none(secrets, read(os.path.join(folder, name)), f"file of the database {name}")


def check_processes(world, secrets):
    for name, pid in processes(world):
        for part in ("cmdline", "environ"):
            expect_none(secrets, read(f"/proc/{pid}/{part}"), f"{part} of {name}")
        if name != "serve":  # a process cannot take out of what it was started with
            equal(b"SSLKEYLOGFILE" in read(f"/proc/{pid}/environ"), False, f"SSLKEYLOGFILE for {name}")


def check_core_is_impossible(world):
    for name, pid in processes(world):
        limit = next(line for line in read(f"/proc/{pid}/limits").decode().splitlines() if line.startswith("Max core file size"))
        equal(limit.split()[4:6], ["0", "0"], f"core limit of {name}")
        equal(os.stat(f"/proc/{pid}/mem").st_uid, 0, f"{name} can be dumped by its user")


def check_memory(world, secrets, master_key):
    wait_until(lambda: world.rows("select count(*) as n from depbroker.sync_due where claimed_by is not null")[0]["n"] == 0,
               "every tenant rests")
    for name, pid in processes(world):
        left = [None]

        def is_clean(pid=pid, left=left):
            left[0] = memory_hits(pid, secrets)
            return not left[0]
        wait_until(is_clean, lambda name=name, left=left: f"memory of {name}: {left[0]}", REST_S, 1)
        forms = [form for form in master_key.forms if any(form in data for _, data, _ in regions(pid))]
        expected = [] if name == "serve" else [master_key.forms[0]]
        equal(forms, expected, f"forms of the master key in the memory of {name}")


def check_search_finds(world, secrets):
    """The search itself: this process knows all of them, and so do the dump's bytes when one is put there."""
    equal({what for what, _, _ in memory_hits(os.getpid(), secrets)}, {secret.what for secret in secrets}, "found in this process")
    world.sql(f"create table public.planted as select '{secrets[0].forms[0].decode()}'::text as secret")
    try:
        check_database(world, secrets)
    except Failure:
        return
    finally:
        world.sql("drop table public.planted")
    raise Failure("a planted secret was not found in the database")


# --- what goes through ---


def onboard(world):
    client = world.onboard(devices=DEVICES)
    listed = world.technician.get(f"{client.path}/token/keys")["items"]
    client.former_tokens = []
    client.certificates = [world.technician.get(f"{client.path}/token/keys/{pair['id']}/certificate") for pair in listed]
    return client


def use_it_all(world):
    """Reads, refusals and failures, so that secrets have every chance to get into answers and logs."""
    for client in world.clients.values():
        client.add(3)
        client.sync_now()
        token = world.apple.get(f"/tenants/{client.apple}/token")
        for path in ("", "/token", "/token/keys", "/instances", "/instances/main", "/rules", "/sync", "/devices", "/events"):
            world.technician.get(client.path + path)
        for body in (b"", b"not a token", token["consumer_secret"].encode()):
            try:
                world.technician.call("PUT", f"{client.path}/token", body)
            except worlds.Problem:
                pass
    first = next(iter(world.clients.values()))
    first.former_tokens.append(world.apple.get(f"/tenants/{first.apple}/token"))
    first.take_token()
    first.certificates.append(world.technician.get(
        f"{first.path}/token/keys/{max(pair['id'] for pair in world.technician.get(first.path + '/token/keys')['items'])}/certificate"))
    plan = first.fail_apple(endpoint="/devices/sync", status=500, times=1)
    first.sync_now()
    wait_until(lambda: first.stream()["failures"] > 0 or first.stream()["synced_at"], f"the fault {plan}")
    wait_until(lambda: all(client.pending() == 0 and client.received() for client in world.clients.values()), "events are delivered")


def main():
    if os.geteuid() != 0:
        print("reading the memory of processes needs root")
        sys.exit(77)
    _, seed = seeded("secrets_stay_secret")
    program = build()
    answers = Answers()
    world = World(workers=2, own_postgres=True, seed=seed % 1000 + 1, DEPBROKER_LOG_LEVEL="debug", SSLKEYLOGFILE="/nonexistent/keys")
    world.broker.program = program
    with world:
        for _ in range(CLIENTS):
            onboard(world)
        use_it_all(world)
        secrets, master_key = secrets_of(world), master_key_of(world)
        everything = secrets + [master_key]
        print(f"{len(everything)} secrets", flush=True)
        metrics = Peer("http://" + world.broker.admin_listen).request("GET", "/metrics")
        equal(metrics.status, 200, "metrics")
        expect_none(everything, read(world.broker.log_path), "log")
        shown_once = [Secret("", client.secret.encode()) for client in world.clients.values()]
        for method, path, data in answers.kept:
            if path.startswith("/api/") and not (method == "POST" and path.endswith("/instances")):
                expect_none(everything + shown_once, data, f"answer to {method} {path}")
        expect_none(everything, metrics.body, "metrics")
        check_database(world, everything)
        check_processes(world, everything)
        check_core_is_impossible(world)
        check_memory(world, secrets, master_key)
        check_search_finds(world, secrets)  # last: it leaves traces in the database's files
    print("ok", flush=True)


main()
