"""Which of a port's servers answers for which hostname (Gateway API, Listener; GEP-3567)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tulle.model.routing import Server, VirtualHost

ANY = "*"


@dataclass(frozen=True, slots=True)
class Share:
    """A domain of a route table: a virtual host, or an answer to what nobody takes."""

    domain: str
    host: VirtualHost | None = None
    answer: Literal["not found", "misdirected"] = "not found"


def covers(hostname: str, name: str) -> bool:
    """Whether all that `name` stands for is a server's. Both may be `*.…`, of one or more labels.

    >>> covers("*.example.com", "*.a.example.com"), covers("*.example.com", "example.com")
    (True, False)
    """
    if hostname in ("", ANY) or hostname == name:
        return True
    return hostname.startswith("*.") and name.endswith(hostname[1:]) and name != ANY


def owner_of(name: str, servers: Iterable[Server]) -> Server | None:
    """The one with the most specific hostname; of two that are alike the first."""
    own = [server for server in servers if covers(server.hostname, name)]
    return max(own, key=lambda server: rank(server.hostname)) if own else None


def shares_of(servers: Sequence[Server]) -> tuple[Share, ...]:
    """The table of all servers of a cleartext port, each domain once."""
    found: dict[str, Share] = {}
    for server in servers:
        for share in _own(server, servers):
            found.setdefault(share.domain, share)
    return tuple(found.values())


def shares_behind(server: Server, servers: Sequence[Server]) -> tuple[Share, ...]:
    """The table of the one that the SNI has chosen.

    A client may send a request for another one's host over a connection that it has already; that
    one is told to connect anew (RFC 9110, 15.5.20).
    """
    found = {share.domain: share for share in _own(server, servers)}
    for other in servers:
        domain = other.hostname or ANY
        if domain not in found and owner_of(domain, servers) is other:
            found[domain] = Share(domain, answer="misdirected")
    return tuple(found.values())


def _own(server: Server, servers: Sequence[Server]) -> Iterator[Share]:
    """What is left to it of its hosts, and what nobody else may take instead of it."""
    domains = set()
    for host in server.hosts:
        if owner_of(host.hostname, servers) is server and host.hostname not in domains:
            domains.add(host.hostname)
            yield Share(host.hostname, host)
    domain = server.hostname or ANY
    if domain not in domains and owner_of(domain, servers) is server:
        yield Share(domain)


def rank(hostname: str) -> tuple[int, int]:
    """Exact before wildcards, the longer before the shorter, "" last."""
    if hostname in ("", ANY):
        return 0, 0
    return (1 if hostname.startswith("*.") else 2), len(hostname)
