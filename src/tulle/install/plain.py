"""Manifests without a chart: the objects with all that marks ask for filled in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .marks import Node, Setting, several
from .values import defaults
from .yaml_lines import lines

HEAD = """\
# Tulle with its defaults, for `kubectl apply --server-side -f`. Generated from src/tulle/install
# by `./run deploy`; do not edit. Other values: `tulle install --set …`, or the chart beside this.
"""
SYSTEM_NAMESPACE = "tulle-system"
MANAGER = "tulle"
# What the current API has and what every object may ask for.
CURRENT = frozenset({"policy/v1"})


def usual() -> Setting:
    return Setting(defaults(), SYSTEM_NAMESPACE, MANAGER, CURRENT)


def settled(nodes: Iterable[Node], setting: Setting) -> Iterator[dict[str, Any]]:
    for node in nodes:
        yield from several(node, setting)


def to_yaml(objects: Iterable[dict[str, Any]]) -> str:
    return "".join("---\n" + "".join(f"{line}\n" for line in lines(obj)) for obj in objects)
