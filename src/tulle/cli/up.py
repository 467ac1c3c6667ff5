"""`tulle up`: the node's agent."""

from __future__ import annotations

import sys
import time
from ipaddress import ip_network

import click

from tulle.errors import UsageError

from . import nodes
from .client import Agent
from .output import F, format_option


class Cidr(click.ParamType[str]):
    """A network, in its shortest form."""

    name = "cidr"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return str(ip_network(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def cidr_options(function: F) -> F:
    pod = click.option(
        "--pod-cidr",
        "pod_cidrs",
        type=Cidr(),
        multiple=True,
        help="Range of workload addresses, one an address family.",
    )
    service = click.option(
        "--service-cidr",
        "service_cidrs",
        type=Cidr(),
        multiple=True,
        help="Range of service addresses, one an address family.",
    )
    return pod(service(function))


def cidr_arguments(pod_cidrs: tuple[str, ...], service_cidrs: tuple[str, ...]) -> list[str]:
    """The options again, for a command line."""
    return [
        *(word for cidr in pod_cidrs for word in ("--pod-cidr", cidr)),
        *(word for cidr in service_cidrs for word in ("--service-cidr", cidr)),
    ]


@click.command()
@click.option("-d", "--detach", is_flag=True, help="Return when it is up; it logs to a file.")
@cidr_options
@format_option("text", "json")
@click.pass_obj
def command(
    agent: Agent,
    detach: bool,
    pod_cidrs: tuple[str, ...],
    service_cidrs: tuple[str, ...],
    output: str,
) -> None:
    """Run the node's agent.

    In the foreground, unless -d is given. What it has put into the kernel stays in force when it
    ends, and while it restarts; `tulle down` takes it out.
    """
    netns = agent.paths.netns
    if netns is not None and not netns.exists():
        node = agent.paths.node
        raise UsageError(f"there is no node {node!r}: make it with `tulle lab up {node}`")
    if detach:
        began_s = time.monotonic()
        pid = nodes.start(agent, cidr_arguments(pod_cidrs, service_cidrs))
        nodes.report_up(agent, pid, output, began_s)
        return
    from tulle.agent.main import serve

    sys.exit(serve(agent.paths.node, pod_cidrs, service_cidrs))
