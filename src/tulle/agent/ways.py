"""From one address to another: every way that a connection may take, and who judges it where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from tulle.abi import Reason
from tulle.compile.capacity import LIMITS
from tulle.compile.explain import Kind, end_at, exit_address, explain, route, seen_from
from tulle.compile.ids import Allocator, Ids
from tulle.compile.services import Backend, Frontend, service_parts
from tulle.compile.services import Kind as Address
from tulle.compile.services.faces import faces_of
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import SERVICE_NAME_LABEL, ObjectRef, Service
from tulle.model.verdict import Flow, RequestRule, Verdict
from tulle.model.world import IPAddress, World


@dataclass(frozen=True, slots=True)
class Served:
    """Who chooses the backend: the socket of a client on `node`, or `node` for one outside."""

    frontend: Frontend
    node: str
    at_socket: bool


@dataclass(frozen=True, slots=True)
class Way:
    """`flow` is what arrives at the end. `legs` are what each node judges, in order of travel.

    `share` is the part of new connections that go this way, None if there is no choice. `drop` is
    why none does, whatever policy says.
    """

    flow: Flow
    legs: tuple[tuple[str, Flow], ...] = ()
    words: tuple[str, ...] = ()
    served: Served | None = None
    backend: Backend | None = None
    share: float | None = None
    drop: Reason | None = None


@dataclass(frozen=True)
class Views:
    """The world as each node has it. `refused` are objects that are not in force."""

    world: World
    refused: frozenset[ObjectRef] = frozenset()
    _seen: dict[str, World] = field(default_factory=dict)

    @property
    def here(self) -> str:
        return self.world.node.name

    def of(self, node: str) -> World:
        if node == self.here:
            return self.world
        if node not in self._seen:
            self._seen[node] = seen_from(self.world, node)
        return self._seen[node]

    def home(self, address: IPAddress) -> str:
        """The node that judges what the address sends and gets; "" if there is none.

        Nor of another cluster: what its policies say is not known here.
        """
        end = end_at(self.world, address)
        inside = end.kind in (Kind.WORKLOAD, Kind.HOST, Kind.NODE, Kind.INGRESS)
        return end.node.name if inside and end.node and not end.cluster else ""

    def frontend(self, node: str, address: IPAddress, protocol: str, port: int) -> Frontend | None:
        """What the node serves at that address and port."""
        world = self.of(node)
        is_node = self.home(address) != "" and end_at(world, address).workload is None
        services = {
            key: service
            for key, service in world.services.items()
            if ref_of(service) not in self.refused and _answers(service, address, port, is_node)
        }
        slices = {
            key: item
            for key, item in world.slices.items()
            if (item.metadata.namespace, item.metadata.labels.get(SERVICE_NAME_LABEL)) in services
        }
        narrowed = replace(world, services=services, slices=slices)
        for item in service_parts(narrowed, Allocator(Ids()), LIMITS).in_force():
            same = item.port == port and item.protocol == protocol
            anywhere = item.address is None and is_node and item.face.family == address.version
            if same and (item.address == address or anywhere):
                return item
        return None

    def judge(self, way: Way) -> Verdict:
        """What the nodes on the way say, the first denial or all of them together."""
        egress, ingress, audit = None, None, None
        requests: list[RequestRule] = []
        audit_requests: list[RequestRule] = []
        for node, flow in way.legs or ((self.here, way.flow),):
            verdict = explain(self.of(node), flow)
            audit = audit or verdict.audit
            if not verdict.allowed:
                return replace(verdict, audit=audit)
            egress, ingress = egress or verdict.egress, ingress or verdict.ingress
            requests += verdict.requests
            audit_requests += verdict.audit_requests
        return Verdict(
            Reason.ALLOWED,
            egress,
            ingress,
            audit,
            requests=tuple(requests),
            audit_requests=tuple(audit_requests),
        )


def ways(views: Views, asked: Flow) -> list[Way]:
    """Where a connection to that address and port may lead; services are looked up first."""
    home = views.home(asked.src)
    if home and (found := views.frontend(home, asked.dst, asked.protocol, asked.dport)):
        return list(_by_socket(views, asked, Served(found, home, at_socket=True)))
    arrival = _arrival(views, asked.dst, home)
    found = views.frontend(arrival, asked.dst, asked.protocol, asked.dport) if arrival else None
    if found is None or found.kind is Address.CLUSTER_IP:
        return [_direct(views, asked, home)]
    return list(_by_uplink(views, asked, home, Served(found, arrival, at_socket=False)))


def _answers(service: Service, address: IPAddress, port: int, is_node: bool) -> bool:
    return any(
        face.port == port and (face.address == address or (face.address is None and is_node))
        for face in faces_of(service)
    )


def _arrival(views: Views, address: IPAddress, home: str) -> str:
    """The node whose uplink a packet to that address comes in by; "" if it comes in by none."""
    owner = views.home(address)
    if owner and owner != home and end_at(views.world, address).workload is None:
        return owner
    return views.here if not owner and not home else ""


def _direct(views: Views, flow: Flow, home: str) -> Way:
    """Without any service: what the source's node says, and what the destination's."""
    nodes = [node for node in (home, views.home(flow.dst)) if node]
    found = route(views.of(home or views.here), flow)
    words = [found.words] if home else [f"comes in at node {node}" for node in nodes]
    legs = tuple((node, flow) for node in dict.fromkeys(nodes))
    return Way(flow, legs, tuple(words), drop=found.drop if home else None)


def _shares(backends: Sequence[Backend]) -> Iterator[tuple[Backend, float]]:
    total = sum(item.weight for item in backends)
    return ((item, item.weight / total) for item in backends)


def _by_socket(views: Views, asked: Flow, served: Served) -> Iterator[Way]:
    backends = served.frontend.internal
    if not backends:
        yield Way(asked, served=served, drop=Reason.NO_BACKEND)
    for backend, share in _shares(backends):
        flow = Flow(asked.src, ip_address(backend.address), asked.protocol, backend.port)
        way = _direct(views, flow, served.node)
        yield replace(way, served=served, backend=backend, share=share)


def _by_uplink(views: Views, asked: Flow, home: str, served: Served) -> Iterator[Way]:
    """The client is outside of the node that serves it: at home on another one, or nowhere."""
    ranges = served.frontend.source_ranges
    legs = ((home, asked),) if home else ()
    if ranges is not None and not any(asked.src in item for item in ranges):
        yield Way(asked, legs, served=served, drop=Reason.SOURCE_RANGE)
        return
    backends = served.frontend.external
    if not backends:
        yield Way(asked, legs, served=served, drop=Reason.NO_BACKEND)
    for backend, share in _shares(backends):
        way = _forwarded(views, asked, served, backend)
        yield replace(way, legs=(*legs, *way.legs), served=served, backend=backend, share=share)


def _forwarded(views: Views, asked: Flow, served: Served, backend: Backend) -> Way:
    """From the node that chose the backend to the backend."""
    world, address = views.of(served.node), ip_address(backend.address)
    home, came = views.home(address), f"comes in at node {served.node}"
    flow = Flow(asked.src, address, asked.protocol, backend.port)
    legs = ((home, flow),) if home else ()
    if home == served.node:
        return Way(flow, legs, (came, route(world, flow).words))
    if home and world.settings.load_balancing == "dsr":
        return Way(flow, legs, (came, f"goes on unchanged to node {home}, which answers itself"))
    speaker = exit_address(world.node, address.version)
    if speaker is None:
        return Way(flow, legs, (came,), drop=Reason.NO_ROUTE)
    flow = replace(flow, src=speaker)
    words = (came, f"goes on as {speaker} of node {served.node}", route(world, flow).words)
    return Way(flow, ((home, flow),) if home else (), words)
