"""What `tulle get` and `tulle status` show, as plain JSON values."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tulle import __version__
from tulle.abi import ABI_HASH, MAPS, Endpoint
from tulle.compile.image import DERIVED, LIMITS, packed
from tulle.compile.policies import policy_types, selecting
from tulle.compile.selectors import matches
from tulle.compile.services import addresses_of
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import NetworkPolicy, Pod
from tulle.model.verdict import Rule
from tulle.model.world import Workload

from .agent import Agent, Pass

Json = dict[str, Any]
FILL_WARNING = 0.9


def services(agent: Agent, now: Pass) -> list[Json]:
    backends: dict[tuple[str, str], list[Json]] = {key: [] for key in now.world.services}
    for frontend in now.compiled.services.values():
        total = sum(backend.weight for backend in frontend.backends)
        backends[frontend.service.namespace, frontend.service.name] += [
            {
                "service_port": frontend.port,
                "address": backend.address,
                "port": backend.port,
                "workload": backend.workload,
                "share": backend.weight / total,
            }
            for backend in frontend.backends
        ]
    return [
        {
            "namespace": namespace,
            "name": name,
            "cluster_ips": [str(item) for item in addresses_of(service)],
            "ports": [
                {"name": port.name, "port": port.port, "protocol": port.protocol}
                for port in service.spec.ports
            ],
            "backends": backends[namespace, name],
            "affinity_s": service.spec.session_affinity_config.client_ip.timeout_seconds
            if service.spec.session_affinity == "ClientIP"
            else 0,
        }
        for (namespace, name), service in sorted(now.world.services.items())
    ]


def endpoints(agent: Agent, now: Pass) -> list[Json]:
    return [
        {
            "namespace": workload.namespace,
            "name": workload.name,
            "addresses": [str(item) for item in workload.addresses],
            "identity": identity_of(now, workload),
            "labels": dict(workload.labels),
            "ifindex": workload.ifindex,
            "ready": workload.ready,
            "weight": workload.weight,
            **{
                f"{direction}_policies": [
                    str(ref_of(item)) for item in selecting(now.world, workload, direction)
                ]
                for direction in ("ingress", "egress")
            },
        }
        for _, workload in sorted(now.world.workloads.items())
    ]


def identity_of(now: Pass, workload: Workload) -> int:
    """The number under which policy knows a workload, by its first address."""
    raw = now.compiled.image["endpoints"].get(packed(workload.addresses[0]))
    return Endpoint.unpack(raw).identity if raw else 0


def identities(agent: Agent, now: Pass) -> list[Json]:
    used = Counter(identity_of(now, workload) for workload in now.world.workloads.values())
    return [
        {"id": number, "labels": name.split(";"), "endpoints": used[number]}
        for number, name in sorted(now.compiled.identities.items())
    ]


def policies(agent: Agent, now: Pass) -> list[Json]:
    counters = agent.datapath.rule_counters()
    return [_policy(policy, now, counters) for _, policy in sorted(now.world.policies.items())]


def _policy(policy: NetworkPolicy, now: Pass, counters: dict[int, Any]) -> Json:
    namespace = policy.metadata.namespace
    chosen = [
        str(workload)
        for _, workload in sorted(now.world.workloads.items())
        if workload.namespace == namespace and matches(policy.spec.pod_selector, workload.labels)
    ]
    return {
        "kind": policy.kind,
        "namespace": namespace,
        "name": policy.metadata.name,
        "selects": chosen,
        "types": sorted(policy_types(policy)),
        "rules": [
            {
                "id": number,
                "rule": str(rule),
                "packets": counters[number].packets if number in counters else 0,
                "bytes": counters[number].bytes if number in counters else 0,
            }
            for number, rule in sorted(now.compiled.rules.items(), key=_by_rule)
            if rule.policy == ref_of(policy)
        ],
    }


def _by_rule(item: tuple[int, Rule]) -> tuple[str, float]:
    rule = item[1]
    return rule.direction, float("inf") if rule.index is None else rule.index


def pods(agent: Agent, now: Pass) -> list[Json]:
    problems = agent.pods.problems()
    rows = []
    for key in sorted(now.snapshot.of(Pod)):
        workload = now.world.workloads.get(key)
        containers = agent.pods.status(key)
        running = bool(containers) and all(item.running for item in containers)
        reasons = [item.reason for item in containers if item.reason]
        rows.append(
            {
                "namespace": key[0],
                "name": key[1],
                "phase": "Running" if running else "Pending",
                "ready": bool(workload and workload.ready),
                "restarts": sum(item.restarts for item in containers),
                "addresses": [str(item) for item in workload.addresses] if workload else [],
                "reason": problems.get(key) or "; ".join(reasons),
            }
        )
    return rows


KINDS: dict[str, Callable[[Agent, Pass], list[Json]]] = {
    "services": services,
    "endpoints": endpoints,
    "identities": identities,
    "policies": policies,
    "pods": pods,
}


def maps(agent: Agent, now: Pass) -> list[Json]:
    live = ("conntrack", "sock_nat", "affinity")
    filled = {name: len(now.compiled.image[name]) for name in DERIVED}
    filled |= {name: sum(1 for _ in agent.datapath.maps[name].items()) for name in live}
    return [
        {"name": name, "entries": count, "limit": LIMITS.get(name, MAPS[name].max_entries)}
        for name, count in filled.items()
    ]


def status(agent: Agent) -> Json:
    now = agent.current
    lost = agent.datapath.events_lost()
    fill = maps(agent, now) if now else []
    problems = [agent.problem] if agent.problem else []
    problems += agent.network.problems
    problems += [
        f"map {item['name']} is {item['entries'] / item['limit']:.0%} full (of {item['limit']})"
        for item in fill
        if item["name"] in DERIVED and item["entries"] >= FILL_WARNING * item["limit"]
    ]
    refused = (
        [{"object": str(item.ref), "reason": item.reason} for item in now.refusals] if now else []
    )
    refused += [
        {"object": f"Pod {namespace}/{name}", "reason": reason}
        for (namespace, name), reason in sorted(agent.pods.problems().items())
    ]
    return {
        "node": agent.paths.node,
        "version": __version__,
        "abi": ABI_HASH,
        "pid": os.getpid(),
        "uptime_s": time.monotonic() - agent.started_s,
        "health": "degraded" if problems or refused or not now else "ok",
        "problems": problems,
        "rungs": _rungs(agent, now),
        "refused": refused,
        "maps": fill,
        "counts": _counts(now) if now else {},
        "packets": {
            reason.name: counter._asdict()
            for reason, counter in agent.datapath.reason_counters().items()
        },
        "events_lost": lost,
        "apply": {"count": now.number, "last_ms": now.took_ms, "changes": now.changes}
        if now
        else {},
    }


def _counts(now: Pass) -> Json:
    return {
        "workloads": len(now.world.workloads),
        "services": len(now.world.services),
        "policies": len(now.world.policies),
        "identities": len(now.compiled.identities),
    }


def _rungs(agent: Agent, now: Pass | None) -> list[Json]:
    frontends = len(now.compiled.services) if now else 0
    hooked = len(now.world.workloads) if now else 0
    return [
        {
            "rung": 0,
            "name": "socket",
            "in_use": frontends > 0,
            "detail": f"connect() and sendmsg() to {frontends} service ports",
        },
        {
            "rung": 1,
            "name": "packet",
            "in_use": hooked > 0,
            "detail": f"identity, policy and conntrack on {hooked} interfaces",
        },
    ]
