#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Master keys and data keys are replaced under a running service with 1,000 tenants, and `depbroker keys rotate` is killed again
# and again: after every step that it tells, and at random moments. No secret is ever unreadable, and in the end the old master key,
# proved unused by the database, is gone from the file and from nobody missed.
import os
import queue
import random
import shutil
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from programs import equal  # noqa: E402
from world import Api, Broker, Failure, Problem, Psql, World, seeded, wait_until  # noqa: E402

TENANTS = 1000
RANDOM_KILLS = 60
DEVICES = 5


class Rotation:
    """One `depbroker keys ...`, whose lines arrive as they are told."""

    def __init__(self, world, *arguments):
        self.arguments = arguments
        self.process = subprocess.Popen([world.broker.program, "keys", *arguments], env=world.broker.environment, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def kill(self):
        """False when it had ended by itself."""
        self.process.kill()
        self.process.communicate()
        return self.process.returncode < 0

    def kill_after_lines(self, count):
        for _ in range(count):
            if not self.process.stdout.readline():
                break
        return self.kill()

    def kill_after(self, seconds):
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        return self.kill()

    def finish(self):
        out, errors = self.process.communicate(timeout=300)
        if self.process.returncode != 0:
            raise Failure(f"depbroker keys {' '.join(self.arguments)}: {self.process.returncode}: {out[-500:]} {errors[-2000:]}")
        return out


class Traffic(threading.Thread):
    """Meanwhile: tenants and instances are made, so data keys and secrets come into being at any moment of a rotation."""

    def __init__(self, world, key, prefix):
        super().__init__()
        self.operator = Api(world.broker.listen, key)
        self.prefix, self.ending, self.made, self.asked_again, self.error = prefix, threading.Event(), 0, 0, None

    def post(self, path, body):
        while True:
            try:
                return self.operator.post(path, body)
            except Problem as problem:  # "try again", because a key was replaced between reading and writing
                if problem.status != 503 or "replaced" not in problem.problem.get("detail", ""):
                    raise
                self.asked_again += 1

    def make(self, slug):
        self.post("/tenants", {"slug": slug, "display_name": slug})
        self.post(f"/tenants/{slug}/instances", {"name": "main", "kind": "generic", "enrolment_url": "https://mdm.example/enroll",
                                                 "allowed_hosts": ["mdm.example"], "webhook_url": "https://mdm.example/hook"})
        self.made += 1

    def run(self):
        try:
            while not self.ending.wait(0.3):
                self.make(f"{self.prefix}-{self.made + 1}")
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def end(self):
        self.ending.set()
        self.join()
        if self.error:
            raise self.error


def make_tenants(world, key, count):
    numbers = queue.SimpleQueue()
    for number in range(count):
        numbers.put(number)
    makers = [Traffic(world, key, "tenant") for _ in range(4)]

    def work(maker):
        try:
            while True:
                maker.make(f"tenant-{numbers.get_nowait()}")
        except queue.Empty:
            pass
    threads = [threading.Thread(target=work, args=(maker,)) for maker in makers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(sum(maker.made for maker in makers), count, "tenants made")


def doctor(world, code=0):
    done = subprocess.run([world.broker.program, "doctor"], env=world.broker.environment, capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)
    if done.returncode != code:
        raise Failure(f"depbroker doctor: {done.returncode}: {done.stdout} {done.stderr}")
    return done.stdout


def master_keys(world):
    return {row["key_id"]: row["is_current"] for row in world.rows("select key_id, is_current from depbroker.master_keys")}


def current(world):
    return next(name for name, is_current in master_keys(world).items() if is_current)


def key_file(world):
    return os.path.join(world.broker.state, "master.key")


def lines_of(path):
    with open(path, encoding="ascii") as file:
        return file.read().splitlines()


def check_nothing_was_unreadable(world):
    lost = [line for line in world.broker.log("run.not_loaded") if line["error"] != "ERR_FENCED"]
    if lost:
        raise Failure(f"{len(lost)} clients could not be loaded, as {lost[0]}")


def kill_rotations(world, chance, arguments, kills):
    """After each line that it tells, then at random; a rotation that ends before it is killed is followed by another one."""
    killed = 0
    for lines in list(range(1, 13)) + [None] * kills:
        rotation = Rotation(world, *arguments)
        killed += rotation.kill_after_lines(lines) if lines else rotation.kill_after(chance.random() ** 2 * 2)
        while len(lines_of(key_file(world))) > 5:  # otherwise the file is full: this, too, must go on after a kill
            Rotation(world, "rotate").finish()
            Rotation(world, "rotate", "--finish").kill_after(chance.random() * 0.2)
            Rotation(world, "rotate", "--finish").finish()
    return killed


def rows_by_old_keys(world):
    return world.rows("select count(*) as n from depbroker.data_keys where master_key_id <>"
                      " (select key_id from depbroker.master_keys where is_current)")[0]["n"]


def check_devices_arrive(world, clients):
    for client in clients:
        client.add(1)
    world.until_equal(*clients)


def asked_meanwhile(world, table, rotation, api, request):
    """A request has read its keys and waits for the table, a rotation ends, and then the request goes on: it must be refused."""
    holder = Psql(world.postgres.folder)
    holder.ask(f"begin; lock table depbroker.{table} in share mode")
    answers = []

    def ask():
        try:
            answers.append(api.post(*request))
        except Problem as problem:
            answers.append(problem)
    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: world.rows("select count(*) as n from pg_locks where not granted")[0]["n"] > 0, "the request waits", every=0.01)
    Rotation(world, *rotation).finish()
    holder.ask("commit")
    asking.join()
    holder.close()
    problem = answers[0]
    if not isinstance(problem, Problem) or problem.status != 503 or "replaced" not in problem.problem["detail"]:
        raise Failure(f"{request}: {problem}")
    api.post(*request)  # from the beginning, it works


def a_request_that_comes_too_late_is_refused(world, key):
    """It would seal with a key that was given up while it was under way."""
    api = Api(world.broker.listen, key)
    asked_meanwhile(world, "tenants", ["rotate"], api, ("/tenants", {"slug": "late-tenant", "display_name": "late"}))
    asked_meanwhile(world, "key_pairs", ["rotate", "--data-keys"], api, ("/tenants/late-tenant/token/keys",))


def old_data_keys_get_their_names(world):
    """What an earlier version left: data keys that name no master key."""
    world.sql("insert into depbroker.master_keys (key_id) values (''); update depbroker.data_keys set master_key_id = ''; delete from depbroker.master_keys where key_id <> ''")
    first = lines_of(key_file(world))
    doctor(world)
    Rotation(world, "rotate").finish()
    equal(list(master_keys(world).values()), [True], "only one master key may be used")
    equal(rows_by_old_keys(world), 0, "data keys by an old one")
    equal(lines_of(key_file(world))[1:], first, "the file has a new first line")
    return first


def master_keys_rotate_under_kills(world, chance):
    killed = kill_rotations(world, chance, ["rotate"], RANDOM_KILLS)
    Rotation(world, "rotate").finish()
    equal(list(master_keys(world).values()), [True], "only one master key may be used")
    equal(rows_by_old_keys(world), 0, "data keys by an old one")
    check_nothing_was_unreadable(world)
    return killed


def data_keys_rotate_under_kills(world, chance):
    before = world.rows("select min(version) as least from depbroker.data_keys where is_current")[0]["least"]
    killed = kill_rotations(world, chance, ["rotate", "--data-keys"], RANDOM_KILLS // 3)
    Rotation(world, "rotate", "--data-keys").finish()
    found = world.rows("select min(version) as least, count(*) filter (where not is_current) as old from depbroker.data_keys k"
                       " where created_at < (select max(created_at) - interval '5 s' from depbroker.tenants) or not is_current")[0]
    equal(found["old"], 0, "old data keys")
    least = world.rows("select min(k.version) as least from depbroker.data_keys k join depbroker.tenants t using (tenant_id)"
                       " where t.slug like 'tenant-%'")[0]["least"]
    if least <= before:
        raise Failure(f"data keys are still of version {least}")
    check_nothing_was_unreadable(world)
    return killed


def the_old_master_key_is_not_missed(world, clients, first):
    with open(key_file(world) + ".0123456789abcdef", "wb"):  # as a command leaves it that is killed before it gives the name
        pass
    Rotation(world, "rotate", "--finish").finish()
    kept = lines_of(key_file(world))
    equal(len(kept), 1, "master keys in the file")
    if kept[0] in first:
        raise Failure("the old master key is still there")
    equal(os.stat(key_file(world)).st_mode & 0o7777, 0o600, "mode of the file")
    equal([name for name in os.listdir(world.broker.state) if name.startswith("master.key.")], [], "files left beside it")
    check_devices_arrive(world, clients)
    world.broker.stop()
    world.broker.start()
    check_devices_arrive(world, clients)
    told = doctor(world)
    equal("what does not open: nothing" in told, True, told)
    check_nothing_was_unreadable(world)


def a_key_that_was_given_up_wraps_nothing(world):
    """The database refuses it, whoever comes late with it."""
    try:
        world.sql("update depbroker.data_keys set master_key_id = '0123456789abcdef' where tenant_id = 1")
    except Failure as failure:
        equal("data_keys_master_key" in str(failure), True, str(failure))
        return
    raise Failure("a data key names a master key that is not used")


def the_doctor_finds_what_does_not_open(world):
    world.sql("update depbroker.secrets set ciphertext = set_byte(ciphertext, 3, get_byte(ciphertext, 3) # 1)"
              " where tenant_id = (select tenant_id from depbroker.tenants where slug = 'tenant-7')")
    told = doctor(world, code=1)
    equal(told.count("FINDING"), 1, told)
    equal("tenant-7: a sealed secret does not open" in told, True, told)
    rotation = Rotation(world, "rotate", "--data-keys")
    out, errors = rotation.process.communicate()
    equal((rotation.process.returncode, "tenant-7: a sealed secret does not open" in errors), (1, True), out + errors)
    world.sql("update depbroker.secrets set ciphertext = set_byte(ciphertext, 3, get_byte(ciphertext, 3) # 1)"
              " where tenant_id = (select tenant_id from depbroker.tenants where slug = 'tenant-7')")
    Rotation(world, "rotate", "--data-keys").finish()
    equal("FINDING" in doctor(world), False, "healed")


def a_second_machine_gets_its_copy_late(world, key):
    """It refuses to make tenants with keys that it does not have, says so, and goes on when the file comes, without a restart."""
    other = Broker(os.path.join(world.folder, "other"), 1, world.postgres.url, DEPBROKER_APPLE_URL=world.apple_url)
    os.makedirs(other.state)
    os.chmod(other.state, 0o700)
    mine = os.path.join(other.state, "master.key")
    shutil.copy(key_file(world), mine)
    other.start()
    Rotation(world, "add").finish()
    equal(len(lines_of(key_file(world))), 2, "keys after keys add")
    Rotation(world, "rotate").finish()
    api = Api(other.listen, key)
    try:
        api.post("/tenants", {"slug": "late", "display_name": "late"})
        raise Failure("a machine without the current master key made a tenant")
    except Problem as problem:
        equal(problem.status, 500, "a machine without the current master key")
    wait_until(lambda: any("does not hold the master key" in line["reason"] for line in other.log("api.failed")), "the log says why")
    shutil.copy(key_file(world), mine)
    api.post("/tenants", {"slug": "late", "display_name": "late"})
    other.stop()
    equal(other.complaints(), [], "complaints")
    equal("FINDING" in doctor(world), False, "findings")


def main():
    chance, seed = seeded("keys_rotate")
    started = time.monotonic()

    def say(what):
        print(f"{time.monotonic() - started:.0f} s: {what}", flush=True)

    with World(workers=1, seed=seed % 1000 + 1, own_postgres=True) as world:
        clients = [world.onboard(devices=DEVICES, interval_s=2) for _ in range(2)]
        key = world.broker.create_key("operator")
        a_request_that_comes_too_late_is_refused(world, key)
        make_tenants(world, key, TENANTS)
        world.until_equal()
        say(f"{TENANTS} tenants are there")
        first = old_data_keys_get_their_names(world)
        traffic = Traffic(world, key, "meanwhile")
        traffic.start()
        say(f"{master_keys_rotate_under_kills(world, chance)} rotations of the master key were killed")
        say(f"{data_keys_rotate_under_kills(world, chance)} rotations of the data keys were killed")
        traffic.end()
        say(f"{traffic.made} tenants were made meanwhile, {traffic.asked_again} requests had to be made again")
        the_old_master_key_is_not_missed(world, clients, first)
        a_key_that_was_given_up_wraps_nothing(world)
        the_doctor_finds_what_does_not_open(world)
        a_second_machine_gets_its_copy_late(world, key)
        world.check_laws()
        say("done")
    print("ok", flush=True)


main()
