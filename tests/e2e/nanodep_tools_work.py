#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# The REST API of NanoDEP under /nanodep: what its shell tools send, byte by byte on a socket, gives what NanoDEP answers; and the proxy does
# not do what depbroker itself would not do.
import base64
import concurrent.futures
import datetime
import http.server
import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.parse

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from broker import Broker, Client, Postgres, wait_until  # noqa: E402
from programs import SHARED, Control, Program, equal, run_tests, test  # noqa: E402

POSTGRES = Postgres()
SIMULATOR = Program("applesim")
APPLE, CONTROL = SIMULATOR.ready["apple"], Control(SIMULATOR.ready["control"])
BROKER = Broker(POSTGRES, DEPBROKER_APPLE_URL=APPLE)
BROKER.command("migrate")
BROKER.start()
ADMIN_KEY = BROKER.make_key("--scope", "tokens:read", "--name", "tools")
ADMIN = Client(BROKER, ADMIN_KEY)
NUMBERS = iter(range(1, 1000000))
RECORDED = os.path.join(SHARED, "protocol/vectors/peers/nanodep/tools-requests.json")
UUID = "43277A13FBCA0CFC"
JSON_TYPE = ("Content-type", "application/json;charset=UTF8")


class Answer:
    def __init__(self, status, headers, body, interim):
        self.status, self.headers, self.body, self.interim = status, headers, body, interim

    def whole(self):
        return self.status, self.headers.get("content-type"), self.body


def read_head(stream):
    status = int(stream.readline().split()[1])
    headers = {}
    while (line := stream.readline().strip()):
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    return status, headers


def read_body(stream, headers):
    if headers.get("transfer-encoding") != "chunked":
        return stream.read(int(headers.get("content-length", 0)))
    body = b""
    while (size := int(stream.readline(), 16)):
        body += stream.read(size)
        stream.readline()
    return body


