#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Jobs do the same to many devices: lists in every shape with what is wrong in each row, dry runs, the brake with a second key, a start at a
# time, cancelling, an api process that is killed in the midst, Apple asked to take profiles away, releases refused unless they are allowed.
import csv
import datetime
import io
import json
import os
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
import openapi  # noqa: E402
from programs import Peer  # noqa: E402
from world import Failure, Problem, World, children_of, wait_until  # noqa: E402

DEVICES = 60
MANY = 20000
OVER = ("done", "previewed", "waiting", "rejected", "cancelled", "expired")


def equal(found, expected, what):
    if found != expected:
        raise Failure(f"{what}: {found!r}, not {expected!r}")


def refused(key, method, path, body=None):
    try:
        key.call(method, path, body)
    except Problem as problem:
        return problem.problem
    raise Failure(f"{method} {path} is accepted")


def as_described(value, schema):
    equal(list(openapi.complaints(value, {"$ref": "#/components/schemas/" + schema})), [], f"a {schema} as the OpenAPI document has it")
    return value


def raw(key, method, path, body=None, content_type=None):
    """Status and text of an answer that is no JSON document, or to a body that is none."""
    peer = Peer("http://" + key.listen, timeout=60)
    try:
        headers = {"Authorization": "Bearer " + key.key}
        if content_type:
            headers["Content-Type"] = content_type
        answer = peer.request(method, "/api/v1" + path, body, headers)
        return answer.status, answer.text
    finally:
        peer.close()


def post_list(key, client, query, text):
    data = text if isinstance(text, bytes) else text.encode()
    status, answer = raw(key, "POST", f"{client.path}/jobs?{query}", data, "text/csv; charset=utf-8")
    return status, json.loads(answer)


def until(key, client, job, states=OVER, seconds=60):
    def shown():
        found = as_described(key.get(f"{client.path}/jobs/{job['id']}"), "JobInFull")
        return found if found["state"] in states else None
    return wait_until(shown, lambda: f"job {job['id']} is not {states}: {key.get(client.path + '/jobs/' + job['id'])}", seconds, 0.05)


def results(key, client, job):
    status, text = raw(key, "GET", f"{client.path}/jobs/{job['id']}/results")
    equal(status, 200, "results")
    lines = [json.loads(line) for line in text.splitlines()]
    as_described(lines[0], "JobLine")
    return lines


def pins(client):
    return {row["serial_number"]: row["name"] for row in client.rows(
        "select p.serial_number, i.name from depbroker.pins p left join depbroker.instances i using (tenant_id, instance_id) where p.tenant_id = {id}")}


def places(client):
    return {row["serial_number"]: row["name"] for row in client.rows(
        "select d.serial_number, i.name from depbroker.devices d left join depbroker.instances i using (tenant_id, instance_id)"
        " where d.tenant_id = {id} and d.gone_at is null")}


def at_apple(client):
    return {device["serial_number"]: device.get("profile_uuid") for device in client.truth()["devices"]}


def new_day(client):
    """What was moved without a second key counts for a day."""
    client.sql("delete from depbroker.brake_account where tenant_id = {id}")


def add_school(world, client):
    world.technician.post(f"{client.path}/instances", {
        "name": "school", "kind": "fleet", "enrolment_url": "https://mdm.school.example/enrol", "allowed_hosts": ["mdm.school.example"]})


