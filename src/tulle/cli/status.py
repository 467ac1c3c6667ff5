"""`tulle status`: health, rungs in use, refused objects with their reasons, fill of the maps.

With `--kubernetes` that of an installation: how far agents are on each node.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from .client import Agent, Json
from .kubernetes import kubernetes_options
from .output import amount, duration, format_option, print_json, size, style, table

_NAMES = {
    "workloads": "workload",
    "services": "service",
    "policies": "policy",
    "identities": "identity",
}


PROBE_TIMEOUT_S = 5.0


@click.command()
@click.option("--kubernetes", is_flag=True, help="Of the installation in a cluster.")
@click.option(
    "--probe",
    type=click.Choice(["live", "ready"]),
    help="Say nothing, but exit with 1 if the agent does not answer, or has nothing in force yet.",
)
@kubernetes_options
@format_option("text", "json")
@click.pass_obj
def command(agent: Agent, /, kubernetes: bool, probe: str, output: str, **values: Any) -> None:
    """Show health, rungs and refused objects.

    Also what was counted for each reason, and how full the kernel's maps are.
    """
    if probe:
        _probe(agent, probe)
        return
    if kubernetes:
        from .installation import show

        show(values, output)
        return
    answer = agent.get("/v1/status")
    if output == "json":
        print_json(answer)
    else:
        click.echo("\n\n".join(part for part in _parts(answer) if part))


def _probe(agent: Agent, what: str) -> None:
    health = agent.get("/v1/health", PROBE_TIMEOUT_S)
    if what == "ready" and not health["ready"]:
        click.echo(f"not ready: {health['problem'] or 'the first pass is under way'}", err=True)
        sys.exit(1)


def _parts(answer: Json) -> list[str]:
    return [
        _head(answer),
        _section("Problems", [[item] for item in answer["problems"]]),
        _section("Refused", [[item["object"], item["reason"]] for item in answer["refused"]]),
        _clusters(answer),
        _section(
            "Rungs",
            [
                [item["rung"], item["name"], _use(item["in_use"]), item["detail"]]
                for item in answer["rungs"]
            ],
        ),
        _short_circuit(answer.get("short_circuit")),
        _section(
            "Verdicts",
            [
                [name, item["packets"], size(item["bytes"])]
                for name, item in answer["packets"].items()
            ],
            ("REASON", "PACKETS", "BYTES"),
        ),
        _section(
            "Maps",
            [
                [item["name"], item["entries"], item["limit"], _fill(item), _in_use(item)]
                for item in answer["maps"]
            ],
            ("MAP", "ENTRIES", "LIMIT", "FULL", "IN USE"),
        ),
        _section(
            "Most connections",
            [
                [item["name"], opener["address"], opener["workload"], opener["connections"]]
                for item in answer["maps"]
                for opener in item["openers"]
            ],
            ("MAP", "ADDRESS", "WORKLOAD", "OPENED"),
        ),
    ]


def _head(answer: Json) -> str:
    health = style(answer["health"], "green" if answer["health"] == "ok" else "red")
    lines = [
        f"Node {answer['node']}: {health}",
        f"  agent {answer['version']}, ABI {answer['abi']}, pid {answer['pid']},"
        f" up {duration(answer['uptime_s'])}",
    ]
    if answer["counts"]:
        counts = (amount(answer["counts"][key], one) for key, one in _NAMES.items())
        lines.append("  " + ", ".join(counts))
    if answer["apply"]:
        last = answer["apply"]
        lines.append(
            f"  {amount(last['count'], 'update')}, the last changed"
            f" {amount(last['changes'], 'entry')} in {last['last_ms']:.1f} ms"
        )
    if answer["events_lost"]:
        lines.append(style(f"  {answer['events_lost']} events lost: the ring was full", "yellow"))
    return "\n".join(lines)


def _clusters(answer: Json) -> str:
    joined = answer.get("kubernetes", {}).get("clusters", {}).get("joined", {})
    rows = [
        [
            name,
            item["server"],
            style("synced", "green")
            if item["synced"]
            else style(f"what it said {duration(item['age_s'])} ago holds", "yellow"),
            item["nodes"],
            item["workloads"],
        ]
        for name, item in joined.items()
    ]
    headers = ("CLUSTER", "API SERVER", "STATE", "NODES", "WORKLOADS")
    return _section("Joined clusters", rows, headers)


def _short_circuit(counts: Json | None) -> str:
    """What goes from socket to socket, and why directions went over to the interface."""
    if counts is None:
        return ""
    ended = [[f"ended: {why}", count] for why, count in counts["ended"].items()]
    return _section("Short circuit", [["connections now", counts["connections"]], *ended])


def _section(title: str, rows: list[list[object]], headers: tuple[str, ...] = ()) -> str:
    return f"{title}\n{table(headers, rows, '  ')}" if rows else ""


def _use(in_use: bool) -> str:
    return style("in use", "green") if in_use else "idle"


def _fill(item: Json) -> str:
    text = _share(item, item["entries"])
    return style(text, "red") if item["warning"] else text


def _in_use(item: Json) -> str:
    """Of a map that makes room by itself, and so is full sooner or later: what has not expired."""
    if not item["recycled"]:
        return ""
    return "" if item["in_use"] is None else _share(item, item["in_use"])


def _share(item: Json, entries: int) -> str:
    return f"{entries / item['limit']:.0%}" if item["limit"] else ""
