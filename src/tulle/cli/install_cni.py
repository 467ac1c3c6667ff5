"""`tulle install-cni`: what a DaemonSet's pod runs on a node before its agent."""

from __future__ import annotations

from pathlib import Path

import click

from .client import Agent


@click.command(hidden=True)
@click.option("--bin-dir", type=click.Path(path_type=Path), default="/opt/cni/bin")
@click.option("--conf-dir", type=click.Path(path_type=Path), default="/etc/cni/net.d")
@click.option("--chained", is_flag=True, help="After the plugins that are there.")
@click.option("--remove", is_flag=True, help="Take both files away again.")
@click.pass_obj
def command(agent: Agent, bin_dir: Path, conf_dir: Path, chained: bool, remove: bool) -> None:
    """Put the plugin and its configuration where a container engine finds them."""
    from tulle.install import cni_files

    if remove:
        cni_files.remove(bin_dir, conf_dir)
    else:
        cni_files.install(bin_dir, conf_dir, agent.paths.socket, chained=chained)
