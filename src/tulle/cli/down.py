"""`tulle down`: out of the kernel, and nothing left behind."""

from __future__ import annotations

import click

from . import nodes
from .client import Agent
from .output import format_option, print_json


def report_down(agent: Agent, stopped: list[str], output: str) -> None:
    if output == "json":
        print_json({"node": agent.paths.node, "stopped": stopped})
        return
    for name in stopped:
        click.echo(f"stopped {name}")
    click.echo(f"node {agent.paths.node} is down")


@click.command()
@format_option("text", "json")
@click.pass_obj
def command(agent: Agent, output: str) -> None:
    """Take the node down.

    Stops the agent and all workloads, and takes the node's programs out of the kernel. Also
    cleans up after an agent that was killed. Manifests of the node `local` stay.
    """
    report_down(agent, nodes.stop(agent), output)