def basic(key, user="depserver"):
    return ("Authorization", "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode())


def send(method, path, body=b"", headers=(), key=ADMIN_KEY, agent="nanodep-tools/0", length=True):
    """As curl sends it: with Expect the body waits for 100 Continue."""
    fields = [("Host", f"127.0.0.1:{BROKER.port}"), ("Accept", "*/*")] + ([("User-Agent", agent)] if agent else [])
    fields += ([basic(key)] if key else []) + list(headers)
    names = {name.lower() for name, _ in fields}
    if body and length and "transfer-encoding" not in names and "content-length" not in names:
        fields.append(("Content-Length", str(len(body))))
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    with socket.create_connection(("127.0.0.1", BROKER.port), timeout=60) as connection, connection.makefile("rb") as stream:
        connection.sendall(head.encode())
        interim = None
        if "expect" in names:
            interim, _ = read_head(stream)
            if interim != 100:
                raise AssertionError(f"{interim} instead of 100")
        connection.sendall(body)
        status, answered = read_head(stream)
        return Answer(status, answered, b"" if method == "HEAD" else read_body(stream, answered), interim)


def nanodep(method, path, body=b"", **options):
    return send(method, "/nanodep" + path, body, **options)


def expect(wanted, method, path, body=b"", **options):
    answer = nanodep(method, path, body, **options)
    equal(answer.whole(), wanted, f"{method} {path}")
    return answer


def error(sentence, status=500):
    return status, "application/json", ('{"error":"' + sentence + '"}\n').encode()


def tokens_of(server):
    credentials = CONTROL.get(f"/tenants/{server['id']}/token")
    return {name: credentials[name] for name in ("consumer_key", "consumer_secret", "access_token", "access_secret")}


def as_go(tokens, expiry):
    return (json.dumps(tokens | {"access_token_expiry": expiry}, separators=(",", ":")) + "\n").encode()


def new_tenant(devices=0, apple=None, **members):
    """(slug, Apple's server, serial numbers) without a token; devices are known as a fetch would make them known, and go nowhere."""
    slug = f"tenant-{next(NUMBERS)}"
    ADMIN.expect(201, "POST", "/tenants", {"slug": slug, "display_name": slug} | members)
    server = CONTROL.post("/tenants", {"name": slug, "devices": devices} | (apple or {}))
    return slug, server, [device["serial_number"] for device in CONTROL.get(f"/tenants/{server['id']}/truth")["devices"]]


def p7m(slug, server, query=""):
    pem = nanodep("GET", f"/v1/tokenpki/{slug}?cn=&validity_days=")
    equal(pem.status, 200, pem.body)
    CONTROL.call("PUT", f"/tenants/{server['id']}/certificate", pem.body)
    return CONTROL.call("POST", f"/tenants/{server['id']}/token{query}")


def onboarded(devices=0, url="https://mymdm.example.org/mdm/enroll", **members):
    slug, server, serials = new_tenant(devices, **members)
    ADMIN.expect(201, "POST", f"/tenants/{slug}/instances", {
        "name": "main", "kind": "nanomdm", "enrolment_url": url, "allowed_hosts": [urllib.parse.urlsplit(url).netloc]})
    equal(nanodep("PUT", f"/v1/tokenpki/{slug}?force=", p7m(slug, server)).status, 200, "token")
    for serial in serials:
        know(slug, serial)
    return slug, server, serials


def know(slug, serial, instance="main"):
    POSTGRES.sql(f"""insert into depbroker.devices (tenant_id, serial_number, instance_id, fingerprint, rules_version, first_seen_at, changed_at)
        select tenant_id, '{serial}', instance_id, decode(repeat('00', 16), 'hex'), 0, now(), now()
        from depbroker.tenants left join depbroker.instances using (tenant_id) where slug = '{slug}' and name = '{instance}'""")


def apple_requests(server, path=None):
    """What Apple was asked for this tenant so far: (method, path)."""
    found = CONTROL.get(f"/requests?tenant={server['id']}")["requests"]
    return [request for request in found if path is None or request["path"].partition("?")[0] == path]


def profile(**members):
    return json.dumps({"profile_name": "main", "url": "https://mymdm.example.org/mdm/enroll"} | members).encode()


def define(slug, **members):
    answer = nanodep("POST", f"/proxy/{slug}/profile", profile(**members), headers=[JSON_TYPE])
    equal(answer.status, 200, answer.body)
    return json.loads(answer.body)["profile_uuid"]


def audit_of(slug, action):
    return [line for line in ADMIN.get("/audit?limit=1000")["items"] if line["target"] == slug and line["action"] == action]


# --- the door ---

@test
def the_key_is_the_password_of_depserver():
    refused = (401, "text/plain; charset=utf-8", b"Unauthorized\n")
    for headers in ([], [basic(ADMIN_KEY, "admin")], [basic(ADMIN_KEY[:-1])], [basic("")], [("Authorization", "Basic ====")],
                    [("Authorization", f"Bearer {ADMIN_KEY}")], [("Authorization", "Basic " + "A" * 3000)]):
        answer = expect(refused, "GET", "/v1/dep_names", key=None, headers=headers)
        equal((answer.headers["www-authenticate"], answer.headers["x-content-type-options"]), ('Basic realm="depserver"', "nosniff"), "headers")
    expect(refused, "GET", "/proxy/x/account", key=None)
    expect(refused, "DELETE", "/v1/tokens/x", key=None)
    POSTGRES.sql("update depbroker.api_keys set revoked_at = now() where name = 'gone'")
    gone = BROKER.make_key("--name", "gone")
    POSTGRES.sql("update depbroker.api_keys set revoked_at = now() where name = 'gone'")
    expect(refused, "GET", "/v1/dep_names", key=gone)
    equal(nanodep("GET", "/v1/dep_names", headers=[basic(ADMIN_KEY)], key=None).status, 200, "the right one")


@test
def what_is_not_there_is_told_as_nanodep_tells_it():
    expect((404, "text/plain; charset=utf-8", b"404 page not found\n"), "GET", "/v2/x", key=None)
    expect((404, "text/plain; charset=utf-8", b"404 page not found\n"), "GET", "/proxy/")
    expect((405, "text/plain; charset=utf-8", b"Method Not Allowed\n"), "POST", "/v1/tokens/nobody")
    expect((405, "text/plain; charset=utf-8", b"Method Not Allowed\n"), "PUT", "/v1/dep_names")
    expect((400, "text/plain; charset=utf-8", b"Bad Request\n"), "GET", "/v1/tokens/")
    equal(nanodep("HEAD", "/v1/dep_names").status, 405, "HEAD")
    equal("allow" in nanodep("POST", "/v1/config/x").headers, False, "Allow")
    for method in ("GET", "PUT", "POST"):
        equal(re.fullmatch(rb'\{"version":"depbroker [0-9.]+"\}', nanodep(method, "/version", key=None).body) is not None, True, method)
    expect(error("resource not found: nobody"), "GET", "/v1/tokens/nobody")
    expect(error("resource not found: nobody"), "GET", "/v1/maidjwt/nobody")
    expect((200, "application/json", b"null\n"), "GET", "/v1/config/nobody")
    expect((200, "application/json", b"{}\n"), "GET", "/v1/assigner/nobody")
    expect((502, None, b""), "GET", "/proxy/nobody/account")


@test
def a_key_sees_its_tenants_and_no_others():
    mine, server, _ = onboarded()
    other, _, _ = onboarded()
    key = BROKER.make_key("--role", "technician", "--tenant", mine, "--scope", "tokens:read")
    expect((200, "application/json", f'{{\n\t"dep_names": [\n\t\t"{mine}"\n\t]\n}}\n'.encode()), "GET", "/v1/dep_names", key=key)
    expect((200, "application/json", b'{\n\t"dep_names": null\n}\n'), "GET", f"/v1/dep_names?dep_name={other}", key=key)
    expect(error(f"resource not found: {other}"), "GET", f"/v1/tokens/{other}", key=key)
    expect(error(f"resource not found: {other}"), "GET", f"/v1/tokenpki/{other}", key=key)
    expect((502, None, b""), "GET", f"/proxy/{other}/account", key=key)
    equal(nanodep("GET", f"/proxy/{mine}/account", key=key).status, 200, "its own")
    viewer = BROKER.make_key("--role", "viewer", "--tenant", mine)
    for method, path in (("GET", "/v1/tokenpki/"), ("PUT", "/v1/tokenpki/"), ("GET", "/v1/tokens/"), ("PUT", "/v1/tokens/"), ("PUT", "/v1/config/"),
                         ("PUT", "/v1/assigner/"), ("GET", "/v1/maidjwt/")):
        equal(nanodep(method, path + mine, key=viewer).status, 403, f"{method} {path}")
    before = len(apple_requests(server))
    for method, path in (("POST", "profile"), ("POST", "profile/devices"), ("DELETE", "profile/devices"), ("POST", "device/activationlock"),
                         ("GET", "os-beta-enrollment/tokens")):
        equal(nanodep(method, f"/proxy/{mine}/{path}", b"{}", key=viewer).status, 403, path)
    equal(len(apple_requests(server)), before, "nothing reached Apple")


@test
def names_come_in_pages():
    for _ in range(3):
        new_tenant()
    names = json.loads(nanodep("GET", "/v1/dep_names").body)["dep_names"]
    paged = [json.loads(nanodep("GET", f"/v1/dep_names?limit=1&offset={i}").body)["dep_names"][0] for i in range(len(names))]
    equal(paged, names, "pages")
    expect((200, "application/json", b'{\n\t"dep_names": null\n}\n'), "GET", "/v1/dep_names?offset=1000")
    expect((400, "application/json", b'{\n\t"error": "strconv.Atoi: parsing \\"x\\": invalid syntax"\n}\n'), "GET", "/v1/dep_names?limit=x")
    expect((500, "application/json", b'{\n\t"error": "only offset-based pagination supported"\n}\n'), "GET", "/v1/dep_names?cursor=x")


# --- tokens ---

@test
def a_certificate_is_made_as_the_script_asks_for_it():
    slug, _, _ = new_tenant()
    answer = nanodep("GET", f"/v1/tokenpki/{slug}?cn=&validity_days=")
    equal((answer.status, answer.headers["content-type"], answer.headers["content-disposition"]),
          (200, "application/x-pem-file", f'attachment; filename="{slug}.pem"'), "headers")
    for query, subject, days in (("cn=&validity_days=", "depserver", 1), ("cn=my%20name&validity_days=365", "my name", 365)):
        pem = nanodep("GET", f"/v1/tokenpki/{slug}?{query}").body
        equal(shown(pem), (subject, days), query)
    for query in ("validity_days=x", "validity_days=0", "validity_days=99999", "cn=" + "x" * 65):
        expect((400, "text/plain; charset=utf-8", b"Bad Request\n"), "GET", f"/v1/tokenpki/{slug}?{query}")
    equal(len(audit_of(slug, "token.key.create")), 3, "audit")


def shown(pem):
    lines = subprocess.run(["openssl", "x509", "-noout", "-subject", "-issuer", "-dates"], input=pem, check=True,
                           capture_output=True).stdout.decode().splitlines()
    subject, issuer, start, end = [line.partition("=")[2].removeprefix("CN = ") for line in lines]
    equal(subject, issuer, "issuer")
    times = [datetime.datetime.strptime(at, "%b %d %H:%M:%S %Y %Z") for at in (start, end)]
    equal((times[1] - times[0]).seconds, 600, "ten minutes before")
    return subject, (times[1] - times[0]).days


@test
def a_token_file_comes_in_and_its_secrets_go_to_the_scope_alone():
    slug, server, _ = new_tenant()
    expect(error(f"resource not found: {slug}"), "PUT", f"/v1/tokenpki/{slug}?force=", b"x")
    file = p7m(slug, server)
    plain = BROKER.make_key("--role", "technician", "--tenant", slug)
    answer = nanodep("PUT", f"/v1/tokenpki/{slug}?force=", file, headers=[("Expect", "100-continue")])
    expiry = json.loads(answer.body)["access_token_expiry"]
    equal((answer.whole(), answer.interim), ((200, "application/json", as_go(tokens_of(server), expiry)), 100), "upload")
    expect((200, "application/json", as_go(tokens_of(server), expiry)), "GET", f"/v1/tokens/{slug}")
    equal(len(audit_of(slug, "token.read")), 1, "audit")
    equal(nanodep("GET", f"/v1/tokens/{slug}", key=plain).status, 403, "without the scope")
    again = nanodep("PUT", f"/v1/tokenpki/{slug}", file, key=plain)
    equal((again.status, set(json.loads(again.body).values())), (200, {"(hidden)", expiry}), "without the scope")
    equal(any(value in BROKER.log() for value in tokens_of(server).values()), False, "log")


@test
def a_refused_upload_promotes_nothing():
    slug, server, _ = onboarded()
    kept = nanodep("GET", f"/v1/tokens/{slug}").body
    states = [pair["state"] for pair in ADMIN.get(f"/tenants/{slug}/token/keys")["items"]]
    other = CONTROL.post("/tenants", {"name": f"other-{next(NUMBERS)}"})
    file = p7m(slug, other)
    expect(error("mismatched consumer key"), "PUT", f"/v1/tokenpki/{slug}?force=", file)
    forced = nanodep("PUT", f"/v1/tokenpki/{slug}?force=1", file)
    equal((forced.status, b"another organisation or server" in forced.body), (500, True), forced.body)
    equal(nanodep("PUT", f"/v1/tokenpki/{slug}", b"no token").status, 500, "rubbish")
    equal(nanodep("PUT", f"/v1/tokens/{slug}", b"[]").status, 500, "rubbish")
    equal(nanodep("GET", f"/v1/tokens/{slug}").body, kept, "the old one")
    equal([pair["state"] for pair in ADMIN.get(f"/tenants/{slug}/token/keys")["items"]], ["staged"] + states, "key pairs")
    equal(nanodep("GET", f"/proxy/{slug}/account").status, 200, "and it works")
    del server


@test
def plain_tokens_are_taken_as_checked_as_files():
    slug, server, _ = onboarded()
    pair = ADMIN.get(f"/tenants/{slug}/token")["key_pair_id"]
    tokens = tokens_of(server)
    expect((200, "application/json", as_go(tokens, "2099-01-01T00:00:00Z")), "PUT", f"/v1/tokens/{slug}",
           json.dumps(tokens | {"access_token_expiry": "2099-01-01T00:00:00Z"}, indent=1).encode())
    equal(ADMIN.get(f"/tenants/{slug}/token")["key_pair_id"], pair, "the key pair of the same consumer key stays")
    expect((400, "text/plain; charset=utf-8", b"Bad Request\n"), "PUT", f"/v1/tokens/{slug}", json.dumps(tokens | {"access_secret": ""}).encode())
    other = CONTROL.post("/tenants", {"name": f"other-{next(NUMBERS)}"})
    p7m(slug, other)
    expect(error("mismatched consumer key"), "PUT", f"/v1/tokens/{slug}", json.dumps(tokens_of(other)).encode())
    equal(nanodep("PUT", f"/v1/tokens/{slug}?force=1", json.dumps(tokens_of(other)).encode()).status, 500, "another server's")
    fresh, fresh_server, _ = new_tenant()
    p7m(fresh, fresh_server)
    expect((200, "application/json", as_go(tokens_of(fresh_server), "0001-01-01T00:00:00Z")), "PUT", f"/v1/tokens/{fresh}",
           json.dumps(tokens_of(fresh_server)).encode())
    expect((200, "application/json", as_go(tokens_of(fresh_server), "0001-01-01T00:00:00Z")), "GET", f"/v1/tokens/{fresh}")


@test
def a_token_that_waits_for_apple_is_not_told_as_taken():
    slug, server, _ = new_tenant()
    file = p7m(slug, server)
    CONTROL.post("/faults", {"endpoint": "/account", "status": 503, "times": 0})
    answer = nanodep("PUT", f"/v1/tokenpki/{slug}?force=", file)
    CONTROL.call("DELETE", "/faults")
    equal((answer.status, json.loads(answer.body)["consumer_key"]), (202, tokens_of(server)["consumer_key"]), "waits")
    equal(ADMIN.get(f"/tenants/{slug}/token")["state"], "pending", "state")


# --- settings ---

@test
def the_base_url_is_where_apple_is_asked():
    slug, server, _ = new_tenant()
    expect((200, "application/json", b"null\n"), "GET", f"/v1/config/{slug}")
    technician = BROKER.make_key("--role", "technician", "--tenant", slug)
    equal(nanodep("PUT", f"/v1/config/{slug}", b'{"base_url":"http://127.0.0.1:1/"}', key=technician).status, 403, "needs an operator")
    expect(error("empty base URL"), "PUT", f"/v1/config/{slug}", b"{}")
    equal(nanodep("PUT", f"/v1/config/{slug}", b'{"base_url":"nonsense"}').status, 500, "no URL")
    equal(nanodep("PUT", f"/v1/config/{slug}", b"nonsense").status, 500, "no JSON")
    wanted = ('{"base_url":"' + APPLE + '/"}\n').encode()
    expect((200, "application/json", wanted), "PUT", f"/v1/config/{slug}", wanted)
    expect((200, "application/json", wanted), "GET", f"/v1/config/{slug}")
    equal(nanodep("PUT", f"/v1/tokenpki/{slug}", p7m(slug, server)).status, 200, "Apple is there")
    equal(nanodep("GET", f"/proxy/{slug}/account").status, 200, "and for the proxy")
    expect((200, "application/json", b'{"base_url":"http://127.0.0.1:1/?a=1\\u0026b=2"}\n'), "PUT", f"/v1/config/{slug}",
           b'{"base_url":"http://127.0.0.1:1/?a=1&b=2"}')
    expect((502, "text/plain; charset=utf-8", b""), "GET", f"/proxy/{slug}/account")


def put_profile(slug, uuid):
    POSTGRES.sql(f"""insert into depbroker.profiles (tenant_id, instance_id, content_digest, content, profile_uuid, token_id)
        select tenant_id, instance_id, decode(md5('{uuid}') || md5('{uuid}'), 'hex'), '{{}}', '{uuid}', token_id
        from depbroker.tenants join depbroker.instances using (tenant_id) join depbroker.server_tokens using (tenant_id)
        where slug = '{slug}' and is_current""")


@test
def the_assigner_says_what_the_rules_say():
    slug, _, _ = onboarded()
    expect((200, "application/json", b"{}\n"), "GET", f"/v1/assigner/{slug}")
    expect((400, "text/plain; charset=utf-8", b"Bad Request\n"), "PUT", f"/v1/assigner/{slug}?profile_uuid=")
    put_profile(slug, UUID)
    refused = nanodep("PUT", f"/v1/assigner/{slug}?profile_uuid={UUID}")
    equal((refused.status, b"/rules" in refused.body), (500, True), "there are no rules yet")
    ADMIN.expect(200, "PUT", f"/tenants/{slug}/rules", {"rules": [], "otherwise": {"instance": "main"}})
    wanted = (200, "application/json", f'{{"profile_uuid":"{UUID}"}}\n'.encode())
    expect(wanted, "PUT", f"/v1/assigner/{slug}?profile_uuid={UUID}")
    expect(wanted, "GET", f"/v1/assigner/{slug}")
    equal(nanodep("PUT", f"/v1/assigner/{slug}?profile_uuid=OTHER").status, 500, "another profile")
    expect(wanted, "GET", f"/v1/assigner/{slug}")


@test
def a_maid_jwt_is_of_the_pair_in_use():
    slug, server, _ = onboarded()
    nanodep("GET", f"/v1/tokenpki/{slug}")
    for method in ("GET", "POST"):
        answer = nanodep(method, f"/v1/maidjwt/{slug}")
        claims = json.loads(base64.urlsafe_b64decode(answer.body.split(b".")[1] + b"=="))
        equal((answer.status, answer.headers["content-type"], answer.headers["x-server-uuid"], answer.headers["x-jwt-jti"], claims["iss"]),
              (200, "application/jwt", server["server_uuid"], claims["jti"], server["server_uuid"]), "MAID")


@test
def a_bypass_code_has_three_spellings():
    raw = "1ea841db5edfafe6075b5ae0d845d254"
    answer = nanodep("GET", f"/v1/bypasscode?raw={raw}")
    spelled = json.loads(answer.body)
    equal(answer.whole(), (200, "application/json", f'{{"raw":"{raw}","code":"{spelled["code"]}","hash":"{spelled["hash"]}"}}\n'.encode()), "form")
    equal((len(spelled["code"]), len(spelled["hash"])), (31, 64), "lengths")
    expect(answer.whole(), "GET", f"/v1/bypasscode?code={spelled['code']}")
    expect(answer.whole(), "GET", f"/v1/bypasscode?raw={raw}ff")
    equal(len({nanodep("GET", "/v1/bypasscode").body for _ in range(2)}), 2, "random")
    expect(error("raw or code but not both"), "GET", f"/v1/bypasscode?raw={raw}&code=x")
    expect(error("invalid length: 2"), "GET", "/v1/bypasscode?raw=1ea8")
    expect(error("invalid length: 3"), "GET", "/v1/bypasscode?code=ABC")
    equal(nanodep("GET", "/v1/bypasscode?code=" + "B" + spelled["code"][1:]).status, 500, "B is no symbol")


# --- the proxy ---

@test
def apples_answers_come_back_unchanged():
    slug, server, serials = onboarded(devices=3)
    account = nanodep("GET", f"/proxy/{slug}/account")
    equal((account.status, account.headers["content-type"], json.loads(account.body)["server_uuid"]),
          (200, "application/json;charset=UTF8", server["server_uuid"]), "account")
    equal("x-adm-auth-session" in account.headers, False, "the session stays with us")
    page = nanodep("POST", f"/proxy/{slug}/server/devices", b'{"limit":2}', headers=[JSON_TYPE])
    equal([device["serial_number"] for device in json.loads(page.body)["devices"]], serials[:2], "devices")
    details = nanodep("POST", f"/proxy/{slug}/devices", json.dumps({"devices": serials}).encode(), headers=[JSON_TYPE])
    equal(set(json.loads(details.body)["devices"]), set(serials), "details")
    uuid = define(slug)
    equal(json.loads(nanodep("GET", f"/proxy/{slug}/profile?profile_uuid={uuid}").body)["profile_name"], "main", "query")
    expect((400, "text/plain;charset=UTF-8", b"NOT_FOUND"), "GET", f"/proxy/{slug}/profile?profile_uuid=NONE")
    expect((404, "text/plain;charset=UTF-8", b"NOT_FOUND"), "GET", f"/proxy/{slug}/roster/class")


class Listener(http.server.BaseHTTPRequestHandler):
    """An Apple that remembers what it was sent, and answers with more than it should."""
    seen = []
    account = b"{}"

    def do_GET(self):
        self.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        body = b'{"auth_session_token":"secret-session"}' if self.path == "/session" else self.account
        self.send_response(200)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("X-ADM-Auth-Session", "secret-session"),
                            ("Set-Cookie", "a=b"), ("Retry-After", "7")):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@test
