#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# check-sources.py - small laws that every source file keeps: a licence line, no function that invites overruns or a
# shell, no promises instead of code.
#
#   tests/check-sources.py [--root DIR]
#   tests/check-sources.py --self-test    plants one breach of each rule and demands that it is found
import argparse
import os
import re
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import c_source  # noqa: E402

FOLDERS = ["include", "tenants", "server", "migrations", "cmake", "tests", "deploy", "docker", ".ci"]
ENDINGS = (".c", ".h", ".sh", ".sql", ".cmake", ".py", "CMakeLists.txt", "Dockerfile", ".yaml", "/run")
SPDX = "SPDX-License-Identifier: Apache-2.0"
BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|atoi|atol|atoll|atof|gets|alloca|system|popen|strtok|"
                    r"tmpnam|mktemp)\s*\(")
PROMISE = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|X" + "XX)\\b")
SELF = "tests/check-sources.py"


def sources(root):
    found = c_source.files_below(root, FOLDERS, ENDINGS)
    for single in ("CMakeLists.txt", ".ci/run"):
        if single not in found and os.path.isfile(os.path.join(root, single)):
            found.append(single)
    return found


def check_file(path, text):
    if SPDX not in "\n".join(text.splitlines()[:3]):
        yield 1, f"the first lines do not say \"{SPDX}\""
    if path.endswith((".c", ".h")):
        code = c_source.only_code(text)
        for match in BANNED.finditer(code):
            yield c_source.line_of(code, match.start()), f"{match.group(1)}() is banned"
    if path != SELF:
        for match in PROMISE.finditer(text):
            yield c_source.line_of(text, match.start()), f"a promise instead of code: {match.group(1)}"
    if text and not text.endswith("\n"):
        yield text.count("\n") + 1, "the last line has no end"
    for number, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip():
            yield number, "blanks at the end of the line"
            break


def check(root):
    return [f"{path}:{line}: {complaint}" for path in sources(root)
            for line, complaint in check_file(path, c_source.read(root, path))]


def self_test():
    good = f"// {SPDX}\n"
    plants = [
        ("server/a.c", good + 'static const char *x = "strcpy(a, b)"; // sprintf(x)\nint filesystem(void);\n', None),
        ("server/b.c", good + "void f(void)\n{\n\tstrcpy(a, b);\n}\n", "strcpy() is banned"),
        ("server/c.h", good + "int x = atoi (y);\n", "atoi() is banned"),
        ("server/d.c", "int x;\n", "do not say"),
        ("deploy/e.sh", "#!/bin/sh\n", "do not say"),
        ("migrations/1.sql", "select 1;\n", "do not say"),
        ("server/f.c", good + "// TO" + "DO: later\n", "promise"),
        ("server/g.c", good + "int x; \n", "blanks at the end"),
        ("server/h.c", good + "int x;", "has no end"),
    ]
    failures = []
    with tempfile.TemporaryDirectory() as root:
        for path, text, _ in plants:
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        complaints = check(root)
    for path, _, expected in plants:
        mine = [line for line in complaints if line.startswith(path + ":")]
        if (expected is None) != (not mine) or (expected and expected not in mine[0]):
            failures.append(f"{path}: expected {expected}, was told {mine}")
    return failures


def main():
    parser = argparse.ArgumentParser(description="Checks licence lines, banned functions and unkept promises.")
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    complaints = self_test() if arguments.self_test else check(arguments.root)
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
