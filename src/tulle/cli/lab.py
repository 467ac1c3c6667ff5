"""`tulle lab`: nodes as network namespaces on this machine."""

from __future__ import annotations

import os
import time
from ipaddress import ip_network
from typing import NoReturn

import click

from tulle.errors import Refused, Unavailable, UsageError
from tulle.model.paths import LOCAL, NodePaths

from . import nodes
from .client import Agent
from .down import report_down
from .output import format_option, print_json, table
from .up import cidr_arguments, cidr_options


@click.group("lab")
def command() -> None:
    """Make nodes on this machine.

    Each is a network namespace with an agent of its own.
    """


def _agent(name: str) -> Agent:
    try:
        paths = NodePaths(name)
    except Refused as error:
        raise UsageError(str(error)) from error
    if paths.netns is None:
        raise UsageError(f"{LOCAL!r} is the machine itself: see `tulle up` and `tulle down`")
    return Agent(paths)


@command.command()
@click.argument("name")
@cidr_options
@format_option("text", "json")
def up(name: str, pod_cidrs: tuple[str, ...], service_cidrs: tuple[str, ...], output: str) -> None:
    """Make the node NAME and start its agent."""
    from tulle.agent.addresses import POD_CIDRS
    from tulle.lab.node import create, destroy

    agent, began_s = _agent(name), time.monotonic()
    existed = agent.paths.state.exists()
    create(name, [ip_network(item) for item in pod_cidrs] or POD_CIDRS)
    try:
        pid = nodes.start(agent, cidr_arguments(pod_cidrs, service_cidrs))
    except BaseException:
        if not existed:
            destroy(name)
        raise
    nodes.report_up(agent, pid, output, began_s)


@command.command()
@click.argument("name")
@format_option("text", "json")
def down(name: str, output: str) -> None:
    """Stop the node NAME and everything on it, and remove it."""
    agent = _agent(name)
    report_down(agent, nodes.stop(agent), output)


@command.command("list")
@format_option("text", "json")
def list_(output: str) -> None:
    """List the lab's nodes."""
    from tulle.lab.node import nodes as names

    items = [{"name": name, "agent": _state(name)} for name in names() if name != LOCAL]
    if output == "json":
        print_json({"items": items})
    elif not items:
        click.echo("no nodes: make one with `tulle lab up NAME`", err=True)
    else:
        click.echo(table(("NODE", "AGENT"), [(item["name"], item["agent"]) for item in items]))


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
    """Run a command in the network namespace of the node NAME, as the node itself would."""
    from tulle.edges import netns

    path = _agent(name).paths.netns
    if path is None or not netns.exists(path):
        raise Refused(f"there is no node {name!r}: make it with `tulle lab up {name}`")
    environment = {**os.environ, "TULLE_NODE": name}
    try:
        # from the thread that entered: its namespace is the one that the command gets
        netns.run_in(path, lambda: os.execvpe(line[0], line, environment))  # noqa: S606
    except OSError as error:
        raise Refused(f"{line[0]}: {error.strerror}") from error
    raise AssertionError("exec does not return")
