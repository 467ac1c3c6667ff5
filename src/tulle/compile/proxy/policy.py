"""Rule sets → what the node's proxy needs to enforce them. Only what changed is made anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tulle.model.kubernetes import ObjectRef
from tulle.model.proxy import Resource, XdsImage, XdsKind

from ..rule_sets import RuleSet
from .policy_listeners import cluster, listener, reads_http
from .policy_routes import ORIGINAL, name_of, table_of


class Enforced(NamedTuple):
    """One rule set, as a listener and its table of routes, None if it reads no HTTP."""

    rules: RuleSet
    listener: Resource
    table: Resource | None


@dataclass(frozen=True, slots=True)
class Policed:
    """The image, and the listeners by their numbers."""

    image: XdsImage = field(default_factory=dict)
    enforced: Mapping[int, Enforced] = field(default_factory=dict)


def policy_image(rule_sets: Mapping[int, RuleSet], before: Policed | None = None) -> Policed:
    """`before` itself if nothing has changed."""
    old = before.enforced if before else {}
    enforced = {
        number: known if (known := old.get(number)) and known.rules == rules else _enforced(rules)
        for number, rules in rule_sets.items()
    }
    same = all(old.get(number) is item for number, item in enforced.items())
    if before and same and len(enforced) == len(old):
        return before
    image: dict[XdsKind, Mapping[str, Resource]] = {
        "cluster": {ORIGINAL: Resource(cluster())} if enforced else {},
        "listener": {name_of(item.rules): item.listener for item in enforced.values()},
        "route": {name_of(item.rules): item.table for item in enforced.values() if item.table},
    }
    last: XdsImage = before.image if before else {}
    settled = {
        kind: last[kind] if last.get(kind) == resources else resources
        for kind, resources in image.items()
    }
    return Policed(settled, enforced)


def _enforced(rules: RuleSet) -> Enforced:
    origins = _origins(rules)
    table = Resource(table_of(rules), origins) if reads_http(rules) else None
    return Enforced(rules, Resource(listener(rules), origins), table)


def _origins(rules: RuleSet) -> tuple[ObjectRef, ...]:
    return tuple(dict.fromkeys(part.rule.policy for part in rules.parts if part.rule.policy))
