# SPDX-License-Identifier: Apache-2.0
#
# world.py - a whole installation for end-to-end tests: `depbroker serve` with a database, applesim and the receiver, clients that
# are onboarded through the REST API as a technician does it, and what is true according to each of them.
#
#   with World(workers=2) as world:
#       client = world.onboard(devices=10)
#       world.until_equal(client)
import contextlib
import ctypes
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pooler
from programs import BUILD, Control, Peer, Program, equal, run_tests

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
SETTLED = ("assigned", "pushed")


class Failure(AssertionError):
    pass


def seeded(name):
    """The randomness of a test, and its seed; a failure names it."""
    seed = int(os.environ.get("DEPBROKER_TEST_SEED") or random.SystemRandom().randrange(1 << 30))
    print(f"DEPBROKER_TEST_SEED={seed}", flush=True)
    print(f"replay: tests/run.sh --only '^{name}$' --seed {seed}", flush=True)
    return random.Random(seed), seed


def wait_until(condition, what, seconds=60, every=0.1):
    """The first true answer. `what` says what is missing, or is asked."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise Failure(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(every)


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1:%d" % probe.getsockname()[1]


def end_with_us():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def run(arguments, **options):
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        raise Failure(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


# --- processes ---


def is_running(pid):
    return state_of(pid) not in ("", "Z", "X")


def state_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children_of(parent, command):
    """The processes of that parent whose first argument is `command`."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8") as file:
                fields = file.read().rpartition(")")[2].split()
            if int(fields[1]) != parent or fields[0] in "ZX":
                continue
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                arguments = file.read().split(b"\0")
            if len(arguments) > 1 and arguments[1] == command.encode():
                found.append(int(entry))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return sorted(found)


def environment_of(pid):
    with open(f"/proc/{pid}/environ", "rb") as file:
        return dict(entry.split("=", 1) for entry in file.read().decode().split("\0") if "=" in entry)


class Postgres:
    """A PostgreSQL of the test's own, on a unix socket, that can be killed and started again."""

    def __init__(self, folder, **settings):
        self.folder = os.path.join(folder, "postgres")
        self.settings = {"listen_addresses": "", "unix_socket_directories": self.folder, "shared_buffers": "64MB",
                         "max_connections": "50", "logging_collector": "off", "log_checkpoints": "off", **settings}
        versions = sorted(os.listdir("/usr/lib/postgresql"), key=int)
        self.binaries = os.path.join("/usr/lib/postgresql", versions[-1], "bin")
        self.user = None if os.geteuid() != 0 else pwd.getpwnam("postgres")
        os.mkdir(self.folder, 0o755)
        if self.user:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        self.data = os.path.join(self.folder, "data")
        self.process = None
        run([os.path.join(self.binaries, "initdb"), "-D", self.data, "-U", "depbroker", "-A", "trust", "-N", "-E", "UTF8"],
            **self.identity())
        self.start()
        self.pooler = pooler.Pooler(self.folder, "depbroker", self.identity()) if pooler.is_wanted() else None
        run([os.path.join(self.binaries, "createdb"), "-h", self.folder, "-U", "depbroker", "depbroker"])

    def identity(self):
        if not self.user:
            return {"cwd": self.folder}
        return {"cwd": self.folder, "user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    @property
    def url(self):
        return f"postgresql:///depbroker?user=depbroker&host={self.folder}" + (f"&port={pooler.PORT}" if self.pooler else "")

    def start(self):
        options = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        with open(os.path.join(self.folder, "server.log"), "ab") as log:
            self.process = subprocess.Popen([os.path.join(self.binaries, "postgres"), "-D", self.data, *options], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL, preexec_fn=end_with_us, **self.identity())
        wait_until(self.is_ready, "PostgreSQL is not ready", 60)

    def is_ready(self):
        return subprocess.run([os.path.join(self.binaries, "pg_isready"), "-q", "-h", self.folder], check=False,
                              stdin=subprocess.DEVNULL).returncode == 0

    def kill(self):
        """As a power failure does it: the server and, by its own doing, each of its processes."""
        self.process.kill()
        self.process.wait(30)

    def stop(self, how=signal.SIGINT):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)

    def close(self):
        if self.pooler:
            self.pooler.stop()
        self.stop()


