"""`tulle explain`: names → flows → the reference model's verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, Protocol

from tulle.abi import Reason
from tulle.compile import Compiled
from tulle.compile.explain import end_at
from tulle.compile.explain.requests import Request
from tulle.compile.services import Kind
from tulle.compile.services.faces import faces_of
from tulle.compile.sets import closed
from tulle.errors import Refused
from tulle.model.dns import name_problem, normal
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import HEADLESS, ObjectRef, Service
from tulle.model.verdict import Flow, Rule, Verdict
from tulle.model.world import IPAddress, Key, Node, Workload, World
from tulle.observe.reasons import text_of

from .agent import Pass
from .judging import judged
from .rungs import NAMES, PACKET, by_names
from .ways import Served, Views, Way, ways

Json = dict[str, Any]
Named = tuple[str, Sequence[IPAddress]]
SOCKET_REASON = "the kernel chooses a backend at connect()"
_OUTER = (Kind.LOAD_BALANCER, Kind.EXTERNAL_IP, Kind.NODE_PORT)


# Stands for an address that nobody knows yet: a reserved one, in no block that is not for all.
UNKNOWN = ip_address("240.0.0.1")
HYPOTHETICAL = "has learnt no address of {}: this is of one that it would learn"


class Learnt(Protocol):
    """What workloads of this node know of names."""

    def names(self, ifindex: int, address: IPAddress, *, fresh: bool) -> tuple[str, ...]: ...

    def addresses(self, ifindex: int, name: str) -> list[IPAddress]: ...


def explain_request(
    now: Pass,
    learnt: Learnt,
    source: str,
    target: str,
    protocol: str,
    port: int,
    request: Request | None = None,
) -> Json:
    """Either end is namespace/name of a workload or service, name of a node, or an IP address.

    The target may be a name of DNS, too: its addresses are those that the source has learnt.
    `request` is what the connection carries, as far as rules of policies read it. Raises Refused if
    a name means nothing, or if the two have no IP family in common.
    """
    refused = {refusal.ref for refusal in now.refusals}
    views = Views(now.world, frozenset(ref for ref in refused if _is_out(now, ref)))
    results: list[Json] = []
    service = ""
    for src_name, own in _ends(now.world, source):
        outside = views.home(own[0]) == ""
        for dst_name, asked in _asked(now, learnt, src_name, own, target, outside, protocol, port):
            for way in ways(views, asked):
                service = service or (str(way.served.frontend.service) if way.served else "")
                results.append(_result(now, views, src_name, dst_name, way, request))
    return {"from": source, "to": target, "service": service or None, "results": results}


# --- names ---


def _ends(world: World, name: str) -> list[Named]:
    """Each workload meant, with its addresses; services stand for their workloads."""
    if (address := _parsed(name)) is not None:
        return [(name, [address])]
    found: list[Named] = [(str(item), item.addresses) for item in _workloads(world, name)]
    if not found and (node := _node(world, name)) is not None and node.addresses:
        found = [(f"node {node.name}", node.addresses)]
    if not found:
        raise Refused(_unknown(world, name))
    return found


def _unknown(world: World, name: str) -> str:
    everywhere = (world.services, world.workloads, *world.remote.values())
    near = {key for items in everywhere for key in items if key[1] == name}
    if not near:
        return f"{name}: no such workload, service, node or IP address (namespace/name)"
    return f"{name}: did you mean {' or '.join(sorted('/'.join(key) for key in near))}?"


def _parsed(name: str) -> IPAddress | None:
    try:
        return ip_address(name)
    except ValueError:
        return None


def key_of(name: str) -> Key:
    """Without a namespace it is `default`."""
    namespace, _, short = name.partition("/")  # CLUSTER/NAME of another cluster
    return (namespace, short) if short else ("default", name)


def _node(world: World, name: str) -> Node | None:
    return world.node if name == world.node.name else world.nodes.get(name)


def _workload(world: World, key: Key) -> Workload | None:
    everywhere = (world.workloads, *world.remote.values())
    return next((items[key] for items in everywhere if key in items), None)


def _workloads(world: World, name: str) -> list[Workload]:
    key = key_of(name)
    if (workload := _workload(world, key)) is not None:
        return [workload]
    service = world.services.get(key)
    if service is None or not service.spec.selector:
        return []
    chosen = [
        workload
        for items in (world.workloads, *world.remote.values())
        for workload in items.values()
        if workload.namespace == key[0] and service.spec.selector.items() <= workload.labels.items()
    ]
    return sorted(chosen, key=lambda item: item.key)


# --- what is asked for ---


def _asked(
    now: Pass,
    learnt: Learnt,
    source: str,
    own: Sequence[IPAddress],
    target: str,
    outside: bool,
    protocol: str,
    port: int,
) -> Iterator[tuple[str, Flow]]:
    """What the client's first packet says, and whom it is for.

    A name that a service shares with a workload means the service on the ports that it has.
    """
    service = now.world.services.get(key_of(target)) if _parsed(target) is None else None
    if service is not None and service.spec.cluster_ip != HEADLESS:
        places = list(_places(now, service, outside, protocol, port))
        if places:
            src, dst = _meeting(source, own, target, [address for address, _ in places])
            number = next(number for address, number in places if address == dst)
            yield str(ref_of(service)), Flow(src, dst, protocol, number)
            return
        if _workload(now.world, key_of(target)) is None:
            raise _not_served(now, service, outside, protocol, port)
    ifindex = _interface(now.world, own)
    if _is_domain(now.world, target):
        yield from _by_name(learnt, ifindex, own, target, protocol, port)
        return
    for name, theirs in _ends(now.world, target):
        src, dst = _meeting(source, own, name, theirs)
        known = learnt.names(ifindex, dst, fresh=True) if ifindex else ()
        yield name, Flow(src, dst, protocol, port, known)


def _interface(world: World, own: Sequence[IPAddress]) -> int:
    """Of a workload of this node; 0: it is none."""
    found = (item for item in world.workloads.values() if own and own[0] in item.addresses)
    return next((item.ifindex for item in found), 0)


def _is_domain(world: World, target: str) -> bool:
    """Whether it can only be a name of DNS."""
    if "." not in target or "/" in target or _parsed(target) is not None or name_problem(target):
        return False
    if target.rpartition(".")[2].isdigit():  # an address that is none
        return False
    return _node(world, target) is None and not _workloads(world, target)


def _by_name(
    learnt: Learnt,
    ifindex: int,
    own: Sequence[IPAddress],
    target: str,
    protocol: str,
    port: int,
) -> Iterator[tuple[str, Flow]]:
    """A flow for each address that the source knows by a name, or for one that it would learn."""
    if not ifindex:
        raise Refused(f"{target}: what a name means is known to workloads of this node only")
    name = normal(target)
    sources = {src.version: src for src in reversed(own)}  # the first of each family
    known = [item for item in learnt.addresses(ifindex, name) if item.version in sources]
    for dst in known:
        names = learnt.names(ifindex, dst, fresh=True)
        yield f"{name} ({dst})", Flow(sources[dst.version], dst, protocol, port, names)
    if not known:
        src = sources.get(UNKNOWN.version, own[0])
        yield name, Flow(src, UNKNOWN, protocol, port, (name,))


def _places(
    now: Pass, service: Service, outside: bool, protocol: str, port: int
) -> Iterator[tuple[IPAddress, int]]:
    """The addresses and ports by which a client reaches a service: its own port or a node port."""
    if any(item.ref == ref_of(service) for item in now.refusals):
        return
    faces = [item for item in faces_of(service) if item.protocol == protocol]
    kinds = _OUTER if outside else (Kind.CLUSTER_IP, *_OUTER)
    for kind in kinds:
        for face in faces:
            if face.kind is kind and port in (face.port, face.service_port):
                if face.address is not None:
                    yield face.address, face.port
                    continue
                nodes = (item for item in now.world.node.addresses if item.version == face.family)
                yield from ((address, face.port) for address in list(nodes)[:1])


def _is_out(now: Pass, ref: ObjectRef) -> bool:
    """Whether nothing of an object that is refused is in force: a Service may lose one port."""
    services = now.compiled.memo.services
    return services is None or not services.of(ref)


def _not_served(now: Pass, service: Service, outside: bool, protocol: str, port: int) -> Refused:
    ref = ref_of(service)
    for refusal in now.refusals:
        if refusal.ref == ref:
            return Refused(f"{ref} is not in force: {refusal.reason}")
    if any(item.port == port and item.protocol == protocol for item in service.spec.ports):
        where = "no address for clients outside of the mesh" if outside else "no address"
        return Refused(f"{ref} has {where}")
    ports = ", ".join(f"{item.port}/{item.protocol}" for item in service.spec.ports)
    return Refused(f"{ref} has no port {port}/{protocol}; it has {ports or 'none'}")


def _meeting(
    source: str, own: Sequence[IPAddress], target: str, theirs: Sequence[IPAddress]
) -> tuple[IPAddress, IPAddress]:
    """The first addresses of two ends that are of one family."""
    for src in own:
        for dst in theirs:
            if src.version == dst.version:
                return src, dst
    raise Refused(f"{source} and {target} have no IP family in common")


# --- what is told ---


def _result(
    now: Pass, views: Views, source: str, target: str, way: Way, request: Request | None
) -> Json:
    verdict = _verdict(now, views, way)
    name = (way.backend.workload or way.backend.address) if way.backend else target
    audit = verdict.audit
    return {
        "source": source,
        "destination": name,
        "port": way.flow.dport,
        "protocol": way.flow.protocol,
        "frontend": _frontend(way.served) if way.served else None,
        "verdict": "FORWARDED" if verdict.allowed else "DROPPED",
        "reason": verdict.reason.name,
        "rule": _rule(verdict, way),
        "egress_rule": str(verdict.egress) if verdict.egress else None,
        "ingress_rule": str(verdict.ingress) if verdict.ingress else None,
        "audit_rule": str(audit) if audit else None,
        "reject": verdict.reject,
        "nodes": [node for node, _ in way.legs],
        "route": list(way.words) if verdict.allowed or way.drop else [],
        **_rung(now, verdict, way),
        "share": way.share,
        "notes": [*_hypothetical(source, way), *_notes(now, verdict)],
    } | judged(now.world, verdict, request, way.flow)


def _rung(now: Pass, verdict: Verdict, way: Way) -> Json:
    """Of what is decided without reading what the connection carries."""
    if way.drop is Reason.NO_BACKEND and _at_socket(way):
        return {"rung": 0, "rung_reason": SOCKET_REASON}
    if verdict.egress in by_names(now.compiled.memo.isolation):
        return {"rung": 2, "rung_reason": NAMES}
    return {"rung": 1, "rung_reason": PACKET}


def _at_socket(way: Way) -> bool:
    return way.served is not None and way.served.at_socket


def _frontend(served: Served) -> Json:
    return {
        "kind": served.frontend.kind.value,
        "address": str(served.frontend.face),
        "node": served.node,
        "rung": 0 if served.at_socket else 1,
    }


def _rule(verdict: Verdict, way: Way) -> str:
    if verdict.reason == Reason.NO_BACKEND and way.served:
        return f"{way.served.frontend.service} has no ready endpoint"
    return str(verdict.rule) if verdict.rule else text_of(verdict.reason)


def _verdict(now: Pass, views: Views, way: Way) -> Verdict:
    """As the model has it, but where the kernel's maps have no room for it nothing passes."""
    if way.drop in (Reason.NO_BACKEND, Reason.SOURCE_RANGE) and not way.legs:
        return Verdict(way.drop)
    verdict = views.judge(way)
    for node, flow in way.legs:
        if node == views.here and (shut := _shut(now.compiled, now.world, flow)):
            verdict = shut if verdict.allowed else verdict
    return Verdict(way.drop) if way.drop and verdict.allowed else verdict


