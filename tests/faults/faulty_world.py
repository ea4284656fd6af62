# SPDX-License-Identifier: Apache-2.0
#
# faulty_world.py - one schedule: a small world of its own (database, applesim, receiver, wire, two or three nodes), faults on every
# link and at every node while Apple's side changes, then peace, and a judge.
import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import time

from programs import BUILD, Control, Program
from world import Api, Client, Failure, Problem, Psql, World, difference, end_with_us, free_address, wait_until

TENANTS = ("alder", "birch", "cedar", "dogwood")
HARMS = (6, 12)
SETTLES_S = 150
HURRIES_EVERY_S = 1.5
TAKEN_WITHIN_S = 0.8
ADDED, CHANGED, REMOVED, ASSIGNED = 1, 2, 3, 4


class Template:
    """What every schedule starts from: clients that are there, with token, instance and rule, but without devices."""

    def __init__(self, folder, postgres):
        self.folder, self.postgres = folder, postgres
        self.master_key = os.path.join(folder, "master.key")
        self.apple_state = os.path.join(folder, "applesim.json")
        self.clients = {}  # slug: (number at applesim, webhook secret)

    def make(self):
        with World(workers=1, database_url=self.postgres.url, postgres_folder=self.postgres.folder,
                   sim_options=("--state", self.apple_state), DEPBROKER_MASTER_KEY_FILE=self.master_key) as world:
            for slug in TENANTS:
                client = world.onboard(slug, devices=0, interval_s=1)
                self.clients[slug] = (client.apple, client.secret)
                self.add_endpoints(client)
            self.key = world.technician.key
            self.receiver_url = world.receiver_url
            world.until_equal()

    def add_endpoints(self, client):
        """Besides the one that it has."""


class Node:
    """A worker process with its own link to the database. Each start is another node."""

    def __init__(self, schedule, index):
        self.schedule, self.index = schedule, index
        self.port = schedule.route(f"pg-{index}", schedule.postgres_socket, postgres=True)
        self.starts = 0
        self.process = None
        self.continues_at = None  # it is stopped until then
        self.is_outlived = False  # or until it has nothing any more

    @property
    def name(self):
        return f"node-{self.index}-{self.starts}"

    def start(self, replaces=None):
        self.starts += 1
        self.continues_at = None
        self.is_outlived = False
        environment = dict(self.schedule.environment(self.port), DEPBROKER_NODE_ID=self.name)
        if replaces:
            environment["DEPBROKER_REPLACES_NODE"] = replaces
        self.process = self.schedule.spawn("worker", environment)

    def is_running(self):
        return self.process.poll() is None

    def kill(self):
        self.process.kill()
        self.process.wait(30)

    def stop_for(self, seconds):
        self.process.send_signal(signal.SIGSTOP)
        self.continues_at = time.monotonic() + seconds

    def go_on(self):
        self.is_outlived = False
        if self.continues_at is not None:
            self.continues_at = None
            self.process.send_signal(signal.SIGCONT)


