# SPDX-License-Identifier: Apache-2.0
#
# rule_model.py - docs/reference/rules.md once more, in a few lines: makes random rules, and says where they send a device. It knows a
# part of the conditions; what it makes, it can judge.
import fnmatch


def text_holds(wanted, text):
    """A text as rules are written: a pattern, a list of them, a prefix, or a range of texts of the same length."""
    text = (text or "").upper()
    if isinstance(wanted, str):
        return text == "" if wanted == "" else bool(text) and fnmatch.fnmatchcase(text, wanted.upper().replace("[", "[[]"))
    if isinstance(wanted, list):
        return any(text_holds(one, text) for one in wanted)
    if "prefix" in wanted:
        return bool(text) and text.startswith(wanted["prefix"].upper())
    bounds = wanted["range"]
    return len(text) == len(bounds["from"]) and bounds["from"].upper() <= text <= bounds["to"].upper()


def serial_of(device):
    return device["serial_number"]


def holds(when, device):
    for field, wanted in when.items():
        if not text_holds(wanted, serial_of(device) if field == "serial" else device[field]):
            return False
    return True


def decide(document, device):
    """The name of the instance; None: held."""
    for rule in document["rules"]:
        if holds(rule["when"], device):
            return rule["then"].get("instance")
    return document["otherwise"].get("instance")


def random_target(chance, instances):
    return {"hold": "not yet"} if chance.random() < 0.1 else {"instance": chance.choice(instances)}


def random_condition(chance, serials):
    serial = chance.choice(serials)
    length = len(serial)
    return chance.choice([
        lambda: {"serial": sorted(chance.sample(serials, min(len(serials), chance.randrange(1, 20))))},
        lambda: {"serial": {"prefix": serial[:chance.randrange(2, 6)]}},
        lambda: {"serial": "*" + serial[-1]},
        lambda: {"serial": {"range": {"from": min(serial, "H" * length), "to": max(serial, "H" * length)}}},
        lambda: {"device_family": chance.choice(["iPad", ["iPhone", "Mac"], "App*"])},
        lambda: {"model": chance.choice(["MacBook*", "iPad*", "*Pro*"])},
        lambda: {"device_family": "iPad", "serial": "*" + chance.choice("0123456789")},
    ])()


def random_rules(chance, instances, serials):
    rules = [{"id": f"rule-{number}", "name": f"rule {number}", "when": random_condition(chance, serials), "then": random_target(chance, instances)}
             for number in range(chance.randrange(0, 5))]
    return {"rules": rules, "otherwise": random_target(chance, instances)}
