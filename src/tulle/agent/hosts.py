"""The hosts file of a workload: names of services without a DNS server. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tulle.model.world import IPAddress

CLUSTER_DOMAIN = "cluster.local"

_LOCALHOST = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"


class HostsEntry(NamedTuple):
    """A service's name and the addresses that it answers on."""

    name: str
    namespace: str
    addresses: tuple[IPAddress, ...]


def render_services(services: Iterable[HostsEntry], namespace: str) -> str:
    """Lines for `services` as seen from `namespace`: the bare name only for its own."""
    lines: list[str] = []
    for name, of, addresses in sorted(services):
        full = f"{name}.{of}.svc.{CLUSTER_DOMAIN}"
        names = f"{full} {name}.{of}.svc {name}.{of}" + (f" {name}" if of == namespace else "")
        lines += [f"{address} {names}\n" for address in addresses]
    return "".join(lines)


def render_hosts(services: str, own_name: str, own_addresses: Iterable[IPAddress]) -> str:
    """The whole file: localhost, the workload itself, and what `render_services` made."""
    own = "".join(f"{address} {own_name}\n" for address in own_addresses)
    return f"{_LOCALHOST}{own}{services}"
