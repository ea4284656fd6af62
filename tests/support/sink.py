# SPDX-License-Identifier: Apache-2.0
#
# sink.py - a webhook receiver for tests about endpoints: keeps each request as it came, and answers as it is told, path by path.
import collections
import contextlib
import http.server
import json
import ssl
import threading
import time

Message = collections.namedtuple("Message", "headers body at")


class Sink:
    def __init__(self, certificate=None):
        """`certificate`: the path of one and its key, to be asked by https."""
        self.messages = collections.defaultdict(list)  # path -> those that were answered with 2xx
        self.requests = collections.Counter()
        self.under_way = collections.Counter()
        self.most_under_way = collections.Counter()
        self.connections = 0  # that a request could come by
        self.refuses = {}  # path -> function of the parsed body, which gives a status; None: 204
        self.lock = threading.Lock()
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                with sink.lock:
                    sink.connections += 1
                super().setup()

            def do_POST(self):
                sink.take(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = "%s://127.0.0.1:%d" % ("https" if certificate else "http", self.server.server_port)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, handler):
        path = handler.path
        body = handler.rfile.read(int(handler.headers["content-length"]))
        with self.lock:
            self.requests[path] += 1
            self.under_way[path] += 1
            self.most_under_way[path] = max(self.most_under_way[path], self.under_way[path])
            refuse = self.refuses.get(path)
        status = (refuse(json.loads(body)) if refuse else None) or 204
        with self.lock:
            self.under_way[path] -= 1
            if status < 300:
                self.messages[path].append(Message([(name.lower(), value) for name, value in handler.headers.items()], body, time.time()))
        answer = b"" if status == 204 else b"no\x01 thanks\xff\n"
        with contextlib.suppress(ConnectionError):  # whoever asked has hung up
            handler.send_response(status)
            if status != 204:
                handler.send_header("Content-Length", str(len(answer)))
            handler.end_headers()
            handler.wfile.write(answer)

    def events(self, path):
        with self.lock:
            return [json.loads(message.body) for message in self.messages[path]]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