def what_the_client_says_of_itself_reaches_apple_and_no_session_comes_back():
    slug, _, _ = onboarded()
    Listener.account = nanodep("GET", f"/proxy/{slug}/account").body
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        nanodep("PUT", f"/v1/config/{slug}", json.dumps({"base_url": f"http://127.0.0.1:{server.server_port}"}).encode())
        nanodep("GET", f"/proxy/{slug}/account", agent="first/1", headers=[("Cookie", "c=d"), ("X-HTTP-Method-Override", "DELETE")])
        answer = nanodep("GET", f"/proxy/{slug}/account?a=%20b", agent="mine/2", headers=[("X-Server-Protocol-Version", "9"), ("X-ADM-Auth-Session", "x")])
        server.shutdown()
    equal((answer.status, answer.body, answer.headers["retry-after"]), (200, Listener.account, "7"), "answer")
    equal([name for name in answer.headers if name in ("x-adm-auth-session", "set-cookie")], [], "what stays with us")
    session, _, first, second = Listener.seen
    equal((session[0], first[0], second[0]), ("/session", "/account", "/account?a=%20b"), "paths")
    equal([(fields["user-agent"], fields["x-server-protocol-version"]) for _, fields in (first, second)], [("first/1", "7"), ("mine/2", "9")], "fields")
    equal({fields["x-adm-auth-session"] for _, fields in (first, second)}, {"secret-session"}, "our session")
    equal([name for _, fields in (first, second) for name in fields if name in ("authorization", "x-forwarded-for", "cookie", "x-http-method-override")],
          [], "what is not passed on")


