# SPDX-License-Identifier: Apache-2.0
#
# openapi.py - holds answers against docs/reference/openapi.json: just the part of JSON Schema that the document uses, and an
# error for anything else in it.
import json
import os
import re

from programs import ROOT

KNOWN = {"$ref", "type", "enum", "pattern", "format", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "maxProperties",
         "properties", "required", "additionalProperties", "items", "oneOf", "description", "default"}
TYPES = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list, "null": type(None)}
DATE_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")

with open(os.path.join(ROOT, "docs/reference/openapi.json"), encoding="utf-8") as file:
    DOCUMENT = json.load(file)


def resolve(node):
    while "$ref" in node:
        target = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def fits_type(value, names):
    names = names if isinstance(names, list) else [names]
    return any(isinstance(value, TYPES[name]) and not (name == "integer" and isinstance(value, bool)) for name in names)


def complaints(value, schema, where="$"):
    """What is wrong with the value, as sentences."""
    schema = resolve(schema)
    unknown = set(schema) - KNOWN
    if unknown:
        raise AssertionError(f"this check does not know {unknown}")
    if "oneOf" in schema:
        if sum(not list(complaints(value, option, where)) for option in schema["oneOf"]) != 1:
            yield f"{where}: fits none of oneOf, or several"
        return
    if "type" in schema and not fits_type(value, schema["type"]):
        yield f"{where}: {value!r} is not of type {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is not one of {schema['enum']}"
    if isinstance(value, str):
        yield from text_complaints(value, schema, where)
    if isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{where}: {value} is out of range"
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from complaints(item, schema.get("items", {}), f"{where}[{index}]")
    if isinstance(value, dict):
        yield from object_complaints(value, schema, where)


def text_complaints(value, schema, where):
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{where}: {value!r} does not fit {schema['pattern']}"
    if schema.get("format") == "date-time" and not DATE_TIME.match(value):
        yield f"{where}: {value!r} is not an instant"
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        yield f"{where}: {value!r} has a wrong length"


def object_complaints(value, schema, where):
    properties = schema.get("properties", {})
    if len(value) > schema.get("maxProperties", len(value)):
        yield f"{where}: has {len(value)} members"
    for name in schema.get("required", []):
        if name not in value:
            yield f"{where}: {name} is missing"
    for name, item in value.items():
        if name in properties:
            yield from complaints(item, properties[name], f"{where}.{name}")
        elif schema.get("additionalProperties") is False:
            yield f"{where}: {name} is not described"


def template_of(path):
    """The path of the document that a request's path belongs to, or None."""
    path = path.split("?")[0]
    fits = [template for template in DOCUMENT["paths"]
            if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path)]
    return max(fits, key=lambda template: template.count("/") * 100 - template.count("{"), default=None)


def check_answer(method, path, answer):
    """Raises when an answer is not as the document says. Requests to nowhere get problems that are described all the same."""
    template = template_of(path)
    operation = DOCUMENT["paths"].get(template, {}).get(method.lower())
    if answer.status >= 400 and (template or "").startswith("/renew/"):  # for people
        if answer.headers.get("content-type") != "text/html; charset=utf-8":
            raise AssertionError(f"{method} {path}: {answer.status} is not a page")
        return
    if answer.status >= 400:
        if answer.headers.get("content-type") != "application/problem+json":
            raise AssertionError(f"{method} {path}: {answer.status} is not a problem document")
        schema = {"$ref": "#/components/schemas/Problem"}
        if operation and str(answer.status) not in operation["responses"] and answer.status < 500:
            raise AssertionError(f"{method} {path}: {answer.status} {answer.text} is not described")
    else:
        if operation is None:
            raise AssertionError(f"{method} {path}: {answer.status}, and the document does not know it")
        content = resolve(operation["responses"][str(answer.status)]).get("content", {})
        if not content:
            if answer.body:
                raise AssertionError(f"{method} {path}: a body that is not described")
            return
        (kind, described), = content.items()
        if answer.headers.get("content-type") != kind:
            raise AssertionError(f"{method} {path}: {answer.headers.get('content-type')} instead of {kind}")
        if kind != "application/json":
            return
        schema = described["schema"]
    found = list(complaints(answer.json(), schema))
    if found:
        raise AssertionError(f"{method} {path}: {'; '.join(found[:5])}")
