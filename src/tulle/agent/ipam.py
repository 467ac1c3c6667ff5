"""Who has which addresses of this node: leases, in a journal that outlives a reboot.

A number is in the journal before it is used and after it is used no more, so kill -9 at any point
gives no address to two. The journal is written in one step but not synced to a disk: what it loses
is found again in the records of those who live.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from threading import Lock

import msgspec

from tulle.errors import Refused
from tulle.model.world import IPAddress, IPNetwork

from .addresses import POD_CIDRS, addresses_of, next_number
from .records import write_below


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

    def take(self, owners: Sequence[str]) -> list[int | Refused]:
        """For each a number that nobody has, or which CIDR is full. Raises OSError."""
        if not self._cidrs:
            reason = "addresses of this node are another CNI plugin's: only that makes pods"
            return [Refused(reason) for _ in owners]
        with self._lock:
            held, last = dict(self._journal.held), self._journal.last
            given: list[int | Refused] = []
            for owner in owners:
                try:
                    last = next_number(self._cidrs, held.keys(), last)
                except Refused as error:
                    given.append(error)
                else:
                    held[last] = owner
                    given.append(last)
            self._save(Journal(last, held))
            return given

    def free(self, owners: Collection[str]) -> None:
        """Give back all that they have. Raises OSError."""
        with self._lock:
            held = self._journal.held
            left = {number: who for number, who in held.items() if who not in owners}
            if len(left) != len(held):
                self._save(Journal(self._journal.last, left))

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
        write_below(self._path, msgspec.json.encode(journal))
        self._journal = journal


def _read(path: Path) -> Journal:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Journal)
    except (FileNotFoundError, msgspec.MsgspecError):
        return Journal()
