"""This node and the others of its cluster, if it has one: learning of them, and telling them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from tulle.model.paths import NodePaths
from tulle.model.world import Key, Node, Workload

from .nodes import NodeDirectory, Others, own_file
from .options import NodeOptions
from .published import node_object
from .withdraw import has_told, remember, withdraw


class Neighbours:
    """Does nothing for a node that is alone."""

    def __init__(self, paths: NodePaths, options: NodeOptions) -> None:
        self._paths = paths
        self._directory: NodeDirectory | None = None
        self._created = ""
        if options.cluster is None:
            return
        joins = not has_told(paths, own_file(options.cluster, options.name))
        self._directory = NodeDirectory(options.cluster, options.name, joins=joins)
        before = self._directory.own()
        created = before.metadata.creation_timestamp if before else None
        self._created = str(created or datetime.now(UTC).isoformat(timespec="seconds"))
        remember(paths, self._directory.file)

    def scan(self) -> Others:
        """Raises Unavailable as long as nothing of them is known."""
        return self._directory.scan() if self._directory else Others()

    def tell(self, node: Node, workloads: Mapping[Key, Workload]) -> None:
        if self._directory:
            self._directory.publish(node_object(node, self._created), workloads)

    def created(self) -> dict[str, str]:
        """When each node joined, as an RFC 3339 time."""
        return self._directory.created() if self._directory else {}

    async def withdraw(self) -> None:
        """The node is being taken down. Raises OSError."""
        withdraw(self._paths)

    def watch(self, changed: Callable[[], object]) -> None:
        if self._directory:
            self._directory.watch(changed)

    def unwatch(self) -> None:
        if self._directory:
            self._directory.unwatch()
