"""`tulle explain`: names → flows → the reference model's verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

from tulle.compile.explain import explain
from tulle.compile.services import Frontend
from tulle.errors import Refused
from tulle.model.kinds import ref_of
from tulle.model.verdict import Flow, Verdict
from tulle.model.world import IPAddress, Workload, World
from tulle.observe.reasons import text_of

from .agent import Pass

Json = dict[str, Any]
SOCKET_REASON = "the kernel chooses a backend at connect()"
PACKET_REASON = "addresses, protocol and port decide it"


def explain_request(now: Pass, source: str, target: str, protocol: str, port: int) -> Json:
    """`source` and `target` are namespace/name of a workload or service, or an IP address.

    Raises Refused if a name means nothing, or if the two have no IP family in common.
    """
    frontends = _frontends(now, target, protocol, port)
    results: list[Json] = []
    for src_name, own in _ends(now.world, source):
        if frontends:
            src, address = _meeting(src_name, own, target, [item.address for item in frontends])
            chosen = next(item for item in frontends if item.address == address)
            results += _through(now, src_name, src, chosen, protocol)
            continue
        for dst_name, theirs in _ends(now.world, target):
            src, dst = _meeting(src_name, own, dst_name, theirs)
            flow = Flow(src, dst, protocol, port)
            results.append(_result(src_name, dst_name, flow, explain(now.world, flow), None))
    return {
        "from": source,
        "to": target,
        "service": str(frontends[0].service) if frontends else None,
        "results": results,
    }


def _meeting(
    source: str, own: Sequence[IPAddress], target: str, theirs: Sequence[IPAddress]
) -> tuple[IPAddress, IPAddress]:
    """The first addresses of two ends that are of one family."""
    for src in own:
        for dst in theirs:
            if src.version == dst.version:
                return src, dst
    raise Refused(f"{source} and {target} have no IP family in common")


def _ends(world: World, name: str) -> list[tuple[str, Sequence[IPAddress]]]:
    """Each workload meant, with its addresses; services stand for their workloads."""
    if (address := _parsed(name)) is not None:
        return [(name, [address])]
    found: list[tuple[str, Sequence[IPAddress]]] = [
        (str(workload), workload.addresses) for workload in _workloads(world, name)
    ]
    if not found:
        raise Refused(f"{name}: no such workload, service or IP address (namespace/name)")
    return found


def _parsed(name: str) -> IPAddress | None:
    try:
        return ip_address(name)
    except ValueError:
        return None


def _workloads(world: World, name: str) -> list[Workload]:
    namespace, _, short = name.rpartition("/")
    key = (namespace or "default", short)
    if key in world.workloads:
        return [world.workloads[key]]
    service = world.services.get(key)
    if service is None or not service.spec.selector:
        return []
    return [
        workload
        for _, workload in sorted(world.workloads.items())
        if workload.namespace == key[0] and service.spec.selector.items() <= workload.labels.items()
    ]


def _frontends(now: Pass, target: str, protocol: str, port: int) -> list[Frontend]:
    """Frontends that a connect() to the target could meet; none if it names no service.

    A name that a service shares with a workload means the service on the ports that it has.
    """
    namespace, _, short = target.rpartition("/")
    key = (namespace or "default", short)
    service = now.world.services.get(key)
    address = _parsed(target)
    chosen = [
        item
        for item in now.compiled.services.values()
        if (item.service == ref_of(service) if service else item.address == address)
        and item.protocol == protocol
        and item.port == port
    ]
    if chosen or service is None or key in now.world.workloads:
        return chosen
    for refusal in now.refusals:
        if refusal.ref == ref_of(service):
            raise Refused(f"{refusal.ref} is not in force: {refusal.reason}")
    ports = ", ".join(f"{item.port}/{item.protocol}" for item in service.spec.ports)
    raise Refused(f"Service {target} has no port {port}/{protocol}; it has {ports or 'none'}")


def _through(
    now: Pass, src_name: str, src: IPAddress, frontend: Frontend, protocol: str
) -> list[Json]:
    if not frontend.backends:
        return [
            {
                "source": src_name,
                "destination": str(frontend.service),
                "port": frontend.port,
                "protocol": protocol,
                "verdict": "DROPPED",
                "reason": "NO_BACKEND",
                "rule": f"{frontend.service} has no ready endpoint",
                "egress_rule": None,
                "ingress_rule": None,
                "rung": 0,
                "rung_reason": SOCKET_REASON,
                "share": None,
            }
        ]
    total = sum(item.weight for item in frontend.backends)
    results = []
    for backend in frontend.backends:
        flow = Flow(src, ip_address(backend.address), protocol, backend.port)
        name = backend.workload or backend.address
        share = backend.weight / total
        results.append(_result(src_name, name, flow, explain(now.world, flow), share))
    return results


def _result(
    source: str, destination: str, flow: Flow, verdict: Verdict, share: float | None
) -> Json:
    return {
        "source": source,
        "destination": destination,
        "port": flow.dport,
        "protocol": flow.protocol,
        "verdict": "FORWARDED" if verdict.allowed else "DROPPED",
        "reason": verdict.reason.name,
        "rule": str(verdict.rule) if verdict.rule else text_of(verdict.reason),
        "egress_rule": str(verdict.egress) if verdict.egress else None,
        "ingress_rule": str(verdict.ingress) if verdict.ingress else None,
        "rung": 1,
        "rung_reason": PACKET_REASON,
        "share": share,
    }
