"""The reference model of the datapath: the verdict on a connection's first packet, and its rule.

It reads the objects themselves, as the API references of Kubernetes, Cilium and network-policy-api
word them. It knows nothing of identities, prefixes or maps, and nothing of the compiler that makes
those, so that the tests can hold the compiled maps and the kernel's code against it.
"""

from __future__ import annotations

from dataclasses import replace

from tulle.abi import Reason
from tulle.model.verdict import FROM_NODE, TO_ITSELF, Flow, Rule, Verdict
from tulle.model.world import World

from . import cilium, cluster_policy, network_policy
from .cilium_requests import asks_anything, is_dns
from .ends import End, Kind, Question, end_at
from .route import Route, exit_address, route
from .tiers import Decision, decide

__all__ = ["End", "Kind", "Route", "end_at", "exit_address", "explain", "route", "seen_from"]


def explain(world: World, flow: Flow) -> Verdict:
    """Judge the first packet of a connection on this node, after service translation.

    Egress of the source is judged first; if that denies, ingress is not looked at. An end that is
    not of this node has no rule here: its own node judges it. Nor has this node itself, as long as
    no policy selects it.
    """
    source, destination = end_at(world, flow.src), end_at(world, flow.dst)
    if Kind.SERVICE in (source.kind, destination.kind):
        return Verdict(Reason.NO_SERVICE_PORT)  # the hooks found no such port to translate
    if source.kind is Kind.HOST and destination.kind is Kind.HOST:
        return Verdict(Reason.ALLOWED)  # no packet passes a hook
    if source.is_local and source.workload and source.workload is destination.workload:
        return _to_itself()

    egress = _judge(Question(world, "egress", source, destination, flow))
    if egress and egress.denies:
        return Verdict(Reason.POLICY_DENIED, egress=egress.rule, reject=egress.reject)
    if egress and any(is_dns(world, item) for item in egress.requests):
        asked = _by_protocol(world, flow, egress)
        every = asks_anything(world, egress.requests)
        if not asked.requests and not every:
            return Verdict(Reason.DNS_PROTOCOL, egress=egress.rule, reject=True)
        egress = asked
    audit = egress.audit if egress else None
    ingress = _judge(Question(world, "ingress", destination, source, flow))
    if ingress and ingress.denies:
        return Verdict(
            Reason.POLICY_DENIED, ingress=ingress.rule, audit=audit, reject=ingress.reject
        )
    both = [decision for decision in (egress, ingress) if decision]
    return Verdict(
        Reason.ALLOWED,
        egress.rule if egress else None,
        ingress.rule if ingress else None,
        audit or (ingress.audit if ingress else None),
        requests=tuple(item for decision in both for item in decision.requests),
        audit_requests=tuple(item for decision in both for item in decision.audit_requests),
    )


def seen_from(world: World, node: str) -> World:
    """The same world as the node of that name has it; raises KeyError if there is none."""
    own = {key: replace(item, node=world.node.name) for key, item in world.workloads.items()}
    nodes = {**world.nodes, world.node.name: world.node}
    remote = {**world.remote, world.node.name: own}
    return replace(
        world,
        node=nodes.pop(node),
        nodes=nodes,
        workloads={key: replace(item, node="") for key, item in remote.pop(node, {}).items()},
        remote=remote,
    )


def _by_protocol(world: World, flow: Flow, decision: Decision) -> Decision:
    """DNS rules are about datagrams and, where no others of layer 7 stand, about TCP."""
    others = [item for item in decision.requests if not is_dns(world, item)]
    if flow.protocol == "TCP" and not others:
        return decision
    is_datagram = flow.protocol == "UDP"
    requests = (item for item in decision.requests if is_dns(world, item) is is_datagram)
    return replace(decision, requests=tuple(requests))


def _to_itself() -> Verdict:
    """Nobody else asks. Only what the node's proxy leads back passes a hook."""
    egress, ingress = (Rule(name, builtin=TO_ITSELF) for name in ("egress", "ingress"))
    return Verdict(Reason.ALLOWED, egress, ingress)


def _judge(question: Question) -> Decision | None:
    """What this node decides for the subject in this direction; None if it has no say."""
    subject, peer = question.subject, question.peer
    if not subject.is_local:
        return None
    opinions = [
        *network_policy.opinions(question),
        *cilium.opinions(question),
        *cluster_policy.opinions(question),
    ]
    if subject.kind is Kind.HOST and not opinions:
        return None
    if peer.kind is Kind.HOST and opinions:
        return Decision(Rule(question.direction, builtin=FROM_NODE))
    return decide(question.direction, opinions)
