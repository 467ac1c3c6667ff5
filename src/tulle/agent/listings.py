"""What `tulle get` shows of services, workloads, identities and policies, as plain JSON values."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Mapping
from typing import Any

from tulle.abi import Counter as Count
from tulle.abi import Endpoint
from tulle.compile.isolation import Who
from tulle.compile.parts import packed
from tulle.compile.policies import DIRECTIONS
from tulle.compile.rules import Action
from tulle.compile.services import Frontend, Kind, ServiceParts, addresses_of
from tulle.model.kinds import ref_of
from tulle.model.kubernetes import ObjectRef, Service
from tulle.model.multicluster import import_of, import_type
from tulle.model.verdict import Rule
from tulle.model.world import Workload

from .agent import Agent, Pass

Json = dict[str, Any]
Rules = list[tuple[int, Rule]]


def services(agent: Agent, now: Pass) -> list[Json]:
    made = now.compiled.memo.services or ServiceParts()
    return [
        _service(service, made.of(ref_of(service)))
        for _, service in sorted(now.world.services.items(), key=lambda item: item[0])
    ]


def _service(service: Service, frontends: tuple[Frontend, ...]) -> Json:
    spec = service.spec
    affinity_s = spec.session_affinity_config.client_ip.timeout_seconds
    return {
        "namespace": service.metadata.namespace,
        "name": service.metadata.name,
        "type": import_type(spec) if import_of(service.metadata.name) else spec.type,
        "cluster_ips": [str(item) for item in addresses_of(service)],
        "external_ips": [
            *spec.external_ips,
            *(item.ip for item in service.status.load_balancer.ingress if item.ip),
        ],
        "ports": [
            {
                "name": port.name,
                "port": port.port,
                "protocol": port.protocol,
                "node_port": port.node_port,
            }
            for port in spec.ports
        ],
        "backends": [
            row
            for frontend in frontends
            if frontend.kind is Kind.CLUSTER_IP  # the others lead to the same, or to some of them
            for row in _backends(frontend)
        ],
        "affinity_s": affinity_s if spec.session_affinity == "ClientIP" else 0,
    }


def _backends(frontend: Frontend) -> list[Json]:
    total = sum(backend.weight for backend in frontend.internal)
    return [
        {
            "service_port": frontend.port,
            "address": backend.address,
            "port": backend.port,
            "workload": backend.workload,
            "share": backend.weight / total,
        }
        for backend in frontend.internal
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
                f"{direction}_policies": _selecting(now, workload, direction)
                for direction in DIRECTIONS
            },
        }
        for _, workload in sorted(now.world.workloads.items(), key=lambda item: item[0])
    ]


def _selecting(now: Pass, workload: Workload, direction: str) -> list[str]:
    chosen = now.compiled.memo.choices.of.get(workload.key, {})
    return list(dict.fromkeys(str(item.policy.ref) for item in chosen.get(direction, ())))


def identity_of(now: Pass, workload: Workload) -> int:
    """The number under which policy knows a workload, by its first address; 0 if it has none."""
    part: Hashable = ("node", workload.node) if workload.node else ("workload", *workload.key)
    rows = now.compiled.image.get(part, {}).get("endpoints", {})
    raw = rows.get(packed(workload.addresses[0]))
    return Endpoint.unpack(raw).identity if raw else 0


def identities(agent: Agent, now: Pass) -> list[Json]:
    used = Counter(
        identity_of(now, workload)
        for workloads in (now.world.workloads, *now.world.remote.values())
        for workload in workloads.values()
    )
    return [
        {"id": number, "labels": name.split(";"), "endpoints": used[number]}
        for number, name in sorted(now.compiled.identities.items())
    ]


def policies(agent: Agent, now: Pass) -> list[Json]:
    counters = agent.datapath.rule_counters()
    directions: dict[ObjectRef, set[str]] = defaultdict(set)
    audited = set()
    allowing = set()  # rules; the others deny
    for policy in now.compiled.memo.translated.policies:
        directions[policy.ref].add(policy.direction)
        if policy.audit:
            audited.add(policy.ref)
        allowing |= {item.rule for item in policy.rules if item.action is not Action.DENY}
    rules: dict[ObjectRef, Rules] = defaultdict(list)
    for number, rule in now.compiled.rules.items():
        if rule.policy is not None:
            rules[rule.policy].append((number, rule))
    selected = _selected(now)
    return [
        {
            "kind": ref.kind,
            "namespace": ref.namespace,
            "name": ref.name,
            "selects": selected.get(ref, []),
            "types": sorted(types),
            "audit": ref in audited,
            "rules": _rules(rules[ref], allowing, counters),
        }
        for ref, types in sorted(directions.items(), key=lambda item: item[0])
    ]


def _selected(now: Pass) -> dict[ObjectRef, list[str]]:
    """This node's workloads under each policy, and the node itself."""
    found: dict[ObjectRef, dict[str, None]] = defaultdict(dict)
    choices = now.compiled.memo.choices.of
    for who in sorted(choices, key=lambda who: who or ()):
        for chosen in choices[who].values():
            for item in chosen:
                found[item.policy.ref][_name(now, who)] = None
    return {ref: list(names) for ref, names in found.items()}


def _name(now: Pass, who: Who) -> str:
    return f"{who[0]}/{who[1]}" if who else f"node {now.world.node.name}"


def _rules(rules: Rules, allowing: Collection[Rule], counters: Mapping[int, Count]) -> list[Json]:
    nothing = Count()
    return [
        {
            "id": number,
            "rule": str(rule),
            "denies": rule not in allowing,
            "packets": counters.get(number, nothing).packets,
            "bytes": counters.get(number, nothing).bytes,
        }
        for number, rule in sorted(rules, key=_in_order)
    ]


def _in_order(item: tuple[int, Rule]) -> tuple[str, int, bool, float]:
    """As they stand in the policy; the default denial last."""
    rule = item[1]
    position = float("inf") if rule.index is None else rule.index
    return rule.direction, rule.spec or 0, rule.deny, position