@test
def bodies_come_in_every_framing():
    slug, server, serials = onboarded(devices=2)
    uuid = define(slug)
    body = json.dumps({"profile_uuid": uuid, "devices": serials}).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])) + b"0\r\n\r\n"
    answer = nanodep("PUT", f"/proxy/{slug}/profile/devices", chunks, headers=[JSON_TYPE, ("Transfer-Encoding", "chunked")])
    equal((answer.status, json.loads(answer.body)["devices"]), (200, {serial: "SUCCESS" for serial in serials}), "chunked PUT")
    removed = nanodep("DELETE", f"/proxy/{slug}/profile/devices", json.dumps({"devices": serials[:1]}).encode(), headers=[JSON_TYPE])
    equal((removed.status, json.loads(removed.body)["devices"]), (200, {serials[0]: "SUCCESS"}), "DELETE with a body")
    equal([bool(device.get("profile_uuid")) for device in CONTROL.get(f"/tenants/{server['id']}/truth")["devices"]], [False, True], "at Apple")
    continued = nanodep("POST", f"/proxy/{slug}/profile", profile(), headers=[JSON_TYPE, ("Expect", "100-continue")])
    equal((continued.interim, continued.status), (100, 200), "Expect")


@test
def a_large_page_comes_whole():
    slug, server, _ = onboarded()
    CONTROL.post(f"/tenants/{server['id']}/devices", {"count": 1000})
    page = nanodep("POST", f"/proxy/{slug}/server/devices", b'{"limit":1000}', headers=[JSON_TYPE])
    equal((page.status, len(json.loads(page.body)["devices"])), (200, 1000), "page")
    CONTROL.post("/faults", {"endpoint": "/account", "pad_bytes": 65 << 20, "tenant": server["id"]})
    expect((502, "text/plain; charset=utf-8", b""), "GET", f"/proxy/{slug}/account")
    CONTROL.call("DELETE", "/faults")
    too_large = nanodep("POST", f"/proxy/{slug}/profile", b" " * ((1 << 20) + 1), headers=[JSON_TYPE, ("Connection", "close")], length=True)
    equal(too_large.status, 413, "a body without end")


