"""`tulle up`: the node's agent."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from tulle.errors import UsageError

from . import nodes
from .client import Agent
from .options import node_options, up_options, words
from .output import format_option


@click.command()
@click.option("-d", "--detach", is_flag=True, help="Return when it is up; it logs to a file.")
@up_options()
@format_option("text", "json")
@click.pass_obj
def command(agent: Agent, /, detach: bool, output: str, **values: Any) -> None:
    """Run the node's agent.

    In the foreground, unless -d is given. What it has put into the kernel stays in force when it
    ends, and while it restarts; `tulle down` takes it out.
    """
    _require_node(agent, values)
    options = node_options(agent.paths, values)
    if detach:
        began_s = time.monotonic()
        nodes.report_up(agent, nodes.start(agent, words(values)), output, began_s)
        return
    from tulle.agent.main import serve

    sys.exit(serve(agent.paths, options))


def _require_node(agent: Agent, values: dict[str, Any]) -> None:
    """A node of the lab is there, and knows its cluster. Raises UsageError."""
    name, netns = agent.paths.node, agent.paths.netns
    if netns is None:
        return
    if not netns.exists():
        raise UsageError(f"there is no node {name!r}: make it with `tulle lab up {name}`")
    from tulle.lab.cluster import cluster_of

    given = values["cluster_dir"] or values["kubernetes"]
    if not given and cluster_of(name):
        raise UsageError(f"node {name!r} has a cluster: start its agent with `tulle lab up {name}`")
