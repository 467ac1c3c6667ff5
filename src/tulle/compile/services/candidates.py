"""Everything behind one port of a Service, and the rules that say which of it is used.

Sources: core/v1 Service and discovery.k8s.io/v1 EndpointSlice in the API reference; KEP-1669
(terminating endpoints), KEP-2086 (internal traffic policy), KEP-2433, KEP-4444 and KEP-3015
(topology).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tulle.model.kubernetes import (
    AFFINITY_ANNOTATION,
    SOURCE_CLUSTER_LABEL,
    Endpoint,
    EndpointSlice,
    Service,
    ServicePort,
)
from tulle.model.world import Workload, World

from ..selectors import named_port
from .frontend import Backend

LOCAL, REMOTE = "local", "remote"  # the affinity of a service that several clusters have


@dataclass(frozen=True, slots=True)
class Candidate:
    """`last_resort`: it is on its way out but serves still. Hints are None where there are none."""

    backend: Backend
    ready: bool
    last_resort: bool
    local: bool
    zones: tuple[str, ...] | None = None
    nodes: tuple[str, ...] | None = None
    foreign: bool = False  # of another cluster


@dataclass(frozen=True)
class View:
    """What the choice depends on besides the service itself: where this node stands."""

    node: str
    zone: str
    zones: Mapping[str, str] = field(default_factory=dict)  # of every node
    addresses: frozenset[str] = frozenset()  # of this node's workloads

    def zone_of(self, node: str) -> str:
        return self.zones.get(node, "")


def view_of(world: World) -> View:
    zones = {name: node.zone for name, node in world.nodes.items()}
    zones[world.node.name] = world.node.zone
    own = addresses_of(world.workloads.values())
    return View(world.node.name, world.node.zone, zones, own)


def addresses_of(workloads: Iterable[Workload]) -> frozenset[str]:
    return frozenset(str(address) for item in workloads for address in item.addresses)


@dataclass(frozen=True)
class Source:
    """Slices where a service has some, else what its selector finds.

    `listed`: only slices count. An API server's controllers make them, and what they have not
    listed yet is not ready.
    """

    service: Service
    members: Sequence[Workload]
    slices: Sequence[EndpointSlice]
    listed: bool = False

    @property
    def affinity(self) -> str:
        return self.service.metadata.annotations.get(AFFINITY_ANNOTATION, LOCAL)

    def candidates(self, view: View, port: ServicePort, version: int) -> list[Candidate]:
        """Sorted, each address and port once: the one that is ready if there are two."""
        if self.slices or self.listed:
            found = self._listed(view, port, version)
        elif self.service.spec.selector:
            found = self._selected(view, port, version)
        else:
            return []
        best: dict[tuple[str, int], Candidate] = {}
        for item in found:
            place = item.backend.address, item.backend.port
            if place not in best or (item.ready, item.last_resort) > (
                best[place].ready,
                best[place].last_resort,
            ):
                best[place] = item
        return [best[place] for place in sorted(best)]

    def ready_addresses(self, families: Iterable[str]) -> set[str]:
        """Of a headless service: what its name stands for, whatever its ports."""
        publish = self.service.spec.publish_not_ready_addresses
        wanted = set(families)
        if self.slices or self.listed:
            return {
                endpoint.addresses[0]
                for item in self.slices
                if item.address_type in wanted
                for endpoint in item.endpoints
                if publish or _is_ready(endpoint)
            }
        return {
            str(address)
            for workload in self.members
            if publish or (workload.ready and not workload.terminating)
            for address in workload.addresses
            if f"IPv{address.version}" in wanted
        }

    def _selected(self, view: View, port: ServicePort, version: int) -> Iterator[Candidate]:
        spec = self.service.spec
        for workload in self.members:
            number = target_port(workload, port)
            address = next((ip for ip in workload.addresses if ip.version == version), None)
            if number is None or address is None or workload.weight < 1:
                continue
            node = workload.node or view.node
            backend = Backend(str(address), number, workload.weight, str(workload), node)
            ready = spec.publish_not_ready_addresses or (
                workload.ready and not workload.terminating
            )
            leaving = workload.ready and workload.terminating
            zones, nodes = _derived_hints(spec.traffic_distribution, view.zone_of(node), node)
            yield Candidate(backend, ready, leaving, node == view.node, zones, nodes)

    def _listed(self, view: View, port: ServicePort, version: int) -> Iterator[Candidate]:
        spec = self.service.spec
        known = {str(ip): item for item in self.members for ip in item.addresses}
        for item in self.slices:
            if item.address_type != f"IPv{version}":
                continue
            for listed in item.ports:
                if listed.name != port.name or listed.protocol != port.protocol or not listed.port:
                    continue
                for endpoint in item.endpoints:
                    address = endpoint.addresses[0]
                    workload = known.get(address)
                    weight = workload.weight if workload else 1
                    if weight < 1:
                        continue
                    name = str(workload) if workload else ""
                    backend = Backend(address, listed.port, weight, name, endpoint.node_name)
                    state = endpoint.conditions
                    yield Candidate(
                        backend,
                        spec.publish_not_ready_addresses or _is_ready(endpoint),
                        state.serving is not False and state.terminating is True,
                        endpoint.node_name == view.node or address in view.addresses,
                        *_hints(endpoint, spec.traffic_distribution),
                        foreign=bool(item.metadata.labels.get(SOURCE_CLUSTER_LABEL)),
                    )


def _is_ready(endpoint: Endpoint) -> bool:
    return endpoint.conditions.ready is not False


def target_port(workload: Workload, port: ServicePort) -> int | None:
    target = port.target_port or port.port
    return named_port(workload, target, port.protocol) if isinstance(target, str) else target


Hints = tuple[tuple[str, ...] | None, tuple[str, ...] | None]  # zones, nodes


def _hints(endpoint: Endpoint, distribution: str) -> Hints:
    given = endpoint.hints
    if given.for_zones or given.for_nodes:
        zones = tuple(item.name for item in given.for_zones) or None
        return zones, tuple(item.name for item in given.for_nodes) or None
    return _derived_hints(distribution, endpoint.zone, endpoint.node_name)


def _derived_hints(distribution: str, zone: str, node: str) -> Hints:
    """What Kubernetes' slice controller would hint: PreferSameNode falls back to the zone."""
    if not distribution:
        return None, None
    of_node = (node,) if distribution == "PreferSameNode" and node else None
    return ((zone,) if zone else None), of_node