def check_list_in_every_shape(world, client, serials):
    few = serials[:3]
    text = ("\ufeffNote,Instance,Serial Number\r\n"
            f"\"a \"\"quoted\"\" note,\nof two lines\",school,{few[0].lower()}\r\n"
            f"plain,,{few[1]}\r\n"
            "\r\n"
            "unknown,nowhere,ABSENT0002\r\n"
            f"again,school,{few[0]}\r\n"
            "bad,school,=HYPERLINK(1)\r\n"
            "absent,school,ABSENT0001\r\n"
            f"last,school,\"{few[2]}\"")
    status, job = post_list(world.technician, client, "kind=assign&instance=school&reason=loan", text)
    equal((status, job["state"], job["kind"], job["rows"]), (202, "costing", "assign", 7), "taken")
    job = until(world.technician, client, job)
    equal((job["state"], job["changes"], job["moved"]), ("done", 3, 3), "done")
    equal({name: count for name, count in job["results"].items() if count}, {"done": 3, "refused": 3, "not_found": 1}, "results")
    rows = results(world.technician, client, job)
    equal([(row["serial_number"], row["result"]) for row in rows], [
        (few[0], "done"), (few[1], "done"), ("ABSENT0002", "refused"), (few[0], "refused"), ("=HYPERLINK(1)", "refused"),
        ("ABSENT0001", "not_found"), (few[2], "done")], "each row")
    equal(rows[2]["detail"], "line 6: the client has no such instance", "what is wrong in the third")
    equal(rows[3]["detail"], "line 7: the serial number stands in an earlier row already", "what is wrong in the fourth")
    equal((rows[0]["from"], rows[0]["to"], rows[0]["moves"]), ("main", "school", True), "where the first goes")
    status, text = raw(world.technician, "GET", f"{client.path}/jobs/{job['id']}/results?format=csv")
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    equal([line["result"] for line in lines], [row["result"] for row in rows], "the same as CSV")
    equal(lines[4]["serial_number"], "'=HYPERLINK(1)", "no formula for a spreadsheet")
    wait_until(lambda: [places(client)[serial] for serial in few] == ["school"] * 3, "devices are not at the school", 30)
    again = until(world.technician, client, post_list(world.technician, client, "kind=assign", f"serial,mdm\n{few[0]},school\n")[1])
    equal((again["changes"], again["results"]["unchanged"]), (0, 1), "once more is nothing")
    for query, text, code in (("kind=assign", "name\nA\n", "list_unreadable"), ("kind=assign", "serial\n", "list_unreadable"),
                              ("kind=sell", "serial\nA\n", "bad_parameter"), ("kind=pin&instance=nowhere", "serial\nA\n", "instance_not_found"),
                              ("kind=unpin&instance=main", "serial\nA\n", "bad_body"), ("kind=assign", b"serial\n\xff\n", "list_unreadable")):
        equal(post_list(world.technician, client, query, text)[1]["code"], code, f"refused: {query}")
    equal(refused(world.technician, "POST", f"{client.path}/jobs", {"kind": "unpin"})["code"], "bad_body", "neither rows nor a filter")
    equal(refused(world.technician, "POST", f"{client.path}/jobs", {"kind": "unpin", "rows": [1]})["code"], "bad_body", "no serial number")
    equal(refused(world.technician, "GET", f"{client.path}/jobs/1")["code"], "job_not_found", "no such job")
    equal(raw(world.technician, "GET", f"{client.path}/jobs/1/results")[0], 404, "results of no such job")
    job = world.technician.post(f"{client.path}/jobs", {"kind": "unpin", "rows": [few[0], {"serial_number": few[1]}, few[2], serials[5]]})
    job = until(world.technician, client, job)
    equal((job["results"]["done"], job["results"]["unchanged"], job["moved"]), (3, 1, 3), "unpinned")
    wait_until(lambda: set(places(client).values()) == {"main"}, "devices are not back", 30)


def check_dry_run(world, client):
    before = pins(client)
    job = world.technician.post(f"{client.path}/jobs?dry_run=true", {"kind": "assign", "instance": "school", "filter": {"instance": "main"}})
    job = until(world.technician, client, job)
    equal((job["state"], job["rows"], job["changes"], job["moved"], job["of"], job["approval"]), ("previewed", DEVICES, DEVICES, 0, DEVICES, None), "a dry run")
    rows = results(world.technician, client, job)
    equal({(row["result"], row["from"], row["to"], row["moves"]) for row in rows}, {("waiting", "main", "school", True)}, "what each row would do")
    equal(pins(client), before, "and nothing is done")
    equal(refused(world.technician, "DELETE", f"{client.path}/jobs/{job['id']}")["code"], "job_over", "it is over")


