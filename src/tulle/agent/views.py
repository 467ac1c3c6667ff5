"""What `tulle status` shows, and which lists `tulle get` may ask for, as plain JSON values."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from tulle import __version__
from tulle.abi import ABI_HASH
from tulle.compile.capacity import LIMITS
from tulle.compile.isolation import Isolation
from tulle.compile.parts import DERIVED
from tulle.model.scopes import NODE

from . import listings, placement, proxies, questions, requests, routed, rungs
from .agent import Agent, Pass
from .homes import counted, short_circuited
from .pressure import Fill

Json = dict[str, Any]

KINDS: dict[str, Callable[[Agent, Pass], list[Json]]] = {
    "services": listings.services,
    "endpoints": listings.endpoints,
    "identities": listings.identities,
    "policies": listings.policies,
    "rungs": rungs.rungs,
    "requests": requests.requests,
    "questions": questions.questions,
    "pods": placement.pods,
    "nodes": placement.nodes,
    "routes": routed.routes,
    "gateways": routed.gateways,
    "traffic": routed.traffic,
    "proxies": proxies.proxies,
}


def fills(agent: Agent, now: Pass) -> list[Fill]:
    """Derived maps by what is wanted in them, those that hold state by what the kernel counts."""
    counts = dict.fromkeys(DERIVED, 0)
    for part in now.compiled.image.values():
        for name, entries in part.items():
            counts[name] += len(entries)
    derived = [Fill(name, count, LIMITS[name]) for name, count in counts.items()]
    return derived + agent.pressure.fills()


def status(agent: Agent) -> Json:
    now = agent.current
    lost = agent.datapath.events_lost()
    filled = fills(agent, now) if now else []
    problems = [agent.problem] if agent.problem else []
    problems += [item for item in agent.sources.problems() if item not in problems]
    problems += agent.network.problems + agent.workloads.problems + agent.sandboxes.problems
    problems += agent.proxy.problems
    problems += agent.hearing.problems
    problems += [fill.warning for fill in filled if fill.warning]
    refusals = dict.fromkeys((*(now.refusals if now else ()), *agent.proxy.refusals))
    refused = [{"object": str(item.ref), "reason": item.reason} for item in refusals]
    refused += routed.not_in_force(now) if now else []
    refused += [
        {"object": f"Pod {namespace}/{name}", "reason": reason}
        for (namespace, name), reason in sorted({**agent.pending, **agent.pods.problems()}.items())
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
        "proxy": agent.proxy.status(),
        "refused": refused,
        "maps": [asdict(fill) | {"warning": bool(fill.warning)} for fill in filled],
        "counts": _counts(now) if now else {},
        "packets": {
            reason.name: counter._asdict()
            for reason, counter in agent.datapath.reason_counters().items()
        },
        **({"short_circuit": counted(agent.datapath.maps)} if agent.is_short else {}),
        "events_lost": lost,
        **({"kubernetes": agent.sources.status()} if agent.sources.status else {}),
        "apply": {"count": now.number, "last_ms": now.took_ms, "changes": now.changes}
        if now
        else {},
    }


def _counts(now: Pass) -> Json:
    return {
        "workloads": len(now.world.workloads),
        "remote_workloads": sum(map(len, now.world.remote.values())),
        "services": len(now.world.services),
        "policies": len({policy.ref for policy in now.compiled.memo.translated.policies}),
        "identities": len(now.compiled.identities),
    }


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _envoy(item: Json) -> str:
    of = "" if item["scope"] == NODE else f" {item['scope']}"
    return f"Envoy {item['number']} {item['state']}{of}"


def _rungs(agent: Agent, now: Pass | None) -> list[Json]:
    frontends = len(now.compiled.services) if now else 0
    hooked = len(now.world.workloads) + len(agent.network.interfaces) if now else 0
    fronts = len(now.routing.fronts) if now else 0
    isolation = now.compiled.memo.isolation if now else Isolation()
    held = len(isolation.rule_sets) - len(isolation.listened)
    names = len(isolation.dns) + len(isolation.selectors)
    rule_sets = len(isolation.listened)
    short = len(short_circuited(now.world)) if now else 0
    short_circuit = f"; {_several(short, 'workload')} from socket to socket" if short else ""
    judged = f"{_several(fronts, 'front')} and {_several(rule_sets, 'rule set')} of layer 7"
    envoys = [_envoy(item) for item in agent.proxy.status()["envoys"]]
    return [
        {
            "rung": 0,
            "name": "socket",
            "in_use": frontends > 0,
            "detail": f"connect() and sendmsg() to {_several(frontends, 'service port')}",
        },
        {
            "rung": 1,
            "name": "packet",
            "in_use": hooked > 0,
            "detail": f"identity, policy and conntrack on {_several(hooked, 'interface')}",
        },
        {
            "rung": 2,
            "name": "stream",
            "in_use": held + names + short > 0,
            "detail": f"requests under {_several(held, 'rule set')}, at servers' sockets; "
            f"{_several(names, 'rule')} of names in DNS{short_circuit}",
        },
        {
            "rung": 3,
            "name": "node proxy",
            "in_use": fronts + rule_sets > 0,
            "detail": ", ".join([judged, *envoys]),
        },
    ]
