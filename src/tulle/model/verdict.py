"""What a flow asks and what it is told: shared by explain, observe and the tests."""

from __future__ import annotations

from dataclasses import dataclass

from tulle.abi import Reason

from .kubernetes import ObjectRef, Protocol
from .world import IPAddress


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """A rule that decides, named in the user's words.

    `index` is the position in the policy's `ingress` or `egress` list; None is the policy's
    default deny. Built-in rules have no policy.
    """

    direction: str  # "ingress" or "egress"
    policy: ObjectRef | None = None
    index: int | None = None
    builtin: str = ""

    def __str__(self) -> str:
        if self.policy is None:
            return self.builtin
        if self.index is None:
            return f"default deny by {self.policy} ({self.direction})"
        return f"{self.policy} {self.direction}[{self.index}]"


NOT_ISOLATED = "no policy selects the workload"
FROM_NODE = "a node always reaches its own workloads"


@dataclass(frozen=True, slots=True)
class Flow:
    """The first packet of a connection, after service translation."""

    src: IPAddress
    dst: IPAddress
    protocol: Protocol | str  # TCP, UDP, SCTP, ICMP, ICMPv6
    dport: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`rules` are those that decided: both directions' if allowed, the denying one if not."""

    reason: Reason
    egress: Rule | None = None
    ingress: Rule | None = None

    @property
    def allowed(self) -> bool:
        return self.reason < Reason.DROP

    @property
    def rule(self) -> Rule | None:
        """The rule to name in one line: what denied, or what admitted at the destination."""
        return self.ingress or self.egress
