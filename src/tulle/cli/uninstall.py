"""`tulle uninstall`: nothing of Tulle's is left in a cluster, nor on its nodes."""

from __future__ import annotations

from typing import Any

import click

from .chosen import wish_of
from .kubernetes import kubernetes_options, within


@click.command()
@click.option("--definitions", is_flag=True, help="Also tulle.io's kinds, with all their objects.")
@click.option("--timeout", type=click.IntRange(1), default=600, show_default=True, help="In s.")
@click.confirmation_option(
    "--yes", prompt="Pods that Tulle wired lose their network, and policies their force. Go on?"
)
@kubernetes_options
def command(definitions: bool, **values: Any) -> None:
    """Take Tulle out of a cluster.

    Agents end, every node is taken down as `tulle down` does, then everything that was installed
    is deleted; of the own kinds the definitions stay unless it is said.
    """
    from tulle.install.upgrade import uninstall

    wish = wish_of(values)
    within(values, lambda cluster: uninstall(cluster, wish, definitions=definitions))
    click.echo("Tulle is no longer installed")