def _shut(compiled: Compiled, world: World, flow: Flow) -> Verdict | None:
    """The denial by an end of this node whose policy set did not fit into the kernel's map."""
    isolation = compiled.memo.isolation
    rules = {closed(number).number: rule for rule, number in isolation.denials.items()}
    sides = {"egress": end_at(world, flow.src), "ingress": end_at(world, flow.dst)}
    for direction, end in sides.items():
        if not rules or not end.is_local:
            continue
        ingress, egress = isolation.sets.get(end.workload.key if end.workload else None, (0, 0))
        rule: Rule | None = rules.get(egress if direction == "egress" else ingress)
        if rule is not None:
            told = {direction: replace(rule, direction=direction)}
            return Verdict(Reason.POLICY_DENIED, told.get("egress"), told.get("ingress"))
    return None


def _hypothetical(source: str, way: Way) -> Iterator[str]:
    if way.flow.dst == UNKNOWN and way.flow.names:
        yield f"{source} {HYPOTHETICAL.format(way.flow.names[0])}"


def _notes(now: Pass, verdict: Verdict) -> list[str]:
    """What is not as its manifest says, of the policies that decided."""
    asked = (item.rule for item in (*verdict.requests, *verdict.audit_requests))
    rules = (verdict.egress, verdict.ingress, verdict.audit, *asked)
    named = {rule.policy for rule in rules if rule}
    found = [f"{item.ref}: {item.reason}" for item in now.refusals if item.ref in named]
    return list(dict.fromkeys(found))