class Psql:
    """One psql that is asked many times: starting one for each statement would take longer than the statements."""

    END = "--- that was all ---"

    def __init__(self, folder, database="depbroker"):
        self.process = subprocess.Popen(
            ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", folder, "-U", "depbroker", "-d", database],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def ask(self, statement):
        lines = []
        try:
            self.process.stdin.write(f"{statement};\n\\echo '{self.END}'\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        for line in self.process.stdout:
            if line.strip() == self.END:
                return "".join(lines)
            lines.append(line)
        self.close()
        raise Failure(f"psql: {''.join(lines)}: {statement}")

    def has_ended(self):
        return self.process.poll() is not None

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


# --- depbroker ---


class Problem(Failure):
    def __init__(self, status, body):
        super().__init__(f"{status} {body}")
        self.status = status
        try:
            self.problem = json.loads(body)
        except ValueError:
            self.problem = {}


class Api:
    """The REST API with one key."""

    def __init__(self, listen, key):
        self.listen = listen
        self.key = key

    def call(self, method, path, body=None, timeout=30):
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        headers = [("Authorization", f"Bearer {self.key}")]
        if data is not None:
            headers.append(("Content-Type", "application/json" if isinstance(body, (dict, list)) else "application/octet-stream"))
        peer = Peer("http://" + self.listen, timeout)
        try:
            answer = peer.request(method, "/api/v1" + path, data, headers)
        finally:
            peer.close()
        if answer.status >= 300:
            raise Problem(answer.status, answer.text)
        return answer.json() if "json" in (answer.headers.get("content-type") or "") else answer.body

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body=None):
        return self.call("POST", path, body)


class Broker:
    """`depbroker serve`, with the embedded PostgreSQL or another one."""

    def __init__(self, folder, workers, database_url=None, program="depbroker", **settings):
        self.state = os.path.join(folder, "state")
        self.listen, self.admin_listen = free_address(), free_address()
        self.log_path = os.path.join(folder, "depbroker.log")
        self.database_url = database_url
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("DEPBROKER_")}
        self.environment.update({
            "DEPBROKER_STATE_DIR": self.state, "DEPBROKER_LISTEN": self.listen, "DEPBROKER_ADMIN_LISTEN": self.admin_listen,
            "DEPBROKER_DEP_LISTEN": "127.0.0.1:0",  # any: several nodes of a test do not meet there
            "DEPBROKER_WORKERS": str(workers), "DEPBROKER_WEBHOOK_ALLOW": "127.0.0.0/8", "DEPBROKER_LOG_LEVEL": "info", **settings})
        if database_url:
            self.environment["DEPBROKER_DATABASE_URL"] = database_url
        self.program = os.path.join(BUILD, program)
        self.process = None

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.program, "serve"], env=self.environment, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, preexec_fn=end_with_us)
        wait_until(self.is_ready, "depbroker is not ready", 90)

    def is_ready(self):
        if self.process.poll() is not None:
            raise Failure(f"depbroker serve ended with {self.process.returncode}")
        return self.readiness()[0] == 200

    def readiness(self):
        """Status and body of /readyz; 0 when nobody answers."""
        peer = Peer("http://" + self.admin_listen, timeout=10)
        try:
            answer = peer.request("GET", "/readyz")
            return answer.status, answer.text
        except OSError as error:
            return 0, str(error)
        finally:
            peer.close()

    def create_key(self, role, *more):
        return run([self.program, "admin", "create-key", "--role", role, *more], env=self.environment).strip()

    def workers(self):
        return children_of(self.process.pid, "worker")

    def log(self, event=None, **members):
        """The log's lines, as far as they are of this event and have these members."""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
        found = []
        for line in lines:
            if event is not None and f'"{event}"' not in line:
                continue
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if (event is None or entry.get("event") == event) and all(entry.get(name) == value for name, value in members.items()):
                found.append(entry)
        return found

    def complaints(self):
        """What a sanitizer or an assertion said: never anything."""
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
        marks = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "Assertion `")
        return [line for line in lines if any(mark in line for mark in marks)]

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                code = self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(30)
                raise Failure("depbroker serve did not end within 60 s") from None
            if code != 0:
                raise Failure(f"depbroker serve ended with {code}")


# --- clients ---


