"""Services that stand for Gateways and classes of Ingresses, so that all are given addresses alike.

One is `tulle-gateway-NAME` in the Gateway's namespace, of type LoadBalancer, with a port for each
that a listener has; `tulle-ingress-CLASS` is in the namespace `default`. A Service of that name
which a user made stays, and the Gateway gets no address.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Literal

import msgspec

from tulle.model.gateway import Gateway
from tulle.model.kubernetes import (
    LB_ADDRESSES_ANNOTATIONS,
    ObjectMeta,
    Protocol,
    Service,
    ServicePort,
    ServiceSpec,
)
from tulle.model.references import GATEWAY_GROUP
from tulle.model.world import IPAddress, Key, World

from ..services.pools import spans_for
from .gateways import Owned, owned_gateways, wanted_addresses
from .ingress import by_class
from .ingress_fronts import ports_of, service_of

_PROTOCOLS: dict[str, Protocol] = {"TCP": "TCP", "UDP": "UDP"}
OWNER_LABEL = f"{GATEWAY_GROUP}/gateway-name"


@dataclass(frozen=True, slots=True)
class Standing:
    """Services that were `made`, and for which world; of them those are in `all` that no user's
    Service is in the way of."""

    sources: tuple[object, ...] = ()
    given: Mapping[Key, Service] = field(default_factory=dict)
    made: Mapping[Key, Service] = field(default_factory=dict)
    all: Mapping[Key, Service] = field(default_factory=dict)


def with_gateways(world: World, before: Standing | None = None) -> tuple[World, Standing]:
    """The world with a Service for each Gateway. What stays the same is the same object."""
    old = before or Standing()
    sources = (
        world.gateway_classes,
        world.gateways,
        world.ingress_classes,
        world.ingresses,
        world.listener_sets,
        world.namespaces,
        world.address_pools,
        world.node,
        world.nodes,
    )
    same = len(sources) == len(old.sources) and all(map(_is, sources, old.sources))
    if same and world.services is old.given:
        return replace(world, services=old.all), old
    made = old.made if same else _services(world, old.made)
    everything = {**made, **world.services} if made else world.services
    return replace(world, services=everything), Standing(sources, world.services, made, everything)


def _is(one: object, other: object) -> bool:
    return one is other


def _services(world: World, known: Mapping[Key, Service]) -> dict[Key, Service]:
    found = {}
    for owned in owned_gateways(world).values():
        if owned.accepted.holds:
            found[owned.service] = _of_gateway(owned, world)
    for name, ingresses in by_class(world).items():
        found[service_of(name)] = _of_class(name, ports_of(ingresses), world)
    return {
        key: old if (old := known.get(key)) == service else service
        for key, service in found.items()
    }


def _of_gateway(owned: Owned, world: World) -> Service:
    gateway, (namespace, name) = owned.gateway, owned.service
    labels = {**gateway.spec.infrastructure.labels, OWNER_LABEL: gateway.metadata.name}
    annotations = dict(gateway.spec.infrastructure.annotations)
    service = Service(ObjectMeta(name, namespace, labels, annotations), _spec(owned.ports()))
    wanted, bad = wanted_addresses(gateway)
    if not wanted and not bad:
        return _with_addresses(service, _told(gateway, service, world), world, named=False)
    return _with_addresses(service, wanted, world, named=True)


def _told(gateway: Gateway, service: Service, world: World) -> list[IPAddress]:
    """What the API says that it has, so that it keeps them; none if that is not what it would get.

    A status that a file has is no such word: it never comes this far.
    """
    spans = spans_for(world.address_pools, service)
    told = (gateway.status or {}).get("addresses") or []
    found = [ip_address(item["value"]) for item in told if _is_address(item)]
    is_whole = {item.version for item in found} == {span.version for span in spans}
    pooled = all(any(item in span for span in spans) for item in found)
    return found if is_whole and pooled else []


def _is_address(item: Mapping[str, str]) -> bool:
    try:
        return bool(ip_address(item["value"]))
    except (KeyError, ValueError):
        return False


def _of_class(name: str, ports: Iterable[tuple[int, str]], world: World) -> Service:
    namespace, own = service_of(name)
    service = Service(ObjectMeta(own, namespace, {OWNER_LABEL: name}), _spec(ports))
    return _with_addresses(service, [], world, named=False)


def _spec(ports: Iterable[tuple[int, str]]) -> ServiceSpec:
    return ServiceSpec(
        type="LoadBalancer",
        ports=tuple(
            ServicePort(number, f"{protocol.lower()}-{number}", _PROTOCOLS[protocol])
            for number, protocol in ports
        ),
        allocate_load_balancer_node_ports=False,
    )


def _with_addresses(
    service: Service, wanted: list[IPAddress], world: World, named: bool
) -> Service:
    """Those of a pool are asked for; a node's own are there without asking.

    `named`: it is to have no others than those wanted. Without a pool it is reached within the
    mesh, by its cluster addresses.
    """
    spans = spans_for(world.address_pools, service)
    ranges = _versions(world)
    families = sorted({span.version for span in spans} & ranges or ranges)
    pooled = [item for item in wanted if any(item in span for span in spans)]
    own = {item for node in (world.node, *world.nodes.values()) for item in node.addresses}
    external = tuple(str(item) for item in wanted if item in own and item not in pooled)
    spec, metadata = service.spec, service.metadata
    names: tuple[Literal["IPv4", "IPv6"], ...] = tuple(
        "IPv4" if version == 4 else "IPv6" for version in families
    )
    spec = msgspec.structs.replace(spec, ip_families=names, external_ips=external)
    if pooled:
        asked = {LB_ADDRESSES_ANNOTATIONS[0]: ",".join(map(str, pooled))}
        metadata = msgspec.structs.replace(metadata, annotations={**metadata.annotations, **asked})
    elif named or not spans:
        spec = msgspec.structs.replace(
            spec, type="ClusterIP", allocate_load_balancer_node_ports=True
        )
    return msgspec.structs.replace(service, spec=spec, metadata=metadata)


def _versions(world: World) -> set[int]:
    """In which an address can be given: workloads speak it, wherever they run."""
    nodes = (world.node, *world.nodes.values())
    spoken: set[int] = {network.version for node in nodes for network in node.pod_cidrs}
    given: set[int] = {network.version for network in world.node.service_cidrs}
    return given & spoken or given


def addresses_of(
    service: Service | None, name: str, *, only: Collection[IPAddress] | None = None
) -> tuple[IPAddress, ...]:
    """Where the Service of a Gateway or a class is reached, by the name of that.

    Inside of the mesh only if it has no other address. `only` are the ones that it asked for, None
    if it did not.
    """
    if service is None or service.metadata.labels.get(OWNER_LABEL) != name:
        return ()
    spec, given = service.spec, service.status.load_balancer.ingress
    outside = [*spec.external_ips, *(item.ip for item in given if item.ip)]
    found = tuple(ip_address(text) for text in dict.fromkeys(outside))
    if only is not None:
        return tuple(item for item in found if item in only)
    return found or tuple(ip_address(text) for text in spec.cluster_ips)
