# SPDX-License-Identifier: Apache-2.0
#
# faulty_apple.py - stands between depbroker and applesim, passes everything on, and spoils one page of one tenant's list when it is
# told to: with bytes that no honest server sends.
import json
import re
import socket
import struct
import threading

HELD_S = 75  # longer than anybody waits for an answer


class Page:
    """Apple's answer to a list request, to be spoiled."""

    def __init__(self, body):
        self.text = body.decode()
        self.json = json.loads(self.text)
        self.devices = self.json["devices"]

    def bytes(self):
        return json.dumps(self.json).encode()


def answer(body=b"", status=200, headers=(), length=None, kind="application/json;charset=UTF8", date=None):
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body) if length is None else length}"]
    lines += list(headers)
    if date is not None:
        lines.append(f"Date: {date}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class Tenant:
    def __init__(self):
        self.page = 0
        self.fault = None  # (place, function)
        self.hits = 0
        self.sessions = 0


class FaultyApple:
    def __init__(self, pages):
        self.pages = pages  # of each tenant's list
        self.lock = threading.Lock()
        self.by_key, self.by_session = {}, {}
        self.upstream = None
        self.ended = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        self.ended.set()
        self.listener.close()

    def add(self, consumer_key):
        tenant = self.by_key[consumer_key] = Tenant()
        return tenant

    def accept(self):
        while not self.ended.is_set():
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, client):
        server = socket.create_connection(self.upstream)
        try:
            while True:
                request = read_message(client)
                if request is None:
                    return
                if not self.handle(client, server, request):
                    return
        except OSError:
            pass
        finally:
            client.close()
            server.close()

    def handle(self, client, server, request):
        """False: the connection is spoiled."""
        head, body = request
        tenant = self.tenant_of(head)
        server.sendall(head + body)
        reply = read_message(server)
        if reply is None:
            return False
        self.learn(head, tenant, reply)
        fault = self.fault_of(tenant, head, body)
        if fault is None:
            client.sendall(reply[0] + reply[1])
            return True
        tenant.hits += 1
        fault(Spoiler(self, client), reply[1])
        return False

    def tenant_of(self, head):
        key = re.search(rb'oauth_consumer_key="([^"]+)"', head)
        session = re.search(rb"(?i)X-ADM-Auth-Session: ([^\r]+)", head)
        with self.lock:
            if key:
                return self.by_key.get(key.group(1).decode())
            return self.by_session.get(session.group(1)) if session else None

    def learn(self, head, tenant, reply):
        if tenant is None:
            return
        with self.lock:
            if head.startswith(b"GET /session ") and b" 200 " in reply[0][:20]:
                tenant.sessions += 1
                self.by_session[json.loads(reply[1])["auth_session_token"].encode()] = tenant
            rotated = re.search(rb"(?i)X-ADM-Auth-Session: ([^\r]+)", reply[0])
            if rotated:
                self.by_session[rotated.group(1)] = tenant

    def fault_of(self, tenant, head, body):
        if tenant is None or not head.startswith(b"POST /server/devices "):
            return None
        tenant.page = tenant.page + 1 if b'"cursor"' in body else 1
        if tenant.fault is None or tenant.page != {"first": 1, "middle": 2, "last": self.pages}[tenant.fault[0]]:
            return None
        fault, tenant.fault = tenant.fault[1], None
        return fault


class Spoiler:
    """What a fault may do with the connection."""

    def __init__(self, apple, client):
        self.apple, self.client = apple, client

    def send(self, data):
        self.client.sendall(data)

    def hold(self):
        self.client.settimeout(HELD_S)
        try:
            self.client.recv(1)
        except OSError:
            pass

    def drip(self, data):
        for at in range(len(data)):
            self.client.sendall(data[at:at + 1])
            if self.apple.ended.wait(1):
                return

    def reset(self):
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def read_message(connection):
    """Head and body of a request or an answer with a Content-Length; None at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
        if data[0] == 0x16:  # of TLS: not spoken here
            return None
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\nContent-Length: *(\d+)", head)
    wanted = int(length.group(1)) if length else 0
    while len(body) < wanted:
        more = connection.recv(65536)
        if not more:
            return None
        body += more
    return head + b"\r\n\r\n", body
