"""Routes whose parent is a Service (GAMMA, GEP-1294).

Of the Service's namespace they hold for everybody (producer routes), of another one for that
namespace's workloads (consumer routes), who then have these alone. Where a route is, it takes the
place of the Service's own backends. Hostnames of routes mean nothing here, and backends need
no grant: whoever reaches a Service may do so by a route too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import is_
from typing import Literal, NamedTuple, cast

from tulle.model.kinds import ref_of
from tulle.model.kubernetes import ObjectRef, Service, ServicePort
from tulle.model.references import ParentReference
from tulle.model.routing import AppProtocol, Destination, Front, Server, Stream
from tulle.model.world import IPAddress, Key, World

from ..services.wishes import addresses_of
from .attach import Attachment
from .conditions import ACCEPTED, Verdict
from .forms import Form
from .fronts import Transport, front_name
from .hosts import Hosts, streams_of
from .listeners import Seat
from .services import OWNER_LABEL

# Of several kinds for one port the first is in force.
_PRECEDENCE = ("GRPCRoute", "HTTPRoute", "TLSRoute", "TCPRoute", "UDPRoute")
_PROTOCOLS: dict[str, Literal["HTTP", "TLS", "TCP", "UDP"]] = {
    "GRPCRoute": "HTTP",
    "HTTPRoute": "HTTP",
    "TLSRoute": "TLS",
    "TCPRoute": "TCP",
    "UDPRoute": "UDP",
}
EVERYBODY = ""  # as the namespace of clients


@dataclass(slots=True)
class Face:
    """A port of a Service as the clients of one namespace see it, or all that have no own."""

    service: Service
    port: ServicePort
    clients: str
    routes: dict[ObjectRef, Seat] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Of the routes that are in force."""
        return min((ref.kind for ref in self.routes), key=_PRECEDENCE.index)


Place = tuple[Key, int, str]  # Service, port, transport


class Meant(NamedTuple):
    """What a reference to a Service means: its faces, or why it has none."""

    ref: ParentReference
    service: Service
    clients: str
    verdict: Verdict
    ports: tuple[tuple[Place, ServicePort], ...]


Meanings = Mapping[ObjectRef, tuple[Form, tuple[Meant, ...]]]


class Made(NamedTuple):
    """A front and all that it was made from; None: nobody is there whom its routes are for."""

    service: Service
    routes: tuple[tuple[str, tuple[Form, ...]], ...]  # by their clients
    clients: tuple[tuple[IPAddress, ...], ...]
    front: Front | None

    def holds(self, other: Made) -> bool:
        """Whether the other would be made from the same; forms are compared by identity."""
        return (
            self.service is other.service
            and self.clients == other.clients
            and len(self.routes) == len(other.routes)
            and all(map(_are_same_routes, self.routes, other.routes))
        )


class Mesh:
    """All routes on Services. `before` is the one of an earlier world, and only saves work."""

    def __init__(self, world: World, before: Mesh | None = None) -> None:
        self.made: dict[Place, Made] = {}
        self._meanings: dict[ObjectRef, tuple[Form, tuple[Meant, ...]]] = {}
        self._made_before = before.made if before else {}
        same = before is not None and before._world.services is world.services
        self._meanings_before: Meanings = before._meanings if before and same else {}
        self._world: World = world
        self._faces: dict[Place, dict[str, Face]] = defaultdict(dict)
        self._attachments: list[tuple[Attachment, list[Face]]] = []

    @property
    def has_consumers(self) -> bool:
        return any(clients != EVERYBODY for faces in self._faces.values() for clients in faces)

    def attach(self, form: Form) -> Iterator[Attachment]:
        """One for each reference to a Service that there is."""
        known = self._meanings_before.get(form.ref)
        if known is None or known[0] is not form:
            known = form, tuple(self._meant(form))
        self._meanings[form.ref] = known
        for meant in known[1]:
            attachment = Attachment(form, meant.ref, None, meant.verdict)
            self._attachments.append((attachment, self._faces_of(form, meant)))
            yield attachment

    def _meant(self, form: Form) -> Iterator[Meant]:
        own = form.route.metadata.namespace
        for ref in form.route.spec.parent_refs:
            service = self._service(ref, own)
            if service is not None:
                clients = EVERYBODY if own == service.metadata.namespace else own
                verdict, ports = _ports_meant(form, ref, service, clients)
                yield Meant(ref, service, clients, verdict, ports)

    def _service(self, ref: ParentReference, own: str) -> Service | None:
        if not is_service(ref):
            return None
        service = self._world.services.get((ref.namespace or own, ref.name))
        if service is None or OWNER_LABEL in service.metadata.labels:
            return None
        return service

    def _faces_of(self, form: Form, meant: Meant) -> list[Face]:
        found = []
        for place, port in meant.ports:
            faces = self._faces[place]
            face = faces.get(meant.clients)
            if face is None:
                face = faces[meant.clients] = Face(meant.service, port, meant.clients)
            face.routes[form.ref] = Seat(form, ("",))
            found.append(face)
        return found

    def part_kinds(self) -> None:
        """One kind of route for each port and its clients, in the order that the GEP gives."""
        mixed = [
            face
            for faces in self._faces.values()
            for face in faces.values()
            if len(face.routes) > 1 and len({ref.kind for ref in face.routes}) > 1
        ]
        for face in mixed:
            kind = face.kind
            face.routes = {ref: seat for ref, seat in face.routes.items() if ref.kind == kind}
        if not mixed:
            return
        for attachment, faces_of in self._attachments:
            if faces_of and not any(attachment.form.ref in face.routes for face in faces_of):
                message = f"a {faces_of[0].kind} is on the same port"
                attachment.verdict = Verdict(False, "Conflicted", message)

    def forget_older(self) -> None:
        """When all that there is has been made."""
        self._made_before, self._meanings_before = {}, {}
        self._faces, self._attachments = defaultdict(dict), []

    def fronts(self, hosts: Hosts) -> Iterator[Front]:
        clients = _addresses(self._world, self._faces.values())
        for place in sorted(self._faces):
            faces = self._faces[place]
            made = Made(
                next(iter(faces.values())).service,
                tuple([(name, _forms(face)) for name, face in faces.items()]),
                tuple([clients.get(name, ()) for name in faces]),
                None,
            )
            known = self._made_before.get(place)
            if known is None or not known.holds(made):
                known = made._replace(front=_front(place, faces, clients, hosts))
            self.made[place] = known
            if known.front is not None:
                yield known.front


