"""A kind's types as the OpenAPI schema of its CustomResourceDefinition. Pure.

Structural, as API servers ask for it: what a field is stands once, at the field; rules on several
fields (schema_rules.py) only narrow that.
"""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

import msgspec
from msgspec import inspect

from .schema_rules import FIELDS, STRUCTS

Schema = dict[str, Any]

_DURATION_PATTERN = "(h|m|s|ms)){1,4}"
_DURATION_CHARS = 28  # 4 × 5 digits and a unit: bounds what a rule on it costs
_LIMITS = {
    "min_length": "minLength",
    "max_length": "maxLength",
    "ge": "minimum",
    "le": "maximum",
}


def schema_of(cls: type[msgspec.Struct]) -> Schema:
    """Of a struct: its fields, and the rules that hold between them."""
    kind = inspect.type_info(cls)
    assert isinstance(kind, inspect.StructType)
    properties = {field.encode_name: _property(cls, field) for field in kind.fields}
    schema: Schema = {"type": "object"}
    if text := cls.__dict__.get("__doc__"):
        schema["description"] = cleandoc(text)
    schema["properties"] = properties
    if required := [field.encode_name for field in kind.fields if field.required]:
        schema["required"] = required
    return schema | STRUCTS.get(cls, {})


def _property(cls: type, field: inspect.Field) -> Schema:
    schema = _schema(field.type)
    default = field.default
    if isinstance(default, bool | int | float | str) and default != "":
        schema["default"] = default
    return schema | FIELDS.get((cls, field.encode_name), {})


def _schema(kind: inspect.Type) -> Schema:
    match kind:
        case inspect.Metadata(type=inner):
            return _schema(inner)
        case inspect.StructType(cls=cls):
            return schema_of(cls)
        case inspect.StrType():
            return {"type": "string"} | _limits(kind) | _pattern(kind.pattern)
        case inspect.IntType():
            return {"type": "integer"} | _limits(kind)
        case inspect.FloatType():
            return {"type": "number"} | _limits(kind)
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.LiteralType(values=values):
            word = "string" if isinstance(values[0], str) else "integer"
            return {"type": word, "enum": list(values)}
        case inspect.VarTupleType(item_type=item):
            return {"type": "array", "items": _schema(item)} | _list_limits(kind)
        case inspect.DictType(value_type=value):
            return {"type": "object", "additionalProperties": _schema(value)}
        case inspect.AnyType():
            return {"x-kubernetes-preserve-unknown-fields": True}
        case inspect.UnionType(types=types):
            members = [member for member in types if not isinstance(member, inspect.NoneType)]
            if len(members) == 1:
                return _schema(members[0])
    raise TypeError(f"no schema for {kind}")


def _limits(kind: Any) -> Schema:
    found = {word: getattr(kind, name, None) for name, word in _LIMITS.items()}
    return {word: limit for word, limit in found.items() if limit is not None}


def _list_limits(kind: inspect.VarTupleType) -> Schema:
    limits = {"minItems": kind.min_length, "maxItems": kind.max_length}
    return {word: limit for word, limit in limits.items() if limit is not None}


def _pattern(pattern: str | None) -> Schema:
    """As API servers write it: `$` is the very end there."""
    if pattern is None:
        return {}
    schema: Schema = {"pattern": pattern.replace(r"\Z", "$")}
    if _DURATION_PATTERN in pattern:
        schema["maxLength"] = _DURATION_CHARS
    return schema
