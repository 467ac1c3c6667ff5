"""Numbers that a kernel holds whose names are lost."""

from __future__ import annotations

from collections.abc import Mapping

from tulle import abi

from .ids import SPACES, Ids


def counters_above(maps: Mapping[str, Mapping[bytes, bytes]]) -> Ids:
    """Ids whose counters stand above every number in what was read from a kernel."""
    policy = [
        (abi.PolicyKey.unpack(key), abi.PolicyEntry.unpack(value))
        for key, value in maps.get("policy", {}).items()
    ]
    endpoints = [abi.Endpoint.unpack(value) for value in maps.get("endpoints", {}).values()]
    services = [abi.Service.unpack(value) for value in maps.get("services", {}).values()]
    known = [abi.IpcacheEntry.unpack(value).identity for value in maps.get("ipcache", {}).values()]
    known += [key.peer for key, _ in policy] + [item.identity for item in endpoints]
    seen = {
        "rule": [rule for _, entry in policy for rule in (entry.rule, entry.audit_rule)],
        "identity": [number for number in known if number < SPACES["identity"].limit],
        "service": [item.id for item in services],
    }
    return Ids(
        {}, {kind: SPACES[kind].after(max(numbers, default=0)) for kind, numbers in seen.items()}
    )
