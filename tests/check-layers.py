#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# check-layers.py - who may know whom, proved instead of reviewed.
#
#   tests/check-layers.py [--root DIR] [--build DIR]   checks the sources; with a build folder, the core's symbols too
#   tests/check-layers.py --self-test                  plants one breach of each rule and demands that it is found
#
# A wish for a new entry in KNOWS is a sign that a word is missing in include/.
import argparse
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import c_source  # noqa: E402

# A room, and the rooms whose headers it may include besides its own. `tests` may know everything and nobody knows it.
KNOWS = {
    "include": set(),
    "server/words": {"include"},
    "server/crypto": {"include"},
    "server/loop": {"include"},
    "tenants": {"include"},
    "server/store": {"include", "tenants", "server/crypto", "server/loop"},
    "server/apple": {"include", "tenants", "server/crypto", "server/loop"},
    "server/worker": {"include", "tenants", "server/crypto", "server/loop", "server/store", "server/apple"},
    "server/api": {"include", "tenants", "server/crypto", "server/loop", "server/store", "server/apple"},
    "server/supervisor": {"include", "server/loop"},
}
MAIN = "server"  # the files right in server/: they stand on top and may know every room
KNOWS[MAIN] = set(KNOWS)

UPPER_ROOMS = {"server/loop", "server/store", "server/apple", "server/worker", "server/api", "server/supervisor", MAIN}
VENDORS = [  # headers of libraries, and the rooms that may include them
    (re.compile(r"^uv(\.h$|/)"), UPPER_ROOMS),
    (re.compile(r"^microhttpd"), {"server/loop"}),
    (re.compile(r"^curl/"), {"server/loop"}),
    (re.compile(r"^(libpq|pg_config|postgres)"), {"server/loop"}),
    (re.compile(r"^openssl/"), {"server/crypto"}),
    (re.compile(r"^yyjson"), {"server/apple"}),
    (re.compile(r"^jansson"), {"server/api"}),
    (re.compile(r"^cmocka"), set()),
]
PURE_ROOMS = {"include", "tenants"}  # these may include the C library and nothing else of the machine
C_LIBRARY = {
    "assert.h", "ctype.h", "errno.h", "inttypes.h", "limits.h", "stdalign.h", "stdarg.h", "stdbool.h", "stddef.h",
    "stdint.h", "stdio.h", "stdlib.h", "string.h", "strings.h",
}

# What a string literal says, and the rooms that may say it.
SAYINGS = [
    ("SQL", {"server/store"}, re.compile(
        r"\bselect\b.*\bfrom\b|^\s*select\s+[\w$*(]|\binsert\s+into\b|\bupdate\s+\w+\s+set\b|\bdelete\s+from\b"
        r"|^\s*with\s+(recursive\s+)?\w+\s+as\s*(materialized\s*)?\(|\bon conflict\b"
        r"|\b(create|alter|drop)\s+(table|role|schema|index|policy|function)\b", re.IGNORECASE)),
    ("transaction control", {"server/store", "server/loop"}, re.compile(
        r"^\s*(begin|commit|rollback|savepoint)\b\s*(;|$|\\n)|\bset\s+local\b|\bset_config\s*\(", re.IGNORECASE)),
    ("a header of Apple's", {"server/apple"}, re.compile(r"\bX-ADM-|\bX-Server-Protocol", re.IGNORECASE)),
]
# The only SQL outside of server/store: what pg.c wraps around everybody's statements (pg.h, law 2).
WRAPPING = re.compile(r"^\s*select\s+(pg_catalog\.)?set_config\s*\(", re.IGNORECASE)

# Functions that only some files may name.
RESERVED = [("pg_scope_login", re.compile(r"^server/(loop/|store/(migrate|nanodep)\.c$)"))]

FORBIDDEN_SYMBOLS = [  # of the core: it opens nothing, asks no clock, and knows no library
    re.compile(r"^(uv_|curl_|PQ|MHD_|EVP_|CMS_|SSL_|OPENSSL_|json_|yyjson_)"),
    re.compile(r"^(loop|deferred|delay|offload|http|pg|child|store|worker|api|supervisor)_"),
    re.compile(r"^(socket|connect|bind|listen|accept|send|recv|poll|epoll_wait|getaddrinfo)$"),
    re.compile(r"^(open|open64|fopen|fopen64|creat|read|write|fread|fwrite|fork|execv[ep]*|system|popen)$"),
    re.compile(r"^(time|gettimeofday|clock|clock_gettime|localtime(_r)?|clock_wall_us|clock_monotonic_ms)$"),
    re.compile(r"^(rand|srand|random|rand_r|drand48|getrandom|getentropy|random_bytes|getenv|secure_getenv)$"),
]


