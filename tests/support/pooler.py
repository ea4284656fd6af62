# SPDX-License-Identifier: Apache-2.0
#
# pooler.py - with DEPBROKER_TEST_PGBOUNCER=1 everything that a test starts reaches its PostgreSQL through PgBouncer only, in
# transaction mode and with four connections; the tests themselves look at the database directly.
import ctypes
import os
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1
PORT = 6432
CONNECTIONS = 4


def is_wanted():
    return os.environ.get("DEPBROKER_TEST_PGBOUNCER", "0") != "0"


def end_with_us():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class Pooler:
    """In front of the PostgreSQL whose socket is in `folder`; `as_user` is what the server itself is started with."""

    def __init__(self, folder, database_user, as_user):
        self.folder = folder
        path = os.path.join(folder, "pgbouncer.ini")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"[databases]\n* = host={folder} port=5432 user={database_user}\n"
                       f"[pgbouncer]\npool_mode = transaction\ndefault_pool_size = {CONNECTIONS}\nmax_db_connections = {CONNECTIONS}\n"
                       f"max_client_conn = 1000\nlisten_addr =\nlisten_port = {PORT}\nunix_socket_dir = {folder}\nauth_type = any\n"
                       "server_login_retry = 0.1\n")
        self.process = subprocess.Popen(["/usr/sbin/pgbouncer", "-q", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, preexec_fn=end_with_us, **as_user)
        end = time.monotonic() + 30
        while not os.path.exists(os.path.join(folder, f".s.PGSQL.{PORT}")):
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit("PgBouncer did not start")
            time.sleep(0.01)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)  # at once, whoever is connected
        self.process.wait(30)
