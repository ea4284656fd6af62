#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# A running NanoDEP moves: from files, and from a PostgreSQL with NanoDEP's table. No new token is made; whatever is refused leaves
# nothing behind.
import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import urllib.parse

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from broker import Broker, Client, Postgres, die_with_us, free_port, wait_until  # noqa: E402
from programs import BUILD, Control, Program, equal, run_tests, test  # noqa: E402

# What NanoDEP's pgsql storage has: one row a DEP name.
TABLE = """create table dep_names (name varchar(255) primary key, consumer_key text, consumer_secret text, access_token text, access_secret text,
    access_token_expiry timestamptz, config_base_url varchar(255), tokenpki_cert_pem text, tokenpki_key_pem text,
    tokenpki_staging_cert_pem text, tokenpki_staging_key_pem text, syncer_cursor varchar(1024), assigner_profile_uuid text,
    assigner_profile_uuid_at timestamptz, created_at timestamptz default now(), updated_at timestamptz default now())"""

POSTGRES = Postgres()
POSTGRES.sql("create database nanodep", "postgres")
POSTGRES.sql(TABLE, "nanodep")
NANODEP = f"postgresql:///nanodep?user=owner&host={urllib.parse.quote(POSTGRES.folder, safe='')}"
SIMULATOR = Program("applesim")
APPLE, CONTROL = SIMULATOR.ready["apple"], Control(SIMULATOR.ready["control"])
BROKER = Broker(POSTGRES, DEPBROKER_APPLE_URL=APPLE)
BROKER.command("migrate")
BROKER.start()
API = Client(BROKER, BROKER.make_key())
FILES = tempfile.TemporaryDirectory()
NUMBERS = iter(range(1, 1000000))
SECRETS = []


def new_pair():
    """As NanoDEP makes it: (certificate, private key), the key in PKCS#1."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=depserver", "-keyout", "key",
                        "-out", "certificate"], cwd=folder, check=True, capture_output=True)
        key = subprocess.run(["openssl", "rsa", "-traditional", "-in", "key"], cwd=folder, check=True, capture_output=True).stdout
        with open(os.path.join(folder, "certificate"), "rb") as file:
            return file.read().decode(), key.decode()


PAIR, OTHER_PAIR = new_pair(), new_pair()


def new_client(devices=3, **members):
    """A client of Apple's whose token NanoDEP has: (server, the answer of GET /v1/tokens)."""
    server = CONTROL.post("/tenants", {"name": f"server-{next(NUMBERS)}", "devices": devices} | members)
    CONTROL.call("PUT", f"/tenants/{server['id']}/certificate", PAIR[0].encode())
    CONTROL.call("POST", f"/tenants/{server['id']}/token")
    credentials = CONTROL.get(f"/tenants/{server['id']}/token")
    tokens = {name: credentials[name] for name in ("consumer_key", "consumer_secret", "access_token", "access_secret")}
    SECRETS.extend(tokens.values())
    return server, tokens | {"access_token_expiry": "2099-01-01T00:00:00Z"}


