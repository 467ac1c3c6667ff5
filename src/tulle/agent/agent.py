"""The node's agent: one loop that makes the kernel agree with the world.

Level-triggered: whatever happened, a pass reads all that is true now, compiles it, and applies the
difference to what the kernel has. A pass that fails leaves a safe prefix applied and runs again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tulle.compile import Compiled, Ids, Image
from tulle.compile.diff import diff
from tulle.compile.ids import counters_above
from tulle.compile.services import Allocated
from tulle.edges.bpf.datapath import Datapath, Role
from tulle.edges.bpf.datapath import remove as remove_datapath
from tulle.edges.bpf.sockets import vanishing
from tulle.edges.cgroup import NodeCgroup, find_mount
from tulle.edges.manifests.directory import Snapshot
from tulle.errors import KernelError, Refused, TulleError, Unavailable
from tulle.model.kubernetes import NodeObject, Pod, Service
from tulle.model.paths import NodePaths
from tulle.model.routing import Routing
from tulle.model.world import IPAddress, Key, Refusal, Workload, World
from tulle.observe.held import Judged
from tulle.observe.questions import Asked

from .desired import Desired, desired
from .drift import Drift
from .flowlog import FlowLog
from .hearing import Hearing
from .homes import Homes, short_circuited
from .hooks import Hooks
from .hosts import HostsEntry
from .ipam import Leases
from .kept import KeptAddresses
from .kube.guests import Guests
from .local import Local
from .memory import recall, remember
from .mesh import Mesh, mesh, placed
from .network import Network
from .nodes import joined
from .options import NodeOptions
from .pacer import Pacer
from .pod_cgroups import PodCgroups
from .pods import Pods
from .pressure import Pressure
from .proxy_scopes import ProxyScopes
from .sandboxes import Sandboxes
from .source import Sources, standalone
from .tally import Tally
from .transitions import Transitions
from .vanished import Vanished
from .workloads import Workloads
from .worlds import world_of

log = logging.getLogger("tulle")

EVENT_PERIOD_S = 0.05
EXIT_PERIOD_S = 0.5
REREAD_PERIOD_S = 30.0
PRESSURE_PERIOD_S = 30.0
HEARING_PERIOD_S = 5.0
TALLY_PERIOD_S = 20.0


@dataclass(frozen=True)
class Pass:
    """What the last successful pass put in force."""

    world: World
    compiled: Compiled
    snapshot: Snapshot
    allocated: Allocated = field(default_factory=Allocated)
    refusals: tuple[Refusal, ...] = ()
    changes: int = 0
    took_ms: float = 0.0
    number: int = 0
    routing: Routing = field(default_factory=Routing)


class Agent:
    """Everything of one node. `start` before `run`; what is in force outlives both."""

    def __init__(
        self, paths: NodePaths, options: NodeOptions, sources: Sources | None = None
    ) -> None:
        self.paths, self.options = paths, options
        self.sources = sources = sources or standalone(paths, options)
        self.cgroups = NodeCgroup(find_mount(), paths.cgroup)
        leases = Leases(paths.durable / "addresses-leases.json", options.pod_cidrs)
        self.workloads = Workloads(
            paths.state, self.cgroups, paths.netns, options.pod_cidrs, leases
        )
        self.sandboxes = Sandboxes(paths.state, paths.netns, leases)
        self._pod_cgroups = PodCgroups((self.cgroups.root, *options.host_cgroups))
        self._local = Local()
        self.manifests, self.neighbours = sources.source, sources.neighbourhood
        self.facts = sources.facts
        self.network = Network(paths.netns, options)
        self.pods = Pods(self.workloads, paths.state, self._admit, self.request)
        settings = options.settings
        self.datapath = Datapath(
            paths.bpffs, xdp=options.xdp, stream=settings.stream, short=settings.short_circuit
        )
        self._homes = Homes(self.datapath.maps["homes"], paths.netns)
        self.hooks = Hooks(self.datapath, paths.netns)
        self.vanished = Vanished(self.datapath.sweep, self._namespaces)
        self.pressure = Pressure(
            self.datapath.gauge,
            self.datapath.maps,
            lambda: self.current.world if self.current else None,
        )
        self.hearing = Hearing(
            self.datapath.heard,
            paths.netns,
            lambda: self.current.world if self.current else None,
        )
        self.tally = Tally(self.datapath)
        self.flows = FlowLog()
        self.proxy = ProxyScopes(
            paths,
            self.cgroups,
            options.proxy,
            self.flows.add,
            lambda: self.flows.is_followed,
        )
        self.problem = ""
        self.after_pass: list[Callable[[], object]] = []
        self.started_s = time.monotonic()
        self.current: Pass | None = None
        self._pacer = Pacer(self._pass)
        self._dismantled = False
        self._have: Image = {}
        self.pending: Mapping[Key, str] = {}  # Pods that no node runs, and why
        self._guests = Guests(options.name)
        self._mesh: Mesh | None = None
        self._have_is_known = False
        self._drift_due = False
        self._drift = Drift()
        self._drift_look: asyncio.Task[None] | None = None
        self._ids_path = paths.durable / "ids.json"
        self._kept_addresses = KeptAddresses(
            paths.durable / "addresses.json", self._ids_path, options.service_cidrs
        )
        self._ids = Ids()
        self._desired: Desired | None = None
        self._transitions = Transitions()
        self._names: Mapping[Key, tuple[IPAddress, ...]] = {}  # of services, in hosts files

    def request(self) -> None:
        self._pacer.request()

    async def converge(self) -> Pass:
        """The state after a pass that saw all that is true now. Raises what stopped the pass."""
        await self._pacer.done()
        assert self.current is not None
        return self.current

    async def start(self) -> None:
        """Takes over what an earlier agent left and puts the present world in force."""
        removed = await asyncio.to_thread(self.workloads.recover)
        own = self.workloads.interface_names()
        removed += await asyncio.to_thread(self.sandboxes.recover, own)
        for line in removed:
            log.info("removed %s", line)
        await asyncio.to_thread(self._look_at_network)
        self.pods.recover()
        await self.proxy.start()
        self._ids = recall(self._ids_path) or counters_above(self.datapath.read())

    async def run(self, *more: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Until cancelled, and `more` with it."""
        tasks: list[Callable[[], Coroutine[Any, Any, None]]] = [
            self._pacer.run,
            partial(_every, EVENT_PERIOD_S, self._collect_events),
            partial(_every, EXIT_PERIOD_S, self._collect_ended),
            partial(_every, REREAD_PERIOD_S, self._reread),
            partial(_every, PRESSURE_PERIOD_S, partial(asyncio.to_thread, self.pressure.warn)),
            partial(_every, TALLY_PERIOD_S, self._prune_counts),
            partial(_every, HEARING_PERIOD_S, partial(asyncio.to_thread, self.hearing.look)),
            self.vanished.run,
            self.proxy.run,
            *self.sources.tasks,
            *more,
        ]
        try:
            self.manifests.watch(self.request)
            self.neighbours.watch(self.request)
            self.request()
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(task())
        finally:
            self._pacer.close()
            if self._drift_look:
                await asyncio.gather(self._drift_look, return_exceptions=True)
            self.manifests.unwatch()
            self.neighbours.unwatch()
            await self.pods.close()
            if self.sources.close:
                await self.sources.close()
            self.datapath.close()

    async def _admit(self, workload: Workload) -> None:
        await self.converge()

    async def _collect_events(self) -> None:
        await self.flows.add(self.datapath.events())
        now = self.current
        dns = now.compiled.memo.isolation.dns if now else {}
        await self.flows.add(Asked(raw, dns) for raw in self.datapath.questions())
        sets = now.compiled.memo.isolation.rule_sets if now else {}
        await self.flows.add(Judged(raw, sets) for raw in self.datapath.requests())

    async def _prune_counts(self) -> None:
        if self.current:
            await asyncio.to_thread(self.tally.prune, self.current.compiled)

    async def _collect_ended(self) -> None:
        """One that cannot be removed now does not keep the others."""
        for key in await asyncio.to_thread(self.workloads.gone):
            try:
                await asyncio.to_thread(self.workloads.delete, key)
            except (TulleError, OSError) as error:
                log.error("workload %s/%s: %s", *key, error)
            self.request()

    async def delete_workload(self, key: Key) -> None:
        """Raises Refused if there is none."""
        await asyncio.to_thread(self.workloads.delete, key)
        await self.converge()

    async def dismantle(self) -> list[Key]:
        """Takes everything of this node out of the kernel; returns the workloads that ended."""
        self._dismantled = True
        with suppress(Unavailable):
            await self._pacer.done()  # the pass that may be under way has ended
        ended = list(self.workloads.all())
        await self.pods.reconcile({})
        await self.pods.settled()
        for key in list(self.workloads.all()):
            await asyncio.to_thread(self.workloads.delete, key)
        await asyncio.to_thread(self.sandboxes.end_all)
        await self.proxy.stop()
        remove_datapath(self.paths.bpffs)
        await asyncio.to_thread(self.network.dismantle)
        await self.neighbours.withdraw()
        await asyncio.to_thread(self.cgroups.remove, self.cgroups.root)
        return ended

    async def _reread(self) -> None:
        """Whoever else changed something, in whatever way: it is mended."""
        await asyncio.to_thread(self.manifests.reread)
        await asyncio.to_thread(self._look_at_network)
        self.hooks.forget()
        self._drift_due = True
        self.request()

    def _look_at_network(self) -> None:
        self.network.refresh()
        self.network.mend()
        self.workloads.set_mtu(self.network.workload_mtu)
        self.sandboxes.set_mtu(self.network.workload_mtu)
        for line in self.sandboxes.end_the_gone():
            log.info("removed %s", line)

    def _look_for_drift(self) -> None:
        """No pass is under way now; later ones tell what they change."""
        self._drift_due = False
        if self._drift_look is None or self._drift_look.done():
            self._drift.begin()
            self._drift_look = asyncio.create_task(self._find_drift(self._have))

    async def _find_drift(self, image: Image) -> None:
        try:
            found = await asyncio.to_thread(self._drift.look, self.datapath.maps, image)
        except KernelError as error:
            log.error("cannot look at the maps: %s", error)
            return
        if found:
            places = ", ".join(sorted({name for name, _ in found}))
            log.warning("others changed %d entries of %s: mending", len(found), places)
            self._have_is_known = False
            self.request()

    async def _pass(self) -> None:
        if self._dismantled:
            raise Unavailable("the node is being taken down")
        began = time.monotonic()
        try:
            outcome = await asyncio.to_thread(self._put_in_force)
        except Exception as error:
            expected = isinstance(error, TulleError | OSError)
            before, self.problem = self.problem, str(error)
            if not expected:
                self.problem = f"internal error: {error!r}"
            self._have_is_known = False  # what was applied before the failure is not
            if self.problem != before:
                log.error("cannot put the world in force: %s", error, exc_info=not expected)
            raise
        finally:
            self.vanished.sweep_soon()
        self.problem = ""
        if self._drift_due:
            self._look_for_drift()
        number = self.current.number + 1 if self.current else 1
        took_ms = (time.monotonic() - began) * 1000
        self.tally.note(outcome.compiled)
        self.current = Pass(**{**vars(outcome), "took_ms": took_ms, "number": number})
        for told in self.after_pass:
            told()
        await self.pods.reconcile(self._pods_of_this_node(outcome))

    def _pods_of_this_node(self, now: Pass) -> Mapping[Key, Pod]:
        mine, self.pending = placed(
            now.snapshot.of(Pod),
            now.world.node,
            now.world.nodes.keys(),
            set(self.workloads.owned_by("pod")),
            now.world.remote,
        )
        return mine

    def _put_in_force(self) -> Pass:
        snapshot = self.manifests.scan()
        have = self._read()
        self._mesh = seen = self._look_around(snapshot)
        self._desired = wanted = self._compile(snapshot, seen)
        world, compiled = wanted.world, wanted.compiled
        changes = diff(have, compiled.image)
        if compiled.ids is not self._ids:
            remember(self._ids_path, compiled.ids)
            self._ids = compiled.ids
        # Hooks come before a new endpoint's entry; those of an earlier agent judge by its maps
        # until these are filled.
        self.hooks.attach(self._interfaces(), only_new=True)
        self.network.steer(compiled.steered)
        limited = any(item.bandwidth for item in world.workloads.values())
        self.datapath.configure(
            self.network.state(self.cgroups.make("proxy"), limited=limited, left=self.datapath.left)
        )
        self.proxy.add(wanted.proxies)
        self.vanished.add(vanishing(self.datapath.maps, changes))
        self._drift.note(changes)
        self.datapath.apply(changes)
        self.proxy.remove(wanted.proxies)
        self.network.connect(world.node, world.nodes)
        if self.current is None:
            self._carry_over()
        self.hooks.attach({**self._interfaces(), **self.network.interfaces})
        if self.current is None:
            self._take_over()
        self._homes.put(short_circuited(world, left=self.datapath.left))
        self._have = compiled.image
        self.hooks.keep(self.workloads.interfaces() | self.sandboxes.interfaces())
        self._write_hosts(compiled)
        self.neighbours.tell(self.network.published(), world.workloads)
        told = (*snapshot.refusals, *seen.refusals, *wanted.refusals, *self.proxy.refusals)
        routing = self._transitions.of(wanted.routing)
        return Pass(
            world, compiled, snapshot, wanted.allocated, told, len(changes), routing=routing
        )

    def _compile(self, snapshot: Snapshot, seen: Mesh) -> Desired:
        world = world_of(snapshot, seen, self.options.settings, self._services(snapshot))
        return desired(world, self._ids, self._desired)

    def _carry_over(self) -> None:
        for loss in self.datapath.carry_over():
            log.warning("connections of an earlier version are forgotten: %s", loss)

    def _namespaces(self) -> dict[int, Path | None]:
        """Where sockets of this node are: under each workload's interface, and under 0 its own."""
        found = {0: self.paths.netns}
        for key, workload in self.workloads.all().items():
            with suppress(Refused):  # it ended meanwhile
                found[workload.ifindex] = self.workloads.place(key).netns
        return found | self.sandboxes.namespaces()

    @property
    def is_short(self) -> bool:
        return self.options.settings.short_circuit

    def _services(self, snapshot: Snapshot) -> Mapping[Key, Service]:
        services = snapshot.of(Service)
        is_alone = not (self.options.cluster or self.options.kubernetes)
        return self._kept_addresses.give(services) if is_alone else services

    def _look_around(self, snapshot: Snapshot) -> Mesh:
        if self.sources.own is not None:
            self.sandboxes.learn(self.sources.own())
        own, local = self.network.node(), self.local()
        others = joined(self.neighbours.scan(), self._guests.of(snapshot))
        chained = self.options.settings.chained
        manifests = snapshot.named(NodeObject)
        return mesh(own, local, others, manifests, self._mesh, chained=chained)

    def _interfaces(self) -> dict[int, Role]:
        """Of this node's workloads, in the mesh or not: none is ever without hooks."""
        own = (workload.ifindex for workload in self.workloads.all().values())
        return {**dict.fromkeys(own, "pod"), **self.sandboxes.roles()}

    def local(self) -> Mapping[Key, Workload]:
        """All of this node's. One that `tulle run` made keeps its name."""
        return self._local.of(self.sandboxes.all(), self.workloads.all())

    def cgroup_ids(self, key: Key) -> list[int]:
        """Of what runs in one of this node's workloads."""
        own = self.workloads.cgroup_ids(key)
        return own or self._pod_cgroups.ids(self.sandboxes.uid_of(key))

    def _read(self) -> Image:
        """What the kernel has."""
        if not self._have_is_known:
            self._have = {"kernel": self.datapath.read()}
            self._have_is_known = True
        return self._have

    def _write_hosts(self, compiled: Compiled) -> None:
        services = compiled.memo.services
        if services is None or services.addresses == self._names:
            return
        named = services.addresses.items()
        self.workloads.write_hosts(HostsEntry(name, of, found) for (of, name), found in named)
        self._names = services.addresses

    def _take_over(self) -> None:
        """The first pass of this agent: the one before may have died just short of the end."""
        self.datapath.attach_sockets(self.cgroups.make())
        hosts = {str(path.stat().st_ino): path for path in self.options.host_cgroups}
        for name, path in hosts.items():
            self.datapath.attach_sockets(path, name)
        self.datapath.keep_sockets(hosts)
        self._carry_over()
        self.datapath.raise_epoch()
        self.datapath.remove_other_versions()


async def _every(period_s: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        await asyncio.sleep(period_s)
        try:
            await work()
        except (TulleError, OSError) as error:
            log.error("%s", error)
