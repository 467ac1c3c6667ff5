"""The ways from client to server that are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Target:
    """Where the load comes from and goes to: what a scenario hands to the harness.

    `inside` is the argv that runs what follows it as the client.
    """

    inside: tuple[str, ...]
    url: str


@dataclass(frozen=True, slots=True)
class Cores:
    """The client's core and the server's; the same one if the machine has no other."""

    client: int
    server: int


class Scenario(Protocol):
    """One row of the result. All scenarios stand at the same time and must not share anything."""

    @property
    def name(self) -> str: ...

    def setup(self, cores: Cores) -> Target:
        """Build it, server included, and return when it serves. SetupError if that fails."""

    def teardown(self) -> None:
        """Remove everything that `setup` made, also if it failed half-way."""
