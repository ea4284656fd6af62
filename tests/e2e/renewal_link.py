#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# A client's administrator renews the token by a link, without a key and without script; and what the link does not do: serve twice, serve
# another client, show anything of others. The same walk in a real browser is tests/nightly/renewal_in_a_browser.py.
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import Peer, equal, run_tests, test  # noqa: E402
from renewal import form, token_for  # noqa: E402
from world import Api, Problem, World, wait_until  # noqa: E402

PUBLIC = "https://depbroker.example/front"
WORLD = World(workers=1, DEPBROKER_PUBLIC_URL=PUBLIC + "/")
WORLD.__enter__()
NUMBERS = iter(range(1, 1000))
ADMINISTRATORS = {"address": "127.0.1.0"}  # each client's has an address, since requests of an address are limited


def page(method, path, body=None, headers=None):
    peer = Peer("http://" + WORLD.broker.listen, source=ADMINISTRATORS["address"])
    answer = peer.request(method, path, body, headers or {})
    peer.close()
    return answer


def onboarded(display_name=None):
    number = next(NUMBERS)
    client = WORLD.onboard(f"client-{number}", devices=1)
    ADMINISTRATORS["address"] = f"127.0.1.{number}"
    WORLD.until_equal(client)
    if display_name:
        WORLD.technician.call("PATCH", client.path, {"display_name": display_name})
    return client


def new_link(client, **members):
    return WORLD.technician.post(f"{client.path}/token/renewal-links", members or None)


def send(link, file, **how):
    headers, body = form(file, **how)
    return page("POST", link["path"], body, headers)


def heading(answer):
    return re.search("<h1>(.*?)</h1>", answer.text).group(1)


def alerts(client):
    return {item["kind"]: item for item in WORLD.technician.get("/alerts")["items"] if item["tenant"] == client.slug}


def shown(client):
    """The token; when Apple was asked last changes with each sync."""
    return {name: value for name, value in WORLD.technician.get(f"{client.path}/token").items() if name != "checked_at"}


def sealed(link):
    return WORLD.rows(f"select used_at is not null as used, encode(hash, 'hex') as hash from depbroker.renewal_links where link_id = {link['id']}")[0]


@test
def an_administrator_renews_the_token_and_both_sides_are_told():
    client = onboarded("Acme & <Söhne>")
    old = WORLD.technician.get(f"{client.path}/token")
    link = new_link(client)
    shown = page("GET", link["path"])
    equal((shown.status, shown.headers["content-type"], heading(shown)), (200, "text/html; charset=utf-8", "Renew the server token"), "page")
    for part in ("Acme &amp; &lt;Söhne&gt;", old["server_name"], 'lang="en"', '<label for="token">', link["path"] + "/certificate.pem"):
        equal(part in shown.text, True, part)
    equal("<script" in shown.text or "<Söhne>" in shown.text, False, "script")
    policy = shown.headers["content-security-policy"]
    equal(policy, "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'", "policy")
    equal((shown.headers["referrer-policy"], shown.headers["cache-control"]), ("no-referrer", "no-store"), "headers")
    equal(page("GET", "/renew.css").headers["content-type"], "text/css; charset=utf-8", "style")
    certificate = page("GET", link["path"] + "/certificate.pem")
    equal((certificate.status, certificate.body.startswith(b"-----BEGIN CERTIFICATE-----")), (200, True), "certificate")
    WORLD.apple.call("PATCH", f"/tenants/{client.apple}", {"admin_id": "successor@acme.example"})
    done = send(link, token_for(client, certificate.body, "?new_administrator=1"))
    equal((done.status, heading(done)), (200, "The token is renewed"), done.text)
    new = WORLD.technician.get(f"{client.path}/token")
    equal((new["key_pair_id"], new["taken_by"], new["server_uuid"], new["state"]),
          (link["key_pair_id"], f"link:{link['id']}", old["server_uuid"], "active"), "token")
    wait_until(lambda: {"token.renewed", "token.admin_changed"} <= set(alerts(client)), "the provider is told", 30)
    told = [event["type"] for event in WORLD.technician.get(f"{client.path}/events")["items"]]
    equal("token.renewed" in told and "token.admin_changed" in told, True, told)
    client.add(1)
    client.sync_now()
    WORLD.until_equal(client)


