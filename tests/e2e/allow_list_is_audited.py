#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# What the operator lets webhooks reach is in the audit: each list that is another one than before, once for all workers of all machines, before
# anything is sent by it.
import os
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import equal, test  # noqa: E402
from sink import Sink  # noqa: E402
from world import Broker, Psql, World, run_in, wait_until  # noqa: E402

WORKERS = 4
WORLD = World(workers=WORKERS, own_postgres=True, DEPBROKER_WEBHOOK_ALLOW="")


def entries():
    items = WORLD.admin.get("/audit?limit=1000")["items"]
    return [item for item in items if item["action"] == "webhook_allow.change"]


def lists():
    return [(item["detail"]["former"], item["detail"]["now"]) for item in entries()]


def until_all_work(broker, since):
    wait_until(lambda: len(broker.log("worker.started")) - since == WORKERS, "not all workers have started")
    nodes = "select count(*) as n from depbroker.nodes where alive_until > now()"
    wait_until(lambda: WORLD.rows(nodes)[0]["n"] >= WORKERS, "not all workers live")


def until_noted(broker, since):
    """Whoever takes in a client has noted its list."""
    until_all_work(broker, since)
    client = WORLD.onboard()
    wait_until(lambda: client.stream()["synced_at"], "no sync", 60)


def restart(allow):
    since = len(WORLD.broker.log("worker.started"))
    WORLD.broker.stop()
    WORLD.broker.environment["DEPBROKER_WEBHOOK_ALLOW"] = allow
    WORLD.broker.start()
    until_noted(WORLD.broker, since)


@test
def without_a_list_there_is_nothing_to_tell():
    until_noted(WORLD.broker, 0)
    equal(lists(), [], "entries")


@test
def another_list_is_told_once_for_all_workers_and_the_same_one_is_not():
    restart("127.0.0.0/8, 10.1.2.3:8443")
    first = ([], ["10.1.2.3:8443", "127.0.0.0/8"])
    equal(lists(), [first], "the first list")
    entry = entries()[0]
    equal((entry["actor"], entry["target"]), ("command:worker", "*"), "by whom, for whom")
    restart("127.0.0.0/8, 10.1.2.3:8443")
    equal(lists(), [first], "the same list")
    restart(" 10.1.2.3/32:8443,127.0.0.0/8,,127.0.0.0/8")
    equal(lists(), [first], "the same list, in other words")
    restart("127.0.0.0/8")
    equal(lists(), [first, (first[1], ["127.0.0.0/8"])], "a shorter list")
    restart("")
    restart("127.0.0.0/8")
    equal(lists()[2:], [(["127.0.0.0/8"], []), ([], ["127.0.0.0/8"])], "none, and again one")
    equal(WORLD.rows("select * from depbroker.audit_breaches()"), [], "the chain is whole")


@test
def workers_that_come_upon_it_at_the_same_moment_tell_it_once():
    before = len(lists())
    WORLD.broker.stop()
    holder = Psql(WORLD.postgres.folder)
    holder.ask("begin; select from depbroker.installation for update")
    since = len(WORLD.broker.log("worker.started"))
    WORLD.broker.environment["DEPBROKER_WEBHOOK_ALLOW"] = "127.0.0.0/8, 172.16.0.0/12"
    WORLD.broker.start()
    waiting = "select count(*) as n from pg_stat_activity where wait_event_type = 'Lock' and query like '%note_webhook_allow%'"
    wait_until(lambda: WORLD.rows(waiting)[0]["n"] == WORKERS, "they do not wait", 60, 0.05)
    holder.ask("commit")
    holder.close()
    until_noted(WORLD.broker, since)
    equal(lists()[before:], [(["127.0.0.0/8"], ["127.0.0.0/8", "172.16.0.0/12"])], "once")
    restart("127.0.0.0/8")


@test
def machines_that_start_together_tell_it_once():
    before = len(lists())
    WORLD.broker.stop()
    others = []
    for number in range(2):
        folder = os.path.join(WORLD.folder, f"machine-{number}")
        os.mkdir(folder)
        others.append(Broker(folder, WORKERS, WORLD.postgres.url, DEPBROKER_APPLE_URL=WORLD.apple_url,
                             DEPBROKER_MASTER_KEY_FILE=os.path.join(WORLD.broker.state, "master.key"),
                             DEPBROKER_WEBHOOK_ALLOW="127.0.0.0/8, 192.168.0.0/16"))
    is_over = threading.Event()
    starts = [threading.Thread(target=lambda other=other: (other.start(), is_over.wait())) for other in others]  # it ends with its thread
    for start in starts:
        start.start()
    for other in others:
        wait_until(lambda other=other: other.process, "it is not started")
        until_all_work(other, 0)
    told = "select detail->'now' as now from depbroker.audit where action = 'webhook_allow.change' order by seq"
    wait_until(lambda: len(WORLD.rows(told)) > before, "it is not told")
    since = len(WORLD.broker.log("worker.started"))
    for other in others:
        other.stop()
    is_over.set()
    restart("127.0.0.0/8, 192.168.0.0/16")
    equal(len(WORLD.broker.log("worker.started")) - since, WORKERS, "workers")
    equal(lists()[before:], [(["127.0.0.0/8"], ["127.0.0.0/8", "192.168.0.0/16"])], "once")


@test
def nothing_is_sent_by_a_list_that_is_not_noted():
    sink = Sink()
    client = WORLD.onboard(webhook_url=sink.url + "/noted")
    wait_until(lambda: client.stream()["synced_at"], "no sync", 60)
    WORLD.broker.stop()
    WORLD.sql("alter function depbroker.note_webhook_allow(text, text[]) rename to note_nothing")
    WORLD.broker.environment["DEPBROKER_WEBHOOK_ALLOW"] = "127.0.0.0/8"
    since = len(WORLD.broker.log("worker.started"))
    WORLD.broker.start()
    until_all_work(WORLD.broker, since)
    client.add(1)
    failed = len(WORLD.broker.log("worker.beat_failed"))
    wait_until(lambda: len(WORLD.broker.log("worker.beat_failed")) > failed + 3 * WORKERS, "they do not try again")
    equal(sink.requests["/noted"], 0, "requests")
    WORLD.sql("alter function depbroker.note_nothing(text, text[]) rename to note_webhook_allow")
    wait_until(lambda: len(sink.events("/noted")) >= 2, "nothing is sent afterwards", 60)
    equal(lists()[-1][1], ["127.0.0.0/8"], "noted")


sys.exit(run_in(WORLD))
