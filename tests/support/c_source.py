# SPDX-License-Identifier: Apache-2.0
#
# c_source.py - just enough of C's lexical rules for the checks: which bytes are code, which are string literals.
import os
import re

TOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"]+)[>\"]", re.MULTILINE)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def blanked(match):
    """The same number of lines, and nothing else."""
    return " " + "\n" * match.group(0).count("\n")


def without_comments(text):
    return TOKEN.sub(lambda match: blanked(match) if match.group(0).startswith("/") else match.group(0), text)


def only_code(text):
    """Comments and literals blanked out."""
    return TOKEN.sub(blanked, text)


def literals(text):
    """(line, value) of every string literal; literals that C joins are joined here too. Includes are not literals."""
    text = INCLUDE.sub("", without_comments(text))
    joined = []
    last_end = None
    for match in TOKEN.finditer(text):
        if not match.group(0).startswith('"'):
            continue
        value = match.group(0)[1:-1]
        if last_end is not None and text[last_end:match.start()].strip() == "":
            joined[-1] = (joined[-1][0], joined[-1][1] + value)
        else:
            joined.append((line_of(text, match.start()), value))
        last_end = match.end()
    return joined


def includes(text):
    """(line, is_angle, name) of every #include."""
    text = without_comments(text)
    return [(line_of(text, m.start()), m.group(1) == "<", m.group(2)) for m in INCLUDE.finditer(text)]


def files_below(root, folders, endings):
    """Relative paths, sorted."""
    found = []
    for folder in folders:
        for directory, below, names in os.walk(os.path.join(root, folder)):
            below[:] = [name for name in below if name not in ("build", "var", ".git", "__pycache__")]
            found += [os.path.relpath(os.path.join(directory, name), root) for name in names if name.endswith(endings)]
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()
