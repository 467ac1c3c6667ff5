"""`tulle operator`: sees the world that agents see, and writes what one writes for all of them.

It has no node: it decides as agents do, by the same functions, and puts nothing in force. Of
several the holder of the lease writes, the others know all that it knows.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from tulle.compile import Ids
from tulle.compile.services import Allocated
from tulle.edges.kubernetes.client import Client
from tulle.edges.kubernetes.lease import Lease
from tulle.edges.manifests.checkpoint import Checkpoint
from tulle.edges.manifests.directory import Snapshot
from tulle.errors import TulleError
from tulle.model.cilium import DEFAULT_CLUSTER
from tulle.model.kubernetes import NodeObject, Service
from tulle.model.routing import Routing
from tulle.model.world import IPNetwork, Node, Refusal, Settings, World

from ..desired import Desired, desired
from ..mesh import Mesh, mesh
from ..nodes import joined
from ..pacer import Pacer
from ..transitions import Transitions
from ..worlds import world_of
from .decode import checked
from .duties import Duties
from .guests import Guests
from .joined import JoinedPopulation, JoinedSource
from .peers import Peers
from .population import Population
from .source import KubernetesSource
from .start import LEASE

log = logging.getLogger("tulle")

NOWHERE = "tulle.io/operator"  # no node can have that name: all pods are elsewhere
_STUCK_S = 300.0  # without a finished pass although one was asked for


@dataclass(frozen=True, slots=True)
class OperatorOptions:
    """`service_cidrs` are those of the agents. `state` keeps over a restart what was known."""

    namespace: str
    identity: str
    service_cidrs: tuple[IPNetwork, ...]
    state: Path
    health_port: int = 0
    cluster_name: str = DEFAULT_CLUSTER


@dataclass(frozen=True, slots=True)
class Decided:
    """What a pass comes to, as Duties ask for it."""

    snapshot: Snapshot
    routing: Routing
    allocated: Allocated
    refusals: tuple[Refusal, ...]
    world: World


class Operator:
    """Only for one event loop."""

    def __init__(self, client: Client, options: OperatorOptions) -> None:
        self._options, self._clock = options, time.monotonic
        options.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        checkpoint = Checkpoint(options.state / "last-good.json", checked)
        self.source = KubernetesSource(client, checkpoint, self._clock, NOWHERE)
        memory = options.state / "others.json"
        has_namespace = self.source.has_namespace
        self.population = Population(client, NOWHERE, memory, self._clock, has_namespace)
        self.peers = Peers(
            client,
            options.namespace,
            options.cluster_name,
            options.state / "clusters",
            Client,
            self._clock,
            options.service_cidrs,
        )
        self._source = JoinedSource(self.source, self.peers)
        self._others = JoinedPopulation(self.population, self.peers)
        lease = Lease(client, options.namespace, LEASE, options.identity)
        of, who = self.source.resource_of, options.identity
        self.duties = Duties(client, of, lease, who, options.namespace)
        self.passes = 0
        self.problem = ""
        self._pacer = Pacer(self._pass)
        self._asked_s: float | None = None  # since when a pass is waited for
        self._node = Node(NOWHERE, service_cidrs=options.service_cidrs)
        self._ids = Ids()
        self._guests = Guests(NOWHERE)
        self._mesh: Mesh | None = None
        self._desired: Desired | None = None
        self._transitions = Transitions()

    async def run(self) -> None:
        """Until cancelled."""
        self._source.watch(self._request)
        self._others.watch(self._request)
        self._request()
        try:
            async with asyncio.TaskGroup() as group:
                reads = self.source.run, self.population.run, self.peers.run
                for run in (*reads, self.duties.run, self._pacer.run):
                    group.create_task(run())
        finally:
            self._pacer.close()
            self._source.unwatch()
            self._others.unwatch()

    def _request(self) -> None:
        if self._asked_s is None:
            self._asked_s = self._clock()
        self._pacer.request()

    async def _pass(self) -> None:
        asked_s, self._asked_s = self._asked_s, None
        try:
            decided = await asyncio.to_thread(self._decide)
        except Exception as error:
            self._asked_s = asked_s  # it is tried again
            expected = isinstance(error, TulleError | OSError)
            problem = str(error) if expected else f"internal error: {error!r}"
            if problem != self.problem:
                log.error("nothing is written: %s", problem, exc_info=not expected)
            self.problem = problem
            raise
        self.passes += 1
        self.problem = ""
        self.duties.tell(decided)

    def _decide(self) -> Decided:
        snapshot = self._source.scan()
        others = joined(self._others.scan(), self._guests.of(snapshot))
        nodes = snapshot.named(NodeObject)
        self._mesh = seen = mesh(self._node, {}, others, nodes, self._mesh)
        settings = Settings(endpoints="listed", cluster_name=self._options.cluster_name)
        world = world_of(snapshot, seen, settings, snapshot.of(Service))
        self._desired = wanted = desired(world, self._ids, self._desired)
        self._ids = wanted.compiled.ids
        told = (*snapshot.refusals, *seen.refusals, *wanted.refusals)
        routing = self._transitions.of(wanted.routing)
        return Decided(snapshot, routing, wanted.allocated, told, wanted.world)

    # what probes ask

    @property
    def is_alive(self) -> bool:
        """A restart helps against nothing but a pass that never ends."""
        asked_s = self._asked_s
        return bool(self.problem) or asked_s is None or self._clock() - asked_s < _STUCK_S

    @property
    def is_ready(self) -> bool:
        return self.passes > 0


async def serve(operator: Operator, port: int) -> web.AppRunner:
    """/healthz and /readyz, for everybody on the pod's network."""

    async def alive(request: web.Request) -> web.Response:
        return _said(operator.is_alive, "the last pass does not end")

    async def ready(request: web.Request) -> web.Response:
        return _said(operator.is_ready, operator.problem or "the first pass is under way")

    app = web.Application()
    app.add_routes([web.get("/healthz", alive), web.get("/readyz", ready)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    return runner


def _said(holds: bool, reason: str) -> web.Response:
    return web.Response(text="ok") if holds else web.Response(text=reason, status=503)
