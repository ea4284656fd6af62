# SPDX-License-Identifier: Apache-2.0
#
# installation.py - applesim and `depbroker serve` with its embedded PostgreSQL in a temporary folder, clients by the thousand, and
# what the processes use.
#
# CPU is the kernel's account of each process, user and system, with that of children that have ended; memory is the proportional set,
# in which each page that several share counts once. applesim is not depbroker's: its part is told, and in no sum but "everything".
import ctypes
import glob
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

TICK = os.sysconf("SC_CLK_TCK")
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)
PSQL = max(glob.glob("/usr/lib/postgresql/*/bin/psql"), key=lambda path: int(path.split("/")[4]))
LISTENERS = ("DEPBROKER_LISTEN", "DEPBROKER_DEP_LISTEN", "DEPBROKER_ADMIN_LISTEN")
MIB = 1 << 20

# What `depbroker import nanodep` reads.
NANODEP = """create table dep_names (name text primary key, consumer_key text, consumer_secret text, access_token text, access_secret text,
    access_token_expiry timestamptz, config_base_url text, tokenpki_cert_pem text, tokenpki_key_pem text, tokenpki_staging_cert_pem text,
    tokenpki_staging_key_pem text, syncer_cursor text, assigner_profile_uuid text)"""

# New clients are not due until they are released.
HOLD = """create or replace function hold() returns trigger language plpgsql as
    $$ begin new.due_at := 'infinity'; return new; end $$;
    create or replace trigger hold before insert or update on depbroker.sync_due for each row execute function hold()"""


def tell(text):
    print(text, file=sys.stderr, flush=True)


def end_with_us():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, seconds, every=0.25):
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise SystemExit(f"not within {seconds} s: {what}")
        time.sleep(every)


class Speaker:
    """JSON over one connection."""

    def __init__(self, url, key=None):
        parts = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)
        self.prefix = parts.path
        self.headers = {"Content-Type": "application/json"} | ({"Authorization": "Bearer " + key} if key else {})

    def send(self, method, path, body, again=True):
        try:
            data = body if body is None or isinstance(body, str) else json.dumps(body)
            self.connection.request(method, self.prefix + path, data, self.headers)
            answer = self.connection.getresponse()
            return answer, answer.read()
        except ConnectionError:  # it was idle for too long
            self.connection.close()
            if not again:
                raise
            return self.send(method, path, body, False)

    def ask(self, method, path, body=None):
        answer, data = self.send(method, path, body)
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {data.decode(errors='replace')[:400]}")
        return json.loads(data) if data else None


# --- what processes use ---


