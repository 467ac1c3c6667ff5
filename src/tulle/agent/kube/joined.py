"""A cluster's own source and population with what other clusters add to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tulle.edges.manifests.directory import Snapshot
from tulle.model.kinds import KubernetesObject
from tulle.model.kubernetes import ObjectRef
from tulle.model.world import Key, Node, Workload

from ..nodes import Others, joined
from .peers import Peers
from .population import Population
from .source import KubernetesSource


class JoinedSource:
    """A Source; other clusters' objects are not its to write either."""

    def __init__(self, own: KubernetesSource, peers: Peers) -> None:
        self._own, self._peers = own, peers

    def scan(self) -> Snapshot:
        """Raises Unavailable as long as not all is known that there is, or was."""
        return self._peers.snapshot(self._own.scan())

    def reread(self) -> None:
        self._own.reread()

    def put(self, obj: KubernetesObject) -> None:
        self._own.put(obj)

    def remove(self, ref: ObjectRef) -> bool:
        return self._own.remove(ref)

    def watch(self, changed: Callable[[], object]) -> None:
        self._own.watch(changed)
        self._peers.watch(changed)

    def unwatch(self) -> None:
        self._own.unwatch()
        self._peers.unwatch()


class JoinedPopulation:
    """A Neighbourhood, to be scanned after its source."""

    def __init__(self, own: Population, peers: Peers) -> None:
        self._own, self._peers = own, peers

    def scan(self) -> Others:
        """Raises Unavailable as long as nothing of our own is known."""
        own = self._own.scan()
        return joined(own, self._peers.others()) if self._peers.is_on else own

    def tell(self, node: Node, workloads: Mapping[Key, Workload]) -> None:
        self._own.tell(node, workloads)

    def created(self) -> dict[str, str]:
        return {**self._peers.created(), **self._own.created()}

    async def withdraw(self) -> None:
        await self._own.withdraw()

    def watch(self, changed: Callable[[], object]) -> None:
        self._own.watch(changed)

    def unwatch(self) -> None:
        self._own.unwatch()