def check_brake(world, client, serials):
    moving = serials[:40]
    job = world.technician.post(f"{client.path}/jobs", {"kind": "assign", "instance": "school", "rows": moving, "reason": "autumn"})
    job = until(world.technician, client, job)
    equal((job["state"], job["changes"], job["moved"]), ("waiting", 40, 0), "it waits for a second key")
    path = f"/approvals/{job['approval']}"
    shown = as_described(world.operator.get(path), "Approval")
    equal((shown["kind"], shown["changes"], shown["proposed"]["job"], shown["requested_by"]), ("job", 40, job["id"], job["created_by"]), "what is asked")
    equal([item["serial_number"] for item in world.operator.get(path + "/devices?limit=1000")["items"]], moving, "the devices that would move")
    equal(refused(world.technician, "POST", path + "/approve")["code"], "approval_by_same_key", "not by who asked for it")
    equal(pins(client), {}, "nothing is done")
    equal(world.operator.post(path + "/approve")["state"], "approved", "by another key")
    job = until(world.technician, client, job, ("done",))
    equal((job["moved"], job["results"]["done"]), (40, 40), "done")
    wait_until(lambda: sum(place == "school" for place in places(client).values()) == 40, "devices are not at the school", 30)
    back = until(world.technician, client, world.technician.post(f"{client.path}/jobs", {"kind": "unpin", "filter": {"instance": "school"}}))
    equal((back["state"], back["changes"]), ("waiting", 40), "the way back waits, too")
    equal(world.operator.post(f"/approvals/{back['approval']}/reject")["state"], "rejected", "rejected")
    equal(world.technician.get(f"{client.path}/jobs/{back['id']}")["state"], "rejected", "so is the job")
    equal(results(world.technician, client, back)[0]["result"], "cancelled", "and each row")
    equal(refused(world.operator, "POST", f"/approvals/{back['approval']}/approve")["code"], "approval_closed", "for good")
    return moving


def check_more_than_was_agreed_to(world, client, serials):
    """Between its costing and its start more devices would move than may: it asks anew."""
    new_day(client)
    soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=4)).isoformat()
    job = world.technician.post(f"{client.path}/jobs", {"kind": "unpin", "rows": serials[:20], "start_at": soon})
    job = until(world.technician, client, job, ("scheduled",))
    equal((job["changes"], job["allowed"]), (20, 25), "few enough")
    client.sql("update depbroker.jobs set allowed = 19 where tenant_id = {id} and job_id = " + job["id"])
    job = until(world.technician, client, job, ("scheduled", "done"))
    job = until(world.technician, client, job, ("done",))
    equal((job["moved"], job["allowed"]), (20, 25), "costed again, and few enough again")
    more = until(world.technician, client, world.technician.post(f"{client.path}/jobs", {"kind": "unpin", "rows": serials[20:26]}))
    equal((more["state"], more["changes"]), ("waiting", 6), "20 devices of this day's 25 have been moved")
    world.technician.call("DELETE", f"{client.path}/jobs/{more['id']}")
    new_day(client)
    client.sql("update depbroker.tenants set brake_devices = 5, brake_percent = 1 where tenant_id = {id}")
    soon = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)).isoformat()
    job = world.technician.post(f"{client.path}/jobs", {"kind": "unpin", "rows": serials[20:25], "start_at": soon})
    job = until(world.technician, client, job, ("scheduled",))
    equal((job["changes"], job["moved"]), (5, 0), "at the limit, and not begun")
    client.sql("update depbroker.tenants set brake_devices = 4, brake_percent = 1 where tenant_id = {id}")
    client.sql("update depbroker.jobs set allowed = 4 where tenant_id = {id} and job_id = " + job["id"])
    job = until(world.technician, client, job, ("waiting", "done"))
    equal((job["state"], job["moved"]), ("waiting", 0), "what would move more than it may, asks")
    world.operator.post(f"/approvals/{job['approval']}/approve")
    equal(until(world.technician, client, job, ("done",))["moved"], 5, "agreed to")
    client.sql("update depbroker.tenants set brake_devices = null, brake_percent = null where tenant_id = {id}")
    new_day(client)
    rest = until(world.technician, client, world.technician.post(f"{client.path}/jobs", {"kind": "unpin", "rows": serials[25:40]}))
    equal((rest["state"], rest["moved"]), ("done", 15), "the rest")


