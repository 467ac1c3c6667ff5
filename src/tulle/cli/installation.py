"""`tulle status --kubernetes`, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from .client import Json
from .kubernetes import within
from .output import print_json, style, table, yes


def show(values: Mapping[str, Any], output: str) -> None:
    from tulle.install.overview import overview

    found = within(values, lambda cluster: overview(cluster, values["namespace"]))
    if output == "json":
        print_json(found)
    else:
        click.echo("\n".join(_lines(found)))


def _lines(found: Json) -> list[str]:
    if not found["installed"]:
        return [f"Tulle is not installed in namespace {found['namespace']}"]
    by = f"by {found['manager']}" if found["manager"] else ""
    if found["revision"]:
        by += f", revision {found['revision']}: {found['state']}"
    rows = [
        [
            item["node"],
            item["pod"] or ("a host" if item["phase"] == "Host" else "-"),
            item["version"] or "-",
            yes(item["ready"]),
            item["restarts"],
            item["reason"],
        ]
        for item in found["nodes"]
    ]
    return [
        f"Tulle {found['version']} in namespace {found['namespace']}, installed {by}",
        f"  API server {found['server']}",
        f"  agents: {_lack(found['agents'])}",
        f"  operator: {_lack(found['operator'])}"
        + (f", {found['leader']} writes" if found["leader"] else ""),
        *([f"  joined with {', '.join(found['joined'])}"] if found["joined"] else []),
        "",
        table(("NODE", "POD", "VERSION", "READY", "RESTARTS", "REASON"), rows),
    ]


def _lack(reason: str) -> str:
    return style(reason, "yellow") if reason else style("ready", "green")
