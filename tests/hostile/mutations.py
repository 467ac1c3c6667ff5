"""Valid manifests with parts taken out, doubled or put in from elsewhere, from a seed."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from .policies import CILIUM, CLUSTERWIDE, TIERED
from .valid import POLICY

_WORDS = (None, "", "a", "0", "80", 0, 8, 256, True, [], {}, [{}], {"a": "b"}, "10.0.0.0/8", "::/0")
_BASES = (POLICY, CILIUM, CLUSTERWIDE, TIERED)


def mutations(seed: int, count: int, bases: Sequence[dict[str, Any]] = _BASES) -> Iterator[bytes]:
    """`count` manifests as JSON, of policies if nothing else is said; many are still valid."""
    rng = Random(seed)
    parts = [part for base in bases for part in _parts(base.get("spec") or base["specs"])]
    for _ in range(count):
        manifest = copy.deepcopy(rng.choice(bases))
        for _ in range(rng.randint(1, 3)):
            _mutate(rng, manifest, parts)
        yield json.dumps(manifest).encode()


def _mutate(rng: Random, manifest: dict[str, Any], parts: list[tuple[str, Any]]) -> None:
    """One change at or below spec, at any depth."""
    where: Any = manifest
    step: Any = "spec" if "spec" in manifest else "specs"
    while isinstance(where[step], dict | list) and where[step] and rng.random() < 0.85:
        where = where[step]
        step = rng.choice(list(where)) if isinstance(where, dict) else rng.randrange(len(where))
    match rng.choice(("remove", "replace", "transplant", "transplant", "double")):
        case "remove" if step not in ("spec", "specs"):
            del where[step]
        case "double" if isinstance(where, list):
            where.append(copy.deepcopy(where[step]))
        case "transplant":
            alike = [part for name, part in parts if name == str(step)] or [None]
            where[step] = copy.deepcopy(rng.choice(alike))
        case _:
            where[step] = copy.deepcopy(rng.choice(_WORDS))


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Every part of a manifest under the name of its field."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, part in items:
        yield str(name), part
        if isinstance(part, dict | list):
            yield from _parts(part)
