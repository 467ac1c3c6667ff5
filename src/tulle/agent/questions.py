"""What `tulle get questions` shows: the kernel's counters of what workloads ask of DNS."""

from __future__ import annotations

from typing import Any

from .agent import Agent, Pass

Json = dict[str, Any]


def questions(agent: Agent, now: Pass) -> list[Json]:
    """A row for each workload that has asked under a DNS rule, since it is there."""
    hearers = agent.datapath.heard.hearers()
    return [
        {
            "namespace": workload.namespace,
            "name": workload.name,
            "asked": item.asked,
            "answered": item.answered,
            "denied": item.denied,
            "not_told": item.untold,
        }
        for _, workload in sorted(now.world.workloads.items())
        if (item := hearers.get(workload.ifindex))
    ]
