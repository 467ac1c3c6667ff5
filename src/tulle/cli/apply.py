"""`tulle apply`: put manifests in force."""

from __future__ import annotations

import click

from . import manifests
from .client import Agent
from .output import format_option


@click.command()
@click.option(
    "-f",
    "--filename",
    "names",
    multiple=True,
    required=True,
    metavar="FILE",
    help="Manifest file or directory; - is stdin. May be given several times.",
)
@format_option("text", "json")
@click.pass_obj
def command(agent: Agent, names: tuple[str, ...], output: str) -> None:
    """Put Kubernetes manifests in force.

    Returns when the kernel has them. A bad object is refused with its file, line and field; the
    others are applied.
    """
    manifests.report(manifests.send(agent, "apply", names), output)
