"""What a Service leaves open is filled in: cluster addresses, node ports, load balancer addresses.

Every node of a mesh must come to the same answer without asking another, also one that starts
later. So the answer is a function of the services that exist and of nothing remembered: what users
wrote comes first, then each service in the order of their names takes the place that its name
points to, or the next free one. Imports of the cluster set come last: what they say may be written
by whoever may write one of them, and nobody else loses an address by it. So a service keeps its
address as long as it exists, except when one that comes before it in that order is made or removed
and the two collide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Generic, TypeVar

import msgspec

from tulle.errors import Refused
from tulle.model.kubernetes import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    ObjectRef,
    Service,
    ServicePort,
    ServiceStatus,
)
from tulle.model.multicluster import import_of
from tulle.model.world import IPAddress, IPNetwork, Key, Refusal, World

from .pools import Span, spans_for
from .wishes import Wish, wish_of

FOR_PEOPLE = 10  # Kubernetes too leaves the start of the range to addresses that people choose


@dataclass(frozen=True, slots=True)
class Fill:
    """What a service was given, in the order of its own lists."""

    cluster_ips: tuple[str, ...] = ()
    node_ports: tuple[int | None, ...] = ()
    ingress: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Allocated:
    """The services with nothing left open. One that came out the same is the same object."""

    services: Mapping[Key, Service] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    asked: Mapping[Key, Service] = field(default_factory=dict)
    basis: tuple[object, ...] = ()
    wishes: Mapping[Key, Wish] = field(default_factory=dict)
    fills: Mapping[Key, Fill] = field(default_factory=dict)


def with_addresses(world: World, before: Allocated | None = None) -> tuple[World, Allocated]:
    """The world with its services filled in. `before` only saves work."""
    ranges = world.node.service_cidrs
    basis = (ranges, world.settings.node_ports, world.address_pools)
    before = before if before is not None and before.basis == basis else Allocated()
    if before.basis and before.asked is world.services:
        return replace(world, services=before.services), before
    wishes = {}
    for key, service in sorted(world.services.items(), key=lambda item: item[0]):
        same = before.asked.get(key) is service
        wishes[key] = before.wishes[key] if same else wish_of(service, ranges)
    allocation = _Allocation(world)
    fills: dict[Key, Fill] = {}
    for turn in _turns(wishes):
        allocation.claim(turn)
        fills |= {key: allocation.fill(world.services[key], wish) for key, wish in turn.items()}
    services = {
        key: before.services[key]
        if before.asked.get(key) is service and before.fills[key] == fills[key]
        else _filled(service, fills[key])
        for key, service in world.services.items()
    }
    refusals = tuple(allocation.refusals)
    made = Allocated(services, refusals, world.services, basis, wishes, fills)
    return replace(world, services=services), made


def _turns(wishes: Mapping[Key, Wish]) -> Iterator[Mapping[Key, Wish]]:
    for is_last in (False, True):
        yield {key: wish for key, wish in wishes.items() if bool(import_of(key[1])) is is_last}


def _filled(service: Service, fill: Fill) -> Service:
    spec, status = service.spec, service.status
    if fill.cluster_ips != spec.cluster_ips:
        spec = msgspec.structs.replace(
            spec, cluster_ip=fill.cluster_ips[0], cluster_ips=fill.cluster_ips
        )
    if fill.node_ports != tuple(port.node_port for port in spec.ports if fill.node_ports):
        ports = tuple(
            msgspec.structs.replace(port, node_port=number)
            for port, number in zip(spec.ports, fill.node_ports, strict=True)
        )
        spec = msgspec.structs.replace(spec, ports=ports)
    if fill.ingress != tuple(item.ip for item in status.load_balancer.ingress if fill.ingress):
        ingress = tuple(map(LoadBalancerIngress, fill.ingress))
        status = ServiceStatus(LoadBalancerStatus(ingress))
    if spec is service.spec and status is service.status:
        return service
    return msgspec.structs.replace(service, spec=spec, status=status)


P = TypeVar("P")


class _Taken(Generic[P]):
    """Places, each with the service that was there first."""

    def __init__(self) -> None:
        self._owners: dict[P, ObjectRef] = {}

    def claim(self, place: P, owner: ObjectRef) -> ObjectRef:
        """Who has it now."""
        return self._owners.setdefault(place, owner)

    def take(self, places: Iterable[P], owner: ObjectRef) -> P | None:
        """The first that is free."""
        for place, _ in zip(places, range(len(self._owners) + 1), strict=False):
            if place not in self._owners:  # found at last among one more than are taken
                self._owners[place] = owner
                return place
        return None


class _Allocation:
    def __init__(self, world: World) -> None:
        self.refusals: list[Refusal] = []
        self._services = world.services
        self._pools = world.address_pools
        self._ports = world.settings.node_ports
        self._ranges: dict[int, IPNetwork] = {
            item.version: item for item in reversed(world.node.service_cidrs)
        }
        self._addresses: _Taken[IPAddress] = _Taken()
        self._numbers: _Taken[tuple[int, str]] = _Taken()
        self._held: dict[IPAddress, ObjectRef] = {}  # given, not only wished for

    def claim(self, wishes: Mapping[Key, Wish]) -> None:
        for key, wish in wishes.items():
            self._claim(self._services[key], wish)

    def _claim(self, service: Service, wish: Wish) -> None:
        """What users wrote is theirs before anything is given out."""
        for address in wish.given.values():
            self._addresses.claim(address, wish.ref)
        for text in (*service.spec.external_ips, *wish.ingress, *wish.asked):
            self._addresses.claim(ip_address(text), wish.ref)
        for port in service.spec.ports if wish.port_points else ():
            if port.node_port:
                self._numbers.claim((port.node_port, port.protocol), wish.ref)

    def fill(self, service: Service, wish: Wish) -> Fill:
        if not wish.families:
            return Fill()
        addresses = tuple(self._cluster_ips(wish))
        versions = {address.version for address in addresses}
        for index, text in enumerate(service.spec.external_ips):
            if (version := ip_address(text).version) not in versions:
                where = f"spec.externalIPs[{index}]"
                self._refuse(wish, f"{where}: left out, the service has no IPv{version} cluster IP")
        ports = tuple(self._node_ports(service.spec.ports, wish))
        ingress = tuple(self._ingress(service, wish, sorted(versions)))
        for address in (*addresses, *ingress):
            self._held.setdefault(address, wish.ref)
        return Fill(tuple(map(str, addresses)), ports, tuple(map(str, ingress)))

    def _refuse(self, wish: Wish, reason: str) -> None:
        self.refusals.append(Refusal(wish.ref, reason))

    def _cluster_ips(self, wish: Wish) -> Iterator[IPAddress]:
        for family, point in zip(wish.families, wish.points, strict=True):
            network = self._ranges.get(family)
            given = wish.given.get(family)
            owner = self._held.get(given) if given and import_of(wish.ref.name) else None
            if owner:
                self._refuse(wish, f"spec.ips: {given} belongs to {owner}: it gets another")
            if given and not owner:
                yield given
            elif network is None:
                self._refuse(wish, f"the node has no IPv{family} service range")
            else:
                first = int(network.network_address) + FOR_PEOPLE
                span = Span(family, first, network.num_addresses - FOR_PEOPLE - 1)
                address = self._addresses.take(_from_point((span,), point), wish.ref)
                if address is None:
                    self._refuse(wish, f"service range {network} is used up")
                else:
                    yield address

    def _node_ports(self, ports: Sequence[ServicePort], wish: Wish) -> Iterator[int | None]:
        first, last = self._ports
        size = last + 1 - first
        for index, point in enumerate(wish.port_points):
            number, protocol = ports[index].node_port, ports[index].protocol
            reason = ""
            if number is None and point is not None:
                places = ((first + (point + step) % size, protocol) for step in range(size))
                place = self._numbers.take(places, wish.ref)
                number = place[0] if place else None
                reason = "" if place else f"{first}-{last} are used up: it has none"
            elif number is not None and not first <= number <= last:
                reason, number = f"{number} is not in {first}-{last}: it has none", None
            if reason:
                self._refuse(wish, f"spec.ports[{index}].nodePort: {reason}")
            yield number

    def _ingress(
        self, service: Service, wish: Wish, versions: Sequence[int]
    ) -> Iterator[IPAddress]:
        if service.spec.type != "LoadBalancer":
            return
        if wish.ingress:
            yield from map(ip_address, wish.ingress)
            return
        spans = spans_for(self._pools, service)
        wanted = [ip_address(text) for text in wish.asked]
        for choice in wanted or versions:
            try:
                if isinstance(choice, int):
                    yield self._from_pools(wish, spans, choice)
                else:
                    yield self._asked_for(wish, spans, choice)
            except Refused as error:
                self._refuse(wish, f"no load balancer address: {error}; the rest is in force")

    def _from_pools(self, wish: Wish, spans: Sequence[Span], version: int) -> IPAddress:
        own = [span for span in spans if span.version == version]
        if not own:
            raise Refused(f"no CiliumLoadBalancerIPPool with IPv{version} addresses selects it")
        point = wish.points[wish.families.index(version)]
        address = self._addresses.take(_from_point(own, point), wish.ref)
        if address is None:
            raise Refused(f"the IPv{version} pools that select it are used up")
        return address

    def _asked_for(self, wish: Wish, spans: Sequence[Span], address: IPAddress) -> IPAddress:
        if not any(address in span for span in spans):
            raise Refused(f"{address} is in no CiliumLoadBalancerIPPool that selects it")
        if (owner := self._addresses.claim(address, wish.ref)) != wish.ref:
            raise Refused(f"{address} belongs to {owner}")
        return address


def _from_point(spans: Sequence[Span], point: int) -> Iterator[IPAddress]:
    """All addresses of the spans, once around from the point."""
    total = sum(max(span.size, 0) for span in spans)
    for step in range(total):
        offset = (point + step) % total
        for span in spans:
            if offset < span.size:
                yield span.at(offset)
                break
            offset -= span.size
