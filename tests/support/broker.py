# SPDX-License-Identifier: Apache-2.0
#
# broker.py - for end-to-end tests: a private PostgreSQL, the processes of depbroker, and a client of its REST API that holds
# every answer against the OpenAPI document and keeps it for the search for secrets.
import ctypes
import glob
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

import openapi
import pooler
from programs import BUILD, Peer

WAIT_S = 60
PR_SET_PDEATHSIG = 1


def die_with_us():
    """In a child, before it becomes the program: nothing that a test starts outlives the test, however that ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(condition, what):
    """Polls something outside of this process that tells nobody when it changes."""
    end = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {WAIT_S} s in vain until {what}")
        time.sleep(0.02)


class Postgres:
    """A cluster in a temporary folder, on a unix socket; as root it runs as the user postgres, or nobody."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="depbroker-test-")
        binaries = max(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
        self.as_user = {}
        if os.geteuid() == 0:
            names = [entry.pw_name for entry in pwd.getpwall()]
            user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            self.as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        self.data = os.path.join(self.folder, "data")
        self.psql = os.path.join(binaries, "psql")
        self.run(os.path.join(binaries, "initdb"), "-D", self.data, "-U", "owner", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale")
        self.process = subprocess.Popen(
            [os.path.join(binaries, "postgres"), "-D", self.data, "-k", self.folder, "-c", "listen_addresses=", "-c", "fsync=off"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", preexec_fn=die_with_us, **self.as_user)
        wait_until(self.is_up, "PostgreSQL is up")
        self.sql("create database depbroker", "postgres")
        self.pooler = pooler.Pooler(self.folder, "owner", {"cwd": "/", **self.as_user}) if pooler.is_wanted() else None
        self.url = f"postgresql:///depbroker?user=owner&host={urllib.parse.quote(self.folder, safe='')}" + \
            (f"&port={pooler.PORT}" if self.pooler else "")

    def run(self, *command, **options):
        return subprocess.run(command, check=True, capture_output=True, text=True, cwd="/", **self.as_user, **options)

    def is_up(self):
        return subprocess.run([self.psql, "-h", self.folder, "-U", "owner", "-c", "select 1", "postgres"], check=False,
                              capture_output=True, cwd="/", **self.as_user).returncode == 0

    def sql(self, statement, database="depbroker"):
        """As a superuser, whom row level security does not hold. Gives the lines of the result."""
        return self.run(self.psql, "-h", self.folder, "-U", "owner", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", database,
                        input=statement).stdout.splitlines()

    def refused(self, statement):
        """What the server says against it."""
        done = subprocess.run([self.psql, "-h", self.folder, "-U", "owner", "-X", "-q", "-v", "ON_ERROR_STOP=1", "depbroker"], input=statement,
                              check=False, capture_output=True, text=True, cwd="/", **self.as_user)
        if done.returncode == 0:
            raise AssertionError(f"not refused: {statement}")
        return done.stderr

    def hold(self, statement):
        """A transaction that has run the statement and keeps its locks until release()."""
        return Lock(self, statement)

    def stop(self):
        if self.pooler:
            self.pooler.stop()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(WAIT_S)
        shutil.rmtree(self.folder, ignore_errors=True)


class Lock:
    def __init__(self, postgres, statement):
        self.psql = subprocess.Popen([postgres.psql, "-h", postgres.folder, "-U", "owner", "-X", "-q", "-A", "-t", "depbroker"],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/", **postgres.as_user)
        self.psql.stdin.write(f"begin;\n{statement};\nselect 'held';\n")
        self.psql.stdin.flush()
        while self.psql.stdout.readline() != "held\n":
            if self.psql.poll() is not None:
                raise AssertionError("the lock was not got")

    def release(self):
        self.psql.communicate("commit;\n")


class Broker:
    """The API process of depbroker on a database, and commands of it."""

    def __init__(self, postgres, **settings):
        self.folder = tempfile.mkdtemp(prefix="depbroker-test-")
        os.chmod(self.folder, 0o711)  # as root, the embedded PostgreSQL's user goes through it
        self.port, self.admin_port = free_port(), free_port()
        inherited = {name: value for name, value in os.environ.items()
                     if not name.startswith("DEPBROKER_") and name.upper() not in ("HTTPS_PROXY", "HTTP_PROXY")}
        self.environment = inherited | {
            "DEPBROKER_STATE_DIR": self.folder, "DEPBROKER_LOG_LEVEL": "debug",
            "DEPBROKER_DEP_LISTEN": "127.0.0.1:0",  # any: several nodes of a test do not meet there
            "DEPBROKER_LISTEN": f"127.0.0.1:{self.port}", "DEPBROKER_ADMIN_LISTEN": f"127.0.0.1:{self.admin_port}"} | settings
        if postgres is not None:  # else an embedded one
            self.environment = {"DEPBROKER_DATABASE_URL": postgres.url} | self.environment
        self.log_path = os.path.join(self.folder, "log")
        self.process = None
        self.admin = Peer(f"http://127.0.0.1:{self.admin_port}")

    def command(self, *arguments, code=0, **settings):
        done = subprocess.run([os.path.join(BUILD, "depbroker"), *arguments], env=self.environment | settings, capture_output=True,
                              text=True, check=False, timeout=WAIT_S)
        if done.returncode != code:
            raise AssertionError(f"depbroker {' '.join(arguments)}: exit code {done.returncode}, {done.stderr}")
        return done

    def make_key(self, *arguments):
        return self.command("admin", "create-key", *arguments).stdout.strip()

    def start(self, command="api"):
        with open(self.log_path, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen([os.path.join(BUILD, "depbroker"), command], env=self.environment, stderr=log,
                                            stdin=subprocess.DEVNULL, preexec_fn=die_with_us)
        wait_until(self.answers, f"depbroker {command} listens")
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}: {self.log()[-2000:]}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return True
        except ConnectionRefusedError:
            return False

    def log(self):
        with open(self.log_path, encoding="utf-8") as log:
            return log.read()

    def events(self, name):
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == name]

    def stop(self):
        """Gracefully, and demands that it is."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.wait_for_end()

    def wait_for_end(self):
        self.admin.close()
        code = self.process.wait(WAIT_S)
        self.process = None
        if code != 0 or "Sanitizer" in self.log() or "runtime error" in self.log():
            raise AssertionError(f"depbroker ended with {code}: {self.log()[-4000:]}")

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


ANSWERS = []  # everything that any client was told: (method, path, answer)


class Client(Peer):
    """One API key."""

    def __init__(self, broker, key):
        super().__init__(f"http://127.0.0.1:{broker.port}")
        self.key = key

    def ask(self, method, path, body=None, headers=None, raw=False):
        """The answer to any request; `body` is JSON unless it is bytes. Paths begin after /api/v1."""
        path = path if raw else "/api/v1" + path
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        fields = ({"Authorization": f"Bearer {self.key}"} if self.key else {}) | (headers or {})
        answer = self.request(method, path, data, fields)
        self.close()  # the next one may come after the listener's patience with an idle connection
        ANSWERS.append((method, path, answer))
        openapi.check_answer(method, path, answer)
        return answer

    def expect(self, status, method, path, body=None, **options):
        answer = self.ask(method, path, body, **options)
        if answer.status != status:
            raise AssertionError(f"{method} {path}: {answer.status} instead of {status}: {answer.text}")
        return answer.json() if answer.body and "json" in answer.headers.get("content-type", "") else answer.body

    def problem(self, code, method, path, body=None, **options):
        """The request must be refused with this code."""
        answer = self.ask(method, path, body, **options)
        if answer.status < 400 or answer.json()["code"] != code:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.text} instead of {code}")
        return answer.json() | {"status": answer.status}

    def get(self, path):
        return self.expect(200, "GET", path)
