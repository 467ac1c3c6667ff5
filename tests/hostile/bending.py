"""Manifests with one field made wrong: tables of a valid one, the field's path and bad values."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

GONE = object()  # the field is left out
Table = tuple[tuple[dict[str, Any], str, tuple[object, ...]], ...]


def bend(table: Table) -> Iterator[tuple[str, bytes]]:
    """Name and JSON of every row of a table."""
    for number, (base, path, values) in enumerate(table):
        for index, value in enumerate(values):
            name = f"{base['kind']}:{path}#{number}.{index}"
            yield name, json.dumps(_bend(base, path, value), indent=1).encode()


def _bend(base: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    bent = copy.deepcopy(base)
    *parents, last = (int(step) if step.isdigit() else step for step in path.split("."))
    where: Any = bent
    for step in parents:
        where = where.setdefault(step, {}) if isinstance(where, dict) else where[step]
    if value is GONE:
        del where[last]
    else:
        where[last] = value
    return bent
