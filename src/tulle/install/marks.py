"""What in an object is not known before it is installed, and the object once it is.

An object is plain values with marks in them. A chart keeps the marks as templates (helm.py);
manifests and `tulle install` have them replaced by `settle`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Node = Any  # a mapping, a list, a scalar or a mark


@dataclass(frozen=True, slots=True)
class Param:
    """A value that users choose, by its path, such as `image.tag`."""

    path: str


@dataclass(frozen=True, slots=True)
class Text:
    """`form` with a `{}` for each of `parts`."""

    form: str
    parts: tuple[Param, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """Of the installation: its `namespace`, or its `manager`."""

    what: str


@dataclass(frozen=True, slots=True)
class Served:
    """Whether the API server knows this group and version, or kind of it."""

    api: str


@dataclass(frozen=True, slots=True)
class Unless:
    condition: Param | Served


Condition = Param | Served | Unless


@dataclass(frozen=True, slots=True)
class When:
    """An item of a list, a field's value or an object that is there only if `condition` holds."""

    condition: Condition
    node: Node


@dataclass(frozen=True, slots=True)
class Each:
    """An item of a list, or an object, for each of the texts that a value lists; see ITEM."""

    path: str
    node: Node


@dataclass(frozen=True, slots=True)
class Item:
    """Within an Each: what this one is about, in `form`."""

    form: str = "{}"


NAMESPACE = Release("namespace")
MANAGER = Release("manager")


@dataclass(frozen=True, slots=True)
class Setting:
    """All that marks ask for. `apis` are as `Served` names them."""

    values: Mapping[str, Any]  # by path
    namespace: str
    manager: str
    apis: Collection[str]

    def holds(self, condition: Condition) -> bool:
        match condition:
            case Param(path):
                return bool(self.values[path])
            case Served(api):
                return api in self.apis
            case Unless(inner):
                return not self.holds(inner)


def settle(node: Node, setting: Setting, item: str = "") -> Node:
    """`node` without marks."""
    match node:
        case Param(path):
            return setting.values[path]
        case Text(form, parts):
            return form.format(*(setting.values[part.path] for part in parts))
        case Release(what):
            return {"namespace": setting.namespace, "manager": setting.manager}[what]
        case Item(form):
            return form.format(item)
        case dict():
            return dict(_entries(node, setting, item))
        case list():
            return [found for part in node for found in several(part, setting, item)]
        case _:
            return node


def several(node: Node, setting: Setting, item: str = "") -> Iterator[Node]:
    """What an item of a list, or an object, comes to: one, none or several."""
    match node:
        case When(condition, inner):
            if setting.holds(condition):
                yield from several(inner, setting, item)
        case Each(path, inner):
            for text in setting.values[path]:
                yield settle(inner, setting, text)
        case _:
            yield settle(node, setting, item)


def _entries(node: dict[str, Node], setting: Setting, item: str) -> Iterator[tuple[str, Node]]:
    for key, value in node.items():
        for found in several(value, setting, item):
            yield key, found
