"""Routes whose parent is a Service (GAMMA, GEP-1294).

Of the Service's namespace they hold for everybody (producer routes), of another one for that
namespace's workloads (consumer routes), who then have these alone. Where a route is, it takes the
place of the Service's own backends. Hostnames of routes mean nothing here, and backends need
no grant: whoever reaches a Service may do so by a route too.
"""

from __future__ import annotations

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
    """All routes on Services. `before` is the one of an earlier world, and only saves work: of what
    no changed route touches, all is taken over."""

    def __init__(
        self, world: World, forms: Mapping[ObjectRef, Form], before: Mesh | None = None
    ) -> None:
        self._world, self._forms = world, forms
        self._made_before = before._made if before else {}
        old = before if before and before._world.services is world.services else None
        self._meanings: dict[ObjectRef, tuple[Meant, ...]] = dict(old._meanings) if old else {}
        self._at: dict[Place, set[ObjectRef]] = dict(old._at) if old else {}
        self._faces: dict[Place, dict[str, Face]] = dict(old._faces) if old else {}
        self._mixed: set[Place] = set(old._mixed) if old else set()
        self._of_consumers: set[Place] = set(old._of_consumers) if old else set()
        self._made: dict[Place, Made] = dict(old._made) if old else {}
        self._fronts: dict[str, Front] = dict(old._fronts) if old else {}
        self.attachments: dict[ObjectRef, tuple[Attachment, ...]] = (
            dict(old.attachments) if old else {}
        )
        was = old._forms if old else {}
        changed = {ref for ref, form in forms.items() if was.get(ref) is not form}
        changed |= was.keys() - forms.keys()
        self._touched: set[Place] = set()
        for ref in changed:
            self._seat(ref)
        self._attach(changed.union(*map(self._face, self._touched)))

    @property
    def has_consumers(self) -> bool:
        return bool(self._of_consumers)

    def _seat(self, ref: ObjectRef) -> None:
        """Where its new form says, and no longer where its old one did."""
        for place in _places(self._meanings.pop(ref, ())):
            self._those_at(place).discard(ref)
        form = self._forms.get(ref)
        if form is not None:
            self._meanings[ref] = tuple(self._meant(form))
            for place in _places(self._meanings[ref]):
                self._those_at(place).add(ref)

    def _those_at(self, place: Place) -> set[ObjectRef]:
        """To be changed: no longer the set that the Mesh before has."""
        if place not in self._touched:
            self._touched.add(place)
            self._at[place] = set(self._at.get(place, ()))
        return self._at[place]

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

    def _face(self, place: Place) -> set[ObjectRef]:
        """Makes its faces anew; gives the routes that may be attached otherwise than before."""
        faces: dict[str, Face] = {}
        for ref in sorted(self._at[place]):
            for meant in self._meanings[ref]:
                for port in (port for there, port in meant.ports if there == place):
                    face = faces.setdefault(meant.clients, Face(meant.service, port, meant.clients))
                    face.routes[ref] = Seat(self._forms[ref], ("",))
        self._faces[place] = faces
        was_mixed = place in self._mixed
        mixed = [_keep_one_kind(face) for face in faces.values()]
        _note(self._mixed, place, any(mixed))
        _note(self._of_consumers, place, any(clients != EVERYBODY for clients in faces))
        return self._at[place] if was_mixed or place in self._mixed else set()

    def _attach(self, refs: Iterable[ObjectRef]) -> None:
        """One attachment for each reference to a Service that there is."""
        for ref in refs:
            self.attachments[ref] = tuple(
                Attachment(self._forms[ref], meant.ref, None, self._verdict(ref, meant))
                for meant in self._meanings.get(ref, ())
            )
            if not self.attachments[ref]:
                del self.attachments[ref]

    def _verdict(self, ref: ObjectRef, meant: Meant) -> Verdict:
        faces = [self._faces[place][meant.clients] for place, _ in meant.ports]
        if not faces or any(ref in face.routes for face in faces):
            return meant.verdict
        return Verdict(False, "Conflicted", f"a {faces[0].kind} is on the same port")

    def fronts(self, hosts: Hosts) -> Mapping[str, Front]:
        """By their names."""
        consumers = [self._faces[place] for place in self._of_consumers]
        clients = _addresses(self._world, consumers)
        for place in sorted(self._touched | self._of_consumers):
            name = front_name("service", *place)
            self._fronts.pop(name, None)
            if not self._faces[place]:
                for gone in (self._at, self._faces, self._made):
                    gone.pop(place, None)
                continue
            made = self._made[place] = self._make(place, clients, hosts)
            if made.front is not None:
                self._fronts[name] = made.front
        self._made_before = {}
        return self._fronts

    def _make(
        self, place: Place, clients: Mapping[str, tuple[IPAddress, ...]], hosts: Hosts
    ) -> Made:
        faces = self._faces[place]
        made = Made(
            next(iter(faces.values())).service,
            tuple([(name, _forms(face)) for name, face in faces.items()]),
            tuple([clients.get(name, ()) for name in faces]),
            None,
        )
        known = self._made_before.get(place)
        if known is not None and known.holds(made):
            return known
        return made._replace(front=_front(place, faces, clients, hosts))


def _note(places: set[Place], place: Place, holds: bool) -> None:
    (places.add if holds else places.discard)(place)


def _places(meanings: Iterable[Meant]) -> Iterator[Place]:
    return (place for meant in meanings for place, _ in meant.ports)


def _keep_one_kind(face: Face) -> bool:
    """In the order that the GEP gives. Whether there were several."""
    kind = face.kind
    kept = {ref: seat for ref, seat in face.routes.items() if ref.kind == kind}
    several, face.routes = len(kept) < len(face.routes), kept
    return several


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
