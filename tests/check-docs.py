#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# check-docs.py - the documents agree with what they talk about: links lead somewhere, every option and every problem code
# is explained, and none is explained that does not exist.
#
#   tests/check-docs.py [--root DIR]
#   tests/check-docs.py --self-test    plants one breach of each rule and demands that it is found
import argparse
import os
import re
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import c_source  # noqa: E402

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
OPTION = re.compile(r'\{ "(DEPBROKER_\w+)", (KIND_\w+), [^}]*?\b(FOR_PEOPLE|SECRET|INTERNAL)\b')
EXPLAINED = re.compile(r"^\| `(DEPBROKER_\w+)`", re.MULTILINE)
TABLE = "server/words/config.c"
REFERENCE = "docs/reference/configuration.md"
PROBLEM = re.compile(r'\.code = "(\w+)"')
API_PROBLEM = re.compile(r"^\tX\(([A-Z_]+), +\d{3}, ", re.MULTILINE)
API_PROBLEMS = "server/api/problems.h"
EXPLAINED_PROBLEM = re.compile(r"^\| `(\w+)` \| \d{3} \|", re.MULTILINE)
PROBLEMS = "docs/reference/problems.md"


def documents(root):
    top = [name for name in os.listdir(root) if name.endswith(".md")]
    return sorted(top) + c_source.files_below(root, ["docs", "docker", "deploy", "tests"], ".md")


def check_links(root):
    for path in documents(root):
        text = c_source.read(root, path)
        for match in LINK.finditer(text):
            target = match.group(1)
            if "://" in target or os.path.exists(os.path.join(root, os.path.dirname(path), target)):
                continue
            yield f"{path}:{c_source.line_of(text, match.start())}: leads nowhere: {target}"


def check_options(root):
    options = {name for name, kind, audience in OPTION.findall(c_source.read(root, TABLE))
               if audience != "INTERNAL" and kind != "KIND_LATER"}
    explained = set(EXPLAINED.findall(c_source.read(root, REFERENCE)))
    if not options:
        yield f"{TABLE}: no option found"
    for name in sorted(options - explained):
        yield f"{REFERENCE}: does not explain {name}"
    for name in sorted(explained - options):
        yield f"{REFERENCE}: explains {name}, which is not an option"


def check_problems(root):
    codes = {name.lower() for name in API_PROBLEM.findall(c_source.read(root, API_PROBLEMS))}
    for path in c_source.files_below(root, ["server"], ".c"):
        codes |= set(PROBLEM.findall(c_source.read(root, path)))
    explained = EXPLAINED_PROBLEM.findall(c_source.read(root, PROBLEMS))
    for code in sorted(codes - set(explained)):
        yield f"{PROBLEMS}: does not explain {code}"
    for code in sorted(set(explained) - codes):
        yield f"{PROBLEMS}: explains {code}, which nothing answers with"
    if not codes or len(explained) != len(set(explained)):
        yield f"{PROBLEMS}: explains a code twice, or {API_PROBLEMS} has none"


def check(root):
    return list(check_links(root)) + list(check_options(root)) + list(check_problems(root))


def self_test():
    files = {
        TABLE: '{ "DEPBROKER_A", KIND_TEXT, AT(a), NULL, FOR_PEOPLE, 0, 0, "x" },\n{ "DEPBROKER_B", KIND_TEXT, AT(b), NULL, SECRET, 0 },\n'
               '{ "DEPBROKER_C", KIND_LATER, AT(c), NULL, FOR_PEOPLE, 0 },\n{ "DEPBROKER_D", KIND_TEXT, AT(d), NULL, INTERNAL, 0 },\n',
        REFERENCE: "| `DEPBROKER_A` | none | x |\n| `DEPBROKER_Z` | none | x |\n[up](../../README.md) [gone](gone.md#part)\n",
        API_PROBLEMS: '\tX(GONE_NOW,      404, "x", \\\n\tX(KNOWN, 400, "x", "y")\n',
        "server/loop/gate.c": '\t.status = 400, .code = "of_the_gate",\n',
        PROBLEMS: "| `known` | 400 | x |\n| `invented` | 400 | x |\n",
        "README.md": "[there](docs/reference/configuration.md#x) [outside](https://example.org/x) [here](nowhere.md)\n",
    }
    expected = ["README.md:1: leads nowhere: nowhere.md", f"{REFERENCE}:3: leads nowhere: gone.md",
                f"{REFERENCE}: does not explain DEPBROKER_B", f"{REFERENCE}: explains DEPBROKER_Z, which is not an option",
                f"{PROBLEMS}: does not explain gone_now", f"{PROBLEMS}: does not explain of_the_gate",
                f"{PROBLEMS}: explains invented, which nothing answers with"]
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)) or root, exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        found = check(root)
    return [] if found == expected else [f"expected {expected}, was told {found}"]


def main():
    parser = argparse.ArgumentParser(description="Checks that documents agree with what they talk about.")
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    complaints = self_test() if arguments.self_test else check(arguments.root)
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