def room_of(path):
    if path.startswith("include/"):
        return "include"
    if path.startswith("tenants/"):
        return "tenants"
    if path.startswith("tests/"):
        return "tests"
    parts = path.split("/")
    return MAIN if len(parts) == 2 else "/".join(parts[:2])


def resolve(root, path, name, is_angle):
    """The project file that an include names, or None."""
    places = ["include", "server", "."] if is_angle else [os.path.dirname(path), "include", "server", "."]
    for place in places:
        candidate = os.path.normpath(os.path.join(place, name))
        if os.path.isfile(os.path.join(root, candidate)):
            return candidate
    return None


def check_include(root, path, room, name, is_angle):
    target = resolve(root, path, name, is_angle)
    if target:
        other = room_of(target)
        if other != room and other not in KNOWS[room]:
            return f"{room} may not know {other}: {name}"
        return None
    if not is_angle:
        return f"no such header: {name}"
    for pattern, rooms in VENDORS:
        if pattern.match(name):
            return None if room in rooms else f"{room} may not use this library: {name}"
    if room in PURE_ROOMS and name not in C_LIBRARY:
        return f"{room} may use the C library's pure part only: {name}"
    return None


def check_literal(room, value):
    for what, rooms, pattern in SAYINGS:
        if room in rooms or not pattern.search(value):
            continue
        if room == "server/loop" and WRAPPING.search(value):
            continue
        return f"{room} may not write {what}: \"{value[:60]}\""
    return None


def check_reserved(path, text):
    code = c_source.only_code(text)
    for name, places in RESERVED:
        match = re.search(r"\b" + name + r"\b", code)
        if match and not places.search(path):
            yield c_source.line_of(code, match.start()), f"{name} is not for this file"


def check_sources(root):
    complaints = []
    for path in c_source.files_below(root, ["include", "tenants", "server"], (".c", ".h")):
        room = room_of(path)
        if room not in KNOWS:
            complaints.append(f"{path}: {room} is not a room of the house (architecture, section 3)")
            continue
        text = c_source.read(root, path)
        found = [(line, check_include(root, path, room, name, angle)) for line, angle, name in c_source.includes(text)]
        found += [(line, check_literal(room, value)) for line, value in c_source.literals(text)]
        found += check_reserved(path, text)
        complaints += [f"{path}:{line}: {complaint}" for line, complaint in found if complaint]
    return complaints


def check_symbols(build):
    library = next((os.path.join(at, "libdepbroker_tenants.a") for at, _, names in os.walk(build)
                    if "libdepbroker_tenants.a" in names), None)
    if library is None:
        return [f"{build}: there is no libdepbroker_tenants.a"]
    listing = subprocess.run(["nm", library], check=True, capture_output=True, text=True).stdout
    rows = [line.split() for line in listing.splitlines() if len(line.split()) in (2, 3)]
    symbols = {row[1].split("@")[0] for row in rows if row[0] == "U"} - {row[2] for row in rows if len(row) == 3}
    return [f"{os.path.basename(library)}: the core may not use {symbol}" for symbol in sorted(symbols)
            if any(pattern.match(symbol) for pattern in FORBIDDEN_SYMBOLS)]


