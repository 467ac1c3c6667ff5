"""`tulle run`: any command becomes a workload."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click

from tulle.errors import Refused

from . import nodes
from .client import Agent, Json, workload_path
from .exec import become
from .output import format_option, print_json

_SETTLE_S = 0.3  # a command that cannot start has failed by then
_PORT = re.compile(r"(?:([a-z0-9-]+)=)?([0-9]{1,5})(?:/(tcp|udp))?", re.IGNORECASE)


class LabelType(click.ParamType[tuple[str, str]]):
    """KEY=VALUE."""

    name = "key=value"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        key, equals, text = value.partition("=")
        if not key or not equals:
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key, text


class PortType(click.ParamType[Json]):
    """[NAME=]PORT[/PROTOCOL]."""

    name = "port"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Json:
        found = _PORT.fullmatch(value)
        if found is None or not 1 <= int(found[2]) <= 65535:
            self.fail(f"{value!r} is not [NAME=]PORT[/PROTOCOL]", param, ctx)
        name, port, protocol = found.groups()
        return {
            "name": name or "",
            "port": int(port),
            "protocol": (protocol or "TCP").upper(),
        }


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--name", help="Of the workload.  [default: made from the command]")
@click.option("-n", "--namespace", default="default", show_default=True)
@click.option("-l", "--label", "labels", type=LabelType(), multiple=True)
@click.option(
    "-p",
    "--port",
    "ports",
    type=PortType(),
    multiple=True,
    metavar="[NAME=]PORT[/PROTOCOL]",
    help="A port, so that services and policies can name it.",
)
@click.option(
    "--weight",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Share of a service's connections, relative to its other endpoints.",
)
@click.option("-d", "--detach", is_flag=True, help="Run in the background; it logs to a file.")
@format_option("text", "json")
@click.argument("line", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.pass_obj
def command(
    agent: Agent,
    name: str | None,
    namespace: str,
    labels: tuple[tuple[str, str], ...],
    ports: tuple[Json, ...],
    weight: int,
    detach: bool,
    output: str,
    line: tuple[str, ...],
) -> None:
    """Run a command as a workload.

    It gets addresses, an identity and policy of its own. The workload ends with the command. -o
    says how -d reports.
    """
    name = name or default_name(line[0])
    asked: Json = {
        "namespace": namespace,
        "name": name,
        "labels": dict(labels),
        "ports": list(ports),
        "weight": weight,
    }
    entrance = agent.post("/v1/workloads", asked)
    try:
        if not detach:
            become(entrance, line)
        answer = _detached(agent, namespace, name, entrance, line)
    except BaseException:
        with suppress(Refused):  # it may have ended by itself
            agent.delete(workload_path(namespace, name))
        raise
    if output == "json":
        print_json(answer)
    else:
        click.echo(f"{namespace}/{name} runs at {', '.join(answer['addresses'])}")
        click.echo(f"pid {answer['pid']}, log: {answer['log']}")


def default_name(command: str) -> str:
    """The command's file name as far as it fits a label, and something that makes it unique."""
    base = re.sub(r"[^a-z0-9]+", "-", Path(command).name.lower()).strip("-")[:40].strip("-")
    return f"{base or 'workload'}-{secrets.token_hex(2)}"


def _detached(agent: Agent, namespace: str, name: str, entrance: Json, line: Sequence[str]) -> Json:
    """Start the command as a session of its own. Raises Refused if it fails right away."""
    log = agent.paths.logs / f"{namespace}_{name}.log"
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            [*entrance["enter"], "--", *line],
            stdin=subprocess.DEVNULL,
            stdout=fd,
            stderr=fd,
            start_new_session=True,
        )
    finally:
        os.close(fd)
    time.sleep(_SETTLE_S)
    if process.poll():
        said = nodes.tail(log)
        end = f"{line[0]} ended with exit code {process.returncode}"
        raise Refused(f"{end}:\n{said}" if said else f"{end} and wrote nothing")
    return {
        "namespace": namespace,
        "name": name,
        "addresses": entrance["addresses"],
        "pid": process.pid,
        "log": str(log),
    }