def _ports_meant(
    form: Form, ref: ParentReference, service: Service, clients: str
) -> tuple[Verdict, tuple[tuple[Place, ServicePort], ...]]:
    if not addresses_of(service):
        return Verdict(False, "NoMatchingParent", "the Service has no address of its own"), ()
    transport = "UDP" if form.ref.kind == "UDPRoute" else "TCP"
    ports = [port for port in service.spec.ports if _is_meant(port, ref, transport)]
    if not ports:
        message = f"the Service has no {transport} port{_part_in_words(ref)}"
        return Verdict(False, "NoMatchingParent", message), ()
    if transport == "UDP" and clients:
        message = "datagrams of one namespace's clients cannot be told from others"
        return Verdict(False, "UnsupportedValue", message), ()
    key = service.metadata.namespace, service.metadata.name
    return ACCEPTED, tuple(((key, port.port, transport), port) for port in ports)


def _forms(face: Face) -> tuple[Form, ...]:
    return tuple([seat.form for seat in face.routes.values()])


def _are_same_routes(
    one: tuple[str, tuple[Form, ...]], other: tuple[str, tuple[Form, ...]]
) -> bool:
    return one[0] == other[0] and len(one[1]) == len(other[1]) and all(map(is_, one[1], other[1]))


def _front(
    place: Place,
    faces: Mapping[str, Face],
    clients: Mapping[str, tuple[IPAddress, ...]],
    hosts: Hosts,
) -> Front | None:
    """None if nobody is there whom its routes are for."""
    key, port, transport = place
    service = next(iter(faces.values())).service
    servers = [
        _server(face, place, hosts, clients.get(face.clients, ()))
        for _, face in sorted(faces.items(), key=lambda item: item[0], reverse=True)
        if face.clients == EVERYBODY or clients.get(face.clients)
    ]
    if not servers:
        return None
    if EVERYBODY not in faces:
        servers.append(_as_ever(key, port))
    return Front(
        name=front_name("service", key, port, transport),
        origin=ref_of(service),
        service=key,
        addresses=addresses_of(service),
        port=port,
        protocol=cast(Transport, transport),
        mesh=True,
        servers=tuple(servers),
    )


def is_service(ref: ParentReference) -> bool:
    return (ref.group, ref.kind) == ("", "Service")


def _is_meant(port: ServicePort, ref: ParentReference, transport: str) -> bool:
    named = ref.section_name in ("", port.name) and ref.port in (None, port.port)
    return named and port.protocol == transport


def _part_in_words(ref: ParentReference) -> str:
    number = f" {ref.port}" if ref.port else ""
    return f"{number} named {ref.section_name}" if ref.section_name else number


def _addresses(
    world: World, faces: Iterable[Mapping[str, Face]]
) -> dict[str, tuple[IPAddress, ...]]:
    """Of this node's workloads in the namespaces that have routes of their own."""
    wanted = {clients for of_port in faces for clients in of_port} - {EVERYBODY}
    found: dict[str, list[IPAddress]] = {name: [] for name in wanted}
    for workload in world.workloads.values() if wanted else ():
        if workload.namespace in found:
            found[workload.namespace] += workload.addresses
    return {
        name: tuple(sorted(items, key=lambda item: (item.version, item)))
        for name, items in found.items()
    }


def _server(face: Face, place: Place, hosts: Hosts, clients: tuple[IPAddress, ...]) -> Server:
    server = Server(face.clients or "everybody", protocol=_PROTOCOLS[face.kind], clients=clients)
    seats = face.routes.values()
    if server.protocol == "HTTP":
        return replace(server, hosts=hosts.of(("service", *place, face.clients), "", seats))
    return replace(server, streams=streams_of("", seats, server.protocol == "TLS"))


def _as_ever(service: Key, port: int) -> Server:
    """For those who have no routes: the Service's own backends, whatever is spoken."""
    own = Destination(service, port, protocol=AppProtocol.TCP)
    return Server("everybody", protocol="TCP", streams=(Stream((own,)),))
