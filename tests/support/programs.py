# SPDX-License-Identifier: Apache-2.0
#
# programs.py - for end-to-end tests in Python: starts a program of ours, speaks HTTP to it, checks, counts.
import http.client
import json
import os
import subprocess
import sys
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD_DIR", os.path.join(ROOT, "build", "dev"))
BESIDE = [os.path.join(ROOT, up, "shared") for up in ("..", "../..")]  # a checkout, a worktree below one
SHARED = os.environ.get("DEPBROKER_SHARED") or next((path for path in BESIDE if os.path.isdir(path)), BESIDE[0])


class Program:
    """A program that prints one line of JSON when it is ready. Its end must be clean."""

    def __init__(self, name, *arguments):
        self.name = name
        self.process = subprocess.Popen([os.path.join(BUILD, name), "--parent", str(os.getpid()), *arguments],
                                        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{name} did not start: exit code {self.process.wait()}")
        self.ready = json.loads(line)

    def stop(self):
        self.process.terminate()
        code = self.process.wait(30)
        self.process.stdout.close()
        if code != 0:
            raise SystemExit(f"{self.name} ended with {code}")


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)


class Peer:
    """An HTTP/1.1 client that sends exactly the headers it is told, over one connection while that lasts."""

    def __init__(self, url, timeout=30, source=None):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.timeout = parts.hostname, parts.port, timeout
        self.source = (source, 0) if source else None
        self.connection = None

    def request(self, method, path, body=None, headers=()):
        if isinstance(headers, dict):
            headers = list(headers.items())
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout, source_address=self.source)
        names = {name.lower() for name, _ in headers}
        try:
            self.connection.putrequest(method, path, skip_host="host" in names, skip_accept_encoding=True)
            for name, value in headers:
                self.connection.putheader(name, value)
            if body is not None and "content-length" not in names:
                self.connection.putheader("Content-Length", str(len(body)))
            self.connection.endheaders(body)
            response = self.connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        except Exception:
            self.close()
            raise
        if response.will_close:
            self.close()
        return answer

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Control(Peer):
    """The JSON listener of a test program."""

    def call(self, method, path, body=None, status=None):
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        answer = self.request(method, path, data)
        if status is not None and answer.status != status:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.text}")
        if status is None and answer.status >= 300:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.text}")
        return answer.json() if "json" in (answer.headers.get("content-type") or "") else answer.body

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body=None):
        return self.call("POST", path, body)


def equal(found, expected, what=""):
    if found != expected:
        raise AssertionError(f"{what}: expected {expected!r}, found {found!r}")


TESTS = []


def test(function):
    """Registers a function whose name is a sentence."""
    TESTS.append(function)
    return function


def place_of(error, file):
    """The line of the test where it went wrong."""
    found, line = 0, error.__traceback__
    while line:
        if line.tb_frame.f_code.co_filename == file:
            found = line.tb_lineno
        line = line.tb_next
    return found


def run_tests(finish=lambda: None):
    """Runs them all, then `finish`; returns the exit code. An argument is a part of the names of those to run."""
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    chosen = [function for function in TESTS if part in function.__name__]
    failed = 0
    for function in chosen:
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok      {name}", flush=True)
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            line = place_of(error, function.__code__.co_filename)
            print(f"FAILED  {name}: line {line}: {type(error).__name__}: {error}", flush=True)
    finish()
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed else 0
