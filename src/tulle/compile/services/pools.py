"""Addresses that a LoadBalancer service may have: CiliumLoadBalancerIPPool objects.

A disabled pool gives out nothing. Which of its addresses were given out before it was disabled is
known to no node that starts later, so they are taken back too, on all nodes alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from tulle.model.cilium import CiliumLoadBalancerIPPool, PoolBlock
from tulle.model.kubernetes import Service
from tulle.model.world import IPAddress

from ..selectors import matches

_NAME, _NAMESPACE = "io.kubernetes.service.name", "io.kubernetes.service.namespace"


@dataclass(frozen=True, slots=True)
class Span:
    """`size` addresses of one family from `first` on."""

    version: int
    first: int
    size: int

    def __contains__(self, address: IPAddress) -> bool:
        within = 0 <= int(address) - self.first < self.size
        return address.version == self.version and within

    def at(self, offset: int) -> IPAddress:
        kind = IPv4Address if self.version == 4 else IPv6Address
        return kind(self.first + offset)


def spans_for(pools: Mapping[str, CiliumLoadBalancerIPPool], service: Service) -> tuple[Span, ...]:
    """The blocks of all pools that select the service, by the pools' names."""
    meta = service.metadata
    labels = {**meta.labels, _NAME: meta.name, _NAMESPACE: meta.namespace}
    return tuple(
        span
        for _, pool in sorted(pools.items())
        if not pool.spec.disabled
        and (pool.spec.service_selector is None or matches(pool.spec.service_selector, labels))
        for span in _spans(pool)
    )


def _spans(pool: CiliumLoadBalancerIPPool) -> Iterator[Span]:
    for block in pool.spec.blocks:
        span = _span(block, outermost=pool.spec.allow_first_last_ips != "No")
        if span.size > 0:
            yield span


def _span(block: PoolBlock, outermost: bool) -> Span:
    if block.cidr:
        network = ip_network(block.cidr, strict=False)
        first, size = int(network.network_address), network.num_addresses
        if not outermost and size > 2:
            first, size = first + 1, size - 2
        return Span(network.version, first, size)
    start = ip_address(block.start)
    return Span(
        start.version, int(start), int(ip_address(block.stop or block.start)) - int(start) + 1
    )
