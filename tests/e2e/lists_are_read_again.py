#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# A list of all devices that is asked for once more: what has not changed is not read, not written and not removed; what has changed, in
# whichever member, is found; what is missing goes.
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from broker import Broker, Client, Postgres, wait_until  # noqa: E402
from programs import Control, Program, run_tests, test  # noqa: E402

SIMULATOR = Program("applesim")
APPLE, CONTROL = SIMULATOR.ready["apple"], Control(SIMULATOR.ready["control"])
POSTGRES = Postgres()
BROKER = Broker(POSTGRES, DEPBROKER_WORKERS="1", DEPBROKER_SYNC_INTERVAL="3600")
BROKER.start("serve")
API = Client(BROKER, BROKER.make_key())
DEVICES = 230
ROWS = "select serial_number, xmin, ctid, list_hash is not null from depbroker.devices order by serial_number"


def ask(statement):
    return "\n".join(POSTGRES.sql(statement))


def rows():
    """Of each device what changes with every version of its row, and whether it has a hash."""
    return {line.split("|")[0]: line.split("|")[1:] for line in ask(ROWS).splitlines()}


def events():
    return int(ask("select count(*) from depbroker.events where type < 100 and serial_number is not null"))


def numbers():
    return API.get("/tenants/acme")["devices"]


def completed():
    return ask("select fetch_completed_at from depbroker.sync_stream s join depbroker.tenants t using (tenant_id)"
                        " where t.slug = 'acme' and owner is null")


def list_again():
    before = completed()
    API.expect(202, "POST", "/tenants/acme/sync", {"mode": "full"})
    wait_until(lambda: completed() not in ("", before), "the list is complete")


@test
def a_first_list_notes_what_each_device_was_read_from():
    API.expect(201, "POST", "/tenants", {"slug": "acme", "display_name": "Acme Ltd", "apple_url": APPLE})
    pair = API.expect(201, "POST", "/tenants/acme/token/keys")
    certificate = API.expect(200, "GET", f"/tenants/acme/token/keys/{pair['id']}/certificate")
    CONTROL.post("/tenants", {"name": "acme", "devices": DEVICES})
    CONTROL.call("PUT", "/tenants/acme/certificate", certificate)
    API.expect(200, "PUT", "/tenants/acme/token", CONTROL.call("POST", "/tenants/acme/token"))
    wait_until(lambda: completed() != "", "the first list is complete")
    assert len(rows()) == DEVICES and all(row[-1] == "t" for row in rows().values()), rows()


@test
def the_same_list_writes_no_row_and_tells_nothing():
    before, told = rows(), events()
    list_again()
    assert rows() == before
    assert events() == told


@test
def a_member_that_changed_is_found():
    for number, member in enumerate(("asset_tag", "model", "color", "description")):
        serial = sorted(rows())[17 * (number + 1)]
        before, told = rows(), events()
        CONTROL.call("PATCH", f"/tenants/acme/devices/{serial}", {member: "another one", "quiet": True})
        list_again()
        after = rows()
        assert [name for name, row in after.items() if row != before[name]] == [serial], (member, serial)
        assert after[serial][-1] == "t" and events() == told + 1
        assert ask(f"select {member} from depbroker.devices where serial_number = '{serial}'") == "another one"


@test
def what_has_no_hash_gets_one_some_at_a_time_without_being_news():
    POSTGRES.sql("update depbroker.devices set list_hash = null")
    told = events()
    changed = ask("select max(changed_at) from depbroker.devices")
    noted = 0
    while noted < DEVICES:
        list_again()
        now = sum(row[-1] == "t" for row in rows().values())
        assert noted < now <= noted + 50, (noted, now)
        noted = now
    assert events() == told and ask("select max(changed_at) from depbroker.devices") == changed


@test
def another_hash_hides_nothing():
    serial = sorted(rows())[5]
    told = events()
    POSTGRES.sql(f"update depbroker.devices set list_hash = list_hash + 2, model = 'forged', fingerprint = decode(repeat('00', 16), 'hex')"
                 f" where serial_number = '{serial}'")
    list_again()
    assert ask(f"select model from depbroker.devices where serial_number = '{serial}'") != "forged"
    assert events() == told + 1


@test
def what_is_not_listed_any_more_goes_and_nothing_else():
    serial = sorted(rows())[100]
    before = rows()
    CONTROL.call("DELETE", f"/tenants/acme/devices/{serial}?quiet=1")
    list_again()
    assert [name for name, row in rows().items() if row != before[name]] == [serial]
    assert ask(f"select gone_at is not null from depbroker.devices where serial_number = '{serial}'") == "t"
    wait_until(lambda: numbers() == {"present": DEVICES - 1, "assigned": 0, "held": DEVICES - 1}, "they are counted")


@test
def devices_that_get_their_profile_are_counted():
    API.expect(201, "POST", "/tenants/acme/instances", {"name": "main", "kind": "nanomdm", "enrolment_url": "https://mdm.acme.example/enroll",
                                                        "allowed_hosts": ["mdm.acme.example"]})
    API.expect(200, "PUT", "/tenants/acme/rules", {"default": "main"})
    API.expect(202, "POST", "/tenants/acme/sync", {"mode": "changes"})

    def are_assigned():
        if POSTGRES.sql("select from depbroker.devices where gone_at is null and profile_status is null limit 1") or numbers()["held"] > 0:
            return False
        return numbers()["assigned"] == DEVICES - 1
    wait_until(are_assigned, "they have their profile")
    assert numbers() == {"present": DEVICES - 1, "assigned": DEVICES - 1, "held": 0}


def stop():
    API.close()
    CONTROL.close()
    BROKER.stop()
    BROKER.remove()
    POSTGRES.stop()
    SIMULATOR.stop()


if __name__ == "__main__":
    sys.exit(run_tests(stop))
