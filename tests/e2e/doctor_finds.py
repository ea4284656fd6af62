#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# depbroker doctor: nothing to say about a sound installation, and one line with a fix for each thing that is wrong.
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import equal  # noqa: E402
from world import Failure, World  # noqa: E402


class Doctor:
    def __init__(self, world):
        self.world = world

    def ask(self, *arguments, code=0, **settings):
        done = subprocess.run([self.world.broker.program, "doctor", *arguments], env=self.world.broker.environment | settings,
                              capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode != code:
            raise Failure(f"depbroker doctor {arguments}: {done.returncode}: {done.stdout} {done.stderr}")
        return done.stdout.splitlines()

    def must_find(self, check, *words, **settings):
        """Exactly this, whatever else is skipped for it."""
        findings = [line for line in self.ask(code=1, **settings) if line.startswith("FINDING")]
        if len(findings) != 1 or not findings[0].startswith(f"FINDING  {check}: ") or ". Fix: " not in findings[0]:
            raise Failure(f"expected a finding on {check}: {findings}")
        for word in words:
            equal(word in findings[0], True, findings[0])

    def must_find_among(self, check, word, **settings):
        findings = [line for line in self.ask(code=1, **settings) if line.startswith(f"FINDING  {check}: ")]
        equal([word in line for line in findings], [True], findings)


def a_sound_installation(world, doctor):
    said = doctor.ask()
    equal([line for line in said if not line.startswith(("ok       ", "note     "))], [], "lines")
    keys = next(line for line in said if "which key seals what" in line)
    equal("2 tenants: 2 data keys by" in keys and "8 secrets by" in keys and "(current)" in keys, True, keys)
    equal("useless without the master key file" in said[-1], True, said[-1])
    equal(any("Apple's: --offline" in line for line in doctor.ask("--offline")), True, "--offline")
    with open(os.path.join(world.broker.state, "master.key"), encoding="ascii") as file:
        equal(file.read()[:16] in "".join(said), False, "the key is shown")


def the_master_key_file(world, doctor):
    path = os.path.join(world.broker.state, "master.key")
    os.chmod(path, 0o644)
    doctor.must_find("master key file", "chmod 600")
    os.chmod(path, 0o600)
    os.rename(path, path + ".away")
    doctor.must_find("master key file", "No such file")
    equal(os.path.exists(path), False, "the doctor made a master key")
    other = os.path.join(world.folder, "other.key")
    with open(os.open(other, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
        file.write("ab" * 32 + "\n")
    os.rename(path + ".away", path)
    doctor.must_find_among("current master key", "does not hold", DEPBROKER_MASTER_KEY_FILE=other)
    equal(len([line for line in doctor.ask(code=1, DEPBROKER_MASTER_KEY_FILE=other) if "what does not open" in line]), 10, "secrets that do not open")


def the_database(world, doctor):
    world.sql("grant select on depbroker.secrets to depbroker_directory")
    doctor.must_find("walls between tenants", "secrets")
    world.sql("revoke select on depbroker.secrets from depbroker_directory")
    world.sql("alter role depbroker set synchronous_commit = off")
    world.end_sessions()
    doctor.must_find("database settings", "synchronous_commit is off")
    world.sql("alter role depbroker reset synchronous_commit")
    world.end_sessions()
    world.sql("update depbroker.installation set data_keys_since = now()")
    doctor.must_find("rotation of data keys", "depbroker keys rotate --data-keys")
    world.sql("update depbroker.installation set data_keys_since = null")
    world.sql("insert into depbroker.master_keys (key_id) values ('0123456789abcdef')")
    doctor.must_find("rotation of the master key", "depbroker keys rotate")
    world.sql("delete from depbroker.master_keys where not is_current and key_id <> ''")
    doctor.must_find("database", "DEPBROKER_DATABASE_URL", DEPBROKER_DATABASE_URL="postgresql:///none?host=/nonexistent&user=none")


def apples_clock(world, doctor):
    for skew in (200, -200):
        world.apple.post("/clock", {"skew_s": skew})
        doctor.must_find("clock against Apple's", "s apart")
    world.apple.post("/clock", {"skew_s": 0})
    doctor.must_find("clock against Apple's", DEPBROKER_APPLE_URL="http://127.0.0.1:1")


def main():
    with World(workers=1, own_postgres=True) as world:
        for _ in range(2):
            world.onboard(devices=2, interval_s=2)
        world.until_equal()
        doctor = Doctor(world)
        for check in (a_sound_installation, the_master_key_file, the_database, apples_clock, a_sound_installation):
            check(world, doctor)
            print(f"ok      {check.__name__.replace('_', ' ')}", flush=True)


main()
