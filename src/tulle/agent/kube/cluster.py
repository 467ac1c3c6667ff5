"""One other cluster, read by a client of its own: its nodes, pods, namespaces and Services."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.config import Access
from tulle.edges.manifests.checkpoint import Checkpoint
from tulle.errors import Unavailable

from .decode import checked
from .foreign import Abroad, Said
from .kinds import ALL
from .population import Population
from .source import KubernetesSource

Json = dict[str, Any]
Clock = Callable[[], float]
MakeClient = Callable[[Access], Client]

NOWHERE = "tulle.io/nowhere"  # no node can have that name: all pods are elsewhere
READ = tuple(ALL[kind] for kind in ("Namespace", "Service", "EndpointSlice", "ServiceExport"))


class OtherCluster:
    """`said` is what it said last, over restarts and changes of how it is reached too."""

    def __init__(self, name: str, directory: Path, said: Said | None = None) -> None:
        """In `directory` what was known is kept. `said` comes from one that this replaces."""
        self.name, self._directory = name, directory
        self.abroad = Abroad(name)
        self.said = said
        self._source: KubernetesSource | None = None
        self._population: Population | None = None

    async def run(self, client: Client, clock: Clock, changed: Callable[[], object]) -> None:
        """Until cancelled."""
        checkpoint = Checkpoint(self._directory / "last-good.json", checked)
        self._source = source = KubernetesSource(client, checkpoint, clock, NOWHERE, READ)
        memory = self._directory / "others.json"
        self._population = population = Population(
            client, NOWHERE, memory, clock, lambda name: True
        )
        source.watch(changed)
        population.watch(changed)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(source.run())
                group.create_task(population.run())
        except asyncio.CancelledError:
            await client.close()  # after anything else it is run again
            raise
        finally:
            source.unwatch()
            population.unwatch()

    def scan(self) -> Said | None:
        """What it says; None as long as nothing is known of it."""
        if self._source and self._population:
            with suppress(Unavailable):
                said = Said(self._source.scan(), self._population.scan())
                before = self.said
                if before is None or not (
                    before.snapshot is said.snapshot and before.others is said.others
                ):
                    self.said = said
        return self.said

    @property
    def problems(self) -> list[str]:
        if not (self._source and self._population):
            return []
        found = [*self._source.problems, *self._population.problems]
        return [f"cluster {self.name}: {problem}" for problem in found]

    def status(self) -> Json:
        source = self._source.status() if self._source else {}
        others = self._population.status() if self._population else {}
        synced = [item["phase"] == "synced" for item in others.values()]
        nodes = (self.said or Said()).others.nodes.values()
        return {
            "server": source.get("server", ""),
            "version": source.get("version", ""),
            "synced": source.get("synced", False) and all(synced),
            "age_s": max([source.get("age_s", 0), *(item["age_s"] for item in others.values())]),
            "nodes": len(nodes),
            "workloads": sum(len(state.workloads) for state in nodes),
        }

    def forget(self) -> None:
        """Nothing of it is known any more."""
        shutil.rmtree(self._directory, ignore_errors=True)
