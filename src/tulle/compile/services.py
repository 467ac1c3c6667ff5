"""Services → frontends and their backends."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

import msgspec

from tulle.errors import Refused
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import (
    HEADLESS,
    SERVICE_NAME_LABEL,
    EndpointSlice,
    ObjectRef,
    Service,
    ServicePort,
)
from tulle.model.world import IPAddress, IPNetwork, Key, Refusal, Workload, World

from .selectors import named_port


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
    return sorted(set(found))


def _selected(world: World, service: Service, port: ServicePort, version: int) -> Iterator[Backend]:
    for workload in world.workloads.values():
        if (
            workload.namespace != service.metadata.namespace
            or not service.spec.selector.items() <= workload.labels.items()
            or not (workload.ready or service.spec.publish_not_ready_addresses)
            or workload.weight < 1
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


def headless_addresses(world: World, service: Service) -> tuple[IPAddress, ...]:
    """What the name of a service without an address of its own stands for: its endpoints."""
    found = {
        backend.address
        for port in service.spec.ports
        for version in (4, 6)
        for backend in backends_of(world, service, port, version)
    }
    return tuple(sorted((ip_address(item) for item in found), key=str))


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
    keeps its address; `before` may also hold those of services that are gone, which are given to
    others last. Addresses that users wrote are never given out.
    """
    pool = _Pool(world, before)
    services: dict[Key, Service] = {}
    refused: list[Refusal] = []
    for key, service in sorted(world.services.items()):
        if service.spec.cluster_ip or service.spec.cluster_ips:
            services[key] = service
            continue
        addresses = []
        for family in _families(world, service):
            try:
                addresses.append(pool.take(f"{key[0]}/{key[1]}", family))
            except Refused as error:
                refused.append(Refusal(ref_of(service), str(error)))
        services[key] = _addressed(service, tuple(addresses))
    return replace(world, services=services), pool.given, refused


class _Pool:
    """The service ranges of a node, one per family."""

    def __init__(self, world: World, before: Mapping[str, str]) -> None:
        self._taken = {
            item for service in world.services.values() for item in addresses_of(service)
        }
        self._before = {name: ip_address(text) for name, text in before.items()}
        self._ranges = {f"IPv{item.version}": item for item in reversed(world.node.service_cidrs)}
        kept = self._taken | set(self._before.values())
        self._free = {family: _free(network, kept) for family, network in self._ranges.items()}
        self._present = {f"{namespace}/{name}" for namespace, name in world.services}
        self.given: dict[str, str] = {}

    def _given_back(self, network: IPNetwork) -> IPAddress | None:
        """The address of a service that is gone: only once no other is left, as late as can be."""
        for name, address in self._before.items():
            gone = name.rpartition("/")[0] not in self._present
            if gone and address in network and address not in self._taken:
                return address
        return None

    def take(self, name: str, family: str) -> str:
        """The address that `name` had, or a free one. Raises Refused if there is none."""
        network = self._ranges.get(family)
        if network is None:
            raise Refused(f"the node has no {family} service range")
        label = f"{name}/{family[-1]}"
        address = self._before.get(label)
        if address is None or address in self._taken or address not in network:
            address = next(self._free[family], None) or self._given_back(network)
        if address is None:
            raise Refused(f"service range {network} is used up")
        self._taken.add(address)
        self.given[label] = str(address)
        return str(address)


def _free(network: IPNetwork, kept: Container[IPAddress]) -> Iterator[IPAddress]:
    # From .10 on, as Kubernetes leaves the start of the range to addresses that people choose.
    for offset in range(10, min(network.num_addresses - 1, 1 << 16)):
        address = network.network_address + offset
        if address not in kept:
            yield address


def _families(world: World, service: Service) -> Sequence[str]:
    """Kubernetes' rule: one family unless the service asks for both, its own order kept."""
    spec = service.spec
    families: Sequence[str] = spec.ip_families
    if not families:
        families = [f"IPv{network.version}" for network in world.node.service_cidrs]
    if spec.ip_family_policy == "RequireDualStack":
        families = [*families, "IPv4", "IPv6"]
    families = list(dict.fromkeys(families))
    both = spec.ip_family_policy in ("PreferDualStack", "RequireDualStack")
    asked = spec.ip_family_policy is None and len(spec.ip_families) > 1
    return families if both or asked else families[:1]


def _addressed(service: Service, addresses: tuple[str, ...]) -> Service:
    first = addresses[0] if addresses else ""
    spec = msgspec.structs.replace(service.spec, cluster_ip=first, cluster_ips=addresses)
    return msgspec.structs.replace(service, spec=spec)
