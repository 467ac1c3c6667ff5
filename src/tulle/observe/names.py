"""What the numbers in kernel events mean, as one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

from tulle.compile.services import Frontend, addresses_of
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import ObjectRef, Service
from tulle.model.verdict import Rule
from tulle.model.world import IPAddress, Key, Workload

CgroupId = int
Learnt = Callable[[int, IPAddress], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Names:
    """`clock_offset_ns` is CLOCK_REALTIME minus CLOCK_MONOTONIC.

    `learnt` tells by which names a workload, of that interface, knows an address.
    """

    node: str = "local"
    workloads: Mapping[IPAddress, Workload] = field(default_factory=dict)
    cgroups: Mapping[CgroupId, Workload] = field(default_factory=dict)
    identities: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    rules: Mapping[int, Rule] = field(default_factory=dict)
    services: Mapping[int, ObjectRef] = field(default_factory=dict)
    service_addresses: Mapping[IPAddress, ObjectRef] = field(default_factory=dict)
    clock_offset_ns: int = 0
    learnt: Learnt = lambda _ifindex, _address: ()


def labels_of(identities: Mapping[int, str]) -> dict[int, tuple[str, ...]]:
    """The names of identities as the labels that they are made of."""
    return {number: tuple(name.split(";")) if name else () for number, name in identities.items()}


def services_of(frontends: Mapping[int, Frontend]) -> dict[int, ObjectRef]:
    return {number: frontend.service for number, frontend in frontends.items()}


def owners_of(services: Mapping[Key, Service]) -> dict[IPAddress, ObjectRef]:
    """Every address that is a service's own, on whatever port."""
    return {
        address: ref_of(service)
        for service in services.values()
        for address in (
            *addresses_of(service),
            *map(ip_address, service.spec.external_ips),
            *(ip_address(item.ip) for item in service.status.load_balancer.ingress if item.ip),
        )
    }
