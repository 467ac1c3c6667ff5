"""`tulle exec`: a command inside a workload."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NoReturn

import click

from tulle.errors import Broken

from .client import Agent, Json, workload_path


def become(entrance: Json, line: Sequence[str]) -> NoReturn:
    """Replace this process by the command, inside the workload. Raises Broken."""
    argv = [*entrance["enter"], "--", *line]
    try:
        os.execvp(argv[0], argv)  # noqa: S606 (the command is the user's own)
    except OSError as error:
        raise Broken(f"{argv[0]}: {error.strerror}") from error


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.option("-n", "--namespace", default="default", show_default=True)
@click.argument("name")
@click.argument("line", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.pass_obj
def command(agent: Agent, namespace: str, name: str, line: tuple[str, ...]) -> NoReturn:
    """Run a command inside the workload NAME.

    In its network namespace and cgroup, that is. Exits with the command's own code.
    """
    become(agent.get(workload_path(namespace, name)), line)