@test
def a_link_serves_once_and_unknown_used_and_expired_ones_look_the_same():
    client = onboarded()
    link, expired = new_link(client), new_link(client, expires_in_days=1)
    WORLD.sql(f"update depbroker.renewal_links set expires_at = now() - interval '1 second' where link_id = {expired['id']}")
    file = token_for(client, page("GET", link["path"] + "/certificate.pem").body)
    equal(send(link, file).status, 200, "first")
    equal((sealed(link)["used"], link["path"].split("/")[-1] in sealed(link)["hash"]), (True, False), "stored")
    dead = [link["path"], expired["path"], "/renew/" + "0" * 48, "/renew/x", "/renew/" + "A" * 48, "/renew/" + "0" * 47]
    pages = {(answer.status, answer.text) for answer in [page("GET", path) for path in dead]}
    pages |= {(answer.status, answer.text) for answer in [page("GET", path + "/certificate.pem") for path in dead]}
    pages |= {(answer.status, answer.text) for answer in [send({"path": path}, file) for path in dead]}
    equal(len(pages), 1, pages)
    equal(next(iter(pages))[0], 404, "status")


@test
def what_is_refused_is_said_in_plain_words_and_the_link_lives_on():
    client, other = onboarded(), onboarded()
    link = new_link(client)
    certificate = page("GET", link["path"] + "/certificate.pem").body
    before = shown(client)
    foreign = WORLD.apple.call("POST", f"/tenants/{other.apple}/token?same=1", certificate)
    for file, status, title in ((b"", 422, "There was no file"), (b"<html>", 422, "This is a web page, not a server token"), (certificate, 422, "This is the certificate, not a server token"), (b"x" * 200000, 422, "This is not a server token"),
                                (foreign, 409, "This token is of another server")):
        answer = send(link, file)
        equal((answer.status, heading(answer)), (status, title), title)
        equal(f'<a href="{link["path"]}">' in answer.text, True, "the way back")
        equal(other.slug in answer.text, False, "nothing of another client")
    for how in ({"name": "other"},):
        equal(heading(send(link, foreign, **how)), "There was no file", how)
    equal(heading(page("POST", link["path"], b"token=x", {"Content-Type": "application/x-www-form-urlencoded"})), "There was no file", "a form without a file")
    equal((shown(client), sealed(link)["used"]), (before, False), "nothing has changed")
    equal(send(link, token_for(client, certificate)).status, 200, "and then")


@test
def a_token_that_comes_while_apple_is_away_waits_and_is_taken_by_itself():
    client = onboarded()
    link = new_link(client)
    before = WORLD.technician.get(f"{client.path}/token")
    file = token_for(client, page("GET", link["path"] + "/certificate.pem").body)
    plan = client.fail_apple(status=503, times=0)
    answer = send(link, file)
    equal((answer.status, heading(answer)), (202, "The token has arrived"), answer.text)
    shown = WORLD.technician.get(f"{client.path}/token")
    equal((shown["taken_at"], shown["pending"]["uploaded_by"]), (before["taken_at"], f"link:{link['id']}"), "not switched blind")
    equal(page("GET", link["path"]).status, 404, "the link is used up")
    wait_until(lambda: WORLD.technician.get(f"{client.path}/token")["pending"]["attempts"] >= 1, "asked again", 60)
    WORLD.apple.call("DELETE", f"/faults/{plan['id']}")
    wait_until(lambda: WORLD.technician.get(f"{client.path}/token")["taken_by"] == f"link:{link['id']}", "taken", 90)
    wait_until(lambda: "token.renewed" in alerts(client), "told", 30)


