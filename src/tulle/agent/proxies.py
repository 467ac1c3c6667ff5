"""What `tulle get proxies` shows: the Envoys of this node, as plain JSON values."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from tulle.compile.proxy import scope_of

from .agent import Agent, Pass

Json = dict[str, Any]
OF_SCOPE = ("resources", "refused", "requests_told_one_in", "memory_limit_bytes", "cgroup")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def proxies(agent: Agent, now: Pass) -> list[Json]:
    """Those of a scope have the same configuration, and refuse the same of it."""
    status = agent.proxy.status()
    origins = (front.origin for front in now.routing.fronts.values())
    fronts = Counter(scope_of(now.world, origin) for origin in origins)
    return [
        {
            "node": now.world.node.name,
            "scope": item["scope"],
            "generation": item["number"],
            "pid": item["pid"],
            "state": item["state"],
            "memory_bytes": memory_bytes(item["pid"]),
            "fronts": fronts[item["scope"]],
            **{name: status["scopes"][item["scope"]][name] for name in OF_SCOPE},
        }
        for item in status["envoys"]
    ]


def memory_bytes(pid: int) -> int:
    """What a process holds in memory (proc(5), statm); 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0
