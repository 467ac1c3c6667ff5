"""World → Routing. What is unchanged stays the same object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tulle.model.gateway_routes import GRPCRoute, HTTPRoute, Route
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import ObjectRef
from tulle.model.routing import Front, Routing
from tulle.model.world import Key, Refusal, World

from .attach import Attachment, Parents, part_kinds
from .backend_tls import BackendPolicies
from .classes import class_status
from .conditions import Json
from .contents import Contents
from .facts import Asking, Facts, still_hold
from .forms import Form
from .fronts import gateway_fronts
from .gateways import Owned, owned_gateways, wanted_addresses
from .grants import Grants
from .grpc import grpc_form
from .hosts import Hosts
from .http import http_form
from .ingress import IngressForm, by_class, ingress_forms, ingress_status
from .ingress_fronts import ClassFronts, service_of
from .mesh import Mesh, is_service
from .services import addresses_of
from .status import RouteStatuses, gateway_status, policy_statuses, set_status
from .streams import stream_form
from .tls import backend_certificate, set_termination

# Of the world, what a routing is made from.
_SOURCES = frozenset(
    {
        "backend_tls",
        "config_maps",
        "gateway_classes",
        "gateways",
        "grants",
        "grpc_routes",
        "http_routes",
        "ingress_classes",
        "ingresses",
        "listener_sets",
        "namespaces",
        "secrets",
        "services",
        "tcp_routes",
        "tls_routes",
        "udp_routes",
    }
)
_FACTS = ("services", "grants", "backend_tls", "config_maps")  # what answers follow from

# By the kind of route: of each, for the mesh (True) or for Gateways.
Uses = tuple[tuple[bool, Form], ...]
Forms = Mapping[str, Mapping[Key, Uses]]


@dataclass(slots=True)
class Memo:
    """What the next routing may take over."""

    world: World
    contents: Contents
    policies: BackendPolicies
    forms: Forms = field(default_factory=dict)
    ingresses: Mapping[ObjectRef, IngressForm] = field(default_factory=dict)
    of_clients: bool = False  # it depends on where workloads are
    hosts: Hosts = field(default_factory=Hosts)
    statuses: RouteStatuses = field(default_factory=RouteStatuses)
    mesh: Mesh | None = None


def route(world: World, before: Routing | None = None) -> Routing:
    """`world` has its Gateways' Services, with addresses. `before` only saves work."""
    old = before.memo if before is not None and isinstance(before.memo, Memo) else None
    if before is not None and old is not None and _same_sources(old, world):
        return before
    return _Pass(world, old).routing(before)


def _same_sources(old: Memo, world: World) -> bool:
    names = _SOURCES | {"workloads"} if old.of_clients else _SOURCES
    return _are_same(names, old.world, world)


def _are_same(names: Iterable[str], one: World, other: World) -> bool:
    return all(getattr(one, name) is getattr(other, name) for name in names)


