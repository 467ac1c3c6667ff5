"""Who has which addresses of this node: leases, in a journal that outlives a reboot.

A number is in the journal before it is used and after it is used no more, so kill -9 at any point
gives no address to two. The journal is written in one step but not synced to a disk: what it loses
is found again in the records of those who live.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock

import msgspec

from tulle.model.world import IPAddress, IPNetwork

from .addresses import POD_CIDRS, addresses_of, next_number
from .records import write_atomically


class Journal(msgspec.Struct):
    """`last` is the number that was given last: one that has come free is given again late."""

    last: int = 0
    held: dict[int, str] = {}  # number → owner


class Leases:
    """The numbers of one node. Owners are `KIND/REST`. May be used from any thread."""

    def __init__(self, path: Path, cidrs: Sequence[IPNetwork] = POD_CIDRS) -> None:
        self._path, self._cidrs = path, tuple(cidrs)
        self._lock = Lock()
        self._journal = _read(path)

    def take(self, owner: str) -> int:
        """A number that nobody has. Raises Refused, which names the CIDR that is full; OSError."""
        with self._lock:
            held = self._journal.held
            number = next_number(self._cidrs, held.keys(), self._journal.last)
            self._save(Journal(number, {**held, number: owner}))
            return number

    def free(self, number: int, owner: str) -> None:
        """Give a number back; one that somebody else has by now stays theirs. Raises OSError."""
        with self._lock:
            held = dict(self._journal.held)
            if held.get(number) == owner:
                del held[number]
                self._save(Journal(self._journal.last, held))

    def held(self) -> Mapping[int, str]:
        with self._lock:
            return dict(self._journal.held)

    def addresses(self, number: int) -> tuple[IPAddress, ...]:
        return addresses_of(self._cidrs, number)

    def recover(self, kind: str, living: Mapping[int, str]) -> None:
        """These are the numbers that owners of `kind` have, and they have no others.

        Raises OSError.
        """
        with self._lock:
            before = self._journal
            others = {n: who for n, who in before.held.items() if not who.startswith(f"{kind}/")}
            held = others | dict(living)
            last = before.last or max(held, default=0)
            if (last, held) != (before.last, before.held):
                self._save(Journal(last, held))

    def _save(self, journal: Journal) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._path, msgspec.json.encode(journal))
        self._journal = journal


def _read(path: Path) -> Journal:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Journal)
    except (FileNotFoundError, msgspec.MsgspecError):
        return Journal()
