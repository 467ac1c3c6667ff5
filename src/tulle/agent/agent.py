"""The node's agent: one loop that makes the kernel agree with the world.

Level-triggered: whatever happened, a pass reads all that is true now, compiles it, and applies the
difference to what the kernel has. A pass that fails leaves a safe prefix applied and runs again.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tulle.compile import Compiled, Ids, Image, compile_world
from tulle.compile.diff import apply, diff
from tulle.compile.image import counters_above
from tulle.compile.services import addresses_of, headless_addresses, with_addresses
from tulle.edges import netlink, netns
from tulle.edges.bpf.datapath import Datapath
from tulle.edges.bpf.datapath import remove as remove_datapath
from tulle.edges.cgroup import NodeCgroup, find_mount
from tulle.edges.manifests.directory import ManifestDirectory, Snapshot
from tulle.errors import KernelError, TulleError, Unavailable
from tulle.model.cilium import (
    CiliumCIDRGroup,
    CiliumClusterwideNetworkPolicy,
    CiliumEgressGatewayPolicy,
    CiliumLoadBalancerIPPool,
    CiliumNetworkPolicy,
)
from tulle.model.cluster_policy import ClusterNetworkPolicy
from tulle.model.kubernetes import EndpointSlice, Namespace, NetworkPolicy, Pod, Service
from tulle.model.paths import NodePaths
from tulle.model.world import IPAddress, IPNetwork, Key, Node, Refusal, Workload, World

from .flowlog import FlowLog
from .hosts import HostsEntry
from .memory import Memory, recall, remember
from .pacer import Pacer
from .pods import Pods
from .workloads import Workloads

log = logging.getLogger("tulle")

EVENT_PERIOD_S = 0.05
EXIT_PERIOD_S = 0.5
REREAD_PERIOD_S = 30.0


@dataclass(frozen=True)
class Pass:
    """What the last successful pass put in force."""

    world: World
    compiled: Compiled
    snapshot: Snapshot
    addresses: dict[str, str] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    changes: int = 0
    took_ms: float = 0.0
    number: int = 0


class Agent:
    """Everything of one node. `start` before `run`; what is in force outlives both."""

    def __init__(
        self, paths: NodePaths, pod_cidrs: Sequence[IPNetwork], service_cidrs: Sequence[IPNetwork]
    ) -> None:
        self.paths = paths
        self.service_cidrs = tuple(service_cidrs)
        self.cgroups = NodeCgroup(find_mount(), paths.cgroup)
        self.workloads = Workloads(paths.state, self.cgroups, paths.netns, pod_cidrs)
        self.manifests = ManifestDirectory(paths.manifests, paths.last_good)
        self.pods = Pods(self.workloads, paths.state, self._admit, self.request)
        self.datapath = Datapath(paths.bpffs)
        self.flows = FlowLog()
        self.problem = ""
        self.after_pass: Callable[[], object] = lambda: None
        self.started_s = time.monotonic()
        self.current: Pass | None = None
        self._pacer = Pacer(self._pass)
        self._dismantled = False
        self._have: Image = {}
        self._attached: set[int] = set()
        self._node_addresses: tuple[IPAddress, ...] = ()
        self._have_read_s = 0.0
        self._memory_path = paths.durable / "ids.json"
        self._memory: Memory | None = None

    def request(self) -> None:
        self._pacer.request()

    async def converge(self) -> Pass:
        """The state after a pass that saw all that is true now. Raises what stopped the pass."""
        await self._pacer.done()
        assert self.current is not None
        return self.current

    async def start(self) -> None:
        """Takes over what an earlier agent left and puts the present world in force."""
        for line in await asyncio.to_thread(self.workloads.recover):
            log.info("removed %s", line)
        self.pods.recover()
        memory = recall(self._memory_path)
        if memory is None:
            fresh = counters_above(self.datapath.read())
            memory = Memory(next=dict(fresh.next))
        self._memory = memory

    async def run(self) -> None:
        """Until cancelled."""
        tasks: list[Callable[[], Coroutine[Any, Any, None]]] = [
            self._pacer.run,
            partial(_every, EVENT_PERIOD_S, self._collect_events),
            partial(_every, EXIT_PERIOD_S, self._collect_ended),
            partial(_every, REREAD_PERIOD_S, self._reread),
        ]
        try:
            self.manifests.watch(self.request)
            self.request()
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(task())
        finally:
            self._pacer.close()
            self.manifests.unwatch()
            await self.pods.close()
            self.datapath.close()

    async def _admit(self, workload: Workload) -> None:
        await self.converge()

    async def _collect_events(self) -> None:
        await self.flows.add(self.datapath.events())

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
        remove_datapath(self.paths.bpffs)
        await asyncio.to_thread(self.cgroups.remove, self.cgroups.root)
        return ended

    async def _reread(self) -> None:
        self.manifests.reread()
        self._have_read_s = 0.0
        self._attached.clear()
        self.request()

    async def _pass(self) -> None:
        if self._dismantled:
            raise Unavailable("the node is being taken down")
        began = time.monotonic()
        try:
            outcome = await asyncio.to_thread(self._put_in_force)
        except Exception as error:
            expected = isinstance(error, TulleError | OSError)
            self.problem = str(error) if expected else f"internal error: {error!r}"
            self._have_read_s = 0.0  # what was applied before the failure is not known
            log.error("cannot put the world in force: %s", error, exc_info=not expected)
            raise
        self.problem = ""
        number = self.current.number + 1 if self.current else 1
        took_ms = (time.monotonic() - began) * 1000
        self.current = Pass(**{**vars(outcome), "took_ms": took_ms, "number": number})
        self.after_pass()
        await self.pods.reconcile(outcome.snapshot.of(Pod))

    def _put_in_force(self) -> Pass:
        snapshot = self.manifests.scan()
        assert self._memory is not None
        have = self._read()
        world, addresses, refused = with_addresses(self._world(snapshot), self._memory.addresses)
        compiled = compile_world(world, self._memory.ids)
        changes = diff(have, compiled.image)
        self._remember(compiled.ids, {**self._memory.addresses, **addresses})
        # Hooks come before a new endpoint's entry; those of an earlier agent judge by its maps
        # until these are filled.
        self._attach(world, only_new=True)
        self.datapath.apply(changes)
        self._attach(world)
        if self.current is None:
            self._take_over()
        self._have = apply(changes, have) if changes else have
        # One that is ending may have its interface still: without hooks it would be open to all.
        self.datapath.keep_workloads(self._attached | self.workloads.interfaces())
        self.workloads.write_hosts(
            HostsEntry(name, namespace, addresses_of(service) or headless_addresses(world, service))
            for (namespace, name), service in world.services.items()
        )
        refusals = (*snapshot.refusals, *refused, *compiled.refusals)
        return Pass(world, compiled, snapshot, addresses, refusals, len(changes))

    def _world(self, snapshot: Snapshot) -> World:
        return World(
            node=Node(self.paths.node, self._node_addresses, self.service_cidrs),
            namespaces=snapshot.named(Namespace),
            workloads=self.workloads.all(),
            services=snapshot.of(Service),
            slices=snapshot.of(EndpointSlice),
            policies=snapshot.of(NetworkPolicy),
            cilium_policies=snapshot.of(CiliumNetworkPolicy),
            clusterwide_policies=snapshot.named(CiliumClusterwideNetworkPolicy),
            cluster_policies=snapshot.named(ClusterNetworkPolicy),
            cidr_groups=snapshot.named(CiliumCIDRGroup),
            egress_gateways=snapshot.named(CiliumEgressGatewayPolicy),
            address_pools=snapshot.named(CiliumLoadBalancerIPPool),
        )

    def _read(self) -> Image:
        """What the kernel has; read again now and then, so that a stranger's change is mended."""
        if time.monotonic() - self._have_read_s > REREAD_PERIOD_S or not self._have_read_s:
            self._have = self.datapath.read()
            self._node_addresses = tuple(netns.run_in(self.paths.netns, netlink.own_addresses))
            self._have_read_s = time.monotonic()
        return self._have

    def _remember(self, ids: Ids, addresses: dict[str, str]) -> None:
        taken = {kind: dict(names) for kind, names in ids.taken.items()}
        fresh = Memory(taken, dict(ids.next), addresses)
        if fresh != self._memory:
            remember(self._memory_path, fresh)
            self._memory = fresh

    def _take_over(self) -> None:
        """The first pass of this agent: the one before may have died just short of the end."""
        self.datapath.attach_sockets(self.cgroups.make())
        self.datapath.raise_epoch()
        self.datapath.remove_other_versions()

    def _attach(self, world: World, only_new: bool = False) -> None:
        """This agent's programs on every workload's interface."""
        present = {workload.ifindex for workload in world.workloads.values()}
        self._attached &= present
        for ifindex in present - self._attached:
            if only_new and self.datapath.is_attached(ifindex):
                continue
            try:
                netns.run_in(self.paths.netns, partial(self.datapath.attach_workload, ifindex))
            except KernelError as error:
                if error.errno != errno.ENODEV:  # it ended meanwhile; `gone` will tell
                    raise
            else:
                self._attached.add(ifindex)


async def _every(period_s: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        await asyncio.sleep(period_s)
        try:
            await work()
        except (TulleError, OSError) as error:
            log.error("%s", error)