@test
def a_session_is_renewed_once_and_apples_refusal_passed_on():
    slug, server, _ = onboarded()
    tenant = {"tenant": server["id"], "endpoint": "GET /profile"}
    nanodep("GET", f"/proxy/{slug}/account")
    sessions = len(apple_requests(server, "/session"))
    nanodep("GET", f"/proxy/{slug}/account")
    equal(len(apple_requests(server, "/session")), sessions, "a session serves more than once")
    for status, body in ((401, "UNAUTHORIZED"), (403, "FORBIDDEN")):
        before = len(apple_requests(server, "/session"))
        CONTROL.post("/faults", tenant | {"status": status, "body": body})
        equal(nanodep("GET", f"/proxy/{slug}/profile?profile_uuid={define(slug)}").status, 200, f"after {status}")
        equal(len(apple_requests(server, "/session")), before + 1, "one new session")
        CONTROL.post("/faults", tenant | {"status": status, "body": body, "times": 0})
        asked = len(apple_requests(server, "/profile"))
        answer = nanodep("GET", f"/proxy/{slug}/profile?profile_uuid=X")
        equal((answer.status, answer.body), (status, body.encode()), "Apple's own refusal")
        equal(len(apple_requests(server, "/profile")), asked + 2, "asked twice, and no more")
        CONTROL.call("DELETE", "/faults")
    CONTROL.post("/faults", tenant | {"status": 403, "body": "ACCESS_DENIED"})
    answer = nanodep("GET", f"/proxy/{slug}/profile?profile_uuid=X")
    equal((answer.status, answer.body), (403, b"ACCESS_DENIED"), "passed on at once")


