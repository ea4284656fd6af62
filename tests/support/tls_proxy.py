#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# tls_proxy.py - TLS in front of a PostgreSQL's unix socket, in records as large as TLS has them (16 KiB). PostgreSQL 15 itself
# writes records of 8 KiB; newer ones and other ends of TLS do not.
#
#   tests/support/tls_proxy.py SOCKET CERTIFICATE KEY    prints its port on 127.0.0.1, and serves until it is killed
import select
import socket
import ssl
import sys
import threading

PART = 1 << 20


def pump_up(client, server):
    try:
        while part := client.recv(PART):
            server.sendall(part)
    except OSError:
        pass
    server.shutdown(socket.SHUT_RDWR)


def pump_down(server, client):
    try:
        while part := server.recv(PART):
            while select.select([server], [], [], 0.001)[0]:  # a short wait makes full records
                more = server.recv(PART)
                if not more:
                    break
                part += more
            client.sendall(part)
    except OSError:
        pass


def serve(client, context, path):
    assert len(client.recv(8)) == 8  # "SSLRequest"
    client.sendall(b"S")
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client = context.wrap_socket(client, server_side=True)
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)
    threading.Thread(target=pump_up, args=(client, server), daemon=True).start()
    pump_down(server, client)
    client.close()


def main():
    path, certificate, key = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")  # in one piece, however Python is configured
    sys.stdout.flush()
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, context, path), daemon=True).start()


main()