def written(content):
    path = os.path.join(FILES.name, f"file-{next(NUMBERS)}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(content if isinstance(content, str) else json.dumps(content) + "\n")
    return path


def put_row(name, tokens=None, **columns):
    """A row of NanoDEP's table."""
    row = {"name": name} | (tokens or {}) | columns
    values = ", ".join("$x$" + value + "$x$" for value in row.values())
    POSTGRES.sql(f"insert into dep_names ({', '.join(row)}) values ({values})", "nanodep")


def import_nanodep(*arguments, code=0):
    return BROKER.command("import", "nanodep", *arguments, code=code)


def everything():
    """All that there is of clients, as one text."""
    tables = POSTGRES.sql("select quote_ident(relname) from pg_class where relnamespace = 'depbroker'::regnamespace and relkind in ('r', 'p') "
                          "and relname not in ('api_keys', 'nodes') order by 1")
    return [POSTGRES.sql(f"select x::text from depbroker.{table} x order by 1") for table in tables]


def refused(sentence, *arguments):
    before = everything()
    done = import_nanodep(*arguments, code=1)
    equal((sentence in done.stderr, "Sanitizer" in done.stderr), (True, False), f"{sentence!r} in {done.stderr!r}")
    equal(everything(), before, "nothing is left behind")


@test
def a_name_moves_from_files_and_its_devices_are_read():
    server, tokens = new_client(devices=7, org_name="Acme Ltd")
    done = import_nanodep("--name", "Acme Server", "--display-name", "Acme", "--tokens", written(tokens), "--certificate", written(PAIR[0]),
                          "--key", written(PAIR[1]), "--cursor", written("MTA0MQ=="), "--assigner-profile-uuid", "43277A13FBCA0CFC")
    equal([part in done.stdout for part in ("acme-server", "Acme Ltd", server["server_uuid"], "43277A13FBCA0CFC", "cursor")], [True] * 5,
          done.stdout)
    tenant = API.get("/tenants/acme-server")
    equal((tenant["display_name"], tenant["state"], tenant["apple_url"], tenant["identity"]["server_uuid"], tenant["token"]["state"]),
          ("Acme", "active", None, server["server_uuid"], "active"), "tenant")
    equal(tenant["notes"], 'Imported from NanoDEP, where it was "Acme Server".', "notes")
    lines = [line for line in API.get("/audit?limit=1000")["items"] if line["target"] == "acme-server"]
    equal([(line["actor"], line["action"], line["detail"]) for line in lines],
          [("command:import", "tenant.import", {"server_uuid": server["server_uuid"]})], "audit")
    token = API.get("/tenants/acme-server/token")
    pairs = API.get("/tenants/acme-server/token/keys")["items"]
    equal([(pair["id"], pair["state"]) for pair in pairs], [(token["key_pair_id"], "current")], "pair")
    equal((token["expires_at"], token["consumer_key_end"]), ("2099-01-01T00:00:00Z", tokens["consumer_key"][-4:]), "token")
    API.expect(201, "POST", "/tenants/acme-server/instances", {
        "name": "main", "kind": "nanomdm", "enrolment_url": "https://mdm.example.org/enroll", "allowed_hosts": ["mdm.example.org"]})
    jwt = API.ask("GET", "/tenants/acme-server/instances/main/maidjwt")
    equal((jwt.status, server["server_uuid"].encode() in base64.urlsafe_b64decode(jwt.text.split(".")[1] + "==")), (200, True), "MAID")
    run_worker_until(lambda: len(API.get("/tenants/acme-server/devices")["items"]) == 7)
    equal({item["held"] for item in API.get("/tenants/acme-server/devices")["items"]}, {True}, "nothing is sent anywhere")


def run_worker_until(condition):
    environment = BROKER.environment | {"DEPBROKER_ADMIN_LISTEN": f"127.0.0.1:{free_port()}"}
    with open(BROKER.log_path, "a", encoding="utf-8") as log:
        worker = subprocess.Popen([os.path.join(BUILD, "depbroker"), "worker"], env=environment, stderr=log, stdin=subprocess.DEVNULL,
                                  preexec_fn=die_with_us)
    wait_until(condition, "the worker has read the devices")
    worker.terminate()
    equal(worker.wait(60), 0, "the worker's end")


@test
def a_renewal_goes_on_with_the_imported_pair():
    server, tokens = new_client()
    import_nanodep("--name", "renewal", "--tokens", written(tokens), "--certificate", written(PAIR[0]), "--key", written(PAIR[1]))
    file = CONTROL.call("POST", f"/tenants/{server['id']}/token")
    equal(API.expect(200, "PUT", "/tenants/renewal/token", file)["token"]["server_uuid"], server["server_uuid"], "renewed")


@test
def a_name_without_its_pair_moves_and_is_told_what_it_lacks():
    _, tokens = new_client()
    done = import_nanodep("--name", "keyless", "--slug", "without-key", "--tokens", written(tokens | {"access_token_expiry": "0001-01-01T00:00:00Z"}))
    equal("MAID" in done.stdout, True, done.stdout)
    token = API.get("/tenants/without-key/token")
    equal((token["key_pair_id"], token["expires_at"]), (None, None), "token")


@test
def the_same_again_does_nothing():
    _, tokens = new_client()
    arguments = ("--name", "again", "--tokens", written(tokens))
    import_nanodep(*arguments)
    before = everything()
    equal("here already" in import_nanodep(*arguments).stdout, True, "told")
    equal(everything(), before, "nothing changed")


@test
def what_cannot_be_imported_leaves_nothing_behind():
    server, tokens = new_client()
    _, others = new_client()
    import_nanodep("--name", "taken", "--tokens", written(others))
    refused("server of the tenant taken", "--name", "thief", "--tokens", written(others))
    refused("another tenant taken", "--name", "taken", "--tokens", written(tokens))
    refused("expired", "--name", "new", "--tokens", written(tokens | {"access_token_expiry": "2020-01-01T00:00:00Z"}))
    refused("GET /v1/tokens", "--name", "new", "--tokens", written('{"error":"resource not found"}'))
    refused("GET /v1/tokens", "--name", "new", "--tokens", written(""))
    refused("cannot be read", "--name", "new", "--tokens", "/nowhere")
    refused("does not belong", "--name", "new", "--tokens", written(tokens), "--certificate", written(PAIR[0]), "--key", written(OTHER_PAIR[1]))
    refused("certificate", "--name", "new", "--tokens", written(tokens), "--certificate", written("x"), "--key", written(PAIR[1]))
    refused("private key", "--name", "new", "--tokens", written(tokens), "--certificate", written(PAIR[0]), "--key", written(PAIR[0]))
    refused("no slug", "--name", "***", "--tokens", written(tokens))
    refused("Apple does not say", "--name", "new", "--tokens", written(tokens | {"consumer_key": "CK_unknown"}))
    refused("Apple does not say", "--name", "new", "--tokens", written(tokens), "--base-url", f"http://127.0.0.1:{free_port()}/")
    CONTROL.post("/faults", {"endpoint": "/account", "status": 200, "body": '{"org_id":"1"}'})
    refused("names no server_uuid", "--name", "new", "--tokens", written(tokens))
    import_nanodep("--name", "new", "--tokens", written(tokens))
    equal(API.get("/tenants/new")["identity"]["server_uuid"], server["server_uuid"], "after all that")


@test
def a_failure_in_the_last_statement_undoes_the_first():
    _, tokens = new_client()
    POSTGRES.sql("alter table depbroker.tenant_status add constraint no_more check (token_state <> 'active') not valid")
    try:
        refused("", "--name", "undone", "--tokens", written(tokens))
    finally:
        POSTGRES.sql("alter table depbroker.tenant_status drop constraint no_more")


@test
def without_the_master_key_of_the_service_nothing_is_sealed():
    _, tokens = new_client()
    done = BROKER.command("import", "nanodep", "--name", "keys", "--tokens", written(tokens), code=1,
                          DEPBROKER_MASTER_KEY_FILE=os.path.join(FILES.name, "none"))
    equal(os.path.exists(os.path.join(FILES.name, "none")), False, done.stderr)


@test
def wrong_usage_is_told():
    for arguments in ((), ("--name", "x"), ("--tokens", "x"), ("--name", "x", "--tokens", "x", "--all"), ("--all",), ("--from-database", "x"),
                      ("--name", "x", "--tokens", "x", "--from-database", "x"), ("--name", "x", "--tokens", "x", "--key", "x"),
                      ("--name", "x", "--tokens", "x", "--slug", "A B"), ("--nonsense",), ("--name", "x", "--tokens", "x", "more"),
                      ("--all", "--from-database", "x", "--slug", "x"), ("--name", "x", "--from-database", "x", "--cursor", "x")):
        equal("usage:" in import_nanodep(*arguments, code=2).stderr, True, arguments)
    equal(BROKER.command("import", code=2).stderr.count("usage:"), 1, "no source")
    equal("--from-database" in import_nanodep("--help").stdout, True, "help")


@test
def all_names_move_from_the_database():
    POSTGRES.sql("delete from dep_names", "nanodep")
    clients = {f"North {i}": new_client() for i in range(3)}
    for i, (name, (_, tokens)) in enumerate(clients.items()):
        put_row(name, tokens, tokenpki_cert_pem=PAIR[0], tokenpki_key_pem=PAIR[1], syncer_cursor="MTA0MQ==", config_base_url=APPLE + "/path/",
                **({"tokenpki_staging_cert_pem": OTHER_PAIR[0], "tokenpki_staging_key_pem": OTHER_PAIR[1], "assigner_profile_uuid": "ABC"}
                   if i == 0 else {}))
    put_row("empty")
    put_row("stolen", clients["North 1"][1])
    put_row("evil\x1b[2J", {name: "x" for name in ("consumer_key", "consumer_secret", "access_token", "access_secret")})
    done = import_nanodep("--from-database", NANODEP, "--all", code=1)
    equal(done.stdout.count("imported as tenant"), 3, done.stdout)
    equal([part in done.stderr for part in ('"empty": not imported: it has no token', '"stolen": not imported: the token is of the Apple server '
                                            "of the tenant north-1", '"evil\\u001b[2J": not imported')], [True] * 3, done.stderr)
    equal("\x1b" in done.stdout + done.stderr, False, "a name that writes on the terminal")
    for i, (name, (server, _)) in enumerate(clients.items()):
        tenant = API.get(f"/tenants/north-{i}")
        equal((tenant["display_name"], tenant["identity"]["server_uuid"], tenant["apple_url"]), (name, server["server_uuid"], None), name)
        states = sorted(pair["state"] for pair in API.get(f"/tenants/north-{i}/token/keys")["items"])
        equal(states, ["current", "staged"] if i == 0 else ["current"], "pairs")
    before = everything()
    again = import_nanodep("--from-database", NANODEP, "--all", code=1)
    equal((again.stdout.count("here already"), everything()), (3, before), "again")


@test
def one_name_moves_from_the_database():
    server, tokens = new_client()
    put_row("single", tokens | {"access_token_expiry": "0001-01-01T00:00:00Z"})
    import_nanodep("--from-database", NANODEP, "--name", "single", "--slug", "one", "--display-name", "One")
    equal((API.get("/tenants/one")["display_name"], API.get("/tenants/one")["identity"]["server_uuid"]), ("One", server["server_uuid"]), "one")
    refused("no such DEP name", "--from-database", NANODEP, "--name", "nobody")
    refused("no NanoDEP storage", "--from-database", POSTGRES.url, "--name", "single")


@test
def a_password_does_not_stay_on_the_command_line():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"postgresql://nanodep:sesame@127.0.0.1:{listener.getsockname()[1]}/nanodep"
        process = subprocess.Popen([os.path.join(BUILD, "depbroker"), "import", "nanodep", "--all", "--from-database", url], stdin=subprocess.DEVNULL,
                                   env=BROKER.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_us)
        listener.settimeout(60)
        listener.accept()[0].close()
        with open(f"/proc/{process.pid}/cmdline", "rb") as file:
            arguments = file.read()
        process.kill()
        process.wait()
    equal((b"--from-database" in arguments, b"sesame" in arguments), (True, False), "arguments")


@test
def nothing_secret_is_printed_or_logged():
    done = import_nanodep("--from-database", NANODEP, "--all", code=1)
    told = done.stdout + done.stderr + BROKER.log() + " ".join(row for rows in everything() for row in rows)
    equal([secret for secret in SECRETS if len(secret) > 8 and secret in told], [], "secrets")
    equal("PRIVATE KEY" in told, False, "private key")


def stop():
    API.close()
    CONTROL.close()
    BROKER.stop()
    SIMULATOR.stop()
    BROKER.remove()
    POSTGRES.stop()
    FILES.cleanup()


if __name__ == "__main__":
    sys.exit(run_tests(stop))