PLANTS = [  # path, text, and what must be said about it; None: it must pass
    ("tenants/a.c", '#include "depbroker/text.h"\n#include <string.h>\n', None),
    ("tenants/b.c", '#include "loop/loop.h"\n', "tenants may not know server/loop"),
    ("tenants/c.c", "#include <uv.h>\n", "tenants may not use this library"),
    ("tenants/d.c", "#include <unistd.h>\n", "C library's pure part"),
    ("tenants/e.c", "#include <time.h>\n", "C library's pure part"),
    ("tenants/f.c", '#include "../server/store/store.h"\n', "tenants may not know server/store"),
    ("include/depbroker/b.h", '#include "tenants/route.h"\n', "include may not know tenants"),
    ("include/depbroker/c.h", "#include <openssl/evp.h>\n", "include may not use this library"),
    ("server/words/b.c", '#include "crypto/seal.h"\n', "server/words may not know server/crypto"),
    ("server/crypto/b.c", '#include "loop/loop.h"\n', "server/crypto may not know server/loop"),
    ("server/crypto/c.c", "#include <openssl/evp.h>\n", None),
    ("server/loop/b.c", '#include "tenants/route.h"\n', "server/loop may not know tenants"),
    ("server/loop/c.c", "#include <openssl/ssl.h>\n", "server/loop may not use this library"),
    ("server/loop/d.c", 'x("select id from tenants");\n', "server/loop may not write SQL"),
    ("server/loop/e.c", 'x("select set_config(\'depbroker.tenant\', $1, true)", "set local role x", "begin");\n', None),
    ("server/store/b.c", '#include "apple/dep.h"\n', "server/store may not know server/apple"),
    ("server/store/c.c", "#include <libpq-fe.h>\n", "server/store may not use this library"),
    ("server/store/d.c", '#include "loop/loop.h"\nx("select id " /* all */\n  "from tenants");\n', None),
    ("server/apple/b.c", '#include "store/store.h"\n', "server/apple may not know server/store"),
    ("server/apple/c.c", "#include <curl/curl.h>\n", "server/apple may not use this library"),
    ("server/apple/d.c", "#include <jansson.h>\n", "server/apple may not use this library"),
    ("server/worker/b.c", '#include "api/api.h"\n', "server/worker may not know server/api"),
    ("server/worker/c.c", 'x("select id "\n  "from tenants");\n', "server/worker may not write SQL"),
    ("server/worker/d.c", 'x("X-ADM-Auth-Session");\n', "server/worker may not write a header of Apple's"),
    ("server/worker/e.c", "#include <microhttpd.h>\n", "server/worker may not use this library"),
    ("server/worker/f.c", 'x("Update devices set a = 1");\n', "server/worker may not write SQL"),
    ("server/api/b.c", '#include "worker/worker.h"\n', "server/api may not know server/worker"),
    ("server/api/c.c", "#include <yyjson.h>\n", "server/api may not use this library"),
    ("server/api/d.c", 'x("begin"); x("with x as (delete from y)");\n', "server/api may not write transaction control"),
    ("server/api/e.c", '// select a from b\nx("please select an instance"); /* "delete from x" */\n', None),
    ("server/supervisor/b.c", '#include "store/store.h"\n', "server/supervisor may not know server/store"),
    ("server/supervisor/c.c", '#include "tenants/route.h"\n', "server/supervisor may not know tenants"),
    ("server/main.c", '#include "worker/worker.h"\n#include "api/api.h"\n', None),
    ("server/other.c", "#include <openssl/evp.h>\n", "server may not use this library"),
    ("server/worker/g.c", '#include "support/files.h"\n', "no such header"),
    ("server/worker/h.c", '#include "tests/support/files.h"\n', "server/worker may not know tests"),
    ("server/store/migrate.c", "x(pg_scope_login());\n", None),
    ("server/store/e.c", "x(pg_scope_login());\n", "pg_scope_login is not for this file"),
    ("server/api/f.c", "// pg_scope_login\n", None),
    ("server/cellar/b.c", "int x;\n", "server/cellar is not a room"),
]
HEADERS = ["include/depbroker/text.h", "tenants/route.h", "server/loop/loop.h", "server/crypto/seal.h",
           "server/store/store.h", "server/apple/dep.h", "server/worker/worker.h", "server/api/api.h",
           "tests/support/files.h"]


def plant(root, path, text):
    os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
    with open(os.path.join(root, path), "w", encoding="utf-8") as file:
        file.write(text)


def self_test_symbols(root, call):
    plant(root, "build/core.c", f"extern void {call}(void);\nvoid core(void);\nvoid core(void)\n{{\n\t{call}();\n}}\n")
    build = os.path.join(root, "build")
    subprocess.run(["gcc", "-c", "-fno-builtin", "core.c", "-o", "core.o"], cwd=build, check=True)
    subprocess.run(["ar", "rcs", "libdepbroker_tenants.a", "core.o"], cwd=build, check=True)
    return check_symbols(build)


def self_test():
    failures = []
    with tempfile.TemporaryDirectory() as root:
        for header in HEADERS:
            plant(root, header, "int x;\n")
        for path, text, _ in PLANTS:
            plant(root, path, text)
        complaints = check_sources(root)
        for path, _, expected in PLANTS:
            mine = [line for line in complaints if line.startswith(path + ":")]
            if expected is None and mine:
                failures.append(f"should have passed: {mine[0]}")
            if expected is not None and not any(expected in line for line in mine):
                failures.append(f"{path}: should have been told \"{expected}\", was told {mine}")
        for call in ("uv_run", "curl_easy_init", "PQexec", "MHD_run", "EVP_sha256", "json_loads", "yyjson_read_opts",
                     "loop_run", "socket", "clock_wall_us", "random_bytes", "getenv"):
            if not self_test_symbols(root, call):
                failures.append(f"a core that calls {call} was not found out")
        if self_test_symbols(root, "text_of"):
            failures.append("a core that calls text_of was refused")
    return failures


def main():
    parser = argparse.ArgumentParser(description="Fails when an include breaks who may know whom.")
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser.add_argument("--build", help="a build folder: prove by its symbols that the core knows no library")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        complaints = self_test()
    else:
        complaints = check_sources(arguments.root)
        if arguments.build:
            complaints += check_symbols(arguments.build)
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
