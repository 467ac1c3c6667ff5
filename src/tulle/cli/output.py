"""How verbs print: tables, JSON, YAML. Colours vanish by themselves where there is no terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
Rows = list[Sequence[object]]


def format_option(*forms: str) -> Callable[[F], F]:
    """`-o FORMAT`; the first is the default."""
    return click.option(
        "-o", "--output", type=click.Choice(forms), default=forms[0], show_default=True
    )


def style(text: str, colour: str) -> str:
    return click.style(text, fg=colour)


def yes(value: bool) -> str:
    return style("yes", "green") if value else style("no", "red")


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))


def print_yaml(value: Any) -> None:
    import yaml

    click.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], indent: str = "") -> str:
    """Columns as wide as their widest cell, three spaces apart, as kubectl prints them."""
    cells = [list(headers)] if headers else []
    cells += [[str(cell) for cell in row] for row in rows]
    widths = [max(_width(row[at]) for row in cells) for at in range(len(cells[0]))] if cells else []
    lines = []
    for row in cells:
        padded = (
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        )
        lines.append((indent + "   ".join(padded)).rstrip())
    return "\n".join(lines)


def amount(number: int, what: str) -> str:
    """
    >>> amount(1, "workload"), amount(2, "workload"), amount(2, "policy")
    ('1 workload', '2 workloads', '2 policies')
    """
    if number == 1:
        return f"1 {what}"
    return f"{number} {what[:-1]}ies" if what.endswith("y") else f"{number} {what}s"


def size(count: float) -> str:
    """
    >>> size(999), size(12_345), size(5 << 30)
    ('999 B', '12.1 KiB', '5.0 GiB')
    """
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"


def duration(seconds: float) -> str:
    """
    >>> duration(5.2), duration(3700), duration(90_000)
    ('5 s', '1 h 1 min', '1 d 1 h')
    """
    minutes, hours = int(seconds) // 60, int(seconds) // 3600
    if minutes < 1:
        return f"{seconds:.0f} s"
    if hours < 1:
        return f"{minutes} min {int(seconds) % 60} s"
    if hours < 24:
        return f"{hours} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"


def _width(text: str) -> int:
    return len(click.unstyle(text))
