"""References into other namespaces: only what a ReferenceGrant there allows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from tulle.model.gateway import ReferenceGrant
from tulle.model.references import GATEWAY_GROUP


class Referrer(NamedTuple):
    """An object that refers to others."""

    kind: str
    namespace: str
    group: str = GATEWAY_GROUP


class Target(NamedTuple):
    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Grants:
    def __init__(self, grants: Iterable[ReferenceGrant]) -> None:
        self._by_namespace: dict[str, list[ReferenceGrant]] = defaultdict(list)
        for grant in grants:
            self._by_namespace[grant.metadata.namespace].append(grant)

    def permit(self, source: Referrer, target: Target) -> bool:
        if source.namespace == target.namespace:
            return True
        wanted = (source.group, source.kind, source.namespace)
        return any(
            any((item.group, item.kind, item.namespace) == wanted for item in grant.spec.from_)
            and any(
                (item.group, item.kind) == (target.group, target.kind)
                and item.name in ("", target.name)
                for item in grant.spec.to
            )
            for grant in self._by_namespace.get(target.namespace, ())
        )