def check_cancel(world, client):
    later = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).isoformat()
    job = world.technician.post(f"{client.path}/jobs", {"kind": "pin", "hold": "not yet", "rows": ["LATER00001", "LATER00002"], "start_at": later})
    job = until(world.technician, client, job, ("scheduled",))
    job = world.technician.call("DELETE", f"{client.path}/jobs/{job['id']}")
    equal((job["state"], job["results"]["cancelled"], job["results"]["waiting"]), ("cancelled", 2, 0), "cancelled")
    equal([row["result"] for row in results(world.technician, client, job)], ["cancelled"] * 2, "each row")
    equal(refused(world.technician, "DELETE", f"{client.path}/jobs/{job['id']}")["code"], "job_over", "once")
    job = until(world.technician, client, world.technician.post(f"{client.path}/jobs", {"kind": "assign", "instance": "school", "filter": {}}))
    equal(job["state"], "waiting", "too many")
    world.technician.call("DELETE", f"{client.path}/jobs/{job['id']}")
    equal(refused(world.operator, "POST", f"/approvals/{job['approval']}/approve")["code"], "approval_closed", "its approval is closed with it")


def check_kills(world, client):
    """The process that does it is killed while it costs, and while it carries out: each row is done once, which the second time would be
    `unchanged`."""
    rows = [f"KILL{number:06}" for number in range(MANY)]
    job = world.technician.post(f"{client.path}/jobs", {"kind": "pin", "instance": "school", "rows": rows})
    for column in ("costed", "position"):
        wait_until(lambda: 0 < client.row(f"select {column} as n from depbroker.jobs where tenant_id = {{id}} and job_id = {job['id']}")["n"] < MANY,
                   f"the job is not half way ({column})", 60, 0.005)
        api, = children_of(world.broker.process.pid, "api")
        os.kill(api, signal.SIGKILL)
        left = client.row(f"select {column} as n from depbroker.jobs where tenant_id = {{id}} and job_id = {job['id']}")["n"]
        if left == MANY:
            raise Failure(f"the job was through when its process was killed ({column})")
        wait_until(lambda: children_of(world.broker.process.pid, "api") not in ([], [api]) and world.broker.is_ready(), "a new api process", 60)
    job = until(world.technician, client, job, ("done",), 120)
    equal((job["rows_done"], job["results"]["done"], job["moved"]), (MANY, MANY, 0), "each row once")
    equal(len(pins(client)), MANY, "pins")
    lines = results(world.technician, client, job)
    equal([line["row"] for line in lines], list(range(1, MANY + 1)), "every row is in the results, once")


def check_profiles_are_removed(world, client, serials):
    few = serials[:5]
    job = world.technician.post(f"{client.path}/jobs", {"kind": "remove_profile", "reason": "sold", "rows": few + ["ABSENT0009"]})
    job = until(world.technician, client, job, ("done",))
    equal((job["results"]["done"], job["results"]["not_found"]), (5, 1), "removed")
    wait_until(lambda: [at_apple(client)[serial] for serial in few] == [None] * 5, "Apple still has their profiles", 30)
    held = client.rows("select hold_reason from depbroker.devices where tenant_id = {id} and gone_at is null and instance_id is null")
    equal([row["hold_reason"] for row in held], ["sold"] * 5, "they are held")
    job = until(world.technician, client, world.technician.post(f"{client.path}/jobs", {"kind": "unpin", "filter": {"held": True}}), ("done",))
    equal(job["moved"], 5, "and let go")
    wait_until(lambda: all(at_apple(client).values()), "they have no profile again", 30)
    job = until(world.technician, client, world.technician.post(f"{client.path}/jobs", {"kind": "reroute", "filter": {}}), ("done",))
    equal((job["moved"], job["results"]["done"]), (0, DEVICES), "decided about once more, as before")


