#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# check-planted.py - every patch of tests/planted applies to the sources, line by line, and names a test that there is: otherwise
# tests/nightly/planted_bugs.sh would plant nothing, or something else.
#
#   tests/check-planted.py [--root DIR]
#   tests/check-planted.py --self-test    plants one breach of each rule and demands that it is found
import argparse
import os
import re
import subprocess
import sys
import tempfile

PLANTED = "tests/planted"
AT_LEAST = 20
RED = re.compile(r"^Red: (\S+)\n\S", re.MULTILINE)  # and then what is wrong, in a sentence


def exists(root, test):
    programs = [f"tests/{folder}/{test}.c" for folder in ("unit", "integration", "sim", "property")]
    scripts = ["tests/faults/run.py"] if test in ("faults", "deliveries") else [f"tests/{test}.py"] if test.startswith("e2e/") else []
    return any(os.path.isfile(os.path.join(root, path)) for path in programs + scripts)


def check_patch(root, path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    tests = RED.findall(text)
    if len(tests) != 1:
        yield "one line \"Red: TEST\" and a sentence below it belong there"
    for test in tests:
        if not exists(root, test):
            yield f"there is no test {test}"
    run = subprocess.run(["patch", "--dry-run", "--fuzz=0", "--force", "-p1", "-d", root], input=text, text=True, check=False,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if run.returncode != 0:
        yield f"it does not apply any more: {' '.join(run.stdout.split())}"


def check(root, at_least=AT_LEAST):
    folder = os.path.join(root, PLANTED)
    names = sorted(name for name in os.listdir(folder) if name.endswith(".patch"))
    complaints = [f"{PLANTED}/{name}: {complaint}" for name in names
                  for complaint in check_patch(os.path.abspath(root), os.path.join(folder, name))]
    return complaints + ([f"{PLANTED}: only {len(names)} bugs"] if len(names) < at_least else [])


def self_test():
    change = "\n--- a/a.c\n+++ b/a.c\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"
    cases = [
        ("good", "Red: test_a\nWrong.\n" + change, None),
        ("stale", "Red: test_a\nWrong.\n" + change.replace("three", "four"), "does not apply"),
        ("no-test", "Red: test_b\nWrong.\n" + change, "no test test_b"),
        ("no-word", "Wrong.\n" + change, "Red: TEST"),
        ("no-sentence", "Red: test_a\n" + change, "Red: TEST"),
    ]
    wrong = []
    for name, text, expected in cases:
        with tempfile.TemporaryDirectory() as root:
            for path, content in (("a.c", "one\ntwo\nthree\n"), ("tests/unit/test_a.c", ""), (f"{PLANTED}/{name}.patch", text)):
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(content)
            found = check(root, 1)
            if (expected is None) != (not found) or (expected and expected not in "\n".join(found)):
                wrong.append(f"self-test {name}: {found}")
            if expected is None and not check(root, 2):
                wrong.append("self-test: too few bugs are not noticed")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", default=".")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    complaints = self_test() if arguments.self_test else check(arguments.root)
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
