"""`tulle explain`: names → flows → the reference model's verdicts."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from tulle.compile.explain import explain
from tulle.compile.services import Frontend
from tulle.errors import Refused
from tulle.model.verdict import Flow, Verdict
from tulle.model.world import IPAddress, Workload, World
from tulle.observe.reasons import text_of

from .agent import Pass

Json = dict[str, Any]
SOCKET_REASON = "the kernel chooses a backend at connect()"
PACKET_REASON = "addresses, protocol and port decide it"


def explain_request(now: Pass, source: str, target: str, protocol: str, port: int) -> Json:
    """`source` and `target` are namespace/name of a workload or service, or an IP address.

    Raises Refused if a name means nothing.
    """
    results: list[Json] = []
    service = None
    for src_name, src in _sources(now.world, source):
        found = _frontends(now, target, protocol, port, src)
        if found is not None:
            service = found[0].service if found else None
            results += [
                item
                for frontend in found
                for item in _through(now, src_name, src, frontend, protocol)
            ]
            continue
        for dst_name, dst in _ends(now.world, target, src.version):
            flow = Flow(src, dst, protocol, port)
            results.append(_result(src_name, dst_name, flow, explain(now.world, flow), None))
    return {
        "from": source,
        "to": target,
        "service": str(service) if service else None,
        "results": results,
    }


def _sources(world: World, name: str) -> list[tuple[str, IPAddress]]:
    """One address of each workload meant; services stand for their workloads."""
    return _ends(world, name, None)


def _ends(world: World, name: str, version: int | None) -> list[tuple[str, IPAddress]]:
    try:
        return [(name, ip_address(name))]
    except ValueError:
        pass
    found = [
        (str(workload), address)
        for workload in _workloads(world, name)
        for address in workload.addresses
        if version in (None, address.version)
    ]
    if not found:
        raise Refused(f"{name}: no such workload, service or IP address (namespace/name)")
    first: dict[str, tuple[str, IPAddress]] = {}
    for end in found:
        first.setdefault(end[0], end)
    return list(first.values())


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


def _frontends(
    now: Pass, target: str, protocol: str, port: int, src: IPAddress
) -> list[Frontend] | None:
    """Frontends that a connect() to the target would meet; None if it names no service.

    A name that a service shares with a workload means the service on the ports that it has.
    """
    namespace, _, short = target.rpartition("/")
    key = (namespace or "default", short)
    named = key in now.world.services
    chosen = [
        item
        for item in now.compiled.services.values()
        if (
            (item.service.namespace, item.service.name) == key
            if named
            else str(item.address) == target
        )
        and item.protocol == protocol
        and item.port == port
    ]
    if chosen or not named or key in now.world.workloads:
        return [item for item in chosen if item.address.version == src.version] or (
            chosen[:1] or None
        )
    ports = ", ".join(f"{item.port}/{item.protocol}" for item in now.world.services[key].spec.ports)
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
