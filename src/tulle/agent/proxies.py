"""What `tulle get proxies` shows: the Envoys of this node, as plain JSON values."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .agent import Agent, Pass

Json = dict[str, Any]
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def proxies(agent: Agent, now: Pass) -> list[Json]:
    """All have the same configuration, and refuse the same of it."""
    status = agent.proxy.status()
    common = {
        "node": now.world.node.name,
        "fronts": len(now.routing.fronts),
        "resources": status["resources"],
        "refused": status["refused"],
    }
    return [
        {
            "generation": item["number"],
            "pid": item["pid"],
            "state": item["state"],
            "memory_bytes": memory_bytes(item["pid"]),
            **common,
        }
        for item in status["envoys"]
    ]


def memory_bytes(pid: int) -> int:
    """What a process holds in memory (proc(5), statm); 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0
