#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# A client's numbers are counted at the end of a run. When a run is cut off between its last write and its end, the next one finds nothing
# changed at Apple, and must count all the same.
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from broker import Broker, Client, Postgres, wait_until  # noqa: E402
from programs import Control, Program, run_tests, test  # noqa: E402

SIMULATOR = Program("applesim")
APPLE, CONTROL = SIMULATOR.ready["apple"], Control(SIMULATOR.ready["control"])
POSTGRES = Postgres()
BROKER = Broker(POSTGRES, DEPBROKER_WORKERS="1", DEPBROKER_SYNC_INTERVAL="1")
BROKER.start("serve")
API = Client(BROKER, BROKER.make_key())
COUNTED = {"present": 12, "assigned": 0, "held": 12}  # no rule


def numbers():
    return API.get("/tenants/acme")["devices"]


@test
def a_run_counts_what_the_one_before_could_not():
    API.expect(201, "POST", "/tenants", {"slug": "acme", "display_name": "Acme Ltd", "apple_url": APPLE})
    pair = API.expect(201, "POST", "/tenants/acme/token/keys")
    certificate = API.expect(200, "GET", f"/tenants/acme/token/keys/{pair['id']}/certificate")
    CONTROL.post("/tenants", {"name": "acme", "devices": 12})
    CONTROL.call("PUT", "/tenants/acme/certificate", certificate)
    API.expect(200, "PUT", "/tenants/acme/token", CONTROL.call("POST", "/tenants/acme/token"))
    wait_until(lambda: numbers() == COUNTED, "the devices are counted")
    # As after a crash between the write of the page and the end of the run.
    POSTGRES.sql("update depbroker.tenant_status set devices = 0, held = 0, event_seq = event_seq - 12")
    wait_until(lambda: numbers() == COUNTED, "they are counted again")


def stop():
    API.close()
    CONTROL.close()
    BROKER.stop()
    BROKER.remove()
    POSTGRES.stop()
    SIMULATOR.stop()


if __name__ == "__main__":
    sys.exit(run_tests(stop))
