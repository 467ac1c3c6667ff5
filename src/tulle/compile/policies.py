"""NetworkPolicy → policy sets: who may reach which port of a workload, by which rule.

The kernel looks up the peer's identity and "anybody", each by the longest prefix of protocol and
port, and takes the match of lower order. Order is the position of the rule, so the first rule that
matches decides; each entry is given the order of the first rule that covers it, because a longer
prefix hides a shorter one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tulle.abi import Identity, PolicyPrefix
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort
from tulle.model.verdict import FROM_NODE, Rule
from tulle.model.world import Workload, World

from .identities import NamedPort, Peer, port_table
from .selectors import matches

PROTOCOLS: Mapping[str, int] = {"ICMP": 1, "TCP": 6, "UDP": 17, "ICMPv6": 58, "SCTP": 132}
FULL_PORT = int(PolicyPrefix.FULL)


@dataclass(frozen=True, slots=True, order=True)
class Match:
    """A key of the policy map without its set."""

    peer: int
    prefix: int = int(PolicyPrefix.ANY)
    protocol: int = 0
    port: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    rule: Rule
    order: int
    allow: bool


PolicySet = Mapping[Match, Decision]


def policy_types(policy: NetworkPolicy) -> frozenset[str]:
    """Directions that a policy isolates.

    Absent or empty means Ingress, and Egress too if there are egress rules.
    """
    if policy.spec.policy_types:  # Kubernetes' defaulting treats an empty list as an absent one
        return frozenset(item.lower() for item in policy.spec.policy_types)
    return frozenset({"ingress", "egress"} if policy.spec.egress else {"ingress"})


def rules_of(policy: NetworkPolicy) -> Iterator[Rule]:
    """Every rule of a policy, its default denials included, whether it decides anything or not."""
    ref = ref_of(policy)
    for direction in sorted(policy_types(policy)):
        yield from (Rule(direction, ref, i) for i in range(len(_rules(policy, direction))))
        yield Rule(direction, ref)


def selecting(world: World, workload: Workload, direction: str) -> tuple[NetworkPolicy, ...]:
    """Policies that isolate a workload in a direction, in the order in which their rules count."""
    return tuple(
        policy
        for key, policy in sorted(world.policies.items())
        if key[0] == workload.namespace
        and direction in policy_types(policy)
        and matches(policy.spec.pod_selector, workload.labels)
    )


def compile_set(
    policies: Iterable[NetworkPolicy],
    direction: str,
    workload: Workload,
    peers: Mapping[Peer, int],
) -> PolicySet:
    """The set for a workload that all of `policies` isolate; `peers` are all identities."""
    policies = tuple(policies)
    decisions = [Decision(Rule(direction, builtin=FROM_NODE), 0, True)]
    firsts: dict[Match, int] = {Match(Identity.HOST): 0}
    for policy in policies:
        for index, (chosen, ports) in enumerate(_rules(policy, direction)):
            order = len(decisions)
            decisions.append(Decision(Rule(direction, ref_of(policy), index), order, True))
            for match in _matches(policy, chosen, ports, direction, workload, peers):
                firsts.setdefault(match, order)
    decisions.append(Decision(Rule(direction, ref_of(policies[0])), len(decisions), False))
    firsts.setdefault(Match(Identity.ANY), len(decisions) - 1)
    return {match: decisions[_first_covering(match, firsts)] for match in firsts}


def _rules(
    policy: NetworkPolicy, direction: str
) -> list[tuple[tuple[NetworkPolicyPeer, ...], tuple[NetworkPolicyPort, ...]]]:
    if direction == "ingress":
        return [(rule.from_, rule.ports) for rule in policy.spec.ingress]
    return [(rule.to, rule.ports) for rule in policy.spec.egress]


def _matches(
    policy: NetworkPolicy,
    chosen: tuple[NetworkPolicyPeer, ...],
    ports: tuple[NetworkPolicyPort, ...],
    direction: str,
    workload: Workload,
    peers: Mapping[Peer, int],
) -> Iterable[Match]:
    namespace = policy.metadata.namespace
    own = port_table(workload)
    everybody = not chosen
    # A named port means another number at each destination: no entry for "anybody" can hold it.
    if everybody and direction == "egress" and any(isinstance(item.port, str) for item in ports):
        numbered = tuple(item for item in ports if not isinstance(item.port, str))
        named = tuple(item for item in ports if isinstance(item.port, str))
        if numbered:
            yield from _port_matches(Identity.ANY, numbered, own)
        for peer, number in peers.items():
            yield from _port_matches(number, named, peer.ports)
        return
    if everybody:
        yield from _port_matches(Identity.ANY, ports, own)
        return
    for peer, number in peers.items():
        if any(peer.matches(item, namespace) for item in chosen):
            yield from _port_matches(number, ports, own if direction == "ingress" else peer.ports)


def _port_matches(
    peer: int, ports: tuple[NetworkPolicyPort, ...], named: Iterable[NamedPort]
) -> Iterable[Match]:
    if not ports:
        yield Match(peer)
    for item in ports:
        protocol = PROTOCOLS[item.protocol]
        if item.port is None:
            yield Match(peer, int(PolicyPrefix.PORT), protocol)
        elif isinstance(item.port, str):
            for name, named_protocol, number in named:
                if name == item.port and named_protocol == item.protocol:
                    yield Match(peer, FULL_PORT, protocol, number)
        else:
            for port, bits in port_prefixes(item.port, item.end_port or item.port):
                yield Match(peer, int(PolicyPrefix.PORT) + bits, protocol, port)


def port_prefixes(first: int, last: int) -> Iterable[tuple[int, int]]:
    """The fewest (port, leading bits) that cover first..last exactly.

    >>> list(port_prefixes(80, 83)), list(port_prefixes(1, 2))
    ([(80, 14)], [(1, 16), (2, 16)])
    """
    while first <= last:
        size = first & -first or 1 << 16
        while size > last - first + 1:
            size >>= 1
        yield first, 17 - size.bit_length()
        first += size


def _first_covering(match: Match, firsts: Mapping[Match, int]) -> int:
    """Order of the first rule whose entry for the same peer covers `match`, itself included."""
    best = firsts[match]
    for prefix in range(int(PolicyPrefix.PORT), match.prefix):
        bits = prefix - int(PolicyPrefix.PORT)
        port = match.port & ~(0xFFFF >> bits) & 0xFFFF
        best = min(best, firsts.get(Match(match.peer, prefix, match.protocol, port), best))
    return min(best, firsts.get(Match(match.peer), best))
