"""Where an agent's world comes from: whose objects and which other nodes there are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from tulle.edges.manifests.directory import ManifestDirectory, Snapshot
from tulle.model.kinds import KubernetesObject
from tulle.model.kubernetes import ObjectRef
from tulle.model.paths import NodePaths
from tulle.model.world import Key, Node, Workload
from tulle.observe.names import Names

from .attachments import PodFacts
from .flowlog import FlowLog
from .neighbours import Neighbours
from .nodes import Others
from .options import NodeOptions


class Source(Protocol):
    """Gives the objects in force. Methods may be called from any thread, except `watch`."""

    def scan(self) -> Snapshot:
        """Everything that is true now. Raises Unavailable as long as that is not known."""

    def reread(self) -> None:
        """Have the next scan read what the watch may have missed."""

    def put(self, obj: KubernetesObject) -> None:
        """Raises UsageError if the object is not to be changed here."""

    def remove(self, ref: ObjectRef) -> bool:
        """Whether there was one. Raises as `put` does."""

    def watch(self, changed: Callable[[], object]) -> None:
        """Have `changed` called in the running event loop whenever a scan may see something new."""

    def unwatch(self) -> None: ...


class Neighbourhood(Protocol):
    """Knows the other nodes, and tells them of this one if nobody else does."""

    def scan(self) -> Others:
        """Raises Unavailable as long as nothing of them is known."""

    def tell(self, node: Node, workloads: Mapping[Key, Workload]) -> None: ...

    def created(self) -> dict[str, str]:
        """When each node joined, as an RFC 3339 time."""

    async def withdraw(self) -> None:
        """The node is being taken down. Raises OSError."""

    def watch(self, changed: Callable[[], object]) -> None:
        """Have `changed` called in the running event loop whenever a scan may see something new."""

    def unwatch(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """`tasks` run as long as the agent does, and `close` is called when it ends.

    `facts` says what a pod is whose name and uid a container runtime gave, `own` what all of this
    node's are now. None: a pod is what the runtime says. `problems` and `status` are what users
    are told of where all comes from; `tell` hears of what each pass put in force, `flows` of what
    is denied.
    """

    source: Source
    neighbourhood: Neighbourhood
    tasks: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = ()
    facts: Callable[[Key, str], Awaitable[PodFacts]] | None = None
    own: Callable[[], Mapping[Key, PodFacts]] | None = None
    problems: Callable[[], list[str]] = list
    status: Callable[[], dict[str, Any]] | None = None
    tell: Callable[[Any], object] | None = None
    flows: Callable[[FlowLog, Callable[[], Names]], Coroutine[Any, Any, None]] | None = None
    close: Callable[[], Coroutine[Any, Any, None]] | None = None


def standalone(paths: NodePaths, options: NodeOptions) -> Sources:
    """Objects in files, nodes that tell of themselves in a directory that they share."""
    return Sources(
        ManifestDirectory(options.manifests or paths.manifests, paths.last_good),
        Neighbours(paths, options),
    )
