# SPDX-License-Identifier: Apache-2.0
#
# deliveries.py - schedules about webhooks. Three endpoints of each client (two instances, and the client's own) fail 30 % of what they get,
# each in several ways, some in batches, while workers and the API are killed and PostgreSQL is; devices are sent to the other instance, and
# events asked for once more. An event that an endpoint refuses is parked in the end. The judge then compares the log with what each took in.
import collections
import json
import os
import shutil
import signal
import time

import delivery_judge
from faulty_world import Schedule, Template
from world import Failure, Postgres, Problem, Psql, World, difference, wait_until

FAILS_PERMILLE = 300
SCHOOLS = [f"*{digit}" for digit in (1, 3, 5, 7, 9)]  # serial numbers of the second instance
INBOXES = {"": "main", "-school": "school", "-all": None}  # by the end of the name: whose events
BATCH_SIZES = (1, 1, 5, 50, 500)
LARGE_BATCH_SIZES = (1, 20, 100, 500)
MOVES_MOST = 12  # of a client: what nobody has to approve
RECOVERS_WITHIN_S = 200
ENDED_WITHIN_S = 60  # processes of a PostgreSQL that was killed
UNEQUAL_AT_MOST_S = 10
LONG_AGO = "2020-01-01T00:00:00Z"
WAITING = ("select (select count(*) from depbroker.resends) as resends, count(*) as lanes from depbroker.positions p"
           " join depbroker.endpoints n using (tenant_id, endpoint_id) where case when n.instance_id is null then"
           " (select e.seq from depbroker.events e where e.tenant_id = p.tenant_id and e.lane = p.lane and e.seq > p.acked_seq order by e.seq limit 1)"
           " else (select e.seq from depbroker.events e where e.tenant_id = p.tenant_id and e.instance_id = n.instance_id and e.lane = p.lane"
           "  and e.seq > p.acked_seq order by e.seq limit 1) end is not null")


def children_of(process):
    with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