def read_file(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""


def descendants(pid):
    """The process and all below it: {pid: fields of its stat from the state on}."""
    stats = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = read_file(f"/proc/{entry}/stat").rpartition(")")[2].split()
            if fields:
                stats[int(entry)] = fields
    found = {pid}
    while True:
        more = {child for child, fields in stats.items() if int(fields[1]) in found} - found
        if not more:
            return {child: stats[child] for child in found if child in stats}
        found |= more


def part_of(pid):
    """depbroker's processes by their command, PostgreSQL's together."""
    words = read_file(f"/proc/{pid}/cmdline").split("\0")
    if words[0].startswith("postgres: ") or os.path.basename(words[0]) == "postgres":
        return "postgres"
    return os.path.basename(words[0]) + (" " + words[1] if len(words) > 1 and "depbroker" in words[0] else "")


class Used:
    """CPU seconds and bytes of WAL between two moments, by part."""

    def __init__(self, cpu, wal, seconds):
        self.cpu, self.wal, self.seconds = cpu, wal, seconds

    @property
    def depbroker(self):
        return sum(used for part, used in self.cpu.items() if part.startswith("depbroker"))

    @property
    def postgres(self):
        return self.cpu.get("postgres", 0.0)

    @property
    def all(self):
        return self.depbroker + self.postgres

    def __str__(self):
        parts = ", ".join(f"{part} {used:.2f}" for part, used in sorted(self.cpu.items()) if used >= 0.005)
        return f"{self.seconds:.1f} s; CPU s: {parts}; WAL {self.wal / MIB:.1f} MiB"


class MemoryWatch(threading.Thread):
    """Peaks of the proportional sets: of depbroker's processes, of all with PostgreSQL's, of one worker."""

    def __init__(self, pid, every=1.0):
        super().__init__(daemon=True)
        self.pid, self.every = pid, every
        self.depbroker = self.all = self.worker = 0.0
        self.ended = threading.Event()

    def look(self):
        depbroker = everything = 0.0
        for pid in descendants(self.pid):
            for line in read_file(f"/proc/{pid}/smaps_rollup").splitlines():
                if line.startswith("Pss:"):
                    share = int(line.split()[1]) / 1024
                    part = part_of(pid)
                    everything += share
                    depbroker += share if part.startswith("depbroker") else 0
                    self.worker = max(self.worker, share if part == "depbroker worker" else 0)
        self.depbroker, self.all = max(self.depbroker, depbroker), max(self.all, everything)

    def run(self):
        while not self.ended.wait(self.every):
            self.look()

    def stop(self):
        self.ended.set()
        self.join()
        self.look()
        return self


# --- the installation ---


class Installation:
    def __init__(self, build, **settings):
        self.build = os.path.abspath(build)
        self.folder = tempfile.mkdtemp(prefix="depbroker-bench-", dir="/var/tmp")
        os.chmod(self.folder, 0o755)
        self.processes = []
        self.peers = []  # others whose CPU is told besides, as applesim's is
        self.server_count = 0
        self.log_path = os.path.join(self.folder, "serve.log")
        try:
            self.start(settings)
        except BaseException:
            self.close()
            raise

    def start(self, settings):
        ports = {name: f"127.0.0.1:{free_port()}" for name in LISTENERS}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DEPBROKER_")}
        self.environment = inherited | {"DEPBROKER_STATE_DIR": self.folder + "/var", "DEPBROKER_WORKERS": "2"} | ports | settings
        simulator = subprocess.Popen([self.build + "/applesim", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--seed", "1"],
                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=end_with_us)
        self.processes.append(simulator)
        self.peers.append(simulator)
        ready = json.loads(simulator.stdout.readline())
        self.apple_url, self.control = ready["apple"], Speaker(ready["control"])
        self.environment["DEPBROKER_APPLE_URL"] = self.apple_url
        with open(self.log_path, "wb") as log:
            self.serve = subprocess.Popen([self.build + "/depbroker", "serve"], env=self.environment, stderr=log, preexec_fn=end_with_us)
        self.processes.append(self.serve)
        host, port = ports["DEPBROKER_ADMIN_LISTEN"].split(":")
        wait_until(lambda: self.is_ready(host, port), "depbroker serve is ready", 60)
        arguments = next(read_file(f"/proc/{pid}/cmdline").split("\0") for pid in descendants(self.serve.pid)
                         if "\0-c\0unix_socket_directories=" in read_file(f"/proc/{pid}/cmdline"))
        self.socket = next(word for word in arguments if word.startswith("unix_socket_directories=")).split("=", 1)[1].strip('"')
        key = self.command("admin", "create-key").strip()
        self.api = Speaker(f"http://{ports['DEPBROKER_LISTEN']}/api/v1", key)

    def is_ready(self, host, port):
        if self.serve.poll() is not None:
            raise SystemExit("depbroker serve ended: " + read_file(self.log_path)[-2000:])
        try:
            connection = http.client.HTTPConnection(host, int(port), timeout=5)
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def add_receiver(self):
        """A reference receiver of webhooks: its control."""
        receiver = subprocess.Popen([self.build + "/receiver"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=end_with_us)
        self.processes.append(receiver)
        self.peers.append(receiver)
        self.receiver_url = json.loads(receiver.stdout.readline())["listen"]
        return Speaker(self.receiver_url)

    def restart_postgres(self):
        """`serve` starts it again, with what was set meanwhile."""
        postmaster = next(pid for pid in descendants(self.serve.pid) if "\0-c\0unix_socket_directories=" in read_file(f"/proc/{pid}/cmdline"))
        os.kill(postmaster, signal.SIGINT)
        wait_until(lambda: not read_file(f"/proc/{postmaster}/cmdline"), "PostgreSQL ends", 60)
        wait_until(lambda: subprocess.run(self.psql("depbroker"), input="select 1", capture_output=True, text=True, check=False).returncode == 0,
                   "PostgreSQL is there again", 60)
        host, port = self.environment["DEPBROKER_ADMIN_LISTEN"].split(":")
        wait_until(lambda: self.is_ready(host, port), "depbroker is ready again", 60)

    def command(self, *arguments):
        done = subprocess.run([self.build + "/depbroker", *arguments], env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"depbroker {' '.join(arguments)}: {done.stderr[-2000:]}")
        return done.stdout

    def psql(self, database):
        return [PSQL, "-h", self.socket, "-U", "depbroker", "-d", database, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]

    def sql(self, statement, database="depbroker"):
        done = subprocess.run(self.psql(database), input=statement, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{statement[:200]}: {done.stderr}")
        return done.stdout.strip()

    def number(self, statement):
        return float(self.sql(statement) or 0)

    # --- clients ---

    def add_clients(self, count, devices):
        """As many clients, taken over from a NanoDEP, which is the only way that makes no key pair for each. None is due yet."""
        if self.server_count == 0:
            self.sql("create database nanodep", "postgres")
            self.sql(NANODEP, "nanodep")
        self.sql(HOLD)
        rows, servers = ["truncate dep_names;\ncopy dep_names (name, consumer_key, consumer_secret, access_token, access_secret,"
                         " access_token_expiry) from stdin;"], []
        for _ in range(count):
            self.server_count += 1
            name = f"client-{self.server_count:05}"
            token = {word: f"{word.upper()}_{self.server_count:024}" for word in
                     ("consumer_key", "consumer_secret", "access_token", "access_secret")}
            servers.append(self.control.ask("POST", "/tenants", {"name": name, "devices": devices, "token": token})["id"])
            rows.append("\t".join([name, *token.values(), "2099-01-01T00:00:00Z"]))
        self.sql("\n".join(rows) + "\n\\.\n", "nanodep")
        self.command("import", "nanodep", "--all", "--from-database",
                     f"postgresql:///nanodep?user=depbroker&host={urllib.parse.quote(self.socket, safe='')}")
        # What a server that has been running for a while has long done by itself, and would otherwise do at some time of the measurement.
        self.sql("vacuum analyze")
        return servers

    def release(self, spread_s=0):
        self.sql("drop trigger hold on depbroker.sync_due; update depbroker.sync_due set due_at = now() + random() * interval "
                 f"'{spread_s} s' where due_at = 'infinity'")

    def count_fetched(self):
        return self.number("select count(*) from depbroker.sync_stream where fetch_completed_at is not null and owner is null")

    # --- measuring ---

    def cpu(self):
        total = {}
        for root in [self.serve.pid] + [peer.pid for peer in self.peers]:
            for pid, fields in descendants(root).items():
                part = part_of(pid)
                total[part] = total.get(part, 0.0) + sum(int(field) for field in fields[11:15]) / TICK
        return total

    def wal(self):
        return self.number("select pg_current_wal_lsn() - '0/0'::pg_lsn")

    def begin(self):
        wal = self.wal()  # asking costs, too
        return self.cpu(), wal, time.monotonic()

    def used_since(self, begin):
        seconds = time.monotonic() - begin[2]
        cpu = {part: used - begin[0].get(part, 0.0) for part, used in self.cpu().items()}
        return Used(cpu, self.wal() - begin[1], seconds)

    def requests(self):
        """How many answers applesim gave, by path."""
        return self.control.ask("GET", "/stats")

    def lines(self, since=0):
        """The log's lines from that place on, and the place of its end."""
        with open(self.log_path, "rb") as log:
            log.seek(since)
            data = log.read()
        whole = data.rpartition(b"\n")[0]
        parsed = []
        for line in whole.splitlines():
            if line.startswith(b"{"):
                try:
                    parsed.append(json.loads(line))
                except ValueError:
                    pass
        return parsed, since + len(whole) + (1 if whole else 0)

    def close(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()
