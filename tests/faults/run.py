#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# Plays seeded schedules of faults against the real programs and a real PostgreSQL; prints one command for each that failed.
#
#   tests/faults/run.py [--schedules N] [--seed S] [--side-by-side K] [--seconds T] [--stop-early]
#                       [--deliveries [--devices N]]    what webhooks deliver while receivers fail (deliveries.py)
import argparse
import concurrent.futures
import os
import random
import shutil
import sys
import tempfile
import threading
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "support")]
from deliveries import DeliverySchedule, DeliveryTemplate  # noqa: E402
from faulty_world import Schedule, Template  # noqa: E402
from world import Postgres, Psql  # noqa: E402

SPEEDS_UP = {"fsync": "off", "max_connections": "400", "autovacuum": "off", "max_wal_size": "4GB"}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--schedules", type=int, default=1)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("DEPBROKER_TEST_SEED") or random.SystemRandom().randrange(1 << 30)))
    parser.add_argument("--side-by-side", type=int, default=6)
    parser.add_argument("--stop-early", action="store_true", help="after the first one that failed")
    parser.add_argument("--seconds", type=float, help="of faults in each; otherwise the seed says")
    parser.add_argument("--deliveries", action="store_true")
    parser.add_argument("--devices", type=int, help="of each client at first, with --deliveries; otherwise the seed says")
    return parser.parse_args()


def schedule_of(template, seed, options):
    if options.deliveries:
        return DeliverySchedule(template, seed, options.seconds, options.devices)
    return Schedule(template, seed, options.seconds)


def play(template, seed, options):
    """What was done; None: it failed, and it was said how."""
    try:
        with schedule_of(template, seed, options) as schedule:
            return schedule.play()
    except Exception as error:  # pylint: disable=broad-except
        where = traceback.extract_tb(error.__traceback__)[-1]
        more = (f" --seconds {options.seconds}" if options.seconds else "") + (" --deliveries" if options.deliveries else "") \
            + (f" --devices {options.devices}" if options.devices else "")
        print(f"FAILED  schedule {seed}: {type(error).__name__}: {error} ({where.name}, line {where.lineno}), log: build/dev/faults-{seed}.log\n"
              f"        replay: tests/faults/run.py --seed {seed}{more}", flush=True)
        return None


def play_all(template, options):
    total, failed = {}, 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=options.side_by_side) as pool:
        seeds = range(options.seed, options.seed + options.schedules)
        for done in pool.map(lambda seed: play(template, seed, options), seeds):
            failed += done is None
            if failed and options.stop_early:
                pool.shutdown(cancel_futures=True)
                break
            for name, number in (done or {}).items():
                total[name] = total.get(name, 0) + number
    return total, failed


def main():
    options = arguments()
    began = time.monotonic()
    folder = tempfile.mkdtemp(prefix="depbroker-faults-")
    os.chmod(folder, 0o755)  # PostgreSQL's user must be able to pass
    postgres = Postgres(folder, **SPEEDS_UP)
    try:
        template = (DeliveryTemplate if options.deliveries else Template)(folder, postgres)
        template.make()
        template.lock = threading.Lock()
        template.maker = Psql(postgres.folder, "postgres")
        if options.deliveries:
            postgres.stop()  # each schedule has a copy of it
        print(f"seed {options.seed}; the template is there after {time.monotonic() - began:.1f} s", flush=True)
        total, failed = play_all(template, options)
        template.maker.close()
    finally:
        postgres.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(", ".join(f"{name} {number}" for name, number in sorted(total.items())))
    print(f"{options.schedules} schedules, {failed} failed, {time.monotonic() - began:.0f} s, "
          f"{sum(os.times()[:4]):.0f} s of CPU")
    return 1 if failed else 0


sys.exit(main())
