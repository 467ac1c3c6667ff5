"""The chart: the same objects with their marks as templates, and what belongs beside them.

Only a handful of forms is used, each on a line of its own; every value goes through `toJson`,
so that none can break out of its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tulle import __version__

from .marks import Condition, Each, Item, Node, Param, Release, Served, Text, Unless, When
from .values import VALUES, schema
from .yaml_lines import bullet, entry, lines, scalar

_RELEASE = {"namespace": "$.Release.Namespace", "manager": "$.Release.Service"}
_MARKS = Param | Text | Release | Item
_HEAD = "# Generated from src/tulle/install by `./run deploy`; do not edit.\n"

NOTES = """\
Tulle {{ .Chart.AppVersion }} is being rolled out to every node.

  tulle status --kubernetes      how far it is
  kubectl get gatewayclass       the class of Gateways, where the Gateway API is installed
"""


def chart(parts: Mapping[str, Iterable[Node]]) -> dict[str, str]:
    """Its files by path; `parts` are the templates by name."""
    files = {
        "Chart.yaml": _HEAD + "\n".join(lines(_CHART)) + "\n",
        "values.yaml": values_file(),
        "values.schema.json": json.dumps(schema(), indent=1) + "\n",
        "templates/NOTES.txt": NOTES,
    }
    for name, objects in parts.items():
        files[f"templates/{name}.yaml"] = _HEAD + "".join(_document(obj) for obj in objects)
    return files


_CHART = {
    "apiVersion": "v2",
    "name": "tulle",
    "description": "A service mesh woven into the Linux kernel",
    "type": "application",
    "version": __version__,
    "appVersion": __version__,
    "kubeVersion": ">= 1.20.0-0",
}


def values_file() -> str:
    """values.yaml, with its help."""
    out, before = [_HEAD.rstrip()], ""
    for value in VALUES:
        parent, _, name = value.path.rpartition(".")
        if parent and parent != before:
            out.append(f"{parent}:")
        before, indent = parent, "  " if parent else ""
        out += [f"{indent}# {line}" for line in value.help.splitlines()]
        if value.choices:
            out.append(f"{indent}# One of {', '.join(value.choices)}.")
        out += [indent + line for line in entry(name, value.default, lines)]
    return "\n".join(out) + "\n"


def _document(node: Node) -> str:
    """The separator is within the condition: an empty document is nothing to every reader."""
    return "".join(line + "\n" for line in _top(node))


def _top(node: Node) -> Iterator[str]:
    match node:
        case When(condition, inner):
            yield from _if(condition, _top(inner))
        case Each(path, inner):
            yield from _range(path, _top(inner))
        case _:
            yield "---"
            yield from _below(node)


def _below(node: Node) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _entry(scalar(key), value)
    else:
        for item in node:
            yield from _bullet(item)


def _entry(key: str, value: Node) -> Iterator[str]:
    match value:
        case When(condition, inner):
            yield from _if(condition, _entry(key, inner))
        case Param() | Text() | Release() | Item():
            yield f"{key}: {{{{ {_expression(value)} | toJson }}}}"
        case _:
            _refuse_braces(value)
            yield from entry(key, value, _below)


def _bullet(item: Node) -> Iterator[str]:
    match item:
        case When(condition, inner):
            yield from _if(condition, _bullet(inner))
        case Each(path, inner):
            yield from _range(path, _bullet(inner))
        case Param() | Text() | Release() | Item():
            yield f"- {{{{ {_expression(item)} | toJson }}}}"
        case _:
            _refuse_braces(item)
            yield from bullet(item, _below)


def _if(condition: Condition, inner: Iterable[str]) -> Iterator[str]:
    yield f"{{{{- if {_test(condition)} }}}}"
    yield from inner
    yield "{{- end }}"


def _range(path: str, inner: Iterable[str]) -> Iterator[str]:
    yield f"{{{{- range $.Values.{path} }}}}"
    yield from inner
    yield "{{- end }}"


def _test(condition: Condition) -> str:
    match condition:
        case Param(path):
            return f"$.Values.{path}"
        case Served(api):
            return f"($.Capabilities.APIVersions.Has {json.dumps(api)})"
        case Unless(inner):
            return f"(not {_test(inner)})"


def _expression(mark: _MARKS) -> str:
    match mark:
        case Param(path):
            return f"$.Values.{path}"
        case Text(form, parts):
            words = " ".join(f"(toString {_expression(part)})" for part in parts)
            return f"printf {json.dumps(form.replace('{}', '%s'))} {words}"
        case Release(what):
            return _RELEASE[what]
        case Item(form):
            return f"printf {json.dumps(form.replace('{}', '%s'))} ."


def _refuse_braces(value: Any) -> None:
    """What Helm would read as a template of its own."""
    if isinstance(value, str) and ("{{" in value or "}}" in value):
        raise ValueError(f"{value!r} cannot stand in a chart")
