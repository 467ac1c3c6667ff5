"""Judges an object by an OpenAPI schema as an API server does, as far as ours use it."""

from __future__ import annotations

import copy
import re
from typing import Any

Schema = dict[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def stored(value: Any, schema: Schema) -> Any:
    """What is kept of it: nulls and fields that nobody knows are cut, defaults put in."""
    if isinstance(value, list):
        return [stored(item, schema["items"]) for item in value] if "items" in schema else value
    known = schema.get("properties")
    if not isinstance(value, dict) or not known:
        return copy.deepcopy(value)
    there = [(key, item) for key, item in value.items() if key in known and item is not None]
    kept = {key: stored(item, known[key]) for key, item in there}
    for name, inner in known.items():
        if "default" in inner:
            kept.setdefault(name, inner["default"])
    return kept


def faults(value: Any, schema: Schema, at: str = "") -> list[str]:
    """Where it is wrong."""
    kind = schema.get("type")
    if kind and (
        not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")
    ):
        return [f"{at}: no {kind}"]
    found = [f"{at}: {word}" for word in _narrow(value, schema)]
    if isinstance(value, dict):
        found += [
            f"{at}.{name}: missing" for name in schema.get("required", []) if name not in value
        ]
        known = schema.get("properties", {})
        for name, item in value.items():
            found += faults(item, known.get(name, {}), f"{at}.{name}")
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += faults(item, schema.get("items", {}), f"{at}[{index}]")
    return found


def _narrow(value: Any, schema: Schema) -> list[str]:
    fits = [not faults(value, inner) for inner in schema.get("anyOf", [])]
    alone = [not faults(value, inner) for inner in schema.get("oneOf", [])]
    checks = {
        "enum": "enum" in schema and value not in schema["enum"],
        "anyOf": bool(fits) and not any(fits),
        "oneOf": bool(alone) and sum(alone) != 1,
        "not": "not" in schema and not faults(value, schema["not"]),
        **_of_text(value, schema),
        **_of_number(value, schema),
        **_of_list(value, schema),
    }
    return [word for word, wrong in checks.items() if wrong]


def _of_text(value: Any, schema: Schema) -> dict[str, bool]:
    if not isinstance(value, str):
        return {}
    # Python's `$` stops before a last newline, which is not the end to an API server
    pattern = re.sub(r"\$$", r"\\Z", schema.get("pattern", ""))
    return {
        "pattern": not re.search(pattern, value),
        "minLength": len(value) < schema.get("minLength", 0),
        "maxLength": len(value) > schema.get("maxLength", len(value)),
    }


def _of_number(value: Any, schema: Schema) -> dict[str, bool]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return {}
    return {
        "minimum": value < schema.get("minimum", value),
        "maximum": value > schema.get("maximum", value),
    }


def _of_list(value: Any, schema: Schema) -> dict[str, bool]:
    if not isinstance(value, list):
        return {}
    keys = schema.get("x-kubernetes-list-map-keys", [])
    names = [repr([item.get(key) for key in keys]) for item in value] if keys else []
    whole = schema.get("x-kubernetes-list-type") == "set"
    return {
        "minItems": len(value) < schema.get("minItems", 0),
        "maxItems": len(value) > schema.get("maxItems", len(value)),
        "map": len(set(names)) < len(names),
        "set": whole and any(item in value[:at] for at, item in enumerate(value)),
    }