@dataclass(frozen=True, slots=True)
class Chosen:
    cluster: tuple[Backend, ...]
    local: tuple[Backend, ...]


def choose(found: Sequence[Candidate], view: View, affinity: str = LOCAL) -> Chosen:
    """Those of the cluster, by topology where every ready one has a hint, and this node's.

    Where nobody is ready, those that are on their way out but serve still. Other clusters' are
    used only if this one has nobody ready, unless `affinity` says otherwise.
    """
    ready = [item for item in found if item.ready]
    if affinity in (LOCAL, REMOTE):
        first = [item for item in ready if item.foreign == (affinity == REMOTE)]
        ready = first or ready
    cluster = _preferred(ready, view) or [item for item in found if item.last_resort]
    local = [item for item in ready if item.local]
    local = local or [item for item in found if item.last_resort and item.local]
    return Chosen(tuple(i.backend for i in cluster), tuple(i.backend for i in local))


def _preferred(ready: list[Candidate], view: View) -> list[Candidate]:
    """The node's own, else the zone's, else all: a hint that some lack is none."""
    of_node = [(item, item.nodes) for item in ready]
    of_zone = [(item, item.zones) for item in ready]
    for own, hinted in ((view.node, of_node), (view.zone, of_zone)):
        if own and all(names for _, names in hinted):
            near = [item for item, names in hinted if names and own in names]
            if near:
                return near
    return ready
