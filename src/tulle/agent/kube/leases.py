"""Hosts' Leases: how they are called, and who of them is there still. Pure.

A host renews its Lease every RENEW_S. Whoever looks counts by its own clock, and only as long as it
sees Leases at all: what nobody could renew has not run out.
"""

from __future__ import annotations

from collections.abc import Mapping

LABEL = "tulle.io/host"  # "true" on their Leases
RENEW_S = 4.0
LOOK_S = 3.0
EXPIRES_S = 15.0  # after the last renewal that was seen
_PREFIX = "tulle-host-"


def lease_of(host: str) -> str:
    """The Lease's name.

    >>> lease_of("db-1")
    'tulle-host-db-1'
    """
    return _PREFIX + host


def host_of(lease: str) -> str:
    return lease.removeprefix(_PREFIX)


class Attendance:
    """Which hosts are there, by the versions of their Leases.

    `present` are those whose Lease has not run out, as far as one knows.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float]] = {}  # the version, and since when it is that
        self._renewed: set[str] = set()  # under these eyes
        self._looked_s = 0.0
        self.present: frozenset[str] = frozenset()

    def look(self, versions: Mapping[str, str], now_s: float) -> None:
        """All Leases that there are, by host."""
        was_blind = now_s - self._looked_s > EXPIRES_S / 2
        seen = {}
        for host, version in versions.items():
            before = self._seen.get(host)
            if before and before[0] != version:
                self._renewed.add(host)
            is_old = before is not None and before[0] == version and not was_blind
            seen[host] = before if is_old and before else (version, now_s)
        self._seen, self._looked_s = seen, now_s
        present = {host for host, (_, since_s) in seen.items() if now_s - since_s < EXPIRES_S}
        if present != self.present:  # else it is the same object
            self.present = frozenset(present)
        self._renewed &= present

    def is_ready(self, host: str) -> bool | None:
        """None: its Lease is there, and it is too early to say who renews it."""
        if host not in self.present:
            return False
        return True if host in self._renewed else None
