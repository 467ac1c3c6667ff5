"""The command line itself: global options, verbs loaded when called, errors as users see them."""

from __future__ import annotations

import os
import sys

import click

from tulle import __version__
from tulle.errors import Refused, TulleError, UsageError
from tulle.model.paths import LOCAL, NodePaths

from .client import Agent

FAILED, USAGE = 1, 2
VERBS = (
    "check",
    "up",
    "status",
    "run",
    "exec",
    "apply",
    "delete",
    "get",
    "observe",
    "explain",
    "down",
    "lab",
    "install",
    "upgrade",
    "uninstall",
    "operator",
    "host",
)
HIDDEN = ("install-cni",)  # for pods of ours, not for people


class Verbs(click.Group):
    """Imports a verb's module only when that verb, or the list of all, is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        match cmd_name:
            case "check":
                from .check import command
            case "up":
                from .up import command
            case "status":
                from .status import command
            case "run":
                from .run import command
            case "exec":
                from .exec import command
            case "apply":
                from .apply import command
            case "delete":
                from .delete import command
            case "get":
                from .get import command
            case "observe":
                from .observe import command
            case "explain":
                from .explain import command
            case "down":
                from .down import command
            case "lab":
                from .lab import command
            case "install":
                from .install import command
            case "upgrade":
                from .upgrade import command
            case "uninstall":
                from .uninstall import command
            case "operator":
                from .operator import command
            case "host":
                from .host import command
            case "install-cni":
                from .install_cni import command
            case _:
                return None
        return command


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--node", default=LOCAL, envvar="TULLE_NODE", show_default=True, help="The node to speak to."
)
@click.version_option(__version__, prog_name="tulle", message="%(prog)s %(version)s")
@click.pass_context
def tulle(ctx: click.Context, node: str) -> None:
    """A service mesh woven into the Linux kernel."""
    try:
        ctx.obj = Agent(NodePaths(node))
    except Refused as error:
        raise click.UsageError(str(error)) from error
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def main() -> None:
    """Exits with 0, 1 if what was asked for failed, 2 if it makes no sense."""
    try:
        tulle(prog_name="tulle")
    except (TulleError, OSError) as error:
        click.echo(f"tulle: {error}", err=True)
        sys.exit(USAGE if isinstance(error, UsageError) else FAILED)
