"""The hosts file of a workload: names of services without a DNS server. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tulle.model.multicluster import import_of
from tulle.model.world import IPAddress

CLUSTER_DOMAIN = "cluster.local"
CLUSTERSET_DOMAIN = "clusterset.local"

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
        names = _names(name, of, of == namespace)
        lines += [f"{address} {names}\n" for address in addresses]
    return "".join(lines)


def _names(name: str, namespace: str, is_own: bool) -> str:
    """What stands for an import has the one name that says so (KEP-1645)."""
    if shared := import_of(name):
        return f"{shared}.{namespace}.svc.{CLUSTERSET_DOMAIN}"
    short = f"{name}.{namespace}"
    return f"{short}.svc.{CLUSTER_DOMAIN} {short}.svc {short}" + (f" {name}" if is_own else "")


def render_hosts(services: str, own_name: str, own_addresses: Iterable[IPAddress]) -> str:
    """The whole file: localhost, the workload itself, and what `render_services` made."""
    own = "".join(f"{address} {own_name}\n" for address in own_addresses)
    return f"{_LOCALHOST}{own}{services}"