class Client:
    """One tenant: at depbroker (slug), at applesim (number) and at the receiver (inbox, named like the slug)."""

    def __init__(self, world, slug, apple):
        self.world, self.slug, self.apple = world, slug, apple
        self.path = f"/tenants/{slug}"
        self.webhook_url = f"{world.receiver_url}/webhook/{slug}"
        self.secret = None

    # What an administrator does
    def take_token(self, query=""):
        pair = self.world.technician.post(f"{self.path}/token/keys")["id"]
        pem = self.world.technician.get(f"{self.path}/token/keys/{pair}/certificate")
        file = self.world.apple.call("POST", f"/tenants/{self.apple}/token{query}", pem)
        self.world.technician.call("PUT", f"{self.path}/token", file)

    def add_instance(self, webhook_url=None):
        """And a rule that every device goes there."""
        made = self.world.technician.post(f"{self.path}/instances", {
            "name": "main", "kind": "nanomdm", "enrolment_url": f"https://mdm.{self.slug}.example/enroll",
            "allowed_hosts": [f"mdm.{self.slug}.example"], "webhook_url": webhook_url or self.webhook_url})
        self.secret = made["webhook_secret"]
        self.tell_receiver(self.secret)
        self.world.technician.call("PUT", f"{self.path}/rules", {"default": "main"})

    def tell_receiver(self, secret):
        self.world.receiver.call("PUT", f"/secret/{self.slug}", secret.encode())

    def sync_now(self, mode="changes"):
        self.world.technician.post(f"{self.path}/sync", {"mode": mode})

    def enable(self):
        self.world.technician.post(f"{self.path}/instances/main/enable")

    # What is true at Apple
    def truth(self):
        return self.world.apple.get(f"/tenants/{self.apple}/truth")

    def add(self, count, **how):
        return self.world.apple.post(f"/tenants/{self.apple}/devices", {"count": count, **how})["serials"]

    def change(self, serial, **members):
        self.world.apple.call("PATCH", f"/tenants/{self.apple}/devices/{serial}", members)

    def remove(self, serial, query=""):
        self.world.apple.call("DELETE", f"/tenants/{self.apple}/devices/{serial}{query}")

    def fail_apple(self, **plan):
        return self.world.apple.post("/faults", {"tenant": self.apple, **plan})

    # What depbroker and the receiver have
    def rows(self, statement):
        """Rows as dictionaries; {id} is the tenant's."""
        return self.world.rows(statement.replace("{id}", str(self.id)))

    def row(self, statement):
        return self.rows(statement)[0]

    def sql(self, statement):
        return self.world.sql(statement.replace("{id}", str(self.id)))

    @property
    def id(self):
        if not hasattr(self, "_id"):
            self._id = self.world.rows(f"select tenant_id from depbroker.tenants where slug = '{self.slug}'")[0]["tenant_id"]
        return self._id

    def stored(self):
        """Devices that are present, by serial number."""
        rows = self.rows("select serial_number, profile_uuid, profile_status from depbroker.devices"
                         " where tenant_id = {id} and gone_at is null")
        return {row["serial_number"]: row for row in rows}

    def received(self):
        return {device["serial_number"]: device for device in self.world.receiver.get(f"/devices?name={self.slug}")["devices"]}

    def inbox(self):
        return self.world.receiver.get("/stats")["inboxes"][self.slug]

    def events(self):
        return self.rows("select seq, type, serial_number, instance_id, lane from depbroker.events where tenant_id = {id} order by seq")

    def pending(self):
        """Events that are not delivered yet."""
        return self.row("select count(*) as n from depbroker.positions p join depbroker.endpoints n on n.tenant_id = p.tenant_id"
                        " and n.endpoint_id = p.endpoint_id join depbroker.events e on e.tenant_id = p.tenant_id and e.lane = p.lane"
                        " and (n.instance_id is null or e.instance_id = n.instance_id) and e.seq > p.acked_seq where p.tenant_id = {id}")["n"]

    def attempts(self):
        return self.rows("select seq, attempt, status, error from depbroker.attempts where tenant_id = {id} order by at, seq")

    def stream(self):
        return self.row("select * from depbroker.sync_stream where tenant_id = {id}")

    def try_again_now(self):
        """Makes waiting deliveries due, instead of waiting for five minutes and more: as superuser, behind depbroker's back."""
        self.sql("update depbroker.positions set next_try_at = now() where tenant_id = {id} and attempts > 0;"
                 "update depbroker.sync_due set wake = wake + 1, due_at = least(due_at, now()) where tenant_id = {id}")


