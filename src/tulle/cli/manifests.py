"""Sends manifests to the agent: what `apply` and `delete` have in common."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from tulle.errors import AgentDown, TulleError, UsageError

from .client import Agent, Json
from .output import print_json

SUFFIXES = (".json", ".yaml", ".yml")
_WITH_CONDITIONS = ("Route", "Gateway", "GatewayClass", "ListenerSet", "Policy")
_COLOURS = {"created": "green", "configured": "yellow", "deleted": "red"}


def read(names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file; `-` is stdin, a directory stands for its manifests.

    Raises UsageError.
    """
    for name in names:
        if name == "-":
            yield name, sys.stdin.buffer.read()
            continue
        for path in _files(Path(name)):
            try:
                yield str(path), path.read_bytes()
            except OSError as error:
                raise UsageError(f"{path}: {error.strerror}") from error


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(item for item in path.iterdir() if item.suffix in SUFFIXES and item.is_file())
    if not found:
        raise UsageError(f"{path}: no manifests in this directory ({', '.join(SUFFIXES)})")
    return found


def send(agent: Agent, verb: str, names: Sequence[str]) -> Json:
    """The answers to all files as one; a file that is refused does not stop the others."""
    answer: Json = {"results": [], "errors": [], "warnings": []}
    for name, content in list(read(names)):
        try:
            part = agent.post(f"/v1/{verb}", content, [("file", name)])
        except AgentDown:
            raise
        except TulleError as error:
            answer["errors"].append(f"{name}: {error}")
            continue
        answer["results"] += part["results"]
        answer["errors"] += part["errors"]
        if "enforced_ms" in part:
            answer["enforced_ms"] = answer.get("enforced_ms", 0) + part["enforced_ms"]
    if not answer["results"] and not answer["errors"]:
        raise UsageError(f"{', '.join(names)}: there are no objects in it")
    if verb == "apply":
        answer["warnings"] = _warnings(agent, answer["results"])
    return answer


def _warnings(agent: Agent, results: Sequence[Json]) -> list[str]:
    """Once all is applied: what a file refers to may come with the next one."""
    names = [item["object"] for item in results]
    asked = [name for name in names if name.partition(" ")[0].endswith(_WITH_CONDITIONS)]
    if not asked:
        return []
    found: list[str] = agent.post("/v1/warnings", json.dumps(asked).encode())["warnings"]
    return found


def report(answer: Json, output: str) -> None:
    """Prints an answer; exits with 1 if anything was refused."""
    if output == "json":
        print_json(answer)
    else:
        for item in answer["results"]:
            result = click.style(item["result"], fg=_COLOURS.get(item["result"]))
            click.echo(f"{item['object']} {result}")
        if answer["results"] and "enforced_ms" in answer:
            click.echo(f"in force after {answer['enforced_ms']:.0f} ms")
        for warning in answer["warnings"]:
            click.echo(f"{click.style('warning', fg='yellow')}: {warning}", err=True)
        for error in answer["errors"]:
            click.echo(f"tulle: {error}", err=True)
    if answer["errors"]:
        sys.exit(1)
