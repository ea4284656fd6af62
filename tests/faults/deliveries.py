# SPDX-License-Identifier: Apache-2.0
#
# deliveries.py - schedules about webhooks. Three endpoints of each client (two instances, and the client's own) fail 30 % of what they get,
# each in several ways, while workers and the API are killed and PostgreSQL is; the judge then compares the log with what each took in.
import collections
import json
import os
import shutil
import signal

from faulty_world import Schedule, Template
from world import Failure, Postgres, Psql, World, difference

FAILS_PERMILLE = 300
SCHOOLS = [f"*{digit}" for digit in (1, 3, 5, 7, 9)]  # serial numbers of the second instance
INBOXES = {"": "main", "-school": "school", "-all": None}  # by the end of the name: whose events
COMPLAINTS = ("conflicts", "inversions", "foreign", "malformed")


def instance_of(serial):
    return "school" if serial[-1] in "13579" else "main"


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


class DeliverySchedule(Schedule):
    hurries_every_s = 0.4

    def __init__(self, template, seed, seconds=None, devices=None):
        super().__init__(template, seed, seconds)
        self.devices = devices
        self.settles_s = Schedule.settles_s + (devices or 0) // 2
        self.postgres = None
        self.database = "depbroker"
        self.last = 0  # message that was looked at
        self.taken = collections.defaultdict(list)  # inbox: (id, data) of each message that had an effect, in the order of arrival

    # --- the world ---

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

    def has_api(self):
        return True

    # --- faults ---

    def begin_faults(self):
        super().begin_faults()
        for name, secret in self.template.secrets.items():
            self.receiver.call("PUT", f"/secret/{name}", secret.encode())
        self.receiver.call("PUT", "/faults", {"times": 0, "mixed_permille": FAILS_PERMILLE, "seed": self.chance.randrange(1 << 40)})

    def harm(self):
        what = self.chance.choices(("node", "api", "postgres"), (70, 15, 15))[0]
        if what == "node":
            self.harm_a_node()
        elif what == "api":
            self.kill_api()
        else:
            self.restart_postgres()

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

    def restart_postgres(self):
        self.count("PostgreSQL killed")
        self.postgres.stop(signal.SIGQUIT)  # at once, and with a recovery at its next start
        self.postgres.start()
        self.psql.close()
        self.psql = Psql(self.postgres.folder)

    def hurry(self):
        self.look()
        self.sql("update depbroker.endpoints set not_before = now() where not_before > now()")  # it asked to slow down
        super().hurry()

    # --- what the receivers took in ---

    def look(self):
        """The receiver keeps the last 65,536 messages."""
        found = self.receiver.get(f"/events?after={self.last}")
        if found["events"] and found["events"][0]["number"] != self.last + 1:
            raise Failure("the receiver forgot messages before the judge saw them")
        self.last = found["last"]
        for event in found["events"]:
            self.taken[event["inbox"]].append((event["id"], json.loads(event["body"])["data"]))

    def untold(self, client, truth):
        parked = {row["serial_number"] for row in self.parked(client)}
        for end, instance in INBOXES.items():
            wanted = {serial: (self.tags.get(serial), True) for serial in truth if instance in (None, instance_of(serial)) and serial not in parked}
            found = self.receiver.get(f"/devices?name={client.slug}{end}")["devices"]
            told = {each["serial_number"]: ((each["device"] or {}).get("asset_tag") or None, each["assigned"]) for each in found
                    if each["present"] and each["serial_number"] not in parked}
            unequal = difference(wanted, told)
            if unequal:
                return f"{client.slug}{end}: the receiver's model is not Apple's truth: {unequal}"
        return ""

    def parked(self, client):
        return client.rows("select p.seq, e.serial_number, n.instance_id, i.name from depbroker.parked_events p"
                           " join depbroker.events e using (tenant_id, seq) join depbroker.endpoints n using (tenant_id, endpoint_id)"
                           " left join depbroker.instances i on i.tenant_id = n.tenant_id and i.instance_id = n.instance_id"
                           " where p.tenant_id = {id}")

    # --- the judge ---

    def judge_client(self, client):
        World.check_log(client)
        World.check_ledger(client)
        for end, instance in INBOXES.items():
            self.judge_inbox(client, f"{client.slug}{end}", instance)

    def judge_inbox(self, client, name, instance):
        log = {row["seq"]: row for row in client.rows(
            "select e.seq, e.serial_number, i.name as instance from depbroker.events e left join depbroker.instances i"
            " on i.tenant_id = e.tenant_id and i.instance_id = e.instance_id where e.tenant_id = {id}")}
        wanted = {seq for seq, row in log.items() if instance in (None, row["instance"])}
        parked = {row["seq"] for row in self.parked(client) if row["name"] == instance}
        seen, last = set(), collections.defaultdict(int)
        for _, data in self.taken[name]:
            seq, serial = data["seq"], data.get("serial_number")
            self.judge_route(client, name, instance, log.get(seq), data)
            if seq in seen:
                raise Failure(f"doubled: {name}: event {seq} had its effect again: {data}")
            if serial and seq <= last[serial]:
                raise Failure(f"out of order: {name}: {serial}: event {seq} came after {last[serial]}")
            last[serial] = seq
            seen.add(seq)
        if wanted - seen - parked:
            raise Failure(f"lost: {name}: {len(wanted - seen - parked)} of {len(wanted)} events, as {sorted(wanted - seen - parked)[:5]}")
        self.done["delivered"] = self.done.get("delivered", 0) + len(seen)
        self.done["parked, and shown"] = self.done.get("parked, and shown", 0) + len(parked - seen)
        self.judge_counters(name)

    @staticmethod
    def judge_route(client, name, instance, row, data):
        serial = data.get("serial_number")
        is_right = row is not None and data["tenant"] == client.slug and row["serial_number"] == serial and (
            instance is None or (row["instance"] == instance == data["instance"] and instance_of(serial) == instance))
        if not is_right or (serial and not serial.startswith(client.slug.upper())):
            raise Failure(f"misrouted: {name} was told {data}, the log has {row}")

    def judge_counters(self, name):
        stats = self.receiver.get("/stats")["inboxes"][name]
        wrong = {what: stats[what] for what in COMPLAINTS if stats[what]}
        if wrong:
            raise Failure(f"{name}: the receiver complains: {wrong}")
        if stats["accepted"] != len(self.taken[name]):
            raise Failure(f"{name}: the judge saw {len(self.taken[name])} of {stats['accepted']} messages")
        for what in ("received", "faults", "duplicates"):
            self.done[what] = self.done.get(what, 0) + stats[what]

    def judge(self):
        self.look()
        for client in self.clients.values():
            self.judge_client(client)
            self.check_events(client)
            self.check_canaries(client)
        self.check_nodes()