def has_ended(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


class DeliveryTemplate(Template):
    def __init__(self, folder, postgres):
        super().__init__(folder, postgres)
        self.secrets = {}  # by the name of the inbox

    def add_endpoints(self, client):
        api, url = client.world.technician, f"{client.world.receiver_url}/webhook/{client.slug}"
        self.secrets[f"{client.slug}-school"] = api.post(f"{client.path}/instances", {
            "name": "school", "kind": "fleet", "enrolment_url": f"https://school.{client.slug}.example/enrol",
            "allowed_hosts": [f"school.{client.slug}.example"], "webhook_url": f"{url}-school"})["webhook_secret"]
        self.secrets[f"{client.slug}-all"] = api.post(f"{client.path}/endpoints", {"instance": None, "url": f"{url}-all"})["secret"]
        api.call("PUT", f"{client.path}/rules", {
            "rules": [{"name": "Odd", "when": {"serial": {"glob": SCHOOLS}}, "then": {"instance": "school"}}], "otherwise": {"instance": "main"}})


class CopiedPostgres(Postgres):
    """A copy of one that has been stopped."""

    def __init__(self, folder, template):  # pylint: disable=super-init-not-called
        self.folder, self.pooler, self.process = os.path.join(folder, "postgres"), None, None
        self.binaries, self.user = template.binaries, template.user
        self.data = os.path.join(self.folder, "data")
        self.settings = {**template.settings, "unix_socket_directories": self.folder, "max_connections": "100"}
        os.mkdir(self.folder, 0o755)
        if self.user:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        shutil.copytree(template.data, self.data, copy_function=self.copy)
        for path, _, _ in os.walk(self.data):
            self.own(path)
        try:
            self.start()
        except Failure:
            with open(os.path.join(self.folder, 'server.log'), encoding='utf-8', errors='replace') as file:
                print(file.read()[-2000:], flush=True)
            raise

    def own(self, path):
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def copy(self, source, target):
        shutil.copy2(source, target)
        self.own(target)

    # All of them end with a recovery.

    def quit(self, _):
        self.stop(signal.SIGQUIT)
        self.start()

    def kill_server(self, _):
        """SIGKILL. It is not started again while a process of the one before has its memory."""
        orphans = children_of(self.process)
        self.kill()
        self.wait_for(orphans)
        self.start()

    def kill_backend(self, chance):
        """SIGKILL of one process: the server ends all the others, and recovers."""
        children = children_of(self.process)
        os.kill(chance.choice(children), signal.SIGKILL)
        self.wait_for(children)
        wait_until(lambda: self.process.poll() is not None or self.is_ready(), "PostgreSQL does not recover", RECOVERS_WITHIN_S)
        if self.process.poll() is not None:  # it may give up, and is started by whoever watches it
            self.start()

    @staticmethod
    def wait_for(processes):
        wait_until(lambda: all(has_ended(pid) for pid in processes), "PostgreSQL's processes do not end", ENDED_WITHIN_S, 0.02)


class DeliverySchedule(Schedule):
    settles_s, hurries_every_s = 400, 0.4

    def __init__(self, template, seed, seconds=None, devices=None):
        super().__init__(template, seed, seconds)
        self.devices = devices
        self.settles_s = DeliverySchedule.settles_s + (devices or 0) // 2
        self.postgres = None
        self.database = "depbroker"
        self.last = 0  # message that was looked at
        self.taken = collections.defaultdict(list)  # inbox: (id, data) of each message that had an effect, in the order of arrival
        self.endpoints = {}  # inbox: (client's path, number)
        self.moves = collections.defaultdict(list)  # serial: where it was sent
        self.faults = {}  # of all receivers
        self.unequal_as = ("", 0)  # and since when
        self.poison = None  # (inbox, text of the events that it refuses)

    # --- the world ---

    def __enter__(self):
        super().__enter__()
        # Of many devices at least a hundredth: where each third request fails, events one by one take long.
        sizes = [max(size, self.devices // 100) for size in LARGE_BATCH_SIZES] if self.devices else BATCH_SIZES
        for row in self.rows("select endpoint_id, url from depbroker.endpoints where url is not null order by url"):
            inbox = row["url"].rpartition("/")[2]
            self.endpoints[inbox] = (f"/tenants/{inbox.partition('-')[0]}/endpoints/{row['endpoint_id']}", row["endpoint_id"])
            self.sql(f"update depbroker.endpoints set batch_size = {self.chance.choice(sizes)} where endpoint_id = {row['endpoint_id']}")
        return self

    def make_database(self):
        os.chmod(self.folder, 0o755)
        self.postgres = CopiedPostgres(self.folder, self.template.postgres)
        self.postgres_socket = os.path.join(self.postgres.folder, ".s.PGSQL.5432")
        self.psql = Psql(self.postgres.folder)

    def drop_database(self):
        if self.postgres:
            self.postgres.stop(signal.SIGQUIT)

    def first_devices(self):
        return self.devices or self.chance.randint(5, 40)

    def page_sizes(self):
        return (100, 1000) if self.devices else super().page_sizes()

    def has_api(self):
        return True

    # --- faults ---

    def begin_faults(self):
        super().begin_faults()
        for name, secret in self.template.secrets.items():
            self.receiver.call("PUT", f"/secret/{name}", secret.encode())
        self.faults = {"times": 0, "mixed_permille": FAILS_PERMILLE, "seed": self.chance.randrange(1 << 40)}
        self.receiver.call("PUT", "/faults", self.faults)
        if self.chance.random() < 0.5:
            self.poison_one()

    def poison_one(self):
        """One endpoint never takes what tells of one device as it is now."""
        client = self.clients[self.chance.choice(list(self.clients))]
        serial = self.chance.choice(self.serials[client.slug])
        end = self.chance.choice(("-all", "-school" if self.place_of(serial) == "school" else ""))
        self.poison = (client.slug + end, f"poison-{self.chance.randrange(1 << 40)}")
        self.tags[serial] = self.poison[1]
        self.receiver.call("PUT", "/faults", {**self.faults, "name": self.poison[0], "refuses": self.poison[1]})
        client.change(serial, asset_tag=self.poison[1])

    def harm(self):
        what = self.chance.choices(("node", "api", "postgres"), (70, 15, 15))[0]
        if what == "node":
            self.harm_a_node()
        elif what == "api":
            self.kill_api()
        else:
            self.harm_postgres()

    def kill_api(self):
        self.count("api killed")
        api = self.api_process
        api.kill()
        api.wait(30)
        self.leaving.remove(api)
        self.leaving.append(self.spawn_api())

    def spawn_api(self):
        self.api_process = super().spawn_api()
        return self.api_process

    def harm_postgres(self):
        how, name = self.chance.choice(((self.postgres.quit, "PostgreSQL stopped at once"), (self.postgres.kill_server, "PostgreSQL killed"),
                                        (self.postgres.kill_backend, "PostgreSQL's process killed")))
        self.count(name)
        how(self.chance)
        self.psql.close()
        self.psql = Psql(self.postgres.folder)

    def request(self):
        what = self.chance.choices(("sync", "move", "replay"), (70, 20, 10))[0]
        slug = self.chance.choice(list(self.clients))
        if what == "move" and self.serials[slug] and sum(len(moves) for serial, moves in self.moves.items() if self.is_of(serial, slug)) < MOVES_MOST:
            serial = self.chance.choice(self.serials[slug])
            self.moves[serial].append("main" if self.place_of(serial) == "school" else "school")
            self.pin(serial)
            self.count("sent to the other instance")
        elif what == "replay":
            self.replay(self.chance.choice(list(self.endpoints)))
        else:
            super().request()

    @staticmethod
    def is_of(serial, slug):
        return serial.startswith(slug.upper())

    @staticmethod
    def rule_of(serial):
        return "school" if serial[-1] in "13579" else "main"

    def place_of(self, serial):
        return self.moves[serial][-1] if self.moves.get(serial) else self.rule_of(serial)

    def places_of(self, serial):
        return {self.rule_of(serial), *self.moves.get(serial, ())} if serial else {None}

    def pin(self, serial):
        client = next(client for client in self.clients.values() if self.is_of(serial, client.slug))
        return self.ask_api("PUT", f"{client.path}/devices/{serial}/pin", {"instance": self.place_of(serial)})

    def replay(self, inbox):
        """Events that it has got, or that are parked."""
        path, slug = self.endpoints[inbox][0], inbox.partition("-")[0]
        orders = [{"seqs": sorted(self.chance.sample(range(1, 60), 10))}, {"serial_number": f"{slug.upper()}{self.chance.randint(1, 20):05}"}]
        order = self.chance.choice(orders if self.devices else orders + [{"from": LONG_AGO}])
        self.count("replays")
        try:
            self.ask_api("POST", f"{path}/replay", order)
        except Problem as problem:
            if problem.status not in (409, 422, 429):  # it has too much to send already
                raise

    # --- peace ---

    def hurry(self):
        self.look()
        self.sql("update depbroker.endpoints set not_before = now() where not_before > now()")  # it asked to slow down
        super().hurry()
        found = {row["serial_number"]: row["name"] for row in self.rows(
            "select p.serial_number, i.name from depbroker.pins p left join depbroker.instances i using (tenant_id, instance_id)")}
        for serial in self.moves:
            if found.get(serial) != self.place_of(serial):  # its request, or its answer, was lost
                self.pin(serial)
        if self.poison and self.waits():
            self.change_others()

    def change_others(self):
        """What an endpoint refuses is parked while it takes others; without others it counts as dead, some day."""
        slug = self.poison[0].partition("-")[0]
        others = [serial for serial in self.serials[slug] if self.tags.get(serial) != self.poison[1]]
        for serial in self.chance.sample(others, min(2, len(others))):
            self.tags[serial] = f"tag-{self.chance.randrange(1 << 40)}"
            self.clients[slug].change(serial, asset_tag=self.tags[serial])

    def waits(self):
        found = self.rows(WAITING)[0]
        return f"not delivered: {found}" if found["resends"] or found["lanes"] else ""

    # --- what the receivers took in ---

    def look(self):
        """The receiver keeps the last 262,144 messages."""
        found = self.receiver.get(f"/events?after={self.last}")
        if found["events"] and found["events"][0]["number"] != self.last + 1:
            raise Failure("the receiver forgot messages before the judge saw them")
        self.last = found["last"]
        for event in found["events"]:
            self.taken[event["inbox"]].append((event["id"], json.loads(event["body"])["data"]))

    def untold(self, client, truth):
        parked = {row["serial_number"] for row in self.parked(client)}
        for end, instance in INBOXES.items():
            wanted = {serial: (self.tags.get(serial), True) for serial in truth
                      if instance in (None, self.place_of(serial)) and serial not in parked}
            found = self.receiver.get(f"/devices?name={client.slug}{end}")["devices"]
            told = {each["serial_number"]: ((each["device"] or {}).get("asset_tag") or None, each["assigned"]) for each in found
                    if each["present"] and each["serial_number"] not in parked}
            unequal = difference(wanted, told)
            if unequal:
                return self.remains(f"{client.slug}{end}: the receiver's model is not Apple's truth: {unequal}")
        return ""

    def remains(self, unequal):
        """All is stored, assigned and delivered: nothing that comes can mend it any more."""
        if unequal != self.unequal_as[0]:
            self.unequal_as = (unequal, time.monotonic())
        if time.monotonic() - self.unequal_as[1] > UNEQUAL_AT_MOST_S:
            self.judge_messages()
            raise Failure(unequal)
        return unequal

    def parked(self, client):
        return client.rows("select p.seq, p.endpoint_id, e.serial_number from depbroker.parked_events p"
                           " join depbroker.events e using (tenant_id, seq) where p.tenant_id = {id}")

    # --- the judge ---

    def judge_messages(self):
        self.look()
        for client in self.clients.values():
            World.check_log(client)
            World.check_ledger(client)
            log = {row["seq"]: row for row in client.rows(delivery_judge.LOG)}
            delivery_judge.judge_lives(client.slug, log, self.removed[client.slug])
            for end in INBOXES:
                self.judge_inbox(client, client.slug + end, log)

    def judge(self):
        self.judge_messages()
        for client in self.clients.values():
            self.check_canaries(client)
        self.send_what_is_parked()
        self.check_nodes()

    def judge_inbox(self, client, name, log):
        parked = {row["seq"] for row in self.parked(client) if row["endpoint_id"] == self.endpoints[name][1]}
        inbox = delivery_judge.Inbox(client.slug, name, INBOXES[name.removeprefix(client.slug)], self.taken[name])
        inbox.judge(log, parked, self.places_of)
        refused = {seq for seq in inbox.wanted(log) if self.poison and self.poison[0] == name and self.poison[1] in (log[seq]["device"] or "")}
        if refused & inbox.seen or refused - parked:
            raise Failure(f"not parked: {name} refuses {sorted(refused)}; it took {refused & inbox.seen}, parked are {parked}")
        for what, number in (("delivered", len(inbox.seen)), ("parked, and shown", len(parked)), ("refused until parked", len(refused))):
            self.done[what] = self.done.get(what, 0) + number
        self.judge_counters(name)

    def judge_counters(self, name):
        stats = self.receiver.get("/stats")["inboxes"][name]
        wrong = {what: stats[what] for what in delivery_judge.COMPLAINTS if stats[what]}
        if wrong:
            raise Failure(f"{name}: the receiver complains: {wrong}")
        if stats["accepted"] != len(self.taken[name]):
            raise Failure(f"{name}: the judge saw {len(self.taken[name])} of {stats['accepted']} messages")
        for what in ("received", "faults", "duplicates"):
            self.done[what] = self.done.get(what, 0) + stats[what]

    def send_what_is_parked(self):
        """The receiver is mended: what is parked arrives when it is asked for, each event once, and then all know all."""
        parked = {name: {row["seq"] for client in self.clients.values() for row in self.parked(client) if row["endpoint_id"] == number}
                  for name, (_, number) in self.endpoints.items()}
        before = {name: len(self.taken[name]) for name in parked}
        self.receiver.call("PUT", "/faults", self.faults)
        self.poison = None
        for name in filter(parked.get, parked):
            self.api.call("POST", f"{self.endpoints[name][0]}/replay", {"parked": True})
        self.settle()
        self.look()
        for name, seqs in parked.items():
            seen = {data["seq"] for _, data in self.taken[name][:before[name]]}
            if sorted(data["seq"] for _, data in self.taken[name][before[name]:]) != sorted(seqs - seen):
                raise Failure(f"{name}: {seqs} were parked, and {self.taken[name][before[name]:]} came when they were asked for"[:2000])