@test
def many_at_once_share_one_session():
    slug, server, _ = onboarded()
    nanodep("GET", f"/proxy/{slug}/account")
    CONTROL.call("DELETE", "/sessions")
    before = len(apple_requests(server, "/session"))
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(lambda _: nanodep("GET", f"/proxy/{slug}/account").status, range(24)))
    equal((statuses, len(apple_requests(server, "/session")) - before), ([200] * 24, 1), "answers, and new sessions")


@test
def a_crowd_is_let_in_by_what_was_read_a_moment_ago_and_no_longer():
    slug, server, _ = onboarded()
    key = BROKER.make_key("--role", "viewer", "--tenant", slug, "--name", slug)
    equal(nanodep("GET", f"/proxy/{slug}/account", key=key).status, 200, "it may")
    equal(nanodep("GET", f"/proxy/{slug}/account", key=key[:-7] + ("A" if key[-7] != "A" else "B") + key[-6:]).status, 401, "another key of that id")
    ADMIN.expect(200, "PATCH", f"/tenants/{slug}", {"state": "paused"})
    equal(nanodep("GET", f"/proxy/{slug}/account", key=key).status, 409, "a change here counts at once")
    ADMIN.expect(200, "PATCH", f"/tenants/{slug}", {"state": "active"})
    equal(nanodep("GET", f"/proxy/{slug}/account", key=key).status, 200, "it may again")
    POSTGRES.sql(f"update depbroker.api_keys set revoked_at = now() where name = '{slug}'")
    wait_until(lambda: nanodep("GET", f"/proxy/{slug}/account", key=key).status == 401, "a key that was revoked behind our back is refused")
    equal(nanodep("POST", f"/proxy/{slug}/profile", profile(), headers=[JSON_TYPE], key=key).status, 401, "and nothing changes with it")
    del server


