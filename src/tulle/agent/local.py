"""All workloads of this node, whoever made them. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from tulle.model.world import Key, Workload

Workloads = Mapping[Key, Workload]


class Local:
    """What has not changed since the last call is the same object."""

    def __init__(self) -> None:
        self._made: tuple[Workloads, Workloads, Workloads] = ({}, {}, {})

    def of(self, runtime: Workloads, own: Workloads) -> Workloads:
        """Those of a container runtime, and our own, which keep their names."""
        if not runtime or not own:
            return own or runtime
        first, second, whole = self._made
        if first is not runtime or second is not own:
            whole = {**runtime, **own}
            self._made = runtime, own, whole
        return whole
