"""Services → frontends and their backends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

import msgspec

from tulle.model.kubernetes import EndpointSlice, ObjectRef, Service, ServicePort, ref_of
from tulle.model.world import IPAddress, IPNetwork, Key, Refusal, Workload, World

from .selectors import named_port

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
HEADLESS = "None"


@dataclass(frozen=True, slots=True, order=True)
class Backend:
    """Where connections of one service port may go; `weight` is relative."""

    address: str
    port: int
    weight: int = 1
    workload: str = ""


@dataclass(frozen=True, slots=True)
class Frontend:
    """One address and port that clients connect to."""

    service: ObjectRef
    address: IPAddress
    port: int
    protocol: str
    affinity_s: int
    backends: tuple[Backend, ...]

    @property
    def name(self) -> str:
        of = f"{self.service.namespace}/{self.service.name}"
        return f"{of}:{self.port}/{self.protocol}@{self.address}"


def backends_of(world: World, service: Service, port: ServicePort, version: int) -> list[Backend]:
    """Endpoints that take new connections, sorted; `version` is the IP family, 4 or 6."""
    if service.spec.selector:
        found = _selected(world, service, port, version)
    else:
        found = _listed(world, service, port, version)
    return sorted({backend.address: backend for backend in found}.values())


def _selected(world: World, service: Service, port: ServicePort, version: int) -> Iterator[Backend]:
    for workload in world.workloads.values():
        if (
            workload.namespace != service.metadata.namespace
            or not service.spec.selector.items() <= workload.labels.items()
            or not (workload.ready or service.spec.publish_not_ready_addresses)
            or not workload.weight
        ):
            continue
        number = _target_port(workload, port)
        for address in workload.addresses:
            if number and address.version == version:
                yield Backend(str(address), number, workload.weight, str(workload))


def _target_port(workload: Workload, port: ServicePort) -> int | None:
    target = port.target_port or port.port
    return named_port(workload, target, port.protocol) if isinstance(target, str) else target


def _listed(world: World, service: Service, port: ServicePort, version: int) -> Iterator[Backend]:
    for item in world.slices.values():
        if not _belongs(item, service) or item.address_type != f"IPv{version}":
            continue
        for listed in item.ports:
            if listed.name != port.name or listed.protocol != port.protocol or not listed.port:
                continue
            for endpoint in item.endpoints:
                ready = endpoint.conditions.ready is not False
                if ready or service.spec.publish_not_ready_addresses:
                    yield Backend(endpoint.addresses[0], listed.port)


def _belongs(item: EndpointSlice, service: Service) -> bool:
    return (
        item.metadata.namespace == service.metadata.namespace
        and item.metadata.labels.get(SERVICE_NAME_LABEL) == service.metadata.name
    )


def addresses_of(service: Service) -> tuple[IPAddress, ...]:
    spec = service.spec
    named = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
    return tuple(ip_address(item) for item in named if item != HEADLESS)


def frontends(world: World) -> tuple[list[Frontend], list[Refusal]]:
    """All frontends of a world whose services have addresses.

    A service whose address belongs to another, earlier one is refused.
    """
    chosen: list[Frontend] = []
    refused: list[Refusal] = []
    owners: dict[IPAddress, ObjectRef] = {}
    for _, service in sorted(world.services.items()):
        ref, addresses = ref_of(service), addresses_of(service)
        clash = next((item for item in addresses if item in owners), None)
        if clash is not None:
            refused.append(Refusal(ref, f"spec.clusterIP: {clash} belongs to {owners[clash]}"))
            continue
        owners.update(dict.fromkeys(addresses, ref))
        chosen += _frontends_of(world, service, ref, addresses)
    return chosen, refused


def _frontends_of(
    world: World, service: Service, ref: ObjectRef, addresses: Iterable[IPAddress]
) -> Iterator[Frontend]:
    spec = service.spec
    sticky = spec.session_affinity == "ClientIP"
    affinity_s = spec.session_affinity_config.client_ip.timeout_seconds if sticky else 0
    for address in addresses:
        for port in spec.ports:
            backends = tuple(backends_of(world, service, port, address.version))
            yield Frontend(ref, address, port.port, port.protocol, affinity_s, backends)


def with_addresses(
    world: World, before: Mapping[str, str]
) -> tuple[World, dict[str, str], list[Refusal]]:
    """Gives each service without a clusterIP one per family of the node's service ranges.

    `before` and the second result map `namespace/name/family` to the address, so that a service
    keeps its address; addresses that users wrote are never given out.
    """
    taken = {address for service in world.services.values() for address in addresses_of(service)}
    given: dict[str, str] = {}
    services: dict[Key, Service] = {}
    refused: list[Refusal] = []
    kept = {ip_address(item) for item in before.values()}
    for key, service in sorted(world.services.items()):
        if service.spec.cluster_ip or service.spec.cluster_ips:
            services[key] = service
            continue
        addresses = []
        for network in _ranges(world, service):
            label = f"{key[0]}/{key[1]}/{network.version}"
            known = ip_address(before[label]) if label in before else None
            if known is None or known in taken or known not in network:
                known = _first_free(network, taken | kept)
            if known is None:
                refused.append(Refusal(ref_of(service), f"service range {network} is used up"))
                continue
            taken.add(known)
            given[label] = str(known)
            addresses.append(str(known))
        services[key] = _addressed(service, tuple(addresses))
    return replace(world, services=services), given, refused


def _ranges(world: World, service: Service) -> Iterator[IPNetwork]:
    families = service.spec.ip_families
    single = service.spec.ip_family_policy == "SingleStack"
    for network in world.node.service_cidrs[: 1 if single and not families else None]:
        if not families or f"IPv{network.version}" in families:
            yield network


def _first_free(network: IPNetwork, taken: set[IPAddress]) -> IPAddress | None:
    # From .10 on, as Kubernetes leaves the start of the range to addresses that people choose.
    for offset in range(10, min(network.num_addresses - 1, 1 << 16)):
        address = network.network_address + offset
        if address not in taken:
            return address
    return None


def _addressed(service: Service, addresses: tuple[str, ...]) -> Service:
    first = addresses[0] if addresses else ""
    spec = msgspec.structs.replace(service.spec, cluster_ip=first, cluster_ips=addresses)
    return msgspec.structs.replace(service, spec=spec)
