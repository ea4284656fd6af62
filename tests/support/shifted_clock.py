# SPDX-License-Identifier: Apache-2.0
#
# shifted_clock.py - a time of day that a test turns, for every program that it starts meanwhile, and for itself.
#
#   clock = ShiftedClock()
#   with clock.for_programs():
#       world = World(...)      # all of its programs
#   clock.advance(60)
import contextlib
import os
import struct
import subprocess
import tempfile
import time

from programs import ROOT


class ShiftedClock:
    """`time()` is that of the programs, but for their being wrong on purpose (`skew_s`)."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="depbroker-clock-")
        os.chmod(self.folder.name, 0o755)  # PostgreSQL runs as another user
        self.path, self.library = (os.path.join(self.folder.name, name) for name in ("shift", "shifted_clock.so"))
        self.advanced_s = self.skew_s = 0
        self.write()
        subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-fPIC", "-shared", "-o", self.library,
                        os.path.join(ROOT, "tests/clock/shifted_clock.c")], check=True)

    def write(self):
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as file:
            file.write(struct.pack("=q", self.advanced_s + self.skew_s))

    @contextlib.contextmanager
    def for_programs(self):
        before = dict(os.environ)
        sanitizer = ":".join(filter(None, (os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0")))
        os.environ.update({"LD_PRELOAD": self.library, "SHIFTED_CLOCK": self.path, "ASAN_OPTIONS": sanitizer})
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def advance(self, seconds):
        self.advanced_s += seconds
        self.write()

    def skew(self, seconds):
        self.skew_s = seconds
        self.write()

    def time(self):
        return time.time() + self.advanced_s
