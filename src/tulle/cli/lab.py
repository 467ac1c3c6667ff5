"""`tulle lab`: nodes as network namespaces on this machine."""

from __future__ import annotations

import os
import sys
import time
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NoReturn

import click

from tulle.edges import netns
from tulle.errors import Refused, Unavailable, UsageError
from tulle.model.paths import LOCAL, NodePaths

from . import nodes
from .client import Agent
from .down import report_down
from .options import OF_A_CLUSTER, OF_A_LAB, OF_A_NODE, up_options, words
from .output import format_option, print_json, table

NOT_FOUND = 127  # as a shell has it


@click.group("lab")
def command() -> None:
    """Make nodes on this machine.

    Each is a network namespace with an agent of its own; a bridge connects them.
    """


def _agent(name: str) -> Agent:
    try:
        paths = NodePaths(name)
    except Refused as error:
        raise UsageError(str(error)) from error
    if paths.netns is None:
        raise UsageError(f"{LOCAL!r} is the machine itself: see `tulle up` and `tulle down`")
    return Agent(paths)


_CLUSTER = click.option(
    "--cluster",
    "cluster_name",
    metavar="CLUSTER",
    help="[default: that of the node that is spoken to, or the only one there is]",
)


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--cluster", "cluster_name", help="Of the nodes.  [default: the first one's name]")
@up_options(OF_A_LAB)
@format_option("text", "json")
def up(names: tuple[str, ...], cluster_name: str | None, output: str, **values: Any) -> None:
    """Make the nodes NAME... and start their agents.

    Nodes of one cluster know each other and share their manifests. A node that is added later, or
    whose agent is started again, needs no options: it gets the cluster's.
    """
    from tulle.lab import starting
    from tulle.lab.node import destroy

    agents, began_s = [_agent(name) for name in names], time.monotonic()
    if values["pod_cidr"] and len(names) > 1:
        raise UsageError("--pod-cidr is for one node: the lab gives each a range of its own")
    cluster = starting.choose_cluster(cluster_name, names)
    shared = starting.shared_arguments(cluster, names, words(values, OF_A_CLUSTER))
    cidrs = [ip_network(text) for text in values["pod_cidr"]]
    own = words(values, OF_A_NODE)
    made: list[str] = []
    try:
        lines = {}
        for agent in agents:
            if not agent.paths.state.exists():
                made.append(agent.paths.node)
            lines[agent] = starting.make(cluster, agent.paths.node, cidrs, shared, own)
        pids = nodes.start_all(lines)
    except BaseException:
        for name in made:
            destroy(name)
        raise
    for agent, pid in pids.items():
        nodes.report_up(agent, pid, output, began_s)


@command.command()
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option("--cluster", "cluster_name", metavar="CLUSTER", help="All nodes of a cluster.")
@click.option("--all", "everything", is_flag=True, help="All nodes of the lab.")
@format_option("text", "json")
def down(names: tuple[str, ...], cluster_name: str | None, everything: bool, output: str) -> None:
    """Stop the nodes NAME... and everything on them, and remove them."""
    from tulle.lab.cluster import cluster_of

    if [bool(names), cluster_name is not None, everything].count(True) != 1:
        raise UsageError("say which nodes, --cluster or --all")
    for name in names or _chosen(cluster_name):
        agent = _agent(name)
        was_there = agent.paths.state.exists() or cluster_of(name) is not None
        stopped = nodes.stop(agent)  # in any case: something of it may be left
        if was_there:
            report_down(agent, stopped, output)
        else:
            click.echo(f"there was no node {name!r}", err=True)


def _chosen(cluster_name: str | None) -> list[str]:
    """All nodes of a cluster, or of the lab."""
    from tulle.lab.node import nodes as all_names
    from tulle.lab.starting import find_cluster

    if cluster_name is not None:
        return list(find_cluster(cluster_name).members())
    return [name for name in all_names() if name != LOCAL]


@command.command("list")
@format_option("text", "json")
def list_(output: str) -> None:
    """List the lab's nodes."""
    from tulle.lab.node import nodes as names

    items = [_described(name) for name in names() if name != LOCAL]
    if output == "json":
        print_json({"items": items})
    elif not items:
        click.echo("no nodes: make one with `tulle lab up NAME`", err=True)
    else:
        headers = ("NODE", "CLUSTER", "AGENT", "ADDRESSES", "POD CIDRS")
        rows = [[_shown(value) for value in item.values()] for item in items]
        click.echo(table(headers, rows))


def _described(name: str) -> dict[str, str | list[str]]:
    from tulle.lab.cluster import cluster_of

    cluster = cluster_of(name)
    member = cluster.members().get(name) if cluster else None
    return {
        "name": name,
        "cluster": cluster.name if cluster else "",
        "agent": _state(name),
        "addresses": [str(item) for item in member.addresses] if member else [],
        "pod_cidrs": list(member.pod_cidrs) if member else [],
    }


def _shown(value: str | list[str]) -> str:
    return (value if isinstance(value, str) else ",".join(value)) or "-"


def _state(name: str) -> str:
    try:
        pid = nodes.running_pid(_agent(name))
    except Unavailable:
        return "does not answer"
    return f"up (pid {pid})" if pid else "down"


@command.command("exec", context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("line", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def exec_(name: str, line: tuple[str, ...]) -> NoReturn:
    """Run a command on the node NAME, as a process of the node's own."""
    from tulle.lab.node import enter_host

    paths = _agent(name).paths
    if paths.netns is None or not netns.exists(paths.netns):
        raise Refused(f"there is no node {name!r}: make it with `tulle lab up {name}`")
    enter_host(paths)
    os.environ["TULLE_NODE"] = name
    _become(paths.netns, line)


@command.command(context_settings={"ignore_unknown_options": True})
@_CLUSTER
@click.argument("line", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.pass_obj
def outside(spoken_to: Agent, cluster_name: str | None, line: tuple[str, ...]) -> NoReturn:
    """Run a command beside a cluster's nodes, as a host that is not in the mesh."""
    from tulle.lab.starting import find_cluster

    _become(find_cluster(cluster_name, spoken_to.paths.node).fabric, line)


@command.command()
@click.argument("name")
@click.argument("state", type=click.Choice(["up", "down"]))
def link(name: str, state: str) -> None:
    """Cut the node NAME off from all others, or connect it again."""
    from tulle.lab.cluster import cluster_of

    cluster = cluster_of(name)
    if cluster is None:
        raise Refused(f"node {name!r} is in no cluster of the lab")
    cluster.set_link(name, state == "up")


def _become(namespace: Path, line: tuple[str, ...]) -> NoReturn:
    def attempt() -> OSError:
        try:
            os.execvp(line[0], line)  # noqa: S606 (the command is the user's own)
        except OSError as error:
            return error

    # from the thread that entered: its namespace is the one that the command gets
    error = netns.run_in(namespace, attempt)
    if isinstance(error, FileNotFoundError):
        click.echo(f"tulle: {line[0]}: command not found", err=True)
        sys.exit(NOT_FOUND)
    raise Refused(f"{line[0]}: {error.strerror}") from error
