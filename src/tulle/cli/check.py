"""`tulle check`: what is there, and the rung that each missing thing costs."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from .output import format_option, print_json, style

if TYPE_CHECKING:
    from .preflight import Check

RUNGS = {0: "socket", 1: "packet", 2: "stream", 3: "node proxy"}
NEEDED = (0, 1)
_WORDS = {True: ("ok", "green"), False: ("missing", "red"), None: ("unknown", "yellow")}


@click.command()
@format_option("text", "json")
def command(output: str) -> None:
    """Find out what this machine can do.

    By trying it; leaves nothing behind and needs no agent. Exits with 1 if rung 0 or rung 1
    cannot work here.
    """
    from .preflight import preflight  # most of Tulle: nothing for `tulle --help` to wait for

    checks: list[Check] = []
    for check in preflight():
        checks.append(check)
        if output == "text":
            click.echo(_line(check))
    works = rungs(checks)
    if output == "json":
        described = [{"rung": rung, "name": RUNGS[rung], "works": ok} for rung, ok in works.items()]
        print_json({"checks": [asdict(check) for check in checks], "rungs": described})
    else:
        click.echo()
        for rung, ok in works.items():
            word = style("works here", "green") if ok else style("cannot work here", "red")
            click.echo(f"rung {rung} ({RUNGS[rung]}): {word}")
    if not all(works[rung] for rung in NEEDED):
        sys.exit(1)


def rungs(checks: Iterable[Check]) -> dict[int, bool]:
    """Whether each rung has everything that it needs."""
    lacking = {rung for check in checks if not check.ok for rung in check.rungs}
    return {rung: rung not in lacking for rung in RUNGS}


def _line(check: Check) -> str:
    word, colour = _WORDS[check.ok]
    line = f"{style(f'{word:<8}', colour)} {check.name:<16} {check.detail}"
    if check.ok is not False:
        return line
    cost = " and ".join(f"rung {rung} ({RUNGS[rung]})" for rung in check.rungs)
    return f"{line}\n{'':<26}costs {cost or 'no rung'}: {check.advice}"