@test
def only_a_technician_of_the_client_makes_links():
    client = onboarded()
    viewer = Api(WORLD.broker.listen, WORLD.broker.create_key("viewer"))
    try:
        viewer.post(f"{client.path}/token/renewal-links")
        raise AssertionError("a viewer made a link")
    except Problem as problem:
        equal(problem.status, 403, "viewer")
    links = [item["path"] for item in [new_link(client) for _ in range(2)]]
    with open(WORLD.broker.log_path, encoding="utf-8") as log:
        equal([path for path in links if path.split("/")[-1] in log.read()], [], "no link is in the log")


@test
def links_are_listed_and_an_open_one_is_taken_back_with_its_key():
    client, other = onboarded(), onboarded()
    used, open_one, revoked, expired = [new_link(client) for _ in range(4)]
    equal(used["url"], PUBLIC + used["path"], "the whole address")
    WORLD.sql(f"update depbroker.renewal_links set expires_at = now() - interval '1 second' where link_id = {expired['id']}")
    equal(send(used, token_for(client, page("GET", used["path"] + "/certificate.pem").body)).status, 200, "used")
    file = token_for(client, page("GET", revoked["path"] + "/certificate.pem").body)
    WORLD.technician.call("DELETE", f"{client.path}/token/renewal-links/{revoked['id']}")
    equal((page("GET", revoked["path"]).status, page("GET", revoked["path"] + "/certificate.pem").status, send(revoked, file).status),
          (404, 404, 404), "it opens nothing")
    pair = client.row(f"select k.state, (select count(*) from depbroker.secrets s where s.tenant_id = k.tenant_id and s.kind = 3 and s.object_id = k.key_pair_id)"
                      f" as keys from depbroker.key_pairs k where tenant_id = {{id}} and key_pair_id = {revoked['key_pair_id']}")
    equal(pair, {"state": "retired", "keys": 0}, "nor does its key")
    try:
        WORLD.technician.call("PUT", f"{client.path}/token", file)
        raise AssertionError("a token for the key of a revoked link was taken")
    except Problem as problem:
        equal(problem.problem["code"], "token_wrong_key", "by hand")
    shown = WORLD.technician.get(f"{client.path}/token/renewal-links?limit=3")
    rest = WORLD.technician.get(f"{client.path}/token/renewal-links?limit=3&cursor={shown['cursor']}")
    items = shown["items"] + rest["items"]
    equal([(item["id"], item["state"]) for item in items],
          [(expired["id"], "expired"), (revoked["id"], "revoked"), (open_one["id"], "open"), (used["id"], "used")], "newest first")
    equal([item for item in items if "path" in item or "url" in item], [], "no secret is shown again")
    for path in (f"{client.path}/token/renewal-links/{used['id']}", f"{client.path}/token/renewal-links/{revoked['id']}",
                 f"{client.path}/token/renewal-links/{expired['id']}", f"{other.path}/token/renewal-links/{open_one['id']}",
                 f"{client.path}/token/renewal-links/x"):
        try:
            WORLD.technician.call("DELETE", path)
            raise AssertionError(f"{path} was revoked")
        except Problem as problem:
            equal((problem.status, problem.problem["code"]), (404, "link_not_found"), path)
    equal(page("GET", open_one["path"]).status, 200, "the open one is as it was")
    told = [(line["action"], line["detail"]) for line in WORLD.rows(f"select action, detail from depbroker.audit where target = '{client.slug}' order by seq")]
    equal(told[-1], ("token.renewal_link.revoke", {"id": revoked["id"]}), "audit")


@test
def links_are_limited_by_the_minute():
    client = onboarded()
    link = new_link(client)
    codes = [page("GET", link["path"]).status for _ in range(40)]
    equal((codes[0], 429 in codes, set(codes) <= {200, 429}), (200, True, True), codes)
    equal(page("GET", link["path"]).headers["retry-after"], "60", "when")


def stop():
    WORLD.__exit__(None, None, None)


if __name__ == "__main__":
    sys.exit(run_tests(stop))
