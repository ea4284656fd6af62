#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# An endpoint that names a certificate authority believes servers by it, and by nobody else; what one endpoint trusts does no other any good,
# whatever connections are open.
import hashlib
import os
import ssl
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from authority import Authority  # noqa: E402
from programs import equal, test  # noqa: E402
from sink import Sink  # noqa: E402
from world import World, refused, run_in, wait_until  # noqa: E402

WORLD = World(workers=1)  # one: all connections are its
OURS, OTHER = Authority(WORLD.folder, "ours"), Authority(WORLD.folder, "other")
CERTIFICATE = OURS.certify()
SINK = Sink(CERTIFICATE)
OF_OTHER = Sink(OTHER.certify())
BELIEVED, REFUSED = 204, None


def fingerprint(authority):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(authority.pem)).hexdigest()


def endpoints_of(client):
    """Where endpoints of each kind are made, who may, and what they need besides a URL."""
    return [(WORLD.technician, client.path + "/endpoints", {"instance": "main"}), (WORLD.technician, client.path + "/endpoints", {"instance": None}),
            (WORLD.admin, "/endpoints", {})]


def ping(api, at):
    """The status of a ping to it; None: there was no answer."""
    def pings():
        return [item for item in api.get(at + "/deliveries?limit=100")["items"] if item["seq"] == 0]
    before = len(pings())
    api.post(at + "/test")
    found = wait_until(lambda: (lambda found: found[0] if len(found) > before else None)(pings()), f"{at} is not tried")
    equal(found["error"], None if found["status"] else "the server's certificate is not believed", "why")
    return found["status"]


@test
def each_kind_of_endpoint_is_delivered_to_by_its_own_authority_and_not_without():
    client = WORLD.onboard()
    for api, path, members in endpoints_of(client):
        made = api.post(path, {"url": SINK.url + "/kinds", **members})
        at = f"{path}/{made['id']}"
        equal((made["certificate_authority"], made["authorities"]), (None, []), "none of its own")
        equal(ping(api, at), REFUSED, f"{path} {members}: without")
        shown = api.call("PATCH", at, {"certificate_authority": "# ours\n" + OURS.pem})
        equal(shown["certificate_authority"], OURS.pem, "without what is not a certificate")
        equal([(each["subject"], each["sha256"]) for each in shown["authorities"]], [("CN=ours", fingerprint(OURS))], "who that is")
        equal(ping(api, at), BELIEVED, f"{path} {members}: with it")
        api.call("PATCH", at, {"certificate_authority": OTHER.pem})
        equal(ping(api, at), REFUSED, f"{path} {members}: with another one")
        api.call("PATCH", at, {"certificate_authority": OTHER.pem + OURS.pem})
        equal(len(api.get(at)["authorities"]), 2, "both")
        equal(ping(api, at), BELIEVED, f"{path} {members}: with both")
        api.call("PATCH", at, {"events": []})
        equal(ping(api, at), BELIEVED, f"{path} {members}: it stays when something else is changed")
        equal(api.call("PATCH", at, {"certificate_authority": None})["certificate_authority"], None, "taken away")
        equal(ping(api, at), REFUSED, f"{path} {members}: without it again")
        api.call("DELETE", at)


@test
def events_arrive_by_it():
    client = WORLD.onboard()
    made = WORLD.technician.post(client.path + "/endpoints", {"instance": None, "url": SINK.url + "/events", "certificate_authority": OURS.pem})
    equal([each["sha256"] for each in made["authorities"]], [fingerprint(OURS)], "made with it")
    client.add(3)
    client.sync_now()
    WORLD.until_equal(client)
    log = [event["seq"] for event in client.events()]
    wait_until(lambda: sorted(event["data"]["seq"] for event in SINK.events("/events")) == log, "not everything arrives")


@test
def another_endpoint_at_the_same_host_gains_nothing_by_an_open_connection():
    client = WORLD.onboard()
    path = client.path + "/endpoints"
    url = SINK.url + "/shared"
    ids = [WORLD.technician.post(path, {"instance": "main", "url": url, "certificate_authority": pem})["id"] for pem in (OURS.pem, None, OTHER.pem)]
    own, without, other = [f"{path}/{each}" for each in ids]
    equal(ping(WORLD.technician, own), BELIEVED, "its own")
    before = SINK.connections
    equal(ping(WORLD.technician, own), BELIEVED, "its own, once more")
    equal(SINK.connections, before, "connections: the one that is open was used")
    for _ in range(2):
        equal(ping(WORLD.technician, without), REFUSED, "without one")
        equal(ping(WORLD.technician, other), REFUSED, "with another one")
        equal(ping(WORLD.technician, own), BELIEVED, "its own")
    equal(len(SINK.events("/shared")), 4, "what came")


@test
def an_authority_of_its_own_takes_the_place_of_all_others():
    client = WORLD.onboard()
    path = client.path + "/endpoints"
    made = WORLD.technician.post(path, {"instance": "main", "url": OF_OTHER.url + "/place", "certificate_authority": OTHER.pem})
    at = f"{path}/{made['id']}"
    equal(ping(WORLD.technician, at), BELIEVED, "at the other's server")
    WORLD.technician.call("PATCH", at, {"url": SINK.url + "/place"})
    equal(ping(WORLD.technician, at), REFUSED, "moved to a server of ours")


@test
def what_is_no_authority_is_refused_by_name():
    client = WORLD.onboard()
    with open(CERTIFICATE, encoding="ascii") as file:
        server_and_key = file.read()
    server = server_and_key[:server_and_key.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n"
    for wrong, why in (("", "bytes"), ("x", "no certificate"), (server, "certificate 1 is no authority's"), (OURS.pem + server, "certificate 2 is no authority's"),
                       (server_and_key, "private key"), (OURS.pem[:200], "number 1"), (OURS.pem * 9, "more than 8"), (OURS.pem + "#" * 16384, "bytes"),
                       (7, "not a string"), ([OURS.pem], "not a string")):
        for api, path, members in endpoints_of(client):
            problem = refused("bad_body", api, "POST", path, {"url": SINK.url, "certificate_authority": wrong, **members})
            equal((problem["detail"].startswith("certificate_authority"), why in problem["detail"]), (True, True), problem["detail"])


@test
def the_audit_has_whom_it_trusts():
    client = WORLD.onboard()
    path = client.path + "/endpoints"
    made = WORLD.technician.post(path, {"instance": "main", "url": SINK.url, "certificate_authority": OURS.pem})
    at = f"{path}/{made['id']}"
    WORLD.technician.call("PATCH", at, {"certificate_authority": OTHER.pem})
    WORLD.technician.call("PATCH", at, {"certificate_authority": None})
    WORLD.technician.call("PATCH", at, {"events": []})
    found = [(row["action"], row["detail"]) for row in WORLD.rows(
        f"select action, detail from depbroker.audit where target = '{client.slug}' and action ~ '^endpoint[.]' order by seq")]
    equal(found, [("endpoint.create", {"endpoint": made["id"], "certificate_authority": [fingerprint(OURS)]}),
                  ("endpoint.change", {"endpoint": made["id"], "certificate_authority": [fingerprint(OTHER)]}),
                  ("endpoint.change", {"endpoint": made["id"], "certificate_authority": None}),
                  ("endpoint.change", {"endpoint": made["id"]})], "the audit")


sys.exit(run_in(WORLD))