class _Pass:
    def __init__(self, world: World, old: Memo | None) -> None:
        self._world = world
        self._grants = Grants(world.grants.values())
        self._contents = Contents(world, old.contents if old else None)
        policies = BackendPolicies(world.backend_tls, self._contents, old.policies if old else None)
        self._facts = Facts(world, self._grants, policies)
        self._same_facts = old is not None and _are_same(_FACTS, old.world, world)
        self._forms = self._routes(old)
        self._mesh = Mesh(world, self._forms_of(mesh=True), old.mesh if old else None)
        self._ingresses: dict[ObjectRef, IngressForm] = {}
        self._old_ingresses = old.ingresses if old else {}
        self._refusals: list[Refusal] = []
        self._hosts = Hosts(old.hosts if old else None)
        self._statuses = RouteStatuses(old.statuses if old else None)

    def routing(self, before: Routing | None) -> Routing:
        owned = owned_gateways(self._world)
        for item in owned.values():
            self._secure(item)
        attachments = self._attach(owned.values(), Parents(owned, self._world))
        fronts: dict[str, Front] = {}
        status: dict[ObjectRef, Json] = {}
        for item in owned.values():
            self._serve(item, fronts, status)
        fronts |= self._mesh.fronts(self._hosts)
        self._serve_ingresses(fronts, status)
        self._say(attachments, status)
        memo = Memo(
            self._world,
            self._contents,
            self._facts.policies,
            self._forms,
            self._ingresses,
            self._mesh.has_consumers,
            self._hosts,
            self._statuses,
            self._mesh,
        )
        self._hosts.forget_older()
        self._statuses.forget_older()
        known = before.fronts if before is not None else {}
        kept = {name: _unchanged(front, known.get(name)) for name, front in fronts.items()}
        return Routing(kept, status, tuple(self._refusals), memo)

    def _routes(self, old: Memo | None) -> Forms:
        known = old.forms if old else {}
        found: dict[str, Mapping[Key, Uses]] = {}
        for kind in ("http_routes", "grpc_routes", "tls_routes", "tcp_routes", "udp_routes"):
            before = known.get(kind, {})
            if old is not None and self._same_facts and _are_same([kind], old.world, self._world):
                found[kind] = before
                continue
            routes: Mapping[Key, Route] = getattr(self._world, kind)
            found[kind] = {
                key: self._uses(item, before.get(key, ())) for key, item in routes.items()
            }
        return found

    def _uses(self, item: Route, known: Uses) -> Uses:
        if not known or known[0][1].route is not item:
            return tuple((of_mesh, self._form(item, of_mesh)) for of_mesh in _uses(item))
        if self._same_facts:
            return known
        return tuple(self._kept(of_mesh, form) for of_mesh, form in known)

    def _forms_of(self, *, mesh: bool) -> dict[ObjectRef, Form]:
        return {
            form.ref: form
            for routes in self._forms.values()
            for uses in routes.values()
            for of_mesh, form in uses
            if of_mesh is mesh
        }

    def _kept(self, of_mesh: bool, form: Form) -> tuple[bool, Form]:
        """The form, or a new one if it had other answers now."""
        if still_hold(form.answers, self._facts):
            return of_mesh, form
        return of_mesh, self._form(form.route, of_mesh)

    def _form(self, item: Route, of_mesh: bool) -> Form:
        return _form(item, Asking(self._facts, of_mesh))

    def _secure(self, item: Owned) -> None:
        for spot in item.all_spots():
            set_termination(spot, item.gateway, self._contents, self._grants)
        item.certificate, item.resolved = backend_certificate(
            item.gateway, self._contents, self._grants
        )

    def _attach(self, owned: Iterable[Owned], parents: Parents) -> list[Attachment]:
        """To Gateways and what is on them."""
        ordered = sorted(self._forms_of(mesh=False).items(), key=lambda item: item[0])
        attachments = [found for _, form in ordered for found in parents.attach(form)]
        part_kinds((spot for item in owned for spot in item.all_spots()), attachments)
        return attachments

    def _serve(self, item: Owned, fronts: dict[str, Front], status: dict[ObjectRef, Json]) -> None:
        service = self._world.services.get(item.service)
        wanted, bad = wanted_addresses(item.gateway)
        only = wanted if wanted or bad else None
        addresses = addresses_of(service, item.gateway.metadata.name, only=only)
        for front in gateway_fronts(item, addresses, self._hosts):
            fronts[front.name] = front
        status[ref_of(item.gateway)] = gateway_status(item, addresses)
        for on in item.sets:
            status[ref_of(on.listener_set)] = set_status(on)

    def _serve_ingresses(self, fronts: dict[str, Front], status: dict[ObjectRef, Json]) -> None:
        for name, ingresses in by_class(self._world).items():
            forms = list(ingress_forms(ingresses, self._facts, self._old_ingresses))
            made = ClassFronts(name, forms, self._contents)
            service = self._world.services.get(service_of(name))
            addresses = addresses_of(service, name)
            fronts.update((front.name, front) for front in made.fronts(addresses, self._hosts))
            problems = list(made.problems)
            for form in forms:
                ref = ref_of(form.ingress)
                self._ingresses[ref] = form
                status[ref] = ingress_status(addresses)
                problems += [(ref, problem) for problem in form.problems]
            self._refusals += [
                Refusal(ref, f"{text}; the rest is in force") for ref, text in problems
            ]

    def _say(self, attachments: list[Attachment], status: dict[ObjectRef, Json]) -> None:
        by_route: dict[ObjectRef, tuple[Attachment, ...]] = dict(self._mesh.attachments)
        for item in attachments:
            by_route[item.form.ref] = (*by_route.get(item.form.ref, ()), item)
        status.update(self._statuses.of_all(by_route))
        status.update(policy_statuses(self._facts.policies, attachments))
        for gateway_class in self._world.gateway_classes.values():
            said = class_status(gateway_class)
            if said is not None:
                status[ref_of(gateway_class)] = said


def _uses(item: Route) -> Iterator[bool]:
    """Whether for the mesh: of a route with Services and Gateways as parents both."""
    spec = item.spec
    if any(is_service(ref) for ref in spec.parent_refs):
        yield True
    if spec.use_default_gateways != "None" or not all(map(is_service, spec.parent_refs)):
        yield False


def _form(item: Route, asking: Asking) -> Form:
    if isinstance(item, HTTPRoute):
        return http_form(item, asking)
    if isinstance(item, GRPCRoute):
        return grpc_form(item, asking)
    return stream_form(item, asking)


def _unchanged(front: Front, known: Front | None) -> Front:
    """The earlier object if nothing has changed, so that nobody looks into it again."""
    return known if known is front or (known == front and known is not None) else front