def check_labels(world, client, serials):
    few = serials[:3]
    rules = world.technician.get(f"{client.path}/rules")["version"]
    world.technician.call("PUT", f"{client.path}/rules", {
        "rules": [{"name": "North", "when": {"labels": {"site": "north"}}, "then": {"instance": "school"}}], "otherwise": {"instance": "main"}})
    body = {"kind": "label", "labels": ["site=north", "loan"], "rows": few}
    equal(refused(world.technician, "POST", f"{client.path}/jobs", {"kind": "label", "rows": few})["code"], "bad_body", "no labels")
    equal(refused(world.technician, "POST", f"{client.path}/jobs", body | {"kind": "unpin"})["code"], "bad_body", "labels of another kind")
    dry = until(world.technician, client, world.technician.post(f"{client.path}/jobs?dry_run=true", body))
    equal((dry["state"], dry["changes"], dry["labels"]), ("previewed", 3, ["site=north", "loan"]), "what labels would move")
    job = until(world.technician, client, world.technician.post(f"{client.path}/jobs", body))
    equal((job["state"], job["moved"]), ("done", 3), "labelled")
    wait_until(lambda: sorted(serial for serial, place in places(client).items() if place == "school") == few, "labels do not decide", 30)
    shown = as_described(world.technician.get(f"{client.path}/devices/{few[0]}/labels"), "DeviceLabels")
    equal((shown["labels"], shown["made_by"]), (["site=north", "loan"], job["created_by"]), "they are shown")
    preview = world.technician.post(f"{client.path}/rules/preview", {"rules": [], "otherwise": {"instance": "main"}})
    equal(preview["changes"], 3, "a preview of rules knows them")
    job = until(world.technician, client, post_list(world.technician, client, "kind=label&labels=site%3Dnorth,%20loan", f"serial\n{few[0]}\n")[1])
    equal(job["results"]["unchanged"], 1, "the same once more")
    job = until(world.technician, client, world.technician.post(f"{client.path}/jobs", {"kind": "label", "labels": [], "filter": {"instance": "school"}}))
    equal(job["moved"], 3, "taken away")
    wait_until(lambda: set(places(client).values()) == {"main"}, "devices are not back", 30)
    equal(world.technician.get(f"{client.path}/devices/{few[0]}/labels")["labels"], [], "none are left")
    world.technician.call("PUT", f"{client.path}/rules", {"version": rules})


def patch(key, path, body, match):
    """Status and ETag."""
    peer = Peer("http://" + key.listen, timeout=60)
    try:
        headers = {"Authorization": "Bearer " + key.key, "Content-Type": "application/json", **({"If-Match": match} if match else {})}
        answer = peer.request("PATCH", "/api/v1" + path, json.dumps(body).encode(), headers)
        return answer.status, answer.headers.get("etag")
    finally:
        peer.close()


def etag_of(key, path):
    peer = Peer("http://" + key.listen, timeout=60)
    try:
        return peer.request("GET", "/api/v1" + path, None, {"Authorization": "Bearer " + key.key}).headers.get("etag")
    finally:
        peer.close()


def check_retiring(world, client, serials):
    """An instance with devices is retired with another one in its place: rules, pins and devices go there, behind the brake."""
    client.sql("update depbroker.tenants set brake_devices = 100 where tenant_id = {id}")
    world.technician.call("PUT", f"{client.path}/rules", {
        "rules": [{"name": "School", "when": {"serial": serials[:39]}, "then": {"instance": "school", "profile": {"department": "Library"}}}],
        "otherwise": {"instance": "main"}})
    until(world.technician, client, world.technician.post(f"{client.path}/jobs", {"kind": "assign", "instance": "school", "rows": serials[39:40]}))
    wait_until(lambda: sum(place == "school" for place in places(client).values()) == 40, "devices are not at the school", 30)
    client.sql("update depbroker.tenants set brake_devices = null where tenant_id = {id}")
    equal(refused(world.technician, "PATCH", f"{client.path}/instances/school", {"state": "retired"})["code"], "instance_has_devices", "not without a target")
    etag = etag_of(world.technician, f"{client.path}/instances/school")
    school = f"{client.path}/instances/school"
    equal([patch(world.technician, school, {"labels": ["a"]}, match)[0] for match in ('"1000"', etag, etag)], [412, 200, 412], "If-Match")
    for wrong, code in (({"target": "main"}, "bad_body"), ({"state": "draining", "target": "main"}, "bad_body"), ({"state": "retired", "target": "school"}, "bad_body"),
                        ({"state": "retired", "target": "main", "labels": []}, "bad_body"), ({"state": "retired", "target": "nowhere"}, "instance_not_found")):
        equal(refused(world.technician, "PATCH", f"{client.path}/instances/school", wrong)["code"], code, f"{wrong}")
    seen = until(world.technician, client, as_described(world.technician.call(
        "PATCH", f"{client.path}/instances/school?dry_run=true", {"state": "retired", "target": "main"}), "Job"))
    equal((seen["kind"], seen["state"], seen["changes"]), ("retire", "previewed", 40), "a dry run of it")
    asked = until(world.technician, client, world.technician.call("PATCH", f"{client.path}/instances/school", {"state": "retired", "target": "main"}))
    equal((asked["kind"], asked["state"], asked["changes"]), ("retire", "waiting", 40), "with a target it is a job")
    world.technician.call("DELETE", f"{client.path}/jobs/{asked['id']}")
    body = {"kind": "retire", "instance": "main", "filter": {"instance": "school"}, "reason": "moved"}
    for wrong in ({"instance": "school"}, {"filter": {"held": True}}, {"filter": {}}):
        equal(refused(world.technician, "POST", f"{client.path}/jobs", body | wrong)["code"], "bad_body", f"retire with {wrong}")
    job = until(world.technician, client, world.technician.post(f"{client.path}/jobs", body))
    equal((job["state"], job["changes"], world.technician.get(f"{client.path}/instances/school")["state"]), ("waiting", 40, "active"), "it waits")
    world.operator.post(f"/approvals/{job['approval']}/approve")
    job = until(world.technician, client, job, ("done",))
    equal((job["moved"], job["results"]["done"]), (40, 40), "retired")
    equal(world.technician.get(f"{client.path}/instances/school")["state"], "retired", "its state")
    found = world.technician.get(f"{client.path}/rules")
    equal((found["rules"][0]["then"], found["reason"]), ({"instance": "main", "profile": {"department": "Library"}}, "moved"), "the rules")
    equal(pins(client)[serials[39]], "main", "the pin")
    wait_until(lambda: set(places(client).values()) == {"main"}, "devices are still there", 30)


