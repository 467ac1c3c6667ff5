"""What the model's types say about a field: for errors in the user's words."""

from __future__ import annotations

import difflib
import re
from functools import cache

import msgspec
from msgspec import inspect

from .fields import FieldError, Path, quote
from .tree import Tree, Value, below

_WORDS = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number with a fraction",
    "int": "a whole number",
    "null": "nothing",
    "object": "a mapping",
    "str": "text",
}
_STEPS = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")
_PARTS = re.compile(r"(?P<reason>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_TYPES = re.compile(r"Expected `([a-z |]+)`, got `([a-z]+)`")
_RANGE = re.compile(r"Expected `int` (>=|<=) (-?\d+)")
_LENGTH = re.compile(r"Expected `(array|str)` of length (>=|<=) (\d+)")
_PATTERN = re.compile(r"""Expected `str` matching regex (['"])(.*)\1""", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(\w+)`")


@cache
def type_of(cls: type) -> inspect.Type:
    return inspect.type_info(cls)


@cache
def _fields(cls: type[msgspec.Struct]) -> dict[str, inspect.Type]:
    kind = type_of(cls)
    assert isinstance(kind, inspect.StructType)
    return {field.encode_name: _solid(field.type) for field in kind.fields}


def versions_of(cls: type[msgspec.Struct]) -> tuple[str, ...]:
    """The values of `apiVersion` under which a kind is read."""
    kind = _fields(cls)["apiVersion"]
    assert isinstance(kind, inspect.LiteralType)
    return tuple(str(value) for value in kind.values)


def _solid(kind: inspect.Type) -> inspect.Type:
    """The member of a union that has parts of its own, if any has."""
    if isinstance(kind, inspect.Metadata):
        return _solid(kind.type)
    if isinstance(kind, inspect.UnionType):
        members = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
        return _solid(members[0]) if len(members) == 1 else kind
    return kind


def _below(kind: inspect.Type | None, step: str | int) -> inspect.Type | None:
    if isinstance(kind, inspect.StructType) and isinstance(step, str):
        return _fields(kind.cls).get(step)
    if isinstance(kind, inspect.VarTupleType) and isinstance(step, int):
        return _solid(kind.item_type)
    return None


def without_nulls(value: Value, kind: inspect.Type) -> Value:
    """A copy in which fields that are null are absent, as the API server treats them.

    Maps of text (labels, selectors) keep theirs: there a null is an error.
    """
    return _cleaned(value, kind, known_only=False)


def known_part(value: Value, kind: inspect.Type) -> Value:
    """A copy with neither nulls nor fields that the type has not."""
    return _cleaned(value, kind, known_only=True)


def _cleaned(value: Value, kind: inspect.Type, known_only: bool) -> Value:
    if isinstance(kind, inspect.StructType) and isinstance(value, dict):
        fields = _fields(kind.cls)
        return {
            key: _cleaned(item, fields[key], known_only) if key in fields else item
            for key, item in value.items()
            if (item is not None if key in fields else not known_only)
        }
    if isinstance(kind, inspect.VarTupleType) and isinstance(value, list):
        item_kind = _solid(kind.item_type)
        return [_cleaned(item, item_kind, known_only) for item in value]
    return value


def reword(error: msgspec.ValidationError, cls: type, tree: Tree, base: Path) -> FieldError:
    """msgspec's message about the object at `base` in `tree`, with path, in plain words."""
    parts = _PARTS.fullmatch(str(error))
    reason, shown = (parts["reason"], parts["path"] or "") if parts else (str(error), "")
    path, value, kind = _resolve(shown, cls, tree.value_at(base))
    if missing := _MISSING.fullmatch(reason):
        return FieldError("is required", *base, *path, missing[1])
    if reason.startswith("Object contains unknown field"):
        return _unknown(base + path, value, kind)
    return FieldError(_words(reason, value, kind), *base, *path)


def _resolve(shown: str, cls: type, value: Value) -> tuple[Path, Value, inspect.Type | None]:
    """msgspec's `.spec.ports[0]` as a path, with the value and the type that stand there."""
    path: Path = ()
    kind: inspect.Type | None = type_of(cls)
    for name, index in _STEPS.findall(shown):
        step: str | int | None = name or (int(index) if index != "..." else None)
        if step is None:  # msgspec does not name keys; ours are maps of text
            items = value.items() if isinstance(value, dict) else ()
            step = next((key for key, item in items if not isinstance(item, str)), "")
        kind = _below(kind, step)
        value = below(value, step)
        path = (*path, step)
    return path, value, kind


def _unknown(path: Path, value: Value, kind: inspect.Type | None) -> FieldError:
    known = list(_fields(kind.cls)) if isinstance(kind, inspect.StructType) else []
    keys = value if isinstance(value, dict) else {}
    name = next((key for key in keys if key not in known), "")
    near = difflib.get_close_matches(name[:64], known, 1)
    hint = f": did you mean {near[0]}?" if near else ", or not one that Tulle accepts"
    return FieldError(f"is not a field{hint}", *path, name)


def _words(reason: str, value: Value, kind: inspect.Type | None) -> str:
    if match := _TYPES.fullmatch(reason):
        wanted = [_WORDS.get(name, name) for name in match[1].split(" | ") if name != "null"]
        quoting = match[1].startswith("str") and match[2] in ("int", "float", "bool")
        hint = ": put it in quotes" if quoting else ""
        got = _WORDS.get(match[2], match[2])
        return f"must be {' or '.join(wanted)}, not {got}{hint}"
    if match := _RANGE.fullmatch(reason):
        return f"must be at {'least' if match[1] == '>=' else 'most'} {match[2]}"
    if match := _LENGTH.fullmatch(reason):
        unit = "item(s)" if match[1] == "array" else "character(s)"
        return f"needs at {'least' if match[2] == '>=' else 'most'} {match[3]} {unit}"
    if match := _PATTERN.fullmatch(reason):
        pattern = match[2].encode().decode("unicode_escape").replace("\\Z", "$")
        return f"{quote(str(value))} does not match {pattern}"
    if isinstance(kind, inspect.LiteralType):
        words = ", ".join(str(word) for word in kind.values if word)
        return f"must be one of {words}, not {quote(str(value))}"
    return reason