class Schedule:
    settles_s, hurries_every_s = SETTLES_S, HURRIES_EVERY_S

    def __init__(self, template, seed, seconds=None):
        self.template, self.seed = template, seed
        self.chance = random.Random(seed)
        self.harms_left = self.chance.randint(*HARMS)
        self.ends_after_s = seconds  # None: after those harms
        self.database = f"schedule_{seed}"
        self.postgres_socket = os.path.join(template.postgres.folder, ".s.PGSQL.5432")
        self.folder = os.path.join(template.folder, self.database)
        self.log_path = os.path.join(self.folder, "depbroker.log")
        self.leaving = []
        self.done = {}
        self.serials = {slug: [] for slug in TENANTS}
        self.ever = {slug: 0 for slug in TENANTS}
        self.removed = {slug: set() for slug in TENANTS}
        self.tags = {}
        self.clients = {}
        self.psql = None
        self.api = None
        self.programs = []
        self.nodes = []

    # --- the world ---

    def __enter__(self):
        os.mkdir(self.folder)
        self.log = open(self.log_path, "ab")  # pylint: disable=consider-using-with
        self.make_database()
        self.wiring = Control(self.program("wire").ready["control"])
        state = os.path.join(self.folder, "applesim.json")
        shutil.copyfile(self.template.apple_state, state)
        sim = self.program("applesim", "--seed", str(self.seed), "--state", state).ready
        inboxes = self.program("receiver").ready["listen"]
        self.apple, self.receiver = Control(sim["control"]), Control(inboxes)
        self.apple_port = self.route("apple", sim["apple"].removeprefix("http://"))
        self.receiver_url = f"http://127.0.0.1:{self.route('hooks', inboxes.removeprefix('http://'))}"
        self.sql(f"update depbroker.endpoints set url = replace(url, '{self.template.receiver_url}', '{self.receiver_url}')")
        for slug, (number, secret) in self.template.clients.items():
            self.clients[slug] = Client(self, slug, number)
            self.receiver.call("PUT", f"/secret/{slug}", secret.encode())
            self.apple.call("PATCH", f"/tenants/{number}", {"page_maximum": self.chance.choice(self.page_sizes())})
            self.add(slug, self.first_devices())
        self.nodes = [Node(self, index) for index in range(self.chance.choice((2, 2, 3)))]
        if self.has_api():
            self.start_api()
        return self

    def make_database(self):
        with self.template.lock:
            self.template.maker.ask(f"create database {self.database} template depbroker")
        self.psql = Psql(self.template.postgres.folder, self.database)

    def drop_database(self):
        with self.template.lock:
            self.template.maker.ask(f"drop database if exists {self.database} with (force)")

    def first_devices(self):
        return self.chance.randint(5, 60)

    def page_sizes(self):
        return (5, 10, 20, 100)

    def has_api(self):
        return self.chance.random() < 0.25

    def start_api(self):
        """Some schedules ask for syncs through the REST API, whose link to the database is as bad as the nodes' are."""
        self.api_port = self.route("pg-api", self.postgres_socket, postgres=True)
        self.api = Api(free_address(), self.template.key)
        self.leaving.append(self.spawn_api())

    def spawn_api(self):
        return self.spawn("api", dict(self.environment(self.api_port), DEPBROKER_LISTEN=self.api.listen, DEPBROKER_DEP_LISTEN=free_address(),
                                      DEPBROKER_ADMIN_LISTEN=free_address()))

    def __exit__(self, kind, error, trace):
        for process in [node.process for node in self.nodes if node.process] + self.leaving:
            process.kill()
            process.wait(30)
        for program in self.programs:
            program.process.kill()  # their ends are others' business, and a leak sanitizer would make them long
            program.process.wait(30)
            program.process.stdout.close()
        if self.psql:
            self.psql.close()
        self.drop_database()
        self.log.close()
        if kind is not None:
            shutil.copyfile(self.log_path, os.path.join(BUILD, f"faults-{self.seed}.log"))
        shutil.rmtree(self.folder, ignore_errors=True)

    def program(self, name, *options):
        self.programs.append(Program(name, *options))
        return self.programs[-1]

    def route(self, name, to, postgres=False):
        return self.wiring.call("PUT", f"/routes/{name}", {"to": to, "postgres": postgres})["port"]

    def environment(self, database_port):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DEPBROKER_")}
        return {**kept, "DEPBROKER_STATE_DIR": self.folder, "DEPBROKER_MASTER_KEY_FILE": self.template.master_key,
                "DEPBROKER_DATABASE_URL": f"postgresql://depbroker@127.0.0.1:{database_port}/{self.database}?sslmode=disable",
                "DEPBROKER_APPLE_URL": f"http://127.0.0.1:{self.apple_port}", "DEPBROKER_WEBHOOK_ALLOW": "127.0.0.0/8",
                "DEPBROKER_PARENT_PID": str(os.getpid())}

    def spawn(self, command, environment):
        return subprocess.Popen([os.path.join(BUILD, "depbroker"), command], env=environment, stdout=self.log, stderr=self.log,
                                stdin=subprocess.DEVNULL, preexec_fn=end_with_us)  # pylint: disable=consider-using-with

    def sql(self, statement):
        return self.psql.ask(statement)

    def rows(self, statement):
        return json.loads(self.sql(f"select coalesce(json_agg(row_to_json(r)), '[]') from ({statement}) r"))

    def count(self, what):
        self.done[what] = self.done.get(what, 0) + 1

    # --- Apple's side: every device says whose it is ---

    def add(self, slug, count):
        devices = []
        for _ in range(count):
            self.ever[slug] += 1
            devices.append({"serial_number": f"{slug.upper()}{self.ever[slug]:05}", "description": f"canary-{slug}"})
        self.clients[slug].world.apple.post(f"/tenants/{self.clients[slug].apple}/devices", {"devices": devices})
        self.serials[slug] += [device["serial_number"] for device in devices]

    def change_apple(self):
        slug = self.chance.choice(TENANTS)
        what = self.chance.choice(("added", "changed", "changed", "removed"))
        if what == "added" or not self.serials[slug]:
            self.add(slug, self.chance.randint(1, 3))
        elif what == "changed":
            serial = self.chance.choice(self.serials[slug])
            self.tags[serial] = f"tag-{self.chance.randrange(1 << 40)}"
            self.clients[slug].change(serial, asset_tag=self.tags[serial])
        else:
            serial = self.serials[slug].pop(self.chance.randrange(len(self.serials[slug])))
            self.removed[slug].add(serial)
            self.clients[slug].remove(serial)
        self.count(what)

    # --- faults ---

    def begin_faults(self):
        chance = self.chance
        self.slow = self.apple.post("/faults", {"delay_ms": chance.choice((5, 40, 120)), "times": 0})["id"]
        for node in self.nodes:
            self.plan(f"pg-{node.index}", swallow=chance.randint(0, 120), cut_after=chance.randint(0, 120),
                      cut_before=chance.randint(0, 60))
        for route in ("apple", "hooks") + (("pg-api",) if self.api else ()):
            self.plan(route, swallow=100, cut_after=100)

    def plan(self, route, **more):
        chance = self.chance
        self.wiring.call("PUT", f"/routes/{route}/plan", {
            "seed": chance.randrange(1 << 40), "delay": chance.randint(0, 300), "drip": chance.randint(0, 100),
            "reset": chance.randint(0, 300), "hole": chance.randint(0, 150), "delay_ms": chance.randint(5, 80),
            "hold_ms": chance.randint(50, 15000 if self.ends_after_s else 800), "within_bytes": chance.choice((500, 5000, 50000)), **more})

    def forget(self, name):
        """As if this node had not been heard of for as long as a heart-beat, and what it claimed, is good for."""
        self.sql(f"update depbroker.nodes set alive_until = now() - interval '1 second' where node_id = '{name}';"
                 f"update depbroker.sync_due set due_at = least(due_at, now()) where claimed_by = '{name}'")

    def busy_node(self):
        """One that runs a client and is not stopped; None: there is none."""
        owners = {row["owner"] for row in self.rows("select distinct owner from depbroker.sync_stream where owner is not null")}
        return next((node for node in self.nodes if node.name in owners and node.continues_at is None), None)

    def owned_by(self, name):
        return self.rows(f"select count(*) as n from depbroker.sync_stream where owner = '{name}'")[0]["n"]

    def harm(self):
        self.harm_a_node()

    def harm_a_node(self):
        node = self.chance.choice(self.nodes)
        what = self.chance.choices(("killed", "lost", "stopped", "outlived", "left"), (25, 10, 20, 35, 10))[0]
        if what == "outlived":
            node = self.busy_node() or node
        node.go_on()
        if what in ("killed", "lost"):
            name = node.name
            node.kill()
            if what == "lost":
                self.forget(name)
            node.start(name if what == "killed" else None)
        elif what == "left":
            node.process.terminate()
            self.leaving.append(node.process)
            node.start()
        else:
            node.stop_for(self.chance.uniform(0.02, 0.3))
            if what == "outlived":
                self.outlive(node)
        self.count(what)

    def outlive(self, node):
        """In the midst of something, if it is; it wakes up when others have all that it had."""
        if self.owned_by(node.name):
            self.count("outlived in a run")
            node.stop_for(TAKEN_WITHIN_S)
            node.is_outlived = True
        self.forget(node.name)

    def request(self):
        kind = self.chance.choices(("sync_requests", "full_requests"), (6, 1))[0]
        if self.api:
            self.ask_api("POST", f"/tenants/{self.chance.choice(TENANTS)}/sync", {"mode": "full" if kind == "full_requests" else "changes"})
            return
        self.sql(f"update depbroker.sync_due set wake = wake + 1, due_at = least(due_at, now()), {kind} = {kind} + 1"
                 f" where tenant_id = {self.clients[self.chance.choice(TENANTS)].id}")

    def ask_api(self, method, path, body=None):
        """While its database is out of reach it says so, or nothing; never anything else."""
        try:
            return self.api.call(method, path, body, timeout=0.5)
        except Problem as problem:
            if problem.status != 503:
                raise
        except (OSError, http.client.HTTPException):
            pass
        return None

    def suffer(self):
        for node in self.nodes:
            node.start()
        wait_until(lambda: self.rows("select count(*) as n from depbroker.nodes")[0]["n"] == len(self.nodes), "no nodes", 90, 0.02)
        self.begin_faults()
        begun = time.monotonic()
        next_harm = next_change = 0
        while time.monotonic() - begun < self.ends_after_s if self.ends_after_s else self.harms_left > 0:
            now = time.monotonic()
            if now >= next_harm:
                self.harms_left -= 1
                self.harm()
                next_harm = time.monotonic() + self.chance.uniform(0.02, 0.2)
            if now >= next_change:
                self.change_apple()
                self.request()
                next_change = now + self.chance.uniform(0.02, 0.1)
            for node in self.nodes:
                if node.continues_at is not None and (now >= node.continues_at or (node.is_outlived and not self.owned_by(node.name))):
                    node.go_on()
            time.sleep(0.01)

    # --- peace ---

    def make_peace(self):
        self.wiring.call("DELETE", "/plans")
        self.apple.call("DELETE", f"/faults/{self.slow}")
        for node in self.nodes:
            node.go_on()
            if not node.is_running():
                raise Failure(f"{node.name} ended with {node.process.returncode}")
        if self.chance.random() < 0.5:  # a rolling restart comes last
            for node in self.nodes:
                node.process.terminate()
                self.leaving.append(node.process)
                node.start()

    def hurry(self):
        """What would come by itself, later: retries and dead nodes' ends."""
        self.sql("update depbroker.positions set next_try_at = now() where attempts > 0;"
                 "update depbroker.sync_due set wake = wake + 1, due_at = least(due_at, now()), sync_requests = sync_requests + 1")

    def settle(self):
        if self.api:
            wait_until(lambda: self.ask_api("GET", "/status"), "the API does not answer again", 30, 0.05)
        end = time.monotonic() + self.settles_s
        next_hurry = 0
        while True:
            if time.monotonic() >= next_hurry:
                self.hurry()
                next_hurry = time.monotonic() + self.hurries_every_s
            unequal = self.waits() or next(filter(None, (self.unequal(client) for client in self.clients.values())), "")
            if not unequal:
                return
            if time.monotonic() > end:
                raise Failure(f"lost, or not settled within {self.settles_s} s: {unequal}")
            time.sleep(0.15)

    def waits(self):
        """What is known without a look at all devices."""
        return ""

    def unequal(self, client):
        truth = {device["serial_number"]: device for device in client.truth()["devices"]}
        wanted = {serial: (device["profile_status"], self.tags.get(serial), f"canary-{client.slug}") for serial, device in truth.items()}
        stored = {row["serial_number"]: (row["profile_status"], row["asset_tag"], row["description"]) for row in client.rows(
            "select serial_number, profile_status, asset_tag, description from depbroker.devices where tenant_id = {id} and gone_at is null")}
        return difference({serial: "assigned" for serial in truth}, {serial: device["profile_status"] for serial, device in truth.items()}) \
            or difference(wanted, stored) or (f"{client.slug}: {client.pending()} events are not delivered" if client.pending() else "") \
            or self.untold(client, truth)

    def untold(self, client, truth):
        """What the receiver does not know yet."""
        told = {serial: (device["device"] or {}).get("asset_tag") or None for serial, device in client.received().items() if device["present"]}
        return difference({serial: self.tags.get(serial) for serial in truth}, told)

    # --- the judge ---

    def judge(self):
        for client in self.clients.values():
            World.check_log(client)
            World.check_ledger(client)
            World.check_inbox(client)
            self.check_events(client)
            self.check_canaries(client)
        self.check_nodes()

    def check_events(self, client):
        """Each serial's events are a device's life: added, changed and assigned, removed when Apple removed it, and nothing twice."""
        lives = {}
        for event in client.rows("select seq, type, serial_number, device from depbroker.events"
                                 " where tenant_id = {id} and serial_number is not null order by seq"):
            lives.setdefault(event["serial_number"], []).append(event)
        for serial, events in lives.items():
            told = [(event["type"], event["device"]) for event in events]
            kinds = [kind for kind, _ in told]
            if kinds.count(ADDED) != 1 or kinds[0] != ADDED:
                raise Failure(f"doubled: {client.slug}: {serial} was added {kinds.count(ADDED)} times: {events}")
            if kinds.count(REMOVED) != (1 if serial in self.removed[client.slug] else 0) or REMOVED in kinds[:-1]:
                raise Failure(f"false removal: {client.slug}: {serial}: {events}")
            if any(told[i] == told[i - 1] for i in range(1, len(told))):
                raise Failure(f"doubled: {client.slug}: {serial}: {events}")

    def check_canaries(self, client):
        others = "|".join(slug for slug in TENANTS if slug != client.slug)
        pattern = f"canary-({others})|({others.upper()})[0-9]{{5}}"
        for table in ("devices", "events", "page_ledger", "attempts", "sync_stream", "tenant_status"):
            found = client.rows(f"select t::text as row from depbroker.{table} t where tenant_id = {{id}} and t::text ~ '{pattern}' limit 1")
            if found:
                raise Failure(f"others' data: {client.slug}: {table}: {found}")
        for serial, device in client.received().items():
            if not serial.startswith(client.slug.upper()) or f"canary-{client.slug}" not in json.dumps(device):
                raise Failure(f"others' data: {client.slug}: the receiver was told of {device}")

    def check_nodes(self):
        """Whoever was asked to leave has left; nobody complained."""
        for process in [node.process for node in self.nodes] + self.leaving:
            process.terminate()
        for process in [node.process for node in self.nodes] + self.leaving:
            if process.wait(30) not in (0, -signal.SIGTERM):  # the latter: it was asked before it could listen
                raise Failure(f"a node that was asked to leave ended with {process.returncode}")
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            for line in file:
                if any(mark in line for mark in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "Assertion `")):
                    raise Failure(f"a node complained: {line}")

    def play(self):
        self.suffer()
        self.make_peace()
        self.settle()
        self.judge()
        for name, number in self.wiring.get("/stats").items():
            if name != "asked":
                self.done[name] = number
        return self.done