def approve(world, job):
    return world.operator.post(f"/approvals/{job['approval']}/approve")


def check_void(world, client, job, moving):
    """What was approved is not what would happen: the approval is used up, nothing has moved, and the job asks about what it would do now."""
    before, asked = places(client), job["approval"]
    equal(approve(world, job)["state"], "approved", "agreed to")
    job = until(world.technician, client, job, ("done", "waiting"))
    equal((job["state"], job["moved"]), ("waiting", 0), "it asks once more")
    if job["approval"] == asked or "elsewhere than was approved" not in (job["problem"] or ""):
        raise Failure(f"it does not say why: {job}")
    equal(world.operator.get(f"/approvals/{asked}")["state"], "stale", "the first approval")
    equal([line["detail"]["id"] for line in world.admin.get("/audit?limit=1000")["items"] if line["action"] == "approval.void"][-1], asked, "audit")
    equal(places(client), before, "nothing has moved")
    shown = {item["serial_number"]: item["to"] for item in world.operator.get(f"/approvals/{job['approval']}/devices?limit=1000")["items"]}
    equal(shown, moving, "what it would do now")
    equal(approve(world, job)["state"], "approved", "agreed to")
    job = until(world.technician, client, job, ("done",))
    equal((job["moved"], job["problem"]), (len(moving), None), "done")
    wait_until(lambda: {serial: places(client)[serial] for serial in moving} == moving, "devices are not where they were to go", 30)


def check_what_was_agreed_to(world):
    """Between an approval's list and its execution something else costs nothing, and yet changes what happens."""
    client = world.onboard(devices=DEVICES, interval_s=1)
    world.until_equal(client)
    for name in ("school", "annex"):
        world.technician.post(f"{client.path}/instances", {
            "name": name, "kind": "fleet", "enrolment_url": f"https://mdm.{name}.example/enrol", "allowed_hosts": [f"mdm.{name}.example"]})
    serials = sorted(client.stored())
    moving = serials[:30]
    job = until(world.technician, client, world.technician.post(f"{client.path}/jobs", {"kind": "assign", "instance": "school", "rows": moving}))
    approve(world, job)
    until(world.technician, client, job, ("done",))
    wait_until(lambda: sum(place == "school" for place in places(client).values()) == 30, "devices are not at the school", 30)

    job = until(world.technician, client, world.technician.post(f"{client.path}/jobs", {"kind": "unpin", "rows": moving}))
    equal((job["state"], job["changes"]), ("waiting", 30), "back to main")
    world.technician.call("PUT", f"{client.path}/rules", {
        "rules": [{"name": "annex", "when": {"serial": moving[:10]}, "then": {"instance": "annex"}}], "otherwise": {"instance": "main"}})
    check_void(world, client, job, {serial: "annex" if serial in moving[:10] else "main" for serial in moving})

    new_day(client)
    job = until(world.technician, client, world.technician.post(f"{client.path}/jobs", {"kind": "assign", "instance": "school", "rows": moving}))
    approve(world, job)
    until(world.technician, client, job, ("done",))
    wait_until(lambda: sum(place == "school" for place in places(client).values()) == 30, "devices are not at the school", 30)
    job = until(world.technician, client, world.technician.post(f"{client.path}/jobs", {
        "kind": "retire", "instance": "main", "filter": {"instance": "school"}}))
    equal((job["state"], job["changes"]), ("waiting", 30), "retiring")
    swapped = [moving[0], serials[40]]
    world.technician.call("DELETE", f"{client.path}/devices/{swapped[0]}/pin")
    world.technician.call("PUT", f"{client.path}/devices/{swapped[1]}/pin", {"instance": "school"})
    wait_until(lambda: [places(client)[serial] for serial in swapped] == ["annex", "school"], "one for the other", 30)
    check_void(world, client, job, dict.fromkeys(moving[1:] + swapped[1:], "main"))
    equal(world.technician.get(f"{client.path}/instances/school")["state"], "retired", "its state")


