"""Every scenario there is, in the order of the table. A later rung adds a line here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .figures import BASE
from .scenarios import Scenario
from .scenarios.plain import Plain, iptables, nftables
from .scenarios.tulle import Tulle

SCENARIOS: dict[str, Callable[[], Scenario]] = {
    BASE: partial(Plain, BASE),
    "direct-again": partial(Plain, "direct-again"),  # the same once more: its row is the noise
    "tulle-l4": partial(Tulle, "tulle-l4", 1),
    "tulle-l4-10000": partial(Tulle, "tulle-l4-10000", 10_000),
    "iptables-1": partial(iptables, 1),
    "iptables-10000": partial(iptables, 10_000),
    "nftables-1": partial(nftables, 1),
    "nftables-10000": partial(nftables, 10_000),
}