@test
def who_hangs_up_harms_nobody():
    slug, server, serials = onboarded(devices=1)
    uuid = define(slug)
    body = json.dumps({"profile_uuid": uuid, "devices": serials}).encode()
    CONTROL.post("/faults", {"tenant": server["id"], "endpoint": "POST /profile/devices", "delay_ms": 700})
    with socket.create_connection(("127.0.0.1", BROKER.port)) as connection:
        connection.sendall(f"POST /nanodep/proxy/{slug}/profile/devices HTTP/1.1\r\nHost: x\r\nUser-Agent: x/1\r\n{': '.join(JSON_TYPE)}\r\n"
                           f"{': '.join(basic(ADMIN_KEY))}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        wait_until(lambda: apple_requests(server, "/profile/devices"), "Apple has it")
    wait_until(lambda: CONTROL.get(f"/tenants/{server['id']}/truth")["devices"][0].get("profile_uuid") == uuid, "it is assigned")
    equal((nanodep("GET", f"/proxy/{slug}/account").status, len(apple_requests(server, "/profile/devices"))), (200, 1), "and once")


@test
def a_token_that_apple_refuses_is_told_in_apples_words():
    slug, server, _ = onboarded()
    CONTROL.post("/faults", {"tenant": server["id"], "terms_unsigned": True})
    expect((502, "text/plain; charset=utf-8", b"T_C_NOT_SIGNED"), "GET", f"/proxy/{slug}/account")
    CONTROL.call("DELETE", "/faults")
    equal(nanodep("GET", f"/proxy/{slug}/account").status, 200, "afterwards")
    CONTROL.post("/faults", {"tenant": server["id"], "endpoint": "/account", "reset": True, "times": 0})
    expect((502, "text/plain; charset=utf-8", b""), "GET", f"/proxy/{slug}/account")
    CONTROL.call("DELETE", "/faults")
    ADMIN.expect(204, "DELETE", f"/tenants/{slug}/token")
    expect((502, None, b""), "GET", f"/proxy/{slug}/account")


@test
def a_new_token_is_used_at_once():
    slug, server, _ = onboarded()
    equal(nanodep("GET", f"/proxy/{slug}/account").status, 200, "the old one")
    equal(nanodep("PUT", f"/v1/tokenpki/{slug}?force=1", p7m(slug, server, "?expires_in_s=5000000")).status, 200, "renewal")
    equal(nanodep("GET", f"/proxy/{slug}/account").status, 200, "the new one")


@test
def a_profile_stays_on_the_hosts_of_the_tenant():
    slug, server, _ = onboarded()
    before = len(apple_requests(server, "/profile"))
    for wrong in (profile(url="https://evil.example/enroll"), profile(url="http://mymdm.example.org/mdm/enroll"),
                  profile(configuration_web_url="https://evil.example/"), profile(Url="https://evil.example/"), profile(**{"url+": ["x"]}),
                  profile(other_url="https://evil.example/"), profile(url=["https://mymdm.example.org/mdm/enroll"]), b'{"profile_name":"x"}',
                  profile()[:-1] + b',"url":"https://evil.example/"}', b"[]", b"", profile() + b"{}", profile(devices="X"), profile(devices=[1])):
        equal(nanodep("POST", f"/proxy/{slug}/profile", wrong, headers=[JSON_TYPE]).status in (400, 403), True, wrong)
    equal(len(apple_requests(server, "/profile")), before, "nothing reached Apple")
    define(slug, url="https://mymdm.example.org/other")
    equal(len(audit_of(slug, "proxy.pass")), 1, "audit")
    ADMIN.expect(200, "PATCH", f"/tenants/{slug}", {"state": "paused"})
    equal(nanodep("POST", f"/proxy/{slug}/profile", profile(), headers=[JSON_TYPE]).status, 409, "a tenant that is paused")


@test
def a_body_that_apple_would_not_read_is_refused_in_its_words():
    slug, server, _ = onboarded()
    before = len(apple_requests(server))
    for path in ("profile", "profile/devices", "account-driven-enrollment/profile"):
        for body in (b"", b"{", b"[]", b"null", b"{}x"):
            expect((400, "text/plain; charset=utf-8", b"MALFORMED_REQUEST_BODY"), "POST", f"/proxy/{slug}/{path}", body, headers=[JSON_TYPE])
        twice = nanodep("POST", f"/proxy/{slug}/{path}", b'{"a":1,"a":2}', headers=[JSON_TYPE])
        equal((twice.status, b"is there twice" in twice.body), (400, True), twice.body)
    expect((400, "text/plain; charset=utf-8", b"PROFILE_UUID_REQUIRED"), "POST", f"/proxy/{slug}/profile/devices", b'{"devices":["X"]}', headers=[JSON_TYPE])
    equal(len(apple_requests(server)), before, "nothing reached Apple")


@test
def a_device_gets_only_the_profile_of_where_it_goes():
    slug, server, serials = onboarded(devices=4)
    ADMIN.expect(201, "POST", f"/tenants/{slug}/instances", {
        "name": "school", "kind": "fleet", "enrolment_url": "https://mymdm.example.org/school", "allowed_hosts": ["mymdm.example.org"]})
    where = "tenant_id = (select tenant_id from depbroker.tenants where slug = '%s') and serial_number = '%s'"
    POSTGRES.sql(f"""update depbroker.devices set instance_id = (select instance_id from depbroker.instances i join depbroker.tenants using (tenant_id)
        where slug = '{slug}' and name = 'school') where {where % (slug, serials[1])}""")
    POSTGRES.sql(f"update depbroker.devices set instance_id = null where {where % (slug, serials[2])}")
    POSTGRES.sql(f"delete from depbroker.devices where {where % (slug, serials[3])}")
    main, stray = define(slug), define(slug, url="https://mymdm.example.org/mdm/enroll/")

    def assign(uuid, devices, method="POST"):
        return nanodep(method, f"/proxy/{slug}/profile/devices", json.dumps({"profile_uuid": uuid, "devices": devices}).encode(), headers=[JSON_TYPE])

    before = len(apple_requests(server, "/profile/devices"))
    for uuid, devices in ((main, [serials[1]]), (main, [serials[2]]), (main, [serials[3]]), (main, serials[:2]), (main, ["NOBODYS"]),
                          (stray, [serials[0]]), (main, [serials[0].lower()])):
        for method in ("POST", "PUT"):
            equal(assign(uuid, devices, method).status, 403, f"{uuid} {devices}")
    refused = assign("NONE", serials[:1])
    equal((refused.status, refused.body), (400, b"NOT_FOUND"), "Apple does not know the profile")
    equal(assign("a/../b", serials[:1]).status, 400, "no UUID")
    odd = nanodep("POST", f"/proxy/{slug}/profile/devices", json.dumps({"profile_uuid": main, "devices": serials[:1], "Devices": serials}).encode(),
                  headers=[JSON_TYPE])
    equal(odd.status, 400, "a member that is not known")
    equal(nanodep("POST", f"/proxy/{slug}/profile", profile(devices=[serials[1]]), headers=[JSON_TYPE]).status, 403, "devices in a definition")
    equal(len(apple_requests(server, "/profile/devices")), before, "nothing reached Apple")
    equal(any(device.get("profile_uuid") for device in CONTROL.get(f"/tenants/{server['id']}/truth")["devices"]), False, "nothing is assigned")
    equal(json.loads(assign(main, serials[:1]).body)["devices"], {serials[0]: "SUCCESS"}, "where the rules send it")
    define(slug, devices=[serials[0]])


@test
def what_cannot_be_undone_is_refused():
    slug, server, serials = onboarded(devices=1)
    body = json.dumps({"devices": serials}).encode()
    before = len(apple_requests(server))
    equal(nanodep("POST", f"/proxy/{slug}/devices/disown", body, headers=[JSON_TYPE]).status, 403, "disown")
    for method, path in (("POST", "devices/disown/"), ("POST", "devices//disown"), ("PUT", "devices/disown"), ("POST", "Devices/Disown"),
                         ("POST", "devices/%64isown"), ("DELETE", "profile"), ("POST", "unknown"), ("PATCH", "account"), ("GET", "session")):
        equal(nanodep(method, f"/proxy/{slug}/{path}", body, headers=[JSON_TYPE]).status in (400, 403, 404), True, f"{method} {path}")
    equal(len(apple_requests(server)), before, "nothing reached Apple")
    discovery = f"/proxy/{slug}/account-driven-enrollment/profile"
    equal(nanodep("POST", discovery, b'{"mdm_service_discovery_url":"https://evil.example/"}', headers=[JSON_TYPE]).status, 403, "another host")
    equal(nanodep("POST", discovery, b'{"mdm_service_discovery_url":"https://mymdm.example.org/x"}', headers=[JSON_TYPE]).status, 200, "its own")


@test
def disowning_can_be_enabled_for_admins():
    slug, server, serials = onboarded(devices=1)
    body = json.dumps({"devices": serials}).encode()
    BROKER.stop()
    BROKER.environment["DEPBROKER_ALLOW_DISOWN"] = "1"
    BROKER.start()
    technician = BROKER.make_key("--role", "technician", "--tenant", slug)
    equal(nanodep("POST", f"/proxy/{slug}/devices/disown", body, headers=[JSON_TYPE], key=technician).status, 403, "not for a technician")
    equal(nanodep("POST", f"/proxy/{slug}/devices/disown", body, headers=[JSON_TYPE]).status, 200, "disowned")
    equal(CONTROL.get(f"/tenants/{server['id']}/truth")["devices"], [], "at Apple")
    equal(audit_of(slug, "proxy.pass")[0]["detail"], {"method": "POST", "path": "/devices/disown"}, "audit")


@test
def a_token_of_another_server_is_not_used():
    slug, server, _ = onboarded()
    equal(nanodep("GET", f"/proxy/{slug}/account").status, 200, "as long as it is its own")
    CONTROL.call("DELETE", "/sessions")
    CONTROL.call("PATCH", f"/tenants/{server['id']}", {"server_uuid": "0" * 32})
    refused = nanodep("POST", f"/proxy/{slug}/server/devices", b"{}", headers=[JSON_TYPE])
    equal((refused.status, b"another organisation" in refused.body), (409, True), refused.body)
    equal([request["status"] for request in apple_requests(server, "/server/devices")], [401], "asked for with the session that had ended")
    for _ in range(2):
        equal(nanodep("GET", f"/proxy/{slug}/profile?profile_uuid=X").status, 409, "and so on")


# --- the recorded requests ---

@test
def the_recorded_requests_of_the_tools_are_answered():
    if not os.path.exists(RECORDED):
        print(f"  (left out: {RECORDED} is not there)")
        return
    with open(RECORDED, encoding="utf-8") as file:
        recorded = json.load(file)["requests"]
    slug, server, _ = new_tenant()
    ADMIN.expect(201, "POST", f"/tenants/{slug}/instances", {
        "name": "main", "kind": "nanomdm", "enrolment_url": "https://mymdm.example.org/mdm/enroll", "allowed_hosts": ["mymdm.example.org"]})
    CONTROL.post(f"/tenants/{server['id']}/devices", {"devices": ["SER1", "SER2"]})
    for serial in ("SER1", "SER2"):
        know(slug, serial)
    state = {"uuid": None, "pem": None, "assigned": False}
    seen = {}
    for request in recorded:
        replay(request, slug, server, state, seen)
    equal(len(seen), len(recorded), "all of them")


def replay(request, slug, server, state, seen):
    method, target, _ = request["request_line"].split(" ")
    path = target.replace("mdmserver1", slug)
    body = request["body"].encode()
    if request["script"].startswith("cfg-decrypt"):
        body = CONTROL.call("POST", f"/tenants/{server['id']}/token")
    if state["uuid"]:
        path, body = path.replace(UUID, state["uuid"]), body.replace(UUID.encode(), state["uuid"].encode())
    if path.startswith("/v1/assigner"):
        prepare_assigner(slug, state)
        path = path.replace(UUID, state["uuid"])
    fields = [(name, value) for name, value in request["headers"] if name not in ("Host", "Authorization", "User-Agent", "Accept")]
    fields = [(name, str(len(body)) if name == "Content-Length" else value) for name, value in fields]
    agent = dict(request["headers"])["User-Agent"]
    answer = send(method, "/nanodep" + path, body, headers=fields, agent=agent)
    seen[request["script"] + target] = answer.status
    check_recorded(request, slug, server, state, answer)


def prepare_assigner(slug, state):
    state["uuid"] = define(slug)
    put_profile(slug, state["uuid"])
    ADMIN.expect(200, "PUT", f"/tenants/{slug}/rules", {"rules": [], "otherwise": {"instance": "main"}})


def check_recorded(request, slug, server, state, answer):
    script = request["script"].split(" ")[0]
    what = f"{request['script']}: {answer.status} {answer.body}"
    if script == "cfg-get-cert.sh":
        equal((answer.status, answer.body[:27]), (200, b"-----BEGIN CERTIFICATE-----"), what)
        CONTROL.call("PUT", f"/tenants/{server['id']}/certificate", answer.body)
    elif script == "cfg-decrypt-tokens.sh":
        expiry = json.loads(answer.body)["access_token_expiry"]
        equal(answer.whole(), (200, "application/json", as_go(tokens_of(server), expiry)), what)
    elif script == "cfg-set-assigner.sh":
        equal(answer.whole(), (200, "application/json", f'{{"profile_uuid":"{state["uuid"]}"}}\n'.encode()), what)
    elif script == "dep-assign-profile.sh":
        equal(json.loads(answer.body)["devices"], {"SER1": "SUCCESS", "SER2": "SUCCESS"}, what)
    elif script == "dep-remove-profile.sh":
        equal(json.loads(answer.body)["devices"], {"SER1": "SUCCESS"}, what)
    elif script == "dep-define-profile.sh":  # the example's configuration_web_url is no URL
        equal((answer.status, b"configuration_web_url" in answer.body), (403, True), what)
    elif script == "dep-device-details.sh" and "SER1" in request["script"]:
        equal(set(json.loads(answer.body)["devices"]), {"SER1", "SER2"}, what)
    elif script in ("cfg-maidjwt.sh", "dep-account-detail.sh", "dep-get-profile.sh"):
        equal(answer.status, 200, what)
    else:  # as Apple says
        last = apple_requests(server)[-1]
        equal(answer.status, last["status"], what)


def stop():
    ADMIN.close()
    CONTROL.close()
    BROKER.stop()
    SIMULATOR.stop()
    BROKER.remove()
    POSTGRES.stop()


if __name__ == "__main__":
    sys.exit(run_tests(stop))