def check_release(world, client, serials):
    few = serials[:2]
    body = {"kind": "release", "rows": few}
    equal(refused(world.technician, "POST", f"{client.path}/jobs", body)["code"], "release_unconfirmed", "no number")
    equal(refused(world.technician, "POST", f"{client.path}/jobs", body | {"confirm_devices": 3})["code"], "release_unconfirmed", "another number")
    job = until(world.technician, client, world.technician.post(f"{client.path}/jobs", body | {"confirm_devices": 2}))
    equal(job["state"], "waiting", "few as they are, it waits")
    if set(few) - set(at_apple(client)):
        raise Failure("released before somebody agreed")
    world.operator.post(f"/approvals/{job['approval']}/approve")
    job = until(world.technician, client, job, ("done",))
    equal(job["results"]["done"], 2, "released")
    equal(set(few) & set(at_apple(client)), set(), "Apple has them no more")
    wait_until(lambda: not set(few) & set(places(client)), "they are not gone", 30)


def check(world):
    client = world.onboard(devices=DEVICES, interval_s=1)
    world.until_equal(client)
    add_school(world, client)
    serials = sorted(client.stored())
    check_list_in_every_shape(world, client, serials)
    check_dry_run(world, client)
    moved = check_brake(world, client, serials)
    check_more_than_was_agreed_to(world, client, moved)
    check_cancel(world, client)
    check_kills(world, client)
    new_day(client)
    check_profiles_are_removed(world, client, serials)
    new_day(client)
    check_labels(world, client, serials)
    new_day(client)
    check_retiring(world, client, serials)
    world.check_log(client)
    world.check_ledger(client)
    other = world.onboard(devices=3, interval_s=1)
    listed = as_described(world.technician.get(f"{client.path}/jobs?limit=3"), "JobPage")
    rest = world.technician.get(f"{client.path}/jobs?limit=1000&cursor={listed['cursor']}")["items"]
    numbers = [int(item["id"]) for item in listed["items"] + rest]
    equal((len(listed["items"]), numbers), (3, sorted(set(numbers), reverse=True)), "each job is listed once, the newest first")
    equal(world.technician.get(f"{other.path}/jobs")["items"], [], "another client's are its own")
    equal(refused(world.technician, "GET", f"{other.path}/jobs/{world.technician.get(client.path + '/jobs')['items'][0]['id']}")["code"], "job_not_found",
          "nor is it found by its number")
    return client, serials


def main():
    with World(workers=2) as world:
        client, serials = check(world)
        check_what_was_agreed_to(world)
        equal(refused(world.technician, "POST", f"{client.path}/jobs", {"kind": "release", "rows": serials[:1], "confirm_devices": 1})["code"],
              "release_disabled", "releases are off unless somebody allows them")
    with World(workers=1, DEPBROKER_ALLOW_RELEASE="1") as world:
        client = world.onboard(devices=6, interval_s=1)
        world.until_equal(client)
        check_release(world, client, sorted(client.stored()))
        world.check_log(client)
    print("ok", flush=True)


main()
