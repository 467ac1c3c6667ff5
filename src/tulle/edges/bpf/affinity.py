"""Session affinity under other numbers: which service and which backend an entry meant. Pure."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

Numbers = Mapping[str, int]  # an entry's numbers by their paths
Row = tuple[Numbers, Numbers]
Address = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Names:
    """What one version's numbers stand for."""

    services: Mapping[tuple[Address, int, int], int]  # address, port, protocol → service
    backends: Mapping[int, tuple[int, Address, int]]  # backend → service, address, port


def names(services: Iterable[Row], backends: Iterable[Row]) -> Names:
    """Raises KeyError if the entries lack a number that is needed."""
    return Names(
        {(_address(key), key["port"], key["proto"]): value["id"] for key, value in services},
        {key[""]: (value["service"], _address(value), value["port"]) for key, value in backends},
    )


def translate(rows: Iterable[Row], old: Names, new: Names) -> Iterator[Row]:
    """Entries whose service and backend are there still. Raises KeyError as `names` does."""
    frontends: dict[int, list[tuple[Address, int, int]]] = defaultdict(list)
    for frontend, number in old.services.items():
        frontends[number].append(frontend)
    numbers = {place: number for number, place in new.backends.items()}
    for key, value in rows:
        meant = old.backends.get(value["backend"])
        if meant is None or meant[0] != key["service"]:
            continue
        for service in {new.services[item] for item in frontends[meant[0]] if item in new.services}:
            backend = numbers.get((service, *meant[1:]))
            if backend is not None:
                yield (
                    {**_client(key), "service": service},
                    {"last_used_ns": value["last_used_ns"], "backend": backend},
                )


def _address(numbers: Numbers) -> Address:
    return tuple(numbers[f"addr.word[{index}]"] for index in range(4))


def _client(key: Numbers) -> dict[str, int]:
    """An address, or the cookie of a namespace in its lower half, in the machine's byte order."""
    if "client" not in key:
        return {name: value for name, value in key.items() if name.startswith("client.")}
    halves = key["client"] >> 32, key["client"] & 0xFFFFFFFF
    return {
        f"client.word[{index}]": int.from_bytes(half.to_bytes(4, sys.byteorder), "big")
        for index, half in enumerate(halves, 2)
    }
