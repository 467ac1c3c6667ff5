"""What a flow asks and what it is told: shared by explain, observe and the tests."""

from __future__ import annotations

from dataclasses import dataclass

from tulle.abi import Reason

from .kubernetes import ObjectRef, Protocol
from .world import IPAddress


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """A rule that decides, named in the user's words.

    `index` is the position in the policy's `ingress`, `egress`, `ingressDeny` or `egressDeny`
    list; None is the policy's default deny. `spec` is the position in `specs`, of a policy that
    has several. Built-in rules have no policy.
    """

    direction: str  # "ingress" or "egress"
    policy: ObjectRef | None = None
    index: int | None = None
    builtin: str = ""
    spec: int | None = None
    deny: bool = False  # in the list of what is denied

    def __str__(self) -> str:
        if self.policy is None:
            return self.builtin
        within = "" if self.spec is None else f"specs[{self.spec}]"
        if self.index is None:
            where = f"{self.policy} {within}".rstrip()
            return f"default deny by {where} ({self.direction})"
        field = f"{self.direction}{'Deny' if self.deny else ''}[{self.index}]"
        return f"{self.policy} {within + '.' if within else ''}{field}"


@dataclass(frozen=True, slots=True, order=True)
class RequestRule:
    """What a rule says of requests; `place` is within the rule, such as `toPorts[0]`."""

    rule: Rule
    place: str

    def __str__(self) -> str:
        return f"{self.rule}.{self.place}"


NOT_ISOLATED = "no policy selects the workload"
FROM_NODE = "a node always reaches its own workloads"
TO_ITSELF = "a workload always reaches itself"


@dataclass(frozen=True, slots=True)
class Flow:
    """The first packet of a connection, after service translation.

    Of ICMP and ICMPv6 `dport` is the type. `names` are those that the source has learnt the
    destination's address under.
    """

    src: IPAddress
    dst: IPAddress
    protocol: Protocol | str  # TCP, UDP, SCTP, ICMP, ICMPv6
    dport: int = 0
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """`egress` and `ingress` decided: both if allowed, the denying one alone if not.

    `audit` would have denied in a direction that allowed, if no policy were in audit mode. With
    `reject` the sender is told of its denial. Of the `requests` of each direction one must allow
    each request; of `audit_requests` one would have to, if no policy were in audit mode.
    """

    reason: Reason
    egress: Rule | None = None
    ingress: Rule | None = None
    audit: Rule | None = None
    reject: bool = False
    requests: tuple[RequestRule, ...] = ()
    audit_requests: tuple[RequestRule, ...] = ()

    @property
    def allowed(self) -> bool:
        return self.reason < Reason.DROP

    @property
    def rule(self) -> Rule | None:
        """The rule to name in one line: what denied, or what admitted at the destination."""
        return self.ingress or self.egress
