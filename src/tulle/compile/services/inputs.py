"""What services are made from, and of which of them something has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from tulle.model.kubernetes import Service
from tulle.model.routing import Proxied
from tulle.model.world import Key, Node, Workload, World

from .candidates import Source, View, addresses_of, view_of
from .claims import Claims, claims_of
from .faces import faces_of
from .frontend import Face, Kind
from .host_ports import HostPorts, host_ports_of
from .members import Members, changed, members_of
from .proxied import Places, places_of
from .ranges import WorkloadRanges, workload_ranges
from .room import HOST_PORT, SERVICE, PartKey
from .slices import Slices, slices_of


@dataclass(frozen=True, slots=True)
class Inputs:
    """`loose`: of each service the addresses of which only this node's workloads say where."""

    view: View = field(default_factory=lambda: View("", ""))
    dsr: bool = False
    listed: bool = False
    node: Node = field(default_factory=Node)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    workloads: Mapping[Key, Workload] = field(default_factory=dict)
    services: Mapping[Key, Service] = field(default_factory=dict)
    members: Members = field(default_factory=Members)
    slices: Slices = field(default_factory=Slices)
    faces: Mapping[Key, tuple[Face, ...]] = field(default_factory=dict)
    claims: Claims = field(default_factory=Claims)
    ranges: WorkloadRanges = field(default_factory=WorkloadRanges)
    host_ports: HostPorts = field(default_factory=HostPorts)
    loose: Mapping[Key, frozenset[str]] = field(default_factory=dict)
    proxied: Places = field(default_factory=Places)

    def source(self, key: Key) -> Source:
        """Where the backends of a service come from."""
        members = self.members.of(key)
        found = [members[item] for item in sorted(members)]
        return Source(self.services[key], found, self.slices.of(key), self.listed)


def inputs_of(
    world: World, proxied: frozenset[Proxied], before: Inputs
) -> tuple[Inputs, set[PartKey]]:
    """What is true now, and the parts that are to be made anew or to go."""
    members, by_members = members_of(world, before.members)
    slices, by_slices = slices_of(world.slices, before.slices)
    view = _view(world, before)
    faces, claims, ranges, dirty = _faces(world, before)
    places, by_proxy = places_of(proxied, before.proxied)
    dirty |= by_members | by_slices | by_proxy & world.services.keys()
    dsr = world.settings.load_balancing == "dsr"
    loose = _loose(world, slices, faces, dsr, dirty, before)
    listed = world.settings.endpoints == "listed"
    old = before.view.node, before.view.zone, before.dsr, before.listed
    if (view.node, view.zone, dsr, listed) != old:
        dirty |= world.services.keys()
    dirty |= set(_moved(view, before.view, members))
    if moved := view.addresses ^ before.view.addresses:
        dirty |= {key for key, own in loose.items() if not own.isdisjoint(moved)}
    host_ports = _host_ports(world, claims, before)
    keys: set[PartKey] = {(SERVICE, *key) for key in dirty}
    keys |= {
        (HOST_PORT, *key) for key in _differing(before.host_ports.frontends, host_ports.frontends)
    }
    return Inputs(
        view,
        dsr,
        listed,
        world.node,
        world.nodes,
        world.workloads,
        world.services,
        members,
        slices,
        faces,
        claims,
        ranges,
        host_ports,
        loose,
        places,
    ), keys


def _view(world: World, before: Inputs) -> View:
    old, new = before.workloads, world.workloads
    if world.nodes is not before.nodes or world.node != before.node:
        return view_of(world)
    if new is old:
        return before.view
    if any(new.get(key) is not workload for key, workload in old.items()):
        return view_of(world)
    came = addresses_of(new[key] for key in new.keys() - old.keys())
    return replace(before.view, addresses=before.view.addresses | came)


def _faces(
    world: World, before: Inputs
) -> tuple[Mapping[Key, tuple[Face, ...]], Claims, WorkloadRanges, set[Key]]:
    """Also the services that changed, or that gained or lost an address to another one."""
    ranges = workload_ranges(world)
    same = ranges == before.ranges.networks
    if world.services is before.services and same:
        return before.faces, before.claims, before.ranges, set()
    dirty = set(changed(before.services, world.services))
    faces = {
        key: faces_of(service) if key in dirty else before.faces[key]
        for key, service in world.services.items()
    }
    taken = before.ranges if same else WorkloadRanges(ranges)
    claims = claims_of(world.services, faces, taken)
    for old, new in ((before.claims.granted, claims.granted), (before.claims.owned, claims.owned)):
        dirty |= set(_differing(old, new))
    return faces, claims, taken, dirty


def _loose(
    world: World,
    slices: Slices,
    faces: Mapping[Key, tuple[Face, ...]],
    dsr: bool,
    dirty: set[Key],
    before: Inputs,
) -> Mapping[Key, frozenset[str]]:
    keys = dirty if dsr == before.dsr else world.services.keys()
    if not keys:
        return before.loose
    loose = {key: own for key, own in before.loose.items() if key not in keys}
    for key in keys & world.services.keys():
        spec = world.services[key].spec
        outside = any(face.kind is not Kind.CLUSTER_IP for face in faces[key])
        policies = spec.internal_traffic_policy, spec.external_traffic_policy
        if "Local" in policies or (dsr and outside):
            own = frozenset(
                endpoint.addresses[0]
                for item in slices.of(key)
                for endpoint in item.endpoints
                if not endpoint.node_name
            )
            if own:
                loose[key] = own
    return loose


def _moved(view: View, before: View, members: Members) -> Iterator[Key]:
    """Services that prefer what is near and have workloads on a node that is another zone now."""
    if view.zones == before.zones:
        return
    nodes = {
        node
        for node in view.zones.keys() | before.zones.keys()
        if view.zones.get(node) != before.zones.get(node)
    }
    for key, found in members.found.items():
        if members.services[key].spec.traffic_distribution and any(
            item.node in nodes for item in found.values()
        ):
            yield key


def _host_ports(world: World, claims: Claims, before: Inputs) -> HostPorts:
    same = world.workloads is before.workloads and claims.places is before.claims.places
    if same and world.node.addresses == before.node.addresses:
        return before.host_ports
    return host_ports_of(world.workloads, world.node.addresses, claims.places)


def _differing(old: Mapping[Key, object], new: Mapping[Key, object]) -> set[Key]:
    return {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