def refused(code, api, method, path, body=None):
    try:
        api.call(method, path, body)
    except Problem as problem:
        equal(problem.problem.get("code"), code, f"{method} {path}")
        return problem.problem
    raise AssertionError(f"not refused: {method} {path} {body}")


def difference(wanted, found):
    """What two dictionaries disagree on, short enough to be printed."""
    missing = [key for key in wanted if key not in found]
    extra = [key for key in found if key not in wanted]
    other = [(key, wanted[key], found[key]) for key in wanted if key in found and wanted[key] != found[key]]
    if not (missing or extra or other):
        return ""
    return (f"{len(missing)} missing {missing[:3]}, {len(extra)} too many {extra[:3]}, {len(other)} different "
            f"{[f'{key}: {a} is not {b}' for key, a, b in other[:3]]}")


class World:
    def __init__(self, workers=2, own_postgres=False, seed=1, program="depbroker", database_url=None, postgres_folder=None, sim_options=(),
                 **settings):
        self.folder = tempfile.mkdtemp(prefix="depbroker-world-")
        os.chmod(self.folder, 0o755)  # PostgreSQL's user must be able to pass
        self.clients = {}
        self.postgres = Postgres(self.folder) if own_postgres or (pooler.is_wanted() and not database_url) else None
        self.postgres_folder = postgres_folder or (self.postgres.folder if self.postgres else None)
        self.sim = Program("applesim", "--seed", str(seed), *sim_options)
        self.apple_url = self.sim.ready["apple"]
        self.apple = Control(self.sim.ready["control"])
        self.inboxes = Program("receiver")
        self.receiver_url = self.inboxes.ready["listen"]
        self.receiver = Control(self.receiver_url)
        settings = {"DEPBROKER_APPLE_URL": self.apple_url, **settings}
        self.broker = Broker(self.folder, workers, self.postgres.url if self.postgres else database_url, program=program, **settings)
        self.admin = self.operator = self.technician = self.psql = None

    def __enter__(self):
        self.broker.start()
        self.admin = Api(self.broker.listen, self.broker.create_key("admin"))
        self.operator = Api(self.broker.listen, self.broker.create_key("operator"))
        self.technician = Api(self.broker.listen, self.broker.create_key("technician"))
        return self

    def __exit__(self, kind, error, trace):
        try:
            self.stop(kind is not None)
        finally:
            if kind is not None:
                self.keep_log()
            shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self, has_failed):
        complaints = []
        try:
            if self.psql:
                self.psql.close()
            self.broker.stop()
            complaints = self.broker.complaints()
        finally:
            if self.postgres:
                self.postgres.close()
            self.sim.stop()
            self.inboxes.stop()
        if complaints and not has_failed:
            raise Failure(f"a process complained: {complaints[0]}")

    def keep_log(self):
        kept = os.path.join(BUILD, os.path.basename(sys.argv[0]).removesuffix(".py") + ".log")
        shutil.copyfile(self.broker.log_path, kept)
        print(f"depbroker's log is kept in {os.path.relpath(kept)}; its end:", flush=True)
        with open(kept, encoding="utf-8", errors="replace") as file:
            print("".join(file.readlines()[-20:]), flush=True)

    # --- the database, as its superuser ---

    def sql(self, statement):
        if self.psql is None or self.psql.has_ended():
            self.psql = Psql(self.postgres_folder or os.path.join(self.broker.state, "postgres-socket"))
        return self.psql.ask(statement)

    def rows(self, statement):
        answer = self.sql(f"select coalesce(json_agg(row_to_json(r)), '[]') from ({statement}) r")
        return json.loads(answer)

    def end_sessions(self):
        """Settings of roles hold from the next session on, and a pooler keeps sessions."""
        self.sql("select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()")

    # --- clients ---

    def onboard(self, slug=None, devices=0, interval_s=2, webhook_url=None, before_token=None, before_rules=None, **apple):
        """Everything that docs/tutorial.md does for a new client. `before_token` is called with it first, `before_rules` when it has its token."""
        slug = slug or f"client-{len(self.clients) + 1}"
        made = self.apple.post("/tenants", {"name": slug, "devices": devices, **apple})
        self.clients[slug] = client = Client(self, slug, made["id"])
        self.operator.post("/tenants", {"slug": slug, "display_name": slug.title(), "sync_interval_s": interval_s})
        if before_token:
            before_token(client)
        client.take_token()
        if before_rules:
            before_rules(client)
        client.add_instance(webhook_url)
        return client

    # --- is everything equal? ---

    def unequal(self, client):
        """What is not as at Apple yet, in words; empty: everything is."""
        truth = {device["serial_number"]: device for device in client.truth()["devices"]}
        unassigned = [serial for serial, device in truth.items() if device["profile_status"] not in SETTLED]
        if unassigned:
            return f"{client.slug}: {len(unassigned)} of {len(truth)} devices are not assigned at Apple, as {unassigned[:3]}"
        wanted = {serial: (device["profile_uuid"], device["profile_status"]) for serial, device in truth.items()}
        stored = {serial: (row["profile_uuid"], row["profile_status"]) for serial, row in client.stored().items()}
        if difference(wanted, stored):
            return f"{client.slug}: database: {difference(wanted, stored)}"
        pending = client.pending()
        if pending > 0:
            return f"{client.slug}: {pending} events are not delivered"
        received = {serial: device["assigned"] for serial, device in client.received().items() if device["present"]}
        if difference({serial: True for serial in truth}, received):
            return f"{client.slug}: receiver: {difference({serial: True for serial in truth}, received)}"
        return ""

    def until_equal(self, *clients, seconds=60):
        for client in clients or self.clients.values():
            wait_until(lambda client=client: not self.unequal(client), lambda client=client: self.unequal(client), seconds, 0.3)

    def check_laws(self, *clients):
        """What must hold whatever has happened."""
        for client in clients or self.clients.values():
            self.check_log(client)
            self.check_ledger(client)
            self.check_inbox(client)

    @staticmethod
    def check_log(client):
        found = client.row("select count(*) as n, coalesce(min(seq), 1) as first, coalesce(max(seq), 0) as last,"
                           " count(distinct seq) as distinct_n,"
                           " (select event_seq from depbroker.sync_stream where tenant_id = {id}) as told from depbroker.events where tenant_id = {id}")
        last = found["told"]
        if (found["n"], found["distinct_n"], found["first"], found["last"]) != (last, last, 1, last):
            raise Failure(f"{client.slug}: events are not numbered 1 to {last} without gaps: {found}")

    @staticmethod
    def check_ledger(client):
        """Each write's line goes on where the one before it ended, and the last one at the log's end."""
        lines = client.rows("select coalesce(l.write_seq, 0) as write_seq, coalesce(l.epoch, 0) as epoch, coalesce(l.event_seq, 0) as event_seq,"
                            " lag(l.epoch, 1, 0::bigint) over (order by l.write_seq) as epoch_before,"
                            " lag(l.event_seq, 1, 0::bigint) over (order by l.write_seq) as before,"
                            " s.event_seq as told, s.write_seq as written"
                            " from depbroker.sync_stream s left join depbroker.page_ledger l on l.tenant_id = s.tenant_id"
                            " where s.tenant_id = {id} order by l.write_seq")
        for line in lines:
            if line["event_seq"] < line["before"] or line["epoch"] < line["epoch_before"]:
                raise Failure(f"{client.slug}: the ledger goes back: {line}")
        last = lines[-1]
        if last["event_seq"] != last["told"]:
            raise Failure(f"{client.slug}: the ledger ends at event {last['event_seq']}, the log at {last['told']}")
        if last["write_seq"] > last["written"]:
            raise Failure(f"{client.slug}: the ledger is ahead of the stream")

    @staticmethod
    def check_inbox(client):
        """While the client goes on, too: what is told meanwhile is not compared."""
        def told():
            return client.row("select count(*) as n from depbroker.events where tenant_id = {id} and instance_id is not null")["n"]

        told_before = told()
        pending = client.pending()
        inbox = client.inbox()
        wrong = {name: inbox[name] for name in ("conflicts", "inversions", "foreign", "malformed") if inbox[name] > 0}
        if wrong:
            raise Failure(f"{client.slug}: the receiver complains: {wrong}")
        if pending == 0 and told() == told_before != inbox["accepted"]:
            raise Failure(f"{client.slug}: {told_before} events are for the receiver, it took {inbox['accepted']}")


def run_in(world):
    """Runs the registered tests in it; returns the exit code."""
    with world:
        code = run_tests(lambda: None)
        if code:
            world.keep_log()
    return code
